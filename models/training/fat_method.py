"""The service's classical separation of fat and muscle, written again to judge the network with it.

Both methods need one contrast only. ``fat_reference_bright``: per slice, the smooth brightness of
muscle is fitted in the compartment, fat is the 80th percentile of the subcutaneous fat behind it,
and a pixel is fat above half the way. ``muscle_reference_dark``: fat is below half the muscle.
"""

from typing import Final

import numpy as np
from scipy import ndimage

from models.training.tissues import Bools, Floats

FAT_PERCENTILE: Final = 80.0
BAND_MM: Final = (3.0, 20.0)
THRESHOLD: Final = 0.5
_ROUNDS: Final = 6
#: Residuals of the log brightness beyond so many median deviations are not muscle. Chosen by us.
_TRIM: Final = 2.5


def fat_mask(image: Floats, compartment: Bools, pixel_mm: float, *, bright: bool) -> Bools:
    """Fat pixels of the compartment in one slice; an empty mask where it cannot be judged."""
    nothing = np.zeros_like(compartment)
    if np.count_nonzero(compartment) < 50:
        return nothing
    even = image / _brightness(image, compartment, bright=bright)
    if not bright:
        return compartment & (1.0 - even > THRESHOLD)
    band = even[_band(image, compartment, pixel_mm)]
    if band.size < 20:
        return nothing
    fat_level = float(np.percentile(band, FAT_PERCENTILE))
    return compartment & ((even - 1.0) / (fat_level - 1.0) > THRESHOLD)


def _brightness(image: Floats, compartment: Bools, *, bright: bool) -> Floats:
    """Brightness that pure muscle would have at each pixel: a quadratic in its logarithm."""
    rows, columns = np.where(compartment)
    logs = np.log(np.maximum(image[rows, columns], 1e-6))
    terms = _terms(image.shape, compartment)
    design = terms[rows, columns]
    # Start from the half of the pixels that is surely not fat.
    start = np.median(logs)
    used = logs <= start if bright else logs >= start
    order = 1
    weights = np.zeros(design.shape[1])
    for step in range(_ROUNDS):
        order = 1 if step == 0 else (3 if step == 1 else 6)
        weights[:] = 0.0
        weights[:order] = np.linalg.lstsq(design[used, :order], logs[used], rcond=None)[0]
        residual = logs - design @ weights
        width = 1.4826 * np.median(np.abs(residual[used] - np.median(residual[used]))) + 0.02
        used = np.abs(residual - np.median(residual[used])) < _TRIM * width
    field: Floats = np.exp(terms @ weights).astype(np.float32)
    return field


def _terms(shape: tuple[int, ...], compartment: Bools) -> Floats:
    """Polynomial terms of each pixel; beyond the compartment's box the box's edge counts."""
    rows, columns = np.indices(shape, dtype=np.float32)
    scaled = []
    for values in (rows, columns):
        low, high = float(values[compartment].min()), float(values[compartment].max())
        middle, half = (low + high) / 2, max((high - low) / 2, 1.0)
        scaled.append(np.clip((values - middle) / half, -1.0, 1.0))
    y, x = scaled
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=-1)


def _band(image: Floats, compartment: Bools, pixel_mm: float) -> Bools:
    """Pixels 3 to 20 mm under the skin behind the compartment."""
    level = float(np.percentile(image, 99)) * 0.12
    body = ndimage.binary_fill_holes(ndimage.binary_opening(image > level, iterations=2))
    depth = ndimage.distance_transform_edt(body) * pixel_mm
    rows, columns = np.where(compartment)
    row_index, column_index = np.indices(image.shape)
    behind = (column_index >= columns.min()) & (column_index <= columns.max())
    behind &= row_index > np.median(rows)
    near = ndimage.binary_dilation(compartment, iterations=max(1, round(2.5 / pixel_mm)))
    band: Bools = behind & ~near & (depth >= BAND_MM[0]) & (depth <= BAND_MM[1])
    return band
