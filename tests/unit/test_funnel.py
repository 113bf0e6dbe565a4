"""The steps of the funnel, and the words of its places and reasons."""

import re
from pathlib import Path

import pytest

from service.core import explained
from service.core.funnel import MISSED, STEPS, UNDER_WAY, Group, Place, Step, build, reached
from service.core.german import GERMAN
from service.core.status import WITHDRAWAL_REASONS
from service.dicom.storing import Refused

ERRORS = Path(__file__).resolve().parents[2] / "docs" / "reference" / "errors.md"


def group(place, count, *, reason=None, flagged=0):
    return Group(place=place, reason=reason, count=count, flagged=flagged)


def test_counts_fall_from_step_to_step_by_what_was_lost():
    funnel = build(
        [
            group(Place.ARRIVING, 1),
            group(Place.NOT_ELIGIBLE, 2, reason="localizer"),
            group(Place.NOT_ELIGIBLE, 3, reason="wrong_plane"),
            group(Place.RUNNING, 5),
            group(Place.NOT_ASSESSABLE, 4, reason="plausible_area"),
            group(Place.SENDING, 6, flagged=1),
            group(Place.STORED, 7, flagged=2),
            group(Place.CONFIRMED, 8, flagged=3),
        ]
    )
    assert funnel.counts == {
        "received": 36,
        "complete": 35,
        "eligible": 25,
        "measured": 21,
        "flagged": 6,
        "delivered": 15,
        "confirmed": 8,
    }
    assert [(loss.reason, loss.count) for loss in funnel.missing(Step.ELIGIBLE)] == [
        ("wrong_plane", 3),
        ("localizer", 2),
        (None, 5),
    ]
    assert funnel.under_way == 1 + 5 + 6


def test_every_place_but_the_last_misses_one_step_and_reaches_those_before():
    assert set(Place) - set(MISSED) == {Place.CONFIRMED}
    for place in Place:
        gone = [step for step in STEPS if reached(place, step)]
        assert gone == list(STEPS[: len(gone)])
        assert gone
    assert set(MISSED) > UNDER_WAY


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_place_and_every_step_has_words(language):
    for place in Place:
        assert explained.explain(place, None, language)
        assert explained.place_name(place, language)
    assert len({explained.step_name(step, language) for step in STEPS}) == len(STEPS)


def reason_codes():
    """The codes of errors.md that an analysis may end with."""
    page = ERRORS.read_text("utf-8")
    part = page[page.index("## Reasons: the stack is outside") : page.index("## Reasons: installation")]
    return set(re.findall(r"^\| `([a-z_]+)` \| (?!never a reason)", part, re.MULTILINE))


def test_every_reason_that_an_analysis_may_end_with_has_its_sentence():
    assert len(reason_codes()) > 50
    ends = {"internal_fault", "lease_expired", "runner_deadline", "runner_memory", "runner_crashed"}
    assert (reason_codes() | ends | set(WITHDRAWAL_REASONS)) - set(explained.REASONS) == set()
    told = {key.removeprefix("reason:") for key in GERMAN if key.startswith("reason:")}
    # A drawing that is not taken leaves no analysis behind: its version is taken back.
    of_drawings = {code for code in told if code.startswith("edit_")}
    assert of_drawings
    checks = {"stations", "age_agrees", "identity_agrees", "edited"}
    assert told - of_drawings - set(explained.REASONS) == checks


def test_both_languages_say_something_and_not_the_same():
    tables = (explained.PLACES, explained.REASONS, explained.NOT_KEPT)
    pairs = [both for table in tables for both in table.values()]
    assert [
        pair for pair in pairs if pair[0] == pair[1] or not all(text.endswith(".") for text in pair)
    ] == []
    assert explained.explain(Place.NOT_ELIGIBLE, "wrong_plane", "de") == "Nicht axial."
    assert explained.explain(Place.NOT_ELIGIBLE, "some_new_code", "en") == "some new code"


def test_every_counter_of_objects_that_are_not_kept_has_its_sentence():
    assert {refused.value for refused in Refused} - set(explained.NOT_KEPT) == set()
