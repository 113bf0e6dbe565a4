"""Volumes, areas and shares of one mask."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from service.core.finding import Asymmetry, Measures, ProfilePoint, SideMeasures
from service.core.mask import Label, Mask
from service.core.volume import Grid
from service.core.water_fat import DixonVolume

_LEFT = (Label.LEAN_LEFT, Label.IMAT_LEFT)
_RIGHT = (Label.LEAN_RIGHT, Label.IMAT_RIGHT)


def measure_muscles(mask: Mask, *, height_m: float | None, dixon: DixonVolume | None = None) -> Measures:
    """All measures of a mask; volumes use the true distance between slices.

    LMM and IMAT are None where the contrast could not separate fat. A side without any voxel has
    volume 0 and no fraction. ``dixon`` are the images of a Dixon pair; only they give the signal fat
    fraction.
    """
    areas = label_areas_cm2(mask)
    left, right, both = (
        replace(_side(mask, areas, *labels), fat_signal_fraction=_fat_signal_fraction(mask, dixon, *labels))
        for labels in (_LEFT, _RIGHT, (*_LEFT, *_RIGHT))
    )
    index = None
    if height_m is not None and both.lmm_ml is not None:
        index = both.lmm_ml / height_m**2
    return Measures(
        left=left,
        right=right,
        total=both,
        asymmetry=Asymmetry(
            compartment_ml=asymmetry(left.compartment_ml, right.compartment_ml),
            imat_fraction=asymmetry(left.imat_fraction, right.imat_fraction),
        ),
        lmm_height_index_ml_m2=index,
        profile=_profile(mask, areas),
    )


def label_areas_cm2(mask: Mask) -> NDArray[np.float64]:
    """Area of each label in each slice, shape (labels, slices)."""
    pixel_cm2 = mask.grid.pixel_area_mm2 / 100.0
    counts = np.stack([(mask.labels == label).sum(axis=(1, 2)) for label in Label])
    areas: NDArray[np.float64] = counts * pixel_cm2
    return areas


def asymmetry(left: float | None, right: float | None) -> float | None:
    """(left - right) / (left + right), or None where that has no meaning."""
    if left is None or right is None or left + right == 0:
        return None
    return (left - right) / (left + right)


def _side(mask: Mask, areas_cm2: NDArray[np.float64], *labels: Label) -> SideMeasures:
    """Measures of the given labels taken together."""
    extents_cm = mask.grid.slice_extents_mm / 10.0
    lean_labels = [label for label in labels if label in (Label.LEAN_LEFT, Label.LEAN_RIGHT)]
    compartment = areas_cm2[list(labels)].sum(axis=0)
    lean = areas_cm2[lean_labels].sum(axis=0)
    covered_cm = float(extents_cm[compartment > 0].sum())
    compartment_ml = float(compartment @ extents_cm)
    lean_ml = float(lean @ extents_cm)
    separated = mask.fat_separated
    return SideMeasures(
        compartment_ml=compartment_ml,
        lmm_ml=lean_ml if separated else None,
        imat_ml=compartment_ml - lean_ml if separated else None,
        imat_fraction=(compartment_ml - lean_ml) / compartment_ml if separated and compartment_ml else None,
        mean_csa_cm2=compartment_ml / covered_cm if covered_cm else 0.0,
        mean_lean_csa_cm2=(lean_ml / covered_cm if covered_cm else 0.0) if separated else None,
        fat_signal_fraction=None,
    )


def _fat_signal_fraction(mask: Mask, dixon: DixonVolume | None, *labels: Label) -> float | None:
    """Fat signal over water and fat signal, added up over the compartment: what is brighter weighs more.

    Each slice counts for the length of patient that it stands for. None without signal.
    """
    if dixon is None:
        return None
    inside = np.isin(mask.labels, labels)
    extents = mask.grid.slice_extents_mm
    total = float(np.sum(dixon.in_phase.values, axis=(1, 2), where=inside, dtype=np.float64) @ extents)
    fat = float(np.sum(dixon.fat_signal, axis=(1, 2), where=inside, dtype=np.float64) @ extents)
    return fat / total if total > 0 else None


def _profile(mask: Mask, areas_cm2: NDArray[np.float64]) -> tuple[ProfilePoint, ...]:
    """Areas slice by slice from the caudal end."""
    separated = mask.fat_separated
    positions = _cranial_positions_mm(mask.grid)
    points = [
        ProfilePoint(
            position_mm=float(positions[index]),
            left_lean_cm2=float(areas_cm2[Label.LEAN_LEFT, index]) if separated else None,
            left_fat_cm2=float(areas_cm2[Label.IMAT_LEFT, index]) if separated else None,
            right_lean_cm2=float(areas_cm2[Label.LEAN_RIGHT, index]) if separated else None,
            right_fat_cm2=float(areas_cm2[Label.IMAT_RIGHT, index]) if separated else None,
        )
        for index in np.argsort(positions)
    ]
    return tuple(points)


def _cranial_positions_mm(grid: Grid) -> NDArray[np.float64]:
    """Distance of each slice from the most caudal one, along the normal."""
    towards_head = grid.offsets_mm if grid.normal[2] >= 0 else -grid.offsets_mm
    positions: NDArray[np.float64] = towards_head - towards_head.min()
    return positions
