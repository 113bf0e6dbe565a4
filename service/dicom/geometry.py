"""Where one frame lies in the patient."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from service.core.series import Plane
from service.dicom.headers import Attributes
from service.errors import UnreadableSeries

#: Directions count as unit and perpendicular within this; headers carry about six digits.
DIRECTION_TOLERANCE: Final = 1e-3
#: A slice of more rows or columns is refused: larger than any MR matrix in use, chosen by us.
LARGEST_MATRIX: Final = 4096
#: A position farther from the scanner's origin is no position. Chosen by us, because bores are 2 m long
#: and tables move as far: five times that leaves room for any origin.
FARTHEST_MM: Final = 1e4
#: Nearest and farthest rows or columns of pixels. Chosen by us, because clinical MR lies between 0.2 and
#: 4 mm; four times finer up to more than twice as coarse is let pass.
PIXEL_SPACINGS_MM: Final = (0.05, 10.0)
#: Longest side of an image, and thickest slice. Chosen by us, because no field of view is longer than a
#: person.
LONGEST_MM: Final = 2000.0
#: Farther from an axis than this no plane's name fits: at 45 degrees the next plane is as near. Chosen
#: by us; angled axial slices along the lumbosacral disc stay below it.
OBLIQUE_BEYOND_DEGREES: Final = 45.0
#: Patient axes: x runs left, y runs to the back, z runs to the head (PS3.3 C.7.6.2.1.1).
PLANES: Final[tuple[Plane, ...]] = ("sagittal", "coronal", "axial")


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameGeometry:
    """Position, directions, spacing and matrix of one frame."""

    position_mm: NDArray[np.float64]
    column_direction: NDArray[np.float64]
    row_direction: NDArray[np.float64]
    pixel_spacing_mm: tuple[float, float]
    rows: int
    columns: int
    slice_thickness_mm: float | None


def read_geometry(attributes: Attributes) -> FrameGeometry:
    """The geometry that the attributes of one frame tell; UnreadableSeries where they do not."""
    rows, columns = attributes.whole("Rows") or 0, attributes.whole("Columns") or 0
    if rows < 1 or columns < 1:
        raise UnreadableSeries("The object is not an image.", reason="not_an_image")
    position = attributes.numbers("ImagePositionPatient")
    orientation = attributes.numbers("ImageOrientationPatient")
    spacing = attributes.numbers("PixelSpacing")
    if len(position) != 3 or len(orientation) != 6 or len(spacing) != 2:
        raise UnreadableSeries(
            "Position, orientation or pixel spacing is missing, so nothing can be measured.",
            reason="no_geometry",
        )
    return checked_geometry(
        position=position,
        orientation=orientation,
        spacing=(spacing[0], spacing[1]),
        rows=rows,
        columns=columns,
        thickness=attributes.number("SliceThickness"),
    )


def checked_geometry(
    *,
    position: tuple[float, ...],
    orientation: tuple[float, ...],
    spacing: tuple[float, float],
    rows: int,
    columns: int,
    thickness: float | None,
) -> FrameGeometry:
    """The geometry by its numbers, as DICOM writes them; UnreadableSeries where they are not plausible."""
    if max(rows, columns) > LARGEST_MATRIX:
        raise UnreadableSeries("The image matrix is too large.", reason="too_large")
    column_direction, row_direction = _directions(orientation)
    _require_plausible(position, spacing, (rows, columns))
    return FrameGeometry(
        position_mm=np.array(position),
        column_direction=column_direction,
        row_direction=row_direction,
        pixel_spacing_mm=spacing,
        rows=rows,
        columns=columns,
        slice_thickness_mm=thickness if thickness and 0 < thickness <= LONGEST_MM else None,
    )


def _require_plausible(
    position: tuple[float, ...], spacing: tuple[float, ...], matrix: tuple[int, int]
) -> None:
    """Refuse lengths that no scanner images, so that nothing computed from them is senseless or overflows."""
    if math.hypot(*position) > FARTHEST_MM:
        raise UnreadableSeries("ImagePositionPatient is too far away to be true.", reason="bad_geometry")
    low, high = PIXEL_SPACINGS_MM
    if not low <= min(spacing) <= max(spacing) <= high:
        raise UnreadableSeries(f"PixelSpacing is not from {low} to {high} mm.", reason="bad_geometry")
    if max(count * step for count, step in zip(matrix, spacing, strict=True)) > LONGEST_MM:
        raise UnreadableSeries(
            f"The image is longer than {LONGEST_MM:.0f} mm by its matrix and PixelSpacing.",
            reason="bad_geometry",
        )


def _directions(orientation: tuple[float, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ImageOrientationPatient as two unit vectors."""
    # math.hypot does not overflow, and the product below is taken of unit vectors only.
    lengths = math.hypot(*orientation[:3]), math.hypot(*orientation[3:])
    unit = max(abs(length - 1.0) for length in lengths) <= DIRECTION_TOLERANCE
    column, row = np.array(orientation[:3]), np.array(orientation[3:])
    if not unit or abs(float(np.dot(column, row))) > DIRECTION_TOLERANCE:
        raise UnreadableSeries(
            "ImageOrientationPatient is not two perpendicular unit vectors.", reason="bad_geometry"
        )
    return column / lengths[0], row / lengths[1]


def stack_normal(geometry: FrameGeometry) -> NDArray[np.float64]:
    """Normal of the slices that points to the head, the left or the back, whichever is nearest.

    So axial slices are ordered from caudal to cranial.
    """
    normal: NDArray[np.float64] = np.cross(geometry.column_direction, geometry.row_direction)
    normal /= np.linalg.norm(normal)
    return normal if normal[np.argmax(np.abs(normal))] > 0 else -normal


def plane_of(normal: NDArray[np.float64]) -> Plane:
    """The plane's name by the largest component of the normal."""
    axis = int(np.argmax(np.abs(normal)))
    angle = np.degrees(np.arccos(min(1.0, abs(float(normal[axis])))))
    return "oblique" if angle > OBLIQUE_BEYOND_DEGREES else PLANES[axis]


def tilt_degrees(normal: NDArray[np.float64]) -> float:
    """Smallest angle between the slice normal and the head-foot axis."""
    return float(np.degrees(np.arccos(min(1.0, abs(float(normal[2]))))))
