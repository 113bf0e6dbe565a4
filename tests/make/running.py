"""The whole service as child processes on free loopback ports, as an operator runs it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from service.db import people
from service.db.session import make_sessions
from tests.make.databases import bring_up

#: Bounds, not expectations: a loaded machine may take this long.
START_SECONDS = 90.0
RESULT_SECONDS = 180.0


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, ready: Callable[[], Any], *, seconds: float = RESULT_SECONDS) -> Any:
    """Ask until the answer is true, and return it; AssertionError when the time is over."""
    end = time.monotonic() + seconds
    while not (answer := ready()):
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.1)
    return answer


@dataclass
class RunningService:
    """One installation and its processes."""

    home: Path
    dicom_port: int
    http_port: int
    environment: Mapping[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    key: str = ""
    #: What the doors are started by.
    module: str = "service.cli"
    #: A program that runs them and watches, such as strace, with its arguments.
    watcher: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """Where the web door answers."""
        return f"http://127.0.0.1:{self.http_port}"

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one errand of the command line against this installation."""
        return subprocess.run(
            [sys.executable, "-m", "service.cli", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def start(self, *doors: str) -> None:
        """Start doors as processes; their output goes to files in HOME."""
        for door in doors:
            with (self.home / f"{door}.log").open("ab") as output:
                self.processes[door] = subprocess.Popen(
                    [*self.watcher, sys.executable, "-m", self.module, door],
                    env=self.environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )

    def kill(self, door: str) -> None:
        """End one door as a power cut would."""
        self.processes[door].send_signal(signal.SIGKILL)
        self.processes.pop(door).wait()

    def stop(self) -> None:
        """End everything that was started here."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def get(self, path: str, **parameters: Any) -> Any:
        """GET from the REST interface, with an API key."""
        answer = httpx.get(
            self.url + path, params=parameters, headers={"Authorization": f"Bearer {self.key}"}, timeout=30
        )
        answer.raise_for_status()
        return answer.json()

    def is_up(self) -> bool:
        """Whether the web door says that everything is ready, and the receiver listens."""
        try:
            socket.create_connection(("127.0.0.1", self.dicom_port), 1).close()
            return httpx.get(self.url + "/readyz", timeout=10).status_code == 200
        except (httpx.TransportError, OSError):
            return False

    def await_up(self) -> None:
        """Wait until it is up; with the logs when it does not come up."""
        try:
            wait_for("the service to start", self.is_up, seconds=START_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs()}") from None

    def logs(self) -> str:
        """What the doors wrote."""
        return "\n".join(
            f"== {path.name}\n{path.read_text('utf-8', 'replace')[-3000:]}"
            for path in self.home.glob("*.log")
        )

    def analyses(self) -> list[dict[str, Any]]:
        """All analyses, newest first."""
        items: list[dict[str, Any]] = self.get("/api/v1/analyses", limit=100)["items"]
        return items

    def await_states(self, *states: str) -> list[dict[str, Any]]:
        """Wait until the analyses have these states, in any order."""

        def found() -> list[dict[str, Any]]:
            items = self.analyses()
            return items if sorted(item["state"] for item in items) == sorted(states) else []

        try:
            items: list[dict[str, Any]] = wait_for(f"analyses {states}", found)
        except AssertionError as error:
            raise AssertionError(f"{error}; now {self.analyses()}\n{self.logs()}") from None
        return items


def _prepare(url: str) -> str:
    """Make the database as `db upgrade` does, and an API key as `key add` does."""
    bring_up(url)
    sessions = make_sessions(url)
    with sessions.begin() as session:
        key = people.add_key(session, name="tests", role="admin", now=datetime.now(UTC), actor="tests")
    sessions.kw["bind"].dispose()
    return key


@contextmanager
def running_service(
    home: Path,
    *,
    peers: tuple[Mapping[str, Any], ...] = (),
    doors: tuple[str, ...] = ("serve",),
    module: str = "service.cli",
    beside: Mapping[str, str] | None = None,
    watcher: tuple[str, ...] = (),
    **settings: str,
) -> Iterator[RunningService]:
    """A service with short times, up and with an API key; ended by process id.

    ``beside`` are variables of the environment that are no settings.
    """
    home.mkdir(parents=True, exist_ok=True)
    dicom_port, http_port = free_port(), free_port()
    changes = {
        "home": str(home),
        "dicom_port": str(dicom_port),
        "http_port": str(http_port),
        "quiet_seconds": "1",
        "sweep_seconds": "0.2",
        "peer": json.dumps(peers),
        **settings,
    }
    environment = {**os.environ, **{f"MYOSCREEN_{name.upper()}": value for name, value in changes.items()}}
    environment |= beside or {}
    service = RunningService(home, dicom_port, http_port, environment, module=module, watcher=watcher)
    try:
        service.key = _prepare(settings.get("database_url", f"sqlite:///{home / 'myoscreen.db'}"))
        service.start(*doors)
        service.await_up()
        yield service
    finally:
        service.stop()
