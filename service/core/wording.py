"""The sentences that every face of a result says alike: SR, capture, PDF and page.

The rules behind them: no diagnosis, no individual probability, and the absence of a flag is never
called the absence of risk.
"""

from typing import Final

from service.core.finding import (
    Change,
    ChangeState,
    Definition,
    Difference,
    Finding,
    FlagState,
    Quadrant,
    QualityCheck,
    Score,
    ScoreState,
    SeriesSection,
)
from service.core.language import ENGLISH, Words
from service.core.series import BlockPlace, Contrast, Role

PRODUCT: Final = "myoscreen"
TITLE: Final = "Paraspinal muscle measurement on MRI"
BANNER: Final = "RESEARCH USE ONLY - NOT FOR DIAGNOSIS"
UNVERIFIED: Final = "Unverified output of software. Not reviewed by a physician."
DISCLAIMER: Final = f"RESEARCH USE ONLY. Not for diagnosis. {UNVERIFIED}"
#: The same of a drawing that a person edited.
EDITED: Final = "Drawing edited by a person, measured by software. Not verified."
EDITED_DISCLAIMER: Final = f"RESEARCH USE ONLY. Not for diagnosis. {EDITED}"
#: Said where nothing was measured.
NO_MEASUREMENT: Final = "No measurement is reported; this says nothing about the muscles themselves."
LIMITS: Final = (
    "Measured by software on images made for another purpose; check the outlines before any use.",
    (
        "Scores compare with a group of people and are no probability for this person. "
        "A flag that is not raised says nothing about the presence or absence of any disease or risk."
    ),
    "Values depend on contrast and coverage, and compare only with values of the same definition.",
    (
        "Neither images nor headers tell it for sure, so it was not checked: earlier surgery, "
        "small implants, tumour, oedema, scoliosis, diseases of nerve or muscle."
    ),
)

#: Said of a block beside its measures.
BLOCK: Final = (
    "A block of slices at one level: areas in the plane of the slices and shares of area, no volume. "
    "It has a definition of its own and is compared neither with reference tables, nor with earlier studies, "
    "because its vertebral level is not known."
)

#: What each measure is called, and in which unit people read it.
MEASURE_NAMES: Final[dict[str, tuple[str, str]]] = {
    "compartment_ml": ("Muscle compartment", "mL"),
    "lmm_ml": ("Lean muscle (LMM)", "mL"),
    "imat_ml": ("Intermuscular fat (IMAT)", "mL"),
    "imat_fraction": ("IMAT share of compartment", "%"),
    "mean_csa_cm2": ("Mean cross-section", "cm\u00b2"),
    "mean_lean_csa_cm2": ("Mean lean cross-section", "cm\u00b2"),
    "fat_signal_fraction": ("Signal fat fraction", "%"),
    "lmm_height_index_ml_m2": ("Lean muscle / height\u00b2", "mL/m\u00b2"),
}
#: Measures that a block cannot have, beside the index that is made from them.
VOLUMES: Final = frozenset({"compartment_ml", "lmm_ml", "imat_ml"})
#: Measures kept as shares from 0 to 1 and read in percent.
SHARES: Final = frozenset({"imat_fraction", "fat_signal_fraction"})

#: What each segment of a drawing is called.
SEGMENTS: Final[dict[str, str]] = {
    "lean_left": "lean muscle left",
    "lean_right": "lean muscle right",
    "imat_left": "intermuscular fat left",
    "imat_right": "intermuscular fat right",
}
SCORE_STATES: Final[dict[ScoreState, str]] = {
    "scored": "compared with a reference table",
    "no_norm": "no applicable reference table",
    "out_of_range": "outside the range of the reference table",
    "missing_demographics": "age, sex or height not available",
}
#: What the status of a norm means; any other word of a norm is shown as it is.
NORM_STATUSES: Final[dict[str, str]] = {
    "demonstration": "demonstration: values describe no people",
    "provisional": "provisional: not validated for this measurement",
    "published": "published",
    "local": "local: fitted to the site's own measures",
}
FLAG_STATES: Final[dict[FlagState, str]] = {
    "raised": "raised",
    "indeterminate": "indeterminate",
    "not_raised": "not raised",
    "not_evaluable": "not evaluable",
}
FLAG_NAMES: Final[dict[str, str]] = {
    "imat_high": "Intermuscular fat above the reference range",
    "fsf_high": "Signal fat fraction above the reference range",
    "lmm_low": "Lean muscle below the reference range",
}
CHANGE_STATES: Final[dict[ChangeState, str]] = {
    "beyond_repeatability": "more than the smallest detectable change by simulated repeats",
    "within_repeatability": "no more than the smallest detectable change by simulated repeats",
    "repeatability_not_known": "whether this is more than the error of measurement is not known",
}
QUADRANTS: Final[dict[Quadrant, str]] = {
    "high_imat_low_lmm": "IMAT in the highest and LMM in the lowest quarter of the reference table",
    "high_imat_high_lmm": "IMAT in the highest and LMM in the highest quarter of the reference table",
    "low_imat_low_lmm": "IMAT in the lowest and LMM in the lowest quarter of the reference table",
    "low_imat_high_lmm": "IMAT in the lowest and LMM in the highest quarter of the reference table",
    "between": "not in an outer quarter of both reference tables",
}
CONTRASTS: Final[dict[Contrast, str]] = {
    "t2_tse": "T2 TSE",
    "t2_haste": "T2 HASTE",
    "t1": "T1",
    "water": "Dixon water",
    "fat": "Dixon fat",
    "in_phase": "Dixon in phase",
    "opposed": "Dixon opposed phase",
    "fat_fraction": "fat fraction",
    "stir": "STIR",
    "other": "other contrast",
}


def contrast_name(series: SeriesSection, words: Words = ENGLISH) -> str:
    """What was measured on; a Dixon pair is named as one."""
    if any(item.role == Role.FAT for item in series.inputs):
        return words("Dixon water and fat")
    return words(CONTRASTS[series.contrast])


def block_name(block: BlockPlace, words: Words = ENGLISH) -> str:
    """Which block of its series it is, as far as that is sure."""
    if block.number is None:
        return words("block")
    return words("block {number} of {of} from the caudal end", number=block.number, of=block.of)


def measures_title(series: SeriesSection | None, words: Words = ENGLISH) -> str:
    """The heading of the measures; a block says there that it has no volume."""
    if series is None or series.block is None:
        return words("Measures")
    name = block_name(series.block, words)
    return words("Measures: {block}, {slices} slices, no volume", block=name, slices=series.slices)


def measure_name(measure: str, words: Words = ENGLISH) -> str:
    """What people call a measure; its own name where we have no better one."""
    known = MEASURE_NAMES.get(measure)
    return words(known[0]) if known else measure.replace("_", " ")


def flag_name(code: str, words: Words = ENGLISH) -> str:
    """What people call a flag."""
    return words(FLAG_NAMES.get(code, code.replace("_", " ")))


def score_sentence(score: Score, words: Words = ENGLISH) -> str:
    """One score in one line: the position within the reference table, or why there is none."""
    if score.state != "scored" or score.z is None:
        kind = words(SCORE_STATES[score.state])
        detail = words.retold(score.reason or kind) or kind
        return words("not compared: {why}", why=detail.rstrip("."))
    interval = _interval(score.z_ci95, "+.2f", words)
    parts = [words("z {z}{interval}", z=words.number(score.z, "+.2f"), interval=interval)]
    if score.percentile is not None:
        interval = ""
        if score.percentile_ci95 is not None:
            low, high = (percentile_text(bound) for bound in score.percentile_ci95)
            interval = words(" [{low} to {high}]", low=low, high=high)
        percentile = percentile_text(score.percentile)
        parts.append(words("percentile {percentile}{interval}", percentile=percentile, interval=interval))
    return ", ".join(parts) + f"; {reference_sentence(score, words)}"


def percentile_text(percentile: float) -> str:
    """A percentile in whole numbers; there is none of 0 or 100, for nobody lies beyond all people."""
    if percentile < 1.0:
        return "<1"
    return ">99" if percentile > 99.0 else f"{percentile:.0f}"


def boundary_rule(definition: Definition, words: Words = ENGLISH) -> str:
    """What counts as muscle; as it stands in the card where it is not known in this language."""
    return words.retold(definition.boundary_rule) or definition.boundary_rule


def reference_sentence(score: Score, words: Words = ENGLISH) -> str:
    """Which table a score was taken from, and how far that table may be trusted."""
    status = words("status not stated")
    if score.norm_status:
        status = words(NORM_STATUSES.get(score.norm_status, score.norm_status))
    norm = score.norm or words("not named")
    return words("reference table {norm} ({status})", norm=norm, status=status)


def change_sentences(change: Change | None, words: Words = ENGLISH) -> list[str]:
    """What became of the same muscles since an earlier study, beside the error of measurement."""
    if change is None:
        return []
    return [words("Against the study {days} days earlier:", days=change.days)] + [
        _difference(each, words) for each in change.measures
    ]


def _difference(each: Difference, words: Words) -> str:
    unit = MEASURE_NAMES.get(each.measure, ("", each.unit))[1]
    factor = 100.0 if each.measure in SHARES else 1.0
    then, now, moved = (
        words.number(value * factor, form)
        for value, form in ((each.earlier, ".1f"), (each.value, ".1f"), (each.difference, "+.1f"))
    )
    said = words(
        "{measure} {then} to {now} {unit} ({moved})",
        measure=measure_name(each.measure, words),
        then=then,
        now=now,
        unit=unit,
        moved=moved,
    )
    state = words(CHANGE_STATES[each.state])
    if each.smallest_detectable is None:
        return f"{said}; {state}."
    limit = words.number(each.smallest_detectable * factor, ".1f")
    return f"{said}; {state} ({limit})."


def unverified(finding: Finding) -> str:
    """What nobody may overlook of a result, beside that it is for research only."""
    return UNVERIFIED if finding.edited is None else EDITED


def disclaimer(finding: Finding) -> str:
    """The same with that."""
    return DISCLAIMER if finding.edited is None else EDITED_DISCLAIMER


def edited_sentences(finding: Finding, words: Words = ENGLISH) -> list[str]:
    """Who edited the drawing, and how much of it is that of the network; nothing where nobody did."""
    edited = finding.edited
    if edited is None:
        return []
    by = edited.by.replace("^", " ").strip() if edited.by else words("a person who is not named")
    said = [words("The drawing was edited by {by} ({type}).", by=by, type=edited.algorithm_type)]
    overlaps = [
        f"{words(SEGMENTS[each.segment])} {words.number(each.dice, '.2f')}"
        for each in edited.agreement
        if each.dice is not None
    ]
    if overlaps:
        said.append(
            words("Overlap with the drawing of the network (Dice): {values}.", values=", ".join(overlaps))
        )
    return said


def measured_by_sentences(finding: Finding, words: Words = ENGLISH) -> list[str]:
    """Which software measured, where another one only scored its measures again."""
    if finding.measured_by is None:
        return []
    return [
        words(
            "Measured by {measured_by}; scores, flags and change over time were computed anew by {software}.",
            measured_by=finding.measured_by,
            software=finding.software,
        )
    ]


def quality_sentence(checks: tuple[QualityCheck, ...], words: Words = ENGLISH) -> str:
    """How many checks passed, and which did not."""
    checks = tuple(
        check for check in checks if check.check != "predicted_dice" or check.predicted_dice is not None
    )
    failed = [words.check(check.check) for check in checks if not check.passed]
    if not checks:
        return words("No quality checks recorded")
    if not failed:
        return words("All {count} quality checks passed", count=len(checks))
    names = ", ".join(failed)
    phrase = "{failed} of {count} quality checks not passed: {names}"
    return words(phrase, failed=len(failed), count=len(checks), names=names)


def _interval(bounds: tuple[float, float] | None, form: str, words: Words) -> str:
    """A 95 % interval in brackets, or nothing."""
    if bounds is None:
        return ""
    low, high = (words.number(bound, form) for bound in bounds)
    return words(" [{low} to {high}]", low=low, high=high)
