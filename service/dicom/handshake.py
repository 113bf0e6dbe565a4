"""The beginning of a TLS connection: who is let through, and what was wrong with the others."""

import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress

from service.dicom.certificates import Certificate

log = logging.getLogger(__name__)

#: A handshake takes two round trips; who needs longer holds a place for nothing (chosen by us).
HANDSHAKE_SECONDS = 10.0
#: First byte of every TLS connection: a record of kind handshake (RFC 8446, 5.1).
HANDSHAKE_RECORD = b"\x16"

#: Reasons by OpenSSL's number of what is wrong with a certificate (x509_vfy.h).
_CERTIFICATE_FAULTS = {
    9: "tls_certificate_expired",  # not valid yet
    10: "tls_certificate_expired",
    23: "tls_certificate_revoked",
    12: "tls_revocations_expired",
    3: "tls_revocations_missing",
    2: "tls_certificate_untrusted",
    18: "tls_certificate_untrusted",  # signed by itself
    19: "tls_certificate_untrusted",
    20: "tls_certificate_untrusted",
    21: "tls_certificate_untrusted",
}
#: Reasons by the words of OpenSSL.
_FAULTS = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "tls_certificate_missing",
    "UNSUPPORTED_PROTOCOL": "tls_version_refused",
    "NO_SHARED_CIPHER": "tls_cipher_refused",
    # The other side did not like ours: it does not know our authority, for example.
    "TLSV1_ALERT_UNKNOWN_CA": "tls_refused_by_peer",
    "SSLV3_ALERT_BAD_CERTIFICATE": "tls_refused_by_peer",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "tls_refused_by_peer",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "tls_refused_by_peer",
    "TLSV1_ALERT_PROTOCOL_VERSION": "tls_refused_by_peer",
}


class HandshakeRefused(Exception):
    """No TLS connection came about; ``reason`` is a code for records and logs."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NobodyThere(Exception):
    """The connection was opened and closed without a word, as monitoring does."""


class BoundSocket(ssl.SSLSocket):
    """A connection that stands only if the other side is who it must be."""

    subjects: Sequence[str] = ()
    host: str = ""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - the library's signature
        """Prove both sides, and look at the name; why it fails is logged, for the sender only sees that."""
        try:
            super().do_handshake(block)
        except OSError as error:
            self._give_up({"reason": fault_of(error)})
            raise
        certificate = Certificate.of(self.getpeercert() or {})
        if not certificate.is_bound_to(self.subjects or _names_of(self.host)):
            self._give_up({"reason": "tls_subject_unknown", "tls_subject": str(certificate)})
            raise ssl.SSLCertVerificationError(1, "the certificate is not that of the peer")

    def _give_up(self, facts: dict[str, str]) -> None:
        """Close, which the DICOM library would not do."""
        log.warning("tls_not_established", extra=facts)
        self.close()


def _names_of(host: str) -> tuple[str, ...]:
    """The alternative names that stand for a host."""
    return (f"IP:{host}",) if _is_address(host) else (f"DNS:{host}",)


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):
            socket.inet_pton(family, host)
            return True
    return False


def shake(
    connection: socket.socket, context: Callable[[], ssl.SSLContext], *, seconds: float
) -> tuple[ssl.SSLSocket, Certificate]:
    """Shake hands with somebody who connected; the socket to go on with, and who it is.

    The context is asked for when it is needed. Takes up to ``seconds``, so it belongs into the
    connection's own thread. Raises HandshakeRefused with the reason, or NobodyThere; the connection is
    closed then.
    """
    try:
        connection.settimeout(seconds)
        first = connection.recv(1, socket.MSG_PEEK)
        if not first:
            raise NobodyThere
        if first != HANDSHAKE_RECORD:
            raise HandshakeRefused("tls_missing")
        return _shake(connection, context())
    except TimeoutError as error:
        connection.close()
        raise HandshakeRefused("tls_timeout") from error
    except OSError as error:
        connection.close()
        raise HandshakeRefused(fault_of(error)) from error
    except (HandshakeRefused, NobodyThere):
        connection.close()
        raise


def _shake(connection: socket.socket, context: ssl.SSLContext) -> tuple[ssl.SSLSocket, Certificate]:
    """The handshake itself, with the timeout that is set; the timeout is taken off afterwards."""
    wrapped = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
    try:
        wrapped.do_handshake()
        certificate = Certificate.of(wrapped.getpeercert() or {})
        wrapped.settimeout(None)
    except BaseException:
        wrapped.close()
        raise
    return wrapped, certificate


def fault_of(error: OSError) -> str:
    """The reason code of a handshake that failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE_FAULTS.get(getattr(error, "verify_code", 0), "tls_certificate_unusable")
    if isinstance(error, ssl.SSLError):
        return _FAULTS.get(error.reason or "", "tls_failed")
    return "tls_failed"
