"""A mask that a person edited: which segment is which label, and what must be true of the whole.

A result measured on such a mask has a definition of its own. The tables and the repeatability of the
automatic chain belong to the network and its boundary, so neither speaks for what a person drew.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from service.core.blocks import SUFFIX as BLOCK
from service.core.compartment import Compartment
from service.core.finding import Definition, QualityCheck
from service.core.mask import Label
from service.core.quality import check_compartment
from service.core.volume import Grid
from service.errors import EditRefused

#: What the id of a definition ends in, before that of a block, when a person edited the mask.
SUFFIX: Final = "-edited"
Side = Literal["left", "right"]
Tissue = Literal["muscle", "fat"]
#: What each label stands for.
LABELS: Final[dict[tuple[Tissue, Side], Label]] = {
    ("muscle", "left"): Label.LEAN_LEFT,
    ("muscle", "right"): Label.LEAN_RIGHT,
    ("fat", "left"): Label.IMAT_LEFT,
    ("fat", "right"): Label.IMAT_RIGHT,
}
#: What people write of a segment. A segment that names no tissue of these is none of ours.
_WORDS: Final[dict[str, re.Pattern[str]]] = {
    "muscle": re.compile(r"paraspinal muscle|lean muscle|\blmm\b|muscle compartment"),
    "fat": re.compile(r"intermuscular fat|\bimat\b"),
    "left": re.compile(r"\bleft\b"),
    "right": re.compile(r"\bright\b"),
}
#: Stands in the place of a prediction, which is of the network's own drawing.
_NO_PREDICTION: Final = QualityCheck(
    check="predicted_dice", passed=True, detail="Not given: a person edited the drawing."
)
EDITED_CHECK: Final = QualityCheck(
    check="edited",
    passed=True,
    detail="A person edited the drawing; reference tables and repeatability of the network do not apply.",
)


def of_edited(definition: Definition) -> Definition:
    """The definition of the same measures on a mask that a person edited."""
    if is_edited(definition.id):
        return definition
    plain = definition.id.removesuffix(BLOCK)
    return replace(definition, id=f"{plain}{SUFFIX}{definition.id[len(plain) :]}")


def is_edited(definition_id: str) -> bool:
    """Whether a definition is that of a mask that a person edited."""
    return definition_id.removesuffix(BLOCK).endswith(SUFFIX)


@dataclass(frozen=True, kw_only=True)
class Described:
    """What an object says of one of its segments, in plain words."""

    number: int
    #: What the segment is called: label, and tracking identifier.
    names: tuple[str, ...]
    #: What its codes say; None where they say nothing that is known here.
    tissue: Tissue | None
    side: Side | None
    tracking_uid: str = ""


def labels_of(segments: Sequence[Described], tracked: Mapping[str, Label]) -> dict[int, Label]:
    """The label of each segment that is one of ours, by its number; others have none.

    ``tracked`` are the labels of our own segments by TrackingUID. Names, codes and TrackingUID may each be
    missing, but must not contradict each other. Raises EditRefused.
    """
    found: dict[int, Label] = {}
    for segment in segments:
        label = _label_of(segment, tracked.get(segment.tracking_uid))
        if label is None:
            continue
        if label in found.values():
            raise EditRefused(
                f"Two segments are both {label.name.lower().replace('_', ' ')}.", reason="edit_segment_twice"
            )
        found[segment.number] = label
    if not found:
        raise EditRefused("None of its segments is one of ours.", reason="edit_segments_unknown")
    return found


def _label_of(segment: Described, tracked: Label | None) -> Label | None:
    """One segment by all that is said of it; None where that is of something else."""
    said = " ".join(segment.names).casefold()
    tissues = {word for word in ("muscle", "fat") if _WORDS[word].search(said)}
    sides = {word for word in ("left", "right") if _WORDS[word].search(said)}
    # Codes alone are not enough for a tissue: other muscles and other fat have the same.
    if not tissues and tracked is None:
        return None
    tissues |= {segment.tissue} if segment.tissue else set()
    sides |= {segment.side} if segment.side else set()
    named = [label for (tissue, side), label in LABELS.items() if tissue in tissues and side in sides]
    if tracked is not None:
        named = [tracked, *(label for label in named if label != tracked)]
    if len(named) != 1:
        raise EditRefused(
            f"Names and codes of segment {segment.number} do not say which tissue of which side it is.",
            reason="edit_segment_contradicts",
        )
    return named[0]


def join_segments(segments: Mapping[Label, NDArray[np.bool_]], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """One label map out of segments; EditRefused where two of them share a voxel.

    Nothing is guessed: whoever drew the same voxel as two things has to say which of both it is.
    """
    labels, count = np.zeros(shape, dtype=np.uint8), 0
    for label, inside in segments.items():
        count += int((labels[inside] > 0).sum())
        labels[inside] = label
    if count:
        raise EditRefused(f"{count} voxels are in two segments at once.", reason="edit_overlap")
    return labels


def require_whole(
    labels: NDArray[np.uint8],
    described: Sequence[Label],
    automatic: NDArray[np.uint8],
    *,
    fat_separated: bool,
) -> None:
    """Raise EditRefused unless everything is there that the automatic drawing tells apart.

    A fat segment may be left out where the automatic drawing has no voxel of it.
    """
    fats = (Label.IMAT_LEFT, Label.IMAT_RIGHT)
    if not fat_separated and any((labels == fat).any() for fat in fats):
        raise EditRefused(
            "Fat was drawn, but on this contrast fat and muscle are not told apart.",
            reason="edit_fat_not_separated",
        )
    for name, lean in (("left", Label.LEAN_LEFT), ("right", Label.LEAN_RIGHT)):
        if not (labels == lean).any():
            raise EditRefused(f"There is no muscle on the {name} side.", reason="edit_side_missing")
    missing = [fat for fat in fats if fat not in described and (automatic == fat).any()]
    if fat_separated and missing:
        raise EditRefused(
            "A segment of intermuscular fat is missing, so nobody can tell whether its voxels are muscle.",
            reason="edit_segment_missing",
        )


def check_edited(labels: NDArray[np.uint8], grid: Grid) -> tuple[QualityCheck, ...]:
    """What is looked at of an edited compartment; raises EditRefused where its sides are swapped.

    Checks that withhold a drawing of the network are told and withhold nothing: a person has looked.
    """
    compartment = np.zeros(labels.shape, dtype=np.uint8)
    compartment[np.isin(labels, (Label.LEAN_LEFT, Label.IMAT_LEFT))] = Compartment.LEFT
    compartment[np.isin(labels, (Label.LEAN_RIGHT, Label.IMAT_RIGHT))] = Compartment.RIGHT
    swapped = _swapped(compartment, grid)
    if swapped:
        raise EditRefused(
            f"Left and right are swapped in {swapped} slices: the patient's left is where x is larger.",
            reason="edit_sides_swapped",
        )
    checks = check_compartment(compartment, grid, compartment, None)
    told = tuple(check for check in checks if check.check != _NO_PREDICTION.check)
    return (EDITED_CHECK, *told, _NO_PREDICTION)


def _swapped(compartment: NDArray[np.uint8], grid: Grid) -> int:
    """Slices in which a side lies where the other one belongs, in patient coordinates.

    A slice that shows one side only is told by the middle between the sides in the nearest slice that shows
    both; where none does, all slices are told by the middle between both sides over all of them.
    """
    lefts, rights = (_centres(compartment == side, grid) for side in (Compartment.LEFT, Compartment.RIGHT))
    both = np.flatnonzero(~np.isnan(lefts) & ~np.isnan(rights))
    if not len(both):
        middles = np.full(len(lefts), (np.nanmean(lefts) + np.nanmean(rights)) / 2.0)
        if np.nanmean(lefts) <= np.nanmean(rights):
            return len(lefts)
    else:
        nearest = both[np.abs(np.arange(len(lefts))[:, None] - both).argmin(axis=1)]
        middles = (lefts[nearest] + rights[nearest]) / 2.0
    return int(((lefts <= middles) | (rights >= middles)).sum())


def _centres(side: NDArray[np.bool_], grid: Grid) -> NDArray[np.float64]:
    """Mean x (LPS, mm) of a side in each slice; NaN where it has nothing there."""
    centres = np.full(len(side), np.nan)
    for index in np.flatnonzero(side.any(axis=(1, 2))):
        pixels = np.argwhere(side[index]).astype(np.float64)
        places = np.column_stack([np.full(len(pixels), float(index)), pixels])
        centres[index] = grid.to_patient(places)[:, 0].mean()
    return centres
