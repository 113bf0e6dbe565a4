"""Volumes, areas and shares of one mask."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from service.core.finding import Asymmetry, Measures, ProfilePoint, SideMeasures
from service.core.mask import Label, Mask
from service.core.stations import Share
from service.core.water_fat import DixonVolume

_LEFT = (Label.LEAN_LEFT, Label.IMAT_LEFT)
_RIGHT = (Label.LEAN_RIGHT, Label.IMAT_RIGHT)


def measure_muscles(
    mask: Mask, *, height_m: float | None, dixon: DixonVolume | None = None, volumes: bool = True
) -> Measures:
    """All measures of a mask; volumes use the true distance between slices.

    Without ``volumes`` (a block) they are None, with all that is made from them; areas and shares stay.

    LMM and IMAT are None where the contrast could not separate fat. A side without any voxel has
    volume 0 and no fraction. ``dixon`` are the images of a Dixon pair; only they give the signal fat
    fraction.
    """
    return measure_contents(contents_of(mask, dixon), height_m=height_m, volumes=volumes)


@dataclass(frozen=True, kw_only=True, eq=False)
class Contents:
    """What each slice of one mask holds, or of the masks of several stations, one after the other."""

    #: Area of each label, shape (labels, slices).
    areas_cm2: NDArray[np.float64]
    #: Length of patient that each slice stands for.
    extents_mm: NDArray[np.float64]
    #: Height of each slice, cranial positive, from any one place.
    heights_mm: NDArray[np.float64]
    #: Whether fat was told from muscle.
    fat_separated: bool
    #: Water and fat signal together, and fat signal alone, added up over each label, shape (2, labels,
    #: slices); None without a Dixon pair.
    signal: NDArray[np.float64] | None = None


def contents_of(mask: Mask, dixon: DixonVolume | None = None) -> Contents:
    """What each slice of one mask holds."""
    grid = mask.grid
    return Contents(
        areas_cm2=label_areas_cm2(mask),
        extents_mm=grid.slice_extents_mm,
        heights_mm=grid.offsets_mm if grid.normal[2] >= 0 else -grid.offsets_mm,
        fat_separated=mask.fat_separated,
        signal=None if dixon is None else _signal(mask, dixon),
    )


def counted_once(parts: Sequence[Contents], shares: Sequence[Share]) -> Contents:
    """The contents of several stations without what another one counts.

    Where fat was not told in one of them it is not told of the whole.
    """
    kept = [share.counted for share in shares]
    signals = [
        part.signal[:, :, counts] for part, counts in zip(parts, kept, strict=True) if part.signal is not None
    ]
    return Contents(
        areas_cm2=np.hstack([part.areas_cm2[:, counts] for part, counts in zip(parts, kept, strict=True)]),
        extents_mm=np.hstack([share.extents_mm[share.counted] for share in shares]),
        heights_mm=np.hstack([share.heights_mm[share.counted] for share in shares]),
        fat_separated=all(part.fat_separated for part in parts),
        signal=np.concatenate(signals, axis=2) if len(signals) == len(parts) else None,
    )


def measure_contents(contents: Contents, *, height_m: float | None, volumes: bool = True) -> Measures:
    """All measures of what the slices hold; see ``measure_muscles``."""
    left, right, both = (_side(contents, *labels) for labels in (_LEFT, _RIGHT, (*_LEFT, *_RIGHT)))
    if not volumes:
        left, right, both = (_without_volumes(side) for side in (left, right, both))
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
        profile=_profile(contents),
    )


def label_volumes_ml(contents: Contents) -> dict[Label, float]:
    """Volume of each label that a segmentation describes."""
    volumes = contents.areas_cm2 @ (contents.extents_mm / 10.0)
    described = [label for label in Label if label != Label.BACKGROUND]
    if not contents.fat_separated:
        described = [Label.LEAN_LEFT, Label.LEAN_RIGHT]
    return {label: float(volumes[label]) for label in described}


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


def _side(contents: Contents, *labels: Label) -> SideMeasures:
    """Measures of the given labels taken together."""
    areas_cm2, extents_cm = contents.areas_cm2, contents.extents_mm / 10.0
    lean_labels = [label for label in labels if label in (Label.LEAN_LEFT, Label.LEAN_RIGHT)]
    compartment = areas_cm2[list(labels)].sum(axis=0)
    lean = areas_cm2[lean_labels].sum(axis=0)
    covered_cm = float(extents_cm[compartment > 0].sum())
    compartment_ml = float(compartment @ extents_cm)
    lean_ml = float(lean @ extents_cm)
    separated = contents.fat_separated
    return SideMeasures(
        compartment_ml=compartment_ml,
        lmm_ml=lean_ml if separated else None,
        imat_ml=compartment_ml - lean_ml if separated else None,
        imat_fraction=(compartment_ml - lean_ml) / compartment_ml if separated and compartment_ml else None,
        mean_csa_cm2=compartment_ml / covered_cm if covered_cm else 0.0,
        mean_lean_csa_cm2=(lean_ml / covered_cm if covered_cm else 0.0) if separated else None,
        fat_signal_fraction=_fat_signal_fraction(contents, *labels),
    )


def _without_volumes(side: SideMeasures) -> SideMeasures:
    """What a few slices at one level can say."""
    return replace(side, compartment_ml=None, lmm_ml=None, imat_ml=None)


def _signal(mask: Mask, dixon: DixonVolume) -> NDArray[np.float64]:
    """``Contents.signal`` of one mask."""
    images = (dixon.in_phase.values, dixon.fat_signal)
    return np.array(
        [
            [np.sum(image, axis=(1, 2), where=mask.labels == label, dtype=np.float64) for label in Label]
            for image in images
        ]
    )


def _fat_signal_fraction(contents: Contents, *labels: Label) -> float | None:
    """Fat signal over water and fat signal, added up over the compartment: what is brighter weighs more.

    Each slice counts for the length of patient that it stands for. None without signal.
    """
    if contents.signal is None:
        return None
    total, fat = (float(image[list(labels)].sum(axis=0) @ contents.extents_mm) for image in contents.signal)
    return fat / total if total > 0 else None


def _profile(contents: Contents) -> tuple[ProfilePoint, ...]:
    """Areas slice by slice from the caudal end."""
    separated, areas_cm2 = contents.fat_separated, contents.areas_cm2
    positions = contents.heights_mm - contents.heights_mm.min()
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
