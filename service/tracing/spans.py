"""What a span is, and where it stands in its trace."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

Value = str | int | float | bool


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where spans go: an OTLP/HTTP receiver."""

    #: With its path, such as ``http://collector:4318/v1/traces``.
    endpoint: str
    #: File with the content of the header Authorization.
    authorization_file: Path | None = None
    #: Certificates that are trusted instead of those of the system.
    ca_file: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Place:
    """One span within its trace."""

    trace_id: int
    span_id: int

    @classmethod
    def of(cls, text: str) -> "Place":
        """From a ``traceparent`` (W3C Trace Context, 3.2.2)."""
        _, trace_id, span_id, _ = text.split("-")
        return cls(trace_id=int(trace_id, 16), span_id=int(span_id, 16))

    def __str__(self) -> str:
        """As a ``traceparent`` of version 00, sampled."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-01"

    @classmethod
    def new(cls) -> "Place":
        """The first span of a new trace."""
        return cls(trace_id=_random(128), span_id=_random(64))

    def child(self) -> "Place":
        """A new span of the same trace."""
        return Place(trace_id=self.trace_id, span_id=_random(64))


@dataclass(frozen=True, kw_only=True)
class Span:
    """Something that was done."""

    name: str
    place: Place
    #: None: the first span of its trace.
    parent: Place | None
    start: datetime
    end: datetime
    ok: bool = True
    attributes: Mapping[str, Value]


def _random(bits: int) -> int:
    """Not zero, which means that there is none."""
    return secrets.randbits(bits) or 1
