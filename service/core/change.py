"""An earlier finding of the same person beside this one: only like is compared with like.

A difference is called more than the error of measurement where it exceeds the smallest detectable change,
1.96 * sqrt(2) times the spread of repeated measurements (Bland and Altman 1999, Stat Methods Med Res 8:135).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.core.blocks import is_of_block
from service.core.edited import is_edited
from service.core.finding import Change, ChangeState, Difference, Finding

#: 95 % of the differences of two measurements of the same muscle are smaller than this times their spread.
DETECTABLE = 1.959964 * math.sqrt(2.0)
#: Coverage may differ by this share; chosen by us: fat rises strongly towards the sacrum, so a stretch that
#: is a tenth longer holds other muscle.
COVERAGE_TOLERANCE = 0.1
#: What is compared, by its unit. Volumes only because the coverage is alike.
COMPARED = {"imat_fraction": "1", "fat_signal_fraction": "1", "lmm_ml": "mL", "mean_lean_csa_cm2": "cm2"}


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Spread of repeated measurements of one person by this chain, as the network's card gives it."""

    #: Standard deviation, in the measure's unit.
    sd: Mapping[str, float]
    #: Coefficient of variation.
    cv: Mapping[str, float]

    def of(self, measure: str, values: tuple[float, float]) -> float | None:
        """The standard deviation at these two values; None where it is not known."""
        if measure in self.sd:
            return self.sd[measure]
        return self.cv[measure] * sum(values) / 2 if measure in self.cv else None


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """What is needed of an earlier finding."""

    study_uid: str
    series_uid: str
    #: From the earlier study to this one.
    days: int
    #: Everything that must be the same: definition, network, contrast, region, roles, scanner.
    kind: tuple[object, ...]
    coverage_mm: float
    values: Mapping[str, float]


def read_earlier(finding: Mapping[str, Any], *, days: int) -> Earlier | None:
    """What can be compared of a finding as it was stored; None where it was not measured or lacks a part."""
    series, measures = finding.get("series"), finding.get("measures")
    kind = _kind(finding)
    if series is None or measures is None or kind is None or days <= 0:
        return None
    total = measures["total"]
    return Earlier(
        study_uid=series["study_uid"],
        series_uid=series["series_uid"],
        days=days,
        kind=kind,
        coverage_mm=series["coverage_mm"],
        values={measure: total[measure] for measure in COMPARED if total.get(measure) is not None},
    )


def _kind(finding: Mapping[str, Any]) -> tuple[object, ...] | None:
    """What must be alike; None where a part of it is not known, such as the scanner or the level of a block.

    Positions in two studies share no origin, so nothing tells that two blocks lie at one level. What two
    people drew has two boundaries, and nothing tells how far these lie apart.
    """
    series, definition, model = (finding.get(part) for part in ("series", "definition", "model"))
    if not series or not definition or not model or not series.get("scanner"):
        return None
    if is_of_block(definition["id"]) or is_edited(definition["id"]):
        return None
    roles = tuple(sorted(item["role"] for item in series["inputs"]))
    facts = (series["contrast"], series["region"], series["scanner"])
    return (definition["id"], definition["version"], model["sha256"], *facts, roles)


def compare(finding: Finding, earlier: Earlier | None, spread: Spread | None) -> Change | None:
    """The difference of each measure that both have; None where the two are not alike."""
    now = read_earlier(finding.as_dict(), days=1)
    if now is None or earlier is None or now.kind != earlier.kind:
        return None
    if abs(now.coverage_mm - earlier.coverage_mm) > COVERAGE_TOLERANCE * earlier.coverage_mm:
        return None
    both = [measure for measure in COMPARED if measure in now.values and measure in earlier.values]
    return Change(
        study_uid=earlier.study_uid,
        series_uid=earlier.series_uid,
        days=earlier.days,
        measures=tuple(_difference(measure, earlier, now, spread) for measure in both),
    )


def _difference(measure: str, earlier: Earlier, now: Earlier, spread: Spread | None) -> Difference:
    then, value = earlier.values[measure], now.values[measure]
    sd = spread.of(measure, (then, value)) if spread is not None else None
    limit = None if sd is None else DETECTABLE * sd
    state: ChangeState = "repeatability_not_known"
    if limit is not None:
        state = "beyond_repeatability" if abs(value - then) > limit else "within_repeatability"
    return Difference(
        measure=measure,
        unit=COMPARED[measure],
        earlier=then,
        value=value,
        difference=value - then,
        smallest_detectable=limit,
        state=state,
    )
