"""New scores from stored measures, beside the old segmentation: no image is opened, no network is asked."""

import json
import shutil
from dataclasses import replace
from datetime import timedelta

import pydicom
import pytest

from service.db import orders, rescoring
from service.db.session import make_sessions, reading
from service.db.tables import Analysis, Delivery, Series
from service.db.withdrawals import withdraw
from service.errors import InvalidRequest
from service.pipeline import retention
from service.pipeline.keepsake import KEPT_NAME
from service.pipeline.lookover import look
from service.pipeline.rescore import Scale
from tests.make import again
from tests.make.databases import bring_up


@pytest.fixture(scope="module")
def workshop():
    return again.workshop()


@pytest.fixture(scope="module")
def template(tmp_path_factory, workshop):
    """A home with one measured and delivered result."""
    home = tmp_path_factory.mktemp("template") / "home"
    home.mkdir()
    sessions = _open(home)
    world = again.World(sessions, home)
    assert world.run(world.receive(home.parent / "in"), workshop).state == "measured"
    world.deliver_all()
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


FIRST = 1


def rescore(world, workshop, analysis_id=FIRST):
    ordered = world.order_rescore(analysis_id)
    return ordered, world.run(ordered, again.blind(workshop))


def purge_pixels(world):
    """Take the images away, as retention does."""
    later = world.now + timedelta(days=400)
    retention.purge(world.sessions, world.home, retention.Terms.in_days(pixels=30), now=later)
    assert all(row.pixels_purged_at is not None for row in world.all_of(Series))
    assert not list((world.home / "spool").rglob("*.dcm"))


def test_new_scores_come_beside_the_old_segmentation_without_images_and_network(world, workshop):
    purge_pixels(world)
    ordered, published = rescore(world, again.shifted(workshop))
    assert (published.state, world.states()) == ("measured", ["superseded", "measured"])
    before, after = world.objects(FIRST), world.objects(ordered)
    assert before["SEG"].sop_instance_uid == after["SEG"].sop_instance_uid
    assert world.read(before["SEG"]) == world.read(after["SEG"])
    for kind in ("SR", "SC", "PDF"):
        assert before[kind].sop_instance_uid != after[kind].sop_instance_uid
    sent = [row for row in world.all_of(Delivery) if row.id in published.delivery_ids]
    assert {row.output_id for row in sent} == {after[kind].id for kind in ("SR", "SC", "PDF")}
    was, now = world.row(FIRST).finding, world.row(ordered).finding
    for part in ("measures", "person", "definition", "model", "series", "quality", "software"):
        assert now[part] == was[part]
    assert now["scores"][0]["z"] < was["scores"][0]["z"]
    assert now["supersedes"] == before["SR"].sop_instance_uid
    assert "demonstration-imat@9" in now["norms"][1]
    (event,) = world.events("rescore_ordered")
    assert (event.analysis_id, event.detail) == (ordered, {"version": 1})


def test_the_report_names_its_predecessor_and_cites_the_old_segmentation(world, workshop):
    ordered, _ = rescore(world, again.shifted(workshop))
    before, after = world.objects(FIRST), world.objects(ordered)
    report = pydicom.dcmread(world.home / after["SR"].path)
    (study,) = report.PredecessorDocumentsSequence
    (named,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert named.ReferencedSOPInstanceUID == before["SR"].sop_instance_uid
    cited = {
        str(item.ReferencedSOPInstanceUID)
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert {before["SEG"].sop_instance_uid, after["SC"].sop_instance_uid} <= cited
    assert before["SC"].sop_instance_uid not in cited


def test_it_is_what_a_rerun_with_the_images_and_the_network_gives_byte_for_byte(world, workshop):
    other = again.shifted(workshop)
    ordered, _ = rescore(world, other)
    with world.sessions.begin() as db:
        rerun = orders.order_rerun(db, ordered, now=world.now)
    assert world.run(rerun, other).delivery_ids == ()
    (event,) = world.events("identical_to_version")
    assert (event.analysis_id, event.detail) == (rerun, {"version": 2})
    mine, its = world.objects(ordered), world.objects(rerun)
    assert {kind: world.read(row) for kind, row in mine.items()} == {k: world.read(r) for k, r in its.items()}
    assert world.row(ordered).finding == world.row(rerun).finding


def test_scores_that_come_out_the_same_say_so_and_send_nothing_however_often(world, workshop):
    newer = replace(workshop, software="myoscreen 99")
    first, published = rescore(world, newer)
    again_, second = rescore(world, newer, first)
    assert (published.delivery_ids, second.delivery_ids) == ((), ())
    assert [event.detail["version"] for event in world.events("identical_to_version")] == [1, 2]
    assert world.row(again_).finding == world.row(FIRST).finding
    assert world.read(world.objects(again_)["SR"]) == world.read(world.objects(FIRST)["SR"])
    changed, third = rescore(world, again.shifted(workshop), again_)
    assert len(third.delivery_ids) == 3
    _, fourth = rescore(world, again.shifted(workshop), changed)
    assert fourth.delivery_ids == ()


def test_the_software_that_measured_stays_named_when_another_scores(world, workshop):
    newer = replace(again.shifted(workshop), software="myoscreen 99")
    ordered, _ = rescore(world, newer)
    found = world.row(ordered).finding
    assert (found["software"], found["measured_by"]) == ("myoscreen 99", workshop.software)
    ordered, _ = rescore(world, replace(again.shifted(workshop, 1.5), software="myoscreen 100"), ordered)
    found = world.row(ordered).finding
    assert (found["software"], found["measured_by"]) == ("myoscreen 100", workshop.software)
    back, _ = rescore(world, workshop, ordered)
    assert world.row(back).finding["measured_by"] is None


def test_it_is_refused_with_its_reason_where_it_cannot_be(world, workshop):
    def code(analysis_id=FIRST):
        with pytest.raises(InvalidRequest) as told:
            world.order_rescore(analysis_id)
        return told.value.reason.code

    assert world.order_rescore(99) is None
    kept = world.home / world.row(FIRST).result_path / KEPT_NAME
    content = kept.read_bytes()
    kept.unlink()
    assert code() == "nothing_kept"
    kept.write_bytes(content)
    world.order_rescore(FIRST)
    assert code() == "already_waiting"
    with world.sessions.begin() as db:
        withdraw(db, FIRST, reason="wrong_drawing", actor="otto", now=world.now)
    assert world.states() == ["measured", "superseded"]
    assert code() == "withdrawn"


def test_results_that_were_taken_away_are_refused(world):
    later = world.now + timedelta(days=400)
    retention.purge(world.sessions, world.home, retention.Terms.in_days(results=30), now=later)
    with pytest.raises(InvalidRequest) as told:
        world.order_rescore(FIRST)
    assert told.value.reason.code == "results_purged"


@pytest.mark.parametrize("harm", ["segmentation", "kept", "finding"])
def test_what_is_damaged_sets_the_new_version_aside_and_leaves_the_old_one_current(world, workshop, harm):
    folder = world.home / world.row(FIRST).result_path
    ordered = world.order_rescore(FIRST)
    if harm == "finding":
        with world.sessions.begin() as db:
            row = db.get(Analysis, FIRST)
            row.finding = {**row.finding, "later": 1}
    else:
        path = folder / {"segmentation": "seg.dcm", "kept": KEPT_NAME}[harm]
        path.write_bytes(path.read_bytes()[:-7] + b"damaged")
    assert world.run(ordered, again.blind(again.shifted(workshop))) is None
    assert world.states() == ["measured", "failed"]
    expected = {
        "segmentation": "output_changed",
        "kept": "kept_unreadable",
        "finding": "finding_not_understood",
    }
    assert world.row(ordered).reason_code == expected[harm]
    if harm == "finding":
        return
    with reading(world.sessions) as db:
        assert rescoring.current(db) == [FIRST]


def test_a_look_beforehand_tells_what_would_change_and_writes_nothing(world, workshop):
    def at(made):
        scale = Scale(norms=made.norms, policy=made.policy, card=made.card, software=made.software)
        return look(world.sessions, FIRST, scale, home=world.home)

    assert (at(workshop).outcome, at(workshop).changes) == ("same", ())
    seen = at(again.shifted(workshop))
    assert (seen.version, seen.outcome, seen.changes[0]) == (1, "changes", "imat_fraction")
    assert len(world.all_of(Analysis)) == 1
    world.order_rescore(FIRST)
    assert at(workshop).outcome == "already_waiting"


def test_what_is_kept_is_the_same_each_time_and_holds_no_pixels(world):
    folder = world.home / world.row(FIRST).result_path
    assert json.loads((folder / "finding.json").read_text())["measured_by"] is None
    assert (folder / KEPT_NAME).stat().st_mode & 0o777 == 0o600
    source = (folder / KEPT_NAME).read_bytes()
    assert len(source) < 1_000_000


def test_on_either_database_the_worker_does_it(sessions, tmp_path, workshop):
    world = again.World(sessions, tmp_path / "home")
    first = world.receive(tmp_path / "in")
    world.run(first, workshop)
    world.deliver_all()
    ordered, published = rescore(world, again.shifted(workshop), first)
    assert (published.state, len(published.delivery_ids)) == ("measured", 3)
    _, same = rescore(world, again.shifted(workshop), ordered)
    assert same.delivery_ids == ()
