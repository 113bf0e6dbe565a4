"""A real OpenID provider on loopback by HTTPS, and a person who logs in there."""

import hashlib
import json
import os
import re
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx
import pytest

from service.settings import Oidc
from tests.make.certificates import Authority
from tests.make.running import free_port

HERE = Path(__file__).resolve().parents[1] / "oidc"
PARTS = ("package.json", "package-lock.json", "provider.mjs")
#: The start of every reason to do without the provider; on the list of allowed skips.
ABSENT = "the OpenID provider cannot be had"
SECONDS = 120
URL = "http://localhost:8080"
SECRET = "s3cret+with/odd:letters&%"
GROUPS = {
    "petra": ["everybody", "myo-readers"],
    "axel": ["myo-admins", "myo-readers"],
    "aurel": ["myo-audit"],
    "nora": ["everybody"],
    "anna": ["myo-readers"],
}
ROLES = {"admin": ("myo-admins",), "auditor": ("myo-audit",), "viewer": ("myo-readers", "myo-guests")}


def installed_provider() -> Path:
    """The folder of the provider, installed once for this user by its lock file; skips where it cannot be."""
    content = b"".join((HERE / part).read_bytes() for part in PARTS)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "myoscreen-tests"
    folder = cache / f"oidc-{hashlib.sha256(content).hexdigest()[:16]}"
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip(f"{ABSENT}: node or npm is not installed")
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        for part in PARTS:
            shutil.copy(HERE / part, scratch)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        try:
            done = subprocess.run(command, cwd=scratch, capture_output=True, check=False, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            pytest.skip(f"{ABSENT}: npm took more than {SECONDS} s")
        if done.returncode:
            pytest.skip(f"{ABSENT}: npm ended with {done.returncode}")
        shutil.copytree(scratch, folder, dirs_exist_ok=True)
    return folder


@dataclass(frozen=True, kw_only=True)
class Provider:
    """Where it listens, and what we need to know of it."""

    issuer: str
    port: int
    authority: Authority
    secret_file: Path

    def terms(self, **changes: Any) -> Oidc:
        """Settings that fit it."""
        values: dict[str, Any] = {
            "issuer": self.issuer,
            "client_id": "myoscreen",
            "client_secret_file": self.secret_file,
            "url": URL,
            "label": "Test hospital",
            "scopes": ("openid", "profile", "groups"),
            "roles": ROLES,
            "ca_file": self.authority.ca,
        }
        return Oidc(**{**values, **changes})


@contextmanager
def start_provider(
    authority: Authority, folder: Path, *, port: int | None = None, claims_by_userinfo: bool = True
) -> Iterator[Provider]:
    """The provider with new keys, until the block ends."""
    home, place = installed_provider(), port or free_port()
    pair = authority.issue("/CN=provider")
    secret_file = folder / "client-secret"
    secret_file.write_text(f"{SECRET}\n", "utf-8")
    issuer = f"https://localhost:{place}"
    terms = {
        "issuer": issuer,
        "port": place,
        "url": URL,
        "client_id": "myoscreen",
        "client_secret": SECRET,
        "certificate": str(pair.certificate),
        "key": str(pair.key),
        "groups": GROUPS,
        "algorithm": "RS256",
        "claims_by_userinfo": claims_by_userinfo,
    }
    with (folder / "provider.log").open("ab") as said:
        process = subprocess.Popen(
            ["node", "provider.mjs", json.dumps(terms)], cwd=home, stdout=subprocess.PIPE, stderr=said
        )
        try:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, b"")
            assert any(line.strip() == b"ready" for line in lines), "the provider ended"
            yield Provider(issuer=issuer, port=place, authority=authority, secret_file=secret_file)
        finally:
            process.terminate()
            process.wait(timeout=30)
            assert process.stdout is not None
            process.stdout.close()


def at_the_provider(provider: Provider, address: str, name: str) -> str:
    """Log in at the provider as this person and consent; the address to which it sends the browser back."""
    trusting = ssl.create_default_context(cafile=str(provider.authority.ca))
    with httpx.Client(verify=trusting) as browser:
        answer = browser.get(address)
        for _ in range(20):
            if answer.is_redirect:
                target = urljoin(str(answer.url), answer.headers["location"])
                if not target.startswith(provider.issuer):
                    return target
                answer = browser.get(target)
                continue
            assert answer.status_code == 200, answer.text
            form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="(\w+)"', answer.text))
            action = re.search(r'<form[^>]*action="([^"]+)"', answer.text)
            assert action is not None, answer.text
            if form["prompt"] == "login":
                form |= {"login": name, "password": "any"}
            answer = browser.post(urljoin(str(answer.url), action[1]), data=form)
    raise AssertionError("the provider did not come to an end")


def path_of(address: str) -> str:
    """Path and query."""
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}"


def query_of(address: str) -> dict[str, str]:
    """The query."""
    return dict(parse_qsl(urlsplit(address).query))
