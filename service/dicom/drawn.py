"""The voxels of a stored segmentation, slice by slice of the images it was drawn on."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from service.core.mask import Label, Mask
from service.dicom.headers import FOREIGN_ERRORS
from service.dicom.stack import Stack
from service.errors import UnreadableSeries

#: Which slice of which image: SOP instance UID, number of the frame (None: the image has one).
Place = tuple[str, int | None]
#: ``Label`` values of one slice, uint8, (rows, columns).
Slice = NDArray[np.uint8]


def read_drawn(path: Path) -> dict[Place, Slice]:
    """The labels of every slice that a segmentation of ours has a frame of; raises UnreadableSeries.

    The numbers of our segments are ``Label`` values, in both encodings.
    """
    try:
        segmentation = pydicom.dcmread(path)
        frames = segmentation.pixel_array
        frames = frames[np.newaxis] if frames.ndim == 2 else frames
        found: dict[Place, Slice] = {}
        for (place, number), values in zip(_frames(segmentation), frames, strict=True):
            labels = found.setdefault(place, np.zeros(values.shape, np.uint8))
            if number is None:
                labels[...] = values
            else:
                labels[values > 0] = number
        return found
    except OSError as error:
        raise UnreadableSeries("The segmentation could not be read.", reason="io_error") from error
    except FOREIGN_ERRORS as error:
        raise UnreadableSeries("The segmentation cannot be understood.", reason="bad_header") from error


def mask_of(drawn: Mapping[Place, Slice], stack: Stack, *, fat_separated: bool) -> Mask:
    """The mask of a stack out of what was drawn; slices without a frame are empty."""
    labels = np.zeros(stack.grid.shape, dtype=np.uint8)
    for index, frame in enumerate(stack.frames):
        found = drawn.get((frame.sop_instance_uid, frame.frame))
        if found is not None:
            labels[index] = found
    return Mask(labels=labels, grid=stack.grid, fat_separated=fat_separated)


def differing_voxels(one: Mapping[Place, Slice], other: Mapping[Place, Slice]) -> tuple[int, dict[str, int]]:
    """How many voxels differ, and by label how many have it in one of both only; a missing slice is empty.

    A voxel that is lean in one and fat in the other counts once among all, and for both labels.
    """
    total, counts = 0, dict.fromkeys((label for label in Label if label is not Label.BACKGROUND), 0)
    for place in {**one, **other}:
        first, second = _alike(one.get(place), other.get(place))
        total += int((first != second).sum())
        for label in counts:
            counts[label] += int(((first == label) != (second == label)).sum())
    return total, {label.name.lower(): count for label, count in counts.items() if count}


def _alike(first: Slice | None, second: Slice | None) -> tuple[Slice, Slice]:
    """Two slices of one size; where they are not, each beside an empty one, so that all of both differs."""
    if first is not None and second is not None and first.shape != second.shape:
        return np.concatenate([first.ravel(), 0 * second.ravel()]), np.concatenate(
            [0 * first.ravel(), second.ravel()]
        )
    there = second if first is None else first
    empty = np.zeros_like(there)
    return empty if first is None else first, empty if second is None else second


def _frames(segmentation: Dataset) -> Iterator[tuple[Place, int | None]]:
    """Of each frame the slice it lies on, and its segment; None for a label map, whose values are labels."""
    label_map = segmentation.get("SegmentationType") == "LABELMAP"
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        image = group.DerivationImageSequence[0].SourceImageSequence[0]
        frame = image.get("ReferencedFrameNumber")
        place = (str(image.ReferencedSOPInstanceUID), None if frame is None else int(frame))
        segment = group.get("SegmentIdentificationSequence")
        yield place, None if label_map else int(segment[0].ReferencedSegmentNumber)
