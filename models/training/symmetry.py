"""Whether the answer keeps to the patient: mirrored images, and stacks stored along other axes."""

import itertools
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from models.training.chain import analyse, draw, side_dice
from models.training.evaluate import Person, swapped_voxels
from service.core.compartment import agreement
from service.core.finding import SideMeasures
from service.core.volume import Grid, Volume
from service.errors import NotEligible
from service.inference.segmenter import OnnxSegmenter

#: Slices that are stored in every axis order: enough for two sides and several levels.
_ORDER_SLICES: Final = slice(2, 27, 8)


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """How a mirrored image is answered: least Dice of the sides, most change of the IMAT share."""

    dice: float
    imat_points: float


def mirror(volume: Volume, contrast: str, segmenter: OnnxSegmenter) -> Mirror:
    """The mirrored image must give the mirrored answer with its sides exchanged."""
    plain = analyse(volume, contrast, segmenter)
    flipped = Volume(values=np.ascontiguousarray(volume.values[:, :, ::-1]), grid=volume.grid)
    other = analyse(flipped, contrast, segmenter)
    exchanged = other.compartment[:, :, ::-1]
    truth = np.array([0, 2, 1], np.uint8)[plain.compartment]
    overlaps = [agreement(exchanged == number, truth == number) for number in (1, 2)]
    one, two = plain.measures, other.measures
    points = [_imat_points(one.left, two.right), _imat_points(one.right, two.left)]
    return Mirror(dice=min(overlaps), imat_points=max(points))


def _imat_points(one: SideMeasures, other: SideMeasures) -> float:
    """Difference of two sides' shares, in points; 0 where neither was measured."""
    if one.imat_fraction is None or other.imat_fraction is None:
        return 0.0
    return 100.0 * abs(one.imat_fraction - other.imat_fraction)


@dataclass(kw_only=True)
class Orders:
    """What came of a stack stored in all 48 axis orders."""

    axial: int = 0
    same: int = 0
    refused: int = 0
    swapped: int = 0
    #: Least Dice of a side against truth over the axial orders.
    least_dice: float = 1.0


def stored(volume: Volume, axes: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> Volume:
    """The same voxels at the same places, stored with other axes in another direction."""
    grid = volume.grid
    steps = np.stack(
        [
            (grid.origins_mm[-1] - grid.origins_mm[0]) / (len(grid.origins_mm) - 1),
            grid.row_direction * grid.pixel_spacing_mm[0],
            grid.column_direction * grid.pixel_spacing_mm[1],
        ]
    )[list(axes)]
    values = volume.values.transpose(axes)
    origin = grid.origins_mm[0].copy()
    for axis, flip in enumerate(flips):
        if flip:
            origin = origin + steps[axis] * (values.shape[axis] - 1)
            steps[axis] = -steps[axis]
            values = np.flip(values, axis)
    spacing = np.linalg.norm(steps, axis=1)
    other = Grid(
        origins_mm=origin + np.arange(len(values))[:, None] * steps[0],
        row_direction=steps[1] / spacing[1],
        column_direction=steps[2] / spacing[2],
        pixel_spacing_mm=(float(spacing[1]), float(spacing[2])),
        rows=values.shape[1],
        columns=values.shape[2],
        slice_thickness_mm=float(spacing[0]),
    )
    return Volume(values=np.ascontiguousarray(values), grid=other)


def unstored(values: np.ndarray, axes: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> np.ndarray:
    """Back to the first order."""
    for axis, flip in enumerate(flips):
        if flip:
            values = np.flip(values, axis)
    return values.transpose(np.argsort(axes))


def axis_orders(person: Person, segmenter: OnnxSegmenter) -> Orders:
    """16 of the 48 orders keep axial slices and must give one answer; of the others no slice is axial."""
    whole = person.volume("t2_tse")
    grid = replace(person.grid, origins_mm=person.grid.origins_mm[_ORDER_SLICES])
    volume = Volume(values=whole.values[_ORDER_SLICES], grid=grid)
    side = person.side[_ORDER_SLICES]
    expected = draw(volume, segmenter)
    result = Orders()
    for axes in itertools.permutations((0, 1, 2)):
        for flips in itertools.product((False, True), repeat=3):
            other = stored(volume, axes, flips)
            if axes[0] != 0:
                result.refused += _refused(other, segmenter)
                continue
            found = unstored(draw(other, segmenter), axes, flips)
            result.axial += 1
            result.same += bool(np.array_equal(found, expected))
            result.swapped += swapped_voxels(found, side)
            result.least_dice = min(result.least_dice, *side_dice(found, side).values())
    return result


def _refused(volume: Volume, segmenter: OnnxSegmenter) -> bool:
    """Whether the service refuses to run the network on slices of another plane."""
    few = Volume(values=volume.values[:1], grid=replace(volume.grid, origins_mm=volume.grid.origins_mm[:1]))
    try:
        segmenter.segment(few)
    except NotEligible:
        return True
    return False
