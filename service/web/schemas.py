"""The shapes of the REST interface."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.core.status import WithdrawalReason

#: Characters; chosen by us: some sentences.
LONGEST_COMMENT = 500
RESEARCH_USE = "Research use only. Not for diagnosis."


class Shape(BaseModel):
    """Values of the database room turn into these by attribute."""

    model_config = ConfigDict(from_attributes=True)


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

    name: Literal["database", "spool", "broker", "model"]
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


class HoldShape(Shape):
    """Why nothing of a study is deleted, and who said so."""

    study_uid: str
    reason: str
    actor: str
    at: datetime


class HoldList(Shape):
    """All holds, oldest first."""

    items: list[HoldShape]


class HoldOrder(Shape):
    """Why a study is to be kept."""

    reason: str = Field(min_length=1, max_length=256)


class WithdrawalShape(Shape):
    """Why a result was taken back, by whom, and when."""

    reason: WithdrawalReason
    actor: str
    at: datetime


class WithdrawalOrder(Shape):
    """Why a result is taken back."""

    reason: WithdrawalReason
    #: Stands in the events of the analysis only.
    comment: str = Field(default="", max_length=LONGEST_COMMENT)


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
    notice: str = RESEARCH_USE


class RuleShape(Shape):
    """One rule: when it holds, and what follows."""

    name: str
    skip: bool
    when: list[str]
    prefer: list[str]
    reason: str


class RulesShape(Shape):
    """The rules in force."""

    id: str
    version: str
    sha256: str
    take: Literal["all", "first"]
    rules: list[RuleShape]


class OptOutOrder(Shape):
    """Whose images are not to be analysed; an empty issuer stands for any."""

    patient_id: str = Field(min_length=1, max_length=64)
    issuer: str = Field(default="", max_length=64)
    reason: str = Field(default="", max_length=256)


class OptOutEnd(Shape):
    """Whose images may be analysed again, given as they were put on the list."""

    patient_id: str = Field(min_length=1, max_length=64)
    issuer: str = Field(default="", max_length=64)


class OptOutChanged(Shape):
    """Whether the list is another one now."""

    changed: bool


class OptOutShape(Shape):
    """One line of the opt-out list; it does not say who."""

    id: int
    one_issuer: bool
    reason: str
    actor: str
    at: datetime


class OptOutList(Shape):
    """The opt-out list, newest first."""

    items: list[OptOutShape]


class EventItem(Shape):
    """One line of a timeline."""

    id: int
    at: datetime
    name: str
    detail: dict[str, Any] | None


class EventList(Shape):
    """What happened, oldest first."""

    items: list[EventItem]


class Accepted(Shape):
    """What was asked for is in the ledger; a worker takes it from there."""

    id: int
    state: str
    href: str


class CircuitShape(Shape):
    """Whether a peer is sent to; ``since`` when, and why not."""

    state: str = Field(description="closed: sent to; open: left alone; half_open: one result probes it")
    failures: int = Field(description="failures to reach it, in a row")
    next_probe_at: datetime | None
    reason_code: str | None
    reason_text: str | None
    since: datetime | None


class PeerShape(Shape):
    """One DICOM node of the settings, and how deliveries to it stand."""

    name: str
    ae_title: str
    host: str
    port: int | None
    may_send: bool
    unwanted: str
    outputs: list[str]
    profile: str
    release: str
    flags: bool
    language: str
    stow_url: str | None
    confirm: str
    lanes: int
    circuit: CircuitShape
    deliveries: dict[str, int]
    last_sent_at: datetime | None
    last_confirmed_at: datetime | None


class PeerList(Shape):
    """All peers of the settings."""

    items: list[PeerShape]


class PeerReset(Shape):
    """The peer is sent to again."""

    peer: str
    circuit: str


class PeerRetried(Shape):
    """Objects that were given up and are sent again."""

    peer: str
    deliveries: int


class PeerGivenUp(Shape):
    """Objects that waited for a peer and are given up."""

    peer: str
    deliveries: int


class EchoResult(Shape):
    """The peer answered a C-ECHO."""

    peer: str
    ok: bool
    seconds: float


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


class DoorShape(Shape):
    """One process of the service."""

    name: str
    host: str
    pid: int
    version: str
    started_at: datetime
    seen_at: datetime
    alive: bool
    detail: dict[str, Any] | None


class Disk(Shape):
    """Room on the disk that HOME lies on."""

    total_bytes: int
    free_bytes: int
    #: Below this, images are refused ...
    min_free_bytes: int
    #: ... until so much is free again.
    resume_free_bytes: int
    #: Whether a receiver refuses images now, as it said a few seconds ago.
    refusing: bool
    enough: bool


class ModelShape(Shape):
    """The network on disk, or why there is none."""

    ok: bool
    reason: str | None = None
    name: str
    version: str | None = None
    sha256: str | None = None
    definition: str | None = None
    precision: str | None = None


class FunnelShape(Shape):
    """How far what was received has come: series twice, then stacks."""

    received: int
    complete: int
    eligible: int
    measured: int
    flagged: int
    delivered: int
    confirmed: int


class Failure(Shape):
    """The latest analysis that was given up."""

    at: datetime | None
    code: str | None


class Rejected(Shape):
    """Somebody who was not let in."""

    calling_ae: str
    called_ae: str
    address: str
    reason: str
    #: Whom its certificate named.
    tls_subject: str | None
    count: int
    first_at: datetime
    last_at: datetime
    #: What has to change where no ``[[peer]]`` table is missing.
    remedy: str | None
    #: A ``[[peer]]`` table for ``myoscreen.toml`` that would let it in.
    peer_block: str | None


class Status(Shape):
    """One page for monitoring; no patient data."""

    service: str = "myoscreen"
    notice: str = RESEARCH_USE
    version: str
    at: datetime
    ready: bool
    checks: list[Check]
    doors: list[DoorShape]
    queue_depth: int
    oldest_waiting_at: datetime | None
    oldest_waiting_seconds: float | None
    oldest_delivery_seconds: float | None
    last_received_at: datetime | None
    last_success_at: datetime | None
    last_failure: Failure | None
    disk: Disk
    peers: list[PeerShape]
    model: ModelShape
    norms: list[str]
    policy: str
    counts: dict[str, int] = Field(description="Analyses by state.")
    series: dict[str, int] = Field(description="Series by state.")
    funnel: FunnelShape
    counters: dict[str, int]
    rejected_callers: list[Rejected]
