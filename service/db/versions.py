"""Statements about the versions of an analysis: the next one is made ready, earlier ones give way.

Versions are counted by the stack that results lie on; those of a scan in stations by all of its stacks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select, tuple_, update
from sqlalchemy.orm import Session, aliased

from service import tracing
from service.core.inputset import FAT_ROLES
from service.core.series import PARTNERS, Role
from service.core.status import TERMINAL, AnalysisState, OutputKind
from service.db.deliveries import drop_unsent
from service.db.ledger import add_event
from service.db.queries import Claim
from service.db.tables import Analysis, AnalysisInput, Output, Series


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
        trace=tracing.continued(session.scalar(select(Series.trace).where(Series.id == wanted.anchor[0]))),
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
