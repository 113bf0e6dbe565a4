"""What a rule can ask of images: codes, words in texts, and limits of numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, get_args

from service.core.series import Contrast, Plane, Region

#: What rules may ask of images, by its name: a code, a text or a number; None where it is not known.
Facts = Mapping[str, str | float | None]

#: Facts with a fixed set of values; none listed: any word in capitals.
CODES: Final[dict[str, tuple[str, ...]]] = {
    "modality": (),
    "contrast": get_args(Contrast),
    "plane": get_args(Plane),
    "region": get_args(Region),
}
#: Texts that are searched for words. Who wrote them, or names, may have written anything, so they are
#: never quoted.
TEXTS: Final = ("description", "protocol", "study_description", "image_type", "manufacturer", "scanner")
#: Names that are compared as a whole.
NAMES: Final = ("station_name", "calling_ae")
NUMBERS: Final = (
    *("slices", "coverage_mm", "slice_step_mm", "slice_thickness_mm", "pixel_spacing_mm", "tilt_degrees"),
    "series_number",
)


@dataclass(frozen=True, kw_only=True)
class OneOf:
    """The fact is one of these codes."""

    attribute: str
    values: tuple[str, ...]

    def holds(self, facts: Facts) -> bool:
        """Whether it is so."""
        return facts.get(self.attribute) in self.values

    @property
    def words(self) -> str:
        """The condition for people."""
        if len(self.values) == 1:
            return f"{self.attribute} is {self.values[0]}"
        return f"{self.attribute} is one of {', '.join(self.values)}"


@dataclass(frozen=True, kw_only=True)
class Words:
    """A text has one of these words, or none of them."""

    attribute: str
    patterns: tuple[str, ...]
    never: bool = False

    def holds(self, facts: Facts) -> bool:
        """Whether it is so; a text that is not there has no words."""
        text, whole = str(facts.get(self.attribute) or ""), self.attribute in NAMES
        return any(matches(pattern, text, whole=whole) for pattern in self.patterns) is not self.never

    @property
    def words(self) -> str:
        """The condition for people."""
        listed = ", ".join(f'"{pattern}"' for pattern in self.patterns)
        if self.never:
            return f"{self.attribute} has none of {listed}"
        return f"{self.attribute} has one of {listed}"


@dataclass(frozen=True, kw_only=True)
class Range:
    """A number lies within these limits, both included; None: no limit."""

    attribute: str
    low: float | None
    high: float | None

    def holds(self, facts: Facts) -> bool:
        """Whether it is so; a number that is not known lies nowhere."""
        value = facts.get(self.attribute)
        if not isinstance(value, int | float):
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    @property
    def words(self) -> str:
        """The condition for people."""
        if self.high is None:
            return f"{self.attribute} is at least {self.low:g}"
        if self.low is None:
            return f"{self.attribute} is at most {self.high:g}"
        return f"{self.attribute} is at least {self.low:g} and at most {self.high:g}"


Condition = OneOf | Words | Range


@dataclass(frozen=True, kw_only=True)
class Preference:
    """Of two stacks that one rule takes, the one with more (or less) of this is the better one."""

    attribute: str
    most: bool

    @property
    def words(self) -> str:
        """As it is written in the file."""
        return f"most {self.attribute}" if self.most else f"least {self.attribute}"

    def rank(self, facts: Facts) -> float:
        """Smaller is better; what is not known comes last."""
        value = facts.get(self.attribute)
        if not isinstance(value, int | float):
            return float("inf")
        return -value if self.most else value


def matches(pattern: str, text: str, *, whole: bool) -> bool:
    """Whether a pattern is in a text, in any case of letters; ``*`` stands for anything.

    A pattern with ``*`` must fit the whole text, and so must any where ``whole`` is asked for. The time is
    at most that of looking for each piece once.
    """
    text, pieces = text.casefold(), pattern.casefold().split("*")
    if len(pieces) == 1:
        return text == pieces[0] if whole else pieces[0] in text
    first, last = pieces[0], pieces[-1]
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in pieces[1:-1]:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True
