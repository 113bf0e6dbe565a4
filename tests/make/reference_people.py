"""Reference people drawn from known curves, so that the true score of each is known."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.normfit_cohort import ReferencePerson

Array = NDArray[np.float64]
SCANNERS = ("GE A 3.0 T", "SIEMENS B 1.5 T")


@dataclass(frozen=True)
class Truth:
    """Curves of an IMAT share: skewed, rising ever faster with age, more spread in the old."""

    base: float

    def lms(self, ages: Array) -> tuple[Array, Array, Array]:
        """L, M and S at these ages."""
        bend = 0.010 * (ages - 50.0) + 0.00012 * (ages - 50.0) ** 2
        return 0.2 + 0.002 * (ages - 50.0), self.base * np.exp(bend), 0.30 + 0.001 * (ages - 50.0)

    def values(self, ages: Array, z: Array) -> Array:
        """The value of each score."""
        l, m, s = self.lms(ages)  # noqa: E741
        values: Array = m * (1.0 + l * s * z) ** (1.0 / l)
        return values


TRUTHS = {"F": Truth(0.13), "M": Truth(0.10)}


def person(**changes: Any) -> ReferencePerson:
    """A woman of 45 whom the usual facts of ``tests.make.facts`` fit, with changes."""
    usual = ReferencePerson(
        key="somebody",
        day="20260301",
        age_years=45.0,
        sex="F",
        value=0.13,
        height_m=1.7,
        scanner=SCANNERS[0],
        definition="paraspinal-two-class@1",
        network="n@1",
        fat_method="fat_reference_bright",
        contrast="t2_tse",
        region="lumbar",
        coverage_mm=80.0,
    )
    return replace(usual, **changes)


def cohort(
    n: int,
    rng: np.random.Generator,
    *,
    shifts: tuple[float, ...] = (0.0,),
    exponent: float = 0.0,
    ages: tuple[float, float] = (20.0, 80.0),
) -> list[ReferencePerson]:
    """So many women and men; ``shifts`` move log values of each scanner, ``exponent`` is that of height."""
    people = []
    for sex, truth in TRUTHS.items():
        age, z, scanner = rng.uniform(*ages, n), rng.standard_normal(n), rng.integers(len(shifts), size=n)
        height = rng.normal(1.66 if sex == "F" else 1.79, 0.07, n)
        values = truth.values(age, z) * np.exp(np.take(shifts, scanner)) * (height / 1.7) ** exponent
        people += [
            person(
                key=f"{sex}{index}",
                sex=sex,
                age_years=float(age[index]),
                value=float(values[index]),
                scanner=SCANNERS[scanner[index]],
                height_m=float(height[index]),
            )
            for index in range(n)
        ]
    return people
