"""What one look at the headers yields: stacks of parallel slices, and files that are no part of one."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from service.core.series import StackFacts
from service.core.volume import Grid
from service.errors import Reason


@dataclass(frozen=True, kw_only=True)
class FrameRef:
    """Where the pixels of one slice are."""

    path: Path
    #: Number of the frame within a multi-frame object, from 1; None for an object with one image.
    frame: int | None
    sop_instance_uid: str


@dataclass(frozen=True, kw_only=True)
class StudyFacts:
    """Whose study it is, as text to show; the name keeps DICOM's carets, dates are YYYYMMDD."""

    patient_id: str
    patient_name: str
    birth_date: str
    sex: str
    accession_number: str
    study_date: str
    description: str
    issuer_of_patient_id: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Stack:
    """Parallel slices of one series on one pixel matrix, of one contrast, in order of position."""

    facts: StackFacts
    grid: Grid
    #: Newest time found in the images; fixed where there is none, so that results can be repeated.
    newest_time: datetime
    #: In the order of the grid's slices.
    frames: tuple[FrameRef, ...]
    study: StudyFacts


@dataclass(frozen=True, kw_only=True)
class UnreadableFile:
    """A file that is part of no stack, and why."""

    path: Path
    sop_instance_uid: str | None
    series_uid: str | None
    reason: Reason


@dataclass(frozen=True, kw_only=True)
class Scan:
    """All stacks and all unreadable files of one look at the headers."""

    stacks: tuple[Stack, ...]
    unreadable: tuple[UnreadableFile, ...]
