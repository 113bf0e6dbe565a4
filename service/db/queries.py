"""Statements about analyses: made ready, claimed under a lease, published or given back.

The row is the job. Whoever holds the current attempt may publish; everybody else gets LeaseLost.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, or_, select, tuple_, update
from sqlalchemy.orm import Session, aliased

from service.core.inputset import FAT_ROLES
from service.core.series import PARTNERS, Role
from service.core.status import TERMINAL, AnalysisState, OutputKind
from service.db.deliveries import drop_unsent
from service.db.leases import Lease
from service.db.ledger import add_event
from service.db.tables import Analysis, AnalysisInput, Output, Series
from service.errors import LeaseLost, Reason


@dataclass(frozen=True, kw_only=True)
class StackInput:
    """One stack of an input set, in its role."""

    series_id: int
    stack: int
    role: Role = Role.IMAGE


@dataclass(frozen=True, kw_only=True)
class SetInput:
    """One input set that is to be analysed, with the digest of everything in it."""

    #: The stack that results lie on first: versions are counted by it.
    stacks: tuple[StackInput, ...]
    digest: str
    #: What rules may ask of it, and what they decided if they have (``service.db.choices``).
    choice: dict[str, Any] | None = None

    @property
    def undecided(self) -> bool:
        """Whether it waits for the rules."""
        return self.choice is not None and "outcome" not in self.choice

    @property
    def anchor(self) -> tuple[int, int]:
        """Series and stack that results lie on."""
        return self.stacks[0].series_id, self.stacks[0].stack

    @property
    def images(self) -> list[tuple[int, int]]:
        """Series and stack of each station, of a Dixon pair the water image."""
        return [(item.series_id, item.stack) for item in self.stacks if item.role not in FAT_ROLES]


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
class Earlier:
    """An older analysis of the same stack, and its objects."""

    id: int
    version: int
    input_digest: str
    object_uids: frozenset[str]
    #: SOP instance UID by variant of its SR, or of what took its place when the result was withdrawn.
    report_uids: dict[str, str]
    finding: dict[str, Any]
    withdrawn: bool


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


def make_ready(
    session: Session, *, study_id: int, series_ids: Sequence[int], sets: Sequence[SetInput], now: datetime
) -> list[int]:
    """Make one READY analysis for each input set that was not analysed in this form; return their ids.

    ``sets`` are all input sets of these series. Earlier analyses that did not start are superseded at
    once, and so are those of sets that are no longer there, with what they had not sent; a finished one
    stays current until its successor is published.
    """
    made = []
    for wanted in sets:
        latest = session.scalars(_versions(wanted.images).limit(1)).one_or_none()
        current = latest is not None and latest.state != AnalysisState.SUPERSEDED
        if latest is not None and current and latest.input_digest == wanted.digest:
            continue
        made.append(add_version(session, study_id, wanted, after=latest, now=now))
    gone = _gone(session, series_ids, {image for wanted in sets for image in wanted.images})
    supersede(session, gone, now=now)
    drop_unsent(session, gone, now=now)
    return made


def awaiting_partners(session: Session, series_ids: Sequence[int], *, without: Sequence[int]) -> set[int]:
    """Which of these series are measured together with one whose images are arriving again.

    ``without`` are series that do not count as such: those that are about to be closed.
    """
    partner = aliased(AnalysisInput)
    rows = session.execute(
        select(AnalysisInput.series_id)
        .join(Analysis, Analysis.id == AnalysisInput.analysis_id)
        .join(partner, partner.analysis_id == Analysis.id)
        .join(Series, Series.id == partner.series_id)
        .where(
            AnalysisInput.series_id.in_(series_ids),
            partner.series_id.not_in(without),
            Series.closed_at.is_(None),
            Analysis.state != AnalysisState.SUPERSEDED,
        )
    )
    return set(rows.scalars())


def _versions(images: Sequence[tuple[int, int]]) -> Select[Analysis]:
    """Analyses whose results lie on one of these stacks (several: stations of one scan), newest first."""
    return (
        select(Analysis)
        .join(AnalysisInput)
        .where(
            tuple_(AnalysisInput.series_id, AnalysisInput.stack).in_(images),
            AnalysisInput.role.not_in(PARTNERS),
        )
        .order_by(Analysis.version.desc(), Analysis.id.desc())
    )


def _gone(session: Session, series_ids: Sequence[int], images: set[tuple[int, int]]) -> list[int]:
    """Analyses of input sets that these series no longer make, not even as a part of another one."""
    rows = session.execute(
        select(Analysis.id, AnalysisInput.series_id, AnalysisInput.stack)
        .join(AnalysisInput)
        .where(
            AnalysisInput.series_id.in_(series_ids),
            AnalysisInput.role.not_in(PARTNERS),
            Analysis.state != AnalysisState.SUPERSEDED,
        )
    )
    return [row.id for row in rows if (row.series_id, row.stack) not in images]


def add_version(
    session: Session, study_id: int, wanted: SetInput, *, after: Analysis | None, now: datetime
) -> int:
    """Add the next version, and stop earlier ones that have not finished."""
    earlier = session.scalars(_versions(wanted.images)).all()
    # Objects are told apart by their time, and no object of a withdrawn result may come again.
    withdrawn = {older.object_time for older in earlier if older.withdrawn_at is not None}
    first = [
        older
        for older in earlier
        if older.input_digest == wanted.digest and older.object_time not in withdrawn
    ]
    analysis = Analysis(
        study_id=study_id,
        input_digest=wanted.digest,
        version=after.version + 1 if after else 1,
        supersedes_id=after.id if after else None,
        state=AnalysisState.READY,
        object_time=first[-1].object_time if first else now,
        created_at=now,
        choice=wanted.choice,
        undecided=wanted.undecided,
        inputs=[
            AnalysisInput(series_id=item.series_id, role=item.role.value, stack=item.stack)
            for item in wanted.stacks
        ],
    )
    session.add(analysis)
    supersede(session, [older.id for older in earlier if older.state not in TERMINAL], now=now)
    session.flush()
    add_event(
        session,
        "analysis_ready",
        at=now,
        series_id=wanted.anchor[0],
        analysis_id=analysis.id,
        detail={"version": analysis.version, "stack": wanted.anchor[1], "stacks": len(wanted.stacks)},
    )
    return analysis.id


def supersede(session: Session, ids: Sequence[int], *, now: datetime) -> None:
    """Let newer analyses take the place of these."""
    if not ids:
        return
    done = session.execute(
        update(Analysis)
        .where(Analysis.id.in_(ids), Analysis.state != AnalysisState.SUPERSEDED)
        .values(state=AnalysisState.SUPERSEDED)
        .returning(Analysis.id)
    )
    for analysis_id in done.scalars().all():
        add_event(session, "analysis_superseded", at=now, analysis_id=analysis_id)


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


def earlier_results(session: Session, claim: Claim) -> list[Earlier]:
    """Older analyses of the same stack or of stations of the same scan, with their objects, newest first."""
    images = [(item.series_id, item.stack) for item in claim.inputs if item.role not in FAT_ROLES]
    rows = session.scalars(_versions(images).where(Analysis.version < claim.version))
    return [_earlier(session, row) for row in rows]


def unseated_results(session: Session, claim: Claim) -> list[Earlier]:
    """Results of other stacks that the rules chose before this one, with their objects, newest first."""
    ids = (claim.choice or {}).get("instead_of", [])
    return [_earlier(session, row) for each in ids if (row := session.get(Analysis, each)) is not None]


def _earlier(session: Session, analysis: Analysis) -> Earlier:
    """One older analysis as the newer one sees it."""
    outputs = session.execute(
        select(Output.kind, Output.sop_instance_uid, Output.variants, Output.withdrawal)
        .where(Output.analysis_id == analysis.id)
        .order_by(Output.withdrawal, Output.id)
    ).all()
    return Earlier(
        id=analysis.id,
        version=analysis.version,
        input_digest=analysis.input_digest,
        object_uids=frozenset(row.sop_instance_uid for row in outputs if not row.withdrawal),
        report_uids={
            variant: row.sop_instance_uid
            for row in outputs
            if row.kind == OutputKind.SR
            for variant in row.variants.split() or [""]
        },
        finding=analysis.finding or {},
        withdrawn=analysis.withdrawn_at is not None,
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
