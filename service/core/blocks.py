"""Blocks: short stacks, mostly angled to one disc, that are measured for areas and shares alone.

A sum over a few slices is no volume of anything that has a name, so a block has a definition of its own.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from service.core.finding import Definition
from service.core.series import BlockPlace

#: What the id of a definition ends in when it is that of a block.
SUFFIX: Final = "-block"
#: Middles of neighbouring blocks that lie nearer than this along the body are not put into an order. Chosen
#: by us: lumbar discs lie 30 to 40 mm apart, and tilted images whose middles lie at other depths differ less.
LEAST_DISTANCE_MM: Final = 10.0


def of_block(definition: Definition) -> Definition:
    """The definition of the same measures of a block."""
    return replace(definition, id=f"{definition.id}{SUFFIX}")


def is_of_block(definition_id: str) -> bool:
    """Whether a definition is that of a block."""
    return definition_id.endswith(SUFFIX)


def label(place: BlockPlace, stack: int) -> str:
    """How a block is told from the others of its series in few letters; ``stack`` counts from 0."""
    if place.of is None:
        return "block"
    return f"stack {stack + 1}" if place.number is None else f"block {place.number}/{place.of}"


def places(heights_mm: Sequence[float]) -> tuple[BlockPlace, ...]:
    """The place of each of several stacks by its height in the patient, from the caudal end.

    Stacks of which two lie too near to each other to be put into an order have no number.
    """
    order = sorted(range(len(heights_mm)), key=lambda index: heights_mm[index])
    ordered = [heights_mm[index] for index in order]
    apart = all(above - below >= LEAST_DISTANCE_MM for below, above in itertools.pairwise(ordered))
    number_of = {index: number for number, index in enumerate(order, start=1)}
    return tuple(
        BlockPlace(number=number_of[index] if apart else None, of=len(order))
        for index in range(len(heights_mm))
    )
