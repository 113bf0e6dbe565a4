"""What a BIDS side-car says of a NIfTI file, as if it stood in a DICOM header.

The names of the fields are those that dcm2niix writes and BIDS defines; most are DICOM's own keywords.
BIDS has times in seconds, DICOM in milliseconds.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset

from service.dicom.headers import FOREIGN_ERRORS, Attributes, quiet
from service.errors import UnreadableSeries

#: A larger file is no side-car. Chosen by us: dcm2niix writes some kilobytes.
LARGEST_BYTES: Final = 2**20
#: A larger number is none of these. Chosen by us: far above a field strength in gauss or a series number.
LARGEST_NUMBER: Final = 1e9
#: Fields that stand as they are.
SAME: Final = (
    *("Modality", "Manufacturer", "StationName", "MagneticFieldStrength", "BodyPartExamined"),
    *("SeriesDescription", "StudyDescription", "ProtocolName", "SequenceName", "PulseSequenceName"),
    *("MRAcquisitionType", "FlipAngle", "EchoTrainLength", "SeriesNumber", "AcquisitionNumber"),
    *("AcquisitionTime", "AcquisitionDate", "StudyDate", "TimezoneOffsetFromUTC"),
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientSize"),
    *("AccessionNumber", "StudyInstanceUID", "SeriesInstanceUID", "ContrastBolusAgent"),
    *("DerivationDescription", "PatientIdentityRemoved", "EchoPulseSequence", "InversionRecovery"),
    *("SpectrallySelectedSuppression", "SpectrallySelectedExcitation", "ComplexImageComponent"),
)
RENAMED: Final = {
    "ManufacturersModelName": "ManufacturerModelName",
    "ManufacturerModelName": "ManufacturerModelName",
    "ContrastBolusIngredient": "ContrastBolusAgent",
    "EchoNumber": "EchoNumbers",
}
#: Times by the longest that can be meant, in seconds. A larger number was written in milliseconds or is a
#: slip of the pen, and is not used. Chosen by us: clinical echo times end at 0.5 s, inversions at 5 s.
SECONDS: Final = {"EchoTime": 1.0, "RepetitionTime": 60.0, "InversionTime": 10.0}
#: Fields with several values, which dcm2niix puts together with an underscore.
SEVERAL: Final = ("ScanningSequence", "SequenceVariant", "ScanOptions")
#: Values of ImageType that dcm2niix takes apart at the underscore.
TOGETHER: Final = re.compile(
    r"(?<![^\\])(IN|OPP|OPPOSED|OUT|FAT|PHASE|T1|T2|R2)\\(PHASE|FRAC|FRACTION|MAP)(?![^\\])"
)


def sidecar_of(path: Path) -> Path:
    """Where the side-car of a NIfTI file lies: beside it, under the same name."""
    return path.with_name(re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.IGNORECASE) + ".json")


@quiet()
def read_sidecar(path: Path) -> Attributes:
    """The attributes that a side-car names, none where there is no such file.

    An object of JSON is expected; raises UnreadableSeries, reason ``bad_sidecar``. Single fields that make
    no sense are passed over. What names no modality is taken for MR: BIDS keeps that in the folder's name.
    """
    dataset = Dataset()
    for keyword, value in _told(_fields(path)):
        tag = tag_for_keyword(keyword)
        if tag is not None and value:
            try:
                dataset.add_new(tag, dictionary_VR(tag), value)
            except FOREIGN_ERRORS:
                continue
    if "Modality" not in dataset:
        dataset.Modality = "MR"
    return Attributes((dataset,))


def _fields(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_BYTES + 1)
        if len(raw) > LARGEST_BYTES:
            raise UnreadableSeries("The side-car is too large.", reason="bad_sidecar")
        found = json.loads(raw.decode("utf-8-sig", errors="replace"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UnreadableSeries("The file could not be opened or read.", reason="io_error") from error
    except (ValueError, RecursionError) as error:
        raise UnreadableSeries("The side-car is not JSON.", reason="bad_sidecar") from error
    if not isinstance(found, dict):
        raise UnreadableSeries("The side-car is no object of JSON.", reason="bad_sidecar")
    return found


def _told(fields: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """DICOM keyword and value, in DICOM's units and with backslashes between several values."""
    for name in (*SAME, *RENAMED):
        yield RENAMED.get(name, name), _text(fields.get(name))
    for name, longest in SECONDS.items():
        seconds = _number(fields.get(name))
        if seconds is not None and 0 < seconds <= longest:
            yield name, _text(seconds * 1000.0)
    for name in SEVERAL:
        value = _text(fields.get(name))
        parts = value.split("_") if "_" in value else []
        yield name, "\\".join(dict.fromkeys([*filter(None, [value]), *parts]))
    yield "ImageType", TOGETHER.sub(r"\1_\2", _text(fields.get("ImageType")))
    moment = re.match(r"(\d{4})-?(\d\d)-?(\d\d)T([\d:.]+)", _text(fields.get("AcquisitionDateTime")))
    if moment:
        yield "AcquisitionDate", "".join(moment.groups()[:3])
        yield "AcquisitionTime", moment[4]


def _number(value: object) -> float | None:
    """A finite number; whole ones of any length may stand in JSON."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= LARGEST_NUMBER:
        return None
    return float(value)


def _text(value: object) -> str:
    """One value or several as DICOM text; "" for what is neither text nor number."""
    if isinstance(value, list):
        return "\\".join(filter(None, (_text(each) for each in value if not isinstance(each, list))))
    if isinstance(value, str):
        return value
    number = _number(value)
    return "" if number is None else f"{number:.10g}"
