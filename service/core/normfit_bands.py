"""How sure the curves of a local table are: the same fit to people drawn again from these."""

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from service.core.lms import Z_REFERENCES, Knot
from service.core.normfit import Curves, Smoothness, z_scores
from service.core.normfit_basis import Basis
from service.core.normfit_effects import Effects
from service.core.normfit_joint import JointFit, Side, fit_jointly
from service.core.normtable import Band

Array = NDArray[np.float64]

#: Years between knots; between them L, M and S are straight. Chosen by us: curves of 6 degrees over 60 years
#: bend so little in 2 years that z moves by less than 0.002.
KNOT_STEP_YEARS: Final = 2.0
#: Least degrees of freedom of the resampled curves. The criterion keeps a bend out of the curves until it is
#: surely there, so the error of the curves holds bends that they do not show; curves that are freer than them
#: tell how large these may be. With it 94 % of simulated 95 % intervals held the truth, without it 90 %.
LEAST: Final = Smoothness(l=2.0, m=4.0, s=3.0)
#: z of the 5th, 50th and 95th percentile.
BAND_Z: Final = (-1.644854, 0.0, 1.644854)
_EDGES: Final = (2.5, 97.5)


@dataclass(frozen=True, kw_only=True, eq=False)
class Draws:
    """Resampled curves at the knots (L, M, S) by sex, and resampled effects."""

    at_knots: dict[str, list[tuple[Array, Array, Array]]] = field(default_factory=dict)
    effects: list[Array] = field(default_factory=list)


def resample(
    sides: dict[str, Side],
    bases: dict[str, Basis],
    fit: JointFit,
    knot_ages: dict[str, Array],
    *,
    rng: np.random.Generator,
    replicates: int,
) -> Draws:
    """A fit no stiffer than ``LEAST`` to people drawn again from these, within each scanner and site."""
    draws = Draws(at_knots={sex: [] for sex in sides})
    freer = {sex: _freer(curves.smoothness) for sex, curves in fit.curves.items()}
    start = fit_jointly(sides, bases, freer)
    for _ in range(replicates):
        again = {sex: side.take(_drawn(side.strata, rng)) for sex, side in sides.items()}
        found = fit_jointly(again, bases, freer, start=start)
        draws.effects.append(found.effects)
        for sex, curves in found.curves.items():
            draws.at_knots[sex].append(curves.at(knot_ages[sex]))
    return draws


def _freer(smoothness: Smoothness) -> Smoothness:
    return Smoothness(
        l=max(smoothness.l, LEAST.l), m=max(smoothness.m, LEAST.m), s=max(smoothness.s, LEAST.s)
    )


def _drawn(strata: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    rows = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    return np.concatenate([rng.choice(own, size=len(own)) for own in rows])


def knot_ages_of(ages: Array) -> Array:
    """Whole years from the youngest to the oldest person and not beyond: no person's own age is told."""
    low, high = math.ceil(float(ages.min())), math.floor(float(ages.max()))
    inner = np.arange(low // KNOT_STEP_YEARS + 1, math.ceil(high / KNOT_STEP_YEARS)) * KNOT_STEP_YEARS
    return np.concatenate([[float(low)], inner, [float(high)]])


def moved_by(effects: Effects, fit: JointFit, draws: Draws) -> Array:
    """How far each resampling moves log values of each scanner at the average site: (draws, scanners)."""
    levels = max(1, len(effects.scanners))
    own = list(effects.shifts(fit.effects)[0].values()) or [0.0]
    drawn = [list(effects.shifts(each)[0].values()) or [0.0] for each in draws.effects]
    return np.asarray(np.reshape(own, (1, levels)) - np.reshape(drawn, (-1, levels)), dtype=np.float64)


def knots_of(
    ages: Array, curves: Curves, drawn: list[tuple[Array, Array, Array]], moved: Array
) -> tuple[Knot, ...]:
    """L, M and S at the ages with the standard error of z, that of the scanner which is known least."""
    l, m, s = curves.at(ages)  # noqa: E741 - the letters are the curves' names
    errors = np.zeros((len(ages), len(Z_REFERENCES)))
    for column, z in enumerate(Z_REFERENCES):
        values = _values_at(z, l, m, s)
        for shift in moved.T:
            again = np.array(
                [z_scores(values * math.exp(by), *each) for by, each in zip(shift, drawn, strict=True)]
            )
            errors[:, column] = np.maximum(errors[:, column], again.std(axis=0, ddof=1))
    return tuple(
        Knot(age_years=float(age), l=float(a), m=float(b), s=float(c), z_se=tuple(map(float, row)))
        for age, a, b, c, row in zip(ages, l, m, s, errors, strict=True)
    )


def _values_at(z: float, l: Array, m: Array, s: Array) -> Array:  # noqa: E741
    """The values of one score; a power near 0 is the exponential."""
    near = np.abs(l) < 1e-6
    power = np.where(near, 1.0, l)
    base = np.maximum(1.0 + power * s * z, 1e-9)
    return np.asarray(m * np.where(near, np.exp(s * z), base ** (1.0 / power)), dtype=np.float64)


def bands_of(ages: Array, curves: Curves, drawn: list[tuple[Array, Array, Array]]) -> tuple[Band, ...]:
    """Where 95 % of the resampled percentiles lie, about those of the curves."""
    edges = []
    for z in BAND_Z:
        logs = np.log([_values_at(z, *each) for each in drawn])
        spread = np.percentile(logs - logs.mean(axis=0), _EDGES, axis=0)
        edges.append(_values_at(z, *curves.at(ages)) * np.exp(spread))
    rows = []
    for index, age in enumerate(ages):
        p5, p50, p95 = ((float(low[index]), float(high[index])) for low, high in edges)
        rows.append(Band(age_years=float(age), p5=p5, p50=p50, p95=p95))
    return tuple(rows)


def effect_errors_of(effects: Effects, draws: Draws) -> dict[str, float]:
    """Standard errors of all effects by name, from the resampling."""
    named: dict[str, list[float]] = {}
    for each in draws.effects:
        scanners, sites, exponent = effects.shifts(each)
        for kind, levels in (("scanner", scanners), ("site", sites)):
            for level, value in levels.items():
                named.setdefault(f"{kind} {level}", []).append(value)
        if exponent is not None:
            named.setdefault("height", []).append(exponent)
    return {name: float(np.std(values, ddof=1)) for name, values in named.items()}
