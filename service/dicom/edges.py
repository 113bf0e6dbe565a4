"""Where a header begins, and whether and where it ends in front of the pixels."""

import struct
from typing import BinaryIO, Final

from pydicom.dataset import Dataset

from service.dicom.bounded import PIXEL_ELEMENTS, Inflating

#: PS3.5 7.1.2: value representations whose length field has four bytes.
LONG_LENGTH_VRS: Final = {b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN", b"SQ", b"UT", b"UC", b"UR"}
UNDEFINED_LENGTH: Final = 0xFFFFFFFF


def looks_like_dataset(start: bytes, size: int) -> bool:
    """Whether the bytes begin with an element of group 0002 or 0008 of plausible length."""
    if len(start) < 8:
        return False
    for order in "<", ">":
        group, element, length = struct.unpack(order + "HHL", start[:8])
        if group in (0x0002, 0x0008) and element < 0x0100:
            vr = start[4:6]
            explicit = vr.isalpha() and vr.isupper()
            if explicit or (order == "<" and length < size):
                return True
    return False


def find_pixels(file: BinaryIO, dataset: Dataset) -> tuple[int, int] | None:
    """Offset and length of the pixel value where reading stopped in front of it."""
    implicit, little = dataset.original_encoding
    order = "<" if little else ">"
    start = file.tell()
    head = file.read(12)
    file.seek(start)
    if len(head) < 8:
        return None
    group, element = struct.unpack(order + "HH", head[:4])
    if (group << 16 | element) not in PIXEL_ELEMENTS:
        return None
    if not implicit and head[4:6] in LONG_LENGTH_VRS and len(head) == 12:
        return (start + 12, struct.unpack(order + "L", head[8:12])[0])
    return (start + 8, struct.unpack(order + "L", head[4:8])[0])


def is_cut(file: BinaryIO, dataset: Dataset, size: int) -> bool:
    """Whether the file ended inside an element."""
    if file.tell() > size and not isinstance(file, Inflating):
        return True
    tags = sorted(dataset.keys())
    if not tags:
        return True
    last = dataset.get_item(tags[-1])
    length, value = getattr(last, "length", None), getattr(last, "value", None)
    if length is None or length == UNDEFINED_LENGTH or not isinstance(value, bytes):
        return False
    return len(value) < int(length)
