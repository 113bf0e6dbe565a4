"""Whether a stack is inside the intended use of a network, from its headers alone."""

from dataclasses import dataclass
from typing import Final

from service.core.series import StackFacts
from service.errors import Reason

#: A step between slices this much longer than the usual one is a hole in the stack. Chosen by us: a
#: single missing slice doubles the step, and rounding of positions never reaches half a step.
MAX_GAP_RATIO = 1.5
#: The classes of objects that a scanner's MR images are (PS3.4 B.5): MR, Enhanced MR and Legacy Converted
#: Enhanced MR Image Storage. Enhanced MR Color is left out, for colours are no intensities.
MR_IMAGE_CLASSES: Final = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.4",
        "1.2.840.10008.5.1.4.1.1.4.1",
        "1.2.840.10008.5.1.4.1.1.4.4",
    }
)


@dataclass(frozen=True, kw_only=True)
class IntendedUse:
    """What a network was made for, as its card says."""

    modality: tuple[str, ...]
    planes: tuple[str, ...]
    max_tilt_degrees: float
    contrasts: tuple[str, ...]
    regions: tuple[str, ...]
    min_slices: int
    min_age: float
    exclusions: tuple[str, ...]


def reasons_not_eligible(facts: StackFacts, use: IntendedUse) -> tuple[Reason, ...]:
    """Every reason why the stack is outside the intended use; empty when it is inside."""
    checks = (
        _wrong_modality(facts, use),
        _wrong_sop_class(facts),
        _localizer(facts),
        _derived(facts),
        _wrong_plane(facts, use),
        _too_few_slices(facts, use),
        _gap(facts),
        _wrong_contrast(facts, use),
        _wrong_region(facts, use),
        _no_frame_of_reference(facts),
        _lossy(facts),
        _too_young(facts, use),
    )
    return tuple(reason for reason in checks if reason is not None)


def _wrong_modality(facts: StackFacts, use: IntendedUse) -> Reason | None:
    if facts.modality in use.modality:
        return None
    return Reason(
        "wrong_modality", f"Modality is {facts.modality or 'missing'}, not {' or '.join(use.modality)}."
    )


def _wrong_sop_class(facts: StackFacts) -> Reason | None:
    """A screenshot or a converted image may call itself MR; its values are not those of the scanner."""
    if facts.sop_class_uid in MR_IMAGE_CLASSES:
        return None
    return Reason(
        "wrong_sop_class", f"The SOP class {facts.sop_class_uid or '(missing)'} is not one of MR images."
    )


def _localizer(facts: StackFacts) -> Reason | None:
    return Reason("localizer", "The images are a localizer.") if facts.localizer else None


def _derived(facts: StackFacts) -> Reason | None:
    if not facts.derived:
        return None
    return Reason("derived", f"The images are derived ({'/'.join(facts.image_type)}), not acquired.")


def _wrong_plane(facts: StackFacts, use: IntendedUse) -> Reason | None:
    if facts.plane not in use.planes:
        return Reason("wrong_plane", f"The plane is {facts.plane}, not {' or '.join(use.planes)}.")
    if facts.tilt_degrees > use.max_tilt_degrees:
        return Reason(
            "tilted",
            f"The slices are tilted by {facts.tilt_degrees:.0f} degrees; at most {use.max_tilt_degrees:.0f}.",
        )
    return None


def _too_few_slices(facts: StackFacts, use: IntendedUse) -> Reason | None:
    if facts.slices >= use.min_slices:
        return None
    return Reason("too_few_slices", f"The stack has {facts.slices} slices, fewer than {use.min_slices}.")


def _gap(facts: StackFacts) -> Reason | None:
    if facts.largest_gap_ratio <= MAX_GAP_RATIO:
        return None
    return Reason("missing_slices", "The slice positions have a hole: at least one slice is missing.")


def _wrong_contrast(facts: StackFacts, use: IntendedUse) -> Reason | None:
    if facts.contrast in use.contrasts:
        return None
    return Reason(
        "unsupported_contrast",
        f"The contrast {facts.contrast} ({facts.contrast_evidence}) is outside the intended use.",
    )


def _wrong_region(facts: StackFacts, use: IntendedUse) -> Reason | None:
    """An unnamed region passes here; the drawn compartment is checked for plausibility later."""
    if facts.region in use.regions or facts.region == "unknown":
        return None
    return Reason(
        "wrong_region",
        f"The region was read as {facts.region} ({facts.region_evidence}), outside the intended use.",
    )


def _no_frame_of_reference(facts: StackFacts) -> Reason | None:
    if facts.frame_of_reference_uid:
        return None
    return Reason(
        "no_frame_of_reference",
        "The images have no frame of reference, so a segmentation could not be placed on them.",
    )


def _lossy(facts: StackFacts) -> Reason | None:
    if not facts.lossy:
        return None
    return Reason("lossy_compression", "The images were compressed with loss, which changes intensities.")


def _too_young(facts: StackFacts, use: IntendedUse) -> Reason | None:
    age = facts.person.age_years
    if age is None or age >= use.min_age:
        return None
    return Reason("below_min_age", f"The network was made for people of {use.min_age:.0f} years and older.")
