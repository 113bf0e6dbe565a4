"""A local reference table: LMS curves of both sexes with effects, bands and calibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from service.core.lms import Knot
from service.core.normfit import Smoothness, z_scores
from service.core.normfit_bands import bands_of, effect_errors_of, knot_ages_of, knots_of, moved_by, resample
from service.core.normfit_basis import make_basis
from service.core.normfit_check import Judgement, ScoredPeople, judge
from service.core.normfit_cohort import ReferencePerson, require_enough
from service.core.normfit_effects import REFERENCE_HEIGHT_M, Effects, effects_of
from service.core.normfit_joint import JointFit, Side, choose_smoothness, fit_jointly
from service.core.normtable import Band, HeightModel

Array = NDArray[np.float64]

#: Resamplings behind the bands; the error of a standard error is then 5 %, and of a 2.5 % edge a third of a
#: percentile. Fewest that are allowed.
REPLICATES: Final = 200
FEWEST_REPLICATES: Final = 50
#: Parts of a held-out calibration.
FOLDS: Final = 10


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a table is made."""

    seed: int
    replicates: int = REPLICATES
    #: "estimate", an exponent, or None for no height model.
    height: float | str | None = None
    sexes: tuple[str, ...] = ("F", "M")


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedNorm:
    """Everything that a fit gives."""

    smoothness: dict[str, Smoothness]
    edf: dict[str, float]
    knots: dict[str, tuple[Knot, ...]]
    bands: dict[str, tuple[Band, ...]]
    scanner_shifts: dict[str, float]
    site_shifts: dict[str, float]
    #: Standard errors of the effects from the resampling, by the same names.
    effect_errors: dict[str, float]
    height: HeightModel | None
    n_by_sex: dict[str, int]
    ages: tuple[float, float]
    #: Each by curves that were fitted without him or her.
    held_out: ScoredPeople
    calibration: Judgement
    plan: Plan


def fit_norm(people: Sequence[ReferencePerson], plan: Plan) -> FittedNorm:
    """Curves of each sex; raises NormMismatch where the people are too few or their effects entangled.

    Scanner, site and height act alike on both sexes: their effects are estimated with the curves of each
    sex and averaged by their precision, and then the curves are fitted to values without them.
    """
    people = [one for one in people if one.sex in plan.sexes]
    require_enough(people, plan.sexes)
    effects = effects_of(people, height=plan.height == "estimate")
    sides = {sex: _side(people, sex, effects, plan) for sex in plan.sexes}
    bases = {sex: make_basis(side.ages) for sex, side in sides.items()}
    smoothness = {sex: choose_smoothness(sides[sex], bases[sex]) for sex in plan.sexes}
    fit = fit_jointly(sides, bases, smoothness)
    knot_ages = {sex: knot_ages_of(side.ages) for sex, side in sides.items()}
    rng = np.random.default_rng(plan.seed)
    draws = resample(sides, bases, fit, knot_ages, rng=rng, replicates=plan.replicates)
    scanner_shifts, site_shifts, exponent = effects.shifts(fit.effects)
    if isinstance(plan.height, float):
        exponent = plan.height
    held_out = _held_out(sides, fit, rng)
    return FittedNorm(
        smoothness=smoothness,
        edf={sex: curves.edf for sex, curves in fit.curves.items()},
        knots={
            sex: knots_of(knot_ages[sex], fit.curves[sex], draws.at_knots[sex], moved_by(effects, fit, draws))
            for sex in plan.sexes
        },
        bands={sex: bands_of(knot_ages[sex], fit.curves[sex], draws.at_knots[sex]) for sex in plan.sexes},
        scanner_shifts=scanner_shifts,
        site_shifts=site_shifts,
        effect_errors=effect_errors_of(effects, draws),
        height=None if exponent is None else HeightModel(exponent=exponent, reference_m=REFERENCE_HEIGHT_M),
        n_by_sex={sex: len(side.ages) for sex, side in sides.items()},
        ages=(
            min(float(ages[0]) for ages in knot_ages.values()),
            max(float(ages[-1]) for ages in knot_ages.values()),
        ),
        held_out=held_out,
        calibration=judge(held_out),
        plan=plan,
    )


def _side(people: Sequence[ReferencePerson], sex: str, effects: Effects, plan: Plan) -> Side:
    mine = [one for one in people if one.sex == sex]
    values = np.array([one.value for one in mine], dtype=np.float64)
    if isinstance(plan.height, float):
        heights = np.array([one.height_m for one in mine], dtype=np.float64)
        values = values * (heights / REFERENCE_HEIGHT_M) ** -plan.height
    _, strata = np.unique([f"{one.scanner}\n{one.site}" for one in mine], return_inverse=True)
    return Side(
        ages=np.array([one.age_years for one in mine], dtype=np.float64),
        values=values,
        columns=effects.columns(mine),
        strata=strata,
    )


def _held_out(sides: dict[str, Side], fit: JointFit, rng: np.random.Generator) -> ScoredPeople:
    """Score each tenth of the people by curves of the others, whose smoothness is chosen anew."""
    folds = {sex: _fold_numbers(side.strata, rng) for sex, side in sides.items()}
    z: dict[str, Array] = {sex: np.empty(len(side.ages)) for sex, side in sides.items()}
    for fold in range(FOLDS):
        kept = {sex: side.take(np.flatnonzero(folds[sex] != fold)) for sex, side in sides.items()}
        bases = {sex: make_basis(side.ages) for sex, side in kept.items()}
        smoothness = {sex: choose_smoothness(side, bases[sex]) for sex, side in kept.items()}
        found = fit_jointly(kept, bases, smoothness)
        for sex, side in sides.items():
            rows = np.flatnonzero(folds[sex] == fold)
            # The youngest or oldest may be among those held out: they are scored at the end of the curves.
            ages = np.clip(side.ages[rows], bases[sex].low, bases[sex].high)
            values = side.values[rows] * np.exp(-(side.columns[rows] @ found.effects))
            z[sex][rows] = z_scores(values, *found.curves[sex].at(ages))
    return ScoredPeople(
        z=np.concatenate(list(z.values())),
        sexes=tuple(sex for sex, side in sides.items() for _ in range(len(side.ages))),
        ages=np.concatenate([side.ages for side in sides.values()]),
        values=np.concatenate(
            [side.values * np.exp(-(side.columns @ fit.effects)) for side in sides.values()]
        ),
    )


def _fold_numbers(strata: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """A part for each person, as even as can be within each scanner and site."""
    order = np.lexsort((rng.random(len(strata)), strata))
    numbers = np.empty(len(strata), dtype=np.intp)
    numbers[order] = np.arange(len(strata)) % FOLDS
    return numbers
