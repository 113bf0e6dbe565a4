"""What moves a measure beside age and sex: the scanner, the site, and how tall a person is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from service.core.normfit_cohort import ReferencePerson, refused

Array = NDArray[np.float64]

#: Fewest people of one sex on one scanner or at one site. CLSI EP28-A3c tries a transferred interval on 20;
#: chosen by us: with 20 the error of the effect is 1 / sqrt(20) = 0.22 SD.
FEWEST_OF_A_LEVEL: Final = 20
#: Percentiles of the others' ages between which at least this share of a scanner's people must lie; else its
#: effect could be that of age. Chosen by us.
OTHERS_AGES: Final = (5.0, 95.0)
SHARED_AGES: Final = 0.5
#: Height at which a height model leaves a value as it is. Chosen by us, near the mean of adults.
REFERENCE_HEIGHT_M: Final = 1.7


@dataclass(frozen=True, kw_only=True)
class Effects:
    """Which effects on the values are estimated beside age: levels of scanner and site, and height."""

    scanners: tuple[str, ...]
    sites: tuple[str, ...]
    #: The exponent of height is estimated.
    height: bool

    @property
    def count(self) -> int:
        """Number of columns."""
        return max(0, len(self.scanners) - 1) + max(0, len(self.sites) - 1) + int(self.height)

    def columns(self, people: Sequence[ReferencePerson]) -> Array:
        """Levels coded so that their effects add up to zero, and log(height / reference)."""
        parts = [
            _sum_to_zero([one.scanner for one in people], self.scanners),
            _sum_to_zero([one.site for one in people], self.sites),
        ]
        if self.height:
            heights = np.array([one.height_m for one in people], dtype=np.float64)
            parts.append(np.log(heights / REFERENCE_HEIGHT_M)[:, None])
        return np.column_stack(parts)

    def shifts(self, effects: Array) -> tuple[dict[str, float], dict[str, float], float | None]:
        """The effect of each scanner and each site on log M, and the exponent of height."""
        first = max(0, len(self.scanners) - 1)
        second = first + max(0, len(self.sites) - 1)
        exponent = float(effects[-1]) if self.height else None
        return _levels(self.scanners, effects[:first]), _levels(self.sites, effects[first:second]), exponent


def _sum_to_zero(values: Sequence[str | None], levels: tuple[str, ...]) -> Array:
    coded = np.zeros((len(values), max(0, len(levels) - 1)))
    for column, level in enumerate(levels[:-1]):
        coded[:, column] = [(one == level) - float(one == levels[-1]) for one in values]
    return coded


def _levels(levels: tuple[str, ...], effects: Array) -> dict[str, float]:
    whole = [*(float(effect) for effect in effects), 0.0 - float(effects.sum())]
    return dict(zip(levels, whole, strict=True)) if levels else {}


def effects_of(people: Sequence[ReferencePerson], *, height: bool) -> Effects:
    """The effects that these people can tell; raises NormMismatch where they are entangled."""
    scanners = tuple(sorted({one.scanner or "" for one in people}))
    sites = tuple(sorted({one.site or "" for one in people}))
    if len({(one.scanner, one.site) for one in people}) == len(scanners):
        # Each scanner stands at one site, so its effect holds that of the site.
        sites = ()
    _require_overlap(people, "scanner", scanners)
    _require_overlap(people, "site", sites)
    effects = Effects(scanners=scanners, sites=sites, height=height)
    columns = effects.columns(people)
    if np.linalg.matrix_rank(np.column_stack([np.ones(len(people)), columns])) <= effects.count:
        text = "The effects of scanner, site and height cannot be told apart in this cohort."
        raise refused("cohort_confounded", text)
    return effects


def _require_overlap(people: Sequence[ReferencePerson], name: str, levels: tuple[str, ...]) -> None:
    """Each level needs enough people of each sex, of ages that the other levels have too."""
    if len(levels) < 2:
        return
    for sex in sorted({one.sex or "" for one in people}):
        of_sex = [one for one in people if one.sex == sex]
        for level in levels:
            own = np.array([one.age_years for one in of_sex if getattr(one, name) == level], np.float64)
            others = np.array([one.age_years for one in of_sex if getattr(one, name) != level], np.float64)
            which = f"{name} {level!r}, sex {sex}"
            if len(own) < FEWEST_OF_A_LEVEL:
                text = f"{which}: {len(own)} people; its effect needs {FEWEST_OF_A_LEVEL}."
                raise refused("cohort_confounded", text)
            low, high = np.percentile(others, OTHERS_AGES)
            if np.mean((own >= low) & (own <= high)) < SHARED_AGES:
                text = f"{which}: most people are of ages that the others do not have."
                raise refused("cohort_confounded", f"{text} Its effect cannot be told from that of age.")
