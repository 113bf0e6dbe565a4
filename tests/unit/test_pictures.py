"""Pictures and pages, judged by their pixels and their text."""

from dataclasses import replace
from io import BytesIO

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image
from pypdf import PdfReader

from service.core import wording
from service.core.language import GERMAN_WORDS
from service.core.mask import Label, Mask
from service.core.volume import Grid, Volume
from service.errors import Reason
from service.pictures import content, fonts
from service.pictures.content import Banner, Panel, measure_rows, person_name
from service.pictures.figures import ReferenceCurve, profile_figure, reference_figure
from service.pictures.fonts import MISSING, displayable, font
from service.pictures.overlay import make_panels, overlay_slice, pick_slices, png, view_of
from service.pictures.pages import draw_charts, report_pdf
from service.pictures.sheet import shorten, wrap
from service.pictures.summary import BELOW_PX, BESIDE_PX, summary_image
from tests.make.results import BANNER, finding, not_assessable, straight_grid, unseparated

SHAPE = (6, 60, 80)
CURVE = ReferenceCurve(
    age_years=(20.0, 50.0, 80.0),
    p5=(0.05, 0.08, 0.12),
    p50=(0.12, 0.17, 0.22),
    p95=(0.25, 0.3, 0.38),
    label="Demonstration, women",
    status="demonstration",
)


def a_mask(grid: Grid | None = None) -> Mask:
    """Boxes: left at high columns, right at low columns, fat inside; nothing on the end slices."""
    grid = grid or straight_grid(SHAPE)
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:5, 35:55, 45:70] = Label.LEAN_LEFT
    labels[1:5, 35:55, 10:35] = Label.LEAN_RIGHT
    labels[1:5, 40:48, 50:60] = Label.IMAT_LEFT
    labels[1:5, 40:44, 15:20] = Label.IMAT_RIGHT
    return Mask(labels=labels, grid=grid, fat_separated=True)


def a_volume(grid: Grid | None = None) -> Volume:
    """Grey everywhere."""
    return Volume(values=np.full(SHAPE, 100.0, np.float32), grid=grid or straight_grid(SHAPE))


def stored_otherwise(change: str) -> tuple[Volume, Mask]:
    """The same patient in another order of storage."""
    grid, labels = straight_grid(SHAPE), a_mask().labels
    origins, column, row = grid.origins_mm, grid.column_direction, grid.row_direction
    if change == "columns from the left":
        labels, origins, column = labels[:, :, ::-1], origins + 79.0 * column, -column
    if change == "rows from the back":
        labels, origins, row = labels[:, ::-1], origins + 59.0 * row, -row
    if change == "rows are columns":
        labels, column, row = labels.transpose(0, 2, 1), row, column
    if change == "slices downwards":
        labels, origins = labels[::-1], origins[::-1]
    turned = Grid(
        origins_mm=origins,
        column_direction=column,
        row_direction=row,
        pixel_spacing_mm=(1.0, 1.0),
        rows=labels.shape[1],
        columns=labels.shape[2],
        slice_thickness_mm=5.0,
    )
    labels = np.ascontiguousarray(labels)
    volume = Volume(values=np.full(labels.shape, 100.0, np.float32), grid=turned)
    return volume, Mask(labels=labels, grid=turned, fat_separated=True)


@pytest.mark.parametrize(
    "change", ["columns from the left", "rows from the back", "rows are columns", "slices downwards"]
)
def test_anterior_is_up_and_right_is_on_the_left_however_the_stack_is_stored(change):
    usual = overlay_slice(a_volume(), a_mask(), 2)
    volume, mask = stored_otherwise(change)
    index = 3 if change == "slices downwards" else 2
    assert view_of(volume.grid).letters == ("R", "L", "A", "P")
    # The window is taken from a sample of pixels, hence the one step of grey.
    shown = overlay_slice(volume, mask, index)
    np.testing.assert_allclose(shown.astype(int), usual.astype(int), atol=1)


def test_the_letters_come_from_the_patient_and_not_from_the_array():
    coronal = straight_grid(
        SHAPE,
        row_direction=np.array([0.0, 0.0, -1.0]),
        origins_mm=np.array([[0.0, 5.0 * index, 0.0] for index in range(6)]),
    )
    assert view_of(coronal).letters == ("R", "L", "H", "F")


def test_the_patients_left_muscle_is_on_the_right_half_of_the_picture():
    mask = a_mask()
    only_left = replace(mask, labels=np.where(mask.labels == Label.LEAN_LEFT, mask.labels, 0))
    plain = overlay_slice(a_volume(), None, 2).astype(int)
    coloured = overlay_slice(a_volume(), only_left, 2).astype(int)
    columns = np.flatnonzero(np.abs(coloured - plain).sum(axis=(0, 2)))
    assert columns.min() > coloured.shape[1] / 2


def test_pixels_keep_their_physical_proportions():
    grid = straight_grid(SHAPE, pixel_spacing_mm=(2.0, 1.0))
    picture = overlay_slice(a_volume(grid), a_mask(grid), 2, size_px=(600, 600))
    assert picture.shape == (600, 400, 3)


def test_lean_and_fat_have_the_colours_of_the_segmentation():
    picture = overlay_slice(a_volume(), a_mask(), 2, size_px=(800, 600))
    grey = overlay_slice(a_volume(), None, 2, size_px=(800, 600))
    row, column = 440, 550  # within the fat on the left, away from its edge
    expected = 0.55 * grey[row, column] + 0.45 * np.array((230, 220, 70))
    np.testing.assert_allclose(picture[row, column], expected, atol=1.5)


def test_slices_are_picked_from_those_with_muscle():
    assert pick_slices(a_mask(), 2) == [2, 4]
    empty = replace(a_mask(), labels=np.zeros(SHAPE, np.uint8))
    assert pick_slices(empty, 3) == [1, 3, 5]
    assert pick_slices(a_mask(), 99) == [1, 2, 3, 4]


def test_panels_run_from_caudal_to_cranial_also_when_the_stack_does_not():
    volume, mask = stored_otherwise("slices downwards")
    captions = [panel.caption for panel in make_panels(volume, mask, count=2)]
    assert captions == ["Slice 5 of 6, 5 mm from the caudal end", "Slice 3 of 6, 15 mm from the caudal end"]


def panels() -> tuple[Panel, ...]:
    return make_panels(a_volume(), a_mask())


def test_the_summary_is_the_same_bytes_each_time():
    first = summary_image(finding(a_mask()), BANNER, panels())
    assert first.shape == (960, 1280, 3)
    assert first.dtype == np.uint8
    assert png(first) == png(summary_image(finding(a_mask()), BANNER, panels()))
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(png(first)))), first)


def test_a_withheld_result_has_a_page_of_its_own():
    text = pdf_text(report_pdf(not_assessable(a_mask()), BANNER, make_panels(a_volume(), None)))
    assert "NOT ASSESSABLE" in text
    assert "The muscles reach the edge of the images." in text
    assert "muscle_cut_off" in text
    assert "Measures" not in text
    assert "mL" not in text


def pdf_text(raw: bytes) -> str:
    """All text of a PDF, with line breaks as blanks."""
    return " ".join(" ".join(page.extract_text() for page in PdfReader(BytesIO(raw)).pages).split())


def test_the_pdf_is_the_same_bytes_each_time_and_its_dates_are_fixed():
    first = report_pdf(
        finding(a_mask()), BANNER, panels(), charts=draw_charts(finding(a_mask()), {"imat_fraction": CURVE})
    )
    assert first == report_pdf(
        finding(a_mask()), BANNER, panels(), charts=draw_charts(finding(a_mask()), {"imat_fraction": CURVE})
    )
    info = PdfReader(BytesIO(first)).metadata
    assert info.creation_date.year == 2000
    assert info.author == "myoscreen"


def test_the_report_says_everything_and_claims_nothing():
    told = finding(a_mask())
    raw = report_pdf(told, BANNER, panels())
    text = pdf_text(raw)
    total = told.measures.total
    for part in (
        wording.BANNER,
        wording.UNVERIFIED,
        "Muster, Erika",
        "PID-7",
        "1970-01-31",
        f"{total.lmm_ml:.1f}",
        f"{100 * total.imat_fraction:.1f}",
        "z +1.42 [+0.60 to +2.20]",
        "reference table demonstration@1 (demonstration: values describe no people)",
        "no reference table for this measure",
        "indeterminate",
        "not evaluable",
        told.model.sha256,
        "label-share 3",
        "says nothing about the presence or absence",
    ):
        assert part in text, part
    for claim in ("no risk", "low risk", "healthy", "predict", "diagnosed", "CE ", "FDA", "flag text"):
        assert claim not in text, claim
    assert len(PdfReader(BytesIO(raw)).pages) == 1


def test_without_a_fat_measure_no_fat_is_shown():
    mask, told = unseparated(a_mask())
    rows = {row.name: row for row in measure_rows(told.measures)}
    assert rows["Intermuscular fat (IMAT)"].total == "-"
    text = pdf_text(report_pdf(told, BANNER, make_panels(a_volume(), mask)))
    assert "No comparison was made" in text
    summary_image(told, BANNER, make_panels(a_volume(), mask))


def test_letters_that_the_font_lacks_are_shown_as_boxes():
    assert displayable("\u5c71\u7530 A\u00fc\x07") == f"{MISSING}{MISSING} A\u00fc "
    foreign = Banner(
        patient_name="\u5c71\u7530^\u592a\u90ce",
        patient_id="\u0410\u0411<&>",
        birth_date="",
        sex="",
        study_date="junk",
        accession_number="A" * 200,
        series_description="<b>not markup</b> " + "long " * 60,
    )
    hostile = finding(a_mask(), reasons=(Reason("x", "<i>\u5c71</i> & co"),))
    assert report_pdf(hostile, foreign, panels())
    withheld = replace(not_assessable(a_mask()), reasons=hostile.reasons)
    assert "<i>" in pdf_text(report_pdf(withheld, foreign, ()))
    assert summary_image(withheld, foreign, ()).shape == (960, 1280, 3)


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("Muster^Erika^Maria^Dr.", "Muster, Erika Maria"),
        ("Yamada^Tarou=\u5c71\u7530^\u592a\u90ce", "Yamada, Tarou"),
        ("=\u5c71\u7530^\u592a\u90ce", "\u5c71\u7530, \u592a\u90ce"),
        ("NAME", "NAME"),
        ("^^^", ""),
    ],
)
def test_a_person_name_is_written_as_people_write_it(stored, shown):
    assert person_name(stored) == shown


def test_many_scores_and_flags_do_not_write_over_the_foot():
    told = finding(a_mask())
    crowded = replace(
        told, scores=told.scores * 9, flags=told.flags * 9, quality=told.quality * 20, reasons=()
    )
    usual = summary_image(replace(told, scores=()), BANNER, panels())
    full = summary_image(crowded, BANNER, panels())
    np.testing.assert_array_equal(full[870:], usual[870:])
    assert report_pdf(crowded, BANNER, panels())


def a_curve(size, shade):
    width, height = size
    return np.full((height, width, 3), shade, dtype=np.uint8)


def test_reference_curves_stand_beside_the_slices_and_below_the_measures():
    curves = [a_curve(BESIDE_PX, 201), a_curve(BELOW_PX, 202), a_curve(BELOW_PX, 203)]
    shown = summary_image(finding(a_mask()), BANNER, panels(), curves=curves)
    for shade, (width, height) in ((201, BESIDE_PX), (202, BELOW_PX), (203, BELOW_PX)):
        assert (shown == shade).all(axis=2).sum() == width * height
    usual = summary_image(finding(a_mask()), BANNER, panels())
    assert not ((usual >= 201) & (usual <= 203) & (usual == usual[:, :, :1])).all(axis=2)[200:800].any()
    # Banner, patient and foot are what they are without curves.
    for rows in (slice(0, 138), slice(870, 960)):
        np.testing.assert_array_equal(shown[rows], usual[rows])


def test_a_longer_origin_pushes_the_foot_up_and_not_over_its_last_line():
    told = replace(finding(a_mask()), measured_by="myoscreen 0.0.1")
    usual, longer = (summary_image(each, BANNER, panels()) for each in (finding(a_mask()), told))
    np.testing.assert_array_equal(usual[942:], longer[942:])
    assert (usual[860:872] != longer[860:872]).any()


def test_a_small_curve_names_the_status_of_its_table():
    score = replace(finding(a_mask()).scores[0], state="scored")
    curve = ReferenceCurve(
        age_years=(20.0, 80.0), p5=(0.1, 0.1), p50=(0.2, 0.2), p95=(0.3, 0.3), label="t", status="provisional"
    )
    said = [
        reference_figure(score, each, age_years=50.0, size_px=BESIDE_PX, bare=True)
        for each in (curve, replace(curve, status="published"))
    ]
    assert said[0].shape == (BESIDE_PX[1], BESIDE_PX[0], 3)
    assert (said[0] != said[1]).any()


def test_lines_are_broken_to_the_width_even_without_blanks():
    lines = wrap("word " * 40, 13, 200)
    assert " ".join(lines) == " ".join(["word"] * 40)
    assert all(font(13).getlength(line) <= 200 for line in lines)
    assert "".join(wrap("x" * 300, 13, 200)) == "x" * 300
    assert wrap("", 13, 200) == []
    assert shorten("short", 13, 200) == "short"
    assert shorten("x" * 300, 13, 200).endswith("...")


def test_figures_are_the_same_pixels_each_time_and_touch_no_global_state():
    before = dict(mpl.rcParams)
    told = finding(a_mask())
    first = profile_figure(told)
    np.testing.assert_array_equal(first, profile_figure(told))
    assert first.shape == (560, 720, 3)
    assert profile_figure(told, size_px=(400, 300), scale=2).shape == (600, 800, 3)
    beside = reference_figure(told.scores[0], CURVE, age_years=56.0)
    without = reference_figure(told.scores[0], CURVE, age_years=None)
    assert not np.array_equal(beside, without)
    assert profile_figure(not_assessable(a_mask())).shape == (560, 720, 3)
    assert dict(mpl.rcParams) == before


def test_the_profile_shows_the_patients_right_on_the_left():
    mask = a_mask()
    only_right = np.where(np.isin(mask.labels, (Label.LEAN_RIGHT, Label.IMAT_RIGHT)), mask.labels, 0)
    picture = profile_figure(finding(replace(mask, labels=only_right)), size_px=(700, 500)).astype(int)
    red = (np.abs(picture - np.array((153, 83, 70))).sum(axis=2) < 12)[100:400]
    columns = np.flatnonzero(red.any(axis=0))
    assert len(columns) > 20
    assert columns.max() < 400


NAMES = {
    "Yamada^Taro=山田^太郎=やまだ^たろう": ("Yamada, Taro (山田, 太郎)", "Yamada, Taro"),
    "Hong^Gildong=洪^吉洞=홍^길동": ("Hong, Gildong (洪, 吉洞)", "Hong, Gildong"),
    "王^小东": ("王, 小东", ""),
    "Люкceмбypг": ("Люкceмбypг", "Люкceмбypг"),  # noqa: RUF001 - a name as it is written
    "Buc^Jérôme": ("Buc, Jérôme", "Buc, Jérôme"),
    "": ("", ""),
    "Name^\u1200=Other^Name": ("Other, Name", "Other, Name"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_drawn_in_its_own_script_or_in_letters_but_never_as_boxes(name, monkeypatch):
    assert fonts.wide_font() is not None, "the extra cjk is part of the test environment"
    assert content.shown_name(name) == NAMES[name][0]
    monkeypatch.setattr(fonts, "wide_font", lambda: None)
    assert content.shown_name(name) == NAMES[name][1]
    assert MISSING not in content.shown_name(name)


def test_each_script_takes_its_own_face_of_the_font():
    assert fonts.font_for("山田, たろう", 20).getname()[0] == "Noto Sans CJK JP"
    assert fonts.font_for("홍, 길동", 20).getname()[0] == "Noto Sans CJK KR"
    assert fonts.font_for("王, 小东", 20).getname()[0] == "Noto Sans CJK SC"
    assert fonts.font_for("Meyer", 20).getname()[0] == "DejaVu Sans"


def test_without_a_drawable_name_the_page_shows_the_id(monkeypatch):
    monkeypatch.setattr(fonts, "wide_font", lambda: None)
    fields = dict(replace(BANNER, patient_name="王^小东").fields())
    assert fields["Patient"] == "-"
    assert fields["ID"] == BANNER.patient_id


def test_a_chinese_name_changes_the_picture_and_the_pdf():
    mask = a_mask()
    plain, wide = (replace(BANNER, patient_name=name) for name in ("", "王^小东"))
    one, other = (summary_image(finding(mask), banner, ()) for banner in (plain, wide))
    assert (one[102:122, 24:324] != other[102:122, 24:324]).any()
    pages = PdfReader(BytesIO(report_pdf(finding(mask), wide, ())))
    assert len(pages.pages[0].images) == 1


@pytest.mark.parametrize("made", ["measured", "not assessable"])
def test_the_report_in_german_holds_no_english_sentence(made):
    mask = a_mask()
    found = finding(mask) if made == "measured" else not_assessable(mask)
    panels = make_panels(a_volume(), mask, words=GERMAN_WORDS)
    charts = draw_charts(found, {}, GERMAN_WORDS)
    pdf = PdfReader(BytesIO(report_pdf(found, BANNER, panels, charts=charts, words=GERMAN_WORDS)))
    text = " ".join(page.extract_text() for page in pdf.pages)
    assert "NUR FÜR DIE FORSCHUNG" in text
    assert "Grenzen" in text
    for english in (
        "RESEARCH",
        "Unverified",
        "Measures",
        "Comparison",
        "Quality",
        "Page ",
        "slices covering",
        "not given",
    ):
        assert english not in text, english
    assert len(pdf.pages) <= 2
    assert summary_image(found, BANNER, panels, GERMAN_WORDS).shape == (960, 1280, 3)
