"""Statements about analyses that wait or run: claimed under a lease, published or given back.

The row is the job. Whoever holds the current attempt may publish; everybody else gets LeaseLost.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from service.core.status import AnalysisState
from service.db import population
from service.db.leases import Lease
from service.db.ledger import add_event
from service.db.tables import Analysis
from service.errors import LeaseLost, Reason


@dataclass(frozen=True, kw_only=True)
class ClaimedInput:
    """One stack of a claimed analysis, in its role."""

    role: str
    series_id: int
    series_uid: str
    stack: int
    #: Images of the series may still arrive.
    receiving: bool


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One analysis that this worker holds; ``attempt`` is the proof."""

    analysis_id: int
    attempt: int
    version: int
    input_digest: str
    object_time: datetime
    study_uid: str
    created_at: datetime
    #: The stack that results lie on first.
    inputs: tuple[ClaimedInput, ...]
    #: What the rules decided of it; None where they were not asked.
    choice: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Result:
    """What an analysis found, ready to be published."""

    state: AnalysisState
    finding: dict[str, Any]
    contrast: str | None
    region: str | None
    flagged: bool
    reason: Reason | None
    input_digest: str
    timings: dict[str, Any]
    result_path: str


def claim_analysis(session: Session, analysis_id: int, *, owner: str, now: datetime) -> Claim | None:
    """Take a READY analysis for this worker, or return None if another has it or its time has not come.

    The attempt is counted here, so an analysis that kills its worker uses up its attempts.
    """
    taken = session.execute(
        update(Analysis)
        .where(
            Analysis.id == analysis_id,
            Analysis.state == AnalysisState.READY,
            Analysis.undecided.is_(False),
            or_(Analysis.not_before.is_(None), Analysis.not_before <= now),
        )
        .values(
            state=AnalysisState.RUNNING,
            attempt=Analysis.attempt + 1,
            heartbeat=Analysis.heartbeat + 1,
            lease_owner=owner[:128],
            not_before=None,
            reason_code=None,
            reason_text=None,
            started_at=now,
        )
        .returning(Analysis.id)
    ).scalar_one_or_none()
    if taken is None:
        return None
    analysis = session.get(Analysis, taken, populate_existing=True)
    assert analysis is not None
    add_event(
        session,
        "analysis_started",
        at=now,
        analysis_id=taken,
        detail={"attempt": analysis.attempt, "owner": owner},
    )
    return Claim(
        analysis_id=taken,
        attempt=analysis.attempt,
        version=analysis.version,
        input_digest=analysis.input_digest,
        object_time=analysis.object_time,
        study_uid=analysis.study.study_uid,
        created_at=analysis.created_at,
        choice=analysis.choice,
        inputs=tuple(
            ClaimedInput(
                role=item.role,
                series_id=item.series_id,
                series_uid=item.series.series_uid,
                stack=item.stack,
                receiving=item.series.closed_at is None,
            )
            for item in analysis.inputs
        ),
    )


def beat_analysis(session: Session, claim: Claim) -> bool:
    """Say that this worker still lives; False when the lease is gone."""
    done = session.execute(
        update(Analysis)
        .where(*_held(claim.analysis_id, claim.attempt))
        .values(heartbeat=Analysis.heartbeat + 1)
        .returning(Analysis.id)
    )
    return done.scalar_one_or_none() is not None


def _held(analysis_id: int, attempt: int) -> tuple[Any, ...]:
    """The condition under which a worker still holds its analysis."""
    return (
        Analysis.id == analysis_id,
        Analysis.attempt == attempt,
        Analysis.state == AnalysisState.RUNNING,
    )


def save_finding(session: Session, claim: Claim, result: Result, *, now: datetime) -> None:
    """Publish a result as the current one of its stack.

    Raises LeaseLost, having changed nothing, when this attempt no longer holds the analysis.
    """
    done = session.execute(
        update(Analysis)
        .where(*_held(claim.analysis_id, claim.attempt))
        .values(
            state=result.state,
            finding=result.finding,
            contrast=result.contrast,
            region=result.region,
            flagged=result.flagged,
            reason_code=result.reason.code if result.reason else None,
            reason_text=result.reason.text if result.reason else None,
            input_digest=result.input_digest,
            timings=result.timings,
            result_path=result.result_path,
            lease_owner=None,
            finished_at=now,
        )
        .returning(Analysis.id)
    )
    if done.scalar_one_or_none() is None:
        raise LeaseLost(f"Attempt {claim.attempt} no longer holds this analysis.")
    if result.state == AnalysisState.MEASURED:
        population.note(session, claim.analysis_id)
    add_event(
        session,
        "analysis_finished",
        at=now,
        analysis_id=claim.analysis_id,
        detail={
            "state": result.state,
            "attempt": claim.attempt,
            "code": getattr(result.reason, "code", None),
        },
    )


def give_back(
    session: Session,
    lease: Lease | Claim,
    *,
    reason: Reason,
    max_attempts: int,
    not_before: datetime,
    now: datetime,
) -> AnalysisState | None:
    """Return a running analysis to READY, or to FAILED once its attempts are used up.

    A Lease also demands that the heartbeat has not moved. None when it is held no longer.
    """
    if isinstance(lease, Claim):
        still_held = _held(lease.analysis_id, lease.attempt)
    else:
        still_held = (*_held(lease.id, lease.attempt), Analysis.heartbeat == lease.heartbeat)
    failed = lease.attempt >= max_attempts
    state = AnalysisState.FAILED if failed else AnalysisState.READY
    done = session.execute(
        update(Analysis)
        .where(*still_held)
        .values(
            state=state,
            reason_code=reason.code,
            reason_text=reason.text,
            lease_owner=None,
            not_before=None if failed else not_before,
            finished_at=now if failed else None,
        )
        .returning(Analysis.id)
    ).scalar_one_or_none()
    if done is None:
        return None
    add_event(
        session,
        "analysis_failed" if failed else "attempt_failed",
        at=now,
        analysis_id=done,
        detail={"attempt": lease.attempt, "code": reason.code},
    )
    return state


def postpone(session: Session, claim: Claim, *, not_before: datetime) -> None:
    """Return a claimed analysis to READY without counting the attempt."""
    session.execute(
        update(Analysis)
        .where(*_held(claim.analysis_id, claim.attempt))
        .values(
            state=AnalysisState.READY,
            attempt=Analysis.attempt - 1,
            lease_owner=None,
            not_before=not_before,
        )
    )


def running_analyses(session: Session) -> list[Lease]:
    """Every analysis that a worker holds."""
    rows = session.execute(
        select(Analysis.id, Analysis.attempt, Analysis.heartbeat).where(
            Analysis.state == AnalysisState.RUNNING
        )
    )
    return [Lease(id=row.id, attempt=row.attempt, heartbeat=row.heartbeat) for row in rows]


def ready_analyses(session: Session, *, now: datetime, limit: int = 100) -> list[int]:
    """Analyses that wait for a worker and may start, oldest first."""
    rows = session.execute(
        select(Analysis.id)
        .where(
            Analysis.state == AnalysisState.READY,
            Analysis.undecided.is_(False),
            or_(Analysis.not_before.is_(None), Analysis.not_before <= now),
        )
        .order_by(Analysis.id)
        .limit(limit)
    )
    return list(rows.scalars())
