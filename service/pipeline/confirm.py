"""The verb "confirm": a peer is asked whether it really has what it was sent.

Being told "stored" and being known to be there are two things: SENT and CONFIRMED.
"""

import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from service.core.circuit import CircuitState
from service.core.status import DeliveryState
from service.db import circuits, confirmations
from service.db.confirmations import Question
from service.db.session import Sessions
from service.dicom import commitment
from service.dicom.commitment import Reference, Report
from service.errors import PeerUnreachable, Reason
from service.files import within
from service.pipeline import deliver, traces
from service.pipeline.deliver import Destination
from service.wire import dicomweb
from service.wire.dicomweb import WebAddress

log = logging.getLogger(__name__)

NOT_FOUND = Reason("not_found", "The peer was asked and does not have the object.")
NOT_CONFIRMED = Reason("not_confirmed", "The peer said stored, and did not say whether it has the object.")
#: PS3.7 Annex C: no such object instance.
NO_SUCH_OBJECT = 0x0112
#: No storage commitment there: it is looked for by query at once.
NO_COMMITMENT = frozenset({"context_refused"})
#: No connection came about, so nothing would arrive either. Whoever does not let us ask, or does not answer
#: the question, may store as well as ever: that says nothing about deliveries, and counts as asked.
AWAY = frozenset({"peer_unreachable", "certificate_refused", "ca_file_unreadable", "credentials_unreadable"})
#: A query that is under way is not asked a second time meanwhile; far longer than one takes (chosen by us).
HOLD = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How patiently a peer is asked."""

    delivery: deliver.Terms
    #: How long a peer may take to report on a storage commitment.
    patience: timedelta
    #: How often it is asked.
    attempts: int


def run(
    sessions: Sessions,
    analysis_id: int,
    destination: Destination,
    *,
    home: Path,
    terms: Terms,
    clock: Callable[[], datetime],
) -> bool:
    """Ask a peer about everything of one result that it was sent; whether there was something to ask."""
    if destination.confirm == "none":
        return False
    by_commitment = destination.confirm == "commitment"
    # PS3.5 B.2: a UID made from a random UUID.
    transaction = f"2.25.{uuid.uuid4().int}" if by_commitment else None
    now = clock()
    with sessions.begin() as session:
        questions = confirmations.claim(
            session,
            analysis_id,
            peer=destination.name,
            now=now,
            again_at=now + (terms.patience if by_commitment else HOLD),
            transaction_uid=transaction,
        )
    if not questions:
        return False
    asking = _Asking(sessions, analysis_id, destination, home, terms, clock)
    if transaction is None:
        asking.query(questions)
        return True
    # Who was asked often and never reported is looked at with our own eyes.
    late = [question for question in questions if question.asked >= terms.attempts]
    fresh = [question for question in questions if question.asked < terms.attempts]
    if fresh and not asking.commit(fresh, transaction):
        late.extend(fresh)
    if late:
        asking.query(late, last=True)
    return True


def take_report(
    sessions: Sessions, peers: Sequence[str], report: Report, *, terms: deliver.Terms, now: datetime
) -> bool:
    """Take in what a peer, known by these names, reports on a storage commitment.

    False when it was not asked in that transaction, or was answered already: nothing changes then. What it
    does not vouch for is sent again, and nothing else.
    """
    began = traces.now()
    with sessions.begin() as session:
        settled = confirmations.settle(
            session,
            peers,
            report.transaction_uid,
            stored=report.stored,
            failed=report.failed,
            now=now,
            next_at=now + deliver.wait(1, terms),
            limit=terms.attempts,
        )
        if settled is None:
            log.warning("commitment_unknown")
            return False
        ok = not settled.again and not settled.dead
        deliver.note(
            session,
            "delivery_confirmed" if ok else "delivery_not_confirmed",
            settled.analysis_id,
            ok=ok,
            detail={
                "peer": settled.peer,
                "by": "commitment",
                "confirmed": settled.confirmed,
                "retry": settled.again,
                "dead": settled.dead,
            },
            now=now,
        )
    traces.told(
        sessions, settled.analysis_id, "confirmation", began, ok=ok, peer=settled.peer, by="commitment"
    )
    return True


@dataclass(frozen=True)
class _Asking:
    """One result at one peer, while it is asked about."""

    _sessions: Sessions
    _analysis_id: int
    _destination: Destination
    _home: Path
    _terms: Terms
    _clock: Callable[[], datetime]

    def commit(self, questions: Sequence[Question], transaction: str) -> bool:
        """Ask for a storage commitment; False when the peer knows no such thing."""
        address = self._destination.address
        assert not isinstance(address, WebAddress)
        references = [
            Reference(sop_class_uid=item.sop_class_uid, sop_instance_uid=item.sop_instance_uid)
            for item in questions
        ]
        try:
            status = commitment.request(references, transaction, address, on_report=self._on_report)
        except PeerUnreachable as error:
            if error.reason.code in NO_COMMITMENT:
                return False
            if error.reason.code in AWAY:
                self._away(questions, error.reason)
            else:
                self._ask_again(questions)
            return True
        wait = self._terms.patience if status == 0 else self._wait(questions)
        with self._sessions.begin() as session:
            circuits.note_reached(session, self._destination.name, now=self._clock())
            confirmations.note_asked(session, [item.id for item in questions], again_at=self._clock() + wait)
        log.info("commitment_asked", extra={"peer": self._destination.name, "dimse_status": status})
        return True

    def _on_report(self, report: Report) -> bool:
        """The report came on the association that asked."""
        return take_report(
            self._sessions,
            [self._destination.name],
            report,
            terms=self._terms.delivery,
            now=self._clock(),
        )

    def query(self, questions: Sequence[Question], *, last: bool = False) -> None:
        """Look with C-FIND or QIDO-RS which of these the peer has; ``last``: do not look again."""
        try:
            found = self._look(questions)
        except PeerUnreachable as error:
            if self._is_away(error.reason):
                self._away(questions, error.reason)
                return
            self._ask_again([item for item in questions if not self._is_last(item, last=last)])
            self._give_up([item for item in questions if self._is_last(item, last=last)])
            return
        with self._sessions.begin() as session:
            circuits.note_reached(session, self._destination.name, now=self._clock())
        present = [item for item in questions if found.get(item.id) is True]
        absent = [item for item in questions if found.get(item.id) is False]
        self._give_up([item for item in questions if item.id not in found])
        self._ask_again([item for item in absent if not self._is_last(item, last=last)])
        self._settle(present, [item for item in absent if self._is_last(item, last=last)])

    def _look(self, questions: Sequence[Question]) -> dict[int, bool]:
        """Whether the peer has each of these; those are left out whose file cannot be read any more."""
        address = self._destination.address
        paths, places = {}, {}
        for item in questions:
            path = within(self._home, item.path)
            try:
                places[item.id] = commitment.place(path)
                paths[item.id] = path
            except ValueError:
                log.warning("delivery_file_gone", extra={"delivery_id": item.id})
        if isinstance(address, WebAddress):
            return {key: dicomweb.holds(*where, address) for key, where in places.items()}
        found = commitment.find(list(paths.values()), address) if paths else {}
        return {key: found[path] for key, path in paths.items()}

    def _is_away(self, reason: Reason) -> bool:
        """Whether this tells that deliveries would not arrive either; QIDO-RS may be another server."""
        address = self._destination.address
        same = not isinstance(address, WebAddress) or address.one_server
        return same and reason.code in AWAY

    def _is_last(self, item: Question, *, last: bool) -> bool:
        return last or item.asked + 1 >= self._terms.attempts

    def _wait(self, questions: Sequence[Question]) -> timedelta:
        """Time before they are asked about again."""
        return deliver.wait(max(item.asked for item in questions) + 1, self._terms.delivery)

    def _away(self, questions: Sequence[Question], reason: Reason) -> None:
        """The peer is not there: it is asked when it is, and that does not count."""
        now, terms = self._clock(), self._terms.delivery
        log.warning("peer_unreachable", extra={"peer": self._destination.name, "code": reason.code})
        with self._sessions.begin() as session:
            circuit = circuits.note_unreachable(
                session,
                self._destination.name,
                reason=reason,
                terms=terms.circuit,
                now=now,
                spread=deliver.spread(),
            )
            again_at = now + deliver.wait(circuit.failures, terms)
            if circuit.state is CircuitState.OPEN and circuit.open_until is not None:
                again_at = circuit.open_until
            confirmations.note_asked(
                session, [item.id for item in questions], again_at=again_at, counts=False
            )

    def _ask_again(self, questions: Sequence[Question]) -> None:
        if questions:
            with self._sessions.begin() as session:
                again_at = self._clock() + self._wait(questions)
                confirmations.note_asked(session, [item.id for item in questions], again_at=again_at)

    def _give_up(self, questions: Sequence[Question]) -> None:
        """Leave them as sent, and say that nobody vouches for them."""
        if not questions:
            return
        now = self._clock()
        with self._sessions.begin() as session:
            count = confirmations.give_up(session, [item.id for item in questions], reason=NOT_CONFIRMED)
            detail: dict[str, object] = {
                "peer": self._destination.name,
                "code": NOT_CONFIRMED.code,
                "count": count,
            }
            deliver.note(
                session, "delivery_not_confirmed", self._analysis_id, ok=False, detail=detail, now=now
            )

    def _settle(self, present: Sequence[Question], missing: Sequence[Question]) -> None:
        """Write down what the peer has and has not."""
        if not present and not missing:
            return
        now, terms = self._clock(), self._terms.delivery
        with self._sessions.begin() as session:
            confirmed = confirmations.mark_confirmed(session, [item.id for item in present], now=now)
            states = [
                confirmations.mark_missing(
                    session,
                    item.id,
                    reason=NOT_FOUND,
                    status=NO_SUCH_OBJECT,
                    next_at=now + deliver.wait(1, terms),
                    limit=terms.attempts,
                )
                for item in missing
            ]
            deliver.note(
                session,
                "delivery_not_confirmed" if missing else "delivery_confirmed",
                self._analysis_id,
                ok=not missing,
                detail={
                    "peer": self._destination.name,
                    "by": "query",
                    "confirmed": confirmed,
                    "retry": states.count(DeliveryState.PENDING),
                    "dead": states.count(DeliveryState.DEAD),
                },
                now=now,
            )
