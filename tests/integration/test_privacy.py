"""Everything about one patient is handed out, and taken away for good."""

import json
import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from service.cli import build_app
from service.core.status import SeriesState
from service.db import retention as holds
from service.db.patients import Patient
from service.db.session import make_sessions, reading, upgrade
from service.db.tables import Analysis, AuditEntry, Base, Event, Instance, Series, Study
from service.dicom.spool import Spool
from service.errors import InvalidRequest
from service.files import one_at_a_time
from service.pipeline import attempt, close, privacy, run
from service.pipeline.close import Closing
from service.pipeline.retention import LOCK
from tests.make import stand_in
from tests.make.peers import fake_peer
from tests.make.received import NOW, take_in
from tests.make.series import STUDY_UID, mr_series

QUIET = timedelta(seconds=60)
JANE, JOHN = Patient(id="PAT-0815"), Patient(id="PAT-4711")
#: Rows that stay whatever is erased; a family says what was measured, and of nobody.
STAY = {"audit", "population_families"}


class Site:
    """One installation with a study of each of two patients."""

    def __init__(self, sessions, home, folder):
        self.sessions, self.home, self.now = sessions, home, NOW
        self.spool, self.peer = Spool(home / "spool"), fake_peer()
        for number, patient in enumerate((JANE, JOHN)):
            changes = {"PatientID": patient.id, "StudyInstanceUID": f"{STUDY_UID}.{number}"}
            take_in(
                sessions,
                self.spool,
                mr_series(folder / patient.id, series=10 + number, changes=changes),
                now=self.now,
            )
        self.now += QUIET
        closing = Closing(quiet=QUIET, hard_cap=timedelta(minutes=30))
        for made in close.close_series(sessions, self.spool, now=self.now, closing=closing):
            bench = run.Bench(
                home=home,
                spool=self.spool,
                destinations=[self.peer.destination()],
                terms=run.Terms(max_attempts=2, retry_after=timedelta(seconds=5), beat_seconds=60),
                owner="worker",
                clock=lambda: self.now,
            )
            run.run(sessions, made, stand_in.performing(), bench)

    def erase(self, patient, **more):
        return privacy.erase(self.sessions, self.home, patient, actor="anna", now=self.now, **more)

    def files(self):
        kept = [path for folder in ("spool", "results") for path in (self.home / folder).rglob("*")]
        return sorted(str(path.relative_to(self.home)) for path in kept if path.is_file())

    def patients(self):
        with reading(self.sessions) as db:
            return sorted(db.scalars(select(Study.patient_id)))

    def counts(self):
        with reading(self.sessions) as db:
            tables = Base.metadata.sorted_tables
            return {table.name: db.scalar(select(func.count()).select_from(table)) for table in tables}


@pytest.fixture
def site(sessions, tmp_path, monkeypatch):
    monkeypatch.setattr(attempt, "analyse_inputs", stand_in.analyse)
    return Site(sessions, tmp_path / "home", tmp_path / "sent")


def test_an_erased_patient_leaves_nothing_but_a_hash_and_the_other_stays_whole(site):
    before, files = site.counts(), site.files()
    erased = site.erase(JANE)
    assert (erased.studies, dict(erased.left)) == (1, {})
    assert site.patients() == [JOHN.id]
    after = site.counts()
    # Both patients had as much; nothing of either table but half of it stays.
    halved = {name: count for name, count in before.items() if name not in STAY and count}
    assert {name: 2 * after[name] for name in halved} == halved
    assert 2 * len(site.files()) == len(files)
    with reading(site.sessions) as db:
        lines = db.scalars(select(AuditEntry).where(AuditEntry.action == "patient_erased")).all()
        everything = str([str(row.detail) for row in db.scalars(select(AuditEntry))])
    assert [line.actor for line in lines] == ["anna"]
    assert len(lines[0].detail["patient"]) == 64
    assert JANE.id not in everything
    with pytest.raises(InvalidRequest) as caught:
        site.erase(JANE)
    assert caught.value.reason.code == "unknown_patient"


@pytest.mark.parametrize("spelling", ["pat-0815", " PAT-0815 "])
def test_spelling_does_not_keep_anything_from_going(site, spelling):
    assert site.erase(Patient(id=spelling)).studies == 1


def test_another_issuer_is_another_patient(site):
    with site.sessions.begin() as db:
        for table in (Study, Series):
            for row in db.scalars(select(table).where(table.patient_id == JANE.id)):
                row.issuer_of_patient_id = "CLINIC-A"
    with pytest.raises(InvalidRequest):
        site.erase(Patient(id=JANE.id, issuer="CLINIC-B"))
    assert site.erase(Patient(id=JANE.id, issuer="clinic-a")).studies == 1


def test_what_is_held_under_way_or_of_others_too_is_left_and_told(site):
    with site.sessions.begin() as db:
        study = db.scalar(select(Study.id).where(Study.patient_id == JANE.id))
        holds.set_hold(db, study, reason="court", actor="anna", now=NOW)
    assert dict(site.erase(JANE).left) == {"legal_hold": 1}
    with site.sessions.begin() as db:
        holds.release_hold(db, study, actor="anna", now=NOW)
        series = db.scalars(select(Series).where(Series.study_id == study)).one()
        series.state = SeriesState.RECEIVING
    assert dict(site.erase(JANE).left) == {"under_way": 1}
    with site.sessions.begin() as db:
        series = db.scalars(select(Series).where(Series.study_id == study)).one()
        series.state, series.patient_id = SeriesState.CLOSED, "SOMEBODY"
    assert dict(site.erase(JANE).left) == {"names_others": 1}
    with one_at_a_time(site.home / LOCK):
        assert dict(site.erase(JANE, shared=True).left) == {"maintenance": 1}
    assert site.patients() == [JANE.id, JOHN.id]
    assert site.erase(JANE, shared=True).studies == 1
    assert site.patients() == [JOHN.id]


def test_a_study_whose_images_disagree_about_the_person_is_one_of_others_too(site, tmp_path):
    with site.sessions.begin() as db:
        db.scalars(select(Series).where(Series.patient_id == JANE.id)).one().mixed_identity = True
    assert dict(site.erase(JANE).left) == {"names_others": 1}


def test_nobody_is_handed_what_is_of_others_too(site, tmp_path):
    with site.sessions.begin() as db:
        db.scalars(select(Series).where(Series.patient_id == JOHN.id)).one().patient_id = JANE.id
    out = tmp_path / "out"
    done = privacy.export(site.sessions, site.home, JANE, out, actor="anna", now=NOW)
    assert (done.studies, done.left) == (1, 1)
    assert not any(JOHN.id in path.read_text() for path in out.rglob("rows.json"))
    whole = privacy.export(site.sessions, site.home, JANE, tmp_path / "all", shared=True, actor="a", now=NOW)
    assert (whole.studies, whole.left) == (2, 0)


def test_what_came_of_a_patient_under_the_images_of_another_goes_and_nothing_else(site, tmp_path):
    """Only the bytes that are set aside name Jane; the study is of John."""
    assert site.erase(JANE).studies == 1
    before = site.counts()
    changes = {"PatientID": JANE.id, "StudyInstanceUID": f"{STUDY_UID}.1"}
    take_in(
        site.sessions, site.spool, mr_series(tmp_path / "again", series=11, changes=changes), now=site.now
    )
    assert site.counts()["set_aside"] > 0
    with site.sessions.begin() as db:
        for series in db.scalars(select(Series)):
            series.state = SeriesState.CLOSED
    done = privacy.export(site.sessions, site.home, JANE, tmp_path / "out", actor="anna", now=NOW)
    assert (done.files, done.rows, done.left) == (site.counts()["set_aside"], done.files, 0)
    erased = site.erase(JANE)
    assert (erased.studies, erased.beside, dict(erased.left), site.patients()) == (0, 1, {}, [JOHN.id])
    assert {**site.counts(), "audit": 0, "counters": 0} == {**before, "audit": 0, "counters": 0}
    with reading(site.sessions) as db:
        kept = set(db.scalars(select(Instance.path)))
    assert {path for path in site.files() if path.startswith("spool")} == {f"spool/{path}" for path in kept}
    with pytest.raises(InvalidRequest):
        site.erase(JANE)


def test_nothing_is_forgotten_whose_file_is_still_there(site):
    with reading(site.sessions) as db:
        of_jane = select(Instance.path).join(Series).where(Series.patient_id == JANE.id).limit(1)
        path = site.home / "spool" / db.scalars(of_jane).one()
    path.unlink()
    path.mkdir()
    assert (site.erase(JANE).left, site.patients()) == ({"maintenance": 1}, [JANE.id, JOHN.id])
    path.rmdir()
    assert (site.erase(JANE).studies, site.patients()) == (1, [JOHN.id])


def test_a_version_that_waits_is_not_taken_any_more(site):
    with site.sessions.begin() as db:
        row = db.scalars(select(Analysis).join(Study).where(Study.patient_id == JANE.id)).one()
        row.state = "ready"
        stray = site.home / "results" / str(row.id) / "attempt-9"
    stray.mkdir(parents=True)
    (stray / "half.dcm").write_bytes(b"half")
    assert site.erase(JANE).studies == 1
    assert not stray.exists()


def test_everything_of_a_patient_is_handed_out(site, tmp_path):
    out = tmp_path / "out"
    done = privacy.export(site.sessions, site.home, JANE, out, actor="anna", now=NOW)
    told = json.loads((out / "study-1" / "rows.json").read_text())
    assert [row["patient_id"] for row in told["studies"]] == [JANE.id]
    assert told["analyses"][0]["finding"]["schema"] == "myoscreen.finding/1"
    assert done.rows == sum(len(rows) for rows in told.values())
    assert JOHN.id not in json.dumps(told)
    copied = [path for path in out.rglob("*") if path.is_file() and path.name != "rows.json"]
    assert len(copied) == done.files == len(site.files()) / 2
    assert out.stat().st_mode & 0o077 == 0
    with reading(site.sessions) as db:
        assert db.scalars(select(AuditEntry.action)).all().count("patient_exported") == 1
        assert db.scalar(select(func.count()).select_from(Event)) > 0
    with pytest.raises(InvalidRequest) as caught:
        privacy.export(site.sessions, site.home, JANE, out, actor="anna", now=NOW)
    assert caught.value.reason.code == "not_empty"


def test_the_commands(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    url = f"sqlite:///{home / 'myoscreen.db'}"
    upgrade(url)
    monkeypatch.setenv("MYOSCREEN_HOME", str(home))
    monkeypatch.setattr(attempt, "analyse_inputs", stand_in.analyse)
    sessions = make_sessions(url)
    site = Site(sessions, home, tmp_path / "sent")
    runner = CliRunner()
    out = str(tmp_path / "out")
    exported = runner.invoke(build_app(), ["privacy", "export", "-", "--out", out], input=f"{JANE.id}\n")
    assert (exported.exit_code, "exported, studies: 1," in exported.output) == (0, True)
    kept = runner.invoke(build_app(), ["privacy", "erase", JANE.id], input="n\n")
    assert (kept.exit_code, len(site.patients())) == (1, 2)
    erased = runner.invoke(build_app(), ["privacy", "erase", JANE.id, "--yes"])
    assert (erased.exit_code, erased.output) == (0, "studies erased: 1\n")
    with sessions.begin() as db:
        study = db.scalars(select(Study.id)).one()
        holds.set_hold(db, study, reason="court", actor="anna", now=NOW)
    # Not even in the free pages of the database.
    with closing(sqlite3.connect(home / "myoscreen.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    on_disk = (home / "myoscreen.db").read_bytes()
    assert JOHN.id.encode() in on_disk
    assert JANE.id.encode() not in on_disk
    left = runner.invoke(build_app(), ["privacy", "erase", JOHN.id, "--yes"])
    assert (left.exit_code, "studies left, on legal hold: 1" in left.output) == (1, True)
    nobody = runner.invoke(build_app(), ["privacy", "erase", "-", "--yes"], input="\n")
    assert nobody.exit_code != 0
    sessions.kw["bind"].dispose()
