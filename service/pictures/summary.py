"""The summary picture: one screen for viewers that show neither segmentation nor report."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.core import wording
from service.core.finding import Finding
from service.core.language import ENGLISH, Words
from service.core.mask import COLOURS, Label
from service.pictures import content
from service.pictures.content import Banner, Panel
from service.pictures.fonts import displayable, font
from service.pictures.sheet import AMBER, BLACK, BOX, LINE, MARGIN, QUIET, TEXT, WIDTH, Sheet, shorten

Rgb = NDArray[np.uint8]

PANEL_PX: Final = (402, 302)
#: Each of three key slices where a reference curve stands beside them, and the curve.
BESIDE_PX: Final = (298, 224)
#: Further curves, below the measures.
BELOW_PX: Final = (298, 132)
#: Less high, a curve cannot be read.
LEAST_CURVE_PX: Final = 120
#: Where the key slices begin.
PANELS_TOP: Final = 140
#: From the legend to the tables below it.
TABLES_BELOW: Final = 29


def summary_image(
    finding: Finding,
    banner: Banner,
    panels: Sequence[Panel],
    words: Words = ENGLISH,
    *,
    curves: Sequence[Rgb] = (),
) -> Rgb:
    """The result on one screen of 1280 x 960; without measures, the reason takes their place.

    ``curves`` are pictures of the norms that scores were taken from: the first, of ``BESIDE_PX``, stands
    beside the key slices, others, of ``BELOW_PX``, below the measures as far as there is room.
    """
    sheet = Sheet()
    _draw_banner(sheet, finding, words)
    _draw_patient(sheet, banner, words)
    legend = _draw_panels(sheet, panels, curves[:1], words)
    tables = legend + TABLES_BELOW
    foot = _draw_foot(sheet, finding, words)
    if finding.measures is None:
        _draw_reasons(sheet, finding, words, bottom=foot)
    else:
        _draw_legend(
            sheet,
            words,
            legend,
            separated=finding.measures.total.mean_lean_csa_cm2 is not None,
        )
        below = _draw_measures(sheet, finding, words, top=tables, bottom=foot)
        below = _draw_comparison(sheet, finding, words, top=tables, below=below, bottom=foot)
        _draw_curves(sheet, curves[1:], top=below + 8, bottom=foot)
    return np.asarray(sheet.image).copy()


def _draw_banner(sheet: Sheet, finding: Finding, words: Words) -> None:
    """The strip that nobody can overlook."""
    sheet.draw.rectangle([0, 0, WIDTH, 39], fill=AMBER)
    sheet.text((MARGIN, 20), words(wording.BANNER), size=18, bold=True, colour=BLACK, anchor="lm")
    sheet.text((WIDTH - MARGIN, 20), words(wording.unverified(finding)), size=14, colour=BLACK, anchor="rm")


def _draw_patient(sheet: Sheet, banner: Banner, words: Words) -> None:
    """Title, and whose images these are."""
    sheet.text((MARGIN, 52), words(wording.TITLE), size=21, bold=True)
    sheet.text((WIDTH - MARGIN, 56), wording.PRODUCT, size=16, bold=True, colour=QUIET, anchor="ra")
    # Left edge and width of each field, in the order of Banner.fields.
    columns = ((24, 300), (332, 170), (510, 96), (614, 46), (668, 96), (772, 166), (946, 310))
    for (label, text), (left, width) in zip(banner.fields(words), columns, strict=True):
        sheet.text((left, 87), label, size=11, colour=QUIET)
        sheet.text((left, 102), shorten(text, 14, width), size=14)
    sheet.draw.line([(MARGIN, 128), (WIDTH - MARGIN, 128)], fill=LINE)


def _draw_panels(sheet: Sheet, panels: Sequence[Panel], curves: Sequence[Rgb], words: Words) -> int:
    """Up to three key slices side by side, and a curve; returns where the legend begins."""
    columns, (width, height) = (4, BESIDE_PX) if curves else (3, PANEL_PX)
    gap = (WIDTH - 2 * MARGIN - columns * width) // (columns - 1)
    pictures = [(panel.rgb, displayable(panel.caption)) for panel in panels[:3]]
    pictures += [(curve, words("5th, 50th and 95th percentile by age")) for curve in curves]
    for place, (rgb, caption) in enumerate(pictures):
        left = MARGIN + place * (width + gap)
        sheet.draw.rectangle([left, PANELS_TOP, left + width - 1, PANELS_TOP + height - 1], fill=BLACK)
        image = Image.fromarray(rgb)
        if image.width > width or image.height > height:
            image.thumbnail((width, height), Image.Resampling.LANCZOS)
        middle = (left + (width - image.width) // 2, PANELS_TOP + (height - image.height) // 2)
        sheet.image.paste(image, middle)
        # Beside a curve there is less width, and two lines.
        below, lines = PANELS_TOP + height + 8, 2 if curves else 1
        box = (left, below, left + width, below + 18 * lines)
        sheet.paragraph(box, caption, size=12 if curves else 13, colour=QUIET)
    return PANELS_TOP + height + (49 if curves else 35)


def _draw_curves(sheet: Sheet, curves: Sequence[Rgb], *, top: int, bottom: int) -> None:
    """Two more curves below the measures, where they can be read there."""
    left = MARGIN
    for curve in curves[:2]:
        image = Image.fromarray(curve)
        image.thumbnail((BESIDE_PX[0], bottom - top), Image.Resampling.LANCZOS)
        if image.height >= LEAST_CURVE_PX:
            sheet.image.paste(image, (left, top))
        left += BESIDE_PX[0] + 20


def _draw_legend(sheet: Sheet, words: Words, top: int, *, separated: bool) -> None:
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
        sheet.draw.rectangle([left, top, left + 11, top + 11], fill=COLOURS[label])
        sheet.text((left + 18, top + 6), word, size=13, colour=QUIET, anchor="lm")
        left += 18 + round(font(13).getlength(word)) + 26
    note = words("R, L: sides of the patient")
    sheet.text((WIDTH - MARGIN, top + 6), note, size=13, colour=QUIET, anchor="rm")


def _draw_measures(sheet: Sheet, finding: Finding, words: Words, *, top: int, bottom: int) -> int:
    """The table of measures; returns where the next may begin."""
    assert finding.measures is not None
    right = 640
    top = sheet.heading((MARGIN, top), wording.measures_title(finding.series, words), right)
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
        top = sheet.paragraph((MARGIN, top + 8, right, bottom), words(wording.BLOCK), size=13)
    return sheet.paragraph((MARGIN, top + 4, right, bottom), note, size=12, colour=QUIET)


def _draw_comparison(
    sheet: Sheet, finding: Finding, words: Words, *, top: int, below: int, bottom: int
) -> int:
    """Scores or the reasons why there are none, flags, pattern, quality.

    Quality stands below the measures, from ``below`` on, where many scores leave no room for it; returns
    where the next may begin there.
    """
    left, right = 672, WIDTH - MARGIN
    top = sheet.heading((left, top), words("Comparison with reference tables"), right)
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
        return below
    line = words("Quality: {quality}.", quality=quality)
    return sheet.paragraph((MARGIN, below + 4, 640, bottom), line, size=12)


def _draw_reasons(sheet: Sheet, finding: Finding, words: Words, *, bottom: int) -> None:
    """The distinct page of a finding without measures."""
    right = WIDTH - MARGIN
    sheet.draw.rectangle([MARGIN, 512, right, 576], fill=BOX, outline=AMBER)
    headline = words(content.HEADLINES[finding.status])
    sheet.text((MARGIN + 20, 544), headline, size=22, bold=True, anchor="lm")
    top = sheet.heading((MARGIN, 598), words("Reason"), right)
    for text in content.reason_lines(finding, words):
        top = sheet.paragraph((MARGIN, top, right, 740), text, size=15) + 4
    top = sheet.heading((MARGIN, top + 12), words("Examined"), right)
    top = sheet.paragraph((MARGIN, top, right, bottom), content.source_line(finding, words) + ".", size=13)
    quality = "; ".join(content.quality_lines(finding, words)) + "."
    sheet.paragraph((MARGIN, top, right, bottom), quality, size=13)


def _draw_foot(sheet: Sheet, finding: Finding, words: Words) -> int:
    """Where the numbers come from, and what they are not; returns where what stands above must end."""
    lines = content.provenance_lines(finding, words)
    top = 942 - 15 * max(4, len(lines))
    sheet.draw.line([(MARGIN, top - 6), (WIDTH - MARGIN, top - 6)], fill=LINE)
    above = top - 16
    for line in lines:
        sheet.text((MARGIN, top), shorten(line, 11, WIDTH - 2 * MARGIN), size=11, colour=QUIET)
        top += 15
    limit = words(wording.LIMITS[1] if finding.measures is not None else wording.NO_MEASUREMENT)
    sheet.text((MARGIN, 943), shorten(limit, 11, WIDTH - 2 * MARGIN), size=11, colour=TEXT)
    return above
