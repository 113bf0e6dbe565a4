"""A service whose processes are killed while series go through it, and what must hold afterwards."""

import itertools
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pydicom

from service.db.session import Sessions, make_sessions
from service.dicom.archive import Archive
from service.dicom.synthesis import write_phantom
from tests.make import crashing
from tests.make.consistency import at_rest, troubles
from tests.make.crashing import Point
from tests.make.processes import children, is_gone
from tests.make.running import RunningService, free_port, running_service, wait_for
from tests.make.sending import Sender
from tests.make.series import STUDY_UID, mr_series

DOORS = ("receive", "work", "web")
KINDS = ["SEG", "SR", "SC", "PDF"]


class FolderArchive:
    """The built-in archive, and what it holds."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port = folder, free_port()
        self.archive = Archive(folder, ae_title="ARCHIVE").start(self.port)

    def settings(self) -> dict[str, Any]:
        """It, as a ``[[peer]]``."""
        return {
            "name": "archive",
            "ae_title": "ARCHIVE",
            "host": "127.0.0.1",
            "port": self.port,
            "outputs": KINDS,
        }

    def uids(self) -> list[str]:
        """SOP instance UIDs of what it holds."""
        return [
            str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)
            for path in self._folder.rglob("*.dcm")
        ]


@dataclass
class House:
    """One installation that is being hurt."""

    service: RunningService
    sessions: Sessions
    sender: Sender
    held: Callable[[], list[str]]
    folder: Path
    quick: bool
    max_attempts: int
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def home(self) -> Path:
        """HOME of the installation."""
        return self.service.home

    def new_series(self, slices: int = 5) -> list[Path]:
        """Images of a person who was never here."""
        number = next(self._numbers)
        if not self.quick:
            return write_phantom(self.folder / f"in-{number}", slices=slices, seed=number)
        changes = {"StudyInstanceUID": f"{STUDY_UID}.7.{number}", "PatientID": f"P{number}"}
        positions = [4.0 * index for index in range(slices)]
        return mr_series(
            self.folder / f"in-{number}", series=1000 + number, changes=changes, positions=positions
        )

    def tend(self) -> int:
        """Start every door that is not there, as a supervisor does; how many that were."""
        dead = [door for door in DOORS if self._is_dead(door)]
        self.service.start(*dead)
        return len(dead)

    def _is_dead(self, door: str) -> bool:
        process = self.service.processes.get(door)
        return process is None or process.poll() is not None

    def rerun_newest(self) -> None:
        """Ask for a rerun; whoever is killed meanwhile leaves the question open."""
        self.service.await_up()
        newest = self.service.analyses()[0]
        try:
            httpx.post(
                f"{self.service.url}/api/v1/analyses/{newest['id']}/rerun",
                headers={"Authorization": f"Bearer {self.service.key}"},
                timeout=20,
            )
        except httpx.TransportError:
            return

    def kill_at(self, point: Point) -> None:
        """Play one series through the house and have it killed at this point."""
        victim = "work" if point.victim == "worker" else point.process
        crashing.arm(self.home, point)
        paths = self.new_series()
        if point.process == "web":
            self.rerun_newest()
        else:
            self.sender.send_in_background(paths)
        wait_for(f"the kill at {point.name}", lambda: crashing.fired(self.home), seconds=60)
        if victim in DOORS:
            process = self.service.processes[victim]
            assert process.wait(20) == -signal.SIGKILL
            self.tend()
        self.sender.join()
        self.settle()

    def settle(self, *, seconds: float = 120) -> None:
        """Wait until nothing waits any more, and demand that everything is as it must be."""
        try:
            wait_for(
                "rest",
                lambda: self.tend() == 0 and at_rest(self.sessions, self.sender.promised),
                seconds=seconds,
            )
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.look()}\n{self.service.logs()}") from None
        found = self.look()
        assert found == [], f"{found}\n{self.service.logs()}"

    def look(self) -> list[str]:
        """Everything that is wrong now."""
        return troubles(
            self.sessions,
            self.home,
            promised=self.sender.promised,
            archive=self.held(),
            max_attempts=self.max_attempts,
        )

    def runners(self) -> list[int]:
        """Process ids of the runners."""
        worker = self.service.processes.get("work")
        return children(worker.pid) if worker is not None and not is_gone(worker.pid) else []


@contextmanager
def house(
    folder: Path, *, quick: bool, max_attempts: int = 3, peer: Any = None, **settings: str
) -> Iterator[House]:
    """A running installation with an archive as its peer (``peer``: another one, such as Orthanc)."""
    own = None if peer else FolderArchive(folder / "archive")
    target = peer or own
    home = folder / "home"
    home.mkdir(parents=True)
    values = {"lease_seconds": "2", "delivery_backoff_seconds": "0.2", "quiet_seconds": "0.5", **settings}
    beside = {crashing.FOLDER: str(home), **({crashing.QUICK: "1"} if quick else {})}
    sender = {"name": "sender", "ae_title": "SENDER", "host": "127.0.0.1"}
    try:
        with running_service(
            home,
            peers=(target.settings(), sender),
            doors=DOORS,
            module="tests.make.crashing",
            beside=beside,
            max_attempts=str(max_attempts),
            spool_min_free_mb="0",
            **values,
        ) as service:
            sessions = make_sessions(settings.get("database_url", f"sqlite:///{home / 'myoscreen.db'}"))
            found = House(
                service,
                sessions,
                Sender(service.dicom_port),
                target.uids,
                folder,
                quick,
                max_attempts,
            )
            yield found
            sessions.kw["bind"].dispose()
    finally:
        if own:
            own.archive.stop()
