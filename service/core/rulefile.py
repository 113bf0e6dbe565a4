"""Rules from what stands in a TOML file: nothing in it is ever run, and what is misspelt is named."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from service.core.conditions import (
    CODES,
    NAMES,
    NUMBERS,
    TEXTS,
    Condition,
    OneOf,
    Preference,
    Range,
    Words,
)
from service.core.rules import Rule, Rules
from service.errors import ConfigurationError

#: Chosen by us: more than a site will write, and few enough that a file cannot hold up the service.
MOST_RULES: Final = 100
MOST_VALUES: Final = 50
LONGEST: Final = 64
LONGEST_REASON: Final = 300
NOT: Final = "not_"
_RULES: Final = ("id", "version", "take", "rule")
_RULE: Final = ("name", "outcome", "reason", "when", "prefer")


def parse_rules(content: Mapping[str, Any], *, file: str, sha256: str) -> Rules:
    """The rules in the content of a file; raises ConfigurationError with file, key and what is wrong."""
    try:
        return _rules(content, sha256)
    except _Wrong as wrong:
        raise ConfigurationError(f"Rules {file}: {wrong.key}: {wrong.what}", reason="bad_rules") from wrong


class _Wrong(Exception):
    """Where something is wrong, and what."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(key)
        self.key, self.what = key, what


def _rules(content: Mapping[str, Any], sha256: str) -> Rules:
    _known(content, _RULES, "")
    take: Literal["all", "first"]
    if content.get("take") == "all":
        take = "all"
    elif content.get("take") == "first":
        take = "first"
    else:
        raise _Wrong("take", 'must be "all" or "first"')
    rows = content.get("rule")
    if not isinstance(rows, list) or not 0 < len(rows) <= MOST_RULES:
        raise _Wrong("rule", f"there must be 1 to {MOST_RULES} tables [[rule]]")
    rules = tuple(_rule(row, f"rule {number}") for number, row in enumerate(rows, start=1))
    names = [rule.name for rule in rules]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise _Wrong("rule", f"two rules have the name {twice!r}")
    return Rules(
        id=_text(content, "id", "id"),
        version=_text(content, "version", "version"),
        take=take,
        rules=rules,
        sha256=sha256,
    )


def _rule(row: Any, key: str) -> Rule:
    if not isinstance(row, dict):
        raise _Wrong(key, "must be a table")
    _known(row, _RULE, f"{key}.")
    outcome = row.get("outcome", "measure")
    if outcome not in ("measure", "skip"):
        raise _Wrong(f"{key}.outcome", 'must be "measure" or "skip"')
    when = row.get("when", {})
    if not isinstance(when, dict):
        raise _Wrong(f"{key}.when", "must be a table")
    prefer = _list(row["prefer"], f"{key}.prefer") if "prefer" in row else []
    return Rule(
        name=_text(row, "name", f"{key}.name"),
        skip=outcome == "skip",
        conditions=tuple(_condition(name, value, f"{key}.when.{name}") for name, value in when.items()),
        prefer=tuple(_preference(each, f"{key}.prefer") for each in prefer),
        reason=_text(row, "reason", f"{key}.reason", longest=LONGEST_REASON) if "reason" in row else "",
    )


def _condition(name: str, value: Any, key: str) -> Condition:
    """One line below ``when``."""
    if name in CODES:
        return OneOf(attribute=name, values=_codes(name, _list(value, key), key))
    if name in NUMBERS:
        return _range(name, value, key)
    attribute = name.removeprefix(NOT)
    if attribute in (*TEXTS, *NAMES):
        patterns = _list(value, key)
        if any(not pattern.replace("*", "").strip() for pattern in patterns):
            raise _Wrong(key, "a pattern must have letters")
        return Words(attribute=attribute, patterns=tuple(patterns), never=name != attribute)
    known = (*CODES, *TEXTS, *NAMES, *NUMBERS)
    raise _Wrong(key, f"is nothing that rules can ask for; known are {', '.join(known)}")


def _codes(name: str, values: list[str], key: str) -> tuple[str, ...]:
    known = CODES[name]
    for value in values:
        if known and value not in known:
            raise _Wrong(key, f"{value!r} is none of {', '.join(known)}")
    return tuple(values)


def _range(name: str, value: Any, key: str) -> Range:
    """Limits such as ``{ min = 10, max = 80 }``."""
    if not isinstance(value, dict) or not value:
        raise _Wrong(key, "must be a table with min, max or both")
    _known(value, ("min", "max"), f"{key}.")
    for end, number in value.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) < 1e6:
            raise _Wrong(f"{key}.{end}", "must be a number below a million")
    low, high = value.get("min"), value.get("max")
    if low is not None and high is not None and low > high:
        raise _Wrong(key, "min is larger than max")
    return Range(attribute=name, low=low, high=high)


def _preference(text: str, key: str) -> Preference:
    """A preference such as ``most slices``."""
    which, _, attribute = text.partition(" ")
    if which not in ("most", "least") or attribute not in NUMBERS:
        raise _Wrong(key, f'{text!r} is not "most" or "least" and one of {", ".join(NUMBERS)}')
    return Preference(attribute=attribute, most=which == "most")


def _list(value: Any, key: str) -> list[str]:
    """A list of short texts."""
    if not isinstance(value, list) or not 0 < len(value) <= MOST_VALUES:
        raise _Wrong(key, f"must be a list of 1 to {MOST_VALUES} texts")
    if any(not isinstance(each, str) or not 0 < len(each) <= LONGEST for each in value):
        raise _Wrong(key, f"each must be a text of 1 to {LONGEST} characters")
    return value


def _text(table: Mapping[str, Any], name: str, key: str, *, longest: int = LONGEST) -> str:
    """A text that must be there."""
    value = table.get(name)
    if not isinstance(value, str) or not 0 < len(value.strip()) <= longest:
        raise _Wrong(key, f"must be a text of 1 to {longest} characters")
    return value.strip()


def _known(table: Mapping[str, Any], names: Sequence[str], where: str) -> None:
    """Refuse what is misspelt."""
    for name in table:
        if name not in names:
            raise _Wrong(f"{where}{name}", f"is not known; known are {', '.join(names)}")
