"""The fat fraction of a Dixon pair: fat signal over water and fat signal, voxel by voxel.

It is weighted by signal (T1, T2* and the coil act on water and fat alike or nearly so), so it is the
signal fat fraction of a two-point Dixon and no proton density fat fraction.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.core.compartment import Compartment, fill_holes
from service.core.fat import BODY_LEVEL
from service.core.finding import QualityCheck
from service.core.volume import Volume
from service.errors import NotAssessable

#: Name of the method in the definition of a result, and its version in the identity of the SEG.
METHOD: Final = "dixon_fat_fraction"
METHOD_VERSION: Final = "1"
#: What the signal fat fraction is compared by: as people measure it everywhere, by any boundary of the same
#: muscles, so that published tables apply. Id and version, as norm tables name them.
SIGNAL_DEFINITION: Final = ("paraspinal-signal-fat-fraction", "1")
#: IMAT is what is more than half fat: the two-class definition itself, and the working definition of the
#: expert-labelled Dixon case that the network is tested on (MyoSegmenTUM, 10.1186/s12891-019-2528-x).
IMAT_ABOVE: Final = 0.5
#: Chosen by us between what the volunteer of MyoSegmenTUM shows (subcutaneous fat 0.96, muscle 0.05) and
#: what he shows with the images exchanged (0.25 and 0.85). One image scaled by hand: found from a factor
#: of about eight (fat too bright) or ten (fat too dark) on. Smaller factors cannot be told from tissue.
SUBCUTANEOUS_AT_LEAST: Final = 0.7
MUSCLE_AT_MOST: Final = 0.3
#: The leanest quarter of each side stands for muscle: also where half of a side is fat it is muscle still.
MUSCLE_PERCENTILE: Final = 25.0
#: The fattest part of the band below the skin stands for fat: in lean people fascia and muscle lie in it.
SUBCUTANEOUS_PERCENTILE: Final = 80.0


@dataclass(frozen=True, kw_only=True, eq=False)
class DixonVolume:
    """The water and the fat image of one acquisition, on one grid and one scale."""

    water: Volume
    fat: Volume

    def __post_init__(self) -> None:
        """Refuse images that do not fit each other voxel for voxel."""
        if self.water.values.shape != self.fat.values.shape:
            raise NotAssessable("Water and fat image differ in size.", reason="shape_mismatch")

    @property
    def fat_signal(self) -> NDArray[np.float32]:
        """The fat image; negative values count as no signal."""
        positive: NDArray[np.float32] = np.clip(self.fat.values, 0.0, None)
        return positive

    @cached_property
    def fraction(self) -> NDArray[np.float32]:
        """Fat over water and fat from 0 to 1, and 0 where there is no signal at all."""
        total = self.in_phase.values
        share: NDArray[np.float32] = np.divide(
            self.fat_signal, total, out=np.zeros(total.shape, np.float32), where=total > 0
        )
        return share

    @cached_property
    def in_phase(self) -> Volume:
        """Water and fat together, as at an in-phase echo, on the grid of the water image."""
        total = np.clip(self.water.values, 0.0, None) + self.fat_signal
        return Volume(values=total, grid=self.water.grid)


def is_fat(pair: DixonVolume, compartment: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Voxels of the compartment (``Compartment`` values) that are more than half fat."""
    found: NDArray[np.bool_] = (compartment != Compartment.BACKGROUND) & (pair.fraction > IMAT_ABOVE)
    return found


def check_water_and_fat(
    fraction: NDArray[np.float32],
    total: NDArray[np.float32],
    compartment: NDArray[np.uint8],
    spacing_mm: tuple[float, float],
    band_mm: tuple[float, float],
) -> QualityCheck:
    """Whether fat is fat and muscle is water: not where the images are exchanged or scaled apart.

    Slices are canonical: row 0 anterior, column 0 patient right. ``total`` is water and fat together,
    ``band_mm`` the depth below the skin of the back in which subcutaneous fat lies. Exchanged images on
    one side only are found by the muscle of that side.
    """
    muscle = [
        float(np.percentile(fraction[compartment == side], MUSCLE_PERCENTILE))
        for side in (Compartment.LEFT, Compartment.RIGHT)
        if bool((compartment == side).any())
    ]
    beneath_skin = _subcutaneous(fraction, total, compartment != Compartment.BACKGROUND, spacing_mm, band_mm)
    fat = float(np.percentile(beneath_skin, SUBCUTANEOUS_PERCENTILE)) if len(beneath_skin) else None
    told = ", ".join(f"{value:.2f}" for value in muscle)
    detail = (
        f"Fat fraction of muscle {told} (left, right; at most {MUSCLE_AT_MOST}), "
        "no subcutaneous fat in view to compare with."
        if fat is None
        else f"Fat fraction of muscle {told} (left, right; at most {MUSCLE_AT_MOST}), "
        f"of subcutaneous fat {fat:.2f} (at least {SUBCUTANEOUS_AT_LEAST})."
    )
    passed = all(value <= MUSCLE_AT_MOST for value in muscle) and (
        fat is None or fat >= SUBCUTANEOUS_AT_LEAST
    )
    if not passed:
        detail += " Water and fat are exchanged, or not on one scale."
    return QualityCheck(check="water_fat_swap", passed=passed, detail=detail)


def _subcutaneous(
    fraction: NDArray[np.float32],
    total: NDArray[np.float32],
    inside: NDArray[np.bool_],
    spacing_mm: tuple[float, float],
    band_mm: tuple[float, float],
) -> NDArray[np.float32]:
    """Fat fractions in the band below the skin behind the muscles, of all slices together."""
    found = [np.empty(0, np.float32)]
    for share, image, muscle in zip(fraction, total, inside, strict=True):
        if not muscle.any():
            continue
        rows, columns = np.nonzero(muscle)
        first = int(np.median(rows))
        # Only what lies behind the middle of the muscles; the upper edge of that part is no skin.
        body = np.pad(_body(image)[first:], ((0, 1), (1, 1)))
        depth = ndimage.distance_transform_edt(body, sampling=spacing_mm)[:-1, 1:-1]
        band = (depth >= band_mm[0]) & (depth <= band_mm[1]) & ~muscle[first:]
        across = slice(columns.min(), columns.max() + 1)
        found.append(share[first:, across][band[:, across]])
    return np.concatenate(found)


def _body(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The largest filled object that is not air."""
    objects, _count = ndimage.label(image > BODY_LEVEL * float(np.percentile(image, 99)))
    sizes = np.bincount(objects.ravel())
    sizes[0] = 0
    return fill_holes(objects == int(sizes.argmax()))
