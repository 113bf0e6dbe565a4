"""The source images and our own objects, as far as another object of ours needs them to cite them."""

from collections.abc import Sequence
from typing import Final

from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import format_number_as_ds

from service.dicom.identity import Written
from service.dicom.stack import Stack

#: What citing takes of an object of ours; descriptions of frames are skipped for speed.
CITED: Final[list[BaseTag | int]] = [
    Tag(keyword)
    for keyword in (
        "SOPClassUID",
        "SOPInstanceUID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "SegmentSequence",
    )
]
#: What images of one series share, as far as citing or placing on them needs it.
SHARED: Final = (
    "SOPClassUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Rows",
    "Columns",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
)
#: A segmentation describes thousands of frames behind what is needed of it (PerFrameFunctionalGroups).
PER_FRAME: Final = 0x52009230


def is_multiframe(source: Dataset) -> bool:
    """Whether the source holds its slices as frames of one object."""
    return "PerFrameFunctionalGroupsSequence" in source


def images_of(stack: Stack, source: Dataset) -> list[Dataset]:
    """Every image of the stack in the order of its slices: the first with its header, the others placed.

    Nothing is read: the grid and the references of the stack hold what tells its images apart. A
    multi-frame object stands once, for it is one image.
    """
    images = [source]
    seen = {str(source.SOPInstanceUID)}
    for frame, origin in zip(stack.frames, stack.grid.origins_mm, strict=True):
        if frame.sop_instance_uid in seen:
            continue
        seen.add(frame.sop_instance_uid)
        image = Dataset()
        for keyword in SHARED:
            if keyword in source:
                image[keyword] = source[keyword]
        image.SOPInstanceUID = frame.sop_instance_uid
        if frame.frame is None:
            image.ImagePositionPatient = [format_number_as_ds(float(value)) for value in origin]
        images.append(image)
    return images


def images_of_all(stack: Stack, source: Dataset, others: Sequence[tuple[Stack, Dataset]]) -> list[Dataset]:
    """The images of the stack, then those of the others that are none of this one's.

    A multi-frame object may hold both images of a Dixon pair.
    """
    images = images_of(stack, source)
    seen = {str(image.SOPInstanceUID) for image in images}
    for other, first in others:
        images += [image for image in images_of(other, first) if str(image.SOPInstanceUID) not in seen]
    return images


def cited(written: Written) -> Dataset:
    """What another object needs of an object of ours in order to cite it."""
    with written.path.open("rb") as file:
        return read_partial(file, stop_when=lambda tag, _vr, _length: tag >= PER_FRAME, specific_tags=CITED)
