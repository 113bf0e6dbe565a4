"""One analysis from claim to publication, with a stand-in for the network."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from service.core.status import OutputKind
from service.db import ledger, orders, queries
from service.db.session import reading
from service.db.tables import Analysis, AuditEntry, Delivery, Event, Output
from service.dicom.spool import Spool
from service.errors import ProviderUnavailable
from service.pipeline import attempt, close, run
from service.pipeline.close import Closing
from service.pipeline.sweep import EXPIRED
from tests.make import stand_in
from tests.make.peers import fake_peer
from tests.make.received import NOW, take_in
from tests.make.series import mr_series

QUIET = timedelta(seconds=60)


class World:
    """One worker's world, whose clock the test moves."""

    def __init__(self, sessions, home, monkeypatch):
        self.sessions, self.home, self.now = sessions, home, NOW
        self.spool = Spool(home / "spool")
        self.peer = fake_peer()
        self.patch = monkeypatch
        self.after_review = False
        self.use(stand_in.analyse)

    def use(self, analysis):
        self.patch.setattr(attempt, "analyse_inputs", analysis)

    def receive(self, paths):
        take_in(self.sessions, self.spool, paths, now=self.now)

    def close(self):
        self.now += QUIET
        closing = Closing(quiet=QUIET, hard_cap=timedelta(minutes=30))
        return close.close_series(self.sessions, self.spool, now=self.now, closing=closing)

    def run(self, analysis_id, owner="worker"):
        bench = run.Bench(
            home=self.home,
            spool=self.spool,
            destinations=[replace(self.peer.destination(), after_review=self.after_review)],
            terms=run.Terms(max_attempts=2, retry_after=timedelta(seconds=5), beat_seconds=60),
            owner=owner,
            clock=lambda: self.now,
        )
        return run.run(self.sessions, analysis_id, stand_in.performing(), bench)

    def all_of(self, table):
        with reading(self.sessions) as db:
            return db.scalars(select(table).order_by(table.id)).all()

    def states(self):
        return [row.state for row in self.all_of(Analysis)]

    def events(self):
        return [row.name for row in self.all_of(Event)]

    def deliver_all(self):
        with self.sessions.begin() as db:
            for row in db.scalars(select(Delivery)):
                row.state = "sent"


@pytest.fixture
def world(sessions, tmp_path, monkeypatch):
    return World(sessions, tmp_path / "home", monkeypatch)


@pytest.fixture
def ready(world, tmp_path):
    """A closed series and its analysis."""
    world.receive(mr_series(tmp_path / "in"))
    (analysis_id,) = world.close()
    return analysis_id


def test_a_result_is_published_with_its_objects_and_deliveries(world, ready):
    published = world.run(ready)
    assert (published.state, len(published.delivery_ids)) == ("measured", 1)
    (analysis,) = world.all_of(Analysis)
    assert analysis.result_path == f"results/{ready}/attempt-1"
    assert analysis.finding["schema"] == "myoscreen.finding/1"
    assert set(analysis.timings) == {"scan", "network"}
    (output,) = world.all_of(Output)
    assert (world.home / output.path).stat().st_mode & 0o777 == 0o600
    assert [row.action for row in world.all_of(AuditEntry)] == ["series_received", "analysis_finished"]


def test_an_analysis_is_done_once(world, ready):
    world.run(ready)
    assert world.run(ready) is None
    assert len(world.all_of(Output)) == 1


def test_a_rerun_that_finds_the_same_says_so_and_sends_nothing(world, ready):
    world.run(ready)
    world.deliver_all()
    with world.sessions.begin() as db:
        again = orders.order_rerun(db, ready, now=world.now)
    published = world.run(again)
    assert published.delivery_ids == ()
    assert world.states() == ["superseded", "measured"]
    (event,) = [row for row in world.all_of(Event) if row.name == "identical_to_version"]
    assert (event.analysis_id, event.detail) == (again, {"version": 1})


def test_a_rerun_does_not_cut_off_what_the_first_run_still_has_to_send(world, ready):
    world.run(ready)
    with world.sessions.begin() as db:
        again = orders.order_rerun(db, ready, now=world.now)
    world.run(again)
    assert [row.state for row in world.all_of(Delivery)] == ["pending"]


def test_late_images_make_a_result_that_supersedes_the_first(world, tmp_path):
    paths = mr_series(tmp_path / "in")
    world.receive(paths[:-1])
    (first,) = world.close()
    world.run(first)
    world.deliver_all()
    world.receive(paths[-1:])
    (second,) = world.close()
    assert world.states() == ["measured", "ready"]
    published = world.run(second)
    assert world.states() == ["superseded", "measured"]
    assert len(published.delivery_ids) == 1
    assert "identical_to_version" not in world.events()


def test_an_analysis_waits_while_late_images_arrive_and_no_attempt_is_counted(world, tmp_path):
    paths = mr_series(tmp_path / "in")
    world.receive(paths[:-1])
    (first,) = world.close()
    world.receive(paths[-1:])
    assert world.run(first) is None
    (analysis,) = world.all_of(Analysis)
    assert (analysis.state, analysis.attempt) == ("ready", 0)
    world.close()
    assert world.states() == ["superseded", "ready"]


def test_a_fault_gives_the_row_back_and_then_sets_it_aside_with_its_reason(world, ready):
    def broken(*_args, **_kwargs):
        raise ProviderUnavailable("CUDA was demanded.")

    world.use(broken)
    assert world.run(ready) is None
    assert world.states() == ["ready"]
    world.now += timedelta(seconds=5)
    world.run(ready)
    (analysis,) = world.all_of(Analysis)
    assert (analysis.state, analysis.reason_code) == ("failed", "provider_unavailable")
    assert world.events()[-2:] == ["analysis_started", "analysis_failed"]


def test_a_crash_inside_is_told_without_its_message(world, ready, caplog):
    def broken(*_args, **_kwargs):
        raise KeyError("Doe^Jane")

    world.use(broken)
    world.run(ready)
    (analysis,) = world.all_of(Analysis)
    assert (analysis.reason_code, analysis.reason_text) == ("internal_fault", "KeyError in the analysis.")


def test_a_worker_that_lost_its_lease_leaves_no_rows_and_no_files(world, ready):
    def taken_away(*args, **kwargs):
        with reading(world.sessions) as db:
            (lease,) = queries.running_analyses(db)
        with world.sessions.begin() as db:
            queries.give_back(
                db,
                lease,
                reason=EXPIRED,
                max_attempts=3,
                not_before=world.now,
                now=world.now,
            )
        return stand_in.analyse(*args, **kwargs)

    world.use(taken_away)
    assert world.run(ready) is None
    assert world.all_of(Output) == []
    assert world.states() == ["ready"]
    assert list((world.home / "results" / str(ready)).iterdir()) == []
    world.use(stand_in.analyse)
    assert world.run(ready) is not None


def test_unreadable_images_end_as_not_assessable_with_their_reason(world, tmp_path):
    changes = {"ImagePositionPatient": None, "ImageOrientationPatient": None}
    world.receive(mr_series(tmp_path / "in", changes=changes))
    (analysis_id,) = world.close()
    published = world.run(analysis_id)
    (analysis,) = world.all_of(Analysis)
    assert (analysis.state, published.delivery_ids) == ("not_assessable", ())
    assert analysis.reason_code
    assert (world.home / analysis.result_path / "finding.json").exists()


def test_headers_that_break_the_reader_end_as_not_assessable_and_not_as_failed(world, ready, monkeypatch):
    def broken(_paths):
        raise KeyError("Doe^Jane")

    monkeypatch.setattr(attempt, "scan", broken)
    assert world.run(ready) is not None
    (analysis,) = world.all_of(Analysis)
    assert (analysis.state, analysis.reason_code) == ("not_assessable", "unreadable_series")
    assert "Doe" not in analysis.reason_text


def test_a_fault_of_the_disk_is_no_outcome_of_the_series(world, ready, monkeypatch):
    def broken(_paths):
        raise OSError

    monkeypatch.setattr(attempt, "scan", broken)
    assert world.run(ready) is None
    assert world.states() == ["ready"]


def with_report(*args, **kwargs):
    """The stand-in's object as a report."""
    result = stand_in.analyse(*args, **kwargs)
    (written,) = result.written
    return replace(result, written=(replace(written, kind=OutputKind.SR),))


def test_a_rerun_of_a_superseding_version_supersedes_the_same_report(world, tmp_path):
    world.use(with_report)
    paths = mr_series(tmp_path / "in")
    world.receive(paths[:-1])
    (first,) = world.close()
    world.run(first)
    world.receive(paths[-1:])
    (second,) = world.close()
    world.run(second)
    with world.sessions.begin() as db:
        third = orders.order_rerun(db, second, now=world.now)
    world.run(third)
    report = world.all_of(Output)[0].sop_instance_uid
    assert [row.finding["supersedes"] for row in world.all_of(Analysis)] == [None, report, report]


def test_a_withheld_result_is_told_by_sr_and_capture_only_and_an_unsuitable_series_not_at_all():
    assert run.SENT["not_assessable"] == {OutputKind.SR, OutputKind.SC}
    assert run.SENT["not_eligible"] == frozenset()


def test_the_time_in_the_objects_is_that_of_the_first_version(world, ready):
    world.run(ready)
    world.now += timedelta(days=1)
    with world.sessions.begin() as db:
        again = orders.order_rerun(db, ready, now=world.now)
    rows = {row.id: row.object_time for row in world.all_of(Analysis)}
    assert rows[again] == rows[ready]
    assert ledger.REOPENED not in world.events()


def test_a_commit_whose_answer_was_lost_keeps_its_files(world, ready, monkeypatch):
    publish = run._publish

    def answer_lost(*args, **kwargs):
        publish(*args, **kwargs)
        raise ConnectionResetError

    monkeypatch.setattr(run, "_publish", answer_lost)
    assert world.run(ready) is None
    (analysis,) = world.all_of(Analysis)
    (output,) = world.all_of(Output)
    assert analysis.state == "measured"
    assert (world.home / output.path).exists()


def test_a_failed_attempt_leaves_no_files(world, ready):
    def broken(*args, out, **kwargs):
        (out / "half.dcm").touch()
        raise ProviderUnavailable("CUDA was demanded.")

    world.use(broken)
    world.run(ready)
    assert list((world.home / "results" / str(ready)).iterdir()) == []


def test_the_wait_between_attempts_doubles_up_to_a_bound():
    terms = run.Terms(max_attempts=100, retry_after=timedelta(seconds=5), beat_seconds=1)
    assert [terms.wait(attempt).seconds for attempt in (1, 2, 3, 8, 9, 100)] == [5, 10, 20, 640, 900, 900]
