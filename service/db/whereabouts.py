"""Where each received thing is, as one statement: the rows that the funnel counts and lists.

A thing is an analysis that stands for its input set, or a series for which no such analysis stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    and_,
    case,
    func,
    literal,
    null,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import aliased

from service.core.funnel import Place
from service.core.series import PARTNERS
from service.core.status import AnalysisState, DeliveryState, SeriesState
from service.db import selftests
from service.db.deliveries import OTHER_VARIANT
from service.db.tables import Analysis, AnalysisInput, Delivery, Output, Series

FINISHED = (AnalysisState.MEASURED, AnalysisState.NOT_ASSESSABLE, AnalysisState.NOT_ELIGIBLE)
UNFINISHED = (AnalysisState.READY, AnalysisState.RUNNING, AnalysisState.FAILED)
#: How far one object is for one peer, from the worst; a result is as far as its worst object. What was
#: given up because the peer gets it in another form counts for nothing.
RANKS = (Place.GIVEN_UP, Place.HELD, Place.SENDING, Place.CONFIRMING, Place.STORED, Place.CONFIRMED)
#: Places that deliveries tell apart.
DELIVERED = frozenset({*RANKS, Place.NOT_SENT})
#: Places of series that no analysis stands for.
OF_SERIES = frozenset({Place.ARRIVING, Place.EMPTY})
#: The states of analyses in a place, for an index to find them by; others are measured.
STATES_OF = {
    Place.DECIDING: (AnalysisState.READY,),
    Place.WAITING: (AnalysisState.READY,),
    Place.RUNNING: (AnalysisState.RUNNING,),
    Place.FAILED: (AnalysisState.FAILED,),
    Place.NOT_ELIGIBLE: (AnalysisState.NOT_ELIGIBLE,),
    Place.NOT_ASSESSABLE: (AnalysisState.NOT_ASSESSABLE,),
    **dict.fromkeys(
        (Place.UNREADABLE, Place.WITHDRAWN), (AnalysisState.MEASURED, AnalysisState.NOT_ASSESSABLE)
    ),
    **dict.fromkeys(DELIVERED, (AnalysisState.MEASURED,)),
}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which things are meant; everything set must hold."""

    #: Of a thing at least one series began to arrive at this time or later.
    since: datetime | None = None
    place: Place | None = None
    #: A reason code, for a place that has reasons.
    reason: str | None = None


def things(wanted: Wanted, *, study_ids: Sequence[int] | None = None) -> Select[Any]:
    """Every thing: study, analysis, place, reason, and whether a flag is raised."""
    return select(union_all(analyses(wanted, study_ids), series(wanted, study_ids)).subquery())


def analyses(wanted: Wanted, study_ids: Sequence[int] | None = None) -> Select[Any]:
    """Analyses that stand for their input set."""
    only = _only(wanted, study_ids)
    flagged = and_(Analysis.flagged.is_(True), Analysis.withdrawn_at.is_(None))

    def told(worst: ColumnElement[int | None]) -> Select[Any]:
        return select(
            Analysis.study_id.label("study_id"),
            Analysis.id.label("analysis_id"),
            _place(worst).label("place"),
            _reason().label("reason"),
            case((flagged, 1), else_=0).label("flagged"),
        )

    if wanted.place is None or wanted.place in DELIVERED:
        own, shared = _own(only), _shared(only)
        # Only a later version can share its objects with another.
        statement = (
            told(case((Analysis.version == 1, own.c.rank), else_=shared.c.rank))
            .outerjoin(own, own.c.analysis_id == Analysis.id)
            .outerjoin(shared, shared.c.analysis_id == Analysis.id)
        )
    else:
        statement = told(literal(-1))
    statement = statement.where(
        Analysis.state != AnalysisState.SUPERSEDED,
        Analysis.id.not_in(_outdone()),
        selftests.is_none(Analysis.study_id),
    )
    return statement if only is None else statement.where(Analysis.id.in_(only))


def _only(wanted: Wanted, study_ids: Sequence[int] | None) -> Select[int] | None:
    """The ids of the analyses of these studies and of this time; None: of all."""
    if wanted.since is None and study_ids is None:
        return None
    ids = select(AnalysisInput.analysis_id).join(Series, Series.id == AnalysisInput.series_id)
    if wanted.since is not None:
        ids = ids.where(Series.first_at >= wanted.since)
    return ids if study_ids is None else ids.where(Series.study_id.in_(study_ids))


def series(wanted: Wanted, study_ids: Sequence[int] | None = None) -> Select[Any]:
    """Series that no analysis stands for."""
    stands = (
        select(AnalysisInput.series_id)
        .join(Analysis, Analysis.id == AnalysisInput.analysis_id)
        .where(Analysis.state != AnalysisState.SUPERSEDED, Analysis.id.not_in(_outdone()))
    )
    # Of few series each is looked up; of all, what stands is gathered once.
    arriving = wanted.place is Place.ARRIVING
    few = wanted.since is not None or arriving or study_ids is not None
    superseded = select(Analysis.id).where(Analysis.state == AnalysisState.SUPERSEDED)
    # Without looking up each analysis: those that do not stand are gathered first.
    all_that_stand = select(AnalysisInput.series_id).where(
        AnalysisInput.analysis_id.not_in(superseded), AnalysisInput.analysis_id.not_in(_outdone())
    )
    none_stands = (
        ~stands.where(AnalysisInput.series_id == Series.id).correlate(Series).exists()
        if few
        else Series.id.not_in(all_that_stand)
    )
    place = case((Series.state == SeriesState.RECEIVING, Place.ARRIVING), else_=Place.EMPTY)
    statement = select(
        Series.study_id.label("study_id"),
        null().label("analysis_id"),
        place.label("place"),
        null().label("reason"),
        literal(0).label("flagged"),
    ).where(none_stands, selftests.is_none(Series.study_id))
    if arriving:
        statement = statement.where(Series.state == SeriesState.RECEIVING)
    if study_ids is not None:
        statement = statement.where(Series.study_id.in_(study_ids))
    if wanted.since is not None:
        statement = statement.where(Series.first_at >= wanted.since)
    return statement


def _outdone() -> Select[int]:
    """Analyses that are not superseded, and yet do not stand for their input set: another one does.

    A result stands until its successor is published, whatever becomes of that; where none stands, the
    newest version counts. Few rows are looked at: those without a result that stands.
    """
    mine, theirs, other = aliased(AnalysisInput), aliased(AnalysisInput), aliased(Analysis)
    one = aliased(Analysis)
    without_result = or_(
        one.state.in_(UNFINISHED), and_(one.state.in_(FINISHED), one.withdrawn_at.is_not(None))
    )
    other_stands = and_(other.state.in_(FINISHED), other.withdrawn_at.is_(None))
    newer = tuple_(other.version, other.id) > tuple_(one.version, one.id)
    return (
        select(one.id)
        .join(mine, mine.analysis_id == one.id)
        .join(theirs, and_(theirs.series_id == mine.series_id, theirs.stack == mine.stack))
        .join(other, other.id == theirs.analysis_id)
        .where(
            without_result,
            mine.role.not_in(PARTNERS),
            theirs.role.not_in(PARTNERS),
            other.id != one.id,
            other.state != AnalysisState.SUPERSEDED,
            or_(other_stands, newer),
        )
    )


def _place(worst: ColumnElement[int | None]) -> ColumnElement[str]:
    """Where an analysis is; ``worst`` is how far the worst of its objects is, as its place in ``RANKS``."""
    state = Analysis.state
    told = state.in_((AnalysisState.MEASURED, AnalysisState.NOT_ASSESSABLE))
    return case(
        (and_(told, Analysis.contrast.is_(None)), Place.UNREADABLE),
        (and_(told, Analysis.withdrawn_at.is_not(None)), Place.WITHDRAWN),
        (state == AnalysisState.NOT_ASSESSABLE, Place.NOT_ASSESSABLE),
        (state == AnalysisState.NOT_ELIGIBLE, Place.NOT_ELIGIBLE),
        (state == AnalysisState.FAILED, Place.FAILED),
        (and_(state == AnalysisState.READY, Analysis.undecided.is_(True)), Place.DECIDING),
        (state == AnalysisState.READY, Place.WAITING),
        (state == AnalysisState.RUNNING, Place.RUNNING),
        else_=case(dict(enumerate(RANKS)), value=worst, else_=Place.NOT_SENT),
    )


def _reason() -> ColumnElement[str | None]:
    """The code of why it is there, for places that have reasons."""
    told = Analysis.state.in_((AnalysisState.MEASURED, AnalysisState.NOT_ASSESSABLE))
    return case(
        (and_(told, Analysis.contrast.is_(None)), Analysis.reason_code),
        (and_(told, Analysis.withdrawn_at.is_not(None)), Analysis.withdrawal_reason),
        (
            Analysis.state.in_(
                (AnalysisState.NOT_ASSESSABLE, AnalysisState.NOT_ELIGIBLE, AnalysisState.FAILED)
            ),
            Analysis.reason_code,
        ),
        else_=null(),
    )


def _own(only: Select[int] | None) -> Subquery:
    """How far the worst object of each analysis is, by its own deliveries."""
    sent = aliased(Delivery)
    statement = (
        select(sent.analysis_id.label("analysis_id"), func.min(_rank(sent)).label("rank"))
        .where(sent.analysis_id.is_not(None))
        .group_by(sent.analysis_id)
    )
    return (statement if only is None else statement.where(sent.analysis_id.in_(only))).subquery()


def _shared(only: Select[int] | None) -> Subquery:
    """The same of later versions, by all deliveries of the same objects.

    A version that found the same as an earlier one has the same objects, which went out for that one.
    """
    output, same, again, later = aliased(Output), aliased(Output), aliased(Output), aliased(Analysis)
    sent, better = aliased(Delivery), aliased(Delivery)
    # Of several rows of one object and peer the best counts.
    beaten = (
        select(better.id)
        .join_from(again, better, better.output_id == again.id)
        .where(
            again.sop_instance_uid == output.sop_instance_uid,
            better.peer == sent.peer,
            _rank(better) > _rank(sent),
        )
        .correlate(output, sent)
        .exists()
    )
    statement = (
        select(output.analysis_id.label("analysis_id"), func.min(_rank(sent)).label("rank"))
        .join_from(output, later, later.id == output.analysis_id)
        .join(same, same.sop_instance_uid == output.sop_instance_uid)
        .join(sent, sent.output_id == same.id)
        .where(
            later.version > 1,
            later.state == AnalysisState.MEASURED,
            output.withdrawal.is_(False),
            ~beaten,
        )
        .group_by(output.analysis_id)
    )
    return (statement if only is None else statement.where(output.analysis_id.in_(only))).subquery()


def _rank(delivery: type[Delivery]) -> ColumnElement[int | None]:
    """How far one delivery is, as its place in ``RANKS``."""
    rank = {place: number for number, place in enumerate(RANKS)}
    state = delivery.state
    dropped = and_(state == DeliveryState.DEAD, delivery.error_code == OTHER_VARIANT.code)
    return case(
        (dropped, null()),
        (state == DeliveryState.DEAD, rank[Place.GIVEN_UP]),
        (state == DeliveryState.HELD, rank[Place.HELD]),
        (state == DeliveryState.CONFIRMED, rank[Place.CONFIRMED]),
        (and_(state == DeliveryState.SENT, delivery.confirm_at.is_not(None)), rank[Place.CONFIRMING]),
        (state == DeliveryState.SENT, rank[Place.STORED]),
        else_=rank[Place.SENDING],
    )
