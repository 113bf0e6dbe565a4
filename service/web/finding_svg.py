"""Drawings of one finding: the muscles along the spine, and one person beside a reference table.

They are made from the finding as the page is shown, so they speak its language and follow its theme.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from service.core import centiles
from service.core.mask import COLOURS, Label
from service.core.normtable import NormTable
from service.web.language import Speaker
from service.web.population_frame import Frame, age_ticks, dot, picture, step_of, text, ticks_of, unit_name
from service.web.word_tables import MEASURES

#: A side of the profile: its sign along the axis, its labels, and its words with and without fat told apart.
_SIDES: Final = (
    ("right", -1.0, Label.LEAN_RIGHT, Label.IMAT_RIGHT),
    ("left", 1.0, Label.LEAN_LEFT, Label.IMAT_LEFT),
)


@dataclass(frozen=True, kw_only=True)
class Charts:
    """The drawings of a finding."""

    #: None where nothing was measured slice by slice.
    profile: Markup | None
    curves: tuple["PlacedCurve", ...]


@dataclass(frozen=True, kw_only=True)
class PlacedCurve:
    """One person in the curve of a table."""

    measure: str
    drawing: Markup
    #: Whether the interval of the value is known, and so drawn.
    with_interval: bool
    norm: str
    status: str
    title: str


def charts(finding: Mapping[str, Any], tables: Sequence[NormTable], say: Speaker) -> Charts:
    """The drawings of a finding, by the tables that scored it and that are still here, unchanged."""
    measures = finding.get("measures") or {}
    person = finding.get("person") or {}
    found = {table.reference: table for table in tables}
    curves = []
    for score in finding.get("scores") or ():
        table = found.get(score.get("norm") or "")
        if table is not None and score["state"] == "scored" and _unchanged(table, score):
            drawing = curve(score, table, person, say)
            if drawing is not None:
                curves.append(
                    PlacedCurve(
                        measure=score["measure"],
                        drawing=drawing,
                        with_interval=bool(score["value_ci95"]),
                        norm=table.reference,
                        status=table.status,
                        title=table.title,
                    )
                )
    return Charts(profile=profile(measures.get("profile") or (), say), curves=tuple(curves))


def _unchanged(table: NormTable, score: Mapping[str, Any]) -> bool:
    """Whether it is the table that the score was taken from; a finding of an early release does not say."""
    facts = score.get("norm_facts")
    return facts is None or facts["sha256"] == table.sha256


def profile(points: Sequence[Mapping[str, Any]], say: Speaker) -> Markup | None:
    """Lean and fat area of each side along the spine: the patient's right on the left, cranial up."""
    if len(points) < 2:
        return None
    heights = [float(point["position_mm"]) for point in points]
    separated = any(point["left_fat_cm2"] is not None for point in points)
    areas = {
        side: [(point[f"{side}_lean_cm2"] or 0.0, point[f"{side}_fat_cm2"] or 0.0) for point in points]
        for side, *_ in _SIDES
    }
    widest = 1.1 * max(1.0, *(lean + fat for both in areas.values() for lean, fat in both))
    frame = Frame(x=(-widest, widest), y=(min(heights), max(heights)), top=56.0, height=240.0)
    step, rise = step_of(2.4 * widest), step_of(max(heights) - min(heights))
    x_ticks = {step * n: f"{abs(step * n):g}" for n in range(-10, 11) if step * abs(n) <= widest}
    first = int(min(heights) // rise) + 1 if min(heights) % rise else int(min(heights) // rise)
    y_ticks = {rise * n: f"{rise * n:g}" for n in range(first, int(max(heights) // rise) + 1)}
    parts = [
        frame.axes(
            x_ticks,
            y_ticks,
            say("R · cross-sectional area (cm²) · L"),
            say("Height from the caudal end (mm)"),
        )
    ]
    for side, sign, lean_label, fat_label in _SIDES:
        both = list(zip(areas[side], heights, strict=True))
        inner = [(sign * lean, height) for (lean, _), height in both]
        outer = [(sign * (lean + fat), height) for (lean, fat), height in both]
        parts.append(_area(frame, [(0.0, height) for height in heights], inner, lean_label))
        if separated:
            parts.append(_area(frame, inner, outer, fat_label))
    parts += _key(_entries(say, separated=separated))
    return picture(say("Profile along the spine"), 402, 334, parts)


def _area(
    frame: Frame, one: Sequence[tuple[float, float]], other: Sequence[tuple[float, float]], label: Label
) -> Markup:
    """What lies between two lines, in the colour of the drawing."""
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in (frame.at(*each) for each in (*one, *reversed(other))))
    return Markup('<polygon class="tissue" fill="{}" points="{}"/>').format(_rgb(label), joined)


def _rgb(label: Label) -> str:
    return "rgb({},{},{})".format(*COLOURS[label])


def _entries(say: Speaker, *, separated: bool) -> list[tuple[Label, str]]:
    """What each colour is."""
    if not separated:
        words = (say("muscle with its fat, right"), say("muscle with its fat, left"))
        return [(Label.LEAN_RIGHT, words[0]), (Label.LEAN_LEFT, words[1])]
    return [
        (Label.LEAN_RIGHT, say("lean muscle, right")),
        (Label.LEAN_LEFT, say("lean muscle, left")),
        (Label.IMAT_RIGHT, say("fat within it, right")),
        (Label.IMAT_LEFT, say("fat within it, left")),
    ]


def _key(entries: Sequence[tuple[Label, str]]) -> list[Markup]:
    """The colours in two columns above the drawing."""
    parts = []
    for place, (label, words) in enumerate(entries):
        left, top = 52.0 + 170.0 * (place % 2), 2.0 + 14.0 * (place // 2)
        square = Markup('<rect class="tissue" fill="{}" x="{}" y="{}" width="9" height="9"/>')
        parts += [square.format(_rgb(label), left, top), text(left + 13, top + 8, words, "start")]
    return parts


def curve(
    score: Mapping[str, Any], table: NormTable, person: Mapping[str, Any], say: Speaker
) -> Markup | None:
    """The centiles of a table by age for one sex, and this person's value with its interval."""
    age = person.get("age_years")
    mine = next((each for each in centiles.drawn(table).curves if each.sex == person.get("sex")), None)
    if mine is None or age is None or score["value"] is None:
        return None
    value, bounds = _compared(score)
    share = score["unit"] == "1"
    top = 1.12 * max(*mine.values[-1], value, *bounds)
    ages = (mine.ages_years[0], mine.ages_years[-1])
    frame = Frame(x=ages, y=(0.0, top), top=26.0, height=220.0)
    name = f"{say(MEASURES.get(score['measure'], score['measure']))}"
    unit = unit_name(score["unit"])
    parts = [
        frame.axes(
            age_ticks((10.0 * (-(-ages[0] // 10)), ages[1])),
            ticks_of(top, percent=share),
            say("Age (years)"),
            f"{name} ({unit})" if unit else name,
        )
    ]
    for rank, line in enumerate(mine.values):
        kind = "median-line" if rank == len(mine.values) // 2 else "centile"
        parts.append(frame.line(zip(mine.ages_years, line, strict=True), kind))
    if bounds:
        parts.append(frame.line([(age, bounds[0]), (age, bounds[1])], "interval"))
    parts.append(dot(frame, age, value, "person"))
    return picture(say("Reference curve"), 402, 292, parts)


def _compared(score: Mapping[str, Any]) -> tuple[float, tuple[float, ...]]:
    """Value and interval as they were compared: without the effects of height and scanner."""
    value, bounds = float(score["value"]), tuple(score["value_ci95"] or ())
    facts = score.get("norm_facts")
    if facts is None or not value:
        return value, bounds
    factor = facts["adjusted_value"] / value
    return value * factor, tuple(bound * factor for bound in bounds)
