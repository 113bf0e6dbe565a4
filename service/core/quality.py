"""Checks that a drawn compartment must pass before anything is measured on it."""

import numpy as np
from numpy.typing import NDArray

from service.core.compartment import Compartment, agreement
from service.core.eligibility import agent_matters
from service.core.finding import QualityCheck
from service.core.predictor import Outlook
from service.core.series import Person, StackFacts
from service.core.status import WITHIN_SERIES
from service.core.volume import Grid

#: Mean area of one side, in cm2, outside which the drawing is not the paraspinal group of an adult.
#: L3 95 % range of the whole paraspinal area is about 30-80 cm2 for both sides (Acta Radiol 2023,
#: 10.1177/02841851231170361: 5th percentile 33 cm2 in women); thoracic slices are smaller. Chosen by
#: us, wide enough for atrophy.
SIDE_AREA_CM2 = (2.0, 60.0)
#: Muscle must be found in at least this share of the slices (chosen by us: fewer means that most of
#: the stack lies outside the trunk or that the network failed on it).
MIN_SLICE_SHARE = 0.5
#: Dice between the answers to the image and to its mirror image; below this the network contradicts
#: itself. Chosen by us from the prototype (good slices agree above 0.9); the
#: calibrated estimate is ``predicted_dice``.
MIN_FLIP_AGREEMENT = 0.75
#: Larger side over smaller side. Asymmetry above 30 % of cross-section is rare even with scoliosis;
#: a factor of 2 means that one side was missed (chosen by us).
MAX_SIDE_RATIO = 2.0
#: PatientAge is in completed years and may be typed before or after a birthday; more apart is an error.
MAX_AGE_DIFFERENCE_YEARS = 1.0
#: Stands in the place of a prediction where the card of the network brings none.
_NO_PREDICTION = QualityCheck(
    check="predicted_dice",
    passed=True,
    detail="Not given: no calibrated estimate exists for this network.",
)


def check_compartment(
    compartment: NDArray[np.uint8],
    grid: Grid,
    plain: NDArray[np.uint8],
    mirrored: NDArray[np.uint8] | None,
    outlook: Outlook | None = None,
) -> tuple[QualityCheck, ...]:
    """Look at the cleaned compartment, and at the raw answers to the image and to its mirror image.

    ``outlook`` is what the network's own predictor expects; None where its card has none.
    """
    left, right = compartment == Compartment.LEFT, compartment == Compartment.RIGHT
    present = _present(left, right)
    checks = [present]
    if present.passed:
        checks += _geometry(left, right, grid)
        if mirrored is not None:
            checks.append(_flip(plain, mirrored))
    if outlook is None:
        return (*checks, _NO_PREDICTION)
    return (*checks, _familiar(outlook), _predicted(outlook))


def check_identity(disagrees: tuple[str, ...]) -> tuple[QualityCheck, ...]:
    """A note where the images of the study are not all of one person, naming attributes and never values."""
    if not disagrees:
        return ()
    between = [keyword for keyword in disagrees if keyword != WITHIN_SERIES]
    said = [f"The series of the study disagree in {', '.join(between)}."] if between else []
    if WITHIN_SERIES in disagrees:
        said.append("The images of one series disagree about the person.")
    said.append("Nothing was compared with earlier studies.")
    return (QualityCheck(check="identity_agrees", passed=False, detail=" ".join(said)),)


def check_age(person: Person) -> tuple[QualityCheck, ...]:
    """A note where the age by the dates and PatientAge are both there and disagree; the dates count."""
    age, stated = person.age_years, person.stated_age_years
    if age is None or stated is None or abs(stated - int(age)) <= MAX_AGE_DIFFERENCE_YEARS:
        return ()
    detail = f"The dates give {age:.1f} years and PatientAge {stated:.1f}; the dates were used."
    return (QualityCheck(check="age_agrees", passed=False, detail=detail),)


def check_agent(facts: StackFacts) -> tuple[QualityCheck, ...]:
    """Whether a contrast agent was given, and whether that matters for these images."""
    detail = "No attribute names a contrast agent."
    if facts.contrast_agent:
        detail = f"A contrast agent was given ({facts.contrast_agent})."
        if not agent_matters(facts):
            detail += " On T2 images it changes muscle little, and fat is judged beside muscle."
    return (QualityCheck(check="post_contrast", passed=not agent_matters(facts), detail=detail),)


def _geometry(left: NDArray[np.bool_], right: NDArray[np.bool_], grid: Grid) -> list[QualityCheck]:
    return [
        _areas(left, right, grid),
        _symmetric(left, right),
        _slices(left, right),
        _sides(left, right, grid),
        _inside(left | right),
    ]


def _present(left: NDArray[np.bool_], right: NDArray[np.bool_]) -> QualityCheck:
    found = [name for name, side in (("left", left), ("right", right)) if bool(side.any())]
    return QualityCheck(
        check="both_sides_found", passed=len(found) == 2, detail=f"Found: {', '.join(found) or 'nothing'}."
    )


def _areas(left: NDArray[np.bool_], right: NDArray[np.bool_], grid: Grid) -> QualityCheck:
    areas = [_mean_area_cm2(side, grid) for side in (left, right)]
    low, high = SIDE_AREA_CM2
    return QualityCheck(
        check="plausible_area",
        passed=all(low <= area <= high for area in areas),
        detail=f"Mean area left {areas[0]:.1f}, right {areas[1]:.1f} cm2; expected {low:.0f} to {high:.0f}.",
    )


def _mean_area_cm2(side: NDArray[np.bool_], grid: Grid) -> float:
    counts = side.sum(axis=(1, 2))
    return float(counts[counts > 0].mean()) * grid.pixel_area_mm2 / 100.0


def _symmetric(left: NDArray[np.bool_], right: NDArray[np.bool_]) -> QualityCheck:
    sizes = sorted((int(left.sum()), int(right.sum())))
    ratio = sizes[1] / sizes[0]
    return QualityCheck(
        check="plausible_symmetry",
        passed=ratio <= MAX_SIDE_RATIO,
        detail=f"Larger side over smaller side {ratio:.2f}; at most {MAX_SIDE_RATIO:.1f} expected.",
    )


def _slices(left: NDArray[np.bool_], right: NDArray[np.bool_]) -> QualityCheck:
    share = float((left | right).any(axis=(1, 2)).mean())
    return QualityCheck(
        check="slices_with_muscle",
        passed=share >= MIN_SLICE_SHARE,
        detail=f"Muscle was found in {share:.0%} of the slices; at least {MIN_SLICE_SHARE:.0%} expected.",
    )


def _sides(left: NDArray[np.bool_], right: NDArray[np.bool_], grid: Grid) -> QualityCheck:
    """The left compartment must lie at larger x (LPS) than the right one."""
    centres = [grid.to_patient(np.argwhere(side).astype(np.float64)).mean(axis=0) for side in (left, right)]
    gap = float(centres[0][0] - centres[1][0])
    return QualityCheck(
        check="sides_by_patient_coordinates",
        passed=gap > 0,
        detail=f"The centre of the left compartment lies {gap:.0f} mm to the left of the right one.",
    )


def _inside(muscle: NDArray[np.bool_]) -> QualityCheck:
    """Muscle that touches the border of the image is cut off."""
    border = np.ones(muscle.shape[1:], dtype=bool)
    border[1:-1, 1:-1] = False
    cut = int((muscle & border).any(axis=(1, 2)).sum())
    return QualityCheck(
        check="inside_field_of_view",
        passed=cut == 0,
        detail=f"Muscle reaches the image border in {cut} slices.",
    )


def _flip(plain: NDArray[np.uint8], mirrored: NDArray[np.uint8]) -> QualityCheck:
    dice = agreement(plain > 0, mirrored > 0)
    return QualityCheck(
        check="mirror_agreement",
        passed=dice >= MIN_FLIP_AGREEMENT,
        detail=f"Dice {dice:.3f} between answers to image and mirror image; at least {MIN_FLIP_AGREEMENT}.",
    )


def _familiar(outlook: Outlook) -> QualityCheck:
    """Judged by the pixels alone, because headers can name the wrong plane or part of the body."""
    strange = [
        f"{name.replace('_', ' ')} {value:.2f} (at most {limit:.2f})"
        for name, value, limit in outlook.strange
    ]
    return QualityCheck(
        check="looks_like_axial_spine",
        passed=not strange,
        detail=f"Unlike any axial image of the back that was drawn well: {', '.join(strange)}."
        if strange
        else "Certainty and shape of the drawing are those of axial images of the back.",
    )


def _predicted(outlook: Outlook) -> QualityCheck:
    low, high = outlook.interval
    return QualityCheck(
        check="predicted_dice",
        passed=outlook.dice >= outlook.withhold_below,
        detail=f"Predicted Dice {outlook.dice:.2f} (95 % interval {low:.2f} to {high:.2f}); "
        f"at least {outlook.withhold_below:.2f} expected.",
        predicted_dice=round(outlook.dice, 3),
        predicted_dice_ci95=(round(low, 3), round(high, 3)),
    )
