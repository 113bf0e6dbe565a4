"""Complete series become analyses that wait: what belongs together, and when it is all there."""

import logging
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from service.core.dixon import find_input_sets, is_dixon, is_lonely
from service.core.eligibility import MAX_GAP_RATIO
from service.core.series import StackFacts
from service.core.stations import scan_key
from service.core.status import CompletionReason
from service.db import ledger, versions
from service.db.ledger import OpenSeries, Sibling
from service.db.people import record
from service.db.session import Session, Sessions, reading
from service.dicom.series import Scan, Stack, scan
from service.dicom.spool import Spool
from service.pipeline import traces
from service.pipeline.choose import Choosing
from service.pipeline.inputs import input_digest, unreadable_digest

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Closing:
    """When a series counts as complete."""

    quiet: timedelta
    hard_cap: timedelta
    #: What takes down of each input set what rules may ask; None: every set is analysed.
    choosing: Choosing | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """One series that may be complete, and what its headers say."""

    series: OpenSeries
    #: None where the headers break the reader.
    scan: Scan | None
    capped: bool

    @property
    def stacks(self) -> tuple[Stack, ...]:
        """Its stacks."""
        return self.scan.stacks if self.scan is not None else ()

    @property
    def scans(self) -> frozenset[Hashable]:
        """The scans of which its stacks may be stations."""
        return _scans(stack.facts for stack in self.stacks)

    @property
    def group(self) -> Hashable:
        """What it is closed together with: parts of a Dixon acquisition, stations of a scan, or itself."""
        if any(is_dixon(stack.facts) for stack in self.stacks):
            return ("dixon", self.series.study_id)
        return min(self.scans, key=repr, default=self.series.id)

    @property
    def whole(self) -> bool:
        """Whether the headers can be read and show no hole."""
        return self.scan is not None and all(
            stack.facts.largest_gap_ratio <= MAX_GAP_RATIO for stack in self.stacks
        )


class Holes:
    """Series that cannot be closed as they are, so that their headers are not read again every second.

    Either they have holes or are unreadable, or they wait for the rest of a Dixon acquisition or of a scan.
    """

    def __init__(self) -> None:
        self._seen: dict[int, datetime] = {}
        self._waiting: dict[int, Seen] = {}
        self._first: dict[int, tuple[StackFacts, ...]] = {}

    def known(self, series: OpenSeries) -> bool:
        """Whether nothing arrived since it was found so."""
        return self._seen.get(series.id) == series.last_at

    def remember(self, series: OpenSeries) -> None:
        """Keep in mind that this series need not be read again as it is."""
        self._seen[series.id] = series.last_at

    def waiting(self, series: OpenSeries) -> Seen | None:
        """What was seen of a series that waits, unless something arrived since."""
        seen = self._waiting.get(series.id)
        return seen if seen is not None and seen.series.last_at == series.last_at else None

    def let_wait(self, seen: Seen) -> None:
        """Keep what was seen of a series that waits for others."""
        self._waiting[seen.series.id] = seen

    def is_dixon(self, spool: Spool, sibling: Sibling) -> bool:
        """Whether the first image of a series names a part of a Dixon acquisition."""
        return any(is_dixon(each) for each in self._facts(spool, sibling))

    def scans(self, spool: Spool, sibling: Sibling) -> frozenset[Hashable]:
        """The scans of which a series may hold stations, by its first image."""
        return _scans(self._facts(spool, sibling))

    def _facts(self, spool: Spool, sibling: Sibling) -> tuple[StackFacts, ...]:
        """What the first image of a series says."""
        if sibling.id not in self._first:
            found = _look(spool, sibling.id, [sibling.first_path])
            self._first[sibling.id] = tuple(stack.facts for stack in found.stacks) if found else ()
        return self._first[sibling.id]

    def forget_others(self, series_ids: set[int]) -> None:
        """Drop what is no longer waited for."""
        self._seen = {key: value for key, value in self._seen.items() if key in series_ids}
        self._waiting = {key: value for key, value in self._waiting.items() if key in series_ids}
        if not self._waiting:
            self._first.clear()


def _scans(facts: Iterable[StackFacts]) -> frozenset[Hashable]:
    keys = (scan_key(each) for each in facts)
    return frozenset(key for key in keys if key is not None)


def close_series(
    sessions: Sessions, spool: Spool, *, now: datetime, closing: Closing, holes: Holes | None = None
) -> list[int]:
    """Close the series that are complete, and return the analyses that became ready.

    Headers are read outside any transaction; a series that changed meanwhile waits for the next time, and
    so does one that cannot be closed now: it never holds up the others. Series of one Dixon acquisition and
    stations of one scan are closed together, so that they become one analysis.
    """
    holes = holes or Holes()
    with reading(sessions) as session:
        found = ledger.open_series(session, now=now, quiet=closing.quiet, hard_cap=closing.hard_cap)
    holes.forget_others({series.id for series in found})
    groups: dict[Hashable, list[Seen]] = defaultdict(list)
    for series in found:
        if series.partly_gone:
            _close_unmeasured(sessions, series, now=now)
            continue
        seen = _see(spool, series, capped=series.since <= now - closing.hard_cap, holes=holes)
        if seen is not None:
            groups[seen.group].append(seen)
    ready: list[int] = []
    for group in groups.values():
        ready += _close(sessions, spool, group, now=now, holes=holes, choosing=closing.choosing)
    return ready


def _close_unmeasured(sessions: Sessions, series: OpenSeries, *, now: datetime) -> None:
    """Close a series that got late images after its others were taken away: half of it must not be measured.

    The earlier results stay. When the whole series is sent again it is measured like a new one.
    """
    with sessions.begin() as session:
        if ledger.close_series(session, series, reason=CompletionReason.QUIET, now=now):
            gone = sum(not path for path, _, _ in series.images)
            detail = {"images": len(series.images) - gone, "purged": gone}
            ledger.add_event(session, "late_after_purge", at=now, series_id=series.id, detail=detail)
    log.info("series_closed", extra={"series_id": series.id, "reason": "late_after_purge"})


def _see(spool: Spool, series: OpenSeries, *, capped: bool, holes: Holes) -> Seen | None:
    """What the headers of a series say, if it can be closed: whole, or never to be waited for again."""
    if not capped and not series.performed and holes.known(series):
        return None
    before = holes.waiting(series)
    if before is not None:
        return replace(before, series=series, capped=capped)
    seen = Seen(
        series=series,
        scan=_look(spool, series.id, [path for path, _, _ in series.images]),
        capped=capped,
    )
    if seen.whole or capped or series.performed:
        return seen
    holes.remember(series)
    if seen.scan is not None:
        log.info("series_has_holes", extra={"series_id": series.id})
    return None


def _look(spool: Spool, series_id: int, paths: Sequence[str]) -> Scan | None:
    """What the headers of a series say; None when they break the reader."""
    try:
        return scan([spool.path(path) for path in paths])
    except Exception:  # Whatever a sender may write, the outcome of its series is ours to give.
        log.exception("series_unreadable", extra={"series_id": series_id})
        return None


def _close(
    sessions: Sessions,
    spool: Spool,
    group: list[Seen],
    *,
    now: datetime,
    holes: Holes,
    choosing: Choosing | None,
    wait: bool = True,
) -> list[int]:
    """Close the series of a group together, or each by itself where that fails."""
    try:
        if not any(seen.scans or seen.group != seen.series.id for seen in group):
            return _write_closed(sessions, group, Companions(), choosing, now=now)
        companions = _companions(sessions, spool, group, holes, wait=wait)
        if companions is None:
            return []
        return _write_closed(sessions, group, companions, choosing, now=now)
    except Exception:  # This series is tried again next time; the others must not wait for it.
        log.exception("series_not_closed", extra={"series_id": group[0].series.id})
    if len(group) == 1:
        return []
    return [
        made
        for seen in group
        for made in _close(sessions, spool, [seen], now=now, holes=holes, choosing=choosing, wait=False)
    ]


@dataclass(frozen=True, kw_only=True, eq=False)
class Companions:
    """The closed series of a study that show parts of the same Dixon acquisition or stations of the scan."""

    #: Stacks by the id of their series.
    stacks: dict[int, tuple[Stack, ...]] = field(default_factory=dict)
    #: SHA-256 by SOP instance UID.
    hashes: dict[str, str] = field(default_factory=dict)
    #: When each closed series of the study was closed, as it was when they were looked at; None: not asked.
    closed: dict[int, datetime] | None = None


def _companions(
    sessions: Sessions, spool: Spool, group: list[Seen], holes: Holes, *, wait: bool
) -> Companions | None:
    """What the group has to be seen together with; None where it has to wait for images still to come.

    It waits while a part of it has no partner yet and another Dixon series of the study is arriving, and
    while a series is arriving that may be a further station of its scan.
    """
    mine = [seen.series.id for seen in group]
    scans = frozenset[Hashable]().union(*(seen.scans for seen in group))
    dixon = any(is_dixon(stack.facts) for seen in group for stack in seen.stacks)
    with reading(sessions) as session:
        others = ledger.siblings(session, group[0].series.study_id, without=mine)
    relatives = [
        other
        for other in others
        if (dixon and holes.is_dixon(spool, other)) or scans & holes.scans(spool, other)
    ]
    arriving = [other for other in relatives if other.closed_at is None]
    patient = wait and bool(arriving) and not any(seen.capped for seen in group)
    if patient and all(holes.waiting(seen.series) for seen in group):
        return None
    closed = [other.id for other in relatives if other.closed_at is not None]
    with reading(sessions) as session:
        # A pair whose other image is arriving again is left as it is until that one is closed.
        torn = versions.awaiting_partners(session, closed, without=mine)
        images = {each: ledger.series_paths(session, [each]) for each in closed if each not in torn}
    stacks: dict[int, tuple[Stack, ...]] = {}
    for series_id, rows in images.items():
        read = _look(spool, series_id, [path for path, _, _ in rows])
        if read is not None and read.stacks:
            stacks[series_id] = read.stacks
    own = [stack for seen in group for stack in seen.stacks]
    sets = find_input_sets([*own, *(stack for found in stacks.values() for stack in found)])
    lonely = any(is_lonely(found) and found.first in own for found in sets)
    if patient and (lonely or any(scans & holes.scans(spool, other) for other in arriving)):
        for seen in group:
            holes.let_wait(seen)
            log.info("series_waits_for_others", extra={"series_id": seen.series.id})
        return None
    return Companions(
        stacks=stacks,
        hashes={uid: digest for rows in images.values() for _, uid, digest in rows},
        closed=_closed(others),
    )


def _closed(siblings: Sequence[Sibling]) -> dict[int, datetime]:
    return {other.id: other.closed_at for other in siblings if other.closed_at is not None}


def _write_closed(
    sessions: Sessions,
    group: list[Seen],
    companions: Companions,
    choosing: Choosing | None,
    *,
    now: datetime,
) -> list[int]:
    """Close the series of a group and make their input sets ready, in one transaction.

    Nothing is done where images arrived meanwhile, or where another worker closed a series of the study:
    its images may be partners of these.
    """
    began = traces.now()
    study_id, mine = group[0].series.study_id, [seen.series.id for seen in group]
    with sessions.begin() as session:
        if companions.closed is not None:
            ledger.lock_study(session, study_id)
            if _closed(ledger.siblings(session, study_id, without=mine)) != companions.closed:
                return []
        for seen in group:
            if not _close_one(session, seen, now=now):
                session.rollback()
                return []
        ready = versions.make_ready(
            session,
            study_id=study_id,
            series_ids=[*mine, *companions.stacks],
            sets=_sets(group, companions, choosing),
            now=now,
        )
    for seen in group:
        reason = _reason(seen)
        log.info("series_closed", extra={"series_id": seen.series.id, "reason": reason.value})
    traces.closed(sessions, mine, began)
    return ready


def _reason(seen: Seen) -> CompletionReason:
    if seen.series.performed:
        return CompletionReason.PERFORMED
    if seen.series.counted and seen.whole:
        return CompletionReason.COUNTED
    return CompletionReason.HARD_CAP if seen.capped else CompletionReason.QUIET


def _close_one(session: Session, seen: Seen, *, now: datetime) -> bool:
    """Close one series and say so on its timeline, unless it changed."""
    series = seen.series
    if not ledger.close_series(session, series, reason=_reason(seen), now=now):
        return False
    ledger.add_event(
        session,
        "series_closed",
        at=now,
        series_id=series.id,
        detail={
            "reason": _reason(seen).value,
            "images": len(series.images),
            **({} if series.expected is None else {"expected": series.expected}),
            "stacks": len(seen.stacks),
            "unreadable": len(seen.scan.unreadable) if seen.scan is not None else len(series.images),
            "holes": seen.scan is not None and not seen.whole,
        },
    )
    record(
        session,
        at=now,
        actor="service",
        action="series_received",
        object_type="study",
        object_id=series.study_id,
        detail={"calling_ae": series.calling_ae, "series": series.id, "images": len(series.images)},
    )
    return True


def _sets(group: list[Seen], companions: Companions, choosing: Choosing | None) -> list[versions.SetInput]:
    """What is to be analysed: each input set, or a series as a whole when nothing in it can be read."""
    hashes = dict(companions.hashes)
    series_of: dict[int, int] = {}
    stacks: list[Stack] = []
    unreadable = []
    for seen in group:
        own = {uid: digest for _, uid, digest in seen.series.images}
        hashes.update(own)
        if not seen.stacks:
            alone = versions.StackInput(series_id=seen.series.id, stack=0)
            unreadable.append(versions.SetInput(stacks=(alone,), digest=unreadable_digest(own)))
    found = [(seen.series.id, seen.stacks) for seen in group] + list(companions.stacks.items())
    for series_id, members in found:
        stacks += members
        series_of.update({id(stack): series_id for stack in members})
    return unreadable + [
        versions.SetInput(
            stacks=tuple(
                versions.StackInput(series_id=series_of[id(stack)], stack=stack.facts.stack, role=role)
                for role, stack in inputs.stacks
            ),
            digest=input_digest(inputs, hashes),
            choice=None if choosing is None else choosing.describe(inputs),
        )
        for inputs in find_input_sets(stacks)
    ]
