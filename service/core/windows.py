"""Sliding windows as nnU-Net's predictor lays them, and what it does to a volume before.

Source: ``sliding_window_prediction.py``, ``cropping.py`` and ``default_normalization_schemes.py`` of
nnunetv2 2.8.
"""

import math
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.core.resampling import Shape

Box = tuple[slice, slice, slice]
NormalisationKind = Literal["zscore", "rescale_0_1", "none"]

#: nnU-Net's importance map: a Gaussian with a standard deviation of an eighth of the patch, 10 in the middle.
SIGMA_SHARE = 1 / 8
PEAK = 10.0
#: nnU-Net's guard against dividing by a spread of zero.
EPSILON = 1e-8


def window_starts(length: int, patch: int, overlap: float) -> list[int]:
    """First index of each window along one axis: even steps of at most ``1 - overlap`` of the patch.

    ``length`` is at least ``patch``.
    """
    room = length - patch
    count = math.ceil(room / (patch * (1.0 - overlap))) + 1
    return [round(room / (count - 1) * index) for index in range(count)] if count > 1 else [0]


def importance(patch: tuple[int, ...]) -> NDArray[np.float32]:
    """Weight of each voxel of a patch: voxels near its middle are trusted most.

    nnU-Net keeps these weights in half precision, in which the far corners vanish; those take the
    smallest weight that does not.
    """
    impulse = np.zeros(patch)
    impulse[tuple(side // 2 for side in patch)] = 1.0
    bell = ndimage.gaussian_filter(impulse, [side * SIGMA_SHARE for side in patch], mode="constant")
    weights = (bell / bell.max() * PEAK).astype(np.float16)
    weights[weights == 0] = weights[weights > 0].min()
    kept: NDArray[np.float32] = weights.astype(np.float32)
    return kept


def mirrorings(axes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Every combination of axes to mirror, the empty one first."""
    return [chosen for count in range(len(axes) + 1) for chosen in combinations(axes, count)]


def pad_to_patch(values: NDArray[np.float32], patch: Shape) -> tuple[NDArray[np.float32], Box]:
    """The volume with zeros around it until a patch fits, and where it lies in that."""
    missing = [max(0, side - length) for side, length in zip(patch, values.shape, strict=True)]
    before = [lack // 2 for lack in missing]
    padded = np.pad(values, [(start, lack - start) for start, lack in zip(before, missing, strict=True)])
    rows = [slice(start, start + length) for start, length in zip(before, values.shape, strict=True)]
    return padded, (rows[0], rows[1], rows[2])


def nonzero_box(values: NDArray[np.float32]) -> Box | None:
    """The smallest box that holds every voxel other than zero; None where there is none."""
    found = values != 0
    spans = []
    for axis in range(3):
        filled = np.flatnonzero(found.any(axis=tuple(other for other in range(3) if other != axis)))
        if filled.size == 0:
            return None
        spans.append(slice(int(filled[0]), int(filled[-1]) + 1))
    return (spans[0], spans[1], spans[2])


def normalise(values: NDArray[np.float32], kind: NormalisationKind, *, masked: bool) -> NDArray[np.float32]:
    """Intensities as the network was trained on them.

    ``zscore``: mean 0 and standard deviation 1, ``masked`` within what is not zero (holes filled) only;
    ``rescale_0_1``: smallest 0, largest 1.
    """
    if kind == "none":
        return values
    if kind == "rescale_0_1":
        shifted: NDArray[np.float32] = values - values.min()
        return shifted / np.float32(max(float(shifted.max()), EPSILON))
    inside = ndimage.binary_fill_holes(values != 0) if masked else slice(None)
    sample = values[inside]
    scaled = values.copy()
    scaled[inside] = (sample - sample.mean()) / np.float32(max(float(sample.std()), EPSILON))
    return scaled
