"""How far the drawing of the network and that of a person agree in one case."""

import numpy as np
from numpy.typing import NDArray

from service.core.finding import SegmentAgreement
from service.core.mask import Label, Mask
from service.core.measure import contents_of, label_volumes_ml


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float | None:
    """Twice what both have over what each has; None where neither has anything."""
    sizes = int(one.sum()) + int(other.sum())
    return 2.0 * int((one & other).sum()) / sizes if sizes else None


def segment_agreement(automatic: Mask, edited: Mask, *, volumes: bool) -> tuple[SegmentAgreement, ...]:
    """Each segment of both masks, which lie on one grid; without ``volumes`` (a block) these are None."""
    before, after = (label_volumes_ml(contents_of(mask)) for mask in (automatic, edited))
    return tuple(
        SegmentAgreement(
            segment=label.name.lower(),
            dice=dice(automatic.labels == label, edited.labels == label),
            automatic_ml=before.get(label) if volumes else None,
            edited_ml=after.get(label) if volumes else None,
        )
        for label in Label
        if label in before or label in after
    )


def shares_a_slice(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Whether any segment of any slice is the same in both drawings, voxel for voxel."""
    for label in (label for label in Label if label is not Label.BACKGROUND):
        mine, its = one == label, other == label
        same = (mine == its).all(axis=(1, 2)) & mine.any(axis=(1, 2))
        if same.any():
            return True
    return False
