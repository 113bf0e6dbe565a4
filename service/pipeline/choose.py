"""Choosing: what rules are told of an input set, what they decide of it, and why it may be declined.

Facts are taken down once, when a series is closed; the rules decide in a later step, study by study, from
the rows alone. So a better stack that comes late finds the earlier ones as they were, images kept or not.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from service.core.conditions import Facts
from service.core.rules import OPTED_OUT, Candidate, Decision, Rule, Rules, decide
from service.core.status import AnalysisState
from service.core.volume import Grid
from service.db import choices, ledger, optouts, selftests
from service.db.choices import ELIGIBLE, FACTS, INSTEAD_OF, KEY, OUTCOME, TAKEN_DOWN, Choosable, Waiting
from service.db.queries import Claim
from service.db.session import Session, Sessions, reading
from service.errors import ConfigurationError, Reason
from service.inference.card import Card
from service.pipeline import traces
from service.pipeline.inputs import Inputs, why_not_eligible

log = logging.getLogger(__name__)

NOT_SELECTED: Final = "not_selected"
#: Takes whatever is eligible.
EVERYTHING: Final = Rules(
    id="self-test",
    version="1",
    take="all",
    rules=(Rule(name="self-test", skip=False, conditions=(), prefer=(), reason=""),),
    sha256="",
)


@dataclass(frozen=True, kw_only=True)
class Choosing:
    """The rules in force, the network that they choose for, and how long a study is waited for."""

    rules: Rules
    card: Card
    #: A study whose series never stop arriving is decided after this long.
    hard_cap: timedelta

    def describe(self, inputs: Inputs) -> dict[str, Any]:
        """What is taken down of an input set when its series is closed."""
        return {
            FACTS: dict(facts_of(inputs)),
            ELIGIBLE: not why_not_eligible(inputs, self.card),
            KEY: key_of(inputs),
        }


def facts_of(inputs: Inputs, *, calling_ae: str = "") -> Facts:
    """What rules may ask of an input set; several stations count together, else the first stack speaks."""
    facts, grid = inputs.first.facts, inputs.first.grid
    stations = [each.first.facts for each in inputs.stations]
    return {
        "modality": facts.modality,
        "contrast": facts.contrast,
        "plane": facts.plane,
        "region": facts.region,
        "description": facts.description,
        "protocol": facts.acquisition.protocol,
        "study_description": inputs.first.study.description,
        "image_type": "\\".join(facts.image_type),
        "manufacturer": facts.manufacturer,
        "scanner": facts.scanner,
        "station_name": facts.station_name,
        "calling_ae": calling_ae,
        "slices": sum(each.slices for each in stations),
        "coverage_mm": round(sum(each.coverage_mm for each in stations), 3),
        "slice_step_mm": round(facts.spacing_mm[0], 3),
        "slice_thickness_mm": _thickness(grid),
        "pixel_spacing_mm": round(max(facts.spacing_mm[1:]), 4),
        "tilt_degrees": round(facts.tilt_degrees, 1),
        "series_number": facts.acquisition.series_number,
    }


def _thickness(grid: Grid) -> float | None:
    return None if grid.slice_thickness_mm is None else round(grid.slice_thickness_mm, 3)


def key_of(inputs: Inputs) -> str:
    """What breaks ties: the order in which series were made, whatever the order in which they came."""
    facts = inputs.first.facts
    number = facts.acquisition.series_number
    return f"{999_999_999 if number is None else number:09d} {facts.series_uid} {facts.stack:05d}"


def choose_among(sets: Sequence[Inputs], rules: Rules, card: Card, *, calling_ae: str = "") -> list[Decision]:
    """What the rules decide of input sets that lie in folders, study by study; in their order."""
    by_study: dict[str, list[int]] = {}
    for index, inputs in enumerate(sets):
        # A NIfTI file that names no study is one of its own.
        study = inputs.first.facts.study_uid or f"file {index}"
        by_study.setdefault(study, []).append(index)
    found: dict[int, Decision] = {}
    for indexes in by_study.values():
        candidates = [_candidate(sets[index], card, calling_ae) for index in indexes]
        found.update(zip(indexes, decide(rules, candidates), strict=True))
    return [found[index] for index in range(len(sets))]


def _candidate(inputs: Inputs, card: Card, calling_ae: str) -> Candidate:
    return Candidate(
        key=key_of(inputs),
        facts=facts_of(inputs, calling_ae=calling_ae),
        eligible=not why_not_eligible(inputs, card),
    )


def why_not_measured(sets: Sequence[Inputs], rules: Rules | None, card: Card) -> list[tuple[Reason, ...]]:
    """Every reason why each input set is not measured: those of the card, else that of the rules."""
    outside = [why_not_eligible(inputs, card) for inputs in sets]
    if rules is None:
        return outside
    decisions = choose_among(sets, rules, card)
    return [
        reasons or tuple(filter(None, [not_selected(decision)]))
        for reasons, decision in zip(outside, decisions, strict=True)
    ]


def not_selected(decision: Decision) -> Reason | None:
    """Why an eligible input set is not measured; None where the rules take it, or were not asked."""
    return Reason("not_selected", decision.text) if decision.outcome == NOT_SELECTED else None


def decide_waiting(sessions: Sessions, choosing: Choosing, home: Path, *, now: datetime) -> int:
    """Let the rules decide what waits for them; how many studies were decided.

    One study's trouble stops no other: it is tried again next time.
    """
    with reading(sessions) as session:
        found = choices.waiting(session)
    decided = 0
    for study in found:
        if _must_wait(study, choosing, now=now):
            continue
        began = traces.now()
        try:
            with sessions.begin() as session:
                asked = _decide_study(session, study.study_id, choosing, home, now=now)
            traces.chosen(sessions, asked, began)
            decided += 1
        except Exception:  # It is tried again with the next sweep.
            log.exception("study_not_decided", extra={"study_id": study.study_id})
    return decided


def _must_wait(study: Waiting, choosing: Choosing, *, now: datetime) -> bool:
    """Whether a better stack may still be arriving; where every stack is taken nobody waits for another."""
    return choosing.rules.take == "first" and study.receiving and now - study.since < choosing.hard_cap


def _decide_study(
    session: Session, study_id: int, choosing: Choosing, home: Path, *, now: datetime
) -> list[int]:
    """Decide what waits of one study, and anew what is now decided otherwise; which analyses waited."""
    ledger.lock_study(session, study_id)
    rows = choices.of_study(session, study_id)
    waited = [row.id for row in rows if row.undecided]
    if _is_listed(session, home, study_id):
        for row in rows:
            if row.undecided:
                said = {OUTCOME: OPTED_OUT.code, "text": OPTED_OUT.text}
                choices.settle(session, row.id, {**row.choice, **said}, now=now)
        return waited
    # What a self-test sends is measured, whatever the rules say of such images.
    rules = EVERYTHING if selftests.sends(session, study_id) else choosing.rules
    asked = [row for row in rows if row.undecided or rules.take == "first"]
    decisions = decide(rules, [_stored(row) for row in asked])
    for row, decision in zip(asked, decisions, strict=True):
        _write(session, study_id, row, decision, rules, now=now)
    return waited


def _is_listed(session: Session, home: Path, study_id: int) -> bool:
    """Whether the study is of a patient on the opt-out list, as far as that can be told.

    Where the key of the list is lost whoever takes the analysis asks again, and fails where people see it.
    """
    try:
        return optouts.lists_study(session, home, study_id)
    except ConfigurationError:
        return False


def _stored(row: Choosable) -> Candidate:
    """An input set as its row describes it."""
    facts = {
        **row.choice[FACTS],
        "calling_ae": row.calling_ae,
        "study_description": row.study_description,
    }
    return Candidate(
        key=row.choice[KEY],
        facts=facts,
        eligible=row.choice[ELIGIBLE],
        standing=row.chosen and row.has_result and row.purged,
    )


def _write(
    session: Session, study_id: int, row: Choosable, decision: Decision, rules: Rules, *, now: datetime
) -> None:
    """Write down one decision; one that is as before changes nothing."""
    if not row.undecided and (row.chosen == (decision.outcome == "measure") or row.purged):
        return
    taken_down = {name: row.choice[name] for name in TAKEN_DOWN}
    choice = {**taken_down, **plain(decision, rules)}
    if decision.outcome == "measure" and rules.take == "first":
        choice[INSTEAD_OF] = choices.unseated(session, study_id, by=row.anchor)
    if row.state is AnalysisState.READY:
        choices.settle(session, row.id, choice, now=now)
    else:
        choices.decide_anew(session, row.id, choice, now=now)


def plain(decision: Decision, rules: Rules) -> dict[str, Any]:
    """A decision with the rules behind it, ready for JSON."""
    return {"rules": rules.reference, "sha256": rules.sha256, **asdict(decision)}


def why_declined(session: Session, claim: Claim, home: Path) -> Reason | None:
    """Why a claimed analysis is not to be measured; None where it is.

    The list is asked again here: a patient may have been put on it since, and a person may have asked for
    an analysis that the rules never saw.
    """
    if optouts.lists_analysis(session, home, claim.analysis_id):
        return OPTED_OUT
    return declined_by_rules(claim.choice)


def declined_by_rules(choice: Mapping[str, Any] | None) -> Reason | None:
    """The reason in a decision that an input set is not measured."""
    if choice is None or choice.get(OUTCOME) != NOT_SELECTED:
        return None
    return Reason(NOT_SELECTED, choice["text"])


def opted_out_since(sessions: Sessions, claim: Claim, finding: Mapping[str, Any], home: Path) -> bool:
    """Whether the patient came to the list while the images were measured: then nothing is published."""
    if finding["status"] == AnalysisState.NOT_ELIGIBLE:
        return False
    with reading(sessions) as session:
        return optouts.lists_analysis(session, home, claim.analysis_id)
