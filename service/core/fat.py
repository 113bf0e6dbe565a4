"""Telling fat from lean muscle inside the compartment, from one contrast.

Each voxel is compared with two references of the same stack: lean muscle, and the subcutaneous fat
behind it, with the shading of the coil taken out of both (``shading``). Slices are canonical: row 0
anterior, column 0 patient right.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.core.prepare import canonical_turn
from service.core.shading import Frame, fit
from service.core.volume import Volume
from service.errors import NotAssessable

#: Version of the methods below; part of the definition of IMAT and of the SEG's identity.
FAT_METHODS_VERSION = "2"
METHODS: Final = ("fat_reference_bright", "muscle_reference_dark")
#: Fewer fat voxels in the whole stack than this are no reference (chosen by us).
MIN_FAT_VOXELS: Final = 30
#: Fat must be at least this much brighter than muscle to serve as reference. In-phase gradient echoes reach
#: 1.5, spin echoes two to five; below 1.25 the image is probably fat-suppressed (chosen by us).
MIN_FAT_TO_MUSCLE: Final = 1.25
#: Half-way to fat must lie this many standard deviations of muscle away from it, or a fortieth and more of
#: the muscle would be called fat by noise alone (chosen by us).
MIN_SEPARATION: Final = 2.0
#: Water images keep some signal in fat; more than this share of muscle is not believed (chosen by us).
MAX_DARK_FAT: Final = 0.35
#: Share of the 99th percentile above which a pixel is body and not air (chosen by us: air carries
#: noise of a few per cent, the darkest tissue that closes the outline is skin and cortical bone).
BODY_LEVEL: Final = 0.08
#: So much darkness behind the back is air; fascia and vessels are thinner (chosen by us).
AIR_MM: Final = 3.0
#: Fat of the band may lie this near muscle and this near the air where the card's margins leave none.
THIN_MARGINS_MM: Final = (0.0, 1.5)
#: Distance from the compartment at which subcutaneous fat begins: fascia and blur (chosen by us).
FASCIA_MM: Final = 2.0
#: Set on synthetic stacks like the numbers of ``shading``, and told by side after looking at one volunteer.
#: With so many voxels of pure fat in the muscles of a side their level counts as much as that of the band.
CORE_VOXELS: Final = 150


@dataclass(frozen=True, kw_only=True)
class FatReference:
    """Numbers of the fat methods, as the network's card gives them."""

    #: Fat is what is brighter than half-way from muscle to this percentile of the band behind the muscles.
    percentile: float
    #: The band: at least so deep below the skin, at most so far behind the muscle.
    band_mm: tuple[float, float]
    #: Fat fraction above which a voxel counts as IMAT.
    threshold: float


def fat_of_stack(
    volume: Volume,
    inside: NDArray[np.bool_],
    orientation: tuple[str, str],
    method: str,
    reference: FatReference,
) -> NDArray[np.bool_]:
    """``separate_fat`` for a volume on its own grid: turned as ``orientation`` says, and turned back.

    Raises NotAssessable as ``separate_fat`` does.
    """
    turn = canonical_turn(volume.grid, *orientation)
    fat = separate_fat(
        np.ascontiguousarray(turn.turn(volume.values), dtype=np.float32),
        np.ascontiguousarray(turn.turn(inside), dtype=np.bool_),
        turn.pixel_spacing_mm(volume.grid),
        method,
        reference,
    )
    return turn.turn_back(fat).astype(np.bool_)


def separate_fat(
    slices: NDArray[np.float32],
    compartment: NDArray[np.bool_],
    spacing_mm: tuple[float, float],
    method: str,
    reference: FatReference,
) -> NDArray[np.bool_]:
    """Voxels of the compartment that are more than ``threshold`` fat; shape of ``slices``.

    Raises NotAssessable when the stack offers no usable reference, or the method is unknown.
    """
    if method not in METHODS:
        raise NotAssessable(f"The fat method {method!r} is not known here.", reason="unknown_fat_method")
    bright = method == "fat_reference_bright"
    visible = compartment & (slices > 0)
    found = np.zeros(slices.shape, dtype=np.bool_)
    if not bool(visible.any()):
        if bright:
            raise _no_reference()
        return found
    frame = Frame.around(compartment)
    muscle = frame.take(slices, visible)
    band = frame.take(slices, _fat_band(slices, compartment, spacing_mm, reference.band_mm))
    if bright and len(band.log_signal) < MIN_FAT_VOXELS:
        raise _no_reference()
    field = fit(muscle, band, bright=bright)
    relative = np.ones(slices.shape, dtype=np.float32)
    relative[visible] = np.exp(muscle.log_signal - field.muscle(muscle))
    behind = np.exp(band.log_signal - field.muscle(band))
    if bright:
        fat = _bright_fat(behind, reference.percentile)
        _require_separation(fat, field.spread)
        middle = round(frame.middle[2])
        for half in (np.s_[:, :, :middle], np.s_[:, :, middle:]):
            share = (relative[half] - 1.0) / (_with_fat_inside(relative[half], fat) - 1.0)
            found[half] = visible[half] & (share > reference.threshold)
    else:
        found = visible & ((1.0 - relative) / (1.0 - _dark_fat(behind)) > reference.threshold)
    return found


def _no_reference() -> NotAssessable:
    return NotAssessable(
        "No subcutaneous fat that is clearly brighter than muscle was found behind the muscles.",
        reason="no_fat_reference",
    )


def _require_separation(fat: float, spread: float) -> None:
    """Fat in units of muscle must stand out against the spread of muscle."""
    if fat < MIN_FAT_TO_MUSCLE or (fat - 1.0) / 2.0 < MIN_SEPARATION * spread:
        raise _no_reference()


def _bright_fat(behind: NDArray[np.float64], percentile: float) -> float:
    """Brightness of pure fat in units of muscle: the middle of what is surely fat behind the muscles."""
    half_way = (1.0 + float(np.percentile(behind, percentile))) / 2.0
    return float(np.median(behind[behind >= half_way]))


def _with_fat_inside(relative: NDArray[np.float32], behind: float) -> float:
    """The same with pure fat inside the muscles of one side, as far as there is enough of it.

    It lies where fat is judged, so it bears no error of the field; but a lean muscle has none.
    """
    cross = ndimage.generate_binary_structure(2, 1)[np.newaxis]
    core = ndimage.binary_erosion(relative > (1.0 + behind) / 2.0, cross)
    number = int(core.sum())
    share = number / (number + CORE_VOXELS)
    inside = float(np.median(relative[core])) if number else behind
    return float(behind ** (1.0 - share) * inside**share)


def _dark_fat(band: NDArray[np.float64]) -> float:
    """Brightness of fat in a water image in units of muscle; 0 where no band is in view."""
    return min(float(np.median(band)), MAX_DARK_FAT) if len(band) else 0.0


def _fat_band(
    slices: NDArray[np.float32],
    compartment: NDArray[np.bool_],
    spacing_mm: tuple[float, float],
    band_mm: tuple[float, float],
) -> NDArray[np.bool_]:
    """Voxels between the compartment and the skin behind it, column by column."""
    used = np.flatnonzero(compartment.any(axis=(0, 1)))
    columns = slice(int(used[0]), int(used[-1]) + 1)
    image, inside = slices[:, :, columns], compartment[:, :, columns]
    rows = np.arange(image.shape[1])[np.newaxis, :, np.newaxis]
    has_muscle = np.asarray(inside.any(axis=1), dtype=np.bool_)
    last: NDArray[np.intp] = image.shape[1] - 1 - np.argmax(inside[:, ::-1], axis=1)
    beyond = rows > last[:, np.newaxis]
    level = BODY_LEVEL * np.percentile(slices[:, ::2, ::2], 99, axis=(1, 2), keepdims=True)
    # Air begins with the first long enough stretch of darkness behind the muscle; so does the image's end.
    length = max(1, round(AIR_MM / spacing_mm[0]))
    dark = np.pad(image <= level, ((0, 0), (0, length), (0, 0)), constant_values=True)
    stretch: NDArray[np.bool_] = np.array(beyond)
    for k in range(length):
        stretch &= dark[:, k : k + image.shape[1]]
    air: NDArray[np.intp] = np.where(stretch.any(axis=1), np.argmax(stretch, axis=1), image.shape[1])
    band = np.zeros(slices.shape, dtype=np.bool_)
    for behind_mm, skin_mm in ((FASCIA_MM, band_mm[0]), THIN_MARGINS_MM):
        from_muscle = (rows - last[:, np.newaxis]) * spacing_mm[0]
        to_air = (air[:, np.newaxis] - rows) * spacing_mm[0]
        within = (from_muscle > behind_mm) & (from_muscle <= behind_mm + band_mm[1]) & (to_air > skin_mm)
        band[:, :, columns] = within & has_muscle[:, np.newaxis] & ~inside & (image > 0)
        if int(band.sum()) >= MIN_FAT_VOXELS:
            break
    return band
