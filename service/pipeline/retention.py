"""The verb "let go": what is finished and older than the site keeps it is taken away.

A row says first that the files are gone, then the files go, then the row forgets where they were: whatever
a crash leaves half-done is finished by the next run.
"""

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Self

from service.db import edit_files, ledger, patients, retention
from service.db.retention import Kept
from service.db.session import Session, Sessions, reading
from service.dicom.spool import Spool
from service.files import one_at_a_time, within
from service.pipeline import conflicts, withdraw
from service.pipeline.slicefiles import IMAGES_NAME

log = logging.getLogger(__name__)

#: Studies looked at, and files taken away, in one go; chosen by us, so that no transaction is long.
BATCH = 100
#: Held while files are taken away, and by a backup, which needs those that its rows name.
LOCK = "maintenance.lock"
#: A clock is believed so long after the start, within so much of the steady clock, and after no longer a time
#: without any event. Chosen by us: what is kept for days need not go within minutes, and a machine that
#: believes to be a month after the last image it saw has more likely lost its clock than its hospital.
SETTLE, DRIFT, SILENCE = timedelta(minutes=5), timedelta(hours=1), timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How long each kind is kept after the last thing that happened to a study; None: for ever."""

    pixels: timedelta | None = None
    results: timedelta | None = None
    rows: timedelta | None = None

    @classmethod
    def in_days(cls, **days: float | None) -> Self:
        """The same from numbers of days."""
        return cls(**{name: None if time is None else timedelta(days=time) for name, time in days.items()})

    def each(self) -> list[tuple[Kept, timedelta]]:
        """The kinds that go some day, in the order in which they may go."""
        times = {Kept.PIXELS: self.pixels, Kept.RESULTS: self.results, Kept.ROWS: self.rows}
        return [(kind, keep) for kind, keep in times.items() if keep is not None]


class ClockGuard:
    """Whether the wall clock may be believed before something is taken away for good.

    A purge by itself waits a while after the start of the worker, when a machine may not have asked for the
    time yet; it is refused where the clock went otherwise than the steady one since, and where everything in
    the ledger was already old at the start. A person may purge by command then.
    """

    def __init__(self, *, started: datetime, steady_clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = steady_clock
        self._started, self._steady = started, steady_clock()

    def trusts(self, sessions: Sessions, *, now: datetime) -> bool:
        """Whether something may be purged at this time."""
        steady = timedelta(seconds=self._clock() - self._steady)
        if steady < SETTLE:
            return False
        with reading(sessions) as session:
            newest = retention.newest_event(session, before=self._started)
        jumped = abs((now - self._started) - steady) > DRIFT
        silent = newest is not None and self._started - newest > SILENCE
        if jumped or silent:
            log.warning("purge_refused", extra={"reason": "clock_jumped" if jumped else "long_silence"})
        return not (jumped or silent)


def purge(sessions: Sessions, home: Path, terms: Terms, *, now: datetime) -> dict[Kept, int] | None:
    """Take away what is due; studies by kind. None while a backup or another purge is under way."""
    with one_at_a_time(home / LOCK) as mine:
        if not mine:
            return None
        counts = {}
        for kind, keep in terms.each():
            counts[kind] = _purge(sessions, home, kind, until=now - keep, now=now)
            _remove_images(sessions, home)
            _remove_results(sessions, home)
    if any(counts.values()):
        log.info("purged", extra={kind.value: count for kind, count in counts.items()})
    return counts


def remove_study(sessions: Sessions, home: Path, study_id: int, *, now: datetime) -> bool:
    """Take away everything of one study now, whatever is kept for how long; False where it has to wait.

    Only the lines of the audit record stay.
    """
    with one_at_a_time(home / LOCK) as mine:
        if not mine:
            return False
        with sessions.begin() as session:
            ledger.lock_study(session, study_id)
            retention.mark_pixels(session, study_id, until=now + SETTLE, now=now)
            retention.mark_results(session, study_id, now=now)
        _remove_images(sessions, home)
        _remove_results(sessions, home)
        with sessions.begin() as session:
            if retention.keeps_files(session, study_id):
                return False
            retention.delete_study(session, study_id, now=now)
    return True


def remove_aside(sessions: Sessions, home: Path) -> bool:
    """Take away what was set aside and is to go; False where it has to wait."""
    with one_at_a_time(home / LOCK) as mine:
        if mine:
            conflicts.remove(sessions, Spool(home / "spool"))
        return mine


def due(sessions: Sessions, terms: Terms, *, now: datetime) -> dict[Kept, int]:
    """How many studies would be touched now, at most ``BATCH`` of each kind; nothing is changed."""
    with reading(sessions) as session:
        return {
            kind: len(retention.old_studies(session, kind, until=now - keep, limit=BATCH))
            for kind, keep in terms.each()
        }


def _purge(sessions: Sessions, home: Path, kind: Kept, *, until: datetime, now: datetime) -> int:
    """Mark or delete one kind of every study that is old enough; each study in its own transaction."""
    acts: dict[Kept, Callable[..., None]] = {
        Kept.PIXELS: partial(retention.mark_pixels, until=until),
        Kept.RESULTS: retention.mark_results,
        Kept.ROWS: partial(_delete_rows, home=home),
    }
    act = acts[kind]
    done = 0
    while True:
        with reading(sessions) as session:
            found = retention.old_studies(session, kind, until=until, limit=BATCH)
        acted = 0
        for study_id in found:
            with sessions.begin() as session:
                if retention.still_old(session, study_id, kind, until=until):
                    act(session, study_id, now=now)
                    acted += 1
        done += acted
        if not acted:
            return done


def _remove_images(sessions: Sessions, home: Path) -> None:
    """Take away files of purged series, what lay beside them, and the pictures of their slices.

    The pictures first: as long as one of them cannot be removed, the rows do not forget the images.
    """
    conflicts.remove(sessions, Spool(home / "spool"))
    if not _remove(
        sessions,
        find=retention.pictures_to_remove,
        remove=lambda path: _remove_pictures(within(home, path)),
        forget=lambda _session, _ids: None,
    ):
        return
    _remove(
        sessions,
        find=retention.images_to_remove,
        remove=lambda path: within(home / "spool", path).unlink(missing_ok=True),
        forget=retention.images_removed,
    )
    _remove(
        sessions,
        find=edit_files.leaving,
        remove=lambda path: within(home / "spool", path).unlink(missing_ok=True),
        forget=edit_files.gone,
    )


def _remove_pictures(folder: Path) -> None:
    """Take the pictures of all slices out of every attempt at an analysis."""
    for each in folder.glob(f"*/{IMAGES_NAME}"):
        each.unlink(missing_ok=True)


def _delete_rows(session: Session, study_id: int, *, home: Path, now: datetime) -> None:
    """Take away what attempts that died left, which nothing else leads to, and then the rows."""
    for folder in patients.result_folders(session, study_id):
        shutil.rmtree(within(home, folder), ignore_errors=True)
    retention.delete_study(session, study_id, now=now)


def _remove_results(sessions: Sessions, home: Path) -> None:
    """Take away folders of purged results and of their withdrawals, and what they lay in once it is empty."""

    def remove(path: str) -> None:
        folder = within(home, path)
        for gone in (folder, folder.parent / withdraw.FOLDER):
            shutil.rmtree(gone, ignore_errors=False) if gone.is_dir() else None
        if folder.parent.is_dir() and not any(folder.parent.iterdir()):
            folder.parent.rmdir()

    _remove(sessions, find=retention.results_to_remove, remove=remove, forget=retention.results_removed)


def _remove(
    sessions: Sessions,
    *,
    find: Callable[..., list[tuple[int, str]]],
    remove: Callable[[str], None],
    forget: Callable[[Session, Sequence[int]], None],
) -> bool:
    """Remove what rows still name, and have the rows forget it; what cannot be removed waits (False).

    Within one short transaction, so that nobody brings a file back between the look and the removal.
    """
    after, whole = 0, True
    while True:
        with sessions.begin() as session:
            rows = find(session, after=after, limit=BATCH)
            gone = []
            for row_id, path in rows:
                try:
                    remove(path)
                    gone.append(row_id)
                except (OSError, ValueError):
                    log.exception("file_not_removed", extra={"row": row_id})
                    whole = False
            forget(session, gone)
        if not rows:
            return whole
        after = rows[-1][0]
