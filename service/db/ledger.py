"""Statements about what came in: studies, series, instances, callers, counters, doors, events."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Insert, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.core.status import CompletionReason, SeriesState
from service.db.tables import Base, Counter, Door, Event, Instance, RejectedCaller, Series, Study

#: Rejected callers that are remembered; somebody who tries titles at random must not fill the disk.
REMEMBERED_CALLERS = 200
#: A door that was silent this long is forgotten; chosen by us, so that yesterday's crash is still seen.
DOOR_MEMORY = timedelta(days=1)
REOPENED = "series_reopened"


@dataclass(frozen=True, kw_only=True)
class StudyFacts:
    """Who a study is of, as the first image said."""

    study_uid: str
    patient_id: str = ""
    patient_name: str = ""
    birth_date: str = ""
    sex: str = ""
    accession_number: str = ""
    study_date: str = ""
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class InstanceFacts:
    """One image that was kept, and where."""

    study: StudyFacts
    series_uid: str
    modality: str
    series_description: str
    calling_ae: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    #: Relative to the spool folder.
    path: str
    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Sibling:
    """Another series of a study."""

    id: int
    #: None while images may still arrive.
    closed_at: datetime | None
    #: Relative path of the image that came first.
    first_path: str


class Recorded(StrEnum):
    """What became of one received image."""

    NEW = "new"
    #: The same bytes were here before.
    DUPLICATE = "duplicate"
    #: Other bytes under the same identifier were here before, and stay.
    CONFLICT = "conflict"


@dataclass(frozen=True, kw_only=True)
class OpenSeries:
    """A series whose images may still arrive, as it stood when it was looked at."""

    id: int
    study_id: int
    last_at: datetime
    #: When images of it first arrived, or arrived again after it had been closed.
    since: datetime
    #: Relative path, SOP instance UID and SHA-256 of each image.
    images: tuple[tuple[str, str, str], ...]


def insert_unless_there(session: Session, table: type[Base], values: dict[str, Any]) -> int | None:
    """Insert a row and return its id, or return None if a unique key of it exists already.

    Waits for another transaction that is inserting the same, so the row can be read afterwards.
    """
    statement = _insert(session, table).values(**values).on_conflict_do_nothing()
    return session.execute(statement.returning(table.__table__.c.id)).scalar_one_or_none()


def _insert(session: Session, table: type[Base]) -> Any:
    """INSERT in the dialect at hand, for its ON CONFLICT."""
    name = session.get_bind().dialect.name
    statement: Insert = (sqlite if name == "sqlite" else postgresql).insert(table)
    return statement


def record_instance(session: Session, facts: InstanceFacts, *, now: datetime) -> Recorded:
    """Write down one image with its series and study; the first bytes under an identifier stay.

    An image that comes after its series was closed opens the series again.
    """
    known = _known(session, facts)
    if known is not None:
        return known
    series, reopened = _series(session, facts, now=now)
    new = insert_unless_there(
        session,
        Instance,
        {
            "series_id": series.id,
            "sop_instance_uid": facts.sop_instance_uid,
            "sop_class_uid": facts.sop_class_uid,
            "transfer_syntax_uid": facts.transfer_syntax_uid,
            "path": facts.path,
            "sha256": facts.sha256,
            "size": facts.size,
            "received_at": now,
        },
    )
    if new is None:
        # Another association brought the same image while this one was looking.
        return _known(session, facts) or Recorded.DUPLICATE
    series.last_at = now
    if reopened:
        series.state = SeriesState.RECEIVING
        series.closed_at = None
        series.completion_reason = None
        add_event(session, REOPENED, at=now, series_id=series.id)
    session.flush()
    return Recorded.NEW


def _known(session: Session, facts: InstanceFacts) -> Recorded | None:
    """Whether an image of this identifier is here, and whether it has the same bytes."""
    here = session.execute(
        select(Instance.sha256, Instance.series_id).where(Instance.sop_instance_uid == facts.sop_instance_uid)
    ).one_or_none()
    if here is None:
        return None
    return Recorded.DUPLICATE if here.sha256 == facts.sha256 else Recorded.CONFLICT


def _series(session: Session, facts: InstanceFacts, *, now: datetime) -> tuple[Series, bool]:
    """The locked row of the image's series (made if new), and whether it had been closed."""
    insert_unless_there(session, Study, {**vars(facts.study), "created_at": now})
    study_id = session.execute(select(Study.id).where(Study.study_uid == facts.study.study_uid)).scalar_one()
    insert_unless_there(
        session,
        Series,
        {
            "study_id": study_id,
            "series_uid": facts.series_uid,
            "state": SeriesState.RECEIVING,
            "modality": facts.modality,
            "description": facts.series_description,
            "calling_ae": facts.calling_ae,
            "first_at": now,
            "last_at": now,
        },
    )
    series = session.scalars(
        select(Series).where(Series.series_uid == facts.series_uid).with_for_update()
    ).one()
    return series, series.state == SeriesState.CLOSED


def open_series(
    session: Session, *, now: datetime, quiet: timedelta, hard_cap: timedelta
) -> list[OpenSeries]:
    """Series that may be complete: nothing came for the quiet time, or the hard cap passed."""
    reopened = (
        select(func.max(Event.at))
        .where(Event.series_id == Series.id, Event.name == REOPENED)
        .correlate(Series)
        .scalar_subquery()
    )
    rows = session.execute(
        select(Series.id, Series.study_id, Series.last_at, Series.first_at, reopened.label("again"))
        .where(Series.state == SeriesState.RECEIVING)
        .order_by(Series.id)
    ).all()
    found = []
    for row in rows:
        since = row.again or row.first_at
        if row.last_at <= now - quiet or since <= now - hard_cap:
            images = tuple(
                (image.path, image.sop_instance_uid, image.sha256)
                for image in session.execute(
                    select(Instance.path, Instance.sop_instance_uid, Instance.sha256)
                    .where(Instance.series_id == row.id)
                    .order_by(Instance.id)
                )
            )
            found.append(
                OpenSeries(id=row.id, study_id=row.study_id, last_at=row.last_at, since=since, images=images)
            )
    return found


def close_series(session: Session, series: OpenSeries, *, reason: CompletionReason, now: datetime) -> bool:
    """Close the series unless somebody else did or an image arrived since it was looked at."""
    closed = session.execute(
        update(Series)
        .where(
            Series.id == series.id,
            Series.state == SeriesState.RECEIVING,
            Series.last_at == series.last_at,
        )
        .values(state=SeriesState.CLOSED, completion_reason=reason, closed_at=now)
        .returning(Series.id)
    ).scalar_one_or_none()
    if closed is None:
        return False
    count = session.execute(
        select(func.count()).select_from(Instance).where(Instance.series_id == series.id)
    ).scalar_one()
    if count != len(series.images):
        session.rollback()
        return False
    return True


def siblings(session: Session, study_id: int, *, without: Sequence[int] = ()) -> list[Sibling]:
    """The other series of a study, in the order in which they came."""
    first = (
        select(Instance.path)
        .where(Instance.series_id == Series.id)
        .order_by(Instance.id)
        .limit(1)
        .correlate(Series)
        .scalar_subquery()
    )
    rows = session.execute(
        select(Series.id, Series.closed_at, first.label("path"))
        .where(Series.study_id == study_id, Series.id.not_in(without))
        .order_by(Series.id)
    )
    return [
        Sibling(id=row.id, closed_at=row.closed_at, first_path=row.path)
        for row in rows
        if row.path is not None
    ]


def lock_study(session: Session, study_id: int) -> None:
    """Let nobody else close series of this study until the transaction ends.

    Rows that refer to the study may still be written.
    """
    session.execute(select(Study.id).where(Study.id == study_id).with_for_update(key_share=True))


def series_paths(session: Session, series_ids: Sequence[int]) -> list[tuple[str, str, str]]:
    """Relative path, SOP instance UID and SHA-256 of every image of these series."""
    rows = session.execute(
        select(Instance.path, Instance.sop_instance_uid, Instance.sha256)
        .where(Instance.series_id.in_(series_ids))
        .order_by(Instance.id)
    )
    return [(row.path, row.sop_instance_uid, row.sha256) for row in rows]


def add_event(
    session: Session,
    name: str,
    *,
    at: datetime,
    series_id: int | None = None,
    analysis_id: int | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Append one line to the timeline of a series or an analysis."""
    session.add(Event(at=at, name=name, series_id=series_id, analysis_id=analysis_id, detail=detail))


def series_event(
    session: Session, name: str, *, series_uid: str, at: datetime, detail: dict[str, Any] | None = None
) -> None:
    """Append one line to the timeline of the series with this UID, if it is known."""
    series_id = session.execute(select(Series.id).where(Series.series_uid == series_uid)).scalar()
    add_event(session, name, at=at, series_id=series_id, detail=detail)


def count(session: Session, name: str, *, by: int = 1) -> None:
    """Add to a counter, from any number of processes at once."""
    statement = _insert(session, Counter).values(name=name, value=by)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[Counter.name], set_={"value": Counter.value + statement.excluded.value}
        )
    )


def counters(session: Session) -> dict[str, int]:
    """All counters by name."""
    return {row.name: row.value for row in session.scalars(select(Counter))}


def reject_caller(
    session: Session, *, calling_ae: str, called_ae: str, address: str, reason: str, now: datetime
) -> None:
    """Remember somebody who was not let in, so that an administrator can see why."""
    statement = _insert(session, RejectedCaller).values(
        calling_ae=calling_ae,
        called_ae=called_ae,
        address=address,
        reason=reason,
        count=1,
        first_at=now,
        last_at=now,
    )
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["calling_ae", "called_ae", "address", "reason"],
            set_={"count": RejectedCaller.count + 1, "last_at": now},
        )
    )
    newest = (
        select(RejectedCaller.id)
        .order_by(RejectedCaller.last_at.desc(), RejectedCaller.id.desc())
        .limit(REMEMBERED_CALLERS)
    )
    session.execute(delete(RejectedCaller).where(RejectedCaller.id.not_in(newest)))


def see_door(
    session: Session,
    *,
    name: str,
    host: str,
    pid: int,
    version: str,
    started_at: datetime,
    now: datetime,
    detail: dict[str, Any] | None,
) -> None:
    """Write down that a process of the service is alive, and forget those long gone."""
    values = {"version": version, "started_at": started_at, "seen_at": now, "detail": detail}
    statement = _insert(session, Door).values(name=name, host=host, pid=pid, **values)
    session.execute(statement.on_conflict_do_update(index_elements=["name", "host", "pid"], set_=values))
    session.execute(delete(Door).where(Door.seen_at < now - DOOR_MEMORY))


def leave_door(session: Session, *, name: str, host: str, pid: int) -> None:
    """Take out a process that ended as asked."""
    session.execute(delete(Door).where(Door.name == name, Door.host == host, Door.pid == pid))
