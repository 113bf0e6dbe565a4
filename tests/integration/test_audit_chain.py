"""The audit record of a real database is sealed, its heads are signed, and what is done to it is found."""

import csv
import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, select, update
from typer.testing import CliRunner

from service.cli import build_app
from service.db import audit as rows
from service.db import people
from service.db.session import make_sessions, reading, upgrade
from service.db.tables import AuditEntry
from service.errors import ConfigurationError
from service.pipeline import audit
from service.pipeline.audit import HEAD_EVERY, Keeping

NOW = datetime(2026, 11, 22, 10, 0, 0, 250, tzinfo=UTC)


def write(sessions, count, *, at=NOW):
    """So many lines of the record."""
    with sessions.begin() as session:
        for number in range(count):
            people.record(
                session,
                at=at + timedelta(seconds=number),
                actor="müller",
                action="analysis_viewed",
                object_type="analysis",
                object_id=number,
                detail={"rows": number, "share": 0.1, "codes": ["a", None]} if number % 2 else None,
            )


#: By then every head is long written.
LATER = NOW + timedelta(hours=1)


def look(sessions, keeping, **changes):
    return audit.look(sessions, keeping, **{"now": LATER, **changes})


def kinds(sessions, keeping, **changes):
    return [fault.kind for fault in look(sessions, keeping, **changes).faults]


@pytest.fixture
def keeping(tmp_path):
    return Keeping(folder=tmp_path / "audit")


@pytest.fixture
def sealed(sessions, keeping):
    """Twelve lines, ten of them behind a signed head."""
    write(sessions, 10)
    audit.seal(sessions, keeping, now=NOW)
    write(sessions, 2, at=NOW + timedelta(minutes=1))
    audit.seal(sessions, keeping, now=NOW + timedelta(minutes=1))
    return sessions


def test_lines_are_sealed_once_in_order_and_a_head_is_signed_now_and_then(sessions, keeping):
    write(sessions, 3)
    assert audit.seal(sessions, keeping, now=NOW) == 3
    assert audit.seal(sessions, keeping, now=NOW + 2 * HEAD_EVERY) == 0  # nothing new: no head
    write(sessions, 2)
    audit.seal(sessions, keeping, now=NOW + timedelta(seconds=10))
    assert [head.count for head in audit.read_heads(keeping.heads_path)] == [3]
    audit.seal(sessions, keeping, now=NOW + HEAD_EVERY)
    assert [head.count for head in audit.read_heads(keeping.heads_path)] == [3, 5]
    verdict = look(sessions, keeping)
    assert (verdict.lines, verdict.anchored, verdict.faults) == (5, 5, ())
    assert (keeping.key_path.stat().st_mode & 0o077, keeping.heads_path.stat().st_mode & 0o077) == (0, 0)


def test_more_lines_than_one_transaction_takes(sessions, keeping, monkeypatch):
    monkeypatch.setattr(rows, "BATCH", 4)
    write(sessions, 11)
    assert audit.seal(sessions, keeping, now=NOW) == 11
    assert kinds(sessions, keeping) == []
    assert len(list(rows.lines(sessions, since=None, until=None))) == 11


def test_two_that_seal_at_once_make_one_chain(sessions, keeping):
    write(sessions, 60)
    threads = [threading.Thread(target=rows.seal, args=(sessions,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows.seal(sessions)
    verdict = look(sessions, keeping, now=NOW)
    assert (verdict.lines, verdict.faults) == (60, ())


def line_at(number):
    return AuditEntry.chain_number == number


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (update(AuditEntry).where(line_at(4)).values(actor="mullers"), ["changed"]),
        (update(AuditEntry).where(line_at(4)).values(detail={"rows": 4}), ["changed"]),
        (update(AuditEntry).where(line_at(4)).values(at=NOW), ["changed"]),
        (delete(AuditEntry).where(line_at(4)), ["missing"]),
        (delete(AuditEntry).where(AuditEntry.chain_number >= 10), ["cut"]),
    ],
    ids=["one letter", "a detail", "a time", "a line", "the tail behind a head"],
)
def test_what_is_done_in_the_database_is_found(sealed, keeping, statement, found):
    with sealed.begin() as session:
        session.execute(statement)
    assert kinds(sealed, keeping) == found


def test_two_lines_that_change_places_are_found(sealed, keeping):
    with sealed.begin() as session:
        session.execute(update(AuditEntry).where(line_at(3)).values(chain_number=99))
        session.execute(update(AuditEntry).where(line_at(4)).values(chain_number=3))
        session.execute(update(AuditEntry).where(line_at(99)).values(chain_number=4))
    # Neither is what was sealed in its place, and the fifth was sealed behind the fourth as it was.
    assert kinds(sealed, keeping) == ["changed", "changed", "changed"]


def test_a_record_that_was_sealed_anew_no_longer_fits_its_head(sealed, keeping):
    with sealed.begin() as session:
        session.execute(update(AuditEntry).where(line_at(4)).values(actor="somebody"))
        session.execute(update(AuditEntry).values(chain_number=None, chain_hash=None))
    rows.seal(sealed)
    assert kinds(sealed, keeping) == ["other_head"]


def test_what_is_cut_behind_the_last_head_is_the_stated_window(sealed, keeping):
    with sealed.begin() as session:
        session.execute(delete(AuditEntry).where(AuditEntry.chain_number > 10))
    assert kinds(sealed, keeping) == []


def test_heads_that_were_copied_away_tell_of_a_head_file_that_was_cut_too(sealed, keeping, tmp_path):
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(keeping.heads_path.read_bytes())
    keeping.heads_path.unlink()
    with sealed.begin() as session:
        session.execute(delete(AuditEntry).where(AuditEntry.chain_number > 8))
    assert kinds(sealed, keeping) == ["no_head"]
    # The worker goes on by itself, and so nothing but the copy and the record's own line tell of it.
    write(sealed, 5, at=LATER)
    audit.seal(sealed, keeping, now=LATER)
    assert kinds(sealed, keeping, more_heads=[copy]) == ["other_head"]
    with reading(sealed) as session:
        (begun,) = session.scalars(select(AuditEntry).where(AuditEntry.action == "audit_heads_begun_anew"))
    assert (begun.detail, begun.actor) == ({"count": 8}, "service")


def test_heads_of_which_the_newest_were_taken_away_are_told_once_the_next_was_due(sealed, keeping):
    write(sealed, 3, at=NOW + timedelta(minutes=20))
    audit.seal(sealed, keeping, now=NOW + timedelta(minutes=21))
    assert kinds(sealed, keeping) == []
    whole = keeping.heads_path.read_bytes()
    keeping.heads_path.write_bytes(whole.splitlines(keepends=True)[0])
    assert kinds(sealed, keeping, now=NOW + timedelta(minutes=22)) == []
    assert kinds(sealed, keeping) == ["no_head"]


def test_lines_within_the_stated_window_need_no_head(sealed, keeping):
    # The last two were sealed a minute after the head, and then the service was stopped.
    assert kinds(sealed, keeping, now=NOW + timedelta(days=3)) == []


def test_the_first_head_of_an_older_record_is_no_beginning_anew(sessions, keeping):
    write(sessions, 3)
    audit.seal(sessions, keeping, now=NOW)
    with reading(sessions) as session:
        assert set(session.scalars(select(AuditEntry.action))) == {"analysis_viewed"}


def test_a_line_that_is_no_head_does_not_keep_the_next_from_being_written(sealed, keeping):
    with keeping.heads_path.open("ab") as file:
        file.write(b'{"at": "now", "count": 1, "hash": "", "signature": ""}\n')
    write(sealed, 1)
    audit.seal(sealed, keeping, now=NOW + HEAD_EVERY)
    with pytest.raises(ConfigurationError) as refused:
        look(sealed, keeping)
    assert refused.value.reason.code == "bad_heads"
    last = keeping.heads_path.read_bytes().splitlines()[-1]
    assert json.loads(last)["count"] == 12


def test_a_key_that_is_gone_is_missed_and_not_made_anew(sealed, keeping):
    keeping.key_path.unlink()
    write(sealed, 1)
    with pytest.raises(ConfigurationError) as refused:
        audit.seal(sealed, keeping, now=NOW + HEAD_EVERY)
    assert refused.value.reason.code == "no_audit_key"
    assert not keeping.key_path.exists()


def test_where_no_head_can_be_written_lines_wait_unsealed_and_so_it_is_seen(sessions, keeping):
    write(sessions, 2)
    audit.seal(sessions, keeping, now=NOW)
    kept = keeping.heads_path.read_bytes()
    keeping.heads_path.unlink()
    keeping.heads_path.mkdir()  # as a full or read-only disk: also root cannot write here
    for minutes in (20, 40):
        write(sessions, 1, at=NOW + timedelta(minutes=minutes))
        with pytest.raises(IsADirectoryError):
            audit.seal(sessions, keeping, now=NOW + timedelta(minutes=minutes, seconds=10))
    with reading(sessions) as session:
        assert rows.unsealed(session).count > 0
    keeping.heads_path.rmdir()
    keeping.heads_path.write_bytes(kept)
    audit.seal(sessions, keeping, now=LATER)
    with reading(sessions) as session:
        assert rows.unsealed(session).count == 0
    assert kinds(sessions, keeping) == []


def test_an_empty_or_short_key_signs_nothing(sessions, keeping):
    write(sessions, 1)
    keeping.folder.mkdir()
    for key in ("", "abcd\n", "not hexadecimal"):
        keeping.key_path.write_text(key, "ascii")
        with pytest.raises(ConfigurationError) as refused:
            audit.seal(sessions, keeping, now=NOW)
        assert refused.value.reason.code == "no_audit_key"
    assert not keeping.heads_path.exists()


def test_a_new_key_stands_above_the_old_one(sealed, keeping):
    keeping.key_path.write_text("ab" * 32 + "\n" + keeping.key_path.read_text("ascii"), "ascii")
    write(sealed, 1)
    audit.seal(sealed, keeping, now=NOW + HEAD_EVERY)
    assert kinds(sealed, keeping) == []
    keeping.key_path.write_text("ab" * 32 + "\n", "ascii")
    assert kinds(sealed, keeping) == ["forged_head"]


def test_a_forged_head_is_told(sealed, keeping):
    (head,) = audit.read_heads(keeping.heads_path)
    forged = {**vars(head), "count": 2}
    keeping.heads_path.write_text(json.dumps(forged) + "\n", "utf-8")
    assert kinds(sealed, keeping) == ["forged_head", "no_head"]


def test_a_head_that_a_power_cut_left_unfinished_is_taken_away(sealed, keeping):
    with keeping.heads_path.open("ab") as file:
        file.write(b'{"at": "2026')
    assert kinds(sealed, keeping) == []
    write(sealed, 1)
    audit.seal(sealed, keeping, now=NOW + HEAD_EVERY)
    assert [head.count for head in audit.read_heads(keeping.heads_path)] == [10, 13]


def test_without_its_key_a_record_with_heads_is_not_called_whole(sealed, keeping):
    keeping.key_path.unlink()
    with pytest.raises(ConfigurationError) as refused:
        look(sealed, keeping)
    assert refused.value.reason.code == "no_audit_key"


def test_a_named_key_is_never_made_by_itself(sessions, tmp_path):
    write(sessions, 1)
    named = Keeping(folder=tmp_path / "audit", key_file=tmp_path / "secret")
    with pytest.raises(ConfigurationError):
        audit.seal(sessions, named, now=NOW)
    assert not (tmp_path / "secret").exists()


@pytest.fixture
def installation(tmp_path, monkeypatch):
    """HOME with a sealed record, and the command line on it."""
    monkeypatch.setenv("MYOSCREEN_HOME", str(tmp_path))
    url = f"sqlite:///{tmp_path / 'myoscreen.db'}"
    upgrade(url)
    sessions = make_sessions(url)
    write(sessions, 4)
    audit.seal(sessions, Keeping(folder=tmp_path / "audit"), now=NOW)
    write(sessions, 1)
    yield sessions
    sessions.kw["bind"].dispose()


def run(*words):
    return CliRunner().invoke(build_app("audit"), ["audit", *words])


def test_the_command_says_whole_or_where_not(installation):
    told = run("verify")
    assert told.exit_code == 0, told.output
    assert "4 sealed lines, 4 of them up to the last signed head" in told.output
    assert "1 lines not sealed yet" in told.output
    with installation.begin() as session:
        session.execute(update(AuditEntry).where(line_at(2)).values(action="login"))
    told = run("verify")
    assert told.exit_code == 1
    assert "fault at line 2" in told.output
    assert "[changed]" in told.output


def test_no_cell_of_the_table_is_a_formula(installation):
    with installation.begin() as session:
        people.record(session, at=NOW, actor="=1+1", action="login", outcome="refused", object_id="-5")
    # Before the line of this very export.
    *_, last, _ = csv.DictReader(run("export").stdout.splitlines())
    assert (last["actor"], last["object_id"], last["action"]) == ("'=1+1", "'-5", "login")


def test_the_record_is_written_out_as_a_table_or_as_lines(installation, tmp_path):
    assert run("export", "--out", str(tmp_path / "audit.csv")).exit_code == 0
    with (tmp_path / "audit.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    with reading(installation) as session:
        ids = [str(each) for each in session.scalars(select(AuditEntry.id).order_by(AuditEntry.id))]
    assert [line["id"] for line in table] == ids
    assert json.loads(table[1]["detail"]) == {"rows": 1, "share": 0.1, "codes": ["a", None]}
    told = run("export", "--format", "json", "--since", "2026-11-22", "--until", "2026-11-22")
    assert [json.loads(line)["chain_number"] for line in told.stdout.splitlines()] == [1, 2, 3, 4, None]
    after = run("export", "--format", "json", "--since", "2026-11-23").stdout.splitlines()
    assert {json.loads(line)["action"] for line in after} == {"audit_exported"}
    assert run("export", "--since", "soon").exit_code != 0
