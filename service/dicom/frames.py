"""The frames of DICOM files: one for an MR Image, many for Enhanced and Legacy Converted MR."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset

from service.core.series import Contrast
from service.dicom.contrast import dixon_part, image_types
from service.dicom.geometry import FrameGeometry, read_geometry
from service.dicom.headers import HEADER_ERRORS, Attributes, Header
from service.dicom.kinds import is_derived
from service.dicom.stack import FrameRef
from service.errors import UnreadableSeries

#: The only attributes that a scan keeps: a tenth of a header.
SCAN_TAGS: Final = (
    *("SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "StudyDate", "SeriesDate"),
    *("AcquisitionDate", "ContentDate", "AcquisitionDateTime", "StudyTime", "SeriesTime", "AcquisitionTime"),
    *("ContentTime", "InstanceCreationDate", "InstanceCreationTime", "TimezoneOffsetFromUTC"),
    *("AccessionNumber", "Modality", "Manufacturer", "ManufacturerModelName", "StationName"),
    *("StudyDescription", "SeriesDescription"),
    *("DerivationDescription", "AnatomicRegionSequence", "DirectoryRecordSequence"),
    *("VolumeBasedCalculationTechnique", "ComplexImageComponent", "AcquisitionContrast"),
    *(
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "PatientAge",
        "PatientSize",
        "PatientIdentityRemoved",
    ),
    *("ContrastBolusAgent", "ContrastBolusAgentSequence", "BodyPartExamined", "ScanningSequence"),
    *("SequenceVariant", "ScanOptions", "MRAcquisitionType", "SequenceName", "SliceThickness"),
    *("RepetitionTime", "EchoTime", "InversionTime", "EchoNumbers", "MagneticFieldStrength"),
    *("EchoTrainLength", "ProtocolName", "DiffusionBValue", "PulseSequenceName", "EchoPulseSequence"),
    *("InversionRecovery", "SpectrallySelectedSuppression", "SpectrallySelectedExcitation"),
    *(
        "EchoPlanarPulseSequence",
        "SteadyStatePulseSequence",
        "TriggerTime",
        "FlipAngle",
        "StudyInstanceUID",
        "SeriesInstanceUID",
    ),
    *(
        "TablePosition",
        "TableTraverse",
        "AcquisitionNumber",
        "InstanceNumber",
        "ImagePositionPatient",
        "ImageOrientationPatient",
    ),
    *("FrameOfReferenceUID", "TemporalPositionIdentifier", "NumberOfFrames", "Rows", "Columns"),
    *("SamplesPerPixel", "PixelSpacing", "LossyImageCompression", "LossyImageCompressionMethod"),
    *("SeriesNumber", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
#: PS3.5 9.1; a leading zero in a component is forbidden there, but harms nothing.
UID_LENGTH: Final = 64
UID_PATTERN: Final = re.compile(r"[0-9]+(\.[0-9]+)+")


@dataclass(frozen=True, kw_only=True, eq=False)
class HeaderFrame:
    """One slice as its header describes it."""

    ref: FrameRef
    study_uid: str
    series_uid: str
    sop_class_uid: str
    frame_of_reference_uid: str | None
    transfer_syntax_uid: str
    geometry: FrameGeometry
    attributes: Attributes
    #: What separates parts of one series that lie on one grid.
    part: tuple[str, ...]
    echo_ms: float


def read_frames(path: Path, header: Header) -> list[HeaderFrame]:
    """The frames of one file; UnreadableSeries where it cannot be part of a stack."""
    try:
        root = Attributes((header.dataset,))
        if "PerFrameFunctionalGroupsSequence" in header.dataset:
            return _enhanced_frames(path, header, root)
        if (root.whole("NumberOfFrames") or 1) > 1:
            raise UnreadableSeries(
                "A multi-frame object without functional groups has no slice positions.",
                reason="no_geometry",
            )
        return [_frame(path, header, root, None)]
    except HEADER_ERRORS as error:
        raise UnreadableSeries("The DICOM header cannot be parsed.", reason="bad_header") from error


def frame_attributes(dataset: Dataset, indices: Sequence[int]) -> list[Attributes]:
    """Attributes of frames by index from 0: per-frame groups first, then shared ones, then the rest."""
    root = Attributes((dataset,))
    per_frame = root.items("PerFrameFunctionalGroupsSequence")
    if not per_frame:
        return [root for _ in indices]
    shared = [i for s in root.items("SharedFunctionalGroupsSequence") for i in _group_items(s)]
    return [Attributes((*_group_items(per_frame[index]), *shared, dataset)) for index in indices]


def _enhanced_frames(path: Path, header: Header, root: Attributes) -> list[HeaderFrame]:
    """The frames of a multi-frame object with functional groups."""
    per_frame = root.items("PerFrameFunctionalGroupsSequence")
    declared = root.whole("NumberOfFrames") or len(per_frame)
    if declared != len(per_frame) or not per_frame:
        raise UnreadableSeries(
            f"NumberOfFrames is {declared}, but {len(per_frame)} frames are described.",
            reason="bad_frame_count",
        )
    described = frame_attributes(header.dataset, range(declared))
    return [_frame(path, header, attributes, i) for i, attributes in enumerate(described, start=1)]


def _group_items(groups: Dataset) -> list[Dataset]:
    """The first item of every functional group."""
    found = []
    for tag in list(groups.keys()):
        items = groups[tag].value if _vr(tag) == "SQ" else None
        if items:
            found.append(items[0])
    return found


def _vr(tag: int) -> str:
    """The value representation of a standard tag, "" for any other."""
    try:
        return dictionary_VR(tag)
    except KeyError:
        return ""


def _frame(path: Path, header: Header, attributes: Attributes, number: int | None) -> HeaderFrame:
    """One frame, with its geometry."""
    sop_uid = required_uid(attributes, "SOPInstanceUID")
    geometry = read_geometry(attributes)
    if header.pixel_offset is None:
        raise UnreadableSeries("The object has no pixels.", reason="no_pixels")
    return HeaderFrame(
        ref=FrameRef(path=path, frame=number, sop_instance_uid=sop_uid),
        study_uid=required_uid(attributes, "StudyInstanceUID"),
        series_uid=required_uid(attributes, "SeriesInstanceUID"),
        sop_class_uid=required_uid(attributes, "SOPClassUID"),
        frame_of_reference_uid=_frame_of_reference(attributes),
        transfer_syntax_uid=header.transfer_syntax_uid,
        geometry=geometry,
        attributes=attributes,
        part=_part(attributes),
        echo_ms=attributes.number("EffectiveEchoTime") or attributes.number("EchoTime") or 0.0,
    )


def required_uid(attributes: Attributes, keyword: str) -> str:
    """A UID that may name a row or a file; UnreadableSeries where it is absent, malformed or several."""
    text = "\\".join(attributes.texts(keyword)).rstrip("\0")
    if not text:
        raise UnreadableSeries(f"{keyword} is missing.", reason="no_identity")
    if len(text) > UID_LENGTH or not UID_PATTERN.fullmatch(text):
        raise UnreadableSeries(f"{keyword} is malformed.", reason="bad_uid")
    return text


def _frame_of_reference(attributes: Attributes) -> str | None:
    """The frame of reference; None where it is absent, or no UID, which nothing could be placed in."""
    text = attributes.text("FrameOfReferenceUID").rstrip("\0")
    return text if len(text) <= UID_LENGTH and UID_PATTERN.fullmatch(text) else None


def _part(attributes: Attributes) -> tuple[str, ...]:
    """Echo, Dixon part, complex component, by-product or localiser, and declared stack."""
    dixon: Contrast | None = dixon_part(attributes)
    component = attributes.code("ComplexImageComponent")
    if not component:
        kinds = {"P": "PHASE", "PHASE": "PHASE", "R": "REAL", "REAL": "REAL", "I": "IMAGINARY"}
        component = next((kinds[t] for t in image_types(attributes)[2:] if t in kinds), "")
    return (
        dixon or "",
        "" if component in ("MAGNITUDE", "MIXED") else component,
        "derived" if is_derived(attributes) else "",
        "localizer" if "LOCALIZER" in image_types(attributes) else "",
        attributes.text("EchoNumbers"),
        attributes.text("StackID"),
        attributes.text("SamplesPerPixel"),
    )
