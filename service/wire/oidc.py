"""Login at an OpenID provider: its description and keys, the code for a token, and what the token must say.

The authorization code flow with PKCE (OpenID Connect Core 1.0, RFC 7636, RFC 9700). Signatures are joserfc's
work. Only the host of the issuer is ever connected to, and no redirect is followed.
"""

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

from joserfc.jwk import KeySet

from service.errors import LoginRefused, PeerUnreachable
from service.wire.oidc_token import UnknownKey, require_claims, signed_claims, signing_key
from service.wire.trust import credentials, http_connection, told_plainly

WELL_KNOWN: Final = "/.well-known/openid-configuration"
#: The provider may take so long for one answer: somebody waits before a page. Chosen by us.
ANSWER_SECONDS: Final = 10.0
#: Descriptions and key sets have some kilobytes, userinfo with many groups some more. Chosen by us.
LARGEST_ANSWER: Final = 1 << 20
#: Description and keys are asked for anew after this time, so that a key that is taken back does not live
#: longer; a new key is noticed at once. Chosen by us.
KEPT: Final = timedelta(minutes=10)
#: After a failure nobody waits for the provider again within this time. Chosen by us.
PAUSE: Final = timedelta(seconds=5)
#: So many wait for the provider at a time, so that pages and monitoring keep threads of their own (the
#: library has 40) however slow it is. Chosen by us, as for senders (``service.web.context``).
MOST_WAITING: Final = 8
NEEDED: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")
#: Not every provider has these.
OPTIONAL: Final = ("userinfo_endpoint", "end_session_endpoint")


@dataclass(frozen=True, kw_only=True)
class Registration:
    """What the provider and we agreed on."""

    issuer: str
    client_id: str
    #: File with the client's secret; None: a public client, which PKCE alone protects.
    secret_file: Path | None
    #: Where the provider sends people back to.
    redirect_uri: str
    scopes: tuple[str, ...]
    #: Signatures that are taken (RFC 7518, 3.1), asymmetric ones alone.
    algorithms: tuple[str, ...]
    #: Claims that are asked for by userinfo where the token has them not.
    claims: tuple[str, ...]
    #: Certificates that are trusted instead of those of the system.
    ca_file: Path | None = None


class Provider:
    """One provider, its description and keys kept for a while."""

    def __init__(self, registration: Registration, *, clock: Callable[[], datetime]) -> None:
        self._ours = registration
        self._clock = clock
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(MOST_WAITING)
        self._about: dict[str, Any] | None = None
        self._keys: KeySet | None = None
        self._at: datetime | None = None
        self._failed_at: datetime | None = None

    def login_address(self, *, state: str, nonce: str, challenge: str) -> str:
        """Where a browser is sent to log in. Raises LoginRefused, PeerUnreachable."""
        query = {
            "response_type": "code",
            "client_id": self._ours.client_id,
            "redirect_uri": self._ours.redirect_uri,
            "scope": " ".join(self._ours.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        with self._waiting():
            return _with_query(self._describe()["authorization_endpoint"], query)

    def logout_address(self, *, return_to: str) -> str | None:
        """Where a browser ends its login at the provider (RP-Initiated Logout 1.0); None where it has none.

        No token goes along, because none is kept: the provider asks the person.
        """
        try:
            with self._waiting():
                address = self._describe().get("end_session_endpoint")
        except (LoginRefused, PeerUnreachable):
            return None
        query = {"client_id": self._ours.client_id, "post_logout_redirect_uri": return_to}
        return _with_query(address, query) if address else None

    def require_sender(self, issuer: str | None) -> None:
        """Refuse an answer that another provider sent (RFC 9207). Raises LoginRefused, PeerUnreachable."""
        with self._waiting():
            says_so = self._describe().get("authorization_response_iss_parameter_supported") is True
        if issuer != self._ours.issuer and (issuer is not None or says_so):
            raise LoginRefused("The answer is of another provider.", reason="oidc_sender")

    def redeem(self, *, code: str, verifier: str, nonce: str) -> dict[str, Any]:
        """What the provider says of the person for this code. Raises LoginRefused, PeerUnreachable."""
        with self._waiting():
            return self._redeemed(code, verifier, nonce)

    def _redeemed(self, code: str, verifier: str, nonce: str) -> dict[str, Any]:
        tokens = self._tokens(code, verifier)
        claims = self._verify(tokens.get("id_token"), nonce)
        access, userinfo = tokens.get("access_token"), self._describe().get("userinfo_endpoint")
        if userinfo and isinstance(access, str) and any(name not in claims for name in self._ours.claims):
            more = self._more(userinfo, access)
            # OIDC Core 5.3.2: without the same subject nothing of it may be used.
            if more.get("sub") == claims["sub"]:
                claims = {**more, **claims}
        return claims

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """A place among those who wait for the provider. Raises PeerUnreachable where none is left."""
        if not self._places.acquire(blocking=False):
            raise PeerUnreachable("Too many wait for the provider already.")
        try:
            yield
        finally:
            self._places.release()

    def _tokens(self, code: str, verifier: str) -> dict[str, Any]:
        """The answer of the token endpoint."""
        about = self._describe()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._ours.redirect_uri,
            "code_verifier": verifier,
            "client_id": self._ours.client_id,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if self._ours.secret_file is not None:
            secret = credentials(self._ours.secret_file)
            methods = about.get("token_endpoint_auth_methods_supported")
            # Without a list it is basic (OpenID Connect Discovery 1.0, 3).
            if not isinstance(methods, list) or "client_secret_basic" in methods:
                # RFC 6749, 2.3.1: both are form-encoded first.
                pair = f"{quote_plus(self._ours.client_id)}:{quote_plus(secret)}"
                headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
            else:
                form["client_secret"] = secret
        status, content = self._call(
            "POST", about["token_endpoint"], headers=headers, body=urlencode(form).encode()
        )
        answer = _object(content)
        if status != HTTPStatus.OK or answer is None:
            said = str((answer or {}).get("error", ""))
            code_word = said if re.fullmatch(r"[a-z_]{1,40}", said) else f"HTTP {status}"
            raise LoginRefused(
                f"The provider did not take the code: {code_word}.", reason="oidc_code_refused"
            )
        return answer

    def _verify(self, token: object, nonce: str) -> dict[str, Any]:
        """The claims of an ID token that is truly meant for this login (OIDC Core 3.1.3.7)."""
        if not isinstance(token, str):
            raise LoginRefused("The provider gave no ID token.", reason="oidc_token")
        keys, fresh = self._key_set()
        try:
            claims = signed_claims(token, keys, self._ours.algorithms)
        except UnknownKey:
            if fresh:
                raise
            # The provider has changed its keys.
            claims = signed_claims(token, self._key_set(anew=True)[0], self._ours.algorithms)
        require_claims(
            claims, issuer=self._ours.issuer, client_id=self._ours.client_id, nonce=nonce, now=self._clock()
        )
        return claims

    def _more(self, address: str, access: str) -> dict[str, Any]:
        """What userinfo says; nothing where it cannot be read."""
        headers = {"Authorization": f"Bearer {access}", "Accept": "application/json"}
        status, content = self._call("GET", address, headers=headers)
        return (_object(content) or {}) if status == HTTPStatus.OK else {}

    def _describe(self) -> dict[str, Any]:
        """The description of the provider (OpenID Connect Discovery 1.0)."""
        with self._lock:
            now = self._clock()
            if self._about is not None and self._at is not None and now - self._at < KEPT:
                return self._about
            if self._failed_at is not None and now - self._failed_at < PAUSE:
                raise PeerUnreachable("The provider could not be asked a moment ago.")
            try:
                about = self._checked(self._ask(self._ours.issuer.rstrip("/") + WELL_KNOWN))
            except (LoginRefused, PeerUnreachable):
                # From now on, not from the question on: it may have been waited for longer than the pause.
                self._failed_at = self._clock()
                raise
            self._about, self._keys, self._at, self._failed_at = about, None, now, None
            return about

    def _checked(self, about: dict[str, Any]) -> dict[str, Any]:
        """The description, if it is of this issuer and every address that is needed is on the issuer's host.

        What is not needed and is elsewhere (as the userinfo of Microsoft Entra ID is) is left out.
        """
        if about.get("issuer") != self._ours.issuer:
            raise LoginRefused("The provider calls itself by another issuer.", reason="oidc_discovery")
        for name in NEEDED:
            if not self._is_theirs(about.get(name)):
                raise LoginRefused(f"{name} is not on the host of the issuer.", reason="oidc_discovery")
        foreign = [name for name in OPTIONAL if not self._is_theirs(about.get(name))]
        return {name: said for name, said in about.items() if name not in foreign}

    def _is_theirs(self, address: object) -> bool:
        """Whether this is an address on the issuer's host."""
        return isinstance(address, str) and origin_of(address) == origin_of(self._ours.issuer)

    def _key_set(self, *, anew: bool = False) -> tuple[KeySet, bool]:
        """The provider's keys for signatures, and whether they were fetched just now."""
        address = self._describe()["jwks_uri"]
        with self._lock:
            if self._keys is not None and not anew:
                return self._keys, False
            listed = self._ask(address).get("keys")
            listed = listed if isinstance(listed, list) else []
            keys = [key for each in listed if (key := signing_key(each)) is not None]
            if not keys:
                raise LoginRefused("The provider has no key that can be used.", reason="oidc_discovery")
            self._keys = KeySet(keys)
            return self._keys, True

    def _ask(self, address: str) -> dict[str, Any]:
        """A JSON object from the provider."""
        status, content = self._call("GET", address, headers={"Accept": "application/json"})
        found = _object(content)
        if status != HTTPStatus.OK or found is None:
            raise PeerUnreachable(f"The provider answered HTTP {status}.", reason="http_status")
        return found

    def _call(
        self, method: str, address: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> tuple[int, bytes]:
        """Status and content of one answer. Raises PeerUnreachable."""
        parts = urlsplit(address)
        connection = http_connection(
            parts.scheme, parts.hostname or "", parts.port, ca_file=self._ours.ca_file, seconds=ANSWER_SECONDS
        )
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        end = time.monotonic() + ANSWER_SECONDS
        with told_plainly(), closing(connection):
            connection.request(method, target, body=body, headers=dict(headers))
            with connection.getresponse() as answer:
                content = bytearray()
                while chunk := answer.read1(65536):
                    content += chunk
                    if len(content) > LARGEST_ANSWER or time.monotonic() > end:
                        raise TimeoutError
                return answer.status, bytes(content)


def origin_of(address: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of an address; all empty where it is none."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return "", None, None
    return parts.scheme, parts.hostname, port or {"https": 443, "http": 80}.get(parts.scheme)


def _with_query(address: str, query: Mapping[str, str]) -> str:
    return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}"


def _object(content: bytes) -> dict[str, Any] | None:
    """A JSON object, None where the content is none."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
