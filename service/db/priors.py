"""Statements about earlier studies of the same person."""

from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.core.status import AnalysisState
from service.db.tables import Analysis, Study

#: Earlier results that are looked at; chosen by us: the newest that is alike is found among far fewer.
LOOKED_AT = 20
#: Birth dates that systems write where none is known; chosen by us.
PLACEHOLDERS = frozenset({"", "19000101", "18000101", "00010101", "19010101", "11111111", "99991231"})


def earlier_findings(session: Session, analysis_id: int) -> list[tuple[dict[str, Any], int]]:
    """Current findings of earlier studies of the same person, and the days between; newest study first.

    The same person is the same patient ID, birth date, sex (M or F) and name: an ID alone may be of another
    hospital, and placeholders stand for nobody. Studies without a usable date are left out.
    """
    study = session.scalars(select(Study).join(Analysis).where(Analysis.id == analysis_id)).one()
    day = _day(study.study_date)
    if day is None or not study.patient_id or study.sex not in {"M", "F"}:
        return []
    if study.birth_date in PLACEHOLDERS or _day(study.birth_date) is None:
        return []
    rows = session.execute(
        select(Analysis.finding, Study.study_date, Study.patient_name)
        .join(Study)
        .where(
            Study.patient_id == study.patient_id,
            Study.birth_date == study.birth_date,
            Study.sex == study.sex,
            Study.id != study.id,
            Study.study_date < study.study_date,
            Study.study_date != "",
            Analysis.state == AnalysisState.MEASURED,
            Analysis.withdrawn_at.is_(None),
        )
        .order_by(Study.study_date.desc(), Analysis.id.desc())
        .limit(LOOKED_AT)
    )
    name = _name(study.patient_name)
    found = [(row.finding, _day(row.study_date)) for row in rows if _name(row.patient_name) == name]
    return [(finding, (day - then).days) for finding, then in found if finding and then is not None]


def _name(text: str) -> str:
    """A person name without what senders write differently: case, separators, other scripts."""
    return " ".join(text.partition("=")[0].replace("^", " ").replace(",", " ").casefold().split())


def _day(text: str) -> date | None:
    """A DICOM date."""
    try:
        return date.fromisoformat(text) if len(text) == 8 else None
    except ValueError:
        return None
