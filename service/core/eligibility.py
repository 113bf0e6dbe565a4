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


#: Contrasts that are measured after a contrast agent too. Chosen by us, because after 0.1 mmol/kg muscle has
#: 0.06 mmol/L or so: by the usual relaxivities (4.5 and 5.5 L/(mmol s)) a T2 image of TE 100 ms changes by
#: -3 % (T2) and +5 % (T1), and fat is judged beside muscle of the same image. On T1-weighted images, Dixon
#: ones among them, muscle becomes brighter by far more, and unevenly.
MEASURED_WITH_AGENT: Final = frozenset({"t2_tse", "t2_haste"})


@dataclass(frozen=True, kw_only=True)
class IntendedUse:
    """What a network was made for, as its card says."""

    modality: tuple[str, ...]
    planes: tuple[str, ...]
    max_tilt_degrees: float
    contrasts: tuple[str, ...]
    regions: tuple[str, ...]
    #: What a volume needs: a shorter stack is a block.
    min_slices: int
    min_age: float
    exclusions: tuple[str, ...]
    min_coverage_mm: float = 0.0
    #: From how many slices a block is measured, for areas and shares; None: blocks are not measured.
    min_block_slices: int | None = None


def is_block(facts: StackFacts, use: IntendedUse) -> bool:
    """Whether a stack is a block: too short for volumes, where the network may measure such."""
    return use.min_block_slices is not None and _too_short(facts, use)


def _too_short(facts: StackFacts, use: IntendedUse) -> bool:
    """Few slices, or they cover little of the patient: a volume of them is that of nothing with a name."""
    return facts.slices < use.min_slices or facts.coverage_mm < use.min_coverage_mm


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
        _post_contrast(facts),
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
    """A screenshot or a converted image may call itself MR; its values are not those of the scanner.

    A NIfTI file has no such class; whoever hands it in answers for what it is.
    """
    if facts.sop_class_uid in MR_IMAGE_CLASSES or facts.nifti is not None:
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
    needed = use.min_slices if use.min_block_slices is None else use.min_block_slices
    if facts.slices < needed:
        return Reason("too_few_slices", f"The stack has {facts.slices} slices, fewer than {needed}.")
    if use.min_block_slices is None and _too_short(facts, use):
        return Reason(
            "too_few_slices",
            f"The slices cover {facts.coverage_mm:.0f} mm; a volume needs {use.min_coverage_mm:.0f}.",
        )
    return None


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


def agent_matters(facts: StackFacts) -> bool:
    """Whether the images were made after a contrast agent and show it."""
    return bool(facts.contrast_agent) and facts.contrast not in MEASURED_WITH_AGENT


def _post_contrast(facts: StackFacts) -> Reason | None:
    if not agent_matters(facts):
        return None
    return Reason(
        "post_contrast",
        f"The images were made after a contrast agent was given ({facts.contrast_agent}).",
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
    # The mask of a NIfTI file is one in the same space.
    if facts.frame_of_reference_uid or facts.nifti is not None:
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
