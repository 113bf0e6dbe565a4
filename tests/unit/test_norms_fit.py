"""Curves, effects, bands and calibration of a local table, on people whose true scores are known."""

import math
from dataclasses import replace

import numpy as np
import pytest

from service.core import normfit, normfit_table
from service.core.lms import Knot, z_score
from service.core.normfit import Smoothness, fit_curves, z_scores
from service.core.normfit_basis import make_basis
from service.core.normfit_effects import effects_of
from service.core.normfit_joint import Side, choose_smoothness
from service.core.normfit_table import Plan, fit_norm
from service.errors import NormMismatch
from tests.make.reference_people import SCANNERS, TRUTHS, cohort, person

PLAIN = Smoothness(l=1, m=3, s=2)


def women(n=1500, seed=1):
    """Ages, values and true scores."""
    rng = np.random.default_rng(seed)
    ages, z = rng.uniform(20, 80, n), rng.standard_normal(n)
    return ages, TRUTHS["F"].values(ages, z), z


def test_the_functions_of_age_are_straight_first_and_of_unit_size():
    ages, _, _ = women()
    basis = make_basis(ages)
    functions = basis.at(ages)
    assert functions.T @ functions / len(ages) == pytest.approx(np.eye(functions.shape[1]), abs=1e-6)
    assert np.ptp(functions[:, 0]) == pytest.approx(0.0, abs=1e-9)
    assert np.corrcoef(ages, functions[:, 1])[0, 1] == pytest.approx(1.0)
    assert (np.diff(basis.wiggliness) >= 0).all()


def test_the_wiggliness_is_the_integral_of_the_squared_second_derivative():
    ages, _, _ = women()
    basis = make_basis(ages)
    fine = np.linspace(basis.low, basis.high, 6001)
    bends = np.gradient(np.gradient(basis.at(fine)[:, 4], fine), fine)
    assert np.trapezoid(bends[10:-10] ** 2, fine[10:-10]) == pytest.approx(basis.wiggliness[4], rel=0.01)


@pytest.mark.parametrize("edf", [3.0, 5.5])
def test_the_penalty_leaves_the_degrees_of_freedom_asked_for(edf):
    basis = make_basis(women()[0])
    weight = basis.penalty_of(edf)
    assert (1.0 / (1.0 + weight * basis.wiggliness)).sum() == pytest.approx(edf)


def test_a_decade_without_anybody_harms_no_function():
    ages, values, _ = women()
    kept = (ages < 40) | (ages > 50)
    curves = fit_curves(ages[kept], values[kept], Smoothness(l=1, m=6, s=2))
    assert np.isfinite(curves.at(np.linspace(20.5, 79.5, 60))).all()


def test_the_curves_recover_the_scores_that_the_people_were_drawn_with():
    ages, values, z = women()
    found = z_scores(values, *fit_curves(ages, values, PLAIN).at(ages))
    assert np.median(np.abs(found - z)) < 0.06


def test_no_nearby_curve_is_more_likely():
    """The fit is the maximum: moving any one coefficient loses penalised likelihood."""
    ages, values, _ = women(300)
    basis = make_basis(ages)
    curves = fit_curves(ages, values, Smoothness(l=2, m=4, s=3), basis=basis)
    work = normfit._Work(basis, basis.at(ages), np.log(values), np.empty((300, 0)), Smoothness(l=2, m=4, s=3))
    theta = work.beginning(curves)
    top = work.objective(theta)
    for index in range(len(theta)):
        for step in (-0.01, 0.01):
            moved = theta.copy()
            moved[index] += step
            assert work.objective(moved) < top + 1e-6


@pytest.mark.parametrize("power", [0.0, 1e-5, 0.4, -0.6])
def test_the_slope_is_that_of_the_likelihood(power):
    """Against differences of the objective, also where the power is so near 0 that its series is used."""
    ages, values, _ = women(200)
    basis = make_basis(ages)
    work = normfit._Work(basis, basis.at(ages), np.log(values), np.empty((200, 0)), PLAIN)
    theta = work.beginning(None)
    theta[0] = power
    gradient = work.gradient(theta)
    for index in range(len(theta)):
        step = np.zeros_like(theta)
        step[index] = 1e-5
        slope = (work.objective(theta + step) - work.objective(theta - step)) / 2e-5
        assert gradient[index] == pytest.approx(slope, rel=1e-4, abs=1e-3)


def test_scores_of_many_equal_those_of_one():
    for power in (0.0, 1e-9, 0.3, -0.5):
        knot = Knot(age_years=50, l=power, m=16, s=0.33)
        one = z_scores(np.array([20.0]), np.array([power]), np.array([16.0]), np.array([0.33]))
        assert one[0] == pytest.approx(z_score(20.0, knot))


def test_a_start_gives_the_same_fit():
    ages, values, _ = women(400)
    first = fit_curves(ages, values, PLAIN)
    again = fit_curves(ages, values, PLAIN, basis=first.basis, start=first)
    assert np.allclose(first.at(ages), again.at(ages), rtol=1e-4)


def test_a_step_that_only_loses_is_not_taken():
    ages, values, _ = women(200)
    basis = make_basis(ages)
    work = normfit._Work(basis, basis.at(ages), np.log(values), np.empty((200, 0)), PLAIN)
    theta = work.beginning(fit_curves(ages, values, PLAIN, basis=basis))
    gradient = work.gradient(work.beginning(None))
    there, reached = work.climb(theta, -1e3 * np.sign(gradient), work.objective(theta) + 1.0)
    assert np.array_equal(there, theta)
    assert reached == work.objective(theta) + 1.0


def test_curves_that_do_not_settle_are_an_error(monkeypatch):
    monkeypatch.setattr(normfit, "_MAX_STEPS", 1)
    ages, values, _ = women(200)
    with pytest.raises(NormMismatch, match="settle") as error:
        fit_curves(ages, values, PLAIN)
    assert error.value.reason.code == "norm_fit_failed"


def test_a_covariate_that_says_nothing_is_an_error():
    ages, values, _ = women(200)
    with pytest.raises(NormMismatch, match="tell the effects"):
        fit_curves(ages, values, PLAIN, covariates=np.zeros((200, 1)))


def side(values_of, n=1200):
    rng = np.random.default_rng(3)
    ages, z = rng.uniform(20, 80, n), rng.standard_normal(n)
    return Side(
        ages=ages, values=values_of(ages, z), columns=np.empty((n, 0)), strata=np.zeros(n, dtype=np.intp)
    )


def test_the_criterion_chooses_no_more_bends_than_there_are():
    straight = side(lambda ages, z: 0.1 * np.exp(0.01 * (ages - 50) + 0.3 * z))
    bent = side(lambda ages, z: 0.1 * np.exp(0.2 * np.sin(ages / 6) + 0.1 * z))
    assert choose_smoothness(straight, make_basis(straight.ages)) == PLAIN
    assert choose_smoothness(bent, make_basis(bent.ages)).m == 6


PLAN = Plan(seed=1, replicates=50)


@pytest.fixture(autouse=True)
def _few_folds(monkeypatch):
    """Three parts tell as much of the code as ten."""
    monkeypatch.setattr(normfit_table, "FOLDS", 3)


def test_effects_of_scanner_and_height_are_found_and_shared_by_both_sexes():
    people = cohort(500, np.random.default_rng(4), shifts=(0.1, -0.1), exponent=1.5)
    fitted = fit_norm(people, replace(PLAN, height="estimate"))
    assert fitted.scanner_shifts[SCANNERS[0]] == pytest.approx(0.1, abs=0.03)
    assert sum(fitted.scanner_shifts.values()) == pytest.approx(0.0)
    assert fitted.height.exponent == pytest.approx(1.5, abs=4 * fitted.effect_errors["height"])
    # The standard error of a mean log value, S / sqrt(n), for two halves of a thousand people.
    assert fitted.effect_errors[f"scanner {SCANNERS[0]}"] == pytest.approx(0.3 / math.sqrt(1000), rel=0.5)
    assert fitted.calibration.verdict == "fits"
    assert fitted.site_shifts == {}


@pytest.fixture(scope="module")
def plain():
    """A table of 200 of each sex on one scanner."""
    return fit_norm(cohort(200, np.random.default_rng(5)), PLAN)


def test_a_table_runs_over_the_whole_years_of_its_people_and_no_further(plain):
    ages = [knot.age_years for knot in plain.knots["F"]]
    assert all(age == int(age) for age in ages)
    assert plain.ages[0] <= ages[0] < ages[-1] <= plain.ages[1]
    assert 20 <= ages[0] <= 22
    assert 78 <= ages[-1] <= 80
    assert plain.n_by_sex == {"F": 200, "M": 200}


def test_bands_hold_their_percentiles_and_errors_grow_to_the_ends(plain):
    for knot, band in zip(plain.knots["M"], plain.bands["M"], strict=True):
        assert band.p5[0] < band.p5[1] < band.p50[1] < band.p95[1]
        assert band.p50[0] < knot.m < band.p50[1]
    middle, end = plain.knots["M"][len(plain.knots["M"]) // 2], plain.knots["M"][-1]
    assert end.z_se[2] > middle.z_se[2]
    assert middle.z_se[4] > middle.z_se[2]
    # The plain rule sqrt(1 / n) knows nothing of age: 200 people, of whom a part has this age.
    assert math.sqrt(1 / 200) < middle.z_se[2] < math.sqrt(1 / 20)


def test_the_same_seed_gives_the_same_table_and_another_one_other_bands(plain):
    again = fit_norm(cohort(200, np.random.default_rng(5)), PLAN)
    other = fit_norm(cohort(200, np.random.default_rng(5)), replace(PLAN, seed=2))
    assert again.knots == plain.knots
    assert [knot.m for knot in other.knots["F"]] == [knot.m for knot in plain.knots["F"]]
    assert other.knots["F"][3].z_se != plain.knots["F"][3].z_se


def test_everybody_is_scored_once_by_curves_of_the_others(plain):
    assert len(plain.held_out.z) == 400
    assert plain.held_out.sexes.count("F") == 200
    assert abs(plain.held_out.z.mean()) < 0.15
    assert 0.9 < plain.held_out.z.std() < 1.15


def test_a_height_exponent_may_be_given_and_one_sex_alone_be_fitted():
    people = cohort(150, np.random.default_rng(6), exponent=2.0)
    fitted = fit_norm(people, replace(PLAN, height=2.0, sexes=("F",)))
    assert (fitted.height.exponent, fitted.height.reference_m) == (2.0, 1.7)
    assert set(fitted.knots) == {"F"}
    middle = next(knot for knot in fitted.knots["F"] if knot.age_years == 50)
    assert middle.m == pytest.approx(0.13, rel=0.1)


def test_sites_are_told_apart_where_scanners_cross_them():
    rng = np.random.default_rng(7)
    people = [
        replace(one, site=site, value=one.value * math.exp(0.2 if site == "north" else -0.2))
        for one in cohort(300, rng, shifts=(0.1, -0.1))
        for site in [("north", "south")[int(rng.integers(2))]]
    ]
    fitted = fit_norm(people, PLAN)
    assert fitted.site_shifts == pytest.approx({"north": 0.2, "south": -0.2}, abs=0.05)
    assert fitted.scanner_shifts[SCANNERS[0]] == pytest.approx(0.1, abs=0.05)
    assert set(fitted.effect_errors) == {
        "site north",
        "site south",
        *(f"scanner {name}" for name in SCANNERS),
    }


def crowd(ages, **changes):
    """Women and men of these ages."""
    return [
        person(key=f"{sex}{age}", age_years=float(age), sex=sex, **changes) for sex in "FM" for age in ages
    ]


def test_a_scanner_of_each_site_holds_the_effect_of_the_site():
    people = crowd(range(20, 60), scanner="A", site="north") + crowd(range(20, 60), scanner="B", site="south")
    effects = effects_of(people, height=False)
    assert (effects.scanners, effects.sites, effects.count) == (("A", "B"), (), 1)


@pytest.mark.parametrize(
    ("people", "words"),
    [
        (crowd(range(20, 60)) + crowd(range(20, 39), scanner="B"), "scanner 'B', sex F: 19 people"),
        (crowd(range(20, 45)) + crowd(range(50, 80), scanner="B"), "ages that the others do not have"),
        (
            crowd(range(20, 60)) + [one for one in crowd(range(20, 60), scanner="B") if one.sex == "M"],
            "scanner 'B', sex F: 0 people",
        ),
        (
            [
                one
                for scanner, site in (("A", "1"), ("A", "2"), ("B", "3"), ("B", "4"))
                for one in crowd(range(20, 60), scanner=scanner, site=site)
            ],
            "cannot be told apart",
        ),
    ],
)
def test_effects_that_are_entangled_are_refused(people, words):
    with pytest.raises(NormMismatch, match=words) as error:
        effects_of(people, height=False)
    assert error.value.reason.code == "cohort_confounded"
