"""An OpenID provider, or somebody in its place, that says something else than it should."""

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from service.errors import LoginRefused, PeerUnreachable
from service.settings import Oidc
from service.web.oidc_terms import provider_of
from service.wire import oidc as wire
from tests.make import oidc
from tests.make.oidc_liar import KEY, STRANGE, liar

EVIL = "http://127.0.0.1:9/"
ABOUT = "/.well-known/openid-configuration"


@pytest.fixture(scope="module")
def running():
    with liar() as told:
        yield told


@pytest.fixture
def told(running):
    """The provider, as honest as at its start."""
    running.about, running.claims, running.answers, running.asked = {}, {}, {}, []
    running.key, running.token, running.nonce = KEY, None, "n"
    running.now = int(datetime.now(UTC).timestamp())
    return running


class Login:
    """Our side, with a clock that stands until it is moved."""

    def __init__(self, told, **changes):
        self.now = datetime.fromtimestamp(told.now, UTC)
        roles = {"viewer": "myo-readers"}
        terms = Oidc(issuer=told.issuer, client_id="myoscreen", url=oidc.URL, roles=roles, **changes)
        self.provider = provider_of(terms, clock=lambda: self.now)

    def begin(self):
        return self.provider.login_address(state="s", nonce="n", challenge="c")

    def end(self):
        self.begin()
        return self.provider.redeem(code="c", verifier="v", nonce="n")


@pytest.fixture
def login(told):
    return Login(told)


def test_an_honest_answer_is_taken_and_nothing_is_asked_twice(told, login):
    assert login.end()["sub"] == "7"
    assert told.asked == [ABOUT, "/token", "/jwks"]


@pytest.mark.parametrize(
    "lie",
    [
        {"iss": "http://127.0.0.1:9"},
        {"aud": "somebody"},
        {"aud": ["myoscreen", "somebody"]},
        {"exp": 1},
        {"nonce": None},
        {"nonce": "of another login"},
        {"sub": None},
    ],
    ids=str,
)
def test_a_token_that_says_something_else_is_refused(told, login, lie):
    told.claims = lie
    with pytest.raises(LoginRefused) as refused:
        login.end()
    assert refused.value.reason.code == "oidc_claims"


def unsigned(told):
    body = json.loads(base64.urlsafe_b64decode(told.signed().split(".")[1] + "=="))
    parts = ({"alg": "none", "kid": "known"}, body)
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts
    )


@pytest.mark.parametrize("how", ["signature", "none", "broken", "nothing"])
def test_a_token_that_the_provider_did_not_sign_is_refused(told, login, how):
    if how == "signature":
        told.key = STRANGE
    elif how == "nothing":
        told.answers["/token"] = (200, {}, b'{"access_token": "x"}')
    else:
        told.token = f"{unsigned(told)}." if how == "none" else "a.b"
    with pytest.raises(LoginRefused) as refused:
        login.end()
    assert refused.value.reason.code == "oidc_token"


def test_keys_are_asked_for_anew_where_none_fits_and_after_ten_minutes(told, login):
    login.end()
    login.end()
    assert told.asked.count("/jwks") == 1
    told.key = STRANGE
    with pytest.raises(LoginRefused):
        login.end()
    assert told.asked.count("/jwks") == 2
    told.key = KEY
    login.now += timedelta(minutes=11)
    told.now += 660
    login.end()
    assert (told.asked.count(ABOUT), told.asked.count("/jwks")) == (2, 3)


@pytest.mark.parametrize(
    "lie",
    [
        {"issuer": "http://127.0.0.1:9"},
        {"token_endpoint": f"{EVIL}token"},
        {"jwks_uri": f"{EVIL}jwks"},
        {"authorization_endpoint": f"{EVIL}auth"},
        {"token_endpoint": None},
        {"jwks_uri": 7},
    ],
    ids=str,
)
def test_nobody_is_sent_and_nothing_is_asked_outside_the_host_of_the_issuer(told, login, lie):
    told.about = lie
    with pytest.raises(LoginRefused) as refused:
        login.begin()
    assert refused.value.reason.code == "oidc_discovery"
    assert told.asked == [ABOUT]


@pytest.mark.parametrize("elsewhere", [f"{EVIL}me", "file:///etc/passwd", 7])
def test_what_can_be_done_without_is_left_alone_where_it_is_on_another_host(told, login, elsewhere):
    """Microsoft Entra ID has its userinfo on the host of another service."""
    told.about = {"userinfo_endpoint": elsewhere, "end_session_endpoint": elsewhere}
    told.claims = {"groups": None}
    tokens = {"id_token": told.signed(), "access_token": "x"}
    told.answers["/token"] = (200, {}, json.dumps(tokens).encode())
    assert login.end()["sub"] == "7"
    assert told.asked == [ABOUT, "/token", "/jwks"]
    assert login.provider.logout_address(return_to="/") is None


@pytest.mark.parametrize(
    ("path", "said", "code"),
    [
        (ABOUT, (302, {"Location": f"{EVIL}x"}, b""), "http_status"),
        (ABOUT, (200, {}, b"<html>"), "http_status"),
        (ABOUT, (200, {}, b"[]"), "http_status"),
        ("/jwks", (500, {}, b""), "http_status"),
        ("/jwks", (200, {}, b'{"keys": 7}'), "oidc_discovery"),
        ("/jwks", (200, {}, b'{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}'), "oidc_discovery"),
        ("/jwks", (200, {}, b" " * (1 << 21)), "no_answer"),
        ("/jwks", (200, {}, b"[" * 500_000), "http_status"),
        ("/token", (400, {}, b'{"error": "<script>"}'), "oidc_code_refused"),
        ("/token", (307, {"Location": f"{EVIL}x"}, b""), "oidc_code_refused"),
    ],
)
def test_an_answer_that_is_none_is_refused_and_no_redirect_is_followed(told, login, path, said, code):
    told.answers[path] = said
    with pytest.raises((LoginRefused, PeerUnreachable)) as refused:
        login.end()
    assert refused.value.reason.code == code
    assert "<" not in refused.value.reason.text
    assert login.provider.logout_address(return_to="/") is None


@pytest.mark.parametrize("methods", [None, 7, "client_secret_post", ["client_secret_post"]])
def test_a_secret_goes_along_whatever_the_provider_says_of_the_ways(told, tmp_path, methods):
    secret = tmp_path / "secret"
    secret.write_text("s", "utf-8")
    told.about = {"token_endpoint_auth_methods_supported": methods}
    login = Login(told, client_secret_file=secret)
    assert login.end()["sub"] == "7"


def test_after_a_failure_the_provider_is_left_alone_for_a_moment(told, login):
    told.answers[ABOUT] = (503, {}, b"")
    for _ in range(3):
        with pytest.raises(PeerUnreachable):
            login.begin()
    assert told.asked == [ABOUT]
    del told.answers[ABOUT]
    login.now += timedelta(seconds=6)
    assert login.begin()


def test_after_it_was_waited_for_in_vain_nobody_waits_again_at_once(told, login, monkeypatch):
    def slow(path):
        told.asked.append(path)
        login.now += timedelta(seconds=10)
        return 503, {}, b""

    monkeypatch.setattr(told, "said", slow)
    for _ in range(3):
        with pytest.raises(PeerUnreachable):
            login.begin()
    assert told.asked == [ABOUT]


def test_a_provider_that_does_not_answer_keeps_few_waiting(told, login, monkeypatch):
    monkeypatch.setattr(wire, "MOST_WAITING", 1)
    login, asked, go_on = Login(told), threading.Event(), threading.Event()
    honest = told.said

    def hung(path):
        asked.set()
        go_on.wait(30)
        return honest(path)

    monkeypatch.setattr(told, "said", hung)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(login.begin)
        try:
            assert asked.wait(30)
            with pytest.raises(PeerUnreachable):
                login.begin()
            assert login.provider.logout_address(return_to="/") is None
            assert not first.done()
        finally:
            go_on.set()
        assert first.result().startswith(told.issuer)
    # Who waited has made room again.
    assert login.end()["sub"] == "7"


@pytest.mark.parametrize(("sub", "groups"), [("7", ["myo-readers"]), ("8", None)])
def test_userinfo_of_somebody_else_is_not_used(told, login, sub, groups):
    told.about = {"userinfo_endpoint": f"{told.issuer}/me"}
    told.claims = {"groups": None}
    told.answers["/me"] = (200, {}, json.dumps({"sub": sub, "groups": ["myo-readers"]}).encode())
    tokens = {"id_token": told.signed(), "access_token": "x"}
    told.answers["/token"] = (200, {}, json.dumps(tokens).encode())
    assert login.end().get("groups") == groups


@pytest.mark.parametrize(
    ("says_so", "sender", "right"),
    [
        (True, "own", True),
        (False, "own", True),
        (False, None, True),
        (True, None, False),
        (False, EVIL, False),
    ],
)
def test_an_answer_must_be_of_this_provider(told, login, says_so, sender, right):
    told.about = {"authorization_response_iss_parameter_supported": says_so}
    name = told.issuer if sender == "own" else sender
    if right:
        login.provider.require_sender(name)
    else:
        with pytest.raises(LoginRefused):
            login.provider.require_sender(name)
