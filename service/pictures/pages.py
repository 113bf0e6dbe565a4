"""The report as PDF: the same content as the summary, with the profile and the reference curves."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from html import escape
from io import BytesIO
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from reportlab import rl_config
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    Image,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
)

from service.core import wording
from service.core.finding import Finding
from service.core.language import ENGLISH, Words
from service.pictures import content
from service.pictures.content import Banner, Panel
from service.pictures.figures import ReferenceCurve, draw_curves, profile_figure
from service.pictures.fonts import BOLD, REGULAR, displayable, needs_wide_font, text_picture
from service.pictures.overlay import png

# Pictures as bytes rather than as text: a quarter smaller, and the text form is slow in plain Python.
rl_config.useA85 = 0

REGULAR_NAME: Final = "DejaVuSans"
BOLD_NAME: Final = "DejaVuSans-Bold"
INK: Final = HexColor("#1c2530")
QUIET: Final = HexColor("#5d6975")
RULE: Final = HexColor("#c9d1d9")
STRIPE: Final = HexColor("#f3f5f8")
AMBER: Final = HexColor("#f2b233")
SIDE_MM: Final = 16.0
INK_RGB: Final = (0x1C, 0x25, 0x30)
#: Height of the letters of a text drawn as a picture: 300 dots an inch on paper.
PICTURE_PX: Final = 36
WIDTH: Final = A4[0] - 2 * SIDE_MM * mm
#: A row of charts is drawn 9.4 x 2.7 inches large and printed three quarters as large, 300 dots an inch.
CHARTS_PX: Final = (940, 225)
CHART_SCALE: Final = 2.25
#: The few slices of a block need less height.
BLOCK_CHART_PX: Final = 195


def report_pdf(
    finding: Finding,
    banner: Banner,
    panels: Sequence[Panel],
    *,
    charts: Sequence[NDArray[np.uint8]] = (),
    words: Words = ENGLISH,
) -> bytes:
    """The report in A4, with the pictures of ``draw_charts``; the same arguments give the same bytes."""
    _register_fonts()
    buffer = BytesIO()
    document = BaseDocTemplate(
        buffer,
        pagesize=A4,
        title=f"{words(wording.TITLE)} - {words(wording.BANNER)}",
        author=wording.PRODUCT,
        subject=words(wording.disclaimer(finding)),
        creator=wording.PRODUCT,
        lang=words.language,
        invariant=1,
    )

    def draw_edge(canvas: Canvas, _: Any) -> None:
        _draw_edge(canvas, finding, banner, words)

    bottom, height = 13 * mm, A4[1] - 46 * mm
    area = Frame(SIDE_MM * mm, bottom, WIDTH, height, 0, 0, 0, 0)
    document.addPageTemplates([PageTemplate(frames=[area], onPage=draw_edge)])
    document.build(_story(finding, panels, charts, words))
    return buffer.getvalue()


def _story(
    finding: Finding, panels: Sequence[Panel], charts: Sequence[NDArray[np.uint8]], words: Words
) -> list[Flowable]:
    """Everything on the pages, in order."""
    story: list[Flowable] = []
    if finding.measures is None:
        story += _reasons(finding, words)
        story += _pictures(panels)
    else:
        story += _pictures(panels)
        story += _measures(finding, words)
        story += _comparison(finding, words)
    changes = wording.change_sentences(finding.change, words)
    if changes:
        story += _section(words("Change"), [" ".join(changes)])
    story += _flags_and_quality(finding, words)
    if charts:
        story += _charts(charts, words, block=finding.series is not None and finding.series.block is not None)
    limits = [*(words(limit) for limit in wording.LIMITS), _follow_up(finding, words)]
    story += _section(words("Limits"), [" ".join(limits)], size=7.0)
    origin = [content.source_line(finding, words), *content.provenance_lines(finding, words)]
    if finding.definition is not None:
        origin.append(words("Boundary rule: {rule}", rule=wording.boundary_rule(finding.definition, words)))
    story += _section(words("Origin"), origin, size=6.5)
    return story


def _follow_up(finding: Finding, words: Words) -> str:
    """What may follow, in the words of the reporting rules; nothing where nothing was measured."""
    if finding.measures is None:
        return words(wording.NO_MEASUREMENT)
    return words("Reviewed by: not reviewed. No action is recommended by this software.")


def _reasons(finding: Finding, words: Words) -> list[Flowable]:
    """The distinct head of a report without measures."""
    headline = words(content.HEADLINES[finding.status])
    box = Table([[_text(f"<b>{_safe(headline)}</b>", 13)]], colWidths=[WIDTH])
    box.setStyle([("BOX", (0, 0), (-1, -1), 1.2, AMBER), ("BOTTOMPADDING", (0, 0), (-1, -1), 9)])
    return [
        box,
        *_section(words("Reason"), content.reason_lines(finding, words), size=10.0),
        Spacer(1, 3 * mm),
    ]


def _pictures(panels: Sequence[Panel]) -> list[Flowable]:
    """Key slices side by side with their captions."""
    shown = panels[:3]
    if not shown:
        return []
    cell = WIDTH / 3 - 2 * mm
    images = [_image(panel.rgb, cell, 36 * mm) for panel in shown]
    captions = [_text(_safe(panel.caption), 7, QUIET) for panel in shown]
    table = Table([images, captions], colWidths=[WIDTH / 3] * len(shown), hAlign="LEFT")
    table.setStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 2 * mm),
            ("TOPPADDING", (0, 0), (-1, -1), 1),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 1),
        ]
    )
    return [table]


def _measures(finding: Finding, words: Words) -> list[Flowable]:
    """The table of measures."""
    assert finding.measures is not None
    head = ["", "", words("Left"), words("Right"), words("Total"), words("Asymmetry")]
    body = [
        [row.name, row.unit, row.left, row.right, row.total, row.asymmetry]
        for row in content.measure_rows(finding.measures, words)
    ]
    widths = [66 * mm, 18 * mm, 23 * mm, 23 * mm, 23 * mm]
    table = Table([head, *body], colWidths=[*widths, WIDTH - sum(widths)], rowHeights=4.5 * mm)
    table.setStyle(
        [
            ("FONT", (0, 0), (-1, -1), REGULAR_NAME, 8.5),
            ("FONT", (4, 1), (4, -1), BOLD_NAME, 8.5),
            ("TEXTCOLOR", (0, 0), (-1, -1), INK),
            ("TEXTCOLOR", (0, 0), (-1, 0), QUIET),
            ("TEXTCOLOR", (1, 1), (1, -1), QUIET),
            ("ALIGN", (2, 0), (-1, -1), "RIGHT"),
            ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
            ("ROWBACKGROUNDS", (0, 1), (-1, -1), [STRIPE, HexColor("#ffffff")]),
            ("LINEBELOW", (0, 0), (-1, 0), 0.6, RULE),
        ]
    )
    note = words("Asymmetry: (left - right) / (left + right). Sides are the patient's.")
    title = wording.measures_title(finding.series, words)
    said = [words(wording.BLOCK)] if finding.series is not None and finding.series.block is not None else []
    return [*_section(title, said), table, _text(_safe(note), 7, QUIET)]


def _comparison(finding: Finding, words: Words) -> list[Flowable]:
    """Scores or the reasons why there are none, flags and pattern."""
    lines = [f"{name}; {sentence}." for name, sentence in content.score_lines(finding, words)]
    story = _section(words("Comparison with reference tables"), lines or [words("No comparison was made.")])
    person, pattern = content.person_line(finding, words), content.pattern_line(finding, words)
    rest = words("Person: {person}. Pattern: {pattern}.", person=person, pattern=pattern)
    story.append(_text(_safe(rest), 8))
    return story


def _flags_and_quality(finding: Finding, words: Words) -> list[Flowable]:
    """Flags on the left and quality on the right, or quality alone where there is no flag."""
    quality = content.quality_lines(finding, words)
    if not finding.flags:
        return _section(words("Quality"), quality)
    flags = [f"{name}: {state}" for name, state in content.flag_lines(finding, words)]
    gap = 6 * mm
    half = (WIDTH - gap) / 2
    columns = [
        [
            _section(words("Flags"), flags, size=7.5, width=half),
            "",
            _section(words("Quality"), quality, size=7.5, width=half),
        ]
    ]
    table = Table(columns, colWidths=[half, gap, half])
    table.setStyle(
        [
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 0),
            ("TOPPADDING", (0, 0), (-1, -1), 0),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 0),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ]
    )
    return [table]


def draw_charts(
    finding: Finding, curves: Mapping[str, ReferenceCurve], words: Words = ENGLISH
) -> list[NDArray[np.uint8]]:
    """The profile along the spine, then each norm that a score was taken from, as RGB; [] without measures.

    ``curves`` maps a measure to the norm that it was scored with; those are drawn with the person.
    """
    if finding.measures is None:
        return []
    scored = sum(score.measure in curves for score in finding.scores)
    block = finding.series is not None and finding.series.block is not None
    height = BLOCK_CHART_PX if block else CHARTS_PX[1]
    size_px = (CHARTS_PX[0] // _columns(1 + scored), height)
    return [
        profile_figure(finding, size_px=size_px, scale=CHART_SCALE, words=words),
        *draw_curves(finding, curves, sizes_px=[size_px], scale=CHART_SCALE, words=words),
    ]


def _columns(charts: int) -> int:
    """Charts in a row of the page."""
    return min(3, max(2, charts))


def _charts(pictures: Sequence[NDArray[np.uint8]], words: Words, *, block: bool) -> list[Flowable]:
    """The charts in rows of up to three."""
    columns = _columns(len(pictures))
    box = (WIDTH / columns - 2 * mm, 60 * mm)
    charts: list[Flowable] = [_image(picture, *box) for picture in pictures]
    charts += [Spacer(1, 1)] * (-len(charts) % columns)
    rows = [charts[start : start + columns] for start in range(0, len(charts), columns)]
    table = Table(rows, colWidths=[WIDTH / columns] * columns, hAlign="LEFT")
    table.setStyle([("LEFTPADDING", (0, 0), (-1, -1), 0), ("VALIGN", (0, 0), (-1, -1), "TOP")])
    title = words("Within the block") if block else words("Along the spine")
    if len(pictures) > 1:
        title = words("Along the spine, and beside the reference tables")
    return [KeepTogether([*_section(title, []), table])]


def _section(title: str, lines: Sequence[str], *, size: float = 8.0, width: float = WIDTH) -> list[Flowable]:
    """A heading and its lines."""
    heading = Table([[_text(f"<b>{_safe(title)}</b>", 9.5)]], colWidths=[width])
    heading.setStyle(
        [
            ("LINEBELOW", (0, 0), (-1, -1), 0.6, RULE),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("TOPPADDING", (0, 0), (-1, -1), 4),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 1),
        ]
    )
    return [heading, Spacer(1, 0.6 * mm), *(_text(_safe(line), size) for line in lines)]


def _text(markup: str, size: float, colour: Color = INK) -> Paragraph:
    """A paragraph in the report's font."""
    style = ParagraphStyle(
        "text",
        fontName=REGULAR_NAME,
        fontSize=size,
        leading=size * 1.32,
        textColor=colour,
        wordWrap="CJK" if "sha256" in markup else None,
    )
    return Paragraph(markup, style)


def _safe(text: str) -> str:
    """Text from outside as harmless markup in letters that the font has."""
    return escape(displayable(text), quote=False)


def _image(rgb: NDArray[np.uint8], width: float, height: float) -> Image:
    """A picture within width and height, in its own proportions."""
    rows, columns = rgb.shape[:2]
    scale = min(width / columns, height / rows)
    return Image(BytesIO(png(rgb)), width=columns * scale, height=rows * scale)


def _draw_edge(canvas: Canvas, finding: Finding, banner: Banner, words: Words) -> None:
    """Head and foot of each page: research use only, whose page it is, page number."""
    width, height = A4
    canvas.saveState()
    canvas.setFillColor(AMBER)
    canvas.rect(0, height - 10 * mm, width, 10 * mm, stroke=0, fill=1)
    canvas.setFillColor(INK)
    canvas.setFont(BOLD_NAME, 10)
    canvas.drawString(SIDE_MM * mm, height - 6.6 * mm, words(wording.BANNER))
    room = WIDTH - pdfmetrics.stringWidth(words(wording.BANNER), BOLD_NAME, 10) - 4 * mm
    unverified = words(wording.unverified(finding))
    canvas.setFont(REGULAR_NAME, min(7.5, room / pdfmetrics.stringWidth(unverified, REGULAR_NAME, 1)))
    canvas.drawRightString(width - SIDE_MM * mm, height - 6.5 * mm, unverified)
    canvas.setFont(BOLD_NAME, 13)
    canvas.drawString(SIDE_MM * mm, height - 17 * mm, words(wording.TITLE))
    _draw_fields(canvas, banner.fields(words), height - 23 * mm)
    canvas.setStrokeColor(RULE)
    canvas.line(SIDE_MM * mm, height - 30.5 * mm, width - SIDE_MM * mm, height - 30.5 * mm)
    canvas.setFillColor(QUIET)
    canvas.setFont(REGULAR_NAME, 7)
    canvas.drawString(SIDE_MM * mm, 9 * mm, words(wording.disclaimer(finding)))
    canvas.drawRightString(width - SIDE_MM * mm, 9 * mm, words("Page {page}", page=canvas.getPageNumber()))
    canvas.restoreState()


def _draw_fields(canvas: Canvas, fields: Sequence[tuple[str, str]], top: float) -> None:
    """The patient banner in two rows."""
    left = SIDE_MM * mm
    # Place and width in mm of each field, in the order of Banner.fields.
    places = ((0, 0, 72), (74, 0, 52), (128, 0, 32), (162, 0, 16), (0, 1, 72), (74, 1, 52), (128, 1, 32))
    order = (0, 1, 2, 3, 6, 5, 4)
    for (x, row, width), index in zip(places, order, strict=True):
        label, text = fields[index]
        canvas.setFillColor(QUIET)
        canvas.setFont(REGULAR_NAME, 6.5)
        canvas.drawString(left + x * mm, top - row * 5 * mm, label)
        least = pdfmetrics.stringWidth(label, REGULAR_NAME, 6.5) + 1.5 * mm
        offset = max(least, {74: 15 * mm, 162: 7 * mm}.get(x, 11 * mm))
        canvas.setFillColor(INK)
        canvas.setFont(REGULAR_NAME, 8)
        _draw_text(canvas, left + x * mm + offset, top - row * 5 * mm, text, width * mm - offset)


def _draw_text(canvas: Canvas, x: float, y: float, text: str, width: float) -> None:
    """A text in one line; as a picture where the letters of the report lack some of it."""
    if not needs_wide_font(text):
        canvas.drawString(x, y, _fit(text, width))
        return
    rows, columns, _ = (picture := text_picture(text, PICTURE_PX, INK_RGB)).shape
    scale = min(11.0 / rows, width / columns)
    image = ImageReader(BytesIO(png(picture)))
    canvas.drawImage(image, x, y - 0.24 * rows * scale, width=columns * scale, height=rows * scale)


def _fit(text: str, width: float) -> str:
    """The text, or its beginning and an ellipsis."""
    if pdfmetrics.stringWidth(text, REGULAR_NAME, 8) <= width:
        return text
    while text and pdfmetrics.stringWidth(text + "...", REGULAR_NAME, 8) > width:
        text = text[:-1]
    return text + "..."


@lru_cache(maxsize=1)
def _register_fonts() -> None:
    """Make the fonts known to reportlab, once in a process."""
    for name, path in ((REGULAR_NAME, REGULAR), (BOLD_NAME, BOLD)):
        pdfmetrics.registerFont(TTFont(name, str(path)))
    pdfmetrics.registerFontFamily(REGULAR_NAME, normal=REGULAR_NAME, bold=BOLD_NAME)
