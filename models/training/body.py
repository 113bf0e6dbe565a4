"""What every synthetic slice shares: bone cortex, canal, sheaths, and the body around the core."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from models.training.noise import smooth
from models.training.tissues import PIXEL_MM, Bools, Codes, Floats, Tissue

_ANGLES = 96
#: Share of slices with screws or rods. Chosen by us: such backs are seldom.
METAL_SHARE = 0.04


@dataclass(eq=False)
class Draft:
    """A slice being drawn; arrays change in place until it is finished."""

    tissue: Codes
    label: Codes
    canal: tuple[float, float]

    def polar(self, forward_px: float) -> tuple[Floats, Floats]:
        """Distance and angle of each pixel around a point in front of the canal.

        The angle is 0 towards the patient's left and pi/2 towards the back.
        """
        rows, columns = np.indices(self.tissue.shape, dtype=np.float32)
        down = rows - np.float32(self.canal[0] - forward_px)
        across = columns - np.float32(self.canal[1])
        return np.hypot(down, across), np.arctan2(down, across)


def finish(draft: Draft, rng: np.random.Generator) -> None:
    """Add what atlas and procedural slices have in common."""
    _loosen_compartment(draft, rng)
    if rng.random() < 0.8:
        _sheathe(draft, rng)
    _cortex(draft, rng)
    _canal(draft, rng)
    if rng.random() < METAL_SHARE:
        _metal(draft, rng)
    _body(draft, rng)


def _loosen_compartment(draft: Draft, rng: np.random.Generator) -> None:
    """Draw each compartment a little smaller than its sheath, with fat in the gap.

    Without this the network learns to count the fat between muscle and fascia, which was the main
    error of the first prototype.
    """
    wasted = rng.random() < 0.25
    amount = rng.uniform(0.5, 2.0) if wasted else rng.uniform(0.0, 0.7)
    for side in (1, 2):
        inside = draft.label == side
        if not inside.any():
            continue
        depth = ndimage.distance_transform_edt(inside)
        gap = amount * (0.6 + smooth(inside.shape, (9, 12), rng))
        lost = inside & (depth < gap)
        draft.label[lost] = 0
        draft.tissue[lost] = Tissue.DEEP_FAT
        if rng.random() < 0.5:
            draft.tissue[lost & (depth <= 1.0)] = Tissue.FASCIA


def _sheathe(draft: Draft, rng: np.random.Generator) -> None:
    """A thin layer of fascia or fat around the compartments, against every neighbouring muscle."""
    compartment = draft.label > 0
    reach = ndimage.distance_transform_edt(~compartment)
    # Often less than a pixel: muscles of lean people touch with nothing seen between them.
    width = rng.uniform(0.3, 2.0) * (0.8 + 0.3 * smooth(compartment.shape, (8, 10), rng))
    layer = ~compartment & (reach <= width)
    soft = np.isin(draft.tissue, (Tissue.DEEP_FAT, Tissue.DEEP_MUSCLE, Tissue.OUTER_MUSCLE))
    muscle_side = layer & np.isin(draft.tissue, (Tissue.DEEP_MUSCLE, Tissue.OUTER_MUSCLE))
    draft.tissue[layer & soft] = Tissue.FASCIA
    if rng.random() < 0.6:
        draft.tissue[muscle_side] = Tissue.DEEP_FAT


def _metal(draft: Draft, rng: np.random.Generator) -> None:
    """Signal voids beside the spine, as pedicle screws and rods leave them; muscle within is not counted."""
    rows, columns = np.indices(draft.tissue.shape, dtype=np.float32)
    for side in (-1, 1):
        row = draft.canal[0] + rng.uniform(-8.0, 22.0) / PIXEL_MM
        column = draft.canal[1] + side * rng.uniform(14.0, 30.0) / PIXEL_MM
        half = rng.uniform(4.0, 14.0, size=2) / PIXEL_MM
        ripple = 0.3 * smooth(draft.tissue.shape, (12, 14), rng)
        void = ((rows - row) / half[0]) ** 2 + ((columns - column) / half[1]) ** 2 + ripple <= 1.0
        draft.tissue[void] = Tissue.METAL
        draft.label[void] = 0


def _cortex(draft: Draft, rng: np.random.Generator) -> None:
    """A dark rim of cortical bone around marrow; below one pixel there is none, as in blurred images."""
    bone = draft.tissue == Tissue.MARROW
    depth = ndimage.distance_transform_edt(bone)
    draft.tissue[bone & (depth <= rng.uniform(0.2, 2.0))] = Tissue.CORTEX


def _canal(draft: Draft, rng: np.random.Generator) -> None:
    """Epidural fat, fluid and nerve roots, or a cord."""
    half = rng.uniform(7.0, 12.0) / PIXEL_MM, rng.uniform(5.5, 9.5) / PIXEL_MM
    rows, columns = np.indices(draft.tissue.shape, dtype=np.float32)
    down, across = rows - draft.canal[0], columns - draft.canal[1]
    radius = (across / half[0]) ** 2 + (down / half[1]) ** 2
    outer = (radius <= 1.6) & (draft.label == 0)
    draft.tissue[outer] = Tissue.DEEP_FAT if rng.random() < 0.7 else Tissue.CORTEX
    draft.tissue[(radius <= 1.0) & (draft.label == 0)] = Tissue.FLUID
    if rng.random() < 0.3:
        draft.tissue[radius <= rng.uniform(0.2, 0.4)] = Tissue.NERVE
        return
    for _ in range(rng.integers(2, 9)):
        x, y = rng.uniform(-0.6, 0.6) * half[0], rng.uniform(-0.3, 0.7) * half[1]
        draft.tissue[(across - x) ** 2 + (down - y) ** 2 <= rng.uniform(0.6, 1.6)] = Tissue.NERVE


def _body(draft: Draft, rng: np.random.Generator) -> None:
    """Skin and a ring of subcutaneous fat of varying thickness around everything drawn so far."""
    distance, angle = draft.polar(forward_px=40.0)
    core = _outline(draft.tissue != Tissue.DEEP_FAT, distance, angle)
    turn = np.linspace(-np.pi, np.pi, _ANGLES, endpoint=False)
    back = np.abs((turn - np.pi / 2 + np.pi) % (2 * np.pi) - np.pi)
    thickness = float(np.clip(rng.lognormal(np.log(15.0), 0.55), 4.0, 55.0)) / PIXEL_MM
    shape = 1.0 + rng.uniform(-0.2, 0.8) * np.cos(back) + 0.2 * np.cos(2 * turn) * rng.uniform(-1, 1)
    groove = 1.0 - rng.uniform(0.0, 0.6) * np.exp(-((back / 0.12) ** 2))
    skin = (core + thickness * shape * groove).astype(np.float32)
    bins = (((angle + np.pi) / (2 * np.pi) * _ANGLES) % _ANGLES).astype(np.float32)
    outer = _around(skin, bins)
    inner = _around(core, bins)
    if rng.random() < 0.10:
        _crowd(draft, distance < inner - 3, rng)
    under = (distance > inner) & (draft.tissue == Tissue.DEEP_FAT)
    draft.tissue[under] = Tissue.SUBCUTANEOUS_FAT
    if rng.random() < 0.5:
        _scarpa(draft, distance, (inner + outer) / 2, under, rng)
    draft.tissue[distance > outer - rng.uniform(1.0, 2.2)] = Tissue.SKIN
    outside = distance > outer
    draft.tissue[outside] = Tissue.AIR
    draft.label[outside] = 0


def _crowd(draft: Draft, within: Bools, rng: np.random.Generator) -> None:
    """Fill much of the deep fat with bowel or kidney: lean people have little of it to mark borders.

    Seldom, and never with muscle: filled often and with muscle, the network learned to answer
    nothing where large parts of a water image are equally bright.
    """
    free = within & (draft.tissue == Tissue.DEEP_FAT)
    near = ndimage.distance_transform_edt(~(draft.label > 0)) < rng.uniform(1.5, 4.0)
    field = smooth(draft.tissue.shape, (14, 18), rng)
    filled = free & ~near & (field > rng.uniform(-1.2, 0.4))
    draft.tissue[filled] = Tissue.BOWEL if rng.random() < 0.5 else Tissue.KIDNEY


def _scarpa(draft: Draft, distance: Floats, middle: Floats, under: Bools, rng: np.random.Generator) -> None:
    """The thin membrane within subcutaneous fat, which can be mistaken for the muscle's edge."""
    wander = middle + 2.5 * smooth(distance.shape, (10, 12), rng)
    draft.tissue[under & (np.abs(distance - wander) < 0.5)] = Tissue.FASCIA


def _outline(core: Bools, distance: Floats, angle: Floats) -> Floats:
    """Largest distance of the core at each angle, made smooth and slightly convex."""
    bins = ((angle[core] + np.pi) / (2 * np.pi) * _ANGLES).astype(int) % _ANGLES
    reach = np.zeros(_ANGLES, np.float32)
    np.maximum.at(reach, bins, distance[core])
    reach = ndimage.maximum_filter1d(reach, 5, mode="wrap")
    smoothed: Floats = ndimage.gaussian_filter1d(reach, 1.6, mode="wrap")
    return np.maximum(smoothed, 30.0)


def _around(values: Floats, bins: Floats) -> Floats:
    """Linear interpolation around the circle."""
    low = bins.astype(int) % _ANGLES
    part = bins - np.floor(bins)
    field: Floats = values[low] * (1 - part) + values[(low + 1) % _ANGLES] * part
    return field
