"""Resampling of whole volumes as nnU-Net does it, for networks that were trained on what it makes.

The rules are those of nnU-Net v2 (Isensee 2021, 10.1038/s41592-020-01008-z; ``default_resampling.py`` of
nnunetv2 2.8): splines with the outer edges of both grids at the same place, and where voxels are much
longer than wide, whole slices are taken along the long axis instead of a mixture of them.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Shape = tuple[int, int, int]
Spacing = tuple[float, float, float]
Separate = Literal["auto", "always", "never"]


@dataclass(frozen=True, kw_only=True)
class ResamplingRule:
    """How one kind of array goes from grid to grid."""

    #: Degree of the spline: 0 nearest, 1 linear, 3 cubic.
    order: Literal[0, 1, 2, 3, 4, 5]
    #: Degree along the axis of the longest spacing, where that axis is treated apart: 0 or 1.
    order_z: Literal[0, 1]
    #: Whether that axis is treated apart; "auto": where the spacings differ by more than the threshold.
    separate: Separate
    #: nnU-Net's ``ANISO_THRESHOLD`` is 3.
    threshold: float


@dataclass(frozen=True, eq=False)
class Taps:
    """Linear interpolation along one axis: two neighbours for each new sample, and the second's share."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    share: NDArray[np.float32]


def resampled_shape(shape: Shape, spacing: Spacing, target: Spacing) -> Shape:
    """Voxels that cover the same extent at the target spacing."""
    slices, rows, columns = (
        max(1, round(step / wanted * length))
        for length, step, wanted in zip(shape, spacing, target, strict=True)
    )
    return (slices, rows, columns)


def separate_axis(source: Spacing, target: Spacing, rule: ResamplingRule) -> int | None:
    """The axis that is treated apart, or None.

    It is the one with the longest spacing, of the source if that is uneven enough, else of the target.
    """
    uneven = [spacing for spacing in (source, target) if max(spacing) / min(spacing) > rule.threshold]
    if rule.separate == "never" or (rule.separate == "auto" and not uneven):
        return None
    spacing = source if rule.separate == "always" else uneven[0]
    longest = [axis for axis, step in enumerate(spacing) if step == max(spacing)]
    # With two or three equally long axes there is no through-plane direction.
    return longest[0] if len(longest) == 1 else None


def resample_image(
    values: NDArray[np.float32], shape: Shape, axis: int | None, rule: ResamplingRule
) -> NDArray[np.float32]:
    """A volume at another shape; along ``axis``, if given, by ``order_z`` instead of ``order``."""
    if values.shape == shape:
        return values
    if axis is None:
        return _spline(values, shape, rule.order)
    across = [slice(None)] * 3
    plane = shape[:axis] + shape[axis + 1 :]
    partial = np.empty((*shape[:axis], values.shape[axis], *shape[axis + 1 :]), dtype=np.float32)
    for index in range(values.shape[axis]):
        across[axis] = slice(index, index + 1)
        here = tuple(across)
        partial[here] = np.expand_dims(_spline(values[here].squeeze(axis), plane, rule.order), axis)
    return interpolate(partial, taps(values.shape[axis], shape[axis], rule.order_z), axis)


def taps(length: int, target: int, order: int) -> Taps:
    """Where each of ``target`` samples lies among ``length``; ``order`` 0 takes the nearest, 1 mixes two."""
    places = np.clip(length / target * (np.arange(target) + 0.5) - 0.5, 0.0, length - 1.0)
    if order == 0:
        nearest = np.floor(places + 0.5).astype(np.intp)
        return Taps(nearest, nearest, np.zeros(target, dtype=np.float32))
    first = np.floor(places).astype(np.intp)
    second = np.minimum(first + 1, length - 1)
    return Taps(first, second, (places - first).astype(np.float32))


def interpolate(values: NDArray[np.float32], along: Taps, axis: int) -> NDArray[np.float32]:
    """An array of any shape at the samples of ``along`` in one axis."""
    low: NDArray[np.float32] = np.take(values, along.first, axis=axis)
    if not along.share.any():
        return low
    share = along.share.reshape([-1 if i == axis else 1 for i in range(values.ndim)])
    high = np.take(values, along.second, axis=axis)
    high -= low
    high *= share
    low += high
    return low


def _spline(
    values: NDArray[np.float32], shape: tuple[int, ...], order: Literal[0, 1, 2, 3, 4, 5]
) -> NDArray[np.float32]:
    """A plane or volume at another shape, without overshoot beyond its own range."""
    if values.shape == shape:
        return values
    # As ndimage.zoom wants it: factors whose products are the wanted lengths.
    factors = [wanted / length for wanted, length in zip(shape, values.shape, strict=True)]
    zoomed = ndimage.zoom(values, factors, order=order, mode="nearest", grid_mode=True)
    held: NDArray[np.float32] = np.clip(zoomed, values.min(), values.max()).astype(np.float32)
    return held
