"""What one process does again and again beside its work, in a thread of its own."""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self

log = logging.getLogger(__name__)

#: A thread that is in the middle of sending has this long to finish at the end.
FINISH_SECONDS = 5.0


class Clockwork:
    """Calls each errand every so often while the ``with`` block lasts; one's trouble stops no other."""

    def __init__(self, errands: Sequence[Callable[[], object]], *, every: timedelta) -> None:
        self.errands = tuple(errands)
        self._every = every.total_seconds()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clockwork", daemon=True)

    def __enter__(self) -> Self:
        if self.errands:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=FINISH_SECONDS)

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            for errand in self.errands:
                try:
                    errand()
                except Exception:  # The edge of a thread: it is tried again next time.
                    log.exception("errand_failed", extra={"kind": getattr(errand, "__qualname__", "errand")})
