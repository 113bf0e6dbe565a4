"""A procedural lumbar phantom whose muscle and fat volumes are known.

It is drawn from ellipses, rounded boxes and smooth noise with a seed; no patient's data is in it. It
serves the demonstration and the self-test, not the judgement of a network's accuracy in people.

Slices are canonical: row 0 is anterior, column 0 is the patient's right, slice 0 is caudal. Shapes
are placed in millimetres around the middle of the posterior wall of the vertebral body: x grows
towards the patient's left, y towards the back. All sizes are chosen by us, to look like an adult.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


class PhantomLabel(IntEnum):
    """What one voxel of the phantom truly is; sides are the patient's."""

    BACKGROUND = 0
    LEAN_LEFT = 1
    LEAN_RIGHT = 2
    FAT_LEFT = 3
    FAT_RIGHT = 4


class Tissue(IntEnum):
    """What the phantom is made of."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    FASCIA = 4
    CORTEX = 5
    MARROW = 6
    DISC = 7
    FLUID = 8
    NERVE = 9
    BOWEL = 10
    KIDNEY = 11
    LIVER = 12
    VESSEL = 13


#: Brightness of each tissue with fat near 1, in the order of ``Tissue``. Chosen by us, because they
#: give the usual order of grey values of each contrast; the measurement reads muscle and fat only.
INTENSITIES: Final[Mapping[str, tuple[float, ...]]] = MappingProxyType(
    {
        "t2_tse": (0.0, 0.35, 0.95, 0.20, 0.10, 0.05, 0.55, 0.32, 1.20, 0.40, 0.45, 0.60, 0.30, 0.06),
        "t2_haste": (0.0, 0.40, 0.85, 0.22, 0.12, 0.05, 0.45, 0.28, 1.40, 0.45, 0.55, 0.70, 0.32, 0.05),
        "t1": (0.0, 0.35, 1.00, 0.34, 0.18, 0.06, 0.60, 0.32, 0.18, 0.30, 0.34, 0.36, 0.42, 0.08),
        "in_phase": (0.0, 0.45, 1.00, 0.42, 0.26, 0.10, 0.55, 0.40, 0.35, 0.42, 0.40, 0.45, 0.48, 0.30),
        "water": (0.0, 0.40, 0.08, 0.62, 0.30, 0.08, 0.35, 0.55, 0.70, 0.60, 0.50, 0.75, 0.70, 0.45),
        "fat": (0.0, 0.12, 1.00, 0.05, 0.05, 0.04, 0.45, 0.05, 0.03, 0.05, 0.08, 0.04, 0.05, 0.03),
        "opposed": (0.0, 0.30, 0.85, 0.42, 0.16, 0.05, 0.15, 0.42, 0.45, 0.40, 0.38, 0.48, 0.45, 0.35),
    }
)
#: The left side is drawn smaller by this factor, so that swapped sides show in every number.
LEFT_SCALE: Final = 0.87
#: Standard deviation of the noise in each channel, with fat at 1: SNR about 50 in fat.
NOISE: Final = 0.02
#: Stored value of brightness 1; leaves room below 16 bits for fluid and the near coil.
STORED_ONE: Final = 1000.0
#: Fat keeps this distance from the compartment's edge, so that a boundary one pixel off does not
#: change the known fat volume by more than the muscle volume.
IMAT_MARGIN_MM: Final = 3.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Phantom:
    """Images of a synthetic trunk and the truth behind them."""

    #: Stored values, shape (slices, rows, columns).
    image: NDArray[np.uint16]
    #: ``PhantomLabel`` of each voxel, same shape.
    labels: NDArray[np.uint8]
    #: Slice step, row spacing, column spacing.
    spacing_mm: tuple[float, float, float]

    def volume_ml(self, label: PhantomLabel) -> float:
        """True volume of one label."""
        voxel_ml = float(np.prod(self.spacing_mm)) / 1000.0
        return float(np.count_nonzero(self.labels == label)) * voxel_ml

    @property
    def lean_left_ml(self) -> float:
        """Lean muscle of the patient's left compartment."""
        return self.volume_ml(PhantomLabel.LEAN_LEFT)

    @property
    def lean_right_ml(self) -> float:
        """Lean muscle of the patient's right compartment."""
        return self.volume_ml(PhantomLabel.LEAN_RIGHT)

    @property
    def fat_left_ml(self) -> float:
        """Fat within the patient's left compartment."""
        return self.volume_ml(PhantomLabel.FAT_LEFT)

    @property
    def fat_right_ml(self) -> float:
        """Fat within the patient's right compartment."""
        return self.volume_ml(PhantomLabel.FAT_RIGHT)


def paraspinal_phantom(
    *,
    contrast: str = "t2_tse",
    slices: int = 24,
    rows: int = 320,
    columns: int = 320,
    spacing_mm: tuple[float, float] = (1.0, 1.0),
    slice_step_mm: float = 4.0,
    seed: int = 1,
    imat_fraction_left: float = 0.25,
    imat_fraction_right: float = 0.18,
) -> Phantom:
    """Draw a phantom; the same arguments give the same voxels.

    The anatomy depends on the seed and the grid only, so two contrasts of one seed show one person.
    """
    rng = np.random.default_rng(seed)
    frame = _Frame.build((slices, rows, columns), (slice_step_mm, *spacing_mm), rng)
    tissue, right, left = _draw(frame, rng)
    labels = np.zeros(tissue.shape, np.uint8)
    sides = (
        (left, imat_fraction_left, PhantomLabel.LEAN_LEFT, PhantomLabel.FAT_LEFT),
        (right, imat_fraction_right, PhantomLabel.LEAN_RIGHT, PhantomLabel.FAT_RIGHT),
    )
    for compartment, fraction, lean_label, fat_label in sides:
        fat = _imat(compartment, fraction, frame, rng)
        labels[compartment] = lean_label
        labels[fat] = fat_label
        tissue[fat] = Tissue.FAT
    image = _acquire(tissue, INTENSITIES[contrast], frame, rng)
    return Phantom(image=image, labels=labels, spacing_mm=frame.spacing_mm)


@dataclass(frozen=True, eq=False)
class _Frame:
    """Millimetre coordinates of every voxel, gently bent so that no shape is a perfect ellipse."""

    x: Floats
    y: Floats
    #: Height within the stack, 0 at the caudal and 1 at the cranial end, shape (slices, 1, 1).
    height: Floats
    #: Slice step, row spacing, column spacing.
    spacing_mm: tuple[float, float, float]

    @classmethod
    def build(
        cls,
        shape: tuple[int, int, int],
        spacing_mm: tuple[float, float, float],
        rng: np.random.Generator,
    ) -> "_Frame":
        """The grid's coordinates, with the trunk in the middle of the field of view."""
        slices, rows, columns = shape
        row_mm = ((np.arange(rows) - (rows - 1) / 2) * spacing_mm[1] - 30.0).astype(np.float32)
        column_mm = ((np.arange(columns) - (columns - 1) / 2) * spacing_mm[2]).astype(np.float32)
        bend_x, bend_y = (_smooth(shape, (3, 7, 7), rng) * np.float32(1.6) for _ in range(2))
        height = np.linspace(0.0, 1.0, slices, dtype=np.float32)[:, None, None]
        return cls(
            column_mm[None, None, :] + bend_x,
            row_mm[None, :, None] + bend_y,
            height,
            spacing_mm,
        )

    def ellipse(
        self,
        centre: tuple[float | Floats, float | Floats],
        half: tuple[float | Floats, float | Floats],
        *,
        angle_degrees: float = 0.0,
        box: bool = False,
    ) -> Bools:
        """Voxels within an ellipse, or within a rounded box (a superellipse of power 4)."""
        cosine, sine = np.cos(np.deg2rad(angle_degrees)), np.sin(np.deg2rad(angle_degrees))
        across, along = self.x - centre[0], self.y - centre[1]
        u = (np.float32(cosine) * across + np.float32(sine) * along) / half[0]
        v = (np.float32(cosine) * along - np.float32(sine) * across) / half[1]
        u *= u
        v *= v
        inside: Bools = (u * u + v * v if box else u + v) <= 1.0
        return inside


def _smooth(shape: tuple[int, ...], knots: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Smooth noise of about unit standard deviation, given by few knots along each axis."""
    coarse = rng.standard_normal(tuple(k + 2 for k in knots), dtype=np.float32)
    factors = [n / k for n, k in zip(shape, coarse.shape, strict=True)]
    fine: Floats = ndimage.zoom(coarse, factors, order=1, grid_mode=True, mode="nearest")
    return fine


def _draw(frame: _Frame, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Bools, Bools]:
    """The tissues of the trunk, and the two compartments (right, left)."""
    tissue = np.zeros(frame.x.shape, np.uint8)
    _draw_trunk(tissue, frame)
    _draw_abdomen(tissue, frame, rng)
    for side in (-1.0, 1.0):
        tissue[frame.ellipse((side * 42.0, -22.0), (14.0 + 6.0 * (1.0 - frame.height), 20.0))] = Tissue.MUSCLE
        tissue[frame.ellipse((side * 60.0, 3.0), (17.0, 7.0), angle_degrees=side * 12.0)] = Tissue.MUSCLE
    right = _compartment(frame, -1.0, 1.0)
    left = _compartment(frame, 1.0, LEFT_SCALE)
    sheath = _grow(right | left, 1.5, frame)
    tissue[sheath] = Tissue.FASCIA
    tissue[right | left] = Tissue.MUSCLE
    bone = _draw_spine(tissue, frame)
    return tissue, right & ~bone, left & ~bone


def _draw_trunk(tissue: NDArray[np.uint8], frame: _Frame) -> None:
    """Skin, subcutaneous fat with a groove along the spine, abdominal wall, fat behind the belly."""
    wide = 142.0 + 10.0 * (1.0 - frame.height) ** 2
    groove = frame.ellipse((0.0, 84.0), (16.0, 9.0))
    tissue[frame.ellipse((0.0, -32.0), (wide, 110.0)) & ~groove] = Tissue.SKIN
    inner_groove = frame.ellipse((0.0, 84.0), (18.0, 11.0))
    tissue[frame.ellipse((0.0, -32.0), (wide - 2.0, 108.0)) & ~inner_groove] = Tissue.FAT
    wall = frame.ellipse((0.0, -36.0), (wide - 20.0, 84.0)) & (frame.y < 14.0)
    tissue[wall] = Tissue.MUSCLE
    layers = frame.ellipse((0.0, -36.0), (wide - 25.0, 80.0)) & ~frame.ellipse(
        (0.0, -36.0), (wide - 26.5, 78.5)
    )
    tissue[(layers | frame.ellipse((0.0, -36.0), (wide - 33.0, 74.0))) & wall] = Tissue.FAT


def _draw_abdomen(tissue: NDArray[np.uint8], frame: _Frame, rng: np.random.Generator) -> None:
    """Bowel loops, great vessels, and in the cranial part kidneys and liver."""
    cavity = frame.ellipse((0.0, -38.0), (106.0, 70.0))
    for _ in range(14):
        x, y = rng.uniform(-85.0, 85.0), rng.uniform(-98.0, -55.0)
        half_x, half_y = rng.uniform(9.0, 17.0, size=2)
        middle, reach = rng.uniform(0.0, 1.0), rng.uniform(0.15, 0.4)
        swell = np.sqrt(np.clip(1.0 - ((frame.height - middle) / reach) ** 2, 1e-4, 1.0))
        tissue[frame.ellipse((x, y), (half_x * swell, half_y * swell)) & cavity] = Tissue.BOWEL
        if rng.random() < 0.35:
            core = frame.ellipse((x, y - 2.0), (0.6 * half_x * swell, 0.6 * half_y * swell))
            tissue[core & cavity] = Tissue.AIR
    upper = frame.height > 0.6
    tissue[frame.ellipse((-70.0, -60.0), (38.0, 42.0)) & cavity & upper] = Tissue.LIVER
    swell = np.sqrt(np.clip((frame.height - 0.45) / 0.55, 1e-4, 1.0))
    for side in (-1.0, 1.0):
        tissue[frame.ellipse((side * 78.0, -26.0), (20.0 * swell, 24.0 * swell))] = Tissue.KIDNEY
        tissue[frame.ellipse((side * 70.0, -28.0), (8.0 * swell, 9.0 * swell))] = Tissue.FAT
    tissue[frame.ellipse((9.0, -50.0), (8.0, 8.0))] = Tissue.VESSEL
    tissue[frame.ellipse((-14.0, -49.0), (11.0, 8.0))] = Tissue.VESSEL


def _compartment(frame: _Frame, side: float, scale: float) -> Bools:
    """Erector spinae and multifidus of one side; ``side`` is -1 for the patient's right."""
    low = 1.0 - frame.height
    spinae = frame.ellipse(
        (side * (16.0 + 26.0 * scale), 34.0 + 2.0 * low),
        ((29.0 - 5.0 * low) * scale, 21.0 * scale),
        angle_degrees=side * -8.0,
    )
    multifidus = frame.ellipse((side * (5.5 + 11.0 * scale), 34.0), (11.5 * scale, 20.0 * scale), box=True)
    midline = np.abs(frame.x) > 2.5
    own: Bools = (spinae | multifidus) & (side * frame.x > 0) & midline
    return own


def _grow(mask: Bools, distance_mm: float, frame: _Frame) -> Bools:
    """The mask and everything within a distance of it, slice by slice."""
    grown = np.empty_like(mask)
    for index, plane in enumerate(mask):
        far = ndimage.distance_transform_edt(~plane, sampling=frame.spacing_mm[1:])
        grown[index] = far <= distance_mm
    return grown


def _draw_spine(tissue: NDArray[np.uint8], frame: _Frame) -> Bools:
    """Vertebral bodies and discs in turn, canal, arch and processes; returns the bony arch and canal."""
    level = (frame.height * frame.spacing_mm[0] * len(tissue) / 36.0) % 1.0
    disc = np.broadcast_to(level < 0.25, tissue.shape)
    body = frame.ellipse((0.0, -17.0), (25.0, 18.0), box=True)
    core = frame.ellipse((0.0, -17.0), (23.5, 16.5), box=True)
    arch = frame.ellipse((0.0, 9.0), (16.0, 12.5), box=True)
    spinous = frame.ellipse((0.0, 34.0), (3.6, 18.0), box=True)
    for side in (-1.0, 1.0):
        arch |= frame.ellipse((side * 22.0, 8.0), (15.0, 4.5), angle_degrees=side * 10.0)
    marrow = frame.ellipse((0.0, 34.0), (1.8, 15.0), box=True)
    for side in (-1.0, 1.0):
        marrow |= frame.ellipse((side * 20.0, 8.0), (12.0, 2.8), angle_degrees=side * 10.0)
    tissue[body | arch | spinous] = Tissue.CORTEX
    tissue[marrow] = Tissue.MARROW
    tissue[core] = Tissue.MARROW
    tissue[core & disc] = Tissue.DISC
    tissue[frame.ellipse((0.0, 9.0), (12.0, 8.5))] = Tissue.FAT
    tissue[frame.ellipse((0.0, 8.0), (9.0, 7.0))] = Tissue.FLUID
    for x, y in ((-4.0, 11.0), (-1.5, 12.5), (1.5, 12.5), (4.0, 11.0), (0.0, 9.5)):
        tissue[frame.ellipse((x, y), (1.3, 1.3))] = Tissue.NERVE
    bone: Bools = body | arch | spinous
    return bone


def _imat(compartment: Bools, fraction: float, frame: _Frame, rng: np.random.Generator) -> Bools:
    """Fat lobules and septa that fill the given share of a compartment, away from its edge.

    The brightest part of smooth noise is taken, so that structures are several voxels thick.
    """
    slices, rows, columns = compartment.shape
    extent_mm = np.array(compartment.shape) * np.array(frame.spacing_mm)
    fine = (max(2, slices // 4), int(extent_mm[1] // 13), int(extent_mm[2] // 9))
    noise = _smooth((slices, rows, columns), fine, rng)
    noise = ndimage.gaussian_filter(noise, (0.7, 1.6 / frame.spacing_mm[1], 1.6 / frame.spacing_mm[2]))
    room = np.empty_like(compartment)
    for index, plane in enumerate(compartment):
        depth = ndimage.distance_transform_edt(plane, sampling=frame.spacing_mm[1:])
        room[index] = depth > IMAT_MARGIN_MM
    wanted = min(round(fraction * int(compartment.sum())), int(room.sum()))
    if wanted <= 0:
        return np.zeros_like(compartment)
    values = noise[room]
    limit = np.partition(values, len(values) - wanted)[len(values) - wanted]
    fat: Bools = room & (noise >= limit)
    return fat


def _acquire(
    tissue: NDArray[np.uint8],
    intensities: tuple[float, ...],
    frame: _Frame,
    rng: np.random.Generator,
) -> NDArray[np.uint16]:
    """The scanner's part: tissue texture, blur, surface-coil brightness, Rician noise, 16 bits."""
    clean = np.array(intensities, np.float32)[tissue]
    clean *= 1.0 + np.float32(0.05) * rng.standard_normal(clean.shape, dtype=np.float32)
    blur = (0.0, 0.6 / frame.spacing_mm[1], 0.6 / frame.spacing_mm[2])
    clean = ndimage.gaussian_filter(clean, blur)
    # The spine coil lies at the back: brightness falls towards the belly.
    clean *= np.float32(1.15) * np.exp(np.clip(frame.y - 70.0, -200.0, 20.0) / np.float32(260.0))
    noise = rng.standard_normal((2, *clean.shape), dtype=np.float32) * np.float32(NOISE)
    magnitude = np.hypot(clean + noise[0], noise[1])
    stored: NDArray[np.uint16] = np.clip(magnitude * STORED_ONE, 0, 65535).astype(np.uint16)
    return stored
