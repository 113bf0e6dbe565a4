"""The mask: which voxel is lean muscle or intermuscular fat, on which side of the patient."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from service.core.compartment import Compartment
from service.core.volume import Grid


class Label(IntEnum):
    """Voxel classes of a mask; the sides are the patient's."""

    BACKGROUND = 0
    LEAN_LEFT = 1
    LEAN_RIGHT = 2
    IMAT_LEFT = 3
    IMAT_RIGHT = 4


#: The colours that the SEG recommends (service/dicom/codes.py): muscle and body fat as dcmqi shows
#: them, the right side at 80 % brightness.
COLOURS: Final = {
    Label.LEAN_LEFT: (192, 104, 88),
    Label.LEAN_RIGHT: (153, 83, 70),
    Label.IMAT_LEFT: (230, 220, 70),
    Label.IMAT_RIGHT: (184, 176, 56),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Mask:
    """Labels of one stack on its own grid.

    Without ``fat_separated`` the contrast could not tell fat from muscle: the two LEAN labels then
    stand for the whole compartment, and there are no IMAT voxels.
    """

    #: ``Label`` values, uint8, shape ``grid.shape``.
    labels: NDArray[np.uint8]
    grid: Grid
    fat_separated: bool


def two_class_mask(compartment: NDArray[np.uint8], fat: NDArray[np.bool_] | None, grid: Grid) -> Mask:
    """The mask of a compartment (``Compartment`` values) and its fat; ``fat`` None: it could not be told."""
    labels = np.zeros(compartment.shape, dtype=np.uint8)
    for side, lean, imat in (
        (Compartment.LEFT, Label.LEAN_LEFT, Label.IMAT_LEFT),
        (Compartment.RIGHT, Label.LEAN_RIGHT, Label.IMAT_RIGHT),
    ):
        labels[compartment == side] = lean
        if fat is not None:
            labels[(compartment == side) & fat] = imat
    return Mask(labels=labels, grid=grid, fat_separated=fat is not None)


def without_fat(mask: Mask) -> Mask:
    """The same compartment, of which nobody can tell what is fat."""
    labels = mask.labels.copy()
    labels[labels == Label.IMAT_LEFT] = Label.LEAN_LEFT
    labels[labels == Label.IMAT_RIGHT] = Label.LEAN_RIGHT
    return Mask(labels=labels, grid=mask.grid, fat_separated=False)
