"""The verb "take in": received images become rows, complete series become analyses that wait."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.core.eligibility import MAX_GAP_RATIO
from service.core.status import CompletionReason
from service.db import ledger, queries
from service.db.ledger import InstanceFacts, OpenSeries, Recorded, StudyFacts
from service.db.session import Sessions, reading
from service.dicom.scp import Received, Refused, Rejected
from service.dicom.series import Scan, Stack, scan
from service.dicom.spool import Spool

log = logging.getLogger(__name__)

#: Counted when other bytes came under an identifier that is taken.
CONFLICTS = "instance_conflicts"
DUPLICATES = "instance_duplicates"


@dataclass(frozen=True, kw_only=True)
class Closing:
    """When a series counts as complete."""

    quiet: timedelta
    hard_cap: timedelta


class Holes:
    """Series found to have holes or unreadable, so that their headers are not read again every second."""

    def __init__(self) -> None:
        self._seen: dict[int, datetime] = {}

    def known(self, series: OpenSeries) -> bool:
        """Whether nothing arrived since it was found so."""
        return self._seen.get(series.id) == series.last_at

    def remember(self, series: OpenSeries) -> None:
        """Keep in mind that this series need not be read again as it is."""
        self._seen[series.id] = series.last_at

    def forget_others(self, series_ids: set[int]) -> None:
        """Drop what is no longer waited for."""
        self._seen = {key: value for key, value in self._seen.items() if key in series_ids}


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


def close_series(
    sessions: Sessions, spool: Spool, *, now: datetime, closing: Closing, holes: Holes | None = None
) -> list[int]:
    """Close the series that are complete, and return the analyses that became ready.

    Headers are read outside any transaction; a series that changed meanwhile waits for the next time, and
    so does one that cannot be closed now: it never holds up the others.
    """
    holes = holes or Holes()
    with reading(sessions) as session:
        found = ledger.open_series(session, now=now, quiet=closing.quiet, hard_cap=closing.hard_cap)
    holes.forget_others({series.id for series in found})
    ready: list[int] = []
    for series in found:
        capped = series.since <= now - closing.hard_cap
        if not capped and holes.known(series):
            continue
        try:
            ready += _close(sessions, spool, series, now=now, capped=capped, holes=holes)
        except Exception:  # This series is tried again next time; the others must not wait for it.
            log.exception("series_not_closed", extra={"series_id": series.id})
    return ready


def _close(
    sessions: Sessions, spool: Spool, series: OpenSeries, *, now: datetime, capped: bool, holes: Holes
) -> list[int]:
    """Close one series, unless it has holes that may yet be filled or cannot be read yet."""
    seen = _look(spool, series)
    whole = seen is not None and all(stack.facts.largest_gap_ratio <= MAX_GAP_RATIO for stack in seen.stacks)
    if not whole and not capped:
        holes.remember(series)
        if seen is not None:
            log.info("series_has_holes", extra={"series_id": series.id})
        return []
    reason = CompletionReason.HARD_CAP if capped else CompletionReason.QUIET
    with sessions.begin() as session:
        if not ledger.close_series(session, series, reason=reason, now=now):
            return []
        ledger.add_event(
            session,
            "series_closed",
            at=now,
            series_id=series.id,
            detail={
                "reason": reason.value,
                "images": len(series.images),
                "stacks": len(seen.stacks) if seen else 0,
                "unreadable": len(seen.unreadable) if seen else len(series.images),
                "holes": seen is not None and not whole,
            },
        )
        ready = queries.make_ready(
            session,
            study_id=series.study_id,
            series_id=series.id,
            stacks=_inputs(seen, series),
            now=now,
        )
    log.info("series_closed", extra={"series_id": series.id, "reason": reason.value, "count": len(ready)})
    return ready


def _look(spool: Spool, series: OpenSeries) -> Scan | None:
    """What the headers of a series say; None when they break the reader."""
    try:
        return scan([spool.path(path) for path, _, _ in series.images])
    except Exception:  # Whatever a sender may write, the outcome of its series is ours to give.
        log.exception("series_unreadable", extra={"series_id": series.id})
        return None


def _inputs(seen: Scan | None, series: OpenSeries) -> list[queries.StackInput]:
    """What is to be analysed: each stack, or the series as a whole when nothing in it can be read."""
    hashes = {uid: digest for _, uid, digest in series.images}
    return [
        queries.StackInput(stack=stack.facts.stack, digest=input_digest(stack, hashes))
        for stack in (seen.stacks if seen else ())
    ] or [queries.StackInput(stack=0, digest=unreadable_digest(hashes))]


def input_digest(stack: Stack, hashes: dict[str, str]) -> str:
    """SHA-256 over the role, the stack and each image in it with its bytes."""
    uids = sorted(set(stack.facts.sop_instance_uids))
    return _digest([queries.IMAGE, str(stack.facts.stack), *(f"{uid}={hashes.get(uid)}" for uid in uids)])


def unreadable_digest(hashes: dict[str, str]) -> str:
    """The digest of a series in which nothing can be read."""
    return _digest([queries.IMAGE, "unreadable", *(f"{uid}={hashes[uid]}" for uid in sorted(hashes))])


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8")).hexdigest()
