"""Each running process says that it lives, so that the status page can tell which door is shut."""

import logging
import os
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, Self

import service
from service.db import ledger, people
from service.db.session import Session, Sessions

log = logging.getLogger(__name__)

#: Chosen by us: the status page calls a door silent after a few of these.
EVERY_SECONDS = 5.0


def owner() -> str:
    """Which process this is, as host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"


def record_door(
    session: Session,
    action: Literal["door_started", "door_stopped"],
    name: Literal["receiver", "worker", "web"],
    *,
    now: datetime,
) -> None:
    """A line of the audit record: this process began or ends; one that is killed leaves none of its end."""
    people.record(
        session,
        at=now,
        actor="service",
        action=action,
        object_type="door",
        object_id=name,
        detail={"host": socket.gethostname(), "pid": os.getpid(), "version": service.__version__},
    )


class Presence:
    """Writes the row of this door every few seconds while the ``with`` block lasts."""

    def __init__(
        self,
        sessions: Sessions,
        name: Literal["receiver", "worker", "web"],
        *,
        detail: Callable[[], dict[str, Any]] | None = None,
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        self._sessions = sessions
        self._name = name
        self._detail = detail
        self._every = every_seconds
        self._host, self._pid = socket.gethostname(), os.getpid()
        self._started_at = datetime.now(UTC)
        self._told = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"presence-{name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(timeout=self._every)
        self._quietly(self._leave)

    def _run(self) -> None:
        self._quietly(self._see)
        while not self._ended.wait(self._every):
            self._quietly(self._see)

    def _quietly(self, act: Callable[[], None]) -> None:
        """Being seen is a courtesy: trouble with the database is told elsewhere."""
        try:
            act()
        except Exception:  # noqa: BLE001 - the edge of a thread of its own: it must outlive any outage
            log.warning("presence_not_written", extra={"door": self._name})

    def _see(self) -> None:
        with self._sessions.begin() as session:
            if not self._told:
                record_door(session, "door_started", self._name, now=datetime.now(UTC))
            ledger.see_door(
                session,
                name=self._name,
                host=self._host,
                pid=self._pid,
                version=service.__version__,
                started_at=self._started_at,
                now=datetime.now(UTC),
                detail=self._detail() if self._detail else None,
            )
        self._told = True

    def _leave(self) -> None:
        with self._sessions.begin() as session:
            ledger.leave_door(session, name=self._name, host=self._host, pid=self._pid)
            record_door(session, "door_stopped", self._name, now=datetime.now(UTC))
