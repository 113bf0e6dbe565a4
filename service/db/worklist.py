"""Statements about raised flags and what people do about them.

A step is a row; the latest one that leads somewhere tells where the flags of a result stand. Nothing here is
urgent: a flag is a research finding, and the list has no order but that of the results.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from service.core.status import FLAG_STEPS, LEADS_TO, LONGEST_COMMENT, AnalysisState, FlagStep, Handling
from service.db import selftests
from service.db.ledger import add_event
from service.db.people import Role, record
from service.db.shapes import FlagFacts
from service.db.tables import Analysis, FlagHandling, User
from service.errors import InvalidRequest

#: Without words these say nothing: why a flag is dismissed, and what a comment is.
NEEDS_COMMENT: frozenset[FlagStep] = frozenset({"dismiss", "comment"})
#: Roles that look after flags; a test holds them to what the door grants.
HANDLERS: frozenset[Role] = frozenset({Role.REVIEWER, Role.ADMIN})


@dataclass(frozen=True, kw_only=True)
class StepFacts:
    """One step of somebody about the flags of a result."""

    id: int
    step: FlagStep
    to_user: str | None
    comment: str
    actor: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class WorklistRow:
    """One result with a raised flag; no patient name or id."""

    analysis_id: int
    finished_at: datetime | None
    contrast: str | None
    flags: tuple[FlagFacts, ...]
    handling: Handling
    #: The latest step, None where nobody did anything.
    step: FlagStep | None
    to_user: str | None
    actor: str | None
    at: datetime | None


def add(
    session: Session,
    analysis_id: int,
    *,
    step: str,
    actor: str,
    now: datetime,
    comment: str = "",
    to_user: str = "",
    address: str | None = None,
) -> bool:
    """Write down what somebody does about the flags of a result; False when there is no such analysis.

    Raises InvalidRequest where nothing is raised, or the step lacks what it needs.
    """
    known = next((each for each in FLAG_STEPS if each == step), None)
    if known is None:
        raise InvalidRequest("This is no step of the worklist.", reason="unknown_flag_step")
    comment, to_user = comment.strip()[:LONGEST_COMMENT], to_user.strip()
    if known in NEEDS_COMMENT and not comment:
        raise InvalidRequest("This step needs a few words that say why.", reason="comment_needed")
    analysis = session.scalar(select(Analysis).where(Analysis.id == analysis_id).with_for_update())
    if analysis is None:
        return False
    if not _is_raised(analysis):
        raise InvalidRequest("No flag of this result is raised.", reason="no_raised_flag")
    if known == "hand_over" and not _may_take(session, to_user):
        raise InvalidRequest("Nobody of this name can take it over.", reason="unknown_user")
    session.add(
        FlagHandling(
            analysis_id=analysis_id,
            step=known,
            state=LEADS_TO.get(known),
            to_user=to_user if known == "hand_over" else None,
            comment=comment,
            actor=actor,
            at=now,
        )
    )
    # The comment is free text, so it stays in its row: not in the events, not in the audit record.
    detail: dict[str, Any] = {"step": known}
    if known == "hand_over":
        detail["to"] = to_user
    add_event(session, "flags_handled", at=now, analysis_id=analysis_id, detail=detail)
    record(
        session,
        at=now,
        actor=actor,
        action="flags_handled",
        object_type="analysis",
        object_id=analysis_id,
        address=address,
        detail=detail,
    )
    return True


def _is_raised(analysis: Analysis) -> bool:
    return analysis.flagged and analysis.state == AnalysisState.MEASURED and analysis.withdrawn_at is None


def _may_take(session: Session, name: str) -> bool:
    """Whether there is a person of this name who can log in and may look after flags."""
    return name in takers(session)


def takers(session: Session) -> list[str]:
    """Names of the people whom flags can be handed over to: they can log in, and may finish with them."""
    found = select(User.name).where(User.disabled.is_(False), User.role.in_(HANDLERS)).order_by(User.name)
    return list(session.scalars(found))


def steps(
    session: Session, analysis_id: int, *, before: int | None = None, limit: int | None = None
) -> list[StepFacts]:
    """What was done about the flags of one result, newest first, from below the step of that number."""
    statement = (
        select(FlagHandling).where(FlagHandling.analysis_id == analysis_id).order_by(FlagHandling.id.desc())
    )
    if before is not None:
        statement = statement.where(FlagHandling.id < before)
    rows = session.scalars(statement.limit(limit))
    return [
        StepFacts(
            id=row.id,
            step=next(each for each in FLAG_STEPS if each == row.step),
            to_user=row.to_user,
            comment=row.comment,
            actor=row.actor,
            at=row.at,
        )
        for row in rows
    ]


def list_flagged(
    session: Session,
    *,
    handlings: Collection[Handling] = (),
    to_user: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[WorklistRow]:
    """Current results with a raised flag that stand where asked for, newest first.

    ``to_user``: only those that were handed over to this person. ``before``: those of lower number.
    """
    latest = _latest(Analysis.id)
    statement = (
        select(Analysis, FlagHandling)
        .outerjoin(FlagHandling, FlagHandling.id == latest)
        .where(*_stands(), *_among(handlings))
    )
    if to_user is not None:
        statement = statement.where(FlagHandling.to_user == to_user)
    if before is not None:
        statement = statement.where(Analysis.id < before)
    rows = session.execute(statement.order_by(Analysis.id.desc()).limit(limit)).all()
    return [_row(analysis, step) for analysis, step in rows]


def counts(session: Session) -> dict[Handling, int]:
    """How many current results with a raised flag stand where."""
    state = func.coalesce(FlagHandling.state, Handling.OPEN.value)
    rows = session.execute(
        select(state, func.count())
        .select_from(Analysis)
        .outerjoin(FlagHandling, FlagHandling.id == _latest(Analysis.id))
        .where(*_stands())
        .group_by(state)
    ).all()
    found = {Handling(row[0]): int(row[1]) for row in rows}
    return {handling: found.get(handling, 0) for handling in Handling}


def _stands() -> tuple[ColumnElement[bool], ...]:
    """Whether a result is current and has a raised flag."""
    return (
        Analysis.flagged.is_(True),
        Analysis.state == AnalysisState.MEASURED,
        Analysis.withdrawn_at.is_(None),
        selftests.is_none(Analysis.study_id),
    )


def _latest(analysis_id: Any) -> Any:
    """Number of the latest step that leads somewhere."""
    return (
        select(func.max(FlagHandling.id))
        .where(FlagHandling.analysis_id == analysis_id, FlagHandling.state.is_not(None))
        .correlate(Analysis)
        .scalar_subquery()
    )


def _among(handlings: Collection[Handling]) -> Sequence[ColumnElement[bool]]:
    if not handlings:
        return ()
    state = func.coalesce(FlagHandling.state, Handling.OPEN.value)
    return (state.in_([handling.value for handling in handlings]),)


def _row(analysis: Analysis, step: FlagHandling | None) -> WorklistRow:
    flags = (analysis.finding or {}).get("flags") or ()
    return WorklistRow(
        analysis_id=analysis.id,
        finished_at=analysis.finished_at,
        contrast=analysis.contrast,
        flags=tuple(
            FlagFacts(code=flag["code"], state=flag["state"], text=flag["text"])
            for flag in flags
            if flag["state"] == "raised"
        ),
        handling=Handling(step.state) if step is not None and step.state else Handling.OPEN,
        step=None if step is None else next(each for each in FLAG_STEPS if each == step.step),
        to_user=None if step is None else step.to_user,
        actor=None if step is None else step.actor,
        at=None if step is None else step.at,
    )
