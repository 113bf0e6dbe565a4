"""Statements about choosing: which analyses wait for the rules, and what these decided."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import exists, func, select, update
from sqlalchemy.orm import Session

from service.core.series import Role
from service.core.status import AnalysisState, SeriesState
from service.db import versions
from service.db.ledger import add_event
from service.db.shapes import RESULTS
from service.db.tables import Analysis, AnalysisInput, Series, Study

#: Keys of what stands in ``Analysis.choice`` from the beginning; the others come with the decision.
FACTS, ELIGIBLE, KEY = TAKEN_DOWN = ("facts", "eligible", "key")
#: What was decided: an outcome of the rules, or that the patient is on the opt-out list.
OUTCOME: Final = "outcome"
#: A person asked for the analysis although the rules do not.
ORDERED: Final = "ordered"
#: Analyses whose reports this one's takes the place of.
INSTEAD_OF: Final = "instead_of"


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A study of which input sets wait for the rules."""

    study_id: int
    #: When the first of them was made ready.
    since: datetime
    #: Images of it are still arriving.
    receiving: bool


@dataclass(frozen=True, kw_only=True)
class Choosable:
    """The current analysis of one input set, as far as choosing needs it."""

    id: int
    #: Series and stack that results lie on.
    anchor: tuple[int, int]
    state: AnalysisState
    undecided: bool
    choice: dict[str, Any]
    calling_ae: str
    study_description: str
    #: Its images were taken away after the time they are kept.
    purged: bool
    withdrawn: bool

    @property
    def chosen(self) -> bool:
        """Whether the rules chose it before."""
        return self.choice.get(OUTCOME) == "measure"

    @property
    def has_result(self) -> bool:
        """Whether peers may have a report of it that stands."""
        return self.state in RESULTS and not self.withdrawn


def waiting(session: Session) -> list[Waiting]:
    """Studies with input sets that wait for the rules."""
    receiving = exists().where(Series.study_id == Analysis.study_id, Series.state == SeriesState.RECEIVING)
    rows = session.execute(
        select(Analysis.study_id, func.min(Analysis.created_at).label("since"), receiving.label("receiving"))
        .where(Analysis.state == AnalysisState.READY, Analysis.undecided.is_(True))
        .group_by(Analysis.study_id)
        .order_by(Analysis.study_id)
    )
    return [Waiting(study_id=row.study_id, since=row.since, receiving=bool(row.receiving)) for row in rows]


def of_study(session: Session, study_id: int) -> list[Choosable]:
    """The newest current analysis of each input set of a study of which the facts are known.

    What a person asked for beside the rules is left out: it stands for itself. So is a result whose images
    went into a newer set, as a station that another joined: it gives way to that one.
    """
    rows = session.scalars(
        select(Analysis)
        .join(Study)
        .where(Analysis.study_id == study_id, Analysis.state != AnalysisState.SUPERSEDED)
        .order_by(Analysis.version, Analysis.id)
    )
    newest: dict[tuple[int, int], Analysis] = {}
    for row in rows:
        newest[row.inputs[0].series_id, row.inputs[0].stack] = row
    current = sorted(newest.values(), key=lambda row: row.id)
    return [
        _choosable(row)
        for index, row in enumerate(current)
        if row.choice
        and FACTS in row.choice
        and not row.choice.get(ORDERED)
        and not any(_is_part_of(row, newer) for newer in current[index + 1 :])
    ]


def _is_part_of(row: Analysis, newer: Analysis) -> bool:
    """Whether the stack of one analysis is a further one of another."""
    mine = (row.inputs[0].series_id, row.inputs[0].stack)
    return any((item.series_id, item.stack) == mine for item in newer.inputs[1:])


def _choosable(row: Analysis) -> Choosable:
    first: AnalysisInput = row.inputs[0]
    return Choosable(
        id=row.id,
        anchor=(first.series_id, first.stack),
        state=AnalysisState(row.state),
        undecided=row.undecided,
        choice=dict(row.choice or {}),
        calling_ae=first.series.calling_ae,
        study_description=row.study.description,
        purged=any(item.series.pixels_purged_at is not None for item in row.inputs),
        withdrawn=row.withdrawn_at is not None,
    )


def unseated(session: Session, study_id: int, *, by: tuple[int, int]) -> list[int]:
    """Results of the study that the rules chose before and that lie on other stacks, the newest first."""
    rows = session.scalars(
        select(Analysis)
        .where(
            Analysis.study_id == study_id,
            Analysis.state.in_(RESULTS),
            Analysis.withdrawn_at.is_(None),
        )
        .order_by(Analysis.id.desc())
    )
    return [
        row.id
        for row in rows
        if row.choice
        and row.choice.get(OUTCOME) == "measure"
        and not row.choice.get(ORDERED)
        and (row.inputs[0].series_id, row.inputs[0].stack) != by
    ]


def for_rerun(choice: dict[str, Any] | None) -> dict[str, Any] | None:
    """What holds for an analysis that a person asks for once more.

    What the rules passed over is measured then: the order of a person is above them. What was declined for
    the opt-out list waits for the rules.
    """
    if choice is None or choice.get(OUTCOME) not in ("not_selected", "opted_out"):
        return choice
    taken_down = {name: choice[name] for name in TAKEN_DOWN}
    if choice[OUTCOME] == "opted_out":
        return taken_down
    said = {OUTCOME: "measure", ORDERED: True, "text": "A person asked for this analysis beside the rules."}
    return {**taken_down, **said}


def settle(session: Session, analysis_id: int, choice: Mapping[str, Any], *, now: datetime) -> None:
    """Write down what was decided of an analysis that nobody has begun."""
    session.execute(
        update(Analysis)
        .where(Analysis.id == analysis_id, Analysis.state == AnalysisState.READY)
        .values(choice=dict(choice), undecided=False)
    )
    _tell(session, analysis_id, choice, now=now)


def decide_anew(session: Session, analysis_id: int, choice: Mapping[str, Any], *, now: datetime) -> int:
    """Make the next version of an analysis, of the same images and with another decision; its id."""
    analysis = session.get_one(Analysis, analysis_id)
    stacks = tuple(
        versions.StackInput(series_id=item.series_id, stack=item.stack, role=Role(item.role))
        for item in analysis.inputs
    )
    wanted = versions.SetInput(stacks=stacks, digest=analysis.input_digest, choice=dict(choice))
    made = versions.add_version(session, analysis.study_id, wanted, after=analysis, now=now)
    _tell(session, made, choice, now=now)
    return made


def _tell(session: Session, analysis_id: int, choice: Mapping[str, Any], *, now: datetime) -> None:
    """One line of the timeline: outcome, rules, rule and attribute."""
    detail = {key: choice[key] for key in (OUTCOME, "rules", "rule", "attribute") if choice.get(key)}
    add_event(session, "rules_decided", at=now, analysis_id=analysis_id, detail=detail)


@dataclass(frozen=True, kw_only=True)
class StackChoice:
    """What became of one input set of a study, for people."""

    analysis_id: int
    version: int
    state: str
    description: str
    stack: int
    reason_text: str | None
    choice: dict[str, Any] | None


def told(session: Session, study_id: int) -> list[StackChoice]:
    """What became of every input set of a study: its newest analysis, in the order of the series."""
    rows = session.scalars(
        select(Analysis)
        .where(Analysis.study_id == study_id, Analysis.state != AnalysisState.SUPERSEDED)
        .order_by(Analysis.version, Analysis.id)
    )
    newest = {(row.inputs[0].series_id, row.inputs[0].stack): row for row in rows}
    return [
        StackChoice(
            analysis_id=row.id,
            version=row.version,
            state=row.state,
            description=row.inputs[0].series.description,
            stack=stack,
            reason_text=row.reason_text,
            choice=row.choice,
        )
        for (_, stack), row in sorted(newest.items())
    ]
