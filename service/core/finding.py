"""One finding: everything that one analysis has to say, in the shape of finding.json.

The names of the fields are the published names (schema ``myoscreen.finding/1``).
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from service.core.series import BlockPlace, Contrast, Plane, Region, Sex
from service.errors import Reason

SCHEMA = "myoscreen.finding/1"

Status = Literal["measured", "not_assessable", "not_eligible"]
ScoreState = Literal["scored", "no_norm", "out_of_range", "missing_demographics"]
ChangeState = Literal["beyond_repeatability", "within_repeatability", "repeatability_not_known"]
FlagState = Literal["raised", "indeterminate", "not_raised", "not_evaluable"]
#: SegmentAlgorithmType (PS3.3 table C.8.20-4) of a drawing that a person edited.
AlgorithmType = Literal["SEMIAUTOMATIC", "MANUAL"]
Quadrant = Literal[
    "high_imat_low_lmm", "high_imat_high_lmm", "low_imat_low_lmm", "low_imat_high_lmm", "between"
]


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What exactly was measured, so that only like is compared with like."""

    id: str
    version: str
    network: str
    boundary_rule: str
    fat_method: str | None


@dataclass(frozen=True, kw_only=True)
class SeriesInput:
    """One stack that went in, in its role."""

    role: str
    #: None for a NIfTI file that names none.
    series_uid: str | None
    stack: int
    #: Name and SHA-256 of a NIfTI file; None for DICOM.
    file: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class StationSection:
    """One station of a scan in several, and what of it counts."""

    series_uid: str
    stack: int
    slices: int
    #: Without those in the place of which another station's count; 0: nothing of it counts.
    counted_slices: int
    #: Codes of the reasons why it is left out; empty where it counts.
    left_out: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SeriesSection:
    """The stack that was analysed; of several stations what they are together."""

    #: Both None for a NIfTI file that names none.
    study_uid: str | None
    series_uid: str | None
    inputs: tuple[SeriesInput, ...]
    plane: Plane
    contrast: Contrast
    region: Region
    slices: int
    coverage_mm: float
    #: Slice step, row spacing, column spacing.
    spacing_mm: tuple[float, float, float]
    #: Maker, model and field strength; None where the headers do not name them.
    scanner: str | None = None
    #: Set where the stack is a block: too short for volumes.
    block: BlockPlace | None = None
    #: From caudal to cranial; empty where there is one stack.
    stations: tuple[StationSection, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PersonSection:
    """Age, sex and height, each with the attribute that it was read from."""

    age_years: float | None
    age_source: str | None
    sex: Sex | None
    sex_source: str | None
    height_m: float | None
    height_source: str | None


@dataclass(frozen=True, kw_only=True)
class SideMeasures:
    """Measures of one side, or of both together. None where the contrast cannot tell fat from lean.

    A block has no volumes: all three are None.
    """

    compartment_ml: float | None
    lmm_ml: float | None
    imat_ml: float | None
    #: Share of the compartment that is IMAT, from 0 to 1.
    imat_fraction: float | None
    mean_csa_cm2: float
    mean_lean_csa_cm2: float | None
    #: Mean signal fat fraction; Dixon pairs only.
    fat_signal_fraction: float | None


@dataclass(frozen=True, kw_only=True)
class Asymmetry:
    """(left - right) / (left + right)."""

    compartment_ml: float | None
    imat_fraction: float | None


@dataclass(frozen=True, kw_only=True)
class ProfilePoint:
    """One slice: where it lies, and the areas of each side."""

    #: From the caudal end, cranial positive.
    position_mm: float
    left_lean_cm2: float | None
    left_fat_cm2: float | None
    right_lean_cm2: float | None
    right_fat_cm2: float | None


@dataclass(frozen=True, kw_only=True)
class Measures:
    """All measures of one mask."""

    left: SideMeasures
    right: SideMeasures
    total: SideMeasures
    asymmetry: Asymmetry
    #: lmm_ml / height_m^2.
    lmm_height_index_ml_m2: float | None
    profile: tuple[ProfilePoint, ...]


@dataclass(frozen=True, kw_only=True)
class NormFacts:
    """What the reader of a score must know of the table behind it."""

    title: str
    sha256: str
    citation: str
    #: Definitions, networks and fat methods whose values it compares; no network: the measure needs none.
    definitions: tuple[str, ...]
    networks: tuple[str, ...]
    fat_methods: tuple[str, ...]
    contrasts: tuple[str, ...]
    regions: tuple[str, ...]
    #: Shortest and longest stretch of patient; None: any.
    coverage_mm: tuple[float, float] | None
    #: healthy, hospital, general or none.
    population: str
    people: str
    ancestry: str
    scanner: str
    n: int
    n_of_sex: int | None
    sex: Sex
    #: What the table scores, and the ages of the people behind it.
    age_range_years: tuple[float, float]
    observed_ages_years: tuple[float, float]
    height_exponent: float | None
    #: log of this scanner's values over the average scanner's, which was taken out.
    scanner_shift: float | None
    #: What was scored: the value without the effects of height and scanner.
    adjusted_value: float
    l: float  # noqa: E741 - the letter is the field's own name for this parameter
    m: float
    s: float
    #: Of the reference people at this age and sex.
    mean: float
    sd: float
    #: "norm_sampling", "measurement": what the interval of z holds.
    interval_holds: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Score:
    """One measure beside its norm; z is None unless ``state`` is "scored"."""

    measure: str
    value: float | None
    value_ci95: tuple[float, float] | None
    unit: str
    state: ScoreState
    reason: str | None
    z: float | None
    z_ci95: tuple[float, float] | None
    percentile: float | None
    percentile_ci95: tuple[float, float] | None
    norm: str | None
    norm_status: str | None
    #: Set where ``state`` is "scored".
    norm_facts: NormFacts | None = None


@dataclass(frozen=True, kw_only=True)
class Flag:
    """One statement of the policy about the scores."""

    code: str
    state: FlagState
    text: str


@dataclass(frozen=True, kw_only=True)
class QualityCheck:
    """One thing that was looked at before the result was released."""

    check: str
    passed: bool
    detail: str
    #: Set on the check "predicted_dice" only.
    predicted_dice: float | None = None
    #: 95 % interval of the same.
    predicted_dice_ci95: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class ModelSection:
    """Which network ran, and on what."""

    name: str
    version: str
    sha256: str
    provider: str
    precision: str


@dataclass(frozen=True, kw_only=True)
class Output:
    """One object that was made from this finding."""

    kind: str
    #: None for a file that is no DICOM object.
    sop_instance_uid: str | None
    #: File name within the result folder.
    path: str


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One measure then and now."""

    measure: str
    unit: str
    earlier: float
    value: float
    difference: float
    #: A smaller difference may be error of measurement; None where the repeatability is not known.
    smallest_detectable: float | None
    state: ChangeState


@dataclass(frozen=True, kw_only=True)
class Change:
    """What became of the same muscles since an earlier study of the same person."""

    study_uid: str
    series_uid: str
    days: int
    measures: tuple[Difference, ...]


@dataclass(frozen=True, kw_only=True)
class SegmentAgreement:
    """One segment as the network drew it, beside what a person made of it."""

    segment: str
    #: None where neither has a voxel.
    dice: float | None
    #: None in a block.
    automatic_ml: float | None
    edited_ml: float | None


@dataclass(frozen=True, kw_only=True)
class AutomaticTotals:
    """What was measured of both sides together before a person edited the drawing."""

    compartment_ml: float | None
    lmm_ml: float | None
    imat_ml: float | None
    imat_fraction: float | None


@dataclass(frozen=True, kw_only=True)
class Edited:
    """Set where a person edited the drawing that was measured: who, with what, and how much."""

    algorithm_type: AlgorithmType
    #: ContentCreatorName of the object that came back; None where it names nobody.
    by: str | None
    #: When it was drawn, as the object says.
    at: str | None
    #: Manufacturer and model of the program that wrote it.
    made_with: str | None
    #: The object that came back, and who sent it.
    sop_instance_uid: str
    sha256: str
    peer: str
    #: The segmentation of the network that it is compared with.
    corrects: str
    automatic: AutomaticTotals
    agreement: tuple[SegmentAgreement, ...]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One result. A value that cannot be given is None, never left out or invented."""

    status: Status
    reasons: tuple[Reason, ...]
    definition: Definition | None
    series: SeriesSection | None
    person: PersonSection | None
    measures: Measures | None
    scores: tuple[Score, ...]
    flags: tuple[Flag, ...]
    quadrant: Quadrant | None
    quality: tuple[QualityCheck, ...]
    model: ModelSection | None
    #: Norm tables looked at, as "id@version (status)".
    norms: tuple[str, ...]
    policy: str | None
    software: str
    #: The software that measured, where ``software`` only scored its measures again.
    measured_by: str | None = None
    #: Set where a person edited the drawing.
    edited: Edited | None = None
    change: Change | None = None
    supersedes: str | None = None
    outputs: tuple[Output, ...] = ()
    schema: str = SCHEMA

    def as_dict(self) -> dict[str, Any]:
        """The finding as plain values, ready for JSON."""
        content = asdict(self)
        return {"schema": content.pop("schema"), **content}
