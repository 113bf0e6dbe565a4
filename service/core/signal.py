"""Whether muscle can be seen at all: it stands out of the noise, and no void such as metal leaves is near.

Slices are looked at as the network sees them: row 0 anterior, column 0 patient right.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.core.finding import QualityCheck
from service.core.prepare import canonical_turn
from service.core.volume import Volume

#: The leanest quarter of the compartment stands for muscle, so that fat within it does not.
MUSCLE_PERCENTILE: Final = 25.0
#: Muscle over noise below which a stack is not measured. Chosen by us, because pure noise of magnitude images
#: (Rayleigh; Gudbjartsson 1995, 10.1002/mrm.1910340618) comes to 2.0 by this measure, to 2.1 interpolated to
#: twice the matrix; 61 clinical lumbar slices of 8 bits have 3.1 to 20. With the volunteer's images made as
#: noisy as 2.3 the network drew 4 % less and fat could not be told.
MIN_MUSCLE_OVER_NOISE: Final = 2.5
#: Brighter than so many times muscle is fat, whose texture is no noise (chosen by us).
LEAN_BELOW: Final = 2.0
#: What is darker than this share of muscle is a void or bone. Chosen by us: cortical bone and ligament are as
#: dark, so that the size decides.
VOID_LEVEL: Final = 0.3
#: A disc of this radius must fit into a void. Chosen by us, because the largest that fits into healthy bone
#: has 2.3 mm in the one volunteer, 3.0 mm in the phantom and 2.1 mm in 61 clinical slices, while screws of
#: 5 to 7 mm leave voids of 8 mm across and more. Thin rods, clips and wires are not found, nor voids in
#: images so noisy (muscle below about 6 times its noise) that air is not darker than the level.
VOID_RADIUS_MM: Final = 4.0
#: The middle of the disc lies in or between the muscles or this far beyond. Chosen by us: heads of screws and
#: rods lie beside the facet joints, and the lung keeps this distance.
BEYOND_MM: Final = 3.0
#: So much around the muscles is looked at; what is dark up to the edge of that is air or lung.
AROUND_MM: Final = 20.0
#: A slice with less muscle has no level of its own (chosen by us).
MIN_PIXELS: Final = 20
#: MAD to SD of a normal distribution, and SD of a difference to SD of its two parts.
_SD_OF_DIFFERENCES: Final = 1.4826 / math.sqrt(2.0)
_MOST: Final = 99.0


def check_signal(
    volume: Volume, compartment: NDArray[np.uint8], orientation: tuple[str, str], *, fat_is_dark: bool
) -> tuple[QualityCheck, ...]:
    """Look at the signal of the muscles and around them; nothing where no muscle is drawn.

    ``compartment`` has the shape of the volume, ``orientation`` names the first row and column of a slice as
    it is looked at. ``fat_is_dark``: on a water image fat cannot be told from a void, so none is looked for.
    """
    turn = canonical_turn(volume.grid, *orientation)
    slices = np.ascontiguousarray(turn.turn(volume.values), dtype=np.float32)
    inside = np.ascontiguousarray(turn.turn(compartment), dtype=np.bool_)
    spacing_mm = turn.pixel_spacing_mm(volume.grid)
    levels = _levels(slices, inside)
    if not levels:
        return ()
    return (
        _enough(slices, inside, levels),
        _void(slices, inside, levels, spacing_mm, fat_is_dark=fat_is_dark),
    )


def _levels(slices: NDArray[np.float32], inside: NDArray[np.bool_]) -> dict[int, float]:
    """Brightness of muscle in each slice that shows enough of it.

    A slice in which a void fills the compartment takes half of what the others have.
    """
    own = {
        index: float(np.percentile(image[muscle], MUSCLE_PERCENTILE))
        for index, (image, muscle) in enumerate(zip(slices, inside, strict=True))
        if int(muscle.sum()) >= MIN_PIXELS
    }
    least = float(np.median(list(own.values()))) / 2.0 if own else 0.0
    return {index: max(level, least) for index, level in own.items()}


def _enough(slices: NDArray[np.float32], inside: NDArray[np.bool_], levels: dict[int, float]) -> QualityCheck:
    """Muscle over the differences of neighbouring pixels of muscle, of all slices together."""
    steps = []
    for index, level in levels.items():
        lean = inside[index] & (slices[index] <= LEAN_BELOW * level)
        steps.append(np.diff(slices[index], axis=1)[lean[:, 1:] & lean[:, :-1]])
    together = np.concatenate(steps)
    noise = float(np.median(np.abs(together))) * _SD_OF_DIFFERENCES if len(together) else 0.0
    level = float(np.median(list(levels.values())))
    ratio = 0.0 if level <= 0 else min(_MOST, level / noise if noise > 0 else _MOST)
    return QualityCheck(
        check="enough_signal",
        passed=ratio >= MIN_MUSCLE_OVER_NOISE,
        detail=f"Muscle is {ratio:.1f} times its noise; at least {MIN_MUSCLE_OVER_NOISE:.1f} expected.",
    )


def _void(
    slices: NDArray[np.float32],
    inside: NDArray[np.bool_],
    levels: dict[int, float],
    spacing_mm: tuple[float, float],
    *,
    fat_is_dark: bool,
) -> QualityCheck:
    """The largest dark disc in or between the muscles."""
    if fat_is_dark:
        detail = "Not looked for: on a water image fat is as dark as a void."
        return QualityCheck(check="no_signal_void", passed=True, detail=detail)
    found = [
        radius
        for index, level in levels.items()
        if (radius := _largest_disc(slices[index], inside[index], level, spacing_mm)) >= VOID_RADIUS_MM
    ]
    detail = (
        f"Voids of up to {2 * max(found):.0f} mm across lie in or between the muscles, as metal leaves them, "
        f"in {len(found)} of {len(levels)} slices."
        if found
        else f"No void of {2 * VOID_RADIUS_MM:.0f} mm across lies in or between the muscles."
    )
    return QualityCheck(check="no_signal_void", passed=not found, detail=detail)


def _largest_disc(
    image: NDArray[np.float32], muscle: NDArray[np.bool_], level: float, spacing_mm: tuple[float, float]
) -> float:
    """Radius in mm of the largest disc of darkness whose middle lies in or between the muscles."""
    around = _around(muscle, spacing_mm)
    dark, muscle = image[around] < VOID_LEVEL * level, muscle[around]
    pieces, _count = ndimage.label(dark)
    open_pieces = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
    void = dark & ~np.isin(pieces, open_pieces[open_pieces > 0])
    if int(np.bincount(pieces[void]).max(initial=0)) * spacing_mm[0] * spacing_mm[1] < VOID_RADIUS_MM**2:
        return 0.0
    far = ndimage.distance_transform_edt(void, sampling=spacing_mm)
    from_muscle = ndimage.distance_transform_edt(~_between(muscle), sampling=spacing_mm)
    return float(np.where(from_muscle <= BEYOND_MM, far, 0.0).max())


def _around(muscle: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> tuple[slice, slice]:
    """The part of a slice that holds the muscles and what lies around them."""
    ranges = []
    for axis, step in enumerate(spacing_mm):
        used = np.flatnonzero(muscle.any(axis=1 - axis))
        margin = round(AROUND_MM / step)
        ranges.append(slice(max(0, int(used[0]) - margin), int(used[-1]) + margin + 1))
    return ranges[0], ranges[1]


def _between(muscle: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """In each row everything from the first to the last pixel of muscle: both sides and the arch between."""
    after = np.logical_or.accumulate(muscle, axis=1)
    before = np.logical_or.accumulate(muscle[:, ::-1], axis=1)[:, ::-1]
    between: NDArray[np.bool_] = after & before
    return between
