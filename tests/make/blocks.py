"""A lumbar series of short blocks, each angled to its own disc, with muscles of known areas.

The spine is bent in its middle plane. Every block shows the phantom's middle slices across the spine, so its
areas are those of the phantom, whatever the angle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread

from service.core.volume import Grid, Volume
from service.dicom.phantom import PhantomLabel, paraspinal_phantom
from service.dicom.series import PHANTOM_MANUFACTURER
from service.dicom.synthesis import (
    PHANTOM_PATIENT,
    SyntheticSeries,
    write_mr_series,
)

#: Tilt of each block from caudal (L5/S1) to cranial, towards the feet in front: discs lie in lordosis.
TILTS: tuple[float, ...] = (28.0, 6.0, -9.0)
#: Distance of the discs along the body.
DISC_MM = 36.0
SLICES = 4
STEP_MM = 4.4
SPACING_MM = (1.25, 1.25)
MATRIX = (256, 256)


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """One block as it was written, and what is truly in it."""

    files: tuple[Path, ...]
    grid: Grid
    #: ``PhantomLabel`` of each voxel, from caudal to cranial.
    labels: NDArray[np.uint8]

    def mean_area_cm2(self, *labels: PhantomLabel) -> float:
        """Mean area of some labels over the slices."""
        return float(np.isin(self.labels, labels).sum()) / len(self.labels) * np.prod(SPACING_MM) / 100.0


def write_blocks(
    out: Path, *, tilts: Sequence[float] = TILTS, slices: int = SLICES, from_head: bool = True
) -> list[Block]:
    """Write one series of blocks, numbered from head to feet as scanners do; returned from feet to head."""
    blocks = []
    total = len(tilts) * slices
    for place, tilt in enumerate(tilts):
        # Every block shows another part of the fat, and so another share of it.
        phantom = paraspinal_phantom(
            slices=slices,
            rows=MATRIX[0],
            columns=MATRIX[1],
            spacing_mm=SPACING_MM,
            slice_step_mm=STEP_MM,
            imat_fraction_left=0.10 + 0.05 * place,
            imat_fraction_right=0.08 + 0.04 * place,
        )
        grid = block_grid(tilt, (place - (len(tilts) - 1) / 2) * DISC_MM, slices)
        series = SyntheticSeries(
            key="blocks",
            study_key="blocks",
            description="t2_tse_tra_discs",
            study_description="synthetic lumbar spine",
            origin="Synthetic numerical phantom drawn by myoscreen; not scanner output, no patient.",
            manufacturer=PHANTOM_MANUFACTURER,
            model_name="paraspinal phantom",
        )
        volume = Volume(values=phantom.image.astype(np.float32), grid=grid)
        files = write_mr_series(
            volume, out / f"disc-{place}", contrast="t2_tse", patient=PHANTOM_PATIENT, series=series
        )
        for index, path in enumerate(files):
            number = place * slices + index + 1
            _renumber(path, total + 1 - number if from_head else number)
        blocks.append(Block(files=tuple(files), grid=grid, labels=phantom.labels))
    return blocks


def block_grid(tilt_degrees: float, height_mm: float, slices: int) -> Grid:
    """Slices turned around the left-right axis, their middle at a height on the body's axis."""
    angle = np.deg2rad(tilt_degrees)
    column = np.array([1.0, 0.0, 0.0])
    row = np.array([0.0, np.cos(angle), -np.sin(angle)])
    normal = np.cross(column, row)
    corner = -(MATRIX[1] - 1) / 2 * SPACING_MM[1] * column - (MATRIX[0] - 1) / 2 * SPACING_MM[0] * row
    offsets = (np.arange(slices) - (slices - 1) / 2) * STEP_MM
    return Grid(
        origins_mm=np.array([0.0, 0.0, height_mm]) + corner + offsets[:, np.newaxis] * normal,
        column_direction=column,
        row_direction=row,
        pixel_spacing_mm=SPACING_MM,
        rows=MATRIX[0],
        columns=MATRIX[1],
        slice_thickness_mm=4.0,
    )


def _renumber(path: Path, number: int) -> None:
    """Give a file its number and identity within the series."""
    dataset = dcmread(path)
    dataset.InstanceNumber = str(number)
    dataset.SOPInstanceUID = f"{dataset.SeriesInstanceUID}.{number}"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(path)
