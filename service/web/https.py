"""HTTPS by the web door itself: strong TLS only, and certificates that may be replaced while it runs."""

import logging
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.errors import ConfigurationError

log = logging.getLogger(__name__)

#: RFC 9325, 4.2, for TLS 1.2; those of TLS 1.3 are all strong. Level 2 of OpenSSL: 112 bits and no SHA-1.
CIPHERS = "ECDHE+AESGCM:@SECLEVEL=2"


@dataclass
class Https:
    """A context whose certificate follows its files. Raises ConfigurationError when they cannot be used."""

    certificate: Path
    key: Path
    password_file: Path | None = None
    context: ssl.SSLContext = field(init=False)

    def __post_init__(self) -> None:
        self._seen = self._stamps()
        try:
            self.context = self._make()
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"Certificate or key of HTTPS cannot be used ({self.certificate}, {self.key}).",
                reason="tls_files_unusable",
            ) from error

    def refresh(self) -> None:
        """Take a certificate that was replaced on disk for the next connection; a broken one is only told."""
        stamps = self._stamps()
        if stamps == self._seen:
            return
        self._seen = stamps
        try:
            self._make()
            self._fill(self.context)
        except (OSError, ValueError):
            log.warning("tls_certificate_trouble", extra={"reason": "tls_files_unusable"})
            return
        log.info("tls_certificate_loaded")

    def state(self) -> dict[str, Any]:
        """For the status page: until when the certificate is valid, and what is wrong with it."""
        from service.dicom.tls import look_at_ourselves  # noqa: PLC0415 - only where HTTPS is configured

        until, problem = look_at_ourselves(self.context, self.certificate)
        return {"valid_until": None if until is None else until.isoformat(), "problem": problem}

    def _make(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS)
        self._fill(context)
        return context

    def _fill(self, context: ssl.SSLContext) -> None:
        """Give a context our certificate; raises OSError or ValueError."""
        # Without a password OpenSSL would ask at the terminal.
        password = self.password_file.read_text("utf-8").strip() if self.password_file else ""
        context.load_cert_chain(self.certificate, self.key, password=lambda: password)

    def _stamps(self) -> tuple[tuple[int, int, int] | None, ...]:
        """What the files look like."""
        paths = (self.certificate, self.key, self.password_file)
        return tuple(_stamp(path) for path in paths if path is not None)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Time of change in ns, size in bytes and number of a file; None while there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
