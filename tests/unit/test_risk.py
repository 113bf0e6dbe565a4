from dataclasses import replace

import pytest

from service.core.risk import FlagRule, Policy, quadrant, raise_flags
from tests.make.facts import scored
from tests.make.results import NORM_FACTS

HIGH = FlagRule(
    code="imat_high",
    measure="fat",
    direction="above",
    z_threshold=1.0,
    sexes=("M", "F"),
    text="Above the range",
    evidence="a study",
)
LOW = FlagRule(
    code="lmm_low",
    measure="lean",
    direction="below",
    z_threshold=1.0,
    sexes=("M",),
    text="Below the range",
    evidence="a study",
)
POLICY = Policy(id="p", version="2", rules=(HIGH, LOW), quadrant_measures=("fat", "lean"))


def states(fat, lean, *, sex="M", half=0.3, status="published"):
    scores = [replace(scored(*each, half), norm_status=status) for each in (("fat", fat), ("lean", lean))]
    flags = raise_flags(tuple(scores), POLICY, sex=sex)
    return [flag.state for flag in flags]


def test_a_flag_is_raised_only_where_the_whole_interval_lies_beyond_the_limit():
    assert states(1.31, -1.31) == ["raised", "raised"]
    assert states(1.2, -0.8) == ["indeterminate", "indeterminate"]
    assert states(0.6, -0.6) == ["not_raised", "not_raised"]
    assert states(-3.0, 3.0) == ["not_raised", "not_raised"]


def test_a_provisional_table_raises_no_flag():
    assert states(3.0, -3.0, status="provisional") == ["indeterminate", "indeterminate"]
    assert states(0.0, 0.0, status="provisional") == ["not_raised", "not_raised"]
    text = raise_flags((scored("fat", 3.0),), POLICY, sex="M")[0].text
    assert text == "Indeterminate: the reference table is provisional (z +3.00, limit z above +1.00)."


def test_an_interval_without_the_error_of_measurement_raises_no_flag():
    facts = replace(NORM_FACTS, interval_holds=("norm_sampling",))
    score = replace(scored("fat", 3.0), norm_status="published", norm_facts=facts)
    (flag, _) = raise_flags((score,), POLICY, sex="M")
    assert (flag.state, "error of measurement is not known" in flag.text) == ("indeterminate", True)
    known = replace(score, norm_facts=NORM_FACTS)
    assert raise_flags((known,), POLICY, sex="M")[0].state == "raised"


def test_no_score_gives_no_flag_and_says_why():
    assert states(None, None) == ["not_evaluable", "not_evaluable"]
    assert raise_flags((), POLICY, sex="M")[0].text == "Not evaluable: There is no score."
    assert "No table." in raise_flags((scored("fat", None),), POLICY, sex="M")[0].text


def test_evidence_from_men_makes_no_flag_for_women():
    assert states(2.0, -2.0, sex="F") == ["raised", "not_evaluable"]


def test_a_flag_that_is_not_raised_says_nothing_of_risk():
    text = raise_flags((scored("fat", 0.0),), POLICY, sex="F")[0].text
    assert "no statement about risk" in text


@pytest.mark.parametrize(
    ("fat", "lean", "expected"),
    [
        (1, -1, "high_imat_low_lmm"),
        (1, 1, "high_imat_high_lmm"),
        (-1, -1, "low_imat_low_lmm"),
        (-1, 1, "low_imat_high_lmm"),
        (0.6, 1, "between"),
        (1, 0.6, "between"),
        (None, 1, None),
        (1, None, None),
    ],
)
def test_the_quadrant_names_the_corner(fat, lean, expected):
    assert quadrant((scored("fat", fat), scored("lean", lean)), POLICY) == expected


def test_a_policy_is_cited_with_its_version():
    assert POLICY.reference == "p@2"
