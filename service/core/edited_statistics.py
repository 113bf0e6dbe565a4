"""How far the drawings of the network and those of people agree over many cases, from plain values.

Bias and limits of agreement (Bland and Altman 1986, Lancet 327:307), edited minus automatic.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

#: Fewer cases have no limits of agreement. Chosen by us: with four the limits themselves are known to no
#: better than 2.7 standard deviations (sqrt(3 / 4) times the 97.5th percentile of t, 3 degrees of freedom).
LEAST_CASES: Final = 5
#: Half the width of the limits in standard deviations.
LIMITS: Final = 1.96
#: Segments in the order in which they are told.
SEGMENTS: Final = ("lean_left", "lean_right", "imat_left", "imat_right")
#: Numbers that are compared, and their units.
DIFFERENCES: Final = {"compartment_ml": "mL", "lmm_ml": "mL", "imat_ml": "mL", "imat_points": "points"}


def case_of(finding: Mapping[str, Any]) -> dict[str, Any]:
    """What one edited finding adds to the statistics; empty where nothing was compared.

    The share of fat is in percentage points.
    """
    edited, measures = finding.get("edited"), finding.get("measures")
    if edited is None or measures is None:
        return {}
    was, total = edited["automatic"], measures["total"]

    def apart(name: str, factor: float = 1.0) -> float | None:
        now, then = total[name], was[name]
        return None if now is None or then is None else factor * (now - then)

    return {
        "dice": {each["segment"]: each["dice"] for each in edited["agreement"]},
        "differences": {
            **{name: apart(name) for name in ("compartment_ml", "lmm_ml", "imat_ml")},
            "imat_points": apart("imat_fraction", 100.0),
        },
    }


@dataclass(frozen=True, kw_only=True)
class Spread:
    """One difference over many cases."""

    measure: str
    unit: str
    cases: int
    bias: float
    #: Limits of agreement; None below ``LEAST_CASES``.
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Dice of one segment over many cases."""

    segment: str
    cases: int
    mean: float
    lowest: float


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """All edited cases of one network and contrast."""

    network: str
    contrast: str
    cases: int
    overlaps: tuple[Overlap, ...]
    spreads: tuple[Spread, ...]


def agreements(cases: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]) -> tuple[Agreement, ...]:
    """Statistics by network and contrast, the most cases first; each case as ``case_of`` tells it."""
    told = [
        Agreement(
            network=network,
            contrast=contrast,
            cases=len(found),
            overlaps=_overlaps(found),
            spreads=_spreads(found),
        )
        for (network, contrast), found in cases.items()
    ]
    return tuple(sorted(told, key=lambda each: (-each.cases, each.network, each.contrast)))


def _overlaps(cases: Sequence[Mapping[str, Any]]) -> tuple[Overlap, ...]:
    found = []
    for name in SEGMENTS:
        values = [case["dice"][name] for case in cases if case["dice"].get(name) is not None]
        if values:
            mean = math.fsum(values) / len(values)
            found.append(Overlap(segment=name, cases=len(values), mean=mean, lowest=min(values)))
    return tuple(found)


def _spreads(cases: Sequence[Mapping[str, Any]]) -> tuple[Spread, ...]:
    found = []
    for measure, unit in DIFFERENCES.items():
        values = [
            case["differences"][measure] for case in cases if case["differences"].get(measure) is not None
        ]
        if not values:
            continue
        bias, low, high = math.fsum(values) / len(values), None, None
        if len(values) >= LEAST_CASES:
            half = LIMITS * statistics.stdev(values)
            low, high = bias - half, bias + half
        found.append(Spread(measure=measure, unit=unit, cases=len(values), bias=bias, low=low, high=high))
    return tuple(found)
