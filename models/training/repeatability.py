"""How much the chain's answer changes when the same person is measured again.

    python -m models.training.repeatability --data DIR --network FOLDER [--volumes 6] [--toml FILE]

Nobody was scanned twice, so each stack is analysed again after changes that a second scan brings: noise,
shading, a shift of a fraction of a pixel and of millimetres, a rotation, thicker slices. What people
change between two scans (breathing, posture, another scanner) is not in it.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from scipy import ndimage

from models.training.chain import analyse
from models.training.evaluate import Person
from models.training.real import TUM_CONTRASTS
from models.training.volume_images import CONTRASTS
from models.training.volumes import draw_volume
from service.core.finding import Measures
from service.core.volume import Volume
from service.inference.card import read_card
from service.inference.segmenter import OnnxSegmenter

#: First seed of the stacks: others than those of the table and those that the fat method was set on.
FIRST_SEED: Final = 30_000
SIDES: Final = ("right", "left", "total")
Change = Callable[[Volume, np.random.Generator], Volume]


def _with(volume: Volume, values: np.ndarray) -> Volume:
    """The same grid with other values, which are signals and so not negative."""
    return replace(volume, values=np.clip(values, 0.0, None).astype(np.float32))


def noise(volume: Volume, rng: np.random.Generator) -> Volume:
    """Noise of 2 % of the bright level in both channels of the receiver."""
    level = 0.02 * float(np.percentile(volume.values, 99))
    parts = rng.standard_normal((2, *volume.values.shape), dtype=np.float32) * np.float32(level)
    return _with(volume, np.hypot(volume.values + parts[0], parts[1]))


def shading(volume: Volume, rng: np.random.Generator) -> Volume:
    """Another smooth shading: slopes and curvatures of up to 15 % over half of the image."""
    z, y, x = (
        np.linspace(-1.0, 1.0, n).reshape([-1 if k == a else 1 for k in range(3)])
        for a, n in enumerate(volume.values.shape)
    )
    slopes, bends = rng.uniform(-0.15, 0.15, 3), rng.uniform(-0.15, 0.15, 2)
    field_ = slopes[0] * z + slopes[1] * y + slopes[2] * x + bends[0] * y * y + bends[1] * x * x
    return _with(volume, volume.values * np.exp(field_))


def _moved(volume: Volume, shift_mm: tuple[float, float], degrees: float = 0.0) -> Volume:
    """The patient lies elsewhere in the plane; cubic interpolation, so that little is blurred."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    spacing = np.array(volume.grid.pixel_spacing_mm)
    matrix = turn * spacing[None, :] / spacing[:, None]
    middle = (np.array(volume.values.shape[1:]) - 1) / 2
    offset = middle - matrix @ middle - np.array(shift_mm) / spacing
    planes = [
        ndimage.affine_transform(plane, matrix, offset, order=3, mode="nearest") for plane in volume.values
    ]
    return _with(volume, np.stack(planes))


def fraction_of_a_pixel(volume: Volume, rng: np.random.Generator) -> Volume:
    """Up to half a pixel along both axes."""
    rows, columns = rng.uniform(-0.5, 0.5, 2) * volume.grid.pixel_spacing_mm
    return _moved(volume, (float(rows), float(columns)))


def some_millimetres(volume: Volume, rng: np.random.Generator) -> Volume:
    """Up to 8 mm along both axes."""
    rows, columns = rng.uniform(-8.0, 8.0, 2)
    return _moved(volume, (float(rows), float(columns)))


def rotation(volume: Volume, rng: np.random.Generator) -> Volume:
    """Up to 5 degrees in the plane."""
    return _moved(volume, (0.0, 0.0), float(rng.uniform(-5.0, 5.0)))


def thicker(volume: Volume, rng: np.random.Generator) -> Volume:
    """Slices that take in a quarter of each neighbour, at the same places."""
    del rng
    return _with(volume, ndimage.convolve1d(volume.values, (0.25, 0.5, 0.25), axis=0, mode="nearest"))


CHANGES: Final = MappingProxyType(
    {
        "noise": noise,
        "shading": shading,
        "half a pixel": fraction_of_a_pixel,
        "millimetres": some_millimetres,
        "rotation": rotation,
        "thicker slices": thicker,
    }
)


@dataclass(kw_only=True)
class Repeats:
    """Values of one measure: a row for each stack, a column for each analysis, first the unchanged."""

    rows: list[list[float]] = field(default_factory=list)

    @property
    def within_sd(self) -> float:
        """Standard deviation of repeated values of one stack, pooled over stacks."""
        return float(np.sqrt(np.mean([np.var(row, ddof=1) for row in self.rows])))

    @property
    def within_cv(self) -> float:
        """The same as a share of the value: from the spread of its logarithm."""
        logs = [np.log(np.maximum(row, 1e-6)) for row in self.rows]
        return float(np.sqrt(np.mean([np.var(row, ddof=1) for row in logs])))

    @property
    def icc(self) -> float:
        """ICC(1,1) of Shrout and Fleiss 1979; it depends on how much the stacks differ."""
        table = np.array(self.rows)
        number = table.shape[1]
        between = number * float(np.var(table.mean(axis=1), ddof=1))
        within = float(np.mean(np.var(table, axis=1, ddof=1)))
        return (between - within) / (between + (number - 1) * within)

    def by_change(self, index: int) -> float:
        """What one change alone brings: spread of its difference from the first value, over root 2."""
        differences = np.array([row[index] - row[0] for row in self.rows])
        return float(np.sqrt(np.mean(differences**2) / 2.0))


def values(measures: Measures) -> dict[tuple[str, str], float] | None:
    """IMAT share and lean volume of each side; None where one was not measured."""
    found: dict[tuple[str, str], float] = {}
    for side in SIDES:
        own = getattr(measures, side)
        if own.imat_fraction is None or not own.lmm_ml:
            return None
        found["imat_fraction", side], found["lmm", side] = own.imat_fraction, own.lmm_ml
    return found


def repeat(
    volume: Volume, contrast: str, segmenter: OnnxSegmenter, seed: int
) -> dict[tuple[str, str], list[float]] | None:
    """The stack as it is, then after every change; None where one analysis gave no number."""
    rng = np.random.default_rng([58_008, seed])
    stacks = [volume, *(change(volume, rng) for change in CHANGES.values())]
    found = [values(analyse(stack, contrast, segmenter).measures) for stack in stacks]
    if any(one is None for one in found):
        return None
    return {key: [one[key] for one in found if one is not None] for key in found[0] or {}}


def stacks(contrast: str, volumes: int, person: Person | None) -> Iterator[Volume]:
    """Synthetic stacks of one contrast, and the volunteer where that contrast can be made of him."""
    for index in range(volumes):
        yield draw_volume(FIRST_SEED + index, contrast).volume
    if person is not None and contrast in TUM_CONTRASTS:
        whole = person.volume(contrast)
        few = slice(4, 28, 3)
        yield Volume(
            values=whole.values[few], grid=replace(whole.grid, origins_mm=whole.grid.origins_mm[few])
        )


def measure(
    contrast: str, volumes: int, person: Person | None, segmenter: OnnxSegmenter
) -> dict[tuple[str, str], Repeats]:
    """Repeats of every measure and side on one contrast."""
    result = {(name, side): Repeats() for name in ("imat_fraction", "lmm") for side in SIDES}
    for seed, volume in enumerate(stacks(contrast, volumes, person)):
        own = repeat(volume, contrast, segmenter, seed)
        if own is None:
            print(f"  {contrast}: stack {seed} was withheld after a change and is left out")
            continue
        for key, row in own.items():
            result[key].rows.append(row)
    return result


def report(contrast: str, result: dict[tuple[str, str], Repeats]) -> list[str]:
    """Print one contrast and give its lines for the card."""
    print(contrast)
    for side in SIDES:
        imat, lean = result["imat_fraction", side], result["lmm", side]
        print(
            f"  {side:5s}  IMAT sd {100 * imat.within_sd:.2f} points, ICC {imat.icc:.3f};  "
            f"lean volume CV {100 * lean.within_cv:.2f} %, ICC {lean.icc:.3f}",
            flush=True,
        )
    total = result["imat_fraction", "total"]
    parts = [f"{name} {100 * total.by_change(k):.2f}" for k, name in enumerate(CHANGES, start=1)]
    print("  IMAT sd by change, points: " + ", ".join(parts))
    lines = [
        f"[quality.repeatability.{contrast}]",
        f"stacks = {len(total.rows)}",
        f"analyses = {len(CHANGES) + 1}",
    ]
    for side in SIDES:
        end = "" if side == "total" else f"_{side}"
        lines.append(f"imat_fraction_sd{end} = {result['imat_fraction', side].within_sd:.4f}")
        lines.append(f"lmm_cv{end} = {result['lmm', side].within_cv:.4f}")
    lines.append(f"imat_fraction_icc = {total.icc:.3f}")
    lines.append(f"lmm_icc = {result['lmm', 'total'].icc:.3f}")
    return lines


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder that holds tum01/: the volunteer is repeated too")
    parser.add_argument("--network", type=Path, required=True, help="folder with card.toml")
    parser.add_argument("--volumes", type=int, default=6, help="synthetic stacks of each contrast")
    parser.add_argument("--toml", type=Path, help="write the numbers for the card here")
    given = parser.parse_args()
    segmenter = OnnxSegmenter(read_card(given.network))
    person = Person.read(given.data) if given.data else None
    lines: list[str] = []
    for contrast in CONTRASTS:
        lines += report(contrast, measure(contrast, given.volumes, person, segmenter))
    if given.toml:
        given.toml.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
