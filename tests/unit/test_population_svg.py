"""Drawings of the population: a single odd row does not press the rest flat."""

from service.web.language import Speaker
from service.web.population_shapes import AgeBandShape, AgesShape
from service.web.population_svg import ages


def drawn(*bands):
    found = AgesShape(
        measure="imat_fraction",
        unit="1",
        bands=[
            AgeBandShape(sex="F", from_years=years, people=people, p25=None, p50=p50, p75=None)
            for years, people, p50 in bands
        ],
        reference=None,
        misfits=[],
    )
    return ages(found, Speaker("en"))


def test_a_slip_in_one_age_does_not_press_the_ages_flat():
    told = drawn((50, 10, 0.12), (60, 10, 0.15))
    assert told is not None
    assert drawn((50, 10, 0.12), (60, 10, 0.15), (990, None, None)) == told


def test_a_median_of_nothing_is_drawn_too():
    assert "median" in drawn((50, 10, 0.0))
    assert drawn((50, 5, None)) is None
