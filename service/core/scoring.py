"""From measures to scores, flags, quadrant and change: the one way, whether just measured or long stored."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from service.core import water_fat
from service.core.blocks import is_of_block, of_block
from service.core.change import Earlier, Spread, compare
from service.core.edited import is_edited, of_edited
from service.core.finding import Change, Definition, Finding, Measures
from service.core.norms import NormTable, Repeatability, Scorable, score
from service.core.risk import Policy, quadrant, raise_flags
from service.core.series import Person, StackFacts

__all__ = ["SCORED", "Yardsticks", "score_measures"]

#: What of a finding this makes, beside the names of the tables and of the policy.
SCORED = ("scores", "flags", "quadrant", "change")


@dataclass(frozen=True, kw_only=True)
class Yardsticks:
    """What measures are compared with."""

    norms: tuple[NormTable, ...]
    policy: Policy
    #: Spread of repeated measurements by the network that measured, by contrast.
    repeatability: Mapping[str, Repeatability]

    @property
    def names(self) -> tuple[str, ...]:
        """The tables as a finding names those that were looked at."""
        return tuple(f"{table.reference} ({table.status})" for table in self.norms)


def score_measures(
    finding: Finding, facts: StackFacts, yardsticks: Yardsticks, *, before: Sequence[Earlier | None] = ()
) -> Finding:
    """The finding with its measures compared; one without measures has nothing to compare.

    Images and person are as the finding has them. ``before`` are findings of earlier studies of the same
    person, newest first.
    """
    named = replace(finding, norms=yardsticks.names, policy=yardsticks.policy.reference)
    if finding.measures is None or finding.definition is None:
        return replace(named, scores=(), flags=(), quadrant=None, change=None)
    facts = _as_found(finding, facts)
    repeats = _repeats(yardsticks, finding.definition, facts)
    scores = tuple(
        score(scorable, facts=facts, definition=by, tables=yardsticks.norms)
        for scorable, by in _scorables(finding.measures, facts, finding.definition, repeats)
    )
    return replace(
        named,
        scores=scores,
        flags=raise_flags(scores, yardsticks.policy, sex=facts.person.sex),
        quadrant=quadrant(scores, yardsticks.policy),
        change=_change(finding, before, repeats),
    )


def _as_found(finding: Finding, facts: StackFacts) -> StackFacts:
    """What the finding says of the images and of the person; what it leaves out is as in the headers."""
    series, person = finding.series, finding.person
    if series is None or person is None:
        return facts
    return replace(
        facts,
        contrast=series.contrast,
        region=series.region,
        coverage_mm=series.coverage_mm,
        scanner=series.scanner or "",
        person=Person(age_years=person.age_years, sex=person.sex, height_m=person.height_m),
    )


def _repeats(yardsticks: Yardsticks, definition: Definition, facts: StackFacts) -> Repeatability | None:
    """The spread of repeated measurements; it is of whole stacks of one contrast alone.

    So neither a Dixon pair nor a block has one, nor what a person drew.
    """
    block, edited = is_of_block(definition.id), is_edited(definition.id)
    other = definition.fat_method == water_fat.METHOD or block or edited
    return None if other else yardsticks.repeatability.get(facts.contrast)


def _scorables(
    measures: Measures, facts: StackFacts, definition: Definition, repeats: Repeatability | None
) -> Iterator[tuple[Scorable, Definition]]:
    """The measures that are compared with norms, and the definition that a norm must be of.

    The signal fat fraction is among them where a Dixon pair gave it.
    """
    block = is_of_block(definition.id)
    share = Scorable(
        measure="imat_fraction",
        value=measures.total.imat_fraction,
        unit="1",
        repeat_sd=repeats.imat_fraction_sd if repeats else None,
    )
    yield share, definition
    lean = measures.lmm_height_index_ml_m2
    index = Scorable(
        measure="lmm_height_index_ml_m2",
        value=lean,
        unit="mL/m2",
        missing=None if facts.person.height_m or block else "PatientSize (height) is missing.",
        never="A block of slices has no volume, so there is nothing to score." if block else None,
        repeat_sd=repeats.lmm_cv * lean if repeats and lean is not None else None,
    )
    yield index, definition
    signal = measures.total.fat_signal_fraction
    if signal is not None:
        name, version = water_fat.SIGNAL_DEFINITION
        by = replace(definition, id=name, version=version)
        by = of_edited(by) if is_edited(definition.id) else by
        found = Scorable(measure="fat_signal_fraction", value=signal, unit="1")
        yield found, of_block(by) if block else by


def _change(
    finding: Finding, before: Sequence[Earlier | None], repeats: Repeatability | None
) -> Change | None:
    """The newest earlier finding of the person that is like this one, beside it."""
    spread = None
    if repeats is not None:
        spread = Spread(sd={"imat_fraction": repeats.imat_fraction_sd}, cv={"lmm_ml": repeats.lmm_cv})
    return next((change for each in before if (change := compare(finding, each, spread))), None)
