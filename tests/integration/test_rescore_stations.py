"""New scores of a scan in stations: of what was counted once together, without an image of any station."""

import shutil
from dataclasses import replace
from datetime import timedelta

import pydicom
import pytest

from service.core.variant import Variant
from service.db import orders
from service.db.session import make_sessions
from service.db.tables import Output, Series
from service.pipeline import retention
from tests.make import again
from tests.make.databases import bring_up
from tests.make.stations import Truthful, body, slices_of, write_stations

STATIONS, SLICES, OVERLAP = 3, 5, 0
FIRST = 1
#: The second one draws on the mask of a station again.
VARIANTS = (Variant(), Variant(sr_form="planar"))


@pytest.fixture(scope="module")
def whole():
    """A body whose upper third has no back."""
    drawn = body(slices_of(STATIONS, SLICES, OVERLAP), rows=128, columns=128)
    labels = drawn.labels.copy()
    labels[-SLICES:] = 0
    return replace(drawn, labels=labels)


@pytest.fixture(scope="module")
def workshop(whole):
    real = again.workshop(variants=VARIANTS, gsps=True)
    return replace(real, segmenter=Truthful(whole, real.card))


def measured(sessions, home, workshop, whole):
    """An installation with one measured and delivered result of these stations."""
    world = again.World(sessions, home)
    shape = {"stations": STATIONS, "slices": SLICES, "overlap": OVERLAP}
    written = write_stations(home.parent / "in", whole, **shape)
    analysis_id = world.take_in([path for station in written for path in station])
    assert world.run(analysis_id, workshop).state == "measured"
    world.deliver_all()
    return world


@pytest.fixture(scope="module")
def template(tmp_path_factory, workshop, whole):
    home = tmp_path_factory.mktemp("template") / "home"
    home.mkdir()
    sessions = _open(home)
    measured(sessions, home, workshop, whole)
    sessions.kw["bind"].dispose()
    return home


def _open(home):
    url = f"sqlite:///{home / 'myoscreen.db'}"
    bring_up(url)
    return make_sessions(url)


@pytest.fixture
def world(template, tmp_path):
    shutil.copytree(template, tmp_path / "home")
    sessions = _open(tmp_path / "home")
    yield again.World(sessions, tmp_path / "home")
    sessions.kw["bind"].dispose()


def files_of(world, analysis_id):
    """The bytes of each object by kind, station and variants."""
    rows = [row for row in world.all_of(Output) if row.analysis_id == analysis_id]
    return {(row.kind, row.path.rpartition("/")[2], row.variants): world.read(row) for row in rows}


def rescored(world, workshop, analysis_id=FIRST):
    ordered = world.order_rescore(analysis_id)
    published = world.run(ordered, again.blind(workshop))
    assert published.state == "measured", world.row(ordered).reason_code
    return ordered, published


def test_stations_are_scored_again_without_their_images_as_a_rerun_would(world, workshop):
    """Byte for byte, of a finding that left a station out, planar report and outlines included."""
    other = again.shifted(workshop)
    ordered, _ = rescored(world, other)
    with world.sessions.begin() as db:
        rerun = orders.order_rerun(db, ordered, now=world.now)
    assert world.run(rerun, other).delivery_ids == ()
    mine, its = files_of(world, ordered), files_of(world, rerun)
    kinds = [kind for kind, _, _ in mine]
    assert [kinds.count(kind) for kind in ("SEG", "GSPS", "SR")] == [2, 2, 2]
    assert {"SC", "PDF"} <= set(kinds)
    assert list(mine) == list(its)
    assert [key for key in mine if mine[key] != its[key]] == []
    assert world.row(ordered).finding == world.row(rerun).finding


def test_the_segmentations_stay_and_the_report_cites_them_all(world, workshop):
    later = world.now + timedelta(days=400)
    retention.purge(world.sessions, world.home, retention.Terms.in_days(pixels=30), now=later)
    assert all(row.pixels_purged_at is not None for row in world.all_of(Series))
    ordered, published = rescored(world, again.shifted(workshop))
    was, now = world.row(FIRST).finding, world.row(ordered).finding
    for part in ("measures", "series", "quality", "definition", "model"):
        assert now[part] == was[part]
    assert [item["counted_slices"] for item in now["series"]["stations"]] == [5, 5, 0]
    assert now["scores"][0]["z"] < was["scores"][0]["z"]
    before, after = files_of(world, FIRST), files_of(world, ordered)
    for key in (key for key in before if key[0] in ("SEG", "GSPS")):
        assert after[key] == before[key]
    segs = {row.sop_instance_uid for row in world.all_of(Output) if row.kind == "SEG"}
    assert len(segs) == 2
    report = world.home / world.row(ordered).result_path / "sr.dcm"
    cited = {
        str(item.ReferencedSOPInstanceUID)
        for study in pydicom.dcmread(report).CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert segs <= cited
    sent = {row.kind for row in world.all_of(Output) if row.analysis_id == ordered} - {"SEG", "GSPS"}
    assert len(published.delivery_ids) == len(sent)


def test_a_segmentation_of_one_station_that_was_changed_is_named(world, workshop):
    path = world.home / world.row(FIRST).result_path / "seg-2.dcm"
    path.write_bytes(path.read_bytes()[:-7] + b"damaged")
    ordered = world.order_rescore(FIRST)
    assert world.run(ordered, again.blind(again.shifted(workshop))) is None
    assert (world.states(), world.row(ordered).reason_code) == (["measured", "failed"], "output_changed")


def test_a_worker_on_postgresql_scores_stations_again(postgres, tmp_path, workshop, whole):
    url, plain = postgres.new_database(), replace(workshop, variants=VARIANTS[:1], gsps=False)
    bring_up(url)
    sessions = make_sessions(url)
    world = measured(sessions, tmp_path / "home", plain, whole)
    ordered, published = rescored(world, again.shifted(plain))
    assert len(published.delivery_ids) == 3
    _, same = rescored(world, again.shifted(plain), ordered)
    assert same.delivery_ids == ()
    sessions.kw["bind"].dispose()
