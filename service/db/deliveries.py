"""Statements about deliveries: one row for each object and peer, claimed, sent, and tried again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, exists, or_, select, tuple_, update
from sqlalchemy.orm import Session, aliased

from service.core.circuit import DEFAULT_TERMS, CircuitTerms
from service.core.rules import OPTED_OUT
from service.core.status import SENT, AnalysisState, DeliveryState, OutputKind
from service.db import backfills, circuits, holding, selftests
from service.db.leases import Lease
from service.db.ledger import add_event
from service.db.tables import Analysis, Delivery, Output
from service.errors import Reason

OTHER_VARIANT = Reason("other_variant", "The peer is to get the objects of this result in another form.")
GIVEN_UP = Reason("given_up_by_person", "A person gave up what waited for this peer.")
SUPERSEDED = Reason("superseded", "A newer result took the place of this one before it was sent.")
WITHDRAWN = Reason("withdrawn", "The result is withdrawn, so this object is sent no more.")


@dataclass(frozen=True, kw_only=True)
class OutputFacts:
    """One object of a result, as it lies on disk."""

    kind: OutputKind
    sop_class_uid: str
    sop_instance_uid: str
    #: Relative to HOME.
    path: str
    sha256: str
    size: int
    #: Names of the variants that it belongs to.
    variants: tuple[str, ...] = ()
    #: It is no part of the result, but tells that the result is withdrawn.
    withdrawal: bool = False


@dataclass(frozen=True, kw_only=True)
class Getting:
    """What a peer is to get now: the name of the one variant, and the kinds of objects."""

    variant: str
    kinds: Sequence[str]
    #: It gets nothing of a result before a reviewer accepted it.
    after_review: bool = False


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """One claimed delivery; ``attempt`` is the proof that this worker holds it."""

    id: int
    attempt: int
    #: How often the object itself failed before.
    failures: int
    sop_class_uid: str
    sop_instance_uid: str
    #: Relative to HOME.
    path: str
    #: It tells that the result is withdrawn.
    withdrawal: bool = False


def add_outputs(session: Session, analysis_id: int, outputs: Sequence[OutputFacts]) -> dict[str, int]:
    """Write down the objects of a result; the row ids of the first of each kind."""
    rows = [
        Output(analysis_id=analysis_id, **{**vars(output), "variants": " ".join(output.variants)})
        for output in outputs
    ]
    session.add_all(rows)
    session.flush()
    return {row.kind: row.id for row in reversed(rows)}


def outputs_of(session: Session, analysis_id: int, variant: str) -> list[tuple[str, int]]:
    """Kind and row id of each object of a result that belongs to one variant; a kind may have several."""
    rows = session.execute(
        select(Output.kind, Output.id, Output.variants)
        .where(Output.analysis_id == analysis_id, Output.withdrawal.is_(False))
        .order_by(Output.id)
    )
    return [(row.kind, row.id) for row in rows if variant in row.variants.split()]


def in_variant(name: str) -> ColumnElement[bool]:
    """Whether a peer that gets this variant may get the object of the statement.

    Objects of before revision 0002 name no variant: there was one set then, for all peers alike. What tells
    of a withdrawal goes to whoever was sent that which is withdrawn.
    """
    named = (" " + Output.variants + " ").contains(f" {name} ", autoescape=True)
    return or_(named, Output.variants == "", Output.withdrawal.is_(True))


def give_up_others(session: Session, analysis_id: int, *, peer: str, variant: str) -> int:
    """Give up what waits for a peer and is not of this variant; how many. What it has already stays there."""
    others = select(Output.id).where(Output.analysis_id == analysis_id, ~in_variant(variant))
    return _give_up(session, OTHER_VARIANT, Delivery.output_id.in_(others), Delivery.peer == peer)


def give_up_peer(session: Session, peer: str) -> int:
    """Give up, by the word of a person, all that waits for a peer; how many deliveries."""
    return _give_up(session, GIVEN_UP, Delivery.peer == peer)


def give_up_opted_out(session: Session, analysis_id: int, *, peer: str) -> int:
    """Give up what waits for a peer of a result whose patient opted out; how many objects.

    What tells that the result is withdrawn still goes.
    """
    theirs = select(Output.id).where(Output.analysis_id == analysis_id, Output.withdrawal.is_(False))
    return _give_up(session, OPTED_OUT, Delivery.output_id.in_(theirs), Delivery.peer == peer)


def _give_up(session: Session, reason: Reason, *which: ColumnElement[bool]) -> int:
    """Give up those of these that wait; how many. What is being sent belongs to its sender."""
    done = session.execute(
        update(Delivery)
        .where(Delivery.state.in_((DeliveryState.PENDING, DeliveryState.HELD)), *which)
        .values(
            state=DeliveryState.DEAD,
            next_at=None,
            error_code=reason.code,
            error_text=reason.text,
        )
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    )
    return len(done.scalars().all())


def replan(
    session: Session, analysis_id: int, *, peer: str, variant: str, kinds: Sequence[str], now: datetime
) -> list[int]:
    """Have a peer get the objects of this variant, and no other, of what one result is sent with.

    Of a result that is superseded or withdrawn it gets none: the lock makes that take turns with this.
    """
    # Before any delivery is touched, as by whoever withdraws or reviews.
    state = session.scalar(
        select(Analysis.state)
        .where(Analysis.id == analysis_id, Analysis.withdrawn_at.is_(None))
        .with_for_update(read=True)
    )
    given_up = give_up_others(session, analysis_id, peer=peer, variant=variant)
    sent_with = frozenset() if state is None else SENT.get(AnalysisState(state), frozenset())
    wanted = [kind for kind in kinds if kind in sent_with]
    rows = outputs_of(session, analysis_id, variant)
    made = plan(session, rows, peer=peer, kinds=wanted, now=now)
    if given_up or made:
        detail = {"peer": peer, "variant": variant, "given_up": given_up, "objects": len(made)}
        add_event(session, "delivery_replanned", at=now, analysis_id=analysis_id, detail=detail)
    return made


def plan(
    session: Session,
    outputs: Mapping[str, int] | Sequence[tuple[str, int]],
    *,
    peer: str,
    kinds: Sequence[str],
    now: datetime,
    held: bool = False,
) -> list[int]:
    """Add a delivery to ``peer`` for each object of these kinds that it was not given already, kind by kind.

    The same object may belong to an earlier version; a peer gets it once. One of this very object that was
    given up begins anew. ``outputs`` are row ids by kind, or kind and row id where a kind has several.
    ``held``: they wait until a reviewer accepts the result (``service.db.reviews``).
    """
    made = []
    rows = tuple(outputs.items()) if isinstance(outputs, Mapping) else tuple(outputs)
    objects = [output_id for _, output_id in rows]
    if selftests.keeps_from(session, objects, peer) or backfills.keeps_back(session, objects):
        return []
    for output_id in (output_id for wanted in kinds for kind, output_id in rows if kind == wanted):
        uid = session.execute(select(Output.sop_instance_uid).where(Output.id == output_id)).scalar_one()
        given = session.execute(
            select(Delivery.id)
            .join(Output)
            .where(
                Output.sop_instance_uid == uid,
                Delivery.peer == peer,
                Delivery.state != DeliveryState.DEAD,
            )
            .limit(1)
        ).scalar_one_or_none()
        if given is None:
            made.append(_begin(session, output_id, peer, now=now, held=held))
    return made


def _begin(session: Session, output_id: int, peer: str, *, now: datetime, held: bool) -> int:
    """Have an object wait for a peer: in the row that was given up, else in a new one."""
    state, next_at = (DeliveryState.HELD, None) if held else (DeliveryState.PENDING, now)
    revived = session.scalar(
        update(Delivery)
        .where(Delivery.output_id == output_id, Delivery.peer == peer, Delivery.state == DeliveryState.DEAD)
        # ``attempts`` is the proof of who sends, so it is never set back.
        .values(
            state=state,
            failures=0,
            next_at=next_at,
            dimse_status=None,
            error_code=None,
            error_text=None,
        )
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    )
    if revived is not None:
        return revived
    of_result = select(Output.analysis_id).where(Output.id == output_id, Output.withdrawal.is_(False))
    row = Delivery(output_id=output_id, peer=peer, state=state, next_at=next_at, created_at=now)
    row.analysis_id = session.scalar(of_result)
    session.add(row)
    session.flush()
    return row.id


def _is_current() -> ColumnElement[bool]:
    """Whether a result that is neither superseded nor withdrawn has the object of the statement.

    What tells that a result is withdrawn goes out in any case, whatever came after that result.
    """
    same, owner = aliased(Output), aliased(Analysis)
    in_use = exists(
        select(same.id)
        .join(owner, same.analysis_id == owner.id)
        .where(
            same.sop_instance_uid == Output.sop_instance_uid,
            owner.state != AnalysisState.SUPERSEDED,
            owner.withdrawn_at.is_(None),
        )
        .correlate(Output)
    )
    return or_(Output.withdrawal.is_(True), in_use)


def drop_unsent(session: Session, analysis_ids: Sequence[int], *, now: datetime) -> None:
    """Give up what superseded results still had to send, except objects that a current result has too."""
    if not analysis_ids:
        return
    _drop(session, analysis_ids, SUPERSEDED)
    for analysis_id in analysis_ids:
        add_event(session, "unsent_dropped", at=now, analysis_id=analysis_id)


def drop_withdrawn(session: Session, analysis_id: int) -> None:
    """Give up what a withdrawn result still had to send, under whichever version it waits."""
    _drop(session, [analysis_id], WITHDRAWN)


def _drop(session: Session, analysis_ids: Sequence[int], reason: Reason) -> None:
    """Give up what waits of the objects of these results, and is in no current one."""
    theirs = aliased(Output)
    uids = select(theirs.sop_instance_uid).where(theirs.analysis_id.in_(analysis_ids))
    stale = select(Output.id).where(Output.sop_instance_uid.in_(uids), ~_is_current())
    _give_up(session, reason, Delivery.output_id.in_(stale))


def due(
    session: Session,
    *,
    peers: Sequence[str],
    now: datetime,
    limit: int = 20,
    terms: CircuitTerms = DEFAULT_TERMS,
) -> list[tuple[int, int, str]]:
    """One delivery id for each analysis and peer with something to send now, oldest first.

    Each peer has its own ``limit``, so that a long queue of one leaves room for the others.
    """
    closed_off = circuits.blocked(session, peers, terms=terms, now=now)
    found: dict[tuple[int, str], int] = {}
    for peer in peers:
        if peer in closed_off:
            continue
        rows = session.execute(
            select(Delivery.id, Output.analysis_id, Delivery.peer)
            .join(Output)
            .where(
                Delivery.state == DeliveryState.PENDING,
                Delivery.next_at <= now,
                Delivery.peer == peer,
                _is_current(),
            )
            .order_by(Delivery.next_at, Delivery.id)
            .limit(limit)
        )
        for row in rows:
            found.setdefault((row.analysis_id, row.peer), row.id)
    return [(delivery_id, analysis_id, peer) for (analysis_id, peer), delivery_id in found.items()]


def whereto(session: Session, delivery_id: int) -> tuple[int, str] | None:
    """Analysis and peer of a delivery."""
    row = session.execute(
        select(Output.analysis_id, Delivery.peer).join(Output).where(Delivery.id == delivery_id)
    ).one_or_none()
    return None if row is None else (row.analysis_id, row.peer)


def claim_deliveries(
    session: Session,
    analysis_id: int,
    *,
    peer: str,
    now: datetime,
    terms: CircuitTerms = DEFAULT_TERMS,
    lanes: int = 1,
    getting: Getting | None = None,
) -> list[Parcel]:
    """Take everything of one result that is due for one peer.

    With ``getting``, which every sender gives, nothing of another variant is taken: what waits of that is
    given up, and what the result has of the right variant takes its place; and nothing that is not accepted,
    where the peer is to wait for that, whoever ordered it.

    Empty when another worker has it, when ``lanes`` results are on their way to that peer already, or while
    its circuit is open. What failed least comes first, so that an object that breaks every association does
    not keep the others back.
    """
    admitted = circuits.admit(session, peer, terms=terms, now=now, lanes=lanes)
    if admitted is None:
        return []
    outputs = select(Output.id).where(Output.analysis_id == analysis_id, _is_current())
    if getting is not None and getting.after_review:
        holding.hold(session, analysis_id, peer=peer)
    if getting is not None:
        _keep_to(session, analysis_id, peer, getting, now=now)
        outputs = outputs.where(in_variant(getting.variant))
    taken = session.execute(
        update(Delivery)
        .where(
            Delivery.output_id.in_(outputs),
            Delivery.peer == peer,
            Delivery.state == DeliveryState.PENDING,
            Delivery.next_at <= now,
        )
        .values(
            state=DeliveryState.SENDING,
            attempts=Delivery.attempts + 1,
            heartbeat=Delivery.heartbeat + 1,
        )
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    )
    ids = list(taken.scalars())
    if not ids:
        return []
    circuits.begin(session, peer, admitted)
    rows = session.execute(
        select(
            Delivery.id,
            Delivery.attempts,
            Delivery.failures,
            Output.sop_class_uid,
            Output.sop_instance_uid,
            Output.path,
            Output.withdrawal,
        )
        .join(Output)
        .where(Delivery.id.in_(ids))
        .order_by(Delivery.failures, Output.id)
    )
    return [
        Parcel(
            id=row.id,
            attempt=row.attempts,
            failures=row.failures,
            sop_class_uid=row.sop_class_uid,
            sop_instance_uid=row.sop_instance_uid,
            path=row.path,
            withdrawal=row.withdrawal,
        )
        for row in rows
    ]


def _keep_to(session: Session, analysis_id: int, peer: str, getting: Getting, *, now: datetime) -> None:
    """Change to the right variant where another one waits, as after a change of the settings."""
    others = exists().where(
        Delivery.output_id == Output.id,
        Delivery.peer == peer,
        Delivery.state == DeliveryState.PENDING,
        Output.analysis_id == analysis_id,
        ~in_variant(getting.variant),
    )
    if session.scalar(select(others)):
        replan(session, analysis_id, peer=peer, variant=getting.variant, kinds=getting.kinds, now=now)


def beat_deliveries(session: Session, parcels: Sequence[Parcel]) -> bool:
    """Say that the sender still lives; False when it holds none of these any more."""
    held = [(parcel.id, parcel.attempt) for parcel in parcels]
    done = session.execute(
        update(Delivery)
        .where(
            tuple_(Delivery.id, Delivery.attempts).in_(held),
            Delivery.state == DeliveryState.SENDING,
        )
        .values(heartbeat=Delivery.heartbeat + 1)
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    )
    return bool(done.scalars().all())


def _settle(session: Session, lease: Parcel | Lease, **values: Any) -> bool:
    """Write the outcome of a send, if it is still held."""
    held = [
        Delivery.id == lease.id,
        Delivery.attempts == lease.attempt,
        Delivery.state == DeliveryState.SENDING,
    ]
    if isinstance(lease, Lease):
        held.append(Delivery.heartbeat == lease.heartbeat)
    done = session.execute(update(Delivery).where(*held).values(**values).returning(Delivery.id))
    return done.scalar_one_or_none() is not None


def mark_sent(
    session: Session, parcel: Parcel, *, status: int, now: datetime, confirm_at: datetime | None = None
) -> bool:
    """The peer answered with a status that means stored; it is asked at ``confirm_at`` whether it has it."""
    return _settle(
        session,
        parcel,
        state=DeliveryState.SENT,
        dimse_status=status,
        error_code=None,
        error_text=None,
        next_at=None,
        sent_at=now,
        transaction_uid=None,
        confirm_at=confirm_at,
        confirm_attempts=0,
    )


def mark_retry(
    session: Session,
    lease: Parcel | Lease,
    *,
    status: int | None,
    reason: Reason,
    next_at: datetime,
    limit: int | None = None,
) -> DeliveryState | None:
    """It did not arrive, and is tried again at ``next_at`` unless its result is superseded or withdrawn.

    With a ``limit`` this counts against the object, which is given up when it failed so often. Returns what
    became of it, or None if it is held no longer.
    """
    gone = why_not_current(session, lease.id)
    failures = session.execute(select(Delivery.failures).where(Delivery.id == lease.id)).scalar_one()
    failures += limit is not None
    state = DeliveryState.DEAD if limit is not None and failures >= limit else DeliveryState.PENDING
    if gone is not None:
        state, reason = DeliveryState.DEAD, gone
    held = _settle(
        session,
        lease,
        state=state,
        failures=failures,
        dimse_status=status,
        error_code=reason.code,
        error_text=reason.text,
        next_at=next_at if state is DeliveryState.PENDING else None,
    )
    return state if held else None


def why_not_current(session: Session, delivery_id: int) -> Reason | None:
    """Why no current result has the object of this delivery, None where one has; that stays so meanwhile.

    The lock makes this and a newer result that is being published, or a withdrawal, take turns, so that one
    sees the other.
    """
    uid = select(Output.sop_instance_uid).join(Delivery).where(Delivery.id == delivery_id).scalar_subquery()
    session.execute(
        select(Analysis.id)
        .join(Output)
        .where(Output.sop_instance_uid == uid)
        # Newest first, as a worker does that publishes.
        .order_by(Analysis.id.desc())
        .with_for_update(read=True, of=Analysis)
    ).all()
    current = select(Output.id).join(Delivery).where(Delivery.id == delivery_id, _is_current())
    if session.execute(current).scalar_one_or_none() is not None:
        return None
    withdrawn = (
        select(Analysis.id)
        .join(Output)
        .where(Output.sop_instance_uid == uid, Analysis.withdrawn_at.is_not(None))
        .limit(1)
    )
    return SUPERSEDED if session.execute(withdrawn).scalar_one_or_none() is None else WITHDRAWN


def mark_dead(session: Session, lease: Parcel | Lease, *, status: int | None, reason: Reason) -> bool:
    """It did not arrive and is given up until a person asks for it again."""
    return _settle(
        session,
        lease,
        state=DeliveryState.DEAD,
        dimse_status=status,
        error_code=reason.code,
        error_text=reason.text,
        next_at=None,
    )


def running_deliveries(session: Session) -> list[Lease]:
    """Every delivery that a worker is sending."""
    rows = session.execute(
        select(Delivery.id, Delivery.attempts, Delivery.heartbeat).where(
            Delivery.state == DeliveryState.SENDING
        )
    )
    return [Lease(id=row.id, attempt=row.attempts, heartbeat=row.heartbeat) for row in rows]
