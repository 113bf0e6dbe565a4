"""A table of one's own: from reference people to a file that the service reads, and a table on trial."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np

from service.core.lms import Knot, sampling_se, z_score
from service.core.normfit_check import Z90, Group, Judgement, ScoredPeople, judge
from service.core.normfit_cohort import Admitted, ReferencePerson, Scope, scope_of
from service.core.normfit_table import FOLDS, FittedNorm, Plan, fit_norm
from service.core.normtable import UNITS, NormTable
from service.core.wording import measure_name
from service.errors import NormMismatch
from service.pipeline.references import parse_norm

METHOD: Final = (
    "LMS by penalised likelihood (Cole and Green 1992): cubic smoothing splines of age for L, log M, log S "
    "by sex, degrees of freedom by GAIC(3); effects of scanner, site and height on log M shared by both sexes"
)
#: Digits of what is written; the fit is not as exact.
_DIGITS: Final = 6


@dataclass(frozen=True, kw_only=True)
class About:
    """What the maker of a table says of it."""

    id: str
    version: str
    measure: str
    #: healthy, hospital or general.
    kind: str
    population: str
    ancestry: str
    citation: str
    title: str = ""
    #: The site whose values the table is to score, where there are several; None: the average site.
    for_site: str | None = None
    software: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Made:
    """A new table, its file, and what is worth a picture."""

    table: NormTable
    text: str
    fitted: FittedNorm
    #: The people behind it, each scored by curves that were fitted without him or her.
    scored: ScoredPeople


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """A table before a cohort."""

    scored: ScoredPeople
    judgement: Judgement
    left_out: dict[str, int]


def make_table(admitted: Admitted, plan: Plan, about: About) -> Made:
    """Fit, and write what was found as a table; raises NormMismatch where these people make none."""
    if not admitted.people:
        told = ", ".join(f"{count} {why}" for why, count in admitted.left_out.items()) or "there are none"
        raise NormMismatch(f"No result fits the filter ({told}).", reason="cohort_too_small")
    scope = scope_of([one for one in admitted.people if one.sex in plan.sexes])
    fitted = fit_norm(admitted.people, plan)
    if about.for_site is not None and about.for_site not in fitted.site_shifts:
        sites = ", ".join(fitted.site_shifts) or "none that has an effect of its own"
        raise NormMismatch(
            f"There is no site {about.for_site!r} (there are: {sites}).", reason="cohort_mixed"
        )
    text = _text(fitted, scope, admitted.left_out, about)
    moved = math.exp(fitted.site_shifts[about.for_site]) if about.for_site is not None else 1.0
    scored = replace(fitted.held_out, values=fitted.held_out.values * moved)
    table = parse_norm(text.encode("utf-8"), about.id)
    return Made(table=table, text=text, fitted=fitted, scored=scored)


def try_table(table: NormTable, people: Sequence[ReferencePerson], left_out: Mapping[str, int]) -> Trial:
    """Score the people whom the table fits and judge the scores; raises NormMismatch where there are none."""
    counted = Counter(left_out)
    kept: list[tuple[float, str, float, float]] = []
    errors: list[list[float]] = []
    for person in people:
        knot, why = _knot_for(table, person)
        if knot is None or person.value is None or person.age_years is None:
            counted[why] += 1
            continue
        value = table.adjusted(person.value, height_m=person.height_m, scanner=person.scanner)
        kept.append((z_score(value, knot), str(person.sex), person.age_years, value))
        errors.append([sampling_se(z, knot, table.effective_n) for z in (0.0, Z90, 2.0)])
    if not kept:
        told = ", ".join(f"{count} {why}" for why, count in counted.items())
        raise NormMismatch(f"The table fits nobody of this cohort ({told}).", reason="cohort_too_small")
    z, sexes, ages, values = zip(*kept, strict=True)
    scored = ScoredPeople(
        z=np.array(z), sexes=sexes, ages=np.array(ages), values=np.array(values), errors=np.array(errors)
    )
    return Trial(scored=scored, judgement=judge(scored), left_out=dict(counted))


def _knot_for(table: NormTable, person: ReferencePerson) -> tuple[Knot | None, str]:
    """L, M and S for a person whom the table fits, or why it does not."""
    reasons = (
        (person.definition not in table.definitions, "of another definition"),
        (bool(table.networks) and person.network not in table.networks, "of another network"),
        (bool(table.fat_methods) and person.fat_method not in table.fat_methods, "of another fat method"),
        (person.contrast not in table.contrasts, "of another contrast"),
        (person.region not in table.regions, "of another region"),
        (not _covered(table, person), "of another coverage"),
        (bool(table.scanner_shifts) and person.scanner not in table.scanner_shifts, "of another scanner"),
        (table.height is not None and person.height_m is None, "height is not known"),
    )
    why = next((why for holds, why in reasons if holds), None)
    if why is not None:
        return None, why
    knot = table.at(str(person.sex), person.age_years if person.age_years is not None else math.nan)
    return knot, "of an age or sex that the table lacks"


def _covered(table: NormTable, person: ReferencePerson) -> bool:
    if table.coverage_mm is None:
        return True
    return (
        person.coverage_mm is not None and table.coverage_mm[0] <= person.coverage_mm <= table.coverage_mm[1]
    )


def _text(fitted: FittedNorm, scope: Scope, left_out: Mapping[str, int], about: About) -> str:
    """The file of a table."""
    failed = fitted.calibration.verdict == "does not fit"
    n = sum(fitted.n_by_sex.values())
    head: dict[str, Any] = {
        "id": about.id,
        "version": about.version,
        "title": about.title or f"{measure_name(about.measure)} of {n} {about.kind} people, own measures",
        # What is not calibrated in people whom it has not seen is not used for more than a look.
        "status": "provisional" if failed else "local",
        "measure": about.measure,
        "unit": UNITS[about.measure],
        "definitions": [scope.definition],
        "networks": [scope.network],
        "fat_methods": [scope.fat_method] if scope.fat_method else [],
        "contrasts": [scope.contrast],
        "regions": [scope.region],
        "coverage_mm": list(scope.coverage_mm),
        "phantom_only": False,
        "citation": about.citation,
        "effective_n": min(fitted.n_by_sex.values()),
    }
    people = {
        "kind": about.kind,
        "text": about.population,
        "ancestry": about.ancestry,
        "scanner": ", ".join(fitted.scanner_shifts),
        "n": n,
        "n_by_sex": fitted.n_by_sex,
        "age_years": list(fitted.ages),
    }
    lines = ["# Made by `myoscreen norms fit`. Research use only.", *_pairs(head)]
    lines += ["", "[people]", *_pairs(people), "", "[scanner_shifts]", *_pairs(fitted.scanner_shifts)]
    if fitted.height is not None:
        lines += ["", "[height]", *_pairs(asdict(fitted.height))]
    lines += _fit_lines(fitted, left_out, about) + _curve_lines(fitted, about.for_site)
    return "\n".join(lines) + "\n"


def _fit_lines(fitted: FittedNorm, left_out: Mapping[str, int], about: About) -> list[str]:
    """How the table was made, for the one who makes it again; the service does not score by it."""
    facts = {
        "method": METHOD,
        "software": about.software,
        "seed": fitted.plan.seed,
        "replicates": fitted.plan.replicates,
        "smoothness": {sex: asdict(smoothness) for sex, smoothness in fitted.smoothness.items()},
        "edf": fitted.edf,
        "effect_errors": fitted.effect_errors,
        "site_shifts": fitted.site_shifts,
        "for_site": about.for_site or "",
        "left_out": dict(left_out),
    }
    judged = fitted.calibration
    lines = ["", "[fit]", *_pairs(facts), "", "[fit.calibration]"]
    lines += _pairs({"folds": FOLDS, "verdict": judged.verdict, "why": list(judged.why)})
    for group in judged.groups:
        lines += ["", "[[fit.calibration.groups]]", *_pairs(_group_facts(group))]
    return lines


def _group_facts(group: Group) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": group.name, "n": group.n}
    for name in ("mean", "sd", "below", "above", "beyond"):
        estimate = getattr(group, name)
        facts[name], facts[f"{name}_ci95"] = estimate.value, list(estimate.ci95)
    return facts


def _curve_lines(fitted: FittedNorm, for_site: str | None) -> list[str]:
    """Knots and bands by sex, moved to the site that the table is for."""
    by = math.exp(fitted.site_shifts[for_site]) if for_site is not None else 1.0
    lines = []
    for sex, knots in fitted.knots.items():
        for knot in knots:
            row = {**asdict(knot), "m": knot.m * by, "z_se": list(knot.z_se)}
            lines += ["", f"[[knots.{sex}]]", *_pairs(row)]
    for sex, bands in fitted.bands.items():
        for band in bands:
            edges = {name: [edge * by for edge in getattr(band, name)] for name in ("p5", "p50", "p95")}
            lines += ["", f"[[bands.{sex}]]", *_pairs({"age_years": band.age_years, **edges})]
    return lines


def _pairs(values: Mapping[str, Any]) -> list[str]:
    return [f"{_key(name)} = {_value(value)}" for name, value in values.items()]


def _key(name: str) -> str:
    return (
        name if name.replace("_", "").isalnum() and name.isascii() else json.dumps(name, ensure_ascii=False)
    )


def _value(value: Any) -> str:
    """A value as TOML writes it; JSON's strings are among TOML's."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.{_DIGITS}g}"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return "{ " + ", ".join(_pairs(value)) + " }" if value else "{}"
    return "[" + ", ".join(_value(each) for each in value) + "]"
