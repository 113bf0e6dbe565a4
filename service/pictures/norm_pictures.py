"""Pictures that judge a reference table: its curves over the people behind it, and worms of their scores."""

import textwrap
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import special

from service.core import wording
from service.core.normfit_check import ScoredPeople
from service.core.norms import Z95, NormTable, value_at
from service.pictures.fonts import displayable

Rgb = NDArray[np.uint8]
Array = NDArray[np.float64]
DPI: Final = 100
INK: Final = "#1c2530"
QUIET: Final = "#6b7683"
LINE: Final = "#4a6b8a"
BAND: Final = "#dbe4ee"
SEX_NAMES: Final = {"F": "Women", "M": "Men"}
#: z of the 5th, 25th, 50th, 75th and 95th percentile.
CENTILES: Final = {"5": -1.644854, "25": -0.674490, "50": 0.0, "75": 0.674490, "95": 1.644854}
#: Worms are drawn of this many parts of the ages, as van Buuren and Fredriks 2001 (Stat Med 20:1259) do.
AGE_PARTS: Final = 4
SQRT_2PI: Final = 2.506628274631


def centile_figure(table: NormTable, people: ScoredPeople) -> Rgb:
    """Percentiles of each sex over age with their 95 % bands, and one faint point for each person."""
    sexes = list(table.knots)
    figure = Figure(figsize=(5.6 * len(sexes), 4.9), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    factor = 100.0 if table.measure in wording.SHARES else 1.0
    top = 0.0
    for axes, sex in zip(figure.subplots(1, len(sexes), sharey=True, squeeze=False)[0], sexes, strict=True):
        _tidy(axes)
        mine = np.array([each == sex for each in people.sexes])
        axes.plot(people.ages[mine], people.values[mine] * factor, ".", color="#9aa5b1", markersize=2.5)
        top = max(top, _draw_curves(axes, table, sex, factor))
        axes.set_title(f"{SEX_NAMES.get(sex, sex)} (n = {int(mine.sum())})", color=INK, fontsize=10)
        axes.set_xlabel("Age (years)", color=INK, fontsize=9)
        axes.set_ylim(0.0, 1.5 * top)
    known = wording.MEASURE_NAMES.get(table.measure)
    name = f"{wording.measure_name(table.measure)} ({known[1] if known else table.unit})"
    figure.axes[0].set_ylabel(name, color=INK, fontsize=9)
    return _finished(figure, f"{table.title}, {table.reference} ({table.status})")


def worm_figure(people: ScoredPeople, title: str) -> Rgb:
    """How far the scores of each sex and quarter of ages lie from those of a normal distribution.

    A flat worm within its 95 % band fits; a high or low one has another mean, a slanted one another
    SD, a bent one another skewness.
    """
    sexes = sorted(set(people.sexes))
    figure = Figure(figsize=(11.2, 2.9 * len(sexes)), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(sexes), AGE_PARTS, sharex=True, sharey=True, squeeze=False)
    for row, sex in zip(grid, sexes, strict=True):
        mine = np.array([each == sex for each in people.sexes])
        edges = np.quantile(people.ages[mine], np.linspace(0.0, 1.0, AGE_PARTS + 1))
        for part, axes in enumerate(row):
            inside = mine & (people.ages >= edges[part])
            inside &= (people.ages < edges[part + 1]) | (part == AGE_PARTS - 1)
            _draw_worm(axes, np.sort(people.z[inside]))
            name = f"{SEX_NAMES.get(sex, sex)}, {edges[part]:.0f} to {edges[part + 1]:.0f} years"
            axes.set_title(f"{name} (n = {int(inside.sum())})", color=INK, fontsize=8.5)
        row[0].set_ylabel("Score less expected score", color=INK, fontsize=8.5)
    for axes in grid[-1]:
        axes.set_xlabel("Expected score", color=INK, fontsize=8.5)
    return _finished(figure, title)


def _draw_curves(axes: Axes, table: NormTable, sex: str, factor: float) -> float:
    """The percentiles of one sex; the highest value drawn."""
    knots = table.knots[sex]
    ages = np.array([knot.age_years for knot in knots])
    bands = table.bands.get(sex, ())
    for name in ("p5", "p50", "p95") if bands else ():
        edges = np.array([getattr(band, name) for band in bands]) * factor
        at = [band.age_years for band in bands]
        axes.fill_between(at, edges[:, 0], edges[:, 1], color=BAND, linewidth=0)
    top = 0.0
    for name, z in CENTILES.items():
        values = np.array([value_at(z, knot) for knot in knots]) * factor
        axes.plot(ages, values, color=LINE, linewidth=1.8 if name == "50" else 0.9)
        axes.annotate(
            name,
            (ages[-1], values[-1]),
            xytext=(3, 0),
            textcoords="offset points",
            fontsize=7,
            color=QUIET,
            va="center",
        )
        top = max(top, float(values.max()))
    return top


def _draw_worm(axes: Axes, z: Array) -> None:
    """Sorted scores less those expected of as many people, within the 95 % band of each."""
    _tidy(axes)
    n = len(z)
    expected = special.ndtri((np.arange(1, n + 1) - 0.5) / n)
    line = np.linspace(-3.0, 3.0, 121)
    share = special.ndtr(line)
    half = Z95 * np.sqrt(share * (1.0 - share) / max(n, 1)) * SQRT_2PI * np.exp(line**2 / 2.0)
    axes.fill_between(line, -half, half, color=BAND, linewidth=0)
    axes.axhline(0.0, color=QUIET, linewidth=0.8)
    axes.plot(expected, z - expected, ".", color="#b3402e", markersize=3)
    axes.set_xlim(-3.2, 3.2)
    axes.set_ylim(-1.0, 1.0)


def _tidy(axes: Axes) -> None:
    for name in ("top", "right"):
        axes.spines[name].set_visible(False)
    axes.tick_params(colors=QUIET, labelsize=8)
    axes.grid(visible=True, color="#eceff3", linewidth=0.8)
    axes.set_axisbelow(True)


def _finished(figure: Figure, title: str) -> Rgb:
    """The picture with its title and what it must not be used for."""
    wide = textwrap.wrap(displayable(title), 120, max_lines=2)
    figure.suptitle("\n".join([*wide, wording.BANNER]), fontsize=8.5, color=QUIET)
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()  # type: ignore[no-untyped-call]
