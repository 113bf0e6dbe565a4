"""From the plain values of the settings to those who are told of trouble."""

from collections.abc import Iterable, Mapping
from datetime import time, timedelta
from typing import Any

from service.core.notice import Sender
from service.core.trouble import Severity
from service.pipeline.notify import Recipient
from service.wire.mail import MailAddress
from service.wire.webhook import HookAddress


def recipients_of(settings: Iterable[Mapping[str, Any]], *, site: str) -> tuple[Recipient, ...]:
    """One for each ``[[notify]]`` table; ``site`` is how the installation calls itself."""
    return tuple(_recipient(each, site) for each in settings)


def _recipient(told: Mapping[str, Any], site: str) -> Recipient:
    return Recipient(
        name=told["name"],
        sender=Sender(site=site, language=told["language"], link=told["link"] or ""),
        way=_way(told),
        least=Severity(told["least"]),
        after=timedelta(seconds=told["after_seconds"]),
        digest=None if told["digest"] is None else time.fromisoformat(told["digest"]),
    )


def _way(told: Mapping[str, Any]) -> MailAddress | HookAddress:
    if told["webhook_url"] is not None:
        return HookAddress(
            url=told["webhook_url"], secret_file=told["webhook_secret_file"], ca_file=told["ca_file"]
        )
    return MailAddress(
        host=told["smtp_host"],
        port=told["smtp_port"],
        security=told["smtp_security"],
        sender=told["mail_from"],
        recipients=tuple(told["mail_to"]),
        user=told["smtp_user"],
        password_file=told["smtp_password_file"],
        ca_file=told["ca_file"],
    )
