"""Smooth random fields."""

import numpy as np
from scipy import ndimage

from models.training.tissues import Floats


def smooth(shape: tuple[int, int], knots: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Smooth noise of about unit standard deviation, given by few knots along each axis."""
    coarse = rng.standard_normal((knots[0] + 3, knots[1] + 3), dtype=np.float32)
    start = rng.uniform(0.5, 1.5, size=2)
    rows = start[0] + np.linspace(0.0, knots[0] - 0.01, shape[0])
    columns = start[1] + np.linspace(0.0, knots[1] - 0.01, shape[1])
    # Cubic interpolation along one axis after the other costs far less than in two dimensions.
    half = _along_rows(coarse, rows)
    field: Floats = _along_rows(half.T, columns).T
    return np.ascontiguousarray(field)


def _along_rows(values: Floats, places: np.ndarray) -> Floats:
    """Values between the rows of an array, by the cubic B-spline (smoothing, not interpolating)."""
    below = np.clip(np.floor(places).astype(int), 1, len(values) - 3)
    t = (places - below).astype(np.float32)[:, None]
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    total: Floats = sum(w * values[below + k - 1] for k, w in enumerate(weights)) / np.float32(6.0)
    # The B-spline damps white noise to about 0.58 of its standard deviation on each axis.
    return total / np.float32(0.69)


def streaks(shape: tuple[int, int], sigma: tuple[float, float], rng: np.random.Generator) -> Floats:
    """Fine noise that is longer along one axis, of unit standard deviation."""
    raw = rng.standard_normal(shape, dtype=np.float32)
    field: Floats = ndimage.gaussian_filter(raw, sigma, truncate=2.5)
    return field / np.float32(field.std() + 1e-6)
