"""What was sent is known to have arrived: storage commitment, C-FIND, and what if neither says so."""

from datetime import timedelta

import pytest

from service.core.status import OutputKind
from service.db import clock, confirmations, orders
from service.dicom import commitment
from service.dicom.commitment import COMMITMENT_CLASS, EventStatus, Report
from service.errors import InvalidRequest
from service.pipeline import confirm
from tests.make.outbox import CONFIRM, TERMS, Outbox, sqlite_outbox
from tests.make.peers import fake_peer
from tests.make.running import wait_for

pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
CONFIRMED = ("confirmed", 0, None)
SENT = ("sent", 0, None)


@pytest.fixture
def outbox(tmp_path):
    """A ledger on SQLite."""
    with sqlite_outbox(tmp_path / "home") as made:
        yield made


def sent(outbox, peer, method):
    """A result that the peer said it stored, and the peer as a destination."""
    result, to = outbox.add(), peer.destination(confirm=method)
    outbox.send(result, to)
    assert outbox.states() == [SENT, SENT]
    return result, to


def report_of(outbox, *, stored=(), failed=None, transaction=None):
    """A report on the transaction that stands in the rows."""
    return Report(
        transaction_uid=transaction or outbox.rows()[0].transaction_uid,
        stored=tuple(stored),
        failed=failed or {},
    )


def take(outbox, report, *names):
    return confirm.take_report(outbox.sessions, names or ("pacs",), report, terms=TERMS, now=outbox.now)


def test_a_peer_that_is_not_asked_leaves_sent_as_the_last_state(outbox):
    peer = fake_peer()
    with peer.listening():
        result, to = sent(outbox, peer, "none")
        assert not outbox.ask(result, to)
    assert outbox.to_ask() == 0
    assert peer.asked == []


def test_a_report_on_the_association_that_asked_confirms(outbox):
    peer = fake_peer()
    with peer.listening():
        result, to = sent(outbox, peer, "commitment")
        assert outbox.to_ask() == 1
        assert outbox.ask(result, to)
        wait_for("the report", lambda: peer.thanks == [EventStatus.SUCCESS], seconds=30)
    assert outbox.states() == [CONFIRMED] * 2
    assert outbox.events() == ["delivery_sent", "delivery_confirmed"]
    ((transaction, uids),) = peer.asked
    assert (transaction.startswith("2.25."), uids) == (True, ["1.9.1.1", "1.9.1.2"])
    (entry,) = outbox.audited("delivery_confirmed")
    assert (entry.outcome, entry.detail["by"], entry.detail["confirmed"]) == ("ok", "commitment", 2)


def test_what_the_peer_does_not_vouch_for_is_sent_again_and_nothing_else(outbox):
    peer = fake_peer()
    with peer.listening():
        result, to = sent(outbox, peer, "commitment")
        peer.held.discard("1.9.1.2")
        outbox.ask(result, to)
        wait_for("the report", lambda: len(peer.thanks) == 1, seconds=30)
        assert outbox.states() == [CONFIRMED, ("pending", 0x0112, "not_committed")]
        outbox.wait()
        outbox.send(result, to)
        assert peer.uids() == ["1.9.1.1", "1.9.1.2", "1.9.1.2"]
        outbox.ask(result, to)
        wait_for("the second report", lambda: len(peer.thanks) == 2, seconds=30)
    assert outbox.states() == [CONFIRMED] * 2
    assert [uids for _, uids in peer.asked] == [["1.9.1.1", "1.9.1.2"], ["1.9.1.2"]]
    assert "delivery_not_confirmed" in outbox.events()


def test_an_object_that_is_never_vouched_for_is_given_up_in_the_end(outbox):
    peer = fake_peer()
    peer.answer = lambda _number: 0
    with peer.listening():
        result, to = sent(outbox, peer, "commitment")
        for _ in range(TERMS.attempts):
            peer.held.discard("1.9.1.1")
            before = len(peer.thanks)
            outbox.ask(result, to)
            wait_for("the report", lambda before=before: len(peer.thanks) > before, seconds=30)
            outbox.wait()
            outbox.send(result, to)
    assert outbox.states() == [("dead", 0x0112, "not_committed"), CONFIRMED]


def silent_peer(outbox):
    """A peer that takes the request for commitment and does not report."""
    peer = fake_peer()
    peer.reports = False
    return peer


def test_a_report_that_comes_later_finds_its_rows_by_the_transaction_alone(outbox):
    peer = silent_peer(outbox)
    with peer.listening():
        result, to = sent(outbox, peer, "commitment")
        outbox.ask(result, to)
    assert outbox.states() == [SENT, SENT]
    assert outbox.to_ask() == 0
    again = Outbox(outbox.sessions, outbox.home)  # as another process sees it
    assert take(again, report_of(again, stored=["1.9.1.1", "1.9.1.2"]))
    assert again.states() == [CONFIRMED] * 2


def test_only_the_peer_that_was_asked_may_confirm(outbox):
    peer = silent_peer(outbox)
    with peer.listening():
        result, to = sent(outbox, peer, "commitment")
        outbox.ask(result, to)
    report = report_of(outbox, stored=["1.9.1.1"], failed={"1.9.1.2": 0x0112})
    assert not take(outbox, report, "another")
    assert not take(outbox, report_of(outbox, stored=["1.9.1.1"], transaction="2.25.1"))
    assert outbox.states() == [SENT, SENT]
    assert take(outbox, report, "twin", "pacs")
    assert not take(outbox, report)  # answered already
    assert outbox.states() == [CONFIRMED, ("pending", 0x0112, "not_committed")]


def test_what_a_report_leaves_out_stays_open_and_what_it_denies_counts(outbox):
    peer = silent_peer(outbox)
    with peer.listening():
        result, to = sent(outbox, peer, "commitment")
        outbox.ask(result, to)
    report = report_of(outbox, stored=["1.9.1.2", "9.9"], failed={"1.9.1.2": 0x0110})
    assert take(outbox, report)
    assert outbox.states() == [SENT, ("pending", 0x0110, "not_committed")]


def test_a_peer_that_never_reports_is_asked_again_and_then_looked_into(outbox):
    peer = silent_peer(outbox)
    with peer.listening():
        result, to = sent(outbox, peer, "commitment")
        peer.held.discard("1.9.1.1")
        for _ in range(CONFIRM.attempts):
            assert outbox.ask(result, to)
            assert not outbox.ask(result, to)
            outbox.wait(CONFIRM.patience)
        assert len({transaction for transaction, _ in peer.asked}) == CONFIRM.attempts
        outbox.ask(result, to)
    assert len(peer.asked) == CONFIRM.attempts
    assert outbox.states() == [("pending", 0x0112, "not_found"), CONFIRMED]


def test_a_peer_without_storage_commitment_is_looked_into_at_once(outbox):
    peer = fake_peer()
    with peer.listening(services=[commitment.STUDY_ROOT_FIND]):
        result, to = sent(outbox, peer, "commitment")
        outbox.ask(result, to)
    assert outbox.states() == [CONFIRMED] * 2


def test_a_query_confirms_what_is_there_and_waits_for_what_is_not_yet(outbox):
    peer = fake_peer()
    with peer.listening():
        result, to = sent(outbox, peer, "query")
        peer.held.discard("1.9.1.1")
        outbox.ask(result, to)
        assert outbox.states() == [SENT, CONFIRMED]
        peer.held.add("1.9.1.1")
        outbox.wait()
        outbox.ask(result, to)
    assert outbox.states() == [CONFIRMED] * 2


def test_what_a_query_does_not_find_in_the_end_is_sent_again(outbox):
    peer = fake_peer()
    with peer.listening():
        result, to = sent(outbox, peer, "query")
        peer.held.discard("1.9.1.1")
        for _ in range(CONFIRM.attempts):
            outbox.ask(result, to)
            outbox.wait()
        assert outbox.states() == [("pending", 0x0112, "not_found"), CONFIRMED]
        outbox.wait()
        outbox.send(result, to)
    assert peer.uids() == ["1.9.1.1", "1.9.1.2", "1.9.1.1"]


def test_a_peer_that_cannot_tell_leaves_it_sent_and_a_person_can_ask_again(outbox):
    peer = fake_peer()
    with peer.listening(services=[]):
        result, to = sent(outbox, peer, "query")
        for _ in range(CONFIRM.attempts):
            outbox.ask(result, to)
            outbox.wait()
    assert outbox.states() == [("sent", 0, "not_confirmed")] * 2
    assert outbox.to_ask() == 0
    first, second = outbox.rows()
    with outbox.sessions.begin() as session:
        orders.order_retry(session, first.id, now=outbox.now)
        orders.order_retry(session, second.id, now=outbox.now)
    with peer.listening():
        outbox.ask(result, to)
    assert outbox.states() == [CONFIRMED] * 2
    with pytest.raises(InvalidRequest), outbox.sessions.begin() as session:
        orders.order_retry(session, first.id, now=outbox.now)


@pytest.mark.parametrize("method", ["commitment", "query"])
def test_a_peer_that_is_away_is_asked_when_it_is_back(outbox, method):
    peer = fake_peer()
    with peer.listening():
        result, to = sent(outbox, peer, method)
    for _ in range(TERMS.circuit.failures):
        outbox.ask(result, to)
        outbox.wait(timedelta(hours=2))
    assert outbox.circuit().state == "open"
    assert [row.confirm_attempts for row in outbox.rows()] == [0, 0]
    with peer.listening():
        assert outbox.to_ask() == 1
        outbox.ask(result, to)
        wait_for("the answer", lambda: outbox.states() == [CONFIRMED] * 2, seconds=30)
    assert outbox.circuit().state == "closed"


@pytest.mark.parametrize("method", ["commitment", "query"])
def test_a_peer_that_does_not_let_us_ask_is_still_sent_to(outbox, method):
    """It stores for one calling AE title, and takes no association for questions."""
    peer = fake_peer()
    with peer.listening():
        result, to = sent(outbox, peer, method)
    with peer.listening(rejects=True):
        for _ in range(CONFIRM.attempts + 1):
            outbox.ask(result, to)
            outbox.wait(CONFIRM.patience)
    assert outbox.states() == [("sent", 0, "not_confirmed")] * 2
    assert (outbox.circuit().state, outbox.circuit().failures) == ("closed", 0)


@pytest.mark.parametrize("method", ["commitment", "query"])
def test_a_question_that_is_never_answered_counts_and_keeps_nothing_back(outbox, method):
    peer = fake_peer()
    with peer.listening():
        result, _ = sent(outbox, peer, method)
    peer.mute = True
    to = peer.destination(confirm=method, answer_seconds=0.3)
    with peer.listening():
        for _ in range(CONFIRM.attempts + 1):
            outbox.ask(result, to)
            outbox.wait(CONFIRM.patience)
    assert outbox.states() == [("sent", 0, "not_confirmed")] * 2
    assert outbox.circuit().failures == 0


def test_a_file_that_is_gone_cannot_be_asked_about(outbox):
    peer = fake_peer()
    with peer.listening():
        result, to = sent(outbox, peer, "query")
        outbox.paths[result, OutputKind.SEG].unlink()
        outbox.ask(result, to)
    assert outbox.states() == [("sent", 0, "not_confirmed"), CONFIRMED]


def test_a_peer_that_is_not_to_be_asked_any_more_is_forgotten(outbox):
    peer = fake_peer()
    with peer.listening():
        sent(outbox, peer, "query")
    with outbox.sessions.begin() as session:
        confirmations.forget(session, ["another"])
    assert outbox.to_ask() == 1
    with outbox.sessions.begin() as session:
        confirmations.forget(session, ["pacs"])
    assert [(row.state, row.confirm_at) for row in outbox.rows()] == [("sent", None)] * 2


def test_a_question_for_a_time_of_a_clock_since_set_back_waits_no_longer(outbox):
    peer = fake_peer()
    outbox.wait(timedelta(days=2))
    with peer.listening():
        sent(outbox, peer, "query")
    outbox.wait(timedelta(days=-2))
    assert outbox.to_ask() == 0
    with outbox.sessions.begin() as session:
        assert clock.pull_in(session, clock.ANY_WAIT, now=outbox.now) == 2
    assert outbox.to_ask() == 1


def known(_report):
    return True


def broken(_report):
    raise RuntimeError


@pytest.mark.parametrize(
    ("raw", "event_type", "on_report", "status"),
    [
        (b"\x08\x00\x95\x11\x04\x00\x00\x002.25", 1, known, EventStatus.SUCCESS),
        (b"\x08\x00\x95\x11\x04\x00\x00\x002.25", 1, lambda _report: False, EventStatus.INVALID_ARGUMENT),
        (b"\x08\x00\x95\x11\x04\x00\x00\x002.25", 1, broken, EventStatus.RESOURCE_LIMITATION),
        (b"\x08\x00\x95\x11\x04\x00\x00\x002.25", 3, known, EventStatus.NO_SUCH_EVENT_TYPE),
        (b"", 1, known, EventStatus.INVALID_ARGUMENT),
        (b"\x08\x00\x99\x11\xff\xff\xff\xff", 2, known, EventStatus.INVALID_ARGUMENT),
        (b"nonsense that is no dataset", 1, known, EventStatus.INVALID_ARGUMENT),
    ],
)
def test_every_report_is_answered(raw, event_type, on_report, status):
    syntax = "1.2.840.10008.1.2"
    assert commitment.handle_report(raw, event_type, syntax=syntax, on_report=on_report) == status


def test_the_class_of_the_hook_is_the_one_of_the_standard():
    assert COMMITMENT_CLASS == "1.2.840.10008.1.20.1"
