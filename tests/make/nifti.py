"""As much of NIfTI-1 as the test data need: one array and its affine."""

import gzip
import struct
from pathlib import Path

import numpy as np

DTYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The array indexed (i, j, k), and the affine from indices to DICOM patient coordinates (LPS, mm)."""
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    order = "<" if struct.unpack("<i", raw[:4])[0] == 348 else ">"
    shape = struct.unpack(order + "8h", raw[40:56])
    shape = shape[1 : shape[0] + 1]
    kind = struct.unpack(order + "h", raw[70:72])[0]
    offset, slope, intercept = struct.unpack(order + "3f", raw[108:120])
    dtype = np.dtype(order + DTYPES[kind])
    count = int(np.prod(shape))
    array = np.frombuffer(raw, dtype, count, int(offset)).reshape(shape, order="F")
    if np.isfinite(slope) and slope not in (0.0, 1.0):
        array = array * slope + intercept
    return array, RAS_TO_LPS @ _affine(raw, order)


def _affine(raw: bytes, order: str) -> np.ndarray:
    """The sform where there is one, else the qform."""
    qform, sform = struct.unpack(order + "2h", raw[252:256])
    affine = np.eye(4)
    if sform > 0 or qform <= 0:
        affine[:3] = np.array(struct.unpack(order + "12f", raw[280:328])).reshape(3, 4)
        return affine
    b, c, d, x, y, z = struct.unpack(order + "6f", raw[256:280])
    a = np.sqrt(max(0.0, 1.0 - b * b - c * c - d * d))
    pixdim = struct.unpack(order + "8f", raw[76:108])
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ]
    )
    sign = -1.0 if pixdim[0] < 0 else 1.0
    affine[:3, :3] = rotation * np.array([pixdim[1], pixdim[2], pixdim[3] * sign])
    affine[:3, 3] = x, y, z
    return affine
