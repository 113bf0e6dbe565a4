"""The sign of life of work that is under way."""

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

log = logging.getLogger(__name__)


class Heartbeat:
    """Calls ``beat`` every few seconds while the ``with`` block lasts, until it says the lease is gone."""

    def __init__(self, beat: Callable[[], bool], *, every_seconds: float) -> None:
        self._beat = beat
        self._every = every_seconds
        self._ended = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def lost(self) -> bool:
        """Whether somebody else holds the lease now."""
        return self._lost.is_set()

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            try:
                if not self._beat():
                    self._lost.set()
                    log.warning("lease_lost")
                    return
            except Exception:  # noqa: BLE001 - the edge of a thread of its own: the next beat may succeed
                log.warning("heartbeat_failed")
