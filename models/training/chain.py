"""The service's own chain on stacks with known truth, so that every number here is the service's."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from models.training.tissues import Bools, Codes
from service.core.compartment import Compartment, agreement, clean_compartment
from service.core.fat import fat_of_stack
from service.core.finding import Measures
from service.core.mask import two_class_mask
from service.core.measure import measure_muscles
from service.core.volume import Grid, Volume
from service.errors import NotAssessable
from service.inference.card import Card
from service.inference.segmenter import OnnxSegmenter

#: Sides in the order of the labels of synthetic and real truth: 1 right, 2 left.
SIDES: Final = ("right", "left")
#: The service's number of each side of truth.
OF_TRUTH: Final[Mapping[int, Compartment]] = MappingProxyType({1: Compartment.RIGHT, 2: Compartment.LEFT})


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """What the service makes of one stack."""

    #: ``Compartment`` values.
    compartment: Codes
    #: None where the contrast or the stack did not let fat be told.
    fat: Bools | None
    measures: Measures


def as_compartment(side: Codes) -> Codes:
    """Truth (1 right, 2 left) in the service's numbers."""
    return np.array([Compartment.BACKGROUND, OF_TRUTH[1], OF_TRUTH[2]], np.uint8)[side]


def draw(volume: Volume, segmenter: OnnxSegmenter) -> Codes:
    """The compartment that the network draws, cleaned as the service cleans it."""
    return clean_compartment(segmenter.segment(volume).compartment)


def find_fat(volume: Volume, compartment: Codes, contrast: str, card: Card) -> Bools | None:
    """Fat by the method that the card gives to the contrast; None where there is none or it fails."""
    method = card.fat_methods.get(contrast)
    if method is None:
        return None
    try:
        return fat_of_stack(volume, compartment > 0, card.input.orientation, method, card.fat_reference)
    except NotAssessable:
        return None


def measure(volume: Volume, compartment: Codes, contrast: str, card: Card) -> Measured:
    """Fat and volumes in a given compartment (``Compartment`` values)."""
    fat = find_fat(volume, compartment, contrast, card)
    return Measured(compartment=compartment, fat=fat, measures=measures_of(compartment, fat, volume.grid))


def measures_of(compartment: Codes, fat: Bools | None, grid: Grid) -> Measures:
    """The service's measures of a compartment and its fat."""
    return measure_muscles(two_class_mask(compartment, fat, grid), height_m=None)


def analyse(volume: Volume, contrast: str, segmenter: OnnxSegmenter) -> Measured:
    """Everything: draw, clean, separate, measure."""
    return measure(volume, draw(volume, segmenter), contrast, segmenter.card)


def side_dice(compartment: Codes, side: Codes) -> dict[str, float]:
    """Agreement with truth by side."""
    return {
        name: agreement(compartment == OF_TRUTH[number], side == number)
        for number, name in enumerate(SIDES, start=1)
    }


def percent(part: Bools, whole: Bools) -> float:
    """Share in per cent; 0 of nothing."""
    return 100.0 * float((part & whole).sum()) / max(1, int(whole.sum()))
