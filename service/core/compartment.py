"""Cleaning of the paraspinal compartment that a network has drawn."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

#: Version of everything between the network's answer and the mask; part of the SEG's identity.
POSTPROCESSING_VERSION = "1"


class Compartment(IntEnum):
    """Classes of the network's answer; the sides are the patient's."""

    BACKGROUND = 0
    LEFT = 1
    RIGHT = 2


def clean_compartment(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Each side reduced to its largest connected piece, with holes filled in every slice.

    Precedent for the largest piece: LPM_Segmentator (Zhang 2025, 10.1148/ryai.240833). Holes are
    filled because a pocket of fat inside the fascia belongs to the compartment.
    """
    cleaned = np.zeros_like(labels)
    for side in (Compartment.LEFT, Compartment.RIGHT):
        piece = _largest_piece(labels == side)
        for index in range(len(piece)):
            filled = fill_holes(piece[index])
            cleaned[index][filled & (cleaned[index] == Compartment.BACKGROUND)] = side
    return cleaned


def fill_holes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """One slice with everything filled that does not reach the border of the image.

    What ``scipy.ndimage.binary_fill_holes`` does, from one labelling instead of many dilations.
    """
    outside, _count = ndimage.label(~mask)
    border = np.concatenate([outside[0], outside[-1], outside[:, 0], outside[:, -1]])
    open_labels = np.unique(border[border > 0])
    filled: NDArray[np.bool_] = mask | ~np.isin(outside, open_labels)
    return filled


def _largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest face-connected piece, or nothing."""
    pieces, count = ndimage.label(mask)
    if count <= 1:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    largest: NDArray[np.bool_] = pieces == int(sizes.argmax())
    return largest


def agreement(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Dice coefficient; 1 where both are empty."""
    total = int(one.sum()) + int(other.sum())
    return 1.0 if total == 0 else 2.0 * int((one & other).sum()) / total
