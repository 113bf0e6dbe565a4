"""Keeping a result slice by slice: whoever decoded the images writes it, and a page only hands it out."""

import logging
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.core.mask import COLOURS, Label, Mask
from service.core.volume import Grid, Volume
from service.dicom.pixels import read_volume
from service.dicom.stack import Stack
from service.errors import UnreadableSeries
from service.pictures.browse import Greys, layer_png, turned
from service.pipeline.inputs import Inputs
from service.pipeline.slicefiles import (
    DRAWING_NAME,
    IMAGES_NAME,
    INDEX,
    SliceFacts,
    SliceIndex,
    image_name,
    layer_name,
)
from service.pipeline.stations import Station

log = logging.getLogger(__name__)

#: How many times smaller the images may be made to fit. Chosen by us: above it they show too little.
SHRINKS = (1, 2, 4)
MEGABYTE = 1_000_000
#: Dates of files in the archive, so that the same content gives the same bytes: the earliest that ZIP knows.
_NO_DATE = (1980, 1, 1, 0, 0, 0)


class _TooLarge(Exception):
    """The images do not fit into what may be kept."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Part:
    """One stack that is looked through."""

    stack: Stack
    #: In memory already; None: it is read when it is its turn.
    volume: Volume | None
    #: None where nothing is drawn.
    mask: Mask | None
    station: int | None
    #: Position of each slice from the caudal end of everything, mm.
    heights_mm: NDArray[np.float64]
    #: Slices that another station counts.
    elsewhere: NDArray[np.bool_]

    @property
    def order(self) -> list[int]:
        """Slices from the caudal end."""
        return [int(index) for index in np.argsort(self.heights_mm, kind="stable")]


def keep_slices(
    inputs: Inputs,
    *,
    volume: Volume | None,
    mask: Mask | None,
    stations: Sequence[Station] = (),
    limit_mb: int,
    out: Path,
) -> None:
    """Write the images, ``limit_mb`` megabytes at most, and the drawing into the folder of the result.

    Larger ones are made smaller, or left out where that is not enough. ``stations`` are those that count;
    without ``volume`` each is read by itself. Images that cannot be read are left out.
    """
    parts = _parts(inputs, volume, mask, stations)
    if not parts:
        return
    shrink = None
    for wanted in SHRINKS:
        try:
            parts = _write_images(parts, out / IMAGES_NAME, shrink=wanted, limit=limit_mb * MEGABYTE)
        except _TooLarge:
            continue
        shrink = wanted
        break
    if not parts:
        (out / IMAGES_NAME).unlink()
        return
    facts = [each for part in parts for each in _facts(part)]
    index = SliceIndex(
        slices=tuple(facts),
        fat_separated=next((part.mask.fat_separated for part in parts if part.mask is not None), None),
        colours={label.name: COLOURS[label] for label in COLOURS},
        shrink=shrink,
    )
    _write(out / DRAWING_NAME, [(INDEX, index.as_json()), *_layers(parts)])


def _parts(
    inputs: Inputs, volume: Volume | None, mask: Mask | None, stations: Sequence[Station]
) -> list[_Part]:
    """The stacks from the caudal end; of a withheld scan in stations all of them, in no common measure."""
    if stations:
        lowest = min(float(station.share.heights_mm[station.share.counted].min()) for station in stations)
        return [
            _Part(
                stack=station.stack,
                volume=None,
                mask=station.mask,
                station=station.number,
                heights_mm=station.share.heights_mm - lowest,
                elsewhere=~station.share.counted,
            )
            for station in stations
        ]
    several = len(inputs.stations) > 1
    if volume is None and not several:
        return []
    stacks = [station.first for station in inputs.stations]
    return [
        _whole(stack, volume, mask, number if several else None) for number, stack in enumerate(stacks, 1)
    ]


def _whole(stack: Stack, volume: Volume | None, mask: Mask | None, station: int | None) -> _Part:
    heights = _heights(stack.grid)
    return _Part(
        stack=stack,
        volume=volume,
        mask=mask,
        station=station,
        heights_mm=heights,
        elsewhere=np.zeros(len(heights), dtype=bool),
    )


def _heights(grid: Grid) -> NDArray[np.float64]:
    """Position of each slice from the caudal end."""
    return grid.offsets_mm if grid.normal[2] >= 0 else grid.offsets_mm[-1] - grid.offsets_mm


def _write_images(parts: Sequence[_Part], path: Path, *, shrink: int, limit: int) -> list[_Part]:
    """Write the images of all parts that can be read, and return these; raises _TooLarge."""
    written: list[_Part] = []

    def pictures() -> Iterator[tuple[str, bytes]]:
        size, place = 0, 0
        for part in parts:
            try:
                volume = part.volume or read_volume(part.stack)
            except UnreadableSeries as error:
                log.warning("slices_not_kept", extra={"code": error.reason.code})
                continue
            greys = Greys(volume, turned(part.stack.grid, shrink=shrink))
            for index in part.order:
                content, place = greys.png(index), place + 1
                size += len(content)
                if size > limit:
                    raise _TooLarge
                yield image_name(place), content
            written.append(part)

    try:
        _write(path, pictures())
    except _TooLarge:
        path.unlink()
        raise
    return written


def _layers(parts: Sequence[_Part]) -> Iterator[tuple[str, bytes]]:
    """The drawing of each slice that has one."""
    place = 0
    for part in parts:
        how = turned(part.stack.grid)
        for index in part.order:
            place += 1
            if part.mask is not None and part.mask.labels[index].any():
                yield layer_name(place), layer_png(part.mask.labels[index], how)


def _facts(part: _Part) -> Iterator[SliceFacts]:
    how, count = turned(part.stack.grid), len(part.heights_mm)
    for index in part.order:
        yield SliceFacts(
            number=index + 1,
            count=count,
            height_mm=round(float(part.heights_mm[index]), 2),
            station=part.station,
            drawn=part.mask is not None and bool((part.mask.labels[index] != Label.BACKGROUND).any()),
            elsewhere=bool(part.elsewhere[index]),
            letters=how.view.letters,
            size_px=how.layer_px,
        )


def _write(path: Path, pictures: Iterable[tuple[str, bytes]]) -> None:
    """Pictures one after the other; they are packed already."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in pictures:
            archive.writestr(zipfile.ZipInfo(name, _NO_DATE), content)
