"""Results on their way to a peer: every answer it can give, and none."""

import socket
import threading
from datetime import timedelta

import pytest
from pydicom.uid import SecondaryCaptureImageStorage, SegmentationStorage
from pynetdicom import evt
from sqlalchemy import update

from service.core.status import OutputKind
from service.core.variant import Variant
from service.db import circuits, orders, versions
from service.db.session import reading
from service.db.tables import Analysis, Delivery
from service.dicom import scu
from service.errors import PeerUnreachable
from service.pipeline import deliver
from tests.make.outbox import LABEL_MAP, PAGE, TERMS, sqlite_outbox
from tests.make.peers import deaf_after, fake_peer
from tests.make.received import NOW, encoded

# pynetdicom drops the socket of a refused connection without closing it; Python then does, and says so.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
STORED = ("sent", 0, None)


@pytest.fixture
def outbox(tmp_path):
    """A ledger on SQLite."""
    with sqlite_outbox(tmp_path / "home") as made:
        yield made


@pytest.fixture
def result(outbox):
    """A finished result with two objects waiting for the peer "pacs"."""
    return outbox.add()


@pytest.fixture
def released():
    """What a peer that hangs waits for; the end of the test lets it go."""
    event = threading.Event()
    yield event
    event.set()


def test_the_stored_bytes_arrive_and_each_status_is_kept(outbox, result):
    peer = fake_peer()
    with peer.listening():
        report = outbox.send(result, peer.destination())
    assert report == deliver.Report(sent=2, retried=0, dead=0)
    assert peer.received == [
        ("1.9.1.1", encoded(outbox.paths[result, OutputKind.SEG])[0]),
        ("1.9.1.2", encoded(outbox.paths[result, OutputKind.SC])[0]),
    ]
    assert outbox.states() == [STORED, STORED]
    (entry,) = outbox.audited("delivery_sent")
    assert entry.detail["peer"] == "pacs"


def test_what_was_sent_is_not_sent_again(outbox, result):
    peer = fake_peer()
    with peer.listening():
        outbox.send(result, peer.destination())
        assert outbox.send(result, peer.destination()) is None
    assert len(peer.received) == 2


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0x0111])
def test_a_warning_or_a_duplicate_means_stored(outbox, result, status):
    peer = fake_peer()
    peer.answer = lambda _number: status
    with peer.listening():
        outbox.send(result, peer.destination())
    assert outbox.states() == [("sent", status, None)] * 2


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0x0122, 0x0117])
def test_an_answer_that_cannot_change_is_final(outbox, result, status):
    peer = fake_peer()
    peer.answer = lambda number: status if number == 0 else 0
    with peer.listening():
        outbox.send(result, peer.destination())
    assert outbox.states() == [("dead", status, "store_refused"), STORED]
    assert outbox.circuit().state == "closed"


@pytest.mark.parametrize("status", [0xA700, 0x0110, 0x0124])
def test_a_peer_in_trouble_is_asked_again_later(outbox, result, status):
    peer = fake_peer()
    peer.answer = lambda number: status if number == 1 else 0
    with peer.listening():
        outbox.send(result, peer.destination())
        assert outbox.states() == [STORED, ("pending", status, "store_refused")]
        assert outbox.send(result, peer.destination()) is None
        outbox.wait()
        outbox.send(result, peer.destination())
    assert outbox.states() == [STORED] * 2
    assert peer.uids() == ["1.9.1.1", "1.9.1.2", "1.9.1.2"]


def test_after_the_allowed_failures_it_is_given_up_and_said_why(outbox, result):
    peer = fake_peer()
    peer.answer = lambda _number: 0xA700
    with peer.listening():
        for _ in range(TERMS.attempts):
            outbox.send(result, peer.destination())
            outbox.wait()
        assert outbox.send(result, peer.destination()) is None
    assert outbox.states() == [("dead", 0xA700, "store_refused")] * 2
    assert outbox.circuit().state == "closed"


def test_a_peer_that_was_down_gets_everything_when_it_is_up(outbox, result):
    peer = fake_peer()
    report = outbox.send(result, peer.destination())
    assert report == deliver.Report(sent=0, retried=2, dead=0)
    assert outbox.states() == [("pending", None, "peer_unreachable")] * 2
    outbox.wait()
    with peer.listening():
        outbox.send(result, peer.destination())
    assert outbox.states() == [STORED] * 2


def test_a_peer_that_is_away_uses_up_no_tries(outbox, result):
    peer = fake_peer()
    for _ in range(3 * TERMS.attempts):
        outbox.send(result, peer.destination())
        outbox.wait(TERMS.circuit.probe_max)
    assert [(row.state, row.failures) for row in outbox.rows()] == [("pending", 0)] * 2


def test_a_class_that_the_peer_does_not_take_is_final_for_that_object_alone(outbox, result):
    peer = fake_peer()
    with peer.listening(classes=[SecondaryCaptureImageStorage]):
        outbox.send(result, peer.destination())
    assert outbox.states() == [("dead", None, "context_refused"), STORED]
    assert outbox.circuit().state == "closed"


def test_a_peer_that_takes_none_of_the_classes_is_there_and_refuses(outbox, result):
    peer = fake_peer()
    with peer.listening(classes=[]):
        outbox.send(result, peer.destination())
    assert outbox.states() == [("dead", None, "context_refused")] * 2
    assert outbox.circuit().failures == 0


def test_a_peer_that_takes_implicit_syntax_only_gets_that(outbox, result):
    peer = fake_peer()
    with peer.listening(syntaxes=["1.2.840.10008.1.2"]):
        outbox.send(result, peer.destination())
    assert outbox.states() == [STORED] * 2


def test_a_damaged_file_is_final_and_does_not_hold_back_the_others(outbox, result):
    outbox.paths[result, OutputKind.SEG].write_bytes(b"gone")
    peer = fake_peer()
    with peer.listening():
        outbox.send(result, peer.destination())
    assert outbox.states() == [("dead", None, "unreadable"), STORED]


def test_an_object_that_breaks_the_association_does_not_hold_back_the_others(outbox, result):
    def abort_on_the_first(event: evt.Event) -> None:
        if event.request.AffectedSOPInstanceUID == "1.9.1.1":
            event.assoc.abort()

    peer = fake_peer()
    peer.before = abort_on_the_first
    with peer.listening():
        outbox.send(result, peer.destination())
        assert outbox.states() == [("pending", None, "no_answer")] * 2
        assert [row.failures for row in outbox.rows()] == [1, 0]
        outbox.wait()
        outbox.send(result, peer.destination())
        assert outbox.states() == [("pending", None, "no_answer"), STORED]
        outbox.wait()
        outbox.send(result, peer.destination())
    assert outbox.states() == [("dead", None, "no_answer"), STORED]
    assert [row.failures for row in outbox.rows()] == [3, 0]


def test_a_peer_that_takes_an_object_and_never_answers_is_given_up_in_time(outbox, result, released):
    peer = fake_peer()
    peer.before = lambda _event: released.wait(30)
    with peer.listening():
        outbox.send(result, peer.destination(answer_seconds=0.3))
        released.set()
    assert outbox.states() == [("pending", None, "no_answer")] * 2
    assert [row.failures for row in outbox.rows()] == [1, 0]
    assert outbox.circuit().failures == 1


def test_a_peer_that_stops_reading_is_given_up_in_time(outbox):
    result = outbox.add(PixelData=bytes(16_000_000))
    peer = fake_peer()
    with peer.listening(), deaf_after(peer.port, 20_000) as port:
        address = scu.Address(
            host="127.0.0.1", port=port, ae_title="PEER", calling_ae="MYOSCREEN", answer_seconds=0.3
        )
        outbox.send(result, peer.destination(address=address))
    assert peer.received == []
    assert [(row.state, row.failures) for row in outbox.rows()] == [("pending", 1), ("pending", 0)]


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


def test_what_was_superseded_while_it_was_sent_is_given_up(outbox, result):
    def superseded_meanwhile(_number):
        with outbox.sessions.begin() as db:
            versions.supersede(db, [result], now=NOW)
        return 0xA700

    peer = fake_peer()
    peer.answer = superseded_meanwhile
    with peer.listening():
        report = outbox.send(result, peer.destination())
    assert report == deliver.Report(sent=0, retried=0, dead=2)
    assert outbox.states() == [("dead", 0xA700, "superseded")] * 2


def test_data_is_sent_without_waiting_for_more(outbox, result, monkeypatch):
    seen = []
    monkeypatch.setattr(
        scu, "_send", lambda association, item: seen.append(_options(association)) or item.outcome(0)
    )
    peer = fake_peer()
    with peer.listening():
        outbox.send(result, peer.destination())
    assert seen == [(1, 60.0)] * 2


def _options(association):
    stream = association.dul.socket.socket
    return stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), stream.gettimeout()


PACKED = Variant(flags=False, encoding="labelmap")
PLAIN_CLASSES = [SecondaryCaptureImageStorage, SegmentationStorage, PAGE]
WHOLE = {"1.9.12.1", "1.9.13.2", "1.9.14.9"}


def test_a_peer_that_refuses_the_label_map_gets_the_whole_set_in_binary_from_then_on(outbox):
    """Nothing of the first set is left behind: its report names the segmentation that was refused."""
    result = outbox.add_variants("en-labelmap", "en")
    peer = fake_peer()
    gets = peer.destination(variant=PACKED)
    with peer.listening(classes=PLAIN_CLASSES):
        outbox.send(result, gets)
        assert peer.uids() == []
        outbox.send(result, gets)
    assert set(peer.uids()) == WHOLE
    assert len(peer.uids()) == 3
    assert codes(outbox) == ["context_refused", "other_variant", None, None, None]
    assert outbox.audited("variant_refused")[0].detail["variant"] == "en"
    with reading(outbox.sessions) as db:
        assert circuits.refused(db, "pacs") == {"labelmap"}


def codes(outbox):
    return [code for _, _, code in outbox.states()]


def test_a_peer_that_takes_the_label_map_gets_no_other(outbox):
    result = outbox.add_variants("en-labelmap", "en")
    peer = fake_peer()
    with peer.listening(classes=[*PLAIN_CLASSES, LABEL_MAP]):
        outbox.send(result, peer.destination(variant=PACKED))
        assert outbox.send(result, peer.destination(variant=PACKED)) is None
    assert set(peer.uids()) == {"1.9.10.1", "1.9.11.2", "1.9.14.9"}


def test_what_was_planned_before_the_label_map_was_refused_changes_as_a_whole_too(outbox):
    first = outbox.add_variants("en-labelmap", "en")
    second = outbox.add_variants("en-labelmap", "en", number=2)
    peer = fake_peer()
    gets = peer.destination(variant=PACKED)
    with peer.listening(classes=PLAIN_CLASSES):
        for result in (first, second, first, second):
            outbox.send(result, gets)
    assert set(peer.uids()) == WHOLE | {"1.9.22.1", "1.9.23.2", "1.9.24.9"}
    assert len(peer.uids()) == 6
    assert len(outbox.audited("variant_refused")) == 1


def test_two_results_that_are_refused_at_once_both_change(outbox):
    """The second was on its way when the first was refused."""
    first = outbox.add_variants("en-labelmap", "en")
    second = outbox.add_variants("en-labelmap", "en", number=2)
    peer = fake_peer()
    gets = peer.destination(variant=PACKED, lanes=2)
    usual, sent = scu.store, []

    def meanwhile(paths, address, **terms):
        if not sent:
            sent.append(first)
            outbox.send(first, gets)
        return usual(paths, address, **terms)

    with peer.listening(classes=PLAIN_CLASSES), pytest.MonkeyPatch.context() as patch:
        patch.setattr(scu, "store", meanwhile)
        outbox.send(second, gets)
        assert codes(outbox).count("context_refused") == 2
        for result in (first, second):
            outbox.send(result, gets)
    assert len(peer.uids()) == 6
    assert set(peer.uids()) == WHOLE | {"1.9.22.1", "1.9.23.2", "1.9.24.9"}


def test_an_object_of_both_sets_that_is_refused_ends_there(outbox):
    result = outbox.add_variants("en-labelmap", "en")
    peer = fake_peer()
    gets = peer.destination(variant=PACKED)
    with peer.listening(classes=PLAIN_CLASSES[:2]):
        for _ in range(4):
            outbox.send(result, gets)
    assert set(peer.uids()) == {"1.9.12.1", "1.9.13.2"}
    assert codes(outbox) == ["context_refused", "other_variant", "context_refused", None, None]
    assert {row.state for row in outbox.rows()} == {"dead", "sent"}


def test_asking_again_for_a_refused_set_leads_to_the_other_one(outbox):
    result = outbox.add_variants("en-labelmap", "en")
    peer = fake_peer()
    gets = peer.destination(variant=PACKED)
    with outbox.sessions.begin() as db:  # as it stood when only the first result of a peer changed
        circuits.note_refused(db, "pacs", ["labelmap"], now=NOW)
        db.execute(update(Delivery).values(state="dead", error_code="context_refused"))
        assert orders.order_retry_of_peer(db, "pacs", now=NOW) == 3
    with peer.listening(classes=PLAIN_CLASSES):
        outbox.send(result, gets)
        assert set(peer.uids()) == WHOLE
        with outbox.sessions.begin() as db:
            assert orders.order_retry_of_peer(db, "pacs", now=NOW) == 2
        assert outbox.send(result, gets) is None
    assert len(peer.uids()) == 3
    assert codes(outbox) == ["other_variant", "other_variant", None, None, None]


def test_flag_texts_do_not_leave_once_the_settings_say_so(outbox):
    result = outbox.add_variants("en-flags", "en")
    peer = fake_peer()
    with peer.listening():
        outbox.send(result, peer.destination(variant=Variant(flags=False)))
    assert set(peer.uids()) == WHOLE
    assert codes(outbox) == ["other_variant", "other_variant", None, None, None]
    assert "delivery_replanned" in outbox.events()


def test_what_has_no_set_for_the_peer_is_given_up_and_nothing_of_another_is_sent(outbox):
    result = outbox.add_variants("en-flags", "en-flags-labelmap")
    peer = fake_peer()
    with peer.listening():
        assert outbox.send(result, peer.destination(variant=Variant(language="de"))) is None
    assert peer.uids() == []
    assert [(state, code) for state, _, code in outbox.states()] == [("dead", "other_variant")] * 3


def test_objects_of_before_there_were_variants_are_sent(outbox, result):
    peer = fake_peer()
    with peer.listening():
        outbox.send(result, peer.destination(variant=Variant(language="de", flags=False)))
    assert peer.uids() == ["1.9.1.1", "1.9.1.2"]


def test_a_withheld_result_gets_no_more_kinds_by_a_change_of_the_set(outbox):
    result = outbox.add_variants("en-flags", "en")
    with outbox.sessions.begin() as db:
        db.execute(update(Analysis).values(state="not_assessable"))
    peer = fake_peer()
    gets = peer.destination(variant=Variant(flags=False))
    with peer.listening():
        outbox.send(result, gets)
    assert set(peer.uids()) == {"1.9.13.2", "1.9.14.9"}


def test_a_result_that_is_withdrawn_while_it_is_refused_gets_no_other_set(outbox):
    result = outbox.add_variants("en-labelmap", "en")
    peer = fake_peer()
    usual = scu.store

    def withdrawn_meanwhile(paths, address, **terms):
        with outbox.sessions.begin() as db:
            db.execute(update(Analysis).values(withdrawn_at=NOW))
        return usual(paths, address, **terms)

    with peer.listening(classes=PLAIN_CLASSES), pytest.MonkeyPatch.context() as patch:
        patch.setattr(scu, "store", withdrawn_meanwhile)
        outbox.send(result, peer.destination(variant=PACKED))
    assert {row.state for row in outbox.rows()} == {"dead"}
    assert len(outbox.rows()) == 3
