"""Short stacks with known fat, from a generator that no network is trained with.

They test the chain's response to a dose of fat, the same on both sides, its repeatability, and what
thick slices do. Shapes are in ``volume_shapes``, contrast and scanner in ``volume_images``.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from models.training.tissues import Bools, Codes, Floats, Tissue
from models.training.volume_images import CONTRASTS, Scan, acquire
from models.training.volume_shapes import Canvas, Person, border_distance_mm, draw_person, draw_section
from service.core.volume import Grid, Volume

#: Fine samples in each pixel along rows, columns and the thickness of the slice: partial volume.
_FINE: Final = 2
#: The trunk drawn: millimetres from front to back and from side to side.
_FIELD_MM: Final = (250.0, 330.0)
#: Share of fat within the fibres of lean muscle: 4 % in young people's upper back (Sollmann 2020, SD 2.5 %).
FIBRE_FAT: Final = (0.0, 0.08)
#: Highest share of fat asked for; the requirement is 0 to 40 %.
MAX_SHARE: Final = 0.40


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticVolume:
    """One stack with its truth; slices are canonical, from caudal to cranial."""

    contrast: str
    #: Noisy image, shape (slices, rows, columns).
    image: Floats
    #: 0 outside, 1 compartment of the patient's right, 2 of the left, same shape.
    side: Codes
    #: Share of each pixel's volume that is fat, that within muscle fibres too (0 outside the compartments).
    fat_share: Floats
    #: Distance of slices, of rows and of columns.
    spacing_mm: tuple[float, float, float]

    @property
    def imat(self) -> Bools:
        """What the definition counts: pixels of the compartment that are more than half fat."""
        truth: Bools = (self.side > 0) & (self.fat_share > 0.5)
        return truth

    @property
    def volume(self) -> Volume:
        """The stack as the service reads one."""
        return Volume(values=self.image, grid=axial_grid(self.image.shape, self.spacing_mm))


def axial_grid(shape: tuple[int, ...], spacing_mm: tuple[float, float, float]) -> Grid:
    """An axial grid from foot to head: row 0 anterior, column 0 the patient's right."""
    origins = np.zeros((shape[0], 3))
    origins[:, 2] = np.arange(shape[0]) * spacing_mm[0]
    return Grid(
        origins_mm=origins,
        column_direction=np.array([1.0, 0.0, 0.0]),
        row_direction=np.array([0.0, 1.0, 0.0]),
        pixel_spacing_mm=(spacing_mm[1], spacing_mm[2]),
        rows=shape[1],
        columns=shape[2],
        slice_thickness_mm=spacing_mm[0],
    )


def draw_volume(seed: int, contrast: str | None = None, share: float | None = None) -> SyntheticVolume:
    """One stack; the same arguments give the same voxels. ``share`` is the share of fat asked for."""
    rng = np.random.default_rng([20_261, seed])
    person = draw_person(rng)
    asked = rng.uniform(0.0, MAX_SHARE) if share is None else share
    name = CONTRASTS[seed % len(CONTRASTS)] if contrast is None else contrast
    pixel = rng.uniform(0.75, 1.35)
    thickness, gap = rng.uniform(3.0, 8.0), rng.uniform(1.0, 1.25)
    slices = int(rng.integers(6, 13))
    spacing = (thickness * gap, pixel, pixel)
    sections = _draw(person, slices, spacing, thickness)
    fat = _infiltrate(sections, person, np.array(spacing) / _FINE, asked, rng)
    side = sections.side
    # A pixel belongs to the compartment that fills most of it.
    parts = [_pool(side == number) for number in (1, 2)]
    whole = np.where(parts[0] + parts[1] > 0.5, np.where(parts[0] >= parts[1], 1, 2), 0).astype(np.uint8)
    fat_share = _pool(fat) / np.maximum(parts[0] + parts[1], 1e-6)
    fibre = rng.uniform(*FIBRE_FAT)
    fat_share = fat_share + (1.0 - fat_share) * fibre
    image = acquire(sections.tissue, fat, _pool, Scan(name, spacing, fibre), rng)
    return SyntheticVolume(
        contrast=name,
        image=image,
        side=whole,
        fat_share=np.where(whole > 0, fat_share, 0.0).astype(np.float32),
        spacing_mm=spacing,
    )


@dataclass(frozen=True, eq=False)
class _Sections:
    """Tissue and side of every fine sample, shape (slices, rows, columns) times ``_FINE`` each."""

    tissue: Codes
    side: Codes
    canvas: Canvas


def _draw(
    person: Person, slices: int, spacing_mm: tuple[float, float, float], thickness_mm: float
) -> _Sections:
    """Thin sections through a person, ``_FINE`` within the thickness of each slice."""
    rows, columns = (round(length / step) for length, step in zip(_FIELD_MM, spacing_mm[1:], strict=True))
    sample_mm = (spacing_mm[1] / _FINE, spacing_mm[2] / _FINE)
    canvas = Canvas(
        rows=rows * _FINE,
        columns=columns * _FINE,
        sample_mm=sample_mm,
        canal=(rows * _FINE * 0.54, columns * _FINE * 0.5),
    )
    sections = []
    for index in range(slices):
        for part in range(_FINE):
            within = ((part + 0.5) / _FINE - 0.5) * thickness_mm
            height = index * spacing_mm[0] + within
            share = float(np.clip(height / max(spacing_mm[0] * (slices - 1), 1e-6), 0.0, 1.0))
            sections.append(draw_section(person, canvas, height, share))
    return _Sections(np.stack([s.tissue for s in sections]), np.stack([s.side for s in sections]), canvas)


def _pool(samples: np.ndarray) -> Floats:
    """Mean of the fine samples of each pixel."""
    total = samples.astype(np.float32, copy=False)
    # Halving one axis after the other is several times as fast as one mean over blocks.
    for axis in range(3):
        parts = [np.take(total, range(part, total.shape[axis], _FINE), axis=axis) for part in range(_FINE)]
        total = sum(parts[1:], start=parts[0])
    return total / np.float32(_FINE**3)


def _infiltrate(
    sections: _Sections, person: Person, fine_mm: np.ndarray, asked: float, rng: np.random.Generator
) -> Floats:
    """Share of fat in each fine sample: septa, the cleft between muscles, marbling, dorsal and medial first.

    Samples on an edge are partly fat, else the shares of a pixel would come in eighths and half be no border.
    """
    tissue, side = sections.tissue, sections.side
    border = border_distance_mm(person, sections.canvas)
    fat = np.zeros(side.shape, np.float32)
    weights = _Pattern(rng)
    for number in (1, 2):
        places = np.nonzero(side == number)
        if len(places[0]) == 0:
            continue
        box = tuple(slice(int(p.min()), int(p.max()) + 1) for p in places)
        inside = side[box] == number
        score = weights.score(inside, tissue[box], border[box[1:]], fine_mm, rng)
        wanted = np.clip(asked * rng.normal(1.0, 0.15), 0.0, 0.6)
        values = score[inside]
        if wanted > 0:
            above = score - np.quantile(values, 1.0 - wanted)
            # The score's usual step from one sample to the next is the width of an edge.
            width = np.mean(np.abs(np.diff(score, axis=2)[inside[:, :, 1:]]))
            fat[box] += inside * np.clip(0.5 + above / width, 0.0, 1.0).astype(np.float32)
    return fat


class _Pattern:
    """How one person's fat is spread; both sides of a person look alike."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.septa, self.cleft, self.marbling, self.lobules, self.dorsal, self.medial = rng.uniform(
            (0.2, 0.0, 0.2, 0.2, 0.0, 0.0), (1.2, 1.5, 1.0, 1.2, 1.0, 1.0)
        )
        self.grain_mm = rng.uniform(0.8, 1.8)
        self.lobule_mm = rng.uniform(2.0, 4.5)
        self.width_mm = rng.uniform(0.8, 2.2)
        self.along_mm = rng.uniform(6.0, 20.0)
        self.edge = rng.uniform(0.0, 2.0)

    def score(
        self, inside: Bools, tissue: Codes, border_mm: Floats, fine_mm: np.ndarray, rng: np.random.Generator
    ) -> Floats:
        """A field whose highest part is fat, shape of ``inside``."""

        def field(across_mm: float, along_mm: float) -> Floats:
            sigma = np.array([along_mm, across_mm, across_mm]) / fine_mm
            raw = rng.standard_normal(inside.shape, dtype=np.float32)
            raw = ndimage.gaussian_filter(raw, sigma, truncate=2.5)
            return np.asarray((raw - raw.mean()) / (raw.std() + 1e-6), np.float32)

        # Septa run where a slowly changing field passes certain values: thin, bent and continuous sheets.
        slow = field(6.0, self.along_mm) * 2.0
        sheet = np.exp(-(((slow - np.round(slow)) / 0.12) ** 2))
        cleft = np.exp(-((border_mm[None] / self.width_mm) ** 2)) * (0.6 + 0.4 * field(8.0, self.along_mm))
        down = np.linspace(-1.0, 1.0, inside.shape[1], dtype=np.float32)[None, :, None]
        medial = (tissue == Tissue.MULTIFIDUS).astype(np.float32)
        total = (
            self.septa * 2.0 * sheet
            + self.cleft * 2.0 * cleft
            + self.marbling * field(self.grain_mm, 0.5 * self.along_mm)
            + self.lobules * field(self.lobule_mm, self.along_mm)
            + self.dorsal * down
            + self.medial * medial
        )
        depth = ndimage.distance_transform_edt(inside, sampling=fine_mm)
        return np.asarray(total - self.edge * np.exp(-depth / 1.5), np.float32)
