"""Requests of STOW-RS, right or wrong, byte by byte."""

from collections.abc import Sequence
from pathlib import Path

from service.db import people
from tests.make import ledger
from tests.make.web import World

BOUNDARY = "a-boundary-of-these-tests"
CONTENT_TYPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


def body_of(
    parts: Sequence[bytes | Path], *, kind: str | None = "application/dicom", end: bool = True
) -> bytes:
    """A multipart message; without an ``end`` it breaks off behind the last part."""
    head = b"" if kind is None else f"Content-Type: {kind}\r\n".encode("latin-1")
    body = b"".join(
        b"--" + BOUNDARY.encode() + b"\r\n" + head + b"\r\n" + _bytes(part) + b"\r\n" for part in parts
    )
    return body + (f"--{BOUNDARY}--\r\n".encode() if end else b"")


def _bytes(part: bytes | Path) -> bytes:
    return part if isinstance(part, bytes) else part.read_bytes()


def sender_key(world: World, *, name: str = "router") -> str:
    """A key that may send."""
    with world.sessions.begin() as session:
        return people.add_key(session, name=name, role="sender", now=ledger.NOW, actor="test")


def reasons(answer: dict) -> dict[str, int]:
    """Failure reason by SOP instance UID, of the objects that failed by name."""
    items = answer.get("00081198", {}).get("Value", [])
    return {item["00081155"]["Value"][0]: item["00081197"]["Value"][0] for item in items}


def stored(answer: dict) -> list[str]:
    """SOP instance UIDs of what the answer names as stored."""
    return [item["00081155"]["Value"][0] for item in answer.get("00081199", {}).get("Value", [])]
