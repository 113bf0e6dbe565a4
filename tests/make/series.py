"""Small MR series of any geometry and any oddity, written to disk."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
)
from pydicom.valuerep import format_number_as_ds

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
STUDY_UID = "1.2.826.0.1.3680043.8.498.1"
FRAME_UID = "1.2.826.0.1.3680043.8.498.9"


def tilted(degrees: float) -> tuple[float, ...]:
    """Axial slices turned around the left-right axis."""
    angle = np.deg2rad(degrees)
    return (1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(-np.sin(angle)))


def normal_of(orientation: Sequence[float]) -> np.ndarray:
    """Cross product of the two directions."""
    return np.cross(orientation[:3], orientation[3:])


def mr_slice(**changes: Any) -> Dataset:
    """One valid axial T2 slice of 6 rows and 8 columns whose pixels are 0, 1, 2, ...

    A change to None removes the attribute.
    """
    dataset = Dataset()
    usual: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 100",
        "ImageType": ["ORIGINAL", "PRIMARY", "M"],
        "SOPClassUID": MRImageStorage,
        "SOPInstanceUID": f"{STUDY_UID}.1.1",
        "StudyDate": "20240229",
        "SeriesDate": "20240229",
        "StudyTime": "101500",
        "AccessionNumber": "A1",
        "Modality": "MR",
        "Manufacturer": "Maker",
        "ReferringPhysicianName": "",
        "StudyDescription": "Study",
        "SeriesDescription": "t2_tse_tra",
        "PatientName": "Doe^Jane",
        "PatientID": "P1",
        "PatientBirthDate": "19640229",
        "PatientSex": "F",
        "ScanningSequence": "SE",
        "SequenceVariant": ["SK", "SP"],
        "MRAcquisitionType": "2D",
        "SliceThickness": "4",
        "RepetitionTime": "3500",
        "EchoTime": "98",
        "MagneticFieldStrength": "1.5",
        "EchoTrainLength": "17",
        "StudyInstanceUID": STUDY_UID,
        "SeriesInstanceUID": f"{STUDY_UID}.1",
        "StudyID": "1",
        "SeriesNumber": "1",
        "InstanceNumber": "1",
        "ImagePositionPatient": ["0", "0", "0"],
        "ImageOrientationPatient": [format_number_as_ds(v) for v in AXIAL],
        "FrameOfReferenceUID": FRAME_UID,
        "PositionReferenceIndicator": "",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": 6,
        "Columns": 8,
        "PixelSpacing": ["1.5", "2"],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
    }
    for keyword, value in {**usual, **changes}.items():
        if value is not None and keyword != "PixelData":
            setattr(dataset, keyword, value)
    pixels = changes.get("PixelData", np.arange(48, dtype="<u2").tobytes())
    if pixels is not None:
        dataset.add_new("PixelData", "OW", pixels)
    return dataset


def save(dataset: Dataset, path: Path, *, syntax: str = ExplicitVRLittleEndian) -> Path:
    """Write one file; a compressed syntax encodes the pixels losslessly."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", MRImageStorage)
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "1.2.3")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    if syntax == ExplicitVRLittleEndian:
        dataset.save_as(path, enforce_file_format=True)
        return path
    if hasattr(syntax, "is_encapsulated") and syntax.is_encapsulated:
        dataset.compress(syntax, generate_instance_uid=False)
    meta.TransferSyntaxUID = syntax
    dataset.save_as(path, enforce_file_format=True)
    return path


def mr_series(
    out: Path,
    *,
    positions: Sequence[float] = (0.0, 4.0, 8.0, 12.0, 16.0),
    orientation: Sequence[float] = AXIAL,
    origin: Sequence[float] = (-10.0, -20.0, -30.0),
    series: int = 1,
    first_number: int = 1,
    changes: dict[str, Any] | None = None,
    each: Callable[[Dataset, int], None] | None = None,
    syntax: str = ExplicitVRLittleEndian,
    prefix: str = "IM",
) -> list[Path]:
    """Slices at the given offsets along the cross product of the orientation, in that order.

    Pixels of slice ``i`` are 100 * i, 100 * i + 1, and so on.
    """
    paths = []
    normal = normal_of(orientation)
    for index, offset in enumerate(positions):
        number = first_number + index
        place = np.array(origin) + offset * normal
        dataset = mr_slice(
            **{
                "SOPInstanceUID": f"{STUDY_UID}.{series}.{number}",
                "SeriesInstanceUID": f"{STUDY_UID}.{series}",
                "SeriesNumber": str(series),
                "InstanceNumber": str(number),
                "ImagePositionPatient": [format_number_as_ds(float(v)) for v in place],
                "ImageOrientationPatient": [format_number_as_ds(float(v)) for v in orientation],
                "PixelData": (np.arange(48, dtype="<u2") + 100 * index).tobytes(),
                **(changes or {}),
            }
        )
        if each:
            each(dataset, index)
        paths.append(save(dataset, out / f"{prefix}{series}-{number:04d}.dcm", syntax=syntax))
    return paths


def _item(**values: Any) -> Dataset:
    """One sequence item."""
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def enhanced_mr(
    path: Path,
    *,
    positions: Sequence[Sequence[float]],
    orientations: Sequence[Sequence[float]] | None = None,
    frame_types: Sequence[Sequence[str]] | None = None,
    slopes: Sequence[float] | None = None,
    sop_class: str = EnhancedMRImageStorage,
    syntax: str = ExplicitVRLittleEndian,
    **changes: Any,
) -> Path:
    """One multi-frame object; orientation and timing shared unless given for each frame."""
    count = len(positions)
    pixels = np.concatenate([np.arange(48, dtype="<u2") + 100 * i for i in range(count)])
    dataset = mr_slice(
        **{
            "SOPClassUID": sop_class,
            "ImagePositionPatient": None,
            "ImageOrientationPatient": None,
            "PixelSpacing": None,
            "SliceThickness": None,
            "EchoTime": None,
            "RepetitionTime": None,
            "ScanningSequence": None,
            "SequenceVariant": None,
            "NumberOfFrames": str(count),
            "ImageType": ["ORIGINAL", "PRIMARY", "T2", "NONE"],
            "EchoPulseSequence": "SPIN",
            "PixelData": pixels.tobytes(),
            **changes,
        }
    )
    shared = _item(
        PixelMeasuresSequence=[_item(PixelSpacing=["1.5", "2"], SliceThickness="4")],
        MREchoSequence=[_item(EffectiveEchoTime=98.0)],
        MRTimingAndRelatedParametersSequence=[_item(RepetitionTime="3500", EchoTrainLength=17)],
    )
    if orientations is None:
        shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=list(AXIAL))]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [
        _frame_groups(i, positions, orientations, frame_types, slopes) for i in range(count)
    ]
    return save(dataset, path, syntax=syntax)


def _frame_groups(
    index: int,
    positions: Sequence[Sequence[float]],
    orientations: Sequence[Sequence[float]] | None,
    frame_types: Sequence[Sequence[str]] | None,
    slopes: Sequence[float] | None,
) -> Dataset:
    """The functional groups of one frame."""
    place = [format_number_as_ds(float(v)) for v in positions[index]]
    groups = _item(
        FrameContentSequence=[_item(StackID="1", InStackPositionNumber=index + 1)],
        PlanePositionSequence=[_item(ImagePositionPatient=place)],
    )
    if orientations is not None:
        turned = [format_number_as_ds(float(v)) for v in orientations[index]]
        groups.PlaneOrientationSequence = [_item(ImageOrientationPatient=turned)]
    if frame_types is not None:
        groups.MRImageFrameTypeSequence = [_item(FrameType=list(frame_types[index]))]
    if slopes is not None:
        slope = format_number_as_ds(slopes[index])
        groups.PixelValueTransformationSequence = [
            _item(RescaleSlope=slope, RescaleIntercept="0", RescaleType="US")
        ]
    return groups
