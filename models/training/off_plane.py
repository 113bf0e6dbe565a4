"""Sagittal and coronal cuts of the atlas: images in which nothing is to be found."""

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from scipy import ndimage

from models.training.atlas import ATLAS_PIXEL_MM, ATLAS_SCALE, SHAPE, tissue_volume
from models.training.tissues import PIXEL_MM, Anatomy, Codes, Tissue

#: Distance of the atlas's slices (its header).
ATLAS_STEP_MM: Final = 1.5
#: Cuts stay within this share of the atlas around its middle; further out there is little but fat.
_MIDDLE: Final = (0.2, 0.8)


@cache
def _volume(folder: Path) -> Codes:
    """Tissues of the atlas (head to foot, front to back, right to left) with a ring of fat around them."""
    tissue = tissue_volume(folder)
    filled = np.stack([ndimage.binary_closing(plane != Tissue.AIR, iterations=12) for plane in tissue])
    body = np.stack([ndimage.binary_dilation(plane, iterations=10) for plane in filled])
    tissue[filled & (tissue == Tissue.AIR)] = Tissue.DEEP_FAT
    tissue[body & (tissue == Tissue.AIR)] = Tissue.SUBCUTANEOUS_FAT
    return tissue


def off_plane_anatomy(folder: Path, rng: np.random.Generator) -> Anatomy:
    """One sagittal or coronal cut of any place, upright as scanners show it, without a compartment."""
    volume = _volume(folder)
    axis = int(rng.integers(1, 3))
    low, high = (int(share * volume.shape[axis]) for share in _MIDDLE)
    plane = np.take(volume, int(rng.integers(low, high)), axis=axis)
    step = PIXEL_MM / ATLAS_SCALE
    rows = (np.arange(SHAPE[0]) - SHAPE[0] / 2) * step / ATLAS_STEP_MM + plane.shape[0] / 2
    columns = (np.arange(SHAPE[1]) - SHAPE[1] / 2) * step / ATLAS_PIXEL_MM + plane.shape[1] / 2
    grid = np.meshgrid(rows, columns, indexing="ij")
    tissue = ndimage.map_coordinates(plane, grid, order=0, mode="constant", cval=Tissue.AIR)
    label = np.zeros(SHAPE, np.uint8)
    return Anatomy(tissue.astype(np.uint8), label, (SHAPE[0] * 0.62, SHAPE[1] * 0.5))
