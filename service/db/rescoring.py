"""Statements about new scores from stored measures, and about replays."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from service import tracing
from service.core.status import TERMINAL, AnalysisState, OutputKind
from service.db.ledger import add_event
from service.db.tables import Analysis, AnalysisInput, Output, Series
from service.db.views import analysis_detail
from service.errors import InvalidRequest

WAITING = "A version of this analysis is waiting or running."


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """One object of a finished version."""

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    #: Relative to HOME.
    path: str
    sha256: str
    size: int
    variants: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A finished version as it is stored."""

    id: int
    version: int
    input_digest: str
    finding: dict[str, Any]
    #: The folder of its result, relative to HOME.
    result_path: str
    objects: tuple[StoredObject, ...]

    @property
    def report_uids(self) -> dict[str, str]:
        """SOP instance UID of its SR by variant."""
        return {
            variant: each.sop_instance_uid
            for each in self.objects
            if each.kind == OutputKind.SR
            for variant in each.variants or ("",)
        }


@dataclass(frozen=True, kw_only=True)
class Replayable:
    """A finished version, and what it was made from."""

    stored: Stored
    study_id: int
    #: Role, series instance UID and number of each stack.
    inputs: tuple[tuple[str, str, int], ...]
    series_ids: tuple[int, ...]
    object_time: datetime
    #: What the rules decided of it; None where they were not asked.
    choice: dict[str, Any] | None
    #: The images of one of the series were taken away.
    pixels_purged: bool


def current(session: Session, *, since: datetime | None = None) -> list[int]:
    """Current measured results that were made ready since then, oldest first."""
    wanted = select(Analysis.id).where(
        Analysis.state == AnalysisState.MEASURED, Analysis.withdrawn_at.is_(None)
    )
    if since is not None:
        wanted = wanted.where(Analysis.created_at >= since)
    return list(session.scalars(wanted.order_by(Analysis.id)))


def to_rescore(session: Session, analysis_id: int) -> Stored | None:
    """The current version of an analysis, whose measures can be scored again; None: no such analysis.

    Raises InvalidRequest, which says why, where they cannot.
    """
    detail = analysis_detail(session, analysis_id)
    if detail is None:
        return None
    versions = detail.versions or (detail,)
    if any(AnalysisState(version.state) not in TERMINAL for version in versions):
        raise InvalidRequest(WAITING, reason="already_waiting")
    measured = [version.id for version in versions if version.state == AnalysisState.MEASURED]
    if not measured:
        raise InvalidRequest("There are no current measures to score.", reason="not_measured")
    row = session.get_one(Analysis, measured[-1])
    if row.withdrawn_at is not None:
        raise InvalidRequest("This result is withdrawn. Run it again.", reason="withdrawn")
    return stored(session, row.id)


def stored(session: Session, analysis_id: int) -> Stored:
    """A finished version with its objects; raises InvalidRequest where it is not there (any more)."""
    row = session.scalar(select(Analysis).where(Analysis.id == analysis_id).options(defer(Analysis.timings)))
    if row is None:
        raise InvalidRequest("There is no analysis with this number.", reason="not_found")
    if row.results_purged_at is not None:
        raise InvalidRequest(
            "The objects were taken away after the time they are kept.", reason="results_purged"
        )
    if row.finding is None or row.result_path is None:
        raise InvalidRequest(f"The analysis is {row.state}; there is no finding.", reason="no_finding")
    outputs = session.scalars(
        select(Output)
        .where(Output.analysis_id == analysis_id, Output.withdrawal.is_(False))
        .order_by(Output.id)
    )
    return Stored(
        id=row.id,
        version=row.version,
        input_digest=row.input_digest,
        finding=row.finding,
        result_path=row.result_path,
        objects=tuple(
            StoredObject(
                kind=output.kind,
                sop_class_uid=output.sop_class_uid,
                sop_instance_uid=output.sop_instance_uid,
                path=output.path,
                sha256=output.sha256,
                size=output.size,
                variants=tuple(output.variants.split()),
            )
            for output in outputs
        ),
    )


def replayable(session: Session, analysis_id: int) -> Replayable | None:
    """A finished version with what it was made from; None: no such analysis.

    Raises InvalidRequest where there is nothing to compare with.
    """
    row = session.get(Analysis, analysis_id)
    if row is None:
        return None
    return Replayable(
        stored=stored(session, analysis_id),
        study_id=row.study_id,
        inputs=tuple((item.role, item.series.series_uid, item.stack) for item in row.inputs),
        series_ids=tuple(dict.fromkeys(item.series_id for item in row.inputs)),
        object_time=row.object_time,
        choice=row.choice,
        pixels_purged=any(item.series.pixels_purged_at is not None for item in row.inputs),
    )


def images_purged(session: Session, analysis_id: int) -> bool:
    """Whether the images of one of its series were taken away."""
    gone = select(AnalysisInput.id).where(
        AnalysisInput.analysis_id == analysis_id,
        AnalysisInput.series.has(Series.pixels_purged_at.is_not(None)),
    )
    return session.scalar(gone.limit(1)) is not None


def order(session: Session, analysis_id: int, *, now: datetime) -> int | None:
    """Make the next version READY, which scores the measures of the current one; None: no such analysis.

    The earlier version stays the current result until the new one is published. Raises InvalidRequest where
    that cannot be. Whoever withdraws, purges or orders another version takes turns with this
    (``lock_study_of``).
    """
    source = to_rescore(session, analysis_id)
    if source is None:
        return None
    measured = session.get_one(Analysis, source.id)
    detail = analysis_detail(session, source.id)
    newest = detail.versions[-1] if detail is not None and detail.versions else measured
    row = Analysis(
        study_id=measured.study_id,
        input_digest=measured.input_digest,
        version=newest.version + 1,
        supersedes_id=newest.id,
        rescores_id=measured.id,
        edit_id=measured.edit_id,
        state=AnalysisState.READY,
        object_time=measured.object_time,
        created_at=now,
        choice=measured.choice,
        trace=tracing.continued(measured.trace),
        inputs=[
            AnalysisInput(series_id=item.series_id, role=item.role, stack=item.stack)
            for item in measured.inputs
        ],
    )
    session.add(row)
    session.flush()
    add_event(session, "rescore_ordered", at=now, analysis_id=row.id, detail={"version": measured.version})
    return row.id


def source_of(session: Session, analysis_id: int) -> Stored | None:
    """The version whose measures a claimed analysis is to score; None where it measures the images itself.

    Raises InvalidRequest where that version does not stand any more.
    """
    source_id = session.scalar(select(Analysis.rescores_id).where(Analysis.id == analysis_id))
    if source_id is None:
        return None
    found = stored(session, source_id)
    if session.scalar(select(Analysis.withdrawn_at).where(Analysis.id == source_id)) is not None:
        raise InvalidRequest("This result is withdrawn. Run it again.", reason="withdrawn")
    return found


def note_replay(session: Session, analysis_id: int, *, detail: Mapping[str, Any], now: datetime) -> None:
    """Write down in the timeline what a replay found: codes and counts."""
    add_event(session, "replayed", at=now, analysis_id=analysis_id, detail=dict(detail))
