"""MR series written from arrays: the bundled phantom, and converted images for tests.

Whatever is written here says in its headers that no scanner made it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage
from pydicom.valuerep import format_number_as_ds

from service.core.volume import Grid, Volume
from service.dicom.demographics import years_between
from service.dicom.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, uid
from service.dicom.phantom import Phantom, paraspinal_phantom
from service.dicom.series import PHANTOM_MANUFACTURER

#: Fixed, so that the same arrays give the same bytes.
STUDY_TIME: Final = datetime(2025, 3, 10, 9, 30, tzinfo=UTC)
#: The marker of the phantom's device, beside its manufacturer.
PHANTOM_SERIAL_NUMBER: Final = "PHANTOM-1"


@dataclass(frozen=True, kw_only=True)
class SyntheticPatient:
    """Whom the images claim to show; None is written as an empty value."""

    name: str
    patient_id: str
    birth_date: date | None = None
    sex: str = ""
    height_m: float | None = None
    weight_kg: float | None = None


@dataclass(frozen=True, kw_only=True)
class SyntheticSeries:
    """What the headers of one written series say, besides geometry."""

    #: Distinguishes its identifiers from those of any other series.
    key: str
    #: Series of one study share it.
    study_key: str
    description: str
    study_description: str
    #: Where the pixels come from, for ImageComments and DerivationDescription.
    origin: str
    manufacturer: str
    model_name: str
    serial_number: str = ""
    series_number: int = 1
    body_part: str = "LSPINE"
    field_tesla: float = 1.5


#: Sequence attributes of each contrast: usual values of clinical protocols, written by us.
SEQUENCES: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "t2_tse": {
            "ImageType": ["DERIVED", "PRIMARY", "M", "NORM"],
            "ScanningSequence": "SE",
            "SequenceVariant": ["SK", "SP"],
            "MRAcquisitionType": "2D",
            "RepetitionTime": "3500",
            "EchoTime": "98",
            "EchoTrainLength": "17",
            "FlipAngle": "150",
        },
        "t2_haste": {
            "ImageType": ["DERIVED", "PRIMARY", "M", "NORM"],
            "ScanningSequence": "SE",
            "SequenceVariant": ["SK", "SP"],
            "MRAcquisitionType": "2D",
            "RepetitionTime": "1000",
            "EchoTime": "91",
            "EchoTrainLength": "146",
            "FlipAngle": "160",
            "SequenceName": "h2d1_146",
        },
        "t1": {
            "ImageType": ["DERIVED", "PRIMARY", "M", "NORM"],
            "ScanningSequence": "SE",
            "SequenceVariant": ["SK", "SP"],
            "MRAcquisitionType": "2D",
            "RepetitionTime": "600",
            "EchoTime": "11",
            "EchoTrainLength": "3",
            "FlipAngle": "150",
        },
        "water": {"ImageType": ["DERIVED", "PRIMARY", "DIXON", "WATER"]},
        "fat": {"ImageType": ["DERIVED", "PRIMARY", "DIXON", "FAT"]},
        "in_phase": {"ImageType": ["DERIVED", "PRIMARY", "DIXON", "IN_PHASE"]},
        "opposed": {"ImageType": ["DERIVED", "PRIMARY", "DIXON", "OPP_PHASE"]},
    }
)
#: What all Dixon images share; the echo times are those of in-phase and opposed echoes at 1.5 T.
DIXON_SEQUENCE: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "ScanningSequence": "GR",
        "SequenceVariant": "SP",
        "MRAcquisitionType": "3D",
        "RepetitionTime": "7.5",
        "EchoTime": "4.77",
        "EchoTrainLength": "1",
        "FlipAngle": "10",
    }
)


def write_mr_series(
    volume: Volume, out: Path, *, contrast: str, patient: SyntheticPatient, series: SyntheticSeries
) -> list[Path]:
    """Write one MR Image per slice; the same arguments give the same bytes.

    Pixels are rounded to whole numbers from 0 to 65535. ``contrast`` is one of ``SEQUENCES``.
    """
    out.mkdir(parents=True, exist_ok=True)
    stored = np.clip(np.rint(volume.values), 0, 65535).astype("<u2")
    common = _common(contrast, patient, series)
    window = max(1.0, float(np.percentile(stored, 99.5)))
    paths = []
    for index, pixels in enumerate(stored):
        dataset = Dataset()
        dataset.update(common)
        _add_place(dataset, volume.grid, index)
        _add_pixels(dataset, pixels, window)
        dataset.SOPInstanceUID = uid("synthetic instance", series.study_key, series.key, str(index))
        dataset.InstanceNumber = str(index + 1)
        dataset.FrameOfReferenceUID = uid("synthetic frame of reference", series.study_key)
        path = out / f"IM{index + 1:04d}.dcm"
        _save(dataset, path)
        paths.append(path)
    return paths


def _common(contrast: str, patient: SyntheticPatient, series: SyntheticSeries) -> Dataset:
    """What all slices share."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = MRImageStorage
    _add_patient(dataset, patient)
    _add_study(dataset, series)
    sequence = SEQUENCES[contrast]
    for keyword, value in {**(DIXON_SEQUENCE if "EchoTime" not in sequence else {}), **sequence}.items():
        setattr(dataset, keyword, value)
    dataset.ScanOptions = ""
    dataset.MagneticFieldStrength = format_number_as_ds(series.field_tesla)
    dataset.PatientPosition = "HFS"
    dataset.DerivationDescription = series.origin
    dataset.ImageComments = series.origin
    dataset.LossyImageCompression = "00"
    return dataset


def _add_patient(dataset: Dataset, patient: SyntheticPatient) -> None:
    """The patient and patient study modules."""
    dataset.PatientName = patient.name
    dataset.PatientID = patient.patient_id
    dataset.PatientBirthDate = patient.birth_date.strftime("%Y%m%d") if patient.birth_date else ""
    dataset.PatientSex = patient.sex
    if patient.birth_date:
        dataset.PatientAge = f"{int(years_between(patient.birth_date, STUDY_TIME.date())):03d}Y"
    if patient.height_m is not None:
        dataset.PatientSize = format_number_as_ds(patient.height_m)
    if patient.weight_kg is not None:
        dataset.PatientWeight = format_number_as_ds(patient.weight_kg)


def _add_study(dataset: Dataset, series: SyntheticSeries) -> None:
    """Study, series and equipment."""
    day, clock = STUDY_TIME.strftime("%Y%m%d"), STUDY_TIME.strftime("%H%M%S")
    for name in "Study", "Series", "Acquisition", "Content":
        setattr(dataset, f"{name}Date", day)
        setattr(dataset, f"{name}Time", clock)
    dataset.StudyInstanceUID = uid("synthetic study", series.study_key)
    dataset.SeriesInstanceUID = uid("synthetic series", series.study_key, series.key)
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""
    dataset.StudyID = "1"
    dataset.StudyDescription = series.study_description
    dataset.Modality = "MR"
    dataset.SeriesNumber = str(series.series_number)
    dataset.SeriesDescription = series.description
    dataset.ProtocolName = series.description
    dataset.BodyPartExamined = series.body_part
    dataset.AcquisitionNumber = "1"
    dataset.PositionReferenceIndicator = ""
    dataset.Manufacturer = series.manufacturer
    dataset.ManufacturerModelName = series.model_name
    dataset.DeviceSerialNumber = series.serial_number
    dataset.SoftwareVersions = IMPLEMENTATION_VERSION_NAME


def _add_place(dataset: Dataset, grid: Grid, index: int) -> None:
    """The image plane of one slice."""
    directions = [*grid.column_direction, *grid.row_direction]
    dataset.ImagePositionPatient = [format_number_as_ds(float(v)) for v in grid.origins_mm[index]]
    dataset.ImageOrientationPatient = [format_number_as_ds(float(v)) for v in directions]
    dataset.PixelSpacing = [format_number_as_ds(v) for v in grid.pixel_spacing_mm]
    thickness = grid.slice_thickness_mm or grid.slice_step_mm
    dataset.SliceThickness = format_number_as_ds(thickness)
    if len(grid.origins_mm) > 1:
        dataset.SpacingBetweenSlices = format_number_as_ds(grid.slice_step_mm)
    location = float(np.dot(grid.origins_mm[index], grid.normal))
    dataset.SliceLocation = format_number_as_ds(round(location, 4))


def _add_pixels(dataset: Dataset, pixels: NDArray[np.uint16], window: float) -> None:
    """Unsigned grey of 16 bits."""
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = 16
    dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.WindowCenter = format_number_as_ds(window / 2)
    dataset.WindowWidth = format_number_as_ds(window)
    dataset.add_new("PixelData", "OW", pixels.tobytes())


def _save(dataset: Dataset, path: Path) -> None:
    """Write one file in Explicit VR Little Endian."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = UID(dataset.SOPInstanceUID)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    dataset.file_meta = meta
    dataset.save_as(path, enforce_file_format=True)


PHANTOM_PATIENT: Final = SyntheticPatient(
    name="PHANTOM^SYNTHETIC",
    patient_id="PHANTOM-1",
    birth_date=date(1980, 3, 10),
    sex="M",
    height_m=1.78,
    weight_kg=80.0,
)


def write_phantom(
    out: Path, *, contrast: str = "t2_tse", seed: int = 1, slices: int = 24, **shape: Any
) -> list[Path]:
    """Write the phantom as an axial lumbar series; ``shape`` goes to ``paraspinal_phantom``."""
    return write_drawn(out, contrast=contrast, seed=seed, slices=slices, **shape)[0]


def write_drawn(
    out: Path,
    *,
    contrast: str = "t2_tse",
    seed: int = 1,
    slices: int = 24,
    patient: SyntheticPatient = PHANTOM_PATIENT,
    occasion: str = "",
    **shape: Any,
) -> tuple[list[Path], Phantom]:
    """The same of any patient, and the truth; another ``occasion`` is another study of the same images."""
    phantom = paraspinal_phantom(contrast=contrast, seed=seed, slices=slices, **shape)
    variant = ",".join(f"{k}={v}" for k, v in sorted({**shape, "slices": slices, "seed": seed}.items()))
    variant += f",occasion={occasion}" if occasion else ""
    series = SyntheticSeries(
        key=f"{contrast},{variant}",
        study_key=f"phantom,{variant}",
        description=f"MYOPHANTOM {contrast} axial lumbar",
        study_description="MYOPHANTOM synthetic lumbar spine",
        origin="Synthetic numerical phantom drawn by myoscreen; not scanner output, no patient.",
        manufacturer=PHANTOM_MANUFACTURER,
        model_name="paraspinal phantom",
        serial_number=PHANTOM_SERIAL_NUMBER,
        series_number=1 + sorted(SEQUENCES).index(contrast),
    )
    grid = axial_grid(phantom.image.shape, phantom.spacing_mm)
    volume = Volume(values=phantom.image.astype(np.float32), grid=grid)
    return write_mr_series(volume, out, contrast=contrast, patient=patient, series=series), phantom


def axial_grid(shape: tuple[int, ...], spacing_mm: tuple[float, float, float]) -> Grid:
    """A straight axial grid around the isocentre: rows run to the back, columns to the patient's left."""
    slices, rows, columns = shape
    step, row_mm, column_mm = spacing_mm
    origins = np.empty((slices, 3))
    origins[:, 0] = -(columns - 1) / 2 * column_mm
    origins[:, 1] = -(rows - 1) / 2 * row_mm
    origins[:, 2] = (np.arange(slices) - (slices - 1) / 2) * step
    return Grid(
        origins_mm=origins,
        column_direction=np.array([1.0, 0.0, 0.0]),
        row_direction=np.array([0.0, 1.0, 0.0]),
        pixel_spacing_mm=(row_mm, column_mm),
        rows=rows,
        columns=columns,
        slice_thickness_mm=step,
    )
