"""The verb "back-fill": past studies are fetched from a peer, one after the other, at a pace and by a clock.

The list is rows, so whatever ends the process, the next one goes on. Every line ends in a named outcome.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from service.core.offpeak import Window
from service.core.retrieval import Found, FoundSeries, Moved
from service.core.status import BackfillOutcome
from service.db import backfills, optouts
from service.db.backfills import Line
from service.db.session import Sessions, reading
from service.errors import ConfigurationError, PeerUnreachable, StoreRefused

log = logging.getLogger(__name__)

#: While there is nothing to do yet, what is looked at again: the clock, and the list. Chosen by us.
LOOK_SECONDS: Final = 60.0
#: The same outside the hours.
CLOSED_SECONDS: Final = 300.0
#: Between two lines, also where nothing of them is fetched. Chosen by us.
QUESTION_SECONDS: Final = 0.5
#: A peer that is away is left alone for the first time, then for doubled times up to the last. It costs no
#: line one of its tries. Chosen by us.
AWAY_SECONDS, AWAY_MOST_SECONDS = 60.0, 1800.0
#: What says that the peer is not there at all.
AWAY_CODES: Final = frozenset({"peer_unreachable", "association_rejected", "certificate_refused"})
#: Before the second try; doubled with each further one. Chosen by us.
AGAIN: Final = timedelta(minutes=5)


class Source(Protocol):
    """A peer with past studies."""

    def find(self, *, study_uid: str = "", accession_number: str = "", day: str = "") -> list[Found]:
        """Studies by one of these."""

    def series_of(self, study_uid: str) -> list[FoundSeries]:
        """Every MR series of a study."""

    def pull(self, study_uid: str, series_uids: Sequence[str]) -> Moved:
        """Have these series come here."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The pace of a back-fill."""

    per_hour: float
    #: Of the day, on the clock on the wall; None: always.
    window: Window | None
    attempts: int


@dataclass
class Backfill:
    """Fetches what is on the list; one at a time in one installation."""

    sessions: Sessions
    home: Path
    sources: Mapping[str, Source]
    terms: Terms
    #: Now, in UTC.
    clock: Callable[[], datetime]
    #: Waits so many seconds; True: end.
    wait: Callable[[float], bool]
    #: The time on the clock on the wall.
    local: Callable[[datetime], datetime] = lambda now: now.astimezone()
    _away: dict[str, tuple[int, datetime]] = field(default_factory=dict)

    def run(self) -> Counter[BackfillOutcome]:
        """Work until nothing waits any more or the end is asked for; what became of the lines of this run.

        Raises ConfigurationError where no line can be fetched until somebody changes something; the line at
        hand waits then as before.
        """
        ended: Counter[BackfillOutcome] = Counter()
        while True:
            now = self.clock()
            pause = self._pause(now)
            if pause is None:
                return ended
            if pause <= 0:
                with self.sessions.begin() as session:
                    line = backfills.claim(session, self._present(now), now=now)
                if line is not None:
                    outcome = self._try(line)
                    ended.update([outcome] if outcome else [])
                    pause = QUESTION_SECONDS
            if self.wait(max(pause, QUESTION_SECONDS)):
                return ended

    def _pause(self, now: datetime) -> float | None:
        """Seconds until something may be done; None where nothing waits."""
        with reading(self.sessions) as session:
            waiting = backfills.next_due(session, tuple(self.sources))
            due = backfills.next_due(session, self._present(now))
            last = backfills.last_start(session)
        if waiting is None:
            return None
        if self.terms.window is not None and not self.terms.window.contains(self.local(now).time()):
            return CLOSED_SECONDS
        if due is None:
            return LOOK_SECONDS
        free = now if last is None else last + timedelta(hours=1) / self.terms.per_hour
        return min((max(due, free) - now).total_seconds(), LOOK_SECONDS)

    def _present(self, now: datetime) -> list[str]:
        """Peers that are not left alone."""
        return [name for name in self.sources if name not in self._away or self._away[name][1] <= now]

    def _try(self, line: Line) -> BackfillOutcome | None:
        """Do one line; its outcome, or None where it waits for another try."""
        try:
            outcome, count, code = self._do(line)
        except PeerUnreachable as error:
            return self._later(line, error.reason.code)
        except StoreRefused as error:
            outcome, count, code = BackfillOutcome.REFUSED, None, error.reason.code
        except ConfigurationError as error:
            with self.sessions.begin() as session:
                backfills.put_back(
                    session, line, next_at=self.clock(), reason_code=error.reason.code, counts=False
                )
            raise
        self._away.pop(line.peer, None)
        return self._end(line, outcome, count=count, code=code)

    def _end(
        self, line: Line, outcome: BackfillOutcome, *, count: int | None, code: str | None
    ) -> BackfillOutcome:
        with self.sessions.begin() as session:
            backfills.finish(session, line, outcome, now=self.clock(), count=count, reason_code=code)
        log.info("backfill_line_done", extra={"peer": line.peer, "state": outcome.value, "code": code})
        return outcome

    def _later(self, line: Line, code: str) -> BackfillOutcome | None:
        """Another try, or the end after the last; a peer that is away is left alone for a while."""
        now = self.clock()
        counts = code not in AWAY_CODES
        if not counts:
            times = self._away.get(line.peer, (0, now))[0]
            seconds = min(AWAY_SECONDS * 2**times, AWAY_MOST_SECONDS)
            self._away[line.peer] = (times + 1, now + timedelta(seconds=seconds))
        elif line.attempts >= self.terms.attempts:
            return self._end(line, BackfillOutcome.FAILED, count=None, code=code)
        next_at = now + AGAIN * 2 ** (line.attempts - 1) if counts else now
        with self.sessions.begin() as session:
            backfills.put_back(session, line, next_at=next_at, reason_code=code, counts=counts)
        log.warning("backfill_line_waits", extra={"peer": line.peer, "code": code})
        return None

    def _do(self, line: Line) -> tuple[BackfillOutcome, int | None, str | None]:
        """What became of one line, how many images or studies, and why."""
        source = self.sources[line.peer]
        if line.kind == "accession":
            return self._resolve(line, source.find(accession_number=line.value))
        found = source.find(study_uid=line.value)
        if not found:
            return BackfillOutcome.NOTHING, None, "study_not_found"
        identities = [(each.patient_id, each.issuer_of_patient_id) for each in found]
        with reading(self.sessions) as session:
            if optouts.lists_any(session, self.home, identities):
                return BackfillOutcome.OPTED_OUT, None, "opted_out"
            here = backfills.images_here(session, line.value)
        series = {each.series_uid: each.images for each in source.series_of(line.value)}
        if not series:
            return BackfillOutcome.NOTHING, None, "no_mr"
        missing = [uid for uid, images in series.items() if images is None or here.get(uid, 0) < images]
        if not missing:
            return BackfillOutcome.HERE, sum(here.values()), None
        return self._pull(line, source, missing)

    def _pull(
        self, line: Line, source: Source, series_uids: Sequence[str]
    ) -> tuple[BackfillOutcome, int | None, str | None]:
        with self.sessions.begin() as session:
            backfills.begin(session, line, now=self.clock())
        moved = source.pull(line.value, series_uids)
        if moved.failed:
            raise PeerUnreachable("Not all images came.", reason="images_missing")
        if not moved.images:
            return BackfillOutcome.NOTHING, 0, "no_images"
        return BackfillOutcome.PULLED, moved.images, None

    def _resolve(self, line: Line, found: Sequence[Found]) -> tuple[BackfillOutcome, int | None, str | None]:
        """An accession number: a line for each of its studies."""
        studies = {each.study_uid for each in found if each.may_hold_mr}
        if not studies:
            return BackfillOutcome.NOTHING, None, "no_mr" if found else "study_not_found"
        with self.sessions.begin() as session:
            for study_uid in sorted(studies):
                backfills.add(
                    session,
                    peer=line.peer,
                    kind="study",
                    value=study_uid,
                    deliver=line.deliver,
                    now=self.clock(),
                )
        return BackfillOutcome.RESOLVED, len(studies), None
