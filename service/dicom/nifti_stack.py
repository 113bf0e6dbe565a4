"""A NIfTI file as a stack: geometry from its header, everything else from its side-car or from the caller."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from service import files
from service.core.series import Acquisition, Contrast, NiftiFile, Person, StackFacts
from service.core.volume import Grid
from service.dicom.agent import read_agent
from service.dicom.contrast import (
    DIXON_TOKENS,
    DIXON_WORDS,
    NOTHING_NAMED,
    ContrastReading,
    image_types,
    read_contrast,
)
from service.dicom.demographics import read_person
from service.dicom.frames import UID_LENGTH, UID_PATTERN
from service.dicom.geometry import plane_of, tilt_degrees
from service.dicom.headers import Attributes
from service.dicom.instance import LONG_TEXT, SHORT_TEXT, read_study
from service.dicom.kinds import is_derived, is_localizer, read_region, read_scanner
from service.dicom.moments import first_acquired, newest_time, series_began
from service.dicom.nifti import SUFFIXES, grid_of, layout_of, read_header
from service.dicom.sidecar import read_sidecar, sidecar_of
from service.dicom.stack import FrameRef, Stack

NO_CONTRAST: Final = "a NIfTI file names none: say --contrast, or lay a BIDS side-car beside it"
#: Where the caller says what a file does not.
CONTRAST_OPTION: Final = "--contrast"


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the caller says of a file; None where nothing."""

    contrast: Contrast | None = None
    person: Person | None = None


def read_nifti(path: Path, told: Told) -> Stack:
    """The stack in one NIfTI file; raises UnreadableSeries naming what is wrong.

    What the caller says goes before what the side-car does.
    """
    header = read_header(path)
    grid = grid_of(header, layout_of(header))
    sidecar = read_sidecar(sidecar_of(path))
    nifti = NiftiFile(name=path.name, sha256=files.sha256_of(path), orientation=header.orientation)
    return Stack(
        facts=_facts(grid, sidecar, nifti, told),
        grid=grid,
        newest_time=newest_time([sidecar]),
        frames=(FrameRef(path=path, frame=None, sop_instance_uid=""),),
        study=read_study(sidecar),
    )


def _facts(grid: Grid, sidecar: Attributes, nifti: NiftiFile, told: Told) -> StackFacts:
    contrast = _contrast(sidecar, told)
    region, region_evidence = read_region(sidecar)
    return StackFacts(
        study_uid=_uid(sidecar, "StudyInstanceUID"),
        series_uid=_uid(sidecar, "SeriesInstanceUID"),
        stack=0,
        sop_class_uid="",
        sop_instance_uids=(),
        modality=sidecar.code("Modality")[:SHORT_TEXT],
        image_type=image_types(sidecar),
        description=sidecar.text("SeriesDescription")[:LONG_TEXT] or stem(nifti.name)[:LONG_TEXT],
        plane=plane_of(grid.normal),
        tilt_degrees=tilt_degrees(grid.normal),
        contrast=contrast.contrast,
        contrast_evidence=contrast.evidence,
        region=region,
        region_evidence=region_evidence,
        slices=len(grid.origins_mm),
        coverage_mm=grid.coverage_mm,
        spacing_mm=(grid.slice_step_mm, *grid.pixel_spacing_mm),
        largest_gap_ratio=1.0,
        frame_of_reference_uid=None,
        lossy=False,
        derived=is_derived(sidecar),
        localizer=is_localizer(sidecar),
        person=_person(sidecar, told),
        dixon_part=contrast.part,
        acquisition=Acquisition(
            time=first_acquired([sidecar]),
            numbers=tuple(filter(None, [sidecar.text("AcquisitionNumber")])),
            series_time=series_began(sidecar),
            series_number=sidecar.whole("SeriesNumber"),
            protocol=sidecar.text("ProtocolName")[:LONG_TEXT],
        ),
        scanner=read_scanner(sidecar),
        contrast_agent=read_agent(sidecar),
        manufacturer=sidecar.text("Manufacturer")[:LONG_TEXT],
        station_name=sidecar.text("StationName")[:SHORT_TEXT],
        nifti=nifti,
    )


def _contrast(sidecar: Attributes, told: Told) -> ContrastReading:
    if told.contrast is not None:
        part = told.contrast if told.contrast in DIXON_TOKENS.values() else None
        return ContrastReading(
            contrast=told.contrast, evidence=f"{CONTRAST_OPTION} {told.contrast}", part=part
        )
    reading = read_contrast(sidecar)
    if reading.evidence == NOTHING_NAMED:
        return replace(reading, evidence=NO_CONTRAST)
    return reading


def _person(sidecar: Attributes, told: Told) -> Person:
    return read_person(sidecar) if told.person is None else told.person


def _uid(sidecar: Attributes, keyword: str) -> str:
    text = sidecar.text(keyword)
    return text if len(text) <= UID_LENGTH and UID_PATTERN.fullmatch(text) else ""


def stem(name: str) -> str:
    """The name of a NIfTI file without its ending."""
    ending = next(
        (each for each in sorted(SUFFIXES, key=len, reverse=True) if name.lower().endswith(each)), ""
    )
    return name[: len(name) - len(ending)]


def name_of_set(facts: StackFacts) -> str | None:
    """What files of one Dixon acquisition are called alike: the name without the word for the part.

    None where the name has no such word, so that it tells nothing of others.
    """
    if facts.nifti is None or facts.dixon_part is None:
        return None
    parts = re.split(r"([A-Za-z]+)", stem(facts.nifti.name))
    for index in range(len(parts) - 2, 0, -2):
        if DIXON_WORDS.get(parts[index].lower()) == facts.dixon_part:
            return "".join((*parts[:index], "*", *parts[index + 1 :]))
    return None
