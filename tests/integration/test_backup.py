"""A backup of a running service can be put back anywhere, and an older database brought forward and back."""

import json
import re
import shutil
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, inspect, select, text

from service.core.status import AnalysisState
from service.db import dump, people
from service.db import retention as rows
from service.db.session import (
    downgrade,
    make_engine,
    make_sessions,
    reading,
    require_current,
    revision,
    upgrade,
)
from service.db.tables import Analysis, ApiKey, AuditEntry, Base, Instance, LegalHold, Output
from service.dicom.spool import Spool
from service.errors import BackupError, ConfigurationError
from service.files import one_at_a_time, sha256_of
from service.pipeline import backup as copies
from service.pipeline import retention
from service.pipeline.backup import Extras, Place
from service.pipeline.retention import LOCK, Terms
from tests.make import ledger
from tests.make.received import take_in
from tests.make.rows import fill_empty_tables
from tests.make.series import mr_series

NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A week in a hospital on SQLite, with images and results; HOME."""
    home = tmp_path_factory.mktemp("home")
    url = f"sqlite:///{home / 'myoscreen.db'}"
    upgrade(url)
    sessions = make_sessions(url)
    ledger.fill(sessions, home)
    with sessions.begin() as db:
        db.execute(text("UPDATE instances SET path = ''"))
        db.execute(text("UPDATE series SET pixels_purged_at = last_at"))
        rows.set_hold(db, 1, reason="Größe", actor="anna", now=NOW)
        people.add_user(db, name="anna", role="admin", now=NOW, actor="test")
    take_in(sessions, Spool(home / "spool"), mr_series(home.parent / f"{home.name}-sent"))
    with sessions.begin() as db:
        fill_empty_tables(db.connection())
    sessions.kw["bind"].dispose()
    return home


@pytest.fixture
def place(filled, tmp_path):
    """A copy of the filled installation."""
    home = tmp_path / "home"
    shutil.copytree(filled, home)
    return Place(database_url=f"sqlite:///{home / 'myoscreen.db'}", home=home)


@pytest.fixture
def empty(tmp_path):
    home = tmp_path / "other"
    return Place(database_url=f"sqlite:///{home / 'myoscreen.db'}", home=home)


def back_up(place, out, **options):
    return copies.backup(place, out, options.pop("extras", Extras()), version="1", now=NOW, **options)


def everything(url):
    """All rows of all tables that a backup has."""
    engine = make_engine(url)
    tables = [table for table in Base.metadata.sorted_tables if table.name not in dump.LEFT_OUT]
    with engine.connect() as connection:
        rows = {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in tables
        }
    engine.dispose()
    return rows


def files_of(home, folder):
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in (home / folder).rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_rows_images_and_results_come_back_as_they_were_on_either_database(
    place, empty, tmp_path, kind, request
):
    copied = back_up(place, tmp_path / "copy")
    assert copied.damaged == ()
    assert copies.verify(tmp_path / "copy") == []
    if kind == "postgresql":
        url = request.getfixturevalue("postgres").empty_database()
        empty = Place(database_url=url, home=empty.home)
    restored = copies.restore(tmp_path / "copy", empty)
    assert (restored.rows, restored.files) == (copied.rows, copied.files)
    before = everything(place.database_url)
    assert before == everything(empty.database_url)
    assert [name for name, lines in before.items() if not lines] == []
    assert files_of(place.home, "spool") == files_of(empty.home, "spool") != {}
    assert files_of(place.home, "results") == files_of(empty.home, "results") != {}
    assert {path.stat().st_mode & 0o777 for path in empty.home.rglob("*.dcm")} == {0o600}
    require_current(empty.database_url)
    again = Place(database_url=f"sqlite:///{tmp_path / 'again.db'}", home=tmp_path / "again")
    back_up(empty, tmp_path / "copy of it")
    copies.restore(tmp_path / "copy of it", again)
    assert everything(again.database_url) == before
    # New rows are numbered after the old ones.
    sessions = make_sessions(empty.database_url)
    with sessions.begin() as db:
        entry = AuditEntry(at=NOW, actor="a", action="b", outcome="ok")
        db.add(entry)
        db.flush()
        assert entry.id == len(before["audit"]) + 1
    sessions.kw["bind"].dispose()


def test_a_copy_taken_while_rows_are_written_is_one_moment(place, empty, tmp_path):
    """Each writer adds a key and an audit line together: a copy has both or neither."""
    sessions = make_sessions(place.database_url)
    ended = threading.Event()

    def write():
        number = 0
        while not ended.is_set():
            number += 1
            with sessions.begin() as db:
                db.add(ApiKey(name=f"k{number}", key_sha256=f"{number}", role="viewer", created_at=NOW))
                db.flush()
                db.add(AuditEntry(at=NOW, actor=f"k{number}", action="pair", outcome="ok"))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        back_up(place, tmp_path / "copy")
    finally:
        ended.set()
        thread.join()
        sessions.kw["bind"].dispose()
    copies.restore(tmp_path / "copy", empty)
    restored = make_sessions(empty.database_url)
    with reading(restored) as db:
        keys = set(db.scalars(select(ApiKey.name).where(ApiKey.name.like("k%"))))
        lines = set(db.scalars(select(AuditEntry.actor).where(AuditEntry.action == "pair")))
    restored.kw["bind"].dispose()
    assert keys == lines


def test_nothing_is_purged_while_a_backup_is_under_way(place, tmp_path, monkeypatch):
    sessions = make_sessions(place.database_url)
    seen = []
    terms = Terms(pixels=timedelta(0), results=timedelta(0), rows=timedelta(0))
    original = copies._copy_images

    def meanwhile(*arguments, **options):
        seen.append(retention.purge(sessions, place.home, terms, now=NOW + timedelta(days=9999)))
        return original(*arguments, **options)

    monkeypatch.setattr(copies, "_copy_images", meanwhile)
    assert back_up(place, tmp_path / "copy").damaged == ()
    assert seen == [None]
    sessions.kw["bind"].dispose()


def test_no_head_of_the_audit_record_in_a_copy_is_newer_than_its_rows(place, tmp_path, monkeypatch):
    heads = tmp_path / "heads.jsonl"
    heads.write_text("first\n", "utf-8")
    dumped = dump.dump

    def while_rows_are_read(*arguments):
        heads.write_text("first\nsecond\n", "utf-8")
        return dumped(*arguments)

    monkeypatch.setattr(dump, "dump", while_rows_are_read)
    extras = Extras(settings={"audit_heads": heads})
    back_up(place, tmp_path / "copy", extras=extras)
    assert (tmp_path / "copy" / "settings" / "audit_heads").read_text("utf-8") == "first\n"


def test_a_backup_waits_for_nobody_and_says_so(place, tmp_path):
    with one_at_a_time(place.home / LOCK), pytest.raises(BackupError) as told:
        back_up(place, tmp_path / "copy")
    assert told.value.reason.code == "busy"


def test_what_is_missing_or_changed_on_disk_is_named_and_the_rest_is_kept(place, empty, tmp_path):
    images = sorted((place.home / "spool").rglob("*.dcm"))
    images[0].unlink()
    images[1].write_bytes(b"bit rot")
    copied = back_up(place, tmp_path / "copy")
    assert set(copied.damaged) == {str(path.relative_to(place.home)) for path in images[:2]}
    assert copies.restore(tmp_path / "copy", empty).damaged == copied.damaged
    assert len(list((empty.home / "spool").rglob("*.dcm"))) == len(images) - 1


def test_an_object_of_a_result_that_is_missing_or_changed_is_named(place, tmp_path):
    objects = sorted((place.home / "results").rglob("*.dcm"))
    objects[0].unlink()
    objects[1].write_bytes(b"bit rot")
    copied = back_up(place, tmp_path / "copy")
    assert {str(path.relative_to(place.home)) for path in objects[:2]} <= set(copied.damaged)


def test_an_image_that_is_gone_is_named_although_an_earlier_backup_has_it(place, tmp_path):
    back_up(place, tmp_path / "monday")
    image = next((place.home / "spool").rglob("*.dcm"))
    image.unlink()
    copied = back_up(place, tmp_path / "tuesday", base=tmp_path / "monday")
    assert str(image.relative_to(place.home)) in copied.damaged


def test_images_that_an_earlier_backup_has_are_linked(place, empty, tmp_path):
    back_up(place, tmp_path / "monday")
    copied = back_up(place, tmp_path / "tuesday", base=tmp_path / "monday")
    (image, *_) = sorted((tmp_path / "tuesday" / "files" / "spool").rglob("*.dcm"))
    assert image.stat().st_nlink == 2
    shutil.rmtree(tmp_path / "monday")
    assert copies.restore(tmp_path / "tuesday", empty).files == copied.files


@pytest.mark.parametrize("harm", ["change", "remove", "no list", "bad list", "other form"])
def test_a_damaged_backup_is_refused_before_anything_is_written(place, empty, tmp_path, harm):
    copy = tmp_path / "copy"
    back_up(place, copy)
    image = next((copy / "files").rglob("*.dcm"))
    listed = copy / "manifest.json"
    if harm == "change":
        image.write_bytes(image.read_bytes()[:-1] + b"\xff")
    elif harm == "remove":
        image.unlink()
    elif harm == "no list":
        listed.unlink()
    elif harm == "bad list":
        listed.write_bytes(b"{")
    else:
        listed.write_text(json.dumps({**json.loads(listed.read_text()), "format": "x/9"}))
    with pytest.raises(BackupError) as told:
        copies.restore(copy, empty)
    assert told.value.reason.code in {"backup_damaged", "no_backup"}
    assert not empty.home.exists()


def test_rows_that_do_not_fit_leave_an_empty_installation_that_can_be_tried_again(place, empty, tmp_path):
    copy = tmp_path / "copy"
    back_up(place, copy)
    file = copy / "database" / "instances.jsonl.gz"
    good, content = file.read_bytes(), json.loads((copy / "manifest.json").read_text())
    file.write_bytes(good[: len(good) // 2])
    content["files"]["database/instances.jsonl.gz"]["sha256"] = sha256_of(file)
    (copy / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(BackupError) as told:
        copies.restore(copy, empty)
    assert told.value.reason.code == "backup_damaged"
    file.write_bytes(good)
    content["files"]["database/instances.jsonl.gz"]["sha256"] = sha256_of(file)
    (copy / "manifest.json").write_text(json.dumps(content))
    copies.restore(copy, empty)
    assert everything(place.database_url) == everything(empty.database_url)


def test_an_installation_that_has_something_is_not_overwritten(place, tmp_path):
    back_up(place, tmp_path / "copy")
    with pytest.raises(BackupError) as told:
        copies.restore(tmp_path / "copy", place)
    assert told.value.reason.code == "not_empty"
    with pytest.raises(BackupError) as told:
        back_up(place, tmp_path / "copy")
    assert told.value.reason.code == "not_empty"


#: Every table of the settings that names files.
TABLES = """
institution_name = "Drill"
keep_pixels_days = 9999

[[notify]]
name = "hook"
webhook_url = "https://it.example/hook"
webhook_secret_file = "{0}/webhook"
ca_file = "{0}/webhook_ca"

[oidc]
issuer = "https://login.example"
url = "https://myoscreen.example"
client_id = "myoscreen"
client_secret_file = "{0}/client"
roles = {{ viewer = "readers" }}

[audit.syslog]
host = "logs.example"
ca = "{0}/logs_ca"
cert = "{0}/logs_cert"
key = "{0}/logs_key"

[tracing]
endpoint = "https://traces.example/v1/traces"
authorization_file = "{0}/traces"

[[peer]]
name = "web"
ae_title = "WEB"
host = "10.0.0.1"
outputs = ["SR"]
stow_url = "https://pacs.example/dicom-web"
authorization_file = "{0}/stow"
"""


def test_the_restore_drill_by_the_command_line(place, tmp_path):
    """What the how-to says, step by step, with settings and secrets, into another home."""
    secret, named = tmp_path / "database_url", tmp_path / "named"
    secret.write_text(place.database_url)
    (place.home / "myoscreen.toml").write_text(TABLES.format(named))
    named.mkdir()
    names = re.findall(r'= "\{0\}/(\w+)"', TABLES)
    for name in names:
        (named / name).write_text(f"the {name}")
    environment = {"MYOSCREEN_HOME": str(place.home), "MYOSCREEN_DATABASE_URL_FILE": str(secret)}

    def command(*arguments, **environment):
        return subprocess.run(
            [sys.executable, "-m", "service.cli", *arguments],
            env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    made = command("backup", str(tmp_path / "copy"), **environment)
    assert made.returncode == 0, made.stderr
    other = tmp_path / "other"
    done = command("restore", str(tmp_path / "copy"), MYOSCREEN_HOME=str(other))
    assert done.returncode == 0, done.stderr
    settings = other / "restored" / "settings"
    assert 'institution_name = "Drill"' in (settings / "myoscreen.toml").read_text()
    copied = {path.name: path.read_text() for path in settings.rglob("*") if path.is_file()}
    assert {name: copied.get(name) for name in names} == {name: f"the {name}" for name in names}
    assert (settings / "database_url_file" / "database_url").read_text() == place.database_url
    assert (other / "restored" / "models" / "paraspinal" / "card.toml").is_file()
    assert command("db", "check", MYOSCREEN_HOME=str(other)).returncode == 0
    ours, theirs = everything(place.database_url), everything(f"sqlite:///{other / 'myoscreen.db'}")
    # A copy of everything is an export, which the record tells, and so does the copy.
    assert "backup_restored" in theirs["audit"].pop()
    assert "backup_ordered" in ours["audit"][-1]
    assert ours == theirs
    again = command("restore", str(tmp_path / "copy"), MYOSCREEN_HOME=str(other))
    assert (again.returncode, "not_empty" in again.stderr) == (1, True)
    assert "everything is kept" in command("purge", MYOSCREEN_HOME=str(other)).stdout
    settled = command("purge", "--dry-run", **environment)
    assert settled.stdout == "pixels: 0 studies due\n"


@pytest.fixture(params=["sqlite", "postgresql"])
def earlier(request, tmp_path):
    """The database of the release before: at its revision, with a week's rows."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'myoscreen.db'}"
    else:
        url = request.getfixturevalue("postgres").new_database()
    upgrade(url)
    sessions = make_sessions(url)
    ledger.fill(sessions, tmp_path / "home")
    with sessions.begin() as db:
        filled = fill_empty_tables(db.connection())
        db.execute(delete(LegalHold))
    sessions.kw["bind"].dispose()
    assert "edits" in filled
    downgrade(url, "0001")
    return url


def rows_at(url):
    """All rows as the database has them, whatever its revision."""
    engine = make_engine(url)
    with engine.connect() as connection:
        names = sorted(set(inspect(connection).get_table_names()) - {"alembic_version"})
        rows = {
            name: [dict(row) for row in connection.execute(text(f"SELECT * FROM {name}")).mappings()]
            for name in names
        }
    engine.dispose()
    return rows


def test_the_database_of_the_release_before_is_brought_forward_and_back_without_loss(earlier):
    before = rows_at(earlier)
    assert "peer_circuits" not in before
    assert "confirm_at" not in before["deliveries"][0]
    upgrade(earlier)
    require_current(earlier)
    after = rows_at(earlier)
    for table, lines in before.items():
        key = next(iter(lines[0])) if lines else None
        kept = {row[key]: row for row in after[table]}
        assert len(kept) == len(lines)
        assert all(kept[row[key]].items() >= row.items() for row in lines)
    assert {row["confirm_attempts"] for row in after["deliveries"]} == {0}
    owners = {row["id"]: row["analysis_id"] for row in before["outputs"]}
    assert all(row["analysis_id"] == owners[row["output_id"]] for row in after["deliveries"])
    downgrade(earlier, "0001")
    back = rows_at(earlier)
    assert {name: sorted(map(str, lines)) for name, lines in back.items()} == {
        name: sorted(map(str, lines)) for name, lines in before.items()
    }
    upgrade(earlier)
    sessions = make_sessions(earlier)
    with sessions.begin() as db:
        rows.set_hold(db, 1, reason="court", actor="anna", now=NOW)
    sessions.kw["bind"].dispose()
    with pytest.raises(ConfigurationError) as told:
        downgrade(earlier, "0001")
    assert told.value.reason.code == "cannot_go_back"
    assert revision(earlier) == "0003"
    sessions = make_sessions(earlier)
    with sessions.begin() as db:
        rows.release_hold(db, 1, actor="anna", now=NOW)
    sessions.kw["bind"].dispose()
    downgrade(earlier, "0001")
    with pytest.raises(ConfigurationError) as told:
        downgrade(earlier, "9999")
    assert told.value.reason.code == "no_such_revision"
    assert revision(earlier) == "0001"


def test_a_backup_of_the_release_before_is_put_back_and_brought_forward(tmp_path, empty):
    home = tmp_path / "home"
    place = Place(database_url=f"sqlite:///{home / 'myoscreen.db'}", home=home)
    home.mkdir()
    upgrade(place.database_url)
    sessions = make_sessions(place.database_url)
    ledger.fill(sessions, home)
    with sessions.begin() as db:
        db.execute(text("UPDATE instances SET path = ''"))
    sessions.kw["bind"].dispose()
    copies.backup(place, tmp_path / "copy", Extras(), version="1", now=NOW)
    _make_it_one_of_the_release_before(tmp_path / "copy", place, tmp_path)
    copies.restore(tmp_path / "copy", empty)
    require_current(empty.database_url)
    restored = make_sessions(empty.database_url)
    with reading(restored) as db:
        assert db.scalar(select(Analysis.state).where(Analysis.state == AnalysisState.MEASURED).limit(1))
        assert db.scalars(select(Output.id).limit(1)).all()
        assert set(db.scalars(select(Instance.path))) == {""}
    restored.kw["bind"].dispose()


def _make_it_one_of_the_release_before(copy, place, scratch):
    """Take the rows again from the database at the earlier revision, and list them so."""
    downgrade(place.database_url, "0001")
    folder = scratch / "rows"
    folder.mkdir()
    dump.dump(place.database_url, folder, lambda _session: None)
    content = json.loads((copy / "manifest.json").read_text())
    shutil.rmtree(copy / "database")
    folder.rename(copy / "database")
    listed = {name: facts for name, facts in content["files"].items() if not name.startswith("database/")}
    for path in (copy / "database").iterdir():
        listed[f"database/{path.name}"] = {"sha256": sha256_of(path), "size": path.stat().st_size}
    (copy / "manifest.json").write_text(json.dumps({**content, "revision": "0001", "files": listed}))
