"""How well a drawing probably agrees with the truth, and whether its images are of the kind that is known.

Both are learned from images that were made worse on purpose and whose truth is known
(``models.training.quality``); the numbers stand in the card of a network, because they are its own.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from service.core import prepare
from service.core.certainty import MEASURES
from service.core.shape import ShapeStatistics, describe
from service.core.volume import Grid

#: What is known of a slice without its truth. All grow as a drawing gets worse.
FEATURES: Final = (
    *MEASURES[1:],
    "dropped",  # share of the slice's drawing that the cleaning took away
    "shape_distance",  # of the pair from hand-drawn ones, see ``ShapeStatistics``
)
#: How slices are turned before shapes are described: what row 0 and column 0 show.
UPRIGHT: Final = ("anterior", "right")
#: Distance that stands for a slice without a pair, and the largest that counts. Chosen by us: shapes are
#: absurd well before.
FARTHEST: Final = 20.0
#: The Dice of one slice is predicted between this and 1 minus this, where its logit is finite.
EDGE: Final = 0.01
#: Half a 95 % interval in standard deviations of the normal distribution.
SIGMAS_95: Final = 1.96


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What is known of the slices of one stack without the truth."""

    #: ``FEATURES`` of every slice, shape (slices, features).
    features: NDArray[np.float64]
    #: Area of muscle that the probabilities promise in every slice, mm2.
    muscle_mm2: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What is to be expected of one drawing."""

    #: Dice that the drawing probably has with the truth, mean of both sides, and its 95 % interval.
    dice: float
    interval: tuple[float, float]
    withhold_below: float
    #: Features beyond everything that was seen where drawings were right: name, value, limit.
    strange: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictor:
    """What was learned of one network.

    The logit of a slice's Dice is the intercept less each coefficient times the root of its feature.
    The root spreads the small values, among which most good drawings lie.
    """

    shape: ShapeStatistics
    intercept: float
    #: By feature, none negative, so that worse evidence never predicts a better drawing.
    coefficients: dict[str, float]
    #: Standard deviation of the logit of a stack's Dice around the predicted one.
    residual_sd: float
    withhold_below: float
    #: By feature, the largest mean over a stack at which its images still look like an axial spine.
    limits: dict[str, float]

    def outlook(self, evidence: Evidence) -> Outlook:
        """Each slice counts by the muscle that it promises, as it does in the Dice of a stack."""
        total = float(evidence.muscle_mm2.sum())
        count = len(evidence.muscle_mm2)
        weights = evidence.muscle_mm2 / total if total > 0 else np.full(count, 1.0 / count)
        dice = float(weights @ self.slice_dice(evidence.features))
        return Outlook(
            dice=dice,
            interval=(self._moved(dice, -SIGMAS_95), self._moved(dice, SIGMAS_95)),
            withhold_below=self.withhold_below,
            strange=self._strange(weights @ evidence.features),
        )

    def slice_dice(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predicted Dice of every slice."""
        steps = np.array([self.coefficients.get(name, 0.0) for name in FEATURES])
        logit = np.clip(self.intercept - np.sqrt(features) @ steps, to_logit(EDGE), to_logit(1.0 - EDGE))
        dice: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-logit))
        return dice

    def _moved(self, dice: float, deviations: float) -> float:
        """The Dice some standard deviations away, on the scale on which they are alike."""
        return float(1.0 / (1.0 + np.exp(-(to_logit(dice) + deviations * self.residual_sd))))

    def _strange(self, means: NDArray[np.float64]) -> tuple[tuple[str, float, float], ...]:
        found = dict(zip(FEATURES, means, strict=True))
        return tuple(
            (name, float(found[name]), limit) for name, limit in self.limits.items() if found[name] > limit
        )


def to_logit(dice: float) -> float:
    """Logarithm of the odds; the ends are kept finite."""
    inside = min(max(dice, EDGE), 1.0 - EDGE)
    return float(np.log(inside / (1.0 - inside)))


def gather(
    certainty: NDArray[np.float32],
    raw: NDArray[np.uint8],
    cleaned: NDArray[np.uint8],
    grid: Grid,
    shape: ShapeStatistics,
) -> Evidence:
    """The evidence of a stack from the network's certainty and its drawing before and after cleaning.

    ``certainty`` is ``MEASURES`` of every slice, shape (slices, measures); the drawings are on ``grid``.
    """
    turn = prepare.canonical_turn(grid, *UPRIGHT)
    spacing = turn.pixel_spacing_mm(grid)
    drawing = [
        (_dropped(before, after), _shape_distance(after.astype(np.uint8, copy=False), spacing, shape))
        for before, after in zip(turn.turn(raw), turn.turn(cleaned), strict=True)
    ]
    features = np.concatenate([certainty[:, 1:].astype(np.float64), np.array(drawing)], axis=1)
    return Evidence(features=features, muscle_mm2=certainty[:, 0].astype(np.float64))


def _dropped(before: NDArray[np.generic], after: NDArray[np.generic]) -> float:
    """Share of what was drawn in a slice that the cleaning took away; 1 where nothing was drawn."""
    drawn, kept = before.astype(np.bool_), after.astype(np.bool_)
    count = int(np.count_nonzero(drawn))
    return int(np.count_nonzero(drawn & ~kept)) / count if count else 1.0


def _shape_distance(
    labels: NDArray[np.uint8], spacing_mm: tuple[float, float], shape: ShapeStatistics
) -> float:
    """Distance from hand-drawn pairs; cut, so that absurd shapes do not outweigh all else."""
    descriptors = describe(labels, spacing_mm)
    return FARTHEST if descriptors is None else min(shape.distance(descriptors), FARTHEST)
