"""Response to a known dose of fat, which a volunteer's Dixon images get inside the muscle.

In a lean person any method that answers a few per cent is right; only a dose shows whether it measures.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from models.training.tissues import Bools, Codes, Floats

#: Shares of each compartment that are replaced by fat, in steps from none to the most that is asked for.
DOSES: Final = (0.0, 0.05, 0.10, 0.20, 0.30, 0.40)
_FINE: Final = 2
#: Fat fraction of a voxel that is surely fat, as a sample of how bright fat is at its place (chosen by us).
_PURE: Final = 0.85
#: How far the brightness of fat is carried into the muscle: some centimetres, as coils change (chosen by us).
_CARRY_MM: Final = 25.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Dosed:
    """Dixon images of the volunteer with fat added; arrays of shape (slices, rows, columns)."""

    water: Floats
    fat: Floats
    #: More than half fat: what was so before (by Dixon), and what fat now fills by more than half.
    imat: Bools
    #: The same by F / (F + W) of the images with fat added, as a Dixon pair would be measured.
    dixon: Bools


def add_fat(
    water: Floats,
    fat: Floats,
    side: Codes,
    spacing_mm: tuple[float, float, float],
    share: float,
    *,
    seed: int,
) -> Dosed:
    """Replace a share of each compartment (1 right, 2 left) by fat as bright as the fat around it."""
    rng = np.random.default_rng([4_104, seed])
    added = np.zeros(side.shape, np.float32)
    if share > 0:
        for number in (1, 2):
            _spread(added, side == number, spacing_mm, share, rng)
    level = _fat_level(water, fat, side, spacing_mm)
    new_water, new_fat = water * (1 - added), fat * (1 - added) + level * added
    inside = side > 0
    # Where there is some fat already, volumes add up: fat signal over that of pure fat at this place.
    filled = new_fat > 0.5 * level
    return Dosed(
        water=new_water.astype(np.float32),
        fat=new_fat.astype(np.float32),
        imat=inside & ((fat > 0.5 * (water + fat)) | (filled & (added > 0))),
        dixon=inside & (new_fat > 0.5 * (new_water + new_fat)),
    )


def _spread(
    added: Floats,
    inside: Bools,
    spacing_mm: tuple[float, float, float],
    share: float,
    rng: np.random.Generator,
) -> None:
    """Streaks and lobules, more of them behind and near the midline, with partial volume."""
    places = np.nonzero(inside)
    box = tuple(slice(int(p.min()), int(p.max()) + 1) for p in places)
    crop = inside[box]
    fine = crop.repeat(_FINE, axis=1).repeat(_FINE, axis=2)
    step = np.array(spacing_mm) / (1, _FINE, _FINE)

    def field(along_mm: float, down_mm: float, across_mm: float) -> Floats:
        raw = rng.standard_normal(fine.shape, dtype=np.float32)
        raw = ndimage.gaussian_filter(raw, np.array([along_mm, down_mm, across_mm]) / step, truncate=2.5)
        return np.asarray(raw / raw.std(), np.float32)

    score = field(8.0, 4.0, 1.0) + field(8.0, 1.0, 4.0) + 1.2 * field(10.0, 2.5, 2.5)
    down = np.linspace(-1.0, 1.0, fine.shape[1], dtype=np.float32)[None, :, None]
    midline = np.linspace(-1.0, 1.0, fine.shape[2], dtype=np.float32)[None, None, :]
    # The right side is on the left of the image: its midline is at the larger column.
    towards = midline if places[2].mean() < added.shape[2] / 2 else -midline
    score = score + 0.5 * down + 0.5 * towards
    dose = (fine & (score > np.quantile(score[fine], 1.0 - share))).astype(np.float32)
    rows, columns = crop.shape[1:]
    pooled = dose.reshape(len(crop), rows, _FINE, columns, _FINE).mean(axis=(2, 4))
    # The blur of the image itself, about half a pixel; fat does not leave its compartment.
    added[box] += ndimage.gaussian_filter(pooled, (0.0, 0.5, 0.5)) * crop


def _fat_level(water: Floats, fat: Floats, side: Codes, spacing_mm: tuple[float, float, float]) -> Floats:
    """How bright fat is at each voxel: that of the pure fat around, carried over smoothly, slice by slice."""
    total = water + fat
    bright = total > 0.3 * np.percentile(total, 99)
    pure = bright & (fat > _PURE * total) & ~ndimage.binary_dilation(side > 0, iterations=1)
    sigma = (0.5, _CARRY_MM / spacing_mm[1], _CARRY_MM / spacing_mm[2])
    weight = ndimage.gaussian_filter(pure.astype(np.float32), sigma, truncate=3.0)
    carried = ndimage.gaussian_filter(np.where(pure, fat, 0).astype(np.float32), sigma, truncate=3.0)
    return np.asarray(carried / np.maximum(weight, 1e-6), np.float32)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One stack: true and measured share of IMAT in per cent, by side and in all, and the map's Dice."""

    true: float
    measured: float
    right_error: float
    left_error: float
    dice: float


@dataclass(frozen=True, kw_only=True)
class Response:
    """How measured shares follow true ones, over several stacks."""

    number: int
    slope: float
    intercept: float
    #: Measured minus true, points.
    bias: float
    mean_absolute_error: float
    largest_error: float
    #: Mean error of the right side minus that of the left.
    right_minus_left: float
    #: Mean Dice of the fat map where more than 5 % is fat; nan without such a stack.
    dice: float

    @classmethod
    def of(cls, answers: Iterable[Answer]) -> "Response":
        """The response over all answers."""
        listed = list(answers)
        true, measured = (np.array([getattr(a, name) for a in listed]) for name in ("true", "measured"))
        slope, intercept = np.polyfit(true, measured, 1) if np.ptp(true) > 0 else (np.nan, np.nan)
        error = measured - true
        maps = [a.dice for a in listed if a.true > 5.0]
        return cls(
            number=len(listed),
            slope=float(slope),
            intercept=float(intercept),
            bias=float(error.mean()),
            mean_absolute_error=float(np.abs(error).mean()),
            largest_error=float(np.abs(error).max()),
            right_minus_left=float(np.mean([a.right_error - a.left_error for a in listed])),
            dice=float(np.mean(maps)) if maps else float("nan"),
        )

    @property
    def admitted(self) -> bool:
        """Whether it meets the requirements of docs/explanation/definition-of-imat.md."""
        return (
            0.9 <= self.slope <= 1.1
            and self.mean_absolute_error <= 3.0
            and abs(self.right_minus_left) < 1.0
            and not self.dice < 0.6
        )

    def line(self) -> str:
        """The numbers in one row."""
        return (
            f"n {self.number:3d}  slope {self.slope:5.2f}  at none {self.intercept:+5.1f}  "
            f"bias {self.bias:+5.2f}  MAE {self.mean_absolute_error:4.2f}  worst {self.largest_error:4.1f}  "
            f"right-left {self.right_minus_left:+5.2f}  Dice {self.dice:4.2f}  "
            f"{'ok' if self.admitted else 'NOT'}"
        )


def answer(found: Bools, imat: Bools, own: Codes, side: Codes) -> Answer:
    """One stack's answer: ``found`` within the sides ``own`` as drawn, ``imat`` within the true ``side``.

    Sides are 1 right and 2 left in both.
    """

    def share(part: Bools, whole: Bools) -> float:
        return 100.0 * float((part & whole).sum()) / max(1, int(whole.sum()))

    errors = [share(found, own == number) - share(imat, side == number) for number in (1, 2)]
    fat = found & (own > 0)
    total = int(fat.sum()) + int(imat.sum())
    return Answer(
        true=share(imat, side > 0),
        measured=share(found, own > 0),
        right_error=errors[0],
        left_error=errors[1],
        dice=2.0 * int((fat & imat).sum()) / total if total else 1.0,
    )
