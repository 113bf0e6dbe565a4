"""What somebody who means harm tries from a browser or from another site."""

import re
from dataclasses import replace

import pytest

from service.web.account import safe_next
from service.web.auth import COOKIE, CSRF_HEADER, LOGIN_COOKIE
from service.web.permissions import permission_of, routes_of
from tests.make.hostile import INJECTED, plain
from tests.make.web import PASSWORD, copy_world, form_token, log_in

EVIL = "evil.example"


@pytest.fixture(scope="module")
def shared(template, tmp_path_factory):
    """A world for tests that change nothing which another looks at."""
    world = copy_world(template, tmp_path_factory.mktemp("security") / "home")
    yield world
    world.sessions.kw["bind"].dispose()


def changes(world):
    """Every route that changes something, and asks somebody to be logged in."""
    return [
        route
        for route in routes_of(world.client().app)
        if "GET" not in route.methods and permission_of(route) not in {None, "store"}
    ]


# Forged forms


def test_no_form_of_any_page_is_taken_with_anothers_token_or_none(shared):
    browser, other = shared.browser("anna"), shared.browser("otto")
    foreign = form_token(other.get("/account").text)
    forms = [route for route in changes(shared) if not route.path.startswith("/api/")]
    assert len(forms) > 20
    for route in forms:
        call = plain(route, shared.ids)
        assert "csrf_token" in (call.form or {}), route.path
        for token in (foreign, "x" * 43):
            call.form["csrf_token"] = token
            answer = call.send(browser)
            assert answer.status_code == 403, (route.path, token)
    assert browser.get("/account").status_code == 200


def test_no_change_by_the_interface_is_taken_from_a_cookie_alone(shared):
    browser = shared.browser("anna")
    foreign = form_token(shared.browser("otto").get("/account").text)
    calls = [route for route in changes(shared) if route.path.startswith("/api/")]
    assert len(calls) > 12
    for route in calls:
        for headers in ({}, {CSRF_HEADER: foreign}):
            call = plain(route, shared.ids)
            answer = browser.request(call.method, call.path, json=call.json, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "csrf"), route.path


def test_a_password_for_a_proxy_neither_ends_a_login_nor_stands_for_its_token(shared):
    """A proxy that asks for a password of its own hands it on with every request."""
    browser = shared.browser("otto")
    browser.headers["Authorization"] = "Basic d2FyZDpzZWNyZXQ="
    assert browser.get("/account").status_code == 200
    order = browser.post(f"/api/v1/analyses/{shared.ids.failed}/rerun")
    assert (order.status_code, order.json()["code"]) == (403, "csrf")
    browser.headers["Authorization"] = "Bearer myo_wrong"
    assert browser.get("/account").status_code == 303


def test_a_reading_request_cannot_be_made_a_changing_one(shared):
    client = shared.program("admin")
    path = f"/api/v1/analyses/{shared.ids.failed}/rerun"
    for trick in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        answer = client.get(path, headers={trick: "POST"}, params={"_method": "POST"})
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        form = {"_method": "GET"}
        assert client.post("/api/v1/analyses", data=form, headers={trick: "GET"}).status_code == 405


# Sessions and their cookies


def test_a_session_that_was_there_before_is_never_the_one_after_the_login(shared):
    client = shared.client()
    thief = shared.browser("vera").cookies[COOKIE]
    seen = {thief}
    for planted in ("planted", thief):
        client.cookies.clear()
        client.cookies.set(COOKIE, planted)
        if planted == thief:
            assert client.get("/login").status_code == 303  # It is a session; a new login begins at its end.
            client.post("/logout", data={"csrf_token": form_token(client.get("/account").text)})
            client.cookies.clear()
        answer = log_in(client, "rita", PASSWORD)
        (given,) = re.findall(rf"{COOKIE}=([^;]+)", ", ".join(answer.headers.get_list("set-cookie")))
        assert given not in seen
        assert len(given) >= 43
        seen.add(given)


def test_every_cookie_is_out_of_reach_and_of_this_host_alone_by_https(shared):
    plainly = shared.client().get("/login").headers["set-cookie"]
    assert plainly.startswith(f"{LOGIN_COOKIE}=")
    assert "HttpOnly" in plainly
    shared_https = copy_https(shared)
    client = shared_https.client()
    client.base_url = "https://testserver"
    given = [client.get("/login"), log_in(client, "vera", PASSWORD)]
    account = client.get("/account")
    assert account.status_code == 200
    given.append(client.post("/logout", data={"csrf_token": form_token(account.text)}))
    lines = [line for answer in given for line in answer.headers.get_list("set-cookie")]
    assert {line.partition("=")[0] for line in lines} == {f"__Host-{COOKIE}", f"__Host-{LOGIN_COOKIE}"}
    for line in lines:
        attributes = {part.strip().lower() for part in line.split(";")[1:]}
        assert {"secure", "path=/", "samesite=lax"} <= attributes, line
        assert not any(part.startswith("domain") for part in attributes)
        assert "httponly" in attributes or "max-age=0" in attributes, line


def copy_https(world):
    """The same world, reached by HTTPS."""
    return replace(world, settings=world.settings.model_copy(update={"https": True}))


def test_by_https_a_cookie_that_a_neighbour_could_plant_is_not_read(shared):
    token = shared.browser("vera").cookies[COOKIE]
    client = copy_https(shared).client()
    assert client.get("/account", headers={"Cookie": f"{COOKIE}={token}"}).status_code == 303
    assert client.get("/account", headers={"Cookie": f"__Host-{COOKIE}={token}"}).status_code == 200
    both = f"__Host-{COOKIE}=wrong; a=b; {COOKIE}={token}"
    assert client.get("/account", headers={"Cookie": both}).status_code == 303
    # What is a blank in some readers' eyes alone: a browser takes such a name for another one.
    for blank in ("\x1f", "\x85", "\xa0"):
        for name in (COOKIE, f"__Host-{COOKIE}"):
            planted = f"{blank}{name}={token}".encode("latin-1")
            assert client.get("/account", headers={"Cookie": planted}).status_code == 303, planted


# Where an answer leads


ELSEWHERE = (
    f"//{EVIL}",
    f"https://{EVIL}/",
    f"/\\{EVIL}",
    f"\\/{EVIL}",
    f"/%2f{EVIL}",
    f"/\t/{EVIL}",
    f"/account@{EVIL}",
    f"/account?next=//{EVIL}",
    f"/account\r\n{INJECTED}: yes",
    f"/account\n//{EVIL}",
    "/account\n",
    "javascript:alert(1)",
    "/analyses/1/../../x",
    "",
)


def test_a_login_leads_to_pages_of_ours_alone(shared):
    assert [target for target in ELSEWHERE if safe_next(target) is not None] == []
    assert safe_next("/analyses/7") == "/analyses/7"
    for target in ELSEWHERE[0], ELSEWHERE[8]:
        answer = log_in(shared.client(), "vera", PASSWORD, next_path=target)
        assert (answer.status_code, answer.headers["location"]) == (303, "/start")
        assert INJECTED not in answer.headers
        page = shared.client().get("/login", params={"next": target})
        assert f'href="//{EVIL}' not in page.text
        assert INJECTED not in page.headers


@pytest.fixture(scope="module")
def pages(shared):
    """What every route answers that only reads, to a browser that was led astray about our name."""
    names = {"Host": EVIL, "X-Forwarded-Host": EVIL, "Forwarded": f"host={EVIL}", "X-Original-URL": "/audit"}
    browser = shared.browser("anna")
    paths = [plain(route, shared.ids).path for route in routes_of(browser.app) if "GET" in route.methods]
    paths += ["/nothing", "/api/nothing", "/static/nothing", "/static/style.css"]
    return [browser.get(path, headers=names) for path in paths]


def test_a_foreign_host_is_believed_nowhere(pages):
    assert len(pages) > 40
    for answer in pages:
        assert EVIL not in answer.text + str(answer.headers), answer.request.url.path


# Headers


def test_every_answer_forbids_frames_foreign_content_and_keeping(shared, pages):
    browser = shared.browser("anna")
    tag = browser.get("/api/v1/deliveries").headers["etag"]
    answers = [
        *pages,
        shared.client().get("/"),
        browser.get("/api/v1/deliveries", headers={"If-None-Match": tag}),
        browser.post("/find", content=b"x" * 70_000),
        browser.delete("/api/v1/status"),
    ]
    assert {200, 303, 304, 404, 405, 413} <= {answer.status_code for answer in answers}
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        kept = "public" in answer.headers["cache-control"]
        assert kept == answer.request.url.path.startswith("/static/")
        assert kept or answer.headers["cache-control"] == "no-store"


def test_a_file_is_named_by_us(shared):
    client = shared.program("viewer")
    named = 0
    for path in ("/api/v1/analyses/{}/outputs/seg", "/analyses/{}/report.pdf"):
        answer = client.get(path.format(shared.ids.flagged))
        if (value := answer.headers.get("content-disposition")) is not None:
            named += 1
            assert re.fullmatch(r'(attachment|inline); filename="myoscreen-[a-z0-9-]+\.(dcm|pdf)"', value)
    assert named == 2
    assert client.get(f"/api/v1/analyses/{shared.ids.flagged}/outputs/seg%22%0d%0aX:y").status_code == 404
