"""The list of analyses that the dashboard and the REST interface show, and how it is searched.

It carries no patient name or id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ColumnElement, Select, column, exists, func, literal, or_, select
from sqlalchemy.orm import Session, aliased, defer

from service.core.status import AnalysisState
from service.db.shapes import AnalysisRow, FlagFacts, InputFacts, Page
from service.db.tables import Analysis, AnalysisInput, Delivery, Output, Series, Study
from service.db.views import inputs_of

#: Flag filters beside the code of a flag.
ANY_RAISED = "raised"
NONE_RAISED = "none"


@dataclass(frozen=True, kw_only=True)
class AnalysisQuery:
    """Which analyses are wanted; everything set must hold."""

    states: tuple[str, ...] = ()
    #: A flag's code (raised in this finding), ``ANY_RAISED`` or ``NONE_RAISED``.
    flag: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None
    #: A study or a series instance UID.
    uid: str | None = None
    study_ids: tuple[int, ...] = ()
    #: Also analyses that a newer version took the place of.
    with_superseded: bool = True


def list_analyses(
    session: Session, query: AnalysisQuery, *, before_id: int | None, limit: int
) -> Page[AnalysisRow]:
    """Analyses that fit, newest first, from below ``before_id``.

    Only the few values a list shows are taken out of the findings, by the database.
    """
    finding = Analysis.finding
    statement: Select[Any] = select(
        Analysis,
        Study.study_uid,
        finding[("measures", "total", "imat_fraction")].as_float().label("imat_fraction"),
        finding[("measures", "total", "lmm_ml")].as_float().label("lmm_ml"),
        finding["flags"].label("flags"),
    ).join(Study, Study.id == Analysis.study_id)
    # A finding carries a profile of some hundred points that no list shows.
    statement = statement.options(defer(Analysis.finding), defer(Analysis.timings))
    statement = statement.where(*_conditions(session, query))
    if before_id is not None:
        statement = statement.where(Analysis.id < before_id)
    rows = session.execute(statement.order_by(Analysis.id.desc()).limit(limit + 1)).all()
    shown = rows[:limit]
    ids = [row[0].id for row in shown]
    inputs = inputs_of(session, ids)
    deliveries = _delivery_counts(session, ids)
    items = tuple(
        _row(
            row[0],
            row.study_uid,
            imat_fraction=row.imat_fraction,
            lmm_ml=row.lmm_ml,
            flags=row.flags,
            inputs=inputs.get(row[0].id, []),
            deliveries=deliveries.get(row[0].id, {}),
        )
        for row in shown
    )
    return Page(items=items, next_cursor=ids[-1] if len(rows) > limit else None)


def _conditions(session: Session, query: AnalysisQuery) -> list[ColumnElement[bool]]:
    """The query as SQL conditions."""
    conditions: list[ColumnElement[bool]] = []
    if query.states:
        conditions.append(Analysis.state.in_(query.states))
    elif not query.with_superseded:
        conditions.append(Analysis.state != AnalysisState.SUPERSEDED)
    if query.from_at is not None:
        conditions.append(Analysis.created_at >= query.from_at)
    if query.to_at is not None:
        conditions.append(Analysis.created_at < query.to_at)
    if query.study_ids:
        conditions.append(Analysis.study_id.in_(query.study_ids))
    if query.uid is not None:
        series = exists().where(
            AnalysisInput.analysis_id == Analysis.id,
            AnalysisInput.series_id == Series.id,
            Series.series_uid == query.uid,
        )
        conditions.append(or_(Study.study_uid == query.uid, series))
    stands = Analysis.withdrawn_at.is_(None)
    if query.flag == ANY_RAISED:
        conditions += [Analysis.flagged.is_(True), stands]
    elif query.flag == NONE_RAISED:
        conditions += [Analysis.flagged.is_(False), Analysis.state == AnalysisState.MEASURED, stands]
    elif query.flag is not None:
        conditions += [Analysis.flagged.is_(True), _flag_raised(session, query.flag), stands]
    return conditions


def _flag_raised(session: Session, code: str) -> ColumnElement[bool]:
    """The finding raises the flag of that code; the two databases open a JSON list differently."""
    if session.get_bind().dialect.name == "sqlite":
        each = func.json_each(Analysis.finding, "$.flags").table_valued("value", joins_implicitly=True)
        return exists(
            select(literal(1))
            .select_from(each)
            .where(
                func.json_extract(each.c.value, "$.code") == code,
                func.json_extract(each.c.value, "$.state") == "raised",
            )
        )
    each = func.json_array_elements(Analysis.finding["flags"]).table_valued(
        column("value", JSON), name="flag", joins_implicitly=True
    )
    return exists(
        select(literal(1))
        .select_from(each)
        .where(each.c.value["code"].as_string() == code, each.c.value["state"].as_string() == "raised")
    )


def _row(
    analysis: Analysis,
    study_uid: str,
    *,
    imat_fraction: float | None,
    lmm_ml: float | None,
    flags: list[dict[str, Any]] | None,
    inputs: Sequence[InputFacts],
    deliveries: dict[str, int],
) -> AnalysisRow:
    """One line of the list out of what the queries brought."""
    return AnalysisRow(
        id=analysis.id,
        version=analysis.version,
        state=analysis.state,
        withdrawn_at=analysis.withdrawn_at,
        reason_code=analysis.reason_code,
        contrast=analysis.contrast,
        region=analysis.region,
        imat_fraction=imat_fraction,
        lmm_ml=lmm_ml,
        flagged=analysis.flagged,
        flags=tuple(
            FlagFacts(code=flag["code"], state=flag["state"], text=flag["text"]) for flag in flags or ()
        ),
        study_uid=study_uid,
        series_uids=tuple(dict.fromkeys(item.series_uid for item in inputs)),
        received_at=min((item.first_at for item in inputs), default=None),
        created_at=analysis.created_at,
        finished_at=analysis.finished_at,
        deliveries=deliveries,
        edited=analysis.edit_id is not None,
    )


def _delivery_counts(session: Session, analysis_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """How many deliveries of the objects of these analyses are in each state.

    A rerun that finds the same makes the same objects, which went out for an earlier version.
    """
    same = aliased(Output)
    rows = session.execute(
        select(Output.analysis_id, Delivery.state, func.count())
        .join(same, same.sop_instance_uid == Output.sop_instance_uid)
        .join(Delivery, Delivery.output_id == same.id)
        .where(Output.analysis_id.in_(analysis_ids))
        .group_by(Output.analysis_id, Delivery.state)
    )
    counts: dict[int, dict[str, int]] = {}
    for analysis_id, state, count in rows:
        counts.setdefault(analysis_id, {})[state] = count
    return counts


def find_studies(session: Session, term: str, *, limit: int) -> list[int]:
    """Ids of the studies whose UID, series UID, accession number or patient id is exactly ``term``."""
    by_series = select(Series.study_id).where(Series.series_uid == term)
    statement = select(Study.id).where(
        or_(
            Study.study_uid == term,
            Study.accession_number == term,
            Study.patient_id == term,
            Study.id.in_(by_series),
        )
    )
    return list(session.scalars(statement.order_by(Study.id.desc()).limit(limit)))
