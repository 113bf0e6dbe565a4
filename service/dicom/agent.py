"""Whether a contrast agent was given before the images: the attribute that says so, and its value.

Standard attributes decide; where they are silent, which is common, the words of the site do.
"""

import re
from typing import Final

from service.dicom.headers import Attributes
from service.dicom.instance import LONG_TEXT

#: Values of ContrastBolusAgent that say that there was none.
NO_AGENT: Final = frozenset(
    {"", "NONE", "NO", "N", "0", "NATIVE", "NATIV", "WITHOUT", "W/O", "OHNE", "KEINE"}
)
_AGENTS: Final = (
    r"gado\w*|gd(?:-?(?:dtpa|dota|bopta))?|km|kontrastmittel|dotarem|magnevist|prohance|multihance"
)
_AGENTS_MORE: Final = r"omniscan|clariscan|dotagraf|primovist|elucirem|vueway"
#: Words that name an agent or the time after it.
AGENT_WORDS: Final = re.compile(
    rf"\+ ?(?:c|ce|contrast)(?![a-z])|(?<![a-z])c\+|(?<![a-z])(?:{_AGENTS}|{_AGENTS_MORE})(?![a-z])"
    r"|(?<![a-z])(?:post|with|mit|nach)[ -]?(?:contrast|kontrast|c)(?![a-z])"
)
#: Words that say that it was not there (yet); they outweigh the others.
WITHOUT_WORDS: Final = re.compile(
    r"(?<![a-z])(?:ohne|vor|pre|w/o|without|non?|before|nativ(?:e)?)(?![a-z])|(?<![a-z])precontrast"
)


def read_agent(attributes: Attributes) -> str:
    """The attribute that says that an agent was given, and its value; empty where none does."""
    given = attributes.code("ContrastBolusAgentAdministered")
    if given == "NO":
        return ""
    if given == "YES":
        return "ContrastBolusAgentAdministered=YES"
    agent = attributes.text("ContrastBolusAgent")
    if agent.upper() not in NO_AGENT:
        return f"ContrastBolusAgent={agent[:LONG_TEXT]}"
    if attributes.items("ContrastBolusAgentSequence"):
        return "ContrastBolusAgentSequence is present"
    for keyword in "SeriesDescription", "ProtocolName":
        text = attributes.text(keyword)
        words = text.lower().replace("_", " ")
        if AGENT_WORDS.search(words) and not WITHOUT_WORDS.search(words):
            return f"{keyword}={text[:LONG_TEXT]}"
    return ""
