"""The letters of every picture: DejaVu as matplotlib bundles it, on every machine the same."""

from functools import lru_cache
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

FOLDER: Final = Path(mpl.get_data_path()) / "fonts" / "ttf"
REGULAR: Final = FOLDER / "DejaVuSans.ttf"
BOLD: Final = FOLDER / "DejaVuSans-Bold.ttf"
#: Stands for a letter that the font lacks, so that the reader sees that something is missing.
MISSING: Final = "\u25a1"


@lru_cache(maxsize=64)
def font(size_px: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The font in a size; with the basic layout, whose result depends on no optional library."""
    path = BOLD if bold else REGULAR
    return ImageFont.truetype(str(path), size_px, layout_engine=ImageFont.Layout.BASIC)


def displayable(text: str) -> str:
    """The text with a visible box for each letter that the font lacks, and without control characters."""
    known = _known_letters()
    return "".join(
        letter if ord(letter) in known else " " if not letter.isprintable() else MISSING for letter in text
    )


@lru_cache(maxsize=1)
def _known_letters() -> frozenset[int]:
    """Code points that both the regular and the bold face can draw."""
    return frozenset(_charmap(REGULAR) & _charmap(BOLD))


def _charmap(path: Path) -> set[int]:
    """Code points that one font file can draw."""
    return {int(code) for code in FT2Font(str(path)).get_charmap()}
