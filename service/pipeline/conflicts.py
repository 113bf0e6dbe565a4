"""What came under an identifier that is taken: compared with what is here, and let go if nobody needs it."""

import logging
from collections import defaultdict
from datetime import datetime
from pathlib import Path

from service.core.status import Difference
from service.db import conflicts
from service.db.conflicts import Pair
from service.db.session import Sessions, reading
from service.dicom.sameness import difference
from service.dicom.spool import Spool
from service.files import one_at_a_time

log = logging.getLogger(__name__)

#: Compared in one sweep, which comes twice a second. Chosen by us: so many images of MR are read within a
#: tenth of a second, and a large multi-frame image is looked at alone.
BATCH, BATCH_BYTES = 40, 64 * 2**20


def compare(sessions: Sessions, spool: Spool, *, now: datetime) -> int:
    """Find out what some of the images that were set aside are; how many.

    Files are read between transactions.
    """
    with reading(sessions) as session:
        pairs = conflicts.not_compared(session, limit=BATCH)
    answers: dict[int, list[tuple[int, Difference, str]]] = defaultdict(list)
    size = count = 0
    for pair in pairs:
        if count and size + pair.size > BATCH_BYTES:
            break
        size, count = size + pair.size, count + 1
        answers[pair.series_id].append((pair.id, *_look(spool, pair)))
    for series_id, found in answers.items():
        with sessions.begin() as session:
            conflicts.found(session, series_id, found, now=now)
        log.info("set_aside_compared", extra={"series_id": series_id, "count": len(found)})
    return count


def _look(spool: Spool, pair: Pair) -> tuple[Difference, str]:
    """What the other file is to the first."""
    if not pair.first_path:
        return Difference.NOT_COMPARED, "first_purged"
    try:
        return difference(spool.path(pair.first_path), spool.path(pair.other_path))
    except Exception:  # Whatever a sender may write, the sweep goes on.
        log.exception("set_aside_unreadable", extra={"series_id": pair.series_id})
        return Difference.NOT_COMPARED, "unreadable"


def remove(sessions: Sessions, spool: Spool) -> int:
    """Take away files that nobody needs any more; how many. What cannot be removed waits."""
    after = count = 0
    while True:
        # Within one short transaction, so that nothing of it comes again between the look and the removal.
        with sessions.begin() as session:
            rows = conflicts.leaving(session, after=after, limit=BATCH)
            gone = []
            for row_id, path in rows:
                try:
                    spool.path(path).unlink(missing_ok=True)
                    gone.append(row_id)
                except (OSError, ValueError):
                    log.exception("file_not_removed", extra={"row": row_id})
            conflicts.gone(session, gone)
        count += len(gone)
        if not rows:
            return count
        after = rows[-1][0]


def look_after(sessions: Sessions, spool: Spool, *, lock: Path, now: datetime) -> None:
    """What each sweep does: compare some, then remove what is not needed.

    Nothing is removed while somebody else holds ``lock``, such as a backup.
    """
    with reading(sessions) as session:
        waits, leaves = conflicts.waiting(session)
    if waits:
        compare(sessions, spool, now=now)
    if waits or leaves:
        with one_at_a_time(lock) as mine:
            if mine:
                remove(sessions, spool)
