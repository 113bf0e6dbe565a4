"""The exported network applied to images, as the service applies it."""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from scipy import ndimage

from models.training.contrast import normalise
from models.training.tissues import PIXEL_MM, Bools, Codes, Floats

PAD_MULTIPLE = 32


class Predictor:
    """A session with flip averaging."""

    def __init__(self, path: Path) -> None:
        self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def chances(self, images: Floats) -> Floats:
        """Probabilities (n, 3, rows, columns) of normalised images (n, rows, columns) at 1.25 mm.

        Each image is seen as it is and mirrored; in the mirrored answer the sides are swapped back.
        """
        count, rows, columns = images.shape
        padding = ((0, 0), (0, -rows % PAD_MULTIPLE), (0, -columns % PAD_MULTIPLE))
        padded = np.pad(images, padding)[:, None]
        result = np.empty((count, 3, rows, columns), np.float32)
        for index in range(count):
            one = padded[index : index + 1]
            straight = self._session.run(None, {"image": one})[0]
            mirrored = self._session.run(None, {"image": np.ascontiguousarray(one[..., ::-1])})[0]
            both = (straight + mirrored[..., ::-1][:, [0, 2, 1]]) / 2
            result[index] = both[0, :, :rows, :columns]
        return result

    def stack_chances(self, stack: NDArray[np.floating], spacing_mm: tuple[float, float]) -> Floats:
        """Probabilities (n, 3, rows, columns) on the grid of a canonical stack of any pixel size."""
        factors = (1.0, spacing_mm[0] / PIXEL_MM, spacing_mm[1] / PIXEL_MM)
        small = ndimage.zoom(stack.astype(np.float32), factors, order=1, grid_mode=True, mode="nearest")
        chances = self.chances(np.stack([normalise(plane) for plane in small]))
        back = (1.0, 1.0, stack.shape[1] / small.shape[1], stack.shape[2] / small.shape[2])
        large: Floats = ndimage.zoom(chances, back, order=1, grid_mode=True, mode="nearest")
        return large


def decide(chances: Floats, threshold: float) -> Codes:
    """0 background, 1 right, 2 left: foreground above the threshold, then the likelier side."""
    foreground = 1.0 - chances[:, 0] > threshold
    side = np.where(chances[:, 1] >= chances[:, 2], 1, 2)
    return np.where(foreground, side, 0).astype(np.uint8)


def keep_largest(label: Codes) -> Codes:
    """Only the largest connected piece of each side."""
    kept = np.zeros_like(label)
    for side in (1, 2):
        pieces, count = ndimage.label(label == side)
        if count:
            sizes = np.bincount(pieces.ravel())
            sizes[0] = 0
            kept[pieces == sizes.argmax()] = side
    return kept


def dice(first: Bools, second: Bools) -> float:
    """Overlap of two masks, 1 for two empty ones."""
    total = int(first.sum()) + int(second.sum())
    return 1.0 if total == 0 else 2.0 * int((first & second).sum()) / total
