"""The volunteer of tum01 as training images: Dixon water and fat, deformed, with fat added, in any contrast.

Only a network that says so in its card is trained on him; the networks that are measured on him never are.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import nibabel
import numpy as np
from scipy import ndimage

from models.training.deform import Bulk, Spread, posture, swell, towards_edge
from models.training.noise import smooth, streaks
from models.training.tissues import PIXEL_MM, Bools, Codes, Floats

#: What one training image shows: 240 mm by 280 mm.
WINDOW: Final = (192, 224)
#: Pixel of the volunteer's images (their header).
VOLUNTEER_PIXEL_MM: Final = 1.0185
#: Contrasts in which he is measured, by the id that the card uses, as weights of Dixon water and fat.
TUM_CONTRASTS: Final[dict[str, tuple[float, float]]] = {
    "t2_tse": (0.6, 1.0),
    "t1": (0.8, 1.0),
    "in_phase": (1.0, 1.0),
    "water": (1.0, 0.0),
    "fat": (0.0, 1.0),
    "opposed": (1.0, -1.0),
}


def load_tum01(folder: Path) -> tuple[Floats, Floats, Codes, tuple[float, float]]:
    """Water, fat, sides (1 right, 2 left) as canonical stacks from caudal to cranial; pixel in mm."""
    stacks = []
    for name in ("water", "fat", "mask"):
        image = nibabel.Nifti1Image.from_filename(folder / f"{name}.nii.gz")
        # Columns of the affine are -x, -y, +z: right to left, front to back, foot to head.
        signs = np.sign(np.diag(image.affine)[:3])
        if not np.array_equal(signs, [-1, -1, 1]):
            raise SystemExit(f"{name} of tum01 is not oriented as expected.")
        stacks.append(np.asarray(image.get_fdata(), np.float32).transpose(2, 1, 0))
    sides = np.array([0, 1, 1, 2, 2], np.uint8)[stacks[2].astype(int)]
    return stacks[0], stacks[1], sides, (VOLUNTEER_PIXEL_MM, VOLUNTEER_PIXEL_MM)


@dataclass(frozen=True, eq=False)
class Volunteer:
    """Stacks of shape (slices, rows, columns), water and fat in units of their common bright level."""

    water: Floats
    fat: Floats
    label: Codes

    @classmethod
    def read(cls, folder: Path) -> "Volunteer":
        """From the folder of the data set."""
        water, fat, label, _ = load_tum01(folder)
        level = np.float32(np.percentile(water + fat, 99))
        return cls(water / level, fat / level, label)

    def draw(self, rng: np.random.Generator) -> tuple[Floats, Floats, Codes]:
        """One slice of another posture, size, bulk and fat share: water, fat and label in ``WINDOW``."""
        index = rng.uniform(0, len(self.water) - 1)
        lower, part = int(index), np.float32(index - int(index))
        if rng.random() < 0.5:
            part = np.float32(0)
        mask = self.label[lower if part < 0.5 else min(lower + 1, len(self.label) - 1)]
        places = _places(mask, rng)
        water = _between(self.water, lower, part, places)
        fat = _between(self.fat, lower, part, places)
        label = np.zeros(WINDOW, np.uint8)
        for side in (1, 2):
            chance = ndimage.map_coordinates((mask == side).astype(np.float32), places, order=1)
            label[chance > 0.5] = side
        if rng.random() < 0.5:
            water, fat = _infiltrate(water, fat, label > 0, rng)
        return water, fat, label


def _between(stack: Floats, lower: int, part: np.float32, places: Floats) -> Floats:
    """A slice, or a mixture of two neighbours as a thicker slice is, at the given places."""
    image = stack[lower]
    if part > 0:
        image = (1 - part) * image + part * stack[min(lower + 1, len(stack) - 1)]
    taken: Floats = ndimage.map_coordinates(image, places, order=1, mode="constant", cval=0.0)
    return taken


def _places(mask: Codes, rng: np.random.Generator) -> Floats:
    """Row and column in the source image for each pixel of the window."""
    middle = np.argwhere(mask > 0).mean(0).astype(np.float32)
    aim_row, aim_column = rng.uniform(0.50, 0.80) * WINDOW[0], rng.uniform(0.38, 0.62) * WINDOW[1]
    down, across = np.indices(WINDOW, dtype=np.float32)
    down -= np.float32(aim_row)
    across -= np.float32(aim_column)
    spread = Spread(size=0.15, stretch=0.09, shear=0.04, bend_px=5.0)
    rows, columns = posture(down, across, spread, rng, scale=PIXEL_MM / VOLUNTEER_PIXEL_MM)
    middles = [
        own.mean(0).astype(np.float32) - middle for side in (1, 2) if len(own := np.argwhere(mask == side))
    ]
    swell(rows, columns, middles, Bulk(mean=0.0, deviation=0.12, reach_px=30.0), rng)
    return np.stack([rows + middle[0], columns + middle[1]])


def _infiltrate(water: Floats, fat: Floats, inside: Bools, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Replace part of the muscle by fat in streaks and lobules; the total share goes up to about a half."""
    if not inside.any():
        return water, fat
    share = float(rng.beta(1.2, 4.0))
    score = streaks(WINDOW, (rng.uniform(1.2, 4.0), rng.uniform(0.6, 1.4)), rng)
    score += rng.uniform(0.2, 1.2) * streaks(WINDOW, (rng.uniform(1.5, 3.5),) * 2, rng)
    score += rng.uniform(0.0, 0.8) * smooth(WINDOW, (6, 7), rng)
    depth = ndimage.distance_transform_edt(inside)
    score = towards_edge(score, depth, rng)
    values = score[inside]
    sharp = np.float32(rng.uniform(3.0, 12.0) / (values.std() + 1e-6))
    limit = np.float32(np.quantile(values, 1 - share))
    added = np.where(inside, 1 / (1 + np.exp(-np.clip(sharp * (score - limit), -30, 30))), 0)
    added = added.astype(np.float32)
    level = np.float32(np.percentile(fat[fat > 0.05], 80)) if (fat > 0.05).any() else np.float32(0.5)
    return water * (1 - added), fat * (1 - added) + level * rng.uniform(0.6, 1.1) * added


def mix(water: Floats, fat: Floats, contrast: str, rng: np.random.Generator) -> Floats:
    """An image of the contrast: weights of water and fat, and water bent to resemble other weightings."""
    if contrast == "water":
        return _bend(water, rng) + np.float32(rng.choice([0.0, rng.uniform(0.0, 0.15)])) * fat
    if contrast == "fat":
        return fat + np.float32(rng.choice([0.0, rng.uniform(0.0, 0.12)])) * water
    weight = np.float32(rng.lognormal(-0.35 if contrast in ("t2", "t1") else 0.0, 0.35))
    if contrast == "opposed":
        return np.abs(weight * water - fat)
    bent = _bend(water, rng) if contrast in ("t2", "t1", "random") else water
    return weight * bent + fat


def _bend(water: Floats, rng: np.random.Generator) -> Floats:
    """A random monotone curve over the water signal: brighter or darker fluid and organs against muscle."""
    knots = np.linspace(0.0, 1.5, 5)
    curve = np.concatenate([[0.0], np.cumsum(rng.uniform(0.2, 1.8, 4))])
    curve *= np.interp(0.5, knots, knots) / max(np.interp(0.5, knots, curve), 1e-3)
    bent: Floats = np.interp(water, knots, curve).astype(np.float32)
    return bent
