"""What every call by HTTP or SMTP shares: whom it trusts, its credentials, and what failed, in codes."""

import http.client
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import PeerUnreachable


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """TLS that verifies certificates by these, or by those of the system. Raises PeerUnreachable."""
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except OSError as error:
        raise PeerUnreachable(
            "The certificates to trust cannot be read.", reason="ca_file_unreadable"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def http_connection(
    scheme: str, host: str, port: int | None, *, ca_file: Path | None, seconds: float
) -> http.client.HTTPConnection:
    """A connection, not open yet; the library turns Nagle's algorithm off by itself."""
    if scheme != "https":
        return http.client.HTTPConnection(host, port, timeout=seconds)
    return http.client.HTTPSConnection(host, port, timeout=seconds, context=trusting(ca_file))


def credentials(path: Path) -> str:
    """What stands in a file of secrets, read for each call: it may be renewed. Raises PeerUnreachable."""
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PeerUnreachable(
            "The file with the credentials cannot be read.", reason="credentials_unreadable"
        ) from error


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turn what goes wrong on the way into PeerUnreachable; what the other end says is left out."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise PeerUnreachable(
            "The peer's certificate is not trusted.", reason="certificate_refused"
        ) from error
    except TimeoutError as error:
        raise PeerUnreachable("The peer did not answer in time.", reason="no_answer") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise PeerUnreachable("The connection to the peer failed.") from error
