"""One peer in trouble never delays another, is left alone, and gets everything when it is back."""

import threading
import time
from contextlib import contextmanager

import pytest
from sqlalchemy import update

from service.core.circuit import CircuitState
from service.db import circuits, orders
from service.db.session import reading
from service.db.tables import Analysis, Delivery
from tests.make.outbox import TERMS, Outbox, sqlite_outbox
from tests.make.peers import fake_peer

pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture
def either(sessions, tmp_path):
    """A ledger, once on SQLite and once on PostgreSQL: for what depends on locks."""
    return Outbox(sessions, tmp_path / "home")


@pytest.fixture
def outbox(tmp_path):
    """A ledger on SQLite."""
    with sqlite_outbox(tmp_path / "home") as made:
        yield made


def let_it_open(outbox, result, peer):
    """Fail as often as it takes."""
    for _ in range(TERMS.circuit.failures):
        assert outbox.send(result, peer.destination()) is not None
        outbox.wait(TERMS.backoff_max)
    assert outbox.circuit().state == CircuitState.OPEN


@contextmanager
def sending(outbox, result, peer, **changes):
    """A result that is on its way to a slow peer while the block lasts."""
    begun, released = threading.Event(), threading.Event()

    def think(_event):
        begun.set()
        released.wait(30)

    peer.before = think
    thread = threading.Thread(target=outbox.send, args=(result, peer.destination(**changes)))
    thread.start()
    try:
        assert begun.wait(30)
        yield
    finally:
        released.set()
        thread.join()


def test_a_peer_that_is_away_is_left_alone_probed_and_then_gets_everything(outbox):
    peer = fake_peer()
    first, second = outbox.add(1), outbox.add(2)
    let_it_open(outbox, first, peer)
    since = outbox.circuit().since
    attempts = [row.attempts for row in outbox.rows()]
    assert set(outbox.due()) == {(first, "pacs"), (second, "pacs")}  # time for the probe
    assert outbox.send(second, peer.destination()) is not None
    assert outbox.due() == []
    assert outbox.send(first, peer.destination()) is None
    facts = outbox.circuit()
    assert (facts.state, facts.failures, facts.reason_code) == ("open", 4, "peer_unreachable")
    assert facts.since == since
    assert [row.attempts for row in outbox.rows()][:2] == attempts[:2]
    outbox.wait(TERMS.circuit.probe_max)
    with peer.listening():
        outbox.send(first, peer.destination())
        assert outbox.circuit().state == "closed"
        assert outbox.due() == [(second, "pacs")]
        outbox.send(second, peer.destination())
    assert {row.state for row in outbox.rows()} == {"sent"}
    assert [row.failures for row in outbox.rows()] == [0] * 4
    changes = [name for name in outbox.events() if name.startswith("peer")]
    assert changes == ["peer_circuit_opened", "peer_circuit_closed"]
    (entry,) = outbox.audited("peer_circuit_opened")
    assert (entry.object_id, entry.detail["code"]) == ("pacs", "peer_unreachable")


def test_only_one_result_probes_a_peer(either):
    peer = fake_peer()
    first, second = either.add(1), either.add(2)
    let_it_open(either, first, peer)
    with peer.listening(), sending(either, first, peer, lanes=4):
        assert either.circuit().state == CircuitState.HALF_OPEN
        assert either.send(second, peer.destination(lanes=4)) is None
    assert either.circuit().state == CircuitState.CLOSED


def test_a_peer_that_refuses_objects_is_not_away(outbox):
    peer = fake_peer()
    peer.answer = lambda _number: 0xA700
    result = outbox.add()
    with peer.listening():
        for _ in range(TERMS.attempts):
            outbox.send(result, peer.destination())
            outbox.wait()
    assert outbox.circuit().state == CircuitState.CLOSED


def test_another_peer_is_served_while_one_hangs(outbox):
    slow, quick = fake_peer(), fake_peer()
    result = outbox.add(peers=("slow", "quick"))
    with slow.listening(), quick.listening(), sending(outbox, result, slow, name="slow"):
        outbox.send(result, quick.destination("quick"))
        assert outbox.states("quick") == [("sent", 0, None)] * 2
        assert {row.state for row in outbox.rows("slow")} == {"sending"}
    assert outbox.states("slow") == [("sent", 0, None)] * 2


def test_a_long_queue_of_one_peer_does_not_hide_what_another_waits_for(outbox):
    for number in range(1, 26):
        outbox.add(number, peers=("away",))
    last = outbox.add(26, peers=("there",))
    assert (last, "there") in outbox.due("away", "there")


@pytest.mark.parametrize(("lanes", "expected"), [(1, 0), (2, 2)])
def test_no_more_results_are_on_their_way_than_the_peer_has_lanes(either, lanes, expected):
    peer = fake_peer()
    first, second = either.add(1), either.add(2)
    with peer.listening(), sending(either, first, peer, lanes=lanes):
        peer.before = lambda _event: None
        report = either.send(second, peer.destination(lanes=lanes))
    assert (report.sent if report else 0) == expected


def test_many_workers_at_once_take_each_result_once_and_one_at_a_time(either):
    peer, together = fake_peer(), []
    results = [either.add(number) for number in range(1, 5)]
    present = threading.Semaphore(0)

    def watch(_event):
        present.release()
        together.append(present._value)
        time.sleep(0.05)  # so that another one would be seen
        present.acquire()

    def work():
        for _ in range(4):
            for result in results:
                either.send(result, peer.destination())

    peer.before = watch
    with peer.listening():
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for result in results:  # whatever the race left
            either.send(result, peer.destination())
    assert sorted(peer.uids()) == sorted(set(peer.uids()))
    assert len(peer.uids()) == 8
    assert set(together) == {1}


def test_a_person_can_have_a_peer_tried_at_once(outbox):
    peer = fake_peer()
    first, second = outbox.add(1), outbox.add(2)
    let_it_open(outbox, first, peer)
    assert outbox.send(second, peer.destination()) is not None
    assert outbox.due() == []
    with outbox.sessions.begin() as session:
        circuits.reset(session, "pacs", actor="otto", now=outbox.now)
    assert set(outbox.due()) == {(first, "pacs"), (second, "pacs")}
    assert outbox.circuit().state == CircuitState.CLOSED
    (entry,) = outbox.audited("peer_circuit_reset")
    assert entry.actor == "otto"


def test_a_retry_of_one_object_is_the_next_probe(outbox):
    peer = fake_peer()
    first, second = outbox.add(1), outbox.add(2)
    let_it_open(outbox, first, peer)
    outbox.send(second, peer.destination())
    with outbox.sessions.begin() as session:
        orders.order_retry(session, outbox.rows()[0].id, now=outbox.now)
    with peer.listening():
        assert outbox.send(first, peer.destination()) is not None
    assert outbox.circuit().state == CircuitState.CLOSED


def test_everything_that_was_given_up_for_a_peer_is_sent_again(either):
    peer = fake_peer()
    peer.answer = lambda _number: 0xC000
    first, second, gone = either.add(1), either.add(2), either.add(3)
    with peer.listening():
        for result in (first, second, gone):
            either.send(result, peer.destination())
        with either.sessions.begin() as session:
            session.execute(update(Analysis).where(Analysis.id == gone).values(state="superseded"))
        with either.sessions.begin() as session:
            assert orders.order_retry_of_peer(session, "pacs", now=either.now) == 4
            assert orders.order_retry_of_peer(session, "other", now=either.now) == 0
        peer.answer = lambda _number: 0
        either.send(first, peer.destination())
        either.send(second, peer.destination())
    assert [row.state for row in either.rows()] == ["sent"] * 4 + ["dead"] * 2


def test_the_sender_that_died_as_a_probe_is_followed_by_another(outbox):
    peer = fake_peer()
    result = outbox.add()
    let_it_open(outbox, result, peer)
    with outbox.sessions.begin() as session:
        circuits.begin(
            session, "pacs", circuits.admit(session, "pacs", terms=TERMS.circuit, now=outbox.now, lanes=1)
        )
    with reading(outbox.sessions) as session:
        assert session.query(Delivery).filter_by(state="sending").count() == 0
    with peer.listening():
        assert outbox.send(result, peer.destination()).sent == 2
