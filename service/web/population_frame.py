"""Pieces of drawings as SVG: no script and no style, coloured by the classes of the page.

Each drawing has a table beside it that says the same, so it is one picture with one name.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from service.core.population import AGE_BAND_YEARS

#: Ticks of an axis of values.
MOST_TICKS = 10
#: Months that are named on an axis.
MOST_MONTH_NAMES = 6


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A field with two axes, in units of the drawing."""

    x: tuple[float, float]
    y: tuple[float, float]
    left: float = 52.0
    top: float = 26.0
    width: float = 330.0
    height: float = 220.0

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a pair of values lies; what is outside lies on the edge."""
        return self._x(x), self._y(y)

    def _x(self, value: float) -> float:
        low, high = self.x
        return self.left + self.width * (min(max(value, low), high) - low) / (high - low)

    def _y(self, value: float) -> float:
        low, high = self.y
        return self.top + self.height * (1.0 - (min(max(value, low), high) - low) / (high - low))

    def line(self, points: Iterable[tuple[float, float]], kind: str) -> Markup:
        """A line through these values."""
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.at(*point) for point in points))
        return Markup('<polyline class="{}" points="{}"/>').format(kind, joined)

    def axes(self, x_ticks: dict[float, str], y_ticks: dict[float, str], x_name: str, y_name: str) -> Markup:
        """Grid, ticks and names."""
        bottom, right = self.top + self.height, self.left + self.width
        parts = [Markup('<rect class="field" x="{}" y="{}" width="{}" height="{}"/>').format(
            self.left, self.top, self.width, self.height)]  # fmt: skip
        for value, name in x_ticks.items():
            x = f"{self._x(value):.1f}"
            parts.append(
                Markup('<line class="grid" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(x, self.top, bottom)
            )
            parts.append(text(x, bottom + 14, name, "middle"))
        for value, name in y_ticks.items():
            y = f"{self._y(value):.1f}"
            parts.append(
                Markup('<line class="grid" y1="{0}" y2="{0}" x1="{1}" x2="{2}"/>').format(y, self.left, right)
            )
            parts.append(text(self.left - 6, float(y) + 4, name, "end"))
        parts.append(text(self.left + self.width / 2, bottom + 31, x_name, "middle", "name"))
        parts.append(text(2, self.top - 12, y_name, "start", "name"))
        return Markup().join(parts)


def text(x: object, y: object, said: object, anchor: str, kind: str = "tick") -> Markup:
    """A word at its place."""
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        kind, x, y, anchor, said
    )


def picture(name: str, width: float, height: float, parts: Sequence[Markup]) -> Markup:
    """One picture with one name, for those who do not see it."""
    inner = Markup().join(parts)
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        f"{width:g}", f"{height:g}", name, inner
    )


def dot(frame: Frame, x: float, y: float, kind: str) -> Markup:
    """A mark; a square where it lies outside its limits, so that colour does not tell it alone."""
    at_x, at_y = frame.at(x, y)
    if kind == "point-outside":
        return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="9" height="9"/>').format(
            kind, at_x - 4.5, at_y - 4.5
        )
    return Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="3.5"/>').format(kind, at_x, at_y)


def serial(month: int) -> float:
    """A month on a line of months."""
    return float(month // 100 * 12 + month % 100 - 1)


def span_of(months: Sequence[int]) -> tuple[float, float]:
    """From half a month before the first to half a month after the last."""
    return serial(min(months)) - 0.5, serial(max(months)) + 0.5


def month_ticks(span: tuple[float, float]) -> dict[float, str]:
    """Some months by name."""
    first, last = int(span[0] + 0.5), int(span[1] - 0.5)
    step = next(
        each for each in (1, 2, 3, 6, 12, 24, 60, 120, 1200) if (last - first) / each <= MOST_MONTH_NAMES
    )
    return {
        float(place): f"{place // 12}-{place % 12 + 1:02d}"
        for place in range(first, last + 1)
        if place % step == 0
    }


def signed(number: float) -> str:
    """A whole number with its sign; nothing has none."""
    return f"{number:+.0f}".replace("-", "\N{MINUS SIGN}") if number else "0"


def age_ticks(span: tuple[float, float]) -> dict[float, str]:
    """Every ten years."""
    return {float(age): str(age) for age in range(int(span[0]), int(span[1]) + 1, AGE_BAND_YEARS)}


def step_of(length: float) -> float:
    """A round step that cuts a length into four to ten."""
    steps = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)
    return next((each for each in steps if length / each <= MOST_TICKS), length / MOST_TICKS)


def ticks_of(top: float, *, percent: bool) -> dict[float, str]:
    """Round values from zero up."""
    step = step_of(top * 1.6)
    return {
        step * n: f"{100 * step * n:.0f} %" if percent else f"{step * n:g}"
        for n in range(int(top / step) + 1)
    }


def unit_name(unit: str) -> str:
    """A unit as people write it; empty for a share, whose ticks say it."""
    return "" if unit == "1" else unit.replace("mL", "ml").replace("m2", "m²")
