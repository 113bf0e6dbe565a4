"""Statements about peers: whether they are sent to, and how many results at a time."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import distinct, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.core.circuit import (
    CLOSED,
    Circuit,
    CircuitState,
    CircuitTerms,
    after_failure,
    claim,
    probe_due,
)
from service.core.status import DeliveryState
from service.db import people
from service.db.ledger import add_event
from service.db.tables import Delivery, Output, PeerCircuit
from service.errors import Reason


@dataclass(frozen=True, kw_only=True)
class CircuitFacts:
    """Whether a peer is sent to, since when, and why not."""

    state: str = str(CircuitState.CLOSED)
    failures: int = 0
    next_probe_at: datetime | None = None
    reason_code: str | None = None
    reason_text: str | None = None
    since: datetime | None = None
    #: What it refused, of which it gets the plainer form.
    refused: tuple[str, ...] = ()


def admit(session: Session, peer: str, *, terms: CircuitTerms, now: datetime, lanes: int) -> Circuit | None:
    """The circuit if one more result may be taken for the peer now; the caller takes it in this transaction.

    The lock on the peer's row makes claims of all processes take turns, so that no more than ``lanes``
    results are on their way to one peer, and one probe.
    """
    row = _locked(session, peer, now=now)
    sending = session.execute(
        select(func.count(distinct(Output.analysis_id)))
        .join(Delivery, Delivery.output_id == Output.id)
        .where(Delivery.peer == peer, Delivery.state == DeliveryState.SENDING)
    ).scalar_one()
    return claim(_circuit(row), terms, now=now, sending=sending, lanes=lanes)


def begin(session: Session, peer: str, admitted: Circuit) -> None:
    """A result was taken: of an open circuit it is the probe."""
    session.get_one(PeerCircuit, peer).state = admitted.state


def note_reached(session: Session, peer: str, *, now: datetime) -> None:
    """The peer was there: everything that waited for it goes at once."""
    row = _locked(session, peer, now=now)
    failures = _close(session, row, now=now)
    if failures is not None:
        detail = {"peer": peer, "failures": failures}
        _tell(session, "peer_circuit_closed", peer=peer, detail=detail, now=now)


def note_unreachable(
    session: Session, peer: str, *, reason: Reason, terms: CircuitTerms, now: datetime, spread: float
) -> Circuit:
    """The peer could not be reached; the circuit after that."""
    row = _locked(session, peer, now=now)
    before, after = _circuit(row), after_failure(_circuit(row), terms, now=now, spread=spread)
    row.state, row.failures, row.open_until = after.state, after.failures, after.open_until
    row.reason_code, row.reason_text = reason.code, reason.text
    if before.state is CircuitState.CLOSED and after.state is CircuitState.OPEN:
        row.changed_at = now
        detail = {"peer": peer, "code": reason.code, "failures": after.failures}
        _tell(session, "peer_circuit_opened", peer=peer, detail=detail, now=now)
    return after


def reset(session: Session, peer: str, *, actor: str, now: datetime, address: str | None = None) -> None:
    """A person says that the peer is to be tried again: everything that waits goes at once.

    What the peer refused once is forgotten: it is offered what the settings say.
    """
    row = _locked(session, peer, now=now)
    failures = _close(session, row, now=now)
    _hurry(session, peer, now=now)
    detail = {"peer": peer, "failures": failures, "forgotten": row.refused.split()}
    row.refused = ""
    _tell(session, "peer_circuit_reset", peer=peer, detail=detail, now=now, actor=actor, address=address)


def probe_now(session: Session, peer: str, *, now: datetime) -> None:
    """Have the next probe of an open circuit go at once."""
    row = _locked(session, peer, now=now)
    if row.state == CircuitState.OPEN:
        row.open_until = now


def note_refused(session: Session, peer: str, parts: Collection[str], *, now: datetime) -> bool:
    """The peer does not take these parts of the variant it was to get; False where that was known.

    It holds for all further results, until a person has the peer tried again (``reset``).
    """
    row = _locked(session, peer, now=now)
    known = row.refused.split()
    new = [part for part in parts if part not in known]
    row.refused = " ".join([*known, *new])
    return bool(new)


def refused(session: Session, peer: str) -> frozenset[str]:
    """What the peer refused, of which it gets the plainer form."""
    found = session.scalar(select(PeerCircuit.refused).where(PeerCircuit.peer == peer))
    return frozenset((found or "").split())


def blocked(session: Session, peers: Sequence[str], *, terms: CircuitTerms, now: datetime) -> set[str]:
    """Those of the peers that nothing is sent to now."""
    rows = session.scalars(
        select(PeerCircuit).where(PeerCircuit.peer.in_(peers), PeerCircuit.state == CircuitState.OPEN)
    )
    return {row.peer for row in rows if not probe_due(_circuit(row), terms, now=now)}


def all_circuits(session: Session) -> dict[str, CircuitFacts]:
    """What is known of each peer that was ever sent to."""
    return {
        row.peer: CircuitFacts(
            state=row.state,
            failures=row.failures,
            next_probe_at=row.open_until,
            reason_code=row.reason_code,
            reason_text=row.reason_text,
            since=row.changed_at,
            refused=tuple(row.refused.split()),
        )
        for row in session.scalars(select(PeerCircuit))
    }


def _circuit(row: PeerCircuit) -> Circuit:
    return Circuit(state=CircuitState(row.state), failures=row.failures, open_until=row.open_until)


def _locked(session: Session, peer: str, *, now: datetime) -> PeerCircuit:
    """The row of the peer, made if need be and held until the end of the transaction."""
    wanted = (
        select(PeerCircuit)
        .where(PeerCircuit.peer == peer)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    row = session.scalar(wanted)
    if row is None:
        dialect: Any = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
        values = {"peer": peer, "state": CLOSED.state, "failures": 0, "changed_at": now}
        session.execute(dialect.insert(PeerCircuit).values(**values).on_conflict_do_nothing())
        row = session.scalars(wanted).one()
    return row


def _close(session: Session, row: PeerCircuit, *, now: datetime) -> int | None:
    """Send freely again; the failures if it was otherwise, else None."""
    failures, was_open = row.failures, row.state != CircuitState.CLOSED
    if was_open:
        row.changed_at = now
    if was_open or failures:
        row.state, row.failures, row.open_until = CircuitState.CLOSED, 0, None
        row.reason_code = row.reason_text = None
        _hurry(session, row.peer, now=now)
    return failures if was_open else None


def _hurry(session: Session, peer: str, *, now: datetime) -> None:
    """Let go at once what waited for the peer; what it refused keeps its own wait."""
    session.execute(
        update(Delivery)
        .where(
            Delivery.peer == peer,
            Delivery.state == DeliveryState.PENDING,
            Delivery.dimse_status.is_(None),
            Delivery.failures == 0,
        )
        .values(next_at=now)
        .execution_options(synchronize_session=False)
    )


def _tell(
    session: Session,
    name: str,
    *,
    peer: str,
    detail: dict[str, Any],
    now: datetime,
    actor: str = "service",
    address: str | None = None,
) -> None:
    """Write down that a circuit changed."""
    add_event(session, name, at=now, detail=detail)
    people.record(
        session,
        at=now,
        actor=actor,
        action=name,
        object_type="peer",
        object_id=peer,
        address=address,
        detail=detail,
    )
