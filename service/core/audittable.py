"""The audit record written out: as a table for spreadsheets, or as one JSON object a line."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal

Form = Literal["csv", "json"]
COLUMNS: Final = (
    *("id", "at", "actor", "action", "outcome", "object_type", "object_id", "address", "detail"),
    *("chain_number", "chain_hash"),
)
#: What formulas begin with (OWASP, CSV injection).
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def written(lines: Iterable[Mapping[str, Any]], form: Form) -> Iterator[str]:
    """The text of each line with its end; a table begins with the names of its columns."""
    if form == "json":
        yield from (json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        return
    yield _row(COLUMNS)
    for line in lines:
        cells = {**line, "detail": _one_cell(line["detail"])}
        yield _row([_harmless(cells[name]) for name in COLUMNS])


def _row(cells: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _one_cell(detail: dict[str, Any] | None) -> str:
    return "" if detail is None else json.dumps(detail, ensure_ascii=False, sort_keys=True)


def _harmless(value: object) -> object:
    """A text that a spreadsheet would take for a formula has an apostrophe in front.

    Who tries to log in is written down as he called himself.
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
