"""Where the frames of a segmentation of somebody else lie on the grid of our images.

A viewer may write frames in any order, leave out empty ones, cut them to a part of the image, and turn or
mirror them; what counts is where each pixel lies in the patient.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from service.core.volume import Grid
from service.errors import EditRefused

#: How far a pixel may lie from one of ours, in pixels, and a frame from a slice, in parts of the distance
#: of slices. Chosen by us: positions are written with six digits or more, so what differs by a tenth was
#: drawn on other images, and half would be ambiguous.
TOLERANCE: Final = 0.1


@dataclass(frozen=True, kw_only=True, eq=False)
class Plane:
    """Where the pixels of one frame lie, in DICOM patient coordinates (LPS, mm)."""

    #: Centre of the first pixel.
    position_mm: NDArray[np.float64]
    #: Unit vectors along increasing column index and along increasing row index.
    column_direction: NDArray[np.float64]
    row_direction: NDArray[np.float64]
    #: Distance between rows, distance between columns.
    pixel_spacing_mm: tuple[float, float]
    rows: int
    columns: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Placement:
    """How a frame lies on one slice of a grid."""

    slice: int
    #: Row and column of the grid of the frame's first pixel.
    first: NDArray[np.int64]
    #: Steps on the grid, as (row, column), of one row and of one column of the frame.
    steps: NDArray[np.int64]


def place(plane: Plane, grid: Grid) -> Placement:
    """Which slice a frame lies on, and how; EditRefused where its pixels are none of the grid's."""
    steps = _steps(plane, grid)
    offset = float((plane.position_mm - grid.origins_mm[0]) @ grid.normal)
    index = int(np.abs(grid.offsets_mm - offset).argmin())
    axes = np.stack([grid.row_direction, grid.column_direction])
    spacing = np.array(grid.pixel_spacing_mm)
    first = axes @ (plane.position_mm - grid.origins_mm[index]) / spacing
    whole = np.rint(steps).astype(np.int64)
    placement = Placement(slice=index, first=np.rint(first).astype(np.int64), steps=whole)
    if not _is_turn(whole) or _deviation(plane, grid, placement) > TOLERANCE:
        raise EditRefused(
            "Its pixels are not those of the images: position, direction or spacing differ.",
            reason="edit_other_grid",
        )
    return placement


def _steps(plane: Plane, grid: Grid) -> NDArray[np.float64]:
    """What one row and one column of the frame are on the grid, in rows and columns, shape (2, 2)."""
    axes = np.stack([grid.row_direction, grid.column_direction])
    frame = np.stack(
        [
            plane.row_direction * plane.pixel_spacing_mm[0],
            plane.column_direction * plane.pixel_spacing_mm[1],
        ]
    )
    steps: NDArray[np.float64] = frame @ axes.T / np.array(grid.pixel_spacing_mm)
    return steps


def _is_turn(steps: NDArray[np.int64]) -> bool:
    """Whether rows and columns become rows and columns, in either order and direction."""
    lengths = np.abs(steps)
    return bool((lengths.sum(axis=0) == 1).all() and (lengths.sum(axis=1) == 1).all())


def _deviation(plane: Plane, grid: Grid, placement: Placement) -> float:
    """How far the corners of the frame lie from pixels of the grid at most, in pixels or slices."""
    rows, columns = plane.rows - 1, plane.columns - 1
    corners = np.array([[0, 0], [rows, 0], [0, columns], [rows, columns]], dtype=np.float64)
    lies = (
        plane.position_mm
        + corners[:, :1] * plane.pixel_spacing_mm[0] * plane.row_direction
        + corners[:, 1:] * plane.pixel_spacing_mm[1] * plane.column_direction
    )
    expected = placement.first + corners @ placement.steps
    slices = np.full((4, 1), float(placement.slice))
    apart = lies - grid.to_patient(np.hstack([slices, expected]))
    step_mm = grid.slice_step_mm or 1.0
    scale = np.array([*grid.pixel_spacing_mm, step_mm])
    axes = np.stack([grid.row_direction, grid.column_direction, grid.normal])
    return float(np.abs(apart @ axes.T / scale).max())


def lay(inside: NDArray[np.bool_], placement: Placement, target: NDArray[np.bool_]) -> None:
    """Put the voxels of one frame into their places of ``target``, shape (slices, rows, columns).

    Raises EditRefused where one of them lies outside.
    """
    places = placement.first + np.argwhere(inside) @ placement.steps
    if len(places) and ((places < 0).any() or (places >= target.shape[1:]).any()):
        raise EditRefused("Voxels were drawn outside the images.", reason="edit_other_grid")
    target[placement.slice, places[:, 0], places[:, 1]] = True
