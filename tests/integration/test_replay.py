"""The same analysis again: bit for bit the same, or what differs is found and counted; and both commands."""

import copy
import hashlib
import json
import shutil
import zipfile
from datetime import timedelta

import pydicom
import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from service.cli import build_app
from service.cli.workshops import recipe_from
from service.db import orders, replays
from service.db.session import make_sessions, reading
from service.db.tables import Analysis, AuditEntry, Delivery, Instance, Output, Series
from service.errors import InvalidRequest, RunnerLost, ServiceError, WorkerEnds
from service.pipeline import attempt, replay_orders, run
from service.pipeline.job import Job, Outcome
from service.pipeline.keepsake import KEPT_NAME
from service.pipeline.replay import replay
from service.settings import load
from tests.make import again
from tests.make.databases import bring_up

FIRST = 1


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A home with one measured result."""
    home = tmp_path_factory.mktemp("template") / "home"
    home.mkdir()
    sessions = _open(home)
    world = again.World(sessions, home)
    assert world.run(world.receive(home.parent / "in"), again.workshop()).state == "measured"
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


def places(world):
    return {"home": world.home, "spool": world.spool, "actor": "a", "now": world.now}


def replayed(world, **changes):
    return replay(world.sessions, FIRST, recipe_from(load()), **{**places(world), **changes})


def flip_a_voxel(world, *, stored=True):
    """One voxel of the stored segmentation is another; if it was not stored so, somebody changed the file."""
    seg = world.objects(FIRST)["SEG"]
    path = world.home / seg.path
    segmentation = pydicom.dcmread(path)
    pixels = bytearray(segmentation.PixelData)
    pixels[0] ^= 1
    segmentation.PixelData = bytes(pixels)
    segmentation.save_as(path)
    if stored:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with world.sessions.begin() as db:
            db.get_one(Output, seg.id).sha256 = digest


def change_a_number(world):
    """The last bit of one stored number is another; by how much."""
    with world.sessions.begin() as db:
        row = db.get_one(Analysis, FIRST)
        finding = copy.deepcopy(row.finding)
        total = finding["measures"]["total"]
        was, total["imat_fraction"] = total["imat_fraction"], total["imat_fraction"] * (1 + 2**-52)
        row.finding = finding
        return abs(total["imat_fraction"] - was)


def harm_what_was_kept(world):
    """One bit in the middle of what is packed is another, as disks do it."""
    path = world.home / world.row(FIRST).result_path / KEPT_NAME
    path.chmod(0o600)
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("kept.json")
    content = bytearray(path.read_bytes())
    content[entry.header_offset + 30 + len("kept.json")] |= 0x06  # a kind of block that there is not
    path.write_bytes(content)


def test_a_replay_is_the_same_to_the_last_bit_and_publishes_nothing(world):
    before = [len(world.all_of(table)) for table in (Analysis, Output, Delivery)]
    found = replayed(world)
    assert found.identical
    assert (found.differing_voxels, found.numbers.differing, found.numbers.others) == (0, 0, ())
    assert found.voxels > 1000
    assert found.numbers.numbers > 20
    assert dict(found.notes) == {}
    assert [len(world.all_of(table)) for table in (Analysis, Output, Delivery)] == before
    (event,) = world.events("replayed")
    assert (event.analysis_id, event.detail["identical"]) == (FIRST, True)
    with world.sessions() as db:
        actions = db.scalars(select(AuditEntry.action)).all()
    assert actions.count("analysis_replayed") == 1


def test_one_flipped_voxel_and_one_changed_bit_of_a_number_are_found(world):
    flip_a_voxel(world)
    by = change_a_number(world)
    found = replayed(world)
    assert not found.identical
    assert (found.differing_voxels, sum(found.by_segment.values())) == (1, 1)
    assert found.numbers.differing == 1
    assert (found.numbers.largest_at, found.numbers.largest) == ("measures.total.imat_fraction", by)


def test_an_image_that_was_changed_proves_nothing(world):
    path = world.spool.path(world.all_of(Instance)[0].path)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(InvalidRequest) as refused:
        replayed(world)
    assert refused.value.reason.code == "images_changed"


def test_a_network_that_is_gone_is_named_by_its_hash(world):
    with world.sessions.begin() as db:
        row = db.get_one(Analysis, FIRST)
        row.finding = {**row.finding, "model": {**row.finding["model"], "sha256": "ab" * 32}}
    with pytest.raises(InvalidRequest, match="abababababab") as refused:
        replayed(world)
    assert refused.value.reason.code == "network_gone"
    named = replayed(world, network="paraspinal")
    assert set(named.notes) == {"network_differs"}
    assert named.identical


def test_a_segmentation_that_is_not_what_was_stored_proves_nothing(world):
    """It says nothing of the run whether a file that somebody changed is like it."""
    flip_a_voxel(world, stored=False)
    with pytest.raises(InvalidRequest) as refused:
        replayed(world)
    assert refused.value.reason.code == "output_changed"
    (world.home / world.objects(FIRST)["SEG"].path).unlink()
    with pytest.raises(InvalidRequest) as refused:
        replayed(world)
    assert refused.value.reason.code == "output_changed"


def test_what_was_kept_and_is_damaged_is_a_device_that_is_not_known(world):
    harm_what_was_kept(world)
    assert set(replayed(world).notes) == {"device_not_known"}


def test_what_the_rules_declined_is_declined_again_and_not_measured(world):
    with world.sessions.begin() as db:
        declined = orders.order_rerun(db, FIRST, now=world.now)
        db.get_one(Analysis, declined).choice = {"outcome": "not_selected", "text": "Another was chosen."}
    assert world.run(declined, again.workshop()).state == "not_eligible"
    found = replay(world.sessions, declined, recipe_from(load()), **places(world))
    assert (found.identical, found.voxels) == (True, 0)


def test_an_analysis_that_is_not_there(world):
    assert replay(world.sessions, 99, recipe_from(load()), **places(world)) is None


@pytest.fixture
def command(world, monkeypatch):
    monkeypatch.setenv("MYOSCREEN_HOME", str(world.home))

    def call(*arguments):
        return CliRunner().invoke(build_app(arguments[0]), arguments)

    return call


def test_the_command_replay_ends_with_3_where_something_differs(world, command):
    same = command("replay", "1")
    assert (same.exit_code, same.stdout.splitlines()[0]) == (0, "identical: version 1")
    flip_a_voxel(world)
    other = command("replay", "1")
    assert (other.exit_code, other.stdout.splitlines()[0]) == (3, "NOT identical: version 1")
    assert "voxels: 1 differ" in other.stdout


def test_the_command_rescore_looks_and_orders_what_is_named(world, command, monkeypatch):
    looked = command("rescore", "--since", "2026-01-01", "--dry-run")
    assert (looked.exit_code, looked.stdout.splitlines()[0]) == (0, "1 version 1: same")
    assert command("rescore", "--since", "2026-01-01").exit_code == 0
    assert world.states() == ["measured"]
    monkeypatch.setenv("MYOSCREEN_NORMS", "")
    assert "1 version 1: changes imat_fraction" in command("rescore", "1", "--dry-run").stdout
    assert world.states() == ["measured"]
    assert command("rescore", "--since", "2026-01-01").exit_code == 0
    assert world.states() == ["measured", "ready"]
    again_refused = command("rescore", "1")
    assert (again_refused.exit_code, again_refused.stdout.splitlines()[0]) == (1, "1: already_waiting")


def test_the_command_rescore_goes_on_behind_one_that_cannot_be_read(world, command, monkeypatch):
    harm_what_was_kept(world)
    monkeypatch.setenv("MYOSCREEN_NORMS", "")
    looked = command("rescore", "--since", "2026-01-01", "--dry-run")
    assert looked.stdout.splitlines() == [
        "1: kept_unreadable",
        "1 looked at, 0 change, 0 ordered, 1 refused",
    ]
    assert looked.exit_code == 1


def test_the_command_rescore_wants_something_named(command):
    assert command("rescore").exception.reason.code == "nothing_named"


def ordered(world, made=None, *, perform=None, attempts=3):
    """Have the worker make the replay that is due; ``made`` is its workshop."""

    def in_this_process(job, _wanted):
        job = Job.from_dict(json.loads(json.dumps(job.as_dict())))
        outcome = attempt.attempt(job, made)
        return Outcome.from_dict(json.loads(json.dumps(outcome.as_dict())), out=job.out)

    bench = run.Bench(
        home=world.home,
        spool=world.spool,
        destinations=[],
        terms=run.Terms(max_attempts=attempts, retry_after=timedelta(seconds=5), beat_seconds=60),
        owner="worker",
        clock=lambda: world.now,
    )
    with reading(world.sessions) as db:
        due = replays.due(db, now=world.now)
    return [replay_orders.run(world.sessions, each, perform or in_this_process, bench) for each in due]


def order(world):
    with world.sessions.begin() as db:
        return replays.order(db, FIRST, actor="otto", now=world.now)


def latest(world):
    with reading(world.sessions) as db:
        return replays.latest(db, FIRST)


def test_an_ordered_replay_tells_its_outcome_and_leaves_nothing_behind(world):
    before = [len(world.all_of(table)) for table in (Analysis, Output, Delivery)]
    order(world)
    assert ordered(world, again.workshop(slices_mb=64)) == [True]
    (event,) = world.events("replayed")
    assert (event.detail["identical"], event.detail["voxels"]) == (True, 0)
    assert (latest(world).open, latest(world).code) == (False, None)
    assert [len(world.all_of(table)) for table in (Analysis, Output, Delivery)] == before
    assert [path.name for path in (world.home / "results" / str(FIRST)).iterdir()] == ["attempt-1"]
    with world.sessions() as db:
        (line,) = db.scalars(select(AuditEntry).where(AuditEntry.action == "analysis_replayed"))
    assert (line.actor, line.outcome) == ("otto", "ok")
    assert ordered(world) == [], "it is made once"


def test_an_ordered_replay_that_cannot_be_made_says_why_at_once(world):
    order(world)
    flip_a_voxel(world, stored=False)
    assert ordered(world, perform=None) == [True]
    assert (latest(world).open, latest(world).code) == (False, "output_changed")
    assert world.events("replayed") == []


def test_a_replay_whose_process_dies_is_tried_again_and_then_given_up(world):
    def dies(_job, _wanted):
        raise RunnerLost("The process ended.", reason="runner_crashed")

    order(world)
    for _ in range(2):
        assert ordered(world, perform=dies) == [False]
        assert ordered(world, perform=dies) == [], "it waits before the next try"
        world.now += timedelta(minutes=1)
    assert ordered(world, perform=dies) == [True]
    assert (latest(world).open, latest(world).code) == (False, "runner_crashed")


def test_a_worker_that_lost_a_replay_takes_nothing_from_the_one_that_has_it(world):
    def paused(job, _wanted):
        job.out.mkdir()
        world.now += timedelta(hours=1)
        assert ordered(world, perform=takes_over) == [True]
        raise RunnerLost("The process ended.", reason="runner_crashed")

    def takes_over(job, _wanted):
        assert not [path for path in job.out.parent.iterdir() if path.name.startswith("replay-")]
        others.append(job.out)
        return attempt.attempt(job, again.workshop())

    others = []
    order(world)
    assert ordered(world, perform=paused) == [False]
    assert (latest(world).open, latest(world).code) == (False, None)
    assert others[0].name.endswith("-2")


def test_the_folder_of_a_replay_is_gone_before_another_may_begin_it(world, monkeypatch):
    def ends(job, _wanted):
        job.out.mkdir()
        raise WorkerEnds("The worker ends.")

    def given_back(*_args, **_kwargs):
        seen.extend(path.name for path in (world.home / "results" / str(FIRST)).iterdir())

    seen = []
    order(world)
    monkeypatch.setattr(replays, "give_back", given_back)
    assert ordered(world, perform=ends) == [False]
    assert seen == ["attempt-1"]


def test_images_that_go_while_a_replay_runs_are_told_as_gone(world):
    def purged_meanwhile(job, _wanted):
        with world.sessions.begin() as db:
            for series in db.scalars(select(Series)):
                series.pixels_purged_at = world.now
        raise InvalidRequest("Images came after.", reason="other_images")

    order(world)
    assert ordered(world, perform=purged_meanwhile) == [True]
    assert latest(world).code == "pixels_purged"


def test_a_worker_that_is_ended_gives_the_replay_back_uncounted(world):
    def ends(_job, _wanted):
        raise WorkerEnds("The worker ends.")

    order(world)
    for _ in range(5):
        assert ordered(world, perform=ends) == [False]
    assert latest(world).open


def test_a_replay_waits_uncounted_while_a_file_is_not_the_one_that_was_activated(world):
    def finds_another(_job, _wanted):
        raise ServiceError("Policy default is not the one.", reason="activated_file_changed")

    order(world)
    for _ in range(5):
        assert ordered(world, perform=finds_another) == [False]
        assert ordered(world, perform=finds_another) == [], "it waits before the next try"
        world.now += timedelta(seconds=5)
    assert latest(world).open


def test_a_replay_that_somebody_works_on_is_nobody_elses(world):
    order(world)
    with world.sessions.begin() as db:
        until = world.now + timedelta(minutes=1)
        begun = replays.claim(db, 1, now=world.now, until=until)
        assert replays.claim(db, 1, now=world.now, until=until) is None
        assert replays.due(db, now=world.now) == []
        later = replays.claim(db, 1, now=until, until=until + timedelta(minutes=1))
        assert (begun.attempt, later.attempt) == (1, 2)
        assert not replays.finish(db, begun, reason=None, now=until)
        assert not replays.beat(db, begun, until=until)
        assert replays.finish(db, later, reason=None, now=until)
    order(world)
    with pytest.raises(InvalidRequest) as told:
        order(world)
    assert told.value.reason.code == "replay_waiting"
