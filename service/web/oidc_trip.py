"""One way of a browser to the provider and back.

The browser keeps one secret in a cookie that scripts cannot read. What goes to the provider (state, nonce,
and the verifier of PKCE) is derived from it, so nothing is kept here while somebody types a password there,
and nobody can fill a table with logins that were begun. The time and the page to return to are derived from
too: whoever changes them in the cookie has another state.
"""

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

#: From the first click to the answer, a second factor included. Chosen by us.
LONGEST: Final = timedelta(minutes=10)
COOKIE: Final = "myoscreen_oidc"
LONGEST_COOKIE: Final = 1024
#: The last second of the year 9999: later ones no clock here knows.
LATEST: Final = 253_402_300_799


@dataclass(frozen=True, kw_only=True)
class Trip:
    """A login at the provider that is under way."""

    secret: str
    #: Seconds since 1970.
    started: int
    next_path: str

    @classmethod
    def begin(cls, now: datetime, next_path: str) -> "Trip":
        """A new one."""
        return cls(secret=secrets.token_urlsafe(32), started=int(now.timestamp()), next_path=next_path)

    @classmethod
    def read(cls, cookie: str) -> "Trip | None":
        """The one that a cookie holds; None where it holds none."""
        if len(cookie) > LONGEST_COOKIE:
            return None
        try:
            secret, started, next_path = json.loads(base64.urlsafe_b64decode(cookie + "==="))
        except (ValueError, TypeError, RecursionError):
            return None
        right = isinstance(secret, str) and secret.isascii() and isinstance(next_path, str)
        if not (right and secret and isinstance(started, int) and 0 <= started <= LATEST):
            return None
        return cls(secret=secret, started=started, next_path=next_path)

    def cookie(self) -> str:
        """What the browser keeps."""
        content = json.dumps([self.secret, self.started, self.next_path])
        return _text(content.encode())

    @property
    def state(self) -> str:
        """Comes back with the answer, and so proves that this browser began the login."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """Stands in the token, and so proves that it was made for this login."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """Goes along with the code, and so proves that the code was given to this login (RFC 7636)."""
        return self._derived("verifier")

    @property
    def challenge(self) -> str:
        """What the provider is told of the verifier beforehand."""
        return _text(hashlib.sha256(self.verifier.encode()).digest())

    def fits(self, state: str, now: datetime) -> bool:
        """Whether an answer with this state belongs to it, and comes in time."""
        age = now.astimezone(UTC).timestamp() - self.started
        return hmac.compare_digest(self.state.encode(), state.encode()) and age <= LONGEST.total_seconds()

    def _derived(self, what: str) -> str:
        message = json.dumps([what, self.started, self.next_path])
        return _text(hmac.new(self.secret.encode(), message.encode(), hashlib.sha256).digest())


def _text(content: bytes) -> str:
    """Bytes as characters that need no quoting: 256 bits are 43."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
