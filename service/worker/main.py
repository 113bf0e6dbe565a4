"""The worker process from start to end."""

import logging
import os
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from celery.exceptions import SecurityWarning

from service.core.status import OutputKind
from service.db.session import Sessions, make_sessions, require_current
from service.dicom.scu import Address
from service.dicom.spool import Spool
from service.files import make_private_dir
from service.pipeline import deliver, run, sweep
from service.pipeline.analyse import Workshop
from service.pipeline.close import Closing
from service.pipeline.deliver import Destination
from service.pipeline.presence import Presence, owner
from service.settings import Settings
from service.worker import embedded
from service.worker.celery_app import make_app
from service.worker.tasks import Work, register

log = logging.getLogger(__name__)

#: Before the second attempt at an analysis; doubled with each further one (chosen by us).
RETRY_AFTER = timedelta(seconds=5)
#: Heartbeats in the time of a lease: five may be lost before the work counts as dead.
BEATS_PER_LEASE = 6


def work(settings: Settings, open_workshop: Callable[[], Workshop]) -> None:
    """Work until SIGTERM or SIGINT; what is under way is finished first.

    The network is opened once, before the first sweep, so a wrong one is told at the start.
    """
    require_current(settings.resolved_database_url)
    make_private_dir(settings.home)
    sessions = make_sessions(settings.resolved_database_url)
    workshop = open_workshop()
    app = make_app(settings)
    shared = make_work(settings, sessions, workshop)
    register(app, shared)
    embedded.start_with(app)
    segmenter = workshop.segmenter
    detail = {
        "provider": segmenter.provider,
        "precision": segmenter.precision,
        "model": workshop.card.name,
        "slots": settings.analysis_slots,
    }
    if os.geteuid() == 0:
        # Celery warns of this in a form that the log withholds, so it is said here and not there.
        log.warning("runs_as_root")
        warnings.filterwarnings("ignore", category=SecurityWarning)
    with Presence(sessions, "worker", detail=lambda: detail):
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
    sessions.kw["bind"].dispose()
    log.info("worker_ends")


def make_work(settings: Settings, sessions: Sessions, workshop: Workshop) -> Work:
    """Everything that the tasks of this process share."""
    spool = Spool(settings.spool_dir, min_free_mb=settings.spool_min_free_mb)
    beat_seconds = settings.lease_seconds / BEATS_PER_LEASE
    return Work(
        sessions=sessions,
        workshop=workshop,
        bench=run.Bench(
            home=Path(settings.home),
            spool=spool,
            destinations=destinations(settings),
            terms=run.Terms(
                max_attempts=settings.max_attempts, retry_after=RETRY_AFTER, beat_seconds=beat_seconds
            ),
            owner=owner(),
            clock=lambda: datetime.now(UTC),
        ),
        sweeper=sweep.Sweeper(
            sessions,
            spool,
            sweep.Terms(
                closing=Closing(
                    quiet=timedelta(seconds=settings.quiet_seconds),
                    hard_cap=timedelta(seconds=settings.hard_cap_seconds),
                ),
                lease_seconds=settings.lease_seconds,
                max_attempts=settings.max_attempts,
                delivery_attempts=settings.delivery_attempts,
                peers=tuple(peer.name for peer in destinations(settings)),
            ),
            clock=lambda: datetime.now(UTC),
        ),
        delivery_terms=deliver.Terms(
            attempts=settings.delivery_attempts,
            backoff=timedelta(seconds=settings.delivery_backoff_seconds),
            backoff_max=timedelta(seconds=settings.delivery_backoff_max_seconds),
            beat_seconds=beat_seconds,
        ),
        slots=settings.analysis_slots,
    )


def destinations(settings: Settings) -> tuple[Destination, ...]:
    """The peers that get results."""
    return tuple(
        Destination(
            name=peer.name,
            address=Address(
                host=peer.host,
                port=peer.port,
                ae_title=peer.ae_title,
                calling_ae=settings.ae_title,
            ),
            outputs=tuple(OutputKind(kind) for kind in peer.outputs),
            flags=peer.flags,
        )
        for peer in settings.peer
        if peer.port is not None and peer.outputs
    )
