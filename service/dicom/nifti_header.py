"""The header of a NIfTI-1 single file: what the numbers are, and where its voxels lie in the patient.

Offsets, codes and both ways of telling orientation are those of the NIfTI-1 definition (nifti1.h).
"""

import math
import struct
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from service.errors import UnreadableSeries

HEADER_BYTES: Final = 348
#: Where the voxels of a single file begin at the earliest: behind the header and four bytes of extension.
FIRST_VOXEL: Final = 352
#: Extensions before the voxels are passed over up to this. Chosen by us: converters keep a DICOM header
#: there, which is far smaller.
LARGEST_EXTENSION: Final = 16 * 2**20
#: Codes of data types that hold one real number; others (colours, complex and 128 bit numbers) are refused.
DTYPES: Final = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
#: Spatial units of ``xyzt_units`` in mm; unknown is read as mm, which every tool writes.
UNITS_MM: Final = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
#: Codes of an orientation that is the patient's: scanner, and aligned to another scan of the person.
PATIENT_CODES: Final = (1, 2)
#: Both ways of telling may differ by so much in any direction before they count as contradicting: beyond
#: 45 degrees an axis is nearest to another one of the patient. Lesser differences are realignments.
AGREE_COSINE: Final = math.sqrt(0.5)
#: The affine may differ from the pixel spacings (pixdim) by this share. Chosen by us: headers are rounded,
#: and a file that was scaled into a template is off by far more.
SPACING_TOLERANCE: Final = 0.01

Affine = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class NiftiHeader:
    """How the bytes behind a header become numbers in the patient."""

    #: Of the first three axes, the first varying fastest.
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    #: Where the voxels begin.
    offset: int
    slope: float
    intercept: float
    #: From indices (i, j, k, 1) to patient coordinates in mm (LPS, as DICOM), 4 x 4.
    affine: Affine
    #: Which of the two told the orientation, and its code.
    orientation: str
    #: The axis along which slices were acquired, where the file says so.
    slice_axis: int | None

    @property
    def data_bytes(self) -> int:
        """Bytes of all voxels."""
        return math.prod(self.shape) * self.dtype.itemsize


def parse_header(raw: bytes) -> NiftiHeader:
    """Read the first 348 bytes of a file; raises UnreadableSeries naming what cannot be read."""
    order = _byte_order(raw)
    fields = _Fields(raw, order)
    shape = _shape(fields)
    kind, bits = fields.read("2h", 70)
    if kind not in DTYPES or bits != 8 * np.dtype(DTYPES[kind]).itemsize:
        raise _refusal(f"The file has the data type {kind} with {bits} bits.", "unsupported_pixel_format")
    offset, slope, intercept = fields.read("3f", 108)
    if not FIRST_VOXEL <= offset <= LARGEST_EXTENSION or offset != int(offset):
        raise _refusal("The voxels begin at no place that can be.", "bad_header")
    affine, orientation = _orientation(fields)
    (dim_info,) = fields.read("B", 39)
    axis = (dim_info >> 4) & 3
    # Files that were never scaled have 0 or not-a-number there.
    scaled = math.isfinite(slope) and slope != 0
    return NiftiHeader(
        shape=shape,
        dtype=np.dtype(order + DTYPES[kind]),
        offset=int(offset),
        slope=slope if scaled else 1.0,
        intercept=intercept if scaled else 0.0,
        affine=affine,
        orientation=orientation,
        slice_axis=axis - 1 if axis else None,
    )


@dataclass(frozen=True)
class _Fields:
    """Numbers of a header by their place."""

    raw: bytes
    order: str

    def read(self, form: str, offset: int) -> tuple[Any, ...]:
        return struct.unpack_from(self.order + form, self.raw, offset)


def _byte_order(raw: bytes) -> Literal["<", ">"]:
    """By the length of the header, which stands first."""
    if len(raw) < HEADER_BYTES:
        raise _refusal("The file ends in the middle of its header.", "truncated")
    little, big = struct.unpack("<i", raw[:4])[0], struct.unpack(">i", raw[:4])[0]
    if 540 in (little, big):
        raise _refusal("The file is NIfTI-2; only NIfTI-1 is read.", "unsupported_nifti")
    if HEADER_BYTES not in (little, big):
        raise _refusal("The file is not NIfTI.", "not_nifti")
    magic = raw[344:348]
    if magic == b"ni1\0":
        raise _refusal("Header and voxels are two files; only single files are read.", "unsupported_nifti")
    if magic != b"n+1\0":
        raise _refusal("The file is not NIfTI.", "not_nifti")
    return "<" if little == HEADER_BYTES else ">"


def _shape(fields: _Fields) -> tuple[int, int, int]:
    """The three axes of space; one volume only."""
    count, *sizes = fields.read("8h", 40)
    if not 3 <= count <= 7 or min(sizes[:count]) < 1:
        raise _refusal("The file is not one volume of slices.", "not_an_image")
    if math.prod(sizes[3:count]) > 1:
        raise _refusal("The file holds several volumes; one of each was expected.", "several_volumes")
    return sizes[0], sizes[1], sizes[2]


def _orientation(fields: _Fields) -> tuple[Affine, str]:
    """The affine to LPS in mm by the sform, else by the qform; refused where sides are not sure."""
    qcode, scode = fields.read("2h", 252)
    (units,) = fields.read("B", 123)
    scale = UNITS_MM.get(units & 7)
    if scale is None:
        raise _refusal("The unit of length is none of NIfTI's.", "bad_header")
    told = {
        **({f"sform (code {scode})": _sform(fields)} if scode in PATIENT_CODES else {}),
        **({f"qform (code {qcode})": _qform(fields)} if qcode in PATIENT_CODES else {}),
    }
    if not told:
        standard = max(scode, qcode) > max(PATIENT_CODES)
        text = (
            "The voxels lie in the space of a template, not of the patient, so nothing can be measured."
            if standard
            else "The file does not say how its voxels lie in the patient, so sides cannot be told."
        )
        raise _refusal(text, "standard_space" if standard else "no_geometry")
    for affine in told.values():
        _require_spacing(affine, np.abs(fields.read("8f", 76)[1:4]))
    if len(told) == 2 and not _agree(*told.values()):
        raise _refusal("The sform and the qform contradict each other.", "conflicting_orientation")
    name, affine = next(iter(told.items()))
    # NIfTI's axes run right, anterior, superior; DICOM's left, posterior, superior.
    return np.diag([-scale, -scale, scale, 1.0]) @ affine, name


def _sform(fields: _Fields) -> Affine:
    affine = np.eye(4)
    affine[:3] = np.array(fields.read("12f", 280)).reshape(3, 4)
    return affine


def _qform(fields: _Fields) -> Affine:
    """A quaternion whose first part follows from the others, the spacings, and the sign of the third axis."""
    b, c, d, x, y, z = fields.read("6f", 256)
    pixdim = fields.read("8f", 76)
    a = math.sqrt(max(0.0, 1.0 - (b * b + c * c + d * d)))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    affine = np.eye(4)
    affine[:3, :3] = rotation * np.abs(pixdim[1:4]) * [1.0, 1.0, -1.0 if pixdim[0] < 0 else 1.0]
    affine[:3, 3] = x, y, z
    return affine


def _require_spacing(affine: Affine, pixdim: NDArray[np.float64]) -> None:
    """Refuse lengths that make no sense, or of which the file says two things."""
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
    # Not-a-number fails every comparison.
    if not (np.isfinite(affine).all() and np.all(lengths > 0)):
        raise _refusal("The file does not say how large its voxels are.", "bad_spacing")
    if not np.all(np.abs(lengths - pixdim) <= SPACING_TOLERANCE * lengths):
        raise _refusal("The affine and the pixel spacings contradict each other.", "conflicting_orientation")


def _agree(one: Affine, other: Affine) -> bool:
    """Whether each axis of the array runs the same way in both."""
    a, b = one[:3, :3], other[:3, :3]
    cosines = (a * b).sum(axis=0) / (np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0))
    return bool(np.all(cosines >= AGREE_COSINE))


def _refusal(text: str, reason: str) -> UnreadableSeries:
    return UnreadableSeries(text, reason=reason)
