"""What every page of a finding shows, as lines and rows of text: one source for capture and PDF."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.core import wording
from service.core.finding import Finding, Measures, SideMeasures
from service.pictures.fonts import displayable

NO_VALUE = "-"


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

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """Label and text of each field, ready to draw."""
        named = (
            ("Patient", person_name(self.patient_name)),
            ("ID", self.patient_id),
            ("Born", day(self.birth_date)),
            ("Sex", self.sex),
            ("Study", day(self.study_date)),
            ("Accession", self.accession_number),
            ("Series", self.series_description),
        )
        return tuple((label, displayable(text.strip()) or NO_VALUE) for label, text in named)


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
    spellings = [part for part in name.split("=") if part.strip("^ ")]
    if not spellings:
        return ""
    family, _, rest = spellings[0].partition("^")
    given = " ".join(part for part in rest.split("^")[:2] if part.strip())
    return ", ".join(part.strip() for part in (family, given) if part.strip())


def day(text: str) -> str:
    """A date in ISO form; text that is no date stays as it is."""
    if len(text) == 8 and text.isdigit():
        return f"{text[:4]}-{text[4:6]}-{text[6:]}"
    return text


def number(measure: str, value: float | None) -> str:
    """A value in the unit that people read it in; three figures are more than the method resolves."""
    if value is None:
        return NO_VALUE
    value = value * 100.0 if measure in wording.SHARES else value
    return f"{value:.1f}" if abs(value) < 1000.0 else f"{value:.0f}"


def measure_rows(measures: Measures) -> list[Row]:
    """The table of measures; a row appears where any side has a value, lean and fat always."""
    rows = []
    asymmetries = {
        "compartment_ml": measures.asymmetry.compartment_ml,
        "imat_fraction": measures.asymmetry.imat_fraction,
    }
    for measure, (name, unit) in wording.MEASURE_NAMES.items():
        if measure == "lmm_height_index_ml_m2":
            index = number(measure, measures.lmm_height_index_ml_m2)
            rows.append(Row(name=name, unit=unit, left="", right="", total=index, asymmetry=""))
            continue
        if measure == "fat_signal_fraction" and measures.total.fat_signal_fraction is None:
            continue
        sides = [_value(side, measure) for side in (measures.left, measures.right, measures.total)]
        asymmetry = asymmetries.get(measure)
        rows.append(
            Row(
                name=name,
                unit=unit,
                left=number(measure, sides[0]),
                right=number(measure, sides[1]),
                total=number(measure, sides[2]),
                asymmetry=f"{asymmetry:+.3f}" if asymmetry is not None else "",
            )
        )
    return rows


def score_lines(finding: Finding) -> list[tuple[str, str]]:
    """Each score: what was compared, and the outcome or the reason why there is none."""
    lines = []
    for score in finding.scores:
        known = wording.MEASURE_NAMES.get(score.measure)
        unit = known[1] if known else score.unit
        value = number(score.measure, score.value)
        interval = ""
        if score.value_ci95 is not None:
            low, high = (number(score.measure, bound) for bound in score.value_ci95)
            interval = f" [{low} to {high}]"
        shown = f"{value}{interval} {unit}" if score.value is not None else "no value"
        name = f"{wording.measure_name(score.measure)}: {shown}"
        lines.append((displayable(name), displayable(wording.score_sentence(score))))
    return lines


def flag_lines(finding: Finding) -> list[tuple[str, str]]:
    """Each flag: its name and its state, and nothing more."""
    return [
        (displayable(wording.flag_name(flag.code)), wording.FLAG_STATES[flag.state]) for flag in finding.flags
    ]


def pattern_line(finding: Finding) -> str:
    """Where the finding lies among both reference tables, if it was compared with both."""
    if finding.quadrant is None:
        return "not given: both measures must be compared with a reference table"
    return wording.QUADRANTS[finding.quadrant]


def quality_lines(finding: Finding) -> list[str]:
    """The verdict over all checks, then each check that did not pass."""
    lines = [wording.quality_sentence(finding.quality)]
    dice = [check.predicted_dice for check in finding.quality if check.predicted_dice is not None]
    if dice:
        lines[0] += f"; expected overlap (Dice) {dice[0]:.2f}"
    lines += [
        f"{check.check.replace('_', ' ')}: {check.detail}" for check in finding.quality if not check.passed
    ]
    return [displayable(line) for line in lines]


def source_line(finding: Finding) -> str:
    """What was measured on."""
    series = finding.series
    if series is None:
        return "Series not described"
    step, row, column = series.spacing_mm
    return (
        f"{wording.contrast_name(series)}, {series.plane}, {series.region.replace('_', ' ')}, "
        f"{series.slices} slices covering {series.coverage_mm:.0f} mm, "
        f"voxel {step:.2f} x {row:.2f} x {column:.2f} mm"
    )


def person_line(finding: Finding) -> str:
    """Age, sex and height as the scores used them."""
    person = finding.person
    if person is None:
        return "age, sex and height not known"
    age = f"age {person.age_years:.1f} y" if person.age_years is not None else "age not known"
    sex = f"sex {person.sex}" if person.sex is not None else "sex not usable"
    height = f"height {person.height_m:.2f} m" if person.height_m is not None else "height not known"
    return f"{age}, {sex}, {height}"


def provenance_lines(finding: Finding) -> list[str]:
    """Definition, network, norms, software and series, for the one who repeats the measurement."""
    lines = []
    if finding.definition is not None:
        lines.append(
            f"Definition {finding.definition.id} {finding.definition.version}, "
            f"fat method {finding.definition.fat_method or 'none'}"
        )
    if finding.model is not None:
        model = finding.model
        lines.append(
            f"Network {model.name} {model.version} ({model.provider}, {model.precision}), "
            f"sha256 {model.sha256}"
        )
    norms = ", ".join(finding.norms) or "none"
    lines.append(f"Reference tables {norms}; policy {finding.policy or 'none'}; software {finding.software}")
    if finding.series is not None:
        series = [item.series_uid for item in finding.series.inputs] or [finding.series.series_uid]
        lines.append(f"Series {', '.join(dict.fromkeys(series))}")
    return [displayable(line) for line in lines]


def _value(side: SideMeasures, measure: str) -> float | None:
    """One measure of one side."""
    value: float | None = getattr(side, measure)
    return value
