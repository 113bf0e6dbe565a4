"""Learning from corrupted stacks how good a drawing is, and how well that was learned."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.training.quality_cases import Case
from service.core.predictor import FEATURES, Predictor, to_logit
from service.core.shape import ShapeStatistics

Numbers = NDArray[np.float64]

#: A drawing below this Dice is called wrong (the issue's own number).
WRONG_BELOW: Final = 0.85
#: Share of the right drawings that may be withheld: the threshold is set by it. Chosen by us: most images
#: that come are usable and each withheld one is a result lost; and of the drawings below a Dice of 0.7,
#: 19 in 20 were withheld all the same (network version 0.2).
RIGHT_WITHHELD: Final = 0.02
#: Weight of the penalty on large coefficients, in units of the evidence of one case in a hundred.
RIDGE: Final = 0.01
_ROUNDS, _SWEEPS = 60, 25
#: A limit is this percentile of the feature over the single slices that were drawn right ...
_USUAL_PERCENTILE: Final = 99.5
#: ... times this (chosen by us): real images differ more from each other than synthetic ones.
_MARGIN: Final = 1.5
#: Limits are set on these: the rest says much the same.
LIMITED: Final = ("soft_loss", "side_doubt", "mirror_difference", "dropped", "shape_distance")
#: No limit is stricter than this share; a network that is never in doubt would give limits near zero.
_LEAST_LIMIT: Final = 0.1


def fit(cases: Sequence[Case], shape: ShapeStatistics) -> Predictor:
    """The predictor of these cases: coefficients from slices, their scatter and the threshold from stacks."""
    features = np.concatenate([case.evidence.features for case in cases])
    dice = np.concatenate([case.slice_dice for case in cases]).astype(np.float64)
    intercept, steps = _monotone_logistic(np.sqrt(features), dice)
    known = dict(zip(FEATURES, steps, strict=True))
    first = Predictor(
        shape=shape,
        intercept=intercept,
        coefficients={name: value for name, value in known.items() if value > 0},
        residual_sd=0.0,
        withhold_below=0.0,
        limits=_limits(features, dice),
    )
    predicted, true = predictions(first, cases), truths(cases)
    missed = [to_logit(t) - to_logit(p) for p, t in zip(predicted, true, strict=True)]
    return Predictor(
        shape=shape,
        intercept=first.intercept,
        coefficients=first.coefficients,
        residual_sd=float(np.sqrt(np.mean(np.square(missed)))),
        withhold_below=float(np.quantile(predicted[true >= WRONG_BELOW], RIGHT_WITHHELD)),
        limits=first.limits,
    )


def _monotone_logistic(badness: Numbers, dice: Numbers) -> tuple[float, Numbers]:
    """Logistic regression of a share on columns that may only lower it, with a ridge.

    Iteratively reweighted least squares, each round solved by coordinate descent with the coefficients
    kept from going below zero.
    """
    mean, spread = badness.mean(axis=0), badness.std(axis=0) + 1e-9
    columns = (badness - mean) / spread
    intercept, steps = to_logit(float(dice.mean())), np.zeros(columns.shape[1])
    for _ in range(_ROUNDS):
        expected = 1.0 / (1.0 + np.exp(-(intercept - columns @ steps)))
        weights = expected * (1.0 - expected) + 1e-3
        target = intercept - columns @ steps + (dice - expected) / weights
        for _ in range(_SWEEPS):
            intercept = float(np.average(target + columns @ steps, weights=weights))
            for k in range(len(steps)):
                rest = intercept - columns @ steps + columns[:, k] * steps[k] - target
                scale = float(weights @ columns[:, k] ** 2) + RIDGE * len(dice)
                steps[k] = max(0.0, float(weights @ (columns[:, k] * rest)) / scale)
    original: Numbers = steps / spread
    return intercept + float(mean @ original), original


def _limits(features: Numbers, dice: Numbers) -> dict[str, float]:
    """Beyond what was seen in slices that were drawn right."""
    right = features[dice >= WRONG_BELOW]
    usual = np.percentile(right, _USUAL_PERCENTILE, axis=0)
    found = dict(zip(FEATURES, usual, strict=True))
    return {name: max(_MARGIN * float(found[name]), _LEAST_LIMIT) for name in LIMITED}


def predictions(predictor: Predictor, cases: Sequence[Case]) -> Numbers:
    """Predicted Dice of every stack."""
    return np.array([predictor.outlook(case.evidence).dice for case in cases])


def truths(cases: Sequence[Case]) -> Numbers:
    """True Dice of every stack."""
    return np.array([case.stack_dice for case in cases])


def spearman(first: Numbers, second: Numbers) -> float:
    """Rank correlation; ties share their mean rank."""
    ranks = [_ranks(values) for values in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])


def _ranks(values: Numbers) -> Numbers:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(count)
    return (ends - (count - 1) / 2)[place]


def auc(predicted: Numbers, true: Numbers) -> float:
    """Chance that a wrong drawing is predicted worse than a right one."""
    wrong, right = predicted[true < WRONG_BELOW], predicted[true >= WRONG_BELOW]
    if not len(wrong) or not len(right):
        return float("nan")
    lower = (wrong[:, None] < right[None, :]).mean() + 0.5 * (wrong[:, None] == right[None, :]).mean()
    return float(lower)


@dataclass(frozen=True, kw_only=True)
class Withholding:
    """What the threshold does to a set of cases."""

    #: Share of the wrong drawings that are withheld.
    sensitivity: float
    #: Share of the right drawings that are given.
    specificity: float
    #: Share of all true values within their 95 % interval.
    coverage: float


def withholding(predictor: Predictor, cases: Sequence[Case]) -> Withholding:
    """Threshold and interval on cases of known truth; a limit that is passed withholds as well."""
    outlooks, true = [predictor.outlook(case.evidence) for case in cases], truths(cases)
    given = np.array([one.dice >= one.withhold_below and not one.strange for one in outlooks])
    low, high = np.array([one.interval for one in outlooks]).T
    wrong = true < WRONG_BELOW
    return Withholding(
        sensitivity=float((~given[wrong]).mean()) if wrong.any() else float("nan"),
        specificity=float(given[~wrong].mean()) if (~wrong).any() else float("nan"),
        coverage=float(((true >= low) & (true <= high)).mean()),
    )
