"""Several stations measured as one: each looked at by itself, one after the other, and counted once together.

One station at a time is in memory; of those before it only the mask and what its slices hold is kept.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from service.core.eligibility import is_block
from service.core.finding import Finding, QualityCheck, StationSection
from service.core.mask import Label, Mask, without_fat
from service.core.measure import Contents, contents_of, counted_once, label_volumes_ml
from service.core.series import BlockPlace, StackFacts
from service.core.stations import Share, composed_facts, count_once, trimmed
from service.dicom.pixels import read_volume
from service.dicom.stack import Stack
from service.errors import NotAssessable, Reason, UnreadableSeries
from service.inference.card import Card
from service.inference.segmenter import Segmenter
from service.pictures.overlay import KeySlice, overlay_slice
from service.pipeline.inputs import Inputs, read_images
from service.pipeline.look import Look, look_at

#: Counts the seconds of a named step.
Clock = Callable[[str], AbstractContextManager[None]]
#: Version of how stations are counted once; part of the identity of the SEG.
COMPOSITION_VERSION: Final = "1"
KEY_SLICES: Final = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Station:
    """One station that counts, with what of its mask counts."""

    #: From 1, the most caudal one that counts first.
    number: int
    stack: Stack
    #: Without the slices that another station counts.
    mask: Mask
    share: Share

    @property
    def volumes_ml(self) -> dict[Label, float]:
        """Volume of each label within this station."""
        return label_volumes_ml(counted_once([contents_of(self.mask)], [self.share]))


@dataclass(frozen=True, kw_only=True, eq=False)
class Composition:
    """What came of all stations together."""

    #: Checks, contents and mask of the whole as if it were one stack; no mask, for there are several.
    look: Look
    #: What is true of the stations that count.
    facts: StackFacts
    sections: tuple[StationSection, ...]
    #: Empty where nothing is measured.
    stations: tuple[Station, ...] = ()

    def described(self, finding: Finding, card: Card) -> Finding:
        """The finding with the stretch of the body that counts."""
        if finding.series is None:
            return finding
        series = replace(
            finding.series,
            region=self.facts.region,
            slices=self.facts.slices,
            coverage_mm=self.facts.coverage_mm,
            block=BlockPlace() if is_block(self.facts, card.intended_use) else None,
            stations=self.sections,
        )
        return replace(finding, series=series)


def look_at_stations(inputs: Inputs, segmenter: Segmenter, clock: Clock) -> Composition:
    """Read, draw and check each station, and put those together that pass.

    A station that would be withheld by itself is left out and named, if those that are left are one
    unbroken stretch; else nothing is counted.
    """
    stations = inputs.stations
    looks = [_look(station, segmenter, clock) for station in stations]
    with clock("measure"):
        return _compose([station.first for station in stations], looks)


def _look(station: Inputs, segmenter: Segmenter, clock: Clock) -> Look:
    try:
        with clock("decode"):
            images = read_images(station)
        with clock("network"):
            segmentation = segmenter.segment(images.shown(segmenter.card))
        with clock("measure"):
            return look_at(images, segmentation, station.first.facts, segmenter.card)
    except (UnreadableSeries, NotAssessable) as error:
        return Look(checks=(), failed=(error.reason,))


def _compose(stacks: Sequence[Stack], looks: Sequence[Look]) -> Composition:
    """Those that passed together, or why nothing is counted."""
    passed = [index for index, look in enumerate(looks) if look.mask is not None]
    failed = _why_nothing(looks, passed)
    kept = passed or range(len(stacks))
    facts = composed_facts([stacks[index] for index in kept])
    if failed:
        sections = tuple(_section(stack, look, None) for stack, look in zip(stacks, looks, strict=True))
        return Composition(look=Look(checks=_merged(looks), failed=failed), facts=facts, sections=sections)
    shares = dict(
        zip(passed, count_once([stacks[index].grid for index in passed]), strict=True),
    )
    masks, contents, method = _alike([looks[index] for index in passed])
    note = _note(looks, [looks[index] for index in passed], facts)
    checks = (*_merged([looks[index] for index in passed]), note)
    whole = counted_once(contents, [shares[index] for index in passed])
    return Composition(
        look=Look(checks=checks, contents=whole, method=method),
        facts=facts,
        sections=tuple(
            _section(stack, look, shares.get(index))
            for index, (stack, look) in enumerate(zip(stacks, looks, strict=True))
        ),
        stations=tuple(
            Station(
                number=number,
                stack=stacks[index],
                mask=trimmed(mask, shares[index]),
                share=shares[index],
            )
            for number, (index, mask) in enumerate(zip(passed, masks, strict=True), start=1)
        ),
    )


def _why_nothing(looks: Sequence[Look], passed: Sequence[int]) -> tuple[Reason, ...]:
    """Why no station is counted; empty where some are, side by side."""
    found = {reason.code: reason for look in looks for reason in look.failed}
    if not passed:
        return tuple(found.values())
    between = [look for look in looks[passed[0] : passed[-1] + 1] if look.mask is None]
    if not between:
        return ()
    told = {reason.code: reason for look in between for reason in look.failed}
    gap = Reason("station_missing_between", "A station between others could not be measured.")
    return (gap, *told.values())


def _alike(looks: Sequence[Look]) -> tuple[list[Mask], list[Contents], str | None]:
    """Masks, contents and fat method; where one station could not tell fat it is told in none."""
    masks = [look.mask for look in looks if look.mask is not None]
    contents = [look.contents for look in looks if look.contents is not None]
    if all(mask.fat_separated for mask in masks):
        return masks, contents, looks[0].method
    plain = [without_fat(mask) for mask in masks]
    return plain, [contents_of(mask) for mask in plain], None


def _merged(looks: Sequence[Look]) -> tuple[QualityCheck, ...]:
    """Each check once, with what it found in each station; the prediction is the worst one."""
    names = dict.fromkeys(check.check for look in looks for check in look.checks)
    return tuple(_of_all(name, looks) for name in names)


def _of_all(name: str, looks: Sequence[Look]) -> QualityCheck:
    found = {
        number: check
        for number, look in enumerate(looks, start=1)
        for check in look.checks
        if check.check == name
    }
    predicted = [check for check in found.values() if check.predicted_dice is not None]
    worst = min(predicted, key=lambda check: check.predicted_dice or 0.0, default=None)
    told = dict.fromkeys(check.detail for check in found.values())
    detail = (
        next(iter(told))
        if len(told) == 1
        else " ".join(f"Station {number}: {check.detail}" for number, check in found.items())
    )
    return QualityCheck(
        check=name,
        passed=all(check.passed for check in found.values()),
        detail=detail,
        predicted_dice=None if worst is None else worst.predicted_dice,
        predicted_dice_ci95=None if worst is None else worst.predicted_dice_ci95,
    )


def _note(looks: Sequence[Look], passed: Sequence[Look], facts: StackFacts) -> QualityCheck:
    """How many stations count, and why the others do not."""
    detail = (
        f"{len(passed)} of {len(looks)} stations count together, {facts.slices} slices over "
        f"{facts.coverage_mm:.0f} mm; each place counts once."
    )
    for number, look in enumerate(looks, start=1):
        if look.failed:
            codes = ", ".join(reason.code for reason in look.failed)
            detail += f" Left out: station {number} from the caudal end ({codes})."
    return QualityCheck(check="stations", passed=len(passed) == len(looks), detail=detail)


def _section(stack: Stack, look: Look, share: Share | None) -> StationSection:
    return StationSection(
        series_uid=stack.facts.series_uid,
        stack=stack.facts.stack,
        slices=stack.facts.slices,
        counted_slices=0 if share is None else int(share.counted.sum()),
        left_out=tuple(reason.code for reason in look.failed),
    )


def stations_again(finding: Finding, inputs: Inputs, masks: Mapping[int, Mask]) -> tuple[Station, ...]:
    """The stations of a stored finding; ``masks`` are those of its segmentations, by place in the set."""
    kept = counted_stations(finding, inputs)
    shares = count_once([inputs.stations[index].first.grid for index in kept])
    return tuple(
        Station(number=number, stack=inputs.stations[index].first, mask=masks[index], share=share)
        for number, (index, share) in enumerate(zip(kept, shares, strict=True), start=1)
    )


def counted_stations(finding: Finding, inputs: Inputs) -> list[int]:
    """Places in the set of the stations that a finding counts; of a single stack its own."""
    sections = finding.series.stations if finding.series is not None else ()
    if not sections:
        return list(range(len(inputs.stations)))
    return [index for index, section in enumerate(sections) if section.counted_slices]


def facts_behind(finding: Finding, inputs: Inputs) -> StackFacts:
    """What is true of the images that a finding counts."""
    stations = inputs.stations
    return composed_facts([stations[index].first for index in counted_stations(finding, inputs)])


def key_slices_of(
    stations: Sequence[Station], *, size_px: tuple[int, int] = (402, 302)
) -> tuple[KeySlice, ...]:
    """Key slices spread over all stations, from caudal to cranial; each is decoded by itself."""
    lowest = min(float(station.share.heights_mm[station.share.counted].min()) for station in stations)
    filled = [
        (float(station.share.heights_mm[index]), station, int(index))
        for station in stations
        for index in np.flatnonzero(station.mask.labels.any(axis=(1, 2)))
    ]
    filled.sort(key=lambda each: each[0])
    places = sorted({(2 * step + 1) * len(filled) // (2 * KEY_SLICES) for step in range(KEY_SLICES)})
    return tuple(
        _key_slice(station, index, height - lowest, size_px)
        for height, station, index in (filled[place] for place in places)
    )


def _key_slice(station: Station, index: int, height_mm: float, size_px: tuple[int, int]) -> KeySlice:
    stack, mask = station.stack, station.mask
    grid = replace(stack.grid, origins_mm=stack.grid.origins_mm[index : index + 1])
    volume = read_volume(replace(stack, grid=grid, frames=stack.frames[index : index + 1]))
    drawn = replace(mask, labels=mask.labels[index : index + 1], grid=grid)
    return KeySlice(
        rgb=overlay_slice(volume, drawn, 0, size_px=size_px, crop=True),
        number=index + 1,
        count=stack.grid.shape[0],
        height_mm=height_mm,
        station=station.number,
    )
