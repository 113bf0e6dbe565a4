"""Statements about notifications: what each recipient was told of, and the messages that wait to be sent."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.core.notice import Message, Told
from service.core.status import AnalysisState, DeliveryState
from service.core.trouble import ORDER, Severity, Trouble
from service.db import reviews, selftests
from service.db.ledger import insert_unless_there
from service.db.tables import Analysis, Delivery, Notice, OpenTrouble, Series

PENDING, SENT, DEAD = "pending", "sent", "dead"
#: Stands for the recipient itself: its row is locked while it is judged what to tell.
SELF = ""
#: Messages that were sent or given up are kept this long, to be looked at (chosen by us).
KEPT = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One message that is to be sent now."""

    id: int
    recipient: str
    subject: str
    body: str
    content: dict[str, Any]
    attempts: int
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class News:
    """What a recipient is to be told."""

    began: tuple[Told, ...]
    ended: tuple[Told, ...]


def judge(
    session: Session,
    recipient: str,
    troubles: Iterable[Trouble],
    *,
    after: timedelta,
    every: timedelta,
    now: datetime,
) -> News:
    """Note what is wrong now; what the recipient is to be told.

    Trouble is told once it has lasted for ``after``, with whatever else has lasted for half of that; its
    end, once it was not seen for as long. Looked at by several processes, one does it at a time, and not
    more often than ``every``.
    """
    if not _my_turn(session, recipient, every=every, now=now):
        return News(began=(), ended=())
    rows = {
        row.key: row
        for row in session.scalars(
            select(OpenTrouble).where(OpenTrouble.recipient == recipient, OpenTrouble.key != SELF)
        )
    }
    for trouble in troubles:
        rows[trouble.key] = _note(session, recipient, rows.get(trouble.key), trouble, now=now)
    untold = [row for row in rows.values() if row.told_at is None and row.seen_at == now]
    due = any(now - row.since >= after for row in untold)
    began = [row for row in untold if due and now - row.since >= after / 2]
    for row in began:
        row.told_at = now
    gone = [row for row in rows.values() if row.seen_at < now and now - row.seen_at >= after]
    passed = [row for row in rows.values() if row.seen_at < now and row.told_at is None]
    ended = tuple(_told(row) for row in gone if row.told_at is not None)
    for row in {*gone, *passed}:
        session.delete(row)
    return News(began=tuple(map(_told, began)), ended=ended)


def _my_turn(session: Session, recipient: str, *, every: timedelta, now: datetime) -> bool:
    """Whether nobody else has judged lately; the recipient stays locked until the transaction ends."""
    values = {"recipient": recipient, "key": SELF, "code": SELF, "severity": SELF}
    session.execute(
        _insert(session).values(**values, about="", since=now, seen_at=now - every).on_conflict_do_nothing()
    )
    row = session.scalars(
        select(OpenTrouble)
        .where(OpenTrouble.recipient == recipient, OpenTrouble.key == SELF)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    # A clock that was set back must not silence everything until it has caught up.
    if timedelta(0) <= now - row.seen_at < every:
        return False
    row.seen_at = now
    return True


def _insert(session: Session) -> Any:
    """INSERT in the dialect at hand."""
    dialect: Any = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    return dialect.insert(OpenTrouble)


def _note(
    session: Session, recipient: str, row: OpenTrouble | None, trouble: Trouble, *, now: datetime
) -> OpenTrouble:
    """The row of a trouble as it is now; one that became worse is told again."""
    if row is None:
        row = OpenTrouble(
            recipient=recipient, key=trouble.key[:160], code=trouble.code, about=trouble.about, since=now
        )
        session.add(row)
    elif ORDER.index(trouble.severity) > ORDER.index(Severity(row.severity)):
        row.told_at, row.since = None, now
    row.severity, row.numbers, row.seen_at = trouble.severity, dict(trouble.values), now
    return row


def _told(row: OpenTrouble) -> Told:
    trouble = Trouble(
        code=row.code, severity=Severity(row.severity), about=row.about, values=row.numbers or {}
    )
    return Told(trouble=trouble, since=row.since)


def open_now(session: Session, recipient: str) -> tuple[Told, ...]:
    """What the recipient was told of and is still wrong."""
    rows = session.scalars(
        select(OpenTrouble)
        .where(OpenTrouble.recipient == recipient, OpenTrouble.key != SELF, OpenTrouble.told_at.is_not(None))
        .order_by(OpenTrouble.since, OpenTrouble.key)
    )
    return tuple(_told(row) for row in rows)


def forget_others(session: Session, recipients: Sequence[str]) -> None:
    """Nothing waits for recipients that are not in the settings any more; old messages go."""
    session.execute(delete(OpenTrouble).where(OpenTrouble.recipient.not_in(recipients)))
    session.execute(delete(Notice).where(Notice.recipient.not_in(recipients), Notice.state == PENDING))


def add(
    session: Session, recipient: str, message: Message, *, now: datetime, once: str | None = None
) -> int | None:
    """Have a message wait; None where one like it was there already."""
    values = {
        "recipient": recipient,
        "kind": message.kind,
        "once": once,
        "subject": message.subject,
        "body": message.body,
        "content": message.content,
        "created_at": now,
        "state": PENDING,
        "attempts": 0,
        "next_at": now,
    }
    session.execute(delete(Notice).where(Notice.state != PENDING, Notice.created_at < now - KEPT))
    return insert_unless_there(session, Notice, values)


def claim(session: Session, recipients: Sequence[str], *, now: datetime, lease: timedelta) -> Letter | None:
    """The next message that is due; nobody else gets it for the time of the lease."""
    wanted = (
        select(Notice.id, Notice.attempts)
        .where(Notice.state == PENDING, Notice.recipient.in_(recipients), Notice.next_at <= now)
        .order_by(Notice.id)
        .limit(1)
    )
    found = session.execute(wanted).one_or_none()
    if found is None:
        return None
    row = session.scalar(
        update(Notice)
        .where(Notice.id == found.id, Notice.attempts == found.attempts, Notice.state == PENDING)
        .values(attempts=Notice.attempts + 1, next_at=now + lease)
        .returning(Notice)
        .execution_options(synchronize_session=False)
    )
    if row is None:
        return None
    return Letter(
        id=row.id,
        recipient=row.recipient,
        subject=row.subject,
        body=row.body,
        content=row.content or {},
        attempts=row.attempts,
        created_at=row.created_at,
    )


def sent(session: Session, letter: Letter, *, now: datetime) -> None:
    """The message arrived."""
    _settle(session, letter, state=SENT, sent_at=now, next_at=None, error_code=None)


def failed(session: Session, letter: Letter, *, code: str, again_at: datetime | None) -> None:
    """It did not, and is tried again at this time; None: never."""
    state = DEAD if again_at is None else PENDING
    _settle(session, letter, state=state, next_at=again_at, error_code=code)


def _settle(session: Session, letter: Letter, **values: Any) -> None:
    session.execute(
        update(Notice).where(Notice.id == letter.id, Notice.attempts == letter.attempts).values(**values)
    )


def day_counts(session: Session, *, since: datetime) -> dict[str, int]:
    """What came and was finished since then, self-tests left out."""
    states = session.execute(
        select(Analysis.state, func.count())
        .where(Analysis.finished_at >= since, selftests.is_none(Analysis.study_id))
        .group_by(Analysis.state)
    )
    by_state = {row[0]: row[1] for row in states}
    wanted = ("measured", "not_assessable", "not_eligible", "failed")
    counts = {name: by_state.get(AnalysisState(name), 0) for name in wanted}
    counts["series"] = _count(session, Series.first_at >= since, selftests.is_none(Series.study_id))
    arrived = (DeliveryState.SENT, DeliveryState.CONFIRMED)
    counts["stored"] = _count(session, Delivery.sent_at >= since, Delivery.state.in_(arrived))
    counts["reviews"], _ = reviews.held(session)
    return counts


def _count(session: Session, *which: Any) -> int:
    return session.scalar(select(func.count()).where(*which)) or 0
