"""A reference table: L, M and S by age and sex, and everything that says to whom they apply."""

import itertools
import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from service.core.lms import Z_REFERENCES, Knot
from service.errors import NormMismatch

#: Units in which findings give the measures that tables score.
UNITS: Final = {"imat_fraction": "1", "lmm_height_index_ml_m2": "mL/m2", "fat_signal_fraction": "1"}
#: How far a table may be trusted. Provisional: made by arithmetic from published numbers, or fitted and not
#: calibrated; published: as printed; local: fitted to this site's own measures; demonstration: invented.
STATUSES: Final = ("provisional", "published", "local", "demonstration")
#: Tables from which no flag is ever raised.
UNPROVEN: Final = frozenset({"provisional", "demonstration"})
#: Who the reference people are.
POPULATIONS: Final = ("healthy", "hospital", "general", "none")
#: Shares and volumes depend on where a network draws the border and what it calls fat, so a table of
#: them names the network that made its values. A signal fraction is defined without any network.
OF_A_NETWORK: Final = ("imat_fraction", "lmm_height_index_ml_m2")


@dataclass(frozen=True, kw_only=True)
class ReferencePeople:
    """Whom the values are of."""

    #: One of ``POPULATIONS``.
    kind: str
    #: In words: who, how they were chosen, how old.
    text: str
    ancestry: str
    #: Scanners and sequences in words.
    scanner: str
    n: int
    #: By sex, where it is known.
    n_by_sex: dict[str, int] = field(default_factory=dict)
    #: Youngest and oldest; knots outside these ages are extrapolated.
    age_years: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class HeightModel:
    """Allometric scaling: the measure is divided by (height / reference)^exponent before it is scored."""

    exponent: float
    reference_m: float


@dataclass(frozen=True, kw_only=True)
class Band:
    """The 95 % bands of three percentiles at one age, from resampling the reference people."""

    age_years: float
    p5: tuple[float, float]
    p50: tuple[float, float]
    p95: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class NormTable:
    """Reference values of one measure, and to whom and what they apply."""

    id: str
    version: str
    title: str
    #: One of ``STATUSES``.
    status: str
    measure: str
    unit: str
    #: Definition ids and versions, as "id@version"; the version stands for boundary rule and fat method.
    definitions: tuple[str, ...]
    #: Networks that made the values, as "name@version"; empty: the measure is defined without one.
    networks: tuple[str, ...] = ()
    #: Fat methods that made the values; empty: the definition has one alone.
    fat_methods: tuple[str, ...] = ()
    contrasts: tuple[str, ...]
    regions: tuple[str, ...]
    #: Shortest and longest stretch of patient that the values stand for; None: any (phantom tables alone).
    coverage_mm: tuple[float, float] | None
    #: log of each scanner's values over the average scanner's; empty: scanners are not told apart.
    scanner_shifts: dict[str, float] = field(default_factory=dict)
    height: HeightModel | None = None
    #: Whether the table scores the bundled phantom and nothing else.
    phantom_only: bool
    people: ReferencePeople
    citation: str
    sha256: str
    #: Effective number of people behind each knot; gives the sampling error of z where knots carry none.
    effective_n: int
    #: Reliability of the measurement (ICC), or None where it was not measured.
    measurement_icc: float | None
    knots: dict[str, tuple[Knot, ...]]
    bands: dict[str, tuple[Band, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a table that would give wrong scores."""
        self._check_words()
        self._check_scope()
        for sex, knots in self.knots.items():
            self._check_knots(sex, knots)

    def _check_words(self) -> None:
        if self.status not in STATUSES:
            raise self._fault(f"status must be one of {', '.join(STATUSES)}.")
        if self.people.kind not in POPULATIONS:
            raise self._fault(f"the kind of people must be one of {', '.join(POPULATIONS)}.")
        if self.effective_n < 2:
            raise self._fault("effective_n must be at least 2.")
        if self.measurement_icc is not None and not 0.0 < self.measurement_icc <= 1.0:
            raise self._fault("measurement_icc must be above 0 and at most 1.")

    def _check_scope(self) -> None:
        if self.phantom_only:
            return
        if self.measure in OF_A_NETWORK and not self.networks:
            raise self._fault(f"a table of {self.measure} must name the network that made its values.")
        if self.coverage_mm is None or not 0.0 <= self.coverage_mm[0] < self.coverage_mm[1]:
            raise self._fault("coverage_mm must be two increasing lengths.")
        if "unknown" in self.regions:
            raise self._fault("an unknown region is compared with nobody.")
        if any(not math.isfinite(shift) for shift in self.scanner_shifts.values()):
            raise self._fault("scanner shifts must be numbers.")
        if self.height is not None and not 0.0 < self.height.reference_m < math.inf:
            raise self._fault("the reference height must be above zero.")

    def _check_knots(self, sex: str, knots: tuple[Knot, ...]) -> None:
        ages = [knot.age_years for knot in knots]
        if len(knots) < 2 or any(b <= a for a, b in itertools.pairwise(ages)):
            raise self._fault(f"sex {sex} needs two or more knots of increasing age.")
        if any(knot.m <= 0 or knot.s <= 0 for knot in knots):
            raise self._fault(f"M and S of sex {sex} must be positive.")
        lengths = {len(knot.z_se) for knot in knots}
        if lengths not in ({0}, {len(Z_REFERENCES)}) or any(se < 0 for knot in knots for se in knot.z_se):
            raise self._fault(
                f"z_se of sex {sex} must be {len(Z_REFERENCES)} errors at each knot, or absent."
            )

    def _fault(self, what: str) -> NormMismatch:
        return NormMismatch(f"Norm {self.id}: {what}", reason="bad_norm")

    @property
    def reference(self) -> str:
        """How the table is cited in results."""
        return f"{self.id}@{self.version}"

    def ages(self, sex: str) -> tuple[float, float] | None:
        """Youngest and oldest age that the table scores; None for a sex that it lacks."""
        knots = self.knots.get(sex)
        return None if knots is None else (knots[0].age_years, knots[-1].age_years)

    def extrapolates(self, age_years: float) -> bool:
        """Whether nobody of this age is among the reference people."""
        return not self.people.age_years[0] <= age_years <= self.people.age_years[1]

    def at(self, sex: str, age_years: float) -> Knot | None:
        """L, M and S by linear interpolation; None outside the ages or sexes of the table."""
        knots = self.knots.get(sex)
        if knots is None or not knots[0].age_years <= age_years <= knots[-1].age_years:
            return None
        ages = [knot.age_years for knot in knots]
        l, m, s = (  # noqa: E741 - the letters are the parameters' names
            float(np.interp(age_years, ages, [getattr(knot, name) for knot in knots])) for name in "lms"
        )
        errors = zip(*(knot.z_se for knot in knots), strict=True)
        z_se = tuple(float(np.interp(age_years, ages, list(column))) for column in errors)
        return Knot(age_years=age_years, l=l, m=m, s=s, z_se=z_se)

    def adjusted(self, value: float, *, height_m: float | None, scanner: str | None) -> float:
        """The value as the average scanner would give it of a person of the reference height.

        What the table needs must be there: ``why_not`` and the scorer ask for it first.
        """
        if self.scanner_shifts:
            value *= math.exp(-self.scanner_shifts[scanner or ""])
        if self.height is not None:
            assert height_m is not None
            value *= (height_m / self.height.reference_m) ** -self.height.exponent
        return value
