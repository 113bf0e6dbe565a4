"""The clock of the sweep, as a thread of the worker process itself."""

import logging
from typing import Any

from celery import Celery, signals
from celery.beat import EmbeddedService, Scheduler

log = logging.getLogger(__name__)


def start_with(app: Celery) -> None:
    """Start the clock when this application's worker is ready, and stop it when the worker ends.

    The scheduler keeps nothing on disk: the only entry is the sweep, which may run at any time.
    """
    service: Any = EmbeddedService(app, thread=True, scheduler_cls=Scheduler)

    def on_ready(**_: Any) -> None:
        service.start()
        log.info("worker_ready")

    def on_shutdown(**_: Any) -> None:
        if service.is_alive():
            service.stop()

    def keep_logging(**_: Any) -> None:
        """Being connected is enough: the library then leaves the logging of this process alone."""

    signals.setup_logging.connect(keep_logging, weak=False)
    signals.worker_ready.connect(on_ready, weak=False)
    signals.worker_shutdown.connect(on_shutdown, weak=False)
