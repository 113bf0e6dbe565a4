"""Headers that results are made from are complete, clean and in Unicode; identities are read cheaply."""

import io
import zlib
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pydicom.valuerep import PersonName

from service.dicom.identity import is_own_result
from service.dicom.series import read_identity, scan, source_datasets
from service.errors import UnreadableSeries
from tests.make.series import enhanced_mr, mr_series, mr_slice

NAMES = [
    ("ISO_IR 100", "Müller^Jörg"),
    ("ISO_IR 144", "Иванов^Пётр"),
    ("ISO_IR 192", "王^小东"),
    ("GB18030", "王^小东"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
]
TYPE_2 = [
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "Manufacturer",
    "SeriesNumber",
    "InstanceNumber",
    "PositionReferenceIndicator",
    "SliceThickness",
]


def sources(tmp_path: Path, **changes: Any) -> list[Dataset]:
    """The source datasets of a small series."""
    (stack,) = scan(mr_series(tmp_path, changes=changes)).stacks
    return source_datasets(stack)


def segmentation_of(datasets: list[Dataset]) -> Dataset:
    """A segmentation made by highdicom, written strictly and read back."""
    mask = np.zeros((len(datasets), 6, 8), np.uint8)
    mask[:, 2, 3] = 1
    description = highdicom.seg.SegmentDescription(
        1,
        "muscle",
        highdicom.sr.CodedConcept("85756007", "SCT", "Tissue"),
        highdicom.sr.CodedConcept("91727004", "SCT", "Muscle"),
        "MANUAL",
    )
    segmentation = highdicom.seg.Segmentation(
        datasets, mask, "BINARY", [description], "2.25.1", 1, "2.25.2", 1, "m", "m", "1", "1"
    )
    buffer = io.BytesIO()
    segmentation.save_as(buffer)
    return pydicom.dcmread(io.BytesIO(buffer.getvalue()))


@pytest.mark.parametrize(("charset", "name"), NAMES)
def test_names_of_every_script_survive_into_results(
    tmp_path: Path, charset: str | list[str], name: str
) -> None:
    datasets = sources(tmp_path, SpecificCharacterSet=charset, PatientName=name)
    assert datasets[0].SpecificCharacterSet == "ISO_IR 192"
    assert str(segmentation_of(datasets).PatientName) == name


@pytest.mark.parametrize("keyword", TYPE_2)
def test_an_absent_type_2_attribute_does_not_stop_a_result(tmp_path: Path, keyword: str) -> None:
    datasets = sources(tmp_path, **{keyword: None})
    assert keyword in datasets[0]
    segmentation_of(datasets)


def test_a_missing_thickness_is_the_step(tmp_path: Path) -> None:
    assert sources(tmp_path, SliceThickness=None)[0].SliceThickness == 4.0


def test_sources_follow_the_order_of_the_grid(tmp_path: Path) -> None:
    (stack,) = scan(mr_series(tmp_path, positions=(8.0, 0.0, 4.0))).stacks
    assert [d.ImagePositionPatient[2] for d in source_datasets(stack)] == [-30.0, -26.0, -22.0]


def test_senseless_values_are_repaired_or_emptied(tmp_path: Path) -> None:
    def junk(dataset: Dataset, _index: int) -> None:
        for keyword, vr, text in (
            ("PatientWeight", "DS", "80.123456789012345678"),
            ("SeriesNumber", "IS", "7.0"),
            ("PatientAge", "AS", "66Y"),
            ("StudyTime", "TM", "10:15:00"),
            ("PatientBirthDate", "DA", "unknown"),
            ("PatientSize", "DS", "tall"),
            ("StudyDescription", "LO", "x" * 90),
            ("BodyPartExamined", "CS", "l-spine"),
            ("AccessionNumber", "SH", "A" * 20),
        ):
            element = pydicom.DataElement(pydicom.datadict.tag_for_keyword(keyword), vr, "")
            element._value = text
            dataset[keyword] = element
        dataset["PatientName"]._value = PersonName("A^B^C^D^E^F=1=2=3", validation_mode=pydicom.config.IGNORE)
        dataset.add_new(0x00091001, "LO", "secret")
        dataset.add_new(0x00090010, "LO", "CREATOR")

    (stack,) = scan(mr_series(tmp_path, each=junk)).stacks
    dataset = source_datasets(stack)[0]
    assert len(dataset["PatientWeight"].value.original_string) <= 16
    assert dataset.PatientWeight == pytest.approx(80.1234567890)
    assert dataset.SeriesNumber == 7
    assert dataset.PatientAge == "066Y"
    assert dataset.StudyTime == "101500"
    assert dataset.PatientBirthDate == ""
    assert dataset["PatientSize"].is_empty
    assert dataset.StudyDescription == "x" * 64
    assert dataset.BodyPartExamined == "L_SPINE"
    assert dataset.AccessionNumber == "A" * 16
    assert str(dataset.PatientName) == "A^B^C^D^E=1=2"
    assert not [e for e in dataset if e.tag.is_private]
    segmentation_of(source_datasets(stack))


def test_an_enhanced_object_is_one_source(tmp_path: Path) -> None:
    path = enhanced_mr(
        tmp_path / "e.dcm",
        positions=[(0, 0, 0), (0, 0, 4), (0, 0, 8)],
        AcquisitionDateTime="20240229101500",
        PatientSex=None,
    )
    (stack,) = scan([path]).stacks
    (dataset,) = source_datasets(stack)
    assert dataset.NumberOfFrames == 3
    assert dataset.PatientSex == ""
    assert len(dataset.PerFrameFunctionalGroupsSequence) == 3


def encoded(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The dataset as C-STORE carries it."""
    buffer = io.BytesIO()
    pydicom.filewriter.dcmwrite(
        buffer, dataset, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True
    )
    raw = buffer.getvalue()
    if syntax == DeflatedExplicitVRLittleEndian:
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        raw = deflate.compress(raw) + deflate.flush()
    return raw


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian]
)
def test_the_identity_is_read_from_what_the_network_carries(syntax: str) -> None:
    identity = read_identity(encoded(mr_slice(), syntax), syntax)
    assert identity.series_uid == mr_slice().SeriesInstanceUID
    assert identity.sop_class_uid == mr_slice().SOPClassUID
    assert (identity.modality, identity.series_description) == ("MR", "t2_tse_tra")
    assert identity.study.patient_name == "Doe^Jane"
    assert not identity.own_result


def test_the_identity_needs_no_pixels_and_no_demographics() -> None:
    bare = mr_slice(PatientName=None, PatientID=None, StudyDate=None, PixelData=None)
    assert read_identity(encoded(bare)[:-40], ExplicitVRLittleEndian).study.patient_name == ""


def test_a_result_of_ours_is_known_again() -> None:
    ours = mr_slice(Manufacturer="myoscreen", SeriesDescription="MYOSCREEN: report", Modality="SR")
    assert read_identity(encoded(ours), ExplicitVRLittleEndian).own_result


@pytest.mark.parametrize("keyword", ["Manufacturer", "SeriesDescription"])
def test_a_value_that_does_not_fit_its_representation_is_not_ours_and_does_not_raise(keyword: str) -> None:
    dataset = mr_slice(Manufacturer="myoscreen", SeriesDescription="MYOSCREEN: report")
    element = dataset[keyword]
    # Three bytes are no unsigned short.
    dataset[element.tag] = RawDataElement(element.tag, "US", 3, b"abc", 0, False, True)
    assert not is_own_result(dataset)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"SOPInstanceUID": None}, "no_identity"),
        ({"StudyInstanceUID": None}, "no_identity"),
        ({"SeriesInstanceUID": "1.2/../3"}, "bad_uid"),
        ({"SeriesInstanceUID": "1." * 40 + "1"}, "bad_uid"),
        ({"SeriesInstanceUID": ".."}, "bad_uid"),
        ({"SeriesInstanceUID": "1..2"}, "bad_uid"),
    ],
)
def test_an_instance_without_usable_identifiers_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnreadableSeries) as caught:
        read_identity(encoded(mr_slice(**changes)), ExplicitVRLittleEndian)
    assert caught.value.reason.code == reason


@pytest.mark.parametrize("raw", [b"", b"\xff" * 500, b"text " * 100])
def test_bytes_that_are_no_dataset_are_refused(raw: bytes) -> None:
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, "1.2.3"):
        with pytest.raises(UnreadableSeries):
            read_identity(raw, syntax)
