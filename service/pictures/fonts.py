"""The letters of every picture: DejaVu as matplotlib bundles it, and Noto CJK where it is installed.

DejaVu has Latin, Greek and Cyrillic and is on every machine the same. Chinese, Japanese and Korean letters
need a font of 20 MB, which is an optional extra (``myoscreen[cjk]``, or the Debian package fonts-noto-cjk).
"""

import unicodedata
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.ft2font import FT2Font
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

FOLDER: Final = Path(mpl.get_data_path()) / "fonts" / "ttf"
REGULAR: Final = FOLDER / "DejaVuSans.ttf"
BOLD: Final = FOLDER / "DejaVuSans-Bold.ttf"
#: Stands for a letter that the font lacks, so that the reader sees that something is missing.
MISSING: Final = "\u25a1"
#: Package of the extra, and where Debian puts the same file.
WIDE_PACKAGE: Final = "noto_cjk_sans_otc"
WIDE_NAME: Final = "NotoSansCJK-Regular.ttc"
WIDE_FOLDERS: Final = (Path("/usr/share/fonts/opentype/noto"),)
#: Faces of the collection, in its order: which shape a Chinese character takes depends on the language.
JAPANESE, KOREAN, CHINESE = 0, 1, 2


@lru_cache(maxsize=64)
def font(size_px: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The font in a size; with the basic layout, whose result depends on no optional library."""
    path = BOLD if bold else REGULAR
    return ImageFont.truetype(str(path), size_px, layout_engine=ImageFont.Layout.BASIC)


def font_for(text: str, size_px: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The font that has all letters of a text that ``can_draw``."""
    wide = wide_font() if needs_wide_font(text) else None
    return font(size_px, bold=bold) if wide is None else _wide(str(wide), size_px, _face(text))


@lru_cache(maxsize=64)
def _wide(path: str, size_px: int, face: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size_px, index=face, layout_engine=ImageFont.Layout.BASIC)


def wide_font() -> Path | None:
    """The file with Chinese, Japanese and Korean letters, where it is installed."""
    package = find_spec(WIDE_PACKAGE)
    folders = [Path(place) for place in (package.submodule_search_locations or ())] if package else []
    for folder in (*folders, *WIDE_FOLDERS):
        if (folder / WIDE_NAME).is_file():
            return folder / WIDE_NAME
    return None


def can_draw(text: str) -> bool:
    """Whether the installed fonts have every letter of a text."""
    if not needs_wide_font(text):
        return True
    wide = wide_font()
    return wide is not None and all(ord(letter) in _letters_of(str(wide)) for letter in text)


def needs_wide_font(text: str) -> bool:
    """Whether a text has letters that DejaVu lacks."""
    known = _known_letters()
    return any(letter.isprintable() and ord(letter) not in known for letter in text)


def _face(text: str) -> int:
    """Which face of the collection: kana tell Japanese, hangul Korean; else Chinese."""
    names = {unicodedata.name(letter, "").partition(" ")[0] for letter in text}
    if names & {"HIRAGANA", "KATAKANA"}:
        return JAPANESE
    return KOREAN if "HANGUL" in names else CHINESE


def displayable(text: str) -> str:
    """The text with a visible box for each letter that the font lacks, and without control characters."""
    known = _known_letters()
    return "".join(
        letter if ord(letter) in known else " " if not letter.isprintable() else MISSING for letter in text
    )


def text_picture(text: str, size_px: int, colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    """One line on white as RGB (rows, columns, 3), for pages whose own letters cannot draw it."""
    face = font_for(text, size_px)
    ascent, descent = face.getmetrics()
    picture = Image.new("RGB", (max(1, round(face.getlength(text))), ascent + descent), (255, 255, 255))
    ImageDraw.Draw(picture).text((0, ascent), text, font=face, fill=colour, anchor="ls")
    return np.asarray(picture).copy()


@lru_cache(maxsize=1)
def _known_letters() -> frozenset[int]:
    """Code points that both the regular and the bold face can draw."""
    return _letters_of(str(REGULAR)) & _letters_of(str(BOLD))


@lru_cache(maxsize=4)
def _letters_of(path: str) -> frozenset[int]:
    """Code points that one font file can draw (of a collection its first face: all have the same)."""
    return frozenset(int(code) for code in FT2Font(path).get_charmap())
