"""Sentences with values, told again in German from their English.

A finding holds each reason, check and caveat as one English sentence, and reports are made from it at any
later time. So the sentence itself carries the values: it is matched with the phrase it was made by.
"""

import re
from functools import cache
from string import Formatter
from typing import Final

from service.core.german import GERMAN
from service.core.retelling_german import PARTS, SENTENCES, VALUES

#: Ends the name of a placeholder whose value is left as it is.
_AS_IT_IS: Final = "__as_it_is"
_NUMBER: Final = re.compile(r"[+-]?\d+(?:\.\d+)?(?: ?%)?")
#: Before what a check found in one of several stations; the word is the same in both languages.
_STATION: Final = re.compile(r"Station \d+: ")
#: Before why there is no flag.
_NOT_EVALUABLE: Final = ("Not evaluable: ", "Nicht auswertbar: ")
#: Why one rule did not take some images; the rule's name comes first.
_MISSED: Final = re.compile(r"(.+?: )(.+(?:; it is .+ here|, which does not hold here))\.")
#: A space between two sentences of one text.
_BETWEEN: Final = re.compile(r"(?<=\.) (?=[A-Z])")


def rule_in_german(text: str) -> str:
    """What a rule asks for or prefers, in German; what is not known stays as it is."""
    return _phrase(text)


def in_german(text: str) -> str | None:
    """The text in German; None where one of its sentences is not in the table."""
    told = [_sentence(part) for part in _BETWEEN.split(text)]
    if all(told):
        return " ".join(part for part in told if part)
    return _told(text, _patterns(sentences=True))


def _sentence(text: str) -> str | None:
    """One sentence, which may say of which station it is, or that there is no flag because of it."""
    if missed := _MISSED.fullmatch(text):
        return f"{missed[1]}{_phrase(missed[2])}."
    place = _STATION.match(text)
    before = after = place[0] if place else ""
    if text.startswith(_NOT_EVALUABLE[0]):
        before, after = _NOT_EVALUABLE
    told = _told(text.removeprefix(before), _patterns(sentences=True))
    return None if told is None else after + told


def _told(text: str, patterns: tuple[tuple[re.Pattern[str], str], ...]) -> str | None:
    """By the first pattern that fits; None where none does."""
    for pattern, german in patterns:
        found = pattern.fullmatch(text)
        if found:
            values = {
                name.removesuffix(_AS_IT_IS): value if name.endswith(_AS_IT_IS) else _value(value)
                for name, value in found.groupdict().items()
            }
            return german.format(**values)
    return None


def _phrase(text: str) -> str:
    """What a rule asks for, or what it was."""
    return VALUES.get(text) or _told(text, _patterns(sentences=False)) or text


def _value(text: str) -> str:
    """A value: a number with its comma, a known word, a list of them, or what it was."""
    if _NUMBER.fullmatch(text):
        return text.replace(".", ",").replace(" %", "%").replace("%", " %")
    if text in VALUES or text in GERMAN:
        return VALUES.get(text) or GERMAN[text]
    if "; " in text:
        return "; ".join(_value(part) for part in text.split("; "))
    told = _told(text, _patterns(sentences=False))
    if told is None and ", " in text:
        return ", ".join(_value(part) for part in text.split(", "))
    return told or text


def _group(name: str, spec: str) -> str:
    """What may stand for one placeholder."""
    if spec == "n":
        return f"(?P<{name}>{_NUMBER.pattern})"
    return f"(?P<{name}{_AS_IT_IS if spec == 'r' else ''}>.+?)"


@cache
def _patterns(*, sentences: bool) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Each English phrase as a pattern, the one with the most fixed characters first."""
    found = []
    for english, german in (SENTENCES if sentences else PARTS).items():
        parts = list(Formatter().parse(english))
        pattern = "".join(
            re.escape(fixed) + ("" if name is None else _group(name, spec or ""))
            for fixed, name, spec, _ in parts
        )
        found.append((sum(len(fixed) for fixed, *_ in parts), re.compile(pattern), german))
    found.sort(key=lambda each: -each[0])
    return tuple((pattern, german) for _, pattern, german in found)
