"""Accounts and keys on the page: what an administrator does there, and what is refused."""

import re

import pytest
from sqlalchemy import select

from service.db import people
from service.db.tables import AuditEntry, User
from tests.make.web import PASSWORD, form_token, log_in, seated

SECRET = re.compile(r"<pre>([^<]+)</pre>")


@pytest.fixture
def anna(world):
    return Desk(world, seated(world, "anna"))


class Desk:
    """An administrator's browser."""

    def __init__(self, world, browser):
        self.world, self.browser = world, browser
        self.token = form_token(browser.get("/people").text)

    def send(self, path="", **form):
        return self.browser.post(f"/people{path}", data={"csrf_token": self.token, **form})

    def page(self):
        return self.browser.get("/people").text


def lines(world, *actions):
    with world.sessions() as session:
        return session.scalars(
            select(AuditEntry).where(AuditEntry.action.in_(actions)).order_by(AuditEntry.id.desc())
        ).all()


def user(world, name):
    with world.sessions() as session:
        return session.scalars(select(User).where(User.name == name)).one()


def test_an_administrator_makes_an_account_that_comes_in_once_with_what_was_shown(world, anna):
    made = anna.send(name=" dr.weiss ", role="reviewer")
    assert made.status_code == 200
    assert made.headers["cache-control"] == "no-store"
    (shown,) = SECRET.findall(made.text)
    assert shown not in anna.page()
    client = world.client()
    assert log_in(client, "dr.weiss", shown).headers["location"] == "/start"
    assert client.get("/").status_code == 403  # The one-time password is to be changed first.
    (line,) = (each for each in lines(world, "user_added") if each.object_id == "dr.weiss")
    assert (line.actor, line.detail, line.address) == ("anna", {"role": "reviewer"}, "testclient")
    assert anna.send(name="dr.weiss", role="viewer").status_code == 409
    refused = lines(world, "account_change")[0]
    assert (refused.actor, refused.outcome, refused.detail) == ("anna", "refused", {"code": "user_exists"})
    assert (refused.object_type, refused.object_id) == ("user", "dr.weiss")
    assert anna.send(name="Doe, Jane 1970", role="viewer").status_code == 409
    assert (lines(world, "account_change")[0].object_id, user(world, "vera").role) == (None, "viewer")


def test_another_role_a_lock_out_and_a_new_password_end_the_logins_of_that_person(world, anna):
    for path, form, seen in (
        ("/role", {"role": "auditor"}, "role_changed"),
        ("/disable", {}, "user_disabled"),
        ("/password", {}, "password_reset"),
    ):
        vera = seated(world, "vera")
        assert vera.get("/account").status_code == 200 or seen != "role_changed"
        answer = anna.send(path, name="vera", **form)
        assert answer.status_code in (200, 303)
        assert vera.get("/account").status_code == 303, path
        assert (lines(world, seen)[0].actor, lines(world, seen)[0].object_id) == ("anna", "vera")
    assert (user(world, "vera").role, user(world, "vera").must_change) == ("auditor", True)
    assert lines(world, "role_changed")[0].detail == {"role": "auditor", "was": "viewer"}
    anna.send("/disable", name="vera")
    assert "Let in again" in anna.page()
    assert anna.send("/enable", name="vera").headers["location"] == "/people?notice=user_enabled"
    assert user(world, "vera").disabled is False


def test_a_key_is_shown_once_lives_as_long_as_was_said_and_is_taken_back(world, anna):
    made = anna.send("/keys", name="nagios", role="monitor", days="2")
    (key,) = SECRET.findall(made.text)
    program = world.client()
    program.headers["Authorization"] = f"Bearer {key}"
    assert program.get("/api/v1/status").status_code == 200
    assert program.get("/api/v1/analyses").status_code == 403
    assert program.get("/api/v1/audit").status_code == 403
    assert key not in anna.page()
    world.wait(days=1, hours=23)
    assert program.get("/api/v1/status").status_code == 200
    world.wait(hours=2)
    assert program.get("/api/v1/status").status_code == 401
    desk = Desk(world, seated(world, "anna"))
    (lasting,) = SECRET.findall(desk.send("/keys", name="export", role="viewer", days="").text)
    program.headers["Authorization"] = f"Bearer {lasting}"
    assert program.get("/api/v1/analyses").status_code == 200
    assert desk.send("/keys/revoke", name="export").headers["location"] == "/people?notice=key_revoked"
    assert program.get("/api/v1/analyses").status_code == 401
    assert lines(world, "key_revoked")[0].address == "testclient"


def test_nobody_shuts_out_or_changes_the_own_account(world, anna):
    for path, form in (("/disable", {}), ("/password", {}), ("/role", {"role": "viewer"})):
        answer = anna.send(path, name="anna", **form)
        assert (answer.status_code, "own_account" in answer.text) == (409, True), path
    assert (user(world, "anna").role, user(world, "anna").disabled) == ("admin", False)
    assert 'value="anna"' not in anna.page()


def test_where_two_are_asked_for_no_administrator_makes_the_second_one(world):
    world.settings = world.settings.model_copy(update={"activation_second_person": True})
    anna = Desk(world, seated(world, "anna"))
    with world.sessions.begin() as session:
        people.add_user(session, name="bert", role="admin", now=world.now, actor="command line")
    for path, form in (
        ("", {"name": "carl", "role": "admin"}),
        ("/role", {"name": "vera", "role": "admin"}),
        ("/password", {"name": "bert"}),
    ):
        answer = anna.send(path, **form)
        assert (answer.status_code, "administrator_by_shell" in answer.text) == (409, True), form
    assert user(world, "vera").role == "viewer"
    assert anna.send(name="carl", role="operator").status_code == 200
    assert anna.send("/disable", name="bert").status_code == 303


def test_a_key_makes_no_account_and_no_key(world):
    program = world.program("admin")
    for path in ("", "/keys"):
        answer = program.post(f"/people{path}", data={"csrf_token": "x", "name": "mallory", "role": "admin"})
        assert (answer.status_code, "person_needed" in answer.text) == (403, True)
    with world.sessions() as session:
        assert not {"mallory"} & {each.name for each in people.list_users(session)}
        assert not {"mallory"} & {each.name for each in people.list_keys(session)}


def test_who_comes_by_a_provider_has_role_and_password_there(world, anna):
    with world.sessions.begin() as session:
        session.add(
            User(name="olga", password_hash="", issuer="https://id.example", subject="1", role="viewer",
                 created_at=world.now)
        )  # fmt: skip
    assert "role_by_provider" in anna.send("/role", name="olga", role="admin").text
    assert "no_password" in anna.send("/password", name="olga").text
    assert user(world, "olga").role == "viewer"
    assert anna.send("/disable", name="olga").status_code == 303


def test_the_page_speaks_german_and_its_refusals_too(world, anna):
    anna.browser.headers["Accept-Language"] = "de"
    page = anna.page()
    assert "Personen und Schlüssel" in page
    assert "Neues Einmalpasswort für vera" in page
    assert "Diesen Namen hat schon jemand." in anna.send(name="vera", role="viewer").text


def test_a_person_of_monitoring_sees_the_status_and_nothing_else(world):
    client = world.client()
    assert log_in(client, "mona", PASSWORD).status_code == 303
    assert client.get("/start").headers["location"] == "/status"
    assert client.get("/status").status_code == 200
    for path in ("/", "/worklist", "/audit", "/people", "/activations", "/population"):
        assert client.get(path).status_code == 403, path
