"""What is wrong, why it matters and what to do, in the languages of the service."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from service.core import trouble_english, trouble_german
from service.core.language import Language
from service.core.trouble import Severity, Trouble
from service.core.trouble_english import ENGLISH
from service.core.trouble_german import GERMAN


@dataclass(frozen=True)
class Told:
    """One trouble in three sentences."""

    what: str
    why: str
    remedy: str


_IN: Final[Mapping[Language, Mapping[str, tuple[str, str, str]]]] = MappingProxyType(
    {"en": ENGLISH, "de": GERMAN}
)
_ONE: Final[Mapping[Language, Mapping[str, str]]] = MappingProxyType(
    {"en": trouble_english.ONE, "de": trouble_german.ONE}
)
SEVERITIES: Final[Mapping[Language, Mapping[Severity, str]]] = MappingProxyType(
    {
        "en": {Severity.NOTE: "note", Severity.WARNING: "warning", Severity.CRITICAL: "critical"},
        "de": {Severity.NOTE: "Hinweis", Severity.WARNING: "Warnung", Severity.CRITICAL: "kritisch"},
    }
)


def tell(trouble: Trouble, language: Language = "en") -> Told:
    """What is wrong, why it matters and what to do."""
    what, why, remedy = _IN[language][trouble.code]
    if trouble.values.get("count", trouble.values.get("days")) == 1:
        what = _ONE[language].get(trouble.code, what)
    seconds = trouble.values.get("seconds")
    values = {**trouble.values, "about": trouble.about}
    if isinstance(seconds, (int, float)):
        values["age"] = age(seconds)
    return Told(*(sentence.format(**values) for sentence in (what, why, remedy)))


def age(seconds: float) -> str:
    """A stretch of time in its two largest units, which both languages write alike."""
    whole = max(0, int(seconds))
    for unit, length, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= length:
            return f"{whole // length} {unit} {whole % length // part} {smaller}"
    return f"{whole} s"
