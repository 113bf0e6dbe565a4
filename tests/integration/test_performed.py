"""Performed procedure steps (MPPS): a scanner says which images it made; with them a series is complete."""

import random
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid
from pynetdicom import AE
from pynetdicom.presentation import build_context
from sqlalchemy import func, select

from service import receiver
from service.core.status import StepState
from service.db import ledger, patients, performed, retention
from service.db.session import reading
from service.db.tables import Event, PerformedSeries, PerformedStep, Series, Study
from service.dicom.performed import MOST_IMAGES, PERFORMED_STEP
from service.pipeline import performed as verb
from service.pipeline.close import Closing, Holes, close_series
from service.settings import load
from tests.fuzz.wire import mutate, play
from tests.make.asking import session_of_steps, step
from tests.make.databases import bring_up
from tests.make.modality import EXPLICIT, MR_IMAGE
from tests.make.received import instance
from tests.make.running import free_port, wait_for
from tests.make.series import mr_series

pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
SCANNER = {"name": "scanner", "ae_title": "SCANNER", "host": "127.0.0.1", "mpps_scp": True}
RIS = {"name": "ris", "ae_title": "RIS", "host": "127.0.0.1", "mpps_scp": True, "may_send": False}
OTHER = {"name": "other", "ae_title": "OTHER", "host": "127.0.0.1"}
QUIET, CAP = timedelta(minutes=1), timedelta(minutes=30)
KOS = "1.2.840.10008.5.1.4.1.1.88.59"


@contextmanager
def associated(port, calling="SCANNER"):
    """An association for storage and for steps."""
    application = AE(ae_title=calling)
    application.acse_timeout = application.dimse_timeout = application.network_timeout = 20
    contexts = [build_context(MR_IMAGE, EXPLICIT), build_context(PERFORMED_STEP)]
    association = application.associate("127.0.0.1", port, contexts=contexts, ae_title="MYOSCREEN")
    assert association.is_established
    try:
        yield association
    finally:
        association.release()


class World:
    """A receiver, a scanner, and the worker's part played by hand."""

    def __init__(self, door):
        self.door, self.port = door, door.port
        self.now, self.holes = datetime.now(UTC), Holes()
        self.uid = generate_uid()

    def send(self, paths):
        with associated(self.port) as association:
            for path in paths:
                assert association.send_c_store(pydicom.dcmread(path)).Status == 0x0000

    def begin(self, told=None, *, calling="SCANNER", uid=None):
        with associated(self.port, calling) as association:
            told = step("IN PROGRESS") if told is None else told
            return association.send_n_create(told, UID(PERFORMED_STEP), uid or self.uid)[0].Status

    def end(self, told, *, calling="SCANNER", uid=None):
        with associated(self.port, calling) as association:
            return association.send_n_set(told, UID(PERFORMED_STEP), uid or self.uid)[0].Status

    def perform(self, paths, state="COMPLETED"):
        """A whole step that made these."""
        assert self.begin() == self.end(step(state, paths)) == 0x0000

    def sweep(self, after=timedelta(0)):
        """How the newest series stands when the worker looked at it so long after now."""
        closing = Closing(quiet=QUIET, hard_cap=CAP)
        now = datetime.now(UTC) + after
        close_series(self.door.sessions, self.door.spool, now=now, closing=closing, holes=self.holes)
        with reading(self.door.sessions) as session:
            row = session.scalars(select(Series).order_by(Series.id.desc()).limit(1)).one()
            return row.state, row.completion_reason

    def events(self, name):
        """Of the newest series."""
        with reading(self.door.sessions) as session:
            newest = select(func.max(Series.id)).scalar_subquery()
            found = select(Event).where(Event.name == name, Event.series_id == newest)
            return [row.detail for row in session.scalars(found.order_by(Event.id))]

    def rows(self):
        """The step of this test, and how many images it made of each series."""
        with reading(self.door.sessions) as session:
            steps = session.scalars(select(PerformedStep).filter_by(sop_instance_uid=self.uid)).all()
            made = select(PerformedSeries).where(PerformedSeries.step_id.in_([row.id for row in steps]))
            return [(row.peer, row.state) for row in steps], [row.images for row in session.scalars(made)]


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    """One receiver for all of them."""
    settings = load(
        home=tmp_path_factory.mktemp("home") / "home",
        dicom_port=free_port(),
        spool_min_free_mb=0,
        peer=[SCANNER, RIS, OTHER],
    )
    bring_up(settings.resolved_database_url)
    door = receiver.open_door(settings)
    yield door
    door.close(finish_seconds=0)


@pytest.fixture
def world(door):
    return World(door)


NUMBERS = count(1)


def made(folder, positions):
    """A series of a study that no other test has."""
    number = next(NUMBERS)
    changes = {"StudyInstanceUID": f"1.2.7.{number}", "FrameOfReferenceUID": f"1.2.8.{number}"}
    return mr_series(folder, series=number, positions=positions, changes=changes)


@pytest.fixture
def images(tmp_path):
    return made(tmp_path / "in", [0.0, 4.0, 8.0])


# When a series is complete


def test_a_series_is_closed_as_soon_as_the_step_that_made_it_is_completed(world, images):
    assert world.begin() == 0x0000
    world.send(images)
    assert world.sweep() == ("receiving", None)
    assert world.end(step(None, images)) == 0x0000
    assert world.sweep() == ("receiving", None)
    assert world.end(step("COMPLETED")) == 0x0000
    assert world.sweep() == ("closed", "performed")
    (detail,) = world.events("series_closed")
    assert (detail["reason"], detail["images"], detail["expected"]) == ("performed", 3, 3)


def test_images_that_come_after_the_step_are_waited_for_until_the_last(world, images):
    world.perform(images)
    world.send(images[:2])
    # Without the last one there is no hole: geometry alone would call it complete.
    assert world.sweep(3 * QUIET) == ("receiving", None)
    world.send(images[2:])
    assert world.sweep() == ("closed", "performed")


def test_the_hard_cap_ends_the_waiting_and_says_how_many_there_should_be(world, images):
    world.perform(images)
    world.send(images[:2])
    assert world.sweep(CAP) == ("closed", "hard_cap")
    (detail,) = world.events("series_closed")
    assert (detail["images"], detail["expected"]) == (2, 3)


def test_slices_that_were_never_made_are_not_waited_for(world, tmp_path):
    images = made(tmp_path / "holes", [0.0, 4.0, 8.0, 24.0, 28.0, 32.0, 40.0])
    world.send(images)
    assert world.sweep(3 * QUIET) == ("receiving", None)
    world.perform(images)
    assert world.sweep(3 * QUIET) == ("closed", "performed")
    (detail,) = world.events("series_closed")
    assert detail["holes"]


@pytest.mark.parametrize("state", ["IN PROGRESS", "DISCONTINUED"])
def test_a_step_that_was_not_completed_proves_nothing(world, images, state):
    world.perform(images, state)
    world.send(images)
    assert world.sweep() == ("receiving", None)
    assert world.sweep(QUIET) == ("closed", "quiet")


def test_where_more_came_than_was_made_the_quiet_time_decides(world, images):
    world.perform(images[:2])
    world.send(images)
    assert world.sweep() == ("receiving", None)
    assert world.sweep(QUIET) == ("closed", "quiet")


def test_objects_that_are_not_kept_are_not_waited_for(world, images):
    assert world.begin() == 0x0000
    told = step("COMPLETED", images)
    told.PerformedSeriesSequence[0].ReferencedImageSequence += (
        step(None, images[:1], sop_class=KOS).PerformedSeriesSequence[0].ReferencedImageSequence
    )
    told.PerformedSeriesSequence += step(None, images, sop_class=KOS).PerformedSeriesSequence
    assert world.end(told) == 0x0000
    assert world.rows()[1] == [3]


def test_a_step_that_names_more_than_was_measured_says_so_and_what_comes_late_makes_a_version(world, images):
    world.send(images[:2])
    assert world.sweep(QUIET) == ("closed", "quiet")
    world.perform(images)
    assert world.events("images_missing") == [{"images": 2, "expected": 3}]
    world.send(images[2:])
    assert world.sweep() == ("closed", "performed")
    assert [detail["version"] for detail in world.events("analysis_ready")] == [1, 2]


# Who may say it, and what is answered


def test_only_a_peer_whose_setting_says_so_may(world, images):
    assert world.begin(calling="RIS") == 0x0000
    with associated(world.port, "OTHER") as association:
        taken = [context.abstract_syntax for context in association.accepted_contexts]
    assert taken == [MR_IMAGE]
    # What one peer began another does not end.
    assert world.end(step("COMPLETED", images), calling="SCANNER") == 0x0112
    assert world.end(step("COMPLETED", images), calling="RIS") == 0x0000
    assert world.rows() == ([("ris", "completed")], [3])


def test_every_message_is_answered_by_name(world, images):
    assert world.begin(step("COMPLETED")) == 0x0106
    assert world.begin(step(None)) == 0x0106
    assert world.end(step("COMPLETED")) == 0x0112
    assert world.begin() == 0x0000
    assert world.begin() == 0x0111
    assert world.end(step("FINISHED")) == 0x0106
    assert world.end(step("COMPLETED", images)) == 0x0000
    assert world.end(step("IN PROGRESS")) == 0x0110
    assert world.rows() == ([("scanner", "completed")], [3])


def test_too_many_images_are_refused_whole(world, images):
    assert world.begin() == 0x0000
    told = step("COMPLETED", images)
    told.PerformedSeriesSequence[0].ReferencedImageSequence = [Dataset()] * MOST_IMAGES
    assert world.end(told) == 0x0213
    assert world.rows() == ([("scanner", "in_progress")], [])


def test_wrong_bytes_leave_the_receiver_as_it_was(world, images):
    chance = random.Random(20261124)
    session = session_of_steps(images)
    for _ in range(60):
        play(world.port, mutate(session, chance), chance)
    wait_for("the connections to end", lambda: not world.door.receiver.associations(), seconds=30)
    world.perform(images)
    assert world.rows() == ([("scanner", "completed")], [3])


# What stays of it


def test_steps_live_and_go_on_either_database(sessions):
    now = datetime(2026, 3, 1, tzinfo=UTC)
    first = instance()
    with sessions.begin() as session:
        ledger.record_instance(session, first, now=now)
        assert performed.begin(session, peer="a", step_uid="1.2.9", now=now)
        assert not performed.begin(session, peer="a", step_uid="1.2.9", now=now)
        performed.begin(session, peer="a", step_uid="1.2.8", now=now)
        for uid, images in (("1.2.9", {first.series_uid: 1}), ("1.2.8", {"1.2.77": 5})):
            performed.change(session, uid, state=StepState.COMPLETED, images=images, now=now)
    with sessions.begin() as session:
        found = ledger.open_series(session, now=now, quiet=QUIET, hard_cap=CAP)
        assert [(each.performed, each.expected) for each in found] == [(True, 1)]
        study_id = session.scalar(select(Study.id))
        rows = dict(patients.rows_of(session, study_id))
        assert [row["sop_instance_uid"] for row in rows["performed_steps"]] == ["1.2.9"]
        assert [row["images"] for row in rows["performed_series"]] == [1]
        retention.delete_study(session, study_id, now=now)
        # Of the study nothing stays, of another examination everything.
        assert session.scalars(select(PerformedStep.sop_instance_uid)).all() == ["1.2.8"]
        assert session.scalar(select(func.count()).select_from(PerformedSeries)) == 1
    assert verb.forget(sessions, now=now + verb.KEEP) == 0
    assert verb.forget(sessions, now=now + verb.KEEP + timedelta(seconds=1)) == 1
