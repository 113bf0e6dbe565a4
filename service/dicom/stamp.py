"""The last hand on a result object: shared attributes in, chance and the clock out, bytes to disk."""

import hashlib
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from service.core.status import OutputKind
from service.dicom.identity import (
    DEVICE_SERIAL_NUMBER,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    MANUFACTURER,
    SERIES_NUMBERS,
    SOFTWARE_VERSION,
    ObjectIdentity,
    Written,
    fingerprint,
    uid,
)
from service.dicom.series import source_datasets
from service.dicom.stack import Stack

#: Patient, General Study and Patient Study modules (PS3.3 C.7.1.1, C.7.2.1, C.7.2.2), as far as
#: a result repeats them.
PATIENT_AND_STUDY: Final = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "OtherPatientIDsSequence",
    "PatientBirthDate",
    "PatientSex",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "StudyDescription",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "AdmissionID",
    "TimezoneOffsetFromUTC",
)
#: Defined terms of Patient's Sex (PS3.3 C.7.1.1), and empty.
PATIENT_SEXES: Final = frozenset({"M", "F", "O", ""})
#: Empty where the source has no value (type 2).
TYPE_2: Final = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)


def first_source(stack: Stack) -> Dataset:
    """The header of the stack's first image: enough for what does not place pixels."""
    return source_datasets(replace(stack, frames=stack.frames[:1]))[0]


def take_person(sources: Sequence[Dataset]) -> Dataset:
    """What results repeat of the patient and the study; the names are blanked in the sources.

    highdicom quotes a name with a single component in a warning, and refuses a sex it does not know;
    so it gets sources without either, and the result gets them afterwards.
    """
    person = Dataset()
    for keyword in PATIENT_AND_STUDY:
        if keyword in sources[0]:
            person[keyword] = deepcopy(sources[0][keyword])
        elif keyword in TYPE_2:
            setattr(person, keyword, "")
    if person.PatientSex not in PATIENT_SEXES:
        person.PatientSex = ""
    for source in sources:
        for keyword in ("PatientName", "ReferringPhysicianName", "PatientSex"):
            setattr(source, keyword, "")
    return person


def copy_patient_and_study(person: Dataset, target: Dataset) -> None:
    """Make the object one of the same patient and study as its source."""
    target.update(person)
    target.SpecificCharacterSet = "ISO_IR 192"


def person_fingerprint(person: Dataset) -> str:
    """Changes when anything does that a result repeats of the patient and the study."""
    return fingerprint(*(f"{element.tag}={element.value!s}" for element in person))


def instance_uid(kind: OutputKind, digest: str, identity: ObjectIdentity, *content: str) -> str:
    """The identifier of one object; another content, patient header or time gives another one."""
    return uid(kind.value, digest, identity.at.isoformat(), SOFTWARE_VERSION, *content)


def series_uid(sop_instance_uid: str) -> str:
    """The identifier of the series of one object (each result object has its own series)."""
    return uid("series", sop_instance_uid)


def describe_equipment(target: Dataset, *, kind: OutputKind, description: str, model_name: str) -> None:
    """Write what made the object and the series it lies in."""
    target.Manufacturer = MANUFACTURER
    target.ManufacturerModelName = model_name
    target.DeviceSerialNumber = DEVICE_SERIAL_NUMBER
    target.SoftwareVersions = SOFTWARE_VERSION
    target.SeriesNumber = SERIES_NUMBERS[kind]
    target.InstanceNumber = 1
    target.SeriesDescription = description


def stamp(dataset: Dataset, identity: ObjectIdentity) -> None:
    """Overwrite every random identifier and every time of making.

    highdicom draws DimensionOrganizationUID at random and takes the time from the clock, which
    would give different bytes under the same SOP Instance UID.
    """
    at = identity.at
    offset = dataset.get("TimezoneOffsetFromUTC")
    if offset:
        at = at.astimezone(_zone(str(offset)))
    date, time = at.strftime("%Y%m%d"), at.strftime("%H%M%S.%f")
    for keyword in ("InstanceCreationDate", "SeriesDate", "ContentDate"):
        setattr(dataset, keyword, date)
    for keyword in ("InstanceCreationTime", "SeriesTime", "ContentTime"):
        setattr(dataset, keyword, time)
    organisation = uid("dimension organization", str(dataset.SOPInstanceUID))
    for item in _walk(dataset):
        if "DimensionOrganizationUID" in item:
            item.DimensionOrganizationUID = organisation
        if item.get("ManufacturerModelName") == "highdicom" and "ContributionDateTime" in item:
            item.ContributionDateTime = date + time


def write(dataset: Dataset, *, kind: OutputKind, path: Path) -> Written:
    """Write the object as Explicit VR Little Endian and say what was written."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    buffer = BytesIO()
    file = FileDataset(buffer, dataset, preamble=b"\x00" * 128, file_meta=meta)
    file.save_as(buffer, implicit_vr=False, little_endian=True, enforce_file_format=True)
    raw = buffer.getvalue()
    path.write_bytes(raw)
    return Written(
        kind=kind,
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        path=path,
        sha256=hashlib.sha256(raw).hexdigest(),
        size=len(raw),
    )


def _zone(offset: str) -> timezone:
    """The time zone of TimezoneOffsetFromUTC ("+0100"), UTC where it cannot be read."""
    try:
        minutes = int(offset[1:3]) * 60 + int(offset[3:5])
        return timezone(timedelta(minutes=-minutes if offset.startswith("-") else minutes))
    except ValueError:
        return UTC


def _walk(dataset: Dataset) -> Iterator[Dataset]:
    """The dataset and the items that can hold what ``stamp`` overwrites."""
    yield dataset
    for keyword in (
        "DimensionOrganizationSequence",
        "DimensionIndexSequence",
        "ContributingEquipmentSequence",
    ):
        yield from dataset.get(keyword) or ()
