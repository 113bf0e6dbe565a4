"""Values that drift leave their limits, and another mix of people, or of sizes of months, does not."""

import math

import numpy as np
import pytest

from service.core import drift
from service.core.drift import ALL, charts, watched
from service.core.population import Records

TODAY = 202611
MONTHS = [*range(202501, 202513), *range(202601, 202612)]


def world(seed=1, *, people=40, change=None, months=MONTHS, spread=0.2, groups=None):
    """People of both sexes and many ages, whose values rise with age; ``change`` acts on their logarithms."""
    chance = np.random.default_rng(seed)
    day, sex, age, value, code = [], [], [], [], []
    for month in months:
        ages = chance.uniform(30, 80, people)
        sexes = chance.integers(0, 2, people)
        codes = np.zeros(people, dtype=np.int64) if groups is None else groups(month, people)
        logs = np.log(0.1) + 0.02 * (ages - 30) + 0.3 * sexes + chance.normal(0, spread, people)
        logs = logs if change is None else change(month, logs, codes)
        day += [month * 100 + 5] * people
        sex, age, value, code = [*sex, *sexes], [*age, *ages], [*value, *np.exp(logs)], [*code, *codes]
    count = len(day)
    return Records(
        person=np.arange(count),
        day=np.array(day),
        analysis=np.arange(count),
        sex=np.array(sex),
        age_years=np.array(age),
        imat=np.array(value),
        lmm=np.full(count, np.nan),
        imat_z=np.full(count, np.nan),
        lmm_z=np.full(count, np.nan),
        flags=np.zeros(count, dtype=np.int64),
        groups={"scanner": np.array(code)},
        names={"scanner": ("A", "B", "C")},
    )


def after(month, by, code=None):
    """Values are so many times as large from a month on, of one group."""
    return lambda at, logs, codes: logs + (at >= month) * math.log(by) * (code is None or codes == code)


def one(records, **more):
    (chart,) = charts(records, "imat", dimensions=(ALL,), today=TODAY, **more)
    return chart


def test_steady_values_stay_within_their_limits():
    chart = one(world())
    assert [point.month for point in chart.points] == MONTHS
    assert [point.state for point in chart.points] == ["baseline"] * 12 + ["inside"] * 11
    assert chart.centre == pytest.approx(1.0, abs=0.05)
    assert chart.alarms == ()
    assert all(point.low < point.ratio < point.high and point.people == 40 for point in chart.points)


def test_a_change_raises_an_alarm_in_this_month_and_the_one_before():
    chart = one(world(change=after(202609, 1.4)))
    outside = [point.month for point in chart.points if point.state == "outside"]
    assert outside == [202609, 202610, 202611]
    assert chart.alarms == (202610, 202611)
    assert [point.ratio for point in chart.points][-1] == pytest.approx(1.4, rel=0.15)


def test_a_change_that_went_again_raises_none():
    over = one(world(change=lambda at, logs, _: logs + 0.4 * (at == 202605)))
    assert [point.month for point in over.points if point.state == "outside"] == [202605]
    assert over.alarms == ()


def test_false_alarms_are_rare():
    """Three sigma would be 0.27 %; a short baseline and its estimates make it some more."""
    outside = judged = 0
    for seed in range(40):
        points = [point for point in one(world(seed)).points if point.state != "baseline"]
        judged += len(points)
        outside += sum(point.state == "outside" for point in points)
    assert judged == 440
    assert outside <= 0.03 * judged


def test_limits_are_wider_where_a_month_has_fewer_people():
    full = world(people=160)
    thin = full.take((full.month != 202610) | (np.arange(len(full)) % 10 == 0))
    points = {point.month: point for point in one(thin).points}
    assert points[202610].people == 15
    assert math.log(points[202610].high / points[202610].low) > 1.5 * math.log(
        points[202609].high / points[202609].low
    )


def test_months_that_differ_by_more_than_sampling_widen_the_limits():
    wobble = {month: 0.1 * (-1) ** place for place, month in enumerate(MONTHS)}
    calm, rough = one(world(people=400)), one(world(people=400, change=lambda at, logs, _: logs + wobble[at]))
    assert math.log(rough.points[-1].high) > 3 * math.log(calm.points[-1].high)
    assert rough.alarms == ()


def test_another_mix_of_people_is_no_drift():
    mixed = world(people=200)
    older = mixed.take((mixed.month < 202610) | (mixed.age_years > 65))
    assert np.median(older.imat[older.month == 202611]) > 1.2 * np.median(older.imat[older.month == 202609])
    assert one(older).alarms == ()


def test_without_a_baseline_nothing_is_judged():
    assert charts(world(months=MONTHS[-7:]), "imat", dimensions=(ALL,), today=TODAY) == ()
    six = one(world(months=MONTHS[-8:]))
    assert [point.state for point in six.points] == ["baseline"] * 6 + ["inside"] * 2
    assert charts(world(people=9), "imat", dimensions=(ALL,), today=TODAY) == ()
    assert charts(world(), "lmm", dimensions=(ALL,), today=TODAY) == ()


def test_months_before_a_known_change_can_be_left_out():
    moved = world(change=after(202601, 1.4))
    assert one(moved).alarms != ()
    anew = one(moved, since=202601)
    assert anew.points[0].month == 202601
    assert anew.alarms == ()


def test_one_scanner_that_drifts_is_told_from_the_others():
    def halves(_month, people):
        return np.arange(people) % 2

    drifting = world(people=120, groups=halves, change=after(202610, 1.5, code=1))
    a, b = sorted(
        charts(drifting, "imat", dimensions=("scanner",), today=TODAY), key=lambda chart: chart.name
    )
    assert (a.name, b.name) == ("A", "B")
    assert a.alarms == ()
    assert b.alarms == (202610, 202611)


def test_a_lasting_difference_between_scanners_is_a_level_and_no_alarm():
    def halves(_month, people):
        return np.arange(people) % 2

    found = charts(
        world(people=120, groups=halves, change=after(0, 1.5, code=1)),
        "imat",
        dimensions=("scanner",),
        today=TODAY,
    )
    levels = {chart.name: chart.centre for chart in found}
    assert levels["B"] / levels["A"] == pytest.approx(1.5, rel=0.1)
    assert all(chart.alarms == () for chart in found)


def test_a_new_scanner_is_shown_without_limits_and_a_rare_one_not_at_all():
    def newcomer(month, people):
        codes = np.zeros(people, dtype=np.int64)
        codes[:20] = 1 if month >= 202610 else 0
        codes[20:29] = 2
        return codes

    found = {
        chart.name: chart
        for chart in charts(world(people=80, groups=newcomer), "imat", dimensions=("scanner",), today=TODAY)
    }
    assert sorted(found) == ["A", "B"]
    assert [(point.month, point.state, point.low) for point in found["B"].points] == [
        (202610, "no_limits", None),
        (202611, "no_limits", None),
    ]
    assert found["B"].centre is None
    assert found["B"].alarms == ()


def test_decades_with_too_few_people_have_no_expectation():
    records = world(people=100)
    lonely = np.where(np.arange(len(records)) % 400 == 0, 95.0, records.age_years)
    found = one(
        Records(**{**vars(records), "age_years": lonely, "imat": np.where(lonely > 90, 50.0, records.imat)})
    )
    assert found.alarms == ()
    assert max(point.people for point in found.points) == 100


def test_the_month_before_january_is_december():
    assert watched(202611) == 202610
    assert watched(202601) == 202512


def test_a_share_of_nothing_has_a_logarithm():
    records = world()
    empty = Records(**{**vars(records), "imat": np.zeros(len(records))})
    assert one(empty).points[0].ratio == pytest.approx(1.0)
    assert drift.LEAST > 0


def test_limits_do_not_tell_more_than_the_rounded_number_of_people():
    """Limits narrow with the number of people, so exact ones would tell it, to one person."""
    full = world(people=20)
    place = np.arange(len(full)) % 20
    limits = set()
    for people in (18, 20):
        points = one(full.take((full.month != 202611) | (place < people))).points
        assert points[-1].people == 20
        limits.add((points[-1].low, points[-1].high))
    assert len(limits) == 1


def test_many_names_of_a_few_results_each_are_not_looked_at():
    records = world(people=200)
    codes = np.where(np.arange(len(records)) % 2, np.arange(len(records)), 0)
    names = tuple(f"protocol {place}" for place in range(len(records)))
    many = Records(**{**vars(records), "groups": {"protocol": codes}, "names": {"protocol": names}})
    assert [name for name, _ in drift._groups(many, "protocol")] == ["protocol 0"]
