"""Readiness, status and metrics: what monitoring asks. No patient data."""

import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import Message

from service import __version__
from service.core import drift
from service.core.circuit import CircuitState
from service.core.language import Language
from service.core.status import AnalysisState, DeliveryState
from service.core.trouble import Limits, find_troubles
from service.core.trouble_words import tell
from service.core.variant import Variant
from service.db import commitments_in, durations
from service.db import overview as ledger
from service.db.circuits import CircuitFacts
from service.db.session import reading
from service.errors import ServiceError
from service.pipeline import vitals
from service.settings import Peer, Settings
from service.web import monitor_shapes, peering_shapes, schemas, word_tables, words
from service.web.activating_site import require_as_activated, settings_in_force
from service.web.context import Web

#: Rejected callers shown; a scanner on the network can make many.
REJECTED_SHOWN = 20


def readiness(web: Web) -> schemas.Readiness:
    """Look at the database, the spool, the broker, the network, and whether it is as it was activated."""
    neighbours, database = web.neighbours, _database(web)
    settings = settings_in_force(web) if database.ok else web.settings
    checks = [
        database,
        _check("spool", lambda: neighbours.check_spool(settings)),
        _check("broker", lambda: neighbours.check_broker(settings.resolved_broker_url)),
        _check("model", lambda: neighbours.read_model(settings)),
    ]
    if database.ok:
        checks.append(_check("activation", lambda: require_as_activated(web)))
    return schemas.Readiness(ready=all(check.ok for check in checks), checks=checks)


def _database(web: Web) -> schemas.Check:
    """Whether the database answers and holds our tables."""
    try:
        with reading(web.sessions) as session:
            ledger.ping(session)
    except ledger.DatabaseTrouble:
        return schemas.Check(
            name="database", ok=False, code="database_unreachable", reason="The database does not answer."
        )
    return schemas.Check(name="database", ok=True)


def _check(name: str, look: Callable[[], object]) -> schemas.Check:
    """The result of one look."""
    try:
        look()
    except ServiceError as error:
        return schemas.Check.model_validate(
            {"name": name, "ok": False, "code": error.reason.code, "reason": error.reason.text}
        )
    return schemas.Check.model_validate({"name": name, "ok": True})


def status(web: Web, language: Language = "en") -> monitor_shapes.Status:
    """The state of the service on one page, with its troubles told in one language."""
    now = web.clock()
    with reading(web.sessions) as session:
        facts = ledger.overview(session, now)
        rejected = ledger.list_rejected(session, limit=REJECTED_SHOWN)
        signs = vitals.signs(session, now=now)
        commitments = commitments_in.by_state(session)
    ready, settings = readiness(web), settings_in_force(web)
    known = vitals.judged_by(facts, signs, site_of(web.settings, broken(ready)), now=now)
    failure = monitor_shapes.Failure(at=facts.last_failure_at, code=facts.last_failure_code)
    return monitor_shapes.Status(
        version=__version__,
        at=now,
        ready=ready.ready,
        checks=ready.checks,
        doors=[monitor_shapes.DoorShape.model_validate(door) for door in facts.doors],
        queue_depth=facts.queue_depth,
        oldest_waiting_at=facts.oldest_waiting_at,
        oldest_waiting_seconds=_age(now, facts.oldest_waiting_at),
        oldest_delivery_seconds=_age(now, facts.oldest_delivery_at),
        last_received_at=facts.last_received_at,
        last_success_at=facts.last_success_at,
        last_failure=failure if facts.analyses.get("failed") else None,
        disk=disk(web, refusing=_refuses(facts)),
        peers=peers(web, facts.peers, facts.circuits),
        model=model(web),
        norms=list(settings.norms),
        policy=settings.policy,
        counts=facts.analyses,
        series=facts.series,
        funnel=schemas.FunnelShape.model_validate(facts.funnel),
        losses=[schemas.LossShape.told(loss, language) for loss in facts.funnel.losses],
        commitments=commitments,
        counters=facts.counters,
        rejected_callers=[_rejected(caller) for caller in rejected],
        troubles=[
            monitor_shapes.TroubleShape(
                code=found.code, severity=found.severity, about=found.about, **vars(tell(found, language))
            )
            for found in find_troubles(known, Limits(running_seconds=running_limit(web.settings)))
        ],
        vitals=asdict(known),
    )


def running_limit(settings: Settings) -> float:
    """Seconds after which an analysis that runs is overdue: its deadline, and the time of a lease."""
    return settings.analysis_deadline_seconds + settings.lease_seconds


def broken(ready: schemas.Readiness) -> dict[str, str]:
    """What of spool, broker and model is not in order, and why."""
    return {
        check.name: check.reason or check.code or ""
        for check in ready.checks
        if not check.ok and check.name != "database"
    }


def site_of(settings: Settings, broken_parts: Mapping[str, str]) -> vitals.Site:
    """What this installation is judged by beside the ledger."""
    return vitals.Site(
        home=settings.home,
        least_bytes=settings.spool_min_free_mb * 1_000_000,
        peers=tuple(peer.name for peer in settings.peer),
        broken=broken_parts,
        reports_audit=settings.audit_syslog is not None,
    )


def _rejected(caller: ledger.RejectedFacts) -> monitor_shapes.Rejected:
    """One caller who was not let in, and what would let it in."""
    return monitor_shapes.Rejected(
        calling_ae=caller.calling_ae,
        called_ae=caller.called_ae,
        address=caller.address,
        reason=caller.reason,
        tls_subject=caller.tls_subject,
        count=caller.count,
        first_at=caller.first_at,
        last_at=caller.last_at,
        remedy=word_tables.REMEDIES.get(caller.reason),
        peer_block=words.peer_block(caller.reason, caller.calling_ae, caller.address, caller.tls_subject),
    )


def _age(now: datetime, at: datetime | None) -> float | None:
    """Seconds since then."""
    return None if at is None else (now - at).total_seconds()


def _refuses(facts: ledger.Overview) -> bool:
    """Whether a receiver that is alive says that it has no room."""
    return any(bool(door.alive and (door.detail or {}).get("spool_full")) for door in facts.doors)


def disk(web: Web, *, refusing: bool) -> monitor_shapes.Disk:
    """Room on the disk that HOME lies on, and what the receiver makes of it."""
    settings = web.settings
    usage = shutil.disk_usage(settings.home)
    least = settings.spool_min_free_mb * 1_000_000
    return monitor_shapes.Disk(
        total_bytes=usage.total,
        free_bytes=usage.free,
        min_free_bytes=least,
        resume_free_bytes=settings.resume_free_mb * 1_000_000,
        refusing=refusing,
        enough=usage.free >= least,
    )


def model(web: Web) -> monitor_shapes.ModelShape:
    """The network on disk, or why there is none."""
    settings = settings_in_force(web)
    try:
        facts = web.neighbours.read_model(settings)
    except ServiceError as error:
        return monitor_shapes.ModelShape(ok=False, reason=error.reason.text, name=settings.model)
    return monitor_shapes.ModelShape(
        ok=True,
        name=facts.name,
        version=facts.version,
        sha256=facts.sha256,
        definition=f"{facts.definition} {facts.definition_version}",
        precision=facts.precision,
    )


def peers(
    web: Web, traffic: dict[str, ledger.PeerTraffic], circuits: dict[str, CircuitFacts]
) -> list[peering_shapes.PeerShape]:
    """The peers of the settings, and how deliveries to each stand."""
    return [
        _peer(peer, traffic.get(peer.name), circuits.get(peer.name, CircuitFacts()))
        for peer in web.settings.peer
    ]


def _peer(peer: Peer, traffic: ledger.PeerTraffic | None, circuit: CircuitFacts) -> peering_shapes.PeerShape:
    """One peer."""
    wanted = Variant(encoding=peer.profile, sr_class=peer.sr_class)
    return peering_shapes.PeerShape(
        **peer.model_dump(),
        refused=list(wanted.taken_from(circuit.refused)),
        circuit=peering_shapes.CircuitShape.model_validate(circuit),
        deliveries=traffic.by_state if traffic else {},
        last_sent_at=traffic.last_sent_at if traffic else None,
        last_confirmed_at=traffic.last_confirmed_at if traffic else None,
    )


class LedgerCollector(Collector):
    """Reads the ledger whenever Prometheus asks, so that no number is older than the scrape."""

    def __init__(self, web: Web) -> None:
        self._web = web

    def describe(self) -> Iterable[Metric]:
        """Nothing is read at registration."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Gauges of the ledger; only ``myoscreen_database_up`` when the database does not answer."""
        web = self._web
        now = web.clock()
        up = GaugeMetricFamily("myoscreen_database_up", "1 when the database answers.")
        try:
            with reading(web.sessions) as session:
                facts, signs = ledger.overview(session, now), vitals.signs(session, now=now)
                commitments, steps_took = commitments_in.by_state(session), durations.lately(session)
        except ledger.DatabaseTrouble:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield _labelled("myoscreen_analyses", "Analyses by state.", "state", facts.analyses)
        yield _labelled("myoscreen_series", "Received series by state.", "state", facts.series)
        steps = facts.funnel.counts
        yield _labelled("myoscreen_funnel", "How far what was received has come.", "step", steps)
        yield _labelled("myoscreen_counter", "Things counted since the installation.", "name", facts.counters)
        text = "Senders' questions about storage commitment by state."
        yield _labelled("myoscreen_commitments", text, "state", commitments)
        deliveries = GaugeMetricFamily(
            "myoscreen_deliveries", "Deliveries by peer and state.", labels=["peer", "state"]
        )
        for peer, by_state in facts.deliveries.items():
            for state, count in by_state.items():
                deliveries.add_metric([peer, state], count)
        yield deliveries
        refused = {peer.name: signs.refused.get(peer.name, 0) for peer in web.settings.peer}
        text = "Objects that the peer did not take and that are given up, but for those given up on purpose."
        yield _labelled("myoscreen_deliveries_refused", text, "peer", refused)
        away = {peer.name: int(_is_away(facts, peer.name)) for peer in web.settings.peer}
        text = "1 while the peer cannot be reached and its results wait."
        yield _labelled("myoscreen_peer_circuit_open", text, "peer", away)
        alive: dict[str, int] = {}
        for door in facts.doors:
            alive[door.name] = alive.get(door.name, 0) + int(door.alive)
        yield _labelled("myoscreen_doors_alive", "Processes seen lately, by door.", "door", alive)
        yield _providers(facts)
        yield _leases(facts)
        yield _durations(steps_took)
        yield _drift(signs.drift)
        running = _age(now, signs.oldest_running_at) or 0.0
        text = "Age of the longest attempt that runs: its lease is held, or not yet seen to stand still."
        yield GaugeMetricFamily("myoscreen_oldest_running_seconds", text, value=running)
        yield from _numbers(web, facts)


def _providers(facts: ledger.Overview) -> GaugeMetricFamily:
    """On what the living workers run the network, as they found when they opened it."""
    text = "Living workers by network, execution provider and precision."
    family = GaugeMetricFamily("myoscreen_workers", text, labels=["model", "provider", "precision"])
    found: dict[tuple[str, ...], int] = {}
    for door in facts.doors:
        if door.alive and door.name == "worker":
            told = door.detail or {}
            labels = tuple(str(told.get(name, "")) for name in ("model", "provider", "precision"))
            found[labels] = found.get(labels, 0) + 1
    for labels, count in sorted(found.items()):
        family.add_metric(labels, count)
    return family


def _leases(facts: ledger.Overview) -> GaugeMetricFamily:
    """Rows that a worker holds: analyses that run, and objects that are being sent."""
    sending = sum(states.get(DeliveryState.SENDING, 0) for states in facts.deliveries.values())
    held = {"analysis": facts.analyses.get(AnalysisState.RUNNING, 0), "delivery": sending}
    return _labelled("myoscreen_leases", "Rows that a worker holds now.", "of", held)


def _durations(steps: Mapping[str, Sequence[float]]) -> GaugeMetricFamily:
    """Seconds by step, of the newest measured analyses."""
    text = f"Seconds of each step, of the newest {durations.NEWEST} measured analyses."
    family = GaugeMetricFamily("myoscreen_step_seconds", text, labels=["step", "quantile"])
    for step, seconds in sorted(steps.items()):
        for share in durations.QUANTILES:
            family.add_metric([step, str(share)], durations.quantile(seconds, share))
    return family


def _drift(alarms: Mapping[str, int]) -> GaugeMetricFamily:
    """Groups whose median left its control limits; which they are says the page of the population."""
    text = "Groups of results whose median of this month or the last left its control limits."
    family = GaugeMetricFamily("myoscreen_drift", text, labels=["measure", "dimension"])
    for measure in drift.MEASURES:
        for dimension in (drift.ALL, *drift.DIMENSIONS):
            family.add_metric([measure, dimension], alarms.get(f"{measure} {dimension}", 0))
    return family


def _is_away(facts: ledger.Overview, peer: str) -> bool:
    """Whether the peer's results wait because it cannot be reached."""
    return peer in facts.circuits and facts.circuits[peer].state != CircuitState.CLOSED


def _numbers(web: Web, facts: ledger.Overview) -> Iterable[Metric]:
    """Gauges without labels."""
    now = web.clock()
    room = disk(web, refusing=_refuses(facts))
    oldest = _age(now, facts.oldest_waiting_at) or 0.0
    unsent = _age(now, facts.oldest_delivery_at) or 0.0
    unanswered = _age(now, facts.unanswered_since) or 0.0
    numbers = {
        "myoscreen_queue_depth": ("Analyses ready or running.", facts.queue_depth),
        "myoscreen_oldest_waiting_seconds": ("Age of the oldest analysis that waits.", oldest),
        "myoscreen_oldest_delivery_seconds": ("Age of the oldest delivery not yet stored.", unsent),
        "myoscreen_unanswered_seconds": (
            "Since the first image came after which no analysis was finished.",
            unanswered,
        ),
        "myoscreen_audit_oldest_unsealed_seconds": (
            "Age of the oldest line of the audit record that is not sealed.",
            _age(now, facts.oldest_unsealed_at) or 0.0,
        ),
        "myoscreen_audit_oldest_unsent_seconds": (
            "Age of the oldest sealed line of the audit record that its collector has not; 0 without one.",
            (_age(now, facts.oldest_unreported_at) or 0.0) if web.settings.audit_syslog else 0.0,
        ),
        "myoscreen_disk_free_bytes": ("Free room below HOME.", room.free_bytes),
        "myoscreen_disk_total_bytes": ("Size of the disk of HOME.", room.total_bytes),
        "myoscreen_spool_min_free_bytes": ("Free room below which images are refused.", room.min_free_bytes),
        "myoscreen_spool_refusing": (
            "1 when a receiver refuses images for want of room.",
            int(room.refusing),
        ),
        "myoscreen_model_ok": ("1 when the network is the one of its card.", int(model(web).ok)),
    }
    for name, (text, value) in numbers.items():
        yield GaugeMetricFamily(name, text, value=value)
    times = {
        "myoscreen_last_received_timestamp_seconds": ("Latest image.", facts.last_received_at),
        "myoscreen_last_success_timestamp_seconds": ("Latest finished analysis.", facts.last_success_at),
        "myoscreen_last_failure_timestamp_seconds": ("Latest analysis given up.", facts.last_failure_at),
    }
    for name, (text, at) in times.items():
        if at is not None:
            yield GaugeMetricFamily(name, text, value=at.timestamp())
    yield _labelled("myoscreen_info", "Version of the service.", "version", {__version__: 1})


def _labelled(name: str, text: str, label: str, values: dict[str, int]) -> GaugeMetricFamily:
    """A gauge with one label."""
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


class RequestMetrics:
    """Counts and times requests by route template, so that ids never become labels."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["method", "route", "status"]
        self._requests = Counter("myoscreen_http_requests", "Answered requests.", labels, registry=registry)
        self._seconds = Histogram(
            "myoscreen_http_request_seconds", "Time to answer.", ["route"], registry=registry
        )

    def note(self, *, method: str, route: str, message: Message, started: float) -> float:
        """Note one answer; return how long it took."""
        seconds = time.perf_counter() - started
        self._requests.labels(method, route, str(message["status"])).inc()
        self._seconds.labels(route).observe(seconds)
        return seconds
