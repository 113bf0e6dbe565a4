"""NIfTI-1 files of any order of axes, written by hand so that the reader is held against the definition."""

import gzip
import json
import struct
from pathlib import Path

import numpy as np

from service.core.volume import Volume

CODES = {"u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "i1": 256, "u2": 512, "u4": 768}
CODES |= {"i8": 1024, "u8": 1280}
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def affine_of(volume: Volume) -> np.ndarray:
    """From (column, row, slice) to NIfTI's coordinates (RAS, mm)."""
    grid = volume.grid
    affine = np.eye(4)
    affine[:3, 0] = grid.column_direction * grid.pixel_spacing_mm[1]
    affine[:3, 1] = grid.row_direction * grid.pixel_spacing_mm[0]
    affine[:3, 2] = (grid.origins_mm[-1] - grid.origins_mm[0]) / (len(grid.origins_mm) - 1)
    affine[:3, 3] = grid.origins_mm[0]
    return LPS_TO_RAS @ affine


def turned(array: np.ndarray, affine: np.ndarray, order=(0, 1, 2), flips=(False, False, False)):
    """The same voxels in another order of the axes, some of them the other way round."""
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1.0
    for new, old in enumerate(order):
        matrix[old, new] = -1.0 if flips[new] else 1.0
        matrix[old, 3] = array.shape[old] - 1 if flips[new] else 0.0
    moved = np.flip(array.transpose(order), [axis for axis in range(3) if flips[axis]])
    return moved, affine @ matrix


def quaternion_of(affine: np.ndarray) -> tuple[float, tuple[float, float, float]]:
    """The sign of the third axis, and b, c, d of the rotation."""
    rotation = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    sign = 1.0 if np.linalg.det(rotation) > 0 else -1.0
    rotation[:, 2] *= sign
    values, vectors = np.linalg.eigh(_k_matrix(rotation))
    b, c, d, a = vectors[:, np.argmax(values)]
    return sign, tuple(float(np.copysign(1.0, a) * each) for each in (b, c, d))


def _k_matrix(r: np.ndarray) -> np.ndarray:
    return np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], r[1, 0] + r[0, 1], r[2, 0] + r[0, 2], r[2, 1] - r[1, 2]],
            [r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], r[2, 1] + r[1, 2], r[0, 2] - r[2, 0]],
            [r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], r[0, 0] + r[1, 1] + r[2, 2]],
        ]
    )


def header(
    shape,
    affine,
    *,
    kind="f4",
    order="<",
    sform=1,
    qform=0,
    slope=1.0,
    intercept=0.0,
    units=2,
    dim_info=0,
    offset=352.0,
    magic=b"n+1\0",
    pixdim=None,
) -> bytes:
    """352 bytes before the voxels."""
    raw = bytearray(352)
    spacing = np.linalg.norm(affine[:3, :3], axis=0) if pixdim is None else pixdim
    sign, quaternion = quaternion_of(affine)
    struct.pack_into(order + "i", raw, 0, 348)
    raw[39] = dim_info
    sizes = [len(shape), *shape, *[1] * (7 - len(shape))]
    struct.pack_into(order + "8h", raw, 40, *sizes)
    struct.pack_into(order + "2h", raw, 70, CODES[kind], 8 * np.dtype(kind).itemsize)
    struct.pack_into(order + "8f", raw, 76, sign, *spacing, 0, 0, 0, 0)
    struct.pack_into(order + "3f", raw, 108, offset, slope, intercept)
    raw[123] = units
    raw[148:167] = b"NAME^OF^THE^PATIENT"
    struct.pack_into(order + "2h", raw, 252, qform, sform)
    struct.pack_into(order + "6f", raw, 256, *quaternion, *affine[:3, 3])
    struct.pack_into(order + "12f", raw, 280, *affine[:3].ravel())
    raw[344:348] = magic
    return bytes(raw)


def write(path: Path, array: np.ndarray, affine: np.ndarray, *, kind="f4", order="<", sidecar=None, **fields):
    """One file, packed if its name says so, and the side-car beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = header(array.shape, affine, kind=kind, order=order, **fields)
    raw += np.asarray(array).astype(np.dtype(order + kind)).tobytes(order="F")
    path.write_bytes(gzip.compress(raw, 1, mtime=0) if path.name.endswith(".gz") else raw)
    if sidecar is not None:
        path.with_name(path.name.partition(".")[0] + ".json").write_text(json.dumps(sidecar), "utf-8")
    return path


def write_volume(path: Path, volume: Volume, *, axes=(0, 1, 2), flips=(False,) * 3, **fields) -> Path:
    """A volume as a file whose first axis runs along columns, unless ``axes`` and ``flips`` turn it."""
    array, affine = turned(volume.values.transpose(2, 1, 0), affine_of(volume), axes, flips)
    return write(path, array, affine, **fields)
