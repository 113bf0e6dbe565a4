"""The verb "deliver": stored objects go to one peer, and what it answered is kept for each of them."""

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from service.core.answers import Answer
from service.core.circuit import DEFAULT_TERMS, CircuitState, CircuitTerms
from service.core.status import DeliveryState, OutputKind
from service.core.variant import REFUSABLE, Variant
from service.db import circuits, deliveries, ledger, optouts, people
from service.db.deliveries import Parcel
from service.db.session import Session, Sessions
from service.dicom import scu
from service.dicom.scu import Address
from service.errors import DeliveryError, PeerUnreachable, Reason, StoreRefused
from service.files import within
from service.pipeline.heartbeat import Heartbeat
from service.pipeline.plainer import fall_back, refusable_of, takes_no_class, variant_for
from service.wire import dicomweb
from service.wire.dicomweb import WebAddress

log = logging.getLogger(__name__)

_RANDOM = secrets.SystemRandom()

USUAL = Variant()
Confirm = Literal["none", "commitment", "query"]

#: What to say where a peer gave no status.
TEXTS = {
    "context_refused": "The peer does not take this class of object in a syntax we can write.",
    "unreadable": "The stored file is missing or damaged.",
    "http_refused": "The peer refused the request.",
    "http_unclear": "The peer did not say what became of the object.",
    "not_tried": "The association ended before its turn.",
}


@dataclass(frozen=True, kw_only=True)
class Destination:
    """One peer that gets results."""

    name: str
    address: Address | WebAddress
    outputs: tuple[OutputKind, ...]
    #: How the objects for it are made.
    variant: Variant = USUAL
    #: How the peer is asked afterwards whether it has what it was sent.
    confirm: Confirm = "none"
    #: Results on their way to it at a time.
    lanes: int = 1
    #: It gets nothing of a result before a reviewer accepted it.
    after_review: bool = False


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How often and how patiently a delivery is tried."""

    attempts: int
    backoff: timedelta
    backoff_max: timedelta
    beat_seconds: float
    circuit: CircuitTerms = field(default=DEFAULT_TERMS)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What became of the objects of one result at one peer."""

    sent: int
    retried: int
    dead: int


@dataclass(frozen=True, kw_only=True)
class _Sending:
    """The answers of one association or request."""

    answers: Sequence[Answer]
    #: The peer took at least one object, or said why it does not.
    reached: bool = False
    #: Why the peer could not be reached.
    away: Reason | None = None
    #: A fault of ours, which says nothing about the peer.
    fault: Reason | None = None


def run(
    sessions: Sessions,
    analysis_id: int,
    destination: Destination,
    *,
    home: Path,
    terms: Terms,
    clock: Callable[[], datetime],
) -> Report | None:
    """Send everything of one result that is due for one peer; None when there is nothing to take.

    Bytes are sent as they were stored. An object may arrive twice, always under one identifier.
    """
    with sessions.begin() as session:
        if optouts.lists_analysis(session, home, analysis_id):
            deliveries.give_up_opted_out(session, analysis_id, peer=destination.name)
        variant = variant_for(session, destination.name, destination.variant, analysis_id)
        refusable = refusable_of(session, variant, analysis_id)
        parcels = deliveries.claim_deliveries(
            session,
            analysis_id,
            peer=destination.name,
            now=clock(),
            terms=terms.circuit,
            lanes=destination.lanes,
            getting=deliveries.Getting(
                variant=variant.name, kinds=destination.outputs, after_review=destination.after_review
            ),
        )
        if parcels:
            people.record(
                session,
                at=clock(),
                actor="service",
                action="delivery_begun",
                object_type="analysis",
                object_id=analysis_id,
                detail={"peer": destination.name, "objects": len(parcels)},
            )
    if not parcels:
        return None
    with Heartbeat(lambda: _beat(sessions, parcels), every_seconds=terms.beat_seconds):
        sending = _send(parcels, destination, home, needed=[REFUSABLE[part] for part in refusable])
    now = clock()
    report = _record(
        sessions, analysis_id, destination, parcels, sending, refusable=refusable, terms=terms, now=now
    )
    log.info(
        "delivery_done",
        extra={"analysis_id": analysis_id, "peer": destination.name, "count": report.sent},
    )
    return report


def _beat(sessions: Sessions, parcels: Sequence[Parcel]) -> bool:
    with sessions.begin() as session:
        return deliveries.beat_deliveries(session, parcels)


def _send(
    parcels: Sequence[Parcel], destination: Destination, home: Path, *, needed: Sequence[str]
) -> _Sending:
    """One answer for each parcel, whatever happens; nothing is sent where a ``needed`` class is refused."""
    not_tried = Answer(status=None, code="not_tried")
    try:
        paths = [within(home, parcel.path) for parcel in parcels]
        if isinstance(destination.address, WebAddress):
            uids = [parcel.sop_instance_uid for parcel in parcels]
            by_uid = dicomweb.store(list(zip(uids, paths, strict=True)), destination.address)
            answers = [by_uid.get(uid, not_tried) for uid in uids]
        else:
            # What tells of a withdrawal is no set that stands or falls together.
            needed = [] if any(each.withdrawal for each in parcels) else needed
            found = scu.store(paths, destination.address, needed=needed)
            outcomes = {outcome.path: outcome for outcome in found}
            answers = [outcomes.get(path, not_tried) for path in paths]
    except DeliveryError as error:
        log.warning("peer_unreachable", extra={"peer": destination.name, "code": error.reason.code})
        return _Sending(answers=[not_tried] * len(parcels), away=error.reason)
    except Exception as error:  # Whatever happened, the rows say so and are tried again.
        log.exception("delivery_fault", extra={"peer": destination.name})
        reason = Reason("internal_fault", f"{type(error).__name__} while sending.")
        return _Sending(answers=[Answer(status=None, code=reason.code)] * len(parcels), fault=reason)
    if any(answer.reached for answer in answers):
        return _Sending(answers=answers, reached=True)
    if not any(answer.code == "no_answer" for answer in answers):
        return _Sending(answers=answers)
    return _Sending(answers=answers, away=Reason("no_answer", "The peer took the connection, no object."))


def _record(
    sessions: Sessions,
    analysis_id: int,
    destination: Destination,
    parcels: Sequence[Parcel],
    sending: _Sending,
    *,
    refusable: Sequence[str],
    terms: Terms,
    now: datetime,
) -> Report:
    """Write down the outcome of each object, and whether the peer was there.

    ``refusable``: what there is something plainer for where the peer refused it.
    """
    sent, codes = 0, set()
    refused: set[str] = set()
    states: list[DeliveryState | None] = []
    with sessions.begin() as session:
        away_until = _note_peer(session, destination, sending, terms=terms, now=now)
        for parcel, answer in zip(parcels, sending.answers, strict=True):
            if answer.stored and answer.status is not None:
                confirm_at = now if destination.confirm != "none" else None
                sent += deliveries.mark_sent(
                    session, parcel, status=answer.status, now=now, confirm_at=confirm_at
                )
                continue
            reason = _reason(answer, sending)
            codes.add(reason.code if answer.status is None else f"0x{answer.status:04X}")
            if takes_no_class(answer, reason.code) and not parcel.withdrawal:
                refused.add(parcel.sop_class_uid)
            states.append(
                _unsent(session, parcel, answer, reason, away_until=away_until, terms=terms, now=now)
            )
        parts = [part for part in refusable if REFUSABLE[part] in refused]
        if parts:
            told = fall_back(
                session,
                analysis_id,
                peer=destination.name,
                wanted=destination.variant,
                parts=parts,
                kinds=destination.outputs,
                now=now,
            )
            if told is not None:
                note(session, "variant_refused", analysis_id, ok=False, detail=told, now=now)
        report = Report(
            sent=sent,
            retried=states.count(DeliveryState.PENDING),
            dead=states.count(DeliveryState.DEAD),
        )
        note(
            session,
            "delivery_failed" if codes else "delivery_sent",
            analysis_id,
            ok=not codes,
            detail={
                "peer": destination.name,
                "sent": report.sent,
                "retry": report.retried,
                "dead": report.dead,
                "codes": sorted(codes),
            },
            now=now,
        )
    return report


def _note_peer(
    session: Session, destination: Destination, sending: _Sending, *, terms: Terms, now: datetime
) -> datetime | None:
    """Tell the peer's circuit how it went; when a peer that is away may be tried again."""
    if sending.reached:
        circuits.note_reached(session, destination.name, now=now)
    if sending.away is None:
        return None
    circuit = circuits.note_unreachable(
        session, destination.name, reason=sending.away, terms=terms.circuit, now=now, spread=spread()
    )
    if circuit.state is CircuitState.OPEN:
        return circuit.open_until
    return now + wait(circuit.failures, terms)


def _unsent(
    session: Session,
    parcel: Parcel,
    answer: Answer,
    reason: Reason,
    *,
    away_until: datetime | None,
    terms: Terms,
    now: datetime,
) -> DeliveryState | None:
    """What becomes of an object that did not arrive."""
    if answer.final:
        dead = deliveries.mark_dead(session, parcel, status=answer.status, reason=reason)
        return DeliveryState.DEAD if dead else None
    if answer.tried:
        return deliveries.mark_retry(
            session,
            parcel,
            status=answer.status,
            reason=reason,
            next_at=max(now + wait(parcel.failures + 1, terms), away_until or now),
            limit=terms.attempts,
        )
    # Its turn did not come, which says nothing about it: it goes again as soon as the peer is there.
    return deliveries.mark_retry(session, parcel, status=None, reason=reason, next_at=away_until or now)


def _reason(answer: Answer, sending: _Sending) -> Reason:
    """Why an object did not arrive."""
    if answer.status is not None:
        return Reason(StoreRefused.code, f"The peer answered 0x{answer.status:04X}.")
    known = sending.fault or (None if answer.tried else sending.away)
    if known is not None:
        return known
    code = answer.code or PeerUnreachable.code
    return Reason(code, TEXTS.get(code, "The peer did not answer."))


def note(
    session: Session,
    name: str,
    analysis_id: int | None,
    *,
    ok: bool,
    detail: dict[str, object],
    now: datetime,
) -> None:
    """Write an event and a line of the audit record."""
    ledger.add_event(session, name, at=now, analysis_id=analysis_id, detail=detail)
    people.record(
        session,
        at=now,
        actor="service",
        action=name,
        outcome="ok" if ok else "refused",
        object_type="analysis",
        object_id=analysis_id,
        detail=detail,
    )


def wait(attempt: int, terms: Terms) -> timedelta:
    """Time before the next try: doubling, with a bound, and spread so that peers are not hit in step."""
    doubled = terms.backoff * float(2 ** min(attempt - 1, 30))
    return min(doubled, terms.backoff_max) * spread()


def spread() -> float:
    """A share of a wait, so that what failed together does not try again together."""
    return _RANDOM.uniform(0.5, 1.0)
