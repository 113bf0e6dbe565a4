"""Corrected segmentations that come, are ordered or let go while others do something with the same rows."""

from datetime import timedelta
from threading import Thread

import pytest
from sqlalchemy import select, text

from service.db import edit_cases, edit_files, edits, ledger, retention
from service.db.edits import Came, EditFacts
from service.db.session import downgrade, make_sessions, reading
from service.db.tables import Analysis, Edit, Event, Series, Study, User
from service.dicom.spool import Spool
from service.errors import Reason
from service.pipeline import edited_order
from tests.make import ledger as filled
from tests.make.databases import bring_up
from tests.make.running import wait_for

NOW = filled.NOW
REASON = Reason("opted_out", "The patient has opted out.")


class Site:
    """A ledger with results of several studies, and what came back of them."""

    def __init__(self, sessions, home):
        self.sessions, self.home = sessions, home
        self.ids = filled.fill(sessions, home)

    def arrive(self, number=1, *, study="1"):
        """Write one down, as the door does."""
        with self.sessions.begin() as session:
            return edits.arrive(session, facts(number, study=study), now=NOW)

    def look_after(self):
        return edited_order.look_after(self.sessions, Spool(self.home / "spool"), self.home, now=NOW)

    def rows(self, table):
        with reading(self.sessions) as session:
            return session.scalars(select(table).order_by(table.id)).all()

    def refusals(self):
        return [row for row in self.rows(Event) if row.name == "edit_refused"]


def facts(number=1, *, study="1", digest=None):
    return EditFacts(
        sop_instance_uid=f"2.25.7{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.66.4",
        study_uid=f"1.2.3.{study}",
        patient_id="",
        issuer_of_patient_id="",
        birth_date="",
        sex="",
        peer="viewer",
        path=f"ed/{number}.dcm",
        sha256=digest or f"{number:064d}",
        size=1,
        references=(f"1.2.3.{study}.1.0",),
    )


@pytest.fixture
def site(sessions, tmp_path):
    """On SQLite and on PostgreSQL."""
    return Site(sessions, tmp_path / "files")


@pytest.fixture
def busy(postgres, tmp_path):
    """On PostgreSQL, where two transactions may write at a time."""
    url = postgres.new_database()
    bring_up(url)
    sessions = make_sessions(url)
    yield Site(sessions, tmp_path / "files")
    sessions.kw["bind"].dispose()


def at_once(site, first, second):
    """Begin one act, then another one that must wait for it; what came of the second."""
    found = []
    thread = Thread(target=lambda: found.append(second()))
    with site.sessions.begin() as session:
        first(session)
        thread.start()
        wait_for("the other transaction to wait", lambda: found or waits(site), seconds=20)
    thread.join(20)
    return found[0]


def waits(site):
    with reading(site.sessions) as session:
        return session.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        )


def study_of(session, uid):
    return session.scalars(select(Study.id).where(Study.study_uid == uid)).one()


def test_one_that_comes_while_its_study_is_erased_lies_on_no_image_of_ours(busy):
    def erase(session):
        number = study_of(session, "1.2.3.1")
        ledger.lock_study(session, number)
        retention.delete_study(session, number, now=NOW)

    assert at_once(busy, erase, busy.arrive) is Came.UNKNOWN
    assert busy.rows(Edit) == []


def test_the_same_again_while_its_file_is_taken_away_is_kept_by_no_row(busy):
    """Else the door would leave the new file behind, which nobody takes away any more."""
    assert busy.arrive() is Came.KEPT

    def take_away(session):
        edit_files.let_study_go(session, study_of(session, "1.2.3.1"), now=NOW)
        ((number, _),) = edit_files.leaving(session, after=0, limit=10)
        edit_files.gone(session, [number])

    assert at_once(busy, take_away, busy.arrive) is Came.UNKNOWN


def test_other_bytes_under_an_identifier_that_another_study_is_taking_are_in_conflict(busy):
    def take(session):
        assert edits.arrive(session, facts(), now=NOW) is Came.KEPT

    def other():
        with busy.sessions.begin() as session:
            return edits.arrive(session, facts(study="2", digest="f" * 64), now=NOW)

    assert at_once(busy, take, other) is Came.CONFLICT


def test_two_workers_tell_once_what_came_to_nothing(busy):
    busy.arrive()
    assert busy.look_after() == 1
    with busy.sessions.begin() as session:
        session.scalars(select(Analysis).where(Analysis.edit_id.is_not(None))).one().state = "failed"

    def settle():
        with busy.sessions.begin() as session:
            return edits.settle_lost(session, now=NOW)

    assert at_once(busy, lambda session: edits.settle_lost(session, now=NOW), settle) == 0
    assert [event.detail["code"] for event in busy.refusals()] == ["edit_failed"]


def test_what_another_worker_ordered_is_not_refused(site):
    site.arrive()
    assert site.look_after() == 1
    with site.sessions.begin() as session:
        edits.refuse(session, site.rows(Edit)[0].id, REASON, now=NOW)
    assert ([row.outcome for row in site.rows(Edit)], site.refusals()) == ([None], [])


def test_many_that_have_to_wait_hold_up_no_other_one(site):
    for number in range(1, 26):
        site.arrive(number, study="7")
    site.arrive(99)
    assert site.look_after() == 1
    assert site.rows(Edit)[-1].analysis_id is not None


def test_one_that_cannot_be_looked_after_holds_up_no_other_one(site, monkeypatch):
    site.arrive(1, study="2")
    site.arrive(2)
    order = edits.order

    def broken(session, edit_id, *arguments, **named):
        if edit_id == site.rows(Edit)[0].id:
            raise RuntimeError("a fault of ours")
        return order(session, edit_id, *arguments, **named)

    monkeypatch.setattr(edits, "order", broken)
    assert site.look_after() == 1
    assert [row.analysis_id is not None for row in site.rows(Edit)] == [False, True]


def test_a_drawing_whose_new_scores_were_withdrawn_counts_no_more(site):
    site.arrive()
    site.look_after()
    case = {"dice": {}, "differences": {}}
    with site.sessions.begin() as session:
        (edit,) = session.scalars(select(Edit))
        edit.outcome, edit.network, edit.contrast, edit.comparison = edits.TAKEN, "net 1", "t2_tse", case
        made = session.get_one(Analysis, edit.analysis_id)
        made.state = "superseded"
        assert edit_cases.cases(session) == {("net 1", "t2_tse"): [case]}
        session.add(
            Analysis(
                study_id=made.study_id,
                input_digest=made.input_digest,
                version=made.version + 1,
                edit_id=edit.id,
                rescores_id=made.id,
                state="measured",
                object_time=NOW,
                created_at=NOW,
                withdrawn_at=NOW + timedelta(hours=1),
            )
        )
        session.flush()
        assert edit_cases.cases(session) == {}


def test_whose_images_they_are_is_asked_after_the_study_is_locked(busy):
    """A reissue that another transaction is writing holds already."""

    def reissue(session):
        number = study_of(session, "1.2.3.1")
        ledger.lock_study(session, number)
        session.scalars(select(Series).where(Series.study_id == number)).one().patient_id = "ANOTHER"

    assert at_once(busy, reissue, busy.arrive) is Came.MISMATCH


def test_the_release_before_draws_no_version_anew_that_waits_for_an_edited_mask(site):
    """Nor does it let in by an empty password whom a provider knew."""
    site.arrive()
    assert site.look_after() == 1
    with site.sessions.begin() as session:
        known = {"issuer": "https://login.example", "subject": "1", "created_at": NOW}
        session.add(User(name="ingrid", password_hash="", role="viewer", **known))
    engine = site.sessions.kw["bind"]
    url = engine.url.render_as_string(hide_password=False)
    engine.dispose()
    downgrade(url, "0002")
    with engine.connect() as connection:
        of_study = (
            "SELECT state FROM analyses JOIN studies ON studies.id = study_id WHERE study_uid = '1.2.3.1'"
        )
        states = connection.execute(text(f"{of_study} ORDER BY version")).scalars().all()
        assert states == ["superseded", "measured", "superseded"]
        assert connection.execute(text("SELECT disabled FROM users")).scalars().all() == [True]
    engine.dispose()
