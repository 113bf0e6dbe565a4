"""The stacks of one analysis: whether they may be measured, and their pixels."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from service.core.dixon import PART_OF_SET
from service.core.eligibility import is_block, reasons_not_eligible
from service.core.finding import QualityCheck, SeriesInput
from service.core.inputset import InputSet
from service.core.series import BlockPlace, Role, StackFacts
from service.core.stations import AMBIGUOUS, composed_facts
from service.core.status import WITHIN_SERIES
from service.core.volume import Volume
from service.core.water_fat import DixonVolume
from service.dicom.nifti import read_nifti_volume
from service.dicom.pixels import read_pair
from service.dicom.series import Stack, read_volume
from service.errors import Reason
from service.inference.card import Card

Inputs = InputSet[Stack]


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """The pixels of one input set."""

    #: On the grid of the results; what pictures show.
    volume: Volume
    #: Water and fat of a Dixon pair.
    dixon: DixonVolume | None = None

    def shown(self, card: Card) -> Volume:
        """What the network sees."""
        if self.dixon is not None and card.dixon_segment_on == "in_phase":
            return self.dixon.in_phase
        return self.volume


def read_images(inputs: Inputs) -> Images:
    """Decode the stacks of an input set; raises UnreadableSeries."""
    if inputs.fat is None:
        return Images(volume=_read(inputs.first))
    nifti = inputs.first.facts.nifti is not None
    water, fat = (_read(inputs.first), _read(inputs.fat)) if nifti else read_pair(inputs.first, inputs.fat)
    return Images(volume=water, dixon=DixonVolume(water=water, fat=fat))


def _read(stack: Stack) -> Volume:
    """The voxels of one stack, whatever kind of file they lie in."""
    if stack.facts.nifti is not None:
        return read_nifti_volume(stack.frames[0].path, stack.grid)
    return read_volume(stack)


def newest_time(inputs: Inputs) -> datetime:
    """The newest time found in the images of the set."""
    return max(stack.newest_time for _, stack in inputs.stacks)


def inputs_section(inputs: Inputs) -> tuple[SeriesInput, ...]:
    """The stacks of the set as the finding names them."""
    return tuple(_named(role, stack.facts) for role, stack in inputs.stacks)


def _named(role: Role, facts: StackFacts) -> SeriesInput:
    return SeriesInput(
        role=role.value,
        series_uid=facts.series_uid or None,
        stack=facts.stack,
        file=None if facts.nifti is None else facts.nifti.name,
        sha256=None if facts.nifti is None else facts.nifti.sha256,
    )


def why_not_eligible(inputs: Inputs, card: Card) -> tuple[Reason, ...]:
    """Every reason why the input set is not measured; empty when it is inside the intended use.

    Several stations are judged by what they are together. A Dixon pair is judged by the contrast that the
    network is shown of it, and by both images.
    """
    if inputs.role is Role.DIXON_PART:
        return (PART_OF_SET,)
    use = card.intended_use
    facts = composed_facts([station.first for station in inputs.stations])
    if inputs.fat is None:
        reasons = reasons_not_eligible(facts, use)
        return (*reasons, inputs.unpaired) if reasons and inputs.unpaired else reasons
    fats = composed_facts([station.fat for station in inputs.stations if station.fat is not None])
    shown = [replace(each, contrast=card.dixon_segment_on) for each in (facts, fats)]
    found = {reason.code: reason for facts in shown for reason in reasons_not_eligible(facts, use)}
    return tuple(found.values())


def block_place(inputs: Inputs, card: Card) -> BlockPlace | None:
    """Which block of its series the set is; None where it is long enough for volumes."""
    facts = composed_facts([station.first for station in inputs.stations])
    if not is_block(facts, card.intended_use):
        return None
    return facts.place or BlockPlace()


def pair_check(inputs: Inputs) -> tuple[QualityCheck, ...]:
    """What was found about the images that belong to these; nothing where there are none."""
    if inputs.fat is not None:
        detail = f"Water and fat image of one acquisition: {inputs.evidence}."
        return (QualityCheck(check="dixon_pair", passed=True, detail=detail),)
    if inputs.unpaired is not None:
        check = "stations" if inputs.unpaired == AMBIGUOUS else "dixon_pair"
        return (QualityCheck(check=check, passed=False, detail=inputs.unpaired.text),)
    return ()


def nifti_check(inputs: Inputs) -> tuple[QualityCheck, ...]:
    """What told the sides of a NIfTI file, and that there are no DICOM objects of it; nothing for DICOM."""
    nifti = inputs.first.facts.nifti
    if nifti is None:
        return ()
    detail = f"Sides are told by the {nifti.orientation} of the file. No DICOM objects are made of NIfTI."
    return (QualityCheck(check="nifti", passed=True, detail=detail),)


def input_digest(inputs: Inputs, hashes: dict[str, str]) -> str:
    """SHA-256 over each role, stack and image in it with its bytes."""
    parts: list[str] = []
    for role, stack in inputs.stacks:
        uids = sorted(set(stack.facts.sop_instance_uids))
        parts += [role.value, str(stack.facts.stack), *(f"{uid}={hashes.get(uid)}" for uid in uids)]
        # Results of a block name its place, so that a block that comes late makes new ones of the others.
        parts += [] if stack.facts.place is None else [str(stack.facts.place)]
    return _digest(parts)


def unreadable_digest(hashes: dict[str, str]) -> str:
    """The digest of a series in which nothing can be read."""
    return _digest([Role.IMAGE.value, "unreadable", *(f"{uid}={hashes[uid]}" for uid in sorted(hashes))])


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8")).hexdigest()


def disagreements(inputs: Inputs, known: tuple[str, ...]) -> tuple[str, ...]:
    """In what the images disagree about the person: what is known of the study, and what the stacks say."""
    several = any(stack.facts.person.several for _, stack in inputs.stacks)
    return (*known, WITHIN_SERIES) if several and WITHIN_SERIES not in known else known
