"""Smooth functions of age, from the straight line to the most bent, and what their bends cost."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize
from scipy.interpolate import BSpline

Array = NDArray[np.float64]

#: Pieces of the spline over the range of ages; beyond this a curve of 8 degrees of freedom no longer changes.
SEGMENTS: Final = 12
#: Smoothest functions that a bent curve is made of; those left out weigh less than 1 % at 8 degrees.
WIGGLES: Final = 10
#: A ridge that keeps functions apart which no person's age tells apart.
_RIDGE: Final = 1e-8


@dataclass(frozen=True, kw_only=True, eq=False)
class Basis:
    """Smooth functions of age from the smoothest on, each with its wiggliness; all have unit size."""

    low: float
    high: float
    #: Coefficients of the B-splines, one column for each function.
    turn: Array
    wiggliness: Array

    def at(self, ages: Array) -> Array:
        """The functions at these ages, one column each; ages outside the range are a fault."""
        return np.asarray(_splines(self.low, self.high).design(ages) @ self.turn, dtype=np.float64)

    def penalty_of(self, edf: float) -> float:
        """The weight of the wiggliness that leaves a curve so many degrees of freedom."""

        def excess(log_weight: float) -> float:
            return float((1.0 / (1.0 + math.exp(log_weight) * self.wiggliness)).sum()) - edf

        return math.exp(optimize.brentq(excess, -40.0, 60.0))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Splines:
    """Cubic B-splines over a range."""

    knots: Array
    count: int

    def design(self, ages: Array) -> Array:
        return np.asarray(BSpline.design_matrix(ages, self.knots, 3).toarray(), dtype=np.float64)

    def wiggliness(self) -> Array:
        """Integrals of the products of second derivatives, exact: these are straight between knots."""
        bends = BSpline(self.knots, np.eye(self.count), 3).derivative(2)
        inner = np.unique(self.knots)
        width = np.diff(inner)
        total = np.zeros((self.count, self.count))
        for place in (0.5 - math.sqrt(1 / 12), 0.5 + math.sqrt(1 / 12)):
            at = bends(inner[:-1] + place * width)
            total += at.T @ (at * (width / 2.0)[:, None])
        return total


def _splines(low: float, high: float) -> _Splines:
    inner = np.linspace(low, high, SEGMENTS + 1)
    knots = np.concatenate([[low] * 3, inner, [high] * 3])
    return _Splines(knots=knots, count=SEGMENTS + 3)


def make_basis(ages: Array) -> Basis:
    """The smooth functions over the ages of these people; constant and straight line come first."""
    low, high = float(ages.min()), float(ages.max())
    splines = _splines(low, high)
    design = splines.design(ages)
    size = design.T @ design / len(ages)
    bending = splines.wiggliness()
    # Where no age of anybody tells two functions apart, the wiggliness alone does.
    ridge = _RIDGE * np.trace(size) / np.trace(bending)
    wiggliness, turn = linalg.eigh(bending, size + ridge * bending)
    kept = np.clip(wiggliness[:WIGGLES], 0.0, None)
    kept[:2] = 0.0
    greville = np.array([splines.knots[i + 1 : i + 4].mean() for i in range(splines.count)])
    straight = np.column_stack([np.ones(splines.count), (greville - ages.mean()) / ages.std()])
    return Basis(low=low, high=high, turn=np.column_stack([straight, turn[:, 2:WIGGLES]]), wiggliness=kept)
