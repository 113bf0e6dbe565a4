"""What the headers say of one stack of images and of the person in it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

Plane = Literal["axial", "coronal", "sagittal", "oblique"]
Contrast = Literal[
    "t2_tse",
    "t2_haste",
    "t1",
    "water",
    "fat",
    "in_phase",
    "opposed",
    "fat_fraction",
    "stir",
    "other",
]
#: A level of the spine; "elsewhere" is a part of the body without it.
Region = Literal["cervical", "thoracic", "lumbar", "thoracolumbar", "whole_spine", "elsewhere", "unknown"]
Sex = Literal["M", "F"]


class Role(StrEnum):
    """What one stack is in an input set."""

    #: The one image of a single-contrast input set.
    IMAGE = "image"
    #: The water image of a Dixon pair; its grid is that of the results.
    WATER = "water"
    #: The fat image of a Dixon pair.
    FAT = "fat"
    #: Another image of an acquisition whose water and fat images are a pair: not measured by itself.
    DIXON_PART = "dixon_part"
    #: A further station of a scan in several, counted together with the first.
    STATION = "station"
    #: The fat image of a further station.
    STATION_FAT = "station_fat"


#: Roles of stacks whose analyses are found by the first stack of their input set.
PARTNERS = frozenset({Role.FAT, Role.STATION, Role.STATION_FAT})


@dataclass(frozen=True, kw_only=True)
class Acquisition:
    """What tells one acquisition from another, as far as the headers say."""

    #: When the first image of the stack was acquired.
    time: datetime | None = None
    #: AcquisitionNumber of the images, each once.
    numbers: tuple[str, ...] = ()
    series_time: datetime | None = None
    series_number: int | None = None
    protocol: str = ""


@dataclass(frozen=True, kw_only=True)
class BlockPlace:
    """Which of several short stacks of one series a stack is, counted from the caudal end."""

    #: From 1; None where their order along the body is not sure.
    number: int | None = None
    #: None where there is no other.
    of: int | None = None


@dataclass(frozen=True, kw_only=True)
class Person:
    """Who was imaged, as far as scores need it; each value with the attribute it was read from."""

    age_years: float | None = None
    age_source: str | None = None
    #: PatientAge in years, whether or not it is the age that is used.
    stated_age_years: float | None = None
    sex: Sex | None = None
    sex_source: str | None = None
    height_m: float | None = None
    height_source: str | None = None
    #: The images of the stack name several people.
    several: bool = False


@dataclass(frozen=True, kw_only=True)
class NiftiFile:
    """The file behind a stack that did not come as DICOM."""

    #: Name without folder.
    name: str
    #: Of the file as it lies there.
    sha256: str
    #: Which part of its header told where the voxels lie in the patient.
    orientation: str


@dataclass(frozen=True, kw_only=True)
class StackFacts:
    """One geometric stack of one series, before any pixel was decoded."""

    study_uid: str
    series_uid: str
    #: Number of the stack within its series, from 0 (several orientations or echoes give several).
    stack: int
    sop_class_uid: str
    sop_instance_uids: tuple[str, ...]
    modality: str
    image_type: tuple[str, ...]
    description: str
    plane: Plane
    #: Smallest angle between the slice normal and the patient's head-foot axis.
    tilt_degrees: float
    contrast: Contrast
    #: The attribute and value that decided the contrast, for the auditor.
    contrast_evidence: str
    region: Region
    region_evidence: str
    slices: int
    coverage_mm: float
    #: Slice step, row spacing, column spacing.
    spacing_mm: tuple[float, float, float]
    #: Largest step between neighbouring slices divided by the median step.
    largest_gap_ratio: float
    frame_of_reference_uid: str | None
    lossy: bool
    derived: bool
    localizer: bool
    person: Person
    #: The bundled synthetic phantom, by a constant marker in its headers.
    phantom: bool = False
    #: The part of a Dixon acquisition that the headers name; the in-phase image of a Dixon turbo spin
    #: echo has the contrast "t2_tse" and is named here.
    dixon_part: Contrast | None = None
    acquisition: Acquisition = Acquisition()
    #: Maker, model and field strength, such as "SIEMENS Avanto_fit 1.5 T"; empty where the headers lack one.
    scanner: str = ""
    #: The attribute that says that a contrast agent was given, and its value; empty where none does.
    contrast_agent: str = ""
    #: As the headers say, for the rules that choose.
    manufacturer: str = ""
    station_name: str = ""
    #: Its place among the like stacks of its series; None where there is no other.
    place: BlockPlace | None = None
    #: None for DICOM. Of a NIfTI file the UIDs are empty where nothing tells them.
    nifti: NiftiFile | None = None
