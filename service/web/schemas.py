"""The shapes of the REST interface: of what is read, and what the shapes of its other modules share."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.core.explained import explain, place_name
from service.core.funnel import Loss, Place, Step
from service.core.language import Language
from service.core.status import WithdrawalReason

RESEARCH_USE = "Research use only. Not for diagnosis."


class Shape(BaseModel):
    """Values of the database room turn into these by attribute."""

    model_config = ConfigDict(from_attributes=True)


class Order(BaseModel):
    """What is sent to us: a word that we do not know is refused, for it may be one misspelt."""

    model_config = ConfigDict(extra="forbid")


class ProblemDetails(Shape):
    """An error, as RFC 9457 asks, with our stable code."""

    type: str
    title: str
    status: int
    detail: str
    code: str


class Health(Shape):
    """This process is alive."""

    status: Literal["alive"] = "alive"


class Check(Shape):
    """One thing that must be right before work can be taken."""

    name: Literal["database", "spool", "broker", "model", "activation"]
    ok: bool
    code: str | None = None
    reason: str | None = None


class Readiness(Shape):
    """Whether work can be taken, and if not, why."""

    ready: bool
    checks: list[Check]


class FlagShape(Shape):
    """One flag of a finding."""

    code: str
    state: str
    text: str


class AnalysisItem(Shape):
    """One line of the list: no name and no patient id, only UIDs and measures."""

    id: int
    version: int
    state: str
    withdrawn_at: datetime | None
    reason_code: str | None
    contrast: str | None
    region: str | None
    imat_fraction: float | None
    lmm_ml: float | None
    flagged: bool
    flags: list[FlagShape]
    study_uid: str
    series_uids: list[str]
    received_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    deliveries: dict[str, int]
    #: A person edited the drawing that is measured.
    edited: bool


class AnalysisPage(Shape):
    """Analyses, newest first; ``next_cursor`` goes into ``cursor`` of the next call."""

    items: list[AnalysisItem]
    next_cursor: str | None
    notice: str = RESEARCH_USE


class Patient(Shape):
    """Who the study is of, as the first image said."""

    patient_id: str
    patient_name: str
    birth_date: str
    sex: str
    accession_number: str
    study_date: str
    study_description: str


class InputShape(Shape):
    """One stack that goes in."""

    role: str
    series_uid: str
    stack: int
    description: str
    modality: str
    calling_ae: str
    state: str
    completion_reason: str | None
    first_at: datetime
    last_at: datetime
    closed_at: datetime | None


class OutputShape(Shape):
    """One object that was made."""

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    sha256: str
    size: int
    #: It is no part of the result, but tells that the result is withdrawn.
    withdrawal: bool
    href: str = ""


class DeliveryItem(Shape):
    """One object on its way to one peer."""

    id: int
    analysis_id: int
    kind: str
    sop_instance_uid: str
    peer: str
    state: str
    attempts: int
    failures: int
    next_at: datetime | None
    dimse_status: int | None
    error_code: str | None
    error_text: str | None
    created_at: datetime
    sent_at: datetime | None
    confirm_at: datetime | None
    confirmed_at: datetime | None


class DeliveryPage(Shape):
    """Deliveries, newest first."""

    items: list[DeliveryItem]
    next_cursor: str | None


class Version(Shape):
    """One analysis of the same stacks."""

    id: int
    version: int
    state: str
    created_at: datetime
    finished_at: datetime | None
    #: A person edited the drawing that is measured.
    edited: bool


class HoldShape(Shape):
    """Why nothing of a study is deleted, and who said so."""

    study_uid: str
    reason: str
    actor: str
    at: datetime


class WithdrawalShape(Shape):
    """Why a result was taken back, by whom, and when."""

    reason: WithdrawalReason
    actor: str
    at: datetime


class AnalysisShape(Shape):
    """One analysis, patient included."""

    id: int
    version: int
    state: str
    reason_code: str | None
    reason_text: str | None
    contrast: str | None
    region: str | None
    attempt: int
    study_uid: str
    patient: Patient
    inputs: list[InputShape]
    images: int
    flagged: bool
    timings: dict[str, Any] | None
    supersedes_id: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    outputs: list[OutputShape]
    deliveries: list[DeliveryItem]
    versions: list[Version]
    hold: HoldShape | None
    pixels_purged_at: datetime | None
    results_purged_at: datetime | None
    withdrawal: WithdrawalShape | None
    choice: dict[str, Any] | None
    #: A person edited the drawing that is measured.
    edited: bool
    notice: str = RESEARCH_USE


class EventItem(Shape):
    """One line of a timeline."""

    id: int
    at: datetime
    name: str
    detail: dict[str, Any] | None


class EventList(Shape):
    """What happened, oldest first."""

    items: list[EventItem]
    next_cursor: str | None


class AuditItem(Shape):
    """One line of the audit record."""

    id: int
    at: datetime
    actor: str
    action: str
    outcome: str
    object_type: str | None
    object_id: str | None
    address: str | None
    detail: dict[str, Any] | None


class AuditPage(Shape):
    """The audit record, newest first."""

    items: list[AuditItem]
    next_cursor: str | None


class FunnelShape(Shape):
    """How far what was received has come: input sets, and series not sorted into input sets."""

    received: int
    complete: int
    eligible: int
    measured: int
    flagged: int
    delivered: int
    confirmed: int


class LossShape(Shape):
    """Things that did not reach a step, or not yet, for one reason."""

    step: Step
    place: Place
    name: str
    reason: str | None
    text: str = Field(description="The place or its reason, in words.")
    count: int
    under_way: bool = Field(description="They may still reach the step by themselves.")

    @classmethod
    def told(cls, loss: Loss, language: Language = "en") -> "LossShape":
        """One loss with its words."""
        return cls(
            step=loss.step,
            place=loss.place,
            name=place_name(loss.place, language),
            reason=loss.reason,
            text=explain(loss.place, loss.reason, language),
            count=loss.count,
            under_way=loss.under_way,
        )
