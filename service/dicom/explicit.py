"""Elements in Explicit VR Little Endian (PS3.5 7.1.2), encoded here where there are thousands of them.

The library takes a fifth of a millisecond for an item of a few elements; the bytes are the same.
"""

import struct
from collections.abc import Iterable
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.tag import Tag

#: The most that the short length field of FL, US or text can say, in bytes (PS3.5 7.1.2).
LONGEST_BYTES: Final = 0xFFFE
_ITEM_TAG: Final = b"\xfe\xff\x00\xe0"
_NUMBERS: Final = {"US": "<u2", "UL": "<u4", "FL": "<f4"}
#: What makes the length of a value even (PS3.5 6.2).
_PADDING: Final[dict[str, bytes]] = {"UI": b"\0"}


def text(keyword: str, value: str) -> bytes:
    """An element of text in UTF-8, also a number that is written as text (IS) or a UID."""
    tag, vr = _named(keyword)
    raw = value.encode()
    if len(raw) % 2:
        raw += _PADDING.get(vr, b" ")
    return _short(tag, vr, raw)


def numbers(keyword: str, values: ArrayLike) -> bytes:
    """An element of binary numbers (US, UL, FL), in the order of the array's rows."""
    tag, vr = _named(keyword)
    return _short(tag, vr, np.asarray(values, dtype=_NUMBERS[vr]).tobytes())


def sequence(keyword: str, items: Iterable[bytes]) -> bytes:
    """A sequence of items, each the elements of one item in the order of their tags."""
    tag, _ = _named(keyword)
    content = b"".join([_ITEM_TAG + struct.pack("<I", len(item)) + item for item in items])
    return tag + struct.pack("<2sHI", b"SQ", 0, len(content)) + content


def _short(tag: bytes, vr: str, raw: bytes) -> bytes:
    """An element with a short length field; ValueError where the value does not fit into it."""
    if len(raw) > LONGEST_BYTES:
        raise ValueError(f"A value of {len(raw)} bytes has no place in an element of type {vr}.")
    return tag + struct.pack("<2sH", vr.encode(), len(raw)) + raw


@cache
def _named(keyword: str) -> tuple[bytes, str]:
    """The encoded tag and the value representation of DICOM's keyword."""
    tag = Tag(tag_for_keyword(keyword) or 0)
    return struct.pack("<HH", tag.group, tag.element), dictionary_VR(tag)
