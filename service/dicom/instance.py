"""Who and what one received instance is, from its encoded bytes."""

from dataclasses import dataclass
from typing import Final

from service.dicom.frames import required_uid
from service.dicom.headers import Attributes, parse_encoded, quiet
from service.dicom.identity import is_own_result
from service.dicom.stack import StudyFacts

#: SeriesInstanceUID is the last attribute that identifies an instance; pixels and most of the rest
#: of the header come later and are not parsed.
LAST_TAG: Final = 0x0020000E
#: PS3.5 6.2: LO has 64 characters, SH and CS have 16, a PN has three groups of 64.
LONG_TEXT: Final = 64
SHORT_TEXT: Final = 16
NAME_TEXT: Final = 3 * 64 + 2


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
    attributes = Attributes((dataset,))
    return InstanceIdentity(
        study_uid=required_uid(attributes, "StudyInstanceUID"),
        series_uid=required_uid(attributes, "SeriesInstanceUID"),
        sop_instance_uid=required_uid(attributes, "SOPInstanceUID"),
        sop_class_uid=required_uid(attributes, "SOPClassUID"),
        modality=attributes.code("Modality")[:SHORT_TEXT],
        series_description=attributes.text("SeriesDescription")[:LONG_TEXT],
        study=read_study(attributes),
        own_result=is_own_result(dataset),
    )


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
    )
