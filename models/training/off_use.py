"""Images outside the use: none may be measured, whatever their headers say; and axial ones should be.

Everything here goes the service's way as a stack of one slice that claims to be axial.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pydicom
from PIL import Image
from scipy import ndimage

from models.training.noise import smooth
from models.training.overlay import PNG_PIXEL_MM
from models.training.quality_cases import Observer, upright_grid, volunteer_stacks
from models.training.tissues import PIXEL_MM, Floats
from service.core.compartment import clean_compartment
from service.core.finding import QualityCheck
from service.core.predictor import Predictor, gather
from service.core.quality import check_compartment
from service.core.volume import Volume

#: Classes of the pictures in clinical_png, judged by eye on a sheet of them all, by the group in the file
#: name; what is in neither list is sagittal.
AXIAL: Final[dict[str, tuple[int, ...]]] = {
    "with_pain": (
        *(1, 3, 4, 6, 7, 12, 17, 18, 19, 20, 22, 23, 24, 25, 27, 28, 31, 33, 34, 35, 36, 38, 42, 43),
        *(47, 48, 49, 50, 56, 57, 58, 64, 65, 66, 68),
    ),
    "without_pain": (
        *(0, 4, 5, 7, 10, 12, 13, 15, 20, 21, 22, 23, 26, 29, 30, 32, 38, 39, 47, 53, 58, 59, 61, 62, 63, 64),
    ),
}
CORONAL: Final[dict[str, tuple[int, ...]]] = {
    "with_pain": (13, 37, 39, 46, 61, 63, 69),
    "without_pain": (2, 17, 25, 28, 35),
}
_DICOM: Final = {"ct_lumbar.dcm": "CT", "mr_coronal_abdomen.dcm": "coronal", "mr_axial_t2_tse.dcm": "axial"}
_DRAWN: Final = 12


@dataclass(frozen=True, eq=False)
class Picture:
    """One image of a class; the axial class is inside the use."""

    kind: str
    name: str
    image: Floats
    pixel_mm: float


def pictures(data: Path) -> Iterator[Picture]:
    """All of them."""
    yield from _clinical(data / "clinical_png")
    yield from _dicom(data / "dicom")
    rng = np.random.default_rng(1)
    for index in range(_DRAWN):
        for kind, draw in (("noise", _noise), ("head", _head), ("knee", _knee)):
            yield Picture(kind, str(index), draw(rng), PIXEL_MM)
    for stack in volunteer_stacks(data):
        for index, image in enumerate(stack.images[::2]):
            for kind, turned in _turned(image):
                yield Picture(kind, f"tum01 {index}", turned, stack.pixel_mm)


def _clinical(folder: Path) -> Iterator[Picture]:
    """The clinical pictures as they are, and the axial ones turned."""
    for group, axial in AXIAL.items():
        for path in sorted(folder.glob(f"{group}_spine_*.png")):
            number = int(path.stem[-4:])
            kind = "axial" if number in axial else "coronal" if number in CORONAL[group] else "sagittal"
            image = np.asarray(Image.open(path).convert("L"), np.float32)
            yield Picture(kind, path.stem, image, PNG_PIXEL_MM)
            if kind == "axial" and number % 5 == 0:
                for turn, turned in _turned(image):
                    yield Picture(turn, path.stem, turned, PNG_PIXEL_MM)


def _turned(image: Floats) -> Iterator[tuple[str, Floats]]:
    """An axial image whose headers would name the wrong directions."""
    yield "turned 90", np.ascontiguousarray(np.rot90(image))
    yield "turned 180", np.ascontiguousarray(np.rot90(image, 2))
    yield "transposed", np.ascontiguousarray(image.T)


def _dicom(folder: Path) -> Iterator[Picture]:
    """Single objects at their own spacing, air at zero; without those that cannot be decoded here."""
    for name, kind in _DICOM.items():
        read = pydicom.dcmread(folder / name)
        try:
            image = read.pixel_array.astype(np.float32)
        except RuntimeError:
            print(f"{name} is left out: pydicom finds no decoder for its pixels (pylibjpeg).")
            continue
        yield Picture(kind, name, image - image.min(), float(read.PixelSpacing[0]))


def _noise(rng: np.random.Generator) -> Floats:
    """Nothing but noise, white or smooth."""
    shape = (224, 224)
    white = np.abs(rng.standard_normal(shape, dtype=np.float32))
    return white if rng.random() < 0.5 else np.abs(smooth(shape, (20, 20), rng)) + 0.1 * white


def _head(rng: np.random.Generator) -> Floats:
    """A drawn head: scalp, skull, brain with a midline and ventricles."""
    size = rng.uniform(60, 80)
    image = 0.9 * _disc(size, 1.2 * size)
    image[_disc(0.92 * size, 1.1 * size) > 0] = 0.05
    image[_disc(0.86 * size, 1.04 * size) > 0] = rng.uniform(0.4, 0.7)
    for side in (-1, 1):
        image[_disc(0.1 * size, 0.35 * size, across=side * 0.2 * size) > 0] = rng.uniform(0.1, 1.0)
    return _finish(image, rng)


def _knee(rng: np.random.Generator) -> Floats:
    """A drawn axial knee: fat, muscles around, bone within, patella in front."""
    size = rng.uniform(50, 65)
    image = 0.9 * _disc(size, size)
    image[_disc(0.85 * size, 0.8 * size) > 0] = 0.3
    image[_disc(0.6 * size, 0.45 * size, down=-0.1 * size) > 0] = 0.7
    image[_disc(0.3 * size, 0.14 * size, down=-0.7 * size) > 0] = 0.65
    for side in (-1, 1):
        image[_disc(0.28 * size, 0.25 * size, down=0.55 * size, across=side * 0.35 * size) > 0] = 0.25
    return _finish(image, rng)


def _disc(across_mm: float, down_mm: float, *, down: float = 0.0, across: float = 0.0) -> Floats:
    """1 within an ellipse of these half axes around the middle."""
    rows, columns = (np.indices((224, 224), np.float32) - 112) * np.float32(PIXEL_MM)
    inside = ((columns - across) / across_mm) ** 2 + ((rows - down) / down_mm) ** 2 <= 1
    return inside.astype(np.float32)


def _finish(image: Floats, rng: np.random.Generator) -> Floats:
    """Texture, blur and noise."""
    textured = image * (1 + 0.1 * smooth(image.shape, (20, 20), rng))
    blurred = ndimage.gaussian_filter(textured, 0.7)
    return np.abs(blurred + 0.02 * rng.standard_normal(image.shape, dtype=np.float32))


def verdict(observer: Observer, predictor: Predictor, picture: Picture) -> tuple[QualityCheck, ...]:
    """Every check of the service on one picture."""
    images = picture.image[None]
    grid = upright_grid(images.shape, picture.pixel_mm)
    answer = observer.segmenter.segment(Volume(values=images, grid=grid))
    drawn = clean_compartment(answer.compartment)
    assert answer.certainty is not None
    evidence = gather(answer.certainty, answer.compartment, drawn, grid, observer.shape)
    return check_compartment(drawn, grid, answer.plain, answer.mirrored, predictor.outlook(evidence))


def off_use_lines(observer: Observer, predictor: Predictor, data: Path) -> Iterator[str]:
    """What was measured of every class, and what of it should not have been."""
    outcomes: dict[str, list[tuple[bool, bool]]] = {}
    wrong: list[str] = []
    for picture in pictures(data):
        checks = verdict(observer, predictor, picture)
        failed = [check.check for check in checks if not check.passed]
        by_new = {"looks_like_axial_spine", "predicted_dice"}.intersection(failed)
        outcomes.setdefault(picture.kind, []).append((not failed, not by_new))
        if (not failed) != (picture.kind == "axial"):
            detail = next(check.detail for check in checks if check.check == "predicted_dice")
            wrong.append(f"  {picture.kind} {picture.name}: {', '.join(failed) or 'measured'}; {detail}")
    yield ""
    yield "single images that claim to be axial: class, number, measured, measured without the older checks"
    for kind, found in outcomes.items():
        both, new = (sum(column) for column in zip(*found, strict=True))
        yield f"  {kind:10} {len(found):4d} {both:4d} {new:4d}"
    yield "against expectation:"
    yield from wrong
