"""Many results beside each other, counted by person, with nothing told of fewer than five people.

Two things keep people hidden. A cell of fewer than ``FEWEST`` people is not told, nor is a further one
where the rest would tell it by subtraction; and every number of people is rounded to ``FEWEST``, so that
the difference of two tables, or of one on two days, is no person. No quantile is told
with fewer than ``FEWEST`` people on one side of it; medians of overlapping groups cannot be subtracted.
A quantile is often the value of one person, so three figures of it are told: more would name whose it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

import numpy as np
from numpy.typing import NDArray

from service.core.finding import Quadrant
from service.core.risk import QUARTILE_Z

#: People below whom nothing is told, and to which numbers of people are rounded. Required of us; the rounding
#: is that of the hospital statistics of the NHS (HES Analysis Guide, small numbers: nearest 5).
FEWEST: Final = 5
#: The median and the quartiles have at least ``FEWEST`` people on each side with so many.
FEWEST_FOR_MEDIAN: Final = 2 * FEWEST
FEWEST_FOR_QUARTILES: Final = 4 * FEWEST
#: Cells of the plane of scores: half an SD wide, which is about the error of one z (chosen by us).
CELL_Z: Final = 0.5
#: What lies farther out counts in the outermost cells.
LARGEST_Z: Final = 4.0
#: Ages that count together; the reference tables of the literature are by decade.
AGE_BAND_YEARS: Final = 10
SEXES: Final = ("F", "M")
QUADRANTS: Final[tuple[Quadrant, ...]] = get_args(Quadrant)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Records:
    """Results of one family, one entry each in every array; NaN where a value is not known.

    They are in the order of ``in_order``, also after some were taken.
    """

    #: Whose they are: the same number is the same person.
    person: Ints
    #: Day of the study, as 20261120.
    day: Ints
    #: Grows with time: of two results of one day the later counts.
    analysis: Ints
    #: Place in ``SEXES``; -1 where it is not known.
    sex: Ints
    age_years: Floats
    #: IMAT share of the compartment, 0 to 1; lean volume over height squared, mL/m2.
    imat: Floats
    lmm: Floats
    imat_z: Floats
    lmm_z: Floats
    #: 2: a flag is raised; 1: flags could be judged and none is raised; 0: no flag could be judged.
    flags: Ints
    #: Place in ``names``, for each dimension by which results are told apart.
    groups: dict[str, Ints]
    names: dict[str, tuple[str, ...]]

    def __len__(self) -> int:
        """How many results."""
        return len(self.person)

    @property
    def month(self) -> Ints:
        """Month of the study, as 202611."""
        return self.day // 100

    @property
    def people(self) -> int:
        """How many people."""
        return len(np.unique(self.person))

    def take(self, which: Any) -> "Records":
        """Some of the results."""
        arrays = {name: value[which] for name, value in vars(self).items() if name not in ("groups", "names")}
        return Records(
            **arrays, groups={key: value[which] for key, value in self.groups.items()}, names=self.names
        )


def in_order(records: Records) -> Records:
    """The results of each person together, oldest first."""
    return records.take(np.lexsort((records.analysis, records.day, records.person)))


def latest(records: Records, *, by_month: bool = False) -> Records:
    """One result a person, the latest; with ``by_month``, one a person and month."""
    last = np.ones(len(records), dtype=bool)
    last[:-1] = records.person[1:] != records.person[:-1]
    if by_month:
        month = records.month
        last[:-1] |= month[1:] != month[:-1]
    return records.take(last)


def of_one_norm(records: Records) -> tuple[Records, str]:
    """The results whose two scores are by the tables that most are by, and the names of these."""
    names = records.names.get("norms", ())
    # One table alone has scored one of the two measures only.
    both = [place for place, name in enumerate(names) if " " in name]
    if not both:
        return records.take(slice(0, 0)), ""
    best = max(both, key=lambda place: (int((records.groups["norms"] == place).sum()), names[place]))
    return records.take(records.groups["norms"] == best), names[best]


def shown(counts: Sequence[int]) -> tuple[bool, ...]:
    """Which cells of a table with a known total may be told.

    Those under ``FEWEST`` are not; where what is not told would be fewer people than that together, the
    smallest of the others is hidden too.
    """
    hidden = {place for place, count in enumerate(counts) if count < FEWEST}
    while 0 < sum(counts[place] for place in hidden) < FEWEST and len(hidden) < len(counts):
        hidden.add(min((count, place) for place, count in enumerate(counts) if place not in hidden)[1])
    return tuple(place not in hidden for place in range(len(counts)))


def rounded(count: int) -> int | None:
    """A number of people as it is told; None under ``FEWEST``."""
    return None if count < FEWEST else (count + FEWEST // 2) // FEWEST * FEWEST


def told(counts: Sequence[int]) -> tuple[int | None, ...]:
    """The cells of a table with a known total as they are told."""
    return tuple(rounded(count) if seen else None for count, seen in zip(counts, shown(counts), strict=True))


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A square of the plane of scores, by its lower corner."""

    imat_z: float
    lmm_z: float
    people: int


@dataclass(frozen=True, kw_only=True)
class Plane:
    """Where people lie in the plane of z(LMM) and z(IMAT)."""

    people: int | None
    #: Cells that are told; all others hold fewer than ``FEWEST`` people, or hide one that does.
    cells: tuple[Cell, ...]
    quadrants: dict[Quadrant, int | None]


def plane(records: Records) -> Plane:
    """The latest result of each person with both scores, counted in cells and in quadrants."""
    known = records.take(np.isfinite(records.imat_z) & np.isfinite(records.lmm_z))
    scored = latest(known)
    counts: dict[tuple[float, float], int] = {}
    if len(scored):
        both = np.stack((_cell(scored.imat_z), _cell(scored.lmm_z)), axis=1)
        places, numbers = np.unique(both, axis=0, return_counts=True)
        counts = {
            (float(at[0]), float(at[1])): int(number) for at, number in zip(places, numbers, strict=True)
        }
    cells = tuple(
        Cell(imat_z=at[0], lmm_z=at[1], people=number)
        for at, number in zip(counts, told(tuple(counts.values())), strict=True)
        if number is not None
    )
    by_quadrant = [int(inside.sum()) for inside in _quadrants(scored)]
    return Plane(
        people=rounded(len(scored)),
        cells=cells,
        quadrants=dict(zip(QUADRANTS, told(by_quadrant), strict=True)),
    )


def _cell(z: Floats) -> Floats:
    """Lower edge of the cell of each score."""
    inside = np.clip(z, -LARGEST_Z, LARGEST_Z - CELL_Z / 2)
    return np.asarray(np.floor(inside / CELL_Z) * CELL_Z)


def _quadrants(scored: Records) -> tuple[Mask, ...]:
    """Who lies in each of ``QUADRANTS``, as ``service.core.risk.quadrant`` says it of one person."""
    fat, lean = scored.imat_z, scored.lmm_z
    between = (np.abs(fat) < QUARTILE_Z) | (np.abs(lean) < QUARTILE_Z)
    corners = {
        "high_imat_low_lmm": ~between & (fat > 0) & (lean < 0),
        "high_imat_high_lmm": ~between & (fat > 0) & (lean > 0),
        "low_imat_low_lmm": ~between & (fat < 0) & (lean < 0),
        "low_imat_high_lmm": ~between & (fat < 0) & (lean > 0),
        "between": between,
    }
    return tuple(corners[name] for name in QUADRANTS)


@dataclass(frozen=True, kw_only=True)
class AgeBand:
    """People of one sex and ``AGE_BAND_YEARS`` of age; None where too few people stand behind a value."""

    sex: str
    from_years: int
    people: int | None
    p25: float | None
    p50: float | None
    p75: float | None


def by_age(records: Records, measure: str) -> tuple[AgeBand, ...]:
    """Quartiles of a measure ("imat" or "lmm") by sex and age, of the latest result of each person."""
    values = getattr(records, measure)
    fit = np.isfinite(values) & np.isfinite(records.age_years) & (records.sex >= 0)
    mine = latest(records.take(fit))
    values, bands = getattr(mine, measure), (mine.age_years // AGE_BAND_YEARS).astype(np.int64)
    keys = sorted({(int(sex), int(band)) for sex, band in zip(mine.sex, bands, strict=True)})
    members = [values[(mine.sex == sex) & (bands == band)] for sex, band in keys]
    seen = shown([len(each) for each in members])
    return tuple(
        _age_band(SEXES[sex], band * AGE_BAND_YEARS, each if tells else each[:0])
        for (sex, band), each, tells in zip(keys, members, seen, strict=True)
    )


def _age_band(sex: str, from_years: int, values: Floats) -> AgeBand:
    p25, p50, p75 = (figures(value) for value in quartiles(values))
    return AgeBand(sex=sex, from_years=from_years, people=rounded(len(values)), p25=p25, p50=p50, p75=p75)


def figures(value: float | None) -> float | None:
    """A value as it is told: three figures, which is more than the method resolves."""
    return None if value is None else float(f"{value:.3g}")


def quartiles(values: Floats) -> tuple[float | None, float | None, float | None]:
    """Quartiles and median; None with fewer than ``FEWEST`` people on one side."""
    if len(values) < FEWEST_FOR_MEDIAN:
        return None, None, None
    if len(values) < FEWEST_FOR_QUARTILES:
        return None, float(np.median(values)), None
    p25, p50, p75 = (float(each) for each in np.percentile(values, (25.0, 50.0, 75.0)))
    return p25, p50, p75


@dataclass(frozen=True, kw_only=True)
class FlagMonth:
    """How many people of a month had a flag raised."""

    #: As 202611.
    month: int
    #: With a result of which flags could be judged.
    people: int | None
    #: From 0 to 1, of the rounded numbers, to a whole per cent; None with fewer than ``FEWEST`` people on
    #: either side.
    rate: float | None


def flag_rates(records: Records) -> tuple[FlagMonth, ...]:
    """Flag rate by month, of the latest result that each person had in it; oldest month first."""
    judged = latest(records.take(records.flags > 0), by_month=True)
    months = np.unique(judged.month)
    counts = [int((judged.month == month).sum()) for month in months]
    raised = [int(((judged.month == month) & (judged.flags > 1)).sum()) for month in months]
    return tuple(
        FlagMonth(
            month=int(month),
            people=people,
            rate=None if people is None else share(with_flag, of=count),
        )
        for month, people, count, with_flag in zip(months, told(counts), counts, raised, strict=True)
    )


def flag_rate(records: Records) -> float | None:
    """The same over all months, of the latest result of each person."""
    judged = latest(records.take(records.flags > 0))
    return share(int((judged.flags > 1).sum()), of=len(judged))


def share(count: int, *, of: int) -> float | None:
    """A share to a whole per cent; None where those in it, or those not in it, are fewer than ``FEWEST``.

    It is that of the rounded numbers, because few exact ones make a share of, say, 0.45.
    """
    part, whole = rounded(count), rounded(of)
    if part is None or whole is None or of - count < FEWEST:
        return None
    return round(part / whole, 2)
