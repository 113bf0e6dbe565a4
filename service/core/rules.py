"""Which of the eligible images of a study are measured: rules as data, and what in them decided.

Rules look at what headers and ledger say of the images, never at who is in them. They choose among what
the intended use of the network admits, and widen nothing. The first rule whose conditions all hold decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from service.core.conditions import NAMES, TEXTS, Condition, Facts, Preference
from service.errors import Reason

Outcome = Literal["measure", "not_selected", "not_eligible"]

#: Rules that are named where none of them takes a stack; chosen by us: a sentence, not a page.
TOLD: Final = 5
#: Before any rule is asked.
OPTED_OUT: Final = Reason("opted_out", "The patient is on the opt-out list, so the images are not analysed.")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One line of the rules."""

    name: str
    #: The images are left out instead of measured.
    skip: bool
    conditions: tuple[Condition, ...]
    prefer: tuple[Preference, ...]
    #: Why there is this rule, for people.
    reason: str

    @property
    def words(self) -> str:
        """When it holds, for people."""
        return "; ".join(condition.words for condition in self.conditions) or "always"

    @property
    def attributes(self) -> str:
        """What it asks for."""
        return ", ".join(dict.fromkeys(condition.attribute for condition in self.conditions)) or "none"


@dataclass(frozen=True, kw_only=True)
class Rules:
    """A versioned set of rules."""

    id: str
    version: str
    #: Of each study every stack that a rule takes, or only the best.
    take: Literal["all", "first"]
    rules: tuple[Rule, ...]
    sha256: str

    @property
    def reference(self) -> str:
        """How the rules are cited."""
        return f"{self.id}@{self.version}"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One input set of a study, as rules see it."""

    #: Breaks ties: the smaller one comes first.
    key: str
    facts: Facts
    #: Whether the intended use admits it.
    eligible: bool = True
    #: Its result stands and cannot be made again, so the study's choice is made.
    standing: bool = False


@dataclass(frozen=True, kw_only=True)
class Miss:
    """Why one rule does not hold: the first condition that fails."""

    rule: str
    attribute: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What becomes of one stack, by which rule and which attribute."""

    outcome: Outcome
    rule: str | None
    attribute: str | None
    text: str
    #: The rules before it that do not hold.
    misses: tuple[Miss, ...] = ()


OUTSIDE: Final = Decision(
    outcome="not_eligible",
    rule=None,
    attribute=None,
    text="Outside the intended use of the network, so no rule is asked.",
)


def decide(rules: Rules, candidates: Sequence[Candidate]) -> tuple[Decision, ...]:
    """One decision for each input set of one study, in their order."""
    found = [_first_rule(rules, each.facts) if each.eligible else None for each in candidates]
    alone = [OUTSIDE if each is None else _alone(rules, *each) for each in found]
    if rules.take == "all":
        return tuple(alone)
    taken = [index for index, decision in enumerate(alone) if decision.outcome == "measure"]
    best = min(taken, key=lambda index: _rank(rules, candidates[index], alone[index]), default=None)
    return tuple(
        alone[index]
        if best is None or index not in taken or index == best
        else _behind(rules, (candidates[best], alone[best]), (candidates[index], alone[index]))
        for index in range(len(candidates))
    )


def _first_rule(rules: Rules, facts: Facts) -> tuple[Rule | None, tuple[Miss, ...]]:
    """The first rule whose conditions all hold, and why those before it do not."""
    misses: list[Miss] = []
    for rule in rules.rules:
        failed = next((each for each in rule.conditions if not each.holds(facts)), None)
        if failed is None:
            return rule, tuple(misses)
        misses.append(Miss(rule=rule.name, attribute=failed.attribute, text=_missed(failed, facts)))
    return None, tuple(misses)


def _missed(condition: Condition, facts: Facts) -> str:
    """What a condition asks for and what is there."""
    value = facts.get(condition.attribute)
    if condition.attribute in (*TEXTS, *NAMES):
        return f"{condition.words}, which does not hold here"
    shown = f"{value:g}" if isinstance(value, int | float) else value or "not known"
    return f"{condition.words}; it is {shown} here"


def _alone(rules: Rules, rule: Rule | None, misses: tuple[Miss, ...]) -> Decision:
    """What becomes of a stack as far as it alone matters."""
    if rule is None:
        told = " ".join(f"{miss.rule}: {miss.text}." for miss in misses[:TOLD])
        text = f"No rule of {rules.reference} takes these images. {told}".strip()
        attribute = misses[0].attribute if misses else None
        return Decision(outcome="not_selected", rule=None, attribute=attribute, text=text, misses=misses)
    asked = f"Rule {rule.name!r} of {rules.reference}"
    if rule.skip:
        text = f"{asked} leaves these images out ({rule.words})."
        text += f" {rule.reason}" if rule.reason else ""
        attribute = rule.attributes
        return Decision(outcome="not_selected", rule=rule.name, attribute=attribute, text=text, misses=misses)
    text = f"{asked} takes these images ({rule.words})."
    return Decision(outcome="measure", rule=rule.name, attribute=rule.attributes, text=text, misses=misses)


def _place(rules: Rules, decision: Decision) -> int:
    """The place of the rule that decided."""
    return next(index for index, rule in enumerate(rules.rules) if rule.name == decision.rule)


def _rank(rules: Rules, candidate: Candidate, decision: Decision) -> tuple[bool, int, list[float], str]:
    """Smaller is better: what stands already, then the earlier rule, then what the rule prefers."""
    place = _place(rules, decision)
    ranks = [each.rank(candidate.facts) for each in rules.rules[place].prefer]
    return not candidate.standing, place, ranks, candidate.key


def _behind(rules: Rules, best: tuple[Candidate, Decision], other: tuple[Candidate, Decision]) -> Decision:
    """Why another stack of the study is measured in the place of this one."""
    (chosen, by), (candidate, mine) = best, other
    rule = rules.rules[_place(rules, by)]
    asked = f"Rule {rule.name!r} of {rules.reference}"
    if chosen.standing and not candidate.standing:
        attribute = "standing"
        text = f"{asked} took other images of the study; their result stands, for they are not kept any more."
    elif by.rule != mine.rule:
        attribute = "order of rules"
        text = f"{asked} comes before {mine.rule!r}, and took other images of the study."
    else:
        attribute, text = _preferred(rule, asked, chosen.facts, candidate.facts)
    return Decision(
        outcome="not_selected", rule=rule.name, attribute=attribute, text=text, misses=mine.misses
    )


def _preferred(rule: Rule, asked: str, chosen: Facts, other: Facts) -> tuple[str, str]:
    """The first preference in which two stacks differ, and a sentence about it."""
    for each in rule.prefer:
        if each.rank(chosen) != each.rank(other):
            there, here = (_shown(facts.get(each.attribute)) for facts in (chosen, other))
            text = f"{asked} prefers {each.words}: {there} in the images that it took, {here} in these."
            return each.attribute, text
    return "series_number", f"{asked} took equal images of the study that come first."


def _shown(value: str | float | None) -> str:
    """A number for people."""
    return f"{value:g}" if isinstance(value, int | float) else "not known"
