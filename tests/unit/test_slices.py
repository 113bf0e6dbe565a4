"""Slices one by one: turned right by patient coordinates, bounded on the disk, and read without trust."""

from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from service.core.inputset import InputSet
from service.core.mask import COLOURS, Label, Mask
from service.core.series import Role
from service.core.volume import Grid, Volume
from service.errors import UnreadableSeries
from service.pictures.browse import Greys, layer_png, turned
from service.pictures.overlay import OPACITY, overlay_slice
from service.pipeline import slicefiles
from service.pipeline.slicefiles import DRAWING_NAME, IMAGES_NAME, read_index, read_picture
from service.pipeline.slicing import keep_slices
from service.settings import Settings
from service.web.recalled import ONE_LOOK, REMEMBERED, Recalled
from service.web.viewer import viewer_link
from tests.make.received import NOW

X, Y, Z = np.eye(3)
#: Directions of columns, rows and slices in the patient (LPS: +x left, +y back, +z head).
STORED = {
    "as usual": (X, Y, Z),
    "from the head down": (X, Y, -Z),
    "mirrored": (-X, Y, Z),
    "upside down": (-X, -Y, -Z),
    "turned": (Y, X, Z),
}
SHAPE = (4, 40, 48)


def grid_of(columns, rows, slices, spacing_mm=(2.0, 2.0)):
    return Grid(
        origins_mm=np.arange(SHAPE[0])[:, None] * 5.0 * slices,
        column_direction=columns,
        row_direction=rows,
        pixel_spacing_mm=spacing_mm,
        rows=SHAPE[1],
        columns=SHAPE[2],
    )


def spot(grid, towards):
    """Voxels of every slice far on one side of the middle, by patient coordinates."""
    index = np.stack(np.indices(SHAPE), axis=-1).astype(float)
    points = grid.to_patient(index)
    offset = (points - points.reshape(-1, 3).mean(axis=0)) @ towards
    return offset > 20


def volume_of(grid, towards=X):
    values = np.random.default_rng(1).uniform(0, 10, SHAPE).astype(np.float32)
    values[spot(grid, towards)] = 900
    return Volume(values=values, grid=grid)


def opened(content):
    return Image.open(BytesIO(content))


@pytest.mark.parametrize("stored", STORED)
def test_the_patients_left_is_on_the_right_and_the_back_below_however_it_is_stored(stored):
    grid = grid_of(*STORED[stored])
    how = turned(grid)
    assert how.view.letters == ("R", "L", "A", "P")
    for towards, axis in ((X, 1), (Y, 0)):
        grey = np.asarray(opened(Greys(volume_of(grid, towards), how).png(2))).astype(float)
        bright = np.argwhere(grey > 200)[:, axis]
        assert bright.min() > grey.shape[axis] / 2


@pytest.mark.parametrize("stored", STORED)
def test_the_drawing_lies_where_its_image_is_in_the_colours_of_its_labels(stored):
    grid = grid_of(*STORED[stored])
    labels = np.where(spot(grid, X), np.uint8(Label.LEAN_LEFT), np.uint8(0))
    labels[spot(grid, -X)] = Label.IMAT_RIGHT
    how = turned(grid)
    drawn = opened(layer_png(labels[1], how))
    assert drawn.size == how.layer_px == (how.size_px[0] * 15, how.size_px[1] * 15)
    rgba = np.asarray(drawn.convert("RGBA"))
    middle = rgba[rgba.shape[0] // 2]
    left, right = middle[-60], middle[60]
    assert tuple(left[:3]) == COLOURS[Label.LEAN_LEFT]
    assert tuple(right[:3]) == COLOURS[Label.IMAT_RIGHT]
    assert left[3] == round(255 * OPACITY[Label.LEAN_LEFT])
    assert middle[middle.shape[0] // 2][3] == 0
    assert set(np.unique(rgba[..., 3])) == {0, 255, left[3], right[3]}


def test_the_image_is_in_the_window_of_the_capture():
    grid = grid_of(X, Y, Z)
    volume = volume_of(grid)
    shown = overlay_slice(volume, None, 1, size_px=(SHAPE[2], SHAPE[1]))[..., 0]
    grey = np.asarray(opened(Greys(volume, turned(grid)).png(1)))
    for corner in (np.s_[:10, :14], np.s_[:10, 34:]):  # away from the letters
        assert np.array_equal(grey[corner], shown[corner])
    assert (grey[:10, 34:].max(), grey[:10, :14].max()) == (255, 3)


def test_pixels_that_are_no_squares_are_shown_in_true_proportions():
    how = turned(grid_of(X, Y, Z, spacing_mm=(3.0, 1.5)))
    assert how.size_px == (48, 80)
    assert opened(Greys(volume_of(grid_of(X, Y, Z, spacing_mm=(3.0, 1.5))), how).png(0)).size == (48, 80)


def test_pixels_of_any_shape_that_is_read_make_no_giant():
    how = turned(grid_of(X, Y, Z, spacing_mm=(10.0, 0.05)))
    assert how.size_px == (9, 1440), "40 rows of 10 mm, 48 columns of 0.05 mm"


def inputs_of(grid):
    return InputSet(stacks=((Role.IMAGE, SimpleNamespace(grid=grid)),), evidence="")


def kept(tmp_path, grid, *, limit_mb=8, with_mask=True, **changes):
    volume = volume_of(grid)
    labels = np.where(spot(grid, X), np.uint8(Label.LEAN_LEFT), np.uint8(0))
    labels[0] = 0
    mask = Mask(labels=labels, grid=grid, fat_separated=True) if with_mask else None
    inputs = inputs_of(grid)
    keep_slices(inputs, volume=volume, mask=mask, limit_mb=limit_mb, out=tmp_path, **changes)
    return read_index(tmp_path)


def test_the_slices_are_in_order_from_the_feet_whatever_their_order_in_the_stack(tmp_path):
    index = kept(tmp_path, grid_of(*STORED["from the head down"]))
    assert [(each.number, each.height_mm) for each in index.slices] == [(4, 0), (3, 5), (2, 10), (1, 15)]
    assert [each.drawn for each in index.slices] == [True, True, True, False]
    assert read_picture(tmp_path / DRAWING_NAME, slicefiles.layer_name(4)) is None
    assert read_picture(tmp_path / IMAGES_NAME, slicefiles.image_name(4)) is not None


def test_a_withheld_result_has_images_and_no_drawing(tmp_path):
    index = kept(tmp_path, grid_of(X, Y, Z), with_mask=False)
    assert (index.fat_separated, index.shrink) == (None, 1)
    assert not any(each.drawn for each in index.slices)


def test_without_images_nothing_is_kept(tmp_path):
    keep_slices(inputs_of(grid_of(X, Y, Z)), volume=None, mask=None, limit_mb=8, out=tmp_path)
    assert list(tmp_path.iterdir()) == []


def station(number, low_mm, counted):
    """One of several stations, and what of it counts."""
    grid = grid_of(X, Y, Z)
    heights = low_mm + np.arange(SHAPE[0]) * 5.0
    share = SimpleNamespace(heights_mm=heights, counted=np.array(counted, dtype=bool))
    labels = np.zeros(SHAPE, np.uint8)
    labels[share.counted, 5:9, 5:9] = Label.LEAN_RIGHT
    mask = Mask(labels=labels, grid=grid, fat_separated=False)
    return SimpleNamespace(number=number, stack=SimpleNamespace(grid=grid), share=share, mask=mask)


def read_stations(monkeypatch, unreadable=()):
    """Stations are read one by one; those of these grids cannot be."""

    def read(stack):
        if stack.grid in unreadable:
            raise UnreadableSeries("broken", reason="bad_pixels")
        return volume_of(stack.grid)

    monkeypatch.setattr("service.pipeline.slicing.read_volume", read)


def test_stations_follow_each_other_and_say_what_another_counts(tmp_path, monkeypatch):
    read_stations(monkeypatch)
    stations = (station(1, -300, [1, 1, 1, 1]), station(2, -290, [0, 0, 1, 1]))
    keep_slices(inputs_of(None), volume=None, mask=None, stations=stations, limit_mb=8, out=tmp_path)
    index = read_index(tmp_path)
    places = [(each.station, each.number, each.height_mm) for each in index.slices]
    assert places == [(1, n + 1, 5.0 * n) for n in range(4)] + [(2, n + 1, 10 + 5.0 * n) for n in range(4)]
    assert [each.elsewhere for each in index.slices] == [False] * 4 + [True, True, False, False]
    assert [each.drawn for each in index.slices] == [not each.elsewhere for each in index.slices]
    assert index.fat_separated is False


def test_a_withheld_scan_in_stations_shows_those_that_can_be_read(tmp_path, monkeypatch):
    stacks = [station(number, 0, [1, 1, 1, 1]).stack for number in (1, 2, 3)]
    inputs = SimpleNamespace(stations=[SimpleNamespace(first=stack) for stack in stacks])
    read_stations(monkeypatch, unreadable=[stacks[1].grid])
    keep_slices(inputs, volume=None, mask=None, limit_mb=8, out=tmp_path)
    assert [each.station for each in read_index(tmp_path).slices] == [1] * 4 + [3] * 4
    read_stations(monkeypatch, unreadable=[stack.grid for stack in stacks])
    keep_slices(inputs, volume=None, mask=None, limit_mb=8, out=tmp_path / "..")
    assert not (tmp_path / ".." / IMAGES_NAME).exists()


def test_images_that_are_too_large_are_made_smaller_and_then_left_out(tmp_path, monkeypatch):
    whole = sum(len(read_all(tmp_path, IMAGES_NAME, kept(tmp_path, grid_of(X, Y, Z)))) for _ in "1")
    monkeypatch.setattr("service.pipeline.slicing.MEGABYTE", whole - 1)
    assert kept(tmp_path, grid_of(X, Y, Z), limit_mb=1).shrink == 2
    assert (tmp_path / IMAGES_NAME).stat().st_size < whole + 1000
    monkeypatch.setattr("service.pipeline.slicing.MEGABYTE", 100)
    assert kept(tmp_path, grid_of(X, Y, Z), limit_mb=1).shrink is None
    assert not (tmp_path / IMAGES_NAME).exists()
    assert read_picture(tmp_path / DRAWING_NAME, slicefiles.layer_name(2)) is not None


def read_all(folder, archive, index):
    pictures = (
        read_picture(folder / archive, slicefiles.image_name(n)) for n in range(1, len(index.slices) + 1)
    )
    return b"".join(each.content for each in pictures)


def test_the_same_images_give_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        kept(tmp_path / name, grid_of(X, Y, Z))
    for archive in (IMAGES_NAME, DRAWING_NAME):
        assert (tmp_path / "one" / archive).read_bytes() == (tmp_path / "two" / archive).read_bytes()


def test_what_a_disk_has_harmed_counts_as_not_there(tmp_path):
    kept(tmp_path, grid_of(X, Y, Z))
    whole = (tmp_path / DRAWING_NAME).read_bytes()
    generator = np.random.default_rng(3)
    for _ in range(60):
        harmed = bytearray(whole)
        harmed[int(generator.integers(len(whole)))] ^= 1 << int(generator.integers(8))
        (tmp_path / DRAWING_NAME).write_bytes(harmed)
        index = read_index(tmp_path)
        assert index is None or len(index.slices) == SHAPE[0]
        picture = read_picture(tmp_path / DRAWING_NAME, slicefiles.layer_name(2))
        assert picture is None or picture.content.startswith(b"\x89PNG")
    (tmp_path / DRAWING_NAME).write_bytes(whole[: len(whole) // 2])
    assert read_index(tmp_path) is None


def test_another_result_shows_the_same_slices_without_a_second_copy(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    kept(one, grid_of(X, Y, Z))
    slicefiles.carry(one, two)
    assert (two / IMAGES_NAME).stat().st_ino == (one / IMAGES_NAME).stat().st_ino
    assert read_index(two) == read_index(one)


def test_looking_through_a_stack_is_one_look():
    looks = Recalled()
    assert looks.is_new("vera", 1, NOW)
    assert not looks.is_new("vera", 1, NOW + ONE_LOOK / 2)
    assert looks.is_new("vera", 2, NOW)
    assert looks.is_new("anna", 1, NOW)
    assert looks.is_new("vera", 1, NOW + ONE_LOOK)
    assert looks.is_new("vera", 1, NOW), "a clock that was set back must not hide a look"
    for number in range(REMEMBERED + 1):
        looks.is_new("many", number, NOW)
    assert looks.is_new("anna", 1, NOW)


def study(uid="1.2.3", accession="A 1/2&x=#"):
    patient = SimpleNamespace(accession_number=accession)
    return SimpleNamespace(study_uid=uid, inputs=[SimpleNamespace(series_uid="1.2.4")], patient=patient)


def test_a_link_to_the_viewer_encodes_what_the_images_said():
    pattern = "https://viewer.example/v/{series_uid}?study={study_uid}&accession={accession_number}"
    link = viewer_link(pattern, study(uid="1.2'\"><script>"))
    assert link == (
        "https://viewer.example/v/1.2.4?study=1.2%27%22%3E%3Cscript%3E&accession=A%201%2F2%26x%3D%23"
    )
    assert viewer_link(pattern, study(accession="")) is None
    assert viewer_link(None, study()) is None


@pytest.mark.parametrize(
    "pattern",
    [
        "javascript:alert({study_uid})",
        "data:text/html,{study_uid}",
        "//viewer.example/{study_uid}",
        "ftp://viewer.example/{study_uid}",
        "https://viewer.example/",
        "https://viewer.example/{series_uid}",
        "https://viewer.example/{patient_id}/{study_uid}",
        "https://viewer.example/{study_uid!r}",
        "https://{study_uid}.example/",
        "https://user:password@viewer.example/{study_uid}",
        'https://viewer.example/{study_uid}"onclick=',
    ],
)
def test_a_pattern_that_could_lead_elsewhere_is_refused(pattern):
    with pytest.raises(ValidationError):
        Settings(viewer_url=pattern)


def test_a_plain_pattern_is_taken():
    pattern = "http://viewer.local:8080/ohif/viewer?StudyInstanceUIDs={study_uid}"
    assert viewer_link(Settings(viewer_url=pattern).viewer_url, study()) == pattern.format(study_uid="1.2.3")
