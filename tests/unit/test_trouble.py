"""What is wrong is judged alike for doctor, check, status page and notifications, and said in full."""

import ast
import dataclasses
import string
from pathlib import Path

import pytest

from service.core import trouble, trouble_words
from service.core.trouble import Limits, Severity, Trouble, Vitals, find_troubles, worst
from service.core.trouble_english import ENGLISH, ONE
from service.core.trouble_german import GERMAN
from service.core.trouble_german import ONE as GERMAN_ONE

ROOT = Path(__file__).parents[2]
GB = 1_000_000_000
WELL = Vitals(
    doors={"receiver": 1, "worker": 1, "web": 1},
    received_seconds=60.0,
    success_seconds=30.0,
    disk_free_bytes=80 * GB,
    disk_total_bytes=100 * GB,
    disk_least_bytes=GB // 2,
    self_test="passed",
)


def found(**changes):
    return [(each.code, each.severity.value, each.about) for each in find_troubles(but(**changes))]


def but(**changes):
    return dataclasses.replace(WELL, **changes)


def test_where_all_is_well_nothing_is_said():
    assert find_troubles(WELL) == ()
    assert worst(()) is None


CASES = [
    ({"broken": {"spool": "x"}}, ("spool_broken", "critical", "")),
    ({"doors": {"receiver": 1}}, ("door_gone", "critical", "worker")),
    ({"doors": {"receiver": 0, "worker": 1}}, ("door_gone", "critical", "receiver")),
    ({"other_versions": {"web": "0.1"}}, ("other_version", "warning", "web")),
    ({"images_refused": True}, ("disk_full", "critical", "")),
    ({"disk_free_bytes": GB // 4}, ("disk_full", "critical", "")),
    # Less than twenty times the mark of refusal, but less than 5 % of the disk.
    ({"disk_free_bytes": 4 * GB}, ("disk_low", "warning", "")),
    ({"disk_free_bytes": 9 * GB, "disk_least_bytes": 5 * GB}, ("disk_low", "warning", "")),
    ({"certificates": {"HTTPS": 29.9}}, ("certificate_ends", "warning", "HTTPS")),
    ({"certificates": {"HTTPS": 6.9}}, ("certificate_ends", "critical", "HTTPS")),
    ({"certificates": {"HTTPS": -0.1}}, ("certificate_ended", "critical", "HTTPS")),
    ({"certificate_problems": {"HTTPS": "x"}}, ("certificate_wrong", "critical", "HTTPS")),
    ({"queue": 51}, ("backlog", "warning", "")),
    ({"waiting_seconds": 3601.0}, ("waits_too_long", "warning", "")),
    ({"running_seconds": 1861.0}, ("runs_too_long", "warning", "")),
    ({"delivery_seconds": 3601.0}, ("delivers_too_late", "warning", "")),
    ({"failed": 1}, ("analyses_failed", "warning", "")),
    ({"conflicts": 2}, ("images_set_aside", "warning", "")),
    ({"received_seconds": None, "success_seconds": None}, ("nothing_received", "note", "")),
    ({"received_seconds": 86401.0, "success_seconds": 86000.0}, ("no_images", "warning", "")),
    ({"unanswered_seconds": 7201.0}, ("no_results", "critical", "")),
    ({"away": {"pacs": 901.0}}, ("peer_away", "warning", "pacs")),
    ({"refused": {"pacs": 3}}, ("peer_refuses", "warning", "pacs")),
    ({"rejected": 1}, ("callers_rejected", "note", "")),
    ({"ahead_seconds": 61.0}, ("clock_differs", "warning", "")),
    ({"unsealed_seconds": 601.0}, ("audit_not_sealed", "warning", "")),
    ({"unreported_seconds": 901.0}, ("audit_not_reported", "warning", "")),
    ({"self_test": "timeout"}, ("self_test_failed", "warning", "")),
    ({"unsent_notices": 1}, ("notices_unsent", "warning", "")),
    ({"reviews": 3, "review_seconds": 86401.0}, ("reviews_waiting", "warning", "")),
    ({"drift": {"imat scanner": 2, "lmm all": 0}}, ("values_drift", "warning", "imat scanner")),
]


@pytest.mark.parametrize(("changes", "expected"), CASES, ids=[case[1][0] + case[1][2] for case in CASES])
def test_each_trouble_is_found_by_what_it_is_for_and_alone(changes, expected):
    assert found(**changes) == [expected]


@pytest.mark.parametrize(
    "changes",
    [
        {"queue": 50},
        {"waiting_seconds": 3600.0, "running_seconds": 1860.0, "delivery_seconds": 3600.0},
        {"received_seconds": 86400.0, "success_seconds": 86400.0},
        {"unanswered_seconds": 7200.0},
        {"success_seconds": None},
        {"away": {"pacs": 900.0}, "certificates": {"HTTPS": 30.0}, "ahead_seconds": 60.0},
        {"self_test": None, "unsealed_seconds": 600.0, "unreported_seconds": 900.0},
        {"disk_free_bytes": 5 * GB},
    ],
)
def test_a_number_on_its_limit_is_no_trouble(changes):
    assert found(**changes) == []


def test_without_the_database_nothing_else_is_judged():
    assert found(database=False, doors={}, queue=1000) == [("database_down", "critical", "")]


def test_the_worst_comes_first_and_counts():
    troubles = find_troubles(but(rejected=1, queue=51, images_refused=True))
    assert [each.severity for each in troubles] == [Severity.CRITICAL, Severity.WARNING, Severity.NOTE]
    assert worst(troubles) is Severity.CRITICAL
    assert worst(troubles[1:]) is Severity.WARNING


def test_a_site_may_set_its_own_limits():
    assert find_troubles(but(queue=51), Limits(queue=100)) == ()


def test_the_same_trouble_keeps_its_key_while_its_numbers_change():
    one, two = find_troubles(but(away={"pacs": 901.0}))[0], find_troubles(but(away={"pacs": 5000.0}))[0]
    assert one.key == two.key == "peer_away:pacs"
    assert Trouble(code="backlog", severity=Severity.WARNING).key == "backlog"


def test_vitals_go_through_json_also_those_of_a_later_version():
    told = {**dataclasses.asdict(but(away={"pacs": 3.0})), "something_new": 1}
    assert Vitals.of(told) == but(away={"pacs": 3.0})


def placeholders(sentences):
    return {name for text in sentences for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_say_the_same_of_the_same():
    assert ENGLISH.keys() == GERMAN.keys()
    for code in ENGLISH:
        assert placeholders(ENGLISH[code]) == placeholders(GERMAN[code]), code
        assert all(text.strip() for text in (*ENGLISH[code], *GERMAN[code]))


def test_every_trouble_that_the_code_knows_has_its_sentences_and_no_other():
    made, text = set(), ""
    for path in (ROOT / "service").rglob("*.py"):
        if path.name not in ("trouble_english.py", "trouble_german.py"):
            text += (content := path.read_text("utf-8"))
            made |= set(_codes(ast.parse(content)))
    assert len(made) > 20
    assert made - ENGLISH.keys() == set()
    assert [code for code in ENGLISH if f'"{code}"' not in text and not code.endswith("_broken")] == []


def _codes(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Trouble", "Part"):
            for keyword in node.keywords:
                if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                    yield keyword.value.value


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize(("changes", "expected"), CASES, ids=[case[1][0] + case[1][2] for case in CASES])
def test_every_sentence_is_filled_in(changes, expected, language):
    told = trouble_words.tell(find_troubles(but(**changes))[0], language)
    for sentence in (told.what, told.why, told.remedy):
        assert "{" not in sentence
        assert "None" not in sentence


def test_an_age_is_said_in_its_two_largest_units():
    assert [trouble_words.age(seconds) for seconds in (5, 65, 3660, 90000, -1)] == [
        "5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h", "0 s",
    ]  # fmt: skip


def test_the_limits_are_those_of_the_alert_rules():
    """Who is paged by Prometheus and who reads the status page are told the same."""
    rules = (ROOT / "deploy" / "monitoring" / "alerts.yml").read_text("utf-8")
    limits = Limits()
    for line in (
        f"myoscreen_queue_depth > {limits.queue}",
        f"myoscreen_oldest_waiting_seconds > {limits.waiting_seconds:.0f}",
        f"myoscreen_oldest_delivery_seconds > {limits.delivery_seconds:.0f}",
        f"myoscreen_audit_oldest_unsealed_seconds > {limits.unsealed_seconds:.0f}",
        f"myoscreen_audit_oldest_unsent_seconds > {limits.unreported_seconds:.0f}",
        f"> {limits.silent_seconds / trouble.HOUR:.0f} * 3600",
        f"> {limits.lag_seconds / trouble.HOUR:.0f} * 3600",
        f"< {limits.disk_times:.0f} * myoscreen_spool_min_free_bytes",
        f"< {limits.disk_share}",
    ):
        assert line in rules, line


@pytest.mark.parametrize("code", ONE)
def test_one_of_something_is_said_as_one(code):
    assert ONE.keys() == GERMAN_ONE.keys()
    assert {each for each, (what, *_) in ENGLISH.items() if placeholders([what]) & {"count", "days"}} == set(
        ONE
    )
    number = "days" if "{days}" in ENGLISH[code][0] else "count"
    for language, table in (("en", ONE), ("de", GERMAN_ONE)):
        one, many = (
            trouble_words.tell(
                Trouble(
                    code=code, severity=Severity.WARNING, about="pacs", values={number: n, "seconds": 65.0}
                ),
                language,
            ).what
            for n in (1, 2)
        )
        assert one == table[code].format(about="pacs", age="1 min 5 s")
        assert " 2 " in f" {many} "
        assert "65.0" not in one + many
