"""The verb "take in" for segmentations that come back edited: kept files become rows, or are not wanted."""

from datetime import UTC, datetime
from typing import Final

from service.db import edits, ledger
from service.db.edits import Came, EditFacts
from service.db.session import Sessions
from service.dicom.edited_store import OnEdit, ReceivedEdit
from service.dicom.storing import Refused

#: How each is counted and answered; one that is kept is neither.
REFUSED: Final[dict[Came, Refused]] = {
    Came.SAME: Refused.EDIT_AGAIN,
    Came.UNKNOWN: Refused.EDIT_UNKNOWN,
    Came.MISMATCH: Refused.EDIT_MISMATCH,
    Came.CONFLICT: Refused.EDIT_CONFLICT,
}
RECEIVED: Final = "edits_received"


def taker(sessions: Sessions) -> OnEdit:
    """Writes down what comes; its row is committed when the answer is given."""

    def take(received: ReceivedEdit) -> Refused | None:
        return record_edit(sessions, received, now=datetime.now(UTC))

    return take


def record_edit(sessions: Sessions, received: ReceivedEdit, *, now: datetime) -> Refused | None:
    """Write down one kept segmentation; None: its row is committed, else why its file is not wanted."""
    identity, study = received.identity, received.identity.study
    facts = EditFacts(
        sop_instance_uid=identity.sop_instance_uid,
        sop_class_uid=identity.sop_class_uid,
        study_uid=identity.study_uid,
        patient_id=study.patient_id,
        issuer_of_patient_id=study.issuer_of_patient_id,
        birth_date=study.birth_date,
        sex=study.sex,
        peer=received.peer[:64],
        path=received.kept.path,
        sha256=received.kept.sha256,
        size=received.kept.size,
        references=received.references,
    )
    with sessions.begin() as session:
        came = edits.arrive(session, facts, now=now)
        if came is Came.KEPT:
            ledger.count(session, RECEIVED)
    return REFUSED.get(came)
