"""Whether a contrast agent was given before the images: the attribute that says so, and its value.

Standard attributes decide; where they are silent, which is common, the words of the site do.
"""

import re
from typing import Final

from service.dicom.headers import Attributes
from service.dicom.instance import LONG_TEXT

#: Values of ContrastBolusAgent that say that there was none, or nothing.
NO_AGENT: Final = re.compile(
    r"(?:no|non|none|not|nil|n/?a|without|w/?o|ohne|kein\w*|nativ\w*|false|n|0|0[.,]0+|unknown|unbekannt)?"
    r"(?:[ ._-](?:contrast|kontrast\w*|km|agent|gad\w*|gd|given|gegeben|ml).*)?[ .?*-]*"
)
_AGENTS: Final = (
    r"gad\w*|gd(?:-?(?:dtpa|dota|bopta))?|p?km|kontrastmittel|dotarem|magnevist|prohance|multihance"
)
_AGENTS_MORE: Final = r"omniscan|clariscan|dotagraf|primovist|elucirem|vueway"
#: Words that name an agent or the time after it: "+C" and "C+" (but not cervical and thoracic, "C+T"),
#: "with contrast", "contrast enhanced", "post" (but not after an operation or of a computation).
AGENT_WORDS: Final = re.compile(
    r"\+ ?(?:c|ce|cm|contrast)(?![a-z]|[ -]?sp)|(?<![a-z])c\+(?! ?[tl](?![a-z]))"
    rf"|(?<![a-z])(?:{_AGENTS}|{_AGENTS_MORE})(?![a-z])"
    r"|(?<![a-z])(?:post|with|mit|nach|w/?|iv|i\.v\.)[ -]?(?:contrast|kontrast)(?![a-z])"
    r"|(?<![a-z])(?:post|with|mit|nach)[ -]?c(?![a-z]|[ -]?sp)"
    r"|(?<![a-z])(?:ce|(?:contrast|kontrast)[ -]?enhanced)(?![a-z])"
    r"|(?<![a-z])post(?![a-z]|[ -]?(?:op|proc|surg|treat|rt|exerc|void))"
)
#: Words that say that it was not there (yet); they outweigh the others. What is without fat suppression is
#: none of them, nor what is before and after at once.
WITHOUT_WORDS: Final = re.compile(
    r"(?<![a-z])(?:ohne|w/?o|without|nativ(?:e)?)(?![a-z]|[ -]*(?:fs|f/s|fat|fett|sat))"
    rf"|(?<![a-z])non?[ -]?(?:{_AGENTS}|{_AGENTS_MORE}|contrast|kontrast|c)(?![a-z])"
    r"|(?<![a-z])(?:vor|pre|before)(?![a-z]|[ -]?op| ?(?:and|und|&|/|\+|-) ?(?:post|nach|after))"
    r"|(?<![a-z])precontrast"
)


def read_agent(attributes: Attributes) -> str:
    """The attribute that says that an agent was given, and its value; empty where none does."""
    given = attributes.code("ContrastBolusAgentAdministered")
    if given == "NO":
        return ""
    if given == "YES":
        return "ContrastBolusAgentAdministered=YES"
    agent = attributes.text("ContrastBolusAgent")
    if NO_AGENT.fullmatch(agent.strip().lower()) is None:
        return f"ContrastBolusAgent={agent[:LONG_TEXT]}"
    if attributes.items("ContrastBolusAgentSequence"):
        return "ContrastBolusAgentSequence is present"
    return _by_words(attributes)


def _by_words(attributes: Attributes) -> str:
    """What the site calls the series, or else the protocol."""
    for keyword in "SeriesDescription", "ProtocolName":
        text = attributes.text(keyword)
        words = text.lower().replace("_", " ")
        if WITHOUT_WORDS.search(words):
            # Some scanners name the protocol of the whole examination, which a series knows better.
            return ""
        if AGENT_WORDS.search(words):
            return f"{keyword}={text[:LONG_TEXT]}"
    return ""
