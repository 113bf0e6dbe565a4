"""A segmentation that came back from a viewer: its segments, on the grid of our images.

Written by 3D Slicer (dcmqi), OHIF (dcmjs), highdicom and others: other identifiers than ours, frames in any
order and only where something is drawn, segments in any order. Whatever cannot be laid voxel for voxel on the
images is refused with its reason.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from service.core.edited import Described, Side, Tissue, join_segments, labels_of
from service.core.edited_grid import Plane, lay, place
from service.core.mask import Label
from service.core.volume import Grid
from service.dicom import codes
from service.dicom.decoding import FRAGILE_SYNTAXES, decode, open_compressed
from service.dicom.headers import FOREIGN_ERRORS, Attributes, Header, quiet, read_header
from service.dicom.stack import Stack
from service.errors import EditRefused, UnreadableSeries

#: More frames, and larger ones, no drawing on a stack of ours has. Chosen by us: twenty segments on each of
#: 500 slices, and the largest matrix of images that are read.
MOST_FRAMES: Final = 10_000
LARGEST_SIDE: Final = 4096
#: How many times the pixels of an image a frame may have. Chosen by us: twice as many rows and columns; a
#: compressed frame costs time by its size, whatever is drawn in it.
LARGEST_FRAME: Final = 4
#: Codes of SNOMED CT, and those of its older form that some programs still write (PS3.16 Annex O).
_SIDES: Final[dict[str, Side]] = {
    **dict.fromkeys(("7771000", "G-A101"), "left"),
    **dict.fromkeys(("24028007", "G-A100"), "right"),
}
_TISSUES: Final[dict[str, Tissue]] = {codes.MUSCLE.CodeValue: "muscle", codes.FAT.CodeValue: "fat"}
#: What our own objects name as their creator.
OUR_NAME: Final = "MYOSCREEN^AI"
#: Where an instant is in ContentDate and ContentTime: the seconds may be left out (PS3.5 6.2, DA and TM).
_MOMENTS: Final = ("%Y%m%d%H%M%S", "%Y%m%d%H%M", "%Y%m%d%H", "%Y%m%d")


@dataclass(frozen=True, kw_only=True, eq=False)
class EditedSeg:
    """What came back, on the grid of the images."""

    #: ``Label`` values, uint8, shape of the grid.
    labels: NDArray[np.uint8]
    #: The labels that have a segment, be it empty.
    described: tuple[Label, ...]
    #: Every segment of ours says that it was drawn by hand alone.
    says_manual: bool
    #: Who drew it, when (ISO 8601, local time of the program) and with what; None where it does not say.
    by: str | None
    at: str | None
    made_with: str | None


@quiet()
def read_edited(path: Path, stack: Stack, tracked: Mapping[str, Label]) -> EditedSeg:
    """Lay a segmentation on a stack; ``tracked`` are the labels of our own segments by TrackingUID.

    Raises EditRefused.
    """
    try:
        header = read_header(path)
        if header is None:
            raise EditRefused("It is no segmentation.", reason="edit_unreadable")
        return _read(path, header, stack, tracked)
    except UnreadableSeries as error:
        raise EditRefused(f"It cannot be read: {error.reason.text}", reason="edit_unreadable") from error
    except FOREIGN_ERRORS as error:
        raise EditRefused("It cannot be understood.", reason="edit_unreadable") from error


@quiet()
def tracked_labels(path: Path) -> dict[str, Label]:
    """The labels of a segmentation of ours by TrackingUID; nothing where it cannot be read."""
    try:
        header = read_header(path)
    except UnreadableSeries:
        return {}
    items = [] if header is None else Attributes((header.dataset,)).items("SegmentSequence")
    segments = [Attributes((item,)) for item in items]
    numbers = {each.text("TrackingUID"): each.whole("SegmentNumber") for each in segments}
    return {uid: Label(number) for uid, number in numbers.items() if uid and number}


@quiet()
def references_of(path: Path) -> frozenset[str]:
    """SOP instance UIDs of the images that a segmentation names; nothing where it cannot be read."""
    try:
        header = read_header(path, ("ReferencedSeriesSequence",))
    except UnreadableSeries:
        return frozenset()
    root = Attributes(() if header is None else (header.dataset,))
    return frozenset(
        Attributes((image,)).text("ReferencedSOPInstanceUID")
        for series in root.items("ReferencedSeriesSequence")
        for image in Attributes((series,)).items("ReferencedInstanceSequence")
    )


def _read(path: Path, header: Header, stack: Stack, tracked: Mapping[str, Label]) -> EditedSeg:
    root = Attributes((header.dataset,))
    if root.text("FrameOfReferenceUID") != stack.facts.frame_of_reference_uid:
        raise EditRefused(
            "It has another frame of reference than the images.", reason="edit_other_frame_of_reference"
        )
    segments = [Attributes((item,)) for item in root.items("SegmentSequence")]
    labels = labels_of([_described(each) for each in segments], tracked)
    inside = _segments(path, header, stack.grid, labels)
    mine = [each for each in segments if each.whole("SegmentNumber") in labels]
    made_with = " ".join(filter(None, (root.text("Manufacturer"), root.text("ManufacturerModelName"))))
    by = _name(root.text("ContentCreatorName"))
    return EditedSeg(
        labels=join_segments(inside, stack.grid.shape),
        described=tuple(sorted(labels.values())),
        says_manual=all(each.code("SegmentAlgorithmType") == "MANUAL" for each in mine),
        by=None if not by or by.upper() == OUR_NAME else by,
        at=_moment(root),
        made_with=made_with[:128] or None,
    )


def _name(said: str) -> str:
    """A person name as it may stand in our objects: three groups, 64 characters, more than one component.

    PS3.5 6.2 (PN); a name of one component ends in a caret, else it is of a form that is retired.
    """
    name = "=".join(said.split("=")[:3]).strip("^= ")[:64]
    return name if "^" in name or not name else f"{name[:63]}^"


def _moment(root: Attributes) -> str | None:
    """When it was drawn, as it says; None where that is no time."""
    said = root.text("ContentDate")[:8] + root.text("ContentTime").partition(".")[0][:6]
    for form in _MOMENTS:
        try:
            return datetime.strptime(said, form).isoformat()  # noqa: DTZ007 - the object names no time zone
        except ValueError:
            continue
    return None


def _described(segment: Attributes) -> Described:
    """What is said of one segment."""
    regions = [Attributes((item,)) for item in segment.items("AnatomicRegionSequence")]
    modifiers = [
        *(item for region in regions for item in region.items("AnatomicRegionModifierSequence")),
        *segment.items("SegmentedPropertyTypeModifierCodeSequence"),
        *(
            item
            for kind in segment.items("SegmentedPropertyTypeCodeSequence")
            for item in Attributes((kind,)).items("SegmentedPropertyTypeModifierCodeSequence")
        ),
    ]
    sides = {_SIDES.get(Attributes((item,)).text("CodeValue")) for item in modifiers} - {None}
    kinds = segment.items("SegmentedPropertyTypeCodeSequence")
    return Described(
        number=segment.whole("SegmentNumber") or 0,
        names=(segment.text("SegmentLabel"), segment.text("TrackingID")),
        tissue=next((_TISSUES.get(Attributes((item,)).text("CodeValue")) for item in kinds), None),
        side=sides.pop() if len(sides) == 1 else None,
        tracking_uid=segment.text("TrackingUID"),
    )


def _segments(
    path: Path, header: Header, grid: Grid, labels: Mapping[int, Label]
) -> dict[Label, NDArray[np.bool_]]:
    """The voxels of each segment of ours."""
    root = Attributes((header.dataset,))
    kind = root.code("SegmentationType")
    if kind not in ("BINARY", "LABELMAP"):
        raise EditRefused("It is neither a binary segmentation nor a label map.", reason="edit_not_binary")
    found = {label: np.zeros(grid.shape, dtype=np.bool_) for label in labels.values()}
    seen: set[tuple[Label | None, int]] = set()
    for group, values in zip(
        _groups(root), _frames(path, header, grid, binary=kind == "BINARY"), strict=True
    ):
        numbers = [int(number) for number in np.unique(values) if number]
        if kind == "BINARY":
            identified = Attributes(tuple(group.items("SegmentIdentificationSequence")))
            numbers = [identified.whole("ReferencedSegmentNumber") or 0] if numbers else []
        mine = [number for number in numbers if number in labels]
        if not mine:
            continue
        placement = place(_plane(group, values.shape), grid)
        key = (labels[mine[0]] if kind == "BINARY" else None, placement.slice)
        if key in seen:
            raise EditRefused("One slice of a segment is there twice.", reason="edit_frame_twice")
        seen.add(key)
        for number in mine:
            lay(values > 0 if kind == "BINARY" else values == number, placement, found[labels[number]])
    return found


def _groups(root: Attributes) -> list[Attributes]:
    """What is said of each frame: its own groups, then those that all share."""
    shared = tuple(root.items("SharedFunctionalGroupsSequence")[:1])
    return [Attributes((item, *shared)) for item in root.items("PerFrameFunctionalGroupsSequence")]


def _plane(group: Attributes, shape: tuple[int, ...]) -> Plane:
    """Where one frame lies (PS3.3 C.7.6.16.2.1, C.7.6.16.2.3, C.7.6.16.2.4)."""
    position = Attributes(tuple(group.items("PlanePositionSequence"))).numbers("ImagePositionPatient")
    directions = Attributes(tuple(group.items("PlaneOrientationSequence"))).numbers("ImageOrientationPatient")
    spacing = Attributes(tuple(group.items("PixelMeasuresSequence"))).numbers("PixelSpacing")
    if len(position) != 3 or len(directions) != 6 or len(spacing) != 2:
        raise EditRefused("A frame does not say where it lies.", reason="edit_other_grid")
    return Plane(
        position_mm=np.array(position),
        column_direction=np.array(directions[:3]),
        row_direction=np.array(directions[3:]),
        pixel_spacing_mm=(spacing[0], spacing[1]),
        rows=shape[0],
        columns=shape[1],
    )


def _frames(path: Path, header: Header, grid: Grid, *, binary: bool) -> Iterator[NDArray[np.uint16]]:
    """The values of each frame, one after the other."""
    root = Attributes((header.dataset,))
    rows, columns = root.whole("Rows") or 0, root.whole("Columns") or 0
    count, bits = root.whole("NumberOfFrames") or 1, root.whole("BitsAllocated") or 0
    most = LARGEST_FRAME * grid.shape[1] * grid.shape[2]
    sides = 0 < rows <= LARGEST_SIDE and 0 < columns <= LARGEST_SIDE and rows * columns <= most
    if not (sides and 0 < count <= MOST_FRAMES):
        raise EditRefused(
            "It has more or larger frames than any drawing on our images.", reason="edit_too_large"
        )
    if bits != 1 if binary else bits not in (8, 16):
        raise EditRefused(f"It has {bits} bits for each voxel.", reason="edit_not_binary")
    if len(_groups(root)) != count:
        raise EditRefused("Not every frame says where it lies.", reason="edit_unreadable")
    syntax = header.transfer_syntax_uid
    if syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        with path.open("rb") as file:
            file.seek(header.pixel_offset or 0)
            raw = file.read(header.pixel_length or 0)
        yield from _unpacked(raw, count, (rows, columns), bits)
        return
    if syntax in FRAGILE_SYNTAXES:
        raise EditRefused("It is compressed with a method for pictures.", reason="edit_unreadable")
    dataset = open_compressed(path, syntax)
    if syntax == DeflatedExplicitVRLittleEndian:
        yield from _unpacked(dataset.PixelData, count, (rows, columns), bits)
        return
    for index in range(count):  # One at a time: what is packed small may be large.
        (frame,) = decode(dataset, [index])
        yield np.asarray(frame, dtype=np.uint16).reshape(rows, columns)


def _unpacked(raw: bytes, count: int, shape: tuple[int, int], bits: int) -> Iterator[NDArray[np.uint16]]:
    """Frames out of uncompressed pixels; those of one bit follow each other without a gap (PS3.5 8.1.1)."""
    size = shape[0] * shape[1]
    if len(raw) * 8 < count * size * bits:
        raise EditRefused("It ends in the middle of its pixels.", reason="edit_unreadable")
    kind = np.dtype("<u2") if bits == 16 else np.dtype("u1")
    values = np.frombuffer(raw, dtype=kind, count=len(raw) // kind.itemsize)
    for index in range(count):
        if bits != 1:
            frame = values[index * size : (index + 1) * size]
        else:
            first, last = index * size // 8, -(-(index + 1) * size // 8)
            start = index * size - 8 * first
            bits_of = np.unpackbits(values[first:last].astype(np.uint8), bitorder="little")
            frame = bits_of[start : start + size]
        yield frame.astype(np.uint16).reshape(shape)
