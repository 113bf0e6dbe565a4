"""The verb "report": the audit record goes to a collector as DICOM audit messages (PS3.15 A.5).

Lines are sent once they are sealed, in the order of the chain, each at least once. What was sent is known by
the ledger alone, so nothing is lost while the collector is away, however long that is.
"""

import logging
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from service.core.auditevents import Outcome
from service.core.auditmessage import Line, Message, Reporter, Subject, messages
from service.db import audit_outbox
from service.db.audit_outbox import StudyIds
from service.db.optouts import Key
from service.db.session import Sessions, reading
from service.db.tables import AuditEntry
from service.errors import DeliveryError
from service.files import own_secret
from service.pipeline.privacy import KEY_NAME
from service.wire import syslog
from service.wire.syslog import Record, SyslogAddress

log = logging.getLogger(__name__)

#: How often is looked whether something waits; sealing takes up to ten seconds anyway. Chosen by us.
EVERY: Final = timedelta(seconds=5)
#: Lines of one connection: a message is some 1.5 kB. Chosen by us.
BATCH: Final = 200
#: Who sends has this long before another may: longer than a connection takes that goes wrong slowly.
LEASE: Final = timedelta(minutes=1)
#: Clocks of machines differ: a line may seem that much older than what it is about. Chosen by us.
CLOCKS: Final = timedelta(minutes=1)
#: Before the second try, doubled with each further one up to the longest. Chosen by us.
BACKOFF, BACKOFF_MAX = timedelta(seconds=5), timedelta(minutes=5)
#: RFC 5424 section 6.2.1: notice, warning and error. PS3.15 A.6 has 5 for most messages, and 4.
SEVERITY: Final = {Outcome.SUCCESS: 5, Outcome.MINOR: 4, Outcome.SERIOUS: 3}


@dataclass(frozen=True, kw_only=True)
class Collector:
    """Where the audit record goes, and what it says there of patients and of us."""

    address: SyslogAddress
    facility: int
    app_name: str
    #: Whether patients are named by ID and name, or by keyed hash.
    named: bool
    ae_title: str
    site: str = ""

    @property
    def reporter(self) -> Reporter:
        """Who tells."""
        return Reporter(ae_title=self.ae_title, host=socket.gethostname(), site=self.site)


class Forwarder:
    """Sends what waits; several processes may try, one at a time does."""

    def __init__(
        self, sessions: Sessions, home: Path, collector: Collector, *, clock: Callable[[], datetime]
    ) -> None:
        self._sessions = sessions
        self._home = home
        self._collector = collector
        self._clock = clock
        self._running = threading.Lock()
        with sessions.begin() as session:
            audit_outbox.begin(session, now=clock())

    def run(self) -> int:
        """Send everything that waits, as far as the collector takes it; how many lines it took."""
        if not self._running.acquire(blocking=False):
            return 0
        try:
            count = 0
            while taken := self._send_some():
                count += taken
            return count
        finally:
            self._running.release()

    def _send_some(self) -> int:
        with reading(self._sessions) as session:
            if not audit_outbox.waiting(session, limit=1):
                return 0
        with self._sessions.begin() as session:
            held = audit_outbox.claim(session, now=self._clock(), lease=LEASE, longest=BACKOFF_MAX)
        if held is None:
            return 0
        with reading(self._sessions) as session:
            # Who took too long for so many gets half of them.
            lines = audit_outbox.waiting(session, limit=max(1, BATCH >> held.failures))
            studies = audit_outbox.studies_of(session, lines)
        try:
            # Another process may have sent them since we looked.
            if lines:
                syslog.send(self._collector.address, self._records(lines, studies))
        except DeliveryError as error:
            now = self._clock()
            wait = min(BACKOFF * 2 ** min(held.failures, 10), BACKOFF_MAX)
            log.warning(
                "audit_not_forwarded", extra={"code": error.reason.code, "attempt": held.failures + 1}
            )
            with self._sessions.begin() as session:
                audit_outbox.failed(session, held, code=error.reason.code, again_at=now + wait)
            return 0
        with self._sessions.begin() as session:
            last = _number(lines[-1]) if lines else held.after
            audit_outbox.sent(session, held, up_to=last, now=self._clock())
        return len(lines)

    def _records(self, lines: Sequence[AuditEntry], studies: dict[tuple[str, str], StudyIds]) -> list[Record]:
        reporter = self._collector.reporter
        key = Key(own_secret(self._home / KEY_NAME))
        records = []
        for row in lines:
            known = studies.get((row.object_type or "", row.object_id or ""))
            subject = subject_of(row, known, None if self._collector.named else key)
            records += [
                self._record(_number(row), message, reporter.host)
                for message in messages(_line(row), subject, reporter)
            ]
        return records

    def _record(self, number: int, message: Message, host: str) -> Record:
        return Record(
            at=message.at,
            facility=self._collector.facility,
            severity=SEVERITY[message.outcome],
            host=host,
            app_name=self._collector.app_name,
            number=number,
            text=message.xml,
        )


def subject_of(row: AuditEntry, study: StudyIds | None, key: Key | None) -> Subject | None:
    """Whose images a line is about; None where it is about something else. Without a key people are named.

    Of a study that is not here any more nobody is named: the line itself may have the keyed hash.
    """
    if row.object_type not in ("analysis", "study"):
        return None
    if study is None or study.since > row.at + CLOCKS:
        said = str((row.detail or {}).get("patient") or "")
        return Subject(study_uid=None, patient=said, hashed=True)
    if key is None:
        return Subject(
            study_uid=study.study_uid, patient=study.patient_id, hashed=False, name=study.patient_name
        )
    hashed = key.patient(study.patient_id) if study.patient_id.strip() else ""
    return Subject(study_uid=study.study_uid, patient=hashed, hashed=True)


def _number(row: AuditEntry) -> int:
    assert row.chain_number is not None, "only sealed lines are sent"
    return row.chain_number


def _line(row: AuditEntry) -> Line:
    return Line(
        number=_number(row),
        at=row.at,
        actor=row.actor,
        action=row.action,
        ok=row.outcome == "ok",
        object_type=row.object_type,
        object_id=row.object_id,
        address=row.address,
        detail=row.detail,
    )
