"""The verb "take in": received images become rows."""

import logging
from datetime import datetime

from service.db import ledger
from service.db.ledger import InstanceFacts, Recorded, StudyFacts
from service.db.session import Sessions
from service.dicom.scp import Received, Refused, Rejected
from service.dicom.spool import Spool

log = logging.getLogger(__name__)

#: Counted when other bytes came under an identifier that is taken.
CONFLICTS = "instance_conflicts"
DUPLICATES = "instance_duplicates"


def record_instance(sessions: Sessions, spool: Spool, received: Received, *, now: datetime) -> Recorded:
    """Write down one kept image; its row is committed when this returns.

    Other bytes under an identifier that is taken are counted, told on the timeline and dropped:
    the first stay.
    """
    facts = _facts(received)
    with sessions.begin() as session:
        recorded = ledger.record_instance(session, facts, now=now)
        if recorded is Recorded.CONFLICT:
            ledger.count(session, CONFLICTS)
            ledger.series_event(session, "instance_conflict", series_uid=facts.series_uid, at=now)
        elif recorded is Recorded.DUPLICATE:
            ledger.count(session, DUPLICATES)
    if recorded is Recorded.CONFLICT:
        log.warning("instance_conflict", extra={"calling_ae": facts.calling_ae})
        spool.drop(received.kept)
    return recorded


def count_refused(sessions: Sessions, refused: Refused) -> None:
    """Count an object that was answered but not kept."""
    with sessions.begin() as session:
        ledger.count(session, refused.value)


def record_rejected(sessions: Sessions, rejected: Rejected, *, now: datetime) -> None:
    """Remember a caller who was not let in."""
    with sessions.begin() as session:
        ledger.reject_caller(
            session,
            calling_ae=_plain(rejected.calling_ae, 16),
            called_ae=_plain(rejected.called_ae, 16),
            address=_plain(rejected.address, 64),
            reason=rejected.reason,
            now=now,
        )


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
