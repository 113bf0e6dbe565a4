"""What the dashboard and the REST interface read, as plain values.

Lists carry no patient name or id; only ``analysis_detail`` does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ColumnElement, Select, and_, column, exists, func, literal, or_, select, tuple_
from sqlalchemy.orm import Session, aliased, defer

from service.core.inputset import FAT_ROLES
from service.core.series import PARTNERS
from service.core.status import AnalysisState
from service.db.shapes import (
    AnalysisDetail,
    AnalysisRow,
    DeliveryFacts,
    EventFacts,
    FlagFacts,
    HoldFacts,
    InputFacts,
    OutputFacts,
    Page,
    PatientFacts,
    VersionFacts,
    WithdrawalFacts,
)
from service.db.tables import (
    Analysis,
    AnalysisInput,
    Delivery,
    Event,
    Instance,
    LegalHold,
    Output,
    Series,
    Study,
)

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
    inputs = _inputs(session, ids)
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
    )


def _inputs(session: Session, analysis_ids: Sequence[int]) -> dict[int, list[InputFacts]]:
    """The input sets of these analyses."""
    rows = session.execute(
        select(AnalysisInput, Series)
        .join(Series, Series.id == AnalysisInput.series_id)
        .where(AnalysisInput.analysis_id.in_(analysis_ids))
        .order_by(AnalysisInput.id)
    )
    found: dict[int, list[InputFacts]] = {}
    for item, series in rows:
        facts = InputFacts(
            role=item.role,
            series_id=series.id,
            series_uid=series.series_uid,
            stack=item.stack,
            description=series.description,
            modality=series.modality,
            calling_ae=series.calling_ae,
            state=series.state,
            completion_reason=series.completion_reason,
            first_at=series.first_at,
            last_at=series.last_at,
            closed_at=series.closed_at,
        )
        found.setdefault(item.analysis_id, []).append(facts)
    return found


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


def analysis_detail(session: Session, analysis_id: int) -> AnalysisDetail | None:
    """One analysis with its patient, or None."""
    analysis = session.get(Analysis, analysis_id)
    if analysis is None:
        return None
    study = analysis.study
    inputs = _inputs(session, [analysis.id]).get(analysis.id, [])
    hold = session.get(LegalHold, study.id)
    return AnalysisDetail(
        id=analysis.id,
        study_id=study.id,
        version=analysis.version,
        state=analysis.state,
        reason_code=analysis.reason_code,
        reason_text=analysis.reason_text,
        contrast=analysis.contrast,
        region=analysis.region,
        attempt=analysis.attempt,
        lease_owner=analysis.lease_owner,
        study_uid=study.study_uid,
        patient=PatientFacts(
            patient_id=study.patient_id,
            patient_name=study.patient_name,
            birth_date=study.birth_date,
            sex=study.sex,
            accession_number=study.accession_number,
            study_date=study.study_date,
            study_description=study.description,
        ),
        inputs=tuple(inputs),
        images=_count_images(session, [item.series_id for item in inputs]),
        finding=analysis.finding,
        flagged=analysis.flagged,
        timings=analysis.timings,
        result_path=analysis.result_path,
        supersedes_id=analysis.supersedes_id,
        created_at=analysis.created_at,
        started_at=analysis.started_at,
        finished_at=analysis.finished_at,
        outputs=tuple(_output(output) for output in sorted(analysis.outputs, key=lambda item: item.id)),
        deliveries=list_deliveries(session, analysis_id=analysis.id, before_id=None, limit=None).items,
        versions=_versions(session, analysis),
        hold=None
        if hold is None
        else HoldFacts(study_uid=study.study_uid, reason=hold.reason, actor=hold.actor, at=hold.at),
        pixels_purged_at=min(
            (item.series.pixels_purged_at for item in analysis.inputs if item.series.pixels_purged_at),
            default=None,
        ),
        results_purged_at=analysis.results_purged_at,
        choice=analysis.choice,
        withdrawal=None
        if analysis.withdrawn_at is None
        else WithdrawalFacts(
            reason=analysis.withdrawal_reason or "",
            actor=analysis.withdrawn_by or "",
            at=analysis.withdrawn_at,
        ),
    )


def _count_images(session: Session, series_ids: Sequence[int]) -> int:
    """Images received in these series."""
    return session.scalar(select(func.count(Instance.id)).where(Instance.series_id.in_(series_ids))) or 0


def _output(output: Output) -> OutputFacts:
    """One object as a value."""
    return OutputFacts(
        kind=output.kind,
        sop_class_uid=output.sop_class_uid,
        sop_instance_uid=output.sop_instance_uid,
        path=output.path,
        sha256=output.sha256,
        size=output.size,
        variants=output.variants,
        withdrawal=output.withdrawal,
    )


def _versions(session: Session, analysis: Analysis) -> tuple[VersionFacts, ...]:
    """All analyses whose results lie on the same stack or on a station of the same scan, oldest first."""
    mine = [(item.series_id, item.stack) for item in analysis.inputs if item.role not in FAT_ROLES]
    same = session.scalars(
        select(Analysis)
        .join(AnalysisInput, AnalysisInput.analysis_id == Analysis.id)
        .where(
            tuple_(AnalysisInput.series_id, AnalysisInput.stack).in_(mine),
            AnalysisInput.role.not_in(PARTNERS),
        )
        .options(defer(Analysis.finding), defer(Analysis.timings))
    )
    return tuple(
        VersionFacts(
            id=other.id,
            version=other.version,
            state=other.state,
            created_at=other.created_at,
            finished_at=other.finished_at,
        )
        for other in sorted(same, key=lambda item: (item.version, item.id))
    )


def output_of(
    session: Session, analysis_id: int, kind: str, *, withdrawal: bool = False, station: int = 1
) -> OutputFacts | None:
    """One object of one analysis or of its withdrawal, of the variant which the pages show; or None.

    Of several stations each has a segmentation of its own.
    """
    rows = session.scalars(
        select(Output)
        .where(Output.analysis_id == analysis_id, Output.kind == kind, Output.withdrawal.is_(withdrawal))
        .order_by(Output.id)
    )
    return next((found for found in map(_output, rows) if found.station == station), None)


def list_events(session: Session, analysis_id: int) -> list[EventFacts]:
    """What happened to an analysis and to the series that went in, oldest first."""
    series = select(AnalysisInput.series_id).where(AnalysisInput.analysis_id == analysis_id)
    rows = session.scalars(
        select(Event)
        .where(
            or_(
                Event.analysis_id == analysis_id,
                and_(Event.analysis_id.is_(None), Event.series_id.in_(series)),
            )
        )
        .order_by(Event.at, Event.id)
    )
    return [EventFacts(id=row.id, at=row.at, name=row.name, detail=row.detail) for row in rows]


def list_deliveries(
    session: Session,
    *,
    analysis_id: int | None = None,
    states: Sequence[str] = (),
    peer: str | None = None,
    before_id: int | None,
    limit: int | None,
) -> Page[DeliveryFacts]:
    """Deliveries that fit, newest first, from below ``before_id``.

    Those of one analysis include what went out for an earlier version with the very same objects.
    """
    aliased_output = aliased(Output)
    statement = select(Delivery, Output).join(Output, Output.id == Delivery.output_id)
    if analysis_id is not None:
        mine = select(aliased_output.sop_instance_uid).where(aliased_output.analysis_id == analysis_id)
        statement = statement.where(Output.sop_instance_uid.in_(mine))
    if states:
        statement = statement.where(Delivery.state.in_(states))
    if peer is not None:
        statement = statement.where(Delivery.peer == peer)
    if before_id is not None:
        statement = statement.where(Delivery.id < before_id)
    statement = statement.order_by(Delivery.id.desc())
    rows = session.execute(statement.limit(limit + 1) if limit is not None else statement).all()
    more = limit is not None and len(rows) > limit
    items = tuple(_delivery(delivery, output) for delivery, output in (rows[:limit] if more else rows))
    return Page(items=items, next_cursor=items[-1].id if more else None)


def _delivery(delivery: Delivery, output: Output) -> DeliveryFacts:
    """One delivery as a value."""
    return DeliveryFacts(
        id=delivery.id,
        analysis_id=output.analysis_id,
        kind=output.kind,
        sop_instance_uid=output.sop_instance_uid,
        peer=delivery.peer,
        state=delivery.state,
        attempts=delivery.attempts,
        failures=delivery.failures,
        next_at=delivery.next_at,
        dimse_status=delivery.dimse_status,
        error_code=delivery.error_code,
        error_text=delivery.error_text,
        created_at=delivery.created_at,
        sent_at=delivery.sent_at,
        confirm_at=delivery.confirm_at,
        confirmed_at=delivery.confirmed_at,
    )
