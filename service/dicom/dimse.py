"""Command sets of DIMSE messages as bytes (PS3.7, 6.3 and Annex E): Implicit VR Little Endian, group 0000."""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from service.dicom.pdu import AbortReason, Malformed

#: A command set has a dozen short elements; chosen by us, far above what any request needs.
LARGEST_COMMAND: Final = 16 * 1024
#: PS3.7 E.1: this value of (0000,0800) says that no dataset follows.
NO_DATASET: Final = 0x0101
RESPONSE_BIT: Final = 0x8000
_ELEMENT = struct.Struct("<HHI")


class CommandField(IntEnum):
    """Requests that are answered by more than a refusal (PS3.7 E.1)."""

    C_STORE = 0x0001
    C_ECHO = 0x0030
    N_EVENT_REPORT = 0x0100
    N_SET = 0x0120
    N_ACTION = 0x0130
    N_CREATE = 0x0140
    C_CANCEL = 0x0FFF


class Status(IntEnum):
    """Answers that belong to no service class (PS3.7 Annex C)."""

    SUCCESS = 0x0000
    INVALID_ATTRIBUTE_VALUE = 0x0106
    PROCESSING_FAILURE = 0x0110
    DUPLICATE_SOP_INSTANCE = 0x0111
    NO_SUCH_SOP_INSTANCE = 0x0112
    INVALID_ARGUMENT = 0x0115
    INVALID_SOP_INSTANCE = 0x0117
    NO_SUCH_SOP_CLASS = 0x0118
    NO_SUCH_ACTION = 0x0123
    NOT_AUTHORISED = 0x0124
    UNRECOGNIZED_OPERATION = 0x0211
    RESOURCE_LIMITATION = 0x0213


@dataclass(frozen=True, slots=True)
class Command:
    """The elements of a request that an answer needs."""

    field: int
    message_id: int
    has_dataset: bool
    sop_class_uid: str
    sop_instance_uid: str
    event_type_id: int | None
    action_type_id: int | None = None


def parse_command(raw: bytes) -> Command:
    """Read a command set; raises Malformed where it is not one, or is a response that nobody asked for."""
    elements = _elements(raw)
    field = _number(elements, 0x0100)
    if field is None or field & RESPONSE_BIT:
        raise Malformed(AbortReason.UNEXPECTED_PARAMETER)
    message_id = _number(elements, 0x0110)
    if message_id is None and field != CommandField.C_CANCEL:
        raise Malformed
    dataset = _number(elements, 0x0800)
    return Command(
        field=field,
        message_id=message_id or 0,
        has_dataset=dataset is not None and dataset != NO_DATASET,
        sop_class_uid=_uid(elements.get(0x0002, elements.get(0x0003, b""))),
        sop_instance_uid=_uid(elements.get(0x1000, elements.get(0x1001, b""))),
        event_type_id=_number(elements, 0x1002),
        action_type_id=_number(elements, 0x1008),
    )


def _elements(raw: bytes) -> dict[int, bytes]:
    """Values by element number."""
    elements: dict[int, bytes] = {}
    at, end = 0, len(raw)
    while at < end:
        if end - at < _ELEMENT.size:
            raise Malformed
        group, element, length = _ELEMENT.unpack_from(raw, at)
        at += _ELEMENT.size
        if group != 0 or length > end - at:
            raise Malformed
        elements[element] = raw[at : at + length]
        at += length
    return elements


def _number(elements: dict[int, bytes], element: int) -> int | None:
    """An unsigned short, None where it is absent or empty."""
    value = elements.get(element, b"")
    if not value:
        return None
    if len(value) != 2:
        raise Malformed
    return int.from_bytes(value, "little")


def _uid(value: bytes) -> str:
    """A UID without its padding; what is not ASCII cannot be one."""
    if not value.isascii():
        raise Malformed
    return value.rstrip(b"\x00 ").decode("ascii")


def response(command: Command, status: int) -> bytes:
    """The command set that answers a request."""
    elements = [
        (0x0100, struct.pack("<H", command.field | RESPONSE_BIT)),
        (0x0120, struct.pack("<H", command.message_id)),
        (0x0800, struct.pack("<H", NO_DATASET)),
        (0x0900, struct.pack("<H", status)),
    ]
    if command.sop_class_uid:
        elements.insert(0, (0x0002, _even(command.sop_class_uid)))
    if command.sop_instance_uid:
        elements.append((0x1000, _even(command.sop_instance_uid)))
    if command.event_type_id is not None:
        elements.append((0x1002, struct.pack("<H", command.event_type_id)))
    if command.action_type_id is not None:
        elements.append((0x1008, struct.pack("<H", command.action_type_id)))
    return _command_set(elements)


def _command_set(elements: list[tuple[int, bytes]]) -> bytes:
    """Elements in order, with their length in front."""
    body = b"".join(_ELEMENT.pack(0, number, len(value)) + value for number, value in elements)
    return _ELEMENT.pack(0, 0, 4) + struct.pack("<I", len(body)) + body


def event_report(message_id: int, *, sop_class_uid: str, sop_instance_uid: str, event_type_id: int) -> bytes:
    """The command set of an N-EVENT-REPORT-RQ with a dataset (PS3.7 10.3.1.1)."""
    return _command_set(
        [
            (0x0002, _even(sop_class_uid)),
            (0x0100, struct.pack("<H", CommandField.N_EVENT_REPORT)),
            (0x0110, struct.pack("<H", message_id)),
            (0x0800, struct.pack("<H", NO_DATASET ^ 1)),
            (0x1000, _even(sop_instance_uid)),
            (0x1002, struct.pack("<H", event_type_id)),
        ]
    )


def status_of(raw: bytes, *, message_id: int) -> int | None:
    """The status in the answer to one of our requests; None where it is no answer to that.

    Raises Malformed.
    """
    elements = _elements(raw)
    field = _number(elements, 0x0100) or 0
    if not field & RESPONSE_BIT or _number(elements, 0x0120) != message_id:
        return None
    return _number(elements, 0x0900)


def _even(uid: str) -> bytes:
    """A UID padded to even length (PS3.5 9.1)."""
    raw = uid.encode("ascii")
    return raw + b"\x00" * (len(raw) % 2)
