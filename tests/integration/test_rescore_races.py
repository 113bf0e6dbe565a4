"""New scores that are ordered while the result is withdrawn or purged: each end has a name."""

from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
from sqlalchemy import select, text, update

from service import files
from service.core.status import DeliveryState
from service.db import orders
from service.db.retention import Kept, mark_results, still_old
from service.db.session import Sessions, make_sessions, reading
from service.db.tables import Analysis, Delivery, Event, Output, Series
from service.db.withdrawals import withdraw
from service.dicom.spool import Spool
from service.errors import InvalidRequest
from service.pipeline import retention, run
from service.pipeline.job import Outcome
from service.pipeline.keepsake import KEPT_NAME
from service.pipeline.rescoring import order_rescore
from service.pipeline.slicefiles import DRAWING_NAME, IMAGES_NAME
from tests.make import ledger
from tests.make.databases import bring_up
from tests.make.running import wait_for


@dataclass
class Site:
    """A ledger with one result that can be scored again, and a clock that the test moves."""

    sessions: Sessions
    home: Path
    first: int
    now: datetime = ledger.NOW

    def row(self, analysis_id):
        with reading(self.sessions) as session:
            return session.get_one(Analysis, analysis_id)

    def order(self, analysis_id=None):
        return order_rescore(self.sessions, analysis_id or self.first, home=self.home, now=self.now)

    def run(self, analysis_id, meanwhile=lambda: None):
        """Let a worker score it again; ``meanwhile`` happens before it publishes."""

        def perform(job, _wanted):
            files.make_private_dir(job.out)
            meanwhile()
            return Outcome(input_digest=job.input_digest, finding=job.measured.finding, seconds={})

        bench = run.Bench(
            home=self.home,
            spool=Spool(self.home / "spool"),
            destinations=(),
            terms=run.Terms(max_attempts=1, retry_after=timedelta(seconds=5), beat_seconds=60),
            owner="worker",
            clock=lambda: self.now,
        )
        return run.run(self.sessions, analysis_id, perform, bench)

    def withdraw(self, analysis_id=None):
        with self.sessions.begin() as session:
            return take_back(session, self, analysis_id)

    def purge(self):
        later = self.now + timedelta(days=400)
        return retention.purge(self.sessions, self.home, retention.Terms.in_days(results=30), now=later)

    def ended(self, analysis_id):
        """How a version ended, and what of it there is."""
        with reading(self.sessions) as session:
            row = session.get_one(Analysis, analysis_id)
            outputs = session.scalars(select(Output.id).where(Output.analysis_id == analysis_id)).all()
            return row.state, row.reason_code, row.finding, outputs


DROPPED = ("superseded", "withdrawn", None, [])


def made(sessions, tmp_path):
    home = tmp_path / "home"
    first = ledger.fill(sessions, home).flagged
    site = Site(sessions, home, first)
    (home / site.row(first).result_path / KEPT_NAME).write_bytes(b"kept")
    return site


@pytest.fixture
def site(sessions, tmp_path):
    """On SQLite and on PostgreSQL."""
    return made(sessions, tmp_path)


@pytest.fixture
def busy(postgres, tmp_path):
    """On PostgreSQL, where two transactions may write at a time."""
    url = postgres.new_database()
    bring_up(url)
    sessions = make_sessions(url)
    yield made(sessions, tmp_path)
    sessions.kw["bind"].dispose()


def code_of(call, *arguments):
    with pytest.raises(InvalidRequest) as told:
        call(*arguments)
    return told.value.reason.code


def test_pictures_that_were_carried_before_the_images_went_do_not_outlive_them(site):
    """Said to be gone, ordered, carried, taken away, published: in this order."""
    ordered = site.order()
    out = site.home / "results" / str(ordered) / "attempt-1"

    def meanwhile():
        for name in (IMAGES_NAME, DRAWING_NAME):
            (out / name).write_bytes(b"carried")
        with site.sessions.begin() as session:
            session.execute(update(Series).values(pixels_purged_at=site.now))

    assert site.run(ordered, meanwhile).state == "measured"
    assert not (out / IMAGES_NAME).exists()
    assert (out / DRAWING_NAME).exists()


def test_a_version_that_waits_is_dropped_with_its_reason_when_the_result_is_withdrawn(site):
    ordered = site.order()
    site.withdraw()
    assert site.ended(ordered) == DROPPED
    assert site.run(ordered) is None
    assert site.ended(ordered) == DROPPED
    with reading(site.sessions) as session:
        name, of = Event.name == "analysis_superseded", Event.analysis_id == ordered
        assert session.scalars(select(Event.detail).where(name, of)).all() == [{"reason": "wrong_drawing"}]
    assert code_of(site.order) == "withdrawn"
    assert code_of(site.order, ordered) == "withdrawn"


def test_a_version_that_runs_publishes_nothing_when_the_result_is_withdrawn(site):
    ordered = site.order()
    assert site.run(ordered, meanwhile=site.withdraw) is None
    assert site.ended(ordered) == DROPPED
    assert not list((site.home / "results" / str(ordered)).glob("*"))


def test_a_result_whose_new_scores_came_first_is_told_to_be_superseded(site):
    ordered = site.order()
    assert site.run(ordered).state == "measured"
    assert code_of(site.withdraw) == "not_withdrawable"
    assert site.withdraw(ordered)
    assert code_of(site.order) == "withdrawn"


def test_nothing_of_a_study_is_purged_while_a_version_waits_or_runs(site):
    ordered = site.order()
    site.purge()
    seen = []
    assert site.run(ordered, meanwhile=lambda: seen.append(site.purge())).state == "measured"
    assert seen == [{Kept.RESULTS: 0}]
    assert site.row(site.first).results_purged_at is None
    site.purge()
    assert site.row(ordered).result_path is None
    assert code_of(site.order) == "results_purged"


def take_back(session, site, analysis_id=None):
    analysis_id = analysis_id or site.first
    return withdraw(session, analysis_id, reason="wrong_drawing", actor="otto", now=site.now)


def order_within(session, site):
    """Order new scores in a transaction that is still open afterwards."""
    sessions = SimpleNamespace(begin=lambda: nullcontext(session))
    return order_rescore(sessions, site.first, home=site.home, now=site.now)


def rerun_within(session, site):
    return orders.order_rerun(session, site.first, now=site.now)


def retry_within(session, site):
    """Send an object of the result again; raises where that may not be."""
    mine = select(Delivery.id).join(Output).where(Output.analysis_id == site.first).order_by(Delivery.id)
    return orders.order_retry(session, session.scalars(mine).first(), now=site.now)


def purge_within(session, site):
    """What a purge does with a study in a transaction; whether it did."""
    later = site.now + timedelta(days=400)
    study_id = site.row(site.first).study_id
    old = still_old(session, study_id, Kept.RESULTS, until=later)
    if old:
        mark_results(session, study_id, now=later)
    return old


def at_once(site, first, second):
    """Begin one act, then another one that must wait for it; what came of each."""
    found = []

    def later():
        try:
            with site.sessions.begin() as session:
                found.append(second(session, site))
        except InvalidRequest as error:
            found.append(error.reason.code)

    thread = Thread(target=later)
    with site.sessions.begin() as session:
        done = first(session, site)
        thread.start()
        wait_for("the other transaction to wait", lambda: waits(site), seconds=20)
        assert found == []
    thread.join(20)
    return done, found[0]


def waits(site):
    """Whether some transaction of this database waits for another one."""
    with reading(site.sessions) as session:
        return session.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        )


def test_an_order_that_is_not_written_yet_is_dropped_by_the_withdrawal_that_waits_for_it(busy):
    ordered, withdrawn = at_once(busy, order_within, take_back)
    assert withdrawn
    assert busy.ended(ordered) == DROPPED


def test_a_rerun_that_is_not_written_yet_has_another_time_than_the_withdrawn_result(busy):
    """Else it would make the withdrawn objects again."""
    was = busy.row(busy.first).object_time
    busy.now += timedelta(hours=1)
    ordered, _ = at_once(busy, rerun_within, take_back)
    assert busy.row(ordered).object_time == busy.now > was


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (take_back, order_within, "withdrawn"),
        (purge_within, order_within, "results_purged"),
        (rerun_within, order_within, "already_waiting"),
        (order_within, rerun_within, "already_waiting"),
        (order_within, purge_within, False),
        (take_back, retry_within, "withdrawn"),
        (retry_within, take_back, True),
    ],
)
def test_whoever_comes_second_sees_what_the_first_did(busy, first, second, expected):
    with busy.sessions.begin() as session:
        # What was given up may be sent again, and a withdrawal ends that.
        dead = {"state": DeliveryState.DEAD, "sent_at": busy.now, "confirm_at": None}
        session.execute(update(Delivery).values(**dead))
    done, found = at_once(busy, first, second)
    assert done
    assert found == expected
