"""Whether two findings about the same images say the same, number by number."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: What a finding says of the images. Scores are of the norms too, and the rest of when and where it was made.
MEASURED = ("status", "reasons", "definition", "series", "person", "measures", "quality")
SCORED = ("scores", "flags", "quadrant")

Plain = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How far two findings agree."""

    #: Numbers in either, and how many of them are not the same to the last bit in both.
    numbers: int = 0
    differing: int = 0
    #: Where the two numbers lie farthest apart, and how far; None where none differs.
    largest_at: str | None = None
    largest: float | None = None
    #: Places of texts, codes and truths that are not the same.
    others: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """No difference at all."""
        return not self.differing and not self.others


def compare_findings(one: Mapping[str, Any], other: Mapping[str, Any], parts: tuple[str, ...]) -> Comparison:
    """How far these parts of two findings agree; a number that only one of them has differs."""
    first = {place: value for part in parts for place, value in _leaves(part, one.get(part))}
    second = {place: value for part in parts for place, value in _leaves(part, other.get(part))}
    missing = object()
    numbers = differing = 0
    apart: dict[str, float] = {}
    others = []
    for place in dict.fromkeys((*first, *second)):
        here, there = first.get(place, missing), second.get(place, missing)
        if not (_is_number(here) or _is_number(there)):
            others += [place] if here != there else []
            continue
        numbers += 1
        if here == there:
            continue
        differing += 1
        if _is_number(here) and _is_number(there):
            apart[place] = abs(float(here) - float(there))  # type: ignore[arg-type]
    largest = max(apart, key=lambda place: apart[place], default=None)
    return Comparison(
        numbers=numbers,
        differing=differing,
        largest_at=largest,
        largest=None if largest is None else apart[largest],
        others=tuple(others),
    )


def same_yardsticks(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the scores of both are against the very same tables, by their hashes, and the same policy."""
    return _yardsticks(one) == _yardsticks(other)


def _yardsticks(finding: Mapping[str, Any]) -> tuple[object, ...]:
    used = {
        (score["norm"], facts["sha256"])
        for score in finding.get("scores") or ()
        if (facts := score.get("norm_facts")) is not None
    }
    return (tuple(finding.get("norms") or ()), finding.get("policy"), frozenset(used))


def _leaves(place: str, value: Any) -> Iterator[tuple[str, Plain]]:
    """Every plain value below a place; an empty list or object is one too, so that its absence shows."""
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _leaves(f"{place}.{name}", item)
    elif isinstance(value, list | tuple) and value:
        for index, item in enumerate(value):
            yield from _leaves(f"{place}[{index}]", item)
    else:
        yield place, None if isinstance(value, Mapping | list | tuple) else value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
