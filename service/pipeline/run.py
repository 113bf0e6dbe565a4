"""One analysis from claim to publication: the row is the job, and the attempt is the right to publish.

Rows are written here; whatever touches the images is left to a ``Perform`` (as ``pipeline.attempt``).
"""

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from service.core.activation import NOT_AS_ACTIVATED
from service.core.edited_statistics import case_of
from service.core.status import SENT, AnalysisState
from service.db import deliveries, edits, holding, ledger, people, priors, queries, rescoring, versions
from service.db.deliveries import OutputFacts
from service.db.edits import EditSource
from service.db.queries import Claim
from service.db.rescoring import Stored
from service.db.session import Session, Sessions, reading
from service.dicom.identity import Written
from service.dicom.spool import Spool
from service.errors import EditRefused, LeaseLost, Reason, WorkerEnds
from service.files import within
from service.pipeline.choose import opted_out_since, why_declined
from service.pipeline.deliver import Destination
from service.pipeline.heartbeat import Heartbeat
from service.pipeline.inforce import InForce
from service.pipeline.job import (
    Job,
    JobBefore,
    JobEdit,
    JobImage,
    JobInput,
    JobMeasured,
    JobObject,
    JobReport,
    JobTools,
    Outcome,
    Perform,
    made_by,
    trouble,
)
from service.pipeline.plainer import variant_for
from service.pipeline.slicefiles import IMAGES_NAME

log = logging.getLogger(__name__)

#: Between two attempts at one analysis, however many there were (chosen by us, as between deliveries).
LONGEST_WAIT = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How long and how often an analysis is tried."""

    max_attempts: int
    #: Time before the second attempt; it doubles with each further one.
    retry_after: timedelta
    beat_seconds: float

    def wait(self, attempt: int) -> timedelta:
        """Time after this attempt."""
        return min(self.retry_after * float(2 ** min(attempt - 1, 30)), LONGEST_WAIT)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where this worker works, for whom, and by which clock."""

    home: Path
    spool: Spool
    destinations: Sequence[Destination]
    terms: Terms
    owner: str
    clock: Callable[[], datetime]
    #: What is in force, asked anew for each analysis; None: whatever the workshop was opened with.
    in_force: InForce | None = None


@dataclass(frozen=True, kw_only=True)
class Published:
    """An analysis that was finished, and the deliveries that now wait."""

    analysis_id: int
    state: AnalysisState
    delivery_ids: tuple[int, ...]


def run(sessions: Sessions, analysis_id: int, perform: Perform, bench: Bench) -> Published | None:
    """Do one analysis if nobody else does it; None when it was not taken or could not be published.

    A fault of the installation gives the row back, for another attempt or as FAILED; it never raises.
    """
    with sessions.begin() as session:
        claim = queries.claim_analysis(session, analysis_id, owner=bench.owner, now=bench.clock())
        tools = bench.in_force.tools(session) if claim is not None and bench.in_force is not None else None
    if claim is None:
        return None
    out = bench.home / "results" / str(claim.analysis_id) / f"attempt-{claim.attempt}"
    published = None
    try:
        with Heartbeat(lambda: _beat(sessions, claim), every_seconds=bench.terms.beat_seconds) as heart:
            outcome = perform(_job(sessions, claim, bench, tools, out), lambda: not heart.lost)
            published = _settle(sessions, claim, outcome, bench, out)
    except LeaseLost:
        log.warning("result_not_published", extra={"analysis_id": claim.analysis_id, "code": LeaseLost.code})
        shutil.rmtree(out, ignore_errors=True)
        return None
    except EditRefused as error:
        _take_edit_back(sessions, claim, error.reason, bench, out)
    except WorkerEnds:
        log.info("attempt_cut_short", extra={"analysis_id": claim.analysis_id, "code": WorkerEnds.code})
        shutil.rmtree(out, ignore_errors=True)
        _postpone(sessions, claim, until=bench.clock())
        return None
    except Exception as error:  # Whatever happened, the row says so and is tried again.
        reason = trouble(error)
        if reason.code in NOT_AS_ACTIVATED:
            log.warning("attempt_cut_short", extra={"analysis_id": claim.analysis_id, "code": reason.code})
            shutil.rmtree(out, ignore_errors=True)
            _postpone(sessions, claim, until=bench.clock() + bench.terms.retry_after)
            return None
        log.exception("attempt_failed", extra={"analysis_id": claim.analysis_id, "code": reason.code})
        # Where it cannot be given back it may have been published after all, so its files stay.
        if _give_back(sessions, claim, reason, bench):
            shutil.rmtree(out, ignore_errors=True)
        return None
    if published is not None:
        _remove_older_attempts(out)
    return published


def _beat(sessions: Sessions, claim: Claim) -> bool:
    with sessions.begin() as session:
        return queries.beat_analysis(session, claim)


def _job(sessions: Sessions, claim: Claim, bench: Bench, tools: JobTools | None, out: Path) -> Job:
    """What this attempt is to do, as plain values."""
    with reading(sessions) as session:
        images = ledger.series_paths(session, [item.series_id for item in claim.inputs])
        earlier = [*versions.earlier_results(session, claim), *versions.unseated_results(session, claim)]
        declined = why_declined(session, claim, bench.home)
        before = priors.earlier_findings(session, claim.analysis_id)
        disagrees = priors.disagreements(session, claim.analysis_id)
        source = rescoring.source_of(session, claim.analysis_id)
        edit = edits.source_of(session, claim.analysis_id)
    reports = (
        JobReport(
            input_digest=item.input_digest,
            made_by=made_by(item.finding),
            report_uids=item.report_uids,
            withdrawn=item.withdrawn,
        )
        for item in earlier
        if item.report_uids and _same_study(item.finding, claim.study_uid)
    )
    return Job(
        analysis_id=claim.analysis_id,
        images=tuple(
            JobImage(path=str(bench.spool.path(path)), sop_instance_uid=uid, sha256=digest)
            for path, uid, digest in images
        ),
        inputs=tuple(
            JobInput(role=item.role, series_uid=item.series_uid, stack=item.stack) for item in claim.inputs
        ),
        input_digest=claim.input_digest,
        receiving=any(item.receiving for item in claim.inputs),
        at=claim.object_time,
        earlier=tuple(reports),
        before=tuple(JobBefore(finding=finding, days=days) for finding, days in before),
        disagrees=disagrees,
        declined=declined,
        measured=None if source is None else _measured(source, bench.home),
        edited=None if edit is None else _edited(edit, bench),
        tools=tools,
        out=out,
    )


def _measured(source: Stored, home: Path) -> JobMeasured:
    """A finished version as the job has it."""
    return JobMeasured(
        finding=source.finding,
        folder=str(within(home, source.result_path)),
        objects=tuple(JobObject(**{**vars(each), "path": Path(each.path).name}) for each in source.objects),
        report_uids=source.report_uids,
    )


def _edited(edit: EditSource, bench: Bench) -> JobEdit:
    """An edited mask as the job has it."""
    return JobEdit(
        peer=edit.peer,
        sop_instance_uid=edit.sop_instance_uid,
        path=str(bench.spool.path(edit.path)),
        sha256=edit.sha256,
        basis=_measured(edit.basis, bench.home),
        current=_measured(edit.current, bench.home),
    )


def _same_study(finding: Mapping[str, Any], study_uid: str) -> bool:
    """Whether a finding is of this study; images may have been of another before they were reissued."""
    return bool((finding.get("series") or {}).get("study_uid", study_uid) == study_uid)


def _settle(sessions: Sessions, claim: Claim, outcome: Outcome, bench: Bench, out: Path) -> Published | None:
    """Publish what came of the attempt, or wait for the images that are arriving."""
    if outcome.refused is not None:
        raise EditRefused(outcome.refused.text, reason=outcome.refused.code)
    if outcome.finding is None:
        _postpone(sessions, claim, until=bench.clock() + bench.terms.retry_after)
        return None
    if opted_out_since(sessions, claim, outcome.finding, bench.home):
        shutil.rmtree(out, ignore_errors=True)
        _postpone(sessions, claim, until=bench.clock())
        return None
    return _publish(sessions, claim, outcome, outcome.finding, bench, out=out)


def _publish(
    sessions: Sessions, claim: Claim, outcome: Outcome, finding: dict[str, Any], bench: Bench, *, out: Path
) -> Published:
    """Make the result the current one, with its objects and deliveries, in one transaction."""
    state = AnalysisState(finding["status"])
    now = bench.clock()
    row = _row(outcome, finding, state, str(out.relative_to(bench.home)))
    with sessions.begin() as session:
        queries.save_finding(session, claim, row, now=now)
        deliveries.add_outputs(
            session, claim.analysis_id, [_output(item, bench.home) for item in outcome.written]
        )
        uids = frozenset(item.sop_instance_uid for item in outcome.written)
        _take_place(session, claim, uids, now=now)
        _note_edit(session, claim, finding, now=now)
        if rescoring.images_purged(session, claim.analysis_id):
            # They were carried from the version before while these were being taken away.
            (out / IMAGES_NAME).unlink(missing_ok=True)
        planned = _plan(session, claim, state, bench, now=now)
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
        extra={
            "analysis_id": claim.analysis_id,
            "state": state.value,
            "seconds": sum(outcome.seconds.values()),
        },
    )
    return Published(analysis_id=claim.analysis_id, state=state, delivery_ids=tuple(planned))


def _note_edit(session: Session, claim: Claim, finding: dict[str, Any], *, now: datetime) -> None:
    """Write down what a version of an edited mask adds to the statistics of agreement."""
    if finding.get("edited") is None:
        return
    model = finding.get("model") or {}
    edits.taken(
        session,
        claim,
        case=case_of(finding),
        network=f"{model.get('name', '')} {model.get('version', '')}".strip(),
        contrast=(finding.get("series") or {}).get("contrast"),
        now=now,
    )


def _row(outcome: Outcome, finding: dict[str, Any], state: AnalysisState, result_path: str) -> queries.Result:
    """What the row of the analysis says of its result."""
    series = finding["series"] or {}
    reasons = [Reason(**item) for item in finding["reasons"]]
    return queries.Result(
        state=state,
        finding=finding,
        contrast=series.get("contrast"),
        region=series.get("region"),
        flagged=any(flag["state"] == "raised" for flag in finding["flags"]),
        reason=reasons[0] if reasons else None,
        input_digest=outcome.input_digest,
        timings=outcome.seconds,
        result_path=result_path,
    )


def _output(written: Written, home: Path) -> OutputFacts:
    return OutputFacts(
        kind=written.kind,
        sop_class_uid=written.sop_class_uid,
        sop_instance_uid=written.sop_instance_uid,
        path=str(written.path.relative_to(home)),
        sha256=written.sha256,
        size=written.size,
        variants=written.variants,
    )


def _take_place(session: Session, claim: Claim, uids: frozenset[str], *, now: datetime) -> None:
    """Supersede the earlier versions, and say so where one of them had the very same objects."""
    earlier = versions.earlier_results(session, claim)
    versions.supersede(session, [item.id for item in earlier], now=now)
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
    bench: Bench,
    *,
    now: datetime,
) -> list[int]:
    """Deliveries to each peer of what it is to get and has not got."""
    planned = []
    for destination in bench.destinations:
        kinds = [kind for kind in destination.outputs if kind in SENT[state]]
        rows = deliveries.outputs_of(
            session,
            claim.analysis_id,
            variant_for(session, destination.name, destination.variant, claim.analysis_id).name,
        )
        held = destination.after_review and not holding.is_accepted(session, claim.analysis_id)
        new = deliveries.plan(session, rows, peer=destination.name, kinds=kinds, now=now, held=held)
        if new:
            detail: dict[str, Any] = {"peer": destination.name, "objects": len(new)}
            if held:
                detail["held"] = True
            ledger.add_event(
                session, "delivery_planned", at=now, analysis_id=claim.analysis_id, detail=detail
            )
        planned += new
    return planned


def _take_edit_back(sessions: Sessions, claim: Claim, reason: Reason, bench: Bench, out: Path) -> None:
    """Take out the version of an edited mask that is not taken; what stood goes on to stand."""
    log.info("edit_refused", extra={"analysis_id": claim.analysis_id, "code": reason.code})
    try:
        with sessions.begin() as session:
            ledger.lock_study_of(session, claim.analysis_id)
            edits.take_back(session, claim, reason, now=bench.clock())
    except Exception:  # The database is away: the sweep finds the expired lease.
        log.exception("row_not_given_back", extra={"analysis_id": claim.analysis_id})
        return
    shutil.rmtree(out, ignore_errors=True)
    with suppress(OSError):
        out.parent.rmdir()


def _give_back(sessions: Sessions, claim: Claim, reason: Reason, bench: Bench) -> bool:
    """Return the row for another attempt, or as FAILED after the last one; whether this attempt held it."""
    now = bench.clock()
    try:
        with sessions.begin() as session:
            state = queries.give_back(
                session,
                claim,
                reason=reason,
                max_attempts=bench.terms.max_attempts,
                not_before=now + bench.terms.wait(claim.attempt),
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
        return False
    return state is not None


def _postpone(sessions: Sessions, claim: Claim, *, until: datetime) -> None:
    """Return the row without counting the attempt."""
    try:
        with sessions.begin() as session:
            queries.postpone(session, claim, not_before=until)
    except Exception:  # The database is away: the sweep finds the expired lease.
        log.exception("row_not_given_back", extra={"analysis_id": claim.analysis_id})


def _remove_older_attempts(out: Path) -> None:
    """Take away what earlier attempts left half-done; only this one is published."""
    for folder in out.parent.glob("attempt-*"):
        if folder != out:
            shutil.rmtree(folder, ignore_errors=True)
