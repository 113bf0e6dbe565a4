"""A message to a program: JSON by HTTPS POST, signed with a shared secret.

The signature is HMAC-SHA256 over the time, a full stop and the body, as the header names them; a receiver
compares it in constant time and refuses what is older than some minutes.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from service.errors import DeliveryError
from service.wire.trust import credentials, http_connection, told_plainly

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
        SIGNATURE_HEADER: f"sha256={signature(credentials(address.secret_file).encode(), stamp, body)}",
        ID_HEADER: message_id,
    }
    status = _post(address, body, headers)
    if not 200 <= status < 300:
        raise DeliveryError(f"The peer answered HTTP {status}.", reason="http_status")


def signature(secret: bytes, stamp: str, body: bytes) -> str:
    """What proves that the message is ours, and when it was sent."""
    return hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _post(address: HookAddress, body: bytes, headers: Mapping[str, str]) -> int:
    """Status of the answer."""
    parts = urlsplit(address.url)
    connection = http_connection(
        parts.scheme, parts.hostname or "", parts.port, ca_file=address.ca_file, seconds=ANSWER_SECONDS
    )
    with told_plainly(), closing(connection):
        connection.request("POST", parts.path or "/", body=body, headers=dict(headers))
        with connection.getresponse() as answer:
            return answer.status
