"""Telling fat from lean muscle inside the compartment, from one contrast.

The bright methods compare each voxel with two references of the same slice: the muscle itself and
the subcutaneous fat behind it. Slices are canonical: row 0 anterior, column 0 patient right.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.core.compartment import fill_holes
from service.errors import NotAssessable

#: Version of the methods below; part of the definition of IMAT and of the SEG's identity.
FAT_METHODS_VERSION = "1"
#: Fewer muscle pixels than this cannot carry a quadratic bias field (6 coefficients; chosen by us).
MIN_FIT_PIXELS = 60
#: The extrapolated bias field is held within a factor that surface coils reach (chosen by us).
BIAS_LIMITS = (0.4, 2.5)
#: Fat must be at least this much brighter than muscle to serve as reference. On T2 and T1 spin echo
#: it is two to five times as bright; below 1.5 the image is probably fat-suppressed (chosen by us).
MIN_FAT_TO_MUSCLE = 1.5
#: Share of the 99th percentile above which a pixel is body and not air (chosen by us: air carries
#: noise of a few per cent, the darkest tissue that closes the outline is skin and cortical bone).
BODY_LEVEL = 0.08


@dataclass(frozen=True, kw_only=True)
class FatReference:
    """Numbers of the fat methods, as the network's card gives them."""

    #: Percentile of the subcutaneous band that stands for pure fat.
    percentile: float
    #: Depth below the skin in which the band lies.
    band_mm: tuple[float, float]
    #: Fat fraction above which a voxel counts as IMAT.
    threshold: float


def separate_fat(
    slices: NDArray[np.float32],
    compartment: NDArray[np.bool_],
    spacing_mm: tuple[float, float],
    method: str,
    reference: FatReference,
) -> NDArray[np.bool_]:
    """Voxels of the compartment that are more than ``threshold`` fat; shape of ``slices``.

    Raises NotAssessable when no slice offers a usable reference, or the method is unknown.
    """
    fractions = np.full(slices.shape, np.nan, dtype=np.float32)
    levels = [
        _references(image, inside, spacing_mm, reference)
        for image, inside in zip(slices, compartment, strict=True)
    ]
    if method == "fat_reference_bright":
        ratio = _stack_fat_to_muscle(levels)
        for index, level in enumerate(levels):
            if level is not None:
                fractions[index] = (level.corrected - 1.0) / (ratio - 1.0)
    elif method == "muscle_reference_dark":
        for index, level in enumerate(levels):
            if level is not None:
                fractions[index] = 1.0 - level.corrected
    else:
        raise NotAssessable(f"The fat method {method!r} is not known here.", reason="unknown_fat_method")
    return compartment & (np.nan_to_num(fractions, nan=0.0) > reference.threshold)


@dataclass(frozen=True, eq=False)
class _Level:
    """One slice in units of its own muscle, and how bright its fat is in them (None: no fat seen)."""

    corrected: NDArray[np.float32]
    fat_to_muscle: float | None


def _references(
    image: NDArray[np.float32],
    inside: NDArray[np.bool_],
    spacing_mm: tuple[float, float],
    reference: FatReference,
) -> _Level | None:
    """The slice divided by its muscle level and bias field; None where there is no muscle."""
    if not bool((image[inside] > 0).any()):
        return None
    muscle = _muscle_level(image, inside)
    corrected = (image / muscle).astype(np.float32)
    band = _dorsal_band(image, inside, spacing_mm, reference.band_mm)
    fat = float(np.percentile(corrected[band], reference.percentile)) if band.any() else None
    return _Level(corrected, fat)


def _stack_fat_to_muscle(levels: list[_Level | None]) -> float:
    """Median brightness of fat over the stack, so that one odd slice moves nothing."""
    ratios = [
        level.fat_to_muscle for level in levels if level is not None and level.fat_to_muscle is not None
    ]
    if not ratios or float(np.median(ratios)) < MIN_FAT_TO_MUSCLE:
        raise NotAssessable(
            "No subcutaneous fat that is clearly brighter than muscle was found behind the muscles.",
            reason="no_fat_reference",
        )
    return float(np.median(ratios))


def _muscle_level(image: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Signal of lean muscle at every pixel: a quadratic field in log signal, fitted robustly.

    Fat is the outlier on either side of it, so pixels far from the fit are left out three times.
    """
    terms = _quadratic_terms(image.shape)
    usable = inside & (image > 0)
    muscle_terms, log_signal = terms[usable], np.log(image[usable].astype(np.float64))
    centre = float(np.median(log_signal))
    coefficients: NDArray[np.float64] = np.array([centre, 0.0, 0.0, 0.0, 0.0, 0.0])
    kept = np.abs(log_signal - centre) < np.log(2.0)
    for _ in range(3):
        if int(kept.sum()) < MIN_FIT_PIXELS:
            break
        coefficients = _least_squares(muscle_terms[kept], log_signal[kept])
        residual = log_signal - muscle_terms @ coefficients
        spread = 1.4826 * float(np.median(np.abs(residual[kept] - np.median(residual[kept]))))
        kept = np.abs(residual) < 2.0 * max(spread, 0.02)
    middle = float(np.median(muscle_terms @ coefficients))
    departure = np.clip(terms @ coefficients - middle, *np.log(BIAS_LIMITS))
    level: NDArray[np.float64] = np.exp(middle + departure)
    return level


def _least_squares(terms: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients by the normal equations: 6 x 6, and the terms lie within -1 and 1."""
    solved = np.linalg.lstsq(terms.T @ terms, terms.T @ values, rcond=None)[0]
    return np.asarray(solved, dtype=np.float64)


def _quadratic_terms(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """1, y, x, y^2, xy, x^2 over the image, with y and x from -1 to 1."""
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    return np.stack([np.ones_like(y), y, x, y * y, y * x, x * x], axis=-1)


def _dorsal_band(
    image: NDArray[np.float32],
    inside: NDArray[np.bool_],
    spacing_mm: tuple[float, float],
    band_mm: tuple[float, float],
) -> NDArray[np.bool_]:
    """Pixels at the given depth below the skin, behind the muscles and not in them."""
    rows, columns = np.nonzero(inside)
    first_row = int(np.median(rows))
    # Only what lies behind the middle of the muscles; its upper edge is no skin.
    body = np.pad(_body(image)[first_row:], ((0, 1), (1, 1)))
    depth = ndimage.distance_transform_edt(body, sampling=spacing_mm)[:-1, 1:-1]
    band = np.zeros_like(inside)
    across = slice(columns.min(), columns.max() + 1)
    deep_enough = (depth >= band_mm[0]) & (depth <= band_mm[1])
    band[first_row:, across] = deep_enough[:, across]
    return band & ~inside


def _body(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The largest filled object that is not air."""
    level = BODY_LEVEL * float(np.percentile(image, 99))
    objects, _count = ndimage.label(image > level)
    sizes = np.bincount(objects.ravel())
    sizes[0] = 0
    return fill_holes(objects == int(sizes.argmax()))
