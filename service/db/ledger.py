"""Statements about what came in: studies, series, instances, callers, counters, doors, events."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, cast

from sqlalchemy import (
    Insert,
    ScalarSelect,
    Table,
    and_,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service import tracing
from service.core.status import CompletionReason, SeriesState, StepState
from service.db.tables import (
    Analysis,
    Base,
    Counter,
    Door,
    Event,
    Instance,
    PerformedSeries,
    PerformedStep,
    RejectedCaller,
    Series,
    Study,
)

#: Rejected callers that are remembered; somebody who tries titles at random must not fill the disk.
REMEMBERED_CALLERS = 200
#: A door that was silent this long is forgotten; chosen by us, so that yesterday's crash is still seen.
DOOR_MEMORY = timedelta(days=1)
REOPENED = "series_reopened"
# The receiver makes these for each image: made once and on tables, they take a sixth of the time.
_INSTANCES = cast("Table", Instance.__table__)
_SERIES = cast("Table", Series.__table__)
_COLUMNS = ("sop_instance_uid", "sop_class_uid", "transfer_syntax_uid", "path", "sha256", "size")
_NEW_ROW = select(
    _SERIES.c.id,
    *(bindparam(name, type_=_INSTANCES.c[name].type) for name in _COLUMNS),
    bindparam("now", type_=_INSTANCES.c.received_at.type),
).where(_SERIES.c.series_uid == bindparam("series_uid"))
_INSERTED = {
    name: dialect.insert(_INSTANCES)
    .from_select(["series_id", *_COLUMNS, "received_at"], _NEW_ROW)
    .on_conflict_do_nothing()
    .returning(_INSTANCES.c.id)
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}
#: What a person is told apart by. No issuer agrees with every issuer.
IDENTITY = ("patient_id", "issuer_of_patient_id", "birth_date", "sex")
_SAME_PERSON = and_(
    _SERIES.c.patient_id == bindparam("its_patient_id"),
    _SERIES.c.birth_date == bindparam("its_birth_date"),
    _SERIES.c.sex == bindparam("its_sex"),
    or_(
        _SERIES.c.issuer_of_patient_id == bindparam("its_issuer_of_patient_id"),
        _SERIES.c.issuer_of_patient_id == "",
        bindparam("its_issuer_of_patient_id", type_=_SERIES.c.issuer_of_patient_id.type) == "",
    ),
)
_CAME: dict[str, Any] = {
    "last_at": bindparam("now"),
    "pixels_purged_at": None,
    "mixed_identity": case((_SAME_PERSON, _SERIES.c.mixed_identity), else_=true()),
}
_TOUCHED = (
    update(_SERIES)
    .where(_SERIES.c.series_uid == bindparam("uid"), _SERIES.c.state == SeriesState.RECEIVING)
    .values(_CAME)
)


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
    issuer_of_patient_id: str = ""

    @property
    def person(self) -> tuple[str, ...]:
        """What the person is told apart by."""
        return tuple(getattr(self, name) for name in IDENTITY)


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
    #: The same bytes came again after they had been taken away, and are kept anew.
    RETURNED = "returned"


@dataclass(frozen=True, kw_only=True)
class OpenSeries:
    """A series whose images may still arrive, as it stood when it was looked at."""

    id: int
    study_id: int
    last_at: datetime
    #: When images of it first arrived, or arrived again after it had been closed.
    since: datetime
    #: Relative path, SOP instance UID and SHA-256 of each image; no path where retention took the image away.
    images: tuple[tuple[str, str, str], ...]
    #: How many images its sender says there are; None: nobody said.
    expected: int | None = None
    #: The sender was asked after the last image came, and no image is missing.
    counted: bool = False
    #: Exactly as many images are here as the scanner says it made.
    performed: bool = False
    #: AE title of the first sender.
    calling_ae: str = ""

    @property
    def partly_gone(self) -> bool:
        """Whether images came for a series of which others were taken away after their time."""
        return any(not path for path, _, _ in self.images)


@dataclass(frozen=True, kw_only=True)
class Countable:
    """A series of which its sender may say how many images it has."""

    id: int
    study_uid: str
    series_uid: str
    calling_ae: str
    last_at: datetime


def insert_unless_there(session: Session, table: type[Base], values: dict[str, Any]) -> int | None:
    """Insert a row and return its id, or return None if a unique key of it exists already.

    Waits for another transaction that is inserting the same, so the row can be read afterwards.
    """
    statement = _insert(session, table).values(**values).on_conflict_do_nothing()
    return session.execute(statement.returning(table.__table__.c.id)).scalar_one_or_none()


def insert_or_update(
    session: Session,
    table: type[Base],
    values: dict[str, Any],
    *,
    keys: Sequence[str],
    changes: dict[str, Any],
) -> None:
    """Insert a row, or make these changes to the one that has the same keys."""
    statement = _insert(session, table).values(**values)
    session.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=changes))


def _insert(session: Session, table: type[Base]) -> Any:
    """INSERT in the dialect at hand, for its ON CONFLICT."""
    name = session.get_bind().dialect.name
    statement: Insert = (sqlite if name == "sqlite" else postgresql).insert(table)
    return statement


def record_instance(session: Session, facts: InstanceFacts, *, now: datetime) -> Recorded:
    """Write down one image; see ``record_instances``."""
    return record_instances(session, [facts], now=now)[0]


def record_instances(session: Session, batch: Sequence[InstanceFacts], *, now: datetime) -> list[Recorded]:
    """Write down images with their series and studies; the first bytes under an identifier stay.

    An image that comes after its series was closed opens the series again. Rows are written in the order
    of their identifiers, so that receivers side by side wait for each other, but not in a ring.
    """
    answers: dict[int, Recorded] = {}
    for index in sorted(range(len(batch)), key=lambda index: batch[index].sop_instance_uid):
        answers[index] = _record(session, batch[index], now=now)
    kept = (Recorded.NEW, Recorded.RETURNED)
    came = {
        (batch[index].series_uid, batch[index].study.person) for index in answers if answers[index] in kept
    }
    for series_uid, person in sorted(came):
        _touch(session, series_uid, person, now=now)
    return [answers[index] for index in range(len(batch))]


def _record(session: Session, facts: InstanceFacts, *, now: datetime) -> Recorded:
    """Write down one image, as a rule by one statement: its series is there, and it is new."""
    if _insert_image(session, facts, now=now):
        return Recorded.NEW
    known = _known(session, facts)
    if known is None:
        _add_series(session, facts, now=now)
        if _insert_image(session, facts, now=now):
            return Recorded.NEW
        # Another receiver brought the same image while this one was looking.
        known = _known(session, facts) or Recorded.DUPLICATE
    if known is Recorded.RETURNED:
        same = Instance.sop_instance_uid == facts.sop_instance_uid
        session.execute(update(Instance).where(same).values(path=facts.path, received_at=now))
    return known


def _insert_image(session: Session, facts: InstanceFacts, *, now: datetime) -> bool:
    """Insert an image's row; False where its identifier is taken, or its series is not there."""
    values = {name: getattr(facts, name) for name in (*_COLUMNS, "series_uid")}
    statement = _INSERTED[session.get_bind().dialect.name]
    return session.connection().execute(statement, {**values, "now": now}).scalar() is not None


def _known(session: Session, facts: InstanceFacts) -> Recorded | None:
    """Whether an image of this identifier is here, and whether it has the same bytes."""
    here = session.execute(
        select(Instance.sha256, Instance.path, Series.pixels_purged_at)
        .join(Series)
        .where(Instance.sop_instance_uid == facts.sop_instance_uid)
    ).one_or_none()
    if here is None:
        return None
    # What retention has marked is as good as gone, also while its file is still there.
    if here.sha256 == facts.sha256 and (not here.path or here.pixels_purged_at is not None):
        return Recorded.RETURNED
    return Recorded.DUPLICATE if here.sha256 == facts.sha256 else Recorded.CONFLICT


def _add_series(session: Session, facts: InstanceFacts, *, now: datetime) -> None:
    """Insert the series and the study of an image unless they are there."""
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
            "trace": tracing.begun(),
            **{name: getattr(facts.study, name) for name in IDENTITY},
        },
    )


def _touch(session: Session, series_uid: str, person: tuple[str, ...], *, now: datetime) -> None:
    """Say on the series that images of this person came; a closed one is open again."""
    theirs = {f"its_{name}": value for name, value in zip(IDENTITY, person, strict=True)}
    values = {"uid": series_uid, "now": now, **theirs}
    if session.connection().execute(_TOUCHED, values).rowcount:
        return
    closed = update(_SERIES).where(_SERIES.c.series_uid == bindparam("uid"))
    again = {"state": SeriesState.RECEIVING, "closed_at": None, "completion_reason": None}
    reopened = session.execute(closed.values({**_CAME, **again}).returning(_SERIES.c.id), values).scalar_one()
    add_event(session, REOPENED, at=now, series_id=reopened)


def open_series(
    session: Session, *, now: datetime, quiet: timedelta, hard_cap: timedelta
) -> list[OpenSeries]:
    """Series that may be complete: all images came that were made or that there are, or the hard cap passed.

    Where nobody says how many there are, those of which nothing came for the quiet time.
    """
    reopened = (
        select(func.max(Event.at))
        .where(Event.series_id == Series.id, Event.name == REOPENED)
        .correlate(Series)
        .scalar_subquery()
    )
    rows = session.execute(
        select(
            Series.id,
            Series.study_id,
            Series.last_at,
            Series.first_at,
            Series.expected,
            Series.counted_at,
            Series.calling_ae,
            reopened.label("again"),
            _performed().label("performed"),
        )
        .where(Series.state == SeriesState.RECEIVING)
        .order_by(Series.id)
    ).all()
    found = []
    for row in rows:
        # The earlier of both, in case the clock was set back between them.
        since = min(row.again or row.first_at, row.last_at)
        fresh = row.expected is not None and row.counted_at is not None and row.counted_at >= row.last_at
        capped = since <= now - hard_cap
        settled = row.last_at <= now - quiet or capped or fresh
        if settled or row.performed is not None:
            images = tuple(
                (image.path, image.sop_instance_uid, image.sha256)
                for image in session.execute(
                    select(Instance.path, Instance.sop_instance_uid, Instance.sha256)
                    .where(Instance.series_id == row.id)
                    .order_by(Instance.id)
                )
            )
            missing = len(images) < max(row.expected or 0, row.performed or 0)
            performed = len(images) == row.performed and not missing
            if (missing and not capped) or not (settled or performed):
                continue
            found.append(
                OpenSeries(
                    id=row.id,
                    study_id=row.study_id,
                    last_at=row.last_at,
                    since=since,
                    images=images,
                    expected=row.expected if row.performed is None else row.performed,
                    counted=fresh and not missing,
                    performed=performed,
                    calling_ae=row.calling_ae,
                )
            )
    return found


def _performed() -> ScalarSelect[int]:
    """How many images of a series a completed step made, where one says so; of several the larger number."""
    return (
        select(func.max(PerformedSeries.images))
        .join(PerformedStep, PerformedStep.id == PerformedSeries.step_id)
        .where(PerformedSeries.series_uid == Series.series_uid, PerformedStep.state == StepState.COMPLETED)
        .correlate(Series)
        .scalar_subquery()
    )


def countable(session: Session, *, senders: Sequence[str], until: datetime) -> list[Countable]:
    """Series of these senders of which nothing came since ``until`` and the count is not known.

    Either nobody was asked since the last image, or images are missing.
    """
    here = (
        select(func.count())
        .select_from(Instance)
        .where(Instance.series_id == Series.id)
        .correlate(Series)
        .scalar_subquery()
    )
    rows = session.execute(
        select(Series.id, Study.study_uid, Series.series_uid, Series.calling_ae, Series.last_at)
        .join(Study, Study.id == Series.study_id)
        .where(
            Series.state == SeriesState.RECEIVING,
            Series.calling_ae.in_(senders),
            Series.last_at <= until,
            or_(
                Series.counted_at.is_(None),
                Series.counted_at < Series.last_at,
                Series.expected > here,
            ),
        )
        .order_by(Series.last_at, Series.id)
    )
    return [Countable(**row) for row in rows.mappings()]


def note_count(session: Session, series_id: int, expected: int, *, at: datetime) -> None:
    """Write down how many images a series has where it came from, as of a time."""
    before = session.execute(
        select(Series.expected)
        .where(Series.id == series_id, Series.state == SeriesState.RECEIVING)
        .with_for_update()
    ).one_or_none()
    if before is None:
        return
    session.execute(update(Series).where(Series.id == series_id).values(expected=expected, counted_at=at))
    if before.expected != expected:
        add_event(session, "series_counted", at=at, series_id=series_id, detail={"expected": expected})


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
        .where(Instance.series_id == Series.id, Instance.path != "")
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


def lock_study_of(session: Session, analysis_id: int) -> None:
    """Let nobody else order, withdraw or purge a version of this analysis until the transaction ends.

    It comes before the first look at the rows, so that what is seen stays true.
    """
    study_id = session.scalar(select(Analysis.study_id).where(Analysis.id == analysis_id))
    if study_id is not None:
        lock_study(session, study_id)


def series_paths(session: Session, series_ids: Sequence[int]) -> list[tuple[str, str, str]]:
    """Relative path, SOP instance UID and SHA-256 of every image of these series that is still kept."""
    rows = session.execute(
        select(Instance.path, Instance.sop_instance_uid, Instance.sha256)
        .where(Instance.series_id.in_(series_ids), Instance.path != "")
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
    session: Session,
    *,
    calling_ae: str,
    called_ae: str,
    address: str,
    reason: str,
    now: datetime,
    tls_subject: str | None = None,
) -> None:
    """Remember somebody who was not let in, so that an administrator can see why."""
    statement = _insert(session, RejectedCaller).values(
        calling_ae=calling_ae,
        called_ae=called_ae,
        address=address,
        reason=reason,
        tls_subject=tls_subject,
        count=1,
        first_at=now,
        last_at=now,
    )
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["calling_ae", "called_ae", "address", "reason"],
            set_={"count": RejectedCaller.count + 1, "last_at": now, "tls_subject": tls_subject},
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
