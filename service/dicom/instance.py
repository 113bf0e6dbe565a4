"""Who and what one received instance is, from its encoded bytes."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from pydicom.dataset import Dataset

from service.dicom.frames import UID_LENGTH, UID_PATTERN, required_uid
from service.dicom.headers import Attributes, parse_encoded, quiet
from service.dicom.identity import is_own_result
from service.dicom.peek import peek_elements
from service.dicom.stack import StudyFacts
from service.errors import UnreadableSeries

#: SeriesInstanceUID is the last attribute that identifies an instance; pixels and most of the rest
#: of the header come later and are not parsed.
LAST_TAG: Final = 0x0020000E
#: PS3.5 6.2: LO has 64 characters, SH and CS have 16, a PN has three groups of 64.
LONG_TEXT: Final = 64
SHORT_TEXT: Final = 16
NAME_TEXT: Final = 3 * 64 + 2


#: The elements that an identity is read from: character set, UIDs, and what is shown of a study.
IDENTITY_TAGS: Final = frozenset(
    {
        *(0x00080005, 0x00080016, 0x00080018, 0x00080020, 0x00080050, 0x00080060, 0x00080070),
        *(0x00081030, 0x0008103E, 0x00100010, 0x00100020, 0x00100021, 0x00100030, 0x00100040),
        *(0x0020000D, 0x0020000E),
    }
)
SOP_INSTANCE_UID: Final = 0x00080018
#: Images of one series differ in one of these elements only; so many series may arrive side by side.
#: Chosen by us: three for each association.
REMEMBERED: Final = 64


@dataclass(frozen=True, kw_only=True)
class InstanceIdentity:
    """What the receiver must know of an instance to file it."""

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    modality: str
    series_description: str
    study: StudyFacts
    #: Whether this service made the instance, so that it must not be analysed again.
    own_result: bool


@quiet()
def read_identity(raw: bytes, transfer_syntax_uid: str) -> InstanceIdentity:
    """The identity in an encoded dataset as C-STORE carries it (no preamble, no meta information).

    Raises UnreadableSeries with the reason ``bad_header``, ``no_identity`` or ``bad_uid`` where the
    UIDs that rows and files are named by are not there; everything else may be missing or odd.
    """
    dataset = parse_encoded(raw, transfer_syntax_uid, last_tag=LAST_TAG)
    return _identity(dataset, required_uid(Attributes((dataset,)), "SOPInstanceUID"))


def _identity(dataset: Dataset, sop_instance_uid: str) -> InstanceIdentity:
    """What the parsed elements say."""
    attributes = Attributes((dataset,))
    return InstanceIdentity(
        study_uid=required_uid(attributes, "StudyInstanceUID"),
        series_uid=required_uid(attributes, "SeriesInstanceUID"),
        sop_instance_uid=sop_instance_uid,
        sop_class_uid=required_uid(attributes, "SOPClassUID"),
        modality=attributes.code("Modality")[:SHORT_TEXT],
        series_description=attributes.text("SeriesDescription")[:LONG_TEXT],
        study=read_study(attributes),
        own_result=is_own_result(dataset),
    )


def peek_identity(head: bytes | bytearray, transfer_syntax_uid: str) -> InstanceIdentity | None:
    """The same from the beginning of a dataset, and fast for all images of a series but the first.

    None where the beginning is not enough or anything is unusual: then ``read_identity`` says what it is.
    """
    elements = peek_elements(head, transfer_syntax_uid, IDENTITY_TAGS, last_tag=LAST_TAG)
    if elements is None or SOP_INSTANCE_UID not in elements:
        return None
    uid = elements.pop(SOP_INSTANCE_UID).value.rstrip(b"\x00").decode("latin-1").strip(" ")
    if len(uid) > UID_LENGTH or not UID_PATTERN.fullmatch(uid):
        return None
    try:
        shared = _shared(b"".join(element.encoded for element in elements.values()), transfer_syntax_uid)
    except UnreadableSeries:
        return None
    return replace(shared, sop_instance_uid=uid)


@quiet()
@lru_cache(maxsize=REMEMBERED)
def _shared(elements: bytes, transfer_syntax_uid: str) -> InstanceIdentity:
    """What all images with these elements have in common."""
    return _identity(parse_encoded(elements, transfer_syntax_uid, last_tag=LAST_TAG), "")


def read_study(attributes: Attributes) -> StudyFacts:
    """Whose study it is, as text to show, cut to the length that DICOM allows."""
    return StudyFacts(
        patient_id=attributes.text("PatientID")[:LONG_TEXT],
        patient_name=attributes.text("PatientName").rstrip("^=")[:NAME_TEXT],
        birth_date=attributes.text("PatientBirthDate")[:SHORT_TEXT],
        sex=attributes.code("PatientSex")[:SHORT_TEXT],
        accession_number=attributes.text("AccessionNumber")[:LONG_TEXT],
        study_date=attributes.text("StudyDate")[:SHORT_TEXT],
        description=attributes.text("StudyDescription")[:LONG_TEXT],
        issuer_of_patient_id=attributes.text("IssuerOfPatientID")[:LONG_TEXT],
    )
