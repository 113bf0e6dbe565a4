"""What a person may ask of the ledger: analyse again, send again."""

from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from service import tracing
from service.core.status import TERMINAL, AnalysisState, DeliveryState
from service.db import choices, circuits
from service.db.ledger import add_event, lock_study_of
from service.db.shapes import AnalysisDetail
from service.db.tables import Analysis, AnalysisInput, Delivery, Output
from service.db.views import analysis_detail
from service.errors import InvalidRequest


def order_rerun(session: Session, analysis_id: int, *, now: datetime) -> int | None:
    """Make the next version of an analysis READY and return its id, or None if there is no such analysis.

    It takes the input set of the newest version. The earlier version stays the current result until the
    new one is published.
    """
    lock_study_of(session, analysis_id)
    analysis = session.scalar(select(Analysis).where(Analysis.id == analysis_id).with_for_update())
    detail = analysis_detail(session, analysis_id)
    if analysis is None or detail is None:
        return None
    if any(AnalysisState(version.state) not in TERMINAL for version in detail.versions):
        raise InvalidRequest("A version of this analysis is waiting or running.", reason="already_waiting")
    newest = detail.versions[-1] if detail.versions else None
    if newest is not None and newest.state == AnalysisState.SUPERSEDED:
        # Nothing came after it on its stack, so the images went into another analysis.
        raise InvalidRequest("Another result took the place of this one.", reason="superseded")
    if newest is not None:
        # Versions of one stack may differ in their partners: the last one knows them all.
        analysis = session.get_one(Analysis, newest.id)
    if any(item.series.pixels_purged_at is not None for item in analysis.inputs):
        raise InvalidRequest(
            "The images were taken away after the time they are kept. Send the series again.",
            reason="pixels_purged",
        )
    choice = choices.for_rerun(analysis.choice)
    rerun = Analysis(
        study_id=analysis.study_id,
        input_digest=analysis.input_digest,
        version=(newest.version if newest else analysis.version) + 1,
        supersedes_id=newest.id if newest else analysis.id,
        state=AnalysisState.READY,
        object_time=_object_time(session, detail, analysis, now=now),
        created_at=now,
        choice=choice,
        trace=tracing.continued(analysis.trace),
        undecided=choice is not None and choices.OUTCOME not in choice,
    )
    rerun.inputs = [
        AnalysisInput(series_id=item.series_id, role=item.role, stack=item.stack) for item in analysis.inputs
    ]
    session.add(rerun)
    session.flush()
    add_event(
        session, "rerun_ordered", at=now, analysis_id=rerun.id, detail={"supersedes": rerun.supersedes_id}
    )
    return rerun.id


def _object_time(session: Session, detail: AnalysisDetail, analysis: Analysis, *, now: datetime) -> datetime:
    """The time in the objects of a rerun: as before, unless one of a withdrawn result would come again."""
    withdrawn = session.scalars(
        select(Analysis.object_time).where(
            Analysis.id.in_([version.id for version in detail.versions]), Analysis.withdrawn_at.is_not(None)
        )
    ).all()
    return now if analysis.object_time in withdrawn else analysis.object_time


def order_retry(session: Session, delivery_id: int, *, now: datetime) -> int | None:
    """Have a delivery tried again at once and return its analysis, or None if there is no such delivery.

    It has all its tries again. One that was sent and never confirmed is asked about again.
    """
    found = session.execute(
        select(Delivery.peer, Output.analysis_id).join(Output).where(Delivery.id == delivery_id)
    ).one_or_none()
    if found is None:
        return None
    # In this order: the peer's row before the delivery's, as a worker does that takes it, and the study's
    # before the delivery's, as a withdrawal does.
    circuits.probe_now(session, found.peer, now=now)
    lock_study_of(session, found.analysis_id)
    delivery = session.scalars(select(Delivery).where(Delivery.id == delivery_id).with_for_update()).one()
    unconfirmed = delivery.state == DeliveryState.SENT and delivery.error_code is not None
    if not unconfirmed and delivery.state not in (DeliveryState.DEAD, DeliveryState.PENDING):
        raise InvalidRequest(f"This delivery is {delivery.state}.", reason="not_retryable")
    analysis = delivery.output.analysis
    session.refresh(analysis)
    if not delivery.output.withdrawal:
        if analysis.withdrawn_at is not None:
            raise InvalidRequest("The result of this object is withdrawn.", reason="withdrawn")
        if analysis.state == AnalysisState.SUPERSEDED:
            raise InvalidRequest("A newer result took the place of this one.", reason="superseded")
    if analysis.results_purged_at is not None:
        raise InvalidRequest(
            "The objects were taken away after the time they are kept.", reason="results_purged"
        )
    if unconfirmed:
        delivery.confirm_at, delivery.confirm_attempts = now, 0
        delivery.error_code = delivery.error_text = None
    else:
        # ``attempts`` is the proof of who sends, so it is never set back.
        delivery.state, delivery.failures, delivery.next_at = DeliveryState.PENDING, 0, now
    add_event(
        session, "delivery_retry_ordered", at=now, analysis_id=analysis.id, detail={"delivery": delivery_id}
    )
    return analysis.id


def order_retry_of_peer(session: Session, peer: str, *, now: datetime) -> int:
    """Have everything tried again that was given up for a peer; how many deliveries.

    What a newer result took the place of, what is withdrawn, and what is not kept any more, stays as it is.
    """
    given_up = session.scalars(
        select(Delivery.id)
        .join(Output)
        .join(Analysis)
        .where(
            Delivery.peer == peer,
            Delivery.state == DeliveryState.DEAD,
            or_(
                Output.withdrawal.is_(True),
                (Analysis.state != AnalysisState.SUPERSEDED) & Analysis.withdrawn_at.is_(None),
            ),
            Analysis.results_purged_at.is_(None),
        )
        .order_by(Delivery.id)
    ).all()
    for delivery_id in given_up:
        order_retry(session, delivery_id, now=now)
    return len(given_up)
