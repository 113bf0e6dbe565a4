"""What the rules choose of a study, whatever the order in which its series come."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from service.core.status import DeliveryState, OutputKind
from service.db import ledger, optouts, orders
from service.db.session import make_sessions, reading
from service.db.tables import Analysis, Delivery, Event, Output, Series
from service.dicom.spool import Spool
from service.errors import ConfigurationError
from service.pipeline import attempt, close, run
from service.pipeline.choose import Choosing, decide_waiting
from service.pipeline.close import Closing, Holes
from service.pipeline.references import bundled_models_dir, read_rules
from service.worker import main
from service.worker.choosing import choosing_from
from tests.make import stand_in
from tests.make.choosing import CARD, MOST_SLICES, WORKSHOP, rules
from tests.make.databases import both_databases, database_url  # noqa: F401
from tests.make.peers import fake_peer
from tests.make.received import NOW, take_in
from tests.make.series import mr_series

QUIET = timedelta(seconds=60)
CAP = timedelta(minutes=30)
T1 = {"EchoTime": "12", "RepetitionTime": "600", "EchoTrainLength": "3", "SeriesDescription": "t1_tse_tra"}
T2 = {}


class World:
    """A ledger and a spool with rules, whose clock the test moves."""

    def __init__(self, sessions, home, folder):
        self.sessions, self.home, self.folder, self.now = sessions, home, folder, NOW
        self.spool = Spool(home / "spool")
        self.holes = Holes()
        self.peer = fake_peer()
        self.use(rules(MOST_SLICES))

    def use(self, found):
        self.choosing = Choosing(rules=found, card=CARD, hard_cap=CAP)

    def files(self, series, slices, changes=T2):
        return mr_series(
            self.folder / str(series),
            series=series,
            positions=[4.0 * index for index in range(slices)],
            changes=changes,
        )

    def receive(self, *args, **kwargs):
        paths = self.files(*args, **kwargs)
        take_in(self.sessions, self.spool, paths, now=self.now)

    def sweep(self, after=QUIET):
        self.now += after
        closing = Closing(quiet=QUIET, hard_cap=CAP, choosing=self.choosing)
        close.close_series(self.sessions, self.spool, now=self.now, closing=closing, holes=self.holes)
        return decide_waiting(self.sessions, self.choosing, self.home, now=self.now)

    def work(self):
        """Do everything that is ready, one after the other."""
        bench = run.Bench(
            home=self.home,
            spool=self.spool,
            destinations=[self.peer.destination()],
            terms=run.Terms(max_attempts=2, retry_after=timedelta(seconds=5), beat_seconds=60),
            owner="worker",
            clock=lambda: self.now,
        )
        with reading(self.sessions) as db:
            waiting = db.scalars(select(Analysis.id).order_by(Analysis.id)).all()
        for analysis_id in waiting:
            run.run(self.sessions, analysis_id, stand_in.performing(WORKSHOP), bench)

    def outcomes(self):
        """Series, version, state and reason of every analysis, in the order of making."""
        return [
            (int(row.inputs[0].series.series_uid[-1]), row.version, row.state, row.reason_code)
            for row in self.rows()
        ]

    def rows(self):
        with reading(self.sessions) as db:
            rows = db.scalars(select(Analysis).order_by(Analysis.id)).all()
            for row in rows:
                assert row.inputs[0].series
            return rows

    def all_of(self, table):
        with reading(self.sessions) as db:
            return db.scalars(select(table).order_by(table.id)).all()


@pytest.fixture
def world(sessions, tmp_path, monkeypatch):
    monkeypatch.setattr(attempt, "analyse_inputs", stand_in.analyse)
    return World(sessions, tmp_path / "home", tmp_path / "in")


@both_databases
def test_the_shipped_rules_measure_everything_that_the_card_admits(world):
    world.use(read_rules(bundled_models_dir(), "default"))
    world.receive(1, 20)
    world.receive(2, 24)
    world.receive(3, 20, T1)
    assert world.sweep() == 1
    world.work()
    assert world.outcomes() == [(1, 1, "measured", None), (2, 1, "measured", None), (3, 1, "measured", None)]
    chosen = world.rows()[0].choice
    assert (chosen["rules"], chosen["rule"]) == ("default@1", "everything eligible")
    assert chosen["facts"]["slices"] == 20
    (event, *_) = [each for each in world.all_of(Event) if each.name == "rules_decided"]
    assert event.detail == {
        "outcome": "measure",
        "rules": "default@1",
        "rule": "everything eligible",
        "attribute": "none",
    }


@both_databases
def test_one_of_a_study_is_measured_and_the_others_say_why_not(world):
    world.receive(1, 20)
    world.receive(2, 24)
    world.receive(3, 30, T1)
    world.sweep()
    world.work()
    assert world.outcomes() == [
        (1, 1, "not_eligible", "not_selected"),
        (2, 1, "measured", None),
        (3, 1, "not_eligible", "not_selected"),
    ]
    small, _, t1 = world.rows()
    assert small.reason_text == (
        "Rule 'T2' of site@1 prefers most slices: 24 in the images that it took, 20 in these."
    )
    assert t1.choice["attribute"] == "order of rules"
    assert small.finding["series"]["slices"] == 20
    assert small.finding["reasons"] == [{"code": "not_selected", "text": small.reason_text}]
    assert len(world.all_of(Output)) == 1


def test_nobody_takes_an_analysis_before_the_rules_have_decided(world):
    world.receive(1, 20)
    world.now += QUIET
    closing = Closing(quiet=QUIET, hard_cap=CAP, choosing=world.choosing)
    (made,) = close.close_series(world.sessions, world.spool, now=world.now, closing=closing)
    world.work()
    assert world.outcomes() == [(1, 1, "ready", None)]
    world.sweep(timedelta(0))
    world.work()
    assert world.rows()[0].id == made
    assert world.outcomes() == [(1, 1, "measured", None)]


def test_what_the_card_does_not_admit_keeps_the_reason_of_the_card(world):
    world.receive(1, 20, {"Modality": "CT"})
    world.sweep()
    assert world.rows()[0].choice["outcome"] == "not_eligible"
    assert not world.rows()[0].undecided


def test_a_study_waits_for_series_that_are_still_arriving(world):
    world.receive(1, 20, T1)
    world.now += QUIET - timedelta(seconds=1)
    world.receive(2, 24)
    assert world.sweep(timedelta(seconds=1)) == 0
    world.work()
    assert world.outcomes() == [(1, 1, "ready", None)]
    world.sweep()
    world.work()
    assert world.outcomes() == [(1, 1, "not_eligible", "not_selected"), (2, 1, "measured", None)]


def test_a_series_that_never_ends_holds_up_its_study_no_longer_than_the_cap(world):
    world.receive(1, 20, T1)
    world.now += QUIET - timedelta(seconds=1)
    world.receive(2, 10)
    assert world.sweep(timedelta(seconds=1)) == 0
    with world.sessions.begin() as db:
        late = db.scalar(select(Series).where(Series.series_uid.endswith(".2")))
        late.first_at = late.last_at = world.now + CAP
    assert world.sweep(CAP - timedelta(seconds=1)) == 0
    assert world.sweep(timedelta(seconds=1)) == 1


def deliver_all(world, kind=OutputKind.SR):
    """Have the peer take everything, the capture standing for a report."""
    with world.sessions.begin() as db:
        db.execute(update(Delivery).values(state=DeliveryState.SENT))
        db.execute(update(Output).values(kind=kind))


@both_databases
def test_a_better_stack_that_comes_late_takes_the_place_of_the_choice(world):
    world.receive(1, 20)
    world.sweep()
    world.work()
    deliver_all(world)
    (report,) = [row.sop_instance_uid for row in world.all_of(Output)]
    world.receive(2, 24)
    world.sweep()
    world.work()
    assert world.outcomes() == [
        (1, 1, "superseded", None),
        (2, 1, "measured", None),
        (1, 2, "not_eligible", "not_selected"),
    ]
    first, better, passed_over = world.rows()
    assert passed_over.supersedes_id == first.id
    assert better.choice["instead_of"] == [first.id]
    assert better.finding["supersedes"] == report
    assert (passed_over.choice["attribute"], passed_over.undecided) == ("slices", False)
    world.receive(3, 22)
    world.sweep()
    world.work()
    assert [row[:3] for row in world.outcomes()[3:]] == [(3, 1, "not_eligible")]


def test_what_was_not_sent_of_the_earlier_choice_is_sent_no_more(world):
    world.receive(1, 20)
    world.sweep()
    world.work()
    world.receive(2, 24)
    world.sweep()
    world.work()
    old, new = world.all_of(Delivery)
    assert (old.state, old.error_code, new.state) == ("dead", "superseded", "pending")


def test_a_worse_stack_that_comes_late_changes_nothing(world):
    world.receive(1, 20)
    world.sweep()
    world.work()
    world.receive(2, 15)
    world.sweep()
    world.work()
    assert world.outcomes() == [(1, 1, "measured", None), (2, 1, "not_eligible", "not_selected")]


def test_a_choice_that_waits_for_its_worker_is_changed_where_it_stands(world):
    world.receive(1, 20)
    world.sweep()
    world.receive(2, 24)
    world.sweep()
    world.work()
    assert world.outcomes() == [(1, 1, "not_eligible", "not_selected"), (2, 1, "measured", None)]


def test_a_choice_whose_images_are_gone_stands(world):
    world.receive(1, 20)
    world.sweep()
    world.work()
    with world.sessions.begin() as db:
        db.execute(update(Series).values(pixels_purged_at=world.now))
    world.receive(2, 24)
    world.sweep()
    world.work()
    assert world.outcomes() == [(1, 1, "measured", None), (2, 1, "not_eligible", "not_selected")]
    assert world.rows()[1].choice["attribute"] == "standing"


def test_images_that_come_late_to_the_one_passed_over_may_make_it_the_choice(world):
    world.receive(1, 20)
    world.receive(2, 24)
    world.sweep()
    world.work()
    world.receive(1, 30)
    world.sweep()
    world.work()
    assert world.outcomes()[2:] == [(1, 2, "measured", None), (2, 2, "not_eligible", "not_selected")]


def test_what_a_person_asks_for_is_measured_beside_the_choice(world):
    world.receive(1, 20)
    world.receive(2, 24)
    world.sweep()
    world.work()
    with world.sessions.begin() as db:
        ordered = orders.order_rerun(db, world.rows()[0].id, now=world.now)
    world.work()
    assert world.outcomes()[2:] == [(1, 2, "measured", None)]
    with reading(world.sessions) as db:
        assert db.get(Analysis, ordered).choice["ordered"]
    world.receive(3, 22)
    world.sweep()
    world.work()
    assert [row[2] for row in world.outcomes()] == ["superseded", "measured", "measured", "not_eligible"]


def test_a_rerun_of_the_choice_stays_the_choice(world):
    world.receive(1, 20)
    world.sweep()
    world.work()
    with world.sessions.begin() as db:
        orders.order_rerun(db, world.rows()[0].id, now=world.now)
    world.work()
    world.receive(2, 15)
    world.sweep()
    world.work()
    assert world.outcomes()[1:] == [(1, 2, "measured", None), (2, 1, "not_eligible", "not_selected")]


def test_rules_may_ask_who_sent_the_images(world):
    text = 'id = "s"\nversion = "1"\ntake = "all"\n[[rule]]\nname = "r"\nwhen.calling_ae = ["{}"]\n'
    world.use(rules(text.format("SENDER")))
    world.receive(1, 20)
    world.sweep()
    world.use(rules(text.format("OTHER")))
    world.receive(2, 20)
    world.sweep()
    assert [row.choice["outcome"] for row in world.rows()] == ["measure", "not_selected"]


def test_one_study_s_trouble_stops_no_other(world, monkeypatch):
    world.receive(1, 20)
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "lock_study", broken)
        assert world.sweep() == 0
    assert world.sweep() == 1


def broken(*_args, **_kwargs):
    raise KeyError("Doe^Jane")


def test_a_series_in_which_nothing_can_be_read_waits_for_no_rule(world):
    world.receive(1, 5, {"ImagePositionPatient": None})
    world.sweep()
    (row,) = world.rows()
    assert (row.choice, row.undecided) == (None, False)


def test_the_opt_out_list_is_asked_before_the_rules(world):
    with world.sessions.begin() as db:
        optouts.add(db, world.home, ("P1", ""), reason="", actor="anna", now=NOW)
    world.receive(1, 20)
    assert world.sweep() == 1
    (row,) = world.rows()
    assert (row.choice["outcome"], row.undecided) == ("opted_out", False)
    world.work()
    assert world.outcomes() == [(1, 1, "not_eligible", "opted_out")]
    with world.sessions.begin() as db:
        optouts.remove(db, world.home, ("P1", ""), actor="anna", now=NOW)
        orders.order_rerun(db, row.id, now=world.now)
    assert world.sweep() == 1
    world.work()
    assert world.outcomes()[1:] == [(1, 2, "measured", None)]


def test_without_the_key_of_the_opt_out_list_an_analysis_fails_and_says_so(world):
    """It does not wait for the rules for ever."""
    with world.sessions.begin() as db:
        optouts.add(db, world.home, ("P2", ""), reason="", actor="anna", now=NOW)
    (world.home / optouts.KEY_NAME).unlink()
    world.receive(1, 20)
    assert world.sweep() == 1
    for _attempt in range(2):
        world.work()
        world.now += QUIET
    assert world.outcomes() == [(1, 1, "failed", "opt_out_key_lost")]


def test_the_worker_s_sweep_asks_the_rules_of_the_settings(make_settings, tmp_path):
    settings = make_settings(rules="one-per-study", quiet_seconds=0)
    sessions = make_sessions(settings.resolved_database_url)
    work = main.make_work(settings, sessions, stand_in.performing(WORKSHOP))
    take_in(sessions, Spool(settings.spool_dir), mr_series(tmp_path / "in"))
    due = work.sweeper.sweep()
    with reading(sessions) as db:
        (row,) = db.scalars(select(Analysis)).all()
    assert due.analysis_ids == (row.id,)
    assert row.choice["rules"] == "one-per-study@1"


def test_rules_that_are_wrong_keep_the_worker_from_starting(make_settings, tmp_path):
    (tmp_path / "site.toml").write_text(MOST_SLICES.replace("T2", "T1", 1), "utf-8")
    settings = make_settings(rules=str(tmp_path / "site.toml"))
    with pytest.raises(ConfigurationError, match=r"site\.toml: rule: two rules have the name 'T1'"):
        choosing_from(settings)


ANY = """
id = "site"
version = "1"
take = "first"
[[rule]]
name = "any"
"""


@pytest.mark.parametrize("text", [ANY, MOST_SLICES], ids=["no preference", "most slices"])
@pytest.mark.parametrize("late", [1, 2])
def test_a_station_that_joins_a_result_is_not_chosen_against_it(world, text, late):
    """The earlier result is a part of the new one, and no other stack of the study."""
    world.use(rules(text))
    heights = {1: 84.0, 2: 4.0}
    for number in (3 - late, late):
        paths = mr_series(
            world.folder / str(number),
            series=number,
            positions=[heights[number] + 4.0 * index for index in range(20)],
        )
        take_in(world.sessions, world.spool, paths, now=world.now)
        world.sweep()
        world.work()
    assert world.outcomes() == [(3 - late, 1, "superseded", None), (2, 2, "measured", None)]
