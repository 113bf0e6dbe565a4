"""A door of the service, started so that a test can have it killed at one exact step of the path.

``python -m tests.make.crashing DOOR`` is ``python -m service.cli DOOR`` with a wrapper around each function
of POINTS that belongs to the door. A wrapper does nothing but look whether its point is armed (a file in
HOME that names it); then it takes the file away and kills a process as ``kill -9`` does.
"""

import functools
import importlib
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ARMED, FIRED = "armed", "fired"
RUNNER = "runner"
#: Where the processes look for the armed point; not a setting, so runners have it too.
FOLDER = "CRASHING_FOLDER"
#: Set: analyses are done by ``stand_in.analyse``, which needs no network.
QUICK = "CRASHING_QUICK"


@dataclass(frozen=True)
class Point:
    """One moment in the life of one process."""

    #: Step of the path in ARCHITECTURE, "How a series walks through".
    step: int
    #: Process whose life this is: receive, work, web or runner.
    process: str
    #: Module and function, as the one who calls it names it.
    target: str
    #: "before" or "after" the call; "gave": after it returned something.
    when: str
    #: What is killed: the process itself, or the "worker" of a runner.
    victim: str = "self"

    @property
    def name(self) -> str:
        """How it is armed and shown."""
        whom = "" if self.victim == "self" else f", kills the {self.victim}"
        return f"{self.step}: {self.process} {self.when} {self.target.rpartition(':')[2]}{whom}"


def _runner_points() -> tuple[Point, ...]:
    steps = [
        (6, "service.pipeline.attempt:scan", "before"),
        (6, "service.pipeline.analyse:read_images", "after"),
        (7, "service.pipeline.analyse:why_not_eligible", "after"),
        (8, "service.pipeline.look:clean_compartment", "before"),
        (9, "service.pipeline.analyse:measure_contents", "after"),
        (10, "service.core.scoring:raise_flags", "after"),
        (11, "service.pipeline.analyse:write_objects", "after"),
        (11, "service.pipeline.attempt:attempt", "after"),
    ]
    return tuple(
        Point(step, RUNNER, target, when, victim)
        for step, target, when in steps
        for victim in ("self", "worker")
    )


POINTS = (
    Point(1, "receive", "service.dicom.spool:Incoming.keep", "before"),
    Point(2, "receive", "os:fsync", "before"),
    Point(2, "receive", "service.dicom.spool:Incoming.keep", "after"),
    Point(3, "receive", "service.db.ledger:record_instances", "after"),
    Point(3, "receive", "service.pipeline.intake:Recorder.record", "after"),
    Point(4, "work", "service.pipeline.sweep:close_series", "before"),
    Point(4, "work", "service.db.versions:make_ready", "gave"),
    Point(4, "work", "service.pipeline.sweep:close_series", "gave"),
    Point(5, "work", "service.db.queries:claim_analysis", "gave"),
    Point(5, "work", "service.pipeline.run:_job", "before"),
    *_runner_points(),
    Point(11, "work", "service.pipeline.run:_settle", "before"),
    Point(11, "work", "service.db.queries:save_finding", "after"),
    Point(11, "work", "service.pipeline.run:_publish", "after"),
    Point(12, "work", "service.db.deliveries:claim_deliveries", "gave"),
    Point(12, "work", "service.pipeline.deliver:_send", "before"),
    Point(12, "work", "service.pipeline.deliver:_send", "after"),
    Point(12, "work", "service.pipeline.deliver:_record", "after"),
    # A person asks for a rerun: the web door writes one row, before and after its commit.
    Point(12, "web", "service.db.orders:order_rerun", "after"),
    Point(12, "web", "service.web.api:note_access", "before"),
)


def arm(folder: Path, point: Point) -> None:
    """Have a process killed when it comes to this point."""
    (folder / FIRED).unlink(missing_ok=True)
    (folder / ARMED).write_text(point.name, "utf-8")


def fired(folder: Path) -> bool:
    """Whether the armed point was come to."""
    return (folder / FIRED).exists()


def _wrapped(function: Callable[..., Any], points: list[Point], folder: Path) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        _die_at([point for point in points if point.when == "before"], folder)
        result = function(*args, **kwargs)
        _die_at([point for point in points if point.when == "after"], folder)
        gave = [point for point in points if point.when == "gave"]
        if gave and result:
            _die_at(gave, folder)
        return result

    return wrapper


def _die_at(points: list[Point], folder: Path) -> None:
    """Kill whom the armed point names, if it is one of these; of several processes one does it."""
    if not points:
        return
    try:
        armed = (folder / ARMED).read_text("utf-8")
        point = next((point for point in points if point.name == armed), None)
        if point is None:
            return
        (folder / ARMED).rename(folder / FIRED)
    except OSError:
        return
    if point.victim == "worker":
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def install(process: str, folder: Path) -> None:
    """Wrap what belongs to this process; a name that is not there any more is an error."""
    targets: dict[str, list[Point]] = {}
    for point in POINTS:
        if point.process == process:
            targets.setdefault(point.target, []).append(point)
    for target, points in targets.items():
        module, _, path = target.partition(":")
        owner: Any = importlib.import_module(module)
        *holders, name = path.split(".")
        for holder in holders:
            owner = getattr(owner, holder)
        setattr(owner, name, _wrapped(getattr(owner, name), points, folder))


def run_door(door: str) -> None:
    """The door as the command line starts it; a worker starts runners of this module."""
    if door == "work":
        main = importlib.import_module("service.worker.main")
        main.work.__kwdefaults__["command"] = (sys.executable, "-m", "tests.make.crashing", RUNNER)
    install(door, Path(os.environ[FOLDER]))
    importlib.import_module("service.cli").main()


def run_jobs() -> None:
    """The runner of that worker."""
    sys.argv.remove(RUNNER)
    attempt = importlib.import_module("service.pipeline.attempt")
    runner = importlib.import_module("service.worker.runner")
    if os.environ.get(QUICK):
        stand_in = importlib.import_module("tests.make.stand_in")
        attempt.analyse_inputs = stand_in.analyse
        runner.Toolbox = lambda _recipe: SimpleNamespace(open=lambda _tools: stand_in.WORKSHOP)
    install(RUNNER, Path(os.environ[FOLDER]))
    runner.attempt = attempt.attempt
    runner.main()


if __name__ == "__main__":
    run_jobs() if RUNNER in sys.argv else run_door(sys.argv[1])
