"""Stacks with known truth, made worse in known ways, and what the service sees of each without the truth."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from models.training.corruptions import GRADES, KINDS, corrupt
from models.training.generate import Pool, training_pair
from models.training.predict import dice
from models.training.real import TUM_CONTRASTS, load_tum01
from models.training.tissues import PIXEL_MM, Codes, Floats
from models.training.volumes import axial_grid
from service.core.compartment import Compartment, clean_compartment
from service.core.predictor import Evidence, gather
from service.core.shape import ShapeStatistics
from service.core.volume import Grid, Volume
from service.dicom.phantom import PhantomLabel, paraspinal_phantom
from service.inference.segmenter import Segmenter

#: Slices of a stack. Chosen by us: near the fewest that are measured, where a prediction is hardest.
SLICES: Final = 4
#: Distance of the slices; no matter here, so a usual one.
STEP_MM: Final = 5.0
_TUM01_SLICES: Final = (4, 12, 20, 27)
_CONTRASTS: Final = ("t2_tse", "t1", "in_phase", "water")


@dataclass(frozen=True, eq=False)
class Stack:
    """Images with their truth, canonical: row 0 anterior, column 0 the patient's right."""

    source: str
    images: Floats
    #: 0 background, 1 right, 2 left.
    truth: Codes
    pixel_mm: float
    #: Whether the slices lie side by side in one body; if not, each is cleaned by itself.
    one_body: bool = True


@dataclass(frozen=True, eq=False)
class Case:
    """One stack after one corruption: what the service sees of it, and how good the drawing truly is."""

    source: str
    kind: str
    strength: float
    evidence: Evidence
    #: Dice of each slice and of the whole stack, mean of both sides.
    slice_dice: Floats
    stack_dice: float


def synthetic_stacks(pool: Pool, count: int, rng: np.random.Generator) -> Iterator[Stack]:
    """Stacks of unrelated synthetic slices, as training sees them."""
    drawn = [index for index in range(len(pool)) if pool.label[index].any()]
    for _ in range(count):
        pairs = [training_pair(pool.sample(int(rng.choice(drawn))), rng) for _ in range(SLICES)]
        images, truth = (np.stack(parts) for parts in zip(*pairs, strict=True))
        yield Stack("synthetic", images, truth, PIXEL_MM, one_body=False)


def phantom_stacks(seeds: tuple[int, ...]) -> Iterator[Stack]:
    """Drawn phantoms in the measured contrasts."""
    sides = np.zeros(len(PhantomLabel), np.uint8)
    sides[[PhantomLabel.LEAN_RIGHT, PhantomLabel.FAT_RIGHT]] = 1
    sides[[PhantomLabel.LEAN_LEFT, PhantomLabel.FAT_LEFT]] = 2
    for seed in seeds:
        contrast = _CONTRASTS[seed % len(_CONTRASTS)]
        phantom = paraspinal_phantom(
            contrast=contrast, seed=seed, slices=SLICES, rows=224, columns=256, spacing_mm=(1.25, 1.25)
        )
        yield Stack("phantom", phantom.image.astype(np.float32), sides[phantom.labels], PIXEL_MM)


def volunteer_stacks(data: Path) -> Iterator[Stack]:
    """The volunteer of tum01 in the measured contrasts; none where he is not in the data."""
    if not (data / "tum01").is_dir():
        return
    water, fat, truth, pixel_mm = load_tum01(data / "tum01")
    chosen = list(_TUM01_SLICES)
    for a, b in (TUM_CONTRASTS[contrast] for contrast in _CONTRASTS):
        yield Stack("tum01", (a * water + b * fat)[chosen], truth[chosen], pixel_mm[0])


@dataclass(frozen=True, eq=False)
class Observer:
    """Looks at corrupted stacks as the service would."""

    segmenter: Segmenter
    shape: ShapeStatistics

    def random_cases(self, stacks: Iterator[Stack], rng: np.random.Generator, kinds: int) -> Iterator[Case]:
        """Every stack as it is, and under some of the kinds at random strengths."""
        for stack in stacks:
            yield self.case(stack, "none", 0.0, rng)
            for kind in rng.choice(list(KINDS), size=kinds, replace=False):
                yield self.case(stack, str(kind), rng.uniform(0.3, GRADES[-1]), rng)

    def graded_cases(self, stacks: Iterator[Stack], rng: np.random.Generator) -> Iterator[Case]:
        """Every stack as it is, and under every kind in five graded strengths."""
        for stack in stacks:
            yield self.case(stack, "none", 0.0, rng)
            for kind in KINDS:
                for strength in GRADES:
                    yield self.case(stack, kind, strength, rng)

    def case(self, stack: Stack, kind: str, strength: float, rng: np.random.Generator) -> Case:
        """One stack under one corruption."""
        images, truth = stack.images, stack.truth
        if strength > 0:
            images, truth = corrupt(kind, images, truth, strength, rng)
        drawn, evidence = self.look(images, stack.pixel_mm, one_body=stack.one_body)
        each = np.array([_dice(one, true) for one, true in zip(drawn, truth, strict=True)], np.float32)
        return Case(stack.source, kind, strength, evidence, each, _dice(drawn, truth))

    def look(self, images: Floats, pixel_mm: float, *, one_body: bool = True) -> tuple[Codes, Evidence]:
        """The service's own path: the cleaned drawing and the evidence about it."""
        grid = upright_grid(images.shape, pixel_mm)
        answer = self.segmenter.segment(Volume(values=images, grid=grid))
        if answer.certainty is None:
            raise SystemExit("This network gives no probabilities, so nothing can be learned about them.")
        parts = [answer.compartment] if one_body else [one[None] for one in answer.compartment]
        drawn = np.concatenate([clean_compartment(part) for part in parts])
        return drawn, gather(answer.certainty, answer.compartment, drawn, grid, self.shape)


def upright_grid(shape: tuple[int, ...], pixel_mm: float) -> Grid:
    """A grid of the given size (slices, rows, columns), canonical in the patient."""
    return axial_grid(shape, (STEP_MM, pixel_mm, pixel_mm))


def _dice(drawn: Codes, truth: Codes) -> float:
    """Mean of both sides."""
    sides = ((Compartment.RIGHT, 1), (Compartment.LEFT, 2))
    return float(np.mean([dice(drawn == side, truth == number) for side, number in sides]))
