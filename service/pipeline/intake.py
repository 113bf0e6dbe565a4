"""The verb "take in": received images become rows."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from service.db import conflicts, ledger
from service.db.ledger import InstanceFacts, Recorded, StudyFacts
from service.db.session import Sessions
from service.dicom.scp import Received, Refused
from service.dicom.spool import Spool
from service.errors import SpoolFull

log = logging.getLogger(__name__)

#: Counted when other bytes came under an identifier that is taken.
SET_ASIDE = "instances_set_aside"
DUPLICATES = "instance_duplicates"


@dataclass(eq=False)
class _Waiting:
    """An image whose row is to be written, and what became of it."""

    received: Received
    done: bool = False
    error: BaseException | None = None


@dataclass
class Recorder:
    """Writes rows for many associations at once: who comes first commits for all that wait.

    One commit costs a write to the disk that is waited for, whether it holds one row or twenty.
    """

    sessions: Sessions
    spool: Spool
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _committing: threading.Lock = field(default_factory=threading.Lock)
    _queue: list[_Waiting] = field(default_factory=list)

    def record(self, received: Received) -> None:
        """Write down one kept image; its row is committed when this returns. Raises what went wrong."""
        mine = _Waiting(received)
        with self._lock:
            self._queue.append(mine)
        with self._committing:
            if not mine.done:
                self._commit_all()
        if mine.error is not None:
            raise mine.error

    def _commit_all(self) -> None:
        """Commit everything that waits; where that fails each alone, so that one cannot harm another."""
        with self._lock:
            batch, self._queue = self._queue, []
        now = datetime.now(UTC)
        try:
            record_instances(self.sessions, self.spool, [waiting.received for waiting in batch], now=now)
        except BaseException as error:  # noqa: BLE001 - raised in the thread that it belongs to
            if len(batch) == 1:
                batch[0].error = error
            else:
                self._commit_each(batch, now=now)
        for waiting in batch:
            waiting.done = True

    def _commit_each(self, batch: Sequence[_Waiting], *, now: datetime) -> None:
        """Commit one after the other."""
        for waiting in batch:
            try:
                record_instance(self.sessions, self.spool, waiting.received, now=now)
            except BaseException as error:  # noqa: BLE001 - raised in the thread that it belongs to
                waiting.error = error


def record_instance(sessions: Sessions, spool: Spool, received: Received, *, now: datetime) -> Recorded:
    """Write down one kept image; see ``record_instances``."""
    return record_instances(sessions, spool, [received], now=now)[0]


def record_instances(
    sessions: Sessions, spool: Spool, batch: Sequence[Received], *, now: datetime
) -> list[Recorded]:
    """Write down kept images; their rows are committed when this returns.

    Other bytes under an identifier that is taken are set aside: the first stay, and the sweep looks what
    the others are.
    """
    rows = [_facts(received) for received in batch]
    with sessions.begin() as session:
        recorded = ledger.record_instances(session, rows, now=now)
        known = list(zip(rows, recorded, strict=True))
        others = [facts for facts, became in known if became is Recorded.CONFLICT]
        conflicts.set_aside(session, others, now=now)
        for name, count in ((DUPLICATES, recorded.count(Recorded.DUPLICATE)), (SET_ASIDE, len(others))):
            if count:
                ledger.count(session, name, by=count)
    for received, became in zip(batch, recorded, strict=True):
        if became is Recorded.CONFLICT:
            log.warning("instance_set_aside", extra={"calling_ae": received.calling_ae})
        kept = became in (Recorded.CONFLICT, Recorded.RETURNED)
        if kept and not spool.path(received.kept.path).is_file():
            # The same file was taken away between its keeping and its row: the sender must send it again.
            raise SpoolFull("The image was being taken away after its time.", reason="being_purged")
    return recorded


def count_refused(sessions: Sessions, refused: Refused) -> None:
    """Count an object that was answered but not kept."""
    with sessions.begin() as session:
        ledger.count(session, refused.value)


def _facts(received: Received) -> InstanceFacts:
    """The row's values: what the sender wrote is cut to the columns, and made storable."""
    identity, study = received.identity, received.identity.study
    return InstanceFacts(
        study=StudyFacts(
            study_uid=identity.study_uid,
            patient_id=_plain(study.patient_id, 256),
            patient_name=_plain(study.patient_name, 512),
            birth_date=_plain(study.birth_date, 16),
            sex=_plain(study.sex, 16),
            accession_number=_plain(study.accession_number, 64),
            study_date=_plain(study.study_date, 16),
            description=_plain(study.description, 256),
            issuer_of_patient_id=_plain(study.issuer_of_patient_id, 64),
        ),
        series_uid=identity.series_uid,
        modality=_plain(identity.modality, 16),
        series_description=_plain(identity.series_description, 256),
        calling_ae=_plain(received.calling_ae, 16),
        sop_instance_uid=identity.sop_instance_uid,
        sop_class_uid=identity.sop_class_uid,
        transfer_syntax_uid=received.transfer_syntax_uid,
        path=received.kept.path,
        sha256=received.kept.sha256,
        size=received.kept.size,
    )


def _plain(text: str, length: int) -> str:
    """Text that every database stores: no NUL, no half characters, not too long."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")[:length]
