"""Statements about times that a wall clock wrote which has been set back since.

Whatever waits for such a time would wait for hours. No wait of ours is longer than its terms allow, so a
longer one is known to be wrong and ends now.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, or_, select, update
from sqlalchemy.orm import Session

from service.core.status import AnalysisState, CommitmentState, DeliveryState, SeriesState
from service.db import notices
from service.db.tables import Analysis, CommitmentRequest, Delivery, Notice, ReplayOrder, Series

#: How far the clocks of two hosts may differ without anything being called wrong (chosen by us: hosts that
#: ask a time server differ by far less).
SLACK = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True)
class Waits:
    """The longest time that anything waits on purpose."""

    analysis: timedelta
    delivery: timedelta
    #: Until a peer is asked again whether it has what it was sent.
    confirmation: timedelta = timedelta(hours=12)
    #: Until a sender is told again what we hold of what it sent.
    commitment: timedelta = timedelta(hours=12)
    #: Until an ordered replay may be begun again: a lease, or the wait after a failed attempt.
    replay: timedelta = timedelta(hours=1)
    #: Until a message to somebody who is told of trouble is tried again.
    notice: timedelta = timedelta(hours=4)


#: Longer than any wait that the usual settings make.
ANY_WAIT = Waits(analysis=timedelta(hours=1), delivery=timedelta(hours=1))


def is_ahead(session: Session, waits: Waits, *, now: datetime) -> bool:
    """Whether any row waits for a time that nobody can have meant."""
    conditions = [exists().where(condition) for _, condition, _ in _wrong(waits, now)]
    return bool(session.scalar(select(or_(*conditions))))


def pull_in(session: Session, waits: Waits, *, now: datetime) -> int:
    """Let these rows wait no longer; return how many there were.

    A series whose last image came "later than now" begins its quiet time again.
    """
    changed = 0
    for table, condition, values in _wrong(waits, now):
        done = session.execute(update(table).where(condition).values(**values).returning(table.id))
        changed += len(done.all())
    return changed


def _wrong(waits: Waits, now: datetime) -> list[tuple[Any, ColumnElement[bool], dict[str, datetime]]]:
    """Each table with its rows that wait for too late a time, and what that time becomes."""
    return [
        (
            Analysis,
            and_(
                Analysis.state == AnalysisState.READY,
                Analysis.not_before > now + waits.analysis + SLACK,
            ),
            {"not_before": now},
        ),
        (
            Delivery,
            and_(
                Delivery.state == DeliveryState.PENDING,
                Delivery.next_at > now + waits.delivery + SLACK,
            ),
            {"next_at": now},
        ),
        (
            Delivery,
            and_(
                Delivery.state == DeliveryState.SENT,
                Delivery.confirm_at > now + waits.confirmation + SLACK,
            ),
            {"confirm_at": now},
        ),
        (
            CommitmentRequest,
            and_(
                CommitmentRequest.state == CommitmentState.OPEN,
                CommitmentRequest.next_at > now + waits.commitment + SLACK,
            ),
            {"next_at": now},
        ),
        (
            ReplayOrder,
            and_(
                ReplayOrder.finished_at.is_(None),
                ReplayOrder.taken_until > now + waits.replay + SLACK,
            ),
            {"taken_until": now},
        ),
        (
            Notice,
            and_(Notice.state == notices.PENDING, Notice.next_at > now + waits.notice + SLACK),
            {"next_at": now},
        ),
        (
            Series,
            and_(Series.state == SeriesState.RECEIVING, Series.last_at > now + SLACK),
            {"last_at": now},
        ),
    ]
