"""The doorbells: a few lines each, one id each, and doing them twice does what doing them once does."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from celery import Celery

from service.db import commitments_in, deliveries, queries
from service.db.session import Sessions, reading
from service.dicom.scu import Address
from service.errors import ServiceError
from service.pipeline import (
    audit,
    commit,
    confirm,
    deliver,
    performed,
    replay_orders,
    retention,
    run,
    traces,
)
from service.pipeline.deliver import Destination
from service.pipeline.job import Perform
from service.pipeline.run import Bench
from service.pipeline.sweep import Sweeper
from service.worker.celery_app import (
    ANALYSE,
    COMMIT,
    CONFIRM,
    DELIVER,
    PURGE,
    REPLAY,
    RING_EXPIRES_SECONDS,
    SEAL,
    SWEEP,
)

log = logging.getLogger(__name__)

#: The sweep does not ring for the same row more often than this.
RING_AGAIN_SECONDS = 5.0


@dataclass(kw_only=True)
class Work:
    """What the tasks of one worker process share."""

    sessions: Sessions
    perform: Perform
    bench: Bench
    sweeper: Sweeper
    delivery_terms: deliver.Terms
    confirm_terms: confirm.Terms
    slots: int
    #: How long what is finished is kept.
    keep: retention.Terms = field(default_factory=retention.Terms)
    #: Where senders that ask for storage commitment are told, by name.
    requesters: Mapping[str, Address] = field(default_factory=dict)
    destinations: Mapping[str, Destination] = field(init=False)

    #: Where heads of the audit record are signed; None: its lines are not sealed here.
    auditing: audit.Keeping | None = None
    clock_guard: retention.ClockGuard = field(init=False)

    def __post_init__(self) -> None:
        """Index the destinations, and make one lane for each so that none delays another."""
        self.destinations = {peer.name: peer for peer in self.bench.destinations}
        self.clock_guard = retention.ClockGuard(started=self.bench.clock())
        self.free_slots = threading.BoundedSemaphore(self.slots)
        self.lanes = {
            name: threading.BoundedSemaphore(peer.lanes) for name, peer in self.destinations.items()
        }
        self.asking = {name: threading.Lock() for name in self.destinations}
        self.telling = {name: threading.Lock() for name in self.requesters}
        self.sweeping = threading.Lock()

    @property
    def threads(self) -> int:
        """Threads that the pool needs so that analyses and slow peers never keep the sweep waiting.

        Each peer may keep a thread for each of its lanes, one that asks it, and one that answers it.
        """
        lanes = sum(peer.lanes + 1 for peer in self.destinations.values())
        return self.slots + lanes + len(self.requesters) + 2


class Doorbell:
    """Rings for rows, after their commit; a bell that is lost is rung again by the sweep."""

    def __init__(self, app: Celery, *, steady_clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._clock = steady_clock
        self._rung: dict[tuple[str, int], float] = {}
        self._lock = threading.Lock()

    def ring(self, task: str, row_id: int) -> None:
        """Say that this row waits."""
        with self._lock:
            self._rung[(task, row_id)] = self._clock()
        try:
            self._app.send_task(task, args=[row_id], expires=RING_EXPIRES_SECONDS)
        except Exception:  # The broker is away: the row is safe, and the sweep rings again.
            log.exception("doorbell_not_rung")

    def remind(self, task: str, row_ids: tuple[int, ...]) -> None:
        """Ring for those that were not rung for lately."""
        now = self._clock()
        with self._lock:
            self._rung = {key: at for key, at in self._rung.items() if now - at < RING_AGAIN_SECONDS}
            quiet = [row_id for row_id in row_ids if (task, row_id) not in self._rung]
        for row_id in quiet:
            self.ring(task, row_id)


def sweep(work: Work, bell: Doorbell) -> None:
    """Look after the ledger; a sweep that is still under way is not doubled."""
    if not work.sweeping.acquire(blocking=False):
        return
    try:
        due = work.sweeper.sweep()
    finally:
        work.sweeping.release()
    bell.remind(ANALYSE, due.analysis_ids)
    bell.remind(DELIVER, due.delivery_ids)
    bell.remind(CONFIRM, due.confirm_ids)
    bell.remind(COMMIT, due.commit_ids)
    bell.remind(REPLAY, due.replay_ids)


def analyse(work: Work, bell: Doorbell, analysis_id: int) -> None:
    """Do one analysis if a place is free; what came of it is delivered at once.

    While a file of what is in force is another one than was activated, all of them wait.
    """
    if work.bench.in_force is not None and not work.bench.in_force.usable():
        return
    if not work.free_slots.acquire(blocking=False):
        return
    began = traces.now()
    try:
        published = run.run(work.sessions, analysis_id, work.perform, work.bench)
    finally:
        work.free_slots.release()
    traces.attempted(work.sessions, analysis_id, began, published=published is not None)
    if published is not None:
        _ring_for_peers(work, bell, published.delivery_ids)
    with reading(work.sessions) as session:
        waiting = queries.ready_analyses(session, now=datetime.now(UTC), limit=work.slots)
    for next_id in waiting:
        bell.ring(ANALYSE, next_id)


def replay(work: Work, order_id: int) -> None:
    """Make one ordered replay if a place is free, and what is in force is as it was activated."""
    if work.bench.in_force is not None and not work.bench.in_force.usable():
        return
    if not work.free_slots.acquire(blocking=False):
        return
    try:
        replay_orders.run(work.sessions, order_id, work.perform, work.bench)
    finally:
        work.free_slots.release()


def _ring_for_peers(work: Work, bell: Doorbell, delivery_ids: tuple[int, ...]) -> None:
    """One ring for each peer that gets something."""
    rung = set()
    with reading(work.sessions) as session:
        for delivery_id in delivery_ids:
            where = deliveries.whereto(session, delivery_id)
            if where is not None and where not in rung:
                rung.add(where)
                bell.ring(DELIVER, delivery_id)


def deliver_result(work: Work, bell: Doorbell, delivery_id: int) -> None:
    """Send what is due of one result to one peer, unless this process is sending to that peer already."""
    with reading(work.sessions) as session:
        where = deliveries.whereto(session, delivery_id)
    if where is None:
        return
    analysis_id, peer = where
    destination = work.destinations.get(peer)
    if destination is None:
        return
    if not work.lanes[peer].acquire(blocking=False):
        return
    began = traces.now()
    try:
        report = deliver.run(
            work.sessions,
            analysis_id,
            destination,
            home=work.bench.home,
            terms=work.delivery_terms,
            clock=work.bench.clock,
        )
    finally:
        work.lanes[peer].release()
    if report is None:
        return
    counts = {"sent": report.sent, "retried": report.retried, "dead": report.dead}
    ok = not (report.retried or report.dead)
    traces.told(work.sessions, analysis_id, "delivery", began, ok=ok, peer=peer, **counts)
    if report.sent and destination.confirm != "none":
        bell.ring(CONFIRM, delivery_id)
    with reading(work.sessions) as session:
        due = deliveries.due(
            session, peers=[peer], now=work.bench.clock(), limit=10, terms=work.delivery_terms.circuit
        )
    for next_id, _, _ in due[:1]:
        bell.ring(DELIVER, next_id)


def confirm_result(work: Work, delivery_id: int) -> None:
    """Ask one peer about one result, unless this process is asking that peer already."""
    with reading(work.sessions) as session:
        where = deliveries.whereto(session, delivery_id)
    if where is None:
        return
    analysis_id, peer = where
    destination = work.destinations.get(peer)
    if destination is None or not work.asking[peer].acquire(blocking=False):
        return
    began = traces.now()
    try:
        asked = confirm.run(
            work.sessions,
            analysis_id,
            destination,
            home=work.bench.home,
            terms=work.confirm_terms,
            clock=work.bench.clock,
        )
    finally:
        work.asking[peer].release()
    if asked:
        by = destination.confirm
        name = "confirmation asked" if by == "commitment" else "confirmation"
        traces.told(work.sessions, analysis_id, name, began, peer=peer, by=by)


def answer_sender(work: Work, bell: Doorbell, request_id: int) -> None:
    """Tell one sender what we hold of what it sent, unless this process is telling it already."""
    with reading(work.sessions) as session:
        peer = commitments_in.peer_of(session, request_id)
    address = None if peer is None else work.requesters.get(peer)
    if peer is None or address is None or not work.telling[peer].acquire(blocking=False):
        return
    try:
        commit.run(
            work.sessions,
            peer,
            address,
            work.bench.spool,
            terms=commit.Terms(delivery=work.delivery_terms),
            clock=work.bench.clock,
        )
    finally:
        work.telling[peer].release()
    with reading(work.sessions) as session:
        for next_id in commitments_in.due(session, peers=[peer], now=work.bench.clock()):
            bell.ring(COMMIT, next_id)


def purge(work: Work) -> None:
    """Let go what is older than it is kept, if the clock can be trusted."""
    now = work.bench.clock()
    if work.clock_guard.trusts(work.sessions, now=now):
        retention.purge(work.sessions, work.bench.home, work.keep, now=now)
        commit.forget(work.sessions, now=now)
        performed.forget(work.sessions, now=now)


def _register_replays(app: Celery, work: Work) -> None:
    @app.task(name=REPLAY, ignore_result=True)
    def replay_now(order_id: int) -> None:
        replay(work, order_id)


def register(app: Celery, work: Work) -> Doorbell:
    """Give the application its tasks."""
    bell = Doorbell(app)
    _register_replays(app, work)

    @app.task(name=SWEEP, ignore_result=True)
    def sweep_now() -> None:
        sweep(work, bell)

    @app.task(name=PURGE, ignore_result=True)
    def purge_now() -> None:
        purge(work)

    @app.task(name=SEAL, ignore_result=True)
    def seal_now() -> None:
        if work.auditing is not None:
            try:
                audit.seal(work.sessions, work.auditing, now=work.bench.clock())
            except (ServiceError, OSError):  # Lines stay unsealed, which the metrics tell.
                log.exception("audit_not_sealed")

    @app.task(name=ANALYSE, ignore_result=True)
    def analyse_now(analysis_id: int) -> None:
        analyse(work, bell, analysis_id)

    @app.task(name=DELIVER, ignore_result=True)
    def deliver_now(delivery_id: int) -> None:
        deliver_result(work, bell, delivery_id)

    @app.task(name=CONFIRM, ignore_result=True)
    def confirm_now(delivery_id: int) -> None:
        confirm_result(work, delivery_id)

    @app.task(name=COMMIT, ignore_result=True)
    def commit_now(request_id: int) -> None:
        answer_sender(work, bell, request_id)

    return bell
