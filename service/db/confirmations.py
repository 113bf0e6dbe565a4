"""Statements about what was sent and is to be known to have arrived."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.core.answers import NOT_COMMITTED
from service.core.circuit import DEFAULT_TERMS, CircuitTerms
from service.core.status import DeliveryState
from service.db import circuits
from service.db.deliveries import why_not_current
from service.db.tables import Delivery, Output
from service.errors import Reason


@dataclass(frozen=True, kw_only=True)
class Question:
    """One object that a peer is asked about."""

    id: int
    sop_class_uid: str
    sop_instance_uid: str
    #: Relative to HOME.
    path: str
    #: How often the peer was asked before and did not settle it.
    asked: int


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What an answer changed."""

    analysis_id: int
    peer: str
    confirmed: int
    again: int
    dead: int


def due(
    session: Session,
    *,
    peers: Sequence[str],
    now: datetime,
    limit: int = 20,
    terms: CircuitTerms = DEFAULT_TERMS,
) -> list[int]:
    """One delivery id for each result and peer that is to be asked about now; peers that are away wait."""
    away = circuits.blocked(session, peers, terms=terms, now=now)
    found: dict[tuple[int, str], int] = {}
    for peer in peers:
        if peer in away:
            continue
        rows = session.execute(
            select(Delivery.id, Output.analysis_id)
            .join(Output)
            .where(
                Delivery.state == DeliveryState.SENT,
                Delivery.confirm_at <= now,
                Delivery.peer == peer,
            )
            .order_by(Delivery.confirm_at, Delivery.id)
            .limit(limit)
        )
        for row in rows:
            found.setdefault((row.analysis_id, peer), row.id)
    return list(found.values())


def unasked(session: Session, asked: Sequence[str]) -> set[str]:
    """Peers of which something is to be confirmed although they are none of these, which are asked."""
    rows = session.scalars(
        select(Delivery.peer)
        .where(
            Delivery.state == DeliveryState.SENT,
            Delivery.confirm_at.is_not(None),
            Delivery.peer.not_in(asked),
        )
        .distinct()
    )
    return set(rows)


def forget(session: Session, peers: Sequence[str]) -> int:
    """Ask these peers no more, because the settings no longer say so: sent is their last state; how many."""
    done = session.execute(
        update(Delivery)
        .where(
            Delivery.peer.in_(peers),
            Delivery.state == DeliveryState.SENT,
            Delivery.confirm_at.is_not(None),
        )
        .values(confirm_at=None, transaction_uid=None)
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    )
    return len(done.scalars().all())


def claim(
    session: Session,
    analysis_id: int,
    *,
    peer: str,
    now: datetime,
    again_at: datetime,
    transaction_uid: str | None,
) -> list[Question]:
    """Take everything of one result that the peer is to be asked about; nobody else asks before ``again_at``.

    The transaction stands in the rows before the peer hears of it, so its report finds them whatever dies.
    """
    outputs = select(Output.id).where(Output.analysis_id == analysis_id)
    taken = session.execute(
        update(Delivery)
        .where(
            Delivery.output_id.in_(outputs),
            Delivery.peer == peer,
            Delivery.state == DeliveryState.SENT,
            Delivery.confirm_at <= now,
        )
        .values(confirm_at=again_at, transaction_uid=transaction_uid)
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    )
    ids = list(taken.scalars())
    rows = session.execute(
        select(
            Delivery.id,
            Delivery.confirm_attempts,
            Output.sop_class_uid,
            Output.sop_instance_uid,
            Output.path,
        )
        .join(Output)
        .where(Delivery.id.in_(ids))
        .order_by(Output.id)
    )
    return [
        Question(
            id=row.id,
            sop_class_uid=row.sop_class_uid,
            sop_instance_uid=row.sop_instance_uid,
            path=row.path,
            asked=row.confirm_attempts,
        )
        for row in rows
    ]


def note_asked(session: Session, ids: Sequence[int], *, again_at: datetime, counts: bool = True) -> None:
    """The peer was asked (or, without ``counts``, was not there); what it leaves open is asked again then."""
    session.execute(
        update(Delivery)
        .where(Delivery.id.in_(ids), Delivery.state == DeliveryState.SENT)
        .values(confirm_at=again_at, confirm_attempts=Delivery.confirm_attempts + int(counts))
        .execution_options(synchronize_session=False)
    )


def give_up(session: Session, ids: Sequence[int], *, reason: Reason) -> int:
    """Ask no more: it was stored by the peer's own word, and stays so; how many rows that were."""
    done = session.execute(
        update(Delivery)
        .where(Delivery.id.in_(ids), Delivery.state == DeliveryState.SENT)
        .values(confirm_at=None, transaction_uid=None, error_code=reason.code, error_text=reason.text)
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    )
    return len(done.scalars().all())


def mark_confirmed(session: Session, ids: Sequence[int], *, now: datetime) -> int:
    """The peer has these; how many rows that were."""
    done = session.execute(
        update(Delivery)
        .where(Delivery.id.in_(ids), Delivery.state == DeliveryState.SENT)
        .values(
            state=DeliveryState.CONFIRMED,
            confirmed_at=now,
            confirm_at=None,
            transaction_uid=None,
            error_code=None,
            error_text=None,
        )
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    )
    return len(done.scalars().all())


def mark_missing(
    session: Session, delivery_id: int, *, reason: Reason, status: int, next_at: datetime, limit: int
) -> DeliveryState | None:
    """The peer has not got it: it alone is sent again, or given up after ``limit`` failures."""
    delivery = session.scalar(
        select(Delivery)
        .where(Delivery.id == delivery_id, Delivery.state == DeliveryState.SENT)
        .with_for_update()
    )
    if delivery is None:
        return None
    gone = why_not_current(session, delivery_id)
    reason = gone or reason
    delivery.failures += 1
    again = gone is None and delivery.failures < limit
    delivery.state = DeliveryState.PENDING if again else DeliveryState.DEAD
    delivery.next_at = next_at if again else None
    delivery.dimse_status = status
    delivery.error_code, delivery.error_text = reason.code, reason.text
    delivery.confirm_at = delivery.transaction_uid = None
    return DeliveryState(delivery.state)


def settle(
    session: Session,
    peers: Sequence[str],
    transaction_uid: str,
    *,
    stored: Sequence[str],
    failed: Mapping[str, int],
    now: datetime,
    next_at: datetime,
    limit: int,
) -> Settled | None:
    """Take in what a peer reports on one transaction; None when none of these names was asked in it.

    ``stored`` are SOP instance UIDs, ``failed`` their reasons. What the report leaves out stays open.
    """
    rows = session.execute(
        select(Delivery.id, Delivery.peer, Output.sop_instance_uid, Output.analysis_id)
        .join(Output)
        .where(
            Delivery.transaction_uid == transaction_uid,
            Delivery.peer.in_(peers),
            Delivery.state == DeliveryState.SENT,
        )
        .order_by(Delivery.id)
    ).all()
    if not rows:
        return None
    good = [row.id for row in rows if row.sop_instance_uid in set(stored) - set(failed)]
    confirmed = mark_confirmed(session, good, now=now) if good else 0
    states = [
        mark_missing(
            session,
            row.id,
            reason=_not_committed(failed[row.sop_instance_uid]),
            status=failed[row.sop_instance_uid],
            next_at=next_at,
            limit=limit,
        )
        for row in rows
        if row.sop_instance_uid in failed
    ]
    return Settled(
        analysis_id=rows[0].analysis_id,
        peer=rows[0].peer,
        confirmed=confirmed,
        again=states.count(DeliveryState.PENDING),
        dead=states.count(DeliveryState.DEAD),
    )


def _not_committed(status: int) -> Reason:
    """Why a peer does not vouch for an object, in words."""
    words = NOT_COMMITTED.get(status, "no reason known to the standard")
    return Reason("not_committed", f"The peer does not vouch for the object: 0x{status:04X}, {words}.")
