"""The centiles of a reference table over age, where they may be drawn behind the results of a family."""

from dataclasses import dataclass
from typing import Final

from service.core.extract import Family
from service.core.lms import value_at
from service.core.normtable import NormTable

#: Centiles that are drawn, and their z.
CENTILES: Final = {5: -1.644854, 25: -0.674490, 50: 0.0, 75: 0.674490, 95: 1.644854}


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The centiles of one sex, in the unit of the measure, at the ages of the table's knots."""

    sex: str
    ages_years: tuple[float, ...]
    #: One line for each of ``CENTILES``.
    values: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A table that may be drawn."""

    norm: str
    #: The table's own word for how far it may be trusted, such as "provisional".
    status: str
    title: str
    curves: tuple[Curve, ...]


def why_not(table: NormTable, family: Family) -> str | None:
    """Code of why the table must not be drawn behind results of a family; None where it applies.

    It applies where it could score every result of it, and where no value has to be adjusted first.
    """
    low, high = table.coverage_mm or (0.0, float("inf"))
    reasons = (
        ("phantom_only", table.phantom_only),
        ("other_definition", family.definition not in table.definitions),
        ("other_network", bool(table.networks) and family.network not in table.networks),
        ("other_fat_method", bool(table.fat_methods) and family.fat_method not in table.fat_methods),
        ("other_contrast", family.contrast not in table.contrasts),
        ("other_region", family.region not in table.regions),
        ("other_coverage", not (low <= family.coverage_mm[0] and family.coverage_mm[1] <= high)),
        ("adjusts_values", table.height is not None or bool(table.scanner_shifts)),
    )
    return next((code for code, holds in reasons if holds), None)


def reference(
    tables: tuple[NormTable, ...], measure: str, family: Family
) -> tuple[Reference | None, tuple[tuple[str, str], ...]]:
    """The first table of a measure that applies, else each with the code of why it does not."""
    misfits: list[tuple[str, str]] = []
    for table in tables:
        if table.measure != measure:
            continue
        code = why_not(table, family)
        if code is None:
            return drawn(table), ()
        misfits.append((table.reference, code))
    return None, tuple(misfits)


def drawn(table: NormTable) -> Reference:
    """The centiles of a table."""
    return Reference(
        norm=table.reference,
        status=table.status,
        title=table.title,
        curves=tuple(
            Curve(
                sex=sex,
                ages_years=tuple(knot.age_years for knot in knots),
                values=tuple(tuple(value_at(z, knot) for knot in knots) for z in CENTILES.values()),
            )
            for sex, knots in sorted(table.knots.items())
        ),
    )
