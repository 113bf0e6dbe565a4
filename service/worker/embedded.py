"""The clock of the sweep, as a thread of the worker process itself."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from celery import Celery, signals

log = logging.getLogger(__name__)


class Ticker:
    """Sends each entry of the schedule when it is due, by this process's steady clock.

    The library's own beat goes by the wall clock: set back by an hour, it sends nothing for an hour
    (``celery.schedules.schedule.is_due``).
    """

    def __init__(self, app: Celery, *, steady_clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._clock = steady_clock
        self._entries: list[dict[str, Any]] = list(app.conf.beat_schedule.values())
        self._due = [steady_clock()] * len(self._entries)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ticker", daemon=True)

    def start(self) -> None:
        """Tick from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Tick no more."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def tick(self) -> float:
        """Send what is due, and return the seconds until something is due again."""
        now = self._clock()
        for number, entry in enumerate(self._entries):
            if self._due[number] <= now:
                self._due[number] = now + entry["schedule"]
                self._send(entry)
        return max(0.0, min(self._due) - self._clock())

    def _send(self, entry: dict[str, Any]) -> None:
        try:
            self._app.send_task(entry["task"], **entry["options"])
        except Exception:  # noqa: BLE001 - the broker is away; the next tick tries again
            log.warning("tick_not_sent", extra={"kind": entry["task"]})

    def _run(self) -> None:
        while not self._ended.wait(self.tick()):
            pass


def start_with(app: Celery, *, on_end: Callable[[], None]) -> None:
    """Start the clock when this application's worker is ready, and stop it when the worker ends.

    ``on_end`` is called as soon as the worker is asked to end.
    """
    ticker = Ticker(app)

    def on_ready(**_: Any) -> None:
        ticker.start()
        log.info("worker_ready")

    def on_shutting_down(**_: Any) -> None:
        on_end()

    def on_shutdown(**_: Any) -> None:
        ticker.stop()

    def keep_logging(**_: Any) -> None:
        """Being connected is enough: the library then leaves the logging of this process alone."""

    signals.setup_logging.connect(keep_logging, weak=False)
    signals.worker_ready.connect(on_ready, weak=False)
    signals.worker_shutting_down.connect(on_shutting_down, weak=False)
    signals.worker_shutdown.connect(on_shutdown, weak=False)
