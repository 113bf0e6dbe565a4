"""Who is let into the reference people of a table, and which cohorts make none."""

import math
from dataclasses import replace

import numpy as np
import pytest

from service.core.normfit_check import ScoredPeople, judge
from service.core.normfit_cohort import Include, admit, quality_passed, require_enough, scope_of
from service.errors import NormMismatch
from tests.make.reference_people import person


def test_the_newest_result_of_each_person_counts():
    people = [
        person(key="a", day="20260201", value=0.2),
        person(key="a", day="20260101", value=0.1),
        person(key="b"),
    ]
    found = admit(people, Include())
    assert sorted(one.value for one in found.people) == [0.13, 0.2]
    assert found.left_out == {"another result of the same person": 1}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"key": None}, "nobody knows whose result it is"),
        ({"quality_passed": False}, "a quality check was not passed"),
        ({"scanner": "MYOSCREEN paraspinal phantom 1.5 T"}, "the bundled phantom"),
        ({"age_years": None}, "age or sex is not known"),
        ({"sex": "O"}, "age or sex is not known"),
        ({"value": None}, "no value"),
        ({"scanner": None}, "scanner is not known"),
        ({"height_m": None}, "height is not known"),
        ({"definition": "another@1"}, "outside the filter"),
        ({"contrast": None}, "outside the filter"),
        ({"scanner": "another"}, "outside the filter"),
        ({"sex": "M"}, "outside the filter"),
        ({"age_years": 81.0}, "outside the filter"),
        ({"coverage_mm": None}, "outside the filter"),
        ({"day": "20250101"}, "outside the filter"),
    ],
)
def test_whoever_is_left_out_is_counted_by_the_reason(changes, why):
    asked = {"height": True}
    if why == "outside the filter":
        asked |= {
            "definition": "paraspinal-two-class@1",
            "contrast": "t2_tse",
            "scanners": ("GE A 3.0 T",),
            "sexes": ("F",),
            "ages": (20.0, 80.0),
            "coverage_mm": (50.0, 100.0),
            "days": ("20260101", "20261231"),
        }
    found = admit([person(**{"key": "left out", **changes}), person(key="other")], Include(**asked))
    assert found.left_out == {why: 1}
    assert [one.key for one in found.people] == ["other"]


def test_a_measure_with_many_zeros_has_no_curves():
    people = [person(key=str(index), value=0.0 if index < 2 else 0.1) for index in range(100)]
    with pytest.raises(NormMismatch, match="2 values are zero"):
        admit(people, Include())
    one_in_a_hundred = [*people[1:], person(key="more")]
    assert admit(one_in_a_hundred, Include()).left_out == {"value is not above zero": 1}


def test_checks_that_speak_of_the_images_alone_let_a_result_in():
    note, fault = ({"check": name, "passed": False} for name in ("dixon_pair", "age_agrees"))
    passed = {"check": "plausible_area", "passed": True}
    assert quality_passed([note, passed])
    assert not quality_passed([fault, passed])


def test_what_the_values_have_in_common_is_what_the_table_applies_to():
    people = [person(key=str(index), coverage_mm=100.0 + index % 11) for index in range(110)]
    scope = scope_of(people)
    assert (scope.definition, scope.network) == ("paraspinal-two-class@1", "n@1")
    assert (scope.fat_method, scope.contrast, scope.region) == ("fat_reference_bright", "t2_tse", "lumbar")
    assert scope.coverage_mm == pytest.approx((90.0, 121.0))
    assert scope_of([person(fat_method=None)]).fat_method is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([{}, {"contrast": "t1"}], "mixes the contrasts t1, t2_tse: choose one with --contrast"),
        ([{}, {"fat_method": None}], "mixes the fat methods fat_reference_bright, unknown"),
        ([{"network": None}], "The network of the values is not known"),
        ([{"region": "unknown"}], "The region of the values is not known"),
        ([{"coverage_mm": None}, {}], "coverage of some results"),
        ([{"coverage_mm": 50.0}, {"coverage_mm": 150.0}], "Coverage runs from"),
    ],
)
def test_a_mixed_or_unknown_cohort_is_refused(changes, words):
    with pytest.raises(NormMismatch, match=words) as error:
        scope_of([person(**one) for one in changes])
    assert error.value.reason.code == "cohort_mixed"


def test_a_sex_needs_enough_people_and_no_decade_without_anybody():
    enough = [person(key=str(index), age_years=20 + index / 2) for index in range(120)]
    require_enough(enough, ("F",))
    with pytest.raises(NormMismatch, match="119 people; a table needs 120"):
        require_enough(enough[1:], ("F",))
    hole = [one for one in enough if not 40 < one.age_years < 51] + enough[:22]
    with pytest.raises(NormMismatch, match="nobody between 40 and 51 years"):
        require_enough(hole, ("F",))


def scored(f, m=None):
    """Women's and men's scores, with ages over the usual range."""
    m = f if m is None else m
    z = np.concatenate([f, m])
    ages = np.concatenate([np.linspace(20, 80, len(part)) for part in (f, m)])
    return ScoredPeople(z=z, sexes=("F",) * len(f) + ("M",) * len(m), ages=ages, values=z)


def normal(n, seed=1):
    return np.random.default_rng(seed).standard_normal(n)


def test_normal_scores_fit_and_every_group_is_told():
    found = judge(scored(normal(600), normal(600, 2)))
    assert (found.verdict, found.why) == ("fits", ())
    assert [group.name for group in found.groups][:3] == ["all", "F", "F 20-40"]
    assert [group.n for group in found.groups] == [1200, 600, 200, 200, 200, 600, 200, 200, 200]


def test_the_intervals_are_those_of_the_textbook():
    """20 of 100 by Clopper and Pearson: 12.67 % to 29.18 %; the mean of 100 by t: 1.984 SD / 10."""
    z = np.concatenate([np.full(20, 3.0), np.linspace(-1, 1, 80)])
    group = judge(scored(z)).groups[1]
    assert group.above.value == 0.2
    assert group.above.ci95 == pytest.approx((0.1267, 0.2918), abs=1e-4)
    half = 1.98422 * z.std(ddof=1) / 10
    assert group.mean.ci95 == pytest.approx((z.mean() - half, z.mean() + half), abs=1e-4)
    # 99 df: chi-square quantiles 73.361 and 128.422.
    sd = z.std(ddof=1)
    assert group.sd.ci95 == pytest.approx((sd * (99 / 128.422) ** 0.5, sd * (99 / 73.361) ** 0.5), rel=1e-4)
    assert group.below.ci95[0] == 0.0
    assert group.mean.together[0] < group.mean.ci95[0]


@pytest.mark.parametrize(
    ("z", "words"),
    [
        (normal(600) + 0.5, "mean z +0."),
        (normal(600) * 1.5, "SD of z 1."),
        (normal(600) * 0.6, "below -1.645, where 5 % are expected"),
        (np.where(np.abs(normal(3000)) > 1.3, 1.8 * np.sign(normal(3000)), normal(3000)), "above 1.645"),
    ],
)
def test_what_does_not_fit_is_told_by_its_statistic(z, words):
    found = judge(scored(z, normal(len(z), 2)))
    assert found.verdict == "does not fit"
    assert any(fault.startswith("F: ") and words in fault for fault in found.why)


def test_a_misfit_of_one_third_of_the_ages_is_found():
    z = normal(900)
    z[600:] += 0.8
    assert "F 60-80: mean z" in " ".join(judge(scored(z, normal(900, 2))).why)


def test_the_error_of_the_table_widens_what_is_said_of_other_people():
    """A table whose median is known to 0.3 SD only cannot be refuted by people who differ by half an SD."""
    z = normal(400) + 0.5
    alone = judge(scored(z))
    known = judge(replace(scored(z), errors=np.full((800, 3), 0.3)))
    assert alone.verdict == "does not fit"
    assert known.verdict == "not decided"
    half = math.hypot(z.std(ddof=1) / 20, 0.3) * 1.966
    assert known.groups[1].mean.ci95[1] == pytest.approx(z.mean() + half, abs=1e-3)
    # The error of S over S: half of what the score 2 has beyond the median, sqrt(0.5^2 - 0.3^2) / 2 = 0.2.
    wide = judge(replace(scored(z), errors=np.tile([0.3, 0.4, 0.5], (800, 1)))).groups[1].sd.ci95
    assert wide[1] / alone.groups[1].sd.ci95[1] == pytest.approx(math.exp(1.96 * 0.2), abs=1e-3)


def test_too_few_people_decide_nothing():
    found = judge(scored(normal(25), normal(10)))
    assert found.verdict == "not decided"
    assert found.why == (
        "sex F: too few people to say that mean and SD fit",
        "sex M: too few people to say that mean and SD fit",
    )
    assert judge(scored(np.full(25, 9.0))).groups[0].above.ci95[1] == 1.0
