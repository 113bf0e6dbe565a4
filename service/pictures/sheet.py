"""A dark page of fixed size: lines, paragraphs and headings that keep to their boxes."""

from typing import Final

from PIL import Image, ImageDraw

from service.pictures.fonts import font_for

Colour = tuple[int, int, int]

WIDTH: Final = 1280
HEIGHT: Final = 960
MARGIN: Final = 24
GROUND: Final[Colour] = (14, 18, 23)
BOX: Final[Colour] = (23, 29, 36)
LINE: Final[Colour] = (52, 62, 73)
TEXT: Final[Colour] = (226, 231, 236)
QUIET: Final[Colour] = (150, 161, 172)
AMBER: Final[Colour] = (242, 178, 51)
BLACK: Final[Colour] = (0, 0, 0)


class Sheet:
    """A dark page to write on."""

    def __init__(self) -> None:
        self.image = Image.new("RGB", (WIDTH, HEIGHT), GROUND)
        self.draw = ImageDraw.Draw(self.image)

    def text(
        self,
        place: tuple[float, float],
        text: str,
        *,
        size: int = 14,
        bold: bool = False,
        colour: Colour = TEXT,
        anchor: str = "la",
    ) -> None:
        """One line."""
        self.draw.text(place, text, font=font_for(text, size, bold=bold), fill=colour, anchor=anchor)

    def paragraph(
        self, box: tuple[int, int, int, int], text: str, *, size: int = 13, colour: Colour = TEXT
    ) -> int:
        """Lines broken to the width of the box (left, top, right, bottom); returns where the next begins.

        What does not fit ends in an ellipsis: the whole text is in the SR and in the PDF.
        """
        left, top, right, bottom = box
        step = round(size * 1.4)
        lines = wrap(text, size, right - left)
        room = max(0, (bottom - top) // step)
        for number, line in enumerate(lines[:room]):
            cut = number == room - 1 and len(lines) > room
            shown = shorten(line + " ...", size, right - left) if cut else line
            self.text((left, top), shown, size=size, colour=colour)
            top += step
        return top

    def heading(self, place: tuple[int, int], text: str, right: int) -> int:
        """A heading with a line below; returns where the text begins."""
        left, top = place
        self.text((left, top), text, size=15, bold=True)
        self.draw.line([(left, top + 23), (right, top + 23)], fill=LINE)
        return top + 31


def wrap(text: str, size: int, width: int) -> list[str]:
    """The text as lines that fit the width; a word longer than a line is cut into pieces."""
    face = font_for(text, size)
    lines: list[str] = []
    line = ""
    for word in text.split():
        piece = word
        while face.getlength(piece) > width:
            fit = next(n for n in range(len(piece), 0, -1) if n == 1 or face.getlength(piece[:n]) <= width)
            if line:
                lines.append(line)
                line = ""
            lines.append(piece[:fit])
            piece = piece[fit:]
        longer = f"{line} {piece}".strip()
        if line and face.getlength(longer) > width:
            lines.append(line)
            line = piece
        else:
            line = longer
    return [*lines, line] if line else lines


def shorten(text: str, size: int, width: int, *, bold: bool = False) -> str:
    """The text, or its beginning and an ellipsis where it is too long for the width."""
    face = font_for(text, size, bold=bold)
    if face.getlength(text) <= width:
        return text
    while text and face.getlength(text + "...") > width:
        text = text[:-1]
    return text.rstrip(" .") + "..."
