"""The shading of the coil, as one smooth field that lean muscle and subcutaneous fat share.

A field that is fitted to muscle alone and continued to the skin is wrong there: in the volunteer of
MyoSegmenTUM it made fat 1.9 times as bright as muscle, where both together give 3.2.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Fewer muscle voxels than this cannot carry a field (10 terms; chosen by us): they keep their median.
MIN_FIT_VOXELS: Final = 60
#: So many voxels of each tissue settle ten terms; more would cost time alone (chosen by us).
MAX_FIT_VOXELS: Final = 12_000
#: The numbers below were set on synthetic stacks (docs/explanation/definition-of-imat.md). Half or double the
#: penalties, fat's weight and the rounds changed the mean error there by some tenths of a point. The penalty
#: of the offsets was lowered after looking at one volunteer, in whose slab the end slices are darker.
ROUNDS: Final = 5
#: Penalties of the field in natural logarithm: slopes, curvatures, offsets of single slices.
PENALTIES: Final = (0.08, 0.24, 0.008)
#: Fat's say in the field, with that of muscle as 1: it is uneven, and only its slope is wanted.
FAT_WEIGHT: Final = 0.5
#: Muscle is within so many standard deviations of its level, or this much of natural logarithm.
MUSCLE_REACH: Final = (2.5, 0.15)
#: Voxels more than this share of the way to fat are left out of muscle's level.
MUSCLE_UP_TO: Final = 0.25
#: Subcutaneous fat is within this much of natural logarithm of its level.
FAT_REACH: Final = 0.35


@dataclass(frozen=True, eq=False)
class Voxels:
    """Some voxels of a stack: natural logarithm of signal, slice, and terms of a smooth field."""

    log_signal: NDArray[np.float64]
    slice_index: NDArray[np.intp]
    #: Shape (voxels, 10).
    terms: NDArray[np.float64]

    def chosen(self, which: NDArray[np.bool_] | slice) -> "Voxels":
        """Some of them."""
        return Voxels(self.log_signal[which], self.slice_index[which], self.terms[which])

    def thinned(self) -> "Voxels":
        """Evenly picked, as many as a fit needs."""
        return self.chosen(slice(None, None, max(1, len(self.log_signal) // MAX_FIT_VOXELS)))


@dataclass(frozen=True)
class Frame:
    """Places in units of the compartment's box, so that terms of a field are of the order of 1."""

    middle: tuple[float, float, float]
    half: tuple[float, float, float]
    slices: int

    @classmethod
    def around(cls, compartment: NDArray[np.bool_]) -> "Frame":
        """The box of the compartment in its plane, and the whole stack along it."""
        spans = [(0, len(compartment) - 1)]
        for others in ((0, 2), (0, 1)):
            used = np.flatnonzero(compartment.any(axis=others))
            spans.append((int(used[0]), int(used[-1])))
        z, y, x = ((low + high) / 2 for low, high in spans)
        of_z, of_y, of_x = (max((high - low) / 2, 1.0) for low, high in spans)
        return cls((z, y, x), (of_z, of_y, of_x), len(compartment))

    def take(self, slices: NDArray[np.float32], where: NDArray[np.bool_]) -> Voxels:
        """Voxels with their terms: 1, y, x, z, and all products of two."""
        places = np.nonzero(where)
        z, y, x = (
            (place - middle) / half
            for place, middle, half in zip(places, self.middle, self.half, strict=True)
        )
        terms = np.stack([np.ones_like(z), y, x, z, y * y, y * x, x * x, z * z, z * y, z * x], axis=-1)
        return Voxels(np.log(slices[places].astype(np.float64)), places[0], terms)


@dataclass(frozen=True, eq=False)
class Field:
    """Signal of lean muscle everywhere, as a smooth field in its logarithm, and fat's distance from it."""

    smooth: NDArray[np.float64]
    #: Offset of each slice: neighbours saturate each other.
    offsets: NDArray[np.float64]
    #: Logarithm of fat's brightness in units of muscle.
    fat: float
    #: Standard deviation of muscle around its level.
    spread: float = 0.0

    def muscle(self, voxels: Voxels) -> NDArray[np.float64]:
        """Logarithm of what pure muscle would give at each voxel."""
        level: NDArray[np.float64] = voxels.terms @ self.smooth + self.offsets[voxels.slice_index]
        return level


def fit(muscle: Voxels, band: Voxels, *, bright: bool) -> Field:
    """The field, from muscle and (bright) the fat behind it, leaving out what does not belong to either.

    Muscle is taken from its side away from fat: with 40 % of fat the middle of all voxels is no muscle.
    """
    field = _start(muscle, band, bright=bright)
    muscle, band = muscle.thinned(), band.thinned()
    for number in range(ROUNDS):
        residual = muscle.log_signal - field.muscle(muscle)
        spread = _spread(residual, bright=bright)
        own = _is_muscle(residual, spread, field.fat, bright=bright, first=number < 2)
        field = replace(field, spread=spread)
        if int(own.sum()) < MIN_FIT_VOXELS:
            return field
        other = np.zeros(len(band.log_signal), dtype=np.bool_)
        if bright:
            away = band.log_signal - field.muscle(band) - field.fat
            other = away > -FAT_REACH if number < 2 else np.abs(away) < FAT_REACH
        field = _solve(muscle.chosen(own), band.chosen(other), field, stiffness=10.0 if number == 0 else 1.0)
    return field


def _start(muscle: Voxels, band: Voxels, *, bright: bool) -> Field:
    """Levels without shading: muscle is the darker part of the compartment, in water images the brighter."""
    signal = muscle.log_signal
    fat = 0.0
    if bright:
        fat = float(np.percentile(band.log_signal, 75))
        dark = float(np.percentile(signal, 15))
        limit = float(np.log(np.exp(dark) + MUSCLE_UP_TO * max(np.exp(fat) - np.exp(dark), 0.0)))
        chosen = signal[signal <= limit]
    else:
        chosen = signal[signal > float(np.percentile(signal, 85)) - np.log(2.0)]
    level = float(np.median(chosen))
    smooth = np.zeros(muscle.terms.shape[1])
    smooth[0] = level
    slices = 1 + max(int(v.slice_index.max()) for v in (muscle, band) if len(v.slice_index))
    return Field(smooth, np.zeros(slices), max(fat - level, 0.0))


def _spread(residual: NDArray[np.float64], *, bright: bool) -> float:
    """Standard deviation of muscle, from its side away from fat; at least 0.03."""
    away = -residual[residual < 0] if bright else residual[residual > 0]
    return max(1.4826 * float(np.median(away)), 0.03) if len(away) else 0.03


def _is_muscle(
    residual: NDArray[np.float64], spread: float, fat: float, *, bright: bool, first: bool
) -> NDArray[np.bool_]:
    """Which voxels belong to muscle; the ``first`` rounds are patient towards fat, for the field is rough."""
    reach = max(MUSCLE_REACH[0] * spread, MUSCLE_REACH[1])
    if bright:
        below_fat = float(np.log1p(MUSCLE_UP_TO * np.expm1(fat)))
        # Afterwards as far below as above: a lopsided window would walk downhill in noise.
        lower, upper = (reach, below_fat) if first else 2 * (min(below_fat, reach),)
        return np.asarray((residual > -lower) & (residual < upper), dtype=np.bool_)
    lower = float(np.log(1.6)) if first else reach
    return np.asarray((residual < reach) & (residual > -lower), dtype=np.bool_)


def _solve(muscle: Voxels, fat: Voxels, field: Field, *, stiffness: float) -> Field:
    """Penalised least squares of the field, the slices' offsets and fat's distance; one small system."""
    terms, slices = muscle.terms.shape[1], len(field.offsets)
    size = terms + slices + 1
    matrix, right = np.zeros((size, size)), np.zeros(size)
    for voxels, weight, is_fat in ((muscle, 1.0, 0.0), (fat, FAT_WEIGHT, 1.0)):
        if len(voxels.log_signal) == 0:
            continue
        rows = np.zeros((len(voxels.log_signal), size))
        rows[:, :terms] = voxels.terms
        rows[np.arange(len(rows)), terms + voxels.slice_index] = 1.0
        rows[:, -1] = is_fat
        share = weight / len(rows)
        matrix += share * (rows.T @ rows)
        right += share * (rows.T @ voxels.log_signal)
    penalty = np.full(size, 1e-9)
    penalty[1:4], penalty[4:terms], penalty[terms:-1] = (stiffness * value for value in PENALTIES)
    solved = np.linalg.solve(matrix + np.diag(penalty), right)
    return replace(
        field,
        smooth=solved[:terms],
        offsets=solved[terms:-1],
        fat=float(solved[-1]),
    )
