"""One oddity of images as scanners and PACS send them, and what becomes of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.core.dixon import find_input_sets
from service.core.eligibility import is_block
from service.dicom.series import Scan, Stack
from service.errors import UnreadableSeries
from service.inference.card import Card
from service.pipeline.inputs import Inputs, read_images, why_not_eligible

MEASURED, BLOCK = "measured", "measured as a block"


@dataclass(frozen=True, kw_only=True)
class Quirk:
    """One oddity: what is sent, and what becomes of it."""

    group: str
    text: str
    make: Callable[[Path], list[Path]]
    #: What becomes of each input set, in order; the codes of the reasons where it is not measured.
    sets: tuple[str, ...] = (MEASURED,)
    #: The codes of files that are part of no stack.
    files: tuple[str, ...] = ()
    #: What the headers of the first stack are read as, by the names of StackFacts and Person.
    facts: dict[str, Any] = field(default_factory=dict)
    #: Whether the pixels are read too.
    pixels: bool = False


def outcomes(found: Scan, card: Card, *, pixels: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What becomes of each input set, and of each file that is part of none."""
    sets = find_input_sets(found.stacks)
    files = tuple(sorted(each.reason.code for each in found.unreadable))
    return tuple(_outcome(each, card, pixels=pixels) for each in sets), files


def _outcome(inputs: Inputs, card: Card, *, pixels: bool) -> str:
    reasons = why_not_eligible(inputs, card)
    if reasons:
        return ", ".join(reason.code for reason in reasons)
    if pixels:
        try:
            read_images(inputs)
        except UnreadableSeries as error:
            return error.reason.code
    return BLOCK if len(inputs.stacks) == 1 and is_block(inputs.first.facts, card.intended_use) else MEASURED


def fact(stack: Stack, name: str) -> Any:
    """What the headers of a stack were read as."""
    person = stack.facts.person
    return getattr(person if hasattr(person, name) else stack.facts, name)
