"""Drawings of the population; each has a table beside it that says the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from service.core.population import AGE_BAND_YEARS, LARGEST_Z, SEXES
from service.core.risk import QUARTILE_Z
from service.web.codes import SEX_NAMES
from service.web.language import Speaker
from service.web.population_frame import (
    Frame,
    age_ticks,
    dot,
    month_ticks,
    picture,
    serial,
    signed,
    span_of,
    step_of,
    text,
    ticks_of,
    unit_name,
)
from service.web.population_shapes import AgesShape, ChartShape, FlagMonthShape, PlaneShape, PopulationReport

#: Months that a drawing shows at most: five years, so that each is at least ten units wide.
MOST_MONTHS: Final = 60
#: Shades of cells, from few people to many.
SHADES: Final = 5
CELL: Final = Markup(
    '<rect class="cell shade-{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">{}</rect>'
)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Every drawing of the page; None where there is nothing to draw."""

    plane: Markup | None
    #: By measure.
    ages: dict[str, Markup | None]
    flags: Markup | None
    #: By measure: of all results, then of each group, with its name.
    drift: dict[str, list[tuple[str, Markup]]]


def drawings(report: PopulationReport, say: Speaker, *, most_charts: int) -> Drawn:
    """The drawings of a report."""
    charts: dict[str, list[tuple[str, Markup]]] = {}
    for chart in report.drift:
        mine = charts.setdefault(chart.measure, [])
        if len(mine) <= most_charts:
            mine.append((chart.name, drift(chart, say)))
    return Drawn(
        plane=None if report.plane is None or not report.plane.cells else plane(report.plane, say),
        ages={each.measure: ages(each, say) for each in report.ages},
        flags=flag_rates(report.flag_rates, say),
        drift=charts,
    )


def plane(found: PlaneShape, say: Speaker) -> Markup:
    """Cells shaded by people, with the corners of the quadrants."""
    frame = Frame(x=(-LARGEST_Z, LARGEST_Z), y=(-LARGEST_Z, LARGEST_Z), height=330.0)
    ticks = {float(z): signed(z) for z in range(-4, 5)}
    parts = [frame.axes(ticks, ticks, say("z of lean muscle (LMM)"), say("z of fat (IMAT)"))]
    most = max(cell.people for cell in found.cells)
    for cell in found.cells:
        left, top = frame.at(cell.lmm_z, cell.imat_z + found.cell_z)
        right, bottom = frame.at(cell.lmm_z + found.cell_z, cell.imat_z)
        shade = max(1, -(-SHADES * cell.people // most))
        name = Markup("<title>{}</title>").format(say("about {count} people", count=cell.people))
        size = (right - left, bottom - top)
        parts.append(CELL.format(shade, left, top, *size, name))
    for z in (-QUARTILE_Z, QUARTILE_Z):
        parts.append(frame.line([(z, -LARGEST_Z), (z, LARGEST_Z)], "corner"))
        parts.append(frame.line([(-LARGEST_Z, z), (LARGEST_Z, z)], "corner"))
    return picture(say("People in the plane of the two scores"), 402, 396, parts)


def ages(found: AgesShape, say: Speaker) -> Markup | None:
    """Both sexes beside each other: the quartiles of ten years each, before the centiles of the table."""
    told = [band for band in found.bands if band.p50 is not None]
    if not told:
        return None
    tops = [band.p75 or band.p50 or 0.0 for band in told]
    reference = found.reference.curves if found.reference is not None else []
    top = 1.15 * max([*tops, *(value for curve in reference for value in curve.values[-1])]) or 1.0
    years = [edge for band in told for edge in (band.from_years, band.from_years + AGE_BAND_YEARS)]
    span = (float(min(years)), float(max(years)))
    share = found.unit == "1"
    parts: list[Markup] = []
    for place, sex in enumerate(SEXES):
        frame = Frame(x=span, y=(0.0, top), left=52.0 + place * 350.0, width=280.0)
        parts.append(
            frame.axes(
                age_ticks(span), ticks_of(top, percent=share), say("Age (years)"), unit_name(found.unit)
            )
        )
        parts.append(text(frame.left + 6, frame.top + 16, say(SEX_NAMES[sex]), "start", "name"))
        for curve in (each for each in reference if each.sex == sex):
            for rank, line in enumerate(curve.values):
                inside = [
                    point
                    for point in zip(curve.ages_years, line, strict=True)
                    if span[0] <= point[0] <= span[1]
                ]
                parts.append(
                    frame.line(inside, "median-line" if rank == len(curve.values) // 2 else "centile")
                )
        for band in (each for each in told if each.sex == sex):
            middle = band.from_years + AGE_BAND_YEARS / 2
            if band.p25 is not None and band.p75 is not None:
                parts.append(frame.line([(middle, band.p25), (middle, band.p75)], "quartiles"))
            parts.append(dot(frame, middle, band.p50 or 0.0, "median"))
    return picture(say("Median and quartiles over age, by sex"), 742, 288, parts)


def flag_rates(months: Sequence[FlagMonthShape], say: Speaker) -> Markup | None:
    """The share of people with a raised flag, month by month."""
    told = [each for each in months[-MOST_MONTHS:] if each.rate is not None]
    if not told:
        return None
    top = max(0.1, 1.15 * max(each.rate or 0.0 for each in told))
    span = span_of([each.month for each in told])
    frame = Frame(x=span, y=(0.0, top), width=680.0, height=180.0)
    parts = [
        frame.axes(
            month_ticks(span), ticks_of(top, percent=True), say("Month"), say("People with a raised flag")
        )
    ]
    parts.append(frame.line([(serial(each.month), each.rate or 0.0) for each in told], "series"))
    parts += [dot(frame, serial(each.month), each.rate or 0.0, "median") for each in told]
    return picture(say("Flag rate by month"), 742, 248, parts)


def drift(chart: ChartShape, say: Speaker) -> Markup:
    """Medians by month over what is expected, with their limits; what lies outside is a square."""
    points = chart.points[-MOST_MONTHS:]
    edges = [value for point in points for value in (point.ratio, point.low, point.high) if value is not None]
    half = max(0.1, 1.15 * max(abs(value - 1.0) for value in edges))
    span = span_of([point.month for point in points])
    frame = Frame(x=span, y=(1.0 - half, 1.0 + half), width=430.0, height=150.0)
    step = step_of(2 * half)
    ticks = {1.0 + step * n: signed(100 * step * n) + " %" for n in range(-9, 10) if step * abs(n) <= half}
    parts = [frame.axes(month_ticks(span), ticks, say("Month"), say("Median against expected"))]
    limited = [point for point in points if point.low is not None and point.high is not None]
    parts += [
        frame.line([(serial(each.month), getattr(each, side)) for each in limited], "limit")
        for side in ("low", "high")
    ]
    if chart.centre is not None:
        parts.append(frame.line([(span[0], chart.centre), (span[1], chart.centre)], "centre"))
    parts.append(frame.line([(serial(point.month), point.ratio) for point in points], "series"))
    parts += [
        dot(frame, serial(point.month), point.ratio, f"point-{point.state.replace('_', '-')}")
        for point in points
    ]
    return picture(say("Median by month, with control limits"), 492, 218, parts)
