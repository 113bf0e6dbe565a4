"""The messages of the DICOM upper layer as bytes (PS3.8, 9.3): what is read, and what is answered.

Every length that a stranger wrote is checked before it is used, so whatever comes makes either a
value or ``Malformed``.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from service.dicom.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

#: PS3.8 A.2.1: the only application context there is.
APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
#: Type, reserved, length of what follows.
HEADER: Final = struct.Struct(">BBI")
#: Length of a presentation data value, its context, its control header (PS3.8 9.3.5.1, Annex E).
VALUE_HEADER: Final = struct.Struct(">IBB")
COMMAND_BIT, LAST_BIT = 0x01, 0x02
#: 128 contexts with sixteen transfer syntaxes each need about 150 kB; chosen by us.
LARGEST_REQUEST: Final = 512 * 1024
#: PS3.8 Table 9-18: a presentation context is an odd number below 256.
MOST_CONTEXTS: Final = 128
#: PS3.5 9.1.
LONGEST_UID: Final = 64
_FIXED = struct.Struct(">HH16s16s32s")
_ITEM = struct.Struct(">BBH")


class Kind(IntEnum):
    """PDU types (PS3.8 9.3.1)."""

    ASSOCIATE_RQ = 0x01
    ASSOCIATE_AC = 0x02
    ASSOCIATE_RJ = 0x03
    DATA = 0x04
    RELEASE_RQ = 0x05
    RELEASE_RP = 0x06
    ABORT = 0x07


class AbortReason(IntEnum):
    """Why we break off (PS3.8 Table 9-26)."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER = 6


class Rejection(IntEnum):
    """Result, source and reason of a rejection, a byte each (PS3.8 Table 9-21)."""

    APPLICATION_CONTEXT = 0x010102
    CALLING_AE = 0x010103
    CALLED_AE = 0x010107
    PROTOCOL_VERSION = 0x010202
    #: Transient: the sender may come back.
    LOCAL_LIMIT = 0x020302


class ContextResult(IntEnum):
    """What became of a proposed presentation context (PS3.8 Table 9-18)."""

    ACCEPTED = 0
    ABSTRACT_SYNTAX = 3
    TRANSFER_SYNTAXES = 4


class Malformed(Exception):
    """The peer broke the protocol; the association is aborted with this reason."""

    def __init__(self, reason: AbortReason = AbortReason.INVALID_PARAMETER) -> None:
        super().__init__(reason.name)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One presentation context as the requestor proposes it."""

    number: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Role:
    """What the requestor wants to be for one class (PS3.7 D.3.3.4)."""

    scu: bool
    scp: bool


@dataclass(frozen=True, kw_only=True)
class AssociateRequest:
    """An A-ASSOCIATE-RQ."""

    called_ae: str
    calling_ae: str
    proposals: tuple[Proposal, ...]
    roles: dict[str, Role]
    #: Largest PDU that the requestor takes; 0 means any.
    maximum_length: int
    application_context: str
    protocol_version: int
    #: The three fixed fields that the answer repeats (PS3.8 9.3.3).
    fixed: bytes


@dataclass(frozen=True, kw_only=True)
class Context:
    """What was agreed for one presentation context."""

    number: int
    abstract_syntax: str
    #: Means nothing unless accepted.
    transfer_syntax: str
    result: ContextResult


def parse_associate_request(body: bytes) -> AssociateRequest:
    """Read an A-ASSOCIATE-RQ without its header; raises Malformed."""
    if len(body) < _FIXED.size:
        raise Malformed
    version, _, called, calling, _ = _FIXED.unpack_from(body)
    proposals: list[Proposal] = []
    roles: dict[str, Role] = {}
    maximum_length, application = 0, ""
    for kind, value in _items(body[_FIXED.size :]):
        if kind == 0x10:
            application = _uid(value)
        elif kind == 0x20:
            proposals.append(_proposal(value))
        elif kind == 0x50:
            maximum_length, roles = _user_information(value)
    numbers = {proposal.number for proposal in proposals}
    if not proposals or len(numbers) != len(proposals) or len(proposals) > MOST_CONTEXTS:
        raise Malformed
    return AssociateRequest(
        called_ae=_title(called),
        calling_ae=_title(calling),
        proposals=tuple(proposals),
        roles=roles,
        maximum_length=maximum_length,
        application_context=application,
        protocol_version=version,
        fixed=body[2 : _FIXED.size],
    )


def _items(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and value of each item; Malformed when one leads out of the body."""
    at = 0
    while at < len(body):
        if len(body) - at < _ITEM.size:
            raise Malformed
        kind, _, length = _ITEM.unpack_from(body, at)
        at += _ITEM.size
        if length > len(body) - at:
            raise Malformed
        yield kind, body[at : at + length]
        at += length


def _proposal(value: bytes) -> Proposal:
    """One presentation context item."""
    if len(value) < 4 or value[0] % 2 == 0:
        raise Malformed
    abstract, transfer = "", []
    for kind, item in _items(value[4:]):
        if kind == 0x30:
            abstract = _uid(item)
        elif kind == 0x40:
            transfer.append(_uid(item))
    return Proposal(number=value[0], abstract_syntax=abstract, transfer_syntaxes=tuple(transfer))


def _user_information(value: bytes) -> tuple[int, dict[str, Role]]:
    """The largest PDU that the peer takes, and the roles that it proposes."""
    maximum, roles = 0, {}
    for kind, item in _items(value):
        if kind == 0x51:
            if len(item) != 4:
                raise Malformed
            maximum = int.from_bytes(item, "big")
        elif kind == 0x54:
            length = int.from_bytes(item[:2], "big")
            if len(item) != length + 4:
                raise Malformed
            roles[_uid(item[2:-2])] = Role(scu=item[-2] == 1, scp=item[-1] == 1)
    return maximum, roles


def _uid(value: bytes) -> str:
    """A UID, whose padding some add against the standard; too long or not ASCII is Malformed."""
    text = value.rstrip(b"\x00 ")
    if len(text) > LONGEST_UID or not text.isascii():
        raise Malformed
    return text.decode("ascii")


def _title(value: bytes) -> str:
    """An AE title without its padding."""
    return value.decode("ascii", "replace").strip(" \x00")


def associate_accept(
    request: AssociateRequest, contexts: list[Context], roles: dict[str, Role], *, maximum_length: int
) -> bytes:
    """An A-ASSOCIATE-AC (PS3.8 9.3.3)."""
    items = [_item(0x10, APPLICATION_CONTEXT.encode("ascii"))]
    for context in contexts:
        head = bytes((context.number, 0, context.result, 0))
        items.append(_item(0x21, head + _item(0x40, context.transfer_syntax.encode("ascii"))))
    user = [
        _item(0x51, maximum_length.to_bytes(4, "big")),
        _item(0x52, IMPLEMENTATION_CLASS_UID.encode("ascii")),
    ]
    for uid, role in roles.items():
        name = uid.encode("ascii")
        user.append(_item(0x54, len(name).to_bytes(2, "big") + name + bytes((role.scu, role.scp))))
    user.append(_item(0x55, IMPLEMENTATION_VERSION_NAME.encode("ascii")))
    items.append(_item(0x50, b"".join(user)))
    return _pdu(Kind.ASSOCIATE_AC, b"\x00\x01" + request.fixed + b"".join(items))


def associate_reject(rejection: Rejection) -> bytes:
    """An A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
    return _pdu(Kind.ASSOCIATE_RJ, b"\x00" + rejection.to_bytes(3, "big"))


def release_response() -> bytes:
    """An A-RELEASE-RP (PS3.8 9.3.7)."""
    return _pdu(Kind.RELEASE_RP, bytes(4))


def abort(reason: AbortReason) -> bytes:
    """An A-ABORT from the service provider (PS3.8 9.3.8)."""
    return _pdu(Kind.ABORT, bytes((0, 0, 2, reason)))


def command_data(context: int, command: bytes, *, maximum_length: int) -> bytes:
    """A command set as P-DATA-TF, in pieces that the peer takes (PS3.8 9.3.5)."""
    return _data(context, command, COMMAND_BIT, maximum_length)


def dataset_data(context: int, dataset: bytes, *, maximum_length: int) -> bytes:
    """A dataset as P-DATA-TF, in pieces that the peer takes (PS3.8 9.3.5)."""
    return _data(context, dataset, 0, maximum_length)


def _data(context: int, message: bytes, control: int, maximum_length: int) -> bytes:
    largest = len(message) if maximum_length == 0 else max(maximum_length - VALUE_HEADER.size, 2)
    made = []
    for at in range(0, len(message), largest):
        piece = message[at : at + largest]
        last = LAST_BIT if at + largest >= len(message) else 0
        made.append(_pdu(Kind.DATA, VALUE_HEADER.pack(len(piece) + 2, context, control | last) + piece))
    return b"".join(made)


def _pdu(kind: Kind, body: bytes) -> bytes:
    """One PDU."""
    return HEADER.pack(kind, 0, len(body)) + body


def _item(kind: int, value: bytes) -> bytes:
    """One item of an association PDU."""
    return _ITEM.pack(kind, 0, len(value)) + value
