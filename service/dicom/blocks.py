"""Blocks of one series: slices angled to one disc after the other, sometimes to two discs alike.

Blocks of one orientation are one run of positions with wide gaps. A gap where slices are missing looks
alike, so a run is cut only where nothing is missing.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from service.core.blocks import places
from service.core.eligibility import MAX_GAP_RATIO
from service.core.series import StackFacts
from service.dicom.frames import HeaderFrame
from service.dicom.geometry import stack_normal
from service.dicom.stack import Stack

#: A gap of so many usual steps may lie between two blocks. Chosen by us: one missing slice leaves two steps,
#: and blocks of up to five slices of 4 mm at discs 35 mm apart leave four and more.
LEAST_GAP_STEPS: Final = 2.5
#: Slices of a block. Chosen by us: protocols take three to five a disc, seldom seven; parts of a longer run
#: are parts of one stack, and of one or two slices nothing can be said.
BLOCK_SLICES: Final = (3, 8)
#: A gap that is so near to a whole number of steps may be missing slices. Chosen by us: scanners round
#: positions to far less, and three in four gaps between discs are no such number.
WHOLE_STEPS: Final = 0.12


def split_blocks(frames: Sequence[HeaderFrame], *, all_there: bool | None) -> list[list[HeaderFrame]]:
    """One stack in order along its normal, cut into its blocks; whole where it is no row of blocks.

    ``all_there``: whether no image of the series is missing (None: nothing tells), see ``nothing_missing``.
    """
    whole = [list(frames)]
    if len(frames) < 2 * BLOCK_SLICES[0] or all_there is False:
        return whole
    normal = stack_normal(frames[0].geometry)
    steps = np.diff([float(np.dot(frame.geometry.position_mm, normal)) for frame in frames])
    usual = float(np.median(steps))
    wide = steps > LEAST_GAP_STEPS * usual
    parts = [list(part) for part in np.split(np.arange(len(frames)), np.flatnonzero(wide) + 1)]
    low, high = BLOCK_SLICES
    if not all(low <= len(part) <= high for part in parts):
        return whole
    if float(steps[~wide].max()) > MAX_GAP_RATIO * usual:
        return whole
    beyond = np.abs(steps[wide] / usual - np.rint(steps[wide] / usual))
    if all_there is None and bool(np.any(beyond <= WHOLE_STEPS)):
        return whole
    return [[frames[index] for index in part] for part in parts]


def nothing_missing(frames: Sequence[HeaderFrame]) -> bool | None:
    """Whether the InstanceNumbers of a series run without a hole; None where they tell nothing.

    Frames of one object are all there or the object is not.
    """
    numbers = {frame.ref.sop_instance_uid: frame.attributes.whole("InstanceNumber") for frame in frames}
    if len(numbers) == 1:
        return True
    known = {number for number in numbers.values() if number is not None}
    if len(known) < len(numbers):
        return None
    return max(known) - min(known) + 1 == len(known)


def number_blocks(stacks: Sequence[Stack]) -> list[Stack]:
    """The stacks of one series, each with its place among those that show the same in the same way."""
    alike: dict[Hashable, list[int]] = defaultdict(list)
    for index, stack in enumerate(stacks):
        alike[_kind(stack.facts)].append(index)
    numbered = list(stacks)
    for members in alike.values():
        found = places([_height_mm(stacks[index]) for index in members]) if len(members) > 1 else ()
        for index, place in zip(members, found, strict=False):
            numbered[index] = replace(stacks[index], facts=replace(stacks[index].facts, place=place))
    return numbered


def _kind(facts: StackFacts) -> Hashable:
    """What blocks of one series have in common."""
    shown = (facts.contrast, facts.dixon_part, facts.plane, facts.localizer, facts.derived)
    return (facts.frame_of_reference_uid, *shown)


def _height_mm(stack: Stack) -> float:
    """How far to the head the middle of the middle slice lies, in patient coordinates."""
    grid = stack.grid
    middle = np.array([grid.shape[0] // 2, (grid.rows - 1) / 2, (grid.columns - 1) / 2])
    return float(grid.to_patient(middle)[2])
