"""The worker's side of its runners: started, given jobs, watched, and ended one by one.

A runner that hangs past the deadline, crashes, or grows past its memory is killed alone; the attempt ends
with the reason, and the next job gets a fresh runner.
"""

import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from threading import Lock

from service.errors import LeaseLost, RunnerLost, ServiceError, WorkerEnds
from service.pipeline.job import Job, JobTools, Outcome
from service.processes import resident_mb
from service.worker.messages import Message, Talk

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "service.worker.runner")
#: How often a busy runner is looked at (chosen by us: an allocation fills about 1 GB in this time).
LOOK_SECONDS = 0.2
#: For a runner to load its libraries and open the network (chosen by us: TensorRT may take minutes).
START_SECONDS = 600.0
#: What is left to an analysis when the worker is asked to end (chosen by us: a container is given 10 s by
#: default, and `serve` gives 15); after that it is given back, and the attempt does not count.
FINISH_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one job may take."""

    #: For one job; the start of a runner has ``START_SECONDS``.
    deadline_seconds: float
    #: Resident memory of a runner in MiB, the network included. Address space is not limited, because
    #: CUDA reserves far more of it than it uses.
    memory_mb: int


class Runner:
    """One child process with the network in it."""

    def __init__(
        self, command: Sequence[str], greeting: Message, *, env: Mapping[str, str], parent: int
    ) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno()), str(parent)],
                env=dict(env),
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._talk = Talk(ours)
        self._greeting = greeting
        #: False once an answer did not come: nobody knows what it is doing.
        self.usable = True
        #: What it says of the network that it has open.
        self.ready: Message = {}
        log.info("runner_started", extra={"pid": self._process.pid})

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def greet(self, limits: Limits, stop: Callable[[], None]) -> Message:
        """Have it open the network; what it says of it. Raises a ServiceError naming what is wrong."""
        answer = self._ask(self._greeting, replace(limits, deadline_seconds=START_SECONDS), stop)
        return dict(answer["ready"])

    def work(self, job: Job, limits: Limits, stop: Callable[[], None]) -> Outcome:
        """Have it do one job."""
        answer = self._ask({"job": job.as_dict(), "ticket": secrets.token_hex(8)}, limits, stop)
        self.ready = dict(answer["ready"])
        return Outcome.from_dict(answer["outcome"], out=job.out)

    def end(self) -> None:
        """Kill it, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._talk.close()

    def _ask(self, message: Message, limits: Limits, stop: Callable[[], None]) -> Message:
        """Its answer; ``stop`` is called now and then and raises when the answer is wanted no more."""
        self.usable = False
        limit = time.monotonic() + limits.deadline_seconds
        try:
            self._talk.send(message)
            while (answer := self._talk.wait(seconds=LOOK_SECONDS)) is None:
                stop()
                if time.monotonic() > limit:
                    raise RunnerLost("The analysis took longer than it may.", reason="runner_deadline")
                if resident_mb(self.pid) > limits.memory_mb:
                    raise RunnerLost("The analysis took more memory than it may.", reason="runner_memory")
        except (EOFError, OSError) as error:
            raise self._crashed() from error
        except ValueError as error:
            raise RunnerLost("The runner answered nonsense.", reason="runner_crashed") from error
        if answer.get("ticket") != message.get("ticket"):
            # What was said before the question, by an image that took the runner over, is no answer to it.
            raise RunnerLost("The runner spoke out of turn.", reason="runner_crashed")
        self.usable = True
        if "error" in answer:
            raise ServiceError(answer["error"]["text"], reason=answer["error"]["code"])
        return answer

    def _crashed(self) -> RunnerLost:
        """Why the other end is gone."""
        try:
            how = _end_of(self._process.wait(timeout=LOOK_SECONDS))
        except subprocess.TimeoutExpired:
            how = "closing its connection"
        return RunnerLost(f"The runner ended by {how}.", reason="runner_crashed")


def _end_of(code: int) -> str:
    """An exit code of a child in words."""
    try:
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"
    except ValueError:
        return f"signal {-code}"


class Keeper:
    """All runners of one worker: as many as analyses run at a time, each started when it is needed."""

    def __init__(
        self,
        greeting: Message,
        limits: Limits,
        *,
        env: Mapping[str, str],
        command: Sequence[str] = COMMAND,
        finish_seconds: float = FINISH_SECONDS,
    ) -> None:
        self._greeting, self._limits, self._env, self._command = greeting, limits, env, command
        self._finish_seconds = finish_seconds
        self._ends_at: float | None = None
        self._idle: list[Runner] = []
        #: What the runner that finished last says of its network.
        self.ready: Message = {}
        self._lock = Lock()
        # The kernel ties a child to the thread that started it, so one thread, which stays, starts them all.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="runners")

    def open(self, tools: JobTools | None = None) -> Message:
        """Start the first runner; what it says of the network. Raises a ServiceError naming what is wrong."""
        runner = self._start(tools)
        try:
            ready = runner.greet(self._limits, self._nothing)
        except ServiceError:
            runner.end()
            raise
        self._idle.append(runner)
        return ready

    def perform(self, job: Job, wanted: Callable[[], bool]) -> Outcome:
        """Have a runner do one job (a ``Perform``).

        Raises RunnerLost when it hung, crashed or grew too large, LeaseLost once ``wanted`` says no,
        WorkerEnds some seconds after ``stop_soon``, and whatever reason the runner itself gave.
        """

        def stop() -> None:
            if not wanted():
                raise LeaseLost("Another worker took over.")
            if self._ends_at is not None and time.monotonic() >= self._ends_at:
                raise WorkerEnds("The worker was asked to end.")

        stop()
        runner = self._take()
        try:
            if runner is None:
                runner = self._start(job.tools)
                runner.greet(self._limits, stop)
            outcome = runner.work(job, self._limits, stop)
            self.ready = runner.ready
        except RunnerLost as error:
            log.warning("runner_ended", extra={"analysis_id": job.analysis_id, "code": error.reason.code})
            raise
        finally:
            if runner is not None:
                self._give_back(runner)
        return outcome

    def stop_soon(self) -> None:
        """Let what is under way go on for some seconds only."""
        self._ends_at = time.monotonic() + self._finish_seconds

    def close(self) -> None:
        """End every runner that waits; those at work are ended by their own thread."""
        with self._lock:
            idle, self._idle = self._idle, []
        for runner in idle:
            runner.end()
        self._starter.shutdown()

    def _start(self, tools: JobTools | None) -> Runner:
        greeting = self._greeting if tools is None else {**self._greeting, "tools": asdict(tools)}
        start = partial(Runner, self._command, greeting, env=self._env, parent=os.getpid())
        return self._starter.submit(start).result()

    def _take(self) -> Runner | None:
        """A runner that waits with its network open."""
        with self._lock:
            while self._idle:
                runner = self._idle.pop()
                if runner.alive:
                    return runner
                log.warning("idle_runner_gone", extra={"pid": runner.pid})
                runner.end()
        return None

    def _give_back(self, runner: Runner) -> None:
        """Keep a runner for the next job, or end it where nobody knows what it is doing."""
        if runner.usable and runner.alive:
            with self._lock:
                self._idle.append(runner)
        else:
            runner.end()

    def _nothing(self) -> None:
        """At the start there is nobody to give up for."""
