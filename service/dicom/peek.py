"""Elements at the beginning of an encoded dataset, found by walking over the others.

The parser of the DICOM library takes half a millisecond for each image; a walk takes a tenth of it.
What is unusual is not guessed at: the answer is None then, and the library reads it.
"""

import struct
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from service.dicom.edges import LONG_LENGTH_VRS, UNDEFINED_LENGTH

IMPLICIT: Final = "1.2.840.10008.1.2"
#: Explicit VR, but not little endian as it is; everything else but IMPLICIT is (PS3.5 A.4).
UNUSUAL: Final = frozenset({"1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"})
#: PS3.5 6.2, those whose length field has two bytes.
SHORT_LENGTH_VRS: Final = frozenset(
    {
        *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO"),
        *(b"LT", b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"),
    }
)
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
#: Sequences within sequences that are followed; headers have two or three. Chosen by us.
DEEPEST: Final = 8
_EXPLICIT = struct.Struct("<HH2sH")
_PLAIN = struct.Struct("<HHI")
_LONG = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Element:
    """One element as it is encoded, and its value."""

    encoded: bytes
    value: bytes


class _Unusual(Exception):
    """Nothing for a quick look."""


def peek_elements(
    head: bytes | bytearray, transfer_syntax_uid: str, tags: Collection[int], *, last_tag: int
) -> dict[int, Element] | None:
    """The elements with these tags up to ``last_tag``; None where ``head`` ends before or is unusual."""
    if transfer_syntax_uid in UNUSUAL:
        return None
    implicit = transfer_syntax_uid == IMPLICIT
    found: dict[int, Element] = {}
    at = 0
    try:
        while True:
            tag, vr, start, length = _element(head, at, implicit=implicit)
            if tag > last_tag:
                return found
            after = start + length
            if length == UNDEFINED_LENGTH:
                after = _after_sequence(head, start, vr, implicit=implicit, depth=1)
            if after > len(head):
                return None
            if tag in tags:
                found[tag] = Element(encoded=bytes(head[at:after]), value=bytes(head[start:after]))
            at = after
    except (_Unusual, struct.error):
        return None


def _element(head: bytes | bytearray, at: int, *, implicit: bool) -> tuple[int, bytes, int, int]:
    """Tag, value representation, start and length of the element at an offset."""
    if implicit:
        group, element, length = _PLAIN.unpack_from(head, at)
        return group << 16 | element, b"SQ", at + 8, length
    group, element, vr, length = _EXPLICIT.unpack_from(head, at)
    if vr in SHORT_LENGTH_VRS:
        return group << 16 | element, vr, at + 8, length
    if vr not in LONG_LENGTH_VRS:
        raise _Unusual
    return group << 16 | element, vr, at + 12, _LONG.unpack_from(head, at + 8)[0]


def _after_sequence(head: bytes | bytearray, at: int, vr: bytes, *, implicit: bool, depth: int) -> int:
    """Where a sequence of undefined length ends (PS3.5 7.5)."""
    if vr != b"SQ" or depth > DEEPEST:
        raise _Unusual
    while True:
        group, element, length = _PLAIN.unpack_from(head, at)
        at += _PLAIN.size
        tag = group << 16 | element
        if tag == SEQUENCE_END:
            return at
        if tag != ITEM:
            raise _Unusual
        at = (
            _after_item(head, at, implicit=implicit, depth=depth)
            if length == UNDEFINED_LENGTH
            else at + length
        )


def _after_item(head: bytes | bytearray, at: int, *, implicit: bool, depth: int) -> int:
    """Where an item of undefined length ends."""
    while True:
        group, element, _ = _PLAIN.unpack_from(head, at)
        if group << 16 | element == ITEM_END:
            return at + _PLAIN.size
        _, vr, start, length = _element(head, at, implicit=implicit)
        if length == UNDEFINED_LENGTH:
            at = _after_sequence(head, start, vr, implicit=implicit, depth=depth + 1)
        else:
            at = start + length
