"""A series is complete when as many images are here as its sender says there are."""

import urllib.request
from datetime import timedelta

import pydicom
import pytest
from sqlalchemy import select

from service.db.session import reading
from service.db.tables import Event, Series
from service.dicom import scu
from service.dicom.counting import count_images
from service.dicom.spool import Spool
from service.errors import ConfigurationError
from service.pipeline import sweep
from service.pipeline.close import Closing
from service.pipeline.counting import AWAY, SETTLE, Asked
from service.settings import load
from service.wire import dicomweb
from service.wire.dicomweb import WebAddress
from service.worker.main import counting
from tests.make.peers import fake_peer
from tests.make.received import NOW, take_in
from tests.make.running import free_port
from tests.make.series import mr_series
from tests.make.servers import start_orthanc

pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)

QUIET, CAP = timedelta(seconds=60), timedelta(minutes=30)
GRACE = 30.0


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with start_orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


@pytest.fixture
def orthanc(running):
    """A PACS that has nothing yet."""
    for patient in running.get("/patients"):
        url = f"{running.url}/patients/{patient}"
        urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=30).close()
    return running


def address(port, **changes):
    return scu.Address(host="127.0.0.1", port=port, ae_title="ORTHANC", calling_ae="MYOSCREEN", **changes)


def web_address(orthanc):
    root = f"{orthanc.url}/dicom-web"
    return WebAddress(stow_url=root, qido_url=root)


class World:
    """One sweeper that asks one peer about what "SENDER" sends; the test moves its clocks."""

    def __init__(self, sessions, home, where):
        self.sessions, self.now, self.steady = sessions, NOW, 0.0
        self.spool = Spool(home / "spool")
        self.sweeper = sweep.Sweeper(
            sessions,
            self.spool,
            sweep.Terms(
                closing=Closing(quiet=QUIET, hard_cap=CAP),
                lease_seconds=60,
                max_attempts=3,
                delivery_attempts=3,
                peers=(),
                counting={"SENDER": Asked(name="pacs", address=where)},
            ),
            home=home,
            clock=lambda: self.now,
            steady_clock=lambda: self.steady,
        )

    def take_in(self, paths):
        take_in(self.sessions, self.spool, paths, now=self.now)

    def sweep(self, after):
        """Sweep so long after now, and once more when the answer is there."""
        self.now += after
        self.steady += after.total_seconds()
        self.sweeper.sweep()
        self.sweeper._counting.wait(GRACE)
        self.sweeper.sweep()
        with reading(self.sessions) as db:
            row = db.scalars(select(Series)).one()
            return row.state, row.completion_reason, row.expected

    def events(self, name):
        with reading(self.sessions) as db:
            return [row.detail for row in db.scalars(select(Event).where(Event.name == name))]


@pytest.fixture
def world(sessions, tmp_path, orthanc):
    return World(sessions, tmp_path / "home", address(orthanc.dicom_port))


def at_orthanc(orthanc, folder):
    """A series that Orthanc has."""
    paths = mr_series(folder)
    assert {each.status for each in scu.store(paths, address(orthanc.dicom_port))} == {0}
    return paths


def test_a_series_is_closed_as_soon_as_all_images_are_here_that_orthanc_counts(world, orthanc, tmp_path):
    paths = at_orthanc(orthanc, tmp_path / "a")
    world.take_in(paths)
    assert world.sweep(SETTLE / 2) == ("receiving", None, None)
    assert world.sweep(SETTLE) == ("closed", "counted", len(paths))
    (detail,) = world.events("series_closed")
    assert (detail["reason"], detail["images"], detail["expected"]) == ("counted", len(paths), len(paths))


def test_it_stays_open_beyond_the_quiet_time_while_images_are_missing(world, orthanc, tmp_path):
    paths = at_orthanc(orthanc, tmp_path / "a")
    # Without the last one there is no hole: geometry alone would call it complete.
    world.take_in(paths[:-1])
    assert world.sweep(SETTLE) == ("receiving", None, len(paths))
    assert world.sweep(3 * QUIET) == ("receiving", None, len(paths))
    world.take_in(paths[-1:])
    assert world.sweep(SETTLE) == ("closed", "counted", len(paths))
    assert world.events("series_counted") == [{"expected": len(paths)}]


def test_the_hard_cap_ends_the_waiting_and_says_how_many_there_should_be(world, orthanc, tmp_path):
    paths = at_orthanc(orthanc, tmp_path / "a")
    world.take_in(paths[:-1])
    world.sweep(SETTLE)
    assert world.sweep(CAP) == ("closed", "hard_cap", len(paths))
    (detail,) = world.events("series_closed")
    assert (detail["images"], detail["expected"]) == (len(paths) - 1, len(paths))


def test_late_images_of_a_counted_series_make_a_new_version(world, orthanc, tmp_path):
    paths = mr_series(tmp_path / "a")
    scu.store(paths[:-1], address(orthanc.dicom_port))
    world.take_in(paths[:-1])
    assert world.sweep(SETTLE)[:2] == ("closed", "counted")
    scu.store(paths[-1:], address(orthanc.dicom_port))
    world.now += 2 * QUIET
    world.take_in(paths[-1:])
    assert world.sweep(SETTLE) == ("closed", "counted", len(paths))
    assert [detail["version"] for detail in world.events("analysis_ready")] == [1, 2]


def test_a_series_that_the_peer_does_not_know_is_closed_after_the_quiet_time(world, tmp_path):
    world.take_in(mr_series(tmp_path / "a"))
    assert world.sweep(SETTLE) == ("receiving", None, None)
    assert world.events("count_unknown") == [{"peer": "pacs", "code": "series_not_known"}]
    assert world.sweep(QUIET)[:2] == ("closed", "quiet")


def test_a_peer_that_is_away_delays_nothing_and_is_left_alone(sessions, tmp_path):
    world = World(sessions, tmp_path / "home", address(free_port()))
    world.take_in(mr_series(tmp_path / "a"))
    world.sweep(SETTLE)
    world.sweep(SETTLE)
    assert world.events("count_unknown") == [{"peer": "pacs", "code": "peer_unreachable"}]
    assert world.sweep(timedelta(seconds=AWAY))[:2] == ("receiving", None)
    assert len(world.events("count_unknown")) == 2
    assert world.sweep(QUIET)[:2] == ("closed", "quiet")


def test_a_peer_that_never_answers_does_not_hold_the_sweep(sessions, tmp_path):
    peer = fake_peer()
    peer.mute = True
    world = World(sessions, tmp_path / "home", address(peer.port))
    world.take_in(mr_series(tmp_path / "a"))
    with peer.listening():
        world.sweep(SETTLE)
        assert world.sweep(QUIET)[:2] == ("closed", "quiet")
    assert world.events("count_unknown") != []


def test_series_of_others_are_not_asked_about(sessions, tmp_path, orthanc):
    world = World(sessions, tmp_path / "home", address(orthanc.dicom_port))
    world.sweeper._counting.peers = {"OTHER": Asked(name="pacs", address=address(orthanc.dicom_port))}
    world.take_in(at_orthanc(orthanc, tmp_path / "a"))
    assert world.sweep(SETTLE) == ("receiving", None, None)


def test_dicomweb_and_c_find_give_the_same_count(orthanc, tmp_path):
    paths = at_orthanc(orthanc, tmp_path / "a")
    header = pydicom.dcmread(paths[0], stop_before_pixels=True)
    uids = (header.StudyInstanceUID, header.SeriesInstanceUID)
    (counted,) = count_images([uids], address(orthanc.dicom_port))
    assert counted == dicomweb.count_images(*uids, web_address(orthanc)) == len(paths)
    assert dicomweb.count_images(uids[0], "1.2.3", web_address(orthanc)) is None


def test_the_settings_say_who_is_asked(tmp_path):
    peer = {"name": "a", "ae_title": "PACS", "host": "127.0.0.1", "count": "query"}
    with pytest.raises(ConfigurationError, match="cannot be asked for counts"):
        load(home=tmp_path, peer=[peer])
    settings = load(home=tmp_path, peer=[{**peer, "port": 104}, {"name": "b", "ae_title": "B", "host": "h"}])
    assert {title: asked.name for title, asked in counting(settings).items()} == {"PACS": "a"}
