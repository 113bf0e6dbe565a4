"""Voxel values with their place in the patient."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from service.errors import UnreadableSeries

#: Two directions count as the same below this angle's sine; headers carry about six digits.
PARALLEL_TOLERANCE = 1e-3


def extents_of(positions_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Length of patient that each of several slices stands for: half the way to each neighbour.

    Positions increase. The outer half of an end slice mirrors its inner half.
    """
    steps = np.diff(positions_mm)
    before = np.concatenate([steps[:1], steps])
    after = np.concatenate([steps, steps[-1:]])
    extents: NDArray[np.float64] = (before + after) / 2.0
    return extents


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """Where the voxels of one stack lie, in DICOM patient coordinates (LPS, mm).

    Slices are parallel and ordered along ``normal``; their distances may differ.
    """

    #: Centre of the first pixel of each slice, shape (slices, 3).
    origins_mm: NDArray[np.float64]
    #: Unit vector along increasing column index (ImageOrientationPatient, first three).
    column_direction: NDArray[np.float64]
    #: Unit vector along increasing row index (ImageOrientationPatient, last three).
    row_direction: NDArray[np.float64]
    #: Distance between rows, distance between columns (PixelSpacing).
    pixel_spacing_mm: tuple[float, float]
    rows: int
    columns: int
    #: SliceThickness as written, used where there is one slice only.
    slice_thickness_mm: float | None = None

    def __post_init__(self) -> None:
        """Refuse a grid that cannot be measured on."""
        if self.origins_mm.ndim != 2 or self.origins_mm.shape[1] != 3 or len(self.origins_mm) == 0:
            raise UnreadableSeries("The stack has no slice positions.", reason="no_positions")
        if min(self.pixel_spacing_mm) <= 0:
            raise UnreadableSeries("PixelSpacing is not positive.", reason="bad_spacing")
        if len(self.origins_mm) > 1 and bool(np.any(np.diff(self.offsets_mm) <= 0)):
            raise UnreadableSeries(
                "Slice positions do not increase along the normal.", reason="duplicate_positions"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        return (len(self.origins_mm), self.rows, self.columns)

    @cached_property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector along which the slices are ordered (the direction of increasing slice index)."""
        cross = np.cross(self.column_direction, self.row_direction)
        unit: NDArray[np.float64] = cross / np.linalg.norm(cross)
        if len(self.origins_mm) > 1 and np.dot(self.origins_mm[-1] - self.origins_mm[0], unit) < 0:
            unit = -unit
        return unit

    @cached_property
    def offsets_mm(self) -> NDArray[np.float64]:
        """Position of each slice along the normal, from the first slice."""
        offsets: NDArray[np.float64] = (self.origins_mm - self.origins_mm[0]) @ self.normal
        return offsets

    @cached_property
    def slice_extents_mm(self) -> NDArray[np.float64]:
        """Length of patient that each slice stands for: half the way to each neighbour.

        The outer half of an end slice mirrors its inner half, so equal steps give equal extents.
        """
        if len(self.origins_mm) == 1:
            return np.array([self.slice_thickness_mm or 0.0])
        return extents_of(self.offsets_mm)

    @property
    def pixel_area_mm2(self) -> float:
        """Area of one pixel."""
        return self.pixel_spacing_mm[0] * self.pixel_spacing_mm[1]

    @property
    def coverage_mm(self) -> float:
        """Length of patient along the normal that the stack stands for."""
        return float(self.slice_extents_mm.sum())

    @property
    def slice_step_mm(self) -> float:
        """Median distance between neighbouring slices (SliceThickness for one slice)."""
        if len(self.origins_mm) == 1:
            return self.slice_thickness_mm or 0.0
        return float(np.median(np.diff(self.offsets_mm)))

    def to_patient(self, index: NDArray[np.float64]) -> NDArray[np.float64]:
        """Patient coordinates (LPS, mm) of voxel indices (slice, row, column), shape (..., 3).

        Slice indices are whole numbers; rows and columns may be fractions.
        """
        slices = np.rint(index[..., 0]).astype(int)
        points: NDArray[np.float64] = (
            self.origins_mm[slices]
            + index[..., 1:2] * self.pixel_spacing_mm[0] * self.row_direction
            + index[..., 2:3] * self.pixel_spacing_mm[1] * self.column_direction
        )
        return points


@dataclass(frozen=True, kw_only=True, eq=False)
class Volume:
    """One stack of images: values of shape ``grid.shape`` and where they lie."""

    values: NDArray[np.float32]
    grid: Grid

    def __post_init__(self) -> None:
        """Refuse values that do not fit their grid."""
        if self.values.shape != self.grid.shape:
            raise UnreadableSeries(
                f"Pixels of shape {self.values.shape} do not fit a grid of {self.grid.shape}.",
                reason="shape_mismatch",
            )
