"""Corrections one after the other, new scores of an edited drawing, and a rerun that draws anew."""

import pytest

from service.db import edit_cases, edits, orders
from service.db.session import make_sessions, reading, upgrade
from service.db.tables import Edit
from service.dicom.drawn import mask_of, read_drawn
from service.dicom.series import scan
from tests.make import again, edited

FIRST = 1


@pytest.fixture
def world(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    url = f"sqlite:///{home / 'myoscreen.db'}"
    upgrade(url)
    sessions = make_sessions(url)
    yield again.World(sessions, home)
    sessions.kw["bind"].dispose()


def correct(world, workshop, path, analysis_id):
    """Send one back and measure it without the network."""
    assert edited.arrive(world, path) is None
    assert edited.take_up(world) == 1
    assert world.run(analysis_id, again.blind(workshop)).state == "measured"
    assert world.all_of(Edit)[-1].outcome == edits.TAKEN
    return world.row(analysis_id).finding


def test_each_correction_is_compared_with_the_network_and_a_rerun_begins_anew(world, tmp_path):
    workshop = again.workshop()
    assert world.run(world.receive(tmp_path / "in"), workshop).state == "measured"
    images = sorted((tmp_path / "in").rglob("*.dcm"))
    (stack,) = scan(images).stacks
    ours = world.home / world.objects(FIRST)["SEG"].path
    labels = mask_of(read_drawn(ours), stack, fat_separated=True).labels
    upwards = labels if stack.grid.normal[2] > 0 else labels[::-1]
    first = correct(
        world, workshop, edited.by_highdicom(images, edited.grown(upwards), tmp_path / "1.dcm"), 2
    )
    slicer = correct(world, workshop, edited.by_dcmqi(ours, tmp_path / "in", tmp_path / "q"), 3)
    ohif = correct(world, workshop, edited.by_dcmjs(ours, tmp_path / "js.dcm"), 4)
    for finding, by in ((first, "Reader^Rita"), (slicer, "Slicer^User"), (ohif, None)):
        assert finding["edited"]["corrects"] == world.objects(FIRST)["SEG"].sop_instance_uid
        assert finding["edited"]["by"] == by
    assert ohif["measures"] == world.row(FIRST).finding["measures"]
    with reading(world.sessions) as db:
        ((_, (case,)),) = edit_cases.cases(db).items()
    assert set(case["dice"].values()) == {1.0}
    ordered = world.order_rescore(4)
    assert world.run(ordered, again.blind(again.shifted(workshop))).state == "measured"
    assert world.row(ordered).finding["edited"] == ohif["edited"]
    assert (world.row(ordered).edit_id, world.row(4).edit_id) == (3, 3)
    with world.sessions.begin() as db:
        rerun = orders.order_rerun(db, ordered, now=world.now)
    assert world.run(rerun, workshop).state == "measured"
    finding = world.row(rerun).finding
    assert (finding["edited"], world.row(rerun).edit_id) == (None, None)
    assert finding["measures"] == world.row(FIRST).finding["measures"]
    assert finding["supersedes"] == world.objects(ordered)["SR"].sop_instance_uid
