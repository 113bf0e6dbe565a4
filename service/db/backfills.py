"""Statements about past studies that are fetched from a peer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from service.core.status import BackfillOutcome
from service.db.ledger import insert_unless_there
from service.db.tables import Analysis, Backfill, Instance, Output, Series, Study

Kind = Literal["study", "accession"]
#: A line that is being tried is nobody else's for so long; one whose process died is tried again then.
#: Chosen by us: longer than a study takes; two that fetch the same do no harm.
HOLD: Final = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line that is tried now."""

    id: int
    peer: str
    kind: Kind
    value: str
    deliver: bool
    #: This try included.
    attempts: int


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One line for people."""

    peer: str
    kind: str
    value: str
    outcome: str | None
    reason_code: str | None
    attempts: int
    count: int | None


def add(session: Session, *, peer: str, kind: Kind, value: str, deliver: bool, now: datetime) -> bool:
    """Put a line on the list; False where it is there already, whatever became of it."""
    row = {
        "peer": peer,
        "kind": kind,
        "value": value,
        "deliver": deliver,
        "added_at": now,
        "next_at": now,
    }
    return insert_unless_there(session, Backfill, row) is not None


def claim(session: Session, peers: Sequence[str], *, now: datetime) -> Line | None:
    """Take the line that is due for longest, of peers that may be asked; None where none is."""
    due = (
        select(Backfill.id)
        .where(Backfill.outcome.is_(None), Backfill.next_at <= now, Backfill.peer.in_(peers))
        .order_by(Backfill.next_at, Backfill.id)
        .limit(1)
    )
    row = session.execute(
        update(Backfill)
        .where(Backfill.id == due.scalar_subquery(), Backfill.outcome.is_(None), Backfill.next_at <= now)
        .values(attempts=Backfill.attempts + 1, next_at=now + HOLD)
        .returning(
            Backfill.id, Backfill.peer, Backfill.kind, Backfill.value, Backfill.deliver, Backfill.attempts
        )
    ).one_or_none()
    if row is None:
        return None
    return Line(
        id=row.id,
        peer=row.peer,
        kind="study" if row.kind == "study" else "accession",
        value=row.value,
        deliver=row.deliver,
        attempts=row.attempts,
    )


def finish(
    session: Session,
    line: Line,
    outcome: BackfillOutcome,
    *,
    now: datetime,
    count: int | None = None,
    reason_code: str | None = None,
) -> None:
    """Write down how it ended."""
    session.execute(
        update(Backfill)
        .where(Backfill.id == line.id)
        .values(outcome=outcome, count=count, reason_code=reason_code, finished_at=now)
    )


def put_back(session: Session, line: Line, *, next_at: datetime, reason_code: str, counts: bool) -> None:
    """Have it wait for another try; ``counts``: whether this one was one of its tries."""
    attempts = line.attempts if counts else line.attempts - 1
    session.execute(
        update(Backfill)
        .where(Backfill.id == line.id, Backfill.outcome.is_(None))
        .values(next_at=next_at, reason_code=reason_code, attempts=attempts)
    )


def retry(session: Session, peer: str | None, *, now: datetime) -> int:
    """Begin anew with what was refused or failed; how many lines that are."""
    wanted = (BackfillOutcome.REFUSED, BackfillOutcome.FAILED)
    statement = update(Backfill).where(Backfill.outcome.in_(wanted))
    if peer is not None:
        statement = statement.where(Backfill.peer == peer)
    fresh = statement.values(outcome=None, reason_code=None, attempts=0, next_at=now, finished_at=None)
    return len(session.scalars(fresh.returning(Backfill.id)).all())


def clear(session: Session) -> int:
    """Take lines off the list that ended and brought nothing; how many.

    Those that brought a study go with it, because they say where its results go.
    """
    ended = delete(Backfill).where(Backfill.outcome.is_not(None), ~Backfill.brought)
    return len(session.scalars(ended.returning(Backfill.id)).all())


def last_start(session: Session) -> datetime | None:
    """When images were asked for last, by whomever."""
    return session.scalar(
        select(Backfill.started_at)
        .where(Backfill.started_at.is_not(None))
        .order_by(Backfill.started_at.desc())
        .limit(1)
    )


def next_due(session: Session, peers: Sequence[str]) -> datetime | None:
    """When the first of those that wait may be tried; None where none waits."""
    return session.scalar(
        select(Backfill.next_at)
        .where(Backfill.outcome.is_(None), Backfill.peer.in_(peers))
        .order_by(Backfill.next_at)
        .limit(1)
    )


def counts(session: Session) -> dict[tuple[str, str | None], int]:
    """How many lines there are of each peer and outcome."""
    rows = session.execute(
        select(Backfill.peer, Backfill.outcome, func.count()).group_by(Backfill.peer, Backfill.outcome)
    )
    return {(peer, outcome): count for peer, outcome, count in rows}


def listed(session: Session, outcomes: Sequence[str]) -> list[Listed]:
    """Lines with these outcomes, in the order in which they were added; "waiting" for those without one."""
    waiting = Backfill.outcome.is_(None) if "waiting" in outcomes else Backfill.id.is_(None)
    rows = session.scalars(
        select(Backfill).where(or_(Backfill.outcome.in_(outcomes), waiting)).order_by(Backfill.id)
    )
    return [
        Listed(
            peer=row.peer,
            kind=row.kind,
            value=row.value,
            outcome=row.outcome,
            reason_code=row.reason_code,
            attempts=row.attempts,
            count=row.count,
        )
        for row in rows
    ]


def images_here(session: Session, study_uid: str) -> dict[str, int]:
    """How many images of each series of a study are here, purged or not."""
    rows = session.execute(
        select(Series.series_uid, func.count(Instance.id))
        .join(Study, Study.id == Series.study_id)
        .join(Instance, Instance.series_id == Series.id)
        .where(Study.study_uid == study_uid)
        .group_by(Series.series_uid)
    )
    return {row[0]: row[1] for row in rows}


def begin(session: Session, line: Line, *, now: datetime) -> None:
    """Say that the study is about to come, and by this line alone where nothing of it is here yet."""
    known = session.scalar(select(Study.id).where(Study.study_uid == line.value))
    row = update(Backfill).where(Backfill.id == line.id)
    session.execute(row.values(started_at=now))
    if known is None:
        session.execute(row.values(brought=True))


def keeps_back(session: Session, output_ids: Sequence[int]) -> bool:
    """Whether these objects are of a study that was fetched for its own sake, so that nobody is sent them."""
    return (
        session.scalar(
            select(Backfill.id)
            .join(Study, Study.study_uid == Backfill.value)
            .join(Analysis, Analysis.study_id == Study.id)
            .join(Output, Output.analysis_id == Analysis.id)
            .where(Output.id.in_(output_ids), Backfill.brought, ~Backfill.deliver, Backfill.kind == "study")
            .limit(1)
        )
        is not None
    )
