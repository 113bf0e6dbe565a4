"""Frames of one series sorted into stacks of parallel slices, each position once."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from service.core.volume import PARALLEL_TOLERANCE
from service.dicom.frames import HeaderFrame
from service.dicom.geometry import stack_normal

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
    for group in exact.values():
        for alike in _cluster(group, _same_stack):
            stacks += [_by_position(part) for part in _separate_repetitions(alike)]
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


def _cluster(frames: Frames, same: Callable[[HeaderFrame, HeaderFrame], bool]) -> list[Frames]:
    """Groups of frames that are the same as the first of their group."""
    groups: list[Frames] = []
    for frame in frames:
        for group in groups:
            if same(group[0], frame):
                group.append(frame)
                break
        else:
            groups.append([frame])
    return groups


def _same_stack(one: HeaderFrame, other: HeaderFrame) -> bool:
    """Whether directions, pixel spacing and echo time agree."""
    a, b = one.geometry, other.geometry
    close = all(
        float(np.max(np.abs(x - y))) <= PARALLEL_TOLERANCE
        for x, y in ((a.column_direction, b.column_direction), (a.row_direction, b.row_direction))
    )
    spacing = np.allclose(a.pixel_spacing_mm, b.pixel_spacing_mm, rtol=RELATIVE_TOLERANCE, atol=0)
    return close and bool(spacing) and abs(one.echo_ms - other.echo_ms) <= ECHO_TOLERANCE_MS


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
