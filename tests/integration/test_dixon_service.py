"""Water and fat that arrive as two series become one analysis, in whatever order they come."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from service.core.series import Role
from service.core.status import OutputKind
from service.db import ledger, listing, orders
from service.db.session import reading
from service.db.tables import Analysis, Event, Output, Series
from service.dicom.spool import Spool
from service.errors import InvalidRequest
from service.pipeline import attempt, close, run
from service.pipeline.analyse import analyse_inputs
from service.pipeline.close import Closing, Holes
from tests.make import network, stand_in
from tests.make.databases import both_databases, database_url  # noqa: F401
from tests.make.dixon import write_dixon
from tests.make.received import NOW, take_in
from tests.make.series import mr_series

QUIET = timedelta(seconds=60)
CAP = timedelta(minutes=30)
NUMBERS = {"WATER": 5, "FAT": 6, "IN_PHASE": 7, "OPP_PHASE": 8}


class World:
    """A ledger and a spool, whose clock the test moves."""

    def __init__(self, sessions, home, folder):
        self.sessions, self.home, self.folder, self.now = sessions, home, folder, NOW
        self.spool = Spool(home / "spool")
        self.holes = Holes()

    def files(self, part, *, series=None, acquired="101500", **slices):
        """Slices of one part, in a series of its own."""
        values = {
            "ImageType": ["DERIVED", "PRIMARY", "DIXON", part],
            "AcquisitionDate": "20240229",
            "AcquisitionTime": acquired,
        }
        number = series or NUMBERS[part]
        return mr_series(self.folder / part / acquired, series=number, changes=values, **slices)

    def receive(self, paths):
        return take_in(self.sessions, self.spool, paths, now=self.now)

    def sweep(self, after=QUIET):
        self.now += after
        closing = Closing(quiet=QUIET, hard_cap=CAP)
        return close.close_series(self.sessions, self.spool, now=self.now, closing=closing, holes=self.holes)

    def run(self, analysis_id, workshop=stand_in.WORKSHOP):
        bench = run.Bench(
            home=self.home,
            spool=self.spool,
            destinations=[],
            terms=run.Terms(max_attempts=2, retry_after=timedelta(seconds=5), beat_seconds=60),
            owner="worker",
            clock=lambda: self.now,
        )
        return run.run(self.sessions, analysis_id, stand_in.performing(workshop), bench)

    def analyses(self):
        """Version, state, and role and number of the series of each input, in the order of making."""
        with reading(self.sessions) as db:
            rows = db.scalars(select(Analysis).order_by(Analysis.id)).all()
            return [
                (row.version, row.state, [(i.role, int(i.series.series_uid[-1])) for i in row.inputs])
                for row in rows
            ]

    def all_of(self, table):
        with reading(self.sessions) as db:
            return db.scalars(select(table).order_by(table.id)).all()


@pytest.fixture
def world(sessions, tmp_path, monkeypatch):
    monkeypatch.setattr(attempt, "analyse_inputs", stand_in.analyse)
    return World(sessions, tmp_path / "home", tmp_path / "in")


PAIR = [("water", 5), ("fat", 6)]
WATER, FAT = [("image", 5)], [("image", 6)]


@pytest.mark.parametrize("order", [("WATER", "FAT"), ("FAT", "WATER")])
def test_two_series_that_are_complete_make_one_analysis(world, order):
    for part in order:
        world.receive(world.files(part))
    (made,) = world.sweep()
    assert world.analyses() == [(1, "ready", PAIR)]
    assert world.run(made) is not None
    assert world.analyses() == [(1, "measured", PAIR)]


def test_the_same_images_again_change_nothing(world):
    paths = [*world.files("WATER"), *world.files("FAT")]
    world.receive(paths)
    world.sweep()
    assert set(world.receive(paths)) == {"duplicate"}
    assert world.sweep() == []
    assert world.analyses() == [(1, "ready", PAIR)]


@both_databases
def test_all_four_series_make_one_analysis_and_two_outcomes(world):
    for part in NUMBERS:
        world.receive(world.files(part))
    assert len(world.sweep()) == 3
    assert world.analyses() == [
        (1, "ready", PAIR),
        (1, "ready", [("dixon_part", 7)]),
        (1, "ready", [("dixon_part", 8)]),
    ]


def test_water_waits_for_fat_that_is_arriving(world):
    fat = world.files("FAT")
    world.receive(world.files("WATER"))
    world.now += QUIET - timedelta(seconds=1)
    world.receive(fat[:2])
    assert world.sweep(timedelta(seconds=1)) == []
    assert world.sweep(timedelta(seconds=1)) == []
    assert {row.state for row in world.all_of(Series)} == {"receiving"}
    world.receive(fat[2:])
    assert len(world.sweep()) == 1
    assert world.analyses() == [(1, "ready", PAIR)]


def test_while_it_waits_its_headers_are_not_read_again(world, monkeypatch):
    world.receive(world.files("WATER"))
    world.now += QUIET - timedelta(seconds=1)
    world.receive(world.files("FAT")[:1])
    world.sweep(timedelta(seconds=1))
    monkeypatch.setattr(close, "scan", lambda _paths: pytest.fail("read again"))
    assert world.sweep(timedelta(seconds=1)) == []


def test_water_waits_for_no_other_series_that_is_arriving(world):
    world.receive(world.files("WATER"))
    world.now += QUIET - timedelta(seconds=1)
    world.receive(mr_series(world.folder / "t2", series=9)[:2])
    assert len(world.sweep(timedelta(seconds=1))) == 1
    assert world.analyses() == [(1, "ready", WATER)]


def test_a_pair_that_is_complete_waits_for_nothing(world):
    world.receive([*world.files("WATER"), *world.files("FAT")])
    world.now += QUIET - timedelta(seconds=1)
    world.receive(world.files("IN_PHASE")[:2])
    assert len(world.sweep(timedelta(seconds=1))) == 1
    assert world.analyses() == [(1, "ready", PAIR)]


def test_after_the_hard_cap_water_is_analysed_without_fat(world):
    fat = world.files("FAT")
    world.receive(world.files("WATER"))
    world.now += CAP - timedelta(seconds=1)
    world.receive(fat[:1])
    assert len(world.sweep(timedelta(seconds=1))) == 1
    assert world.analyses() == [(1, "ready", WATER)]
    world.receive(fat[1:])
    world.sweep()
    assert world.analyses() == [(1, "superseded", WATER), (2, "ready", PAIR)]


@both_databases
def test_fat_that_comes_after_the_result_makes_a_version_that_supersedes_it(world, monkeypatch):
    monkeypatch.setattr(attempt, "analyse_inputs", with_report)
    world.receive(world.files("WATER"))
    (first,) = world.sweep()
    world.run(first)
    world.receive(world.files("FAT"))
    (second,) = world.sweep()
    assert world.analyses() == [(1, "measured", WATER), (2, "ready", PAIR)]
    world.run(second)
    assert world.analyses() == [(1, "superseded", WATER), (2, "measured", PAIR)]
    old, new = world.all_of(Output)
    assert old.sop_instance_uid != new.sop_instance_uid
    assert world.all_of(Analysis)[1].finding["supersedes"] == old.sop_instance_uid


def with_report(*args, **kwargs):
    """The stand-in's object as a report."""
    result = stand_in.analyse(*args, **kwargs)
    (written,) = result.written
    return replace(result, written=(replace(written, kind=OutputKind.SR),))


def test_fat_that_came_alone_has_its_outcome_until_water_comes(world):
    world.receive(world.files("FAT"))
    (first,) = world.sweep()
    world.run(first)
    world.receive(world.files("WATER"))
    world.sweep()
    assert world.analyses() == [(1, "superseded", FAT), (1, "ready", PAIR)]


def test_an_in_phase_result_is_superseded_when_the_pair_arrives(world):
    world.receive(world.files("IN_PHASE"))
    (first,) = world.sweep()
    world.run(first)
    world.receive([*world.files("WATER"), *world.files("FAT")])
    made = world.sweep()
    for analysis_id in made:
        world.run(analysis_id)
    assert Counter((state, inputs[0][0]) for _, state, inputs in world.analyses()) == {
        ("superseded", "image"): 1,
        ("measured", "water"): 1,
        ("measured", "dixon_part"): 1,
    }


def test_a_late_image_of_the_fat_series_makes_a_new_version_of_the_pair(world):
    fat = world.files("FAT")
    world.receive([*world.files("WATER"), *fat[:-1]])
    world.sweep()
    assert world.analyses() == [(1, "ready", WATER), (1, "ready", FAT)]
    world.receive(fat[-1:])
    world.sweep()
    assert world.analyses() == [
        (1, "superseded", WATER),
        (1, "superseded", FAT),
        (2, "ready", PAIR),
    ]


def test_an_analysis_of_a_pair_waits_while_late_images_of_one_series_arrive(world):
    world.receive([*world.files("WATER"), *world.files("FAT")])
    (made,) = world.sweep()
    world.receive(world.files("FAT", positions=(20.0,), first_number=6))
    assert world.run(made) is None
    assert world.analyses() == [(1, "ready", PAIR)]


def test_two_acquisitions_are_two_pairs(world):
    world.receive([*world.files("WATER"), *world.files("FAT")])
    for series, part in ((1, "WATER"), (2, "FAT")):
        world.receive(world.files(part, series=series, acquired="102500"))
    world.sweep()
    inputs = sorted(inputs for _, _, inputs in world.analyses())
    assert inputs == [[("water", 1), ("fat", 2)], PAIR]


@both_databases
def test_a_series_closed_by_another_worker_meanwhile_is_seen_next_time(world, monkeypatch):
    """Two workers close water and fat at once: the second must not miss the first's."""
    world.receive([*world.files("WATER"), *world.files("FAT")])
    real = ledger.lock_study

    def another_closes_fat(session, study_id):
        monkeypatch.setattr(ledger, "lock_study", real)
        (_, fat) = session.scalars(select(Series).order_by(Series.id))
        fat.state, fat.closed_at = "closed", world.now
        session.flush()

    def only_water(session, **kwargs):
        monkeypatch.setattr(ledger, "open_series", real_open)
        return [series for series in real_open(session, **kwargs) if series.id == 1]

    real_open = ledger.open_series
    monkeypatch.setattr(ledger, "open_series", only_water)
    monkeypatch.setattr(ledger, "lock_study", another_closes_fat)
    monkeypatch.setattr(Holes, "is_dixon", lambda *_: False)
    assert world.sweep() == []
    monkeypatch.undo()
    world.sweep(timedelta(seconds=1))
    assert world.analyses() == [(1, "ready", PAIR)]


def test_one_series_that_cannot_be_written_down_does_not_stop_its_partner(world, monkeypatch, caplog):
    world.receive([*world.files("WATER"), *world.files("FAT")])
    real, fat = ledger.close_series, world.all_of(Series)[1]

    def close_all_but_fat(db, series, **kwargs):
        if series.id == fat.id:
            raise RuntimeError
        return real(db, series, **kwargs)

    monkeypatch.setattr(ledger, "close_series", close_all_but_fat)
    assert len(world.sweep()) == 1
    assert "series_not_closed" in caplog.messages
    monkeypatch.setattr(ledger, "close_series", real)
    world.sweep(timedelta(seconds=1))
    assert world.analyses() == [(1, "superseded", WATER), (2, "ready", PAIR)]


@both_databases
def test_an_image_that_arrives_while_a_group_is_closed_closes_none_of_it(world, monkeypatch):
    fat = world.files("FAT")
    world.receive([*world.files("WATER"), *fat[:-1]])
    real = close._companions

    def meanwhile(*args, **kwargs):
        world.receive(fat[-1:])
        return real(*args, **kwargs)

    monkeypatch.setattr(close, "_companions", meanwhile)
    assert world.sweep() == []
    assert {row.state for row in world.all_of(Series)} == {"receiving"}
    assert [row.name for row in world.all_of(Event)] == []


def test_a_rerun_of_an_old_version_takes_the_partners_of_the_newest(world):
    world.receive(world.files("WATER"))
    (first,) = world.sweep()
    world.run(first)
    world.receive(world.files("FAT"))
    (second,) = world.sweep()
    world.run(second)
    with world.sessions.begin() as db:
        orders.order_rerun(db, first, now=world.now)
    assert world.analyses()[-1] == (3, "ready", PAIR)


def test_an_outcome_whose_images_went_into_a_pair_is_not_repeated(world):
    world.receive(world.files("FAT"))
    (first,) = world.sweep()
    world.run(first)
    world.receive(world.files("WATER"))
    world.sweep()
    with world.sessions.begin() as db, pytest.raises(InvalidRequest) as error:
        orders.order_rerun(db, first, now=world.now)
    assert error.value.reason.code == "superseded"
    assert world.analyses() == [(1, "superseded", FAT), (1, "ready", PAIR)]


@pytest.mark.parametrize("part", ["FAT", "WATER"])
def test_a_pair_stays_while_late_images_of_one_series_arrive_and_a_third_one_is_closed(world, part):
    world.receive([*world.files("WATER"), *world.files("FAT")])
    (made,) = world.sweep()
    world.run(made)
    world.receive(world.files("OPP_PHASE"))
    world.now += CAP - timedelta(seconds=1)
    world.receive(world.files(part, positions=(20.0,), first_number=6))
    world.sweep(timedelta(seconds=1))
    assert world.analyses() == [(1, "measured", PAIR), (1, "ready", [("image", 8)])]
    other = "WATER" if part == "FAT" else "FAT"
    world.receive(world.files(other, positions=(20.0,), first_number=6))
    world.receive(world.files("OPP_PHASE", positions=(20.0,), first_number=6))
    world.sweep()
    assert [row for row in world.analyses() if row[1] != "superseded"] == [
        (1, "measured", PAIR),
        (2, "ready", PAIR),
        (2, "ready", [("dixon_part", 8)]),
    ]


def test_a_pair_in_one_series_names_it_once(world):
    for paths in write_dixon(world.folder / "one", one_series=True, rows=32, columns=32).values():
        world.receive(paths)
    world.sweep()
    with reading(world.sessions) as db:
        (row,) = listing.list_analyses(db, listing.AnalysisQuery(), before_id=None, limit=5).items
    assert len(row.series_uids) == 1


@pytest.fixture(scope="module")
def workshop():
    """The shipped network, loaded once."""
    return network.workshop()


def test_the_service_measures_a_pair_as_analyse_does(world, workshop, tmp_path, monkeypatch):
    monkeypatch.setattr(attempt, "analyse_inputs", analyse_inputs)
    written = write_dixon(tmp_path / "phantom", ("in_phase", "fat", "water"))
    for paths in written.values():
        world.receive(paths)
    for analysis_id in world.sweep():
        world.run(analysis_id, workshop)
    rows = {row.inputs[0].role: row for row in with_inputs(world)}
    pair, part = rows[Role.WATER], rows[Role.DIXON_PART]
    assert pair.state == "measured"
    assert [item["role"] for item in pair.finding["series"]["inputs"]] == ["water", "fat"]
    assert pair.finding["measures"]["total"]["fat_signal_fraction"] > 0.1
    assert (part.state, part.reason_code) == ("not_eligible", "part_of_dixon_set")


def with_inputs(world):
    with world.sessions() as db:
        rows = db.scalars(select(Analysis).order_by(Analysis.id)).all()
        return [row for row in rows if row.inputs]
