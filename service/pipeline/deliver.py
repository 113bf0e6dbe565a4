"""The verb "deliver": stored objects go to one peer, and what it answered is kept for each of them."""

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from service.core.status import DeliveryState, OutputKind
from service.db import deliveries, ledger, people
from service.db.deliveries import Parcel
from service.db.session import Sessions
from service.dicom import scu
from service.dicom.scu import Address, StoreOutcome
from service.errors import DeliveryError, PeerUnreachable, Reason, StoreRefused
from service.files import within
from service.pipeline.heartbeat import Heartbeat

log = logging.getLogger(__name__)

_RANDOM = secrets.SystemRandom()


@dataclass(frozen=True, kw_only=True)
class Destination:
    """One peer that gets results."""

    name: str
    address: Address
    outputs: tuple[OutputKind, ...]
    #: Whether flag texts may reach this peer.
    flags: bool = False


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How often and how patiently a delivery is tried."""

    attempts: int
    backoff: timedelta
    backoff_max: timedelta
    beat_seconds: float


@dataclass(frozen=True, kw_only=True)
class Report:
    """What became of the objects of one result at one peer."""

    sent: int
    retried: int
    dead: int


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """What the peer answered for one object, or why it did not."""

    status: int | None
    stored: bool
    final: bool
    reason: Reason


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
        parcels = deliveries.claim_deliveries(session, analysis_id, peer=destination.name, now=clock())
    if not parcels:
        return None
    with Heartbeat(lambda: _beat(sessions, parcels), every_seconds=terms.beat_seconds):
        answers = _send(parcels, destination, home)
    report = _record(sessions, analysis_id, destination, parcels, answers, terms=terms, now=clock())
    log.info(
        "delivery_done",
        extra={"analysis_id": analysis_id, "peer": destination.name, "count": report.sent},
    )
    return report


def _beat(sessions: Sessions, parcels: Sequence[Parcel]) -> bool:
    with sessions.begin() as session:
        return deliveries.beat_deliveries(session, parcels)


def _send(parcels: Sequence[Parcel], destination: Destination, home: Path) -> list[_Answer]:
    """One answer for each parcel, whatever happens on the way."""
    try:
        paths = [within(home, parcel.path) for parcel in parcels]
        outcomes = {outcome.path: outcome for outcome in scu.store(paths, destination.address)}
        return [_answer(outcomes.get(path)) for path in paths]
    except DeliveryError as error:
        log.warning("peer_unreachable", extra={"peer": destination.name, "code": error.reason.code})
        reason = error.reason
    except Exception as error:  # Whatever happened, the rows say so and are tried again.
        log.exception("delivery_fault", extra={"peer": destination.name})
        reason = Reason("internal_fault", f"{type(error).__name__} while sending.")
    return [_Answer(status=None, stored=False, final=False, reason=reason)] * len(parcels)


def _answer(outcome: StoreOutcome | None) -> _Answer:
    """What an outcome means for the row."""
    if outcome is None:
        return _Answer(
            status=None, stored=False, final=False, reason=Reason(PeerUnreachable.code, "Nothing was sent.")
        )
    if outcome.status is None:
        texts = {
            "context_refused": "The peer does not take this class of object in a syntax we can write.",
            "unreadable": "The stored file is missing or damaged.",
        }
        code = outcome.code or "no_answer"
        reason = Reason(code, texts.get(code, "The peer did not answer."))
    else:
        reason = Reason(StoreRefused.code, f"The peer answered 0x{outcome.status:04X}.")
    return _Answer(status=outcome.status, stored=outcome.stored, final=outcome.final, reason=reason)


def _record(
    sessions: Sessions,
    analysis_id: int,
    destination: Destination,
    parcels: Sequence[Parcel],
    answers: Sequence[_Answer],
    *,
    terms: Terms,
    now: datetime,
) -> Report:
    """Write down the outcome of each object."""
    sent = retried = dead = 0
    codes: set[str] = set()
    with sessions.begin() as session:
        for parcel, answer in zip(parcels, answers, strict=True):
            status = answer.status
            if answer.stored and status is not None:
                sent += deliveries.mark_sent(session, parcel, status=status, now=now)
                continue
            codes.add(answer.reason.code if status is None else f"0x{status:04X}")
            if answer.final or parcel.attempt >= terms.attempts:
                dead += deliveries.mark_dead(session, parcel, status=status, reason=answer.reason)
            else:
                next_at = now + wait(parcel.attempt, terms)
                state = deliveries.mark_retry(
                    session, parcel, status=status, reason=answer.reason, next_at=next_at
                )
                retried += state is DeliveryState.PENDING
                dead += state is DeliveryState.DEAD
        detail = {
            "peer": destination.name,
            "sent": sent,
            "retry": retried,
            "dead": dead,
            "codes": sorted(codes),
        }
        name = "delivery_sent" if not codes else "delivery_failed"
        ledger.add_event(session, name, at=now, analysis_id=analysis_id, detail=detail)
        people.record(
            session,
            at=now,
            actor="service",
            action=name,
            outcome="ok" if not codes else "refused",
            object_type="analysis",
            object_id=analysis_id,
            detail=detail,
        )
    return Report(sent=sent, retried=retried, dead=dead)


def wait(attempt: int, terms: Terms) -> timedelta:
    """Time before the next try: doubling, with a bound, and spread so that peers are not hit in step."""
    doubled = terms.backoff * float(2 ** min(attempt - 1, 30))
    return min(doubled, terms.backoff_max) * _RANDOM.uniform(0.5, 1.0)
