"""Login at a real OpenID provider, and what somebody with a browser may try to get in without one."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from service.db import people
from service.db.tables import User, WebSession
from service.errors import InvalidRequest
from service.web import doorstep
from service.web.auth import COOKIE
from service.web.oidc_trip import COOKIE as TRIP
from tests.make import certificates, oidc
from tests.make.web import PASSWORD, form_token, log_in


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("oidc")


@pytest.fixture(scope="module")
def authority(folder):
    return certificates.authority(folder / "ca")


@pytest.fixture(scope="module")
def provider(authority, folder):
    with oidc.start_provider(authority, folder) as running:
        yield running


@pytest.fixture
def world(world, provider):
    """Ours, with the provider in its settings and the clock of the day."""
    world.settings = world.settings.model_copy(update={"oidc": provider.terms()})
    world.now = datetime.now(UTC)
    return world


def begin(client, next_path=""):
    """Where the browser is sent to log in."""
    answer = client.get(f"/login/oidc?next={next_path}")
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def enter(world, provider, name, next_path=""):
    """A browser after a login at the provider, and the last answer."""
    client = world.client()
    back = oidc.at_the_provider(provider, begin(client, next_path), name)
    assert back.startswith(f"{oidc.URL}/login/oidc/callback?")
    return client, client.get(oidc.path_of(back))


def reason_of(world):
    """Why the last line of the audit record says no."""
    with world.sessions() as session:
        (line,) = session.execute(
            select(people.AuditEntry).order_by(people.AuditEntry.id.desc()).limit(1)
        ).scalars()
    assert (line.action, line.outcome) == ("login", "refused")
    return line.actor, line.detail["reason"]


def live_sessions(world):
    with world.sessions() as session:
        return session.scalars(select(WebSession)).all()


def test_somebody_of_the_provider_comes_in_with_the_role_of_the_group(world, provider):
    page = world.client().get("/login").text
    assert "Log in with Test hospital" in page
    assert 'name="password"' in page
    client, answer = enter(world, provider, "petra", "/funnel")
    assert (answer.status_code, answer.headers["location"]) == (303, "/funnel")
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert TRIP not in client.cookies
    account = client.get("/account").text
    assert "petra" in account
    assert "viewer" in account
    assert "new-password" not in account
    assert client.get("/audit").status_code == 403
    assert world.actions()[-3:-1] == [("petra", "user_added", "ok"), ("petra", "login", "ok")]
    with world.sessions() as session:
        (facts,) = [each for each in people.list_users(session) if each.issuer]
    assert (facts.name, facts.role, facts.issuer) == ("petra", "viewer", provider.issuer)


def test_the_first_role_of_the_settings_counts(world, provider):
    client, _ = enter(world, provider, "axel")
    assert client.get("/audit").status_code == 200
    client, answer = enter(world, provider, "aurel")
    assert answer.headers["location"] == "/start"
    assert client.get("/start").headers["location"] == "/audit"


def test_a_name_that_a_local_account_has_is_told_apart_and_does_not_take_it_over(world, provider):
    client, answer = enter(world, provider, "anna")
    assert answer.status_code == 303
    with world.sessions() as session:
        (user,) = session.scalars(select(User).where(User.issuer.is_not(None)))
        assert user.name.startswith("anna.")
        assert (user.subject, user.role) == ("anna", "viewer")
    assert client.get("/audit").status_code == 403
    assert log_in(world.client(), "anna", PASSWORD).status_code == 303


def test_who_has_no_role_stays_outside_and_is_written_down(world, provider):
    client, answer = enter(world, provider, "nora")
    assert answer.status_code == 403
    assert "gives you no role here" in answer.text
    assert COOKIE not in client.cookies
    assert reason_of(world) == ("nora", "oidc_no_role")
    assert live_sessions(world) == []


def test_who_has_no_role_is_not_written_down_under_the_name_of_somebody_here(world, provider):
    world.settings = world.settings.model_copy(update={"oidc": provider.terms(roles={"admin": ("nobody",)})})
    assert enter(world, provider, "anna")[1].status_code == 403
    name, reason = reason_of(world)
    assert name.startswith("anna.")
    assert reason == "oidc_no_role"


def test_who_has_lost_the_role_loses_the_open_login_too(world, provider):
    client, _ = enter(world, provider, "petra")
    world.settings = world.settings.model_copy(
        update={"oidc": provider.terms(roles={"admin": ("myo-admins",)})}
    )
    assert enter(world, provider, "petra")[1].status_code == 403
    assert reason_of(world) == ("petra", "oidc_no_role")
    assert client.get("/account").status_code == 303


def test_a_new_role_counts_from_the_next_login_on(world, provider):
    enter(world, provider, "petra")
    world.settings = world.settings.model_copy(
        update={"oidc": provider.terms(roles={"operator": ("everybody",)})}
    )
    enter(world, provider, "petra")
    assert ("petra", "role_changed", "ok") in world.actions()
    with world.sessions() as session:
        assert [each.role for each in people.list_users(session) if each.issuer] == ["operator"]


def test_an_administrator_shuts_somebody_out_and_lets_in_again(world, provider):
    client, _ = enter(world, provider, "petra")
    with world.sessions.begin() as session:
        people.disable_user(session, name="petra", now=world.now, actor="test")
    assert client.get("/account").status_code == 303
    _, answer = enter(world, provider, "petra")
    assert answer.status_code == 403
    assert reason_of(world) == ("petra", "oidc_disabled")
    with world.sessions.begin() as session:
        people.enable_user(session, name="petra", now=world.now, actor="test")
    assert enter(world, provider, "petra")[1].status_code == 303


def test_somebody_of_the_provider_has_no_password_here(world, provider):
    client, _ = enter(world, provider, "petra")
    for password in ("", "any"):
        assert log_in(world.client(), "petra", password).status_code == 401
    for change in (people.reset_password, people.set_password):
        words = {"password": PASSWORD} if change is people.set_password else {}
        with world.sessions.begin() as session, pytest.raises(InvalidRequest) as refused:
            change(session, name="petra", now=world.now, actor="test", **words)
        assert refused.value.reason.code == "no_password"
    form = {"csrf_token": form_token(client.get("/account").text), "current": "", "new": "x", "again": "x"}
    assert "no password here" in client.post("/account/password", data=form).text


def test_the_session_before_the_login_is_not_the_one_after_it(world, provider):
    client = world.client()
    client.cookies.set(COOKIE, "planted")
    answer = client.get(oidc.path_of(oidc.at_the_provider(provider, begin(client), "petra")))
    assert f"{COOKIE}=planted" not in answer.headers["set-cookie"]
    first = live_sessions(world)
    # Somebody else logs in in the same browser while the first login lives.
    begun = world.client()
    address = begin(begun)
    begun.cookies.set(COOKIE, client.cookies.get(COOKIE, domain="testserver.local"))
    begun.get(oidc.path_of(oidc.at_the_provider(provider, address, "axel")))
    (left,) = live_sessions(world)
    assert left.token_sha256 not in {each.token_sha256 for each in first}


def test_an_answer_counts_once(world, provider):
    client = world.client()
    address = begin(client)
    kept = client.cookies[TRIP]
    back = oidc.path_of(oidc.at_the_provider(provider, address, "petra"))
    assert client.get(back).status_code == 303
    before = world.actions()
    thief = world.client()
    answer = thief.get(back)
    assert answer.status_code == 403
    assert "not begun in this browser" in answer.text
    assert world.actions() == before
    thief.cookies.set(TRIP, kept)
    assert thief.get(back).status_code == 403
    assert reason_of(world) == ("unknown", "oidc_used")
    assert COOKIE not in thief.cookies


def test_an_answer_for_another_browser_or_too_late_lets_nobody_in(world, provider):
    client, other = world.client(), world.client()
    back = oidc.path_of(oidc.at_the_provider(provider, begin(client), "petra"))
    begin(other)
    before = world.actions()
    answers = [other.get(back)]
    world.now += timedelta(minutes=11)
    answers.append(client.get(back))
    for answer in answers:
        assert answer.status_code == 403
        assert "not begun in this browser" in answer.text
    # The provider was not even asked, and a page elsewhere that sends browsers here fills no record.
    assert world.actions() == before
    assert live_sessions(world) == []


def test_a_code_of_another_login_is_not_taken(world, provider):
    victim, attacker = world.client(), world.client()
    stolen = oidc.at_the_provider(provider, begin(victim), "axel")
    mine = oidc.at_the_provider(provider, begin(attacker), "petra")
    code = oidc.query_of(stolen)["code"]
    query = {**oidc.query_of(mine), "code": code}
    assert attacker.get("/login/oidc/callback", params=query).status_code == 403
    assert reason_of(world) == ("unknown", "oidc_code_refused")
    assert live_sessions(world) == []


def test_an_answer_of_another_provider_or_without_a_code_is_refused(world, provider):
    client = world.client()
    for changes, reason in (
        ({"iss": "https://evil.example"}, "oidc_sender"),
        ({"error": "x"}, "oidc_declined"),
    ):
        state = oidc.query_of(begin(client))["state"]
        query = {"iss": provider.issuer, "state": state, **changes, "error_description": "<b>evil</b>"}
        answer = client.get("/login/oidc/callback", params=query)
        assert answer.status_code == 403
        assert "evil" not in answer.text
        assert reason_of(world) == ("unknown", reason)


def test_a_login_leads_to_our_own_pages_alone(world, provider):
    client = world.client()
    for evil in (
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/a?b",
        "/%0d%0aX:y",
        "x" * 900,
    ):
        page = client.get("/login", params={"next": evil}).text
        assert 'href="/login/oidc?next="' in page
    address = client.get("/login/oidc", params={"next": "//evil.example"}).headers["location"]
    answer = client.get(oidc.path_of(oidc.at_the_provider(provider, address, "petra")))
    assert answer.headers["location"] == "/start"
    # A link with a page that would not fit into the cookie does not keep anybody out.
    assert enter(world, provider, "petra", "é" * 200)[1].headers["location"] == "/start"


def test_too_many_bad_answers_make_an_address_wait(world, provider, monkeypatch):
    monkeypatch.setattr(doorstep, "FAILURES_BEFORE_WAIT", 2)
    client = world.client()
    statuses = []
    for _ in range(3):
        state = oidc.query_of(begin(client))["state"]
        answer = client.get("/login/oidc/callback", params={"code": "made up", "state": state, "iss": "x"})
        statuses.append(answer.status_code)
    assert statuses == [403, 403, 429]
    assert len([line for line in world.actions() if line == ("unknown", "login", "refused")]) == 2
    assert "too many" in answer.text
    assert "password is not right" not in answer.text
    # A provider in trouble does not take away the other way in.
    assert log_in(world.client(), "vera", PASSWORD).status_code == 303


def test_a_logout_offers_to_end_the_login_at_the_provider(world, provider):
    client, _ = enter(world, provider, "petra")
    token = form_token(client.get("/account").text)
    answer = client.post("/logout", data={"csrf_token": token})
    assert answer.headers["location"] == "/login?ended"
    page = client.get("/login?ended").text
    assert f'href="{provider.issuer}/session/end?client_id=myoscreen&amp;post_logout_redirect_uri=' in page
    assert client.get("/account").status_code == 303
    browser = world.browser("vera")
    token = form_token(browser.get("/account").text)
    assert browser.post("/logout", data={"csrf_token": token}).headers["location"] == "/login"


def test_without_the_form_a_right_password_does_not_help(world, provider):
    world.settings = world.settings.model_copy(update={"oidc": provider.terms(local_form=False)})
    client = world.client()
    page = client.get("/login").text
    assert 'name="password"' not in page
    form = {"csrf_token": client.cookies["myoscreen_login"], "name": "vera", "password": PASSWORD}
    assert client.post("/login", data=form).status_code == 403
    assert live_sessions(world) == []


def test_a_provider_whose_certificate_is_not_trusted_is_not_asked(world, provider, tmp_path):
    stranger = certificates.authority(tmp_path / "other")
    world.settings = world.settings.model_copy(update={"oidc": provider.terms(ca_file=stranger.ca)})
    answer = world.client().get("/login/oidc")
    assert answer.status_code == 502
    assert "cannot be reached" in answer.text
    assert 'name="password"' in answer.text


def test_without_a_provider_in_the_settings_there_is_no_such_page(world):
    world.settings = world.settings.model_copy(update={"oidc": None})
    for path in ("/login/oidc", "/login/oidc/callback"):
        assert world.client().get(path).status_code == 404


def test_new_keys_of_the_provider_are_noticed(world, authority, folder):
    with oidc.start_provider(authority, folder) as first:
        world.settings = world.settings.model_copy(update={"oidc": first.terms()})
        client = world.client()
        assert (
            client.get(oidc.path_of(oidc.at_the_provider(first, begin(client), "petra"))).status_code == 303
        )
    client.cookies.clear()
    with oidc.start_provider(authority, folder, port=first.port, claims_by_userinfo=False) as second:
        # The same process of ours, which knows the keys of before.
        back = oidc.at_the_provider(second, begin(client), "petra")
        assert client.get(oidc.path_of(back)).status_code == 303
