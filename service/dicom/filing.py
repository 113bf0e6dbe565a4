"""One DICOM file (PS3.10) on the way of a C-STORE: from a request of STOW-RS, or from a folder.

Its file meta information says what a DIMSE request would; the dataset behind it goes to the spool as it
comes, under the same rules and to the same answers.
"""

import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from service.dicom.association import Sink
from service.dicom.callers import Caller
from service.dicom.dimse import Command, CommandField
from service.dicom.edges import LONG_LENGTH_VRS
from service.dicom.frames import UID_LENGTH
from service.dicom.headers import Attributes, quiet, read_header
from service.dicom.pdu import Context, ContextResult
from service.dicom.scp import TRANSFER_SYNTAXES
from service.dicom.storing import Refusal, Refused, StoreStatus, Storing, begin_store
from service.errors import UnreadableSeries

#: PS3.10 7.1: 128 bytes of anything, then four letters.
PREAMBLE: Final = 128
PREFIX: Final = b"DICM"
#: The longest file meta information that is read. It has a dozen short elements; chosen by us, far above.
META_BYTES: Final = 64 * 1024
_ELEMENT = struct.Struct("<HH2sH")
_LONG = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Meta:
    """File meta information, and where the dataset begins."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    end: int


class _NotYet(Exception):
    """More bytes must come."""


def read_meta(head: bytes | bytearray) -> Meta | None:
    """The file meta information at the beginning of a file; None where it goes on beyond ``head``.

    Raises UnreadableSeries with the reason ``not_dicom`` or ``bad_header`` where there is none.
    """
    there = bytes(head[PREAMBLE : PREAMBLE + 4])
    if not PREFIX.startswith(there):
        raise UnreadableSeries("This is no DICOM file.", reason="not_dicom")
    if len(there) < len(PREFIX):
        return None
    try:
        values, end = _elements(head, PREAMBLE + 4)
    except _NotYet:
        if len(head) > META_BYTES:
            raise UnreadableSeries("The file meta information has no end.", reason="bad_header") from None
        return None
    sop_class, instance, syntax = (_uid(values.get(number, b"")) for number in (0x0002, 0x0003, 0x0010))
    if not (sop_class and instance and syntax):
        raise UnreadableSeries("The file meta information does not name the object.", reason="bad_header")
    return Meta(sop_class, instance, syntax, end)


@quiet()
def meta_of(path: Path) -> Meta | None:
    """What a file is by the word of its dataset, and where that begins; None where it does not say.

    Older programs write no file meta information, and some that anonymise leave there what was true before.
    """
    try:
        header = read_header(path, ("SOPClassUID", "SOPInstanceUID"))
        with path.open("rb") as file:
            head = file.read(META_BYTES)
        there = head[PREAMBLE : PREAMBLE + 4] == PREFIX
        _, end = _elements(head, PREAMBLE + 4 if there else 0)
    except (UnreadableSeries, OSError, _NotYet):
        return None
    said = Attributes((header.dataset,) if header else ())
    sop_class, instance = said.text("SOPClassUID"), said.text("SOPInstanceUID")
    if header is None or not (sop_class and instance):
        return None
    return Meta(sop_class, instance, header.transfer_syntax_uid, end)


def _elements(head: bytes | bytearray, at: int) -> tuple[dict[int, bytes], int]:
    """Values of group 0002 by element number, and where it ends (PS3.10 7.1: Explicit VR Little Endian).

    The length that the group states is not believed: writers that change the group forget it.
    """
    values: dict[int, bytes] = {}
    while True:
        if len(head) < at + _ELEMENT.size:
            raise _NotYet
        group, number, vr, length = _ELEMENT.unpack_from(head, at)
        if group != 0x0002:
            return values, at
        start = at + _ELEMENT.size
        if vr in LONG_LENGTH_VRS:
            if len(head) < start + _LONG.size:
                raise _NotYet
            length, start = _LONG.unpack_from(head, start)[0], start + _LONG.size
        at = start + length
        if at > META_BYTES:
            raise UnreadableSeries("The file meta information has no end.", reason="bad_header")
        values[number] = bytes(head[start:at])


def _uid(value: bytes) -> str:
    """A UID without its padding; what is too long or not ASCII is none."""
    plain = value.rstrip(b"\x00 ")
    return plain.decode("ascii") if plain.isascii() and len(plain) <= UID_LENGTH else ""


class FileSink:
    """Takes one file piece by piece."""

    def __init__(self, storing: Storing, *, caller: Caller, calling_ae: str) -> None:
        self._storing = storing
        self._caller = caller
        self._calling_ae = calling_ae
        self._head = bytearray()
        self._sink: Sink | None = None
        #: Class and instance, as soon as they are known.
        self.sop_class_uid = ""
        self.sop_instance_uid = ""

    def begin(self, meta: Meta) -> None:
        """What comes is the dataset of this object, without file meta information."""
        self._begin(replace(meta, end=0))

    def write(self, piece: memoryview) -> None:
        """Take the next piece."""
        if self._sink is not None:
            self._sink.write(piece)
            return
        self._head += piece
        try:
            meta = read_meta(self._head)
        except UnreadableSeries:
            self._refuse(StoreStatus.CANNOT_UNDERSTAND)
            return
        if meta is not None:
            self._begin(meta)

    def finish(self) -> int:
        """The whole file has come; the status, as of a C-STORE."""
        if self._sink is None:
            self._refuse(StoreStatus.CANNOT_UNDERSTAND)
        assert self._sink is not None
        return self._sink.finish()

    def abandon(self) -> None:
        """The rest will not come."""
        if self._sink is not None:
            self._sink.abandon()

    def _refuse(self, status: StoreStatus) -> None:
        self._sink = Refusal(status, Refused.UNREADABLE, self._storing)
        self._head.clear()

    def _begin(self, meta: Meta) -> None:
        """Open the way of a C-STORE, and hand on what came of the dataset."""
        self.sop_class_uid, self.sop_instance_uid = meta.sop_class_uid, meta.sop_instance_uid
        if meta.transfer_syntax_uid not in TRANSFER_SYNTAXES:
            self._refuse(StoreStatus.SYNTAX_NOT_SUPPORTED)
            return
        command = Command(
            field=CommandField.C_STORE,
            message_id=0,
            has_dataset=True,
            sop_class_uid=meta.sop_class_uid,
            sop_instance_uid=meta.sop_instance_uid,
            event_type_id=None,
        )
        context = Context(
            number=1,
            abstract_syntax=meta.sop_class_uid,
            transfer_syntax=meta.transfer_syntax_uid,
            result=ContextResult.ACCEPTED,
        )
        self._sink = begin_store(
            command, context, caller=self._caller, calling_ae=self._calling_ae, storing=self._storing
        )
        rest = bytes(self._head[meta.end :])
        self._head.clear()
        self._sink.write(memoryview(rest))
