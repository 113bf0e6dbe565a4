"""Syslog by TLS: RFC 5424 messages, framed by counting octets (RFC 5425).

Nothing in RFC 5425 tells a sender that its messages were taken. So each batch has a connection of its own,
which both sides close: the other end does so after it has read all of ours. What is not answered so counts as
not sent, and is sent again.
"""

import contextlib
import fcntl
import re
import socket
import ssl
import sys
import termios
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Final

from service.errors import PeerUnreachable
from service.wire.trust import told_plainly, trusting

#: For connecting, and for the other end to read a batch. Chosen by us: a collector in the house takes
#: milliseconds.
ANSWER_SECONDS: Final = 15.0
#: For a whole batch, however slowly the other end takes it: less than who sends has the right to (LEASE of
#: ``service.pipeline.forward``). Chosen by us.
BATCH_SECONDS: Final = 40.0
#: PS3.15 A.6: what the messages are.
MESSAGE_ID: Final = "DICOM+RFC3881"
#: RFC 5424 section 6.4: text in UTF-8 begins with this.
BOM: Final = b"\xef\xbb\xbf"
#: RFC 5424 section 6.2: printable ASCII, of at most so many letters.
_HOST_LETTERS, _APP_LETTERS = 255, 48
_NOT_PRINTED: Final = re.compile(r"[^\x21-\x7e]")


@dataclass(frozen=True, kw_only=True)
class SyslogAddress:
    """A collector of syslog messages."""

    host: str
    port: int
    #: Certificates that are trusted; None: those of the system.
    ca_file: Path | None
    #: What we show of ourselves, with its key; None where the collector does not ask.
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Record:
    """One syslog message."""

    at: datetime
    #: RFC 5424 section 6.2.1.
    facility: int
    severity: int
    host: str
    app_name: str
    #: Goes up with every line of the record, so that what came twice or not at all is seen (section 7.3.1).
    number: int
    text: str


def framed(record: Record) -> bytes:
    """A message as it goes on the wire."""
    at = record.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = " ".join(
        (
            f"<{record.facility * 8 + record.severity}>1",
            at,
            _word(record.host, _HOST_LETTERS),
            _word(record.app_name, _APP_LETTERS),
            "-",
            MESSAGE_ID,
            f'[meta sequenceId="{record.number}"]',
        )
    )
    message = head.encode("ascii") + b" " + BOM + record.text.encode("utf-8")
    return str(len(message)).encode("ascii") + b" " + message


def _word(text: str, length: int) -> str:
    return _NOT_PRINTED.sub("_", text)[:length] or "-"


def send(address: SyslogAddress, records: Iterable[Record]) -> None:
    """Have the collector read some messages. Raises PeerUnreachable; then any of them may have come."""
    context = trusting(address.ca_file)
    if address.certificate is not None:
        try:
            context.load_cert_chain(address.certificate, address.key)
        except OSError as error:
            raise PeerUnreachable(
                "Our certificate or its key cannot be read.", reason="own_certificate_unreadable"
            ) from error
    ends = monotonic() + BATCH_SECONDS
    with told_plainly(), _connected(address, context) as connection:
        for record in records:
            _limit(connection, ends)
            connection.sendall(framed(record))
        _limit(connection, ends)
        _close(connection, ends)


def _limit(connection: socket.socket, ends: float) -> None:
    """Let the next step have what is left of the time. Raises TimeoutError where nothing is."""
    left = ends - monotonic()
    if left <= 0:
        raise TimeoutError("the batch took too long")
    connection.settimeout(min(ANSWER_SECONDS, left))


@contextlib.contextmanager
def _connected(address: SyslogAddress, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection((address.host, address.port), timeout=ANSWER_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=address.host) as connection,
    ):
        yield connection


def _close(connection: ssl.SSLSocket, ends: float) -> None:
    """Say that this was all, and wait until the other end closes too; OSError where it did not read it all.

    Some collectors close without a close_notify (rsyslog with GnuTLS), some say it to those whose certificate
    they refuse (rsyslog with OpenSSL). So the end of the TCP stream counts: a system that closes with
    something unread resets the connection, and what comes after the close is never acknowledged.
    """
    try:
        plain = connection.unwrap()
    except ssl.SSLEOFError:
        _require_taken(connection)
        return
    with plain:
        plain.shutdown(socket.SHUT_WR)
        while plain.recv(4096):
            _limit(plain, ends)
        _require_taken(plain)


def _require_taken(connection: socket.socket) -> None:
    """Raise ConnectionAbortedError where octets are not acknowledged; our end of the stream counts as one."""
    waiting = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
    if int.from_bytes(waiting, sys.byteorder) > 1:
        raise ConnectionAbortedError("closed before everything was taken")
