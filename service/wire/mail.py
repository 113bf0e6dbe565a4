"""E-mail by SMTP (RFC 5321, with STARTTLS of RFC 3207 or TLS from the start of RFC 8314).

Only the configured server is connected to; certificates are verified.
"""

import smtplib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Literal

from service.errors import DeliveryError, PeerUnreachable
from service.wire.trust import credentials, told_plainly, trusting

#: A mail server in the house answers in seconds; some make strangers wait before the greeting.
ANSWER_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class MailAddress:
    """A mail server, who writes, and who reads."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    sender: str
    recipients: tuple[str, ...]
    user: str = ""
    password_file: Path | None = None
    #: Certificates that are trusted instead of those of the system.
    ca_file: Path | None = None


def send(address: MailAddress, *, subject: str, body: str, message_id: str, at: datetime) -> None:
    """Have the server take one message to all recipients. Raises DeliveryError.

    ``message_id`` is the same at each try, so that a reader's program knows a message that comes twice.
    """
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = address.sender
    message["To"] = ", ".join(address.recipients)
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<{message_id}@{address.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence is to answer.
    message.set_content(body)
    with told_plainly(), _refusals(), _connected(address) as server:
        if address.user:
            assert address.password_file is not None, "the settings see to it"
            server.login(address.user, credentials(address.password_file))
        server.send_message(message)


@contextmanager
def _connected(address: MailAddress) -> Iterator[smtplib.SMTP]:
    """A connection, encrypted as asked for."""
    # Without a name of ours the library would ask the name server.
    ours = socket.gethostname()
    if address.security == "tls":
        with smtplib.SMTP_SSL(
            address.host,
            address.port,
            local_hostname=ours,
            timeout=ANSWER_SECONDS,
            context=trusting(address.ca_file),
        ) as server:
            yield server
        return
    with smtplib.SMTP(address.host, address.port, local_hostname=ours, timeout=ANSWER_SECONDS) as server:
        if address.security == "starttls":
            server.ehlo()
            if not server.has_extn("starttls"):
                raise DeliveryError("The mail server does not offer STARTTLS.", reason="smtp_tls_missing")
            server.starttls(context=trusting(address.ca_file))
        yield server


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what the server refuses into codes; what it says may quote what it was told, so it is left out."""
    try:
        yield
    except smtplib.SMTPAuthenticationError as error:
        raise DeliveryError("The mail server refused the login.", reason="smtp_login_refused") from error
    except smtplib.SMTPServerDisconnected as error:
        raise PeerUnreachable("The connection to the peer failed.") from error
    except smtplib.SMTPException as error:
        raise DeliveryError("The mail server refused the message.", reason="smtp_refused") from error
