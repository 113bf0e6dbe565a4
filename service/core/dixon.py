"""Which stacks are the water and fat images of one Dixon acquisition.

A pair needs the same study, frame of reference and grid, and evidence that both images come from one
acquisition. Where the evidence fits several partners no pair is made: a wrong pair would give a wrong
fat fraction, no pair only a weaker method.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from service.core.inputset import InputSet, P, Placed, alone
from service.core.series import Acquisition, Contrast, Role, StackFacts
from service.core.stations import compose, is_usable
from service.core.volume import PARALLEL_TOLERANCE, Grid
from service.errors import Reason

#: Positions of one acquisition are the same numbers but for rounding; a tenth of the smallest pixel of a
#: spine protocol (0.5 mm) moves no fat fraction. Chosen by us.
SAME_PLACE_MM: Final = 0.05
#: Pixel spacings count as the same within this share: headers are rounded.
SAME_SPACING: Final = 1e-3
#: The images of one acquisition carry one time. Vendors round it to whole seconds in some images, and no
#: acquisition of a volume starts a second after another. Chosen by us.
SAME_TIME: Final = timedelta(seconds=1)
#: Scanners number the images of one Dixon acquisition in a row: water, fat, in phase, opposed.
NEIGHBOURING_SERIES: Final = 3
#: Parts beside water and fat that are not measured where the pair is.
OTHER_PARTS: Final[frozenset[Contrast]] = frozenset({"in_phase", "opposed", "fat_fraction"})

PART_OF_SET: Final = Reason(
    "part_of_dixon_set",
    "These images belong to the Dixon acquisition whose water and fat images are measured together.",
)


def find_input_sets(stacks: Sequence[P]) -> tuple[InputSet[P], ...]:
    """Every stack in one input set: several stations, a Dixon pair, another part of such, or alone.

    In the order of the stacks; a pair stands where its water image does, stations where the first does.
    """
    return compose(pair_up(stacks))


def pair_up(stacks: Sequence[P]) -> tuple[InputSet[P], ...]:
    """Every stack in one input set, each station by itself."""
    waters = [stack for stack in stacks if is_usable(stack.facts) and stack.facts.contrast == "water"]
    fats = [stack for stack in stacks if is_usable(stack.facts) and stack.facts.contrast == "fat"]
    sets: dict[int, InputSet[P]] = {}
    fat_of_pair: set[int] = set()
    for water in waters:
        partners = _partners(water, fats)
        if len(partners) == 1 and _partners(partners[0], waters) == [water]:
            sets[id(water)] = pair_of(water, partners[0])
            fat_of_pair.add(id(partners[0]))
    pairs = tuple(sets.values())
    for stack in stacks:
        if id(stack) not in sets and id(stack) not in fat_of_pair:
            sets[id(stack)] = _unpaired(stack, waters, fats, pairs)
    return tuple(sets[id(stack)] for stack in stacks if id(stack) in sets)


def pair_of(water: P, fat: P) -> InputSet[P]:
    """The input set of a water and a fat image that belong together."""
    related = relation(water, fat)
    return alone((water, fat), evidence="" if related is None else related[1])


def set_again(stacks: tuple[tuple[Role, P], ...]) -> InputSet[P]:
    """The input set of stacks whose roles were found before, with why its water and fat belong together."""
    found = InputSet(stacks=stacks)
    pairs = [pair_of(each.first, each.fat) for each in found.stations if each.fat is not None]
    evidence = dict.fromkeys(pair.evidence for pair in pairs if pair.evidence)
    return replace(found, evidence="; ".join(evidence))


def is_lonely(found: InputSet[P]) -> bool:
    """Whether the set is part of a Dixon acquisition whose water and fat images are not both known."""
    return found.role is Role.IMAGE and is_dixon(found.first.facts)


def is_dixon(facts: StackFacts) -> bool:
    """Whether the headers name the stack as a part of a Dixon acquisition."""
    return facts.dixon_part is not None


def relation(one: Placed, other: Placed) -> tuple[int, str] | None:
    """How surely two stacks show one acquisition on one grid (0 is surest), and by which attributes.

    None where an attribute speaks against it or none speaks for it.
    """
    a, b = one.facts, other.facts
    here = (a.study_uid, a.frame_of_reference_uid) == (b.study_uid, b.frame_of_reference_uid)
    if not here or a.frame_of_reference_uid is None or not same_grid(one.grid, other.grid):
        return None
    if _contradict(a.acquisition, b.acquisition):
        return None
    numbers = "/".join(a.acquisition.numbers if a.acquisition.numbers == b.acquisition.numbers else ())
    return next(
        (
            (rank, f"{evidence}, AcquisitionNumber={numbers}" if numbers else evidence)
            for rank, evidence in enumerate(_evidence(a, b))
            if evidence is not None
        ),
        None,
    )


def _contradict(one: Acquisition, other: Acquisition) -> bool:
    """Whether time or number say that these are two acquisitions."""
    other_number = bool(one.numbers and other.numbers) and one.numbers != other.numbers
    return other_number or _same_time(one.time, other.time) is False


def _evidence(a: StackFacts, b: StackFacts) -> tuple[str | None, ...]:
    """What says that two stacks come of one acquisition, the surest first; None for what does not."""
    mine, theirs = a.acquisition, b.acquisition
    numbers = mine.series_number, theirs.series_number
    in_a_row = None not in numbers and abs((numbers[0] or 0) - (numbers[1] or 0)) <= NEIGHBOURING_SERIES
    # Times of two series may differ by whatever their reconstruction took, so they speak against a pair
    # only where nothing surer than a name speaks for it: such a study may hold the same scan twice.
    named = (
        mine.protocol == theirs.protocol != ""
        and _same_time(mine.series_time, theirs.series_time) is not False
    )
    return (
        "same series" if a.series_uid == b.series_uid else None,
        f"same acquisition time {mine.time:%H:%M:%S}" if _same_time(mine.time, theirs.time) else None,
        (
            f"same SeriesTime {mine.series_time:%H:%M:%S}"
            if _same_time(mine.series_time, theirs.series_time)
            else None
        ),
        f"same ProtocolName, series numbers {numbers[0]} and {numbers[1]}" if in_a_row and named else None,
    )


def same_grid(one: Grid, other: Grid) -> bool:
    """Whether voxel for voxel both grids lie at the same places, within the rounding of headers."""
    if one.shape != other.shape:
        return False
    return (
        bool(np.allclose(one.pixel_spacing_mm, other.pixel_spacing_mm, rtol=SAME_SPACING, atol=0))
        and bool(np.allclose(one.column_direction, other.column_direction, rtol=0, atol=PARALLEL_TOLERANCE))
        and bool(np.allclose(one.row_direction, other.row_direction, rtol=0, atol=PARALLEL_TOLERANCE))
        and bool(np.allclose(one.origins_mm, other.origins_mm, rtol=0, atol=SAME_PLACE_MM))
    )


def _same_time(one: datetime | None, other: datetime | None) -> bool | None:
    """Whether both times are the same; None where one of them is not known."""
    if one is None or other is None:
        return None
    return abs(one - other) <= SAME_TIME


def _partners(stack: P, candidates: Sequence[P]) -> list[P]:
    """The candidates that are related to the stack most surely."""
    related = [(found, other) for other in candidates if (found := relation(stack, other)) is not None]
    best = min((rank for (rank, _), _ in related), default=0)
    return [other for (rank, _), other in related if rank == best]


def _unpaired(stack: P, waters: Sequence[P], fats: Sequence[P], pairs: Sequence[InputSet[P]]) -> InputSet[P]:
    """The set of a stack that is in no pair: part of an acquisition that has one, or alone."""
    part = stack.facts.dixon_part or stack.facts.contrast
    if part in OTHER_PARTS and any(relation(pair.first, stack) for pair in pairs):
        return InputSet(stacks=((Role.DIXON_PART, stack),))
    candidates = {"water": fats, "fat": waters}.get(stack.facts.contrast, ())
    reason = None
    if stack in (*waters, *fats) and _partners(stack, candidates):
        reason = _ambiguity(stack.facts)
    return InputSet(stacks=((Role.IMAGE, stack),), unpaired=reason)


def _ambiguity(facts: StackFacts) -> Reason:
    """Why a stack with partners is in no pair."""
    return Reason(
        "ambiguous_dixon_pair",
        f"Several images could belong to this {facts.contrast} image as its Dixon partner; none was chosen.",
    )
