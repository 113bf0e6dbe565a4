"""Pictures to look at: contours of the network's answer on images.

python -m models.training.overlay --data DIR --network FILE --threshold T --out DIR
"""

import argparse
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from models.training.predict import Predictor, decide, keep_largest
from models.training.real import TUM_CONTRASTS, load_tum01
from models.training.tissues import Codes
from service.dicom.phantom import paraspinal_phantom

#: The clinical pictures come without spacing; assumed by us from the usual field of view.
PNG_PIXEL_MM: Final = 0.66
#: Axial slices among the clinical pictures: typical ones, and ones with saturation bands, thick fat or ilium.
PNG_NUMBERS: Final = (1, 3, 4, 12, 17, 19, 20, 22, 27, 28, 31, 35, 36, 48, 65, 68)


def contours(image: NDArray[np.floating], label: Codes) -> NDArray[np.uint8]:
    """Grey picture with the patient's right in red and left in green."""
    level = max(float(np.percentile(image, 99.5)), 1e-6)
    grey = np.clip(image / level * 255, 0, 255).astype(np.uint8)
    picture = np.repeat(grey[..., None], 3, axis=2)
    for side, colour in ((1, (255, 40, 40)), (2, (40, 255, 40))):
        mask = label == side
        picture[mask & ~ndimage.binary_erosion(mask)] = colour
    return picture


def sheet(tiles: list[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    """Pictures of one size in rows."""
    height = max(t.shape[0] for t in tiles)
    width = max(t.shape[1] for t in tiles)
    padded = [np.pad(t, ((0, height - t.shape[0]), (0, width - t.shape[1]), (0, 0))) for t in tiles]
    padded += [np.zeros_like(padded[0])] * (-len(padded) % columns)
    rows = [np.hstack(padded[k : k + columns]) for k in range(0, len(padded), columns)]
    return np.vstack(rows)


def tum_sheet(predictor: Predictor, data: Path, threshold: float) -> NDArray[np.uint8]:
    """Three slices in every contrast; the last row shows the mask drawn by hand."""
    water, fat, truth, pixel_mm = load_tum01(data / "tum01")
    chosen = (1, 8, 15, 22, 28)
    tiles = []
    for a, b in TUM_CONTRASTS.values():
        stack = np.abs(a * water + b * fat)
        label = keep_largest(decide(predictor.stack_chances(stack, pixel_mm), threshold))
        tiles += [contours(stack[k], label[k])[60:, 30:370] for k in chosen]
    tiles += [contours((0.6 * water + fat)[k], truth[k])[60:, 30:370] for k in chosen]
    return sheet(tiles, len(chosen))


def png_sheet(predictor: Predictor, data: Path, threshold: float) -> NDArray[np.uint8]:
    """Clinical pictures at an assumed spacing; their sides are not known."""
    tiles = []
    for number in PNG_NUMBERS:
        path = data / "clinical_png" / f"with_pain_spine_{number:04d}.png"
        image = np.asarray(Image.open(path).convert("L"), np.float32)
        chances = predictor.stack_chances(image[None], (PNG_PIXEL_MM, PNG_PIXEL_MM))
        tiles.append(contours(image, decide(chances, threshold)[0]))
    return sheet(tiles, 4)


def phantom_sheet(predictor: Predictor, threshold: float) -> NDArray[np.uint8]:
    """The drawn phantom in the measured contrasts."""
    tiles = []
    for contrast in ("t2_tse", "t1", "in_phase", "water"):
        phantom = paraspinal_phantom(contrast=contrast, slices=6)
        chances = predictor.stack_chances(phantom.image.astype(np.float32), (1.0, 1.0))
        label = decide(chances, threshold)
        tiles += [contours(phantom.image[k].astype(np.float32), label[k]) for k in (0, 2, 5)]
    return sheet(tiles, 6)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Contours of the network's answer on images.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("--threshold", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    predictor = Predictor(given.network)
    sheets = {
        "tum01": tum_sheet(predictor, given.data, given.threshold),
        "clinical": png_sheet(predictor, given.data, given.threshold),
        "phantom": phantom_sheet(predictor, given.threshold),
    }
    for name, picture in sheets.items():
        Image.fromarray(picture).save(given.out / f"{name}.png")


if __name__ == "__main__":
    main()
