"""What is looked after every second: complete series, expired leases, rows that nobody rang for."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from service.db import deliveries, queries
from service.db.queries import Lease
from service.db.session import Sessions, reading
from service.dicom.spool import Spool
from service.errors import Reason
from service.pipeline.intake import Closing, Holes, close_series

log = logging.getLogger(__name__)

EXPIRED = Reason("lease_expired", "The worker stopped giving signs of life.")


@dataclass(frozen=True, kw_only=True)
class Terms:
    """When things count as complete, lost or hopeless."""

    closing: Closing
    lease_seconds: float
    max_attempts: int
    #: Peers that are configured now; what waits for others waits until they are again.
    peers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Due:
    """What waits for a doorbell."""

    analysis_ids: tuple[int, ...]
    delivery_ids: tuple[int, ...]


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
        clock: Callable[[], datetime],
        steady_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions = sessions
        self._spool = spool
        self._terms = terms
        self._clock = clock
        self._holes = Holes()
        self._analyses = Stillness(seconds=terms.lease_seconds, clock=steady_clock)
        self._deliveries = Stillness(seconds=terms.lease_seconds, clock=steady_clock)

    def sweep(self) -> Due:
        """Close, heal, and say what waits."""
        self._expire_analyses()
        self._expire_deliveries()
        close_series(
            self._sessions,
            self._spool,
            now=self._clock(),
            closing=self._terms.closing,
            holes=self._holes,
        )
        now = self._clock()
        with reading(self._sessions) as session:
            return Due(
                analysis_ids=tuple(queries.ready_analyses(session, now=now)),
                delivery_ids=tuple(
                    row[0] for row in deliveries.due(session, peers=self._terms.peers, now=now)
                ),
            )

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
                log.warning("lease_expired", extra={"analysis_id": lease.id, "state": state.value})

    def _expire_deliveries(self) -> None:
        """Return deliveries of dead workers to the queue."""
        with reading(self._sessions) as session:
            expired = self._deliveries.expired(deliveries.running_deliveries(session))
        for lease in expired:
            with self._sessions.begin() as session:
                deliveries.mark_retry(session, lease, status=None, reason=EXPIRED, next_at=self._clock())
            log.warning("lease_expired", extra={"delivery_id": lease.id})
