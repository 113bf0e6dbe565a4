"""Curves: the muscles along the spine, and one person beside a reference table."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from service.core import wording
from service.core.finding import Finding, Measures, Score
from service.core.language import ENGLISH, Words
from service.core.mask import COLOURS, Label
from service.pictures.fonts import displayable

Rgb = NDArray[np.uint8]
DPI: Final = 100
INK: Final = "#1c2530"
QUIET: Final = "#6b7683"


@dataclass(frozen=True, kw_only=True)
class ReferenceCurve:
    """A norm by age for one sex, in the unit of the measure (shares from 0 to 1)."""

    age_years: tuple[float, ...]
    p5: tuple[float, ...]
    p50: tuple[float, ...]
    p95: tuple[float, ...]
    label: str
    #: The norm's own word for how far it may be trusted, for example "provisional".
    status: str


def profile_figure(
    finding: Finding,
    *,
    size_px: tuple[int, int] = (720, 560),
    scale: float = 1.0,
    words: Words = ENGLISH,
) -> Rgb:
    """Lean and fat area of each side along the spine: the patient's right on the left, cranial up.

    ``scale`` multiplies the pixels of the same drawing, for paper.
    """
    figure, axes = _empty(size_px, scale)
    if finding.measures is None or not finding.measures.profile:
        said = words("No profile: nothing was measured")
        axes.text(0.5, 0.5, said, ha="center", va="center", color=QUIET)
        axes.set_axis_off()
        return _pixels(figure)
    _draw_profile(axes, finding.measures, words)
    return _pixels(figure)


def reference_figure(
    score: Score,
    curve: ReferenceCurve,
    *,
    age_years: float | None,
    size_px: tuple[int, int] = (720, 480),
    scale: float = 1.0,
    words: Words = ENGLISH,
    bare: bool = False,
) -> Rgb:
    """The norm's median and 5th and 95th percentile by age, and this person's value with its interval.

    ``bare``: small, under the name of the measure, without legend and title of the table.
    """
    factor = 100.0 if score.measure in wording.SHARES else 1.0
    score = _adjusted(score)
    figure, axes = _empty(size_px, scale)
    age = np.array(curve.age_years)
    low, middle, high = (np.array(line) * factor for line in (curve.p5, curve.p50, curve.p95))
    axes.fill_between(age, low, high, color="#dbe4ee", linewidth=0, label=words("5th to 95th percentile"))
    axes.plot(age, middle, color="#4a6b8a", linewidth=1.6, label=words("median"))
    for line in (low, high):
        axes.plot(age, line, color="#9db2c6", linewidth=0.9)
    value = (score.value or 0.0) * factor
    if age_years is not None and score.value is not None:
        _draw_person(axes, score, age_years, factor, words)
    known = wording.MEASURE_NAMES.get(score.measure)
    # Without the title, the status of the table stands here: it is told wherever the table is shown.
    by_age = f"{words('Age (years)')}; {curve.status}" if bare else words("Age (years)")
    axes.set_xlabel(displayable(by_age), color=INK, fontsize=9)
    name, unit = wording.measure_name(score.measure, words), f"({known[1] if known else score.unit})"
    if bare:
        axes.set_title(f"{name} {unit}", fontsize=9, color=INK, loc="left")
    else:
        axes.set_ylabel(f"{name}\n{unit}", color=INK, fontsize=9)
        title = textwrap.wrap(f"{curve.label} ({curve.status})", max(20, size_px[0] // 7), max_lines=2)
        axes.set_title("\n".join(displayable(line) for line in title), fontsize=7.5, color=QUIET, loc="left")
    axes.set_xlim(float(age.min()), float(age.max()))
    shown = [float(high.max()), *(bound * factor for bound in score.value_ci95 or ()), value]
    # Room for the legend above everything that is drawn.
    axes.set_ylim(0, (1.12 if bare else 1.6) * max(shown))
    if not bare:
        axes.legend(frameon=False, fontsize=7.5, loc="upper left")
    return _pixels(figure)


def draw_curves(
    finding: Finding,
    curves: Mapping[str, ReferenceCurve],
    *,
    sizes_px: Sequence[tuple[int, int]],
    scale: float = 1.0,
    words: Words = ENGLISH,
    bare: bool = False,
) -> list[Rgb]:
    """Each norm that a score was taken from, with the person in it; the last of the sizes serves the rest."""
    age = finding.person.age_years if finding.person else None
    scores = [score for score in finding.scores if score.measure in curves]
    return [
        reference_figure(
            score,
            curves[score.measure],
            age_years=age,
            size_px=sizes_px[min(place, len(sizes_px) - 1)],
            scale=scale,
            words=words,
            bare=bare,
        )
        for place, score in enumerate(scores)
    ]


def _adjusted(score: Score) -> Score:
    """The score with the value that was compared: without the effects of height and scanner."""
    facts = score.norm_facts
    if facts is None or not score.value:
        return score
    share = facts.adjusted_value / score.value
    bounds = score.value_ci95 and (score.value_ci95[0] * share, score.value_ci95[1] * share)
    return replace(score, value=facts.adjusted_value, value_ci95=bounds or None)


def _draw_person(axes: Axes, score: Score, age_years: float, factor: float, words: Words) -> None:
    """The person's point, with the interval of the measurement where it is known."""
    value = (score.value or 0.0) * factor
    error = None
    if score.value_ci95 is not None:
        low, high = (bound * factor for bound in score.value_ci95)
        error = np.array([[max(0.0, value - low)], [max(0.0, high - value)]])
    axes.errorbar(
        [age_years],
        [value],
        yerr=error,
        fmt="o",
        color="#b3402e",
        markersize=6,
        capsize=3,
        linewidth=1.2,
        label=words("this examination") if error is None else words("this examination with 95 % interval"),
        zorder=5,
    )


def _draw_profile(axes: Axes, measures: Measures, words: Words) -> None:
    """Areas to both sides of a middle line."""
    profile = measures.profile
    height = np.array([point.position_mm for point in profile])
    separated = any(point.left_fat_cm2 is not None for point in profile)
    right = words("lean right") if separated else words("compartment right")
    left = words("lean left") if separated else words("compartment left")
    sides = (
        (-1.0, (Label.LEAN_RIGHT, Label.IMAT_RIGHT), "right", (right, words("IMAT right"))),
        (1.0, (Label.LEAN_LEFT, Label.IMAT_LEFT), "left", (left, words("IMAT left"))),
    )
    widest = 1.0
    for sign, (lean_label, fat_label), side, (lean_word, fat_word) in sides:
        lean = np.array([getattr(point, f"{side}_lean_cm2") or 0.0 for point in profile])
        fat = np.array([getattr(point, f"{side}_fat_cm2") or 0.0 for point in profile])
        widest = max(widest, float((lean + fat).max()))
        axes.fill_betweenx(height, 0, sign * lean, color=_hex(lean_label), linewidth=0, label=lean_word)
        if separated:
            axes.fill_betweenx(
                height,
                sign * lean,
                sign * (lean + fat),
                color=_hex(fat_label),
                linewidth=0,
                label=fat_word,
            )
    axes.axvline(0, color="white", linewidth=1.2)
    axes.set_xlim(-1.12 * widest, 1.12 * widest)
    axes.set_ylim(float(height.min()), float(height.max()) if len(height) > 1 else float(height.min()) + 1)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):g}"))
    axes.set_xlabel(words("R        cross-sectional area (cm\u00b2)        L"), color=INK, fontsize=9)
    axes.set_ylabel(words("Position from the caudal end (mm)"), color=INK, fontsize=9)
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))


def _empty(size_px: tuple[int, int], scale: float) -> tuple[Figure, Axes]:
    """A figure of its own canvas, apart from pyplot and its global state."""
    figure = Figure(figsize=(size_px[0] / DPI, size_px[1] / DPI), dpi=DPI * scale, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name in ("top", "right"):
        axes.spines[name].set_visible(False)
    for name in ("left", "bottom"):
        axes.spines[name].set_color("#9aa5b1")
    axes.tick_params(colors=QUIET, labelsize=9)
    axes.grid(visible=True, color="#eceff3", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _pixels(figure: Figure) -> Rgb:
    """The figure as it would be printed."""
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()  # type: ignore[no-untyped-call]


def _hex(label: Label) -> str:
    """The colour of a label as matplotlib reads it."""
    return "#{:02x}{:02x}{:02x}".format(*COLOURS[label])
