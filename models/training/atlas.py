"""Real shapes to draw from: the SPL abdominal atlas and the LPM muscle masks."""

import gzip
import io
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from models.training.tissues import PIXEL_MM, Bools, Codes, Floats, Tissue

#: The atlas person is too small: the erector spinae pair is 109 mm wide where living adults measured
#: for this project have 138 to 155 mm. Chosen by us from those two widths.
ATLAS_SCALE: Final = 1.46
#: Voxel of the atlas in its slices (its header).
ATLAS_PIXEL_MM: Final = 0.9375
#: The masks come without spacing; at 0.68 mm their median pair width (199 pixels) is 135 mm. Chosen by us.
LPM_PIXEL_MM: Final = 0.68
#: Rows and columns of a reference slice: 300 mm by 400 mm, room for a wide person.
SHAPE: Final = (240, 320)
#: Slices of the atlas that hold both erector spinae well enough to be drawn.
FIRST_SLICE, LAST_SLICE = 4, 108
#: Slices of the atlas at the levels (L3 to L5) where the LPM shapes belong.
LPM_LEVELS: Final = range(52, 90)

_TISSUE_OF: Final[dict[Tissue, tuple[int, ...]]] = {
    Tissue.LIVER: (3,),
    Tissue.SPLEEN: (4,),
    Tissue.BOWEL: (6, 9, 10, 13),
    Tissue.KIDNEY: (51, 52, 111, 112),
    Tissue.VESSEL: (7, 8, 12, *range(16, 31), *range(71, 88), 117, *range(126, 131), 151, 153),
    Tissue.FLUID: (145, 146, 141, 142),
    Tissue.DEEP_MUSCLE: (131, 231, 133, 233, 138, 238),
    Tissue.OUTER_MUSCLE: (32, 135, 136, 139, 140, 143, 235, 236, 239, 240, 241),
    Tissue.SPINAE: (137, 237),
    Tissue.DISC: tuple(range(551, 560)),
    Tissue.MARROW: (299, *range(409, 413), *range(501, 506), 600, *range(686, 700)),
}
_RIGHT, _LEFT = 137, 237
_QUADRATUS: Final = (133, 233)
_SPINE: Final = (*range(409, 413), *range(501, 506), 600, *range(551, 560))


@dataclass(frozen=True, eq=False)
class AtlasSlice:
    """One slice of the atlas at adult size on the reference grid; the canal is in its middle column."""

    tissue: Codes
    label: Codes
    quadratus: Bools
    canal: tuple[float, float]
    #: Index in the atlas, from cranial to caudal.
    level: int


@cache
def atlas_slices(folder: Path) -> tuple[AtlasSlice, ...]:
    """All usable slices of the atlas."""
    labels = _read_labels(folder / "spl_atlas" / "seg.nrrd")
    # The file runs right to left, back to front, head to foot: turn rows to run front to back.
    stack = np.ascontiguousarray(labels.transpose(2, 1, 0)[:, ::-1, :])
    canals = _canals(stack)
    return tuple(_atlas_slice(stack[z], canals[z], z) for z in range(FIRST_SLICE, LAST_SLICE + 1))


def tissue_volume(folder: Path) -> Codes:
    """The whole atlas as tissues (head to foot, front to back, right to left); the rest is air."""
    labels = _read_labels(folder / "spl_atlas" / "seg.nrrd").transpose(2, 1, 0)[:, ::-1, :]
    tissue = np.full(labels.shape, Tissue.AIR, np.uint8)
    for code, numbers in _TISSUE_OF.items():
        tissue[np.isin(labels, numbers)] = code
    return tissue


def _read_labels(path: Path) -> NDArray[np.int16]:
    """The atlas's label map (x, y, z), of the one NRRD kind it has: gzip, short, little endian."""
    header, _, packed = path.read_bytes().partition(b"\n\n")
    fields = dict(line.split(": ", 1) for line in header.decode("ascii").splitlines() if ": " in line)
    if (fields["type"], fields["encoding"], fields["endian"]) != ("short", "gzip", "little"):
        raise SystemExit(f"{path} is not the kind of file that is expected.")
    sizes = [int(size) for size in fields["sizes"].split()]
    return np.frombuffer(gzip.decompress(packed), "<i2").reshape(sizes, order="F")


def _atlas_slice(labels: np.ndarray, canal: Floats, level: int) -> AtlasSlice:
    """One slice brought to adult size."""
    step = PIXEL_MM / (ATLAS_PIXEL_MM * ATLAS_SCALE)
    row_middle, column_middle = SHAPE[0] * 0.62, SHAPE[1] * 0.5
    rows = canal[0] + (np.arange(SHAPE[0]) - row_middle) * step
    columns = canal[1] + (np.arange(SHAPE[1]) - column_middle) * step
    grid = np.meshgrid(rows, columns, indexing="ij")
    sampled = ndimage.map_coordinates(labels, grid, order=0, mode="constant", cval=0)
    tissue = np.full(SHAPE, Tissue.DEEP_FAT, np.uint8)
    for code, numbers in _TISSUE_OF.items():
        tissue[np.isin(sampled, numbers)] = code
    label = np.zeros(SHAPE, np.uint8)
    for side, number in ((1, _RIGHT), (2, _LEFT)):
        soft = ndimage.gaussian_filter((labels == number).astype(np.float32), 0.9)
        label[ndimage.map_coordinates(soft, grid, order=1) > 0.5] = side
    tissue[(tissue == Tissue.SPINAE) & (label == 0)] = Tissue.DEEP_FAT
    tissue[(label > 0) & (tissue == Tissue.DEEP_FAT)] = Tissue.SPINAE
    label[tissue != Tissue.SPINAE] = 0
    quadratus = np.isin(sampled, _QUADRATUS)
    return AtlasSlice(tissue, label, quadratus, (row_middle, column_middle), level)


def _canals(stack: np.ndarray) -> Floats:
    """Row and column of the spinal canal in every slice: the first gap behind the vertebral body."""
    found = np.full((len(stack), 2), np.nan)
    for z, plane in enumerate(stack):
        muscle = np.isin(plane, (_RIGHT, _LEFT))
        bone = np.isin(plane, _SPINE)
        if not muscle.any() or bone.sum() < 50:
            continue
        right, left = np.where(plane == _RIGHT)[1], np.where(plane == _LEFT)[1]
        if len(right) == 0 or len(left) == 0:
            continue
        middle = (np.percentile(right, 98) + np.percentile(left, 2)) / 2
        strip = bone[:, round(middle) - 2 : round(middle) + 3].mean(1) > 0.5
        row = _gap(strip)
        if row is not None:
            found[z] = row, middle
    known = np.where(~np.isnan(found[:, 0]))[0]
    for axis in range(2):
        line = np.interp(np.arange(len(stack)), known, found[known, axis])
        found[:, axis] = ndimage.gaussian_filter1d(ndimage.median_filter(line, 9), 2.0)
    return found.astype(np.float32)


def _gap(strip: Bools) -> float | None:
    """Middle of the first stretch without bone of at least 6 mm behind at least 15 mm of bone."""
    runs = np.flatnonzero(np.diff(np.concatenate(([0], strip.astype(np.int8), [0]))))
    starts, ends = runs[::2], runs[1::2]
    for index in range(len(starts) - 1):
        gap = starts[index + 1] - ends[index]
        if ends[index] - starts[index] >= 16 and 6 <= gap <= 30:
            return float(ends[index] + gap / 2)
    return None


@cache
def lpm_shapes(folder: Path) -> tuple[Codes, ...]:
    """Masks of some 400 people at L4/L5: 50, 100, 150, 200 from image left to right."""
    shapes = []
    for name in ("MRI515_T1", "MRI515_T2"):
        path = folder / "lpm_masks" / name / "label_in_png_L4L5_renamed.zip"
        with zipfile.ZipFile(path) as archive:
            for entry in sorted(n for n in archive.namelist() if n.endswith(".png")):
                image = np.array(Image.open(io.BytesIO(archive.read(entry))))
                if image.ndim == 2 and set(np.unique(image)) == {0, 50, 100, 150, 200}:
                    shapes.append(image)
    return tuple(shapes)
