"""Whether two files under one SOP instance UID are the same image, and if so, of the same person.

Pixels are compared as they are encoded: nothing is decoded here, where the worker itself reads.
"""

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from service.core.status import Difference
from service.dicom.edges import UNDEFINED_LENGTH
from service.dicom.headers import Attributes, Header, read_header
from service.errors import UnreadableSeries

#: Where pixels lie and what their values mean: these make another image (PS3.3 C.7.6.2, C.7.6.3, C.7.4.1,
#: C.7.6.16.2 for frames). FrameOfReferenceUID, because stations are put together by it.
PLACE: Final = (
    *("SOPClassUID", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PlanarConfiguration"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
    *("FrameOfReferenceUID", "RescaleSlope", "RescaleIntercept"),
)
FRAMES: Final = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
#: What a result says of whom and of what it is about, in the order in which a difference is named. Age and
#: size, because scores are made with them.
IDENTITY: Final = {
    "study": ("StudyInstanceUID", "SeriesInstanceUID"),
    "patient": ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    "demographics": ("PatientAge", "PatientSize"),
    "order": ("AccessionNumber", "StudyDate"),
}
#: Native pixels have the same bytes in these (PS3.5 A.1, A.2).
_PLAIN: Final = {ImplicitVRLittleEndian, ExplicitVRLittleEndian}
_PIECE: Final = 1 << 20
#: PS3.5 A.4: item, and end of the sequence of fragments.
_ITEM: Final = 0xE000FFFE


def difference(first: Path, other: Path) -> tuple[Difference, str]:
    """What the other file is to the first, and a code for what differs."""
    try:
        one, two = read_header(first), read_header(other)
        if one is None or two is None:
            return Difference.NOT_COMPARED, "unreadable"
        if not _comparable(one, two):
            return Difference.NOT_COMPARED, "encoding"
        if _places(one.dataset) != _places(two.dataset):
            return Difference.CONFLICT, "geometry"
        if _pixel_digest(first, one) != _pixel_digest(other, two):
            return Difference.CONFLICT, "pixels"
    except (UnreadableSeries, OSError):
        return Difference.NOT_COMPARED, "unreadable"
    return _of_whom(Attributes((one.dataset,)), Attributes((two.dataset,)))


def _comparable(one: Header, two: Header) -> bool:
    """Whether equal pixels have equal bytes in both."""
    syntaxes = {one.transfer_syntax_uid, two.transfer_syntax_uid}
    readable = all(header.pixel_offset is not None and header.pixel_offset >= 0 for header in (one, two))
    return readable and (len(syntaxes) == 1 or syntaxes <= _PLAIN)


def _of_whom(one: Attributes, two: Attributes) -> tuple[Difference, str]:
    """What differs of patient, study and order; nothing else matters to a result."""
    for code, keywords in IDENTITY.items():
        if any(_said(one, keyword) != _said(two, keyword) for keyword in keywords):
            return Difference.IDENTITY, code
    return Difference.SAME_PIXELS, "header"


def _said(attributes: Attributes, keyword: str) -> object:
    """A value as it is compared: numbers as numbers, a name without empty parts at its end."""
    if keyword == "PatientSize":
        return attributes.number(keyword)
    text = attributes.text(keyword)
    return text.rstrip("^= ") if keyword == "PatientName" else text


def _places(dataset: Dataset) -> list[tuple[str, tuple[object, ...]]]:
    """All that says where the pixels lie, frame by frame, as values that can be compared."""
    attributes = Attributes((dataset,))
    found = [(keyword, _values(attributes, keyword)) for keyword in PLACE]
    for keyword in FRAMES:
        for group in attributes.items(keyword):
            for element in group:
                for item in Attributes((group,)).items(element.keyword):
                    inner = Attributes((item,))
                    found += [(name, _values(inner, name)) for name in PLACE if name in item]
    return found


def _values(attributes: Attributes, keyword: str) -> tuple[object, ...]:
    return attributes.numbers(keyword) or attributes.texts(keyword)


def _pixel_digest(path: Path, header: Header) -> str:
    """SHA-256 of the pixels as they are encoded; of compressed ones without the table of offsets."""
    assert header.pixel_offset is not None
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(header.pixel_offset)
        if header.pixel_length == UNDEFINED_LENGTH:
            for number, length in enumerate(_fragments(file)):
                if number == 0:
                    file.seek(length, 1)
                else:
                    _digest_piece(file, length, digest)
        else:
            _digest_piece(file, header.pixel_length or 0, digest)
    return digest.hexdigest()


def _fragments(file: BinaryIO) -> Iterator[int]:
    """The length of each item; whoever asks reads its bytes before the next."""
    while len(head := file.read(8)) == 8:
        tag, length = struct.unpack("<LL", head)
        if tag != _ITEM:
            return
        yield length


def _digest_piece(file: BinaryIO, length: int, digest: "hashlib._Hash") -> None:
    """Add so many bytes, as far as they are there."""
    while length and (piece := file.read(min(length, _PIECE))):
        digest.update(piece)
        length -= len(piece)
