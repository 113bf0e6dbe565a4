"""Two trials of fitted reference tables: on people of known scores, and beside the fit of others.

    python -m tests.make.norm_trials

prints the tables of docs/reference/norms.md.
"""

import csv
import math
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from service.core import normfit_table
from service.core.normfit import fit_curves, z_scores
from service.core.normfit_basis import make_basis
from service.core.normfit_cohort import Admitted
from service.core.normfit_joint import Side, choose_smoothness
from service.core.normfit_table import Plan
from service.core.norms import NormTable, Scorable, score
from service.core.series import Person
from service.pipeline.normmaking import About, make_table
from tests.make.facts import DEFINITION, facts
from tests.make.reference_people import SCANNERS, TRUTHS, cohort
from tests.make.tools import run

ABOUT = About(
    id="simulated",
    version="1",
    measure="imat_fraction",
    kind="healthy",
    population="simulated",
    ancestry="none",
    citation="none",
    software="test",
)
#: Error of one measurement in the trial, as a share: about 0.3 SD of a person of 50.
REPEAT_SD = 0.01
#: Lower ends of the groups of ages.
AGES = (20, 40, 60)
#: By sex and lower end of ages: for each cohort the share that was held, and half the width of the intervals.
Held = dict[tuple[str, int], list[tuple[float, float]]]


def held_by_intervals(
    *, cohorts: int, n: int, people: int, replicates: int, seed: int = 1
) -> dict[float, Held]:
    """How often the interval of z holds the known score, without and with an error of measurement.

    For each cohort of ``n`` of each sex a table is fitted, and so many other ``people`` of each sex and
    group of ages are measured and scored by it, all by the service's own code.
    """
    rng = np.random.default_rng(seed)
    held: dict[float, Held] = {0.0: defaultdict(list), REPEAT_SD: defaultdict(list)}
    for number in range(cohorts):
        reference = Admitted(people=tuple(cohort(n, rng)), left_out={})
        table = make_table(reference, Plan(seed=number, replicates=replicates), ABOUT).table
        for sex, truth in TRUTHS.items():
            low, high = table.ages(sex) or (math.nan, math.nan)
            for start in AGES:
                ages = rng.uniform(max(low, start), min(high, start + 20), people)
                z = rng.standard_normal(people)
                for repeat_sd, groups in held.items():
                    values = truth.values(ages, z) + repeat_sd * rng.standard_normal(people)
                    each = zip(ages, z, values, strict=True)
                    share, half = np.mean([_holds(table, sex, *one, repeat_sd) for one in each], axis=0)
                    groups[sex, start].append((float(share), float(half)))
    return held


def _holds(
    table: NormTable, sex: Any, age: float, known: float, value: float, repeat_sd: float
) -> tuple[bool, float]:
    """Whether the interval of one person's z holds the known one, and half its width."""
    found = score(
        Scorable(
            measure="imat_fraction", value=max(float(value), 1e-4), unit="1", repeat_sd=repeat_sd or None
        ),
        facts=facts(person=Person(age_years=float(age), sex=sex), scanner=SCANNERS[0]),
        definition=DEFINITION,
        tables=(table,),
    )
    assert found.z_ci95 is not None
    low, high = found.z_ci95
    return low <= known <= high, (high - low) / 2


def error_of(held: Held) -> float:
    """Standard error of the share of one group.

    People of one cohort share the error of its table, so it is taken from how the shares of cohorts
    differ within the groups, and not from the number of people.
    """
    spread = [np.var([share for share, _ in found], ddof=1) / len(found) for found in held.values()]
    return math.sqrt(float(np.mean(spread)))


def share_of_all(held: Held) -> tuple[float, float]:
    """The share of all groups together, and its standard error over the cohorts."""
    cohorts = np.mean([[share for share, _ in found] for found in held.values()], axis=0)
    return float(cohorts.mean()), float(cohorts.std(ddof=1) / math.sqrt(len(cohorts)))


def beside_vgam(*, n: int, seed: int, folder: Path) -> np.ndarray:
    """Differences between our scores and those of VGAM's lms.bcn for ``n`` people, half of each sex."""
    people = cohort(n // 2, np.random.default_rng(seed))
    ours = []
    with (folder / "people.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sex", "age", "y"])
        for sex in TRUTHS:
            mine = [one for one in people if one.sex == sex]
            ages, values = (np.array([getattr(one, name) for one in mine]) for name in ("age_years", "value"))
            writer.writerows(zip([sex] * len(mine), ages, values, strict=True))
            basis = make_basis(ages)
            side = Side(
                ages=ages,
                values=values,
                columns=np.empty((len(mine), 0)),
                strata=np.zeros(len(mine), dtype=np.intp),
            )
            curves = fit_curves(ages, values, choose_smoothness(side, basis), basis=basis)
            ours.append(z_scores(values, *curves.at(ages)))
    script = Path(__file__).with_name("lms_bcn.R")
    run("Rscript", "--vanilla", script, folder / "people.csv", folder / "z.csv")
    theirs = np.loadtxt(folder / "z.csv", skiprows=1)
    return np.concatenate(ours) - theirs


def main() -> None:
    """Print both trials at full size."""
    normfit_table.FOLDS = 2  # type: ignore[misc]  # the trial needs no calibration
    trials = held_by_intervals(cohorts=60, n=250, people=20, replicates=100)
    for repeat_sd, held in trials.items():
        for (sex, start), found in sorted(held.items()):
            share, half = np.mean(found, axis=0)
            print(f"error {repeat_sd}: {sex} {start}-{start + 20}: {share:.1%}, half width {half:.2f}")
        share, error = share_of_all(held)
        print(f"error {repeat_sd}: all {share:.1%} (SE {error:.1%}); SE of a group {error_of(held):.1%}")
    for seed in range(5):
        with tempfile.TemporaryDirectory() as folder:
            apart = np.abs(beside_vgam(n=2000, seed=seed, folder=Path(folder)))
        print(f"VGAM, seed {seed}: median |dz| {np.median(apart):.4f}, 99th percentile", end=" ")
        print(f"{np.percentile(apart, 99):.3f}")


if __name__ == "__main__":
    main()
