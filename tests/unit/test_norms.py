import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.norms import (
    Knot,
    Scorable,
    percentile,
    score,
    value_at,
    z_half_width,
    z_per_unit,
    z_score,
)
from service.core.series import Person
from service.errors import NormMismatch
from tests.make.facts import DEFINITION, facts, norm


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
    assert z_half_width(0.0, norm(effective_n=100, measurement_icc=1.0)) == pytest.approx(0.196, abs=1e-3)
    assert z_half_width(0.0, norm(effective_n=10**9, measurement_icc=0.95)) == pytest.approx(0.438, abs=1e-3)
    assert z_half_width(2.0, norm(effective_n=20)) == pytest.approx(1.96 * math.sqrt(3 / 20), abs=1e-3)


def test_the_larger_error_of_measurement_counts():
    table = norm(effective_n=10**9, measurement_icc=0.95)
    assert z_half_width(0.0, table, 0.1) == z_half_width(0.0, table)
    assert z_half_width(0.0, table, 0.5) == pytest.approx(0.98, abs=1e-3)


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
        (norm(contrasts=("t1",)), "contrast t2_tse"),
        (norm(regions=("thoracic",)), "region lumbar"),
        (norm(measure="another"), "no table of this measure"),
    ],
)
def test_a_table_that_does_not_fit_gives_no_score_and_says_why(table, words):
    found = score(IMAT, facts=facts(), definition=DEFINITION, tables=(table,))
    assert (found.state, found.z, found.value) == ("no_norm", None, 0.2)
    assert words in found.reason


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
