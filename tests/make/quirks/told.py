"""The table of oddities as a page tells it."""

from collections import Counter
from itertools import groupby
from typing import Any

from tests.make.quirks import QUIRKS
from tests.make.quirks.quirk import BLOCK, MEASURED, Quirk

#: What stands before the tables on the page.
BEGIN = "<!-- The tables below are those of the tests: python -m tests.make.quirks writes them. -->"


def told() -> str:
    """All tables."""
    parts = []
    for group, quirks in groupby(QUIRKS, key=lambda quirk: quirk.group):
        rows = [
            f"| {quirk.text.replace('|', '/')} | {_outcome(quirk)} | {_facts(quirk)} |" for quirk in quirks
        ]
        parts.append(
            "\n".join([f"\n## {group}\n", "| what is sent | outcome | read as |", "|---|---|---|", *rows])
        )
    return "\n".join(parts) + "\n"


def _outcome(quirk: Quirk) -> str:
    """What becomes of the input sets and of the files that are part of none."""
    sets = [_one(outcome, count) for outcome, count in Counter(quirk.sets).items()]
    files = [f"{_files(count)}: `{code}`" for code, count in Counter(quirk.files).items()]
    return "; ".join([*sets, *files]) or "passed over"


def _one(outcome: str, count: int) -> str:
    words = outcome
    if outcome not in (MEASURED, BLOCK):
        words = ", ".join(f"`{code}`" for code in outcome.split(", "))
    return words if count == 1 else f"{count} x {words}"


def _files(count: int) -> str:
    return "each file" if count > 1 else "the file"


def _facts(quirk: Quirk) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in quirk.facts.items())


def _value(value: Any) -> str:
    if value is None:
        return "not known"
    if isinstance(value, tuple):
        return " x ".join(f"{number:g}" for number in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
