"""Stations of one scan through the service: waited for, measured together, replaced when another comes."""

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from service.cli.workshops import recipe_from
from service.core.status import SENT, AnalysisState
from service.db.session import reading
from service.db.tables import Analysis, Delivery, Output
from service.dicom.scu import Address
from service.dicom.spool import Spool
from service.pipeline import attempt, close, run
from service.pipeline.close import Closing, Holes
from service.pipeline.deliver import Destination
from service.settings import load
from tests.make import stand_in
from tests.make.received import NOW, take_in
from tests.make.sending import Sender
from tests.make.series import mr_series
from tests.make.stations import LEFT, RIGHT, Truthful, body, slices_of, write_stations

QUIET, CAP = timedelta(seconds=60), timedelta(minutes=30)


class World:
    """A ledger and a spool, whose clock the test moves."""

    def __init__(self, sessions, home, folder):
        self.sessions, self.home, self.folder, self.now = sessions, home, folder, NOW
        self.spool, self.holes = Spool(home / "spool"), Holes()

    def station(self, number, *, first=0, slices=8):
        """Slices of one station, 24 mm above the one before, in a series of its own."""
        height = -30.0 + 24.0 * number
        return mr_series(
            self.folder / str(number),
            series=number,
            positions=tuple(4.0 * index for index in range(first, first + slices)),
            origin=(-10.0, -20.0, height),
            first_number=first + 1,
        )

    def dixon(self, number, part, *, station):
        """The water or fat image of one station, in a series of its own."""
        return mr_series(
            self.folder / str(number),
            series=number,
            positions=tuple(4.0 * index for index in range(8)),
            origin=(-10.0, -20.0, -30.0 + 24.0 * station),
            changes={
                "ImageType": ["DERIVED", "PRIMARY", "DIXON", part],
                "AcquisitionDate": "20240229",
                "AcquisitionTime": f"10150{station}",
            },
        )

    def receive(self, paths):
        return take_in(self.sessions, self.spool, paths, now=self.now)

    def sweep(self, after=QUIET):
        self.now += after
        closing = Closing(quiet=QUIET, hard_cap=CAP)
        return close.close_series(self.sessions, self.spool, now=self.now, closing=closing, holes=self.holes)

    def run(self, analysis_id, workshop=stand_in.WORKSHOP, destinations=()):
        bench = run.Bench(
            home=self.home,
            spool=self.spool,
            destinations=destinations,
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


@pytest.fixture
def world(sessions, tmp_path, monkeypatch):
    monkeypatch.setattr(attempt, "analyse_inputs", stand_in.analyse)
    return World(sessions, tmp_path / "home", tmp_path / "in")


def one(*numbers):
    """The inputs of one analysis of these stations."""
    return [("image" if place == 0 else "station", number) for place, number in enumerate(numbers)]


def test_stations_that_are_complete_make_one_analysis(world):
    for number in (2, 3, 1):
        world.receive(world.station(number))
    assert len(world.sweep()) == 1
    assert world.analyses() == [(1, "ready", one(1, 2, 3))]


def test_a_station_waits_for_one_that_is_arriving(world):
    world.receive(world.station(1))
    world.now += QUIET - timedelta(seconds=1)
    world.receive(world.station(2, slices=3))
    assert world.sweep(timedelta(seconds=1)) == []
    assert world.sweep(timedelta(seconds=1)) == []
    world.receive(world.station(2, first=3, slices=5))
    assert len(world.sweep()) == 1
    assert world.analyses() == [(1, "ready", one(1, 2))]


@pytest.mark.parametrize("late", [1, 3])
def test_a_station_that_comes_later_makes_a_version_that_supersedes(world, late):
    first, second = (number for number in (1, 2, 3) if number != late and (late != 1 or number > 1))
    for number in (first, second):
        world.receive(world.station(number))
    (made,) = world.sweep()
    world.run(made)
    world.receive(world.station(late))
    (again,) = world.sweep()
    assert world.analyses() == [(1, "measured", one(first, second)), (2, "ready", one(1, 2, 3))]
    world.run(again)
    assert world.analyses() == [(1, "superseded", one(first, second)), (2, "measured", one(1, 2, 3))]


def test_two_results_that_a_station_joins_give_way_to_one(world):
    world.receive(world.station(1))
    world.receive(world.station(3))
    for made in world.sweep():
        world.run(made)
    assert world.analyses() == [(1, "measured", one(1)), (1, "measured", one(3))]
    world.receive(world.station(2))
    (made,) = world.sweep()
    world.run(made)
    assert world.analyses() == [
        (1, "superseded", one(1)),
        (1, "superseded", one(3)),
        (2, "measured", one(1, 2, 3)),
    ]


def test_a_late_image_of_one_station_makes_a_new_version_of_all(world):
    world.receive([*world.station(1), *world.station(2, slices=7)])
    (made,) = world.sweep()
    world.run(made)
    world.receive(world.station(2, first=7, slices=1))
    (again,) = world.sweep()
    world.run(again)
    assert world.analyses() == [(1, "superseded", one(1, 2)), (2, "measured", one(1, 2))]


def test_after_the_hard_cap_the_stations_that_are_there_are_measured(world):
    world.receive(world.station(1))
    world.now += CAP - timedelta(seconds=1)
    world.receive(world.station(2, slices=3))
    assert len(world.sweep(timedelta(seconds=1))) == 1
    assert world.analyses() == [(1, "ready", one(1))]


def test_stations_of_a_dixon_scan_are_all_measured(world, monkeypatch):
    """Two stations of two images each, in four series: what is measured is what was made ready."""
    seen = []

    def analyse(inputs, *rest, **named):
        seen.append([(role.value, int(stack.facts.series_uid[-1])) for role, stack in inputs.stacks])
        seen.append(inputs.evidence)
        return stand_in.analyse(inputs, *rest, **named)

    monkeypatch.setattr(attempt, "analyse_inputs", analyse)
    for number, part in ((1, "WATER"), (2, "FAT"), (3, "WATER"), (4, "FAT")):
        world.receive(world.dixon(number, part, station=1 if number < 3 else 2))
    (made,) = world.sweep()
    whole = [("water", 1), ("fat", 2), ("station", 3), ("station_fat", 4)]
    assert world.analyses() == [(1, "ready", whole)]
    with reading(world.sessions) as db:
        digest = db.scalar(select(Analysis.input_digest))
    world.run(made)
    assert seen[0] == whole
    assert "10:15:01" in seen[1]
    assert "10:15:02" in seen[1]
    with reading(world.sessions) as db:
        assert db.scalar(select(Analysis.input_digest)) == digest


def test_four_stations_of_sixty_slices_over_four_associations_are_one_result(open_door, tmp_path):
    """Sent in any order to the receiver, measured by the worker's own code."""
    stations, slices, overlap = 4, 60, 8
    whole = body(slices_of(stations, slices, overlap), rows=128, columns=128)
    written = write_stations(tmp_path / "in", whole, stations=stations, slices=slices, overlap=overlap)
    paths = [path for station in written for path in station]
    random.Random(1).shuffle(paths)
    door = open_door()
    senders = [Sender(door.port) for _ in range(4)]
    for number, sender in enumerate(senders):
        sender.send_in_background(paths[number::4])
    for sender in senders:
        sender.join()
    assert len(set().union(*(sender.promised for sender in senders))) == stations * slices
    closing = Closing(quiet=QUIET, hard_cap=CAP)
    now = datetime.now(UTC) + QUIET + timedelta(seconds=1)
    (made,) = close.close_series(door.sessions, door.spool, now=now, closing=closing)
    world = World(door.sessions, tmp_path / "home", tmp_path)
    real = recipe_from(load())()
    workshop = replace(real, segmenter=Truthful(whole, real.card))
    kinds = tuple(SENT[AnalysisState.MEASURED])
    peer = Destination(
        name="pacs",
        address=Address(host="127.0.0.1", port=1, ae_title="PACS", calling_ae="MYOSCREEN"),
        outputs=kinds,
    )
    world.now = now
    published = world.run(made, workshop, destinations=[peer])
    assert published.state == AnalysisState.MEASURED
    with reading(door.sessions) as db:
        (row,) = db.scalars(select(Analysis)).all()
        counted = [item["counted_slices"] for item in row.finding["series"]["stations"]]
        outputs = Counter(db.scalars(select(Output.kind)))
        assert db.scalar(select(func.count(Delivery.id))) == sum(outputs.values())
        found = row.finding
    assert counted == [56, 52, 52, 56]
    assert outputs == {"SEG": 4, "SR": 1, "SC": 1, "PDF": 1}
    truth = sum(whole.volume_ml(label) for label in LEFT), sum(whole.volume_ml(label) for label in RIGHT)
    measured = [found["measures"][side]["compartment_ml"] for side in ("left", "right")]
    assert measured == pytest.approx(truth, rel=0.005)
