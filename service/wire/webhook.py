"""A message to a program: JSON by HTTPS POST, signed with a shared secret.

The signature is HMAC-SHA256 over the time, a full stop and the body, as the header names them; a receiver
compares it in constant time and refuses what is older than some minutes.
"""

import hashlib
import hmac
import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from service.errors import DeliveryError, PeerUnreachable

ANSWER_SECONDS = 15.0
TIME_HEADER: Final = "X-Myoscreen-Timestamp"
SIGNATURE_HEADER: Final = "X-Myoscreen-Signature"
ID_HEADER: Final = "X-Myoscreen-Delivery"


@dataclass(frozen=True, kw_only=True)
class HookAddress:
    """Where a program listens."""

    url: str
    secret_file: Path
    #: Certificates that are trusted instead of those of the system.
    ca_file: Path | None = None


def post(address: HookAddress, content: Mapping[str, Any], *, message_id: str, at: datetime) -> None:
    """Send one message; any answer below 300 is a yes, and no redirect is followed. Raises DeliveryError."""
    body = json.dumps(content, ensure_ascii=False).encode()
    stamp = str(int(at.timestamp()))
    headers = {
        "Content-Type": "application/json",
        TIME_HEADER: stamp,
        SIGNATURE_HEADER: f"sha256={signature(_secret(address), stamp, body)}",
        ID_HEADER: message_id,
    }
    status = _post(address, body, headers)
    if not 200 <= status < 300:
        raise DeliveryError(f"The peer answered HTTP {status}.", reason="http_status")


def signature(secret: bytes, stamp: str, body: bytes) -> str:
    """What proves that the message is ours, and when it was sent."""
    return hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _secret(address: HookAddress) -> bytes:
    try:
        return address.secret_file.read_text("utf-8").strip().encode()
    except (OSError, UnicodeDecodeError) as error:
        raise PeerUnreachable(
            "The file with the credentials cannot be read.", reason="credentials_unreadable"
        ) from error


def _post(address: HookAddress, body: bytes, headers: Mapping[str, str]) -> int:
    """Status of the answer."""
    parts = urlsplit(address.url)
    connection: http.client.HTTPConnection
    try:
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=address.ca_file and str(address.ca_file))
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            connection = http.client.HTTPSConnection(
                parts.hostname or "", parts.port, timeout=ANSWER_SECONDS, context=context
            )
        else:
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=ANSWER_SECONDS)
    except OSError as error:
        raise PeerUnreachable(
            "The certificates to trust cannot be read.", reason="ca_file_unreadable"
        ) from error
    try:
        connection.request("POST", parts.path or "/", body=body, headers=dict(headers))
        with connection.getresponse() as answer:
            return answer.status
    except ssl.SSLCertVerificationError as error:
        raise PeerUnreachable(
            "The peer's certificate is not trusted.", reason="certificate_refused"
        ) from error
    except TimeoutError as error:
        raise PeerUnreachable("The peer did not answer in time.", reason="no_answer") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise PeerUnreachable("The connection to the peer failed.") from error
    finally:
        connection.close()
