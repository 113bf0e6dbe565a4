"""Past studies are fetched from a real Orthanc, at a pace and by a clock; every line ends by name."""

import signal
import threading
import urllib.request
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from sqlalchemy import func, select
from typer.testing import CliRunner

from service.cli import build_app
from service.core.offpeak import parse_window
from service.core.retrieval import Found, FoundSeries, Moved
from service.core.status import AnalysisState, BackfillOutcome
from service.db import backfills, deliveries, optouts, patients, retention
from service.db.session import reading
from service.db.tables import Analysis, Backfill, Delivery, Instance, Output, Series, Study
from service.dicom import scu
from service.dicom.commitment import STUDY_ROOT_FIND
from service.dicom.retrieving import STUDY_ROOT_MOVE, Archive
from service.errors import ConfigurationError, PeerUnreachable, StoreRefused
from service.pipeline import backfill
from service.pipeline.backfill import Terms
from service.wire.dicomweb import WebAddress
from service.wire.retrieve import WebArchive
from service.worker.archives import archives
from tests.make.received import NOW
from tests.make.running import free_port
from tests.make.series import mr_series
from tests.make.servers import start_orthanc

pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
ALWAYS = Terms(per_hour=3600, window=None, attempts=3)
BY = pytest.mark.parametrize("by", ["move", "web"])


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    receiver_port = free_port()
    with start_orthanc(tmp_path_factory.mktemp("orthanc"), receiver_port=receiver_port) as orthanc:
        yield orthanc, receiver_port


@pytest.fixture
def orthanc(running):
    """A PACS that has nothing yet."""
    orthanc, _ = running
    for patient in orthanc.get("/patients"):
        url = f"{orthanc.url}/patients/{patient}"
        urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=30).close()
    return orthanc


@pytest.fixture
def settings_of_peer(orthanc):
    def peer(by):
        web = {"stow_url": f"{orthanc.url}/dicom-web", "port": None} if by == "web" else {}
        return orthanc.settings(outputs=[], **web)

    return peer


def study_uid(number):
    return f"1.2.826.0.1.3680043.10.1.{number}"


def at_orthanc(orthanc, folder, number, *, images=3, **changes):
    """One study that Orthanc has, of patient P{number} with the accession number A{number}."""
    uid = study_uid(number)

    def named(dataset, index):
        dataset.SOPInstanceUID = f"{uid}.{changes.get('SeriesNumber', 1)}.{index + 1}"

    values = {
        "StudyInstanceUID": uid,
        "SeriesInstanceUID": f"{uid}.{changes.get('SeriesNumber', 1)}",
        "PatientID": f"P{number}",
        "AccessionNumber": f"A{number}",
        "StudyDate": "20190304",
    }
    paths = mr_series(
        folder / f"{number}-{changes.get('SeriesNumber', 1)}",
        positions=[4.0 * index for index in range(images)],
        changes={**values, **changes},
        each=named,
    )
    address = scu.Address(
        host="127.0.0.1", port=orthanc.dicom_port, ae_title="ORTHANC", calling_ae="MYOSCREEN"
    )
    assert {each.status for each in scu.store(paths, address)} == {0}


class Run:
    """A back-fill whose clock is moved by waiting."""

    def __init__(self, sessions, home, sources, terms=ALWAYS, *, most=500):
        self.now, self.sessions, self.starts, self._left = NOW, sessions, [], most
        self.sources = sources
        self.work = backfill.Backfill(
            sessions=sessions,
            home=home,
            sources=sources,
            terms=terms,
            clock=lambda: self.now,
            wait=self.wait,
            local=lambda now: now,
        )

    def wait(self, seconds):
        self.now += timedelta(seconds=seconds)
        self._left -= 1
        return self._left < 0

    def add(self, *values, kind="study", peer="pacs", deliver=False):
        with self.sessions.begin() as session:
            for value in values:
                backfills.add(session, peer=peer, kind=kind, value=value, deliver=deliver, now=self.now)

    def __call__(self):
        return {outcome.value: count for outcome, count in self.work.run().items()}

    def row(self, value):
        with reading(self.sessions) as session:
            return session.scalars(select(Backfill).where(Backfill.value == value)).one()


def images_here(sessions, number):
    with reading(sessions) as session:
        rows = select(func.count(Instance.id)).join(Series).join(Study)
        return session.scalar(rows.where(Study.study_uid == study_uid(number)))


@pytest.fixture
def at_hand(open_door, make_settings, running, settings_of_peer):
    """A receiver, and a back-fill from Orthanc in one of the two ways."""

    def make(by, terms=ALWAYS):
        _, port = running
        changes = {"dicom_port": port, "peer": [settings_of_peer(by)]}
        door, settings = open_door(**changes), make_settings(**changes)
        return Run(door.sessions, settings.home, archives(settings, door.sessions), terms)

    return make


@BY
def test_studies_are_fetched_and_every_line_ends_by_name(at_hand, orthanc, tmp_path, by):
    run = at_hand(by)
    for number in (1, 2, 3):
        at_orthanc(orthanc, tmp_path, number)
    at_orthanc(orthanc, tmp_path, 1, images=2, SeriesNumber=2, Modality="PR")
    at_orthanc(orthanc, tmp_path, 4, Modality="CT")
    with run.sessions.begin() as session:
        optouts.add(session, run.work.home, ("p3", ""), reason="", actor="test", now=NOW)
    run.add(*(study_uid(number) for number in (1, 3, 4, 9)))
    run.add("A2", "A4", "A9", kind="accession")
    assert run() == {"pulled": 2, "nothing_there": 4, "opted_out": 1, "resolved": 1}
    outcomes = {
        value: run.row(value).outcome for value in (study_uid(1), study_uid(2), study_uid(3), study_uid(4))
    }
    assert outcomes == {
        study_uid(1): "pulled",
        study_uid(2): "pulled",
        study_uid(3): "opted_out",
        study_uid(4): "nothing_there",
    }
    assert (run.row("A2").outcome, run.row("A9").outcome) == ("resolved", "nothing_there")
    assert run.row(study_uid(9)).reason_code == "study_not_found"
    assert (run.row(study_uid(1)).count, images_here(run.sessions, 1)) == (3, 3)
    assert [images_here(run.sessions, number) for number in (2, 3, 4)] == [3, 0, 0]
    with reading(run.sessions) as session:
        assert {row.calling_ae for row in session.scalars(select(Series))} == {"ORTHANC"}


@BY
def test_what_is_here_is_not_fetched_again_and_what_is_missing_is(at_hand, orthanc, tmp_path, by):
    run = at_hand(by)
    at_orthanc(orthanc, tmp_path, 1)
    run.add(study_uid(1))
    assert run() == {"pulled": 1}
    with run.sessions.begin() as session:
        session.execute(Backfill.__table__.delete())
    at_orthanc(orthanc, tmp_path, 1, SeriesNumber=2)
    run.add(study_uid(1))
    assert run() == {"pulled": 1}
    assert (run.row(study_uid(1)).count, images_here(run.sessions, 1)) == (3, 6)
    with run.sessions.begin() as session:
        session.execute(Backfill.__table__.delete())
    run.add(study_uid(1))
    assert run() == {"already_here": 1}


@BY
def test_the_studies_with_mr_of_a_day_are_found(at_hand, orthanc, tmp_path, by):
    run = at_hand(by)
    at_orthanc(orthanc, tmp_path, 1)
    at_orthanc(orthanc, tmp_path, 2, Modality="CT")
    at_orthanc(orthanc, tmp_path, 3, StudyDate="20190305")
    found = run.sources["pacs"].find(day="20190304")
    assert [each.study_uid for each in found if each.may_hold_mr] == [study_uid(1)]


@contextmanager
def moving(*answers):
    """A peer that answers every C-FIND with one study, and C-MOVE with this."""

    def find(event):
        match = Dataset()
        match.StudyInstanceUID, match.SeriesInstanceUID, match.Modality = "1.2.3.5", "1.2.3.5.1", "MR"
        yield 0xFF00, match

    def move(event):
        yield from answers

    application = AE(ae_title="PEER")
    for uid in (STUDY_ROOT_FIND, STUDY_ROOT_MOVE):
        application.add_supported_context(uid)
    handlers = [(evt.EVT_C_FIND, find), (evt.EVT_C_MOVE, move)]
    server = application.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    address = scu.Address(
        host="127.0.0.1", port=server.server_address[1], ae_title="PEER", calling_ae="MYOSCREEN"
    )
    try:
        yield Archive(address=address, destination="MYOSCREEN")
    finally:
        server.shutdown()


def test_a_peer_that_cannot_send_to_us_ends_the_run_and_costs_no_line(sessions, tmp_path):
    with moving((None, None)) as archive:
        run = Run(sessions, tmp_path, {"pacs": archive})
        run.add("1.2.3.5")
        with pytest.raises(ConfigurationError, match="does not know our AE title MYOSCREEN"):
            run()
    assert (run.row("1.2.3.5").outcome, run.row("1.2.3.5").attempts) == (None, 0)


class Said:
    """An association on which C-MOVE has these statuses."""

    def __init__(self, *statuses):
        self.statuses = statuses

    def send_c_move(self, *_):
        for code, numbers in self.statuses:
            status = Dataset()
            status.Status = code
            for keyword, number in numbers.items():
                setattr(status, keyword, number)
            yield status, None


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (((0xFF00, {}), (0x0000, {"NumberOfCompletedSuboperations": 5})), Moved(images=5, failed=0)),
        (
            ((0xB000, {"NumberOfCompletedSuboperations": 3, "NumberOfFailedSuboperations": 2}),),
            Moved(images=3, failed=2),
        ),
        (((0xA900, {}),), "move_refused"),
        (((0x0124, {}),), "move_refused"),
        (((0xA702, {}),), "move_failed"),
        (((0xC000, {}),), "move_failed"),
        (((0xFF00, {}),), "move_failed"),
        (((0xA801, {}),), "move_destination_unknown"),
        ((), "move_failed"),
    ],
)
def test_every_answer_to_c_move_has_its_meaning(statuses, expected):
    address = scu.Address(host="", port=1, ae_title="PEER", calling_ae="MYOSCREEN")
    archive = Archive(address=address, destination="MYOSCREEN")
    if isinstance(expected, Moved):
        assert archive._move(Said(*statuses), "1.2", "1.2.3") == expected
        return
    with pytest.raises((PeerUnreachable, StoreRefused, ConfigurationError)) as error:
        archive._move(Said(*statuses), "1.2", "1.2.3")
    assert error.value.reason.code == expected


def test_images_that_do_not_arrive_are_tried_again_and_given_up_by_name(
    make_settings, orthanc, settings_of_peer, sessions, tmp_path
):
    # Nobody listens where the peer sends to.
    run = Run(sessions, tmp_path, archives(make_settings(peer=[settings_of_peer("move")]), sessions))
    at_orthanc(orthanc, tmp_path, 1)
    run.add(study_uid(1))
    assert run() == {"failed": 1}
    assert run.row(study_uid(1)).attempts == 3
    assert run.row(study_uid(1)).reason_code in ("images_missing", "move_failed")


class Peer:
    """A source that does what a test says."""

    def __init__(self, *does):
        self.does, self.pulled = list(does), []

    def find(self, *, study_uid="", accession_number="", day=""):
        return [Found(study_uid=study_uid or "1.2.3.4", patient_id="P1")]

    def series_of(self, study_uid):
        return [FoundSeries(f"{study_uid}.1", None)]

    def pull(self, study_uid, series_uids):
        self.pulled.append(study_uid)
        does = self.does.pop(0) if self.does else Moved(images=3, failed=0)
        if isinstance(does, BaseException):
            raise does
        return does


@pytest.fixture
def with_peer(sessions, tmp_path):
    def make(*does, terms=ALWAYS, **changes):
        return Run(sessions, tmp_path, {"pacs": Peer(*does)}, terms, **changes)

    return make


def lost(code="move_failed"):
    return PeerUnreachable("Something.", reason=code)


def test_a_line_is_given_up_after_all_its_tries_with_longer_and_longer_waits(with_peer):
    run = with_peer(lost(), lost(), Moved(images=2, failed=1))
    run.add("1.2.3.5")
    assert run() == {"failed": 1}
    row = run.row("1.2.3.5")
    assert (row.attempts, row.reason_code) == (3, "images_missing")
    assert run.now - NOW >= 3 * backfill.AGAIN
    with run.sessions.begin() as session:
        assert backfills.retry(session, None, now=run.now) == 1
    assert run() == {"pulled": 1}


def test_a_refusal_is_final(with_peer):
    run = with_peer(StoreRefused("No.", reason="wado_refused"))
    run.add("1.2.3.5", "1.2.3.6")
    assert run() == {"refused": 1, "pulled": 1}
    assert run.row("1.2.3.5").reason_code == "wado_refused"


def test_a_peer_that_is_away_costs_no_line_its_tries_and_keeps_nobody_else_waiting(with_peer):
    run = with_peer(*[lost("peer_unreachable")] * 5)
    other = Peer()
    run.work.sources = {**run.work.sources, "other": other}
    run.add("1.2.3.5", "1.2.3.6")
    run.add("1.2.3.7", peer="other")
    assert run() == {"pulled": 3}
    assert run.row("1.2.3.5").attempts == 1
    assert other.pulled == ["1.2.3.7"]
    # After 1, 2, 4, 8 and 16 minutes.
    assert run.now - NOW >= timedelta(minutes=31)


def test_no_more_studies_are_fetched_in_an_hour_than_allowed_also_by_the_next_process(with_peer):
    run = with_peer(terms=Terms(per_hour=4, window=None, attempts=3))
    run.add(*(f"1.2.3.{number}" for number in range(5, 9)))
    assert run() == {"pulled": 4}
    assert timedelta(minutes=45) <= run.now - NOW < timedelta(minutes=50)
    run.add("1.2.3.9")
    again = Run(run.sessions, run.work.home, run.sources, run.work.terms)
    again.now = run.now
    assert again() == {"pulled": 1}
    assert again.now - NOW >= timedelta(minutes=60)


def test_nothing_is_asked_for_outside_the_hours(with_peer):
    window = parse_window("20:00-22:00")
    run = with_peer(terms=Terms(per_hour=1, window=window, attempts=3), most=2000)
    run.now = NOW.replace(hour=19, minute=50)
    times = []
    pull = run.sources["pacs"].pull
    run.sources["pacs"].pull = lambda *each: times.append(run.now) or pull(*each)
    run.add("1.2.3.5", "1.2.3.6", "1.2.3.7")
    assert run() == {"pulled": 3}
    assert all(window.contains(each.time()) for each in times)
    assert [(each.day - NOW.day, each.hour) for each in times] == [(0, 20), (0, 21), (1, 20)]


def test_a_killed_run_is_gone_on_with(with_peer):
    run = with_peer(KeyboardInterrupt())
    run.add("1.2.3.5", "1.2.3.6")
    with pytest.raises(KeyboardInterrupt):
        run()
    assert run.row("1.2.3.5").outcome is None
    again = Run(run.sessions, run.work.home, run.sources)
    assert again() == {"pulled": 2}
    assert again.row("1.2.3.5").attempts == 2
    assert again.now - NOW >= backfills.HOLD


def test_the_list_is_not_read_without_its_key(with_peer):
    run = with_peer()
    with run.sessions.begin() as session:
        optouts.add(session, run.work.home, ("P9", ""), reason="", actor="test", now=NOW)
    (run.work.home / optouts.KEY_NAME).unlink()
    run.add("1.2.3.5")
    with pytest.raises(ConfigurationError, match="key of the opt-out list"):
        run()
    assert run.sources["pacs"].pulled == []
    assert run.row("1.2.3.5").attempts == 0


def an_object(sessions, uid):
    """The row of an object of an analysis of this study."""
    with sessions.begin() as session:
        study = session.scalar(select(Study).where(Study.study_uid == uid))
        if study is None:
            study = Study(study_uid=uid, created_at=NOW)
            session.add(study)
            session.flush()
        analysis = Analysis(
            study_id=study.id,
            input_digest="d",
            state=AnalysisState.MEASURED,
            object_time=NOW,
            created_at=NOW,
        )
        session.add(analysis)
        session.flush()
        output = Output(
            analysis_id=analysis.id,
            kind="SR",
            sop_class_uid="1.2",
            sop_instance_uid=f"{uid}.77",
            path="p",
            sha256="s",
            size=1,
        )
        session.add(output)
        session.flush()
        return output.id


@pytest.mark.parametrize(
    ("deliver", "known", "planned"), [(False, False, 0), (True, False, 1), (False, True, 1)]
)
def test_results_of_fetched_studies_go_nowhere_unless_wanted_or_the_study_was_here(
    with_peer, deliver, known, planned
):
    run = with_peer()
    if known:
        an_object(run.sessions, "1.2.3.5")
    run.add("1.2.3.5", deliver=deliver)
    assert run() == {"pulled": 1}
    if known:
        with run.sessions.begin() as session:
            output = session.scalar(select(Output.id))
    else:
        output = an_object(run.sessions, "1.2.3.5")
    with run.sessions.begin() as session:
        deliveries.plan(session, [("SR", output)], peer="pacs", kinds=["SR"], now=NOW)
        assert session.scalar(select(func.count(Delivery.id))) == planned


def test_a_study_that_is_deleted_takes_its_lines_along(with_peer):
    run = with_peer()
    an_object(run.sessions, "1.2.3.5")
    with run.sessions.begin() as session:
        study = session.scalars(select(Study)).one()
        study.accession_number = "A5"
        study_id = study.id
    run.add("1.2.3.5", "1.2.3.6")
    run.add("A5", "A6", "1.2.3.5", kind="accession")
    with run.sessions.begin() as session:
        told = dict(patients.rows_of(session, study_id))["backfills"]
        retention.delete_study(session, study_id, now=NOW)
        left = session.execute(select(Backfill.kind, Backfill.value)).all()
    assert [(each["kind"], each["value"]) for each in told] == [("study", "1.2.3.5"), ("accession", "A5")]
    assert {tuple(row) for row in left} == {
        ("study", "1.2.3.6"),
        ("accession", "A6"),
        ("accession", "1.2.3.5"),
    }


@contextmanager
def canned(status, headers, body):
    """A server of DICOMweb with one answer for everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        root = f"http://127.0.0.1:{server.server_port}"
        yield WebAddress(stow_url=root, qido_url=root, answer_seconds=5)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Taker:
    """Keeps nothing but how it ended."""

    def __init__(self, ends):
        self.ends, self.size = ends, 0

    def write(self, piece):
        self.size += len(piece)

    def finish(self):
        self.ends.append(self.size)
        return 0 if self.size else 0xC000

    def abandon(self):
        self.ends.append("abandoned")


MULTIPART = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}
PART = b"--b\r\nContent-Type: application/dicom\r\n\r\n%s\r\n"


@pytest.mark.parametrize(
    ("status", "headers", "body", "code", "ends"),
    [
        (200, MULTIPART, PART % b"1234" + PART % b"" + b"--b--\r\n", None, [4, 0]),
        (200, MULTIPART, PART % b"1234", "wado_failed", ["abandoned"]),
        (
            200,
            MULTIPART,
            PART % b"1234" + b"--b\r\nContent-Type: x\r\n\r\n12",
            "wado_failed",
            [4, "abandoned"],
        ),
        (200, MULTIPART, b"nothing of the kind", "wado_failed", []),
        (200, {"Content-Type": "text/html"}, b"log in", "wado_failed", []),
        (200, {"Content-Type": "multipart/related; boundary=" + "b" * 300}, b"", "wado_failed", []),
        (500, {}, b"", "wado_failed", []),
        (404, {}, b"", "wado_failed", []),
        (403, {}, b"", "wado_refused", []),
    ],
)
def test_whatever_a_server_answers_has_a_name(status, headers, body, code, ends):
    became = []
    with canned(status, headers, body) as address:
        archive = WebArchive(address=address, begin=lambda _: Taker(became))
        if code is None:
            assert archive.pull("1.2.3", ["1.2.3.1"]) == Moved(images=1, failed=1)
        else:
            with pytest.raises((PeerUnreachable, StoreRefused)) as error:
                archive.pull("1.2.3", ["1.2.3.1"])
            assert error.value.reason.code == code
    assert became == ends


def test_answers_to_questions_are_read_with_patience():
    body = b'[{"0020000D": {"Value": ["1.2.3/../x"]}}, 7, {"0020000D": {"Value": ["1.2.3"]}, "00100020": {}}]'
    with canned(200, {"Content-Type": "application/dicom+json"}, body) as address:
        archive = WebArchive(address=address, begin=lambda _: Taker([]))
        assert archive.find(study_uid="1.2.3") == [Found(study_uid="1.2.3")]
        assert archive.find(study_uid="1.2.4") == []
        assert archive.series_of("1.2.3") == []
    with canned(204, {}, b"") as address:
        assert WebArchive(address=address, begin=lambda _: Taker([])).find(day="20190304") == []
    with canned(200, {}, b"<html>") as address, pytest.raises(PeerUnreachable):
        WebArchive(address=address, begin=lambda _: Taker([])).find(day="20190304")


@pytest.fixture
def cli(monkeypatch):
    """The command in this process; handlers of signals are as before afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def call(*arguments, text=None):
        done = CliRunner().invoke(build_app("backfill"), ["backfill", *arguments], input=text)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.output

    yield call
    for number, handler in before.items():
        signal.signal(number, handler)


def test_from_the_command_line(cli, make_settings, orthanc, settings_of_peer, tmp_path, monkeypatch):
    peer = settings_of_peer("web")
    settings = make_settings(peer=[peer])
    config = tmp_path / "myoscreen.toml"
    lines = [f'{key} = "{value}"' for key, value in peer.items() if isinstance(value, str)]
    config.write_text("\n".join(["[[peer]]", *lines, ""]), "utf-8")
    monkeypatch.setenv("MYOSCREEN_HOME", str(settings.home))
    monkeypatch.setenv("MYOSCREEN_CONFIG", str(config))
    monkeypatch.setenv("MYOSCREEN_SPOOL_MIN_FREE_MB", "0")
    at_orthanc(orthanc, tmp_path, 1)
    at_orthanc(orthanc, tmp_path, 2)
    text = f"note,StudyInstanceUID\nx,{study_uid(1)}\ny,{study_uid(9)}\nz,\n"
    assert "2 added, 0" in cli("add", "-", "--peer", "pacs", text=text)
    assert "1 added, 1" in cli("add", "--peer", "pacs", "--from", "2019-03-04")
    assert "1 added" in cli("add", "-", "--peer", "pacs", text="A9\n")
    output = cli("run", "--window", "", "--per-hour", "36000")
    assert "pulled: 2" in output
    assert "nothing_there: 2" in output
    status = cli("status", "--list", "pulled")
    assert "pacs\tpulled\t2" in status
    assert f"pacs\tstudy\t{study_uid(1)}\tpulled\t-\t1 tries\t3" in status
    assert cli("retry").startswith("0 ")
    assert cli("clear").startswith("2 ")
    assert "nothing_there" not in cli("status")
    assert "pacs\tpulled\t2" in cli("status")
    for wrong in (
        ["add", "--peer", "nobody", "--from", "20190304"],
        ["add", "--peer", "pacs"],
        ["add", "--peer", "pacs", "--from", "20190304", "--to", "20190303"],
        ["add", "--peer", "pacs", "--from", "x"],
        ["run", "--window", "all day"],
        ["status", "--list", "lost"],
    ):
        with pytest.raises(ConfigurationError):
            cli(*wrong)
    with pytest.raises(ConfigurationError, match="no UID"):
        cli("add", "-", "--peer", "pacs", text="study_uid\nnone\n")


def test_every_outcome_is_one_of_a_line():
    assert {each.value for each in BackfillOutcome} == {
        "pulled",
        "already_here",
        "nothing_there",
        "opted_out",
        "refused",
        "failed",
        "resolved",
    }
