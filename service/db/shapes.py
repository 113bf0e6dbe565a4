"""The values that the reading queries give back; lists carry no patient name or id."""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, Generic, TypeVar

from service.core.status import AnalysisState

Row = TypeVar("Row")
#: States with a result that peers may have got.
RESULTS = frozenset({AnalysisState.MEASURED, AnalysisState.NOT_ASSESSABLE})


@dataclass(frozen=True, kw_only=True)
class FlagFacts:
    """One flag of a finding."""

    code: str
    state: str
    text: str


@dataclass(frozen=True, kw_only=True)
class AnalysisRow:
    """One line of the list."""

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
    flags: tuple[FlagFacts, ...]
    study_uid: str
    series_uids: tuple[str, ...]
    received_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    #: Number of deliveries by state.
    deliveries: dict[str, int]
    #: A person edited the drawing that is measured.
    edited: bool = False


@dataclass(frozen=True, kw_only=True)
class Page(Generic[Row]):
    """Some rows, newest first, and where the next ones begin."""

    items: tuple[Row, ...]
    next_cursor: int | None


@dataclass(frozen=True, kw_only=True)
class PatientFacts:
    """Who the study is of, as the first image said."""

    patient_id: str
    patient_name: str
    birth_date: str
    sex: str
    accession_number: str
    study_date: str
    study_description: str


@dataclass(frozen=True, kw_only=True)
class InputFacts:
    """One stack that goes in, and how its series arrived."""

    role: str
    series_id: int
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


@dataclass(frozen=True, kw_only=True)
class OutputFacts:
    """One object that was made, and the file that holds it."""

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    #: Relative to HOME.
    path: str
    sha256: str
    size: int
    #: Names of the variants that it belongs to, with a space between.
    variants: str = ""
    #: It is no part of the result, but tells that the result is withdrawn.
    withdrawal: bool = False

    @property
    def station(self) -> int:
        """Of which station of a scan it is, from 1: "seg-2.dcm" is of the second."""
        found = re.match(r"(?:seg|gsps)-(\d+)\.", PurePosixPath(self.path).name)
        return 1 if found is None else int(found[1])

    @property
    def query(self) -> str:
        """What tells it from the first object of its kind, in the address of its file."""
        if self.withdrawal:
            return "?withdrawal=true"
        return f"?station={self.station}" if self.station > 1 else ""


@dataclass(frozen=True, kw_only=True)
class DeliveryFacts:
    """One object on its way to one peer."""

    id: int
    analysis_id: int
    kind: str
    sop_instance_uid: str
    peer: str
    state: str
    attempts: int
    #: Tries that count against the object.
    failures: int
    next_at: datetime | None
    dimse_status: int | None
    error_code: str | None
    error_text: str | None
    created_at: datetime
    sent_at: datetime | None
    #: When the peer is asked next whether it has it.
    confirm_at: datetime | None
    confirmed_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class VersionFacts:
    """One analysis of the same stacks."""

    id: int
    version: int
    state: str
    created_at: datetime
    finished_at: datetime | None
    #: A person edited the drawing that is measured.
    edited: bool = False


@dataclass(frozen=True, kw_only=True)
class HoldFacts:
    """Why nothing of a study is deleted, and who said so."""

    study_id: int
    study_uid: str
    reason: str
    actor: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class WithdrawalFacts:
    """Why a result was taken back, by whom, and when."""

    reason: str
    actor: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class AnalysisDetail:
    """Everything about one analysis, patient included."""

    id: int
    study_id: int
    version: int
    state: str
    reason_code: str | None
    reason_text: str | None
    contrast: str | None
    region: str | None
    attempt: int
    lease_owner: str | None
    study_uid: str
    patient: PatientFacts
    inputs: tuple[InputFacts, ...]
    #: Images received in the series that went in.
    images: int
    #: SHA-256 over the images that were used.
    input_digest: str
    finding: dict[str, Any] | None
    flagged: bool
    timings: dict[str, Any] | None
    #: Relative to HOME.
    result_path: str | None
    supersedes_id: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    outputs: tuple[OutputFacts, ...]
    deliveries: tuple[DeliveryFacts, ...]
    versions: tuple[VersionFacts, ...]
    #: None where the study goes after its time like the others.
    hold: HoldFacts | None
    #: When its images, and the files of this result, were taken away after their time.
    pixels_purged_at: datetime | None
    results_purged_at: datetime | None
    #: None while the result stands.
    withdrawal: WithdrawalFacts | None
    #: What rules may ask of its images and what they decided; None where they were not asked.
    choice: dict[str, Any] | None = None
    #: A person edited the drawing that is measured.
    edited: bool = False

    @property
    def withdrawable(self) -> bool:
        """It is a finished, current result that stands."""
        return self.withdrawal is None and self.state in RESULTS

    @property
    def replayable(self) -> bool:
        """There is a drawing of a network, and what it was made from."""
        drawn = self.finding is not None and self.finding.get("edited") is None
        return drawn and self.results_purged_at is None and self.pixels_purged_at is None

    @property
    def newest(self) -> bool:
        """No later analysis of the same stacks exists."""
        return all(other.version <= self.version for other in self.versions)


@dataclass(frozen=True, kw_only=True)
class EventFacts:
    """One line of a timeline."""

    id: int
    at: datetime
    name: str
    detail: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class AuditFacts:
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
