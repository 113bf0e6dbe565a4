"""The reference people behind a local table: who is let in, and what would make the fit mean nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from service.errors import NormMismatch

Array = NDArray[np.float64]

#: Fewest people of one sex. CLSI EP28-A3c asks for 120 in each group: with fewer, the 90 % intervals of the
#: 2.5th and 97.5th percentile cannot be given without an assumed distribution.
FEWEST_OF_A_SEX: Final = 120
#: Longest stretch of ages without anybody. Chosen by us: a decade, the step of published tables.
LONGEST_AGE_GAP_YEARS: Final = 10.0
#: Coverage of the middle 95 % may differ by this factor, and the table is widened by the tolerance, because
#: the levels of the spine differ in fat more than ages do (Sollmann 2020). Both chosen by us.
WIDEST_COVERAGE: Final = 2.0
COVERAGE_TOLERANCE: Final = 0.1
#: Share of values at zero up to which they are left out; the method knows none. Chosen by us.
MOST_ZEROS: Final = 0.01
#: Checks that say something of the images and nothing against the measure.
NOTES: Final = frozenset({"dixon_pair", "nifti"})
#: How the scanner of the bundled phantom is called: nobody is compared with drawn images.
PHANTOM_SCANNER: Final = "MYOSCREEN "
#: What one table must have one of, and the option that chooses.
SCOPE: Final = ("definition", "network", "fat_method", "contrast", "region")


@dataclass(frozen=True, kw_only=True)
class ReferencePerson:
    """One result of one person; None is "not known"."""

    #: Tells people apart, and is never written anywhere; None: nobody knows whose result it is.
    key: str | None
    #: When it was measured: the newest result of a person counts.
    day: str = ""
    age_years: float | None
    sex: str | None
    value: float | None
    height_m: float | None = None
    scanner: str | None = None
    site: str | None = None
    definition: str | None = None
    network: str | None = None
    fat_method: str | None = None
    contrast: str | None = None
    region: str | None = None
    coverage_mm: float | None = None
    quality_passed: bool = True


def quality_passed(checks: Sequence[Mapping[str, Any]]) -> bool:
    """Whether all checks of a finding passed that speak about its measures."""
    return all(check["passed"] for check in checks if check["check"] not in NOTES)


@dataclass(frozen=True, kw_only=True)
class Include:
    """Whose results count; None and empty let everything in."""

    definition: str | None = None
    network: str | None = None
    fat_method: str | None = None
    contrast: str | None = None
    region: str | None = None
    scanners: tuple[str, ...] = ()
    sexes: tuple[str, ...] = ("F", "M")
    ages: tuple[float, float] | None = None
    coverage_mm: tuple[float, float] | None = None
    #: First and last day, as YYYYMMDD.
    days: tuple[str, str] | None = None
    #: Whether the height of each person is needed.
    height: bool = False


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """The people who count, and how many do not, by the reason."""

    people: tuple[ReferencePerson, ...]
    left_out: dict[str, int]


def admit(people: Sequence[ReferencePerson], include: Include) -> Admitted:
    """One result of each person that fits; raises NormMismatch where many values are zero."""
    left_out: Counter[str] = Counter()
    fitting = []
    for person in people:
        why = _why_left_out(person, include)
        if why is None:
            fitting.append(person)
        else:
            left_out[why] += 1
    zeros = left_out["value is not above zero"]
    if zeros > MOST_ZEROS * (len(fitting) + zeros):
        raise refused("cohort_zeros", f"{zeros} values are zero: such a measure has no LMS curves.")
    newest: dict[str, ReferencePerson] = {}
    for person in sorted(fitting, key=lambda one: one.day):
        newest[person.key or ""] = person
    left_out["another result of the same person"] += len(fitting) - len(newest)
    return Admitted(people=tuple(newest.values()), left_out={k: n for k, n in left_out.items() if n})


def _why_left_out(person: ReferencePerson, include: Include) -> str | None:
    """The first reason why a result does not count."""
    if not _wanted(person, include):
        return "outside the filter"
    reasons = (
        (person.key is None, "nobody knows whose result it is"),
        ((person.scanner or "").startswith(PHANTOM_SCANNER), "the bundled phantom"),
        (not person.quality_passed, "a quality check was not passed"),
        (person.age_years is None or person.sex not in ("F", "M"), "age or sex is not known"),
        (person.value is None, "no value"),
        (person.value is not None and person.value <= 0, "value is not above zero"),
        (include.height and person.height_m is None, "height is not known"),
        (person.scanner is None, "scanner is not known"),
    )
    return next((why for holds, why in reasons if holds), None)


def _wanted(person: ReferencePerson, include: Include) -> bool:
    """Whether the filter lets a result in; what is not known does not pass a filter that asks for it."""
    same = all(
        wanted is None or getattr(person, name) == wanted
        for name, wanted in ((name, getattr(include, name)) for name in SCOPE)
    )
    return (
        same
        and (not include.scanners or person.scanner in include.scanners)
        and (person.sex not in ("F", "M") or person.sex in include.sexes)
        and _within(person.age_years, include.ages)
        and _within(person.coverage_mm, include.coverage_mm)
        and (include.days is None or include.days[0] <= person.day <= include.days[1])
    )


def _within(value: float | None, limits: tuple[float, float] | None) -> bool:
    return limits is None or (value is not None and limits[0] <= value <= limits[1])


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What the values of a cohort have in common, and so what its table applies to."""

    definition: str
    network: str
    fat_method: str | None
    contrast: str
    region: str
    coverage_mm: tuple[float, float]


def scope_of(people: Sequence[ReferencePerson]) -> Scope:
    """What all values have in common; raises NormMismatch where that is mixed or not known."""
    found = {name: _the_one(people, name) for name in SCOPE}
    for name in ("definition", "network", "contrast", "region"):
        if found[name] in (None, "unknown"):
            raise refused("cohort_mixed", f"The {name} of the values is not known: say which with --{name}.")
    lengths = np.array([person.coverage_mm for person in people if person.coverage_mm is not None])
    if len(lengths) < len(people):
        raise refused("cohort_mixed", "The coverage of some results is not known (coverage_mm).")
    low, high = (float(edge) for edge in np.percentile(lengths, (2.5, 97.5)))
    if high > WIDEST_COVERAGE * low:
        text = f"Coverage runs from {low:.0f} to {high:.0f} mm: choose a part with --coverage LOW HIGH."
        raise refused("cohort_mixed", text)
    return Scope(
        definition=str(found["definition"]),
        network=str(found["network"]),
        fat_method=found["fat_method"],
        contrast=str(found["contrast"]),
        region=str(found["region"]),
        coverage_mm=(low * (1.0 - COVERAGE_TOLERANCE), high * (1.0 + COVERAGE_TOLERANCE)),
    )


def _the_one(people: Sequence[ReferencePerson], name: str) -> str | None:
    values = {getattr(person, name) for person in people}
    if len(values) > 1:
        named = ", ".join(sorted(str(value or "unknown") for value in values))
        option = name.replace("_", "-")
        text = f"The cohort mixes the {name.replace('_', ' ')}s {named}: choose one with --{option}."
        raise refused("cohort_mixed", text)
    value: str | None = values.pop()
    return value


def require_enough(people: Sequence[ReferencePerson], sexes: Sequence[str]) -> None:
    """Raise NormMismatch where a sex has too few people, or none of some ages."""
    for sex in sexes:
        ages = np.sort([one.age_years for one in people if one.sex == sex]).astype(np.float64)
        if len(ages) < FEWEST_OF_A_SEX:
            text = (
                f"Sex {sex} has {len(ages)} people; a table needs {FEWEST_OF_A_SEX} of each sex "
                "(CLSI EP28-A3c). With --sex the table is of one sex."
            )
            raise refused("cohort_too_small", text)
        gaps = np.diff(ages)
        if gaps.max() > LONGEST_AGE_GAP_YEARS:
            at = int(gaps.argmax())
            text = (
                f"Sex {sex} has nobody between {ages[at]:.0f} and {ages[at + 1]:.0f} years: "
                "choose one side with --ages LOW HIGH."
            )
            raise refused("cohort_too_small", text)


def refused(code: str, text: str) -> NormMismatch:
    """Why these people make no table."""
    return NormMismatch(text, reason=code)
