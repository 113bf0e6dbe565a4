"""Frames of one series sorted into stacks of parallel slices, each position once."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from service.core.volume import PARALLEL_TOLERANCE
from service.dicom.blocks import nothing_missing, split_blocks
from service.dicom.frames import HeaderFrame
from service.dicom.geometry import stack_normal
from service.dicom.staggered import separate_stations

#: Slices nearer than this lie at the same position; steps of MR slices are ten times larger. Chosen by us.
SAME_POSITION_MM: Final = 0.05
#: Pixel spacings and echo times count as the same within this share: headers are rounded.
RELATIVE_TOLERANCE: Final = 1e-3
ECHO_TOLERANCE_MS: Final = 0.2

#: What tells repeated positions apart, the most telling first.
REPETITION_KEYWORDS: Final = (
    "ImageType",
    "FrameType",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "DiffusionBValue",
    "InversionTime",
    "FlipAngle",
    "TriggerTime",
    "AcquisitionNumber",
    "SeriesDescription",
)

Frames = list[HeaderFrame]


def split_into_stacks(frames: Iterable[HeaderFrame]) -> list[Frames]:
    """The stacks of one series in a fixed order, each ordered along ``stack_normal``.

    Depends on the frames only, not on the order in which they are given.
    """
    ordered = sorted(frames, key=_acquired)
    exact: dict[Hashable, Frames] = defaultdict(list)
    for frame in ordered:
        matrix = (frame.geometry.rows, frame.geometry.columns)
        exact[(frame.frame_of_reference_uid, frame.sop_class_uid, matrix, frame.part)].append(frame)
    stacks = []
    all_there = nothing_missing(ordered)
    for group in exact.values():
        for alike in _cluster(group):
            for station in separate_stations(alike, all_there=all_there):
                for part in _separate_repetitions(station):
                    stacks += split_blocks(_by_position(part), all_there=all_there)
    return sorted(stacks, key=lambda stack: min(_acquired(frame) for frame in stack))


def offset_mm(frame: HeaderFrame, normal: NDArray[np.float64]) -> float:
    """How far along the normal a frame lies."""
    return float(np.dot(frame.geometry.position_mm, normal))


def _acquired(frame: HeaderFrame) -> tuple[int, str, int]:
    """A total order of the frames of one series."""
    number = frame.attributes.whole("InstanceNumber") or 0
    return (number, frame.ref.sop_instance_uid, frame.ref.frame or 0)


def _by_position(frames: Frames) -> Frames:
    """The frames from the first to the last position along the normal."""
    normal = stack_normal(frames[0].geometry)
    return sorted(frames, key=lambda frame: offset_mm(frame, normal))


def _cluster(frames: Frames) -> list[Frames]:
    """Frames whose directions, pixel spacing and echo time agree with those of the first of their group.

    The first frames stand in one table, so that a series of a thousand orientations takes no time either.
    """
    groups: list[Frames] = []
    kinds = np.array([_kind(frame) for frame in frames])
    firsts = np.empty_like(kinds)
    for frame, kind in zip(frames, kinds, strict=True):
        same = np.all(np.abs(firsts[: len(groups)] - kind) <= _tolerances(kind), axis=1)
        if same.any():
            groups[int(np.argmax(same))].append(frame)
        else:
            firsts[len(groups)] = kind
            groups.append([frame])
    return groups


def _kind(frame: HeaderFrame) -> tuple[float, ...]:
    """What the frames of one stack have in common, as numbers."""
    geometry = frame.geometry
    directions = (*geometry.column_direction, *geometry.row_direction)
    return (*directions, *geometry.pixel_spacing_mm, frame.echo_ms)


def _tolerances(kind: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the numbers of another frame may be from these."""
    return np.concatenate(
        [np.full(6, PARALLEL_TOLERANCE), RELATIVE_TOLERANCE * np.abs(kind[6:8]), [ECHO_TOLERANCE_MS]]
    )


def _positions(frames: Frames) -> list[int]:
    """For each frame the number of its position, equal for frames at the same position."""
    normal = stack_normal(frames[0].geometry)
    offsets = np.array([offset_mm(frame, normal) for frame in frames])
    order = np.argsort(offsets, kind="stable")
    steps = np.diff(offsets[order]) > SAME_POSITION_MM
    numbers = np.empty(len(frames), dtype=int)
    numbers[order] = np.concatenate([[0], np.cumsum(steps)])
    return [int(n) for n in numbers]


def _most_repeated(frames: Frames) -> int:
    """How many frames share the most crowded position."""
    return max(Counter(_positions(frames)).values())


def _separate_repetitions(frames: Frames) -> list[Frames]:
    """Stacks in which each position occurs once.

    Repetitions are told apart by the first attribute that does so; where none does, the n-th frame of
    each position goes to the n-th stack.
    """
    repeated = _most_repeated(frames)
    if repeated == 1:
        return [frames]
    for keyword in REPETITION_KEYWORDS:
        parts: dict[str, Frames] = defaultdict(list)
        for frame in frames:
            parts["\\".join(frame.attributes.texts(keyword))].append(frame)
        if len(parts) > 1 and all(_most_repeated(part) < repeated for part in parts.values()):
            return [stack for part in parts.values() for stack in _separate_repetitions(part)]
    seen: Counter[int] = Counter()
    stacks: list[Frames] = [[] for _ in range(repeated)]
    for frame, position in zip(frames, _positions(frames), strict=True):
        stacks[seen[position]].append(frame)
        seen[position] += 1
    return stacks
