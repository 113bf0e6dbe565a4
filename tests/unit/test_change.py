"""Only like is compared with like, and a difference is told beside the error of measurement."""

from dataclasses import replace

import pytest

from service.core.change import DETECTABLE, Spread, compare, read_earlier
from service.core.edited import of_edited
from tests.make.results import finding
from tests.unit.test_pictures import a_mask

SPREAD = Spread(sd={"imat_fraction": 0.002}, cv={"lmm_ml": 0.01})


def found(**series):
    made = finding(a_mask())
    section = replace(made.series, **{"scanner": "MAKER Model 1.5 T", **series})
    return replace(made, series=section)


def with_total(made, **values):
    return replace(made, measures=replace(made.measures, total=replace(made.measures.total, **values)))


def differences(now, then, spread=SPREAD, days=400):
    change = compare(now, read_earlier(then.as_dict(), days=days), spread)
    return None if change is None else {each.measure: each for each in change.measures}


def test_a_difference_beyond_the_error_of_measurement_is_told_as_one():
    then = with_total(found(), imat_fraction=0.10, lmm_ml=20.0)
    seen = differences(with_total(found(), imat_fraction=0.12, lmm_ml=20.1), then)
    assert seen["imat_fraction"].state == "beyond_repeatability"
    assert seen["imat_fraction"].difference == pytest.approx(0.02)
    assert seen["imat_fraction"].smallest_detectable == pytest.approx(DETECTABLE * 0.002)
    assert seen["lmm_ml"].state == "within_repeatability"
    assert seen["lmm_ml"].smallest_detectable == pytest.approx(DETECTABLE * 0.01 * 20.05)
    assert seen["mean_lean_csa_cm2"].state == "repeatability_not_known"
    assert "fat_signal_fraction" not in seen


def test_without_a_known_repeatability_the_difference_stands_alone():
    seen = differences(found(), found(), spread=None)
    assert {each.state for each in seen.values()} == {"repeatability_not_known"}
    assert {each.smallest_detectable for each in seen.values()} == {None}


def test_the_change_names_the_earlier_study():
    change = compare(found(), read_earlier(found(study_uid="1.9").as_dict(), days=7), SPREAD)
    assert (change.study_uid, change.days) == ("1.9", 7)


@pytest.mark.parametrize(
    "other",
    [
        found(contrast="t1"),
        found(region="thoracic"),
        found(scanner="OTHER Model 1.5 T"),
        found(scanner=None),
        found(coverage_mm=found().series.coverage_mm * 1.2),
        replace(found(), definition=replace(found().definition, version="99")),
        replace(found(), model=replace(found().model, sha256="f" * 64)),
        replace(found(), model=None),
        replace(found(), measures=None),
        replace(found(), series=None),
    ],
)
def test_what_is_not_alike_is_not_compared(other):
    assert differences(found(), other) is None
    assert differences(other, found()) is None


def test_nothing_earlier_is_nothing_to_compare():
    assert compare(found(), None, SPREAD) is None
    assert differences(found(), found(), days=0) is None


def test_what_people_drew_is_compared_with_nothing():
    """Two people draw two boundaries, and nobody knows how far these lie apart."""
    drawn = replace(found(), definition=of_edited(found().definition))
    assert differences(drawn, drawn) is None
    assert read_earlier(drawn.as_dict(), days=400) is None
