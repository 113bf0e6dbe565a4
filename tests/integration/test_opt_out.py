"""Nothing is measured, sent, fitted or told of a patient on the opt-out list."""

import gzip
import json
import logging
from datetime import timedelta

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from service.cli import build_app
from service.db import cohort, deliveries, optouts, orders
from service.db.session import make_sessions, reading
from service.db.tables import Analysis, AuditEntry, Delivery, OptOut, Output
from service.dicom.spool import Spool
from service.errors import ConfigurationError, InvalidRequest
from service.pipeline import attempt, close, deliver, run
from service.pipeline.backup import Extras, Place, backup, restore
from service.pipeline.close import Closing
from tests.make import stand_in
from tests.make.databases import both_databases, bring_up, database_url  # noqa: F401
from tests.make.peers import fake_peer
from tests.make.received import NOW, take_in
from tests.make.series import STUDY_UID, mr_series

PATIENT = "PAT-0815"
JANE, OTHER = (PATIENT, ""), ("PAT-4711", "")
QUIET = timedelta(seconds=60)


class World:
    """One worker's world with a patient in it."""

    def __init__(self, sessions, home, folder):
        self.sessions, self.home, self.folder = sessions, home, folder
        self.spool, self.peer, self.now = Spool(home / "spool"), fake_peer(), NOW

    def opt_out(self, identity=JANE, **values):
        with self.sessions.begin() as db:
            return optouts.add(db, self.home, identity, reason="said so", actor="anna", now=NOW, **values)

    def opt_in(self, identity=JANE):
        with self.sessions.begin() as db:
            return optouts.remove(db, self.home, identity, actor="anna", now=NOW)

    def receive(self, patient=PATIENT, study=1, **values):
        changes = {"PatientID": patient, "StudyInstanceUID": f"{STUDY_UID}.{study}", **values}
        paths = mr_series(self.folder / str(study), series=study, changes=changes)
        take_in(self.sessions, self.spool, paths, now=self.now)
        self.now += QUIET
        closing = Closing(quiet=QUIET, hard_cap=timedelta(minutes=30))
        (made,) = close.close_series(self.sessions, self.spool, now=self.now, closing=closing)
        return made

    def run(self, analysis_id, perform=None):
        bench = run.Bench(
            home=self.home,
            spool=self.spool,
            destinations=[self.peer.destination()],
            terms=run.Terms(max_attempts=1, retry_after=timedelta(seconds=5), beat_seconds=60),
            owner="worker",
            clock=lambda: self.now,
        )
        return run.run(self.sessions, analysis_id, perform or stand_in.performing(), bench)

    def row(self, analysis_id):
        with reading(self.sessions) as db:
            return db.get(Analysis, analysis_id)

    def all_of(self, table):
        with reading(self.sessions) as db:
            return db.scalars(select(table).order_by(table.id)).all()

    def lists(self, *identities):
        with reading(self.sessions) as db:
            return optouts.lists_any(db, self.home, identities)


@pytest.fixture
def world(sessions, tmp_path, monkeypatch):
    monkeypatch.setattr(attempt, "analyse_inputs", stand_in.analyse)
    return World(sessions, tmp_path / "home", tmp_path / "in")


# The list


@both_databases
def test_who_is_on_the_list_is_found_by_id_whatever_its_spelling(world):
    assert not world.lists(JANE)
    assert world.opt_out()
    assert not world.opt_out((" pat-0815 ", " "))
    assert world.lists(JANE)
    assert world.lists(OTHER, ("Pat-0815", "CLINIC"))
    assert not world.lists(OTHER)
    assert not world.lists(("", ""))
    assert world.opt_in(("PAT-0815 ", ""))
    assert not world.opt_in()
    assert not world.lists(JANE)


def test_a_line_may_hold_for_the_ids_of_one_issuer(world):
    world.opt_out((PATIENT, "CLINIC A"))
    assert world.lists((PATIENT, "clinic a"))
    assert world.lists(JANE)
    assert not world.lists((PATIENT, "CLINIC B"))
    assert world.lists((PATIENT, "CLINIC B"), (PATIENT, "CLINIC A"))
    assert not world.opt_in()
    assert world.opt_in((PATIENT, "CLINIC A"))


def test_the_database_does_not_say_who(world):
    world.opt_out((PATIENT, "CLINIC"))
    (row,) = world.all_of(OptOut)
    key = world.home / optouts.KEY_NAME
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_bytes()) == 32
    assert PATIENT.lower() not in str(vars(row)).lower()
    (entry,) = world.all_of(AuditEntry)
    assert (entry.actor, entry.action, entry.object_id) == ("anna", "opt_out_added", str(row.id))
    assert PATIENT not in str(vars(entry))


def test_without_the_key_nobody_is_measured(world):
    made = world.receive("PAT-4711")
    world.opt_out()
    key = world.home / optouts.KEY_NAME
    for spoil in (lambda: key.write_bytes(b"x" * 32), key.unlink):
        spoil()
        with pytest.raises(ConfigurationError) as error:
            world.lists(OTHER)
        assert error.value.reason.code == "opt_out_key_lost"
    assert world.run(made) is None
    assert (world.row(made).state, world.row(made).reason_code) == ("failed", "opt_out_key_lost")


def test_a_line_needs_a_patient_and_a_short_reason(world):
    with pytest.raises(InvalidRequest, match="patient ID"):
        world.opt_out((" ", ""))
    with world.sessions.begin() as db, pytest.raises(InvalidRequest, match="256"):
        optouts.add(db, world.home, JANE, reason="x" * 257, actor="a", now=NOW)


# What it stops


@both_databases
def test_the_images_of_an_opted_out_patient_are_not_opened(world, monkeypatch):
    monkeypatch.setattr(attempt, "scan", must_not_be_called)
    monkeypatch.setattr(attempt, "analyse_inputs", must_not_be_called)
    world.opt_out()
    made = world.receive()
    published = world.run(made)
    row = world.row(made)
    assert (published.state, row.state, row.reason_code) == ("not_eligible", "not_eligible", "opted_out")
    assert (row.finding["series"], row.finding["person"], row.finding["measures"]) == (None, None, None)
    assert world.all_of(Output) == world.all_of(Delivery) == []


def must_not_be_called(*_args, **_kwargs):
    raise AssertionError("the images were looked at")


def test_another_patient_is_measured(world):
    world.opt_out()
    assert world.run(world.receive("PAT-4711")).state == "measured"


def test_a_series_of_another_identity_in_the_study_counts_too(world):
    world.opt_out(OTHER)
    made = world.receive()
    with world.sessions.begin() as db:
        db.get(Analysis, made).inputs[0].series.patient_id = "PAT-4711"
    assert world.run(made).state == "not_eligible"


def test_images_that_came_again_as_those_of_an_opted_out_patient_are_not_measured(world):
    """Until somebody says whose they are, they may be of the one or of the other."""
    world.opt_out(OTHER)
    made = world.receive()
    changes = {"PatientID": "PAT-4711", "StudyInstanceUID": f"{STUDY_UID}.1"}
    again = mr_series(world.folder / "again", series=1, changes=changes)
    assert set(take_in(world.sessions, world.spool, again, now=world.now)) == {"conflict"}
    assert world.run(made).state == "not_eligible"
    with reading(world.sessions) as db:
        assert optouts.listed_studies(db, world.home) == {world.row(made).study_id}


def test_an_opt_out_during_the_analysis_keeps_its_result_back(world):
    made = world.receive()
    usual = stand_in.performing()

    def perform(job, wanted):
        outcome = usual(job, wanted)
        world.opt_out()
        return outcome

    assert world.run(made, perform) is None
    row = world.row(made)
    assert (row.state, row.attempt, row.finding) == ("ready", 0, None)
    assert not list((world.home / "results").rglob("capture.dcm"))
    assert world.run(made).state == "not_eligible"


def test_a_rerun_is_declined_until_the_patient_opts_in_again(world):
    world.opt_out()
    made = world.receive()
    world.run(made)
    with world.sessions.begin() as db:
        again = orders.order_rerun(db, made, now=world.now)
    world.run(again)
    assert world.row(again).reason_code == "opted_out"
    world.opt_in()
    with world.sessions.begin() as db:
        again = orders.order_rerun(db, again, now=world.now)
    assert world.run(again).state == "measured"


def test_what_was_measured_before_stays_and_is_not_sent(world):
    made = world.receive()
    world.run(made)
    world.opt_out()
    terms = deliver.Terms(
        attempts=3, backoff=timedelta(seconds=1), backoff_max=timedelta(seconds=9), beat_seconds=60
    )
    destination = world.peer.destination()
    report = deliver.run(
        world.sessions, made, destination, home=world.home, terms=terms, clock=lambda: world.now
    )
    assert report is None
    (row,) = world.all_of(Delivery)
    assert (row.state, row.error_code) == ("dead", "opted_out")
    assert world.row(made).state == "measured"


def test_what_tells_of_a_withdrawal_still_goes(world):
    made = world.receive()
    world.run(made)
    with world.sessions.begin() as db:
        for output in db.scalars(select(Output)):
            output.withdrawal = True
        assert deliveries.give_up_opted_out(db, made, peer=world.peer.destination().name) == 0


def test_opted_out_patients_are_no_reference_people(world):
    first, second = world.receive(), world.receive("PAT-4711", study=2)
    world.run(first)
    world.run(second)
    with reading(world.sessions) as db:
        assert optouts.listed_studies(db, world.home) == frozenset()
    world.opt_out()
    world.opt_out(("PAT-4711", "CLINIC"))
    world.opt_out(("PAT-9999", ""))
    with reading(world.sessions) as db:
        without = optouts.listed_studies(db, world.home)
        assert without == {world.row(first).study_id, world.row(second).study_id}
        assert list(cohort.reference_people(db, "imat_fraction", definition=None, without=without)) == []
        one = cohort.reference_people(
            db, "imat_fraction", definition=None, without={world.row(first).study_id}
        )
        assert len(list(one)) == 1


def test_a_backup_carries_the_list_and_its_key(world, tmp_path):
    world.opt_out()
    url = world.sessions.kw["bind"].url.render_as_string(hide_password=False)
    copy, new_home = tmp_path / "copy", tmp_path / "new"
    backup(Place(database_url=url, home=world.home), copy, Extras(), version="1", now=NOW)
    assert PATIENT not in gzip.decompress((copy / "database" / "opt_outs.jsonl.gz").read_bytes()).decode()
    place = Place(database_url=f"sqlite:///{new_home / 'myoscreen.db'}", home=new_home)
    restore(copy, place)
    with reading(make_sessions(place.database_url)) as db:
        assert optouts.lists_any(db, new_home, [JANE])


# The command line


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Run a command on an installation of its own."""
    home = tmp_path / "installation"
    monkeypatch.setenv("MYOSCREEN_HOME", str(home))
    bring_up(f"sqlite:///{home / 'myoscreen.db'}")

    def run_it(*args, given=""):
        return CliRunner().invoke(build_app("optout"), ["optout", *args], input=given)

    return run_it


def test_ids_come_by_standard_input_and_by_file(command, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    added = command("add", "--reason", "asked", given=f"{PATIENT}\n\nPAT-4711\tCLINIC\n")
    assert added.stdout == "2 added, 0 were on the list already\n"
    (tmp_path / "ids.txt").write_text(f"{PATIENT}\nPAT-1\n", "utf-8")
    assert command("import", str(tmp_path / "ids.txt")).stdout == "1 added, 1 were on the list already\n"
    listed = command("list").stdout
    assert [line.split("\t")[2:] for line in listed.splitlines()] == [
        ["of any issuer", "command line", ""],
        ["of one issuer", "command line", "asked"],
        ["of any issuer", "command line", "asked"],
    ]
    removed = command("remove", given=f"{PATIENT}\nPAT-0\n")
    assert (removed.exit_code, removed.stdout) == (1, "1 removed, 1 were not on the list\n")
    assert command("remove", given="PAT-1\n").exit_code == 0
    assert "PAT-" not in caplog.text + listed


@pytest.mark.parametrize("raw", ["M\xfcller-1\n".encode("latin-1"), "PAT-1\n".encode("utf-16")])
def test_what_is_not_utf_8_is_refused_for_the_list_would_name_somebody_else(command, tmp_path, raw):
    (tmp_path / "ids.txt").write_bytes(raw)
    for answer in (command("import", str(tmp_path / "ids.txt")), command("add", given=raw)):
        assert isinstance(answer.exception, InvalidRequest)
        assert answer.exception.reason.code == "not_utf8"
    assert command("list").stdout == ""


def test_nobody_given_is_a_mistake(command):
    answer = command("add", given="\n")
    assert isinstance(answer.exception, InvalidRequest)
    assert json.dumps(answer.stdout) == '""'
