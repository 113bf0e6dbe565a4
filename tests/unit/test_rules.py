"""Rules choose among eligible images, and say by which attribute."""

import tomllib

import pytest

from service.core.conditions import matches
from service.core.rulefile import MOST_RULES, MOST_VALUES, parse_rules
from service.core.rules import Candidate, decide
from service.errors import ConfigurationError

HEAD = 'id = "site"\nversion = "2"\n'


def rules(text, take="all"):
    content = tomllib.loads(f'{HEAD}take = "{take}"\n{text}')
    return parse_rules(content, file="site.toml", sha256="0" * 64)


def facts(**changes):
    usual = {
        "modality": "MR",
        "contrast": "t2_tse",
        "plane": "axial",
        "region": "lumbar",
        "description": "t2_tse_tra",
        "protocol": "",
        "study_description": "MR LWS",
        "image_type": "ORIGINAL\\PRIMARY\\M",
        "manufacturer": "SIEMENS",
        "scanner": "SIEMENS Avanto 1.5 T",
        "station_name": "MR01",
        "calling_ae": "MR1",
        "slices": 20,
        "coverage_mm": 80.0,
        "slice_step_mm": 4.0,
        "slice_thickness_mm": None,
        "pixel_spacing_mm": 0.6,
        "tilt_degrees": 3.0,
        "series_number": 5,
    }
    return {**usual, **changes}


def candidate(key="a", *, eligible=True, standing=False, **changes):
    return Candidate(key=key, facts=facts(**changes), eligible=eligible, standing=standing)


def one(text, take="all", **changes):
    (decision,) = decide(rules(text, take), [candidate(**changes)])
    return decision


EVERYTHING = '[[rule]]\nname = "everything"\n'
T2_THEN_T1 = """
[[rule]]
name = "T2"
when.contrast = ["t2_tse"]
prefer = ["most slices", "least slice_step_mm"]
[[rule]]
name = "T1"
when.contrast = ["t1"]
"""


def test_a_rule_without_conditions_takes_everything():
    decision = one(EVERYTHING)
    assert (decision.outcome, decision.rule, decision.attribute) == ("measure", "everything", "none")
    assert decision.text == "Rule 'everything' of site@2 takes these images (always)."


def test_what_the_card_does_not_admit_is_asked_of_no_rule():
    decision = one(EVERYTHING, eligible=False)
    assert (decision.outcome, decision.rule) == ("not_eligible", None)


def test_the_first_rule_that_holds_decides_and_the_others_say_why_not():
    decision = one(T2_THEN_T1, contrast="t1")
    assert (decision.outcome, decision.rule, decision.attribute) == ("measure", "T1", "contrast")
    (miss,) = decision.misses
    assert (miss.rule, miss.attribute) == ("T2", "contrast")
    assert miss.text == "contrast is t2_tse; it is t1 here"


def test_what_no_rule_takes_names_every_rule_and_the_first_attribute_that_failed():
    decision = one(T2_THEN_T1, contrast="stir")
    assert (decision.outcome, decision.rule, decision.attribute) == ("not_selected", None, "contrast")
    assert decision.text == (
        "No rule of site@2 takes these images. T2: contrast is t2_tse; it is stir here. "
        "T1: contrast is t1; it is stir here."
    )


def test_a_rule_may_leave_images_out_and_says_why():
    text = '[[rule]]\nname = "no MR2"\noutcome = "skip"\nreason = "Its gradients are broken."\n'
    decision = one(text + 'when.station_name = ["MR*"]\nwhen.slices = { min = 3 }\n')
    assert (decision.outcome, decision.rule) == ("not_selected", "no MR2")
    assert decision.attribute == "station_name, slices"
    assert decision.text == (
        "Rule 'no MR2' of site@2 leaves these images out "
        '(station_name has one of "MR*"; slices is at least 3). Its gradients are broken.'
    )
    bare = one('[[rule]]\nname = "out"\noutcome = "skip"\n')
    assert bare.text == "Rule 'out' of site@2 leaves these images out (always)."


@pytest.mark.parametrize(
    ("condition", "changes", "holds"),
    [
        ('contrast = ["t1", "t2_tse"]', {}, True),
        ('plane = ["sagittal"]', {}, False),
        ('region = ["lumbar"]', {"region": "unknown"}, False),
        ('modality = ["MR"]', {}, True),
        ('description = ["TRA"]', {}, True),
        ('description = ["cor"]', {}, False),
        ('description = ["t2*tra"]', {}, True),
        ('description = ["t2*"]', {"description": ""}, False),
        ('not_description = ["cor"]', {}, True),
        ('not_description = ["tra"]', {}, False),
        ('not_description = ["tra"]', {"description": None}, True),
        ('manufacturer = ["siemens"]', {"manufacturer": "Siemens Healthineers"}, True),
        ('station_name = ["MR0"]', {}, False),
        ('station_name = ["mr01"]', {}, True),
        ('calling_ae = ["MR1"]', {"calling_ae": "MR10"}, False),
        ('calling_ae = ["MR1"]', {"calling_ae": ""}, False),
        ("slices = { min = 20 }", {}, True),
        ("slices = { min = 21 }", {}, False),
        ("slices = { max = 20 }", {}, True),
        ("slices = { max = 19 }", {}, False),
        ("slice_thickness_mm = { max = 9 }", {}, False),
        ("slice_thickness_mm = { max = 9 }", {"slice_thickness_mm": 4.0}, True),
    ],
)
def test_a_condition(condition, changes, holds):
    decision = one(f'[[rule]]\nname = "r"\nwhen.{condition}\n', **changes)
    assert (decision.outcome == "measure") is holds


def test_what_somebody_wrote_is_never_quoted():
    secret = "Doe Jane"
    text = '[[rule]]\nname = "r"\nwhen.description = ["tra"]\n'
    decision = one(text, description=secret)
    assert "description has one of" in decision.text
    assert secret not in str(decision)


def test_a_value_that_is_not_known_is_called_so():
    text = '[[rule]]\nname = "r"\nwhen.slice_thickness_mm = { min = 1, max = 5 }\n'
    assert "slice_thickness_mm is at least 1 and at most 5; it is not known here" in one(text).text
    (miss,) = one('[[rule]]\nname = "r"\nwhen.slices = { min = 30 }\n').misses
    assert miss.text == "slices is at least 30; it is 20 here"


@pytest.mark.parametrize(
    ("pattern", "text", "whole", "found"),
    [
        ("a*b*c", "a--b--c", False, True),
        ("a*b*c", "a--c--b", False, False),
        ("a*c*b*c", "a-b-c", False, False),
        ("ab*ba", "aba", False, False),
        ("ab*ba", "abba", False, True),
        ("*x*", "axb", False, True),
        ("*", "", True, True),
        ("*x", "xy", False, False),
        ("STRASSE", "Straße", True, True),
        ("b", "abc", True, False),
        ("b", "abc", False, True),
    ],
)
def test_a_pattern(pattern, text, whole, found):
    assert matches(pattern, text, whole=whole) is found


def test_no_pattern_takes_for_ever():
    """A matcher that tries every way to split the text would never come to the end of this test."""
    assert not matches("*a" * 32 + "b", "a" * 2000, whole=True)


def first(*candidates, text=T2_THEN_T1):
    return decide(rules(text, "first"), candidates)


def test_of_a_study_the_earlier_rule_takes_one():
    t1, t2, stir = first(
        candidate("a", contrast="t1", slices=40), candidate("b"), candidate("c", contrast="stir")
    )
    assert [t1.outcome, t2.outcome, stir.outcome] == ["not_selected", "measure", "not_selected"]
    assert (t1.rule, t1.attribute) == ("T2", "order of rules")
    assert t1.text == "Rule 'T2' of site@2 comes before 'T1', and took other images of the study."
    assert stir.rule is None


def test_within_a_rule_the_preference_decides_and_is_named():
    small, large = first(candidate("a", slices=20), candidate("b", slices=30))
    assert (small.outcome, large.outcome) == ("not_selected", "measure")
    assert (small.rule, small.attribute) == ("T2", "slices")
    assert small.text.endswith("prefers most slices: 30 in the images that it took, 20 in these.")
    thick, thin = first(candidate("a"), candidate("b", slice_step_mm=3.0))
    assert (thick.outcome, thin.outcome) == ("not_selected", "measure")
    unknown, known = first(candidate("a", slices=None), candidate("b"))
    assert "20 in the images that it took, not known in these" in unknown.text
    assert known.outcome == "measure"


def test_equal_images_are_told_apart_by_their_place_whatever_the_order():
    later, earlier = first(candidate("b"), candidate("a"))
    assert (later.outcome, earlier.outcome) == ("not_selected", "measure")
    assert later.attribute == "series_number"


def test_a_result_that_stands_keeps_the_choice():
    better, standing = first(candidate("a", slices=99), candidate("b", standing=True))
    assert (better.outcome, standing.outcome) == ("not_selected", "measure")
    assert (better.rule, better.attribute) == ("T2", "standing")
    two = first(candidate("a", slices=30, standing=True), candidate("b", standing=True))
    assert [each.attribute for each in two] == ["contrast", "slices"]


def test_where_nothing_is_taken_nothing_is_chosen():
    assert [each.outcome for each in first(candidate(contrast="stir"), candidate(eligible=False))] == [
        "not_selected",
        "not_eligible",
    ]
    assert decide(rules(EVERYTHING, "first"), []) == ()


def test_rules_are_told_in_words():
    made = rules(T2_THEN_T1)
    assert made.reference == "site@2"
    assert [rule.words for rule in made.rules] == ["contrast is t2_tse", "contrast is t1"]
    assert [each.words for each in made.rules[0].prefer] == ["most slices", "least slice_step_mm"]


@pytest.mark.parametrize(
    ("text", "key", "what"),
    [
        ("", "rule", "1 to 100"),
        ("rule = []", "rule", "1 to 100"),
        ("rule = [1]", "rule 1", "a table"),
        ("rules = 1\n" + EVERYTHING, "rules", "is not known; known are id"),
        ("[[rule]]\n", "rule 1.name", "1 to 64 characters"),
        ('[[rule]]\nname = " "', "rule 1.name", "1 to 64 characters"),
        ('[[rule]]\nname = "r"\ncode = "import os"', "rule 1.code", "is not known"),
        ('[[rule]]\nname = "r"\noutcome = "run"', "rule 1.outcome", '"measure" or "skip"'),
        ('[[rule]]\nname = "r"\nwhen = 1', "rule 1.when", "a table"),
        ('[[rule]]\nname = "r"\nwhen.contrast = ["t2"]', "rule 1.when.contrast", "'t2' is none of t2_tse"),
        ('[[rule]]\nname = "r"\nwhen.contrast = "t1"', "rule 1.when.contrast", "a list"),
        ('[[rule]]\nname = "r"\nwhen.contrast = []', "rule 1.when.contrast", "a list"),
        ('[[rule]]\nname = "r"\nwhen.plane = [1]', "rule 1.when.plane", "each must be a text"),
        ('[[rule]]\nname = "r"\nwhen.not_plane = ["axial"]', "rule 1.when.not_plane", "known are modality"),
        ('[[rule]]\nname = "r"\nwhen.patient_id = ["1"]', "rule 1.when.patient_id", "nothing that rules"),
        ('[[rule]]\nname = "r"\nwhen.description = ["**"]', "rule 1.when.description", "must have letters"),
        ('[[rule]]\nname = "r"\nwhen.slices = 5', "rule 1.when.slices", "min, max or both"),
        ('[[rule]]\nname = "r"\nwhen.slices = {}', "rule 1.when.slices", "min, max or both"),
        ('[[rule]]\nname = "r"\nwhen.slices = { least = 5 }', "rule 1.when.slices.least", "is not known"),
        ('[[rule]]\nname = "r"\nwhen.slices = { min = true }', "rule 1.when.slices.min", "a number"),
        ('[[rule]]\nname = "r"\nwhen.slices = { min = nan }', "rule 1.when.slices.min", "a number"),
        ('[[rule]]\nname = "r"\nwhen.slices = { max = "5" }', "rule 1.when.slices.max", "a number"),
        ('[[rule]]\nname = "r"\nwhen.slices = { min = 5, max = 4 }', "rule 1.when.slices", "min is larger"),
        ('[[rule]]\nname = "r"\nprefer = ["slices"]', "rule 1.prefer", '"most" or "least"'),
        ('[[rule]]\nname = "r"\nprefer = ["most contrast"]', "rule 1.prefer", '"most" or "least"'),
        ('[[rule]]\nname = "r"\nreason = 5', "rule 1.reason", "1 to 300 characters"),
        (EVERYTHING + EVERYTHING, "rule", "two rules have the name 'everything'"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_key(text, key, what):
    with pytest.raises(ConfigurationError) as error:
        rules(text)
    assert error.value.reason.code == "bad_rules"
    assert error.value.reason.text.startswith(f"Rules site.toml: {key}: ")
    assert what in error.value.reason.text


def test_the_head_of_a_file_must_be_whole():
    for text, key in (
        (f"{HEAD}{EVERYTHING}", "take"),
        (f'{HEAD}take = "best"\n{EVERYTHING}', "take"),
        (f'version = "1"\ntake = "all"\n{EVERYTHING}', "id"),
        (f'id = "x"\nversion = 1\ntake = "all"\n{EVERYTHING}', "version"),
    ):
        with pytest.raises(ConfigurationError, match=f"site.toml: {key}: "):
            parse_rules(tomllib.loads(text), file="site.toml", sha256="")


def test_a_file_has_bounds():
    many = "".join(f'[[rule]]\nname = "r{number}"\n' for number in range(MOST_RULES + 1))
    with pytest.raises(ConfigurationError, match="1 to 100"):
        rules(many)
    words = ", ".join(f'"w{number}"' for number in range(MOST_VALUES + 1))
    with pytest.raises(ConfigurationError, match="1 to 50"):
        rules(f'[[rule]]\nname = "r"\nwhen.description = [{words}]')
