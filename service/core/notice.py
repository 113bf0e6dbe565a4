"""What a notification says: trouble that began or ended, and what a day brought. Nothing of a patient.

Only codes, counts, ages, and names of the settings go in, so nothing else can come out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from service.core.language import Language
from service.core.trouble import Trouble
from service.core.trouble_words import SEVERITIES, age, tell

SCHEMA: Final = "myoscreen.notice/1"
#: Longest subject: what mail programs show of one.
SUBJECT_LENGTH = 120

_WORDS: Final[Mapping[Language, Mapping[str, str]]] = MappingProxyType(
    {
        "en": {
            "began": "Wrong",
            "ended": "In order again",
            "since": "since {at} UTC",
            "lasted": "it lasted {age}",
            "more": "{first} (and {count} more)",
            "digest": "Daily report",
            "day": "In the 24 hours until {at} UTC:",
            "nothing": "Nothing is wrong.",
            "still": "Wrong at this time:",
            "opening": "Results opened with a reason",
            "opening_text": "Opening {number}: somebody whose role shows no results ({role}) has opened them "
            "until {at} UTC at the latest.",
            "opening_page": "Who it was, and why: {link}/openings",
            "opening_where": "Who it was, and why, stands on the page Openings.",
            "test": "Test message",
            "test_text": "This way of being told works.",
            "page": "Status page: {link}/status",
            "foot": "myoscreen, research use only. This message holds no patient data.",
            "series": "series received",
            "measured": "measured",
            "not_assessable": "not assessable",
            "not_eligible": "not eligible",
            "failed": "given up",
            "stored": "objects stored by peers",
            "reviews": "results that wait for a review now",
            "self_test": "last self-test: {code}, {age} ago",
            "no_self_test": "no self-test yet",
        },
        "de": {
            "began": "Störung",
            "ended": "Wieder in Ordnung",
            "since": "seit {at} UTC",
            "lasted": "Dauer {age}",
            "more": "{first} (und {count} weitere)",
            "digest": "Tagesbericht",
            "day": "In den 24 Stunden bis {at} UTC:",
            "nothing": "Es liegt keine Störung vor.",
            "still": "Störungen zu dieser Zeit:",
            "opening": "Ergebnisse mit Begründung geöffnet",
            "opening_text": "Öffnung {number}: Jemand, dessen Rolle keine Ergebnisse zeigt ({role}), hat sie "
            "geöffnet, längstens bis {at} UTC.",
            "opening_page": "Wer es war und warum: {link}/openings",
            "opening_where": "Wer es war und warum, steht auf der Seite Öffnungen.",
            "test": "Probenachricht",
            "test_text": "Dieser Weg der Benachrichtigung funktioniert.",
            "page": "Statusseite: {link}/status",
            "foot": "myoscreen, nur für Forschungszwecke. Diese Nachricht enthält keine Patientendaten.",
            "series": "Serien empfangen",
            "measured": "gemessen",
            "not_assessable": "nicht beurteilbar",
            "not_eligible": "nicht geeignet",
            "failed": "aufgegeben",
            "stored": "Objekte bei Partnern gespeichert",
            "reviews": "Ergebnisse, die jetzt auf Durchsicht warten",
            "self_test": "letzter Selbsttest: {code}, vor {age}",
            "no_self_test": "noch kein Selbsttest",
        },
    }
)
#: What a day brought, in this order.
COUNTS: Final = ("series", "measured", "not_assessable", "not_eligible", "failed", "stored", "reviews")


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message, for people and for programs."""

    kind: str
    subject: str
    body: str
    content: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Told:
    """A trouble, and when it began."""

    trouble: Trouble
    since: datetime


@dataclass(frozen=True, kw_only=True)
class Sender:
    """Who speaks, and how."""

    #: Name of the installation.
    site: str
    language: Language = "en"
    #: Root of the dashboard, where a reader can go on.
    link: str = ""

    def word(self, name: str, **values: object) -> str:
        """A phrase in the language of the reader."""
        return _WORDS[self.language][name].format(**values)


@dataclass(frozen=True, kw_only=True)
class Day:
    """What a day brought."""

    counts: Mapping[str, int]
    open: tuple[Told, ...] = ()
    self_test: str | None = None
    self_test_seconds: float = 0.0


def of_troubles(sender: Sender, began: Sequence[Told], ended: Sequence[Told], *, now: datetime) -> Message:
    """One message about all that began and ended together."""
    first = (began or ended)[0].trouble
    head = sender.word("began" if began else "ended")
    what = tell(first, sender.language).what
    count = len(began) + len(ended) - 1
    subject = sender.word("more", first=what, count=count) if count else what
    lines: list[str] = []
    for told in began:
        lines += _in_full(sender, told)
    if ended:
        lines += [f"{sender.word('ended')}:"]
        for told in ended:
            lasted = sender.word("lasted", age=age((now - told.since).total_seconds()))
            lines.append(f"- {tell(told.trouble, sender.language).what} ({lasted})")
        lines.append("")
    content = {
        "began": [_plain(sender, told) for told in began],
        "ended": [_plain(sender, told) for told in ended],
    }
    return _message(sender, "trouble", f"{head}: {subject}", lines, content, now=now)


def of_day(sender: Sender, day: Day, *, now: datetime) -> Message:
    """The digest."""
    lines = [sender.word("day", at=_moment(now))]
    lines += [f"{day.counts.get(name, 0):>8}  {sender.word(name)}" for name in COUNTS]
    if day.self_test is None:
        lines.append(sender.word("no_self_test"))
    else:
        lines.append(sender.word("self_test", code=day.self_test, age=age(day.self_test_seconds)))
    lines += ["", sender.word("still" if day.open else "nothing"), ""]
    for told in day.open:
        lines += _in_full(sender, told)
    content = {
        "counts": dict(day.counts),
        "self_test": day.self_test,
        "open": [_plain(sender, told) for told in day.open],
    }
    subject = f"{sender.word('digest')}: {len(day.open)} x {sender.word('began')}"
    return _message(sender, "digest", subject, lines, content, now=now)


def of_opening(sender: Sender, *, number: int, role: str, until: datetime, now: datetime) -> Message:
    """Somebody opened results although the role does not show them; neither name nor reason goes out."""
    where = "opening_page" if sender.link else "opening_where"
    lines = [
        sender.word("opening_text", number=number, role=role, at=_moment(until)),
        sender.word(where, link=sender.link.rstrip("/")),
        "",
    ]
    content = {"opening": number, "role": role, "until": until.isoformat()}
    return _message(sender, "opening", sender.word("opening"), lines, content, now=now)


def of_test(sender: Sender, *, now: datetime) -> Message:
    """A message to try the way."""
    return _message(sender, "test", sender.word("test"), [sender.word("test_text"), ""], {}, now=now)


def _in_full(sender: Sender, told: Told) -> list[str]:
    """One trouble in its sentences."""
    said = tell(told.trouble, sender.language)
    severity = SEVERITIES[sender.language][told.trouble.severity]
    since = sender.word("since", at=_moment(told.since))
    return [f"[{severity}] {said.what} ({since})", said.why, f"-> {said.remedy}", ""]


def _plain(sender: Sender, told: Told) -> dict[str, Any]:
    """The same for programs."""
    return {
        "code": told.trouble.code,
        "severity": told.trouble.severity,
        "about": told.trouble.about,
        "since": told.since.isoformat(),
        **vars(tell(told.trouble, sender.language)),
    }


def _message(
    sender: Sender, kind: str, subject: str, lines: Sequence[str], content: dict[str, Any], *, now: datetime
) -> Message:
    """With what every message has."""
    foot = [sender.word("page", link=sender.link.rstrip("/"))] if sender.link else []
    # A line break would end the header.
    title = " ".join(f"[myoscreen {sender.site}] {subject}".split())
    return Message(
        kind=kind,
        subject=title if len(title) <= SUBJECT_LENGTH else f"{title[: SUBJECT_LENGTH - 3]}...",
        body="\n".join([*lines, *foot, sender.word("foot")]) + "\n",
        content={"schema": SCHEMA, "kind": kind, "site": sender.site, "at": now.isoformat(), **content},
    )


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M")
