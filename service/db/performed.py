"""Statements about performed procedure steps: which images scanners say that they made (MPPS)."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from service.core.status import SeriesState, StepState
from service.db.ledger import add_event, insert_unless_there
from service.db.tables import Instance, PerformedSeries, PerformedStep, Series


def begin(session: Session, *, peer: str, step_uid: str, now: datetime) -> bool:
    """Write down a step that has begun; False where there is one of this UID."""
    values = {
        "peer": peer,
        "sop_instance_uid": step_uid,
        "state": StepState.IN_PROGRESS,
        "began_at": now,
        "changed_at": now,
    }
    return insert_unless_there(session, PerformedStep, values) is not None


def state_of(session: Session, *, peer: str, step_uid: str) -> StepState | None:
    """Where a step of this peer stands; None where it began none. It stays so until the transaction ends."""
    found = select(PerformedStep.state).where(
        PerformedStep.sop_instance_uid == step_uid, PerformedStep.peer == peer
    )
    state = session.scalar(found.with_for_update())
    return None if state is None else StepState(state)


def change(
    session: Session,
    step_uid: str,
    *,
    state: StepState | None,
    images: Mapping[str, int] | None,
    now: datetime,
) -> None:
    """Write down what was said of a step: its state, and its images by series UID; None: nothing of it."""
    step = session.scalars(select(PerformedStep).filter_by(sop_instance_uid=step_uid)).one()
    step.state, step.changed_at = state or step.state, now
    if images is not None:
        session.execute(delete(PerformedSeries).where(PerformedSeries.step_id == step.id))
        session.add_all(
            PerformedSeries(step_id=step.id, series_uid=uid, images=count) for uid, count in images.items()
        )
        session.flush()
    if step.state == StepState.COMPLETED:
        _tell_what_is_missing(session, step.id, now=now)


def _tell_what_is_missing(session: Session, step_id: int, *, now: datetime) -> None:
    """Say on the timeline of each series that was closed with fewer images than were made."""
    here = (
        select(func.count())
        .select_from(Instance)
        .where(Instance.series_id == Series.id)
        .correlate(Series)
        .scalar_subquery()
    )
    rows = session.execute(
        select(Series.id, PerformedSeries.images, here.label("here"))
        .join(PerformedSeries, PerformedSeries.series_uid == Series.series_uid)
        .where(
            PerformedSeries.step_id == step_id,
            Series.state == SeriesState.CLOSED,
            PerformedSeries.images > here,
        )
        .order_by(Series.id)
    ).all()
    for row in rows:
        detail = {"images": row.here, "expected": row.images}
        add_event(session, "images_missing", at=now, series_id=row.id, detail=detail)


def forget(session: Session, *, before: datetime) -> int:
    """Take out steps of which nothing was heard since then; how many."""
    old = session.scalars(select(PerformedStep.id).where(PerformedStep.changed_at < before)).all()
    session.execute(delete(PerformedSeries).where(PerformedSeries.step_id.in_(old)))
    session.execute(delete(PerformedStep).where(PerformedStep.id.in_(old)))
    return len(old)
