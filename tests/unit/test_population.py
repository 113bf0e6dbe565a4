"""Many results are told by person, and never so that fewer than five people stand behind a number."""

import random
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from service.core.extract import Family, day_of, extract, pack, person_number, unpack
from service.core.population import (
    FEWEST,
    QUADRANTS,
    Records,
    by_age,
    flag_rate,
    flag_rates,
    in_order,
    latest,
    of_one_norm,
    plane,
    quartiles,
    rounded,
    share,
    shown,
    told,
)
from tests.make.ledger import make_finding


def records(count, **given):
    """So many results of as many people, each a woman of 55 without a score, but for what is given."""
    numbers = np.arange(count)
    values = {
        "person": numbers + 100,
        "day": np.full(count, 20261105),
        "analysis": numbers,
        "sex": np.zeros(count, dtype=np.int64),
        "flags": np.ones(count, dtype=np.int64),
        "age_years": np.full(count, 55.0),
        **{name: np.full(count, np.nan) for name in ("imat", "lmm", "imat_z", "lmm_z")},
    }
    values.update({name: np.asarray(value) for name, value in given.items()})
    return in_order(Records(**values, groups={}, names={}))


def test_of_two_results_of_a_person_the_latest_counts():
    found = latest(
        records(4, person=[1, 1, 2, 1], day=[20261101, 20261102, 20261101, 20261102], analysis=[9, 3, 4, 5])
    )
    assert sorted(zip(found.person.tolist(), found.analysis.tolist(), strict=True)) == [(1, 5), (2, 4)]


def test_by_month_a_person_counts_once_in_each():
    found = latest(
        records(4, person=[1, 1, 1, 2], day=[20261001, 20261002, 20261101, 20261101]), by_month=True
    )
    assert sorted(zip(found.person.tolist(), found.day.tolist(), strict=True)) == [
        (1, 20261002),
        (1, 20261101),
        (2, 20261101),
    ]
    assert found.people == 2


def test_of_nobody_nothing_is_told():
    nobody = records(0)
    assert len(latest(nobody)) == 0
    assert plane(nobody).people is None
    assert plane(nobody).cells == ()
    assert by_age(nobody, "imat") == flag_rates(nobody) == ()
    assert flag_rate(nobody) is None


@pytest.mark.parametrize(
    ("counts", "seen"),
    [
        ((12, 8, 5), (True, True, True)),
        # 3 would be the total less the others.
        ((12, 8, 3), (True, False, False)),
        # Two cells under five that are four people together are such a group themselves.
        ((12, 8, 2, 2), (True, False, False, False)),
        ((12, 8, 4, 2), (True, True, False, False)),
        # Nobody is in it: there is nobody to hide.
        ((12, 0), (True, False)),
        ((12, 0, 1), (False, False, False)),
        ((3,), (False,)),
        ((), ()),
    ],
)
def test_what_subtraction_would_tell_is_hidden_too(counts, seen):
    assert shown(counts) == seen


def test_no_table_tells_a_group_under_five_by_its_total():
    chance = random.Random(7)
    for _ in range(2000):
        counts = [chance.choice((0, 1, 2, 3, 4, 5, 6, 9, 30)) for _ in range(chance.randint(1, 6))]
        mask = shown(counts)
        hidden = [count for count, seen in zip(counts, mask, strict=True) if not seen]
        assert all(count >= FEWEST for count, seen in zip(counts, mask, strict=True) if seen)
        assert sum(hidden) == 0 or sum(hidden) >= FEWEST or not any(mask)


def test_numbers_of_people_are_rounded_to_five():
    assert [rounded(count) for count in (0, 4, 5, 7, 8, 12, 13)] == [None, None, 5, 5, 10, 10, 15]
    assert told((41, 13, 2)) == (40, None, None)


def test_shares_need_five_people_on_either_side():
    assert share(5, of=10) == 0.5
    assert share(4, of=100) is None
    assert share(96, of=100) is None
    assert share(33, of=100) == 0.35


def test_a_share_does_not_tell_more_than_the_rounded_numbers():
    """Of about ten people 0.45 would be 5 of 11, and 0.42 on the next day would be of the twelfth."""
    assert {share(5, of=people) for people in (10, 11, 12)} == {0.5}
    assert {share(with_flag, of=20) for with_flag in (8, 9, 10, 11, 12)} == {0.5}


def test_quantiles_need_five_people_on_either_side():
    assert quartiles(np.arange(9.0)) == (None, None, None)
    assert quartiles(np.arange(11.0)) == (None, 5.0, None)
    assert quartiles(np.arange(21.0)) == (5.0, 10.0, 15.0)


def test_the_plane_has_cells_and_quadrants_by_person():
    # 20 people high and low, 10 between; 4 low and low; one of the 20 was measured before, elsewhere.
    imat_z = [1.1] * 20 + [0.1] * 10 + [-1.2] * 4 + [-3.0]
    lmm_z = [-9.0] * 20 + [2.0] * 10 + [-0.9] * 4 + [3.0]
    person = [*range(34), 0]
    day = [20261105] * 34 + [20200101]
    found = plane(records(35, imat_z=imat_z, lmm_z=lmm_z, person=person, day=day))
    assert found.people == 35
    # Four are hidden, and ten with them, because 34 less 20 and 10 would tell them.
    assert [(cell.imat_z, cell.lmm_z, cell.people) for cell in found.cells] == [(1.0, -4.0, 20)]
    assert found.quadrants == {**dict.fromkeys(QUADRANTS), "high_imat_low_lmm": 20}


def test_only_scores_by_the_same_tables_are_drawn_together():
    norms = Records(
        **{
            **vars(records(6)),
            "groups": {"norms": np.array([0, 1, 1, 1, 2, 2])},
            "names": {"norms": ("", "a@1", "a@1 b@1")},
        }
    )
    found, names = of_one_norm(norms)
    assert (found.analysis.tolist(), names) == ([4, 5], "a@1 b@1")
    nobody, names = of_one_norm(records(6))
    assert (len(nobody), names) == (0, "")


def test_scores_on_the_edge_count_in_the_outermost_cells():
    found = plane(records(10, imat_z=[4.0] * 5 + [7.0] * 5, lmm_z=[0.0] * 10))
    assert [(cell.imat_z, cell.lmm_z) for cell in found.cells] == [(3.5, 0.0)]


def test_every_corner_is_named_as_one_finding_names_it():
    corners = {
        "high_imat_low_lmm": (1, -1),
        "high_imat_high_lmm": (1, 1),
        "low_imat_low_lmm": (-1, -1),
        "low_imat_high_lmm": (-1, 1),
        "between": (0, 1),
    }
    for name, (fat, lean) in corners.items():
        found = plane(records(8, imat_z=[fat] * 8, lmm_z=[lean] * 8))
        assert found.quadrants == {**dict.fromkeys(QUADRANTS), name: 10}


def test_ages_are_told_by_sex_and_decade():
    ages = [55.0] * 21 + [61.0] * 11 + [72.0] * 6
    values = [*np.arange(21.0), *np.arange(11.0), *[1.0] * 6]
    found = by_age(records(38, age_years=ages, imat=values), "imat")
    assert [(band.sex, band.from_years, band.people) for band in found] == [
        ("F", 50, 20),
        ("F", 60, 10),
        ("F", 70, 5),
    ]
    assert (found[0].p25, found[0].p50, found[0].p75) == (5.0, 10.0, 15.0)
    assert (found[1].p25, found[1].p50, found[1].p75) == (None, 5.0, None)
    assert found[2].p50 is None
    # Without age, sex or value nobody is anywhere.
    assert by_age(records(30, imat=np.ones(30), sex=np.full(30, -1)), "imat") == ()
    assert by_age(records(30), "imat") == ()


def test_a_median_does_not_tell_whose_value_it_is():
    values = [0.1234567, *np.linspace(0.1, 0.12, 10), *np.linspace(0.13, 0.2, 10)]
    (band,) = by_age(records(21, age_years=[55.0] * 21, imat=values), "imat")
    assert band.p50 == 0.123
    (band,) = by_age(records(21, age_years=[55.0] * 21, lmm=[1000 * value for value in values]), "lmm")
    assert band.p50 == 123.0


def test_a_band_that_subtraction_would_tell_is_empty():
    ages = [55.0] * 30 + [61.0] * 11 + [72.0] * 3
    found = by_age(records(44, age_years=ages, imat=np.ones(44)), "imat")
    assert [(band.from_years, band.people, band.p50) for band in found] == [
        (50, 30, 1.0),
        (60, None, None),
        (70, None, None),
    ]


def test_flag_rates_are_by_month_and_person_of_those_that_could_be_judged():
    flags = [2] * 6 + [1] * 14 + [0] * 3 + [2] * 4 + [1] * 16
    day = [20261005] * 23 + [20261105] * 20
    found = flag_rates(records(43, flags=flags, day=day))
    assert [(month.month, month.people, month.rate) for month in found] == [
        (202610, 20, 0.25),
        (202611, 20, None),
    ]
    assert flag_rate(records(43, flags=flags, day=day)) == 0.25


def test_a_month_that_subtraction_would_tell_is_hidden():
    found = flag_rates(
        records(33, day=[20260905] * 20 + [20261005] * 10 + [20261105] * 3, flags=[2, 1] * 15 + [1, 1, 1])
    )
    assert [(month.people, month.rate) for month in found] == [(20, 0.5), (None, None), (None, None)]


def test_what_is_taken_out_of_a_finding():
    finding = make_finding(imat=0.3121, flag="raised").as_dict()
    facts = {"protocol": "t2_tse_tra", "station_name": "MR1", "manufacturer": "SIEMENS"}
    found = extract(finding, facts, day=20261105)
    assert found.family == Family(
        definition="paraspinal-compartment@1",
        network="paraspinal",
        boundary_rule="fascia",
        fat_method="reference-percentile",
        contrast="t2_tse",
        region="lumbar",
        coverage_from_mm=200,
    )
    assert found.family.coverage_mm == (200, 250)
    assert (found.sex, found.age_e1, found.imat_e5) == (0, 560, 31210)
    assert found.imat_z_e3 == round(finding["scores"][0]["z"] * 1000)
    assert (found.lmm_e1, found.lmm_z_e3) == (None, None)
    assert (found.flags, found.scanner, found.protocol) == (2, "SIEMENS / MR1", "t2_tse_tra")
    assert found.norms == finding["scores"][0]["norm"]


def test_what_is_not_known_is_left_out():
    found = extract({"status": "measured"}, {}, day=20261105)
    assert found.family is found.sex is found.age_e1 is found.imat_e5 is found.imat_z_e3 is None
    assert (found.flags, found.norms, found.scanner, found.protocol) == (0, "", "", "")
    finding = make_finding(imat=0.2).as_dict()
    assert extract(finding, {}, day=1).flags == 1
    blind = {**finding, "flags": [{"code": "x", "state": "not_evaluable", "text": "x"}]}
    assert extract(blind, {}, day=1).flags == 0
    assert (
        extract({**finding, "series": {**finding["series"], "coverage_mm": None}}, {}, day=1).family is None
    )


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("20261105", 20261105),
        (" 2026.11.05", 20261105),
        ("20261121", 20261120),
        ("20261340", 20261120),
        ("19000101", 20261120),
        ("", 20261120),
    ],
)
def test_the_day_of_a_study_is_a_day_that_was(text, day):
    assert day_of(text, date(2026, 11, 20)) == day


def test_a_person_is_a_number_that_the_id_gives():
    assert person_number("") is None
    assert person_number("4711") == person_number("4711") != person_number("4712")
    assert 0 <= person_number("4711") < 2**56


def test_what_is_packed_is_unpacked():
    taken = extract(make_finding(imat=0.3121, flag="raised").as_dict(), {}, day=20261105)
    nothing = extract({}, {}, day=20261106)
    far = replace(nothing, imat_e5=2**40)
    told = [
        (("A",), pack(taken, person=2**55, analysis=7) + pack(nothing, person=3, analysis=8)),
        (("B",), pack(far, person=3, analysis=9)),
    ]
    found = unpack(told, ("scanner",))
    assert found.person.tolist() == [3, 3, 2**55]
    assert found.analysis.tolist() == [8, 9, 7]
    assert found.day.tolist() == [20261106, 20261106, 20261105]
    assert found.sex.tolist() == [-1, -1, 0]
    assert found.imat[2] == 0.3121
    assert np.isnan(found.imat[:2]).all()
    assert np.isnan(found.lmm).all()
    assert found.flags.tolist() == [0, 0, 2]
    assert [found.names["scanner"][code] for code in found.groups["scanner"]] == ["A", "B", "A"]
    assert len(unpack([], ("scanner",))) == 0
