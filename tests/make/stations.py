"""The phantom scanned in stations: one drawn body, cut into stacks that overlap."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from service.core.compartment import Compartment
from service.core.volume import Volume
from service.dicom.phantom import Phantom, PhantomLabel, paraspinal_phantom
from service.dicom.synthesis import (
    PHANTOM_MANUFACTURER,
    PHANTOM_PATIENT,
    PHANTOM_SERIAL_NUMBER,
    SyntheticSeries,
    axial_grid,
    write_mr_series,
)
from service.inference.card import Card
from service.inference.segmenter import Segmentation

#: Small enough for a network on a processor, large enough for muscles to be found.
SIDE, PIXEL_MM, STEP_MM = 192, 1.6, 6.0
LEFT = (PhantomLabel.LEAN_LEFT, PhantomLabel.FAT_LEFT)
RIGHT = (PhantomLabel.LEAN_RIGHT, PhantomLabel.FAT_RIGHT)


def body(slices: int, *, rows: int = SIDE, columns: int = SIDE, contrast: str = "t2_tse") -> Phantom:
    """One body of so many slices."""
    return paraspinal_phantom(
        contrast=contrast,
        slices=slices,
        rows=rows,
        columns=columns,
        spacing_mm=(PIXEL_MM * SIDE / rows, PIXEL_MM * SIDE / rows),
        slice_step_mm=STEP_MM,
    )


def write_stations(
    out: Path,
    whole: Phantom,
    *,
    stations: int = 4,
    slices: int = 8,
    overlap: int = 2,
    contrast: str = "t2_tse",
    change: Callable[[Volume, int], Volume] | None = None,
) -> list[list[Path]]:
    """Each station as a series of its own, from caudal to cranial; ``change`` may change its images."""
    grid = axial_grid(whole.image.shape, whole.spacing_mm)
    written = []
    for number in range(stations):
        first = number * (slices - overlap)
        cut = slice(first, first + slices)
        volume = Volume(
            values=whole.image[cut].astype(np.float32),
            grid=replace(grid, origins_mm=grid.origins_mm[cut]),
        )
        series = SyntheticSeries(
            key=f"{contrast} station {number}",
            study_key="stations",
            description=f"MYOPHANTOM {contrast} station {number + 1}",
            study_description="MYOPHANTOM synthetic trunk in stations",
            origin="Synthetic numerical phantom drawn by myoscreen; not scanner output, no patient.",
            manufacturer=PHANTOM_MANUFACTURER,
            model_name="paraspinal phantom",
            serial_number=PHANTOM_SERIAL_NUMBER,
            series_number=number + 1,
            body_part="WHOLEBODY",
        )
        shown = volume if change is None else change(volume, number)
        folder = out / f"{contrast}-{number + 1}"
        written.append(
            write_mr_series(shown, folder, contrast=contrast, patient=PHANTOM_PATIENT, series=series)
        )
    return written


def slices_of(stations: int, slices: int, overlap: int) -> int:
    """Slices of the body that so many stations show."""
    return stations * slices - (stations - 1) * overlap


class Truthful:
    """A network that knows the drawn body: muscle is what has muscle's or its fat's place in it."""

    provider, precision = "CPUExecutionProvider", "fp32"

    def __init__(self, whole: Phantom, card: Card) -> None:
        self.card = card
        self._labels = whole.labels
        self._middle = (len(whole.labels) - 1) / 2 * whole.spacing_mm[0]
        self._step = whole.spacing_mm[0]

    def segment(self, volume: Volume) -> Segmentation:
        """The compartment as it was drawn."""
        heights = volume.grid.origins_mm[:, 2] + self._middle
        labels = self._labels[np.rint(heights / self._step).astype(int)]
        drawn = np.zeros(labels.shape, np.uint8)
        drawn[np.isin(labels, LEFT)] = Compartment.LEFT
        drawn[np.isin(labels, RIGHT)] = Compartment.RIGHT
        return Segmentation(compartment=drawn, plain=drawn, mirrored=None)
