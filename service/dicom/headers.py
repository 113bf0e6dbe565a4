"""Patient reading of DICOM headers: one place for every way in which a file can be wrong."""

import logging
import math
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final

import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import MediaStorageDirectoryStorage

from service.errors import UnreadableSeries

# What reaches us is accepted if the measurement is not harmed; values are judged where they are used.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
# pydicom's messages quote values, and a value may be a person's name.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

#: What pydicom and its decoders raise for bad content; nothing else may stand for "bad content".
FOREIGN_ERRORS: Final = (
    BytesLengthException,
    InvalidDicomError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
#: A senseless length in a header can ask for more memory than there is.
HEADER_ERRORS: Final = (*FOREIGN_ERRORS, MemoryError)
#: PS3.10 7.1: the prefix stands after a preamble of 128 bytes.
PREAMBLE_BYTES: Final = 128
#: PS3.3 C.7.6.3, C.7.6.24: the three elements that can hold pixels.
PIXEL_ELEMENTS: Final = {0x7FE00008, 0x7FE00009, 0x7FE00010}
#: PS3.5 7.1.2: value representations whose length field has four bytes.
LONG_LENGTH_VRS: Final = {b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN", b"SQ", b"UT", b"UC", b"UR"}
UNDEFINED_LENGTH: Final = 0xFFFFFFFF


@contextmanager
def quiet() -> Iterator[None]:
    """Silence pydicom's warnings, also as a decorator: what is wrong becomes an outcome, or harms nothing."""
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        yield


@dataclass(frozen=True, kw_only=True, eq=False)
class Header:
    """A dataset up to its pixels, and where in the file those lie."""

    dataset: Dataset
    transfer_syntax_uid: str
    #: Offset and length of the pixel element's value, None where the file has no such element.
    pixel_offset: int | None
    pixel_length: int | None


def read_header(path: Path, tags: Sequence[str] | None = None) -> Header | None:
    """Read one file up to its pixels; None is a DICOMDIR, which describes files but is not an image.

    ``tags`` limits what is kept to these keywords. Raises UnreadableSeries with a stable reason.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            force = _check_start(file, size)
            return _read(file, size, tags, force=force)
    except OSError as error:
        raise UnreadableSeries("The file could not be opened or read.", reason="io_error") from error


def _check_start(file: BinaryIO, size: int) -> bool:
    """Refuse what is surely not DICOM; True where the file has no preamble but looks like DICOM."""
    if size == 0:
        raise UnreadableSeries("The file is empty.", reason="empty_file")
    start = file.read(PREAMBLE_BYTES + 4)
    file.seek(0)
    if start[PREAMBLE_BYTES:] == b"DICM":
        return False
    if not _looks_like_dataset(start, size):
        raise UnreadableSeries("The file is not DICOM.", reason="not_dicom")
    return True


def _looks_like_dataset(start: bytes, size: int) -> bool:
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


def _read(file: BinaryIO, size: int, tags: Sequence[str] | None, *, force: bool) -> Header | None:
    """Parse the header and find the pixel element behind it."""
    try:
        dataset = pydicom.dcmread(
            file, stop_before_pixels=True, force=force, specific_tags=list(tags) if tags else None
        )
        meta = dataset.file_meta
        sop_class = str(meta.get("MediaStorageSOPClassUID", ""))
        syntax = str(meta.get("TransferSyntaxUID", "") or _guessed_syntax(dataset))
        if sop_class == MediaStorageDirectoryStorage or "DirectoryRecordSequence" in dataset:
            return None
        if force and "SOPClassUID" not in dataset:
            raise UnreadableSeries("The file is not DICOM.", reason="not_dicom")
        if len(dataset) == 0:
            raise UnreadableSeries("The file ends before its header.", reason="truncated")
        where = _find_pixels(file, dataset, syntax)
        if where is None and _is_cut(file, dataset, size):
            raise UnreadableSeries("The file ends in the middle of its header.", reason="truncated")
    except HEADER_ERRORS as error:
        raise UnreadableSeries("The DICOM header cannot be parsed.", reason="bad_header") from error
    offset, length = where or (None, None)
    return Header(dataset=dataset, transfer_syntax_uid=syntax, pixel_offset=offset, pixel_length=length)


def _guessed_syntax(dataset: Dataset) -> str:
    """The transfer syntax that a file without meta information was parsed with."""
    implicit, little = dataset.original_encoding
    if not little:
        return str(pydicom.uid.ExplicitVRBigEndian)
    return str(pydicom.uid.ImplicitVRLittleEndian if implicit else pydicom.uid.ExplicitVRLittleEndian)


def _find_pixels(file: BinaryIO, dataset: Dataset, syntax: str) -> tuple[int, int] | None:
    """Offset and length of the pixel value where reading stopped in front of it."""
    if syntax == pydicom.uid.DeflatedExplicitVRLittleEndian:
        # The file position means nothing in a deflated stream; decoding reads it as a whole.
        return (-1, UNDEFINED_LENGTH)
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


def _is_cut(file: BinaryIO, dataset: Dataset, size: int) -> bool:
    """Whether the file ended inside an element."""
    if file.tell() > size:
        return True
    tags = sorted(dataset.keys())
    if not tags:
        return True
    last = dataset.get_item(tags[-1])
    length, value = getattr(last, "length", None), getattr(last, "value", None)
    if length is None or length == UNDEFINED_LENGTH or not isinstance(value, bytes):
        return False
    return len(value) < int(length)


def parse_encoded(raw: bytes, transfer_syntax_uid: str, *, last_tag: int) -> Dataset:
    """The attributes up to ``last_tag`` of an encoded dataset without preamble, as C-STORE carries it."""
    syntax = pydicom.uid.UID(transfer_syntax_uid)
    try:
        if syntax == pydicom.uid.DeflatedExplicitVRLittleEndian:
            raw = zlib.decompressobj(-zlib.MAX_WBITS).decompress(raw, INFLATE_LIMIT_BYTES)
        implicit, little = syntax.is_implicit_VR, syntax.is_little_endian
        return pydicom.filereader.read_dataset(
            BytesIO(raw), implicit, little, stop_when=lambda tag, _vr, _length: tag > last_tag
        )
    except HEADER_ERRORS as error:
        raise UnreadableSeries("The DICOM header cannot be parsed.", reason="bad_header") from error


#: Headers are far smaller; a deflated object may not grow without bound (chosen by us).
INFLATE_LIMIT_BYTES: Final = 16 * 2**20


@dataclass(frozen=True, eq=False)
class Attributes:
    """Attribute values by keyword, from the first of several datasets that has one.

    An absent, empty or senseless value is "", () or None; nothing here raises for bad content.
    """

    datasets: tuple[Dataset, ...]

    def texts(self, keyword: str) -> tuple[str, ...]:
        """All values as text, outer blanks removed."""
        for values in self._values(keyword):
            texts = tuple(clean_text(v) for v in values)
            if any(texts):
                return texts
        return ()

    def text(self, keyword: str) -> str:
        """The first value as text."""
        texts = self.texts(keyword)
        return texts[0] if texts else ""

    def code(self, keyword: str) -> str:
        """The first value in capitals, as defined terms are written."""
        return self.text(keyword).upper()

    def codes(self, keyword: str) -> tuple[str, ...]:
        """All values in capitals."""
        return tuple(t.upper() for t in self.texts(keyword))

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """All values as numbers, or nothing where one of them is not finite."""
        for values in self._values(keyword):
            numbers = tuple(as_number(v) for v in values)
            found = tuple(n for n in numbers if n is not None)
            if found and len(found) == len(numbers):
                return found
        return ()

    def number(self, keyword: str) -> float | None:
        """The first value as a number."""
        numbers = self.numbers(keyword)
        return numbers[0] if numbers else None

    def whole(self, keyword: str) -> int | None:
        """The first value as a whole number."""
        number = self.number(keyword)
        return None if number is None else round(number)

    def items(self, keyword: str) -> list[Dataset]:
        """The items of a sequence."""
        for values in self._values(keyword):
            items = [v for v in values if isinstance(v, Dataset)]
            if items:
                return items
        return []

    def _values(self, keyword: str) -> Iterator[list[Any]]:
        """The non-empty values that each dataset holds."""
        tag = tag_for_keyword(keyword)
        for dataset in self.datasets:
            if tag is not None and tag in dataset:
                values = _element_values(dataset, tag)
                if values:
                    yield values


def _element_values(dataset: Dataset, tag: int) -> list[Any]:
    """The values of one element; where pydicom cannot convert them, their plain characters."""
    try:
        value = dataset[tag].value
    except FOREIGN_ERRORS:
        raw = dataset.get_item(tag)
        value = getattr(raw, "value", None)
    if isinstance(value, bytes):
        value = value.decode("latin-1").split("\\")
    if value is None or value == "":
        return []
    if isinstance(value, str) or not isinstance(value, Sequence):
        return [value]
    return list(value)


def clean_text(value: object) -> str:
    """Text without padding, control characters or characters that cannot be stored."""
    try:
        text = str(value)
    except FOREIGN_ERRORS:
        return ""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c.isprintable() else " " for c in text).strip()


def as_number(value: object) -> float | None:
    """A finite number, written with a point or a comma."""
    try:
        number = float(value.strip(" \0").replace(",", ".") if isinstance(value, str) else value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
