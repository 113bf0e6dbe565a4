"""The last hand on a result object: shared attributes in, chance and the clock out, bytes to disk."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, timedelta, timezone
from io import SEEK_END
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pydicom.charset import default_encoding
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from service.core.series import Region
from service.core.status import OutputKind
from service.dicom.frame_groups import PER_FRAME, encode_frame_groups
from service.dicom.identity import (
    DEVICE_SERIAL_NUMBER,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    MANUFACTURER,
    SERIES_NUMBERS,
    SERIES_PREFIX,
    SOFTWARE_VERSION,
    ObjectIdentity,
    Written,
    fingerprint,
    uid,
)
from service.dicom.series import source_datasets
from service.dicom.stack import Stack

#: Elements as bytes by their tags.
Encoded = Mapping[int, bytes]
NOTHING_ENCODED: Final[Encoded] = MappingProxyType({})
END_OF_TAGS: Final = 0x1_0000_0000
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
#: What a reader may call the part of the body (PS3.16 Annex L), by our regions.
BODY_PARTS: Final[dict[Region, str]] = {
    "cervical": "CSPINE",
    "thoracic": "TSPINE",
    "lumbar": "LSPINE",
    "thoracolumbar": "TLSPINE",
    "whole_spine": "SPINE",
}
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


def blank_person(dataset: Dataset) -> Dataset:
    """The same dataset with empty patient and study where it has none, as libraries want to find them."""
    for keyword in TYPE_2:
        if keyword not in dataset:
            setattr(dataset, keyword, "")
    return dataset


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


def describe_equipment(target: Dataset, *, kind: OutputKind, description: str, model_name: str) -> None:
    """Write what made the object and the series it lies in."""
    target.Manufacturer = MANUFACTURER
    target.ManufacturerModelName = model_name
    target.DeviceSerialNumber = DEVICE_SERIAL_NUMBER
    target.SoftwareVersions = SOFTWARE_VERSION
    target.SeriesNumber = SERIES_NUMBERS[kind]
    target.InstanceNumber = 1
    target.SeriesDescription = description


def describe_body_part(target: Dataset, stack: Stack, source: Dataset) -> None:
    """Write the part of the spine where it is known; else that nobody knows whether it has a side.

    Laterality (type 2C) may be absent where the part of the body is known not to be one of a pair.
    """
    named = str(source.get("BodyPartExamined", ""))
    body_part = named if "SPINE" in named else BODY_PARTS.get(stack.facts.region)
    if body_part:
        target.BodyPartExamined = body_part
    elif target.Modality != "SEG":
        target.Laterality = ""


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
    content = "PresentationCreation" if "PresentationCreationDate" in dataset else "Content"
    for moment in ("InstanceCreation", "Series", content):
        setattr(dataset, f"{moment}Date", date)
        setattr(dataset, f"{moment}Time", time)
    if identity.block:
        _tell_apart(dataset, identity)
    organisation = uid("dimension organization", str(dataset.SOPInstanceUID))
    for item in _walk(dataset):
        if "DimensionOrganizationUID" in item:
            item.DimensionOrganizationUID = organisation
        if item.get("ManufacturerModelName") == "highdicom" and "ContributionDateTime" in item:
            item.ContributionDateTime = date + time


def _tell_apart(dataset: Dataset, identity: ObjectIdentity) -> None:
    """Name the block where viewers list series: first, because they cut long descriptions."""
    plain = str(dataset.SeriesDescription).replace("RESEARCH USE ONLY", "RESEARCH USE")
    dataset.SeriesDescription = plain.replace(f"{SERIES_PREFIX}:", f"{SERIES_PREFIX} {identity.block}:", 1)[
        :64
    ]
    dataset.SeriesNumber = int(dataset.SeriesNumber) + identity.series_offset


def write(
    dataset: Dataset,
    *,
    kind: OutputKind,
    path: Path,
    transfer_syntax_uid: UID = ExplicitVRLittleEndian,
    encoded: Encoded = NOTHING_ENCODED,
) -> Written:
    """Write the object in an explicit little endian transfer syntax and say what was written.

    ``encoded`` are elements that the dataset does not have, as ``service.dicom.explicit`` makes them.
    """
    raw = encode(dataset, transfer_syntax_uid, encoded)
    path.write_bytes(raw)
    return Written(
        kind=kind,
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        path=path,
        sha256=hashlib.sha256(raw).hexdigest(),
        size=len(raw),
    )


def encode(
    dataset: Dataset, transfer_syntax_uid: UID = ExplicitVRLittleEndian, encoded: Encoded = NOTHING_ENCODED
) -> bytes:
    """The bytes of the object as a file (PS3.10), the descriptions of its frames encoded fast."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax_uid
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    ready = dict(encoded)
    if "PerFrameFunctionalGroupsSequence" in dataset:
        ready[PER_FRAME] = encode_frame_groups(dataset.PerFrameFunctionalGroupsSequence)
    places = sorted(ready)
    buffer = DicomBytesIO()
    head = _between(dataset, 0, *places[:1])
    file = FileDataset(buffer, head, preamble=b"\x00" * 128, file_meta=meta)
    file.save_as(buffer, implicit_vr=False, little_endian=True, enforce_file_format=True)
    buffer.seek(0, SEEK_END)
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    for number, tag in enumerate(places, start=1):
        buffer.write(ready[tag])
        rest = _between(dataset, tag + 1, *places[number : number + 1])
        if "PixelData" in rest:
            # Both serve one or eight bits a voxel; encapsulated ones are bytes (PS3.5 A.2, A.4).
            vr = "OB" if transfer_syntax_uid.is_compressed else "OW"
            rest["PixelData"] = pixels = DataElement(rest["PixelData"].tag, vr, dataset.PixelData)
            pixels.is_undefined_length = transfer_syntax_uid.is_compressed
        write_dataset(buffer, rest, dataset.get("SpecificCharacterSet", default_encoding))
    return buffer.getvalue()


def _between(dataset: Dataset, first: int, end: int = END_OF_TAGS) -> Dataset:
    """The elements from one tag up to another, which is not among them."""
    return Dataset({element.tag: element for element in dataset if first <= element.tag < end})


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
