"""The LMS method (Cole and Green 1992): a skewed distribution by its power, median and spread.

With L, M and S at the person's age, z = ((y / M)^L - 1) / (L S), and z = ln(y / M) / S where L is 0.
"""

import math
from dataclasses import dataclass

import numpy as np

from service.errors import NormMismatch

#: Below this, L counts as 0: the two formulas agree to ten digits there (chosen by us).
L_IS_ZERO = 1e-9
#: Two-sided 95 % quantile of the normal distribution.
Z95 = 1.959964
#: Scores at which a fitted table carries the standard error of z: median, 1 and 2 SD to each side.
Z_REFERENCES = (-2.0, -1.0, 0.0, 1.0, 2.0)
#: Nodes of the Gauss-Hermite rule for mean and SD; 40 reach to z = 11, and 20 give the same six digits.
_NODES = 40


@dataclass(frozen=True, kw_only=True)
class Knot:
    """L, M and S at one age."""

    age_years: float
    l: float  # noqa: E741 - the letter is the field's own name for this parameter
    m: float
    s: float
    #: Standard error of z at ``Z_REFERENCES`` from the sampling of the reference people; empty: not known.
    z_se: tuple[float, ...] = ()


def z_score(value: float, knot: Knot) -> float:
    """Distance from the median in standard deviations of the reference people."""
    if value <= 0:
        raise NormMismatch("An LMS score needs a value above zero.")
    if abs(knot.l) < L_IS_ZERO:
        return math.log(value / knot.m) / knot.s
    return float(((value / knot.m) ** knot.l - 1.0) / (knot.l * knot.s))


def value_at(z: float, knot: Knot) -> float:
    """The inverse of ``z_score``; where no value has that score, the end of the values that have one."""
    if abs(knot.l) < L_IS_ZERO:
        return knot.m * math.exp(knot.s * z)
    base = max(1.0 + knot.l * knot.s * z, L_IS_ZERO)
    return float(knot.m * base ** (1.0 / knot.l))


def percentile(z: float) -> float:
    """Share of the reference people below this score, in per cent."""
    return 50.0 * math.erfc(-z / math.sqrt(2.0))


def z_per_unit(value: float, knot: Knot) -> float:
    """How much z rises with each unit of the measure at ``value``: the derivative of ``z_score``."""
    power = 1.0 if abs(knot.l) < L_IS_ZERO else (value / knot.m) ** knot.l
    return float(power / (knot.s * value))


def mean_and_sd(knot: Knot) -> tuple[float, float]:
    """Mean and standard deviation of the reference people at this age, in the unit of the measure."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    values = np.array([value_at(float(z), knot) for z in nodes])
    weights = weights / weights.sum()
    mean = float(weights @ values)
    return mean, math.sqrt(float(weights @ (values - mean) ** 2))


def sampling_se(z: float, knot: Knot, effective_n: int) -> float:
    """Standard error of z because the table comes from so many people and no more.

    From the table's own resampling where it carries one, linear between its scores and beyond them
    growing as sqrt(1 + z^2 / 2), which is the rule SE(z) = sqrt((1 + z^2 / 2) / n) for a table without.
    """
    if not knot.z_se:
        return math.sqrt((1.0 + z * z / 2.0) / effective_n)
    inside = min(max(z, Z_REFERENCES[0]), Z_REFERENCES[-1])
    growth = math.sqrt((1.0 + z * z / 2.0) / (1.0 + inside * inside / 2.0))
    return float(np.interp(inside, Z_REFERENCES, knot.z_se)) * growth
