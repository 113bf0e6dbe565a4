"""Synthetic anatomy from the atlas, with LPM muscle shapes at the lower lumbar levels."""

from pathlib import Path
from typing import Final

import numpy as np
from scipy import ndimage

from models.training.atlas import (
    LPM_LEVELS,
    LPM_PIXEL_MM,
    AtlasSlice,
    atlas_slices,
    lpm_shapes,
)
from models.training.body import Draft, finish
from models.training.tissues import PIXEL_MM, Anatomy, Codes, Tissue

#: Share of slices that take a measured shape of another person: where the shapes were measured, and above
#: that, where they stand for plump muscle that the atlas person does not have. Chosen by us.
LPM_SHARE = 0.65
LPM_SHARE_ABOVE = 0.3
_ABOVE: Final = range(30, LPM_LEVELS.start)


def atlas_anatomy(folder: Path, rng: np.random.Generator) -> Anatomy:
    """One slice around real shapes."""
    slices = atlas_slices(folder)
    # Lumbar slices twice as often as the rest: that is where the service measures.
    weights = np.array([2.0 if 28 <= s.level <= 92 else 1.0 for s in slices])
    source = slices[rng.choice(len(slices), p=weights / weights.sum())]
    draft = Draft(source.tissue.copy(), source.label.copy(), source.canal)
    _grow_quadratus(draft, source, rng)
    if rng.random() < _measured_shape_share(source.level):
        shapes = lpm_shapes(folder)
        _paste(draft, shapes[rng.integers(len(shapes))], rng)
    else:
        _split_multifidus(draft, rng)
    if source.level < 60 and rng.random() < 0.7:
        _latissimus(draft, rng)
    finish(draft, rng)
    return Anatomy(draft.tissue, draft.label, draft.canal)


def _measured_shape_share(level: int) -> float:
    """How often a slice of this level takes a measured shape."""
    if level in LPM_LEVELS:
        return LPM_SHARE
    return LPM_SHARE_ABOVE if level in _ABOVE else 0.0


def _grow_quadratus(draft: Draft, source: AtlasSlice, rng: np.random.Generator) -> None:
    """A thicker quadratus lumborum: the atlas person's is thin, and networks leak into thick ones."""
    if not source.quadratus.any() or rng.random() < 0.25:
        return
    grown = source.quadratus
    for _ in range(rng.integers(1, 6)):
        grown = ndimage.binary_dilation(grown)
        shifted = np.roll(grown, -1, axis=0)
        grown |= shifted
    free = draft.tissue == Tissue.DEEP_FAT
    draft.tissue[grown & free] = Tissue.DEEP_MUSCLE


def _split_multifidus(draft: Draft, rng: np.random.Generator) -> None:
    """Call the part of the atlas's muscle next to the midline multifidus."""
    across = np.abs(np.arange(draft.tissue.shape[1]) - draft.canal[1]) * PIXEL_MM
    medial = (draft.label > 0) & (across[None, :] < rng.uniform(14.0, 24.0))
    draft.tissue[medial] = Tissue.MULTIFIDUS


def _paste(draft: Draft, shape: Codes, rng: np.random.Generator) -> None:
    """Replace the compartments by a measured shape, its middle over the spinous process."""
    draft.tissue[draft.label > 0] = Tissue.DEEP_FAT
    draft.label[:] = 0
    multifidus_columns = [np.where((shape == v).any(0))[0] for v in (100, 150)]
    middle = (multifidus_columns[0].max() + multifidus_columns[1].min()) / 2
    top = np.where(np.isin(shape, (100, 150)).any(1))[0].min()
    pixel_mm = LPM_PIXEL_MM * rng.lognormal(0.0, 0.06)
    step = PIXEL_MM / pixel_mm
    start = draft.canal[0] + rng.uniform(9.0, 15.0) / PIXEL_MM
    rows = top + (np.arange(draft.tissue.shape[0]) - start) * step
    columns = middle + (np.arange(draft.tissue.shape[1]) - draft.canal[1]) * step
    grid = np.meshgrid(rows, columns, indexing="ij")
    pasted = ndimage.map_coordinates(shape, grid, order=0, mode="constant", cval=0)
    free = ~np.isin(draft.tissue, (Tissue.MARROW, Tissue.DISC))
    for value, side, tissue in (
        (50, 1, Tissue.SPINAE),
        (100, 1, Tissue.MULTIFIDUS),
        (150, 2, Tissue.MULTIFIDUS),
        (200, 2, Tissue.SPINAE),
    ):
        part = (pasted == value) & free
        draft.label[part] = side
        draft.tissue[part] = tissue


def _latissimus(draft: Draft, rng: np.random.Generator) -> None:
    """A muscle layer around the flank and over the outer part of the back, which is not measured."""
    distance, angle = draft.polar(forward_px=40.0)
    core = draft.tissue != Tissue.DEEP_FAT
    filled = ndimage.binary_closing(core[::2, ::2], iterations=9, border_value=0)
    filled = np.kron(filled, np.ones((2, 2), bool))[: core.shape[0], : core.shape[1]] | core
    outside = ndimage.distance_transform_edt(~filled)
    thick = rng.uniform(1.5, 6.0)
    from_back = np.abs(angle - np.pi / 2)
    sector = (from_back > rng.uniform(0.45, 0.8)) & (from_back < rng.uniform(1.3, 2.0))
    layer = (outside > 0.8) & (outside < 0.8 + thick) & sector & (distance > 20)
    draft.tissue[layer] = Tissue.OUTER_MUSCLE
