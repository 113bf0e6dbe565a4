"""What each frame of a segmentation is, encoded fast.

Frames of one slice share their source image and position, and frames of one segment its number; each of
these is encoded once. The library, which encodes them anew for every frame, takes half a second for a
long series; the bytes are the same.
"""

from collections.abc import Iterable
from typing import Final

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from service.dicom.explicit import numbers, sequence

#: (5200,9230); only pixels stand behind it.
PER_FRAME: Final = 0x52009230
FRAME_CONTENT: Final = 0x00209111
#: Derivation Image Sequence and Plane Position Sequence: alike in all frames of one slice.
OF_SLICE: Final = frozenset({0x00089124, 0x00209113})
#: Segment Identification Sequence: alike in all frames of one segment.
OF_SEGMENT: Final = frozenset({0x0062000A})


def encode_frame_groups(frames: Iterable[Dataset]) -> bytes:
    """Per-Frame Functional Groups Sequence in Explicit VR Little Endian, with all lengths given."""
    known: dict[tuple[int, ...], bytes] = {}
    return sequence("PerFrameFunctionalGroupsSequence", [_frame(frame, known) for frame in frames])


def _frame(frame: Dataset, known: dict[tuple[int, ...], bytes]) -> bytes:
    """The elements of one frame; ``known`` keeps what other frames repeat."""
    value = frame.FrameContentSequence[0].DimensionIndexValues
    index = (value,) if isinstance(value, int) else tuple(value)
    parts = []
    for tag in sorted(frame.keys()):
        if tag == FRAME_CONTENT:
            parts.append(sequence("FrameContentSequence", [_frame_content(index)]))
            continue
        key = (tag, index[-1]) if tag in OF_SLICE else (tag, index[0]) if tag in OF_SEGMENT else (tag, *index)
        if key not in known:
            known[key] = _by_library(frame, tag)
        parts.append(known[key])
    return b"".join(parts)


def _by_library(frame: Dataset, tag: int) -> bytes:
    """One element as the library encodes it."""
    alone = Dataset()
    alone[tag] = frame[tag]
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_dataset(buffer, alone)
    return buffer.getvalue()


def _frame_content(index: tuple[int, ...]) -> bytes:
    """Dimension Index Values (UL)."""
    return numbers("DimensionIndexValues", index)
