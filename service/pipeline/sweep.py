"""What is looked after every second: complete series, expired leases, rows that nobody rang for."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from service.core.circuit import DEFAULT_TERMS, CircuitTerms
from service.db import clock, commitments_in, confirmations, deliveries, ledger, queries, replays
from service.db.leases import Lease
from service.db.session import Sessions, reading
from service.dicom.spool import Spool
from service.errors import Reason
from service.pipeline import conflicts, edited_order, retention, withdraw
from service.pipeline.choose import Choosing, decide_waiting
from service.pipeline.close import Closing, Holes, close_series
from service.pipeline.counting import Asked, Counting

log = logging.getLogger(__name__)

T = TypeVar("T")

EXPIRED = Reason("lease_expired", "The worker stopped giving signs of life.")
#: How the ledger counts that.
LEASES_EXPIRED = "leases_expired"


@dataclass(frozen=True, kw_only=True)
class Terms:
    """When things count as complete, lost or hopeless."""

    closing: Closing
    #: The rules in force, None while they cannot be used; absent: those of ``closing``.
    choosing_now: Callable[[], Choosing | None] | None = None
    lease_seconds: float
    max_attempts: int
    #: How often one object is sent before it is given up.
    delivery_attempts: int
    #: Peers that are configured now; what waits for others waits until they are again.
    peers: tuple[str, ...]
    #: Those of them that are asked afterwards whether they have what they were sent.
    confirming: tuple[str, ...] = ()
    #: The variant of the results that each peer is meant to get.
    variants: Mapping[str, str] = field(default_factory=dict)
    circuit: CircuitTerms = DEFAULT_TERMS
    #: Peers that are asked how many images a series has, by the AE title under which they send.
    counting: Mapping[str, Asked] = field(default_factory=dict)
    #: Senders that ask for storage commitment, and have a port to be told at.
    asking: tuple[str, ...] = ()
    #: A row that waits longer than this waits for a time of a clock that was set back.
    waits: clock.Waits = clock.ANY_WAIT


@dataclass(frozen=True, kw_only=True)
class Due:
    """What waits for a doorbell."""

    analysis_ids: tuple[int, ...]
    delivery_ids: tuple[int, ...]
    #: One of each result that a peer is to be asked about.
    confirm_ids: tuple[int, ...] = ()
    #: The oldest question of each sender that waits for our word on a storage commitment.
    commit_ids: tuple[int, ...] = ()
    #: Replays that people ordered.
    replay_ids: tuple[int, ...] = ()


class Stillness:
    """Which leases have not moved for how long, on this process's own steady clock.

    Wall clocks of other machines play no part: a lease is expired when its heartbeat was seen to
    stand still for the whole time.
    """

    def __init__(self, *, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._seen: dict[int, tuple[Lease, float]] = {}

    def expired(self, leases: Iterable[Lease]) -> list[Lease]:
        """The leases among these that stood still for too long."""
        now = self._clock()
        seen = {}
        for lease in leases:
            before = self._seen.get(lease.id)
            seen[lease.id] = before if before is not None and before[0] == lease else (lease, now)
        self._seen = seen
        return [lease for lease, since in seen.values() if now - since >= self._seconds]


class Sweeper:
    """One process's eye on the ledger; several may sweep at once without harm."""

    def __init__(
        self,
        sessions: Sessions,
        spool: Spool,
        terms: Terms,
        *,
        home: Path,
        clock: Callable[[], datetime],
        steady_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions = sessions
        self._spool = spool
        self._terms = terms
        self._home = home
        self._clock = clock
        self._holes = Holes()
        self._counting = Counting(sessions, terms.counting, steady_clock)
        self._analyses = Stillness(seconds=terms.lease_seconds, clock=steady_clock)
        self._deliveries = Stillness(seconds=terms.lease_seconds, clock=steady_clock)

    def sweep(self) -> Due:
        """Close, heal, and say what waits; a step that fails is tried again next time and stops no other."""
        self._step("heal_times", self._heal_times, None)
        self._step("expire_analyses", self._expire_analyses, None)
        self._step("expire_deliveries", self._expire_deliveries, None)
        self._step("forget_confirmations", self._forget_confirmations, None)
        self._step("look_after_conflicts", self._look_after_conflicts, None)
        self._step("count_images", self._count_images, None)
        self._step("close_series", self._close_series, None)
        self._step("choose", self._choose, None)
        self._step("order_edits", self._order_edits, None)
        self._step("tell_withdrawals", self._tell_withdrawals, None)
        return Due(
            analysis_ids=self._step("due_analyses", self._due_analyses, ()),
            delivery_ids=self._step("due_deliveries", self._due_deliveries, ()),
            confirm_ids=self._step("due_confirmations", self._due_confirmations, ()),
            commit_ids=self._step("due_commitments", self._due_commitments, ()),
            replay_ids=self._step("due_replays", self._due_replays, ()),
        )

    def _step(self, kind: str, step: Callable[[], T], otherwise: T) -> T:
        """What a step returned, or ``otherwise`` if it failed."""
        try:
            return step()
        except Exception:  # One step's trouble is told, and the others are still done.
            log.exception("sweep_step_failed", extra={"kind": kind})
            return otherwise

    def _heal_times(self) -> None:
        """Let nothing wait for a time that was written before the wall clock was set back."""
        now = self._clock()
        with reading(self._sessions) as session:
            if not clock.is_ahead(session, self._terms.waits, now=now):
                return
        with self._sessions.begin() as session:
            count = clock.pull_in(session, self._terms.waits, now=now)
        log.warning("times_ahead_of_clock", extra={"count": count})

    def _forget_confirmations(self) -> None:
        """Wait for no word of a peer that is asked no more, as one that was taken out of the settings."""
        with reading(self._sessions) as session:
            unasked = confirmations.unasked(session, self._terms.confirming)
        for peer in sorted(unasked):
            with self._sessions.begin() as session:
                detail = {"peer": peer, "count": confirmations.forget(session, [peer])}
                ledger.add_event(session, "confirmations_forgotten", at=self._clock(), detail=detail)
            log.warning("confirmations_forgotten", extra={"peer": peer})

    def _close_series(self) -> None:
        """Close what is complete; while the rules cannot be used it waits."""
        terms = self._terms
        closing = terms.closing
        if terms.choosing_now is not None:
            choosing = terms.choosing_now()
            if choosing is None:
                return
            closing = replace(closing, choosing=choosing)
        close_series(self._sessions, self._spool, now=self._clock(), closing=closing, holes=self._holes)

    def _count_images(self) -> None:
        """Have senders asked how many images their series have."""
        self._counting.look_after(now=self._clock())

    def _look_after_conflicts(self) -> None:
        """Find out what came under identifiers that are taken."""
        lock = self._home / retention.LOCK
        conflicts.look_after(self._sessions, self._spool, lock=lock, now=self._clock())

    def _order_edits(self) -> None:
        """Have edited segmentations measured that came back."""
        edited_order.look_after(self._sessions, self._spool, self._home, now=self._clock())

    def _choose(self) -> None:
        """Let the rules decide what of it is measured."""
        terms = self._terms
        choosing = terms.closing.choosing if terms.choosing_now is None else terms.choosing_now()
        if choosing is not None:
            decide_waiting(self._sessions, choosing, self._home, now=self._clock())

    def _tell_withdrawals(self) -> None:
        """Make what tells the peers that a result is withdrawn."""
        withdraw.tell_peers(self._sessions, self._home, preferred=self._terms.variants, clock=self._clock)

    def _due_analyses(self) -> tuple[int, ...]:
        """Analyses that may start."""
        with reading(self._sessions) as session:
            return tuple(queries.ready_analyses(session, now=self._clock()))

    def _due_replays(self) -> tuple[int, ...]:
        """Ordered replays that nobody works on."""
        with reading(self._sessions) as session:
            return tuple(replays.due(session, now=self._clock()))

    def _due_deliveries(self) -> tuple[int, ...]:
        """One delivery for each result and peer with something to send."""
        with reading(self._sessions) as session:
            due = deliveries.due(
                session, peers=self._terms.peers, now=self._clock(), terms=self._terms.circuit
            )
            return tuple(delivery_id for delivery_id, _, _ in due)

    def _due_confirmations(self) -> tuple[int, ...]:
        """One delivery for each result that a peer is to be asked about."""
        terms = self._terms
        with reading(self._sessions) as session:
            now = self._clock()
            return tuple(confirmations.due(session, peers=terms.confirming, now=now, terms=terms.circuit))

    def _due_commitments(self) -> tuple[int, ...]:
        """One question of each sender that is to be answered."""
        if not self._terms.asking:
            return ()
        with reading(self._sessions) as session:
            return tuple(commitments_in.due(session, peers=self._terms.asking, now=self._clock()))

    def _expire_analyses(self) -> None:
        """Return analyses of dead workers to READY, or to FAILED after the last attempt."""
        with reading(self._sessions) as session:
            expired = self._analyses.expired(queries.running_analyses(session))
        for lease in expired:
            now = self._clock()
            with self._sessions.begin() as session:
                state = queries.give_back(
                    session,
                    lease,
                    reason=EXPIRED,
                    max_attempts=self._terms.max_attempts,
                    not_before=now,
                    now=now,
                )
                if state is not None:
                    ledger.count(session, LEASES_EXPIRED)
            if state is not None:
                log.warning("lease_expired", extra={"analysis_id": lease.id, "state": state.value})

    def _expire_deliveries(self) -> None:
        """Return deliveries of dead workers to the queue, or give them up after the last attempt."""
        with reading(self._sessions) as session:
            expired = self._deliveries.expired(deliveries.running_deliveries(session))
        for lease in expired:
            with self._sessions.begin() as session:
                state = deliveries.mark_retry(
                    session,
                    lease,
                    status=None,
                    reason=EXPIRED,
                    next_at=self._clock(),
                    limit=self._terms.delivery_attempts,
                )
                if state is not None:
                    ledger.count(session, LEASES_EXPIRED)
            if state is not None:
                log.warning("lease_expired", extra={"delivery_id": lease.id, "state": state.value})
