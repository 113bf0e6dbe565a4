"""A real PACS: what it vouches for, what it lost, and results by its DICOMweb plugin."""

import json
import urllib.request
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from service.core.status import OutputKind
from service.dicom.scu import Address
from service.pipeline.deliver import Destination
from service.receiver import open_door
from service.settings import load
from service.wire.dicomweb import WebAddress
from tests.make.outbox import CONFIRM, Outbox, sqlite_outbox
from tests.make.running import free_port, wait_for
from tests.make.servers import Orthanc, start_orthanc

# pynetdicom drops the socket of a refused connection without closing it; Python then does, and says so.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
CONFIRMED = ("confirmed", 0, None)
PEER = {"name": "pacs", "ae_title": "ORTHANC", "host": "127.0.0.1", "may_send": False}


@dataclass
class World:
    """Orthanc, our receiver that it reports to, and what waits for it."""

    orthanc: Orthanc
    outbox: Outbox
    number: int = 0

    def add(self) -> int:
        """A result whose objects nobody has seen yet."""
        self.number += 1
        return self.outbox.add(self.number)

    def dicom(self, confirm: str) -> Destination:
        """Orthanc by DICOM."""
        address = Address(
            host="127.0.0.1", port=self.orthanc.dicom_port, ae_title="ORTHANC", calling_ae="MYOSCREEN"
        )
        return Destination(name="pacs", address=address, outputs=tuple(OutputKind), confirm=confirm)

    def web(self, confirm: str) -> Destination:
        """Orthanc by DICOMweb."""
        url = f"{self.orthanc.url}/dicom-web"
        return replace(self.dicom(confirm), address=WebAddress(stow_url=url, qido_url=url))

    def uids(self) -> set[str]:
        """The objects of the latest result that Orthanc has."""
        return {
            tags["SOPInstanceUID"]
            for tags in self.orthanc.instances()
            if tags["SOPInstanceUID"].startswith(f"1.9.{self.number}.")
        }

    def lose(self, uid: str) -> None:
        """Have Orthanc forget one object."""
        (found,) = self.orthanc.post("/tools/lookup", uid)
        request = urllib.request.Request(f"{self.orthanc.url}{found['Path']}", method="DELETE")
        with urllib.request.urlopen(request, timeout=30) as answer:
            json.load(answer)

    def states(self, analysis_id: int) -> list[tuple[str, int | None, str | None]]:
        """Of the latest result."""
        del analysis_id
        return self.outbox.states()[-2:]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("orthanc"), free_port()
    with (
        start_orthanc(folder / "orthanc", receiver_port=port) as orthanc,
        sqlite_outbox(folder / "home") as outbox,
    ):
        peer = {**PEER, "port": orthanc.dicom_port, "outputs": ["SEG", "SC"], "confirm": "commitment"}
        outbox.now = datetime.now(UTC)  # the receiver's clock is a real one
        door = open_door(load(home=folder / "home", dicom_port=port, spool_min_free_mb=0, peer=(peer,)))
        try:
            yield World(orthanc, outbox)
        finally:
            door.close()


def test_it_vouches_for_what_it_was_sent_on_an_association_of_its_own(world):
    result = world.add()
    world.outbox.send(result, world.dicom("commitment"))
    assert world.states(result) == [("sent", 0, None)] * 2
    world.outbox.ask(result, world.dicom("commitment"))
    wait_for("the report", lambda: world.states(result) == [CONFIRMED] * 2, seconds=30)


def test_what_it_lost_alone_is_sent_again_and_then_vouched_for(world):
    result = world.add()
    kept, lost = f"1.9.{world.number}.1", f"1.9.{world.number}.2"
    world.outbox.send(result, world.dicom("commitment"))
    world.lose(lost)
    world.outbox.ask(result, world.dicom("commitment"))
    missing = ("pending", 0x0112, "not_committed")
    wait_for("the report", lambda: world.states(result) == [CONFIRMED, missing], seconds=30)
    assert world.uids() == {kept}
    world.outbox.wait()
    world.outbox.send(result, world.dicom("commitment"))
    assert world.uids() == {kept, lost}
    world.outbox.ask(result, world.dicom("commitment"))
    wait_for("the second report", lambda: world.states(result) == [CONFIRMED] * 2, seconds=30)
    assert [row.attempts for row in world.outbox.rows()[-2:]] == [1, 2]


@pytest.mark.parametrize("way", ["dicom", "web"])
def test_a_query_finds_what_is_there_and_misses_what_is_not(world, way):
    result = world.add()
    to = world.dicom("query") if way == "dicom" else world.web("query")
    world.outbox.send(result, to)
    assert world.states(result) == [("sent", 0, None)] * 2
    assert len(world.uids()) == 2
    world.lose(f"1.9.{world.number}.1")
    for _ in range(CONFIRM.attempts):
        world.outbox.ask(result, to)
        world.outbox.wait()
    assert world.states(result) == [("pending", 0x0112, "not_found"), CONFIRMED]


def test_what_stow_brought_is_byte_for_byte_what_we_made(world):
    result = world.add()
    world.outbox.send(result, world.web("none"))
    for kind, place in ((OutputKind.SEG, 1), (OutputKind.SC, 2)):
        (found,) = world.orthanc.post("/tools/lookup", f"1.9.{world.number}.{place}")
        assert (
            world.orthanc.get_bytes(f"{found['Path']}/file") == world.outbox.paths[result, kind].read_bytes()
        )


def test_a_file_that_orthanc_cannot_read_is_refused_and_the_other_stored(world):
    result = world.add()
    world.outbox.paths[result, OutputKind.SEG].write_bytes(b"\0" * 128 + b"DICM" + b"no dataset" * 20)
    world.outbox.send(result, world.web("none"))
    assert world.states(result) == [("dead", None, "http_refused"), ("sent", 0, None)]
    assert world.uids() == {f"1.9.{world.number}.2"}


def test_a_pacs_that_stops_and_starts_again_gets_everything_and_vouches_for_it(world):
    result, to = world.add(), world.dicom("commitment")
    world.orthanc.server.stop()
    world.outbox.send(result, to)
    assert world.states(result) == [("pending", None, "peer_unreachable")] * 2
    world.orthanc.server.start()
    wait_for("Orthanc to answer", world.orthanc.is_up, seconds=30)
    world.outbox.wait()
    world.outbox.send(result, to)
    world.outbox.ask(result, to)
    wait_for("the report", lambda: world.states(result) == [CONFIRMED] * 2, seconds=30)
    assert len(world.uids()) == 2
