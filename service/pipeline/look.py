"""One stack after the network has looked at it: what was found, what speaks against it, what is in it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.core import prepare, water_fat
from service.core.compartment import clean_compartment
from service.core.fat import fat_of_stack
from service.core.finding import QualityCheck
from service.core.mask import Mask, two_class_mask
from service.core.measure import Contents, contents_of
from service.core.predictor import Outlook, gather
from service.core.quality import check_compartment
from service.core.series import StackFacts
from service.core.signal import check_signal
from service.core.volume import Grid
from service.core.water_fat import check_water_and_fat, is_fat
from service.errors import NotAssessable, Reason
from service.inference.card import Card
from service.inference.segmenter import Segmentation
from service.pipeline.inputs import Images


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """What came of one stack before anything is counted on it."""

    checks: tuple[QualityCheck, ...]
    #: Why nothing is counted; empty where there is a mask.
    failed: tuple[Reason, ...] = ()
    mask: Mask | None = None
    #: What each slice of the mask holds.
    contents: Contents | None = None
    #: The fat method that made the mask; None where fat could not be told.
    method: str | None = None


def look_at(images: Images, segmentation: Segmentation, facts: StackFacts, card: Card) -> Look:
    """Clean and check the drawing, and tell fat from muscle."""
    compartment = clean_compartment(segmentation.compartment)
    mirrored = segmentation.mirrored
    grid, outlook = images.volume.grid, _outlook(images, segmentation, compartment, card)
    found = (
        *check_compartment(compartment, grid, segmentation.plain, mirrored, outlook),
        *_check_dixon(images, compartment, card),
        *_check_signal(images, compartment, facts, card),
    )
    failed = tuple(Reason(check.check, check.detail) for check in found if not check.passed)
    if failed:
        return Look(checks=found, failed=failed)
    mask, method, fat_check = _separate(images, compartment, facts, card)
    contents = contents_of(mask, images.dixon)
    return Look(checks=(*found, fat_check), mask=mask, contents=contents, method=method)


def _outlook(
    images: Images, segmentation: Segmentation, compartment: NDArray[np.uint8], card: Card
) -> Outlook | None:
    """What the predictor in the card expects of the drawing; None without one."""
    if card.predictor is None or segmentation.certainty is None:
        return None
    evidence = gather(
        segmentation.certainty,
        segmentation.compartment,
        compartment,
        images.volume.grid,
        card.predictor.shape,
    )
    return card.predictor.outlook(evidence)


def _check_dixon(images: Images, compartment: NDArray[np.uint8], card: Card) -> tuple[QualityCheck, ...]:
    """Whether water is water and fat is fat, where there is a pair."""
    if images.dixon is None:
        return ()
    turn = prepare.canonical_turn(images.volume.grid, *card.input.orientation)
    fraction, total = (
        np.ascontiguousarray(turn.turn(values), dtype=np.float32)
        for values in (images.dixon.fraction, images.dixon.in_phase.values)
    )
    sides = np.ascontiguousarray(turn.turn(compartment), dtype=np.uint8)
    spacing, band = turn.pixel_spacing_mm(images.volume.grid), card.fat_reference.band_mm
    return (check_water_and_fat(fraction, total, sides, spacing, band),)


def _check_signal(
    images: Images, compartment: NDArray[np.uint8], facts: StackFacts, card: Card
) -> tuple[QualityCheck, ...]:
    """Whether the muscles have signal, and no void; of a Dixon pair water and fat together are looked at."""
    volume = images.volume if images.dixon is None else images.dixon.in_phase
    fat_is_dark = images.dixon is None and facts.contrast == "water"
    return check_signal(volume, compartment, card.input.orientation, fat_is_dark=fat_is_dark)


def _separate(
    images: Images, compartment: NDArray[np.uint8], facts: StackFacts, card: Card
) -> tuple[Mask, str | None, QualityCheck]:
    """The mask, the fat method that made it (None: the contrast cannot tell) and how that went."""
    grid = images.volume.grid
    method: str | None
    if images.dixon is not None:
        method, fat = water_fat.METHOD, is_fat(images.dixon, compartment)
    else:
        method = card.fat_methods.get(facts.contrast)
        if method is None:
            detail = (
                f"On {facts.contrast} images fat and muscle cannot be told apart; IMAT and LMM are withheld."
            )
            return _without_fat(compartment, grid, detail)
        try:
            fat = fat_of_stack(
                images.volume, compartment > 0, card.input.orientation, method, card.fat_reference
            )
        except NotAssessable as error:
            return _without_fat(compartment, grid, error.reason.text)
    check = QualityCheck(check="fat_separated", passed=True, detail=f"Method {method}.")
    return two_class_mask(compartment, fat, grid), method, check


def _without_fat(compartment: NDArray[np.uint8], grid: Grid, detail: str) -> tuple[Mask, None, QualityCheck]:
    """The mask of the compartment alone, and why."""
    check = QualityCheck(check="fat_separated", passed=False, detail=detail)
    return two_class_mask(compartment, None, grid), None, check
