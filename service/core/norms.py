"""The score of one measure against reference values by age and sex."""

import math
from dataclasses import dataclass

from service.core.blocks import is_of_block
from service.core.edited import is_edited
from service.core.finding import Definition, NormFacts, Score, ScoreState
from service.core.lms import (
    L_IS_ZERO,
    Z95,
    Knot,
    mean_and_sd,
    percentile,
    sampling_se,
    value_at,
    z_per_unit,
    z_score,
)
from service.core.normtable import Band, HeightModel, NormTable, ReferencePeople
from service.core.series import Person, Sex, StackFacts

__all__ = [
    "L_IS_ZERO",
    "Z95",
    "Band",
    "HeightModel",
    "Knot",
    "NormTable",
    "ReferencePeople",
    "Repeatability",
    "Scorable",
    "percentile",
    "score",
    "value_at",
    "why_not",
    "z_half_width",
    "z_per_unit",
    "z_score",
]


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
    #: Why there can be no value, whatever is known of the person.
    never: str | None = None
    #: Standard deviation of repeated measurements, in ``unit``, from the network's card; None: not known.
    repeat_sd: float | None = None

    @property
    def ci95(self) -> tuple[float, float] | None:
        """95 % interval of the value by its repeatability; no measure here can be negative."""
        if self.value is None or self.repeat_sd is None:
            return None
        half = Z95 * self.repeat_sd
        return (max(0.0, self.value - half), self.value + half)


def z_half_width(z: float, knot: Knot, table: NormTable, repeat_sd_z: float | None = None) -> float:
    """Half of the 95 % interval of z: measurement error and sampling error of the norm.

    Measurement: SEM = sqrt(1 - ICC) in units of SD, or ``repeat_sd_z``, the spread of repeated measurements
    in the same units, whichever is larger: neither holds all that differs between two scans. Sampling: see
    ``sampling_se``. Where no error of measurement is known the interval holds the sampling error alone, and
    the score says so.
    """
    by_table = 0.0 if table.measurement_icc is None else 1.0 - table.measurement_icc
    by_repeats = 0.0 if repeat_sd_z is None else repeat_sd_z**2
    return Z95 * math.sqrt(max(by_table, by_repeats) + sampling_se(z, knot, table.effective_n) ** 2)


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
        why = scorable.never or "The measure could not be given, so there is nothing to score."
        return _withheld(scorable, "no_norm", why)
    misfits: list[str] = []
    for table in (candidate for candidate in tables if candidate.measure == scorable.measure):
        misfit = why_not(table, facts=facts, definition=definition)
        if misfit is None:
            return _scored(scorable, facts, table)
        misfits.append(f"{table.reference}: {misfit}")
    listed = "; ".join(misfits) or "no table of this measure is configured"
    own = " A block of slices has a definition of its own." if is_of_block(definition.id) else ""
    own += " A drawing that a person edited has a definition of its own." if is_edited(definition.id) else ""
    return _withheld(scorable, "no_norm", f"No reference table fits ({listed}).{own}")


def why_not(table: NormTable, *, facts: StackFacts, definition: Definition) -> str | None:
    """Why the table must not be used for this stack, or None when it fits."""
    if table.phantom_only and not facts.phantom:
        return "for the bundled phantom only"
    return (
        _other_measure(table, definition)
        or _other_images(table, facts)
        or _other_coverage(table, facts)
        or _other_scanner(table, facts)
    )


def _other_measure(table: NormTable, definition: Definition) -> str | None:
    """Values of another definition, network or fat method are no reference."""
    if f"{definition.id}@{definition.version}" not in table.definitions:
        return f"made for another definition than {definition.id}@{definition.version}"
    if table.networks and definition.network not in table.networks:
        return f"made with another network than {definition.network}"
    if table.fat_methods and definition.fat_method not in table.fat_methods:
        return f"made with another fat method than {definition.fat_method or 'none'}"
    return None


def _other_images(table: NormTable, facts: StackFacts) -> str | None:
    if facts.contrast not in table.contrasts:
        return f"not made for the contrast {facts.contrast}"
    if facts.region not in table.regions:
        known = facts.region != "unknown"
        return f"not made for the region {facts.region}" if known else "the region of the images is unknown"
    return None


def _other_coverage(table: NormTable, facts: StackFacts) -> str | None:
    """Fat differs from level to level by more than with age, so a part is no measure of the whole."""
    if table.coverage_mm is None:
        return None
    low, high = table.coverage_mm
    if low <= facts.coverage_mm <= high:
        return None
    return f"made for a coverage of {low:.0f} to {high:.0f} mm, not of {facts.coverage_mm:.0f} mm"


def _other_scanner(table: NormTable, facts: StackFacts) -> str | None:
    if not table.scanner_shifts or facts.scanner in table.scanner_shifts:
        return None
    return f"not made for the scanner {facts.scanner or '(not named)'}"


def _scored(scorable: Scorable, facts: StackFacts, table: NormTable) -> Score:
    """The score, or its absence for want of age, sex, height or range."""
    person = facts.person
    lacking = _lacking(person, table)
    if person.sex is None or person.age_years is None or lacking is not None:
        return _withheld(scorable, "missing_demographics", f"The {lacking} is not known.", table)
    knot = table.at(person.sex, person.age_years)
    if knot is None:
        return _withheld(scorable, "out_of_range", "Age or sex is outside the reference table.", table)
    value = scorable.value
    if value is None or value <= 0:
        return _withheld(scorable, "out_of_range", "The value is not above zero.", table)
    adjusted = table.adjusted(value, height_m=person.height_m, scanner=facts.scanner)
    z = z_score(adjusted, knot)
    repeat = None
    if scorable.repeat_sd is not None:
        repeat = scorable.repeat_sd * z_per_unit(adjusted, knot) * adjusted / value
    half = z_half_width(z, knot, table, repeat)
    return Score(
        measure=scorable.measure,
        value=value,
        value_ci95=scorable.ci95,
        unit=scorable.unit,
        state="scored",
        reason=_caveats(table, person.age_years, repeat),
        z=z,
        z_ci95=(z - half, z + half),
        percentile=percentile(z),
        percentile_ci95=(percentile(z - half), percentile(z + half)),
        norm=table.reference,
        norm_status=table.status,
        norm_facts=_facts(
            table, person.sex, knot, adjusted=adjusted, scanner=facts.scanner, measured=repeat is not None
        ),
    )


def _lacking(person: Person, table: NormTable) -> str | None:
    """What of the person is not known and needed."""
    if person.sex is None:
        return "sex (M or F)"
    if person.age_years is None:
        return "age"
    if table.height is not None and person.height_m is None:
        return "height"
    return None


def _caveats(table: NormTable, age_years: float, repeat_sd_z: float | None) -> str | None:
    """What the reader of the score must know of it."""
    said = []
    if table.extrapolates(age_years):
        low, high = table.people.age_years
        said.append(f"The reference people were {low:.0f} to {high:.0f} years old; here it is extrapolated.")
    if table.measurement_icc is None:
        said.append(
            "The interval holds the sampling error of the norm only."
            if repeat_sd_z is None
            else "The error of measurement is of simulated repeats; nobody was scanned twice."
        )
    return " ".join(said) or None


def _facts(
    table: NormTable, sex: Sex, knot: Knot, *, adjusted: float, scanner: str, measured: bool
) -> NormFacts:
    """Everything about the table that belongs beside the score."""
    mean, sd = mean_and_sd(knot)
    knots = table.knots[sex]
    measured = measured or table.measurement_icc is not None
    return NormFacts(
        title=table.title,
        sha256=table.sha256,
        citation=table.citation,
        definitions=table.definitions,
        networks=table.networks,
        fat_methods=table.fat_methods,
        contrasts=table.contrasts,
        regions=table.regions,
        coverage_mm=table.coverage_mm,
        population=table.people.kind,
        people=table.people.text,
        ancestry=table.people.ancestry,
        scanner=table.people.scanner,
        n=table.people.n,
        n_of_sex=table.people.n_by_sex.get(sex),
        sex=sex,
        age_range_years=(knots[0].age_years, knots[-1].age_years),
        observed_ages_years=table.people.age_years,
        height_exponent=None if table.height is None else table.height.exponent,
        scanner_shift=table.scanner_shifts.get(scanner),
        adjusted_value=adjusted,
        l=knot.l,
        m=knot.m,
        s=knot.s,
        mean=mean,
        sd=sd,
        interval_holds=("norm_sampling", "measurement") if measured else ("norm_sampling",),
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
