"""Every phrase of the pages has its German, and both say the same."""

import ast
import functools
import re
import string
from http import HTTPStatus
from pathlib import Path

import pytest
from jinja2 import nodes
from starlette.requests import Request

from service.core.language import GERMAN_WORDS
from service.web import codes, event_words, language, pages, schemas, word_tables, words
from service.web.german import GERMAN, TABLES
from service.web.german.faults import FAULTS
from service.web.language import SPEAKERS

WEB = Path(language.__file__).parent
TEMPLATES = sorted((WEB / "templates").glob("*.html"))
#: Every table of codes whose words are shown by ``word`` or ``t``.
TABLES_OF_WORDS = [
    table
    for module in (word_tables, codes, event_words)
    for name, table in vars(module).items()
    if name.isupper() and name not in {"IN", "NAMES", "SPEAKERS", "FAULTS", "DELIVERIES"}
    if isinstance(table, dict)
]

#: Statuses that the page of an error may have.
ANSWERED = (400, 401, 403, 404, 405, 409, 410, 413, 422, 429, 500, 502, 503, 507)


def constants(node):
    """Every text that a node may turn out to be."""
    if isinstance(node, nodes.Const):
        return {node.value}
    if isinstance(node, nodes.CondExpr):
        return constants(node.expr1) | constants(node.expr2)
    return set()


def in_templates():
    """Every phrase that a template hands to ``t`` or ``tn``."""
    environment = pages._templates["en"].env
    for path in TEMPLATES:
        for call in environment.parse(path.read_text("utf-8")).find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name in {"t", "tn"}:
                for argument in call.args[: 1 if call.node.name == "t" else 2]:
                    yield from constants(argument)


def in_code():
    """Every phrase that Python of the web hands to a speaker, which is called ``say`` there."""
    for path in WEB.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            if ast.unparse(call.func) in {"say", "say.count"} or "SPEAKERS[" in ast.unparse(call.func):
                yield from (each.value for each in call.args[:2] if isinstance(each, ast.Constant))


@functools.cache
def phrases():
    """Every phrase of the pages."""
    of_tables = {text for table in TABLES_OF_WORDS for text in table.values()}
    of_errors = {HTTPStatus(code).phrase for code in ANSWERED}
    return {*in_templates(), *in_code(), *of_tables, *of_errors, schemas.RESEARCH_USE} - {""}


def placeholders(text):
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


def test_every_phrase_of_the_pages_has_its_german():
    said = phrases()
    assert len(said) > 100
    missing = {each for each in said if each not in GERMAN and each not in language.results.GERMAN}
    assert missing == set()


def test_no_german_is_left_over():
    assert set(GERMAN) - phrases() == set()


def test_no_phrase_has_two_germans():
    pairs = {pair for table in TABLES.values() for pair in table.items()}
    assert len(pairs) == len(GERMAN)


def test_both_languages_put_in_the_same_values():
    for phrase, german in GERMAN.items():
        english = phrase.partition(language.APART)[0]
        assert placeholders(german) == placeholders(english), phrase
        assert german.strip(), phrase
        assert german.count("`") == english.count("`"), phrase


def asked(*, cookie="", accept="", path="/", query=b"", method="GET"):
    """A request with these headers."""
    headers = [(b"cookie", cookie.encode()), (b"accept-language", accept.encode())]
    return Request(
        {"type": "http", "method": method, "path": path, "query_string": query, "headers": headers,
         "server": ("localhost", 80), "scheme": "http"}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("cookie", "accept", "spoken"),
    [
        ("", "", "en"),
        ("", "de-DE,de;q=0.9,en;q=0.8", "de"),
        ("", "fr-FR, en;q=0.5, de;q=0.7", "de"),
        ("", "en-GB,de;q=0.9", "en"),
        ("", "de;q=0, en;q=0.1", "en"),
        ("", "de;q=x", "de"),
        ("", "fr", "en"),
        ("myoscreen_language=de", "en", "de"),
        ("myoscreen_language=en", "de", "en"),
        ("myoscreen_language=fr", "de", "de"),
    ],
)
def test_the_choice_of_a_person_goes_before_what_the_browser_prefers(cookie, accept, spoken):
    assert language.language_of(asked(cookie=cookie, accept=accept)) == spoken


@pytest.mark.parametrize(
    ("path", "query", "back"),
    [
        ("/analyses/7", b"", "/analyses/7"),
        ("/", b"state=failed&notice=withdrawn&from=2026-01-02", "/?state=failed&from=2026-01-02"),
        ("/analyses/7", b"notice=withdrawn", "/analyses/7"),
        ("/a", b"x=<b>", "/start"),
        ("//evil.example", b"", "/start"),
    ],
)
def test_a_change_of_the_language_leads_back_to_the_page(path, query, back):
    assert language.page_of(asked(path=path, query=query)) == back
    assert language.page_of(asked(path="/find", method="POST")) == "/start"


@pytest.mark.parametrize(
    "page", ["https://evil.example", "//evil.example", "/\\evil.example", "/a\r\nb", "", "/a\n"]
)
def test_it_leads_to_no_other_place(page):
    assert language.safe_page(page) == "/start"


def test_values_are_escaped_and_code_is_marked():
    say = SPEAKERS["en"]
    assert (
        say("Ask `{what}` of <{who}>", what="<b>", who="&") == "Ask <code>&lt;b&gt;</code> of &lt;&amp;&gt;"
    )
    assert say("From||a day") == "From"
    assert say.count("{count} image", "{count} images", 1) == "1 image"
    assert say.count("{count} image", "{count} images", 0) == "0 images"


def test_numbers_and_times_as_germans_write_them():
    assert words.percent(0.312, language="de") == "31,2 %"
    assert words.number(-1.25, 2, language="de") == f"{words.MINUS}1,25"
    assert words.interval([0.5, 1.5], 1, language="de") == "0,5 bis 1,5"
    assert words.dicom_date("19700131", language="de") == "31.01.1970"
    assert words.size(1_234_567, language="de") == "1,2 MB"
    assert words.in_unit(10.5, "cm2", language="de") == "10,5 cm²"
    assert words.dimse(0xA700, language="de") == "0xA700 keine Ressourcen frei"
    assert words.word("measured", language="de") == "gemessen"


def test_reasons_are_said_by_their_code_where_the_sentence_is_not_known():
    assert words.reason("x", "no_stack", language="de") == GERMAN_WORDS.reason("no_stack", "x")
    assert words.reason(None, None) == ""
    assert words.reason_word("wrong_plane", language="de") == "Nicht axial."
    assert words.reason_word("new_code") == "new code"
    assert words.check_name("both_sides_found", language="de") == "beide Seiten gefunden"


def test_no_template_holds_words_outside_of_phrases():
    """What stands between tags is a phrase, a value, a name of ours, or a sign."""
    for path in TEMPLATES:
        text = re.sub(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", " ", path.read_text("utf-8"), flags=re.S)
        plain = re.sub(r"<(title|code)>.*?</\1>|<[^>]*>", " ", text, flags=re.S)
        left = set(re.findall(r"[A-Za-zÄÖÜäöü]{2,}", plain)) - NAMES
        assert left == set(), path.name
        labels = re.findall(r'(?:aria-label|title|placeholder|alt)="([^"{]*[A-Za-z]{2}[^"{]*)"', text)
        assert labels == [], path.name


#: Names, units and signs that both languages write alike.
NAMES = {"myoscreen", "nbsp", "middot", "SHA", "PDF", "TLS", "pid", "AE", "mm", "ml"}


def test_whatever_scrolls_has_a_name_and_the_focus():
    for path in TEMPLATES:
        for tag in re.findall(r'<div class="wide[^>]*>', path.read_text("utf-8")):
            assert 'tabindex="0"' in tag, path.name
            assert "aria-label=" in tag, path.name


WRITERS = {"audit", "record", "note", "note_access", "_audit", "_activate", "_tell"}


def actions():
    """Every action that the code hands to the audit record, by itself or under a name of the function."""
    for path in WEB.parent.rglob("*.py"):
        text = path.read_text("utf-8")
        if not any(f"{writer}(" in text for writer in WRITERS):
            continue
        for function in ast.walk(ast.parse(text)):
            if isinstance(function, ast.FunctionDef):
                yield from actions_of(function)


def actions_of(function):
    names = set()
    for call in (each for each in ast.walk(function) if isinstance(each, ast.Call)):
        if ast.unparse(call.func).rpartition(".")[2] in WRITERS:
            named = [each.value for each in call.keywords if each.arg == "action"]
            # A writer takes a person, an object or an outcome by keyword alone.
            for given in (*call.args, *named):
                choices = (given.body, given.orelse) if isinstance(given, ast.IfExp) else (given,)
                yield from (each.value for each in choices if is_code(each))
                names |= {given.id} if isinstance(given, ast.Name) else set()
    for line in (each for each in ast.walk(function) if isinstance(each, ast.Assign)):
        pairs = [(line.targets[0], line.value)]
        if isinstance(line.targets[0], ast.Tuple) and isinstance(line.value, ast.Tuple):
            pairs = list(zip(line.targets[0].elts, line.value.elts, strict=True))
        yield from (value.value for name, value in pairs if ast.unparse(name) in names and is_code(value))


def is_code(node):
    return isinstance(node, ast.Constant) and re.fullmatch(r"[a-z_]+", str(node.value)) is not None


def test_every_action_of_the_audit_record_has_its_words():
    found = set(actions())
    assert {"login", "analysis_viewed", "activation_made", "patient_erased"} <= found
    assert {"delivery_sent", "withdrawal_told", "peer_circuit_opened", "activation"} <= found
    assert found - set(codes.ACTIONS) == set()


def events():
    """The name of every event that the code writes down."""
    for path in WEB.parent.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] == "add_event":
                given = call.args[1]
                choices = (given.body, given.orelse) if isinstance(given, ast.IfExp) else (given,)
                yield from (each.value for each in choices if is_code(each))


def test_every_event_has_its_words_and_its_details_are_told_in_german():
    found = set(events())
    assert {"analysis_ready", "attempt_failed", "reviewed"} <= found
    assert found - set(event_words.EVENTS) == set()
    assert words.detail("hand_over", "step", language="de") == "übergeben"
    assert words.detail("wrong_drawing", "reason", language="de").startswith("die Muskeln")
    assert words.detail(True, "identical", language="de") == "ja"
    assert [words.detail(given, "code") for given in ("x_y", 7, None, [])] == [
        "x_y",
        "7",
        words.NOTHING,
        words.NOTHING,
    ]


def test_what_rounds_to_nothing_has_no_sign():
    assert words.number(-0.04) == "0.0"
    assert words.number(-0.06) == f"{words.MINUS}0.1"


def refusals():
    """Every code of what the pages may refuse, from the code that refuses it."""
    for room in ("db", "web"):
        for path in (WEB.parent / room).rglob("*.py"):
            if path.name in FOR_PROGRAMS:
                continue
            for call in ast.walk(ast.parse(path.read_text("utf-8"))):
                name = ast.unparse(call.func) if isinstance(call, ast.Call) else ""
                if name == "InvalidRequest":
                    yield from (each.value for each in call.keywords if each.arg == "reason")
                elif name == "Problem":
                    yield call.args[1]


#: A door that no page leads to: images by STOW-RS.
FOR_PROGRAMS = {"stow.py"}


def test_every_refusal_is_told_in_german_by_its_code():
    codes_of = {code.value for code in refusals() if isinstance(code, ast.Constant)}
    assert len(codes_of) > 30
    assert codes_of - set(FAULTS) == set()


def test_trouble_on_the_way_to_a_peer_is_told_in_german():
    said = words.reason("The peer does not answer.", "peer_unreachable", language="de")
    assert said == "Der Partner ist nicht erreichbar."
    assert words.reason("The peer does not answer.", "peer_unreachable") == "The peer does not answer."
    assert words.fault("There is no such study.", "not_found", language="de") == "Das gibt es hier nicht."
