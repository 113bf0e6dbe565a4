"""Drawings of one finding: what was measured stands where it was measured, in the language of the page."""

import re
from dataclasses import asdict, replace
from functools import cache

import pytest

from service.pipeline.references import bundled_models_dir, list_norms
from service.web.finding_svg import charts, curve, profile
from service.web.language import Speaker
from tests.make.ledger import make_finding

ENGLISH, GERMAN = Speaker("en"), Speaker("de")


def point(at, left=(9.0, 2.0), right=(8.0, 1.0)):
    return {
        "position_mm": at,
        "left_lean_cm2": left[0],
        "left_fat_cm2": left[1],
        "right_lean_cm2": right[0],
        "right_fat_cm2": right[1],
    }


def areas(drawing):
    """Each coloured area: its colour, and its leftmost and rightmost place."""
    for colour, points in re.findall(r'<polygon class="tissue" fill="([^"]+)" points="([^"]+)"', drawing):
        places = [float(each.split(",")[0]) for each in points.split()]
        yield colour, min(places), max(places)


def test_the_right_side_is_on_the_left_and_fat_lies_outside_of_lean():
    found = list(areas(profile([point(0.0), point(100.0)], ENGLISH)))
    middle = 52.0 + 330.0 / 2
    # One cm2 is 15 units: half of 330 over 1.1 times eleven.
    unit = 165.0 / 12.1
    assert found == [
        ("rgb(153,83,70)", pytest.approx(middle - 8 * unit, abs=0.1), middle),
        (
            "rgb(184,176,56)",
            pytest.approx(middle - 9 * unit, abs=0.1),
            pytest.approx(middle - 8 * unit, abs=0.1),
        ),
        ("rgb(192,104,88)", middle, pytest.approx(middle + 9 * unit, abs=0.1)),
        (
            "rgb(230,220,70)",
            pytest.approx(middle + 9 * unit, abs=0.1),
            pytest.approx(middle + 11 * unit, abs=0.1),
        ),
    ]


def test_where_fat_is_not_told_apart_there_is_the_compartment_alone():
    bare = [point(at, left=(9.0, None), right=(8.0, None)) for at in (0.0, 5.0, 10.0)]
    drawing = profile(bare, ENGLISH)
    assert len(list(areas(drawing))) == 2
    assert "muscle with its fat, left" in drawing
    assert "lean muscle" not in drawing


def test_of_one_slice_there_is_no_profile():
    assert profile([], ENGLISH) is None
    assert profile([point(0.0)], ENGLISH) is None


@cache
def table():
    return next(each for each in list_norms(bundled_models_dir()) if each.measure == "imat_fraction")


def finding(**score):
    made = make_finding(imat=0.312)
    mine = replace(made.scores[0], norm=table().reference, **score)
    return {**asdict(made), "scores": [asdict(mine)]}


def place(drawing):
    x, y = re.search(r'class="person" cx="([\d.]+)" cy="([\d.]+)"', drawing).groups()
    return float(x), float(y)


def test_a_person_stands_at_the_age_and_value_in_the_curve_of_the_sex():
    (found,) = charts(finding(), [table()], ENGLISH).curves
    assert (found.measure, found.norm, found.status) == ("imat_fraction", table().reference, table().status)
    low, high = table().ages("F")
    x, y = place(found.drawing)
    assert x == pytest.approx(52 + 330 * (56 - low) / (high - low), abs=0.1)
    higher = place(charts(finding(value=0.35), [table()], ENGLISH).curves[0].drawing)
    assert higher[0] == x
    assert higher[1] < y
    assert found.drawing.count('class="centile"') == 4
    assert found.drawing.count('class="interval"') == 1
    (bare,) = charts(finding(value_ci95=None), [table()], ENGLISH).curves
    assert (found.with_interval, bare.with_interval) == (True, False)
    assert 'class="interval"' not in bare.drawing


def test_no_curve_is_drawn_of_another_table_or_of_nobody():
    made = finding()
    assert charts(made, [], ENGLISH).curves == ()
    assert (
        charts({**made, "scores": [{**made["scores"][0], "state": "no_norm"}]}, [table()], ENGLISH).curves
        == ()
    )
    changed = {**made["scores"][0], "norm_facts": {"sha256": "0" * 64, "adjusted_value": 0.3}}
    assert charts({**made, "scores": [changed]}, [table()], ENGLISH).curves == ()
    for person in ({"age_years": None, "sex": "F"}, {"age_years": 50.0, "sex": None}, {}):
        assert curve(made["scores"][0], table(), person, ENGLISH) is None
    assert charts({}, [table()], ENGLISH).curves == ()


def test_what_was_compared_is_drawn_not_what_was_measured():
    made = finding(value=0.05, value_ci95=None)
    facts = {"sha256": table().sha256, "adjusted_value": 0.08}
    adjusted = {**made, "scores": [{**made["scores"][0], "norm_facts": facts}]}
    drawn = place(charts(adjusted, [table()], ENGLISH).curves[0].drawing)
    straight = place(charts(finding(value=0.08, value_ci95=None), [table()], ENGLISH).curves[0].drawing)
    assert drawn == straight
    assert drawn != place(charts(made, [table()], ENGLISH).curves[0].drawing)


def test_drawings_speak_the_language_of_the_page():
    said = charts({**finding(), "measures": {"profile": [point(0.0), point(50.0)]}}, [table()], GERMAN)
    assert "Querschnittsfläche" in said.profile
    assert "magerer Muskel, rechts" in said.profile
    assert "Alter (Jahre)" in said.curves[0].drawing
    for english in ("Age", "lean", "Position", "Height"):
        assert f">{english}" not in said.profile + said.curves[0].drawing
