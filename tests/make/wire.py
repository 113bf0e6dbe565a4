"""Messages of the DICOM upper layer as a test wants them, right or wrong, byte by byte."""

import socket
import struct
from collections.abc import Mapping, Sequence

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
VERIFICATION = "1.2.840.10008.1.1"
EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
APPLICATION = "1.2.840.10008.3.1.1.1"


def pdu(kind: int, body: bytes) -> bytes:
    """One PDU."""
    return struct.pack(">BBI", kind, 0, len(body)) + body


def item(kind: int, value: bytes) -> bytes:
    """One item of an association request."""
    return struct.pack(">BBH", kind, 0, len(value)) + value


def associate_request(
    *,
    called: str = "MYOSCREEN",
    calling: str = "SCANNER",
    contexts: Mapping[int, tuple[str, Sequence[str]]] | None = None,
    maximum: int = 16384,
    application: str = APPLICATION,
    version: int = 1,
) -> bytes:
    """An A-ASSOCIATE-RQ; as a rule for MR images (1) and verification (3)."""
    proposed = contexts or {1: (MR_IMAGE, (EXPLICIT,)), 3: (VERIFICATION, (IMPLICIT,))}
    body = struct.pack(
        ">HH16s16s32s", version, 0, called.ljust(16).encode(), calling.ljust(16).encode(), bytes(32)
    )
    body += item(0x10, application.encode())
    for number, (abstract, syntaxes) in proposed.items():
        inner = item(0x30, abstract.encode()) + b"".join(item(0x40, syntax.encode()) for syntax in syntaxes)
        body += item(0x20, bytes((number, 0, 0, 0)) + inner)
    user = item(0x51, struct.pack(">I", maximum)) + item(0x52, b"1.2.3.4")
    return pdu(0x01, body + item(0x50, user))


def command_set(elements: Mapping[int, bytes]) -> bytes:
    """A command set of group 0000 with its length in front."""
    body = b"".join(struct.pack("<HHI", 0, key, len(value)) + value for key, value in elements.items())
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def uid(text: str) -> bytes:
    """A UID of even length."""
    return text.encode() + b"\x00" * (len(text) % 2)


def us(number: int) -> bytes:
    """An unsigned short."""
    return struct.pack("<H", number)


def data(context: int, control: int, value: bytes) -> bytes:
    """A P-DATA-TF with one value; control 1 is a command, 2 the last piece."""
    return pdu(0x04, struct.pack(">IBB", len(value) + 2, context, control) + value)


def echo_request() -> bytes:
    """A C-ECHO-RQ on context 3."""
    elements = {0x0002: uid(VERIFICATION), 0x0100: us(0x0030), 0x0110: us(7), 0x0800: us(0x0101)}
    return data(3, 3, command_set(elements))


def store_request(sop_instance_uid: str, dataset: bytes, *, piece: int = 8192) -> list[bytes]:
    """A C-STORE-RQ on context 1 and its dataset, a PDU each."""
    elements = {
        0x0002: uid(MR_IMAGE),
        0x0100: us(0x0001),
        0x0110: us(8),
        0x0700: us(0),
        0x0800: us(0x0001),
        0x1000: uid(sop_instance_uid),
    }
    pieces = [dataset[at : at + piece] for at in range(0, len(dataset), piece)]
    last = len(pieces) - 1
    return [
        data(1, 3, command_set(elements)),
        *(data(1, 2 if number == last else 0, part) for number, part in enumerate(pieces)),
    ]


def release_request() -> bytes:
    """An A-RELEASE-RQ."""
    return pdu(0x05, bytes(4))


def read_pdu(connection: socket.socket) -> tuple[int, bytes]:
    """The next PDU that comes: its type and body; type 0 when the connection is closed."""
    head = _exactly(connection, 6)
    if len(head) < 6:
        return 0, b""
    kind, _, length = struct.unpack(">BBI", head)
    return kind, _exactly(connection, length)


def _exactly(connection: socket.socket, size: int) -> bytes:
    """So many bytes, or those that came before the end."""
    got = b""
    while len(got) < size:
        try:
            more = connection.recv(size - len(got))
        except ConnectionResetError:
            return got
        if not more:
            break
        got += more
    return got


def status_of(body: bytes) -> int:
    """The status in the command set of a P-DATA-TF with one value."""
    at = 6
    while at < len(body):
        _, element, length = struct.unpack_from("<HHI", body, at)
        at += 8
        if element == 0x0900:
            return int.from_bytes(body[at : at + length], "little")
        at += length
    raise AssertionError("no status")
