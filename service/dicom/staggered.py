"""Stations of one series: stacks of one orientation that continue or overlap each other along their normal.

Scans of the whole body move the table and may keep all under one series. Slices of two stations must not be
counted as one stack: where they overlap, a slice of one lies anywhere between two of the other.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from service.core.eligibility import MAX_GAP_RATIO
from service.dicom.frames import HeaderFrame
from service.dicom.geometry import stack_normal

#: What may tell stations apart, the most telling first.
STATION_KEYWORDS: Final = ("TablePosition", "TableTraverse", "AcquisitionNumber", "StationName")
#: Fewer slices are no station. Chosen by us: as many as the shortest block.
FEWEST_SLICES: Final = 3
#: A step this much shorter than the usual one is none of a regular stack. Chosen by us: the counterpart of
#: ``MAX_GAP_RATIO``.
SHORT_STEP_RATIO: Final = 0.5

#: Two interleaved halves of one stack overlap nearly as a whole, stations by a tenth or two. Chosen by us.
MOST_OVERLAP: Final = 0.5

Frames = list[HeaderFrame]


def separate_stations(frames: Frames, *, all_there: bool | None) -> list[Frames]:
    """The stations of frames of one orientation, or all of them where they are one regular stack.

    By an attribute that tells them apart, else by the runs in which they were numbered. ``all_there``:
    whether no image of the series is missing (None: nothing tells); where one is, a gap may be its place.
    """
    offsets = _offsets(frames)
    if len(frames) < 2 * FEWEST_SLICES or _regular(offsets):
        return [frames]
    for parts in _ways(frames, offsets):
        places = [offsets[part] for part in parts]
        if len(parts) > 1 and _are_stations(places) and (all_there is not False or _touch(places)):
            return [[frames[index] for index in part] for part in parts]
    return [frames]


def _offsets(frames: Frames) -> NDArray[np.float64]:
    """How far along their normal the frames lie, in mm."""
    normal = stack_normal(frames[0].geometry)
    return np.array([float(np.dot(frame.geometry.position_mm, normal)) for frame in frames])


def _ways(frames: Frames, offsets: NDArray[np.float64]) -> Iterable[list[list[int]]]:
    """Ways to part the frames, as indices."""
    for keyword in STATION_KEYWORDS:
        parts: dict[str, list[int]] = defaultdict(list)
        for index, frame in enumerate(frames):
            parts["\\".join(frame.attributes.texts(keyword))].append(index)
        yield list(parts.values())
    yield _runs(offsets)


def _runs(offsets: NDArray[np.float64]) -> list[list[int]]:
    """Frames in the order of their numbers, cut wherever the direction turns round."""
    steps = np.diff(offsets)
    forward = np.sign(np.median(steps)) or 1.0
    cuts = np.flatnonzero(np.sign(steps) != forward) + 1
    return [list(part) for part in np.split(np.arange(len(offsets)), cuts)]


def _are_stations(parts: Sequence[NDArray[np.float64]]) -> bool:
    """Whether each part is a regular stack, and they follow each other."""
    if not all(len(part) >= FEWEST_SLICES and _regular(part) for part in parts):
        return False
    ends = sorted((float(part.min()), float(part.max())) for part in parts)
    return all(_staggered(one, other) for one, other in pairwise(ends))


def _touch(parts: Sequence[NDArray[np.float64]]) -> bool:
    """Whether no gap between neighbouring parts is as wide as one that a missing slice leaves."""
    ordered = sorted(parts, key=lambda part: float(part.min()))
    return all(
        float(upper.min() - lower.max()) <= MAX_GAP_RATIO * float(np.median(np.diff(np.sort(lower))))
        for lower, upper in pairwise(ordered)
    )


def _staggered(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether one range begins and ends before the other, and little of them is shared."""
    shorter = min(one[1] - one[0], other[1] - other[0])
    return one[0] < other[0] and one[1] < other[1] and one[1] - other[0] <= MOST_OVERLAP * shorter


def _regular(offsets: NDArray[np.float64]) -> bool:
    """Whether the steps are alike, so that no slice is missing and none belongs elsewhere."""
    steps = np.diff(np.sort(offsets))
    usual = float(np.median(steps))
    return bool(steps.min() >= SHORT_STEP_RATIO * usual > 0 and steps.max() <= MAX_GAP_RATIO * usual)
