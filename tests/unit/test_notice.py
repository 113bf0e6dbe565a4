"""What messages about trouble say, in both languages."""

from datetime import UTC, datetime, timedelta

import pytest

from service.core import notice
from service.core.notice import Day, Sender, Told, of_day, of_opening, of_test, of_troubles
from service.core.trouble import Severity, Trouble

NOW = datetime(2026, 11, 2, 8, 30, tzinfo=UTC)
ENGLISH = Sender(site="Ward 7", link="https://myo.example/")
GERMAN = Sender(site="Ward 7", language="de")
AWAY = Told(
    trouble=Trouble(code="peer_away", severity=Severity.WARNING, about="pacs", values={"seconds": 1200.0}),
    since=NOW - timedelta(minutes=20),
)
FULL = Told(
    trouble=Trouble(code="disk_full", severity=Severity.CRITICAL, values={"free_mb": 7}),
    since=NOW - timedelta(minutes=3),
)


def test_one_trouble_is_one_message_with_what_to_do():
    message = of_troubles(ENGLISH, [AWAY], [], now=NOW)
    what = "The peer pacs cannot be reached for 20 min 0 s."
    assert message.subject == f"[myoscreen Ward 7] Wrong: {what}"
    assert f"[warning] {what} (since 2026-11-02 08:10 UTC)" in message.body
    assert "-> `myoscreen echo pacs`" in message.body
    assert "Status page: https://myo.example/status" in message.body
    assert message.body.endswith("This message holds no patient data.\n")
    assert message.content["schema"] == "myoscreen.notice/1"
    assert [each["code"] for each in message.content["began"]] == ["peer_away"]
    assert message.content["ended"] == []


def test_several_troubles_are_one_message():
    message = of_troubles(ENGLISH, [FULL, AWAY], [], now=NOW)
    assert message.subject.endswith("(and 1 more)")
    assert "7 MB" in message.subject
    assert "pacs" in message.body


def test_the_end_is_told_with_how_long_it_lasted():
    message = of_troubles(GERMAN, [], [AWAY], now=NOW)
    assert message.subject.startswith("[myoscreen Ward 7] Wieder in Ordnung: Der Partner pacs")
    assert "(Dauer 20 min 0 s)" in message.body
    assert "Statusseite" not in message.body
    assert message.content["began"] == []


def test_a_subject_is_no_longer_than_mail_programs_show():
    message = of_troubles(Sender(site="x" * 200), [AWAY], [], now=NOW)
    assert len(message.subject) == notice.SUBJECT_LENGTH
    assert message.subject.endswith("...")


def test_a_subject_is_one_line():
    assert of_test(Sender(site="a\r\nBcc: eve"), now=NOW).subject == "[myoscreen a Bcc: eve] Test message"


def test_the_digest_counts_and_names_what_is_still_wrong():
    day = Day(
        counts={"series": 31, "measured": 20}, open=(AWAY,), self_test="passed", self_test_seconds=7200.0
    )
    message = of_day(ENGLISH, day, now=NOW)
    assert "      31  series received" in message.body
    assert "       0  given up" in message.body
    assert "last self-test: passed, 2 h 0 min ago" in message.body
    assert "Wrong at this time:" in message.body
    assert "pacs" in message.body
    assert message.content["counts"] == {"series": 31, "measured": 20}


def test_a_quiet_day_says_so():
    message = of_day(GERMAN, Day(counts={}), now=NOW)
    assert "Es liegt keine Störung vor." in message.body
    assert "noch kein Selbsttest" in message.body


@pytest.mark.parametrize("sender", [ENGLISH, GERMAN])
def test_a_test_message(sender):
    assert of_test(sender, now=NOW).kind == "test"


def test_both_languages_know_the_same_phrases():
    assert notice._WORDS["en"].keys() == notice._WORDS["de"].keys()


def test_results_that_somebody_opened_are_told_with_where_to_look_and_without_a_name():
    until = NOW + timedelta(minutes=30)
    message = of_opening(ENGLISH, number=7, role="auditor", until=until, now=NOW)
    assert message.kind == "opening"
    assert message.subject == "[myoscreen Ward 7] Results opened with a reason"
    assert "Opening 7" in message.body
    assert "until 2026-11-02 09:00 UTC" in message.body
    assert "https://myo.example/openings" in message.body
    assert message.content["opening"] == 7
    german = of_opening(GERMAN, number=7, role="auditor", until=until, now=NOW)
    assert "auf der Seite Öffnungen" in german.body
