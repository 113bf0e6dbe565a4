"""Contrast and scanner of the test stacks; every family of random numbers differs from training's.

Training blurs with a Gaussian, shades with smooth noise and an exponential, and scatters typical
signals. Here a slice is cut off in k-space (so that it rings), shaded by loops of a coil behind the
back, and signals are drawn from ranges of ratios between the tissues.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from models.training.tissues import Codes, Floats, Tissue

CONTRASTS: Final = ("t2_tse", "t2_haste", "t1", "in_phase", "water")
#: Range of the brightness of pure fat, in units of lean muscle. Chosen by us around spin-echo images
#: (two to five) and gradient echoes (1.5 to 3; 2.6 in the Dixon volunteer).
FAT_TO_MUSCLE: Final = {
    "t2_tse": (2.2, 6.0),
    "t2_haste": (2.0, 5.0),
    "t1": (1.9, 4.0),
    "in_phase": (1.5, 3.0),
    "water": (0.02, 0.25),
}
#: Range of the brightness of the other tissues in units of lean muscle, for spin echo T2, T1, gradient echo.
_OTHERS: Final[dict[Tissue, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]]] = {
    Tissue.AIR: ((0, 0), (0, 0), (0, 0)),
    Tissue.SKIN: ((0.8, 2.0), (0.6, 1.6), (0.5, 1.2)),
    Tissue.CORTEX: ((0.05, 0.3), (0.05, 0.3), (0.1, 0.4)),
    Tissue.MARROW: ((1.2, 3.5), (1.0, 2.5), (0.7, 1.6)),
    Tissue.DISC: ((0.8, 4.0), (0.8, 1.3), (0.8, 1.4)),
    Tissue.FLUID: ((4.0, 9.0), (0.3, 0.7), (0.7, 1.6)),
    Tissue.NERVE: ((1.2, 3.0), (0.7, 1.2), (0.8, 1.4)),
    Tissue.LIVER: ((0.8, 2.0), (1.0, 1.8), (0.9, 1.6)),
    Tissue.SPLEEN: ((1.5, 3.0), (0.7, 1.2), (0.9, 1.6)),
    Tissue.KIDNEY: ((1.5, 4.0), (0.8, 1.4), (0.9, 1.6)),
    Tissue.BOWEL: ((1.0, 4.0), (0.7, 1.4), (0.6, 1.4)),
    Tissue.GAS: ((0, 0.1), (0, 0.1), (0, 0.1)),
    Tissue.VESSEL: ((0.05, 0.8), (0.1, 0.8), (0.6, 2.0)),
    Tissue.FASCIA: ((0.1, 0.6), (0.2, 0.7), (0.2, 0.7)),
}
_FAMILY: Final = {"t2_tse": 0, "t2_haste": 0, "t1": 1, "in_phase": 2, "water": 2}
_MUSCLES: Final = (Tissue.SPINAE, Tissue.MULTIFIDUS, Tissue.DEEP_MUSCLE, Tissue.OUTER_MUSCLE)
_FATS: Final = (Tissue.SUBCUTANEOUS_FAT, Tissue.DEEP_FAT)


@dataclass(frozen=True)
class Scan:
    """What is scanned how."""

    contrast: str
    spacing_mm: tuple[float, float, float]
    #: Share of fat within the fibres of lean muscle.
    fibre_fat: float


def acquire(
    tissue: Codes, fat: Floats, pool: Callable[[np.ndarray], Floats], scan: Scan, rng: np.random.Generator
) -> Floats:
    """A noisy image, in arbitrary units, of fine samples of which the share ``fat`` is replaced by fat.

    ``pool`` averages samples to pixels.
    """
    contrast, spacing_mm, muscle_fat = scan.contrast, scan.spacing_mm, scan.fibre_fat
    others, adipose = _signals(contrast, rng)
    for kind in _MUSCLES:
        # A little fat within the fibres: more signal where fat is bright, less where it is dark.
        others[kind] *= 1.0 - muscle_fat
        adipose[kind] = muscle_fat * adipose[Tissue.DEEP_FAT]
    water_image = pool(others[tissue] * (1 - fat))
    fat_image = pool(adipose[tissue] * (1 - fat) + adipose[Tissue.DEEP_FAT] * fat)
    if rng.random() < 0.5:
        shift = np.array([0.0, 0.0, 0.0])
        shift[1 + int(rng.integers(2))] = rng.uniform(-0.7, 0.7)
        fat_image = ndimage.shift(fat_image, shift, order=1, mode="nearest")
    image = (water_image + fat_image) * _grain(water_image.shape, rng)
    image = image * _coil(image.shape, spacing_mm, rng)
    # Neighbouring slices of a 2-D acquisition saturate each other.
    image = image * rng.normal(1.0, 0.03, (len(image), 1, 1)).astype(np.float32)
    noise = 1.0 / rng.uniform(12.0, 60.0)
    scanned = np.stack([_scan(plane, contrast, noise, rng) for plane in image])
    return np.asarray(scanned * np.float32(rng.uniform(150.0, 900.0)), np.float32)


def _signals(contrast: str, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Signal of each tissue that is not fat's, and that is fat's; lean muscle is 1."""
    other, adipose = np.zeros(len(Tissue), np.float32), np.zeros(len(Tissue), np.float32)
    for kind, ranges in _OTHERS.items():
        other[kind] = rng.uniform(*ranges[_FAMILY[contrast]])
    for kind in _MUSCLES:
        other[kind] = rng.normal(1.0, 0.05)
    fat = rng.uniform(*FAT_TO_MUSCLE[contrast])
    for kind in _FATS:
        adipose[kind] = fat * rng.normal(1.0, 0.04)
    if contrast == "water":
        other[Tissue.MARROW] *= 0.6
    return other, adipose


def _grain(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Texture of tissue: fine, and patches of some millimetres."""
    fine = rng.standard_normal(shape, dtype=np.float32)
    patches = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), (0.5, 3.0, 3.0))
    patches /= patches.std() + 1e-6
    mixed: Floats = 1.0 + rng.uniform(0.0, 0.06) * fine + rng.uniform(0.0, 0.05) * patches
    return mixed


def _coil(shape: tuple[int, ...], spacing_mm: tuple[float, float, float], rng: np.random.Generator) -> Floats:
    """Sum of squares of loops behind the back, partly evened out by the scanner, and a slow drift."""
    rows = np.arange(shape[1]) * spacing_mm[1]
    columns = np.arange(shape[2]) * spacing_mm[2]
    heights = np.arange(shape[0]) * spacing_mm[0]
    z, y, x = np.meshgrid(heights, rows, columns, indexing="ij", sparse=True)
    total = np.zeros(shape)
    behind = rows[-1] + rng.uniform(-15.0, 40.0)
    loop = rng.uniform(50.0, 130.0)
    for place in (-0.6, 0.0, 0.6):
        centre = columns[-1] * (0.5 + 0.3 * place) + rng.normal(0.0, 10.0)
        middle = heights[-1] * rng.uniform(-0.3, 1.3)
        distance = (x - centre) ** 2 + (y - behind) ** 2 + 0.3 * (z - middle) ** 2
        total += rng.uniform(0.7, 1.3) / (1.0 + distance / loop**2) ** 3
    sense = np.sqrt(total)
    sense /= sense.mean()
    kept = rng.choice([rng.uniform(0.1, 0.45), rng.uniform(0.45, 0.9)])
    drift = rng.uniform(0.0, 0.15) * np.cos(
        2 * np.pi * (x / columns[-1] * rng.uniform(0.2, 0.6) + rng.random())
    )
    return np.asarray(sense**kept * np.exp(drift), np.float32)


def _scan(plane: Floats, contrast: str, noise: float, rng: np.random.Generator) -> Floats:
    """One slice through k-space: cut off, filtered, along one axis blurred by decay, with noise."""
    k_space = np.fft.fftshift(np.fft.fft2(plane))
    rows, columns = (np.abs(np.linspace(-1.0, 1.0, n, dtype=np.float32)) for n in plane.shape)
    reach, taper = rng.uniform(0.65, 1.0), rng.uniform(0.05, 0.5)

    def window(k: Floats) -> Floats:
        inside = np.clip((reach - k) / (taper * reach), 0.0, 1.0)
        return np.asarray(0.5 - 0.5 * np.cos(np.pi * inside), np.float32)

    k_space = k_space * window(rows)[:, None] * window(columns)[None, :]
    if contrast == "t2_haste":
        k_space = k_space * np.exp(-rng.uniform(0.1, 0.9) * rows)[:, None]
    image = np.fft.ifft2(np.fft.ifftshift(k_space))
    parts = rng.standard_normal((2, *plane.shape)) * noise
    noisy: Floats = np.abs(image + parts[0] + 1j * parts[1]).astype(np.float32)
    return noisy
