"""Several programs kept running on one machine: started, watched, started again, ended by their ids."""

import ctypes
import logging
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

log = logging.getLogger(__name__)

#: A program that ran this long counts as healthy; its next end starts with the shortest wait again.
HEALTHY_SECONDS = 60.0
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.5, 30.0
#: After SIGTERM; a worker in the middle of an analysis is ended then, and the analysis is done again.
FINISH_SECONDS = 15.0
#: <linux/prctl.h>
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass
class _Child:
    """One program and how often it had to be started."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    wait: float = FIRST_WAIT_SECONDS
    due: float = 0.0


class Supervisor:
    """Keeps programs running until it is told to end them."""

    def __init__(
        self,
        commands: Mapping[str, Sequence[str]],
        *,
        env: Mapping[str, str] | None = None,
        finish_seconds: float = FINISH_SECONDS,
    ) -> None:
        self._children = [_Child(name=name, command=command) for name, command in commands.items()]
        self._env = dict(env) if env is not None else None
        self._finish_seconds = finish_seconds
        self._ended = threading.Event()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the programs that run now."""
        return {
            child.name: child.process.pid
            for child in self._children
            if child.process is not None and child.process.poll() is None
        }

    def end(self) -> None:
        """Have ``run`` end everything and return."""
        self._ended.set()

    def run(self) -> None:
        """Start everything and keep it running until ``end`` is called."""
        try:
            while True:
                for child in self._children:
                    self._tend(child)
                if self._ended.wait(0.2):
                    return
        finally:
            self._stop()

    def _tend(self, child: _Child) -> None:
        """Start a program that is not running, later each time if it does not stay up."""
        now = time.monotonic()
        if child.process is not None:
            code = child.process.poll()
            if code is None:
                return
            child.process = None
            child.wait = (
                FIRST_WAIT_SECONDS
                if now - child.started > HEALTHY_SECONDS
                else min(child.wait * 2, LONGEST_WAIT_SECONDS)
            )
            child.due = now + child.wait
            log.error("door_ended", extra={"door": child.name, "exit_code": code, "next_seconds": child.wait})
        if now >= child.due:
            child.process = subprocess.Popen(
                list(child.command),
                env=self._env,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - one call into a library loaded before the fork
            )
            child.started = now
            log.info("door_started", extra={"door": child.name, "pid": child.process.pid})

    def _stop(self) -> None:
        """End every program, by force when it does not end by itself."""
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            process.terminate()
        limit = time.monotonic() + self._finish_seconds
        for process in running:
            try:
                process.wait(timeout=max(0.0, limit - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def resident_mb(pid: int) -> float:
    """Memory that a process holds now, in MiB; 0 where it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    except OSError:
        return 0.0
    kilobytes = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(kilobytes[0]) / 1024 if kilobytes else 0.0


def _end_with_parent() -> None:
    """Ask the kernel to end this program when the one that started it dies, however that happens."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def supervise(
    commands: Mapping[str, Sequence[str]],
    *,
    env: Mapping[str, str] | None = None,
) -> int:
    """Keep these programs running until SIGTERM or SIGINT, then end them; the exit code for the caller."""
    supervisor = Supervisor(commands, env=env)

    def end(_number: int, _frame: FrameType | None) -> None:
        supervisor.end()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    supervisor.run()
    return 0
