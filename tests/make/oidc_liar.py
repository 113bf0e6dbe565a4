"""An OpenID provider on loopback that says whatever a test has it say."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey

KEY = ECKey.generate_key("P-256", parameters={"kid": "known"})
STRANGE = ECKey.generate_key("P-256", parameters={"kid": "known"})


@dataclass
class Liar:
    """What it says, and what it was asked."""

    port: int = 0
    #: Added to, or instead of, the right description, claims and answers by path (status, headers, body).
    about: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    key: ECKey = field(default_factory=lambda: KEY)
    #: A whole ID token instead of a signed one.
    token: str | None = None
    asked: list[str] = field(default_factory=list)
    nonce: str = ""
    now: int = 0

    @property
    def issuer(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def said(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """The answer at a path."""
        self.asked.append(path)
        if path in self.answers:
            return self.answers[path]
        if path == "/.well-known/openid-configuration":
            return self._json(self._about())
        if path == "/jwks":
            return self._json({"keys": [KEY.as_dict(private=False)]})
        return self._json({"id_token": self.token or self.signed(), "token_type": "Bearer"})

    def signed(self) -> str:
        """An ID token for the login that is under way."""
        right = {"iss": self.issuer, "aud": "myoscreen", "sub": "7", "nonce": self.nonce, "iat": self.now}
        right |= {"exp": self.now + 300, "groups": ["myo-readers"], "preferred_username": "lara"}
        claims = {name: value for name, value in {**right, **self.claims}.items() if value is not None}
        return jwt.encode({"alg": "ES256", "kid": "known"}, claims, self.key, algorithms=["ES256"])

    def _about(self) -> dict[str, Any]:
        places = {"authorization_endpoint": "auth", "token_endpoint": "token", "jwks_uri": "jwks"}
        return {
            "issuer": self.issuer,
            **{name: f"{self.issuer}/{place}" for name, place in places.items()},
            **self.about,
        }

    @staticmethod
    def _json(content: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "application/json"}, json.dumps(content).encode()


@contextmanager
def liar() -> Iterator[Liar]:
    """The provider while the block lasts."""
    told = Liar()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer()

        def _answer(self) -> None:
            status, headers, body = told.said(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
