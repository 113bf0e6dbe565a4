"""People and keys from the command line, which works where nobody can log in."""

import re

import pytest
from typer.testing import CliRunner

from service.cli import build_app
from service.db import overview
from service.db.session import make_sessions, reading


@pytest.fixture
def shell(make_settings, monkeypatch):
    """Commands of an installation, and its audit record."""
    settings = make_settings()
    sessions = make_sessions(settings.resolved_database_url)
    monkeypatch.setenv("MYOSCREEN_HOME", str(settings.home))

    def call(*words):
        return CliRunner().invoke(build_app(words[0]), list(words))

    def audited():
        with reading(sessions) as session:
            lines = overview.list_audit(session, before_id=None, limit=100).items
        return [(line.actor, line.action, line.object_id) for line in reversed(lines)]

    call.audited = audited
    yield call
    sessions.kw["bind"].dispose()


def test_people_are_added_changed_shut_out_and_let_in(shell):
    added = shell("user", "add", "vera", "--role", "reviewer")
    first = re.fullmatch(r"one-time password of vera: (\S{23})\n", added.output)[1]
    assert shell("user", "list").output == "vera\treviewer\tmust change\n"
    assert shell("user", "role", "vera", "monitor").exit_code == 0
    shell("user", "disable", "vera")
    assert shell("user", "list").output == "vera\tmonitor\tdisabled, must change\n"
    shell("user", "enable", "vera")
    again = shell("user", "passwd", "vera").output
    assert first not in again
    assert shell("user", "list").output == "vera\tmonitor\tmust change\n"
    for words, code in (
        (("add", "vera"), "user_exists"),
        (("add", "otto", "--role", "sender"), "bad_role"),
        (("add", "a b"), "bad_name"),
        (("add", "service"), "bad_name"),
        (("role", "vera", "sender"), "bad_role"),
        (("disable", "nobody"), "no_such_user"),
    ):
        assert shell("user", *words).exception.reason.code == code, words
    done = ["user_added", "role_changed", "user_disabled", "user_enabled", "password_reset"]
    assert shell.audited() == [("command line", action, "vera") for action in done]


def test_keys_are_made_listed_and_revoked(shell):
    key = shell("key", "add", "nagios", "--role", "monitor", "--days", "90").output.strip()
    assert re.fullmatch(r"myo_\S{43}", key)
    assert re.fullmatch(r"nagios\tmonitor\tuntil \S+ \S+ UTC\n", shell("key", "list").output)
    shell("key", "revoke", "nagios")
    assert shell("key", "list").output == "nagios\tmonitor\trevoked\n"
    assert shell("key", "add", "nagios").exception.reason.code == "key_exists"
    assert shell("key", "revoke", "other").exception.reason.code == "no_such_key"
    done = ["key_added", "key_revoked"]
    assert shell.audited() == [("command line", action, "nagios") for action in done]
