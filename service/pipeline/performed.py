"""The verb "note a performed step": what a scanner says that it made is written down (MPPS).

A series of which a completed step names the images is closed as soon as they are here (``pipeline.close``).
"""

from datetime import datetime, timedelta
from typing import Final

from service.core.status import StepState
from service.db import performed
from service.db.session import Sessions
from service.dicom.dimse import Status
from service.dicom.performed import Said

#: Steps are forgotten after this time. Chosen by us: images come within days of their examination.
KEEP: Final = timedelta(days=30)


def take(sessions: Sessions, peer: str, said: Said, *, now: datetime) -> int:
    """Write down one N-CREATE or N-SET; the status of the answer (PS3.4 F.7.2.1.4 and F.7.2.2.4)."""
    with sessions.begin() as session:
        if said.created:
            if not performed.begin(session, peer=peer, step_uid=said.step_uid, now=now):
                return Status.DUPLICATE_SOP_INSTANCE
        else:
            state = performed.state_of(session, peer=peer, step_uid=said.step_uid)
            if state is None:
                return Status.NO_SUCH_SOP_INSTANCE
            # It may no longer be updated.
            if state is not StepState.IN_PROGRESS:
                return Status.PROCESSING_FAILURE
        performed.change(session, said.step_uid, state=said.state, images=said.images, now=now)
    return Status.SUCCESS


def forget(sessions: Sessions, *, now: datetime) -> int:
    """Forget steps of long ago; how many."""
    with sessions.begin() as session:
        return performed.forget(session, before=now - KEEP)
