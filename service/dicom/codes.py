"""The coded words of our objects: standard codes where one exists, 99MYOSCREEN where none does.

The choices and their sources are in docs/reference (DICOM conformance statement); no standard code
for intermuscular fat was found, so its segment is Tissue / Fat in the region of the back muscle.
"""

from typing import Final

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept

from service.core import status
from service.core.finding import FlagState, ScoreState, Status
from service.core.language import Language
from service.core.mask import Label
from service.dicom.identity import CODING_SCHEME_UID

SCHEME: Final = "99MYOSCREEN"


def local(value: str, meaning: str) -> CodedConcept:
    """A code of our own scheme."""
    return CodedConcept(value, SCHEME, meaning)


def sct(value: str, meaning: str) -> CodedConcept:
    """A SNOMED CT code as PS3.16 writes it."""
    return CodedConcept(value, "SCT", meaning)


def dcm(value: str, meaning: str) -> CodedConcept:
    """A code of PS3.16 itself."""
    return CodedConcept(value, "DCM", meaning)


def ucum(value: str, meaning: str | None = None) -> CodedConcept:
    """A unit."""
    return CodedConcept(value, "UCUM", meaning or value)


# Segments: category (CID 7150), type, region and side (CID 244).
TISSUE: Final = sct("85756007", "Tissue")
MUSCLE: Final = sct("91727004", "Muscle")
FAT: Final = sct("55603005", "Fat")
#: Erector spinae and multifidus as one group; also the region code of TotalSegmentator's autochthon.
REGION: Final = sct("244849004", "Deep muscle of back")
LEFT: Final = sct("7771000", "Left")
RIGHT: Final = sct("24028007", "Right")
BILATERAL: Final = sct("51440002", "Bilateral")

SIDE_OF: Final = {
    Label.LEAN_LEFT: LEFT,
    Label.IMAT_LEFT: LEFT,
    Label.LEAN_RIGHT: RIGHT,
    Label.IMAT_RIGHT: RIGHT,
}
TYPE_OF: Final = {
    Label.LEAN_LEFT: MUSCLE,
    Label.LEAN_RIGHT: MUSCLE,
    Label.IMAT_LEFT: FAT,
    Label.IMAT_RIGHT: FAT,
}
#: Muscle and body fat as dcmqi recommends to display them; the right side at 80 % brightness.
COLOUR_OF: Final = {
    Label.LEAN_LEFT: (192, 104, 88),
    Label.LEAN_RIGHT: (153, 83, 70),
    Label.IMAT_LEFT: (230, 220, 70),
    Label.IMAT_RIGHT: (184, 176, 56),
}
_SEPARATED_LABELS: Final = {
    Label.LEAN_LEFT: "Paraspinal muscle left",
    Label.LEAN_RIGHT: "Paraspinal muscle right",
    Label.IMAT_LEFT: "Intermuscular fat left",
    Label.IMAT_RIGHT: "Intermuscular fat right",
}
_COMPARTMENT_LABELS: Final = {
    Label.LEAN_LEFT: "Paraspinal compartment left",
    Label.LEAN_RIGHT: "Paraspinal compartment right",
}


def segment_labels(*, fat_separated: bool) -> dict[Label, str]:
    """Which segments an object has, in order, and what each is called."""
    return dict(_SEPARATED_LABELS if fat_separated else _COMPARTMENT_LABELS)


# Measures. "Fat fraction" (129100, DCM) is the signal fat fraction, never the share of volume.
VOLUME: Final = sct("118565006", "Volume")
AREA: Final = sct("42798000", "Area")
SIGNAL_FAT_FRACTION: Final = dcm("129100", "Fat fraction")
IMAT_FRACTION: Final = local("IMATFRAC", "Intermuscular fat fraction by volume")
LMM_VOLUME: Final = local("LMMVOL", "Lean paraspinal muscle volume")
IMAT_VOLUME: Final = local("IMATVOL", "Intermuscular fat volume")
COMPARTMENT_VOLUME: Final = local("COMPVOL", "Paraspinal muscle compartment volume")
#: Of a block, whose share is one of area: it stands for no stretch of the patient.
IMAT_AREA_FRACTION: Final = local("IMATFRACAREA", "Intermuscular fat fraction by cross-sectional area")
MEAN_CSA: Final = local("MEANCSA", "Mean cross-sectional area of the compartment")
MEAN_LEAN_CSA: Final = local("MEANLEANCSA", "Mean cross-sectional area of lean muscle")
MEAN_IMAT_CSA: Final = local("MEANIMATCSA", "Mean cross-sectional area of intermuscular fat")
LMM_HEIGHT_INDEX: Final = local("LMMHTIDX", "Lean muscle volume divided by height squared")
ASYMMETRY_COMPARTMENT: Final = local("ASYMCOMP", "Left-right asymmetry of the compartment volume")
ASYMMETRY_IMAT: Final = local("ASYMIMAT", "Left-right asymmetry of the intermuscular fat fraction")

# The same, short and with their side, for viewers that write them over an image.
SHORT: Final = {
    "lmm_left": local("LMMLEFT", "Lean muscle left"),
    "lmm_right": local("LMMRIGHT", "Lean muscle right"),
    "imat_left": local("IMATLEFT", "IMAT left"),
    "imat_right": local("IMATRIGHT", "IMAT right"),
    "share_left": local("IMATFRACLEFT", "IMAT share left"),
    "share_right": local("IMATFRACRIGHT", "IMAT share right"),
    "share_both": local("IMATFRACBOTH", "IMAT share both"),
    "lean_area_left": local("LEANAREALEFT", "Lean area left"),
    "lean_area_right": local("LEANAREARIGHT", "Lean area right"),
    "area_left": local("AREALEFT", "Muscle area left"),
    "area_right": local("AREARIGHT", "Muscle area right"),
    "compartment_left": local("COMPLEFT", "Muscle left"),
    "compartment_right": local("COMPRIGHT", "Muscle right"),
}

ML: Final = ucum("mL")
CM2: Final = ucum("cm2")
PERCENT: Final = ucum("%", "%")
ML_PER_M2: Final = ucum("mL/m2")
NO_UNITS: Final = ucum("1", "no units")
YEARS: Final = ucum("a", "year")

Z_SCORE: Final = dcm("121416", "Z-Score of measurement")
PERCENTILE: Final = dcm("121415", "Percentile Ranking of measurement")
# Normality (CID 222); "Normal" is left out on purpose.
UNDETERMINED: Final = sct("371934000", "Normality Undetermined")
ABNORMALLY_HIGH: Final = sct("371879000", "Abnormally High")
ABNORMALLY_LOW: Final = sct("371880002", "Abnormally Low")
# The reference people (CID 226).
POPULATION_MEAN: Final = sct("373098007", "Mean Value of population")
POPULATION_SD: Final = dcm("121414", "Standard deviation of population")
POPULATION_MEDIAN: Final = sct("373099004", "Median Value of population")

# Document.
PROCEDURE: Final = CodedConcept("25056-3", "LN", "MRI unspecified body region")
COMMENT: Final = dcm("121106", "Comment")
QUALITATIVE: Final = CodedConcept("C0034375", "UMLS", "Qualitative Evaluations")
LANGUAGE_OF: Final[dict[Language, CodedConcept]] = {
    "en": CodedConcept("en-US", "RFC5646", "English (United States)"),
    "de": CodedConcept("de-DE", "RFC5646", "German (Germany)"),
}
AI_FAMILY: Final = dcm("123110", "Artificial Intelligence")
#: Title of a rejection note (IHE IOCM): what it lists is not to be used, nor shown by default.
REJECTED: Final = dcm("113001", "Rejected for Quality Reasons")
PDF_TITLE: Final = CodedConcept("18748-4", "LN", "Diagnostic imaging study")
SUBJECT_CLASS: Final = dcm("121024", "Subject Class")
PATIENT: Final = dcm("121025", "Patient")
SUBJECT_SEX: Final = dcm("121032", "Subject Sex")
SUBJECT_AGE: Final = dcm("121033", "Subject Age")
SEX_OF: Final = {"M": dcm("M", "Male"), "F": dcm("F", "Female")}

# Statements of our own. A flag is no statement of a person's risk, so its words are private too.
RESULT_STATUS: Final = local("RESULTSTATUS", "Result status")
STATUS_OF: Final[dict[Status, CodedConcept]] = {
    "measured": local("MEASURED", "Measured"),
    "not_assessable": local("NOTASSESSABLE", "Not assessable"),
    "not_eligible": local("NOTELIGIBLE", "Not eligible"),
}
WITHDRAWN: Final = local("WITHDRAWN", "Withdrawn")
WITHDRAWAL_REASON: Final = local("WITHDRAWREASON", "Reason of the withdrawal")
WithdrawalReason = status.WithdrawalReason
WITHDRAWAL_REASON_OF: Final[dict[WithdrawalReason, CodedConcept]] = {
    "wrong_drawing": local("WRONGDRAWING", "The muscles were not drawn rightly"),
    "wrong_patient": local("WRONGPATIENT", "The images are of another person"),
    "wrong_images": local("WRONGIMAGES", "The images are not fit for the measurement"),
    "software_fault": local("SOFTWAREFAULT", "Fault of the software or of its data"),
    "other": local("OTHERREASON", "Another reason"),
}
SCORE_STATE: Final = local("SCORESTATE", "Comparison with a reference table")
SCORE_STATE_OF: Final[dict[ScoreState, CodedConcept]] = {
    "scored": local("SCORED", "Compared with a reference table"),
    "no_norm": local("NONORM", "No applicable reference table"),
    "out_of_range": local("OUTOFRANGE", "Outside the range of the reference table"),
    "missing_demographics": local("NODEMOGRAPHICS", "Age, sex or height not available"),
}
FLAG_STATE_OF: Final[dict[FlagState, CodedConcept]] = {
    "raised": local("RAISED", "Raised"),
    "indeterminate": local("INDETERMINATE", "Indeterminate"),
    "not_raised": local("NOTRAISED", "Not raised"),
    "not_evaluable": local("NOTEVALUABLE", "Not evaluable"),
}
_FLAG_MEANINGS: Final = {
    "imat_high": "Flag: intermuscular fat above the reference range",
    "fsf_high": "Flag: signal fat fraction above the reference range",
    "lmm_low": "Flag: lean muscle below the reference range",
}


def flag_concept(code: str) -> CodedConcept:
    """The private concept of one flag of the policy (Code Value is an SH: 16 characters at most)."""
    value = code.upper().replace("_", "")[:16]
    return local(value, _FLAG_MEANINGS.get(code, f"Flag: {code.replace('_', ' ')}")[:64])


def coding_scheme() -> CodingSchemeIdentificationItem:
    """The declaration of our private scheme (PS3.3 C.12.1.1)."""
    return CodingSchemeIdentificationItem(
        SCHEME,
        name="Concepts of the myoscreen service",
        uid=CODING_SCHEME_UID,
        responsible_organization="myoscreen",
    )
