"""Statements about one patient: the rows about him or her, and what keeps them from being erased."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import exists, literal, select, update
from sqlalchemy.orm import Session

from service.core.status import AnalysisState, DeliveryState, SeriesState
from service.db.ledger import lock_study
from service.db.optouts import plain
from service.db.retention import backfill_of, steps_of
from service.db.tables import (
    Analysis,
    AnalysisInput,
    AuditEntry,
    Backfill,
    Base,
    Delivery,
    Edit,
    Event,
    FlagHandling,
    Instance,
    LegalHold,
    Output,
    PerformedSeries,
    PerformedStep,
    PopulationRow,
    ReplayOrder,
    Review,
    Series,
    SetAside,
    Study,
)


@dataclass(frozen=True, kw_only=True)
class Patient:
    """A patient as rows name one; an empty issuer stands for any."""

    id: str
    issuer: str = ""

    def is_named(self, patient_id: str, issuer: str) -> bool:
        """Whether a row names this patient; one without an issuer may be of any.

        Case, outer spaces and the form of letters do not tell people apart, as in the opt-out list.
        """
        by, who = plain(self.issuer), plain(issuer)
        return plain(patient_id) == plain(self.id) and (not by or not who or who == by)


@dataclass(frozen=True, kw_only=True)
class StudyOf:
    """One study that names the patient."""

    id: int
    study_uid: str
    #: Some of its images name somebody else.
    shared: bool
    #: Nothing of it names the patient but bytes that were set aside.
    beside: bool


def studies_of(session: Session, patient: Patient) -> list[StudyOf]:
    """Every study that names this patient, in its own row, in a series, or in what was set aside."""
    beside = select(
        Series.study_id, SetAside.patient_id, SetAside.issuer_of_patient_id, literal(1).label("beside")
    ).join(Series, Series.id == SetAside.series_id)
    named = select(Study.id, Study.patient_id, Study.issuer_of_patient_id, literal(0)).union(
        select(Series.study_id, Series.patient_id, Series.issuer_of_patient_id, literal(0)), beside
    )
    mine: dict[int, bool] = {}
    others = set(session.scalars(select(Series.study_id).where(Series.mixed_identity)))
    for study_id, name, giver, aside in session.execute(named):
        if patient.is_named(name, giver):
            mine[study_id] = bool(aside) and mine.get(study_id, True)
        elif plain(name) and plain(name) != plain(patient.id):
            others.add(study_id)
    uids = select(Study.id, Study.study_uid).where(Study.id.in_(mine)).order_by(Study.id)
    return [
        StudyOf(id=row.id, study_uid=row.study_uid, shared=row.id in others, beside=mine[row.id])
        for row in session.execute(uids)
    ]


def aside_of(session: Session, study_id: int, patient: Patient) -> list[SetAside]:
    """The rows of what was set aside of a study and names this patient."""
    rows = session.scalars(
        select(SetAside)
        .join(Series, Series.id == SetAside.series_id)
        .where(Series.study_id == study_id)
        .order_by(SetAside.id)
    )
    return [row for row in rows if patient.is_named(row.patient_id, row.issuer_of_patient_id)]


def let_aside_go(session: Session, study_id: int, patient: Patient, *, now: datetime) -> str | None:
    """Mark what was set aside of a study and names this patient; a code of why not. Locks the study."""
    lock_study(session, study_id)
    if _is_on_hold(session, study_id):
        return "legal_hold"
    for row in aside_of(session, study_id, patient):
        row.leaves_at = now
    return None


def _is_on_hold(session: Session, study_id: int) -> bool:
    return bool(session.scalar(select(exists().where(LegalHold.study_id == study_id))))


def why_not(session: Session, study_id: int) -> str | None:
    """Code of what keeps a study from being erased now; None where nothing does. Locks the study.

    From then on nobody takes one of its analyses that waits.
    """
    lock_study(session, study_id)
    if _is_on_hold(session, study_id):
        return "legal_hold"
    arriving = exists().where(Series.study_id == study_id, Series.state == SeriesState.RECEIVING)
    running = exists().where(Analysis.study_id == study_id, Analysis.state == AnalysisState.RUNNING)
    sending = exists().where(
        Delivery.output_id == Output.id,
        Output.analysis_id == Analysis.id,
        Analysis.study_id == study_id,
        Delivery.state == DeliveryState.SENDING,
    )
    if any(session.scalar(select(each)) for each in (arriving, running, sending)):
        return "under_way"
    session.execute(
        update(Analysis)
        .where(Analysis.study_id == study_id, Analysis.state == AnalysisState.READY)
        .values(state=AnalysisState.SUPERSEDED),
        execution_options={"synchronize_session": False},
    )
    return None


def rows_of(session: Session, study_id: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Table by table, every row about a study, lines of the audit record included, as JSON takes them."""
    series = select(Series.id).where(Series.study_id == study_id)
    analyses = select(Analysis.id).where(Analysis.study_id == study_id)
    outputs = select(Output.id).where(Output.analysis_id.in_(analyses))
    steps = steps_of(study_id)
    of_analysis = AuditEntry.object_type == "analysis", AuditEntry.object_id.in_(_texts(session, analyses))
    of_study = AuditEntry.object_type == "study", AuditEntry.object_id == str(study_id)
    for table, where in (
        (Study, (Study.id == study_id,)),
        (LegalHold, (LegalHold.study_id == study_id,)),
        (Series, (Series.study_id == study_id,)),
        (Instance, (Instance.series_id.in_(series),)),
        (SetAside, (SetAside.series_id.in_(series),)),
        (PerformedStep, (PerformedStep.id.in_(steps),)),
        (PerformedSeries, (PerformedSeries.step_id.in_(steps),)),
        (Edit, (Edit.series_id.in_(series),)),
        (Analysis, (Analysis.study_id == study_id,)),
        (AnalysisInput, (AnalysisInput.analysis_id.in_(analyses),)),
        (PopulationRow, (PopulationRow.analysis_id.in_(analyses),)),
        (Output, (Output.analysis_id.in_(analyses),)),
        (Delivery, (Delivery.output_id.in_(outputs),)),
        (Review, (Review.analysis_id.in_(analyses),)),
        (FlagHandling, (FlagHandling.analysis_id.in_(analyses),)),
        (ReplayOrder, (ReplayOrder.analysis_id.in_(analyses),)),
        (Backfill, (backfill_of(study_id),)),
        (Event, (Event.analysis_id.in_(analyses) | Event.series_id.in_(series),)),
        (AuditEntry, ((of_analysis[0] & of_analysis[1]) | (of_study[0] & of_study[1]),)),
    ):
        found = session.scalars(select(table).where(*where).order_by(*table.__table__.primary_key)).all()
        yield table.__tablename__, [as_dict(row) for row in found]


def _texts(session: Session, ids: Any) -> Sequence[str]:
    return [str(number) for number in session.scalars(ids)]


def as_dict(row: Base) -> dict[str, Any]:
    """One row with times as ISO 8601 writes them."""
    values = {column.key: getattr(row, column.key) for column in row.__table__.columns}
    return {
        name: value.isoformat() if isinstance(value, (datetime, date)) else value
        for name, value in values.items()
    }


def image_paths(session: Session, study_id: int) -> list[str]:
    """Paths below the spool of every image that is still kept, what was set aside or came edited included."""
    series = select(Series.id).where(Series.study_id == study_id)
    kept = select(Instance.path).where(Instance.series_id.in_(series), Instance.path != "")
    beside = select(SetAside.path).where(SetAside.series_id.in_(series))
    edited = select(Edit.path).where(Edit.series_id.in_(series), Edit.path != "")
    return sorted({*session.scalars(kept), *session.scalars(beside), *session.scalars(edited)})


def result_paths(session: Session, study_id: int) -> list[str]:
    """Folders below HOME of the results that are still kept."""
    found = session.scalars(
        select(Analysis.result_path).where(
            Analysis.study_id == study_id,
            Analysis.result_path.is_not(None),
            Analysis.results_purged_at.is_(None),
        )
    )
    return sorted(path for path in found if path)


def result_folders(session: Session, study_id: int) -> list[str]:
    """Folders below HOME in which results of a study are, were, or were about to be."""
    return [
        f"results/{number}"
        for number in session.scalars(select(Analysis.id).where(Analysis.study_id == study_id))
    ]
