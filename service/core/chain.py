"""The audit record as a chain: each line carries a hash over itself and over the line before it.

Whoever changes, takes out, puts in or swaps lines has to compute every later hash anew; and then the last
one is no longer that of the signed heads, which lie outside the database. A head is the count and the last
hash of the chain at some moment, signed with HMAC-SHA-256 (RFC 2104). What was written after the last head
may be cut off unseen: that window is as long as the time between two heads.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

#: What stands before the first line.
GENESIS: Final = "0" * 64

Kind = Literal["changed", "missing", "cut", "other_head", "forged_head", "no_head"]
#: What each fault says to a person.
EXPLAINED: Final[dict[Kind, str]] = {
    "changed": "the line is not what was sealed: it was changed, put in, or another took its place",
    "missing": "lines before this one were taken out",
    "cut": "a signed head counts more lines than there are: the end was cut off",
    "other_head": "the hash here is not that of the signed head: lines were sealed anew",
    "forged_head": "the signature of a head does not fit its content",
    "no_head": "a head was due here and is not there: heads were taken away, or could not be written",
}


@dataclass(frozen=True, kw_only=True)
class Link:
    """One sealed line of the record."""

    #: Counts the sealed lines, from 1.
    number: int
    hash: str
    #: What the line says: nothing but texts, numbers, None, and lists and mappings of these.
    content: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Head:
    """How far the chain had come at some moment."""

    #: ISO 8601, UTC.
    at: str
    count: int
    hash: str
    signature: str


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that is wrong with the record, and at which line."""

    kind: Kind
    number: int


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a look at the whole chain found."""

    #: Lines that were looked at.
    lines: int
    last_hash: str
    #: The head that counts the most lines, of those with a true signature.
    last_head: Head | None
    faults: tuple[Fault, ...]

    @property
    def anchored(self) -> int:
        """Lines up to the last head with a true signature."""
        return 0 if self.last_head is None else self.last_head.count


def link_hash(previous: str, number: int, content: Mapping[str, Any]) -> str:
    """SHA-256 over the hash of the line before, the number of this one, and what it says."""
    return hashlib.sha256(_text([previous, number, content])).hexdigest()


def signed_head(*, at: str, count: int, last_hash: str, key: bytes) -> Head:
    """A head with its signature."""
    return Head(at=at, count=count, hash=last_hash, signature=_signature(at, count, last_hash, key))


def verify(links: Iterable[Link], heads: Sequence[Head], keys: Sequence[bytes]) -> Verdict:
    """Look at every line, in the order of their numbers, and at every head, signed with any of the keys.

    After a fault the chain is followed from what stands there, so that one changed line is one fault.
    """
    true: list[Head] = []
    faults: list[Fault] = []
    for head in heads:
        if any(_is_true(head, key) for key in keys):
            true.append(head)
        else:
            faults.append(Fault(kind="forged_head", number=head.count))
    wanted: dict[int, set[str]] = {}
    for head in true:
        wanted.setdefault(head.count, set()).add(head.hash)
    lines, previous, expected = 0, GENESIS, 1
    for link in links:
        lines += 1
        if link.number != expected:
            faults.append(Fault(kind="missing", number=link.number))
        elif link.hash != link_hash(previous, link.number, link.content):
            faults.append(Fault(kind="changed", number=link.number))
        if wanted.pop(link.number, {link.hash}) != {link.hash}:
            faults.append(Fault(kind="other_head", number=link.number))
        previous, expected = link.hash, link.number + 1
    if any(count >= expected for count in wanted):
        faults.append(Fault(kind="cut", number=expected))
    return Verdict(
        lines=lines,
        last_hash=previous,
        last_head=max(true, key=lambda head: head.count, default=None),
        faults=tuple(faults),
    )


def _is_true(head: Head, key: bytes) -> bool:
    """Whether the signature is that of the content."""
    return hmac.compare_digest(head.signature, _signature(head.at, head.count, head.hash, key))


def _signature(at: str, count: int, last_hash: str, key: bytes) -> str:
    return hmac.new(key, _text([at, count, last_hash]), hashlib.sha256).hexdigest()


def _text(values: list[Any]) -> bytes:
    """One way to write values, so that the same say the same bytes."""
    return json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8")
