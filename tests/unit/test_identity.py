"""Identifiers of result objects."""

from dataclasses import replace
from datetime import timedelta

import pytest
from pydicom.dataset import Dataset

from service.core.status import OutputKind
from service.dicom import codes
from service.dicom.identity import fingerprint, is_own_result, tracking_uid, uid
from service.dicom.stamp import instance_uid, person_fingerprint
from tests.make.results import IDENTITY


def test_an_identifier_depends_on_role_and_key_and_keeps_the_form_of_ps35():
    first = uid("seg", "a", "b")
    assert first == uid("seg", "a", "b")
    assert len({first, uid("sr", "a", "b"), uid("seg", "ab"), uid("seg", "b", "a")}) == 4
    assert first.startswith("2.25.")
    assert len(first) <= 64
    assert not first[5:].startswith("0")


def test_parts_of_a_fingerprint_do_not_flow_into_each_other():
    assert fingerprint("ab", "c") != fingerprint("a", "bc")


def test_another_time_gives_another_instance_but_the_same_region():
    later = replace(IDENTITY, at=IDENTITY.at + timedelta(seconds=1))
    assert instance_uid(OutputKind.SEG, "m", IDENTITY) != instance_uid(OutputKind.SEG, "m", later)
    assert tracking_uid(IDENTITY, "left") == tracking_uid(later, "left")


def test_a_corrected_name_gives_another_instance():
    one, other = Dataset(), Dataset()
    one.PatientName, other.PatientName = "A^B", "A^C"
    assert person_fingerprint(one) != person_fingerprint(other)


@pytest.mark.parametrize(
    ("manufacturer", "description", "own"),
    [
        ("myoscreen", "MYOSCREEN: paraspinal muscle/IMAT SEG", True),
        ("myoscreen phantom", "MYOPHANTOM t2_tse", False),
        ("Siemens", "MYOSCREEN: copied name", False),
        ("myoscreen", "t2_tse", False),
        (None, None, False),
    ],
)
def test_own_results_are_known_by_manufacturer_and_description(manufacturer, description, own):
    dataset = Dataset()
    dataset.Manufacturer = manufacturer
    dataset.SeriesDescription = description
    assert is_own_result(dataset) is own


def test_every_code_fits_its_value_representation():
    found = [value for value in vars(codes).values() if isinstance(value, codes.CodedConcept)]
    found += [*codes.STATUS_OF.values(), *codes.SCORE_STATE_OF.values(), *codes.FLAG_STATE_OF.values()]
    found += [codes.flag_concept("a_flag_with_a_very_long_name_indeed"), codes.flag_concept("imat_high")]
    for code in found:
        assert len(code.value) <= 16, code
        assert len(code.meaning) <= 64, code
    assert len(found) > 40
