"""What the status page, the metrics and the audit page read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.exc import DataError, SQLAlchemyError, StatementError
from sqlalchemy.orm import Session

from service.core.funnel import Funnel
from service.core.status import AnalysisState, DeliveryState, SeriesState
from service.db.audit import unsealed
from service.db.audit_outbox import waits_since
from service.db.circuits import CircuitFacts, all_circuits
from service.db.funnel import funnel
from service.db.shapes import AuditFacts, Page
from service.db.tables import (
    Analysis,
    AuditEntry,
    Counter,
    Delivery,
    Door,
    RejectedCaller,
    Series,
)

#: A door that did not say so for this long counts as silent; four of the doors' own 15-second beats, chosen
#: by us.
SILENT_AFTER = timedelta(seconds=60)
#: Doors that stopped longer ago than this are no longer listed.
FORGOTTEN_AFTER = timedelta(days=1)
#: What any failing of the database is to other rooms.
DatabaseTrouble = SQLAlchemyError
WAITING = (AnalysisState.READY, AnalysisState.RUNNING)


def is_unfit_value(error: Exception) -> bool:
    """Whether the database is well, and a value was handed to it that it cannot hold."""
    cause = error.orig if isinstance(error, StatementError) else None
    return isinstance(error, DataError) or isinstance(cause, OverflowError | ValueError)


@dataclass(frozen=True, kw_only=True)
class DoorFacts:
    """One process of the service."""

    name: str
    host: str
    pid: int
    version: str
    started_at: datetime
    seen_at: datetime
    alive: bool
    detail: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class RejectedFacts:
    """Somebody who was not let in."""

    id: int
    calling_ae: str
    called_ae: str
    address: str
    reason: str
    tls_subject: str | None
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, kw_only=True)
class PeerTraffic:
    """How deliveries to one peer stand."""

    by_state: dict[str, int]
    last_sent_at: datetime | None
    last_confirmed_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Overview:
    """The state of the service as far as the database knows it."""

    series: dict[str, int]
    analyses: dict[str, int]
    deliveries: dict[str, dict[str, int]]
    funnel: Funnel
    queue_depth: int
    oldest_waiting_at: datetime | None
    oldest_delivery_at: datetime | None
    last_received_at: datetime | None
    last_success_at: datetime | None
    #: Since when images have come of which none led to a finished analysis.
    unanswered_since: datetime | None
    last_failure_at: datetime | None
    last_failure_code: str | None
    doors: tuple[DoorFacts, ...]
    counters: dict[str, int]
    peers: dict[str, PeerTraffic]
    circuits: dict[str, CircuitFacts]
    #: Since when a line of the audit record waits to be sealed.
    oldest_unsealed_at: datetime | None
    #: Of when the oldest sealed line is that its collector has not.
    oldest_unreported_at: datetime | None


def overview(session: Session, now: datetime) -> Overview:
    """Everything a monitoring page needs, in some ten small queries."""
    analyses: dict[str, int] = _counts(session, Analysis.state)
    series: dict[str, int] = _counts(session, Series.state)
    traffic = peer_traffic(session)
    failure = session.execute(
        select(Analysis.finished_at, Analysis.reason_code)
        .where(Analysis.state == AnalysisState.FAILED)
        .order_by(Analysis.finished_at.desc().nulls_last())
        .limit(1)
    ).one_or_none()
    done = (AnalysisState.MEASURED, AnalysisState.NOT_ASSESSABLE, AnalysisState.NOT_ELIGIBLE)
    # State by state, each from the end of an index.
    latest = [
        session.scalar(select(func.max(Analysis.finished_at)).where(Analysis.state == state))
        for state in done
    ]
    last_success = max((at for at in latest if at is not None), default=None)
    return Overview(
        series={state: series.get(state, 0) for state in SeriesState},
        analyses={state: analyses.get(state, 0) for state in AnalysisState},
        deliveries={peer: facts.by_state for peer, facts in traffic.items()},
        funnel=funnel(session),
        queue_depth=sum(analyses.get(state, 0) for state in WAITING),
        oldest_waiting_at=session.scalar(
            select(func.min(Analysis.created_at)).where(Analysis.state == AnalysisState.READY)
        ),
        oldest_delivery_at=session.scalar(
            select(func.min(Delivery.created_at)).where(
                Delivery.state.in_((DeliveryState.PENDING, DeliveryState.SENDING))
            )
        ),
        last_received_at=session.scalar(select(func.max(Series.last_at))),
        last_success_at=last_success,
        unanswered_since=_unanswered(session, last_success),
        last_failure_at=failure[0] if failure else None,
        last_failure_code=failure[1] if failure else None,
        doors=list_doors(session, now),
        counters={row.name: row.value for row in session.scalars(select(Counter).order_by(Counter.name))},
        peers=traffic,
        circuits=all_circuits(session),
        oldest_unsealed_at=unsealed(session).oldest_at,
        oldest_unreported_at=waits_since(session),
    )


def _unanswered(session: Session, last_success: datetime | None) -> datetime | None:
    """When the first image came after the last finished analysis; of a series its last image counts."""
    came = select(func.min(Series.last_at))
    return session.scalar(came if last_success is None else came.where(Series.last_at > last_success))


def _counts(session: Session, column: Any) -> dict[str, int]:
    """Rows by the values of one column."""
    return {row[0]: row[1] for row in session.execute(select(column, func.count()).group_by(column))}


def peer_traffic(session: Session) -> dict[str, PeerTraffic]:
    """How deliveries to each peer stand."""
    rows = session.execute(
        select(
            Delivery.peer,
            Delivery.state,
            func.count(),
            func.max(Delivery.sent_at),
            func.max(Delivery.confirmed_at),
        ).group_by(Delivery.peer, Delivery.state)
    ).all()
    traffic: dict[str, PeerTraffic] = {}
    for peer in sorted({row[0] for row in rows}):
        mine = [row for row in rows if row[0] == peer]
        traffic[peer] = PeerTraffic(
            by_state={row[1]: row[2] for row in mine},
            last_sent_at=max((row[3] for row in mine if row[3] is not None), default=None),
            last_confirmed_at=max((row[4] for row in mine if row[4] is not None), default=None),
        )
    return traffic


def list_doors(session: Session, now: datetime) -> tuple[DoorFacts, ...]:
    """The processes of the service, and whether each said so lately."""
    rows = session.scalars(
        select(Door).where(Door.seen_at >= now - FORGOTTEN_AFTER).order_by(Door.name, Door.seen_at.desc())
    )
    return tuple(
        DoorFacts(
            name=row.name,
            host=row.host,
            pid=row.pid,
            version=row.version,
            started_at=row.started_at,
            seen_at=row.seen_at,
            alive=now - row.seen_at <= SILENT_AFTER,
            detail=row.detail,
        )
        for row in rows
    )


def list_rejected(session: Session, *, limit: int) -> list[RejectedFacts]:
    """Callers who were not let in, latest first."""
    rows = session.scalars(select(RejectedCaller).order_by(RejectedCaller.last_at.desc()).limit(limit))
    return [
        RejectedFacts(
            id=row.id,
            calling_ae=row.calling_ae,
            called_ae=row.called_ae,
            address=row.address,
            reason=row.reason,
            tls_subject=row.tls_subject,
            count=row.count,
            first_at=row.first_at,
            last_at=row.last_at,
        )
        for row in rows
    ]


def list_audit(
    session: Session,
    *,
    actor: str | None = None,
    action: str | None = None,
    object_type: str | None = None,
    object_id: str | None = None,
    from_at: datetime | None = None,
    to_at: datetime | None = None,
    before_id: int | None,
    limit: int,
) -> Page[AuditFacts]:
    """Lines of the audit record that fit, newest first, from below ``before_id``."""
    statement = select(AuditEntry)
    for column, wanted in (
        (AuditEntry.actor, actor),
        (AuditEntry.action, action),
        (AuditEntry.object_type, object_type),
        (AuditEntry.object_id, object_id),
    ):
        if wanted is not None:
            statement = statement.where(column == wanted)
    if from_at is not None:
        statement = statement.where(AuditEntry.at >= from_at)
    if to_at is not None:
        statement = statement.where(AuditEntry.at < to_at)
    if before_id is not None:
        statement = statement.where(AuditEntry.id < before_id)
    rows: Sequence[AuditEntry] = session.scalars(
        statement.order_by(AuditEntry.id.desc()).limit(limit + 1)
    ).all()
    items = tuple(
        AuditFacts(
            id=row.id,
            at=row.at,
            actor=row.actor,
            action=row.action,
            outcome=row.outcome,
            object_type=row.object_type,
            object_id=row.object_id,
            address=row.address,
            detail=row.detail,
        )
        for row in rows[:limit]
    )
    return Page(items=items, next_cursor=items[-1].id if len(rows) > limit else None)


def audit_actions(session: Session) -> list[str]:
    """Every action that stands in the audit record."""
    return list(session.scalars(select(AuditEntry.action).distinct().order_by(AuditEntry.action)))


def ping(session: Session) -> None:
    """Raise unless the database answers and holds our tables."""
    session.execute(text("SELECT 1 FROM analyses LIMIT 1"))
