import pytest

from service.core.eligibility import reasons_not_eligible
from service.core.quality import check_agent
from service.core.series import Person
from tests.make.facts import facts, use


def test_the_usual_stack_is_eligible():
    assert reasons_not_eligible(facts(), use()) == ()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"modality": "CT"}, "wrong_modality"),
        ({"modality": ""}, "wrong_modality"),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7"}, "wrong_sop_class"),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.2"}, "wrong_sop_class"),
        ({"sop_class_uid": ""}, "wrong_sop_class"),
        ({"localizer": True}, "localizer"),
        ({"derived": True}, "derived"),
        ({"plane": "coronal"}, "wrong_plane"),
        ({"tilt_degrees": 31.0}, "tilted"),
        ({"slices": 4}, "too_few_slices"),
        ({"largest_gap_ratio": 2.0}, "missing_slices"),
        ({"contrast": "stir"}, "unsupported_contrast"),
        ({"contrast": "t1", "contrast_agent": "ContrastBolusAgent=Gadovist"}, "post_contrast"),
        ({"region": "cervical"}, "wrong_region"),
        ({"frame_of_reference_uid": None}, "no_frame_of_reference"),
        ({"lossy": True}, "lossy_compression"),
        ({"person": Person(age_years=17.0)}, "below_min_age"),
    ],
)
def test_each_way_out_of_the_intended_use_has_its_reason(changes, code):
    assert [reason.code for reason in reasons_not_eligible(facts(**changes), use())] == [code]


def test_an_unknown_age_or_region_does_not_exclude():
    assert reasons_not_eligible(facts(person=Person(), region="unknown"), use()) == ()


@pytest.mark.parametrize("last", ["4", "4.1", "4.4"])
def test_the_classes_of_mr_images_are_eligible(last):
    assert reasons_not_eligible(facts(sop_class_uid=f"1.2.840.10008.5.1.4.1.1.{last}"), use()) == ()


def test_all_reasons_are_given_not_only_the_first():
    found = reasons_not_eligible(facts(modality="CT", slices=1), use())
    assert [reason.code for reason in found] == ["wrong_modality", "too_few_slices"]


def test_t2_images_after_a_contrast_agent_are_measured_and_say_so():
    given = facts(contrast_agent="ContrastBolusAgent=Gadovist")
    assert reasons_not_eligible(given, use()) == ()
    (check,) = check_agent(given)
    assert check.passed
    assert check.detail.startswith("A contrast agent was given (ContrastBolusAgent=Gadovist). On T2 images")


def test_the_check_for_a_contrast_agent():
    (none,), (given,) = (
        check_agent(facts(contrast="t1", contrast_agent=agent)) for agent in ("", "SeriesDescription=t1 KM")
    )
    assert (none.passed, none.detail) == (True, "No attribute names a contrast agent.")
    assert (given.check, given.passed) == ("post_contrast", False)
    assert given.detail == "A contrast agent was given (SeriesDescription=t1 KM)."
