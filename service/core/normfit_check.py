"""Whether scores against a table behave as scores should: mean 0, SD 1, and tails of the right weight."""

import itertools
import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from service.core.lms import Z95

Array = NDArray[np.float64]
Rows = NDArray[np.bool_]
Verdict = Literal["fits", "does not fit", "not decided"]

#: A bias of the reference limits that is still acceptable, in SD, and the SD that does the same harm
#: (Gowans 1988, Scand J Clin Lab Invest 48:757: up to 4.6 % beyond a limit of 2.5 %).
MEAN_LIMIT: Final = 0.25
SD_LIMIT: Final = 1.17
#: Score of the 5th and 95th percentile, and shares beyond it with that bias for and against it.
Z90: Final = 1.644854
TAIL_LIMITS: Final = (0.029, 0.082)
#: Fewest people of whom anything is said (CLSI EP28-A3c tries a transferred interval on 20).
FEWEST: Final = 20
CONFIDENCE: Final = 0.95
#: Density of the normal distribution at 1.645 and 1.96: how a share beyond moves with the limit.
DENSITY_90: Final = 0.103136
DENSITY_95: Final = 0.058451
#: What is expected beyond ``Z90`` on one side, and beyond 1.96 on both.
ONE_TAIL: Final = 0.05
BOTH_TAILS: Final = 0.05


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredPeople:
    """The scores of independent people, without anything that names them."""

    z: Array
    sexes: tuple[str, ...]
    ages: Array
    #: As they were scored: without the effects of scanner and height.
    values: Array
    #: Standard error of the table's score 0, and of its scores 1.645 and 2, for each person; None: the table
    #: is made of these people.
    errors: Array | None = None


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A statistic with its 95 % interval, and with the wider one that many statistics together need."""

    value: float
    ci95: tuple[float, float]
    together: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Group:
    """The scores of some people of a cohort."""

    #: "all", "F", "M", or a sex with a third of ages such as "F 20-41".
    name: str
    n: int
    mean: Estimate
    sd: Estimate
    #: Share below -1.645, above 1.645, and beyond 1.96 on either side.
    below: Estimate
    above: Estimate
    beyond: Estimate


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the scores of a cohort say of a table."""

    verdict: Verdict
    #: Each statistic that does not fit, in words; or why nothing was decided.
    why: tuple[str, ...]
    groups: tuple[Group, ...]


def judge(people: ScoredPeople) -> Judgement:
    """The scores as a whole, by sex, and by sex and third of ages.

    A statistic does not fit where its deviation is both sure (the intervals of all statistics hold
    together with 95 %) and large enough to matter. The table fits where for each sex the intervals of mean
    and SD lie wholly inside what does not matter.
    """
    parts = [(name, rows) for name, rows in _parts(people) if rows.sum() >= FEWEST]
    groups = tuple(_group(name, people, rows, statistics=5 * len(parts)) for name, rows in parts)
    faults = tuple(fault for group in groups for fault in _faults(group))
    if faults:
        return Judgement(verdict="does not fit", why=faults, groups=groups)
    whole = {group.name: group for group in groups}
    open_questions = tuple(
        f"sex {sex}: too few people to say that mean and SD fit"
        for sex in sorted(set(people.sexes))
        if sex not in whole or not _inside(whole[sex])
    )
    verdict: Verdict = "not decided" if open_questions or not groups else "fits"
    return Judgement(verdict=verdict, why=open_questions, groups=groups)


def _parts(people: ScoredPeople) -> list[tuple[str, Rows]]:
    """The groups that are looked at, by name."""
    ages, of = people.ages, np.array(people.sexes)
    parts: list[tuple[str, Rows]] = [("all", np.ones(len(ages), dtype=np.bool_))]
    for sex in sorted(set(people.sexes)):
        mine = of == sex
        parts.append((sex, mine))
        edges = np.quantile(ages[mine], (0.0, 1 / 3, 2 / 3, 1.0))
        for third, (low, high) in enumerate(itertools.pairwise(edges)):
            inside = mine & (ages >= low) & ((ages < high) | (third == 2))
            parts.append((f"{sex} {low:.0f}-{high:.0f}", inside))
    return parts


def _group(name: str, people: ScoredPeople, rows: Rows, *, statistics: int) -> Group:
    """The statistics of a group; a table of few people is itself in error, alike for all of the group."""
    levels = (CONFIDENCE, 1.0 - (1.0 - CONFIDENCE) / statistics)
    z = people.z[rows]
    n, mean, sd = len(z), float(z.mean()), float(z.std(ddof=1))
    middle, tail, far = (0.0, 0.0, 0.0) if people.errors is None else _typical(people.errors[rows])
    # The error of a score of 2 holds that of the median, and twice that of S over S.
    of_sd = math.sqrt(max(0.0, far**2 - middle**2)) / 2.0
    means, sds = [], []
    for level in levels:
        half = float(special.stdtrit(n - 1, 0.5 + level / 2)) * math.hypot(sd / math.sqrt(n), middle)
        means.append((mean - half, mean + half))
        wider = math.exp(float(special.ndtri(0.5 + level / 2)) * of_sd)
        high, low = (
            2.0 * float(special.gammaincinv((n - 1) / 2, 0.5 + sign * level / 2)) for sign in (1, -1)
        )
        sds.append((sd * math.sqrt((n - 1) / high) / wider, sd * math.sqrt((n - 1) / low) * wider))
    return Group(
        name=name,
        n=n,
        mean=Estimate(value=mean, ci95=means[0], together=means[1]),
        sd=Estimate(value=sd, ci95=sds[0], together=sds[1]),
        below=_share(int((z < -Z90).sum()), n, levels, DENSITY_90 * tail),
        above=_share(int((z > Z90).sum()), n, levels, DENSITY_90 * tail),
        # Both limits move alike with S, by about the error of the score 2.
        beyond=_share(int((np.abs(z) > Z95).sum()), n, levels, 2.0 * DENSITY_95 * far),
    )


def _typical(errors: Array) -> tuple[float, float, float]:
    middle, tail, far = (float(each) for each in np.sqrt((errors**2).mean(axis=0)))
    return middle, tail, far


def _share(count: int, n: int, levels: tuple[float, float], table_error: float) -> Estimate:
    """A share with its exact binomial intervals (Clopper and Pearson), wider by the error of the table."""
    ranges = []
    for level in levels:
        tail = (1.0 - level) / 2
        low = float(special.betaincinv(count, n - count + 1, tail)) if count else 0.0
        high = float(special.betaincinv(count + 1, n - count, 1.0 - tail)) if count < n else 1.0
        reach = float(special.ndtri(1.0 - tail)) * table_error
        share = count / n
        low, high = share - math.hypot(share - low, reach), share + math.hypot(high - share, reach)
        ranges.append((max(0.0, low), min(1.0, high)))
    return Estimate(value=count / n, ci95=ranges[0], together=ranges[1])


def _faults(group: Group) -> list[str]:
    """Deviations that are sure and matter."""
    found = []
    low, high = group.mean.together
    if abs(group.mean.value) > MEAN_LIMIT and (low > 0 or high < 0):
        found.append(f"{group.name}: mean z {_told(group.mean, '+.2f')}, more than {MEAN_LIMIT} from 0")
    low, high = group.sd.together
    if not 1 / SD_LIMIT <= group.sd.value <= SD_LIMIT and (low > 1 or high < 1):
        found.append(f"{group.name}: SD of z {_told(group.sd, '.2f')}, more than a factor {SD_LIMIT} from 1")
    for side, share in (("below -1.645", group.below), ("above 1.645", group.above)):
        low, high = share.together
        if not TAIL_LIMITS[0] <= share.value <= TAIL_LIMITS[1] and (low > ONE_TAIL or high < ONE_TAIL):
            found.append(f"{group.name}: {_told(share, '.1%')} {side}, where 5 % are expected")
    return found


def _told(estimate: Estimate, form: str) -> str:
    low, high = estimate.ci95
    return f"{estimate.value:{form}} ({low:{form}} to {high:{form}})"


def _inside(group: Group) -> bool:
    """Whether mean and SD are known to be near enough to 0 and 1."""
    mean, sd = group.mean.ci95, group.sd.ci95
    return max(-mean[0], mean[1]) < MEAN_LIMIT and max(1 / sd[0], sd[1]) < SD_LIMIT
