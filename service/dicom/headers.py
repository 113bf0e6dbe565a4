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
from typing import Any, BinaryIO, Final, cast

import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import MediaStorageDirectoryStorage

from service.dicom.bounded import PREAMBLE_BYTES, Allowance, BoundedFile, Inflating, parse_file, unfold
from service.dicom.edges import UNDEFINED_LENGTH, find_pixels, is_cut, looks_like_dataset
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
#: Longer values of one element are no text and no numbers of an image: the longest that a short length
#: field can say (PS3.5 7.1.2), which every value has that is read here.
LONGEST_VALUE_BYTES: Final = 65534
#: So many values and characters of one element are looked at. Chosen by us: ImageType has a dozen values,
#: and the longest text that anything is read from is DerivationDescription with 1024 characters (ST).
MOST_VALUES: Final = 64
LONGEST_TEXT: Final = 1024


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
    #: What it takes in memory, in bytes, as most.
    weight: int = 0


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
    if not looks_like_dataset(start, size):
        raise UnreadableSeries("The file is not DICOM.", reason="not_dicom")
    return True


def _read(file: BinaryIO, size: int, tags: Sequence[str] | None, *, force: bool) -> Header | None:
    """Parse the header and find the pixel element behind it."""
    allowance = Allowance()
    try:
        dataset, stream = parse_file(file, size, tags, allowance, force=force)
        meta = dataset.file_meta
        sop_class = str(meta.get("MediaStorageSOPClassUID", ""))
        syntax = str(meta.get("TransferSyntaxUID", "") or _guessed_syntax(dataset))
        if sop_class == MediaStorageDirectoryStorage or "DirectoryRecordSequence" in dataset:
            return None
        if force and "SOPClassUID" not in dataset:
            raise UnreadableSeries("The file is not DICOM.", reason="not_dicom")
        if len(dataset) == 0:
            raise UnreadableSeries("The file ends before its header.", reason="truncated")
        where = find_pixels(stream, dataset)
        if where is None and is_cut(stream, dataset, size):
            raise UnreadableSeries("The file ends in the middle of its header.", reason="truncated")
        unfold(dataset, allowance)
    except (*HEADER_ERRORS, OSError) as error:
        raise _header_error(error, allowance) from error
    if where is not None and isinstance(stream, Inflating):
        where = (-1, UNDEFINED_LENGTH)  # A place in the stream is none in the file.
    offset, length = where or (None, None)
    return Header(
        dataset=dataset,
        transfer_syntax_uid=syntax,
        pixel_offset=offset,
        pixel_length=length,
        weight=allowance.spent,
    )


def _header_error(error: Exception, allowance: Allowance) -> Exception:
    """Why a header could not be parsed."""
    if allowance.exceeded:
        return allowance.refusal()
    if isinstance(error, OSError) and error.errno is not None:
        return OSError(error.errno, "the disk")
    if isinstance(error, OSError) and not isinstance(error.__context__, RecursionError):
        # The parser's own, where a sequence has no end; those of the disk have a number.
        return UnreadableSeries("The file ends in the middle of its header.", reason="truncated")
    return UnreadableSeries("The DICOM header cannot be parsed.", reason="bad_header")


def _guessed_syntax(dataset: Dataset) -> str:
    """The transfer syntax that a file without meta information was parsed with."""
    implicit, little = dataset.original_encoding
    if not little:
        return str(pydicom.uid.ExplicitVRBigEndian)
    return str(pydicom.uid.ImplicitVRLittleEndian if implicit else pydicom.uid.ExplicitVRLittleEndian)


def parse_encoded(raw: bytes, transfer_syntax_uid: str, *, last_tag: int) -> Dataset:
    """The attributes up to ``last_tag`` of an encoded dataset without preamble, as C-STORE carries it."""
    syntax = pydicom.uid.UID(transfer_syntax_uid)
    allowance = Allowance(LARGEST_IDENTITY_BYTES)
    stream = cast("BinaryIO", BytesIO(raw))
    try:
        if syntax == pydicom.uid.DeflatedExplicitVRLittleEndian:
            stream = cast("BinaryIO", Inflating(stream, most=allowance.most))
        return pydicom.filereader.read_dataset(
            cast("BinaryIO", BoundedFile(stream, allowance, size=allowance.most)),
            syntax.is_implicit_VR,
            syntax.is_little_endian,
            stop_when=lambda tag, _vr, _length: tag > last_tag,
        )
    except (*HEADER_ERRORS, OSError) as error:
        raise _header_error(error, allowance) from error


#: What the beginning of a header may take that an identity is read from; many come at once. Chosen by us.
LARGEST_IDENTITY_BYTES: Final = 16 * 2**20


@dataclass(frozen=True, eq=False)
class Attributes:
    """Attribute values by keyword, from the first of several datasets that has one.

    An absent, empty or senseless value is "", () or None; nothing here raises for bad content.
    """

    datasets: tuple[Dataset, ...]

    def texts(self, keyword: str) -> tuple[str, ...]:
        """All values as text, outer blanks removed."""
        for values in self._values(keyword):
            texts = tuple(clean_text(v)[:LONGEST_TEXT] for v in values[:MOST_VALUES])
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
        raw: object = dataset.get_item(tag)
    except FOREIGN_ERRORS:  # It is converted at once where its bytes are missing.
        return []
    if isinstance(raw, RawDataElement) and raw.value and len(raw.value) > LONGEST_VALUE_BYTES:
        return []
    try:
        value = dataset[tag].value
    except FOREIGN_ERRORS:
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
