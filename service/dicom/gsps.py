"""The presentation state: outlines of the mask over the source images, for viewers that show no SEG."""

from collections import defaultdict
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Final

import numpy as np
import pydicom
from highdicom.color import CIELabColor
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage
from pydicom.valuerep import format_number_as_ds

from service.core import wording
from service.core.language import ENGLISH, Words
from service.core.mask import Label, Mask
from service.core.outline import enclosed, outlines
from service.core.status import OutputKind
from service.dicom import codes
from service.dicom.citing import is_multiframe
from service.dicom.explicit import LONGEST_BYTES, numbers, sequence, text
from service.dicom.frames import frame_attributes
from service.dicom.headers import Attributes, quiet
from service.dicom.identity import ObjectIdentity, Written, fingerprint, series_uid
from service.dicom.stack import FrameRef, Stack
from service.dicom.stamp import (
    copy_patient_and_study,
    describe_body_part,
    describe_equipment,
    first_source,
    instance_uid,
    person_fingerprint,
    stamp,
    take_person,
    write,
)

SERIES_DESCRIPTION: Final = "MYOSCREEN: outlines, RESEARCH USE ONLY, NOT FOR DIAGNOSIS"
NOTICE_LAYER: Final = "NOTICE"
NOTICE_COLOUR: Final = (255, 190, 60)
#: Smaller islands have no line of their own: a pixel or two of fat would hide in its own outline. Chosen
#: by us; the SEG has them all.
MIN_PIXELS: Final = 4
#: Where the notice stands, as parts of the display: left, top, right, bottom.
NOTICE_BOX: Final = (0.02, 0.02, 0.98, 0.06)
#: What is read of each image: grey values as its own viewer would show them.
WINDOW_TAGS: Final = [
    *("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
]
#: (0070,0001), encoded here: there are thousands of lines.
GRAPHIC_ANNOTATIONS: Final = 0x00700001
#: So many points of two coordinates have a place in Graphic Data; a line with more has several parts.
MAX_POINTS: Final = LONGEST_BYTES // 8
#: Centre and width, in stored values.
Window = tuple[float, float]


def write_gsps(
    stack: Stack, mask: Mask, *, identity: ObjectIdentity, path: Path, words: Words = ENGLISH
) -> Written:
    """Write the outlines of every segment as one presentation state of the stack.

    A layer for each segment in its colour, the name of each side beside its outline, and on every image
    the notice that this is for research. An empty mask raises ValueError.
    """
    if not mask.labels.any():
        raise ValueError("An empty mask has no outlines.")
    source = first_source(stack)
    person = take_person([source])
    notice = words(wording.BANNER)
    sop_instance_uid = instance_uid(
        OutputKind.GSPS,
        identity.mask_digest,
        identity,
        fingerprint(mask.labels.tobytes(), str(mask.fat_separated), words.language),
        person_fingerprint(person),
    )
    state = Dataset()
    state.SOPClassUID = GrayscaleSoftcopyPresentationStateStorage
    state.SOPInstanceUID = sop_instance_uid
    state.SeriesInstanceUID = series_uid(sop_instance_uid)
    copy_patient_and_study(person, state)
    describe_equipment(
        state, kind=OutputKind.GSPS, description=SERIES_DESCRIPTION, model_name=wording.PRODUCT
    )
    state.Modality = "PR"
    describe_body_part(state, stack, source)
    state.ContentLabel = "PARASPINAL"
    state.ContentDescription = notice
    state.ContentCreatorName = "MYOSCREEN^AI"
    state.PresentationCreationDate = state.PresentationCreationTime = ""
    state.PresentationLUTShape = "IDENTITY"
    names = codes.segment_labels(fat_separated=mask.fat_separated)
    state.ReferencedSeriesSequence = [_series(stack, source)]
    state.DisplayedAreaSelectionSequence = [_displayed_area(stack)]
    state.GraphicLayerSequence = _layers(names)
    windows = _windows(stack, source)
    if windows:
        state.SoftcopyVOILUTSequence = windows
    stamp(state, identity)
    annotations = sequence("GraphicAnnotationSequence", [*_annotations(stack, mask, names), _notice(notice)])
    return write(state, kind=OutputKind.GSPS, path=path, encoded={GRAPHIC_ANNOTATIONS: annotations})


def _layers(names: dict[Label, str]) -> list[Dataset]:
    """One layer a segment, in its colour, and one for the notice."""
    layers = []
    described = [(_layer_name(label), name, codes.COLOUR_OF[label]) for label, name in names.items()]
    described.append((NOTICE_LAYER, "Research use only", NOTICE_COLOUR))
    for order, (layer_name, description, colour) in enumerate(described, start=1):
        layer = Dataset()
        layer.GraphicLayer = layer_name
        layer.GraphicLayerOrder = order
        layer.GraphicLayerDescription = description
        layer.GraphicLayerRecommendedDisplayGrayscaleValue = 0xFFFF
        layer.GraphicLayerRecommendedDisplayCIELabValue = list(CIELabColor.from_rgb(*colour).value)
        layers.append(layer)
    return layers


def _layer_name(label: Label) -> str:
    return label.name


def _annotations(stack: Stack, mask: Mask, names: dict[Label, str]) -> Iterator[bytes]:
    """The outlines of each segment on each slice that shows it, as encoded items."""
    for frame, labels in zip(stack.frames, mask.labels, strict=True):
        image = _encoded_image(stack, frame)
        for label, name in names.items():
            drawn = [(enclosed(line), line) for line in outlines(labels == label)]
            lines = [line for area, line in drawn if abs(area) >= MIN_PIXELS]
            if not lines:
                continue
            annotation = image + text("GraphicLayer", _layer_name(label))
            if label in (Label.LEAN_LEFT, Label.LEAN_RIGHT):
                largest = max(drawn, key=itemgetter(0))[1]
                annotation += sequence("TextObjectSequence", [_name(name, largest)])
            parts = [_polyline(part) for line in lines for part in _parts(line)]
            yield annotation + sequence("GraphicObjectSequence", parts)


def _parts(corners: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """One closed line, in parts that begin where the one before ended if it has more points than fit."""
    closed = np.vstack([corners, corners[:1]])
    for start in range(0, len(corners), MAX_POINTS - 1):
        yield closed[start : start + MAX_POINTS]


def _polyline(points: NDArray[np.float64]) -> bytes:
    """One line; (0, 0) is the outer corner of the first pixel (PS3.3 C.10.5.1.2)."""
    return (
        text("GraphicAnnotationUnits", "PIXEL")
        + numbers("GraphicDimensions", 2)
        + numbers("NumberOfGraphicPoints", len(points))
        + numbers("GraphicData", points[:, ::-1])
        + text("GraphicType", "POLYLINE")
        + text("GraphicFilled", "N")
    )


def _name(name: str, corners: NDArray[np.float64]) -> bytes:
    """The segment's name below the lowest corner of its outline."""
    row, column = corners[corners[:, 0].argmax()]
    return (
        text("AnchorPointAnnotationUnits", "PIXEL")
        + text("UnformattedTextValue", name)
        + numbers("AnchorPoint", [column, row])
        + text("AnchorPointVisibility", "N")
    )


def _notice(notice: str) -> bytes:
    """On every image: what this is for."""
    item = (
        text("BoundingBoxAnnotationUnits", "DISPLAY")
        + text("UnformattedTextValue", notice)
        + numbers("BoundingBoxTopLeftHandCorner", NOTICE_BOX[:2])
        + numbers("BoundingBoxBottomRightHandCorner", NOTICE_BOX[2:])
        + text("BoundingBoxTextHorizontalJustification", "LEFT")
    )
    return text("GraphicLayer", NOTICE_LAYER) + sequence("TextObjectSequence", [item])


def _encoded_image(stack: Stack, frame: FrameRef) -> bytes:
    """The reference to one slice, encoded once for all that is drawn on it."""
    image = text("ReferencedSOPClassUID", stack.facts.sop_class_uid)
    image += text("ReferencedSOPInstanceUID", frame.sop_instance_uid)
    if frame.frame is not None:
        image += text("ReferencedFrameNumber", str(frame.frame))
    return sequence("ReferencedImageSequence", [image])


def _displayed_area(stack: Stack) -> Dataset:
    """The whole image, its pixels in their true shape."""
    item = Dataset()
    item.DisplayedAreaTopLeftHandCorner = [1, 1]
    item.DisplayedAreaBottomRightHandCorner = [stack.grid.columns, stack.grid.rows]
    item.PresentationSizeMode = "SCALE TO FIT"
    item.PresentationPixelSpacing = [format_number_as_ds(value) for value in stack.grid.pixel_spacing_mm]
    return item


def _series(stack: Stack, source: Dataset) -> Dataset:
    """The images that the state is for."""
    item = Dataset()
    item.SeriesInstanceUID = source.SeriesInstanceUID
    if not is_multiframe(source):
        item.ReferencedImageSequence = [_image(stack, frame) for frame in stack.frames]
        return item
    image = _image(stack, stack.frames[0])
    image.ReferencedFrameNumber = [frame.frame for frame in stack.frames]
    item.ReferencedImageSequence = [image]
    return item


def _image(stack: Stack, frame: FrameRef) -> Dataset:
    """One slice."""
    item = Dataset()
    item.ReferencedSOPClassUID = stack.facts.sop_class_uid
    item.ReferencedSOPInstanceUID = frame.sop_instance_uid
    if frame.frame is not None:
        item.ReferencedFrameNumber = frame.frame
    return item


def _windows(stack: Stack, source: Dataset) -> list[Dataset]:
    """The window of each image as its header has it; without one in a state, stored values fill the display.

    A state has one rescaling for all images; so windows are given in stored values and it has none.
    """
    found: dict[Window, list[FrameRef]] = defaultdict(list)
    for frame, window in _windows_of_frames(stack, source):
        if window is not None:
            found[window].append(frame)
    items = []
    for (centre, width), frames in found.items():
        item = Dataset()
        item.ReferencedImageSequence = [_image(stack, frame) for frame in frames]
        item.WindowCenter, item.WindowWidth = format_number_as_ds(centre), format_number_as_ds(width)
        items.append(item)
    return items


@quiet()
def _windows_of_frames(stack: Stack, source: Dataset) -> list[tuple[FrameRef, Window | None]]:
    """Each slice with its window."""
    if is_multiframe(source):
        numbers = [(frame.frame or 1) - 1 for frame in stack.frames]
        attributes = frame_attributes(source, numbers)
    else:
        headers = [
            pydicom.dcmread(frame.path, stop_before_pixels=True, force=True, specific_tags=WINDOW_TAGS)
            for frame in stack.frames
        ]
        attributes = [frame_attributes(header, [0])[0] for header in headers]
    return [(frame, _window(values)) for frame, values in zip(stack.frames, attributes, strict=True)]


def _window(values: Attributes) -> Window | None:
    """Centre and width in stored values; None where the header has none that makes sense."""
    centre, width = values.number("WindowCenter"), values.number("WindowWidth")
    slope, intercept = values.number("RescaleSlope") or 1.0, values.number("RescaleIntercept") or 0.0
    if centre is None or width is None or width < 1 or slope <= 0:
        return None
    return (centre - intercept) / slope, max(width / slope, 1.0)
