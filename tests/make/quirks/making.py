"""How the oddities of the table are made."""

import struct
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final

from pydicom import DataElement
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
)

from tests.make.series import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    enhanced_mr,
    mr_series,
    mr_slice,
    save,
    tilted,
)

#: Ten slices, 4 mm apart.
TEN: Final = tuple(4.0 * index for index in range(10))
GRADIENT: Final = {
    "ScanningSequence": "GR",
    "SequenceVariant": "SP",
    "RepetitionTime": "7",
    "EchoTrainLength": "1",
}
UNTOLD: Final = {"EchoTime": None, "RepetitionTime": None, "ScanningSequence": None, "SequenceVariant": None}

Make = Callable[[Path], list[Path]]


# Series


def series(*, positions: Iterable[float] = TEN, **keywords: Any) -> Make:
    """One series of slices; see ``mr_series``."""
    return lambda out: mr_series(out, positions=tuple(positions), **keywords)


def having(**changes: Any) -> Make:
    """One series whose headers differ from the usual ones by this."""
    return series(changes=changes)


def raw(**values: str) -> Make:
    """One series with values that keep no rule."""

    def write(dataset: Dataset, _index: int) -> None:
        for keyword, value in values.items():
            tag = tag_for_keyword(keyword)
            assert tag is not None
            element = dataset[keyword] if keyword in dataset else DataElement(tag, "LO", "")
            element._value = value
            dataset[tag] = element

    return series(each=write)


def several(*makes: Make) -> Make:
    """Several series."""
    return lambda out: [path for make in makes for path in make(out)]


def each(change: Callable[[Dataset, int], None], *, positions: Iterable[float] = TEN) -> Make:
    """One series with a change of each slice by its index."""
    return series(each=change, positions=positions)


def from_sixth(keyword: str, value: Any) -> Make:
    """Two times five places under one series, the second five with another value."""

    def change(dataset: Dataset, index: int) -> None:
        if index >= 10:
            setattr(dataset, keyword, value)

    return each(change, positions=TEN + TEN)


def dixon(part: str, *, number: int = 1, vendor: str = "") -> Make:
    """One image of a Dixon acquisition, as this vendor names it."""
    types = {
        "": ["DERIVED", "PRIMARY", "DIXON", part],
        "siemens": ["ORIGINAL", "PRIMARY", "M", "ND", "DIXON", part, "NORM", "DIS2D"],
        "philips": ["DERIVED", "PRIMARY", part, part, "DERIVED"],
        "ge": ["DERIVED", "SECONDARY", "DIXON", part],
    }
    changes = {**GRADIENT, "EchoTime": "2.38", "ImageType": types[vendor], "AcquisitionTime": "101600"}
    return series(series=number, changes={**changes, "AcquisitionDate": "20240229", "AcquisitionNumber": "1"})


def described(name: str, **changes: Any) -> Make:
    """A gradient echo that only its description names."""
    return having(**{**GRADIENT, "EchoTime": "4.77", "SeriesDescription": name, **changes})


def one_file(make: Callable[[Path], Path]) -> Make:
    """A single file."""
    return lambda out: [make(out / "one.dcm")]


def content(data: bytes) -> Make:
    """A file of these bytes."""

    def write(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    return one_file(write)


def enhanced(positions: Iterable[float] = TEN, **changes: Any) -> Make:
    """One multi-frame object."""
    places = [(-10.0, -20.0, z) for z in positions]
    return one_file(lambda path: enhanced_mr(path, positions=places, **changes))


def cut(make: Make, keep: Callable[[bytes], bytes]) -> Make:
    """The first file of a series changed as bytes."""

    def write(out: Path) -> list[Path]:
        paths = make(out)
        paths[0].write_bytes(keep(paths[0].read_bytes()))
        return paths

    return write


def copy(out: Path) -> list[Path]:
    paths = mr_series(out, positions=TEN)
    (out / "ZZ.dcm").write_bytes(paths[0].read_bytes())
    return [*paths, out / "ZZ.dcm"]


def no_meta(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    mr_slice().save_as(path, implicit_vr=True, little_endian=True)
    return path


def dicomdir(path: Path) -> Path:
    directory = Dataset()
    directory.SOPClassUID = "1.2.840.10008.1.3.10"
    directory.SOPInstanceUID = "1.2.3"
    directory.DirectoryRecordSequence = []
    return save(directory, path)


def nested(path: Path) -> Path:
    """A private sequence in a sequence, three thousand deep."""
    inner = b""
    for _ in range(3000):
        items = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
        inner = struct.pack("<HH2sHI", 0x0009, 0x1001, b"SQ", 0, 0xFFFFFFFF) + items
        inner += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return before_pixels(path, inner)


def items(path: Path) -> Path:
    """A private sequence of many empty items."""
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 200_000
    head = struct.pack("<HH2sHI", 0x0009, 0x1001, b"SQ", 0, 0xFFFFFFFF)
    return before_pixels(path, head + items + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))


def before_pixels(path: Path, element: bytes) -> Path:
    whole = save(mr_slice(), path).read_bytes()
    at = whole.index(b"\x10\x00\x10\x00")
    path.write_bytes(whole[:at] + element + whole[at:])
    return path


def bomb(path: Path) -> Path:
    """A deflated dataset whose header grows to 256 MB."""
    save(mr_slice(), path, syntax=DeflatedExplicitVRLittleEndian)
    whole = path.read_bytes()
    uid = b"1.2.840.10008.1.2.1.99"
    # The meta information ends where its group length says.
    length = struct.unpack_from("<I", whole, 140)[0]
    assert uid in whole[: 144 + length]
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    header = struct.pack("<HH2sHI", 0x0008, 0x0001, b"OB", 0, 2**28)
    path.write_bytes(whole[: 144 + length] + packer.compress(header + bytes(2**28)) + packer.flush())
    return path


def mosaic(dataset: Dataset, _index: int) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    dataset.ScanningSequence = ["EP"]


def localizer_planes(out: Path) -> list[Path]:
    changes = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
    planes = enumerate((AXIAL, CORONAL, SAGITTAL))
    return [
        path
        for number, plane in planes
        for path in mr_series(
            out, positions=TEN, orientation=plane, first_number=20 * number + 1, changes=changes
        )
    ]


def angled_blocks(out: Path) -> list[Path]:
    return [
        path
        for number in range(3)
        for path in mr_series(
            out,
            positions=(0.0, 4.0, 8.0),
            orientation=tilted(6.0 * number),
            origin=(-10.0, -20.0, 35.0 * number),
            first_number=10 * number + 1,
        )
    ]


def stations(out: Path) -> list[Path]:
    second = [30.5 + place for place in TEN]

    def table(dataset: Dataset, index: int) -> None:
        dataset.TablePosition = 0.0 if index < len(TEN) else 30.5

    return mr_series(out, positions=[*TEN, *second], each=table)


def two_people(dataset: Dataset, index: int) -> None:
    dataset.PatientSize = "1.7"
    if index > 5:
        dataset.PatientID, dataset.PatientBirthDate, dataset.PatientSex = "ELSE-77", "19330303", "M"


def one_person(dataset: Dataset, index: int) -> None:
    if index > 5:
        dataset.PatientID += " "
        dataset.PatientBirthDate = ""


def numbered_backwards(dataset: Dataset, index: int) -> None:
    dataset.InstanceNumber = str(99 - index)


def decimal_number(dataset: Dataset, index: int) -> None:
    dataset["InstanceNumber"]._value = f"{index + 1}.0"


def philips_scale(dataset: Dataset, _index: int) -> None:
    dataset.add_new(0x20050010, "LO", "Philips MR Imaging DD 001")
    dataset.add_new(0x2005100E, "FL", 0.004)


def colour(dataset: Dataset, _index: int) -> None:
    dataset.SamplesPerPixel = 3
    dataset.PhotometricInterpretation = "RGB"
    dataset.PixelData = bytes(48 * 3)
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7


LARGE: Final = {"Rows": 64, "Columns": 48, "PixelData": bytes(range(256)) * 24}
WATER, FAT = partial(dixon, "WATER"), partial(dixon, "FAT", number=2)
