"""Images made worse in known ways and degrees, to learn and to test when an answer is wrong.

Every kind takes a stack (slices, rows, columns) in canonical orientation with its label, and a strength:
0 leaves the images as they are, 1 to 5 are the graded degrees, fractions lie between. The degrees were
chosen by us so that 1 is seen in everyday images and 5 leaves little to draw.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from scipy import ndimage

from models.training.noise import smooth
from models.training.tissues import PIXEL_MM, Codes, Floats

Corrupted = tuple[Floats, Codes]
Corruption = Callable[[Floats, Codes, float, np.random.Generator], Corrupted]

#: The strengths of a graded series.
GRADES: Final = (1.0, 2.0, 3.0, 4.0, 5.0)


def corrupt(kind: str, images: Floats, labels: Codes, strength: float, rng: np.random.Generator) -> Corrupted:
    """The stack after one kind of corruption; the label moves with the anatomy where that moves."""
    if strength <= 0:
        return images, labels
    worse, moved = KINDS[kind](images, labels, strength, rng)
    return np.maximum(worse, 0).astype(np.float32), moved


def _level(images: Floats) -> np.float32:
    """The bright end of a stack, to which noise and ghosts are set in proportion."""
    return np.float32(np.percentile(images, 98))


def _noise(images: Floats, labels: Codes, strength: float, rng: np.random.Generator) -> Corrupted:
    """Rician noise, its standard deviation 2 to 30 % of the bright end."""
    parts = rng.standard_normal((2, *images.shape), dtype=np.float32)
    parts *= _level(images) * np.float32(0.02 * strength**1.7)
    return np.hypot(images + parts[0], parts[1]), labels


def _blur(images: Floats, labels: Codes, strength: float, _rng: np.random.Generator) -> Corrupted:
    """Gaussian blur in the plane, its standard deviation 1.2 to 6 mm."""
    sigma = 1.2 * strength / PIXEL_MM
    return ndimage.gaussian_filter(images, (0.0, sigma, sigma)), labels


def _bias(images: Floats, labels: Codes, strength: float, rng: np.random.Generator) -> Corrupted:
    """Smooth shading in any direction; at the top one end is some hundred times brighter than the other."""
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = (np.linspace(-1, 1, n, dtype=np.float32) for n in images.shape[1:])
    slope = np.cos(angle) * rows[:, None] + np.sin(angle) * columns[None, :]
    bumps = smooth(images.shape[1:], (4, 4), rng)
    field = np.float32(strength) * (np.float32(0.42) * slope + np.float32(0.25) * bumps)
    return images * np.exp(field), labels


def _ghosts(images: Floats, labels: Codes, strength: float, rng: np.random.Generator) -> Corrupted:
    """Copies of the image shifted along one direction, as breathing and motion make them."""
    axis, count = int(rng.integers(1, 3)), int(rng.integers(2, 5))
    step = images.shape[axis] // (2 * count)
    worse = images.copy()
    for copy in range(1, count + 1):
        share = np.float32(0.09 * strength / copy)
        sign = -1.0 if rng.random() < 0.5 else 1.0
        for shift in (copy * step, -copy * step):
            worse += np.float32(sign) * share * np.roll(images, shift, axis)
    return np.abs(worse), labels


def _band(images: Floats, labels: Codes, strength: float, rng: np.random.Generator) -> Corrupted:
    """A dark band through the muscles, as a misplaced saturation slab; wider and darker by strength."""
    rows, columns = np.indices(images.shape[1:], dtype=np.float32)
    middle = _middle(labels, rng)
    angle = rng.uniform(-0.6, 0.6) + (np.pi / 2 if rng.random() < 0.3 else 0.0)
    across = np.cos(angle) * (rows - middle[0]) + np.sin(angle) * (columns - middle[1])
    width = (2.0 + 3.5 * strength) / PIXEL_MM
    depth = np.float32(1.0 - 0.65**strength)
    return images * (1 - depth * np.exp(-((across / np.float32(width)) ** 4))), labels


def _scale(images: Floats, labels: Codes, strength: float, rng: np.random.Generator) -> Corrupted:
    """A pixel spacing in the header that is not the true one, wrong by 12 to 73 %."""
    factor = float(np.exp(0.11 * strength))
    factor = 1 / factor if rng.random() < 0.5 else factor
    middle = _middle(labels, rng)
    place = [(np.arange(n) - m) / factor + m for n, m in zip(images.shape[1:], middle, strict=True)]
    grid = np.meshgrid(*place, indexing="ij")
    worse = np.stack([ndimage.map_coordinates(plane, grid, order=1) for plane in images])
    moved = np.stack([ndimage.map_coordinates(plane, grid, order=0) for plane in labels])
    return worse, moved


def _void(images: Floats, labels: Codes, strength: float, rng: np.random.Generator) -> Corrupted:
    """A signal void with a bright rim near the muscles, as metal leaves it."""
    rows, columns = np.indices(images.shape[1:], dtype=np.float32)
    middle = _middle(labels, rng)
    down, across = rows - np.float32(middle[0]), columns - np.float32(middle[1])
    radius = np.hypot(down, across) / np.float32((3.0 + 5.0 * strength) / PIXEL_MM)
    rim = _level(images) * np.exp(-(((radius - 1.1) / 0.12) ** 2))
    return images * (radius > 1.0) + rim, labels


def _coarse(images: Floats, labels: Codes, strength: float, _rng: np.random.Generator) -> Corrupted:
    """Few phase encodings: the outer part of k-space is missing along rows, which blurs and rings."""
    spectrum = np.fft.fftshift(np.fft.fft(images, axis=1), axes=1)
    rows = images.shape[1]
    kept = max(4, round(rows * 0.75 * 0.68**strength))
    spectrum[:, : rows // 2 - kept // 2] = 0
    spectrum[:, rows // 2 - kept // 2 + kept :] = 0
    return np.abs(np.fft.ifft(np.fft.ifftshift(spectrum, axes=1), axis=1)), labels


def _flat(images: Floats, labels: Codes, strength: float, _rng: np.random.Generator) -> Corrupted:
    """Contrast lost: every pixel of the body drawn towards one grey, with a little noise left as it was."""
    body = images > 0.1 * _level(images)
    grey = images[body].mean() if body.any() else np.float32(0)
    share = np.float32(1.0 - 0.65**strength)
    return np.where(body, images + share * (grey - images), images), labels


def _motion(images: Floats, labels: Codes, strength: float, rng: np.random.Generator) -> Corrupted:
    """The person moves while k-space is read: some of its lines belong to a shifted image."""
    axis = int(rng.integers(1, 3))
    spectrum = np.fft.fft(images, axis=axis)
    lines = np.fft.fftfreq(images.shape[axis])
    periods = rng.uniform(3.0, 9.0)
    shift = 0.35 * strength * np.sin(2 * np.pi * periods * np.abs(lines) * 2 + rng.uniform(0, 6.28))
    phase = np.exp(-2j * np.pi * lines * shift * 2.0 / PIXEL_MM)
    shape = [1, 1, 1]
    shape[axis] = -1
    return np.abs(np.fft.ifft(spectrum * phase.reshape(shape), axis=axis)), labels


def _middle(labels: Codes, rng: np.random.Generator) -> tuple[float, float]:
    """Row and column of a point of the muscles, or of the middle of the image where there are none."""
    places = np.argwhere(labels.any(axis=0))
    if len(places) == 0:
        return labels.shape[1] / 2, labels.shape[2] / 2
    row, column = places[int(rng.integers(len(places)))]
    return float(row), float(column)


KINDS: Final[dict[str, Corruption]] = {
    "noise": _noise,
    "blur": _blur,
    "bias": _bias,
    "ghosts": _ghosts,
    "band": _band,
    "scale": _scale,
    "void": _void,
    "coarse": _coarse,
    "flat": _flat,
    "motion": _motion,
}
