"""Complete series become analyses that wait."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from service.core.status import SeriesState
from service.db import ledger
from service.db.session import reading
from service.db.tables import Analysis, Instance, Series
from service.dicom.spool import Spool
from service.pipeline import close as closing
from service.pipeline.close import Closing, Holes
from tests.make.received import NOW, take_in
from tests.make.series import CORONAL, mr_series

QUIET = timedelta(seconds=60)
CLOSING = Closing(quiet=QUIET, hard_cap=timedelta(minutes=30))


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool")


def close(sessions, spool, now, holes=None):
    return closing.close_series(sessions, spool, now=now, closing=CLOSING, holes=holes)


def all_of(sessions, table):
    with reading(sessions) as db:
        return db.scalars(select(table).order_by(table.id)).all()


def test_a_whole_series_is_closed_after_the_quiet_time_and_waits_for_analysis(sessions, spool, tmp_path):
    take_in(sessions, spool, mr_series(tmp_path))
    assert close(sessions, spool, NOW + QUIET / 2) == []
    (analysis_id,) = close(sessions, spool, NOW + QUIET)
    (series,) = all_of(sessions, Series)
    assert (series.state, series.completion_reason) == (SeriesState.CLOSED, "quiet")
    (analysis,) = all_of(sessions, Analysis)
    assert (analysis.id, analysis.state, analysis.version) == (analysis_id, "ready", 1)
    assert analysis.object_time == NOW + QUIET
    assert close(sessions, spool, NOW + 2 * QUIET) == []


def test_a_series_with_a_hole_waits_for_the_missing_slice(sessions, spool, tmp_path):
    paths = mr_series(tmp_path)
    take_in(sessions, spool, paths[:2] + paths[3:])
    holes = Holes()
    assert close(sessions, spool, NOW + QUIET, holes) == []
    take_in(sessions, spool, [paths[2]], now=NOW + 2 * QUIET)
    assert len(close(sessions, spool, NOW + 3 * QUIET, holes)) == 1


def test_its_headers_are_not_read_again_until_something_came(sessions, spool, tmp_path, monkeypatch):
    paths = mr_series(tmp_path)
    take_in(sessions, spool, paths[:2] + paths[3:])
    holes = Holes()
    close(sessions, spool, NOW + QUIET, holes)
    monkeypatch.setattr(closing, "scan", lambda _paths: pytest.fail("read again"))
    assert close(sessions, spool, NOW + 2 * QUIET, holes) == []


def test_after_the_hard_cap_it_is_taken_as_it_is_and_the_reason_says_so(sessions, spool, tmp_path):
    paths = mr_series(tmp_path)
    take_in(sessions, spool, paths[:2] + paths[3:])
    holes = Holes()
    close(sessions, spool, NOW + QUIET, holes)
    assert len(close(sessions, spool, NOW + CLOSING.hard_cap, holes)) == 1
    assert all_of(sessions, Series)[0].completion_reason == "hard_cap"


def test_each_stack_of_a_series_gets_an_analysis_of_its_own(sessions, spool, tmp_path):
    axial = mr_series(tmp_path / "a")
    coronal = mr_series(tmp_path / "c", orientation=CORONAL, first_number=20)
    take_in(sessions, spool, axial + coronal)
    assert len(close(sessions, spool, NOW + QUIET)) == 2


def test_a_late_image_makes_a_new_version(sessions, spool, tmp_path):
    paths = mr_series(tmp_path)
    take_in(sessions, spool, paths[:-1])
    (first,) = close(sessions, spool, NOW + QUIET)
    take_in(sessions, spool, paths[-1:], now=NOW + 2 * QUIET)
    (second,) = close(sessions, spool, NOW + 3 * QUIET)
    rows = all_of(sessions, Analysis)
    assert [(row.id, row.version, row.state) for row in rows] == [
        (first, 1, "superseded"),
        (second, 2, "ready"),
    ]


def test_an_image_that_came_twice_makes_no_new_version(sessions, spool, tmp_path):
    paths = mr_series(tmp_path)
    take_in(sessions, spool, paths)
    close(sessions, spool, NOW + QUIET)
    take_in(sessions, spool, paths, now=NOW + 2 * QUIET)
    assert close(sessions, spool, NOW + 4 * QUIET) == []
    assert len(all_of(sessions, Analysis)) == 1


def test_a_series_without_a_usable_image_still_gets_its_outcome(sessions, spool, tmp_path):
    paths = mr_series(tmp_path, changes={"ImagePositionPatient": None, "ImageOrientationPatient": None})
    take_in(sessions, spool, paths)
    assert len(close(sessions, spool, NOW + QUIET)) == 1


def test_text_that_a_database_cannot_store_is_made_storable(sessions, spool, tmp_path):
    paths = mr_series(tmp_path, changes={"PatientID": "X" * 400, "SeriesDescription": "a\x00b" * 60})
    assert take_in(sessions, spool, paths) == ["new"] * 5


def unreadable_from(monkeypatch, uid_end):
    """Make the reading of headers break for one series, and count how often that happened."""
    real, broken = closing.scan, []

    def scan(paths):
        seen = real(paths)
        if any(stack.facts.series_uid.endswith(uid_end) for stack in seen.stacks):
            broken.append(paths)
            raise KeyError("Doe^Jane")
        return seen

    monkeypatch.setattr(closing, "scan", scan)
    return broken


@pytest.fixture
def two_series(sessions, spool, tmp_path, monkeypatch):
    """Two series that were received whole; reading the headers of the first breaks."""
    take_in(sessions, spool, mr_series(tmp_path / "a"))
    take_in(sessions, spool, mr_series(tmp_path / "b", series=2))
    first = all_of(sessions, Series)[0]
    return unreadable_from(monkeypatch, first.series_uid)


def test_a_series_whose_headers_break_the_reader_does_not_stop_the_others(
    sessions, spool, two_series, caplog
):
    holes = Holes()
    assert len(close(sessions, spool, NOW + QUIET, holes)) == 1
    assert [row.state for row in all_of(sessions, Series)] == [SeriesState.RECEIVING, SeriesState.CLOSED]
    told = [record for record in caplog.records if record.message == "series_unreadable"]
    assert {record.series_id for record in told} == {1}
    # Once as a whole, and once by its first image: it might have been a station of the other one's scan.
    assert len(two_series) == 2
    close(sessions, spool, NOW + 2 * QUIET, holes)
    assert len(two_series) == 2


def test_after_the_hard_cap_a_series_that_breaks_the_reader_is_closed_with_one_analysis(
    sessions, spool, two_series
):
    close(sessions, spool, NOW + QUIET)
    (made,) = close(sessions, spool, NOW + CLOSING.hard_cap)
    first = all_of(sessions, Series)[0]
    assert (first.state, first.completion_reason) == (SeriesState.CLOSED, "hard_cap")
    hashes = {row.sop_instance_uid: row.sha256 for row in all_of(sessions, Instance) if row.series_id == 1}
    analysis = next(row for row in all_of(sessions, Analysis) if row.id == made)
    assert (analysis.state, analysis.input_digest) == ("ready", closing.unreadable_digest(hashes))


def test_a_series_that_cannot_be_written_down_does_not_stop_the_others(
    sessions, spool, tmp_path, monkeypatch, caplog
):
    take_in(sessions, spool, mr_series(tmp_path / "a"))
    take_in(sessions, spool, mr_series(tmp_path / "b", series=2))
    real = ledger.close_series

    def close_all_but_the_first(db, series, **kwargs):
        if series.id == 1:
            raise RuntimeError
        return real(db, series, **kwargs)

    monkeypatch.setattr(ledger, "close_series", close_all_but_the_first)
    assert len(close(sessions, spool, NOW + QUIET)) == 1
    assert "series_not_closed" in caplog.messages
