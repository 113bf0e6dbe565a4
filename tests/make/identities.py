"""Everybody in ``tests/make``, and the drawn phantom: names, numbers and birth dates in every form."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import permutations
from pathlib import Path

MAKERS = Path(__file__).parent
#: Where the person of the drawn phantom is.
PHANTOM = MAKERS.parents[1] / "service" / "dicom" / "synthesis.py"
#: Words in the makers that a value stands behind by which somebody is known.
NAMES = {"patientname", "patient_name", "name_of_patient"}
DATES = {"patientbirthdate", "birth_date"}
NUMBERS = {"patientid", "patient_id", "accessionnumber", "accession_number", "accession"}
#: Makers that name people otherwise: ``SyntheticPatient(name=..., patient_id=...)``.
PEOPLE = {"SyntheticPatient"}


def _pairs(node: ast.AST) -> list[tuple[str | None, ast.AST | None]]:
    """Words and what stands behind them, in a call, a table, an assignment or the defaults of a function."""
    match node:
        case ast.Call():
            pairs = [(each.arg, each.value) for each in node.keywords]
            person = isinstance(node.func, ast.Name) and node.func.id in PEOPLE
            return [("patient_name" if person and word == "name" else word, value) for word, value in pairs]
        case ast.Dict():
            keys = [str(key.value) if isinstance(key, ast.Constant) else None for key in node.keys]
            return list(zip(keys, node.values, strict=True))
        case ast.Assign(targets=[ast.Name(id=word) | ast.Attribute(attr=word)]):
            return [(word, node.value)]
        case ast.AnnAssign(target=ast.Name(id=word)):
            return [(word, node.value)]
        case ast.arguments():
            return list(zip((each.arg for each in node.kwonlyargs), node.kw_defaults, strict=True))
    return []


def _said(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Words in lower case and the texts behind them; a date as DICOM writes it."""
    for word, value in _pairs(node):
        match value:
            case ast.Constant(value=str() as text) if word:
                yield word.lower(), text
            case ast.Call(func=ast.Name(id="date"), args=[year, month, day]) if word:
                yield word.lower(), "{:04}{:02}{:02}".format(*map(ast.literal_eval, (year, month, day)))


def forms_of(word: str, value: str) -> set[str]:
    """How a value may be written where it should not be."""
    if word in DATES:
        plain = re.fullmatch(r"(\d{4})(\d\d)(\d\d)", value)
        if plain is None or plain[1] in {"0000", "1900", "1850"} or value > "20100101":
            return set()  # Nobody's: it stands for an unknown or impossible one.
        year, month, day = plain.groups()
        return {value, f"{year}-{month}-{day}", f"{day}.{month}.{year}"}
    if word in NUMBERS:
        return {value} if re.search(r"\d", value) and len(value) > 1 else set()
    if word not in NAMES or "^" not in value:
        return set()
    found = {value}
    for group in value.split("="):
        parts = [part for part in group.split("^") if part]
        found |= {separator.join(order) for order in permutations(parts, 2) for separator in (" ", ", ", "^")}
        found |= {part for part in parts if (len(part) > 3 and part[1:].islower()) or not part.isascii()}
    return found


@cache
def people() -> re.Pattern[str]:
    """Every way in which somebody of the makers is written."""
    found: set[str] = set()
    for path in [PHANTOM, *sorted(MAKERS.rglob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            for word, value in _said(node):
                found |= forms_of(word, value)
    dates = "|".join(re.escape(each) for each in found if each[0].isdigit())
    words = "|".join(re.escape(each) for each in sorted(found, key=len, reverse=True))
    return re.compile(rf"(?<![\d.])(?:{dates})(?!\d)|(?<![\w.-])(?:{words})(?![\w-])")


def named(text: str) -> set[str]:
    """Who is named in a text, as he or she is written there."""
    return set(people().findall(text))
