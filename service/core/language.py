"""The languages that results are written in. A phrase is its own English; German stands in a table."""

from dataclasses import dataclass
from typing import Literal

from service.core.german import GERMAN
from service.core.retelling import in_german, rule_in_german

Language = Literal["en", "de"]


@dataclass(frozen=True)
class Words:
    """Says phrases and numbers in one language."""

    language: Language = "en"

    def __call__(self, phrase: str, /, **values: object) -> str:
        """The phrase with its values put in; one that is not in the table stays English."""
        said = GERMAN.get(phrase, phrase) if self.language == "de" else phrase
        return said.format(**values) if values else said

    def number(self, value: float, form: str) -> str:
        """A number as people of the language write it; ``form`` is a format of Python, such as ``+.2f``."""
        text = format(value, form)
        return text.replace(".", ",") if self.language == "de" else text

    def reason(self, code: str, text: str) -> str:
        """The sentence of a reason; in German the one of its code where the sentence is not known."""
        return self.retold(text) or GERMAN.get(f"reason:{code}", text)

    def retold(self, text: str) -> str | None:
        """A sentence of a finding, which is English there; None where it is not known in this language."""
        return in_german(text) if self.language == "de" else text

    def rule(self, text: str) -> str:
        """What a rule asks for or prefers, which is English in the rules."""
        return rule_in_german(text) if self.language == "de" else text

    def check(self, name: str) -> str:
        """What a quality check is called."""
        plain = name.replace("_", " ")
        return GERMAN.get(f"check:{name}", plain) if self.language == "de" else plain


ENGLISH = Words("en")
GERMAN_WORDS = Words("de")
IN = {"en": ENGLISH, "de": GERMAN_WORDS}
