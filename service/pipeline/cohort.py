"""The reference people of a table of one's own, read from a CSV file."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.core.blocks import is_of_block
from service.core.edited import is_edited
from service.core.normfit_cohort import Include, ReferencePerson
from service.core.water_fat import SIGNAL_DEFINITION
from service.errors import NormMismatch

#: Measures that the service scores, and their units.
#: Columns that must be there beside that of the measure.
NEEDED: Final = ("age_years", "sex")
#: What spreadsheets write for yes and no.
_WORDS: Final = {**dict.fromkeys(("true", "1", "yes"), True), **dict.fromkeys(("false", "0", "no"), False)}


@dataclass(frozen=True, kw_only=True)
class CsvCohort:
    """The people of a file, and whether it tells them apart."""

    people: tuple[ReferencePerson, ...]
    #: Whether there is a column ``person``; without it each line counts as one person.
    has_persons: bool


def read_csv(path: Path, measure: str, include: Include) -> CsvCohort:
    """One reference person a line; raises NormMismatch with the line and column that cannot be read.

    Columns: ``age_years``, ``sex`` and the measure; if they are there also ``person``, ``study_date``,
    ``height_m``, ``scanner``, ``site``, ``definition``, ``model`` (the network), ``fat_method``,
    ``contrast``, ``region``, ``coverage_mm``, ``quality_passed`` and ``status``. What a file has no
    column for is what ``include`` asks for. The table of ``analyse --table`` is such a file.
    """
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    columns = rows.fieldnames or ()
    missing = [name for name in (*NEEDED, measure) if name not in columns]
    if missing:
        raise _unreadable(f"The file has no column {', '.join(missing)}.")
    people = tuple(
        _person(_Line(row, number, decimal_comma=delimiter == ";"), measure, include)
        for number, row in _measured(rows)
    )
    return CsvCohort(people=people, has_persons="person" in columns)


def _measured(rows: "csv.DictReader[str]") -> Iterator[tuple[int, Mapping[str, str | None]]]:
    """The lines with a result, without those of blocks: a share at one level is none of a stretch.

    A drawing that a person edited has a definition of its own, and is none of the network's.
    """
    for row in rows:
        name = (row.get("definition") or "").partition("@")[0]
        left_out = is_of_block(name) or is_edited(name)
        if row.get("status", "measured") == "measured" and not left_out:
            yield rows.line_num, row


@dataclass(frozen=True)
class _Line:
    """One line of the file."""

    row: Mapping[str, str | None]
    number: int
    decimal_comma: bool

    def text(self, column: str, otherwise: str | None = None) -> str | None:
        """What stands there; ``otherwise`` where the file has no such column."""
        if column not in self.row:
            return otherwise
        return (self.row[column] or "").strip() or None

    def float(self, column: str) -> float | None:
        """A number; nothing stands for not known."""
        text = self.text(column)
        if text is None:
            return None
        try:
            return float(text.replace(",", ".") if self.decimal_comma else text)
        except ValueError as error:
            raise self.fault(column, "is not a number") from error

    def yes(self, column: str) -> bool:
        """A truth; nothing stands for yes."""
        text = self.text(column)
        word = True if text is None else _WORDS.get(text.lower())
        if word is None:
            raise self.fault(column, "is neither true nor false")
        return word

    def fault(self, column: str, what: str) -> NormMismatch:
        """What is wrong, and where; the content may be a person's and is not told."""
        return _unreadable(f"Line {self.number}: {column} {what}.")


def _person(line: _Line, measure: str, include: Include) -> ReferencePerson:
    said = include.scanners[0] if len(include.scanners) == 1 else None
    return ReferencePerson(
        key=line.text("person", f"line {line.number}"),
        day=(line.text("study_date") or "").replace("-", ""),
        age_years=line.float("age_years"),
        sex=(line.text("sex") or "").upper() or None,
        value=line.float(measure),
        height_m=line.float("height_m"),
        scanner=line.text("scanner", said),
        site=line.text("site"),
        definition=definition_of(measure, line.text("definition", include.definition)),
        network=line.text("model", include.network),
        fat_method=line.text("fat_method", include.fat_method),
        contrast=line.text("contrast", include.contrast),
        region=line.text("region", include.region),
        coverage_mm=_coverage(line, include),
        quality_passed=line.yes("quality_passed"),
    )


def _coverage(line: _Line, include: Include) -> float | None:
    """What the line says; where there is no such column, the middle of what was asked for."""
    if "coverage_mm" in line.row or include.coverage_mm is None:
        return line.float("coverage_mm")
    return sum(include.coverage_mm) / 2.0


def definition_of(measure: str, definition: str | None) -> str | None:
    """The definition that a table of the measure is of: a signal fraction has its own."""
    return "@".join(SIGNAL_DEFINITION) if measure == "fat_signal_fraction" else definition


def _unreadable(text: str) -> NormMismatch:
    return NormMismatch(text, reason="cohort_unreadable")
