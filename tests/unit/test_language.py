"""Every phrase of a result has its German, and both say the same."""

import ast
import re
import string
from pathlib import Path

import pytest

from service.core import wording
from service.core.german import GERMAN
from service.core.language import ENGLISH, GERMAN_WORDS
from service.dicom import codes, rejection
from service.pictures import content
from tests.make.facts import scored

ROOT = Path(__file__).resolve().parents[2]
TABLES = (
    [name for name, _unit in wording.MEASURE_NAMES.values()],
    wording.SCORE_STATES.values(),
    wording.NORM_STATUSES.values(),
    wording.FLAG_STATES.values(),
    wording.FLAG_NAMES.values(),
    wording.QUADRANTS.values(),
    wording.CONTRASTS.values(),
    wording.CHANGE_STATES.values(),
    wording.SEGMENTS.values(),
    [code.meaning for code in codes.WITHDRAWAL_REASON_OF.values()],
    [rejection.WITHDRAWAL],
    wording.LIMITS,
    [
        wording.BLOCK,
        wording.TITLE,
        wording.BANNER,
        wording.UNVERIFIED,
        wording.DISCLAIMER,
        wording.EDITED,
        wording.EDITED_DISCLAIMER,
        wording.NO_MEASUREMENT,
    ],
    [line for line in content.HEADLINES.values() if line],
)


def spoken():
    """Every phrase that the code hands to ``words``."""
    for path in (ROOT / "service").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "words":
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant):
                    yield first.value
            assigned = isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            if assigned and ast.unparse(node.targets[0]) == "phrase":
                yield node.value.value


def placeholders(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_phrase_that_is_spoken_has_its_german():
    phrases = {*spoken(), *(phrase for table in TABLES for phrase in table)}
    assert len(phrases) > 90
    assert {phrase for phrase in phrases if phrase not in GERMAN} == set()


def test_no_german_is_left_over():
    phrases = {*spoken(), *(phrase for table in TABLES for phrase in table)}
    plain = {phrase for phrase in GERMAN if not re.match(r"(reason|check):", phrase)}
    regions = {"axial", "sagittal", "coronal", "oblique", "cervical", "thoracic", "thoracolumbar"}
    regions |= {"lumbar", "sacral", "whole spine", "elsewhere", "unknown"}
    assert plain - phrases - regions == set()


@pytest.mark.parametrize("phrase", GERMAN)
def test_both_languages_put_in_the_same_values(phrase):
    assert placeholders(GERMAN[phrase]) == placeholders(phrase)
    assert GERMAN[phrase].strip()


def test_every_reason_and_check_of_the_reference_page_has_its_german():
    page = (ROOT / "docs" / "reference" / "errors.md").read_text("utf-8")
    parts = page.split("\n## ")
    wanted = [part for part in parts if part.startswith(("Reasons: no trust", "Reasons: content that"))]
    codes = set(re.findall(r"^\| `(\w+)`", "\n".join(wanted), re.M)) - {"dixon_pair", "age_agrees", "nifti"}
    assert len(codes) > 35
    assert {code for code in codes if f"reason:{code}" not in GERMAN} == set()


def test_a_score_in_german():
    said = wording.score_sentence(scored("fat", 1.0), GERMAN_WORDS)
    assert (
        said
        == "z +1,00 [+0,70 bis +1,30]; Referenztabelle table@1 (vorläufig: für diese Messung nicht validiert)"
    )
    assert (
        wording.score_sentence(scored("fat", None), GERMAN_WORDS)
        == "nicht verglichen: keine anwendbare Referenztabelle"
    )


def test_what_is_not_in_the_table_is_said_in_english():
    assert GERMAN_WORDS("a new phrase") == "a new phrase"
    assert GERMAN_WORDS.reason("new_code", "A new reason.") == "A new reason."
    assert GERMAN_WORDS.check("new_check") == "new check"
    assert GERMAN_WORDS.reason("no_stack", "x") == "Die Bilder bilden keinen Schichtstapel."
    assert ENGLISH.reason("no_stack", "x") == "x"
    assert ENGLISH.check("both_sides_found") == "both sides found"
    assert GERMAN_WORDS.check("both_sides_found") == "beide Seiten gefunden"
    assert ENGLISH.number(1.5, ".1f") == "1.5"
