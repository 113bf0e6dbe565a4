"""Whether measured values drift: the median of each month against what is expected, with control limits.

Expected is the median by sex and decade of age of the baseline, so that another mix of people is no drift.
What is charted is the median over people of ln(value / expected), month by month, for all results and for
each scanner, protocol and site. The chart is an individuals chart of these (Wheeler and Chambers 1992,
Understanding Statistical Process Control): centre and limits come from a baseline and stay, and the spread
between months is the median moving range over 0.954. As months differ in how many people they have, that
spread is parted into sampling and the rest, and the limits of each month are

    centre +- 3 sqrt(between^2 + (pi / 2) within^2 / n + that of the centre)

where (pi / 2) within^2 / n is the variance of a median of n normal values, and ``within`` is 1.4826 times the
median absolute deviation (Rousseeuw and Croux 1993, J Am Stat Assoc 88:1273). To carry the spread between
months beside that of sampling is Laney's correction (2002, Qual Eng 14:531): without it, months of many
people leave their limits for nothing. Of points that follow the model 0.27 % lie outside (Shewhart 1931).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from service.core.population import (
    AGE_BAND_YEARS,
    FEWEST_FOR_MEDIAN,
    Floats,
    Ints,
    Mask,
    Records,
    latest,
    rounded,
)

Measure = Literal["imat", "lmm"]
MEASURES: Final[tuple[Measure, ...]] = ("imat", "lmm")
#: All results together, and what they are told apart by.
ALL: Final = "all"
DIMENSIONS: Final = ("scanner", "protocol", "site")
#: Months of the baseline: every season once; and how few will do, so that a new site is watched after half a
#: year. A longer baseline is better (Montgomery 2013, Introduction to Statistical Quality Control, 6.2.2: 20
#: to 25 samples), a shorter one comes sooner. Chosen by us.
BASELINE_MONTHS: Final = 12
FEWEST_BASELINE_MONTHS: Final = 6
#: People without whom a month, or a decade of a sex, says nothing. Chosen by us: the standard error of such a
#: median is 0.4 SD, and it has five people on each side.
FEWEST_PEOPLE: Final = FEWEST_FOR_MEDIAN
SIGMAS: Final = 3.0
#: Median of the moving range of normal values over their SD: 0.6745 sqrt(2).
MOVING_RANGE: Final = 0.954
MAD_TO_SD: Final = 1.4826
#: A share below this counts as this much, for its logarithm: one voxel in a thousand.
LEAST: Final = 0.001

State = Literal["baseline", "inside", "outside", "no_limits"]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One month of one group: the median over what is expected, as a ratio."""

    #: As 202611.
    month: int
    #: Rounded, as numbers of people are told.
    people: int | None
    ratio: float
    low: float | None
    high: float | None
    state: State


@dataclass(frozen=True, kw_only=True)
class Chart:
    """The months of one group."""

    measure: Measure
    #: ``ALL``, or one of ``DIMENSIONS``.
    dimension: str
    #: The scanner, protocol or site; empty for all.
    name: str
    #: Centre of the group over what is expected of all, as a ratio; None without a baseline.
    centre: float | None
    #: Months with enough people, oldest first.
    points: tuple[Point, ...]
    #: Months that are watched now and lie outside their limits.
    alarms: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class _Months:
    """Medians of one group by month."""

    month: Ints
    people: Ints
    median: Floats


@dataclass(frozen=True, kw_only=True)
class _Limits:
    """What the baseline says of a group."""

    months: frozenset[int]
    centre: float
    between2: float
    within2: float
    #: Variance of the centre itself, which is a median of so many months.
    centre2: float

    def half(self, people: int) -> float:
        """Half of the way from limit to limit, for a month of so many people.

        These are the rounded number, because two limits would tell the exact one.
        """
        return SIGMAS * math.sqrt(self.between2 + self.centre2 + math.pi / 2.0 * self.within2 / people)


def watched(today: int) -> int:
    """The first of the months that raise an alarm: the one before that of ``today`` (as 202611)."""
    return today - 1 if today % 100 > 1 else today - 89


def charts(
    records: Records, measure: Measure, *, dimensions: Sequence[str], today: int, since: int = 0
) -> tuple[Chart, ...]:
    """A chart for each group of each dimension (``ALL``: one), those of the most people first.

    ``today`` is the month of today, ``since`` the first month that counts. Empty without a baseline.
    """
    mine, values = _residuals(records, measure, today=today, since=since)
    mine = replace(
        mine,
        groups={**mine.groups, ALL: np.zeros(len(mine), dtype=np.int64)},
        names={**mine.names, ALL: ("",)},
    )
    found = (
        _chart(mine.month[which], values[which], (measure, dimension, name), today=today)
        for dimension in dimensions
        for name, which in _groups(mine, dimension)
    )
    return tuple(chart for chart in found if chart.points)


def _groups(records: Records, dimension: str) -> Iterator[tuple[str, Mask]]:
    """Which results are of each group of a dimension that may have a point, the largest first.

    One at a time: a protocol is free text, so there may be as many as results.
    """
    codes, names = records.groups[dimension], records.names[dimension]
    sizes = np.bincount(codes, minlength=len(names))
    enough = np.flatnonzero(sizes >= FEWEST_PEOPLE)
    for code in sorted(enough, key=lambda code: (-int(sizes[code]), names[code])):
        yield names[code], codes == code


def _residuals(records: Records, measure: Measure, *, today: int, since: int) -> tuple[Records, Floats]:
    """One result a person and month, and ln(value / expected) of each; those without expectation are out."""
    raw: Floats = getattr(records, measure)
    fit = np.isfinite(raw) & np.isfinite(records.age_years) & (records.sex >= 0)
    fit &= (records.month >= since) & (records.month <= today)
    mine = latest(records.take(fit), by_month=True)
    values: Floats = np.log(np.maximum(getattr(mine, measure), LEAST))
    months = _baseline_months(mine.month, today=today)
    if months is None:
        return mine.take(slice(0, 0)), values[:0]
    base = np.isin(mine.month, sorted(months))
    kind = mine.sex * 1000 + (mine.age_years // AGE_BAND_YEARS).astype(np.int64)
    expected = np.full(len(mine), np.nan)
    for each in np.unique(kind):
        of_kind = kind == each
        if (of_kind & base).sum() >= FEWEST_PEOPLE:
            expected[of_kind] = np.median(values[of_kind & base])
    known = np.isfinite(expected)
    return mine.take(known), (values - expected)[known]


def _baseline_months(month: Ints, *, today: int) -> frozenset[int] | None:
    """The first months with enough people, before those that are watched; None where these are too few."""
    months, people = np.unique(month, return_counts=True)
    enough = months[(people >= FEWEST_PEOPLE) & (months < watched(today))][:BASELINE_MONTHS]
    return frozenset(int(each) for each in enough) if len(enough) >= FEWEST_BASELINE_MONTHS else None


def _chart(month: Ints, values: Floats, what: tuple[Measure, str, str], *, today: int) -> Chart:
    """The months of a group with enough people, each judged."""
    months = _medians(month, values)
    limits = _limits(months, month, values, today=today)
    points = tuple(_points(months, limits))
    measure, dimension, name = what
    return Chart(
        measure=measure,
        dimension=dimension,
        name=name,
        centre=None if limits is None else _told(limits.centre),
        points=points,
        alarms=tuple(
            point.month for point in points if point.state == "outside" and point.month >= watched(today)
        ),
    )


def _medians(month: Ints, values: Floats) -> _Months:
    found, people = np.unique(month, return_counts=True)
    enough = people >= FEWEST_PEOPLE
    medians = [float(np.median(values[month == each])) for each in found[enough]]
    return _Months(month=found[enough], people=people[enough], median=np.array(medians, dtype=np.float64))


def _limits(months: _Months, month: Ints, values: Floats, *, today: int) -> _Limits | None:
    """Centre and spreads of the baseline; None where it is too short."""
    baseline = _baseline_months(month, today=today)
    if baseline is None:
        return None
    base = np.isin(months.month, sorted(baseline))
    medians, people = months.median[base], months.people[base]
    apart = np.concatenate(
        [values[month == each] - at for each, at in zip(months.month[base], medians, strict=True)]
    )
    within2 = (MAD_TO_SD * float(np.median(np.abs(apart)))) ** 2
    of_sampling = float(np.mean(math.pi / 2.0 * within2 / people))
    moving2 = (float(np.median(np.abs(np.diff(medians)))) / MOVING_RANGE) ** 2
    between2 = max(0.0, moving2 - of_sampling)
    return _Limits(
        months=baseline,
        centre=float(np.median(medians)),
        between2=between2,
        within2=within2,
        centre2=math.pi / 2.0 * (between2 + of_sampling) / len(medians),
    )


def _told(logarithm: float) -> float:
    """A ratio to a tenth of a per cent, because a median is often the value of one person."""
    return round(math.exp(logarithm), 3)


def _points(months: _Months, limits: _Limits | None) -> Iterator[Point]:
    for month, people, median in zip(months.month, months.people, months.median, strict=True):
        number = rounded(int(people))
        ratio = _told(median)
        if limits is None:
            yield Point(month=int(month), people=number, ratio=ratio, low=None, high=None, state="no_limits")
            continue
        half = limits.half(number or FEWEST_PEOPLE)
        state: State = "inside" if abs(median - limits.centre) <= half else "outside"
        yield Point(
            month=int(month),
            people=number,
            ratio=ratio,
            low=_told(limits.centre - half),
            high=_told(limits.centre + half),
            state="baseline" if int(month) in limits.months else state,
        )
