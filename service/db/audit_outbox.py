"""The audit record on its way to a collector: its sealed lines are the outbox, one row says how far it came.

So nothing is kept twice, the order is that of the chain, and what waits is bounded by the record itself.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from service.db import audit
from service.db.ledger import insert_or_update
from service.db.tables import Analysis, AuditEntry, AuditOutbox, Study

SYSLOG: Final = "syslog"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to send what comes after a line, for a while."""

    after: int
    #: Proof of the right.
    number: int
    #: Tries in a row that failed before this one.
    failures: int


@dataclass(frozen=True, kw_only=True)
class StudyIds:
    """Which study a line is about, and whose it is."""

    study_uid: str
    patient_id: str
    patient_name: str
    #: Since when the object has its number: it may have been another's before a restore.
    since: datetime


def begin(session: Session, *, now: datetime) -> None:
    """Send the lines that are sealed from now on, unless it was begun before: then it goes on from there.

    A place that the chain has not reached (any more) is none: the end of the record was lost, or cut off.
    """
    end = audit.last(session).count
    values = {"name": SYSLOG, "sent_number": end, "next_at": now}
    first = {**values, "claims": 0, "failures": 0}
    insert_or_update(session, AuditOutbox, first, keys=["name"], changes={"name": SYSLOG})
    beyond = (AuditOutbox.name == SYSLOG, AuditOutbox.sent_number > end)
    session.execute(update(AuditOutbox).where(*beyond).values(sent_number=end))


def waiting(session: Session, *, limit: int) -> Sequence[AuditEntry]:
    """The next lines that are to be sent, in the order of the chain."""
    sent = select(AuditOutbox.sent_number).where(AuditOutbox.name == SYSLOG).scalar_subquery()
    return session.scalars(
        select(AuditEntry)
        .where(AuditEntry.chain_number > sent)
        .order_by(AuditEntry.chain_number)
        .limit(limit)
    ).all()


def waits_since(session: Session) -> datetime | None:
    """Of when the oldest line is that was not sent; None where all were, or where nothing is ever sent."""
    lines = waiting(session, limit=1)
    return lines[0].at if lines else None


def claim(session: Session, *, now: datetime, lease: timedelta, longest: timedelta) -> Claim | None:
    """Take the right to send for the time of the lease; None where it is not time, or another has it.

    A time further ahead than the longest wait was written before the clock was set back, and does not count.
    """
    due = or_(AuditOutbox.next_at <= now, AuditOutbox.next_at > now + longest)
    row = session.execute(
        update(AuditOutbox)
        .where(AuditOutbox.name == SYSLOG, due)
        .values(claims=AuditOutbox.claims + 1, next_at=now + lease)
        .returning(AuditOutbox.sent_number, AuditOutbox.claims, AuditOutbox.failures)
    ).one_or_none()
    return None if row is None else Claim(after=row[0], number=row[1], failures=row[2])


def sent(session: Session, held: Claim, *, up_to: int, now: datetime) -> None:
    """The collector has every line up to this one; who has lost the right changes nothing."""
    values = {"sent_number": up_to, "sent_at": now, "next_at": now, "failures": 0, "error_code": None}
    _settle(session, held, values)


def failed(session: Session, held: Claim, *, code: str, again_at: datetime) -> None:
    """It is tried again at this time; who has lost the right changes nothing."""
    values = {"failures": held.failures + 1, "error_code": code, "next_at": again_at}
    _settle(session, held, values)


def _settle(session: Session, held: Claim, values: dict[str, Any]) -> None:
    mine = (AuditOutbox.name == SYSLOG, AuditOutbox.claims == held.number)
    session.execute(update(AuditOutbox).where(*mine).values(values))


def studies_of(session: Session, lines: Iterable[AuditEntry]) -> dict[tuple[str, str], StudyIds]:
    """The study of each object that a line names by type and id; what is not here any more is left out."""
    wanted: dict[str, set[int]] = {"analysis": set(), "study": set()}
    for line in lines:
        if line.object_type in wanted and (line.object_id or "").isdecimal():
            wanted[line.object_type].add(int(line.object_id or ""))
    facts = (Study.study_uid, Study.patient_id, Study.patient_name)
    analyses = select(Analysis.id, *facts, Analysis.created_at).join(Study, Study.id == Analysis.study_id)
    studies = select(Study.id, *facts, Study.created_at)
    found = {
        "analysis": session.execute(analyses.where(Analysis.id.in_(wanted["analysis"]))).all(),
        "study": session.execute(studies.where(Study.id.in_(wanted["study"]))).all(),
    }
    return {
        (kind, str(row[0])): StudyIds(study_uid=row[1], patient_id=row[2], patient_name=row[3], since=row[4])
        for kind, rows in found.items()
        for row in rows
    }
