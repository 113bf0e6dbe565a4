"""Folders into a running installation, by the command that an operator types."""

import shutil

import pytest
from pydicom.uid import CTImageStorage
from sqlalchemy import select
from typer.testing import CliRunner

from service import files
from service.cli import build_app
from service.db.session import make_sessions, reading
from service.db.tables import Instance, Series
from service.pipeline import intake
from tests.make.databases import bring_up
from tests.make.received import encoded
from tests.make.results import write_objects
from tests.make.series import STUDY_UID, mr_series, mr_slice, save


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An installation of its own."""
    folder = tmp_path / "home"
    bring_up(f"sqlite:///{folder / 'myoscreen.db'}")
    monkeypatch.setenv("MYOSCREEN_HOME", str(folder))
    monkeypatch.setenv("MYOSCREEN_SPOOL_MIN_FREE_MB", "0")
    return folder


def ingest(*arguments):
    return CliRunner().invoke(build_app("ingest"), ["ingest", *map(str, arguments)])


def counts(result):
    # Lines of the log may stand between.
    lines = [line.rpartition(": ") for line in result.output.splitlines()]
    return {name: int(number) for name, _, number in lines if number.isdigit() and number != "0"}


def rows(home, table):
    sessions = make_sessions(f"sqlite:///{home / 'myoscreen.db'}")
    with reading(sessions) as db:
        found = db.scalars(select(table).order_by(table.id)).all()
    sessions.kw["bind"].dispose()
    return found


def test_every_file_has_an_outcome_and_stays_where_it_is(home, made, tmp_path):
    folder = tmp_path / "in"
    paths = mr_series(folder / "a" / "b", positions=[0.0, 4.0])
    save(mr_slice(SOPClassUID=CTImageStorage, SOPInstanceUID="1.2.9.1"), folder / "ct.dcm")
    save(mr_slice(SOPInstanceUID=f"{STUDY_UID}.1.1", PatientName="Other^Bytes"), folder / "z" / "other.dcm")
    write_objects(made, folder / "own")
    (folder / "notes.txt").write_text("no images")
    (folder / "empty.dcm").touch()
    before = {path: files.sha256_of(path) for path in folder.rglob("*") if path.is_file()}
    result = ingest(folder)
    assert result.exit_code == 0
    own = len(list((folder / "own").rglob("*.dcm")))
    assert counts(result) == {
        "accepted": 2,
        "conflict": 1,
        "own result": own,
        "not wanted": 1,
        "not readable": 2
        + sum(path.suffix != ".dcm" for path in (folder / "own").rglob("*") if path.is_file()),
    }
    assert {row.sop_instance_uid for row in rows(home, Instance)} == {f"{STUDY_UID}.1.{n}" for n in (1, 2)}
    assert [row.calling_ae for row in rows(home, Series)] == ["ingest"]
    assert {path: files.sha256_of(path) for path in folder.rglob("*") if path.is_file()} == before
    assert all((home / "spool" / row.path).is_file() for row in rows(home, Instance))
    assert len(paths) == 2


def test_a_second_time_everything_is_here_already(home, tmp_path):
    mr_series(tmp_path / "in", positions=[0.0, 4.0, 8.0])
    assert ingest(tmp_path / "in").exit_code == 0
    again = ingest(tmp_path / "in", "--list")
    assert (again.exit_code, counts(again)) == (0, {"same again": 3})
    assert again.output.count("same again: " + str(tmp_path)) == 3
    assert len(rows(home, Instance)) == 3


def bare(path):
    """Without preamble and file meta information, as older programs write files."""
    path.write_bytes(encoded(path)[0])


def renamed(path):
    """With file meta information that a program which anonymises has forgotten."""
    path.write_bytes(path.read_bytes().replace(f"{STUDY_UID}.1.2".encode(), f"{STUDY_UID}.9.2".encode(), 1))


@pytest.mark.parametrize("change", [bare, renamed])
def test_a_file_is_what_its_dataset_says(home, tmp_path, change):
    _, path = mr_series(tmp_path / "in", positions=[0.0, 4.0])
    before = encoded(path)[0]
    change(path)
    assert counts(ingest(tmp_path / "in")) == {"accepted": 2}
    row = rows(home, Instance)[1]
    assert row.sop_instance_uid == f"{STUDY_UID}.1.2"
    raw, meta = encoded(home / "spool" / row.path)
    assert (raw, meta.MediaStorageSOPInstanceUID) == (before, f"{STUDY_UID}.1.2")


def test_nothing_usable_is_told_apart_from_a_failed_call(home, tmp_path):
    folder = tmp_path / "in"
    save(mr_slice(SOPClassUID=CTImageStorage, SOPInstanceUID="1.2.9.1"), folder / "ct.dcm")
    assert ingest(folder).exit_code == 3
    assert ingest(folder, tmp_path / "nowhere").exit_code == 1


def test_a_full_disk_ends_the_call_and_tells_what_was_taken(home, tmp_path, monkeypatch):
    mr_series(tmp_path / "in", positions=[0.0, 4.0])
    free = shutil.disk_usage(tmp_path).free // 10**6
    monkeypatch.setenv("MYOSCREEN_SPOOL_MIN_FREE_MB", str(10 * free))
    result = ingest(tmp_path / "in")
    assert result.exception.reason.code == "spool_full"
    assert counts(result) == {}


def test_a_row_that_cannot_be_written_is_no_image_that_was_taken(home, tmp_path, monkeypatch):
    mr_series(tmp_path / "in", positions=[0.0])

    def fail(*_args, **_kwargs):
        raise RuntimeError

    monkeypatch.setattr(intake, "record_instance", fail)
    assert ingest(tmp_path / "in").exception.reason.code == "not_recorded"
