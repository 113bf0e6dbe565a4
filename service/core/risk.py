"""Flags and the quadrant: what the policy says of the scores.

A flag is a statement about a measured value beside reference people. It is no statement of an
individual's risk, and the absence of a flag is no statement either.
"""

from dataclasses import dataclass
from typing import Literal

from service.core.finding import Flag, FlagState, Quadrant, Score

#: Outer quartiles of a normal distribution; the corners of the study's Figure 3 are quartiles.
QUARTILE_Z = 0.674490
#: Status of a table from which no flag is ever raised: nobody validated it for what is measured here.
PROVISIONAL = "provisional"


@dataclass(frozen=True, kw_only=True)
class FlagRule:
    """One line of a policy."""

    code: str
    measure: str
    direction: Literal["above", "below"]
    z_threshold: float
    #: Sexes that the evidence behind the flag covers.
    sexes: tuple[str, ...]
    #: What the flag says where it is raised.
    text: str
    #: Where the evidence for the flag, its limit and its sexes comes from.
    evidence: str


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A versioned set of flag rules."""

    id: str
    version: str
    rules: tuple[FlagRule, ...]
    #: Measures whose scores span the quadrant: fat, lean.
    quadrant_measures: tuple[str, str]

    @property
    def reference(self) -> str:
        """How the policy is cited in results."""
        return f"{self.id}@{self.version}"


def raise_flags(scores: tuple[Score, ...], policy: Policy, *, sex: str | None) -> tuple[Flag, ...]:
    """One flag for each rule of the policy, in its order."""
    by_measure = {score.measure: score for score in scores}
    return tuple(_flag(rule, by_measure.get(rule.measure), sex) for rule in policy.rules)


def _flag(rule: FlagRule, score: Score | None, sex: str | None) -> Flag:
    """Raised only where the whole 95 % interval of z lies beyond the threshold, and the norm may say so."""
    if score is None or score.z is None or score.z_ci95 is None:
        why = score.reason if score is not None and score.reason else "There is no score."
        return Flag(code=rule.code, state="not_evaluable", text=f"Not evaluable: {why}")
    if sex not in rule.sexes:
        covered = " and ".join(rule.sexes)
        text = f"Not evaluable: the evidence behind this flag covers sex {covered} only."
        return Flag(code=rule.code, state="not_evaluable", text=text)
    sign = 1.0 if rule.direction == "above" else -1.0
    ends = sorted(sign * end for end in score.z_ci95)
    if ends[0] > rule.z_threshold:
        state: FlagState = "raised"
    elif ends[1] > rule.z_threshold:
        state = "indeterminate"
    else:
        state = "not_raised"
    doubt = _doubt(score)
    if state == "raised" and doubt is not None:
        text = f"Indeterminate: {doubt} (z {score.z:+.2f}, limit {_limit(rule)})."
        return Flag(code=rule.code, state="indeterminate", text=text)
    return Flag(code=rule.code, state=state, text=_sentence(rule, score.z, state))


def _sentence(rule: FlagRule, z: float, state: FlagState) -> str:
    """What the state means, in words that claim no more."""
    limit = _limit(rule)
    if state == "raised":
        return f"{rule.text} (z {z:+.2f}, limit {limit})."
    if state == "indeterminate":
        return f"Indeterminate: the interval of z {z:+.2f} spans the limit ({limit})."
    return f"Not raised (z {z:+.2f}, limit {limit}). This is no statement about risk."


def _doubt(score: Score) -> str | None:
    """Why nothing may be raised of a score, however far it lies from the limit."""
    if score.norm_status == PROVISIONAL:
        return "the reference table is provisional"
    if score.norm_facts is not None and "measurement" not in score.norm_facts.interval_holds:
        return "the error of measurement is not known"
    return None


def _limit(rule: FlagRule) -> str:
    """The limit of a rule as people read it."""
    return f"z {rule.direction} {rule.z_threshold if rule.direction == 'above' else -rule.z_threshold:+.2f}"


def quadrant(scores: tuple[Score, ...], policy: Policy) -> Quadrant | None:
    """The corner of the fat and lean plane, "between" inside the quartiles, None unless both are scored."""
    by_measure = {score.measure: score.z for score in scores}
    fat_z, lean_z = (by_measure.get(measure) for measure in policy.quadrant_measures)
    if fat_z is None or lean_z is None:
        return None
    if abs(fat_z) < QUARTILE_Z or abs(lean_z) < QUARTILE_Z:
        return "between"
    corners: dict[tuple[bool, bool], Quadrant] = {
        (True, False): "high_imat_low_lmm",
        (True, True): "high_imat_high_lmm",
        (False, False): "low_imat_low_lmm",
        (False, True): "low_imat_high_lmm",
    }
    return corners[(fat_z > 0, lean_z > 0)]
