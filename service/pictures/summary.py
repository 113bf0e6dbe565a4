"""The summary picture: one screen for viewers that show neither segmentation nor report."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from service.core import wording
from service.core.finding import Finding
from service.core.language import ENGLISH, Words
from service.core.mask import Label
from service.pictures import content
from service.pictures.content import Banner, Panel
from service.pictures.fonts import displayable, font, font_for
from service.pictures.overlay import COLOURS

Rgb = NDArray[np.uint8]
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
PANEL_PX: Final = (402, 302)


class _Sheet:
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


def summary_image(finding: Finding, banner: Banner, panels: Sequence[Panel], words: Words = ENGLISH) -> Rgb:
    """The result on one screen of 1280 x 960; without measures, the reason takes their place."""
    sheet = _Sheet()
    _draw_banner(sheet, words)
    _draw_patient(sheet, banner, words)
    _draw_panels(sheet, panels, finding, words)
    if finding.measures is None:
        _draw_reasons(sheet, finding, words)
    else:
        below = _draw_measures(sheet, finding, words)
        _draw_comparison(sheet, finding, words, below=below)
    _draw_foot(sheet, finding, words)
    return np.asarray(sheet.image).copy()


def _draw_banner(sheet: _Sheet, words: Words) -> None:
    """The strip that nobody can overlook."""
    sheet.draw.rectangle([0, 0, WIDTH, 39], fill=AMBER)
    sheet.text((MARGIN, 20), words(wording.BANNER), size=18, bold=True, colour=BLACK, anchor="lm")
    sheet.text((WIDTH - MARGIN, 20), words(wording.UNVERIFIED), size=14, colour=BLACK, anchor="rm")


def _draw_patient(sheet: _Sheet, banner: Banner, words: Words) -> None:
    """Title, and whose images these are."""
    sheet.text((MARGIN, 52), words(wording.TITLE), size=21, bold=True)
    sheet.text((WIDTH - MARGIN, 56), wording.PRODUCT, size=16, bold=True, colour=QUIET, anchor="ra")
    # Left edge and width of each field, in the order of Banner.fields.
    columns = ((24, 300), (332, 170), (510, 96), (614, 46), (668, 96), (772, 166), (946, 310))
    for (label, text), (left, width) in zip(banner.fields(words), columns, strict=True):
        sheet.text((left, 87), label, size=11, colour=QUIET)
        sheet.text((left, 102), shorten(text, 14, width), size=14)
    sheet.draw.line([(MARGIN, 128), (WIDTH - MARGIN, 128)], fill=LINE)


def _draw_panels(sheet: _Sheet, panels: Sequence[Panel], finding: Finding, words: Words) -> None:
    """Up to three key slices side by side, and what the colours mean."""
    width, height = PANEL_PX
    gap = (WIDTH - 2 * MARGIN - 3 * width) // 2
    for place, panel in enumerate(panels[:3]):
        left = MARGIN + place * (width + gap)
        sheet.draw.rectangle([left, 140, left + width - 1, 140 + height - 1], fill=BLACK)
        image = Image.fromarray(panel.rgb)
        if image.width > width or image.height > height:
            image.thumbnail(PANEL_PX, Image.Resampling.LANCZOS)
        sheet.image.paste(image, (left + (width - image.width) // 2, 140 + (height - image.height) // 2))
        caption = shorten(displayable(panel.caption), 13, width)
        sheet.text((left, 148 + height), caption, size=13, colour=QUIET)
    if finding.measures is not None:
        _draw_legend(sheet, words, separated=finding.measures.total.mean_lean_csa_cm2 is not None)


def _draw_legend(sheet: _Sheet, words: Words, *, separated: bool) -> None:
    """A patch of each colour with its meaning."""
    meanings = (
        (Label.LEAN_RIGHT, words("lean muscle right") if separated else words("compartment right")),
        (Label.IMAT_RIGHT, words("intermuscular fat right")),
        (Label.LEAN_LEFT, words("lean muscle left") if separated else words("compartment left")),
        (Label.IMAT_LEFT, words("intermuscular fat left")),
    )
    left = MARGIN
    for label, word in meanings:
        if not separated and label in (Label.IMAT_LEFT, Label.IMAT_RIGHT):
            continue
        sheet.draw.rectangle([left, 477, left + 11, 488], fill=COLOURS[label])
        sheet.text((left + 18, 483), word, size=13, colour=QUIET, anchor="lm")
        left += 18 + round(font(13).getlength(word)) + 26
    note = words("R, L: sides of the patient")
    sheet.text((WIDTH - MARGIN, 483), note, size=13, colour=QUIET, anchor="rm")


def _draw_measures(sheet: _Sheet, finding: Finding, words: Words) -> int:
    """The table of measures; returns where the next may begin."""
    assert finding.measures is not None
    right = 640
    top = sheet.heading((MARGIN, 506), wording.measures_title(finding.series, words), right)
    edges = (400, 476, 552, right)
    heads = (words("Left"), words("Right"), words("Total"), words("Asymmetry"))
    for edge, head in zip(edges, heads, strict=True):
        sheet.text((edge, top), head, size=13, colour=QUIET, anchor="ra")
    top += 24
    for number, row in enumerate(content.measure_rows(finding.measures, words)):
        if number % 2 == 0:
            sheet.draw.rectangle([MARGIN - 6, top - 5, right + 6, top + 21], fill=BOX)
        sheet.text((MARGIN, top), row.name, size=14)
        sheet.text((316, top), row.unit, size=13, colour=QUIET, anchor="ra")
        values = (row.left, row.right, row.total, row.asymmetry)
        for place, (edge, value) in enumerate(zip(edges, values, strict=True)):
            sheet.text((edge, top), value, size=14, bold=place == 2, anchor="ra")
        top += 27
    source = content.source_line(finding, words)
    note = words("Asymmetry: (left - right) / (left + right).  {source}.", source=source)
    if finding.series is not None and finding.series.block is not None:
        top = sheet.paragraph((MARGIN, top + 8, right, 866), words(wording.BLOCK), size=13)
    return sheet.paragraph((MARGIN, top + 4, right, 866), note, size=12, colour=QUIET)


def _draw_comparison(sheet: _Sheet, finding: Finding, words: Words, *, below: int) -> None:
    """Scores or the reasons why there are none, flags, pattern, quality.

    Quality stands below the measures, from ``below`` on, where many scores leave no room for it.
    """
    left, right, bottom = 672, WIDTH - MARGIN, 866
    top = sheet.heading((left, 506), words("Comparison with reference tables"), right)
    none = [(words("No comparison was made."), "")]
    for name, sentence in content.score_lines(finding, words) or none:
        top = sheet.paragraph((left, top, right, bottom), name, size=14)
        top = sheet.paragraph((left, top, right, bottom), sentence, size=13, colour=QUIET) + 5
    pattern = words("Pattern: {pattern}.", pattern=content.pattern_line(finding, words))
    top = sheet.paragraph((left, top, right, bottom), pattern, size=13)
    changes = wording.change_sentences(finding.change, words)
    if changes and top < bottom - 80:
        top = sheet.heading((left, top + 8), words("Change"), right)
        top = sheet.paragraph((left, top, right, bottom - 60), " ".join(changes), size=12)
    if finding.flags and top < bottom - 60:
        top = sheet.heading((left, top + 8), words("Flags"), right)
        for name, state in content.flag_lines(finding, words):
            if top > bottom - 20:
                break
            sheet.text((left, top), shorten(name, 13, right - left - 130), size=13)
            sheet.text((right, top), state, size=13, bold=True, anchor="ra")
            top += 20
    quality = "; ".join(content.quality_lines(finding, words))
    if top < bottom - 57:
        top = sheet.heading((left, top + 8), words("Quality"), right)
        sheet.paragraph((left, top, right, bottom), quality, size=13)
    else:
        line = words("Quality: {quality}.", quality=quality)
        sheet.paragraph((MARGIN, below + 4, 640, bottom), line, size=12)


def _draw_reasons(sheet: _Sheet, finding: Finding, words: Words) -> None:
    """The distinct page of a finding without measures."""
    right = WIDTH - MARGIN
    sheet.draw.rectangle([MARGIN, 512, right, 576], fill=BOX, outline=AMBER)
    headline = words(content.HEADLINES[finding.status])
    sheet.text((MARGIN + 20, 544), headline, size=22, bold=True, anchor="lm")
    top = sheet.heading((MARGIN, 598), words("Reason"), right)
    for text in content.reason_lines(finding, words):
        top = sheet.paragraph((MARGIN, top, right, 740), text, size=15) + 4
    top = sheet.heading((MARGIN, top + 12), words("Examined"), right)
    top = sheet.paragraph((MARGIN, top, right, 866), content.source_line(finding, words) + ".", size=13)
    quality = "; ".join(content.quality_lines(finding, words)) + "."
    sheet.paragraph((MARGIN, top, right, 866), quality, size=13)


def _draw_foot(sheet: _Sheet, finding: Finding, words: Words) -> None:
    """Where the numbers come from, and what they are not."""
    sheet.draw.line([(MARGIN, 876), (WIDTH - MARGIN, 876)], fill=LINE)
    top = 882
    for line in content.provenance_lines(finding, words):
        sheet.text((MARGIN, top), shorten(line, 11, WIDTH - 2 * MARGIN), size=11, colour=QUIET)
        top += 15
    limit = words(wording.LIMITS[1] if finding.measures is not None else wording.NO_MEASUREMENT)
    sheet.text((MARGIN, 943), shorten(limit, 11, WIDTH - 2 * MARGIN), size=11, colour=TEXT)
