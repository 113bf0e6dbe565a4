"""The other ways of telling fat from muscle in one contrast, which the service's method is compared with.

Each takes a canonical stack (slices, rows, columns), the sides (1 right, 2 left), the pixel's size in
mm and the contrast, and gives the fat of the compartments.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import MappingProxyType
from typing import Final
from unittest import mock

import numpy as np
from scipy import ndimage

from models.training.tissues import Bools, Codes, Floats
from service.core import fat, shading
from service.core.fat import FatReference, separate_fat
from service.errors import NotAssessable

Method = Callable[[Floats, Codes, tuple[float, float], str], Bools]
#: Numbers of the service's method as the card gives them; version 1 had half as its threshold.
REFERENCE: Final = FatReference(percentile=80.0, band_mm=(3.0, 20.0), threshold=0.40)
_HALF: Final = 0.5
#: In these fat is what is dark.
DARK: Final = ("water",)
_FIT_PIXELS: Final = 20_000


def gmm3(image: Floats, side: Codes, spacing_mm: tuple[float, float], contrast: str) -> Bools:
    """MuscleMap's recipe: three Gaussians on the signals of each side; fat is the class furthest from muscle.

    MuscleMap starts scikit-learn's mixture from k-means twenty times; here once, from the quantiles.
    """
    del spacing_mm
    return _by_clusters(image, side, contrast, _mixture)


def kmeans3(image: Floats, side: Codes, spacing_mm: tuple[float, float], contrast: str) -> Bools:
    """Three clusters of the signals of each side; fat is the one furthest from muscle."""
    del spacing_mm
    return _by_clusters(image, side, contrast, lambda values: _kmeans(values)[1:])


def former(image: Floats, side: Codes, spacing_mm: tuple[float, float], contrast: str) -> Bools:
    """Version 1 of the service: slice by slice, a field of muscle alone, continued to the skin."""
    found = np.zeros(side.shape, bool)
    levels: list[tuple[int, Floats]] = []
    ratios = []
    for index, plane in enumerate(image):
        inside = side[index] > 0
        if not (plane[inside] > 0).any():
            continue
        even = plane / _former_field(plane, inside)
        levels.append((index, even))
        band = _former_band(plane, inside, spacing_mm)
        if band.any():
            ratios.append(float(np.percentile(even[band], REFERENCE.percentile)))
    ratio = float(np.median(ratios)) if ratios else np.nan
    for index, even in levels:
        share = 1.0 - even if contrast in DARK else (even - 1.0) / (ratio - 1.0)
        found[index] = (side[index] > 0) & (np.nan_to_num(share) > _HALF)
    return found


def service_method(image: Floats, side: Codes, spacing_mm: tuple[float, float], contrast: str) -> Bools:
    """What the service does now."""
    return _service(image, side, spacing_mm, contrast, nullcontext())


def without_core(image: Floats, side: Codes, spacing_mm: tuple[float, float], contrast: str) -> Bools:
    """The same with the subcutaneous band alone as reference, without the fat inside the muscle."""
    return _service(image, side, spacing_mm, contrast, mock.patch.object(fat, "CORE_VOXELS", 1e12))


def muscle_field(image: Floats, side: Codes, spacing_mm: tuple[float, float], contrast: str) -> Bools:
    """The same with a field of muscle alone, one for the stack: what fitting both tissues is worth."""
    return _service(image, side, spacing_mm, contrast, mock.patch.object(shading, "FAT_WEIGHT", 1e-6))


def slice_fields(image: Floats, side: Codes, spacing_mm: tuple[float, float], contrast: str) -> Bools:
    """The same slice by slice: what one field for the stack is worth."""
    parts = [
        service_method(image[k : k + 1], side[k : k + 1], spacing_mm, contrast) for k in range(len(image))
    ]
    return np.concatenate(parts)


METHODS: Final = MappingProxyType(
    {
        "gmm3": gmm3,
        "kmeans3": kmeans3,
        "version 1": former,
        "muscle field": muscle_field,
        "slice by slice": slice_fields,
        "band alone": without_core,
        "service": service_method,
    }
)


def _service(
    image: Floats,
    side: Codes,
    spacing_mm: tuple[float, float],
    contrast: str,
    change: AbstractContextManager[object],
) -> Bools:
    """The service's method; nothing is fat where it refuses."""
    method = "muscle_reference_dark" if contrast in DARK else "fat_reference_bright"
    try:
        with change:
            return separate_fat(image, side > 0, spacing_mm, method, REFERENCE)
    except NotAssessable:
        return np.zeros(side.shape, bool)


def _by_clusters(
    image: Floats, side: Codes, contrast: str, fit: Callable[[np.ndarray], tuple[np.ndarray, ...]]
) -> Bools:
    """The class furthest from muscle in each side; ``fit`` gives means, deviations and weights."""
    found = np.zeros(side.shape, bool)
    for number in (1, 2):
        values = image[side == number].astype(np.float64)
        if len(values) < 60:
            continue
        means, deviations, weights = fit(values[:: max(1, len(values) // _FIT_PIXELS)])
        own = np.argmin(means) if contrast in DARK else np.argmax(means)
        score = np.log(weights + 1e-12) - np.log(deviations)
        score = score - 0.5 * ((values[:, None] - means) / deviations) ** 2
        found[side == number] = np.argmax(score, axis=1) == own
    return found


def _kmeans(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Class of each value, means, equal deviations and weights: nearest mean wins."""
    means = np.quantile(values, (0.1, 0.5, 0.95))
    own = np.zeros(len(values), int)
    for _ in range(60):
        own = np.argmin(np.abs(values[:, None] - means), axis=1)
        moved = np.array([values[own == k].mean() if (own == k).any() else means[k] for k in range(3)])
        if np.allclose(moved, means):
            break
        means = moved
    return own, means, np.ones(3), np.ones(3)


def _mixture(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three Gaussians by expectation and maximisation, started from k-means."""
    own, means, *_ = _kmeans(values)
    floor = 1e-3 * values.std() + 1e-9
    deviations = (
        np.array([values[own == k].std() if (own == k).sum() > 2 else floor for k in range(3)]) + floor
    )
    weights = np.array([(own == k).mean() for k in range(3)]) + 1e-6
    for _ in range(200):
        log = np.log(weights) - np.log(deviations) - 0.5 * ((values[:, None] - means) / deviations) ** 2
        share = np.exp(log - log.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        total = share.sum(axis=0) + 1e-9
        moved = share.T @ values / total
        deviations = np.sqrt((share * (values[:, None] - moved) ** 2).sum(axis=0) / total) + floor
        weights = total / len(values)
        if np.abs(moved - means).max() < 1e-4 * (values.std() + 1e-9):
            break
        means = moved
    return means, deviations, weights


def _former_field(image: Floats, inside: Bools) -> Floats:
    """A quadratic in log signal, fitted to the compartment without its outliers."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in image.shape), indexing="ij")
    terms = np.stack([np.ones_like(y), y, x, y * y, y * x, x * x], axis=-1)
    usable = inside & (image > 0)
    own, logs = terms[usable], np.log(image[usable].astype(np.float64))
    weights = np.zeros(6)
    weights[0] = np.median(logs)
    kept = np.abs(logs - weights[0]) < np.log(2.0)
    for _ in range(3):
        if kept.sum() < 60:
            break
        weights = np.linalg.lstsq(own[kept], logs[kept], rcond=None)[0]
        residual = logs - own @ weights
        spread = 1.4826 * float(np.median(np.abs(residual[kept] - np.median(residual[kept]))))
        kept = np.abs(residual) < 2.0 * max(spread, 0.02)
    middle = float(np.median(own @ weights))
    field: Floats = np.exp(middle + np.clip(terms @ weights - middle, *np.log((0.4, 2.5)))).astype(np.float32)
    return field


def _former_band(image: Floats, inside: Bools, spacing_mm: tuple[float, float]) -> Bools:
    """Pixels 3 to 20 mm under the skin behind the muscles."""
    rows, columns = np.nonzero(inside)
    objects, _ = ndimage.label(image > 0.08 * float(np.percentile(image, 99)))
    sizes = np.bincount(objects.ravel())
    sizes[0] = 0
    body = ndimage.binary_fill_holes(objects == sizes.argmax())
    first = int(np.median(rows))
    part = np.pad(body[first:], ((0, 1), (1, 1)))
    depth = ndimage.distance_transform_edt(part, sampling=spacing_mm)[:-1, 1:-1]
    across = slice(columns.min(), columns.max() + 1)
    band = np.zeros_like(inside)
    near = (depth >= REFERENCE.band_mm[0]) & (depth <= REFERENCE.band_mm[1])
    band[first:, across] = near[:, across]
    return band & ~inside
