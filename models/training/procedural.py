"""Synthetic anatomy from ellipses and rounded boxes alone, with random sizes and places.

It keeps drawn phantoms within what the network has seen, and adds body shapes no atlas person has.
Sizes are in millimetres around the spinal canal; ranges chosen by us around those of adults.
"""

import numpy as np

from models.training.atlas import SHAPE
from models.training.body import Draft, finish
from models.training.tissues import PIXEL_MM, Anatomy, Bools, Tissue


class _Pen:
    """Draws shapes on one slice; x grows to the patient's left, y to the back."""

    def __init__(self, draft: Draft, rng: np.random.Generator) -> None:
        rows, columns = np.indices(SHAPE, dtype=np.float32)
        self.x = (columns - draft.canal[1]) * PIXEL_MM
        self.y = (rows - draft.canal[0]) * PIXEL_MM
        self.draft = draft
        self.rng = rng

    def ellipse(
        self,
        centre: tuple[float, float],
        half: tuple[float, float],
        *,
        tilt: float = 0.0,
        power: float = 2.0,
    ) -> Bools:
        """Pixels within a superellipse, its tilt in degrees."""
        cosine, sine = np.cos(np.deg2rad(tilt)), np.sin(np.deg2rad(tilt))
        across, along = self.x - centre[0], self.y - centre[1]
        u = np.abs(cosine * across + sine * along) / half[0]
        v = np.abs(cosine * along - sine * across) / half[1]
        inside: Bools = u**power + v**power <= 1.0
        return inside

    def vary(self, value: float, share: float = 0.12) -> float:
        """The value with a random deviation of up to the share."""
        return value * self.rng.uniform(1 - share, 1 + share)


def procedural_anatomy(rng: np.random.Generator) -> Anatomy:
    """One slice of drawn shapes."""
    canal = (SHAPE[0] * 0.62, SHAPE[1] * 0.5)
    draft = Draft(np.full(SHAPE, Tissue.DEEP_FAT, np.uint8), np.zeros(SHAPE, np.uint8), canal)
    pen = _Pen(draft, rng)
    _belly(pen)
    for side in (-1.0, 1.0):
        _deep_muscles(pen, side)
        _compartment(pen, side)
    _bones(pen)
    finish(draft, rng)
    return Anatomy(draft.tissue, draft.label, draft.canal)


def _belly(pen: _Pen) -> None:
    """Abdominal wall in one to three layers, bowel, great vessels, liver and kidneys."""
    rng, tissue = pen.rng, pen.draft.tissue
    wide, deep = pen.vary(120.0), pen.vary(78.0)
    thick, layers = pen.vary(14.0, 0.4), rng.integers(1, 4)
    wall = pen.ellipse((0, -44), (wide, deep), power=2.3) & (pen.y < rng.uniform(-5, 12))
    tissue[wall] = Tissue.OUTER_MUSCLE
    for layer in range(1, layers):
        cut = thick * layer / layers
        ring = pen.ellipse((0, -44), (wide - cut, deep - cut)) & ~pen.ellipse(
            (0, -44), (wide - cut - 1.6, deep - cut - 1.6)
        )
        tissue[ring & wall] = Tissue.DEEP_FAT
    cavity = pen.ellipse((0, -44), (wide - thick, deep - 0.7 * thick), power=2.3) & wall
    tissue[cavity] = Tissue.DEEP_FAT
    for _ in range(rng.integers(3, 22)):
        spot = rng.uniform(-wide, wide), rng.uniform(-115, -45)
        size = rng.uniform(7, 22), rng.uniform(7, 18)
        tissue[pen.ellipse(spot, size) & cavity] = Tissue.BOWEL
        if rng.random() < 0.3:
            tissue[pen.ellipse((spot[0], spot[1]), (size[0] * 0.6, size[1] * 0.6)) & cavity] = Tissue.GAS
    if rng.random() < 0.4:
        tissue[pen.ellipse((-65, pen.vary(-70)), (pen.vary(40, 0.3), pen.vary(45, 0.3))) & cavity] = (
            Tissue.LIVER
        )
    if rng.random() < 0.5:
        for side in (-1, 1):
            tissue[pen.ellipse((side * 76, pen.vary(-34)), (pen.vary(22, 0.3), pen.vary(26, 0.3)))] = (
                Tissue.KIDNEY
            )
    tissue[pen.ellipse((9, pen.vary(-60)), (9, 9))] = Tissue.VESSEL
    tissue[pen.ellipse((-14, pen.vary(-59)), (11, 8))] = Tissue.VESSEL


def _deep_muscles(pen: _Pen, side: float) -> None:
    """Psoas and quadratus lumborum, each sometimes absent, as above or below its level."""
    rng, tissue = pen.rng, pen.draft.tissue
    if rng.random() < 0.85:
        psoas = pen.ellipse((side * pen.vary(43), pen.vary(-30)), (pen.vary(17, 0.3), pen.vary(21, 0.3)))
        tissue[psoas] = Tissue.DEEP_MUSCLE
    if rng.random() < 0.75:
        quadratus = pen.ellipse(
            (side * pen.vary(60), pen.vary(-5, 1.0)),
            (pen.vary(18, 0.3), pen.vary(8, 0.4)),
            tilt=side * rng.uniform(-5, 30),
        )
        tissue[quadratus] = Tissue.DEEP_MUSCLE


def _compartment(pen: _Pen, side: float) -> None:
    """Erector spinae and multifidus of one side; the sides differ in size by chance."""
    rng, draft = pen.rng, pen.draft
    size = pen.vary(1.0, 0.22)
    power = rng.uniform(1.9, 3.0)
    spinae = pen.ellipse(
        (side * (16 + 26 * size), pen.vary(27)),
        (pen.vary(28) * size, pen.vary(20) * size),
        tilt=side * rng.uniform(-25, 12),
        power=power,
    )
    multifidus = pen.ellipse(
        (side * (5 + 11 * size), pen.vary(26)),
        (11.5 * size, pen.vary(19) * size),
        tilt=0.0,
        power=rng.uniform(2.2, 4),
    )
    own_half = (side * pen.x > rng.uniform(1.0, 4.0)) & (pen.y > -2)
    number = 1 if side < 0 else 2
    for shape, tissue in ((spinae, Tissue.SPINAE), (multifidus, Tissue.MULTIFIDUS)):
        part = shape & own_half
        draft.tissue[part] = tissue
        draft.label[part] = number


def _bones(pen: _Pen) -> None:
    """Vertebral body or disc, arch, transverse and spinous processes, cut out of the muscles."""
    rng, draft = pen.rng, pen.draft
    bone = pen.ellipse((0, 0), (pen.vary(16), pen.vary(12.5)), power=3)
    bone |= pen.ellipse((0, pen.vary(25)), (pen.vary(3.6, 0.3), pen.vary(17, 0.25)), power=4)
    if rng.random() < 0.7:
        for side in (-1.0, 1.0):
            tilt = side * rng.uniform(0, 25)
            bone |= pen.ellipse(
                (side * 22, pen.vary(-1, 2.0)), (pen.vary(15, 0.3), pen.vary(4.5, 0.3)), tilt=tilt, power=3
            )
    body = pen.ellipse((0, pen.vary(-27)), (pen.vary(25), pen.vary(18)), power=rng.uniform(2, 4))
    draft.tissue[bone | body] = Tissue.MARROW
    if rng.random() < 0.3:
        draft.tissue[body & ~bone] = Tissue.DISC
    draft.label[bone | body] = 0
