"""Sentences of a finding in German, with the values that they have in English."""

import ast
import re
import tomllib
from pathlib import Path
from string import Formatter

import pytest

from service.core.language import ENGLISH, GERMAN_WORDS
from service.core.retelling import in_german, rule_in_german
from service.core.retelling_german import PARTS, SENTENCES, VALUES

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    *(ROOT / "service" / "core").glob("*.py"),
    *(ROOT / "service" / "dicom").glob("*.py"),
    *(ROOT / "service" / "pipeline").glob("*.py"),
]
TREES = [
    ast.parse(path.read_text("utf-8"))
    for path in SOURCES
    if path.name not in ("retelling.py", "retelling_german.py", "german.py")
]


CARD_RULE = tomllib.loads((ROOT / "models" / "paraspinal" / "card.toml").read_text("utf-8"))["definition"][
    "boundary_rule"
]
POLICY = (ROOT / "models" / "policies" / "default.toml").read_text("utf-8")


def skeleton(node):
    """A text of the source with "1" for each of its values; None for what is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if not isinstance(node, ast.JoinedStr):
        return None
    return "".join(skeleton(part) if isinstance(part, ast.Constant) else "1" for part in node.values)


def texts_of(node):
    """The texts that an expression may be, one or the other side of each condition."""
    if isinstance(node, ast.IfExp):
        return [*texts_of(node.body), *texts_of(node.orelse)]
    text = skeleton(node)
    return [] if text is None else [text]


def details():
    """Every sentence of the source that becomes the detail of a check or the reason of a score."""
    for tree in TREES:
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "detail":
                yield from texts_of(node.value)
            if isinstance(node, ast.AugAssign) and ast.unparse(node.target) == "detail":
                yield from (text.strip() for text in texts_of(node.value))
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name == "QualityCheck":
                    yield from (t for k in node.keywords if k.arg == "detail" for t in texts_of(k.value))
                if name in ("_withheld", "said.append") and "norms" in ast.unparse(tree)[:2000]:
                    yield from (text for argument in node.args[2:] for text in texts_of(argument))
                if name in ("NotAssessable", "UnreadableSeries"):
                    texts = [node.args[0]] if node.args else []
                    yield from (
                        t for text in texts if isinstance(text, ast.JoinedStr) for t in texts_of(text)
                    )


def test_every_sentence_with_values_has_its_german():
    found = set(details())
    assert len(found) > 30
    assert {text for text in found if in_german(text) is None} == set()


def test_no_german_is_left_over():
    source = "\n".join(
        (CARD_RULE, POLICY, *(text for tree in TREES for node in ast.walk(tree) if (text := skeleton(node))))
    )
    phrases = {re.sub(r"\{[^}]*\}", "1", english): english for english in (*SENTENCES, *PARTS)}
    assert {english for bare, english in phrases.items() if bare.removeprefix("1: ") not in source} - {
        "{feature} {value:n} (at most {limit:n})"
    } == set()
    assert {word for word in VALUES if word.replace(" ", "_") not in source and word not in source} == set()


@pytest.mark.parametrize("english", [*SENTENCES, *PARTS])
def test_both_languages_put_in_the_same_values(english):
    german = {**SENTENCES, **PARTS}[english]
    english_names, german_names = (
        [name for _, name, _, _ in Formatter().parse(t) if name] for t in (english, german)
    )
    assert sorted(english_names) == sorted(german_names)


@pytest.mark.parametrize(
    ("english", "german"),
    [
        (
            "Mean area left 1.2, right 30.1 cm2; expected 2 to 60.",
            "Mittlere Fläche links 1,2, rechts 30,1 cm²; erwartet 2 bis 60.",
        ),
        ("Found: left, right.", "Gefunden: links, rechts."),
        ("Found: nothing.", "Gefunden: nichts."),
        (
            "A block of slices has no volume, so there is nothing to score.",
            "Ein Schichtblock hat kein Volumen, also gibt es nichts zu vergleichen.",
        ),
        (
            "Station 1: Muscle is 12.3 times its noise; at least 2.5 expected. Station 2: Found: left.",
            (
                "Station 1: Das Muskelsignal ist das 12,3-Fache seines Rauschens; erwartet mindestens das "
                "2,5-Fache. Station 2: Gefunden: links."
            ),
        ),
        (
            "Muscle was found in 33% of the slices; at least 50% expected.",
            "Muskel wurde in 33 % der Schichten gefunden; erwartet mindestens 50 %.",
        ),
        (
            (
                "Unlike any axial image of the back that was drawn well: soft loss 0.20 (at most 0.16), "
                "shape distance 4.10 (at most 3.40)."
            ),
            (
                "Anders als jedes gut gezeichnete axiale Bild des Rückens: unscharfer Rand 0,20 (höchstens "
                "0,16), Abstand der Form 4,10 (höchstens 3,40)."
            ),
        ),
        (
            (
                "Fat fraction of muscle 0.85, 0.84 (left, right; at most 0.3), of subcutaneous fat 0.25 "
                "(at least 0.7). Water and fat are exchanged, or not on one scale."
            ),
            (
                "Fettanteil im Muskel 0,85, 0,84 (links, rechts; höchstens 0,3), im Unterhautfett 0,25 "
                "(mindestens 0,7). Wasser und Fett sind vertauscht oder nicht gleich skaliert."
            ),
        ),
        (
            (
                "No reference table fits (fsf@1: made for another definition than two-class@2; x@2: not made "
                "for the region cervical)."
            ),
            (
                "Keine Referenztabelle passt (fsf@1: für eine andere Definition als two-class@2; x@2: nicht "
                "für die Region zervikal)."
            ),
        ),
        (
            "Pixels of shape (1, 2, 3) do not fit a grid of (1, 2, 4).",
            "Pixel der Form (1, 2, 3) passen nicht auf ein Gitter von (1, 2, 4).",
        ),
        (
            "A contrast agent was given (SeriesDescription=T2. After KM).",
            "Kontrastmittel wurde gegeben (SeriesDescription=T2. After KM).",
        ),
    ],
)
def test_a_sentence_keeps_its_values(english, german):
    assert in_german(english) == german
    assert GERMAN_WORDS.reason("any", english) == german
    assert ENGLISH.reason("any", english) == english


def test_what_counts_as_muscle_has_its_german():
    assert in_german(CARD_RULE) is not None


def test_what_is_not_known_is_not_half_told():
    assert in_german("The sex (M or F) is not known. A sentence of tomorrow.") is None
    assert GERMAN_WORDS.reason("plausible_area", "A sentence of tomorrow.").startswith(
        "Der mittlere Querschnitt"
    )
    assert GERMAN_WORDS.reason("of_tomorrow", "A sentence of tomorrow.") == "A sentence of tomorrow."
    assert GERMAN_WORDS.retold("A sentence of tomorrow.") is None


@pytest.mark.parametrize(
    ("english", "german"),
    [
        (
            "Not raised (z +0.50, limit z above +1.00). This is no statement about risk.",
            "Nicht gesetzt (z +0,50, Grenze z über +1,00). Das ist keine Aussage über ein Risiko.",
        ),
        ("Not evaluable: PatientSize (height) is missing.", "Nicht auswertbar: PatientSize (Größe) fehlt."),
        (
            "Not evaluable: the evidence behind this flag covers sex M only.",
            "Nicht auswertbar: Die Belege für diesen Hinweis gelten nur für Geschlecht M.",
        ),
        (
            "Lean muscle for height lies below the reference range (z -1.90, limit z below -1.00).",
            (
                "Der magere Muskel liegt, auf die Größe bezogen, unter dem Referenzbereich "
                "(z -1,90, Grenze z unter -1,00)."
            ),
        ),
        (
            "Indeterminate: the reference table is provisional (z +1.90, limit z above +1.00).",
            "Unbestimmt: die Referenztabelle ist vorläufig (z +1,90, Grenze z über +1,00).",
        ),
        # Names and codes that a site wrote stay as they are.
        (
            (
                "Rule 'T2, axial, left' of mine@1 takes these images (region is one of lumbar, left; "
                "slices is at least 3)."
            ),
            (
                "Regel 'T2, axial, left' von mine@1 nimmt diese Bilder (region ist eines von lumbar, left; "
                "slices ist mindestens 3)."
            ),
        ),
        (
            (
                "No rule of a@1 takes these images. T2, axial: contrast is t2_tse; it is stir here. "
                'Rest: description has none of "KM", "x", which does not hold here.'
            ),
            (
                "Keine Regel von a@1 nimmt diese Bilder. T2, axial: contrast ist t2_tse; hier ist es stir. "
                'Rest: description enthält keines von "KM", "x", was hier nicht zutrifft.'
            ),
        ),
        (
            "Rule 'a' of b@1 prefers most slices: 30 in the images that it took, not known in these.",
            (
                "Regel 'a' von b@1 zieht vor: am meisten slices; in den genommenen Bildern 30, in diesen "
                "nicht bekannt."
            ),
        ),
    ],
)
def test_flags_and_rules_are_told_in_german(english, german):
    assert in_german(english) == german


def test_what_a_rule_asks_for_is_told_in_german():
    assert rule_in_german("slices is at least 3 and at most 5.5") == (
        "slices ist mindestens 3 und höchstens 5,5"
    )
    assert rule_in_german("always") == "immer"
    assert rule_in_german("something of tomorrow") == "something of tomorrow"


def test_every_sentence_of_a_flag_and_of_a_choice_has_its_german():
    """The flag, the doubt and the choice, as the code makes them with values of every kind."""
    said = [
        f"{asked}{rest}"
        for asked in ("Rule 'a, b; c' of d@1", 'Rule "it\'s" of d@1')
        for rest in (
            " leaves these images out (always).",
            " took other images of the study; their result stands, for they are not kept any more.",
            " comes before 'c', and took other images of the study.",
            " took equal images of the study that come first.",
        )
    ]
    assert [text for text in said if in_german(text) is None] == []


def test_rules_are_said_in_the_language_of_the_words():
    assert GERMAN_WORDS.rule("most slices") == "am meisten slices"
    assert ENGLISH.rule("most slices") == "most slices"
