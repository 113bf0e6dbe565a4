"""Stations of one scan put together: which stacks continue each other, and what counts where they overlap.

A scan of a long stretch of the body is taken in stations, each with the table at another place. Stations are
stacks of one study, frame of reference and contrast whose parallel slices touch or overlap each other. Where
the places contradict each other nothing is put together: a wrong composition would count muscle twice.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from service.core.eligibility import MAX_GAP_RATIO
from service.core.inputset import FAT_ROLES, InputSet, P, Placed
from service.core.mask import Mask
from service.core.series import Region, Role, StackFacts
from service.core.volume import PARALLEL_TOLERANCE, Grid, extents_of
from service.errors import Reason

#: A stack of fewer slices is a block at one level or a remainder, and no station of a scan (chosen by us: as
#: many as the shipped network needs for a volume).
MIN_SLICES: Final = 5
#: Stacks that share more than this of the shorter one show the same place twice and do not continue each
#: other. Chosen by us: stations overlap by a tenth or two, and a repeated one by all of it.
MAX_OVERLAP: Final = 0.5
#: Pixel spacings of the stations of one scan are alike within this share. Chosen by us: one protocol gives
#: one spacing up to rounding; another protocol is another scan.
ALIKE_SPACING: Final = 0.01
#: Middles of the slices may lie so far apart across the body, as a share of the smaller field of view.
#: Chosen by us: more, and the back that one station shows is not in the other.
MAX_SHIFT: Final = 0.25
#: Slices nearer than this lie at the same place.
SAME_PLACE_MM: Final = 0.05

AMBIGUOUS: Final = Reason(
    "ambiguous_stations",
    "Neighbouring stacks show the same place twice or name different regions, so the stations were not "
    "put together.",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Share:
    """What of one station counts."""

    #: Height of each slice along the common axis, cranial positive, from the origin of the patient.
    heights_mm: NDArray[np.float64]
    #: Length of patient that each slice stands for; 0 where another station's slice counts in its place.
    extents_mm: NDArray[np.float64]

    @property
    def counted(self) -> NDArray[np.bool_]:
        """Which slices count."""
        counts: NDArray[np.bool_] = self.extents_mm > 0
        return counts


def is_usable(facts: StackFacts) -> bool:
    """Whether the intensities are those that the scanner reconstructed."""
    return not (facts.derived or facts.localizer or facts.lossy)


def may_be_station(facts: StackFacts) -> bool:
    """Whether stacks like this one can continue each other along the body, however many slices there are."""
    return is_usable(facts) and facts.plane == "axial" and facts.frame_of_reference_uid is not None


def scan_key(facts: StackFacts) -> tuple[object, ...] | None:
    """What the stations of one scan have in common; None for a stack that can be none."""
    return _kind(facts) if may_be_station(facts) else None


def compose(sets: Sequence[InputSet[P]]) -> tuple[InputSet[P], ...]:
    """The same sets with those that continue each other put together, each standing where its first did."""
    candidates = [found for found in sets if _composable(found)]
    placed: dict[int, InputSet[P] | None] = {}
    for group in _linked(candidates):
        for chain in _chains(group):
            made = _together(chain) if len(chain) > 1 else replace(chain[0], unpaired=AMBIGUOUS)
            placed.update({id(member): None for member in chain[1:]} | {id(chain[0]): made})
    found = (placed.get(id(each), each) for each in sets)
    return tuple(each for each in found if each is not None)


def count_once(grids: Sequence[Grid]) -> tuple[Share, ...]:
    """What of each station counts, from the most caudal to the most cranial, so that no place counts twice.

    The plane between two stations is the middle of their overlap: images get worse towards a station's
    ends, so each place is taken from the station in which it lies farther inside. Slices count whole. The
    caudal station counts up to the plane, the cranial one from the first slice that is at least half a
    step beyond the last of the other; each then stands for half the way to its neighbours.
    """
    heights = [heights_mm(grid, grids[0]) for grid in grids]
    counted = [np.ones(len(each), dtype=np.bool_) for each in heights]
    for index, (lower, upper) in enumerate(pairwise(heights)):
        plane = (float(lower.max()) + float(upper.min())) / 2.0
        counted[index] &= lower <= plane + SAME_PLACE_MM
        last = float(lower[counted[index]].max())
        half_step = (grids[index].slice_step_mm + grids[index + 1].slice_step_mm) / 4.0
        counted[index + 1] &= upper >= last + half_step - SAME_PLACE_MM
    return _with_extents(heights, counted)


def trimmed(mask: Mask, share: Share) -> Mask:
    """The mask without the slices that another station counts."""
    labels = mask.labels * share.counted[:, np.newaxis, np.newaxis].astype(np.uint8)
    return replace(mask, labels=labels)


def heights_mm(grid: Grid, along: Grid) -> NDArray[np.float64]:
    """Height of each slice of a grid along the normal of another one, cranial positive."""
    heights: NDArray[np.float64] = grid.origins_mm @ _axis(along)
    return heights


def composed_facts(stacks: Sequence[Placed]) -> StackFacts:
    """What is true of several stations together, from caudal to cranial; of one, its own facts.

    Slices and coverage are those that count. Regions that differ make an unknown one, and a contrast agent
    in one station is one in all.
    """
    first = stacks[0].facts
    if len(stacks) == 1:
        return first
    facts = [stack.facts for stack in stacks]
    shares = count_once([stack.grid for stack in stacks])
    regions: set[Region] = {each.region for each in facts}
    alike = len(regions) == 1
    return replace(
        first,
        region=first.region if alike else "unknown",
        region_evidence=first.region_evidence if alike else "the stations do not all name one region",
        slices=sum(int(share.counted.sum()) for share in shares),
        coverage_mm=float(sum(share.extents_mm.sum() for share in shares)),
        largest_gap_ratio=max(each.largest_gap_ratio for each in facts),
        contrast_agent=next((each.contrast_agent for each in facts if each.contrast_agent), ""),
        sop_instance_uids=tuple(uid for each in facts for uid in each.sop_instance_uids),
    )


def _axis(grid: Grid) -> NDArray[np.float64]:
    return grid.normal if grid.normal[2] >= 0 else -grid.normal


def _with_extents(
    heights: Sequence[NDArray[np.float64]], counted: Sequence[NDArray[np.bool_]]
) -> tuple[Share, ...]:
    """Each slice that counts stands for half the way to its neighbours, of whichever station they are."""
    kept = np.concatenate([each[counts] for each, counts in zip(heights, counted, strict=True)])
    order = np.argsort(kept)
    extents = np.empty_like(kept)
    extents[order] = extents_of(kept[order])
    shares, start = [], 0
    for each, counts in zip(heights, counted, strict=True):
        own = np.zeros(len(each))
        own[counts] = extents[start : start + int(counts.sum())]
        start += int(counts.sum())
        shares.append(Share(heights_mm=each, extents_mm=own))
    return tuple(shares)


def _composable(found: InputSet[P]) -> bool:
    facts = found.first.facts
    alone = found.role in (Role.IMAGE, Role.WATER) and found.unpaired is None
    return alone and found.first.grid.shape[0] >= MIN_SLICES and may_be_station(facts)


def _linked(sets: Sequence[InputSet[P]]) -> Iterator[list[InputSet[P]]]:
    """Groups of two and more in which each continues some other one."""
    left = list(sets)
    while left:
        group, reached = [], [left.pop(0)]
        while reached:
            group.append(reached.pop())
            reached += [other for other in left if _follows(group[-1], other)]
            left = [other for other in left if other not in reached]
        if len(group) > 1:
            yield group


def _follows(one: InputSet[P], other: InputSet[P]) -> bool:
    """Whether both are stations of one scan, with a fat image each or without."""
    return len(one.stacks) == len(other.stacks) and continues(one.first, other.first)


def _chains(group: Sequence[InputSet[P]]) -> Iterator[list[InputSet[P]]]:
    """The group as one chain; where it is none, the stations of each series as one; the rest one by one."""
    chain = _chain(group)
    if chain is not None:
        yield chain
        return
    by_series: dict[str, list[InputSet[P]]] = defaultdict(list)
    for member in group:
        by_series[member.first.facts.series_uid].append(member)
    for members in by_series.values():
        own = _chain(members)
        if own is not None:
            yield own
        else:
            yield from ([member] for member in members)


def _chain(group: Sequence[InputSet[P]]) -> list[InputSet[P]] | None:
    """The group from caudal to cranial, if each continues the one before it and touches no other."""
    axis = group[0].first.grid
    ordered = sorted(group, key=lambda found: float(heights_mm(found.first.grid, axis).mean()))
    for index, lower in enumerate(ordered):
        for distance, upper in enumerate(ordered[index + 1 :], start=1):
            touching = _overlap(lower.first.grid, upper.first.grid) is not None
            if touching != (distance == 1) or (touching and not continues(lower.first, upper.first)):
                return None
    named = {found.first.facts.region for found in group} - {"unknown"}
    return ordered if len(named) <= 1 else None


def _together(chain: Sequence[InputSet[P]]) -> InputSet[P]:
    """The input set of a chain of stations."""
    stacks = list(chain[0].stacks)
    for found in chain[1:]:
        stacks += [
            (Role.STATION_FAT if role in FAT_ROLES else Role.STATION, stack) for role, stack in found.stacks
        ]
    evidence = dict.fromkeys(found.evidence for found in chain if found.evidence)
    return InputSet(stacks=tuple(stacks), evidence="; ".join(evidence))


def continues(one: Placed, other: Placed) -> bool:
    """Whether two stacks are neighbouring stations of one scan."""
    a, b = one.facts, other.facts
    if _kind(a) != _kind(b) or ("unknown" not in (a.region, b.region) and a.region != b.region):
        return False
    if not _alike(one.grid, other.grid):
        return False
    overlap = _overlap(one.grid, other.grid)
    return overlap is not None and overlap <= MAX_OVERLAP


def _kind(facts: StackFacts) -> tuple[object, ...]:
    """What stations of one scan have in common."""
    return (facts.study_uid, facts.frame_of_reference_uid, facts.contrast, facts.dixon_part, facts.modality)


def _alike(one: Grid, other: Grid) -> bool:
    """Whether slices are parallel, pixels alike, and the same part of the body is in view."""
    across = np.cross(_axis(one), _axis(other))
    parallel = float(np.linalg.norm(across)) <= PARALLEL_TOLERANCE
    spacing = np.allclose(one.pixel_spacing_mm, other.pixel_spacing_mm, rtol=ALIKE_SPACING, atol=0)
    between = _middle(other) - _middle(one)
    shift = between - (between @ _axis(one)) * _axis(one)
    smallest = min(min(_view_mm(grid)) for grid in (one, other))
    return parallel and bool(spacing) and float(np.linalg.norm(shift)) <= MAX_SHIFT * smallest


def _view_mm(grid: Grid) -> tuple[float, float]:
    """Height and width of the field of view."""
    return grid.rows * grid.pixel_spacing_mm[0], grid.columns * grid.pixel_spacing_mm[1]


def _middle(grid: Grid) -> NDArray[np.float64]:
    """Middle of the slices in the patient."""
    index = np.array([len(grid.origins_mm) // 2, (grid.rows - 1) / 2, (grid.columns - 1) / 2])
    return grid.to_patient(index)


def _overlap(one: Grid, other: Grid) -> float | None:
    """Share of the shorter stack that the other covers too; 0 where they touch, None where they do not."""
    first, second = heights_mm(one, one), heights_mm(other, one)
    common = min(float(first.max()), float(second.max())) - max(float(first.min()), float(second.min()))
    if -common > MAX_GAP_RATIO * max(one.slice_step_mm, other.slice_step_mm):
        return None
    return max(0.0, common) / min(float(np.ptp(first)), float(np.ptp(second)))
