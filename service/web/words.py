"""How codes, numbers and times are worded for people.

Nothing here claims a diagnosis, a risk or an urgency: values, their place in a reference, and why one is
withheld.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from service.core import explained, trouble_words, wording
from service.core.language import IN, Language
from service.core.series import BlockPlace
from service.web import codes, event_words, word_tables
from service.web.german.faults import DELIVERIES, FAULTS
from service.web.language import NAMES, SPEAKERS, code_marked
from service.web.word_tables import DIMSE, REFUSALS, STATES

#: Shown where a value cannot be given.
NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
#: Units of measures that are shares.
SHARES = frozenset({"1", "fraction", ""})


def missing(value: object) -> bool:
    """Whether there is nothing to show."""
    return value is None or value == ""


def word(code: str | None, table: dict[str, str] | None = None, *, language: Language = "en") -> str:
    """The words for a code; a code without words is shown as it is, without underscores."""
    if code is None:
        return NOTHING
    said = (table if table is not None else STATES).get(code, code.replace("_", " "))
    return SPEAKERS[language].plain(said)


#: Words for what the details of an event or of a line of the audit record say, by their name.
_SAID = {
    "verdict": word_tables.VERDICT_WORDS,
    "step": word_tables.FLAG_STEP_WORDS,
    "role": codes.ROLES,
    "kind": codes.ACTIVATION_KINDS,
    "state": STATES | codes.ACTIVATION_STATES,
    "reason": word_tables.COMPLETION | word_tables.WITHDRAWALS,
}


def detail(value: object, name: str, *, language: Language = "en") -> str:
    """What one detail says: in words where its codes are known, else as it is."""
    if isinstance(value, bool):
        return SPEAKERS[language].plain("yes" if value else "no")
    if value is None or value == []:
        return NOTHING
    table = _SAID.get(name, {})
    return word(value, table, language=language) if isinstance(value, str) and value in table else str(value)


def moment(at: datetime | None, *, language: Language = "en") -> str:
    """A time in UTC, to the second, as people of the language write it."""
    form = "%d.%m.%Y %H:%M:%S" if language == "de" else "%Y-%m-%d %H:%M:%S"
    return NOTHING if at is None else at.astimezone(UTC).strftime(form)


def number(value: float | None, digits: int = 1, *, language: Language = "en") -> str:
    """A number with fixed digits, a true minus sign, and the decimal mark of the language."""
    if value is None:
        return NOTHING
    # What rounds to nothing has no sign.
    return IN[language].number(round(value, digits) + 0.0, f".{digits}f").replace("-", MINUS)


def percent(value: float | None, digits: int = 1, *, language: Language = "en") -> str:
    """A share from 0 to 1 as percent."""
    return NOTHING if value is None else f"{number(100 * value, digits, language=language)} %"


def interval(pair: list[float] | None, digits: int = 1, *, language: Language = "en") -> str:
    """Two ends of an interval."""
    if pair is None:
        return NOTHING
    low, high = (number(end, digits, language=language) for end in pair)
    return str(SPEAKERS[language]("{low} to {high}", low=low, high=high))


def percentile(value: float | None) -> str:
    """A percentile in whole numbers, never 0 or 100."""
    return NOTHING if value is None else wording.percentile_text(value)


def in_unit(value: float | None, unit: str, *, language: Language = "en") -> str:
    """A measure with its unit; shares are shown in percent."""
    if value is None:
        return NOTHING
    if unit in SHARES:
        return percent(value, language=language)
    shown = unit.replace("mL", "ml").replace("m2", "m²")
    return f"{number(value, language=language)} {shown}"


def difference(value: float | None, unit: str, digits: int = 1, *, language: Language = "en") -> str:
    """A difference of two measures with its unit; that of two shares is in percentage points."""
    if value is None:
        return NOTHING
    if unit in SHARES:
        points = SPEAKERS[language].plain("percentage points")
        return f"{number(100 * value, digits, language=language)} {points}"
    return in_unit(value, unit, language=language)


def dicom_date(text: str, *, language: Language = "en") -> str:
    """YYYYMMDD as people of the language write a date, anything else as it is."""
    if not re.fullmatch(r"\d{8}", text):
        return text
    year, month, day = text[:4], text[4:6], text[6:]
    return f"{day}.{month}.{year}" if language == "de" else f"{year}-{month}-{day}"


def person_name(text: str) -> str:
    """A DICOM person name for reading: family name, then given names."""
    parts = [part.strip() for part in text.partition("=")[0].split("^")]
    family, given = parts[0], " ".join(part for part in parts[1:3] if part)
    return f"{family}, {given}" if given else family


def block_name(place: dict[str, Any], *, language: Language = "en") -> str:
    """Which block of its series was measured, as a finding says it."""
    return wording.block_name(BlockPlace(**place), IN[language])


def dimse(status: int | None, *, language: Language = "en") -> str:
    """A DIMSE status in hexadecimal, with its meaning."""
    if status is None:
        return NOTHING
    text = f"{status:04X}"
    meaning = next((words for prefix, words in DIMSE.items() if text.startswith(prefix)), None)
    return f"0x{text}" + (f" {SPEAKERS[language].plain(meaning)}" if meaning else "")


def size(count: int | None, *, language: Language = "en") -> str:
    """Bytes in a readable unit."""
    if count is None:
        return NOTHING
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{number(amount, 0 if unit == 'B' else 1, language=language)} {unit}"
        amount /= 1000
    return f"{number(amount, language=language)} TB"


def age(seconds: float | None) -> str:
    """A stretch of time in its two largest units."""
    return NOTHING if seconds is None else trouble_words.age(seconds)


def reason(text: str | None, code: str | None, *, language: Language = "en") -> str:
    """The sentence of a reason, in German by its code where the sentence itself is not known."""
    if text is None or language == "en":
        return text or ""
    said = IN[language].reason(code or "", text)
    if said == text:
        said = DELIVERIES.get(code or "") or fault(text, code or "", language=language)
    return reason_word(code, language=language) if said == text and code in explained.REASONS else said


def reason_word(code: str | None, *, language: Language = "en") -> str:
    """One sentence for the code of a reason, the same for all studies."""
    both = explained.REASONS.get(code or "")
    return word(code, language=language) if both is None else explained.said(both, language)


def fault(text: str, code: str, *, language: Language = "en") -> str:
    """Why something was not done; in German by its code where the sentence is not known."""
    if language == "en":
        return text
    said = SPEAKERS[language].plain(text)
    return FAULTS.get(code, text) if said == text else said


def rule_words(text: str, *, language: Language = "en") -> str:
    """What a rule asks for or prefers."""
    return IN[language].rule(text)


def check_name(name: str, *, language: Language = "en") -> str:
    """What a quality check is called."""
    return IN[language].check(name)


def link(href: str, text: str) -> Markup:
    """A link of ours, to stand in a sentence."""
    return Markup('<a href="{}">{}</a>').format(href, text)


def peer_block(reason: str, calling_ae: str, address: str, tls_subject: str | None) -> str | None:
    """A ready-to-paste ``[[peer]]`` table that would let this caller in; None where it would not help."""
    if reason not in {"calling_ae_unknown", "address_unknown", "tls_subject_unknown"}:
        return None
    name = re.sub(r"[^a-z0-9_.-]+", "-", calling_ae.strip().lower()).strip("-") or "sender"
    lines = [
        "[[peer]]",
        f"name = {_toml(name)}",
        f"ae_title = {_toml(calling_ae.strip())}",
        f"host = {_toml(address)}",
        "may_send = true",
    ]
    if tls_subject:
        lines += ["tls = true", f"tls_subject = {_toml(tls_subject)}"]
    return "\n".join(lines)


def _toml(text: str) -> str:
    """A string as TOML writes it: as JSON does, but for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def install(environment: Environment, language: Language) -> None:
    """Give templates these words in one language."""
    spoken: dict[str, Callable[..., str]] = {
        "word": word,
        "moment": moment,
        "number": number,
        "percent": percent,
        "interval": interval,
        "in_unit": in_unit,
        "difference": difference,
        "dicom_date": dicom_date,
        "block_name": block_name,
        "dimse": dimse,
        "bytes": size,
        "reason": reason,
        "reason_word": reason_word,
        "check_name": check_name,
        "rule_words": rule_words,
        "fault": fault,
        "detail": detail,
    }
    filters: dict[str, Any] = {name: partial(say, language=language) for name, say in spoken.items()}
    filters |= {
        "refusal": partial(word, table=REFUSALS, language=language),
        "percentile": percentile,
        "person_name": person_name,
        "age": age,
        "code_marked": code_marked,
    }
    environment.filters.update(filters)
    environment.tests["missing"] = missing
    codes.install(environment)
    event_words.install(environment)
    word_tables.install(environment)
    speaker = SPEAKERS[language]
    environment.globals.update(t=speaker, tn=speaker.count, a=link, language=language, LANGUAGES=NAMES)
