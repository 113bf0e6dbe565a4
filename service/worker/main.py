"""The worker process from start to end."""

import logging
import os
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from celery.exceptions import SecurityWarning

from service import tracing
from service.core import trouble
from service.core.circuit import CircuitTerms
from service.core.status import OutputKind
from service.db import confirmations
from service.db.clock import Waits
from service.db.session import Sessions, make_sessions, reading, require_current
from service.dicom import tls
from service.dicom.scu import Address
from service.dicom.spool import Spool
from service.errors import NotAsActivated
from service.files import make_private_dir
from service.pipeline import (
    audit,
    commit,
    confirm,
    deliver,
    forward,
    notify,
    population,
    retention,
    run,
    sweep,
    vitals,
)
from service.pipeline.activation import Site, take_up_settings
from service.pipeline.clockwork import Clockwork
from service.pipeline.close import Closing
from service.pipeline.counting import Asked
from service.pipeline.deliver import Destination
from service.pipeline.inforce import InForce
from service.pipeline.job import Perform
from service.pipeline.presence import Presence, owner
from service.pipeline.recipe import WorkshopRecipe
from service.pipeline.recipients import recipients_of
from service.settings import Peer, Settings, bare_environment
from service.wire.dicomweb import WebAddress
from service.wire.syslog import SyslogAddress
from service.worker import embedded, nightly
from service.worker.celery_app import make_app
from service.worker.keeper import COMMAND, Keeper, Limits
from service.worker.peers import variant_of
from service.worker.tasks import Work, register

log = logging.getLogger(__name__)

#: Before the second attempt at an analysis; doubled with each further one (chosen by us).
RETRY_AFTER = timedelta(seconds=5)
#: Heartbeats in the time of a lease: five may be lost before the work counts as dead.
BEATS_PER_LEASE = 6


def work(settings: Settings, recipe: WorkshopRecipe, *, command: Sequence[str] = COMMAND) -> None:
    """Work until SIGTERM or SIGINT; what is under way is finished first, or given back after some seconds.

    The network is opened once before the first sweep, in a process of its own, so a wrong one is told at
    the start. ``command`` is that process.
    """
    require_current(settings.resolved_database_url)
    make_private_dir(settings.home)
    tracing.start(settings.tracing_target, door="worker")
    sessions = make_sessions(settings.resolved_database_url)
    with sessions.begin() as session:
        confirmations.forget(session, [peer.name for peer in settings.peer if peer.confirm == "none"])
    site = Site.of(**settings.activation_site, env=bare_environment())
    take_up_settings(sessions, site, now=datetime.now(UTC))
    keeper = make_keeper(settings, recipe, command)
    detail = {**_opened(keeper, sessions, site), "slots": settings.analysis_slots}
    app = make_app(settings)
    shared = make_work(settings, sessions, keeper.perform)
    register(app, shared)
    embedded.start_with(app, on_end=keeper.stop_soon)
    if os.geteuid() == 0:
        # Celery warns of this in a form that the log withholds, so it is said here and not there.
        log.warning("runs_as_root")
        warnings.filterwarnings("ignore", category=SecurityWarning)
    populating = population.errand(sessions, settings.home, drift_since=settings.drift_since)
    watch = Clockwork(
        [nightly.errand(settings, sessions), populating, *_notifying(settings, sessions)],
        every=notify.EVERY,
    )
    reports = _reporting(settings, sessions)
    with Presence(sessions, "worker", detail=lambda: {**detail, **keeper.ready}), reports, watch:
        worker = app.Worker(
            pool="threads",
            concurrency=shared.threads,
            hostname=f"worker@{owner()}",
            without_mingle=True,
            without_gossip=True,
            without_heartbeat=True,
            quiet=True,
        )
        worker.start()
    keeper.close()
    tracing.stop()
    sessions.kw["bind"].dispose()
    log.info("worker_ends")


def _reporting(settings: Settings, sessions: Sessions) -> Clockwork:
    """Sends the audit record on, in a thread of its own, where the settings name a collector."""
    named = settings.audit_syslog
    if named is None:
        return Clockwork([], every=forward.EVERY)
    collector = forward.Collector(
        address=SyslogAddress(
            host=named.host, port=named.port, ca_file=named.ca, certificate=named.cert, key=named.key
        ),
        facility=named.facility,
        app_name=named.app_name,
        named=named.patients == "named",
        ae_title=settings.ae_title,
        site=settings.institution_name,
    )
    forwarder = forward.Forwarder(sessions, settings.home, collector, clock=lambda: datetime.now(UTC))
    return Clockwork([forwarder.run], every=forward.EVERY)


def _opened(keeper: Keeper, sessions: Sessions, site: Site) -> dict[str, Any]:
    """What the first runner says of the network in force.

    A network that does not open keeps the worker from starting. A file that is another one than was activated
    does not: results that are there go out, and analyses wait.
    """
    in_force = InForce(sessions, site, hard_cap=timedelta(0))
    with reading(sessions) as session:
        tools = in_force.tools(session)
    return keeper.open(tools) if in_force.usable() else {"code": NotAsActivated.code}


def _notifying(settings: Settings, sessions: Sessions) -> list[Callable[[], None]]:
    """Tells of trouble, where anybody is to be told; what the web door sees besides, it tells."""
    told = [each.model_dump() for each in settings.notify]
    if not told:
        return []
    site = vitals.Site(
        home=settings.home,
        least_bytes=settings.spool_min_free_mb * 1_000_000,
        peers=tuple(peer.name for peer in settings.peer),
        reports_audit=settings.audit_syslog is not None,
    )
    notifier = notify.Notifier(
        sessions,
        recipients_of(told, site=settings.institution_name or settings.ae_title),
        site=lambda: site,
        limits=trouble.Limits(running_seconds=settings.analysis_deadline_seconds + settings.lease_seconds),
        clock=lambda: datetime.now(UTC),
    )
    return [notifier.run]


def make_keeper(settings: Settings, recipe: WorkshopRecipe, command: Sequence[str]) -> Keeper:
    """The keeper of this worker's runners; they know neither settings nor secrets."""
    return Keeper(
        {
            "recipe": recipe.as_dict(),
            "log_format": settings.log_format,
            "log_level": settings.log_level,
        },
        Limits(deadline_seconds=settings.analysis_deadline_seconds, memory_mb=settings.analysis_memory_mb),
        env=bare_environment(),
        command=command,
    )


def make_work(settings: Settings, sessions: Sessions, perform: Perform) -> Work:
    """Everything that the tasks of this process share."""
    spool = Spool(settings.spool_dir, min_free_mb=settings.spool_min_free_mb)
    beat_seconds = settings.lease_seconds / BEATS_PER_LEASE
    delivery_terms = deliver.Terms(
        attempts=settings.delivery_attempts,
        backoff=timedelta(seconds=settings.delivery_backoff_seconds),
        backoff_max=timedelta(seconds=settings.delivery_backoff_max_seconds),
        beat_seconds=beat_seconds,
        circuit=CircuitTerms(
            failures=settings.circuit_failures,
            probe=timedelta(seconds=settings.circuit_probe_seconds),
            probe_max=timedelta(seconds=settings.circuit_probe_max_seconds),
        ),
    )
    in_force = InForce(
        sessions,
        Site.of(**settings.activation_site, env=bare_environment()),
        hard_cap=timedelta(seconds=settings.hard_cap_seconds),
    )
    return Work(
        sessions=sessions,
        perform=perform,
        bench=run.Bench(
            home=Path(settings.home),
            spool=spool,
            destinations=destinations(settings),
            terms=run.Terms(
                max_attempts=settings.max_attempts, retry_after=RETRY_AFTER, beat_seconds=beat_seconds
            ),
            owner=owner(),
            clock=lambda: datetime.now(UTC),
            in_force=in_force,
        ),
        sweeper=sweep.Sweeper(
            sessions,
            spool,
            sweep.Terms(
                closing=Closing(
                    quiet=timedelta(seconds=settings.quiet_seconds),
                    hard_cap=timedelta(seconds=settings.hard_cap_seconds),
                ),
                choosing_now=in_force.choosing,
                lease_seconds=settings.lease_seconds,
                max_attempts=settings.max_attempts,
                delivery_attempts=settings.delivery_attempts,
                peers=tuple(peer.name for peer in destinations(settings)),
                variants={peer.name: peer.variant.name for peer in destinations(settings)},
                confirming=tuple(peer.name for peer in destinations(settings) if peer.confirm != "none"),
                circuit=delivery_terms.circuit,
                counting=counting(settings),
                asking=tuple(requesters(settings)),
                waits=Waits(
                    analysis=run.LONGEST_WAIT,
                    delivery=max(delivery_terms.backoff_max, delivery_terms.circuit.probe_max),
                    commitment=max(
                        delivery_terms.backoff_max,
                        *(commit.hold(peer.answer_seconds) for peer in settings.peer),
                        timedelta(0),
                    ),
                    replay=max(run.LONGEST_WAIT, timedelta(seconds=settings.lease_seconds)),
                    notice=max(notify.BACKOFF_MAX, notify.LEASE),
                ),
            ),
            home=Path(settings.home),
            clock=lambda: datetime.now(UTC),
        ),
        delivery_terms=delivery_terms,
        confirm_terms=confirm.Terms(
            delivery=delivery_terms,
            patience=timedelta(seconds=settings.confirm_seconds),
            attempts=settings.confirm_attempts,
        ),
        slots=settings.analysis_slots,
        requesters=requesters(settings),
        keep=retention.Terms.in_days(**settings.keep_days),
        auditing=audit.Keeping(
            folder=settings.audit_dir,
            key_file=settings.audit_key_file,
            heads_file=settings.audit_heads,
        ),
    )


def destinations(settings: Settings) -> tuple[Destination, ...]:
    """The peers that get results."""
    return tuple(
        Destination(
            name=peer.name,
            address=address_of(peer, settings),
            outputs=tuple(OutputKind(kind) for kind in peer.outputs),
            variant=variant_of(peer),
            confirm=peer.confirm,
            lanes=peer.lanes,
            after_review=peer.release == "after_review",
        )
        for peer in settings.peer
        if peer.outputs
    )


def requesters(settings: Settings) -> dict[str, Address]:
    """Where senders that may ask for storage commitment are told, by name."""
    addresses = {
        peer.name: address_of(peer, settings) for peer in settings.peer if peer.commitment_scp and peer.port
    }
    return {name: address for name, address in addresses.items() if isinstance(address, Address)}


def counting(settings: Settings) -> dict[str, Asked]:
    """The peers that are asked how many images a series has, by the AE title under which they send."""
    return {
        peer.ae_title: Asked(name=peer.name, address=address_of(peer, settings))
        for peer in reversed(settings.peer)
        if peer.count == "query"
    }


def address_of(peer: Peer, settings: Settings) -> Address | WebAddress:
    """Where results for a peer go."""
    if peer.stow_url is not None:
        return WebAddress(
            stow_url=peer.stow_url,
            qido_url=peer.qido_url or peer.stow_url,
            authorization_file=peer.authorization_file,
            ca_file=peer.ca_file,
            answer_seconds=peer.answer_seconds,
        )
    assert peer.port is not None, "the settings see to it"
    return Address(
        host=peer.host,
        port=peer.port,
        ae_title=peer.ae_title,
        calling_ae=settings.ae_title,
        answer_seconds=peer.answer_seconds,
        deflated=peer.deflated,
        tls=tls.outgoing(settings.tls_files, tls=peer.tls, subjects=peer.tls_subject),
    )
