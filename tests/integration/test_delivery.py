"""Results on their way to a peer: every answer it can give, and none."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydicom.uid import SecondaryCaptureImageStorage, SegmentationStorage
from sqlalchemy import select

from service import files
from service.core.status import OutputKind
from service.db import deliveries, queries
from service.db.session import make_sessions, reading, upgrade
from service.db.tables import AuditEntry, Delivery
from service.dicom import scu
from service.errors import PeerUnreachable
from service.pipeline import deliver
from tests.make.peers import fake_peer
from tests.make.received import NOW, encoded, measured_result, ready_analysis
from tests.make.series import mr_slice, save

# pynetdicom drops the socket of a refused connection without closing it; Python then does, and says so.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
TERMS = deliver.Terms(
    attempts=3, backoff=timedelta(seconds=4), backoff_max=timedelta(seconds=60), beat_seconds=60
)


@pytest.fixture
def sessions(tmp_path):
    """A ledger on SQLite."""
    url = f"sqlite:///{tmp_path / 'home' / 'myoscreen.db'}"
    upgrade(url)
    made = make_sessions(url)
    yield made
    made.kw["bind"].dispose()


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def paths(home):
    """Two stored objects."""
    return {
        OutputKind.SEG: save(
            mr_slice(SOPClassUID=SegmentationStorage, SOPInstanceUID="1.9.1"), home / "r" / "seg.dcm"
        ),
        OutputKind.SC: save(
            mr_slice(SOPClassUID=SecondaryCaptureImageStorage, SOPInstanceUID="1.9.2"), home / "r" / "sc.dcm"
        ),
    }


@pytest.fixture
def analysis_id(sessions, paths, home):
    """A finished analysis with both objects waiting for the peer "pacs"."""
    made = ready_analysis(sessions)
    with sessions.begin() as db:
        claim = queries.claim_analysis(db, made, owner="x", now=NOW)
        queries.save_finding(
            db,
            claim,
            measured_result(),
            now=NOW,
        )
        outputs = [
            deliveries.OutputFacts(
                kind=kind,
                sop_class_uid=scu.file_uids(path)[0],
                sop_instance_uid=scu.file_uids(path)[1],
                path=str(Path(path).relative_to(home)),
                sha256=files.sha256_of(path),
                size=path.stat().st_size,
            )
            for kind, path in paths.items()
        ]
        rows = deliveries.add_outputs(db, made, outputs)
        deliveries.plan(db, rows, peer="pacs", kinds=("SEG", "SC"), now=NOW)
    return made


def run(sessions, analysis_id, peer, home, *, now=NOW, **changes):
    return deliver.run(
        sessions, analysis_id, peer.destination(), home=home, terms=TERMS, clock=lambda: now, **changes
    )


def rows(sessions):
    with reading(sessions) as db:
        found = db.scalars(select(Delivery).order_by(Delivery.id)).all()
    return [(row.state, row.dimse_status, row.error_code) for row in found]


def test_the_stored_bytes_arrive_and_each_status_is_kept(sessions, analysis_id, home, paths):
    peer = fake_peer()
    with peer.listening():
        report = run(sessions, analysis_id, peer, home)
    assert report == deliver.Report(sent=2, retried=0, dead=0)
    assert peer.received == [
        ("1.9.1", encoded(paths[OutputKind.SEG])[0]),
        ("1.9.2", encoded(paths[OutputKind.SC])[0]),
    ]
    assert rows(sessions) == [("sent", 0, None), ("sent", 0, None)]
    with reading(sessions) as db:
        (entry,) = db.scalars(select(AuditEntry).where(AuditEntry.action == "delivery_sent")).all()
    assert entry.detail["peer"] == "pacs"


def test_what_was_sent_is_not_sent_again(sessions, analysis_id, home):
    peer = fake_peer()
    with peer.listening():
        run(sessions, analysis_id, peer, home)
        assert run(sessions, analysis_id, peer, home) is None
    assert len(peer.received) == 2


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0x0111])
def test_a_warning_or_a_duplicate_means_stored(sessions, analysis_id, home, status):
    peer = fake_peer()
    peer.answer = lambda _number: status
    with peer.listening():
        run(sessions, analysis_id, peer, home)
    assert rows(sessions) == [("sent", status, None)] * 2


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0x0122, 0x0117])
def test_an_answer_that_cannot_change_is_final(sessions, analysis_id, home, status):
    peer = fake_peer()
    peer.answer = lambda number: status if number == 0 else 0
    with peer.listening():
        run(sessions, analysis_id, peer, home)
    assert rows(sessions) == [("dead", status, "store_refused"), ("sent", 0, None)]


@pytest.mark.parametrize("status", [0xA700, 0x0110, 0x0124])
def test_a_peer_in_trouble_is_asked_again_later(sessions, analysis_id, home, status):
    peer = fake_peer()
    peer.answer = lambda number: status if number == 1 else 0
    with peer.listening():
        run(sessions, analysis_id, peer, home)
        assert rows(sessions) == [("sent", 0, None), ("pending", status, "store_refused")]
        assert run(sessions, analysis_id, peer, home) is None
        run(sessions, analysis_id, peer, home, now=NOW + TERMS.backoff)
    assert rows(sessions) == [("sent", 0, None)] * 2
    assert peer.uids() == ["1.9.1", "1.9.2", "1.9.2"]


def test_a_peer_that_was_down_gets_everything_when_it_is_up(sessions, analysis_id, home):
    peer = fake_peer()
    report = run(sessions, analysis_id, peer, home)
    assert report == deliver.Report(sent=0, retried=2, dead=0)
    assert rows(sessions) == [("pending", None, "peer_unreachable")] * 2
    with peer.listening():
        run(sessions, analysis_id, peer, home, now=NOW + TERMS.backoff)
    assert rows(sessions) == [("sent", 0, None)] * 2


def test_after_the_allowed_attempts_it_is_given_up_and_said_why(sessions, analysis_id, home):
    peer = fake_peer()
    now = NOW
    for _ in range(TERMS.attempts):
        run(sessions, analysis_id, peer, home, now=now)
        now += TERMS.backoff_max
    assert rows(sessions) == [("dead", None, "peer_unreachable")] * 2
    assert run(sessions, analysis_id, peer, home, now=now) is None


def test_a_class_that_the_peer_does_not_take_is_final_for_that_object_alone(sessions, analysis_id, home):
    peer = fake_peer()
    with peer.listening(classes=[SecondaryCaptureImageStorage]):
        run(sessions, analysis_id, peer, home)
    assert rows(sessions) == [("dead", None, "context_refused"), ("sent", 0, None)]


def test_a_peer_that_takes_implicit_syntax_only_gets_that(sessions, analysis_id, home):
    peer = fake_peer()
    with peer.listening(syntaxes=["1.2.840.10008.1.2"]):
        run(sessions, analysis_id, peer, home)
    assert rows(sessions) == [("sent", 0, None)] * 2


def test_a_damaged_file_is_final_and_does_not_hold_back_the_others(sessions, analysis_id, home, paths):
    paths[OutputKind.SEG].write_bytes(b"gone")
    peer = fake_peer()
    with peer.listening():
        run(sessions, analysis_id, peer, home)
    assert rows(sessions) == [("dead", None, "unreadable"), ("sent", 0, None)]


def test_the_wait_doubles_up_to_its_bound():
    def longest(attempt):
        return max(deliver.wait(attempt, TERMS) for _ in range(200))

    assert timedelta(seconds=2) <= deliver.wait(1, TERMS) <= timedelta(seconds=4)
    assert timedelta(seconds=8) < longest(3) <= timedelta(seconds=16)
    assert longest(30) <= TERMS.backoff_max


def test_a_peer_is_asked_whether_it_is_there():
    peer = fake_peer()
    with pytest.raises(PeerUnreachable):
        scu.echo(peer.address())
    with peer.listening():
        assert scu.echo(peer.address()) > 0


def test_what_was_superseded_while_it_was_sent_is_given_up(sessions, analysis_id, home):
    def superseded_meanwhile(_number):
        with sessions.begin() as db:
            queries.supersede(db, [analysis_id], now=NOW)
        return 0xA700

    peer = fake_peer()
    peer.answer = superseded_meanwhile
    with peer.listening():
        report = run(sessions, analysis_id, peer, home)
    assert report == deliver.Report(sent=0, retried=0, dead=2)
    assert rows(sessions) == [("dead", 0xA700, "superseded")] * 2
