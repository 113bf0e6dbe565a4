"""One analysis from claim to publication: the row is the job, and the attempt is the right to publish."""

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from service import files
from service.core.dixon import InputSet, find_input_sets, pair_of
from service.core.series import Role
from service.core.status import AnalysisState, OutputKind
from service.db import deliveries, ledger, people, queries
from service.db.deliveries import OutputFacts
from service.db.queries import Claim
from service.db.session import Session, Sessions, reading
from service.dicom.identity import Written
from service.dicom.series import Scan, UnreadableFile, scan
from service.dicom.spool import Spool
from service.errors import LeaseLost, Reason, ServiceError, UnreadableSeries
from service.pipeline.analyse import (
    Result,
    Workshop,
    analyse_inputs,
    finding_without_images,
    write_finding,
)
from service.pipeline.deliver import Destination
from service.pipeline.heartbeat import Heartbeat
from service.pipeline.inputs import Inputs, input_digest, unreadable_digest

log = logging.getLogger(__name__)

#: What is sent for each outcome: a withheld result is told, a series outside the intended use is not.
SENT = {
    AnalysisState.MEASURED: frozenset(OutputKind),
    AnalysisState.NOT_ASSESSABLE: frozenset({OutputKind.SR, OutputKind.SC}),
    AnalysisState.NOT_ELIGIBLE: frozenset[OutputKind](),
}
#: Different reasons that are told of a series in which nothing can be read.
TOLD_REASONS = 5


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How long and how often an analysis is tried."""

    max_attempts: int
    #: Time before the second attempt; it doubles with each further one.
    retry_after: timedelta
    beat_seconds: float


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where this worker works, for whom, and by which clock."""

    home: Path
    spool: Spool
    destinations: Sequence[Destination]
    terms: Terms
    owner: str
    clock: Callable[[], datetime]


@dataclass(frozen=True, kw_only=True)
class Published:
    """An analysis that was finished, and the deliveries that now wait."""

    analysis_id: int
    state: AnalysisState
    delivery_ids: tuple[int, ...]


def run(sessions: Sessions, analysis_id: int, workshop: Workshop, bench: Bench) -> Published | None:
    """Do one analysis if nobody else does it; None when it was not taken or could not be published.

    A fault of the installation gives the row back, for another attempt or as FAILED; it never raises.
    """
    with sessions.begin() as session:
        claim = queries.claim_analysis(session, analysis_id, owner=bench.owner, now=bench.clock())
    if claim is None:
        return None
    out = bench.home / "results" / str(claim.analysis_id) / f"attempt-{claim.attempt}"
    try:
        with Heartbeat(lambda: _beat(sessions, claim), every_seconds=bench.terms.beat_seconds):
            return _work(sessions, claim, workshop, bench, out)
    except LeaseLost:
        log.warning("result_not_published", extra={"analysis_id": claim.analysis_id, "code": LeaseLost.code})
        shutil.rmtree(out, ignore_errors=True)
    except ServiceError as error:
        log.exception("attempt_failed", extra={"analysis_id": claim.analysis_id, "code": error.reason.code})
        _give_back(sessions, claim, error.reason, bench)
    except Exception as error:  # Whatever happened, the row says so and is tried again.
        log.exception("attempt_failed", extra={"analysis_id": claim.analysis_id, "code": "internal_fault"})
        _give_back(
            sessions, claim, Reason("internal_fault", f"{type(error).__name__} in the analysis."), bench
        )
    return None


def _beat(sessions: Sessions, claim: Claim) -> bool:
    with sessions.begin() as session:
        return queries.beat_analysis(session, claim)


def _work(sessions: Sessions, claim: Claim, workshop: Workshop, bench: Bench, out: Path) -> Published | None:
    """Read, analyse, publish."""
    start = time.perf_counter()
    with reading(sessions) as session:
        images = ledger.series_paths(session, [item.series_id for item in claim.inputs])
    seen = _scan([bench.spool.path(path) for path, _, _ in images], claim)
    scan_seconds = time.perf_counter() - start
    hashes = {uid: digest for _, uid, digest in images}
    inputs = _pick(seen, claim)
    digest = input_digest(inputs, hashes) if inputs else unreadable_digest(hashes)
    if digest != claim.input_digest and any(item.receiving for item in claim.inputs):
        # Late images are arriving; when they are complete, another version takes the place of this one.
        with sessions.begin() as session:
            queries.postpone(session, claim, not_before=bench.clock() + bench.terms.retry_after)
        return None
    shutil.rmtree(out, ignore_errors=True)
    files.make_private_dir(out)
    if inputs is None:
        result = _unreadable(seen, workshop, out)
    else:
        result = analyse_inputs(
            inputs,
            workshop,
            # Study times in headers are local times, so the objects say the installation's own.
            at=claim.object_time.astimezone(),
            out=out,
            supersedes=_superseded_report(sessions, claim, digest),
        )
    files.settle(out)
    timings = {"scan": round(scan_seconds, 4), **result.seconds}
    published = _publish(sessions, claim, result, bench, digest=digest, timings=timings, out=out)
    _remove_older_attempts(out)
    return published


def _scan(paths: Sequence[Path], claim: Claim) -> Scan:
    """What the headers say; content that breaks the reader is unreadable, a fault of the disk is raised."""
    try:
        return scan(paths)
    except (OSError, MemoryError):
        raise
    except Exception:  # Other attempts would break in the same way, so this is the outcome.
        log.exception("series_unreadable", extra={"analysis_id": claim.analysis_id})
        reason = Reason(UnreadableSeries.code, "The headers of these images cannot be made sense of.")
        lost = tuple(
            UnreadableFile(path=path, sop_instance_uid=None, series_uid=None, reason=reason) for path in paths
        )
        return Scan(stacks=(), unreadable=lost)


def _pick(seen: Scan, claim: Claim) -> Inputs | None:
    """The input set that this analysis is about; None where one of its stacks is not there.

    Of a single image what the rest of its own series says of its partners is kept.
    """
    stacks = {(stack.facts.series_uid, stack.facts.stack): stack for stack in seen.stacks}
    found = [(Role(item.role), stacks.get((item.series_uid, item.stack))) for item in claim.inputs]
    picked = tuple((role, stack) for role, stack in found if stack is not None)
    if len(picked) < len(found) or not picked:
        return None
    inputs = InputSet(stacks=picked)
    if inputs.fat is not None:
        return pair_of(inputs.first, inputs.fat)
    alike = (each for each in find_input_sets(seen.stacks) if each.first is inputs.first)
    return replace(inputs, unpaired=next((each.unpaired for each in alike), None))


def _unreadable(seen: Scan, workshop: Workshop, out: Path) -> Result:
    """The finding about images of which none can be read."""
    reasons = tuple(dict.fromkeys(file.reason for file in seen.unreadable))[:TOLD_REASONS]
    nothing = Reason("no_stack", "The images form no stack of slices.")
    finding = finding_without_images(reasons or (nothing,), workshop, policy=workshop.policy.reference)
    write_finding(finding, out)
    return Result(finding=finding)


def _superseded_report(sessions: Sessions, claim: Claim, digest: str) -> str | None:
    """The SR that this result takes the place of because its images changed.

    A rerun on the same images repeats what the earlier run said, so that it can be found identical.
    """
    with reading(sessions) as session:
        for earlier in queries.earlier_results(session, claim):
            if earlier.report_uid is not None:
                return earlier.report_uid if earlier.input_digest != digest else earlier.supersedes
    return None


def _publish(
    sessions: Sessions,
    claim: Claim,
    result: Result,
    bench: Bench,
    *,
    digest: str,
    timings: dict[str, float],
    out: Path,
) -> Published:
    """Make the result the current one, with its objects and deliveries, in one transaction."""
    finding = result.finding
    state = AnalysisState(finding.status)
    now = bench.clock()
    row = queries.Result(
        state=state,
        finding=finding.as_dict(),
        contrast=finding.series.contrast if finding.series else None,
        region=finding.series.region if finding.series else None,
        flagged=any(flag.state == "raised" for flag in finding.flags),
        reason=finding.reasons[0] if finding.reasons else None,
        input_digest=digest,
        timings=timings,
        result_path=str(out.relative_to(bench.home)),
    )
    with sessions.begin() as session:
        queries.save_finding(session, claim, row, now=now)
        rows = deliveries.add_outputs(
            session, claim.analysis_id, [_output(item, bench.home) for item in result.written]
        )
        _take_place(session, claim, frozenset(item.sop_instance_uid for item in result.written), now=now)
        planned = _plan(session, claim, state, rows, bench, now=now)
        people.record(
            session,
            at=now,
            actor="service",
            action="analysis_finished",
            object_type="analysis",
            object_id=claim.analysis_id,
            detail={"state": state.value, "attempt": claim.attempt},
        )
    log.info(
        "analysis_done",
        extra={"analysis_id": claim.analysis_id, "state": state.value, "seconds": sum(timings.values())},
    )
    return Published(analysis_id=claim.analysis_id, state=state, delivery_ids=tuple(planned))


def _output(written: Written, home: Path) -> OutputFacts:
    return OutputFacts(
        kind=written.kind,
        sop_class_uid=written.sop_class_uid,
        sop_instance_uid=written.sop_instance_uid,
        path=str(written.path.relative_to(home)),
        sha256=written.sha256,
        size=written.size,
    )


def _take_place(session: Session, claim: Claim, uids: frozenset[str], *, now: datetime) -> None:
    """Supersede the earlier versions, and say so where one of them had the very same objects."""
    earlier = queries.earlier_results(session, claim)
    queries.supersede(session, [item.id for item in earlier], now=now)
    deliveries.drop_unsent(session, [item.id for item in earlier], now=now)
    same = next((item for item in earlier if uids and item.object_uids == uids), None)
    if same is not None:
        detail: dict[str, Any] = {"version": same.version}
        ledger.add_event(
            session, "identical_to_version", at=now, analysis_id=claim.analysis_id, detail=detail
        )


def _plan(
    session: Session,
    claim: Claim,
    state: AnalysisState,
    rows: dict[str, int],
    bench: Bench,
    *,
    now: datetime,
) -> list[int]:
    """Deliveries to each peer of what it is to get and has not got."""
    planned = []
    for destination in bench.destinations:
        kinds = [kind for kind in destination.outputs if kind in SENT[state]]
        new = deliveries.plan(session, rows, peer=destination.name, kinds=kinds, now=now)
        if new:
            detail = {"peer": destination.name, "objects": len(new)}
            ledger.add_event(
                session, "delivery_planned", at=now, analysis_id=claim.analysis_id, detail=detail
            )
        planned += new
    return planned


def _give_back(sessions: Sessions, claim: Claim, reason: Reason, bench: Bench) -> None:
    """Return the row for another attempt, or as FAILED after the last one."""
    now = bench.clock()
    wait = bench.terms.retry_after * 2 ** (claim.attempt - 1)
    try:
        with sessions.begin() as session:
            state = queries.give_back(
                session,
                claim,
                reason=reason,
                max_attempts=bench.terms.max_attempts,
                not_before=now + wait,
                now=now,
            )
            if state is AnalysisState.FAILED:
                people.record(
                    session,
                    at=now,
                    actor="service",
                    action="analysis_failed",
                    outcome="refused",
                    object_type="analysis",
                    object_id=claim.analysis_id,
                    detail={"code": reason.code},
                )
    except Exception:  # The database is away: the sweep finds the expired lease.
        log.exception("row_not_given_back", extra={"analysis_id": claim.analysis_id})


def _remove_older_attempts(out: Path) -> None:
    """Take away what earlier attempts left half-done; only this one is published."""
    for folder in out.parent.glob("attempt-*"):
        if folder != out:
            shutil.rmtree(folder, ignore_errors=True)
