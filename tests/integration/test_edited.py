"""A corrected segmentation that comes back becomes a version of its own: measured, marked, compared."""

import shutil
from datetime import timedelta

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from service.core.mask import Label
from service.core.status import DeliveryState
from service.db import edit_cases, holding, orders, patients, retention, reviews
from service.db.session import make_sessions, reading, upgrade
from service.db.tables import Analysis, AuditEntry, Edit, Series
from service.db.withdrawals import withdraw
from service.dicom.drawn import mask_of, read_drawn
from service.dicom.series import scan
from service.dicom.storing import Refused
from service.errors import InvalidRequest
from service.pipeline import retention as purging
from tests.make import again, edited
from tests.make.tools import run

FIRST = 1


@pytest.fixture(scope="module")
def workshop():
    return again.workshop()


@pytest.fixture(scope="module")
def template(tmp_path_factory, workshop):
    """A home with one measured result, which a reader accepted, and the images that it is of."""
    home = tmp_path_factory.mktemp("template") / "home"
    home.mkdir()
    upgrade(f"sqlite:///{home / 'myoscreen.db'}")
    world = again.World(_open(home), home)
    assert world.run(world.receive(home.parent / "in"), workshop).state == "measured"
    world.deliver_all()
    with world.sessions.begin() as db:
        reviews.add(db, FIRST, verdict="accept", actor="rita", now=world.now)
    world.sessions.kw["bind"].dispose()
    return home


def _open(home):
    return make_sessions(f"sqlite:///{home / 'myoscreen.db'}")


@pytest.fixture(scope="module")
def images(template):
    return sorted((template.parent / "in").rglob("*.dcm"))


@pytest.fixture(scope="module")
def drawn(template, images):
    """What the network drew, slices from feet to head."""
    (stack,) = scan(images).stacks
    (seg,) = template.glob("results/1/*/seg.dcm")
    labels = mask_of(read_drawn(seg), stack, fat_separated=True).labels
    return labels if stack.grid.normal[2] > 0 else labels[::-1]


@pytest.fixture(scope="module")
def corrected(images, drawn, tmp_path_factory):
    """A segmentation with more muscle on both sides."""
    return edited.by_highdicom(images, edited.grown(drawn), tmp_path_factory.mktemp("back") / "seg.dcm")


@pytest.fixture(scope="module")
def taken(template, corrected, workshop, tmp_path_factory):
    """The home after that one was measured; the network must not be asked."""
    home = tmp_path_factory.mktemp("taken") / "home"
    shutil.copytree(template, home)
    world = again.World(_open(home), home)
    assert edited.arrive(world, corrected) is None
    assert edited.take_up(world) == 1
    assert world.run(2, again.blind(workshop)).state == "measured"
    yield world
    world.sessions.kw["bind"].dispose()


@pytest.fixture
def world(template, tmp_path):
    shutil.copytree(template, tmp_path / "home")
    sessions = _open(tmp_path / "home")
    yield again.World(sessions, tmp_path / "home")
    sessions.kw["bind"].dispose()


@pytest.fixture
def later(taken, tmp_path):
    """A copy of the home after the corrected one was measured."""
    shutil.copytree(taken.home, tmp_path / "home")
    sessions = _open(tmp_path / "home")
    yield again.World(sessions, tmp_path / "home")
    sessions.kw["bind"].dispose()


def outcome(world):
    return world.all_of(Edit)[-1].outcome


def test_it_takes_the_place_of_the_earlier_version_and_is_measured_by_its_own_voxels(taken, drawn):
    assert taken.states() == ["superseded", "measured"]
    was, now = taken.row(FIRST).finding, taken.row(2).finding
    more = int((edited.grown(drawn) > 0).sum() - (drawn > 0).sum())
    voxel_ml = np.prod(again.SHAPE["spacing_mm"]) * again.SHAPE["slice_step_mm"] / 1000.0
    grew = now["measures"]["total"]["lmm_ml"] - was["measures"]["total"]["lmm_ml"]
    assert more > 0
    assert grew == pytest.approx(more * voxel_ml)
    assert now["measures"]["total"]["imat_ml"] == pytest.approx(was["measures"]["total"]["imat_ml"])
    for part in ("series", "person", "model"):
        assert now[part] == was[part]
    assert now["supersedes"] == taken.objects(FIRST)["SR"].sop_instance_uid


def test_it_says_who_edited_and_how_far_both_drawings_agree(taken, drawn):
    said = taken.row(2).finding["edited"]
    # Fat is as the network left it, so this was no drawing by hand alone, whatever the object says.
    assert (said["algorithm_type"], said["by"], said["peer"]) == ("SEMIAUTOMATIC", "Reader^Rita", "viewer")
    assert said["corrects"] == taken.objects(FIRST)["SEG"].sop_instance_uid
    dice = {each["segment"]: each["dice"] for each in said["agreement"]}
    one, other = drawn == Label.LEAN_LEFT, edited.grown(drawn) == Label.LEAN_LEFT
    assert dice["lean_left"] == pytest.approx(2 * (one & other).sum() / (one.sum() + other.sum()))
    assert dice["imat_left"] == dice["imat_right"] == 1.0


def test_no_table_of_the_automatic_chain_scores_it_and_no_flag_is_raised(taken):
    finding = taken.row(2).finding
    assert finding["definition"]["id"] == taken.row(FIRST).finding["definition"]["id"] + "-edited"
    assert {score["state"] for score in finding["scores"]} == {"no_norm"}
    assert all(
        "A drawing that a person edited has a definition of its own." in score["reason"]
        for score in finding["scores"]
    )
    assert {flag["state"] for flag in finding["flags"]} == {"not_evaluable"}
    assert (finding["quadrant"], taken.row(2).flagged) == (None, False)
    assert finding["scores"][0]["value_ci95"] is None


def test_its_objects_say_that_a_person_edited_and_are_valid(taken, tmp_path):
    objects = taken.objects(2)
    paths = {kind: taken.home / row.path for kind, row in objects.items()}
    seg = pydicom.dcmread(paths["SEG"])
    assert {segment.SegmentAlgorithmType for segment in seg.SegmentSequence} == {"SEMIAUTOMATIC"}
    assert (seg.ContentCreatorName, "edited by a person" in seg.SeriesDescription) == ("Reader^Rita", True)
    told = run("dsrdump", "+Pl", paths["SR"]).stdout
    assert '(121006,DCM,"Person")' in told
    assert 'PNAME:(,,"Person Observer Name")="Reader^Rita"' in told
    assert told.index("Person Observer Name") < told.index("Device Observer UID")
    assert "Drawing edited by a person, measured by software. Not verified." in told
    assert "Unverified output of software" not in told
    for kind in ("SEG", "SR", "SC", "PDF"):
        said = run("dciodvfy", "-new", paths[kind], check=False)
        assert "Error" not in said.stderr, said.stderr
    text = run("pdftotext", paths["PDF"].with_suffix(".pdf"), "-").stdout
    assert "Drawing edited by a person, measured by software. Not verified." in text
    assert "The drawing was edited by Reader Rita (SEMIAUTOMATIC)." in " ".join(text.split())


def test_row_events_audit_and_statistics_tell_of_it(taken):
    (row,) = taken.all_of(Edit)
    assert (row.outcome, row.analysis_id, row.corrects_id, row.peer) == ("taken", 2, FIRST, "viewer")
    names = [event.name for event in taken.all_of(again.Event)]
    assert [name for name in names if name.startswith("edit_")] == [
        "edit_received",
        "edit_ordered",
        "edit_taken",
    ]
    actions = [entry.action for entry in taken.all_of(AuditEntry)]
    assert [action for action in actions if action.startswith("edit_")] == ["edit_received", "edit_taken"]
    with reading(taken.sessions) as db:
        ((key, (case,)),) = edit_cases.cases(db).items()
    assert key == ("paraspinal " + taken.row(FIRST).finding["model"]["version"], "t2_tse")
    assert case["differences"]["imat_points"] < 0 < case["differences"]["lmm_ml"]


def test_it_needs_a_review_of_its_own(taken):
    with reading(taken.sessions) as db:
        assert holding.is_accepted(db, FIRST)
        assert not holding.is_accepted(db, 2)


def test_what_readers_say_of_it_is_no_verdict_on_the_network(later):
    with later.sessions.begin() as db:
        reviews.add(db, 2, verdict="reject", actor="rita", now=later.now)
        ((network, counts),) = [(tally.network, tally.counts) for tally in reviews.tallies(db)]
    assert (network.partition(" ")[0], counts) == ("paraspinal", {"accept": 1})


def test_the_same_again_changes_nothing(later, corrected, images, drawn, workshop, tmp_path):
    assert edited.arrive(later, corrected) is Refused.EDIT_AGAIN
    assert edited.take_up(later) == 0
    twin = edited.by_highdicom(images, edited.grown(drawn), tmp_path / "twin.dcm")
    assert edited.arrive(later, twin) is None
    assert edited.take_up(later) == 1
    assert later.run(3, again.blind(workshop)) is None
    assert (outcome(later), later.states()) == ("edit_unchanged", ["superseded", "measured", "superseded"])
    assert (later.row(3).version, later.row(3).reason_code) == (0, "edit_unchanged")


def swapped(labels):
    places = {Label.LEAN_LEFT: Label.LEAN_RIGHT, Label.LEAN_RIGHT: Label.LEAN_LEFT}
    places |= {Label.IMAT_LEFT: Label.IMAT_RIGHT, Label.IMAT_RIGHT: Label.IMAT_LEFT}
    return np.vectorize(lambda label: places.get(label, label), otypes=[np.uint8])(labels)


def test_what_cannot_be_measured_leaves_the_result_that_stands(world, workshop, images, drawn, tmp_path):
    path, code = edited.by_highdicom(images, swapped(drawn), tmp_path / "seg.dcm"), "edit_sides_swapped"
    assert edited.arrive(world, path) is None
    assert edited.take_up(world) == 1
    assert world.run(2, again.blind(workshop)) is None
    assert (outcome(world), world.states()) == (code, ["measured", "superseded"])
    assert not (world.home / "results" / "2").exists()
    (event,) = [event for event in world.events("edit_refused") if event.analysis_id == FIRST]
    assert event.detail["code"] == code
    # It is no version: another run is the second one, and nothing stands in its way.
    with world.sessions.begin() as db:
        rerun = orders.order_rerun(db, FIRST, now=world.now)
    assert (world.row(rerun).version, world.row(rerun).object_time) == (2, world.row(FIRST).object_time)


def test_a_file_that_changed_on_the_disk_is_not_measured(world, workshop, corrected):
    """The finding names the bytes that came."""
    assert edited.arrive(world, corrected) is None
    assert edited.take_up(world) == 1
    path = world.spool.path(world.all_of(Edit)[0].path)
    seg = pydicom.dcmread(path)
    seg.ContentCreatorName = "Somebody^Else"
    seg.save_as(path)
    assert world.run(2, again.blind(workshop)) is None
    assert (outcome(world), world.states()) == ("edit_unreadable", ["measured", "superseded"])


def test_another_patient_another_study_and_unknown_images_are_refused_at_the_door(
    world, images, drawn, tmp_path
):
    def came(name, **changes):
        return edited.arrive(world, edited.by_highdicom(images, drawn, tmp_path / name, **changes))

    assert came("a.dcm", PatientID="SOMEBODY-ELSE") is Refused.EDIT_MISMATCH
    assert came("b.dcm", PatientBirthDate="19010101") is Refused.EDIT_MISMATCH
    assert came("c.dcm", StudyInstanceUID="2.25.8") is Refused.EDIT_MISMATCH
    rows = world.all_of(Edit)
    assert [row.outcome for row in rows] == ["edit_other_patient"] * 2 + ["edit_other_study"]
    assert {row.path for row in rows} == {""}
    assert came("d.dcm", ReferencedSeriesSequence=[]) is Refused.EDIT_UNKNOWN
    assert edited.arrive(world, tmp_path / "a.dcm") is Refused.EDIT_MISMATCH
    assert len(world.all_of(Edit)) == 3
    assert edited.take_up(world) == 0


def test_other_bytes_under_a_known_identifier_are_refused(world, images, drawn, tmp_path):
    uid = generate_uid()
    one = edited.by_highdicom(images, drawn, tmp_path / "one.dcm", SOPInstanceUID=uid)
    other = edited.by_highdicom(images, edited.grown(drawn), tmp_path / "two.dcm", SOPInstanceUID=uid)
    assert (edited.arrive(world, one), edited.arrive(world, other)) == (None, Refused.EDIT_CONFLICT)
    ours = edited.by_highdicom(
        images, drawn, tmp_path / "ours.dcm", SOPInstanceUID=world.objects(FIRST)["SEG"].sop_instance_uid
    )
    # SUCCESS would have the viewer forget a correction that nobody here keeps.
    assert edited.arrive(world, ours) is Refused.EDIT_CONFLICT


# Withdrawals, races, times to keep


def take_back(world, reason):
    with world.sessions.begin() as db:
        withdraw(db, FIRST, reason=reason, actor="rita", now=world.now)


def test_after_a_rejection_a_corrected_drawing_is_what_is_wanted_and_waits_for_a_review(
    world, corrected, workshop
):
    take_back(world, "wrong_drawing")
    assert edited.arrive(world, corrected) is None
    assert edited.take_up(world) == 1
    published = world.run(2, again.blind(workshop), after_review=True)
    before = {kind: row.sop_instance_uid for kind, row in world.objects(FIRST).items()}
    assert all(before[kind] != row.sop_instance_uid for kind, row in world.objects(2).items())
    planned = [row for row in world.all_of(again.Delivery) if row.id in published.delivery_ids]
    assert {row.state for row in planned} == {DeliveryState.HELD}
    with reading(world.sessions) as db:
        assert (reviews.waiting(db), reviews.held(db)) == ([2], (1, world.row(2).finished_at))


def test_after_another_withdrawal_nothing_of_the_images_holds(world, corrected):
    take_back(world, "wrong_patient")
    assert edited.arrive(world, corrected) is None
    assert edited.take_up(world) == 0
    assert outcome(world) == "edit_withdrawn"


def test_a_withdrawal_between_order_and_measurement_is_heard(world, corrected, workshop):
    assert edited.arrive(world, corrected) is None
    edited.take_up(world)
    take_back(world, "wrong_patient")
    assert world.run(2, again.blind(workshop)) is None
    assert (outcome(world), world.states()) == ("edit_withdrawn", ["measured", "superseded"])


def test_a_rerun_and_a_correction_take_turns(world, corrected):
    with world.sessions.begin() as db:
        orders.order_rerun(db, FIRST, now=world.now)
    assert edited.arrive(world, corrected) is None
    assert (edited.take_up(world), outcome(world)) == (0, None)
    with world.sessions.begin() as db:
        db.get_one(Analysis, 2).state = "failed"
    assert edited.take_up(world) == 1
    with world.sessions.begin() as db, pytest.raises(InvalidRequest) as caught:
        orders.order_rerun(db, FIRST, now=world.now)
    assert caught.value.reason.code == "already_waiting"


@pytest.mark.parametrize(("state", "code"), [("superseded", "edit_overtaken"), ("failed", "edit_failed")])
def test_what_came_to_nothing_is_told(world, corrected, state, code):
    assert edited.arrive(world, corrected) is None
    edited.take_up(world)
    with world.sessions.begin() as db:
        db.get_one(Analysis, 2).state = state
    assert (edited.take_up(world), outcome(world)) == (0, code)


def test_without_the_images_nothing_is_measured(world, corrected):
    with world.sessions.begin() as db:
        db.get_one(Series, 1).pixels_purged_at = world.now
    assert edited.arrive(world, corrected) is None
    assert (edited.take_up(world), outcome(world)) == (0, "pixels_purged")


def test_its_file_is_kept_copied_and_let_go_with_the_images(later):
    with reading(later.sessions) as db:
        (row,) = later.all_of(Edit)
        assert (row.path, row.sha256) in retention.kept_files(db)
        assert row.path in patients.image_paths(db, 1)
        assert {name: len(rows) for name, rows in patients.rows_of(db, 1)}["edits"] == 1
    later.deliver_all()
    when = later.now + timedelta(days=400)
    terms = purging.Terms.in_days(pixels=30, results=60, rows=90)
    purging.purge(later.sessions, later.home, terms, now=when)
    assert not list((later.home / "spool").rglob("*.dcm"))
    assert (later.all_of(Edit), later.all_of(Analysis)) == ([], [])
