"""What the exported network does on images it was not trained on.

The decision threshold is chosen on synthetic slices. The volunteer of ``tum01`` is only measured.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import nibabel
import numpy as np
from numpy.typing import NDArray

from models.training.contrast import render
from models.training.fat_method import fat_mask
from models.training.generate import build_pool
from models.training.predict import Predictor, decide, dice, keep_largest
from models.training.tissues import Codes, Floats
from service.dicom.phantom import PhantomLabel, paraspinal_phantom

SIDES: Final = {"right": 1, "left": 2}
#: Contrasts that are measured, by the id that the card uses, as weights of Dixon water and fat.
TUM_CONTRASTS: Final[dict[str, tuple[float, float]]] = {
    "t2_tse": (0.6, 1.0),
    "t1": (0.8, 1.0),
    "in_phase": (1.0, 1.0),
    "water": (1.0, 0.0),
    "fat": (0.0, 1.0),
    "opposed": (1.0, -1.0),
}
_SYNTHETIC: Final = ("t2", "t1", "in_phase", "water", "fat", "opposed")
#: The threshold is chosen for the contrasts in which fat is separated.
_MEASURED: Final = ("t2", "t1", "in_phase", "water")
_THRESHOLDS: Final = tuple(round(0.30 + 0.05 * k, 2) for k in range(13))
_VALIDATION_ANATOMIES: Final = 80
_PHANTOM_SEEDS: Final = (1, 2)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Agreement on one test set, contrast and side."""

    contrast: str
    side: str
    dice: float
    volume_ratio: float


@dataclass(frozen=True, kw_only=True)
class PhantomCell:
    """Measured over true volume of one phantom and side."""

    contrast: str
    seed: int
    side: str
    lean_ratio: float
    fat_ratio: float


@dataclass(kw_only=True)
class Report:
    """All measured numbers of one network."""

    threshold: float
    synthetic: list[Cell] = field(default_factory=list)
    tum01: list[Cell] = field(default_factory=list)
    phantom: list[PhantomCell] = field(default_factory=list)
    #: Voxels of tum01 given to the other side, over all contrasts.
    side_swap_voxels: int = 0

    def lines(self) -> Iterator[str]:
        """The numbers as text."""
        yield f"threshold {self.threshold}"
        for name, cells in (("synthetic", self.synthetic), ("tum01", self.tum01)):
            for c in cells:
                yield f"{name} {c.contrast} {c.side} dice {c.dice:.3f} volume x{c.volume_ratio:.2f}"
        yield f"tum01 side swaps {self.side_swap_voxels}"
        for p in self.phantom:
            yield f"phantom {p.seed} {p.contrast} {p.side} lean x{p.lean_ratio:.3f} fat x{p.fat_ratio:.3f}"


def evaluate(network: Path, data: Path, *, seed: int) -> Report:
    """Choose the threshold, then measure everything."""
    predictor = Predictor(network)
    report = _synthetic(predictor, data, seed)
    if (data / "tum01").is_dir():
        _tum01(predictor, data / "tum01", report)
    report.phantom = [
        cell
        for phantom_seed in _PHANTOM_SEEDS
        for contrast in ("t2_tse", "t2_haste", "t1", "in_phase", "water")
        for cell in _phantom(predictor, contrast, phantom_seed, report.threshold)
    ]
    return report


def _synthetic(predictor: Predictor, data: Path, seed: int) -> Report:
    """New synthetic slices: the best threshold and the agreement with it."""
    pool = build_pool(data, _VALIDATION_ANATOMIES, seed + 100_000)
    rng = np.random.default_rng(seed + 100_000)
    chances: dict[str, list[Floats]] = {c: [] for c in _SYNTHETIC}
    truths: dict[str, list[Codes]] = {c: [] for c in _SYNTHETIC}
    for index in range(len(pool)):
        contrast = _SYNTHETIC[index % len(_SYNTHETIC)]
        sample = pool.sample(index)
        chances[contrast].append(predictor.chances(render(sample, rng, contrast)[None])[0])
        truths[contrast].append(sample.label)
    stacked = {c: (np.stack(chances[c]), np.stack(truths[c])) for c in _SYNTHETIC}
    scores = []
    for threshold in _THRESHOLDS:
        cells = [_cells(decide(stacked[c][0], threshold), stacked[c][1], c) for c in _MEASURED]
        scores.append(np.mean([cell.dice for group in cells for cell in group]))
    report = Report(threshold=_THRESHOLDS[int(np.argmax(scores))])
    for contrast in _SYNTHETIC:
        report.synthetic += _cells(
            decide(stacked[contrast][0], report.threshold), stacked[contrast][1], contrast
        )
    return report


def _cells(label: Codes, truth: Codes, contrast: str) -> list[Cell]:
    """Agreement over all pixels of each side."""
    return [
        Cell(
            contrast=contrast,
            side=side,
            dice=dice(label == number, truth == number),
            volume_ratio=float((label == number).sum() / max(1, int((truth == number).sum()))),
        )
        for side, number in SIDES.items()
    ]


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
    return stacks[0], stacks[1], sides, (1.0185, 1.0185)


def _tum01(predictor: Predictor, folder: Path, report: Report) -> None:
    """The volunteer, with contrasts made from Dixon water and fat."""
    water, fat, truth, pixel_mm = load_tum01(folder)
    for contrast, (a, b) in TUM_CONTRASTS.items():
        chances = predictor.stack_chances(np.abs(a * water + b * fat), pixel_mm)
        label = keep_largest(decide(chances, report.threshold))
        report.tum01 += _cells(label, truth, contrast)
        swapped = ((label == 1) & (truth == 2)) | ((label == 2) & (truth == 1))
        report.side_swap_voxels += int(swapped.sum())


def _phantom(predictor: Predictor, contrast: str, seed: int, threshold: float) -> list[PhantomCell]:
    """Network and fat method together on a drawn phantom."""
    phantom = paraspinal_phantom(contrast=contrast, seed=seed)
    image = phantom.image.astype(np.float32)
    pixel_mm = (phantom.spacing_mm[1], phantom.spacing_mm[2])
    label = keep_largest(decide(predictor.stack_chances(image, pixel_mm), threshold))
    fat = np.stack([_fat(image[k], label[k], pixel_mm[0], contrast) for k in range(len(image))])
    truth = {
        "right": (PhantomLabel.LEAN_RIGHT, PhantomLabel.FAT_RIGHT),
        "left": (PhantomLabel.LEAN_LEFT, PhantomLabel.FAT_LEFT),
    }
    return [
        PhantomCell(
            contrast=contrast,
            seed=seed,
            side=side,
            lean_ratio=_ratio((label == number) & ~fat, phantom.labels == truth[side][0]),
            fat_ratio=_ratio((label == number) & fat, phantom.labels == truth[side][1]),
        )
        for side, number in SIDES.items()
    ]


def _fat(image: Floats, label: Codes, pixel_mm: float, contrast: str) -> NDArray[np.bool_]:
    """Fat of one slice by the method of its contrast."""
    return fat_mask(image, label > 0, pixel_mm, bright=contrast != "water")


def _ratio(measured: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Measured over true voxels."""
    return float(measured.sum() / true.sum())
