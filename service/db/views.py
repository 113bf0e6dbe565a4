"""What the dashboard and the REST interface read of one analysis and of deliveries, as plain values.

Patient names and ids are in ``analysis_detail`` alone. The list of analyses is ``listing``.
"""

from collections.abc import Sequence

from sqlalchemy import and_, func, or_, select, tuple_
from sqlalchemy.orm import Session, aliased, defer

from service.core.inputset import FAT_ROLES
from service.core.series import PARTNERS
from service.db.shapes import (
    AnalysisDetail,
    DeliveryFacts,
    EventFacts,
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
)


def inputs_of(session: Session, analysis_ids: Sequence[int]) -> dict[int, list[InputFacts]]:
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


def analysis_detail(session: Session, analysis_id: int) -> AnalysisDetail | None:
    """One analysis with its patient, or None."""
    analysis = session.get(Analysis, analysis_id)
    if analysis is None:
        return None
    study = analysis.study
    inputs = inputs_of(session, [analysis.id]).get(analysis.id, [])
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
        input_digest=analysis.input_digest,
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
        else HoldFacts(
            study_id=study.id, study_uid=study.study_uid, reason=hold.reason, actor=hold.actor, at=hold.at
        ),
        pixels_purged_at=min(
            (item.series.pixels_purged_at for item in analysis.inputs if item.series.pixels_purged_at),
            default=None,
        ),
        results_purged_at=analysis.results_purged_at,
        choice=analysis.choice,
        edited=analysis.edit_id is not None,
        withdrawal=None
        if analysis.withdrawn_at is None
        else WithdrawalFacts(
            reason=analysis.withdrawal_reason or "",
            actor=analysis.withdrawn_by or "",
            at=analysis.withdrawn_at,
        ),
    )


def result_path(session: Session, analysis_id: int) -> str | None:
    """The folder of a result, relative to HOME; None where there is none (any more)."""
    return session.scalar(
        select(Analysis.result_path).where(Analysis.id == analysis_id, Analysis.results_purged_at.is_(None))
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
            # One of an edited mask that came to nothing is none (``service.db.edits``).
            Analysis.version > 0,
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
            edited=other.edit_id is not None,
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
