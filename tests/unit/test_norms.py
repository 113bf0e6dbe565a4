import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.lms import mean_and_sd, sampling_se
from service.core.norms import (
    HeightModel,
    Knot,
    Scorable,
    percentile,
    score,
    value_at,
    z_half_width,
    z_per_unit,
    z_score,
)
from service.core.quality import check_age
from service.core.series import Person
from service.errors import NormMismatch
from tests.make.facts import DEFINITION, PEOPLE, facts, norm

PLAIN = Knot(age_years=45, l=0, m=0.2, s=0.5)


def knot(l, m, s):  # noqa: E741
    return Knot(age_years=50, l=l, m=m, s=s)


@pytest.mark.parametrize(
    ("value", "l", "m", "s", "z"),
    [
        (20, 0, 16, 0.33, 0.676193),
        (20, -0.5, 16, 0.33, 0.639835),
        (20, 1, 16, 0.33, 0.757576),
        (500, 1, 465, 0.148, 0.508573),
        (10, 0.3, 16, 0.33, -1.328400),
    ],
)
def test_lms_scores_equal_the_golden_values(value, l, m, s, z):  # noqa: E741
    assert z_score(value, knot(l, m, s)) == pytest.approx(z, abs=1e-6)


@given(st.floats(-2.5, 2.5), st.sampled_from([-0.3, 0.0, 0.3, 1.0]))
def test_value_at_is_the_inverse_of_z_score(z, l):  # noqa: E741
    assert z_score(value_at(z, knot(l, 16, 0.2)), knot(l, 16, 0.2)) == pytest.approx(z, abs=1e-9)


def test_a_score_of_nothing_is_refused():
    with pytest.raises(NormMismatch):
        z_score(0.0, knot(1, 16, 0.3))


def test_percentiles_of_the_normal_distribution():
    assert percentile(0.0) == 50.0
    assert percentile(1.644854) == pytest.approx(95.0, abs=1e-4)


def test_the_interval_holds_measurement_and_sampling_error():
    half = {
        "of 100 people": z_half_width(0.0, PLAIN, norm(effective_n=100, measurement_icc=1.0)),
        "reliability 0.95": z_half_width(0.0, PLAIN, norm(effective_n=10**9, measurement_icc=0.95)),
        "of 20 people, far out": z_half_width(2.0, PLAIN, norm(effective_n=20)),
    }
    assert half == pytest.approx(
        {
            "of 100 people": 0.196,
            "reliability 0.95": 0.438,
            "of 20 people, far out": 1.96 * math.sqrt(3 / 20),
        },
        abs=1e-3,
    )


def test_the_larger_error_of_measurement_counts():
    table = norm(effective_n=10**9, measurement_icc=0.95)
    assert z_half_width(0.0, PLAIN, table, 0.1) == z_half_width(0.0, PLAIN, table)
    assert z_half_width(0.0, PLAIN, table, 0.5) == pytest.approx(0.98, abs=1e-3)


def test_a_table_that_carries_its_own_errors_uses_them():
    """Between the scores that carry one it is linear; beyond the last it grows as sqrt(1 + z^2 / 2)."""
    own = Knot(age_years=50, l=0, m=16, s=0.3, z_se=(0.5, 0.3, 0.1, 0.3, 0.5))
    assert [sampling_se(z, own, 20) for z in (0.0, 1.5, -2.0)] == pytest.approx([0.1, 0.4, 0.5])
    assert sampling_se(4.0, own, 20) == pytest.approx(0.5 * math.sqrt(9 / 3))


def test_the_errors_of_two_knots_are_interpolated_by_age():
    ends = [Knot(age_years=age, l=0, m=1, s=1, z_se=(se,) * 5) for age, se in ((20, 0.1), (40, 0.3))]
    assert norm(knots={"M": tuple(ends)}).at("M", 35).z_se == pytest.approx((0.25,) * 5)


def test_mean_and_sd_are_those_of_the_whole_distribution():
    """The log-normal: median x exp(S^2 / 2), and its mean x sqrt(exp(S^2) - 1)."""
    mean = 16 * math.exp(0.33**2 / 2)
    assert mean_and_sd(knot(0, 16, 0.33)) == pytest.approx((mean, mean * math.sqrt(math.expm1(0.33**2))))
    assert mean_and_sd(knot(1, 16, 0.1)) == pytest.approx((16, 1.6))


def test_a_score_that_no_value_has_gives_the_end_of_the_values():
    assert value_at(-9.0, knot(1, 16, 0.2)) == pytest.approx(0.0, abs=1e-6)


@given(st.floats(0.05, 0.6), st.sampled_from([-0.3, 0.0, 0.3, 1.0]))
def test_z_per_unit_is_the_slope_of_z(value, l):  # noqa: E741
    own, step = knot(l, 0.2, 0.3), 1e-6
    slope = (z_score(value + step, own) - z_score(value - step, own)) / (2 * step)
    assert z_per_unit(value, own) == pytest.approx(slope, rel=1e-4)


IMAT = Scorable(measure="imat_fraction", value=0.2, unit="1")


def test_repeatability_widens_both_intervals():
    """Median 0.2 and S 0.5: at the median z rises by 1 / (0.5 x 0.2) = 10 with each unit."""
    table = norm(effective_n=10**9)
    repeated = Scorable(measure="imat_fraction", value=0.2, unit="1", repeat_sd=0.02)
    found = score(repeated, facts=facts(), definition=DEFINITION, tables=(table,))
    assert found.value_ci95 == pytest.approx((0.2 - 0.0392, 0.2 + 0.0392), abs=1e-4)
    assert found.z_ci95[1] == pytest.approx(1.96 * 0.02 * 10, rel=1e-3)
    assert "nobody was scanned twice" in found.reason


def test_the_interval_of_a_value_never_falls_below_nothing():
    few = Scorable(measure="imat_fraction", value=0.01, unit="1", repeat_sd=0.02)
    assert few.ci95[0] == 0.0
    assert Scorable(measure="imat_fraction", value=None, unit="1", repeat_sd=0.02).ci95 is None


def test_a_value_at_the_median_scores_zero():
    found = score(IMAT, facts=facts(), definition=DEFINITION, tables=(norm(),))
    assert (found.state, found.z, found.percentile, found.norm) == ("scored", 0.0, 50.0, "table@1")
    assert "sampling error" in found.reason
    assert found.z_ci95[0] < 0 < found.z_ci95[1]


def test_a_measured_reliability_needs_no_caveat():
    assert (
        score(IMAT, facts=facts(), definition=DEFINITION, tables=(norm(measurement_icc=0.9),)).reason is None
    )


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (norm(phantom_only=True), "phantom"),
        (norm(definitions=("other@1",)), "another definition"),
        (norm(networks=("n@2",)), "another network than n@1"),
        (norm(fat_methods=("dixon_fat_fraction",)), "another fat method than fat_reference_bright"),
        (norm(contrasts=("t1",)), "contrast t2_tse"),
        (norm(regions=("thoracic",)), "region lumbar"),
        (norm(coverage_mm=(100.0, 200.0)), "a coverage of 100 to 200 mm, not of 80 mm"),
        (norm(coverage_mm=(10.0, 70.0)), "a coverage of 10 to 70 mm, not of 80 mm"),
        (norm(scanner_shifts={"GE B 3.0 T": 0.0}), "the scanner (not named)"),
        (norm(measure="another"), "no table of this measure"),
    ],
)
def test_a_table_that_does_not_fit_gives_no_score_and_says_why(table, words):
    found = score(IMAT, facts=facts(), definition=DEFINITION, tables=(table,))
    assert (found.state, found.z, found.value) == ("no_norm", None, 0.2)
    assert words in found.reason


def test_images_of_an_unknown_region_are_compared_with_nobody():
    unknown = score(IMAT, facts=facts(region="unknown"), definition=DEFINITION, tables=(norm(),))
    assert (unknown.state, unknown.z) == ("no_norm", None)
    assert "the region of the images is unknown" in unknown.reason


def test_a_table_without_fat_method_fits_a_measure_that_needs_none():
    plain = replace(DEFINITION, fat_method=None)
    asked = norm(fat_methods=("dixon_fat_fraction",))
    assert "fat method than none" in score(IMAT, facts=facts(), definition=plain, tables=(asked,)).reason


def test_the_effect_of_the_scanner_is_taken_out_before_scoring():
    """A scanner that gives 25 % more: 0.25 there is 0.2 on the average scanner, the median."""
    table = norm(scanner_shifts={"GE A 3.0 T": math.log(1.25), "GE B 3.0 T": -math.log(1.25)})
    value = Scorable(measure="imat_fraction", value=0.25, unit="1")
    found = score(value, facts=facts(scanner="GE A 3.0 T"), definition=DEFINITION, tables=(table,))
    assert (found.z, found.value) == (pytest.approx(0.0), 0.25)
    assert found.norm_facts.adjusted_value == pytest.approx(0.2)
    assert found.norm_facts.scanner_shift == pytest.approx(0.2231, abs=1e-4)


def test_height_is_taken_out_where_the_table_has_a_model_and_is_then_needed():
    """Height 1.8 m over 1.5 m is 1.2; with the exponent 2 the value shrinks by 1.44, to the median 0.2."""
    table = norm(height=HeightModel(exponent=2.0, reference_m=1.5))
    tall = Scorable(measure="imat_fraction", value=0.288, unit="1", repeat_sd=0.0288)
    found = score(tall, facts=facts(), definition=DEFINITION, tables=(table,))
    assert (found.z, found.norm_facts.height_exponent) == (pytest.approx(0.0), 2.0)
    # A tenth of the value, in units of S = 0.5.
    half = 1.96 * math.hypot(0.2, math.sqrt(1 / 100))
    assert found.z_ci95[1] - found.z == pytest.approx(half, rel=1e-3)
    small = facts(person=Person(age_years=45.0, sex="M"))
    withheld = score(tall, facts=small, definition=DEFINITION, tables=(table,))
    assert (withheld.state, withheld.reason) == ("missing_demographics", "The height is not known.")


def test_the_table_stands_beside_the_score():
    table = norm(bands={}, effective_n=10**9, measurement_icc=0.9)
    told = score(IMAT, facts=facts(), definition=DEFINITION, tables=(table,)).norm_facts
    assert (told.population, told.ancestry, told.n, told.n_of_sex) == ("healthy", "mixed", 200, 100)
    assert (told.networks, told.coverage_mm, told.age_range_years) == (("n@1",), (60.0, 120.0), (20, 60))
    assert (told.l, told.m, told.s) == pytest.approx((0, 0.2, 0.5))
    assert told.interval_holds == ("norm_sampling", "measurement")
    assert score(IMAT, facts=facts(), definition=DEFINITION, tables=()).norm_facts is None


def test_ages_that_nobody_had_are_called_extrapolated():
    young = replace(PEOPLE, age_years=(20.0, 40.0))
    assert norm(people=young).extrapolates(45.0)
    found = score(IMAT, facts=facts(), definition=DEFINITION, tables=(norm(people=young),))
    assert found.reason.startswith("The reference people were 20 to 40 years old; here it is extrapolated.")


@pytest.mark.parametrize(
    ("person", "state"),
    [
        (Person(age_years=45.0), "missing_demographics"),
        (Person(sex="F"), "missing_demographics"),
        (Person(age_years=61.0, sex="M"), "out_of_range"),
        (Person(age_years=19.9, sex="M"), "out_of_range"),
    ],
)
def test_age_and_sex_are_never_guessed(person, state):
    assert score(IMAT, facts=facts(person=person), definition=DEFINITION, tables=(norm(),)).state == state


def test_a_sex_that_the_table_lacks_is_out_of_range():
    women = norm(knots={"F": norm().knots["F"]})
    assert score(IMAT, facts=facts(), definition=DEFINITION, tables=(women,)).state == "out_of_range"
    assert (women.ages("M"), women.ages("F")) == (None, (20, 60))


def test_a_missing_value_is_told_from_a_missing_height():
    none = Scorable(measure="imat_fraction", value=None, unit="1")
    height = Scorable(measure="lmm", value=None, unit="1", missing="PatientSize (height) is missing.")
    assert score(none, facts=facts(), definition=DEFINITION, tables=()).state == "no_norm"
    assert score(height, facts=facts(), definition=DEFINITION, tables=()).state == "missing_demographics"


def test_a_value_of_zero_has_no_lms_score():
    zero = Scorable(measure="imat_fraction", value=0.0, unit="1")
    assert score(zero, facts=facts(), definition=DEFINITION, tables=(norm(),)).state == "out_of_range"


def test_knots_are_interpolated_linearly():
    table = norm(knots={"M": (Knot(age_years=20, l=0, m=1, s=0.2), Knot(age_years=40, l=1, m=3, s=0.4))})
    middle = table.at("M", 30)
    assert (middle.l, middle.m, middle.s) == pytest.approx((0.5, 2.0, 0.3))


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "perfect"},
        {"people": replace(PEOPLE, kind="everybody")},
        {"networks": ()},
        {"coverage_mm": None},
        {"coverage_mm": (100.0, 50.0)},
        {"regions": ("lumbar", "unknown")},
        {"scanner_shifts": {"A": math.inf}},
        {"height": HeightModel(exponent=1.0, reference_m=0.0)},
        {"knots": {"M": tuple(Knot(age_years=age, l=0, m=1, s=1, z_se=(0.1,)) for age in (20, 30))}},
        {"knots": {"M": tuple(Knot(age_years=age, l=0, m=1, s=1, z_se=(-0.1,) * 5) for age in (20, 30))}},
        {"effective_n": 1},
        {"measurement_icc": 0.0},
        {"knots": {"M": (Knot(age_years=20, l=0, m=1, s=1),)}},
        {"knots": {"M": (Knot(age_years=20, l=0, m=1, s=1), Knot(age_years=20, l=0, m=1, s=1))}},
        {"knots": {"M": (Knot(age_years=20, l=0, m=0, s=1), Knot(age_years=30, l=0, m=1, s=1))}},
    ],
)
def test_a_table_that_would_score_wrongly_is_refused(changes):
    with pytest.raises(NormMismatch):
        norm(**changes)


@pytest.mark.parametrize(
    ("age", "stated", "noted"),
    [(60.4, 60.0, False), (60.4, 59.0, False), (60.4, 45.0, True), (None, 45.0, False), (60.4, None, False)],
)
def test_ages_that_disagree_are_a_note_of_quality(age, stated, noted):
    checks = check_age(Person(age_years=age, stated_age_years=stated, sex="F"))
    assert [check.check for check in checks] == ["age_agrees"] * noted
    assert all("45.0; the dates were used" in check.detail for check in checks)


def test_a_table_of_a_signal_fraction_needs_no_network_and_a_phantom_table_no_coverage():
    assert norm(measure="fat_signal_fraction", networks=()).networks == ()
    assert norm(phantom_only=True, networks=(), coverage_mm=None).coverage_mm is None
    every = score(
        IMAT,
        facts=facts(phantom=True),
        definition=DEFINITION,
        tables=(norm(phantom_only=True, coverage_mm=None),),
    )
    assert every.state == "scored"
