"""The funnel: where each received thing is, counted and listed (``service.core.funnel``)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from service.core.funnel import Funnel, Group, Place, build
from service.db import selftests
from service.db.shapes import Page
from service.db.tables import Analysis, Series, Study
from service.db.whereabouts import OF_SERIES, STATES_OF, Wanted, analyses, series, things

__all__ = ["StudyFacts", "ThingFacts", "Wanted", "funnel", "list_studies"]


@dataclass(frozen=True, kw_only=True)
class ThingFacts:
    """One thing of a study: where it is, and why."""

    place: str
    reason_code: str | None
    reason_text: str | None
    #: None of a series that no analysis stands for.
    analysis_id: int | None
    contrast: str | None
    region: str | None


@dataclass(frozen=True, kw_only=True)
class StudyFacts:
    """One study of the list, without name or id of the patient."""

    id: int
    study_uid: str
    received_at: datetime | None
    senders: tuple[str, ...]
    things: tuple[ThingFacts, ...]


def funnel(session: Session, *, since: datetime | None = None) -> Funnel:
    """How far what was received has come; with ``since``, of what began to arrive then or later."""
    all_things = things(Wanted(since=since)).subquery()
    rows = session.execute(
        select(
            all_things.c.place, all_things.c.reason, func.sum(all_things.c.flagged), func.count()
        ).group_by(all_things.c.place, all_things.c.reason)
    )
    return build(
        Group(place=Place(place), reason=reason, flagged=int(flagged), count=count)
        for place, reason, flagged, count in rows
    )


def list_studies(session: Session, wanted: Wanted, *, before_id: int | None, limit: int) -> Page[StudyFacts]:
    """Studies that hold such a thing, newest first, from below ``before_id``; each with all its things."""
    ids = _holding(wanted)
    if before_id is not None:
        ids = ids.where(ids.selected_columns.study_id < before_id)
    found = session.scalars(ids.order_by(ids.selected_columns.study_id.desc()).limit(limit + 1)).all()
    items = tuple(_studies(session, found[:limit], Wanted(since=wanted.since)))
    return Page(items=items, next_cursor=found[limit - 1] if len(found) > limit else None)


def _holding(wanted: Wanted) -> Select[int]:
    """The ids of studies that hold such a thing; every received series is of some thing."""
    if wanted.place is None:
        every = select(Series.study_id.label("study_id")).distinct()
        every = every.where(selftests.is_none(Series.study_id))
        return every if wanted.since is None else every.where(Series.first_at >= wanted.since)
    part = series(wanted) if wanted.place in OF_SERIES else analyses(wanted)
    if wanted.place in STATES_OF:
        part = part.where(Analysis.state.in_(STATES_OF[wanted.place]))
    holders = part.subquery()
    ids = select(holders.c.study_id).distinct().where(holders.c.place == wanted.place)
    return ids if wanted.reason is None else ids.where(holders.c.reason == wanted.reason)


def _studies(session: Session, ids: Sequence[int], wanted: Wanted) -> list[StudyFacts]:
    """These studies with their things, in this order."""
    statement = things(wanted, study_ids=ids).subquery()
    found: dict[int, list[ThingFacts]] = {each: [] for each in ids}
    for row in session.execute(
        select(statement, Analysis.reason_text, Analysis.contrast, Analysis.region)
        .outerjoin(Analysis, Analysis.id == statement.c.analysis_id)
        .order_by(statement.c.analysis_id)
    ):
        found[row.study_id].append(
            ThingFacts(
                place=row.place,
                reason_code=row.reason,
                # What stands beside the reason of a withdrawal is why the result was as it was.
                reason_text=row.reason_text if row.place != Place.WITHDRAWN else None,
                analysis_id=row.analysis_id,
                contrast=row.contrast,
                region=row.region,
            )
        )
    arrived: dict[int, list[tuple[datetime, str]]] = {each: [] for each in ids}
    for study_id, first_at, sender in session.execute(
        select(Series.study_id, Series.first_at, Series.calling_ae).where(Series.study_id.in_(ids))
    ):
        arrived[study_id].append((first_at, sender))
    rows = session.execute(select(Study.id, Study.study_uid).where(Study.id.in_(ids)))
    uids = {row.id: row.study_uid for row in rows}
    return [
        StudyFacts(
            id=each,
            study_uid=uids[each],
            received_at=min((at for at, _ in arrived[each]), default=None),
            senders=tuple(sorted({sender for _, sender in arrived[each] if sender})),
            things=tuple(found[each]),
        )
        for each in ids
    ]
