"""The language of the pages: who chooses it, and how a phrase is said in it.

English phrases are their own keys, ``service.web.german`` holds their German.
"""

import re
from dataclasses import dataclass
from typing import Final, get_args

from fastapi import Request
from markupsafe import Markup, escape

from service.core import german as results
from service.core.language import Language
from service.web.german import GERMAN

#: Holds the language that this browser was told to use; no patient data, no person.
COOKIE: Final = "myoscreen_language"
#: Every language by its own name.
NAMES: Final[dict[Language, str]] = {"en": "English", "de": "Deutsch"}
#: Pages that a change of the language may lead back to: no host, no climbing, no line of a header.
_PAGE: Final = re.compile(r"/(?:[a-z0-9-]+(?:/[a-z0-9-]+)*)?(?:\?[A-Za-z0-9=&%_.:+/-]{0,400})?")
_CODE: Final = Markup("<code>{}</code>")
#: What stands behind it tells phrases apart that are alike in English: ``"From||a day"``. It is not shown.
APART: Final = "||"


def language_of(request: Request) -> Language:
    """What the person chose, else what the browser prefers of the languages here, else English."""
    chosen = known(request.cookies.get(COOKIE, ""))
    return chosen or _preferred(request.headers.get("accept-language", "")) or "en"


def known(code: str) -> Language | None:
    """The language of that code, or None."""
    return next((language for language in get_args(Language) if language == code), None)


def _preferred(header: str) -> Language | None:
    """The first of our languages by the weights of an Accept-Language header (RFC 9110 12.5.4)."""
    best: tuple[float, Language | None] = (0.0, None)
    for part in header[:400].split(","):
        tag, _, rest = part.partition(";")
        language = known(tag.strip().lower().partition("-")[0])
        weight = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", rest)
        if language is not None and (q := float(weight[1]) if weight else 1.0) > best[0]:
            best = (q, language)
    return best[1]


def page_of(request: Request) -> str:
    """The page that is asked for, to come back to in another language; "/start" where that is none."""
    kept = [part for part in request.url.query.split("&") if part and not part.startswith("notice=")]
    page = request.url.path + ("?" + "&".join(kept) if kept else "")
    return safe_page(page) if request.method == "GET" else "/start"


def safe_page(page: str) -> str:
    """That page of ours, or "/start" where somebody made the address up."""
    return page if _PAGE.fullmatch(page) else "/start"


def code_marked(text: str) -> Markup:
    """A text as safe HTML, in which what stands in backticks is code."""
    parts = text.split("`")
    return Markup().join(_CODE.format(part) if i % 2 else escape(part) for i, part in enumerate(parts))


@dataclass(frozen=True)
class Speaker:
    """Says phrases of the pages in one language."""

    language: Language = "en"

    def __call__(self, phrase: str, /, **values: object) -> Markup:
        """The phrase as safe HTML: values are escaped, and what stands in backticks becomes code.

        A phrase without German is said in English; a test fails for each.
        """
        text = code_marked(self.plain(phrase))
        return text.format(**values) if values else text

    def count(self, one: str, many: str, number: int, /, **values: object) -> Markup:
        """One of two phrases by a number, which both may hold as ``{count}``."""
        return self(one if number == 1 else many, count=number, **values)

    def plain(self, phrase: str) -> str:
        """The phrase as it stands in its table."""
        english = phrase.partition(APART)[0]
        if self.language == "en":
            return english
        return GERMAN.get(phrase) or results.GERMAN.get(english, english)


SPEAKERS: Final[dict[Language, Speaker]] = {language: Speaker(language) for language in get_args(Language)}


def speaker(request: Request) -> Speaker:
    """Who speaks on the pages that answer this request."""
    return SPEAKERS[language_of(request)]
