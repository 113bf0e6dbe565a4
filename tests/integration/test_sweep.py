"""What is looked after every second: one thing that fails never stops the others."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from service.core.status import DeliveryState, OutputKind
from service.db import deliveries, ledger, queries, versions
from service.db.session import reading
from service.db.tables import Analysis, Delivery, Event, Notice, ReplayOrder
from service.dicom.spool import Spool
from service.pipeline import sweep
from service.pipeline.close import Closing
from tests.make.received import NOW, measured_result, ready_analysis, take_in
from tests.make.series import mr_series

LEASE_SECONDS = 60
ATTEMPTS = 2


class World:
    """One sweeper, whose clocks the test moves."""

    def __init__(self, sessions, home):
        self.sessions, self.now, self.steady = sessions, NOW, 0.0
        self.home, self.spool = home, Spool(home / "spool")
        self.sweeper = self.make()

    def make(self, **terms):
        return sweep.Sweeper(
            self.sessions,
            self.spool,
            sweep.Terms(
                closing=Closing(quiet=timedelta(seconds=60), hard_cap=timedelta(minutes=30)),
                lease_seconds=LEASE_SECONDS,
                max_attempts=3,
                delivery_attempts=ATTEMPTS,
                peers=("pacs",),
                **terms,
            ),
            home=self.home,
            clock=lambda: self.now,
            steady_clock=lambda: self.steady,
        )

    def let_leases_expire(self):
        self.sweeper.sweep()
        self.steady += LEASE_SECONDS
        return self.sweeper.sweep()

    def claim(self, analysis_id):
        with self.sessions.begin() as db:
            return queries.claim_analysis(db, analysis_id, owner="dead", now=NOW)

    def all_of(self, table):
        with reading(self.sessions) as db:
            return db.scalars(select(table).order_by(table.id)).all()


@pytest.fixture
def world(sessions, tmp_path):
    return World(sessions, tmp_path / "home")


@pytest.fixture
def finished(world):
    """A finished analysis with one object that waits for the peer."""
    analysis_id = ready_analysis(world.sessions)
    claim = world.claim(analysis_id)
    with world.sessions.begin() as db:
        queries.save_finding(
            db,
            claim,
            measured_result(),
            now=NOW,
        )
        output = deliveries.OutputFacts(
            kind=OutputKind.SR, sop_class_uid="1.2", sop_instance_uid="1.9.1", path="r", sha256="0", size=1
        )
        rows = deliveries.add_outputs(db, analysis_id, [output])
        deliveries.plan(db, rows, peer="pacs", kinds=("SR",), now=NOW)
    return analysis_id


@pytest.fixture
def received(world, tmp_path):
    """A series that is complete as soon as the quiet time has passed."""
    take_in(world.sessions, world.spool, mr_series(tmp_path / "in"))


def send_and_die(world, analysis_id):
    """Take what is due, and never be heard of again."""
    with world.sessions.begin() as db:
        assert deliveries.claim_deliveries(db, analysis_id, peer="pacs", now=world.now)


def test_nobody_waits_for_the_word_of_a_peer_that_is_taken_out_of_the_settings(world, finished):
    with world.sessions.begin() as db:
        (parcel,) = deliveries.claim_deliveries(db, finished, peer="pacs", now=NOW)
        deliveries.mark_sent(db, parcel, status=0, now=NOW, confirm_at=NOW)
    world.make(confirming=("pacs",)).sweep()
    assert sent(world) == [("sent", NOW)]
    world.make(confirming=("another",)).sweep()
    assert sent(world) == [("sent", None)]
    with reading(world.sessions) as db:
        details = list(db.scalars(select(Event.detail).where(Event.name == "confirmations_forgotten")))
    assert details == [{"peer": "pacs", "count": 1}]


def sent(world):
    with reading(world.sessions) as db:
        return [(row.state, row.confirm_at) for row in db.scalars(select(Delivery))]


def broken(*_args, **_kwargs):
    raise KeyError("Doe^Jane")


def test_an_analysis_of_a_dead_worker_is_rung_again(world):
    analysis_id = ready_analysis(world.sessions)
    world.claim(analysis_id)
    assert world.let_leases_expire().analysis_ids == (analysis_id,)
    with reading(world.sessions) as db:
        assert ledger.counters(db) == {sweep.LEASES_EXPIRED: 1}


@pytest.mark.parametrize(
    "place",
    [
        (queries, "running_analyses"),
        (deliveries, "running_deliveries"),
        (sweep, "close_series"),
        (queries, "ready_analyses"),
        (deliveries, "due"),
    ],
    ids=lambda place: place[1],
)
@pytest.mark.usefixtures("finished", "received")
def test_one_step_that_fails_stops_no_other(world, monkeypatch, caplog, place):
    monkeypatch.setattr(*place, broken)
    world.now += timedelta(seconds=60)
    due = world.sweeper.sweep()
    told = {record.kind for record in caplog.records if record.message == "sweep_step_failed"}
    assert len(told) == 1
    assert bool(due.analysis_ids) == (place[1] not in ("close_series", "ready_analyses"))
    assert bool(due.delivery_ids) == (place[1] != "due")


def test_a_delivery_that_kills_its_senders_is_given_up_after_the_allowed_attempts(world, finished):
    for state in (DeliveryState.PENDING, DeliveryState.DEAD):
        send_and_die(world, finished)
        world.let_leases_expire()
        (delivery,) = world.all_of(Delivery)
        assert (delivery.state, delivery.error_code) == (state, "lease_expired")
        with reading(world.sessions) as db:
            assert ledger.counters(db)[sweep.LEASES_EXPIRED] == delivery.attempts
    assert delivery.attempts == ATTEMPTS
    assert [row.state for row in world.all_of(Analysis)] == ["measured"]


def test_a_delivery_of_a_dead_sender_is_given_up_when_it_was_superseded(world, finished):
    send_and_die(world, finished)
    with world.sessions.begin() as db:
        versions.supersede(db, [finished], now=NOW)
    world.let_leases_expire()
    (delivery,) = world.all_of(Delivery)
    assert (delivery.state, delivery.error_code) == (DeliveryState.DEAD, "superseded")


AHEAD = timedelta(hours=10)


def test_an_analysis_that_waits_for_a_time_of_a_clock_since_set_back_waits_no_longer(world):
    analysis_id = ready_analysis(world.sessions)
    claim = world.claim(analysis_id)
    with world.sessions.begin() as db:
        soon = world.now + AHEAD + timedelta(seconds=5)
        queries.give_back(db, claim, reason=sweep.EXPIRED, max_attempts=3, not_before=soon, now=soon)
    assert world.sweeper.sweep().analysis_ids == (analysis_id,)


def test_what_waits_on_purpose_goes_on_waiting(world):
    analysis_id = ready_analysis(world.sessions)
    claim = world.claim(analysis_id)
    with world.sessions.begin() as db:
        soon = world.now + timedelta(seconds=5)
        queries.give_back(db, claim, reason=sweep.EXPIRED, max_attempts=3, not_before=soon, now=world.now)
    assert world.sweeper.sweep().analysis_ids == ()


def test_a_delivery_that_waits_for_a_time_of_a_clock_since_set_back_waits_no_longer(world, finished):
    with world.sessions.begin() as db:
        db.execute(update(Delivery).values(next_at=world.now + AHEAD))
    assert len(world.sweeper.sweep().delivery_ids) == 1


def test_a_series_received_before_the_clock_was_set_back_is_complete_after_the_quiet_time(world, tmp_path):
    take_in(world.sessions, world.spool, mr_series(tmp_path / "in"), now=world.now + AHEAD)
    assert world.sweeper.sweep().analysis_ids == ()
    world.now += timedelta(seconds=60)
    assert len(world.sweeper.sweep().analysis_ids) == 1


def test_a_replay_and_a_message_that_wait_for_a_time_of_a_clock_since_set_back_wait_no_longer(
    world, finished
):
    """Whoever had begun the replay died before the clock was set back."""
    ahead = world.now + AHEAD
    with world.sessions.begin() as db:
        db.add(
            ReplayOrder(analysis_id=finished, actor="rita", ordered_at=ahead, attempt=1, taken_until=ahead)
        )
        letter = {"recipient": "it", "kind": "trouble", "subject": "s", "body": "b", "state": "pending"}
        db.add(Notice(**letter, created_at=ahead, next_at=ahead))
    (order,) = world.all_of(ReplayOrder)
    assert world.sweeper.sweep().replay_ids == (order.id,)
    assert [row.next_at for row in world.all_of(Notice)] == [world.now]
    with world.sessions.begin() as db:
        db.execute(update(ReplayOrder).values(taken_until=world.now + timedelta(seconds=LEASE_SECONDS)))
    assert world.sweeper.sweep().replay_ids == ()


@pytest.mark.usefixtures("received")
def test_a_clock_that_jumps_ahead_and_back_expires_no_lease_and_makes_no_second_result(world):
    world.now += timedelta(seconds=60)
    (analysis_id,) = world.sweeper.sweep().analysis_ids
    world.claim(analysis_id)
    for jump in (AHEAD, -2 * AHEAD, AHEAD):
        world.now += jump
        assert world.sweeper.sweep().analysis_ids == ()
    (analysis,) = world.all_of(Analysis)
    assert (analysis.state, analysis.attempt, analysis.heartbeat) == ("running", 1, 1)
