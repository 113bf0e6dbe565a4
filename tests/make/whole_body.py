"""One phantom scanned in overlapping stations, each a series of its own with one frame of reference."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from service.core.volume import Volume
from service.dicom.phantom import Phantom, paraspinal_phantom
from service.dicom.series import PHANTOM_MANUFACTURER
from service.dicom.synthesis import (
    PHANTOM_PATIENT,
    SyntheticSeries,
    axial_grid,
    write_mr_series,
)

#: Where each station begins and ends, in slices of the whole from the caudal end: neighbours share two.
CUTS = ((0, 8), (6, 14), (12, 20), (18, 26))
SLICES = CUTS[-1][1]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scan:
    """A body in stations."""

    phantom: Phantom
    #: Files of each station, from caudal to cranial.
    stations: tuple[tuple[Path, ...], ...]


def write_scan(out: Path) -> Scan:
    """Write the stations into ``out/N``."""
    phantom = paraspinal_phantom(slices=SLICES, rows=192, columns=192, spacing_mm=(1.6, 1.6))
    grid = axial_grid(phantom.image.shape, phantom.spacing_mm)
    values = phantom.image.astype(np.float32)

    def write(first: int, end: int, folder: Path, series: SyntheticSeries) -> tuple[Path, ...]:
        part = Volume(values=values[first:end], grid=replace(grid, origins_mm=grid.origins_mm[first:end]))
        return tuple(write_mr_series(part, folder, contrast="t2_tse", patient=PHANTOM_PATIENT, series=series))

    return Scan(
        phantom=phantom,
        stations=tuple(
            write(first, end, out / str(number), _series("stations", number))
            for number, (first, end) in enumerate(CUTS, start=1)
        ),
    )


def _series(study_key: str, number: int) -> SyntheticSeries:
    """What the headers of one station say."""
    return SyntheticSeries(
        key=f"{study_key} {number}",
        study_key=study_key,
        description="t2_tse_tra_wholebody",
        study_description="synthetic whole body",
        origin="Synthetic numerical phantom drawn by myoscreen; not scanner output, no patient.",
        manufacturer=PHANTOM_MANUFACTURER,
        model_name="paraspinal phantom",
        series_number=number,
    )
