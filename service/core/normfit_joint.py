"""LMS curves of both sexes, whose values are moved alike by scanner, site and height."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from service.core.normfit import Curves, Smoothness, fit_curves
from service.core.normfit_basis import Basis

Array = NDArray[np.float64]

#: Degrees of freedom that are tried for each curve: a constant L, a bent M and a sloping S at least, because
#: fat and muscle change with age in both sexes. More bends are not seen in published curves of adults.
#: Chosen by us.
CANDIDATES: Final = {"l": (1.0, 2.0, 3.0), "m": (3.0, 4.0, 5.0, 6.0), "s": (2.0, 3.0, 4.0)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """The people of one sex as arrays."""

    ages: Array
    values: Array
    columns: Array
    #: Who has the same scanner and site.
    strata: NDArray[np.intp]

    def take(self, rows: NDArray[np.intp]) -> "Side":
        """Some of these people, each as often as named."""
        return Side(
            ages=self.ages[rows],
            values=self.values[rows],
            columns=self.columns[rows],
            strata=self.strata[rows],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class JointFit:
    """Curves by sex, and the effects that both sexes share."""

    curves: dict[str, Curves]
    #: Curves that still hold the effects, to begin another fit at.
    with_effects: dict[str, Curves]
    effects: Array


def choose_smoothness(side: Side, basis: Basis) -> Smoothness:
    """Degrees of freedom of least GAIC: from the plainest on, the best single change while one helps."""
    best = Smoothness(l=CANDIDATES["l"][0], m=CANDIDATES["m"][0], s=CANDIDATES["s"][0])
    reached = _gaic(side, basis, best)
    while True:
        changes = [
            replace(best, **{name: edf})
            for name, candidates in CANDIDATES.items()
            for edf in candidates
            if edf > getattr(best, name)
        ]
        tried = [(_gaic(side, basis, change), index) for index, change in enumerate(changes)]
        lowest, index = min(tried, default=(math.inf, 0))
        if lowest >= reached:
            return best
        best, reached = changes[index], lowest


def _gaic(side: Side, basis: Basis, smoothness: Smoothness) -> float:
    return fit_curves(side.ages, side.values, smoothness, basis=basis, covariates=side.columns).gaic


def fit_jointly(
    sides: dict[str, Side],
    bases: dict[str, Basis],
    smoothness: dict[str, Smoothness],
    start: JointFit | None = None,
) -> JointFit:
    """The curves with their effects, and then without those that both sexes share."""
    first = {
        sex: fit_curves(
            side.ages,
            side.values,
            smoothness[sex],
            basis=bases[sex],
            covariates=side.columns,
            start=start.with_effects[sex] if start else None,
        )
        for sex, side in sides.items()
    }
    shared = _shared_effects(list(first.values()))
    if not len(shared):
        return JointFit(curves=first, with_effects=first, effects=shared)
    curves = {
        sex: fit_curves(
            side.ages,
            side.values * np.exp(-(side.columns @ shared)),
            smoothness[sex],
            basis=bases[sex],
            start=first[sex],
        )
        for sex, side in sides.items()
    }
    return JointFit(curves=curves, with_effects=first, effects=shared)


def _shared_effects(curves: Sequence[Curves]) -> Array:
    """The mean of both sexes, each weighted by the inverse of its covariance."""
    precisions = [np.linalg.inv(each.covariance) for each in curves]
    weighted = sum(precision @ each.effects for precision, each in zip(precisions, curves, strict=True))
    return np.asarray(np.linalg.solve(np.sum(precisions, axis=0), weighted), dtype=np.float64)
