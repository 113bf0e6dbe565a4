"""Where the traces of series and analyses stand, and what is told of them; no word about a patient."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from service.db.ledger import REOPENED
from service.db.tables import Analysis, Event, Instance, Series


@dataclass(frozen=True, kw_only=True)
class SeriesTrace:
    """A closed series that has a trace."""

    id: int
    context: str
    first_at: datetime
    closed_at: datetime
    images: int
    reason: str
    calling_ae: str
    #: It was closed before.
    again: bool


@dataclass(frozen=True, kw_only=True)
class AnalysisTrace:
    """An analysis that has a trace."""

    id: int
    context: str
    #: Of the series that results lie on.
    series_context: str | None
    version: int
    attempt: int
    state: str
    #: Code of the reason, empty for none.
    code: str
    #: What the rules said, empty where they were not asked.
    outcome: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    #: Seconds by step.
    seconds: dict[str, float]


def of_series_uids(session: Session, uids: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Id and context of each series that has a trace."""
    rows = session.execute(
        select(Series.series_uid, Series.id, Series.trace).where(
            Series.series_uid.in_(uids), Series.trace.is_not(None)
        )
    )
    return {uid: (number, trace) for uid, number, trace in rows if trace is not None}


def of_series(session: Session, ids: Sequence[int]) -> list[SeriesTrace]:
    """Those of the closed series that have a trace."""
    images = select(func.count()).where(Instance.series_id == Series.id).correlate(Series).scalar_subquery()
    again = exists().where(Event.series_id == Series.id, Event.name == REOPENED)
    rows = session.execute(
        select(Series, images, again).where(
            Series.id.in_(ids), Series.trace.is_not(None), Series.closed_at.is_not(None)
        )
    )
    return [
        SeriesTrace(
            id=row.id,
            context=row.trace or "",
            first_at=row.first_at,
            closed_at=row.closed_at or row.last_at,
            images=count,
            reason=row.completion_reason or "",
            calling_ae=row.calling_ae,
            again=reopened,
        )
        for row, count, reopened in rows
    ]


def of_analyses(session: Session, ids: Sequence[int]) -> list[AnalysisTrace]:
    """Those of the analyses that have a trace."""
    rows = session.scalars(select(Analysis).where(Analysis.id.in_(ids), Analysis.trace.is_not(None)))
    return [
        AnalysisTrace(
            id=row.id,
            context=row.trace or "",
            series_context=context_of_series(session, row.inputs[0].series_id) if row.inputs else None,
            version=row.version,
            attempt=row.attempt,
            state=row.state,
            code=row.reason_code or "",
            outcome=str((row.choice or {}).get("outcome") or ""),
            created_at=row.created_at,
            started_at=row.started_at,
            finished_at=row.finished_at,
            seconds={str(name): float(seconds) for name, seconds in (row.timings or {}).items()},
        )
        for row in rows
    ]


def context_of_series(session: Session, series_id: int) -> str | None:
    """Where the trace of a series stands; None where there is none."""
    return session.scalar(select(Series.trace).where(Series.id == series_id))
