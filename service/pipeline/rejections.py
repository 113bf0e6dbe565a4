"""The verb "turn away": callers who were not let in are remembered, counted and audited."""

from datetime import datetime, timedelta
from typing import Any

from service.db import ledger, people
from service.db.session import Sessions
from service.dicom.scp import Rejected

#: Action of the audit record.
ACTION = "caller_rejected"
#: Lines that one address can add to the audit record by being turned away; further ones are counted with
#: the rejected callers. Chosen by us: a wrongly set up device is told from an attack after far fewer, and
#: somebody who tries all day adds 1440 lines, not a million.
AUDITED, AUDITED_WITHIN = 60, timedelta(hours=1)


def record_rejected(sessions: Sessions, rejected: Rejected, *, now: datetime) -> None:
    """Remember a caller who was not let in, for the status page and in the audit record."""
    calling, called = _plain(rejected.calling_ae, 16), _plain(rejected.called_ae, 16)
    address, reason = _plain(rejected.address, 64), rejected.reason
    subject = None if rejected.tls_subject is None else _plain(rejected.tls_subject, 256)
    with sessions.begin() as session:
        ledger.reject_caller(
            session,
            calling_ae=calling,
            called_ae=called,
            address=address,
            reason=reason,
            tls_subject=subject,
            now=now,
        )
        line: dict[str, Any] = {"action": ACTION, "address": address}
        if people.count_recorded(session, **line, since=now - AUDITED_WITHIN, most=AUDITED) < AUDITED:
            who = {"calling_ae": calling, "called_ae": called, "reason": reason, "tls_subject": subject}
            people.record(session, **line, at=now, actor="service", outcome="refused", detail=who)


def _plain(text: str, length: int) -> str:
    """Text that every database stores: no NUL, no half characters, not too long."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")[:length]
