"""Statements about earlier studies of the same person."""

from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import exists, literal, or_, select
from sqlalchemy.orm import Session

from service.core.status import WITHIN_SERIES, AnalysisState
from service.db.tables import Analysis, AnalysisInput, Series, Study

#: Earlier results that are looked at; chosen by us: the newest that is alike is found among far fewer.
LOOKED_AT = 20
#: Birth dates that systems write where none is known; chosen by us.
PLACEHOLDERS = frozenset({"", "19000101", "18000101", "00010101", "19010101", "11111111", "99991231"})


def earlier_findings(session: Session, analysis_id: int) -> list[tuple[dict[str, Any], int]]:
    """Current findings of earlier studies of the same person, and the days between; newest study first.

    The same person is the same patient ID of the same issuer (where both name one), birth date, sex (M or F)
    and name: an ID alone may be of another hospital, and placeholders stand for nobody. All but the name is
    what the images say themselves; where those of a study disagree about it, nothing is compared. Studies
    without a usable date are left out.
    """
    study = session.scalars(select(Study).join(Analysis).where(Analysis.id == analysis_id)).one()
    day = _day(study.study_date)
    mine = _person(session, study.id)
    if day is None or mine is None:
        return []
    agrees = or_(Series.issuer_of_patient_id.in_(("", mine.issuer)), literal(mine.issuer) == "")
    rows = session.execute(
        select(Analysis.finding, Study.study_date, Study.patient_name, Study.id)
        .join(Study)
        .where(
            exists().where(
                AnalysisInput.analysis_id == Analysis.id,
                Series.id == AnalysisInput.series_id,
                Series.patient_id == mine.patient_id,
                Series.birth_date == mine.birth_date,
                Series.sex == mine.sex,
                agrees,
            ),
            Study.id != study.id,
            Study.study_date < study.study_date,
            Study.study_date != "",
            Analysis.state == AnalysisState.MEASURED,
            Analysis.withdrawn_at.is_(None),
        )
        .order_by(Study.study_date.desc(), Analysis.id.desc())
        .limit(LOOKED_AT)
    ).all()
    sure = {study_id: _person(session, study_id) is not None for study_id in {row.id for row in rows}}
    rows = [row for row in rows if sure[row.id]]
    name = _name(study.patient_name)
    found = [(row.finding, _day(row.study_date)) for row in rows if _name(row.patient_name) == name]
    return [(finding, (day - then).days) for finding, then in found if finding and then is not None]


def disagreements(session: Session, analysis_id: int) -> tuple[str, ...]:
    """In which attributes of the person the images of the study of an analysis disagree; never their values.

    Of a series whose own images disagree it is not known in which: it counts as ``WITHIN_SERIES``.
    """
    rows = session.execute(
        select(
            Series.patient_id,
            Series.issuer_of_patient_id,
            Series.birth_date,
            Series.sex,
            Series.mixed_identity,
        )
        .join(Analysis, Analysis.study_id == Series.study_id)
        .where(Analysis.id == analysis_id)
    ).all()
    different = {
        "PatientID": {row.patient_id for row in rows},
        # No issuer agrees with every issuer.
        "IssuerOfPatientID": {row.issuer_of_patient_id for row in rows} - {""},
        "PatientBirthDate": {row.birth_date for row in rows},
        "PatientSex": {row.sex for row in rows},
    }
    found = [keyword for keyword, values in different.items() if len(values) > 1]
    return (*found, *([WITHIN_SERIES] if any(row.mixed_identity for row in rows) else []))


class _Person(NamedTuple):
    """Whom all images of a study are of."""

    patient_id: str
    issuer: str
    birth_date: str
    sex: str


def _person(session: Session, study_id: int) -> _Person | None:
    """Whom the images of a study are of; None where they disagree, or stand for nobody."""
    rows = session.execute(
        select(
            Series.patient_id,
            Series.issuer_of_patient_id,
            Series.birth_date,
            Series.sex,
            Series.mixed_identity,
        ).where(Series.study_id == study_id)
    ).all()
    issuers = {row.issuer_of_patient_id for row in rows} - {""}
    people = {(row.patient_id, row.birth_date, row.sex) for row in rows}
    if len(people) != 1 or len(issuers) > 1 or any(row.mixed_identity for row in rows):
        return None
    ((patient_id, birth_date, sex),) = people
    if not patient_id or sex not in {"M", "F"} or birth_date in PLACEHOLDERS or _day(birth_date) is None:
        return None
    return _Person(patient_id, next(iter(issuers), ""), birth_date, sex)


def _name(text: str) -> str:
    """A person name without what senders write differently: case, separators, other scripts."""
    return " ".join(text.partition("=")[0].replace("^", " ").replace(",", " ").casefold().split())


def _day(text: str) -> date | None:
    """A DICOM date."""
    try:
        return date.fromisoformat(text) if len(text) == 8 else None
    except ValueError:
        return None
