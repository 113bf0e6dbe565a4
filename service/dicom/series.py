"""DICOM files turned into stacks of slices and their facts, from the headers alone.

The door of this part of the room: volumes, source datasets and identities are offered here too.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)

from service.core.series import Acquisition, StackFacts
from service.core.volume import Grid
from service.dicom.agent import read_agent
from service.dicom.blocks import number_blocks
from service.dicom.contrast import read_contrast
from service.dicom.demographics import read_people
from service.dicom.frames import HeaderFrame
from service.dicom.gathering import MOST_STACKS, TOO_MANY_STACKS, Gathering
from service.dicom.geometry import FrameGeometry, plane_of, stack_normal, tilt_degrees
from service.dicom.grouping import offset_mm, split_into_stacks
from service.dicom.headers import quiet
from service.dicom.instance import LONG_TEXT, SHORT_TEXT, InstanceIdentity, read_identity, read_study
from service.dicom.kinds import is_derived, is_localizer, read_region, read_scanner
from service.dicom.moments import first_acquired, newest_time, series_began
from service.dicom.pixels import read_volume
from service.dicom.sources import source_datasets
from service.dicom.stack import FrameRef, Scan, Stack, StudyFacts, UnreadableFile
from service.errors import UnreadableSeries

__all__ = [
    "FrameRef",
    "InstanceIdentity",
    "Scan",
    "Stack",
    "StudyFacts",
    "UnreadableFile",
    "read_identity",
    "read_volume",
    "scan",
    "source_datasets",
]

log = logging.getLogger(__name__)

#: PS3.5 10.4: syntaxes that lose something; those that may or may not are settled by the attribute.
LOSSY_SYNTAXES: Final = {JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless}
PERHAPS_LOSSY_SYNTAXES: Final = {JPEG2000, HTJ2K}
#: Manufacturer of the synthetic phantom (service.dicom.synthesis writes it).
PHANTOM_MANUFACTURER: Final = "myoscreen phantom"


@quiet()
def scan(paths: Sequence[Path]) -> Scan:
    """Sort files into stacks by their headers; what is part of no stack is listed with its reason.

    The result does not depend on the order of the paths. A DICOMDIR is passed over in silence.
    """
    gathered = Gathering()
    for path in sorted(set(paths)):
        gathered.add(path)
    stacks: list[Stack] = []
    for series_uid in sorted(gathered.frames):
        found = split_into_stacks(gathered.frames[series_uid])
        if len(found) > MOST_STACKS:
            gathered.refuse(gathered.frames[series_uid], TOO_MANY_STACKS)
            continue
        own: list[Stack] = []
        for number, members in enumerate(found):
            try:
                own.append(_stack(number, members))
            except UnreadableSeries as error:
                gathered.refuse(members, error.reason)
        stacks += number_blocks(own)
    return Scan(stacks=tuple(stacks), unreadable=tuple(gathered.unreadable))


def _stack(number: int, frames: list[HeaderFrame]) -> Stack:
    """The frames of one stack with what their headers say, in order along the normal of its grid.

    Directions may differ a little from frame to frame; one frame's stand for all, in the order of the
    frames as in the grid, for along another normal the order may be another.
    """
    geometry = frames[0].geometry
    normal = stack_normal(geometry)
    frames = sorted(frames, key=lambda frame: offset_mm(frame, normal))
    grid = _grid(frames, geometry)
    attributes = frames[0].attributes
    return Stack(
        facts=_facts(number, frames, grid, normal),
        grid=grid,
        newest_time=newest_time(frame.attributes for frame in frames),
        frames=tuple(frame.ref for frame in frames),
        study=read_study(attributes),
    )


def _grid(frames: list[HeaderFrame], geometry: FrameGeometry) -> Grid:
    """Positions from ImagePositionPatient alone; other attributes about spacing are often wrong."""
    return Grid(
        origins_mm=np.array([frame.geometry.position_mm for frame in frames]),
        column_direction=geometry.column_direction,
        row_direction=geometry.row_direction,
        pixel_spacing_mm=geometry.pixel_spacing_mm,
        rows=geometry.rows,
        columns=geometry.columns,
        slice_thickness_mm=geometry.slice_thickness_mm,
    )


def _facts(number: int, frames: list[HeaderFrame], grid: Grid, normal: NDArray[np.float64]) -> StackFacts:
    """What the headers say of a stack and of the person in it."""
    first = frames[0]
    attributes = first.attributes
    contrast = read_contrast(attributes)
    region, region_evidence = read_region(attributes)
    images = {frame.ref.path: frame.attributes for frame in frames}
    return StackFacts(
        study_uid=first.study_uid,
        series_uid=first.series_uid,
        stack=number,
        sop_class_uid=first.sop_class_uid,
        sop_instance_uids=tuple(dict.fromkeys(frame.ref.sop_instance_uid for frame in frames)),
        modality=attributes.code("Modality")[:SHORT_TEXT],
        image_type=attributes.texts("FrameType") or attributes.texts("ImageType"),
        description=attributes.text("SeriesDescription")[:LONG_TEXT],
        plane=plane_of(normal),
        tilt_degrees=tilt_degrees(normal),
        contrast=contrast.contrast,
        contrast_evidence=contrast.evidence,
        region=region,
        region_evidence=region_evidence,
        slices=len(frames),
        coverage_mm=grid.coverage_mm,
        spacing_mm=(grid.slice_step_mm, *grid.pixel_spacing_mm),
        largest_gap_ratio=_largest_gap_ratio(grid),
        frame_of_reference_uid=first.frame_of_reference_uid,
        lossy=any(_is_lossy(frame) for frame in frames),
        derived=any(is_derived(frame.attributes) for frame in frames),
        localizer=is_localizer(attributes),
        person=read_people(images.values()),
        phantom=attributes.text("Manufacturer") == PHANTOM_MANUFACTURER,
        dixon_part=contrast.part,
        acquisition=_acquisition(frames),
        scanner=read_scanner(attributes),
        contrast_agent=read_agent(attributes),
        manufacturer=attributes.text("Manufacturer")[:LONG_TEXT],
        station_name=attributes.text("StationName")[:SHORT_TEXT],
    )


def _acquisition(frames: list[HeaderFrame]) -> Acquisition:
    """What the headers say of the acquisition that a stack comes from."""
    first = frames[0].attributes
    return Acquisition(
        time=first_acquired(frame.attributes for frame in frames),
        numbers=tuple(sorted({frame.attributes.text("AcquisitionNumber") for frame in frames} - {""})),
        series_time=series_began(first),
        series_number=first.whole("SeriesNumber"),
        protocol=first.text("ProtocolName")[:LONG_TEXT],
    )


def _largest_gap_ratio(grid: Grid) -> float:
    """Largest step between neighbouring slices divided by the median step; 1 for a single step."""
    steps = np.diff(grid.offsets_mm)
    return float(steps.max() / np.median(steps)) if len(steps) else 1.0


def _is_lossy(frame: HeaderFrame) -> bool:
    """Whether the pixels ever went through lossy compression (PS3.3 C.7.6.1.1.5)."""
    declared = frame.attributes.text("LossyImageCompression")
    syntax = frame.transfer_syntax_uid
    if declared == "01" or syntax in LOSSY_SYNTAXES or syntax.startswith("1.2.840.10008.1.2.4.10"):
        return True
    return syntax in PERHAPS_LOSSY_SYNTAXES and declared != "00"
