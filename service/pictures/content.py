"""What every page of a finding shows, as lines and rows of text: one source for capture and PDF."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.core import wording
from service.core.finding import Finding, Measures, SideMeasures
from service.core.language import ENGLISH, Words
from service.pictures.fonts import can_draw, displayable, needs_wide_font

NO_VALUE = "-"
#: The distinct head of a page without measures.
HEADLINES = {
    "measured": "",
    "not_assessable": "NOT ASSESSABLE: no measurement is reported",
    "not_eligible": "NOT ELIGIBLE: no measurement is reported",
}
#: What is said of a network.
MODEL_FACTS = ("name", "version", "provider", "precision", "sha256")


@dataclass(frozen=True, kw_only=True)
class Banner:
    """Whose page it is; the name may keep DICOM's carets, dates are YYYYMMDD."""

    patient_name: str
    patient_id: str
    birth_date: str
    sex: str
    study_date: str
    accession_number: str
    series_description: str

    def fields(self, words: Words = ENGLISH) -> tuple[tuple[str, str], ...]:
        """Label and text of each field, ready to draw; a name that no font has is not drawn as boxes."""
        named = (
            (words("Patient"), shown_name(self.patient_name)),
            (words("ID"), displayable(self.patient_id)),
            (words("Born"), displayable(day(self.birth_date))),
            (words("Sex"), displayable(self.sex)),
            (words("Study"), displayable(day(self.study_date))),
            (words("Accession"), displayable(self.accession_number)),
            (words("Series"), displayable(self.series_description)),
        )
        return tuple((label, text.strip() or NO_VALUE) for label, text in named)


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """One key slice with its overlay, and where it lies."""

    #: uint8, (rows, columns, 3).
    rgb: NDArray[np.uint8]
    caption: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measure of both sides and of both together, ready to print."""

    name: str
    unit: str
    left: str
    right: str
    total: str
    asymmetry: str


def person_name(name: str) -> str:
    """A DICOM person name as people write it: the first of its spellings, without carets."""
    return next(iter(spellings(name)), "")


def shown_name(name: str) -> str:
    """The name as it can be drawn: in its own script where the fonts have it, with the alphabetic spelling.

    Where they have not, the alphabetic spelling alone; and nothing where there is none, because a row of
    boxes is no name (the patient ID stands beside it).
    """
    drawable = [spelling for spelling in spellings(name) if can_draw(spelling)]
    alphabetic = [spelling for spelling in drawable if not needs_wide_font(spelling)]
    wide = [spelling for spelling in drawable if needs_wide_font(spelling)]
    if alphabetic and wide:
        return f"{alphabetic[0]} ({wide[0]})"
    return next(iter(alphabetic or wide), "")


def spellings(name: str) -> list[str]:
    """The spellings of a DICOM person name (alphabetic, ideographic, phonetic), without carets."""
    found = []
    for part in name.split("="):
        family, _, rest = part.partition("^")
        given = " ".join(piece for piece in rest.split("^")[:2] if piece.strip())
        whole = ", ".join(piece.strip() for piece in (family, given) if piece.strip())
        if whole:
            found.append(whole)
    return found


def day(text: str) -> str:
    """A date in ISO form; text that is no date stays as it is."""
    if len(text) == 8 and text.isdigit():
        return f"{text[:4]}-{text[4:6]}-{text[6:]}"
    return text


def number(measure: str, value: float | None, words: Words = ENGLISH) -> str:
    """A value in the unit that people read it in; three figures are more than the method resolves."""
    if value is None:
        return NO_VALUE
    value = value * 100.0 if measure in wording.SHARES else value
    return words.number(value, ".1f" if abs(value) < 1000.0 else ".0f")


def measure_rows(measures: Measures, words: Words = ENGLISH) -> list[Row]:
    """The table of measures; a row appears where any side has a value, lean and fat always.

    What needs a volume is left out where there is none, as of a block.
    """
    rows = []
    asymmetries = {
        "compartment_ml": measures.asymmetry.compartment_ml,
        "imat_fraction": measures.asymmetry.imat_fraction,
    }
    for measure, (name, unit) in wording.MEASURE_NAMES.items():
        if measure == "lmm_height_index_ml_m2":
            if measures.total.compartment_ml is None:
                continue
            index = number(measure, measures.lmm_height_index_ml_m2, words)
            rows.append(Row(name=words(name), unit=unit, left="", right="", total=index, asymmetry=""))
            continue
        if measure == "fat_signal_fraction" and measures.total.fat_signal_fraction is None:
            continue
        if measure in wording.VOLUMES and measures.total.compartment_ml is None:
            continue
        sides = [_value(side, measure) for side in (measures.left, measures.right, measures.total)]
        asymmetry = asymmetries.get(measure)
        rows.append(
            Row(
                name=words(name),
                unit=unit,
                left=number(measure, sides[0], words),
                right=number(measure, sides[1], words),
                total=number(measure, sides[2], words),
                asymmetry=words.number(asymmetry, "+.3f") if asymmetry is not None else "",
            )
        )
    return rows


def score_lines(finding: Finding, words: Words = ENGLISH) -> list[tuple[str, str]]:
    """Each score: what was compared, and the outcome or the reason why there is none."""
    lines = []
    for score in finding.scores:
        known = wording.MEASURE_NAMES.get(score.measure)
        unit = known[1] if known else score.unit
        value = number(score.measure, score.value, words)
        interval = ""
        if score.value_ci95 is not None:
            low, high = (number(score.measure, bound, words) for bound in score.value_ci95)
            interval = words(" [{low} to {high}]", low=low, high=high)
        shown = f"{value}{interval} {unit}" if score.value is not None else words("no value")
        name = f"{wording.measure_name(score.measure, words)}: {shown}"
        lines.append((displayable(name), displayable(wording.score_sentence(score, words))))
    return lines


def flag_lines(finding: Finding, words: Words = ENGLISH) -> list[tuple[str, str]]:
    """Each flag: its name and its state, and nothing more."""
    return [
        (displayable(wording.flag_name(flag.code, words)), words(wording.FLAG_STATES[flag.state]))
        for flag in finding.flags
    ]


def pattern_line(finding: Finding, words: Words = ENGLISH) -> str:
    """Where the finding lies among both reference tables, if it was compared with both."""
    if finding.quadrant is None:
        return words("not given: both measures must be compared with a reference table")
    return words(wording.QUADRANTS[finding.quadrant])


def quality_lines(finding: Finding, words: Words = ENGLISH) -> list[str]:
    """The verdict over all checks, then each check that did not pass and is not told among the reasons."""
    told = {reason.code for reason in finding.reasons}
    lines = [wording.quality_sentence(finding.quality, words)]
    dice = [check.predicted_dice for check in finding.quality if check.predicted_dice is not None]
    if dice:
        lines[0] += words("; expected overlap (Dice) {dice}", dice=words.number(dice[0], ".2f"))
    lines += [
        f"{words.check(check.check)}: {words.reason(check.check, check.detail)}"
        for check in finding.quality
        if not check.passed and check.check not in told
    ]
    return [displayable(line).removesuffix(".") for line in lines]


def reason_lines(finding: Finding, words: Words = ENGLISH) -> list[str]:
    """Why nothing is reported: each reason with its code."""
    return [
        displayable(f"{words.reason(reason.code, reason.text)} ({reason.code})") for reason in finding.reasons
    ]


def source_line(finding: Finding, words: Words = ENGLISH) -> str:
    """What was measured on."""
    series = finding.series
    if series is None:
        return words("Series not described")
    return words(
        "{contrast}, {plane}, {region}, {slices} slices covering {coverage} mm, voxel {voxel} mm",
        contrast=wording.contrast_name(series, words),
        plane=words(series.plane),
        region=words(series.region.replace("_", " ")),
        slices=series.slices,
        coverage=words.number(series.coverage_mm, ".0f"),
        voxel=" x ".join(words.number(step, ".2f") for step in series.spacing_mm),
    )


def person_line(finding: Finding, words: Words = ENGLISH) -> str:
    """Age, sex and height as the scores used them."""
    person = finding.person
    if person is None:
        return words("age, sex and height not known")
    age, sex, height = words("age not known"), words("sex not usable"), words("height not known")
    if person.age_years is not None:
        age = words("age {age} y", age=words.number(person.age_years, ".1f"))
    if person.sex is not None:
        sex = words("sex {sex}", sex=person.sex)
    if person.height_m is not None:
        height = words("height {height} m", height=words.number(person.height_m, ".2f"))
    return f"{age}, {sex}, {height}"


def provenance_lines(finding: Finding, words: Words = ENGLISH) -> list[str]:
    """Definition, network, norms, software and series, for the one who repeats the measurement."""
    lines = []
    none = words("none")
    definition, model = finding.definition, finding.model
    if definition is not None:
        method = definition.fat_method or none
        phrase = "Definition {id} {version}, fat method {method}"
        lines.append(words(phrase, id=definition.id, version=definition.version, method=method))
    if model is not None:
        phrase = "Network {name} {version} ({provider}, {precision}), sha256 {sha256}"
        lines.append(words(phrase, **{name: getattr(model, name) for name in MODEL_FACTS}))
    norms, policy = ", ".join(finding.norms) or none, finding.policy or none
    phrase = "Reference tables {norms}; policy {policy}; software {software}"
    lines.append(words(phrase, norms=norms, policy=policy, software=finding.software))
    lines += wording.measured_by_sentences(finding, words)
    lines += [" ".join(said)] if (said := wording.edited_sentences(finding, words)) else []
    if finding.series is not None:
        named = [item.series_uid for item in finding.series.inputs] or [finding.series.series_uid]
        series = dict.fromkeys(uid for uid in named if uid is not None)
        names = [f"{item.file} (sha256 {item.sha256})" for item in finding.series.inputs if item.file]
        if series:
            lines.append(words("Series {series}", series=", ".join(series)))
        if names:
            lines.append(words("Files {files}", files=", ".join(names)))
    return [displayable(line) for line in lines]


def _value(side: SideMeasures, measure: str) -> float | None:
    """One measure of one side."""
    value: float | None = getattr(side, measure)
    return value
