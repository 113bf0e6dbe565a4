"""What a network does on stacks with known truth, through the service's own code; ``table`` prints it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from scipy import ndimage

from models.training.chain import (
    OF_TRUTH,
    SIDES,
    analyse,
    as_compartment,
    find_fat,
    measures_of,
    percent,
    side_dice,
)
from models.training.dose import DOSES, Answer, add_fat, answer
from models.training.fat_comparison import TUM_SLICES_MM
from models.training.real import TUM_CONTRASTS, load_tum01
from models.training.tissues import Codes, Floats
from models.training.volumes import axial_grid, draw_volume
from service.core.volume import Grid, Volume
from service.dicom.phantom import Phantom, PhantomLabel, paraspinal_phantom
from service.inference.card import Card
from service.inference.segmenter import OnnxSegmenter

#: Slices of the drawn phantom: half of its usual number, in half the time. Chosen by us.
PHANTOM_SLICES: Final = 12


@dataclass(frozen=True, kw_only=True, eq=False)
class Person:
    """A volunteer's Dixon images with expert masks (1 right, 2 left); slices from foot to head."""

    water: Floats
    fat: Floats
    side: Codes
    grid: Grid

    @classmethod
    def read(cls, data: Path) -> "Person":
        """The volunteer of tum01."""
        water, fat, side, pixel_mm = load_tum01(data / "tum01")
        return cls(water=water, fat=fat, side=side, grid=axial_grid(side.shape, (TUM_SLICES_MM, *pixel_mm)))

    def volume(self, contrast: str) -> Volume:
        """An image made from water and fat."""
        of_water, of_fat = TUM_CONTRASTS[contrast]
        values = np.abs(of_water * self.water + of_fat * self.fat).astype(np.float32)
        return Volume(values=values, grid=self.grid)

    @property
    def imat(self) -> np.ndarray:
        """The Dixon definition: more than half of the signal is fat."""
        inside = self.side > 0
        return np.asarray(inside & (self.fat > 0.5 * (self.water + self.fat)))


@dataclass(kw_only=True)
class Cell:
    """One contrast of one network on the volunteer."""

    dice: dict[str, float]
    tenth: dict[str, float]
    volume_ratio: dict[str, float]
    swapped: int
    imat_percent: float | None


def cell(person: Person, contrast: str, segmenter: OnnxSegmenter) -> Cell:
    """Agreement of both sides, over the volume and over its slices."""
    found = analyse(person.volume(contrast), contrast, segmenter)
    tenth, ratio = {}, {}
    for number, name in enumerate(SIDES, start=1):
        slices = [side_dice(c, s)[name] for c, s in zip(found.compartment, person.side, strict=True)]
        tenth[name] = float(np.percentile(slices, 10))
        ratio[name] = float((found.compartment == OF_TRUTH[number]).sum() / (person.side == number).sum())
    return Cell(
        dice=side_dice(found.compartment, person.side),
        tenth=tenth,
        volume_ratio=ratio,
        swapped=swapped_voxels(found.compartment, person.side),
        imat_percent=None if found.fat is None else percent(found.fat, found.compartment > 0),
    )


def swapped_voxels(compartment: Codes, side: Codes) -> int:
    """Voxels given to the other side."""
    right_as_left = (compartment == OF_TRUTH[2]) & (side == 1)
    left_as_right = (compartment == OF_TRUTH[1]) & (side == 2)
    return int((right_as_left | left_as_right).sum())


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """Shares of IMAT in per cent when the expert's boundary is moved outwards by some pixels."""

    pixels: int
    dixon: float
    t2_like: float
    #: Compartment and lean volume over those of the expert's boundary, by Dixon.
    compartment_ratio: float
    lean_ratio: float


def moved_boundaries(person: Person, card: Card) -> list[Boundary]:
    """The volunteer measured in masks that are a pixel or two too small or too large."""
    fat = person.fat > 0.5 * (person.water + person.fat)
    true = person.side > 0
    found = []
    for pixels in (-2, -1, 0, 1, 2):
        side = np.stack([_moved(plane, pixels) for plane in person.side])
        inside = side > 0
        t2_like = find_fat(person.volume("t2_tse"), as_compartment(side), "t2_tse", card)
        found.append(
            Boundary(
                pixels=pixels,
                dixon=percent(fat, inside),
                t2_like=float("nan") if t2_like is None else percent(t2_like, inside),
                compartment_ratio=float(inside.sum() / true.sum()),
                lean_ratio=float((inside & ~fat).sum() / (true & ~fat).sum()),
            )
        )
    return found


def _moved(side: Codes, pixels: int) -> Codes:
    """One slice with each side grown (or, below 0, shrunk) by so many pixels along rows and columns."""
    moved = np.zeros_like(side)
    for number in (1, 2):
        own = side == number
        if pixels < 0:
            own = ndimage.binary_erosion(own, iterations=-pixels)
        elif pixels > 0:
            own = ndimage.binary_dilation(own, iterations=pixels)
        moved[own & (moved == 0)] = number
    return moved


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Measured against true lean volume: bias and 95 % limits of agreement, in per cent of the true one."""

    bias: float
    low: float
    high: float

    @classmethod
    def of(cls, ratios: list[float]) -> "Agreement":
        """From measured over true volumes (Bland and Altman 1986: mean and 1.96 standard deviations)."""
        percents = 100.0 * (np.array(ratios) - 1.0)
        reach = 1.96 * float(percents.std(ddof=1))
        return cls(bias=float(percents.mean()), low=percents.mean() - reach, high=percents.mean() + reach)


@dataclass(kw_only=True)
class Doses:
    """Answers in the network's own mask and in the true one, and lean volumes, by contrast."""

    own_mask: dict[str, list[Answer]] = field(default_factory=dict)
    true_mask: dict[str, list[Answer]] = field(default_factory=dict)
    lean: dict[str, list[float]] = field(default_factory=dict)
    dice: dict[str, list[float]] = field(default_factory=dict)
    #: Stacks in which a side was not drawn or fat not told; they are in no other number.
    withheld: dict[str, int] = field(default_factory=dict)

    def add(
        self, contrast: str, volume: Volume, side: Codes, imat: np.ndarray, *, segmenter: OnnxSegmenter
    ) -> None:
        """Measure one stack with known truth."""
        card = segmenter.card
        inside = as_compartment(side)
        known = find_fat(volume, inside, contrast, card)
        found = analyse(volume, contrast, segmenter)
        if known is not None:
            self.true_mask.setdefault(contrast, []).append(answer(known, imat, side, side))
        true = measures_of(inside, imat, volume.grid)
        drawn = min((found.compartment == number).sum() for number in OF_TRUTH.values())
        if found.fat is None or not drawn or not true.total.lmm_ml:
            self.withheld[contrast] = self.withheld.get(contrast, 0) + 1
            return
        own = np.array([0, 2, 1], np.uint8)[found.compartment]
        self.own_mask.setdefault(contrast, []).append(answer(found.fat, imat, own, side))
        self.lean.setdefault(contrast, []).append((found.measures.total.lmm_ml or 0.0) / true.total.lmm_ml)
        self.dice.setdefault(contrast, []).append(min(side_dice(found.compartment, side).values()))


def synthetic_doses(volumes: int, segmenter: OnnxSegmenter) -> Doses:
    """The unseen generator, seeds from 0."""
    doses = Doses()
    for seed in range(volumes):
        made = draw_volume(seed)
        doses.add(made.contrast, made.volume, made.side, made.imat, segmenter=segmenter)
    return doses


def volunteer_doses(person: Person, segmenter: OnnxSegmenter) -> tuple[Doses, list[Answer]]:
    """The volunteer's T2-like image with fat of known share; and what Dixon itself would say of the doses."""
    doses, dixon = Doses(), []
    spacing = (TUM_SLICES_MM, *person.grid.pixel_spacing_mm)
    of_water, of_fat = TUM_CONTRASTS["t2_tse"]
    for share in DOSES:
        dosed = add_fat(person.water, person.fat, person.side, spacing, share, seed=1)
        image = (of_water * dosed.water + of_fat * dosed.fat).astype(np.float32)
        doses.add(
            "t2_tse", Volume(values=image, grid=person.grid), person.side, dosed.imat, segmenter=segmenter
        )
        dixon.append(answer(dosed.dixon, dosed.imat, person.side, person.side))
    return doses, dixon


def phantom_ratios(contrast: str, segmenter: OnnxSegmenter) -> tuple[list[float], list[float]]:
    """Measured over true volume of lean muscle and of fat, each side of the drawn phantom."""
    phantom = paraspinal_phantom(contrast=contrast, slices=PHANTOM_SLICES)
    found = analyse(phantom_volume(phantom), contrast, segmenter).measures
    pairs = (
        (found.right, PhantomLabel.LEAN_RIGHT, PhantomLabel.FAT_RIGHT),
        (found.left, PhantomLabel.LEAN_LEFT, PhantomLabel.FAT_LEFT),
    )
    lean = [(side.lmm_ml or 0.0) / phantom.volume_ml(label) for side, label, _ in pairs]
    fat = [(side.imat_ml or 0.0) / phantom.volume_ml(label) for side, _, label in pairs]
    return lean, fat


def phantom_volume(phantom: Phantom) -> Volume:
    """The drawn phantom as a stack."""
    image = phantom.image.astype(np.float32)
    return Volume(values=image, grid=axial_grid(image.shape, phantom.spacing_mm))
