"""Statements about replays that people order from a page; the worker makes them, as it makes analyses."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Update, or_, select, update
from sqlalchemy.orm import Session

from service.db.ledger import lock_study_of
from service.db.rescoring import replayable
from service.db.tables import ReplayOrder
from service.errors import InvalidRequest, Reason


@dataclass(frozen=True, kw_only=True)
class ReplayFacts:
    """The latest order of one analysis."""

    id: int
    actor: str
    ordered_at: datetime
    #: It waits or runs.
    open: bool
    #: Why it could not be made; None where it was made, or is open.
    code: str | None
    text: str | None


@dataclass(frozen=True, kw_only=True)
class ReplayClaim:
    """An order that one worker has begun."""

    id: int
    analysis_id: int
    actor: str
    attempt: int


def order(session: Session, analysis_id: int, *, actor: str, now: datetime) -> int | None:
    """Have an analysis replayed; None: no such analysis. Raises InvalidRequest, which says why not."""
    lock_study_of(session, analysis_id)
    found = replayable(session, analysis_id)
    if found is None:
        return None
    if found.pixels_purged:
        raise InvalidRequest(
            "The images were taken away after the time they are kept.", reason="pixels_purged"
        )
    last = latest(session, analysis_id)
    if last is not None and last.open:
        raise InvalidRequest("A replay of this analysis is waiting or running.", reason="replay_waiting")
    row = ReplayOrder(analysis_id=analysis_id, actor=actor, ordered_at=now)
    session.add(row)
    session.flush()
    return row.id


def latest(session: Session, analysis_id: int) -> ReplayFacts | None:
    """The newest order of an analysis."""
    row = session.scalar(
        select(ReplayOrder)
        .where(ReplayOrder.analysis_id == analysis_id)
        .order_by(ReplayOrder.id.desc())
        .limit(1)
    )
    if row is None:
        return None
    return ReplayFacts(
        id=row.id,
        actor=row.actor,
        ordered_at=row.ordered_at,
        open=row.finished_at is None,
        code=row.reason_code,
        text=row.reason_text,
    )


def due(session: Session, *, now: datetime, limit: int = 10) -> list[int]:
    """Orders that nobody works on, oldest first."""
    return list(
        session.scalars(
            select(ReplayOrder.id)
            .where(ReplayOrder.finished_at.is_(None), _free(now))
            .order_by(ReplayOrder.id)
            .limit(limit)
        )
    )


def claim(session: Session, order_id: int, *, now: datetime, until: datetime) -> ReplayClaim | None:
    """Begin an order that nobody works on; None where somebody does, or it is finished.

    The time of others' clocks plays a part here: two workers at one replay do no harm, and one of them tells.
    """
    row = session.execute(
        update(ReplayOrder)
        .where(ReplayOrder.id == order_id, ReplayOrder.finished_at.is_(None), _free(now))
        .values(attempt=ReplayOrder.attempt + 1, taken_until=until)
        .returning(ReplayOrder.id, ReplayOrder.analysis_id, ReplayOrder.actor, ReplayOrder.attempt)
    ).one_or_none()
    if row is None:
        return None
    return ReplayClaim(id=row.id, analysis_id=row.analysis_id, actor=row.actor, attempt=row.attempt)


def beat(session: Session, begun: ReplayClaim, *, until: datetime) -> bool:
    """Keep an order for longer; False where it is not ours any more."""
    kept = session.execute(_mine(begun).values(taken_until=until).returning(ReplayOrder.id))
    return kept.one_or_none() is not None


def finish(session: Session, begun: ReplayClaim, *, reason: Reason | None, now: datetime) -> bool:
    """Say that an order is done, or why it could not be; False where another attempt has it."""
    done = session.execute(
        _mine(begun)
        .values(
            finished_at=now,
            reason_code=None if reason is None else reason.code,
            reason_text=None if reason is None else reason.text,
        )
        .returning(ReplayOrder.id)
    )
    return done.one_or_none() is not None


def give_back(session: Session, begun: ReplayClaim, *, until: datetime, counts: bool = True) -> None:
    """Let it be begun again from then on; ``counts``: as another attempt."""
    session.execute(_mine(begun).values(taken_until=until, attempt=begun.attempt - (not counts)))


def _mine(begun: ReplayClaim) -> Update:
    return update(ReplayOrder).where(
        ReplayOrder.id == begun.id,
        ReplayOrder.attempt == begun.attempt,
        ReplayOrder.finished_at.is_(None),
    )


def _free(now: datetime) -> ColumnElement[bool]:
    return or_(ReplayOrder.taken_until.is_(None), ReplayOrder.taken_until <= now)
