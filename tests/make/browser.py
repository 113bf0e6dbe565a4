"""A browser that looks closely at a page: accessible, within its width, quiet, and walked by the keyboard."""

import importlib.resources
import itertools
from pathlib import Path
from typing import Any

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


def axe_source() -> str:
    """The checker of accessibility, as its registry has it."""
    return (importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8")


#: WCAG 2.2 AA, and what its makers hold to be good practice.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
AXE = """async (tags) => {
  const found = await axe.run(document, {runOnly: tags, resultTypes: ['violations']});
  const told = (node) => node.html.slice(0, 160) + ' ' + node.failureSummary;
  return found.violations.map((one) => one.id + ': ' + one.nodes.map(told).join('; '));
}"""
HEADINGS = "() => [...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map((one) => Number(one.tagName[1]))"
WIDTH = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
CONTROLS = """() => {
  const every = 'a[href], button, input, select, textarea, summary, [tabindex]';
  const shown = (one) => one.checkVisibility({visibilityProperty: true}) && !one.disabled
    && one.type !== 'hidden' && one.tabIndex >= 0;
  const list = [...document.querySelectorAll(every)].filter(shown);
  list.forEach((one, number) => { one.dataset.walk = number; });
  return list.map((one) => one.outerHTML.slice(0, 120));
}"""
FOCUSED = """() => {
  const one = document.activeElement;
  const style = getComputedStyle(one);
  const box = one.getBoundingClientRect();
  const seen = parseFloat(style.outlineWidth) >= 2 && style.outlineStyle !== 'none';
  return [one.dataset.walk ?? null, seen, box.width > 0 && box.height > 0];
}"""


def headings_in_order(levels: list[int]) -> bool:
    """One first heading at the top, and no level left out on the way down."""
    jumps = any(after > before + 1 for before, after in itertools.pairwise(levels))
    return levels[:1] == [1] and levels.count(1) == 1 and not jumps


def keyboard_troubles(page: Any) -> list[str]:
    """Controls that the tabulator key does not reach, and those that do not show that they have the focus."""
    controls = page.evaluate(CONTROLS)
    page.evaluate("() => { document.activeElement.blur(); window.scrollTo(0, 0); }")
    reached: dict[str, bool] = {}
    # A field for a date has a stop for each of its parts.
    for _ in range(len(controls) + 4 * sum("date" in html for html in controls) + 3):
        page.keyboard.press("Tab")
        number, outlined, sized = page.evaluate(FOCUSED)
        if number is not None:
            reached[number] = outlined and sized
    missed = [html for number, html in enumerate(controls) if str(number) not in reached]
    blind = [controls[int(number)] for number, visible in reached.items() if not visible]
    return [f"not reached: {html}" for html in missed] + [f"focus not seen: {html}" for html in blind]


def troubles_of(view: Any, language: str, *, scripts: bool = True) -> list[str]:
    """What is wrong with the page that is shown; without scripts what the browser itself can tell."""
    found = [] if view.get_attribute("html", "lang") == language else ["the wrong language"]
    if view.locator("h1").count() != 1:
        found.append("not one first heading")
    if not scripts:
        return found
    if not headings_in_order(view.evaluate(HEADINGS)):
        found.append("headings out of order")
    if (over := view.evaluate(WIDTH)) > 0:
        found.append(f"{over} pixels too wide")
    view.evaluate(axe_source())
    return found + view.evaluate(AXE, TAGS)


class Witness:
    """Everything that a page complains of or asks other hosts for."""

    def __init__(self, page: Any, base: str) -> None:
        self.troubles: list[str] = []
        self._base = base
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.troubles.append(f"script: {error}"))
        page.on("request", self._request)

    def _console(self, message: Any) -> None:
        # A status other than success is what the page of an error has.
        of_page = any(f"status of {code}" in message.text for code in (404, 502, 503))
        if message.type in {"error", "warning"} and not of_page:
            self.troubles.append(message.text)

    def _request(self, request: Any) -> None:
        if not request.url.startswith(self._base):
            self.troubles.append(f"asked {request.url}")
