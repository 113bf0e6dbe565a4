"""DICOM over TLS, with proof from both sides, after PS3.15 B.12 (BCP 195: RFC 8996 and RFC 9325).

Only TLS 1.2 and 1.3 are spoken. Certificates are read again when their files change; who is connected
stays connected.
"""

import hashlib
import logging
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

from service.dicom.certificates import Certificate
from service.dicom.handshake import (
    HANDSHAKE_SECONDS,
    BoundSocket,
    HandshakeRefused,
    NobodyThere,
    fault_of,
    shake,
)
from service.errors import ConfigurationError

__all__ = [
    "HandshakeRefused",
    "Keyring",
    "NobodyThere",
    "Outgoing",
    "TlsFiles",
    "accept",
    "keyring",
    "outgoing",
]

log = logging.getLogger(__name__)

#: RFC 9325, 4.2: the suites that are recommended for TLS 1.2; those of TLS 1.3 are all strong. Level 2 of
#: OpenSSL asks keys and signatures for 112 bits (RSA of 2048 bits and more, no SHA-1).
CIPHERS = (
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:@SECLEVEL=2"
)
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, kw_only=True)
class TlsFiles:
    """Where our certificate, its key, and the authorities that we trust lie (PEM)."""

    certificate: Path
    key: Path
    ca: Path
    key_password: Path | None = None
    #: Lists of revoked certificates, one of each authority; none: nobody is revoked.
    crl: Path | None = None
    minimum: Literal["1.2", "1.3"] = "1.2"

    def paths(self) -> list[Path]:
        """Every file."""
        every = (self.certificate, self.key, self.ca, self.key_password, self.crl)
        return [path for path in every if path is not None]


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    """Contexts made of one state of the files."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    at: datetime
    until: datetime | None
    problem: str | None


@dataclass
class _Seen:
    """What the files looked like at the latest look."""

    stamps: tuple[tuple[int, int, int] | None, ...] = ()
    digest: str = ""
    problem: str | None = None


@dataclass
class Keyring:
    """Our certificate and the authorities that we trust, as they lie on disk now.

    Raises ConfigurationError when they cannot be used at the start. Later a change that cannot be used
    is logged and shown, and what was in use stays in use.
    """

    files: TlsFiles
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _seen: _Seen = field(default_factory=_Seen, repr=False)

    def __post_init__(self) -> None:
        self._seen.stamps = self._stamps()
        try:
            self._seen.digest = self._digest()
            self._loaded = _load(self.files)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                "The certificate, key or authorities of DICOM TLS cannot be used: "
                f"{_told(error)} ({self.files.certificate}, {self.files.key}, {self.files.ca}).",
                reason="tls_files_unusable",
            ) from error
        self._warn(self._loaded.problem)

    def server(self) -> ssl.SSLContext:
        """The context for who connects to us; a certificate is demanded of them."""
        return self._current().server

    def client(self) -> ssl.SSLContext:
        """The context for those that we connect to; the caller says who they must be."""
        return self._current().client

    def state(self) -> dict[str, Any]:
        """For the status page: since when, until when, and what is wrong."""
        loaded = self._current()
        return {
            "loaded_at": loaded.at.isoformat(),
            "valid_until": None if loaded.until is None else loaded.until.isoformat(),
            "problem": self._seen.problem or loaded.problem,
            "min_version": self.files.minimum,
        }

    def subject(self) -> str:
        """Whom our own certificate names, as ``tls_subject`` writes it. Raises ConfigurationError."""
        try:
            found = _own_certificate(self._current().server, self.files.certificate)
        except ssl.SSLCertVerificationError as error:
            raise ConfigurationError(
                f"Our certificate would be refused: {fault_of(error)}.", reason="tls_files_unusable"
            ) from error
        return str(Certificate.of(found))

    def _current(self) -> _Loaded:
        """What is in use, after a look at the files."""
        with self._lock:
            stamps = self._stamps()
            if stamps != self._seen.stamps:
                self._seen.stamps = stamps
                self._reload()
            return self._loaded

    def _reload(self) -> None:
        """Take the changed files, or go on with what there is."""
        try:
            digest = self._digest()
            if digest == self._seen.digest and self._seen.problem is None:
                return
            self._loaded = _load(self.files)
        except (OSError, ValueError):
            # Half of a pair was replaced, as a rule; the other half makes the next change.
            self._seen.problem = "tls_files_unusable"
            self._warn(self._seen.problem)
            return
        self._seen.digest, self._seen.problem = digest, None
        log.info("tls_certificate_loaded", extra={"until": str(self._loaded.until)})
        self._warn(self._loaded.problem)

    def _stamps(self) -> tuple[tuple[int, int, int] | None, ...]:
        """Times, sizes and numbers of the files: cheap to ask at every connection."""
        return tuple(_stamp(path) for path in self.files.paths())

    def _digest(self) -> str:
        """One digest of all contents, so that a touched file is no new certificate."""
        parts = [hashlib.sha256(path.read_bytes()).digest() for path in self.files.paths()]
        return hashlib.sha256(b"".join(parts)).hexdigest()

    @staticmethod
    def _warn(problem: str | None) -> None:
        if problem is not None:
            log.warning("tls_certificate_trouble", extra={"reason": problem})


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """How one peer is spoken to by TLS."""

    keyring: Keyring
    #: Who must answer: the peer's ``tls_subject``; without any, its certificate must name the host.
    subjects: tuple[str, ...] = ()

    def wrap_socket(
        self, sock: socket.socket, *, server_side: bool = False, server_hostname: str | None = None
    ) -> ssl.SSLSocket:
        """A socket that proves both sides when it is connected; SSLError when they are not who they must be.

        Named as in ``ssl.SSLContext``, because the DICOM library calls it in its place.
        """
        assert not server_side
        wrapped = self.keyring.client().wrap_socket(sock, server_hostname=server_hostname)
        bound = cast("BoundSocket", wrapped)
        bound.subjects, bound.host = self.subjects, server_hostname or ""
        return bound


def accept(
    connection: socket.socket, keyring: Keyring, *, seconds: float = HANDSHAKE_SECONDS
) -> tuple[ssl.SSLSocket, Certificate]:
    """Shake hands with somebody who connected; the socket to go on with, and who it is.

    Takes up to ``seconds``, so it belongs into the connection's own thread. Raises HandshakeRefused with
    the reason, or NobodyThere; the connection is closed then.
    """
    return shake(connection, keyring.server, seconds=seconds)


@cache
def keyring(files: TlsFiles) -> Keyring:
    """The keyring of these files, one in each process. Raises ConfigurationError."""
    return Keyring(files)


def outgoing(
    files: Mapping[str, Any] | None, *, tls: bool, subjects: tuple[str, ...] = ()
) -> Outgoing | None:
    """How a peer is spoken to: None without TLS. Raises ConfigurationError."""
    if not tls or files is None:
        return None
    return Outgoing(keyring=keyring(TlsFiles(**files)), subjects=subjects)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Time of change in ns, size in bytes and number of a file; None while there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _load(files: TlsFiles) -> _Loaded:
    """Contexts of the files as they are; raises OSError or ValueError when they do not fit together."""
    server = _context(ssl.PROTOCOL_TLS_SERVER, files)
    # A ticket would let a peer come back without showing its certificate again.
    server.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    server.num_tickets = 0
    client = _context(ssl.PROTOCOL_TLS_CLIENT, files)
    client.check_hostname = False  # BoundSocket compares, because a peer may be bound to a subject instead.
    client.verify_mode = ssl.CERT_REQUIRED
    client.sslsocket_class = BoundSocket
    until, problem = look_at_ourselves(server, files.certificate)
    return _Loaded(server=server, client=client, at=datetime.now(UTC), until=until, problem=problem)


def _context(protocol: int, files: TlsFiles) -> ssl.SSLContext:
    """What both directions share."""
    context = ssl.SSLContext(protocol)
    context.minimum_version = VERSIONS[files.minimum]
    context.set_ciphers(CIPHERS)
    context.verify_mode = ssl.CERT_REQUIRED
    # Without a password file OpenSSL would ask at the terminal.
    password = files.key_password.read_text("utf-8").strip() if files.key_password else ""
    context.load_cert_chain(files.certificate, files.key, password=lambda: password)
    context.load_verify_locations(cafile=files.ca)
    if not context.cert_store_stats()["x509_ca"]:
        raise ValueError("no authority in the file of authorities")
    if files.crl is not None:
        context.load_verify_locations(cafile=files.crl)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


def look_at_ourselves(server: ssl.SSLContext, certificate: Path) -> tuple[datetime | None, str | None]:
    """Until when our certificate is valid, and what a peer would find wrong with it."""
    try:
        found = _own_certificate(server, certificate)
    except ssl.SSLCertVerificationError as error:
        return None, fault_of(error)
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(found["notAfter"])), UTC)
    return until, None


def _own_certificate(server: ssl.SSLContext, certificate: Path) -> dict[str, Any]:
    """What our certificate says, by a handshake within this process that trusts the certificate itself."""
    mirror = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    mirror.check_hostname = False
    mirror.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    mirror.load_verify_locations(cafile=certificate)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    own = mirror.wrap_bio(to_client, to_server)
    other = server.wrap_bio(to_server, to_client, server_side=True)
    with suppress(ssl.SSLWantReadError):
        own.do_handshake()
    with suppress(ssl.SSLWantReadError):
        other.do_handshake()
    with suppress(ssl.SSLWantReadError):
        own.do_handshake()
    return dict(own.getpeercert() or {})


def _told(error: Exception) -> str:
    """What is wrong, in the words of the library, which name no secret."""
    if isinstance(error, ssl.SSLError):
        return str(error.reason or "not readable").lower().replace("_", " ")
    return error.strerror or "not readable" if isinstance(error, OSError) else str(error)
