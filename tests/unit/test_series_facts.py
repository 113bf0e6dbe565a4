"""What headers say of contrast, region, by-products, person and time."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from service.dicom.contrast import read_contrast
from service.dicom.demographics import parse_date, read_person
from service.dicom.headers import Attributes
from service.dicom.kinds import is_derived, is_localizer, read_region, read_scanner
from service.dicom.moments import newest_time
from service.dicom.series import scan
from tests.make.series import mr_series, mr_slice


def attributes(**changes: Any) -> Attributes:
    """One slice's attributes, with changes."""
    return Attributes((mr_slice(**changes),))


def dixon(*words: str) -> dict[str, Any]:
    """A gradient echo whose ImageType ends with the given words."""
    return {
        "ImageType": ["DERIVED", "PRIMARY", *words],
        "ScanningSequence": "GR",
        "SequenceVariant": "SP",
        "RepetitionTime": "7",
        "EchoTime": "4.77",
    }


GRADIENT = {"ScanningSequence": "GR", "SequenceVariant": "SP", "RepetitionTime": "7", "EchoTrainLength": "1"}


@pytest.mark.parametrize(
    ("changes", "contrast"),
    [
        ({}, "t2_tse"),
        ({"EchoTrainLength": "128"}, "t2_haste"),
        ({"EchoTrainLength": "128", "MRAcquisitionType": "3D"}, "t2_tse"),
        ({"SequenceName": "*h2d1_203"}, "t2_haste"),
        ({"SeriesDescription": "Ax SSFSE"}, "t2_haste"),
        ({"RepetitionTime": None, "SeriesDescription": "haste"}, "t2_haste"),
        ({"EchoTime": "10", "RepetitionTime": "550"}, "t1"),
        ({"EchoTime": "10", "RepetitionTime": "550", "ContrastBolusAgent": "Gd"}, "t1"),
        ({"EchoTime": "10", "RepetitionTime": "3000"}, "other"),
        ({"ScanOptions": "FS"}, "other"),
        ({"SeriesDescription": "t2_tse_fs_tra"}, "other"),
        ({"ScanningSequence": ["SE", "IR"], "InversionTime": "160", "EchoTime": "50"}, "stir"),
        ({"ScanningSequence": ["SE", "IR"], "InversionTime": "2500"}, "other"),
        ({"ScanningSequence": ["SE", "EP"]}, "other"),
        (dixon("DIXON", "WATER"), "water"),
        (dixon("W", "W"), "water"),
        (dixon("F"), "fat"),
        (dixon("IP"), "in_phase"),
        (dixon("OPP_PHASE"), "opposed"),
        (dixon("FF"), "fat_fraction"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "IN_PHASE"]}, "t2_tse"),
        ({**GRADIENT, "EchoTime": "2.38"}, "opposed"),
        ({**GRADIENT, "EchoTime": "4.77", "SeriesDescription": "vibe"}, "t1"),
        ({**GRADIENT, "EchoTime": "2.38", "SeriesDescription": "t1_vibe_dixon_tra_W"}, "water"),
        ({**GRADIENT, "EchoTime": "2.38", "SeriesDescription": "t1_vibe_dixon_tra_opp"}, "opposed"),
        ({**GRADIENT, "EchoTime": "2.38", "SeriesDescription": "InPhase: Ax LAVA-Flex"}, "in_phase"),
        ({**GRADIENT, "EchoTime": "25"}, "other"),
        ({**GRADIENT, "SequenceVariant": "SS", "EchoTime": "2"}, "other"),
        ({"ImageType": ["DERIVED", "PRIMARY", "ADC"]}, "other"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "P"]}, "other"),
        ({"EchoTime": None, "RepetitionTime": None, "SeriesDescription": "AX T2 FSE"}, "t2_tse"),
        ({"EchoTime": None, "RepetitionTime": None, "SeriesDescription": "T1 AXIAL"}, "t1"),
        ({"EchoTime": None, "RepetitionTime": None, "SeriesDescription": "T2* ax"}, "other"),
        ({"EchoTime": None, "RepetitionTime": None, "SeriesDescription": "ax"}, "other"),
        ({"Modality": "CT"}, "other"),
    ],
)
def test_the_contrast_is_read_from_the_sequence(changes: dict[str, Any], contrast: str) -> None:
    reading = read_contrast(attributes(**changes))
    assert reading.contrast == contrast, reading.evidence
    assert reading.evidence


def test_the_evidence_names_attributes_and_values() -> None:
    reading = read_contrast(attributes())
    assert reading.evidence == "ScanningSequence=SE, EchoTime=98 ms, RepetitionTime=3500 ms"


@pytest.mark.parametrize(
    ("changes", "region"),
    [
        ({"BodyPartExamined": "LSPINE"}, "lumbar"),
        ({"BodyPartExamined": "CSPINE", "SeriesDescription": "lws"}, "cervical"),
        ({"BodyPartExamined": "SPINE"}, "unknown"),
        ({"BodyPartExamined": "SPINE", "StudyDescription": "MRI LUMBAR SPINE"}, "lumbar"),
        ({"SeriesDescription": "t2_tse_tra_LWS"}, "lumbar"),
        ({"SeriesDescription": "T2 spine"}, "unknown"),
        ({"SeriesDescription": "whole spine composed"}, "whole_spine"),
        ({"BodyPartExamined": "ABDOMEN"}, "unknown"),
        ({"BodyPartExamined": "KNEE"}, "elsewhere"),
        ({"BodyPartExamined": "Brain ", "StudyDescription": "MRT Kopf"}, "elsewhere"),
        ({"BodyPartExamined": "HEAD", "SeriesDescription": "t2_tse_tra_LWS"}, "lumbar"),
        ({"BodyPartExamined": "HEAD", "StudyDescription": "MRI SPINE"}, "unknown"),
        ({"BodyPartExamined": "HEAD", "ProtocolName": "Wirbelsaeule"}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_the_region_is_named_only_where_an_attribute_names_it(changes: dict[str, Any], region: str) -> None:
    assert read_region(attributes(**changes))[0] == region


@pytest.mark.parametrize(
    ("image_type", "derived"),
    [
        (["DERIVED", "PRIMARY", "DIXON", "WATER"], False),
        (["DERIVED", "PRIMARY", "M", "NORM"], False),
        (["DERIVED", "SECONDARY"], True),
        (["DERIVED", "SECONDARY", "OTHER"], True),
        (["DERIVED", "SECONDARY", "W", "DERIVED"], False),
        (["DERIVED", "SECONDARY", "DIXON", "OPP_PHASE"], False),
        (["DERIVED", "SECONDARY", "DIXON"], False),
        (["DERIVED", "SECONDARY", "WATER", "MPR"], True),
        (["ORIGINAL", "SECONDARY"], False),
        (["DERIVED", "SECONDARY", "MPR"], True),
        (["ORIGINAL", "PRIMARY", "PROJECTION IMAGE", "M"], True),
        (["DERIVED", "SECONDARY", "SUBTRACTION"], True),
        (["DERIVED", "PRIMARY", "T2", "MAXIMUM"], True),
        (["ORIGINAL", "PRIMARY", "M", "NORM", "DIS2D", "MFSPLIT"], False),
    ],
)
def test_derived_means_reformatted_projected_or_subtracted(image_type: list[str], derived: bool) -> None:
    assert is_derived(attributes(ImageType=image_type)) is derived


@pytest.mark.parametrize(
    ("maker", "model", "field", "scanner"),
    [
        ("SIEMENS", "Avanto_fit", "1.5", "SIEMENS Avanto_fit 1.5 T"),
        ("Siemens Healthineers", "Avanto_fit", "1.494", "SIEMENS Avanto_fit 1.5 T"),
        ("GE MEDICAL SYSTEMS", "Signa  HDxt", "30000", "GE Signa HDxt 3.0 T"),
        ("Philips", "Ingenia", None, ""),
        ("Philips", "", "3", ""),
        ("", "Ingenia", "3", ""),
        ("Philips", "Ingenia", "-3", ""),
    ],
)
def test_a_scanner_is_named_by_maker_model_and_field(
    maker: str, model: str, field: str | None, scanner: str
) -> None:
    found = attributes(Manufacturer=maker, ManufacturerModelName=model, MagneticFieldStrength=field)
    assert read_scanner(found) == scanner


def test_localizers_are_known_by_type_or_name() -> None:
    assert is_localizer(attributes(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    assert is_localizer(attributes(SeriesDescription="3-pl Loc"))
    assert not is_localizer(attributes(SeriesDescription="t2_tse_tra block"))


@pytest.mark.parametrize(
    ("changes", "age", "source"),
    [
        ({}, 60.0, "StudyDate-PatientBirthDate"),
        ({"PatientAge": "059Y"}, 60.0, "StudyDate-PatientBirthDate"),
        ({"PatientAge": "045Y"}, 60.0, "StudyDate-PatientBirthDate (PatientAge=045Y disagrees)"),
        (
            {"PatientBirthDate": "19000101", "PatientAge": "066Y"},
            66.0,
            "PatientAge (PatientBirthDate is not usable)",
        ),
        (
            {"PatientBirthDate": "18500101", "PatientAge": "066Y"},
            66.0,
            "PatientAge (PatientBirthDate is not usable)",
        ),
        (
            {"PatientBirthDate": "20300101", "PatientAge": "066Y"},
            66.0,
            "PatientAge (PatientBirthDate is not usable)",
        ),
        ({"PatientBirthDate": "00000000"}, None, None),
        ({"PatientBirthDate": "", "PatientAge": "66"}, 66.0, "PatientAge"),
        ({"PatientBirthDate": "", "PatientAge": "66y"}, 66.0, "PatientAge"),
        ({"PatientBirthDate": "", "PatientAge": "792M"}, 66.0, "PatientAge"),
        ({"PatientBirthDate": "", "PatientAge": "3444W"}, pytest.approx(66.0, abs=0.02), "PatientAge"),
        ({"PatientBirthDate": "", "PatientAge": "24106D"}, pytest.approx(66.0, abs=0.01), "PatientAge"),
        ({"PatientBirthDate": "", "PatientAge": "000Y"}, None, None),
        ({"PatientBirthDate": "", "PatientAge": "old"}, None, None),
        ({"PatientBirthDate": None}, None, None),
        (
            {"StudyDate": "", "PatientBirthDate": "19640228"},
            pytest.approx(60.0, abs=0.01),
            "SeriesDate-PatientBirthDate",
        ),
    ],
)
def test_age_comes_from_dates_first_and_then_from_the_stated_age(
    changes: dict[str, Any], age: float | None, source: str | None
) -> None:
    person = read_person(attributes(**changes))
    assert person.age_years == age
    assert person.age_source == source


@pytest.mark.parametrize("day", ["00010101", "17991231", "22010101", "99991231"])
@pytest.mark.parametrize("keyword", ["StudyDate", "PatientBirthDate"])
def test_a_date_of_no_plausible_year_is_no_date(tmp_path: Path, keyword: str, day: str) -> None:
    changes = {"SeriesDate": "", keyword: day, "PatientAge": "066Y"}
    (stack,) = scan(mr_series(tmp_path, changes=changes)).stacks
    assert stack.facts.person.age_years == 66.0


@pytest.mark.parametrize("year", [1800, 2200])
def test_the_first_and_the_last_plausible_year_are_dates(year: int) -> None:
    assert parse_date(f"{year}1231") == date(year, 12, 31)


@pytest.mark.parametrize(
    ("written", "sex"), [("M", "M"), ("f", "F"), (" m ", "M"), ("O", None), ("", None), (None, None)]
)
def test_sex_is_male_female_or_nothing(written: str | None, sex: str | None) -> None:
    assert read_person(attributes(PatientSex=written)).sex == sex


@pytest.mark.parametrize(
    ("written", "height"),
    [("1.78", 1.78), ("178", 1.78), ("1780", 1.78), ("0", None), ("17", None), ("", None), (None, None)],
)
def test_height_is_read_in_metres_centimetres_or_millimetres(
    written: str | None, height: float | None
) -> None:
    assert read_person(attributes(PatientSize=written)).height_m == height


def test_a_decimal_comma_in_the_height_is_understood(tmp_path: Path) -> None:
    def comma(dataset: Dataset, _index: int) -> None:
        del dataset.PatientName
        dataset.add_new("PatientSize", "SH", "1,78")

    (stack,) = scan(mr_series(tmp_path, each=comma)).stacks
    assert stack.facts.person.height_m == 1.78


def test_the_newest_time_is_in_utc() -> None:
    images = [
        attributes(StudyDate="20240301", StudyTime="080000", TimezoneOffsetFromUTC="+0100"),
        attributes(AcquisitionDateTime="20240301091500.5", TimezoneOffsetFromUTC="+0100"),
        attributes(ContentDate="20241399", ContentTime="99"),
    ]
    assert newest_time(images) == datetime(2024, 3, 1, 8, 15, 0, 500000, tzinfo=UTC)


def test_without_any_time_it_is_fixed() -> None:
    nothing = attributes(StudyDate=None, SeriesDate="junk", StudyTime=None)
    assert newest_time([nothing]) == datetime(1970, 1, 1, tzinfo=UTC)


def test_lossy_compression_is_noticed(tmp_path: Path) -> None:
    (stack,) = scan(mr_series(tmp_path, changes={"LossyImageCompression": "01"})).stacks
    assert stack.facts.lossy


def test_other_modalities_yield_facts_too(tmp_path: Path) -> None:
    changes = {"Modality": "CT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}
    (stack,) = scan(mr_series(tmp_path, changes=changes)).stacks
    assert (stack.facts.modality, stack.facts.plane) == ("CT", "axial")


def test_study_facts_are_text_to_show(tmp_path: Path) -> None:
    (stack,) = scan(mr_series(tmp_path)).stacks
    assert stack.study.patient_name == "Doe^Jane"
    assert stack.study.birth_date == "19640229"
    assert stack.study.accession_number == "A1"
