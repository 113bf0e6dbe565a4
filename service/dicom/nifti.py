"""NIfTI-1 single files as stacks of slices, and masks written back into their space.

Whatever the order of the axes, slices come from caudal to cranial (or to the left, or to the back), rows run
to the back or to the feet and columns to the left or to the back: the same voxels give the same volume.
"""

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from service import files
from service.core.volume import Grid, Volume
from service.dicom.geometry import DIRECTION_TOLERANCE, checked_geometry
from service.dicom.nifti_header import FIRST_VOXEL, HEADER_BYTES, NiftiHeader, parse_header
from service.dicom.pixels import LARGEST_VALUE, LARGEST_VOXELS
from service.errors import UnreadableSeries

#: Endings of the names of NIfTI single files, in small letters.
SUFFIXES: Final = (".nii", ".nii.gz")
#: Without a word of the file the longest of the three spacings is that between slices, if it is longer than
#: the next by this factor; else the third axis is that of the slices, by convention. Chosen by us: slices of
#: stacks are thicker than pixels by far, and for voxels that are nearly cubes it matters little.
THICK: Final = 1.25
#: NIFTI_INTENT_LABEL: the values are indices of a set of labels.
LABELS: Final = 1002


def is_nifti(path: Path) -> bool:
    """Whether the name is that of a NIfTI single file."""
    return path.name.lower().endswith(SUFFIXES)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the axes of a file become slices, rows and columns."""

    #: The axes of the file that slices, rows and columns run along.
    axes: tuple[int, int, int]
    #: Which of slices, rows and columns run the other way in the file.
    flipped: tuple[bool, bool, bool]

    def to_stack(self, array: NDArray[Any]) -> NDArray[Any]:
        """An array (i, j, k) of the file as (slices, rows, columns)."""
        turned = array.transpose(self.axes)
        return np.flip(turned, self._turned)

    def to_file(self, array: NDArray[Any]) -> NDArray[Any]:
        """The way back."""
        there: NDArray[Any] = np.flip(array, self._turned).transpose(np.argsort(self.axes))
        return there

    @property
    def _turned(self) -> tuple[int, ...]:
        return tuple(axis for axis in range(3) if self.flipped[axis])


def read_header(path: Path) -> NiftiHeader:
    """The header of a file; raises UnreadableSeries naming what is wrong."""
    header, _ = _header(path)
    if math.prod(header.shape) > LARGEST_VOXELS:
        raise UnreadableSeries("The stack has too many voxels.", reason="too_large")
    return header


def layout_of(header: NiftiHeader) -> Layout:
    """Which axis is which, and which of them are turned round."""
    axes = header.affine[:3, :3]
    slices = _slice_axis(header)
    first, second = (axis for axis in range(3) if axis != slices)
    normal = np.cross(axes[:, first], axes[:, second])
    # The two axes of the patient in the plane of the slices, in the order left, back, head.
    across, down = (axis for axis in range(3) if axis != int(np.argmax(np.abs(normal))))
    swap = abs(axes[across, first]) < abs(axes[across, second])
    columns, rows = (second, first) if swap else (first, second)
    along = axes[:, slices]
    return Layout(
        axes=(slices, rows, columns),
        flipped=(
            bool(along[np.argmax(np.abs(along))] < 0),
            # Rows run to the back, and to the feet where they run along the body.
            bool(axes[down, rows] > 0) if down == 2 else bool(axes[down, rows] < 0),
            bool(axes[across, columns] < 0),
        ),
    )


def _slice_axis(header: NiftiHeader) -> int:
    if header.slice_axis is not None:
        return header.slice_axis
    spacing = np.linalg.norm(header.affine[:3, :3], axis=0)
    order = np.argsort(spacing)
    return int(order[2]) if spacing[order[2]] > THICK * spacing[order[1]] else 2


def grid_of(header: NiftiHeader, layout: Layout) -> Grid:
    """Where the voxels lie; raises UnreadableSeries for a sheared or senseless grid."""
    shape = [header.shape[axis] for axis in layout.axes]
    steps = header.affine[:3, layout.axes] * np.where(layout.flipped, -1.0, 1.0)
    corner = np.array([0.0, 0.0, 0.0, 1.0])
    for axis, flipped, count in zip(layout.axes, layout.flipped, shape, strict=True):
        corner[axis] = count - 1 if flipped else 0
    origin = (header.affine @ corner)[:3]
    spacing = np.linalg.norm(steps, axis=0)
    units = steps / spacing
    if np.abs(units.T @ units - np.eye(3)).max() > DIRECTION_TOLERANCE:
        raise UnreadableSeries(
            "The axes of the file are not at right angles to each other.", reason="sheared"
        )
    last = origin + (shape[0] - 1) * steps[:, 0]
    geometry = checked_geometry(
        position=tuple(origin if np.linalg.norm(origin) > np.linalg.norm(last) else last),
        orientation=(*units[:, 2], *units[:, 1]),
        spacing=(float(spacing[1]), float(spacing[2])),
        rows=shape[1],
        columns=shape[2],
        thickness=float(spacing[0]),
    )
    return Grid(
        origins_mm=origin + np.arange(shape[0])[:, None] * steps[:, 0],
        column_direction=geometry.column_direction,
        row_direction=geometry.row_direction,
        pixel_spacing_mm=geometry.pixel_spacing_mm,
        rows=geometry.rows,
        columns=geometry.columns,
        slice_thickness_mm=geometry.slice_thickness_mm,
    )


def read_nifti_volume(path: Path, grid: Grid) -> Volume:
    """The voxels of a file on the grid that ``grid_of`` gave, scaled as the file says.

    Raises UnreadableSeries: ``truncated_pixels``, ``undecodable_pixels``, ``bad_rescale``, ``shape_mismatch``
    or ``io_error``. Never more is unpacked than the header announces.
    """
    header = read_header(path)
    values = np.empty(header.shape, dtype=np.float32, order="F")
    slab = header.data_bytes // header.shape[2]
    try:
        with _opened(path) as file:
            file.seek(header.offset)
            for index in range(header.shape[2]):
                raw = file.read(slab)
                if len(raw) != slab:
                    raise EOFError
                values[:, :, index] = _scaled(np.frombuffer(raw, header.dtype), header).reshape(
                    header.shape[:2], order="F"
                )
            file.read(1)  # At the end of a packed file its checksum is looked at.
    except EOFError as error:
        raise UnreadableSeries(
            "The file ends in the middle of its voxels.", reason="truncated_pixels"
        ) from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise UnreadableSeries("The voxels cannot be unpacked.", reason="undecodable_pixels") from error
    except OSError as error:
        raise UnreadableSeries("The file could not be opened or read.", reason="io_error") from error
    return Volume(values=np.ascontiguousarray(layout_of(header).to_stack(values)), grid=grid)


def write_nifti_mask(source: Path, labels: NDArray[np.uint8], out: Path) -> None:
    """Write labels (slices, rows, columns) into the space of a file, axis for axis and voxel for voxel.

    Text of the source's header is left behind: converters write names and times there.
    """
    header, raw = _header(source)
    order = header.dtype.newbyteorder(">") == header.dtype and header.dtype.itemsize > 1
    order = order or struct.unpack(">i", raw[:4])[0] == HEADER_BYTES
    form = ">" if order else "<"
    made = bytearray(FIRST_VOXEL)
    made[:HEADER_BYTES] = raw
    made[4:39] = bytes(35)
    made[148:252] = bytes(104)  # descrip and aux_file
    made[56:68] = bytes(12)  # parameters of the intent
    made[328:344] = b"labels".ljust(16, b"\0")
    struct.pack_into(form + "8h", made, 40, 3, *header.shape, 1, 1, 1, 1)
    struct.pack_into(form + "3h", made, 68, LABELS, 2, 8)
    struct.pack_into(form + "3f", made, 108, FIRST_VOXEL, 1.0, 0.0)
    struct.pack_into(form + "2f", made, 124, 0.0, 0.0)
    content = bytes(made) + layout_of(header).to_file(labels).astype(np.uint8).tobytes(order="F")
    files.write_atomically(out, gzip.compress(content, mtime=0))


def _header(path: Path) -> tuple[NiftiHeader, bytes]:
    try:
        with _opened(path) as file:
            raw = file.read(HEADER_BYTES)
    except EOFError as error:
        raise UnreadableSeries("The file ends in the middle of its header.", reason="truncated") from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise UnreadableSeries("The file cannot be unpacked.", reason="bad_header") from error
    except OSError as error:
        raise UnreadableSeries("The file could not be opened or read.", reason="io_error") from error
    return parse_header(raw), raw


def _opened(path: Path) -> BinaryIO | gzip.GzipFile:
    """The file, unpacked while it is read where it is packed; by its content, not its name."""
    file = path.open("rb")
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    if not packed:
        return file
    file.close()
    return gzip.open(path, "rb")


def _scaled(words: NDArray[Any], header: NiftiHeader) -> NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):
        values = words.astype(np.float64) * header.slope + header.intercept
    # Not-a-number fails every comparison.
    if not (values.min() >= -LARGEST_VALUE and values.max() <= LARGEST_VALUE):
        raise UnreadableSeries("The file holds senseless values.", reason="bad_rescale")
    return values.astype(np.float32)
