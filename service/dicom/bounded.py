"""Reading without end: files that a parser cannot make hang or grow, whatever lengths stand in them.

The parser asks for every element and every item of a sequence by itself. So what is asked for tells how much
memory the answer takes, and a file that asks for too much is refused before it has it. A deflated dataset is
inflated only as far as it is asked for.
"""

import zlib
from collections.abc import Sequence
from io import BytesIO, RawIOBase
from typing import BinaryIO, Final, cast

import pydicom
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset, read_sequence
from pydicom.uid import UID

from service.errors import UnreadableSeries

#: PS3.10 7.1: the prefix stands after a preamble of 128 bytes.
PREAMBLE_BYTES: Final = 128
#: PS3.3 C.7.6.3, C.7.6.24: the three elements that can hold pixels.
PIXEL_ELEMENTS: Final = {0x7FE00008, 0x7FE00009, 0x7FE00010}

#: What one reading of a few bytes comes to in memory, as most: an empty item of a sequence is three readings
#: and takes 1.1 kB once parsed (measured: tests/unit/test_hostile_files.py).
READING_BYTES: Final = 400
#: A header that takes more memory is refused. Chosen by us: Enhanced MR of 1000 frames takes a twentieth of
#: it, and two thirds where a vendor adds a hundred elements of its own to each frame, as Philips does.
LARGEST_HEADER_BYTES: Final = 192 * 2**20
#: A deflated dataset that grows larger is refused: the most pixels that a volume may have, and a header.
LARGEST_INFLATED_BYTES: Final = 2 * 2**28 + LARGEST_HEADER_BYTES
#: Sequences within sequences: more is refused, whatever the recursion that Python happens to allow. Chosen by
#: us: a report's content tree is the deepest that DICOM has, and Enhanced MR needs four.
MOST_NESTED: Final = 64
#: Inflated at once.
PIECE_BYTES: Final = 256 * 1024


class WholeFileAsked(Exception):
    """The parser wants all that is left: it does so only to inflate a dataset."""


class Allowance:
    """What one header may still take."""

    def __init__(self, most: int = LARGEST_HEADER_BYTES) -> None:
        self.most = most
        self.spent = 0

    @property
    def exceeded(self) -> bool:
        """Whether more was asked for than is allowed."""
        return self.spent > self.most

    def refusal(self) -> UnreadableSeries:
        """Why a header that takes too much is not read."""
        return UnreadableSeries(
            "The header has more elements or items than any image of a scanner.", reason="too_large"
        )


class BoundedFile:
    """A file to parse that gives no more than its allowance; then it seems to be broken."""

    def __init__(self, file: BinaryIO, allowance: Allowance, *, size: int) -> None:
        self._read = file.read
        self.seek = file.seek
        self.tell = file.tell
        self._allowance = allowance
        #: Longer values than the file stand in no file, and memory must not be asked for them.
        self._size = size

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        allowance = self._allowance
        if size < 0:
            raise WholeFileAsked
        if allowance.spent + min(size, self._size) > allowance.most:
            allowance.spent = allowance.most + 1
            raise allowance.refusal()
        value = self._read(min(size, self._size))
        allowance.spent += READING_BYTES + len(value)
        return value


class Inflating(RawIOBase):
    """A deflated dataset (PS3.5 A.5) as a file to read and seek in, inflated as far as it is asked for."""

    def __init__(self, file: BinaryIO, *, most: int) -> None:
        super().__init__()
        self._file = file
        self._most = most
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._waiting = b""
        self._done = bytearray()
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes; raises zlib.error, and UnreadableSeries where it grows too large."""
        end = self._most + 1 if size < 0 else self._at + size
        self._reach(end)
        value = bytes(self._done[self._at : end])
        self._at += len(value)
        return value

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place counted from the beginning or from here."""
        self._at = max(0, offset + (self._at if whence == 1 else 0))
        return self._at

    def tell(self) -> int:
        """Where the next bytes come from."""
        return self._at

    def _reach(self, end: int) -> None:
        """Inflate up to a place, or to the end."""
        while len(self._done) < end and not self._inflate.eof:
            source = self._waiting or self._file.read(PIECE_BYTES)
            piece = self._inflate.decompress(source, PIECE_BYTES)
            self._waiting = self._inflate.unconsumed_tail
            self._done += piece
            if len(self._done) > self._most:
                raise UnreadableSeries("The deflated dataset grows too large.", reason="too_large")
            if not source and not piece:
                return


def parse_file(
    file: BinaryIO, size: int, tags: Sequence[str] | None, allowance: Allowance, *, force: bool
) -> tuple[Dataset, BinaryIO]:
    """The header of a file up to its pixels, and the stream that stands there.

    Raises whatever the parser raises; the allowance tells whether that is because it was exceeded.
    """
    wanted = [*tags] if tags else None
    try:
        dataset: Dataset = pydicom.dcmread(
            cast("BinaryIO", BoundedFile(file, allowance, size=size)),
            stop_before_pixels=True,
            force=force,
            specific_tags=wanted,
        )
        return dataset, file
    except WholeFileAsked:
        return _parse_deflated(file, wanted, allowance)


def parse_message(raw: bytes, syntax: UID) -> Dataset:
    """A whole dataset of a message; raises whatever the parser raises, also where it takes too much."""
    allowance = Allowance()
    stream = cast("BinaryIO", BoundedFile(BytesIO(raw), allowance, size=len(raw)))
    dataset = read_dataset(stream, syntax.is_implicit_VR, syntax.is_little_endian)
    unfold(dataset, allowance)
    return dataset


def parse_inflated(file: BinaryIO) -> Dataset:
    """A whole deflated object with its pixels, in memory; UnreadableSeries where it grows too large."""
    try:
        pydicom.dcmread(cast("BinaryIO", BoundedFile(file, Allowance(), size=PIECE_BYTES)), force=True)
    except WholeFileAsked:
        meta, start = _meta_before(file), file.tell()
        file.seek(start)
        stream = BytesIO(Inflating(file, most=LARGEST_INFLATED_BYTES).read())
        dataset = read_dataset(stream, is_implicit_VR=False, is_little_endian=True)
        dataset.file_meta = meta
        return dataset
    raise UnreadableSeries("The dataset is not deflated.", reason="bad_header")


def _parse_deflated(file: BinaryIO, tags: list[str] | None, allowance: Allowance) -> tuple[Dataset, BinaryIO]:
    """The header of a deflated dataset that begins where the file stands."""
    meta = _meta_before(file)
    stream = cast("BinaryIO", Inflating(file, most=allowance.most))
    bounded = cast("BinaryIO", BoundedFile(stream, allowance, size=allowance.most))
    dataset = read_dataset(
        bounded,
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, _vr, _length: tag in PIXEL_ELEMENTS,
        specific_tags=[tag for tag in map(tag_for_keyword, tags) if tag] if tags else None,
    )
    dataset.file_meta = meta
    return dataset, stream


def _meta_before(file: BinaryIO) -> FileMetaDataset:
    """The file meta information that ends where the file stands, and still does afterwards."""
    end = file.tell()
    file.seek(0)
    raw = file.read(end)
    if raw[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] == b"DICM":
        raw = raw[PREAMBLE_BYTES + 4 :]
    return FileMetaDataset(read_dataset(BytesIO(raw), is_implicit_VR=False, is_little_endian=True))


def unfold(dataset: Dataset, allowance: Allowance, depth: int = 0) -> None:
    """Parse the standard sequences of a dataset now, within its allowance.

    The parser leaves sequences of known length as they are until they are asked for, and then knows no bound.
    Raises ValueError where sequences are nested too deep.
    """
    if depth > MOST_NESTED:
        raise ValueError("sequences nested too deep")
    for tag in list(dataset.keys()):
        raw: object = dataset.get_item(tag)
        if isinstance(raw, RawDataElement) and raw.value and _is_sequence(raw):
            stream = BoundedFile(BytesIO(raw.value), allowance, size=len(raw.value))
            encoding = getattr(dataset, "_character_set", "iso8859")
            items = read_sequence(
                cast("BinaryIO", stream), raw.is_implicit_VR, raw.is_little_endian, len(raw.value), encoding
            )
            dataset[tag] = DataElement(tag, "SQ", items)
        element: object = dataset.get_item(tag)
        if isinstance(element, DataElement) and element.VR == "SQ":
            for item in element.value:
                unfold(item, allowance, depth + 1)


def _is_sequence(raw: RawDataElement) -> bool:
    """Whether a standard element holds items."""
    try:
        return (raw.VR in (None, "UN", "SQ")) and dictionary_VR(raw.tag) == "SQ"
    except KeyError:
        return False
