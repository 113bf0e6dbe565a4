"""What an ID token must be, whom it makes of somebody here, and the way to the provider and back."""

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from joserfc.jws import serialize_compact
from pydantic import ValidationError

from service.errors import LoginRefused
from service.settings import Oidc
from service.web.oidc_terms import name_of, role_of
from service.web.oidc_trip import LONGEST, Trip
from service.wire import oidc
from service.wire.oidc_token import UnknownKey, require_claims, signed_claims, signing_key

NOW = datetime(2026, 11, 2, 8, 30, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
ISSUER, CLIENT = "https://idp.example/realm", "myoscreen"
KEY = ECKey.generate_key("P-256", parameters={"kid": "one"})
OTHER = ECKey.generate_key("P-256", parameters={"kid": "one"})
ALGORITHMS = ("ES256", "RS256")
CLAIMS = {
    "iss": ISSUER,
    "aud": CLIENT,
    "sub": "42",
    "exp": SECONDS + 300,
    "iat": SECONDS,
    "nonce": "n",
}
TERMS = {"issuer": ISSUER, "client_id": CLIENT, "url": "https://myo.example", "roles": {"viewer": "readers"}}


def token(key=KEY, alg="ES256", claims=CLAIMS):
    return jwt.encode({"alg": alg, "kid": "one"}, dict(claims), key, algorithms=[alg])


def plain(content):
    """A part of a token."""
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def public(*keys):
    return KeySet([signing_key(key.as_dict(private=False)) for key in keys])


def judge(**changes):
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    require_claims(claims, issuer=ISSUER, client_id=CLIENT, nonce="n", now=NOW)


def test_a_token_of_the_provider_says_what_it_says():
    assert signed_claims(token(), public(KEY), ALGORITHMS) == CLAIMS
    judge()
    judge(aud=[CLIENT], azp=CLIENT)


def test_a_token_that_another_key_signed_is_refused():
    with pytest.raises(UnknownKey):
        signed_claims(token(OTHER), public(KEY), ALGORITHMS)


def test_a_token_that_was_changed_is_refused():
    head, _, signature = token().split(".")
    with pytest.raises(LoginRefused):
        signed_claims(f"{head}.{plain({**CLAIMS, 'sub': '43'})}.{signature}", public(KEY), ALGORITHMS)


def test_a_token_without_a_signature_is_refused():
    head = plain({"alg": "none", "kid": "one"})
    _, body, _ = token().split(".")
    for bare in (f"{head}.{body}.", f"{head}.{body}"):
        with pytest.raises(LoginRefused, match="read or trusted"):
            signed_claims(bare, public(KEY), ALGORITHMS)


def test_a_public_key_is_not_taken_for_a_shared_secret():
    head, body = plain({"alg": "HS256", "kid": "one"}), plain(CLAIMS)
    signature = hmac.digest(KEY.as_pem(private=False), f"{head}.{body}".encode(), "sha256")
    signed = f"{head}.{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    with pytest.raises(LoginRefused):
        signed_claims(signed, public(KEY), (*ALGORITHMS, "HS256"))


def test_a_signature_of_another_kind_than_the_settings_name_is_refused():
    with pytest.raises(LoginRefused):
        signed_claims(token(), public(KEY), ("RS256",))


@pytest.mark.parametrize(
    "described",
    [
        {"kty": "oct", "k": "c2VjcmV0"},
        {**KEY.as_dict(private=False), "use": "enc"},
        {**KEY.as_dict(private=False), "crv": "P-999"},
        {"kty": "ML-DSA"},
        {"kty": "EC"},
        "key",
    ],
)
def test_what_is_no_public_key_for_signatures_is_passed_over(described):
    assert signing_key(described) is None


@pytest.mark.filterwarnings("ignore:Key size")
def test_a_short_rsa_key_is_passed_over():
    assert signing_key(RSAKey.generate_key(1024, private=False).as_dict()) is None
    assert signing_key(RSAKey.generate_key(2048, private=False).as_dict()) is not None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"iss": "https://idp.example/other"}, "iss"),
        ({"iss": f"{ISSUER}/"}, "iss"),
        ({"iss": None}, "iss"),
        ({"aud": "somebody"}, "aud"),
        ({"aud": [CLIENT, "somebody"]}, "aud"),
        ({"aud": [CLIENT, "somebody"], "azp": CLIENT}, "aud"),
        ({"aud": []}, "aud"),
        ({"azp": "somebody"}, "aud"),
        ({"exp": SECONDS - 61}, "exp"),
        ({"exp": None}, "exp"),
        ({"exp": "tomorrow"}, "exp"),
        ({"iat": SECONDS + 61}, "iat"),
        ({"iat": None}, "iat"),
        ({"nbf": SECONDS + 61}, "nbf"),
        ({"nonce": "m"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"nonce": ["n"]}, "sub"),
        ({"sub": ""}, "sub"),
        ({"sub": None}, "sub"),
        ({"sub": 42}, "sub"),
        ({"sub": "x" * 256}, "sub"),
        ({"sub": "4\0002"}, "sub"),
        ({"sub": "\ud800"}, "sub"),
    ],
)
def test_a_token_that_is_not_for_this_login_is_refused(changes, named):
    with pytest.raises(LoginRefused, match=rf"\b{named}\b") as refused:
        judge(**changes)
    assert refused.value.reason.code == "oidc_claims"


def test_a_token_that_is_nested_without_end_is_refused():
    with pytest.raises(LoginRefused, match="read or trusted"):
        signed_claims(
            serialize_compact({"alg": "ES256", "kid": "one"}, b"[" * 90_000, KEY), public(KEY), ALGORITHMS
        )


def test_clocks_may_differ_a_little():
    judge(exp=SECONDS - 59, iat=SECONDS + 59)


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({"groups": ["readers"]}, "viewer"),
        ({"groups": "readers"}, "viewer"),
        ({"groups": ["readers", "bosses"]}, "admin"),
        ({"groups": ["READERS"]}, None),
        ({"groups": []}, None),
        ({"groups": {"readers": 1}}, None),
        ({"groups": [["readers"], 1, None]}, None),
        ({}, None),
    ],
)
def test_the_first_role_of_the_settings_counts_and_without_one_there_is_none(claims, role):
    terms = Oidc(**{**TERMS, "roles": {"admin": ["bosses"], "viewer": ["readers", "guests"]}})
    assert role_of(terms, claims) == role


def test_roles_may_lie_deeper_in_the_token():
    terms = Oidc(**TERMS, role_claim=("resource_access", "my.client", "roles"))
    assert role_of(terms, {"resource_access": {"my.client": {"roles": ["readers"]}}}) == "viewer"
    assert role_of(terms, {"resource_access": ["my.client"]}) is None
    assert name_of(terms, {"preferred_username": "petra"}) == "petra"
    assert name_of(terms, {"preferred_username": ["petra"]}) == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "http://idp.example"},
        {"url": "http://myo.example"},
        {"scopes": ["profile"]},
        {"roles": {}},
        {"roles": {"viewer": []}},
        {"roles": {"sender": "x"}},
        {"algorithms": ["none"]},
        {"algorithms": ["HS256"]},
        {"algorithms": []},
        {"role_claim": []},
        {"nonsense": 1},
    ],
)
def test_settings_that_are_not_safe_are_refused(wrong):
    with pytest.raises(ValidationError):
        Oidc(**{**TERMS, **wrong})


def test_a_way_there_leads_back_for_ten_minutes():
    trip = Trip.begin(NOW, "/status")
    back = Trip.read(trip.cookie())
    assert back == trip
    assert back.fits(trip.state, NOW + LONGEST)
    assert not back.fits(trip.state, NOW + LONGEST + timedelta(seconds=1))
    assert not back.fits(Trip.begin(NOW, "/status").state, NOW)
    assert not back.fits("", NOW)
    assert len({trip.state, trip.nonce, trip.verifier, trip.challenge, trip.secret}) == 5


def test_whoever_changes_the_cookie_has_another_state():
    trip = Trip.begin(NOW, "/status")
    later = Trip(secret=trip.secret, started=trip.started + 600, next_path=trip.next_path)
    elsewhere = Trip(secret=trip.secret, started=trip.started, next_path="/audit")
    assert not later.fits(trip.state, NOW)
    assert not elsewhere.fits(trip.state, NOW)


@pytest.mark.parametrize("cookie", ["", "x", "W10", "bnVsbA", "WyIiLDAsIiJd", "WzEsMiwzXQ", "é", "A" * 2000])
def test_a_cookie_that_is_none_of_ours_is_no_way(cookie):
    assert Trip.read(cookie) is None


@pytest.mark.parametrize(
    "content", [r'["\ud800", 1, ""]', f'["secret", {"9" * 600}, ""]', '["secret", -1, ""]', "[" * 760]
)
def test_a_cookie_that_somebody_made_up_breaks_nothing(content):
    assert Trip.read(base64.urlsafe_b64encode(content.encode()).decode()) is None


def test_an_address_is_of_the_issuer_only_with_its_scheme_host_and_port():
    assert oidc.origin_of("https://idp.example/x") == oidc.origin_of("https://idp.example:443")
    for other in ("http://idp.example", "https://idp.example:444", "https://idp.example.evil", "https://x:y"):
        assert oidc.origin_of(other) != oidc.origin_of("https://idp.example")
