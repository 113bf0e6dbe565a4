"""From anatomy to image: contrast, texture, partial volume, coil, artefacts and noise."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from models.training.noise import smooth
from models.training.tissues import Bools, Floats, Sample, Tissue, signal_table

#: Share of each contrast among training images. Chosen by us: the contrasts that the service
#: measures get most; "random" draws every tissue's signal anew, so that shape must be learned too.
CONTRASTS: Final[dict[str, float]] = {
    "t2": 0.24,
    "t1": 0.16,
    "in_phase": 0.14,
    "water": 0.22,
    "fat": 0.10,
    "opposed": 0.08,
    "random": 0.06,
}
#: Columns of the signal table that hold the water signal of a contrast.
_WATER_COLUMN: Final = {"t2": 0, "t1": 1}
_TABLE: Final = signal_table()
_MUSCLES: Final = (Tissue.SPINAE, Tissue.MULTIFIDUS, Tissue.DEEP_MUSCLE, Tissue.OUTER_MUSCLE)
#: Percentile and upper clip of the network's input, written into the card.
NORMAL_PERCENTILE: Final = 99.0
NORMAL_CLIP: Final = 2.0


@dataclass(frozen=True)
class Amplitudes:
    """Water and fat signal of every tissue in one image, in the order of ``Tissue``."""

    water: Floats
    fat: Floats


def normalise(image: Floats) -> Floats:
    """Divide a slice by the 99th percentile of its positive pixels, and clip."""
    positive = image[image > 0]
    if positive.size == 0:
        return np.zeros_like(image, dtype=np.float32)
    level = float(np.percentile(positive, NORMAL_PERCENTILE))
    clipped: Floats = np.clip(image / np.float32(level), 0.0, NORMAL_CLIP).astype(np.float32)
    return clipped


def render(
    sample: Sample, rng: np.random.Generator, contrast: str | None = None, seen: Bools | None = None
) -> Floats:
    """A noisy image of a sample, normalised as the network expects it; zero where nothing is ``seen``."""
    if contrast is None:
        contrast = pick_contrast(rng)
    water, fat = _water_and_fat(sample, _amplitudes(contrast, rng), rng)
    image = np.abs(water - fat) if contrast == "opposed" else water + fat
    if contrast == "t2" and rng.random() < 0.35:
        image = _single_shot_blur(image, rng)
    return acquire(image, rng, seen)


def pick_contrast(rng: np.random.Generator) -> str:
    """A contrast as often as ``CONTRASTS`` says."""
    return str(rng.choice(list(CONTRASTS), p=list(CONTRASTS.values())))


def acquire(image: Floats, rng: np.random.Generator, seen: Bools | None = None) -> Floats:
    """What coil, scanner and noise make of an image, normalised as the network expects it."""
    image = _coil(image, rng)
    image = _artefacts(image, rng)
    image = _noise(image, rng)
    if seen is not None:
        image = np.where(seen, image, np.float32(0))
    if rng.random() < 0.4:
        image = (image / (image.max() + 1e-6)) ** np.float32(rng.lognormal(0.05, 0.2))
    # A wide scatter: with a narrow one, real water images (muscle at 0.7 of the percentile) were missed.
    jitter = np.float32(rng.lognormal(-0.05, 0.35))
    scattered: Floats = np.clip(normalise(image) * jitter, 0.0, NORMAL_CLIP)
    return scattered


def _single_shot_blur(image: Floats, rng: np.random.Generator) -> Floats:
    """Blur along one direction, as T2 decay leaves it in single-shot (HASTE) images."""
    sigma = [0.0, 0.0]
    sigma[int(rng.integers(2))] = rng.uniform(0.5, 1.6)
    blurred: Floats = ndimage.gaussian_filter(image, sigma, truncate=3.0)
    return blurred


def _amplitudes(contrast: str, rng: np.random.Generator) -> Amplitudes:
    """Signals of the tissues in one image, scattered around the typical ones."""
    count = len(_TABLE)
    water = _TABLE[:, _WATER_COLUMN.get(contrast, 2)].astype(np.float64)
    if rng.random() < 0.4:
        water = _flatten(water, rng)
    water *= rng.lognormal(0.0, rng.uniform(0.04, 0.28), count)
    fat = _TABLE[:, 3] * rng.lognormal(0.0, 0.08, count)
    fat[Tissue.MARROW] = rng.uniform(0.15, 0.75)
    if contrast in ("t2", "t1", "in_phase"):
        water *= rng.lognormal(-0.05, 0.33)
    elif contrast == "water":
        fat *= rng.choice([0.0, rng.uniform(0.0, 0.15)])
    elif contrast == "fat":
        water *= rng.choice([0.0, rng.uniform(0.0, 0.12)])
    elif contrast == "opposed":
        water *= rng.lognormal(0.2, 0.3)
    elif contrast == "random":
        water, fat = _random_signals(rng, count)
    _couple_muscles(water, fat, rng)
    return Amplitudes(water.astype(np.float32), fat.astype(np.float32))


def _flatten(water: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Organs, discs and marrow nearly as bright as muscle, as in proton-weighted gradient echoes."""
    muscle = water[Tissue.SPINAE]
    soft = water > 0.5 * muscle
    pull = rng.uniform(0.4, 1.0)
    return np.where(soft, muscle**pull * np.maximum(water, 1e-6) ** (1 - pull), water)


def _random_signals(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Any brightness for any tissue, but fat always apart from muscle."""
    water, fat = rng.uniform(0.05, 1.0, count), np.zeros(count)
    water[[Tissue.AIR, Tissue.GAS]] = 0.0
    muscle = rng.uniform(0.1, 0.9)
    adipose = muscle * rng.uniform(0.1, 0.6) if rng.random() < 0.5 else muscle * rng.uniform(1.6, 4.0)
    water[list(_MUSCLES)] = muscle
    for tissue in (Tissue.SUBCUTANEOUS_FAT, Tissue.DEEP_FAT):
        water[tissue], fat[tissue] = 0.0, adipose * rng.uniform(0.9, 1.1)
    return water, fat


def _couple_muscles(water: np.ndarray, fat: np.ndarray, rng: np.random.Generator) -> None:
    """All skeletal muscles look nearly alike, so that brightness cannot tell one from another."""
    level = water[Tissue.SPINAE]
    for tissue in _MUSCLES:
        water[tissue] = level * rng.lognormal(0.0, 0.06)
        fat[tissue] = fat[Tissue.SPINAE] * rng.uniform(0.5, 1.5)


def _water_and_fat(sample: Sample, amplitudes: Amplitudes, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The two images, with texture, blur by the pixel, and fat shifted by its frequency."""
    share = sample.infiltration.astype(np.float32) / np.float32(255)
    lean = 1 - share
    water = amplitudes.water[sample.tissue] * lean + amplitudes.water[Tissue.DEEP_FAT] * share
    fat = amplitudes.fat[sample.tissue] * lean + amplitudes.fat[Tissue.DEEP_FAT] * share
    texture = 1 + np.float32(rng.uniform(0.0, 0.10)) * smooth(water.shape, (40, 48), rng)
    grain = 1 + np.float32(rng.uniform(0.0, 0.06)) * rng.standard_normal(water.shape, dtype=np.float32)
    blur = rng.uniform(0.35, 1.3) * np.array([1.0, rng.uniform(0.8, 1.25)])
    water = ndimage.gaussian_filter(water * texture * grain, blur, truncate=3.0)
    fat = ndimage.gaussian_filter(fat * texture * grain, blur, truncate=3.0)
    if rng.random() < 0.4:
        offset = np.zeros(2)
        offset[rng.integers(2)] = rng.uniform(-1.5, 1.5)
        fat = ndimage.shift(fat, offset, order=1, mode="nearest")
    return water, fat


def _coil(image: Floats, rng: np.random.Generator) -> Floats:
    """Smooth shading, and often the fall-off of a spine coil from the back to the front."""
    shading = rng.uniform(0.0, 0.28) * smooth(image.shape, (2, 2), rng)
    if rng.random() < 0.6:
        depth = np.linspace(1.0, 0.0, image.shape[0], dtype=np.float32)[:, None]
        shading = shading - np.float32(rng.uniform(0.0, 2.2)) * depth
    shaded: Floats = image * np.exp(shading).astype(np.float32)
    return shaded


def _artefacts(image: Floats, rng: np.random.Generator) -> Floats:
    """Saturation bands, ghosts along rows or columns, and coarse acquisition."""
    rows = np.arange(image.shape[0], dtype=np.float32)[:, None]
    columns = np.arange(image.shape[1], dtype=np.float32)[None, :]
    if rng.random() < 0.2:
        edge = rng.uniform(0.1, 0.5) * image.shape[0] + rng.normal(0, 0.1) * (columns - columns.mean())
        image = image * (1 - np.float32(rng.uniform(0.5, 0.95)) / (1 + np.exp((rows - edge) / 3)))
    if rng.random() < 0.12:
        centre = rng.uniform(0.4, 0.9) * image.shape[0] + rng.normal(0, 0.4) * (columns - columns.mean())
        band = np.exp(-(((rows - centre) / rng.uniform(5, 14)) ** 4))
        image = image * (1 - np.float32(rng.uniform(0.3, 0.8)) * band)
    if rng.random() < 0.15:
        axis, move = int(rng.integers(2)), int(rng.integers(15, 90))
        image = image + np.float32(rng.uniform(0.01, 0.07)) * np.roll(image, move, axis)
    if rng.random() < 0.2:
        coarse = rng.uniform(1.2, 2.6)
        small = ndimage.zoom(image, 1 / coarse, order=1)
        factors = [a / b for a, b in zip(image.shape, small.shape, strict=True)]
        image = ndimage.zoom(small, factors, order=1)
    return np.asarray(image, np.float32)


def _noise(image: Floats, rng: np.random.Generator) -> Floats:
    """Rician noise; sometimes air is cut to zero, as scanners do."""
    level = np.float32(np.percentile(image, 98) * rng.choice([0.0, rng.uniform(0.004, 0.05)], p=[0.1, 0.9]))
    parts = rng.standard_normal((2, *image.shape), dtype=np.float32) * level
    noisy: Floats = np.hypot(image + parts[0], parts[1])
    if rng.random() < 0.3:
        noisy[noisy < 2.5 * level] = 0.0
    return noisy
