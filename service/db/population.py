"""Statements of the population page: what is taken out of each result, and what of it counts.

A row is written with its result in one transaction and changes no more but for an opt-out. Whether it counts
is read from the analysis each time, so a rerun, new scores, a rejection and a withdrawal hold at once.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import ColumnElement, delete, func, select, text, update
from sqlalchemy.orm import Session

from service.core.extract import Extract, Family, day_of, extract, pack, person_number, unpack
from service.core.population import Records
from service.db import optouts, selftests
from service.db.ledger import insert_or_update, insert_unless_there, lock_study_of
from service.db.tables import (
    CURRENT,
    PAST,
    Analysis,
    AnalysisInput,
    DriftLook,
    PopulationFamily,
    PopulationRow,
    Series,
    Study,
)
from service.errors import ConfigurationError

#: By what results are told apart.
DIMENSIONS: Final = ("scanner", "protocol", "site", "norms")


@dataclass(frozen=True, kw_only=True)
class FamilyFacts:
    """A family of which there are results."""

    id: int
    family: Family
    #: Exactly; not to be told.
    people: int


@dataclass(frozen=True, kw_only=True)
class Drift:
    """The last judgement whether values drift."""

    at: datetime
    #: How many groups left their limits, by measure and dimension, as "imat scanner".
    alarms: Mapping[str, int]


def note(session: Session, analysis_id: int, *, home: Path | None = None) -> None:
    """Take out of a measured result what the population page needs; an earlier row of it is replaced.

    With ``home`` it is asked whether the patient opted out since; who did has no result published. Then the
    study is locked too: who gives it another patient or purges it comes before or after, not between.
    """
    if home is not None:
        lock_study_of(session, analysis_id)
    row = session.execute(
        select(Analysis.finding, Analysis.choice, Analysis.created_at, Study)
        .join(Study, Study.id == Analysis.study_id)
        .where(Analysis.id == analysis_id)
        .with_for_update(of=Analysis)
    ).one_or_none()
    if row is None:
        return
    study: Study = row.Study
    day = day_of(study.study_date, row.created_at.date())
    taken = extract(row.finding or {}, (row.choice or {}).get("facts") or {}, day=day)
    person = person_number(optouts.plain(study.patient_id))
    session.execute(delete(PopulationRow).where(PopulationRow.analysis_id == analysis_id))
    session.add(
        PopulationRow(
            analysis_id=analysis_id,
            study_id=study.id,
            family_id=_family_id(session, taken),
            person=person,
            numbers="" if person is None else pack(taken, person=person, analysis=analysis_id),
            norms=taken.norms,
            scanner=taken.scanner,
            protocol=taken.protocol,
            site=_site(session, analysis_id),
            opted_out=home is not None and optouts.lists_study(session, home, study.id),
        )
    )
    session.flush()


def _family_id(session: Session, taken: Extract) -> int | None:
    if taken.family is None:
        return None
    values = asdict(taken.family)
    where = [getattr(PopulationFamily, name) == value for name, value in values.items()]
    found = session.scalar(select(PopulationFamily.id).where(*where))
    if found is None:
        insert_unless_there(session, PopulationFamily, values)
        found = session.scalars(select(PopulationFamily.id).where(*where)).one()
    return found


def _site(session: Session, analysis_id: int) -> str:
    """AE title of who sent the stack that results lie on."""
    sender = session.scalar(
        select(Series.calling_ae)
        .join(AnalysisInput, AnalysisInput.series_id == Series.id)
        .where(AnalysisInput.analysis_id == analysis_id)
        .order_by(AnalysisInput.id)
        .limit(1)
    )
    return sender or ""


def missing(session: Session, *, limit: int) -> list[int]:
    """Current results of which nothing was taken out yet: those of an earlier release."""
    there = select(PopulationRow.analysis_id).where(PopulationRow.analysis_id == Analysis.id)
    return list(session.scalars(select(Analysis.id).where(text(CURRENT), ~there.exists()).limit(limit)))


def forget_study(session: Session, study_id: int) -> None:
    """Let go what was taken out of the results of a study; a worker takes it again from what stands then."""
    session.execute(
        delete(PopulationRow).where(PopulationRow.study_id == study_id),
        execution_options={"synchronize_session": False},
    )


def follow_opt_outs(session: Session, home: Path) -> None:
    """Have only results count of patients who are not on the opt-out list, as it stands now.

    Where its key is lost nobody can say who is on it, so who does not count goes on not counting.
    """
    try:
        listed = optouts.listed_studies(session, home)
    except ConfigurationError:
        return
    marked = set(
        session.scalars(select(PopulationRow.study_id).where(PopulationRow.opted_out.is_(True)).distinct())
    )
    for opted_out, ids in ((True, listed - marked), (False, marked - listed)):
        for study_id in sorted(ids):
            session.execute(
                update(PopulationRow).where(PopulationRow.study_id == study_id).values(opted_out=opted_out),
                execution_options={"synchronize_session": False},
            )


def _counts() -> tuple[ColumnElement[bool], ...]:
    """Whether a row is of a known person, of a result that stands, and of no self-test or opt-out."""
    return (
        PopulationRow.person.is_not(None),
        PopulationRow.opted_out.is_(False),
        # A result is taken out when it is measured, so what is past since is less than what stands.
        PopulationRow.analysis_id.not_in(select(Analysis.id).where(text(PAST))),
        selftests.is_none(PopulationRow.study_id),
    )


def families(session: Session) -> list[FamilyFacts]:
    """What there are results of, those of the most people first."""
    # In the order of an index, which counts people without sorting them.
    each = (
        select(PopulationRow.family_id, PopulationRow.person)
        .where(PopulationRow.family_id.is_not(None), *_counts())
        .distinct()
        .subquery()
    )
    counted = select(each.c.family_id, func.count().label("people")).group_by(each.c.family_id).subquery()
    rows = session.execute(
        select(PopulationFamily, counted.c.people)
        .join(counted, counted.c.family_id == PopulationFamily.id)
        .order_by(counted.c.people.desc(), PopulationFamily.id)
    )
    names = Family.__dataclass_fields__
    return [
        FamilyFacts(id=row.id, family=Family(**{name: getattr(row, name) for name in names}), people=people)
        for row, people in rows
    ]


def records(session: Session, family_id: int) -> Records:
    """All results of a family that count; their numbers come as one text for each group."""
    groups = [getattr(PopulationRow, name) for name in DIMENSIONS]
    rows = session.execute(
        select(*groups, func.aggregate_strings(PopulationRow.numbers, ""))
        .where(PopulationRow.family_id == family_id, *_counts())
        .group_by(*groups)
        .order_by(*groups)
    )
    return unpack(((row[:-1], row[-1]) for row in rows), DIMENSIONS)


def write_drift(session: Session, alarms: Mapping[str, int], *, now: datetime) -> None:
    """Keep what was found, in the place of what was found before."""
    values = {"at": now, "alarms": dict(alarms)}
    insert_or_update(session, DriftLook, {"id": 1, **values}, keys=("id",), changes=values)


def drift(session: Session) -> Drift | None:
    """What was found last; None where nobody looked yet."""
    row = session.get(DriftLook, 1)
    return None if row is None else Drift(at=row.at, alarms=dict(row.alarms or {}))
