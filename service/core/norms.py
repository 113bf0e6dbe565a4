"""Reference values by age and sex, and the score of one measure against them.

LMS method (Cole and Green 1992): with L, M and S at the person's age,
z = ((y / M)^L - 1) / (L S), and z = ln(y / M) / S where L is 0.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from service.core.finding import Definition, Score, ScoreState
from service.core.series import Person, StackFacts
from service.errors import NormMismatch

#: Below this, L counts as 0: the two formulas agree to ten digits there (chosen by us).
L_IS_ZERO = 1e-9
#: Two-sided 95 % quantile of the normal distribution.
Z95 = 1.959964


@dataclass(frozen=True, kw_only=True)
class Knot:
    """L, M and S at one age."""

    age_years: float
    l: float  # noqa: E741 - the letter is the field's own name for this parameter
    m: float
    s: float


@dataclass(frozen=True, kw_only=True)
class NormTable:
    """Reference values of one measure, and to whom and what they apply."""

    id: str
    version: str
    title: str
    #: "provisional", "demonstration" or "locally_validated".
    status: str
    measure: str
    unit: str
    #: Definition ids and versions, as "id@version"; empty: of no definition that is measured here.
    definitions: tuple[str, ...]
    contrasts: tuple[str, ...]
    regions: tuple[str, ...]
    #: Whether the table scores the bundled phantom and nothing else.
    phantom_only: bool
    population: str
    citation: str
    sha256: str
    #: Effective number of people behind each knot; gives the sampling error of z.
    effective_n: int
    #: Reliability of the measurement (ICC), or None where it was not measured.
    measurement_icc: float | None
    knots: dict[str, tuple[Knot, ...]]

    def __post_init__(self) -> None:
        """Refuse a table that would give wrong scores."""
        if self.effective_n < 2:
            raise NormMismatch(f"Norm {self.id}: effective_n must be at least 2.")
        if self.measurement_icc is not None and not 0.0 < self.measurement_icc <= 1.0:
            raise NormMismatch(f"Norm {self.id}: measurement_icc must be above 0 and at most 1.")
        for sex, knots in self.knots.items():
            ages = [knot.age_years for knot in knots]
            if len(knots) < 2 or any(b <= a for a, b in itertools.pairwise(ages)):
                raise NormMismatch(f"Norm {self.id}, sex {sex}: needs two or more knots of increasing age.")
            if any(knot.m <= 0 or knot.s <= 0 for knot in knots):
                raise NormMismatch(f"Norm {self.id}, sex {sex}: M and S must be positive.")

    @property
    def reference(self) -> str:
        """How the table is cited in results."""
        return f"{self.id}@{self.version}"

    def at(self, sex: str, age_years: float) -> Knot | None:
        """L, M and S by linear interpolation; None outside the ages or sexes of the table."""
        knots = self.knots.get(sex)
        if knots is None or not knots[0].age_years <= age_years <= knots[-1].age_years:
            return None
        ages = [knot.age_years for knot in knots]
        l, m, s = (  # noqa: E741 - as above
            float(np.interp(age_years, ages, [getattr(knot, name) for knot in knots])) for name in "lms"
        )
        return Knot(age_years=age_years, l=l, m=m, s=s)


def z_score(value: float, knot: Knot) -> float:
    """Distance from the median in standard deviations of the reference people."""
    if value <= 0:
        raise NormMismatch("An LMS score needs a value above zero.")
    if abs(knot.l) < L_IS_ZERO:
        return math.log(value / knot.m) / knot.s
    return float(((value / knot.m) ** knot.l - 1.0) / (knot.l * knot.s))


def value_at(z: float, knot: Knot) -> float:
    """The inverse of ``z_score``."""
    if abs(knot.l) < L_IS_ZERO:
        return knot.m * math.exp(knot.s * z)
    return float(knot.m * (1.0 + knot.l * knot.s * z) ** (1.0 / knot.l))


def percentile(z: float) -> float:
    """Share of the reference people below this score, in per cent."""
    return 50.0 * math.erfc(-z / math.sqrt(2.0))


def z_half_width(z: float, table: NormTable, repeat_sd_z: float | None = None) -> float:
    """Half of the 95 % interval of z: measurement error and sampling error of the norm.

    Measurement: SEM = sqrt(1 - ICC) in units of SD, or ``repeat_sd_z``, the spread of repeated measurements
    in the same units, whichever is larger: neither holds all that differs between two scans. Sampling:
    SE(z) = sqrt((1 + z^2 / 2) / n). Where neither is known the interval holds the sampling error alone,
    and the score says so.
    """
    by_table = 0.0 if table.measurement_icc is None else 1.0 - table.measurement_icc
    by_repeats = 0.0 if repeat_sd_z is None else repeat_sd_z**2
    sampling = (1.0 + z * z / 2.0) / table.effective_n
    return Z95 * math.sqrt(max(by_table, by_repeats) + sampling)


def z_per_unit(value: float, knot: Knot) -> float:
    """How much z rises with each unit of the measure at ``value``: the derivative of ``z_score``."""
    power = 1.0 if abs(knot.l) < L_IS_ZERO else (value / knot.m) ** knot.l
    return float(power / (knot.s * value))


@dataclass(frozen=True, kw_only=True)
class Repeatability:
    """Spread of repeated measurements of one person in one contrast, as the network's card gives it."""

    #: Standard deviation of the IMAT share, from 0 to 1.
    imat_fraction_sd: float
    #: Coefficient of variation of the lean volume.
    lmm_cv: float


@dataclass(frozen=True, kw_only=True)
class Scorable:
    """One measure that ought to be compared with a norm."""

    measure: str
    value: float | None
    unit: str
    #: Why there is no value, when there is none because a demographic is missing.
    missing: str | None = None
    #: Standard deviation of repeated measurements, in ``unit``, from the network's card; None: not known.
    repeat_sd: float | None = None

    @property
    def ci95(self) -> tuple[float, float] | None:
        """95 % interval of the value by its repeatability; no measure here can be negative."""
        if self.value is None or self.repeat_sd is None:
            return None
        half = Z95 * self.repeat_sd
        return (max(0.0, self.value - half), self.value + half)


def score(
    scorable: Scorable,
    *,
    facts: StackFacts,
    definition: Definition,
    tables: tuple[NormTable, ...],
) -> Score:
    """The measure beside the first table that fits, or why there is no score."""
    if scorable.value is None and scorable.missing is not None:
        return _withheld(scorable, "missing_demographics", scorable.missing)
    if scorable.value is None:
        return _withheld(scorable, "no_norm", "The measure could not be given, so there is nothing to score.")
    misfits: list[str] = []
    for table in (candidate for candidate in tables if candidate.measure == scorable.measure):
        misfit = why_not(table, facts=facts, definition=definition)
        if misfit is None:
            return _scored(scorable, facts.person, table)
        misfits.append(f"{table.reference}: {misfit}")
    listed = "; ".join(misfits) or "no table of this measure is configured"
    return _withheld(scorable, "no_norm", f"No reference table fits ({listed}).")


def why_not(table: NormTable, *, facts: StackFacts, definition: Definition) -> str | None:
    """Why the table must not be used for this stack, or None when it fits."""
    if table.phantom_only and not facts.phantom:
        return "for the bundled phantom only"
    if f"{definition.id}@{definition.version}" not in table.definitions:
        return f"made for another definition than {definition.id}@{definition.version}"
    if facts.contrast not in table.contrasts:
        return f"not made for the contrast {facts.contrast}"
    if facts.region not in table.regions:
        return f"not made for the region {facts.region}"
    return None


def _scored(scorable: Scorable, person: Person, table: NormTable) -> Score:
    """The score, or its absence for want of age, sex or range."""
    if person.sex is None or person.age_years is None:
        lacking = "sex (M or F)" if person.sex is None else "age"
        return _withheld(scorable, "missing_demographics", f"The {lacking} is not known.", table)
    knot = table.at(person.sex, person.age_years)
    if knot is None:
        return _withheld(scorable, "out_of_range", "Age or sex is outside the reference table.", table)
    value = scorable.value
    if value is None or value <= 0:
        return _withheld(scorable, "out_of_range", "The value is not above zero.", table)
    z = z_score(value, knot)
    repeat = None if scorable.repeat_sd is None else scorable.repeat_sd * z_per_unit(value, knot)
    half = z_half_width(z, table, repeat)
    caveat = None
    if table.measurement_icc is None:
        caveat = (
            "The interval holds the sampling error of the norm only."
            if repeat is None
            else "The error of measurement is of simulated repeats; nobody was scanned twice."
        )
    return Score(
        measure=scorable.measure,
        value=value,
        value_ci95=scorable.ci95,
        unit=scorable.unit,
        state="scored",
        reason=caveat,
        z=z,
        z_ci95=(z - half, z + half),
        percentile=percentile(z),
        percentile_ci95=(percentile(z - half), percentile(z + half)),
        norm=table.reference,
        norm_status=table.status,
    )


def _withheld(scorable: Scorable, state: ScoreState, reason: str, table: NormTable | None = None) -> Score:
    """A score that is not given, and why."""
    return Score(
        measure=scorable.measure,
        value=scorable.value,
        value_ci95=scorable.ci95,
        unit=scorable.unit,
        state=state,
        reason=reason,
        z=None,
        z_ci95=None,
        percentile=None,
        percentile_ci95=None,
        norm=table.reference if table else None,
        norm_status=table.status if table else None,
    )
