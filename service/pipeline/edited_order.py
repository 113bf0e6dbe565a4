"""What each sweep does for segmentations that came back edited: order their versions, or say why not."""

import logging
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from service.db import edits, optouts
from service.db.edits import Waiting
from service.db.session import Sessions, reading
from service.dicom.edited import references_of
from service.dicom.spool import Spool
from service.errors import EditRefused, Reason
from service.files import within

log = logging.getLogger(__name__)

NO_RESULT = Reason("edit_no_drawing", "There is no result of these images.")
OPTED_OUT = Reason("opted_out", "The patient has opted out.")


def look_after(sessions: Sessions, spool: Spool, home: Path, *, now: datetime) -> int:
    """Order a version of each that waits and can be measured; how many were ordered."""
    with reading(sessions) as session:
        lost = edits.any_lost(session)
    if lost:
        with sessions.begin() as session:
            edits.settle_lost(session, now=now)
    return sum(_order_or_refuse(sessions, each, spool, home, now=now) for each in _waiting(sessions))


def _waiting(sessions: Sessions) -> Iterator[Waiting]:
    """All that wait: those that have to go on waiting hold up no other one."""
    after = 0
    while True:
        with reading(sessions) as session:
            found = edits.waiting(session, after=after)
        if not found:
            return
        yield from found
        after = found[-1].id


def _order_or_refuse(sessions: Sessions, each: Waiting, spool: Spool, home: Path, *, now: datetime) -> bool:
    """Whether a version was ordered; whatever is wrong with one stops no other."""
    try:
        return _order(sessions, each, spool, home, now=now)
    except EditRefused as error:
        _refuse(sessions, each, error.reason, now=now)
    except Exception:  # It is tried again with the next sweep.
        log.exception("edit_not_ordered", extra={"study_id": each.study_id})
    return False


def _order(sessions: Sessions, each: Waiting, spool: Spool, home: Path, *, now: datetime) -> bool:
    """Order one version; False where it has to wait. Raises EditRefused."""
    analysis_id = _meant(each, spool, home)
    if analysis_id is None:
        raise EditRefused(NO_RESULT.text, reason=NO_RESULT.code)
    with sessions.begin() as session:
        if optouts.lists_study(session, home, each.study_id):
            raise EditRefused(OPTED_OUT.text, reason=OPTED_OUT.code)
        made = edits.order(session, each.id, analysis_id, now=now)
    if made is not None:
        log.info("edit_ordered", extra={"analysis_id": made})
    return made is not None


def _meant(each: Waiting, spool: Spool, home: Path) -> int | None:
    """The analysis that it corrects: of several of one series, that whose segmentation shares most images."""
    if len(each.candidates) < 2:
        return each.candidates[0][0] if each.candidates else None
    mine = references_of(spool.path(each.path))
    shared = {
        analysis_id: len(mine & references_of(within(home, path)))
        for analysis_id, path in each.candidates
        if path is not None
    }
    best = max(shared, key=lambda analysis_id: shared[analysis_id], default=None)
    return best if best is not None and shared[best] else None


def _refuse(sessions: Sessions, each: Waiting, reason: Reason, *, now: datetime) -> None:
    log.info("edit_refused", extra={"code": reason.code})
    with sessions.begin() as session:
        edits.refuse(session, each.id, reason, now=now)
