"""Slices as a radiologist looks at them, with the mask drawn on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from service.core.language import ENGLISH, Words
from service.core.mask import COLOURS, Label, Mask
from service.core.volume import Grid, Volume
from service.pictures.content import Panel
from service.pictures.fonts import font

Rgb = NDArray[np.uint8]
Value = TypeVar("Value", bound=np.generic)

#: How much of the colour covers the image; chosen by us so that the muscle's texture stays readable.
OPACITY: Final = {
    Label.LEAN_LEFT: 0.30,
    Label.LEAN_RIGHT: 0.30,
    Label.IMAT_LEFT: 0.45,
    Label.IMAT_RIGHT: 0.45,
}
#: Patient left and back as display axes for each plane, by the axis that the normal is nearest to.
_DISPLAY_AXES: Final = {
    0: ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
    1: ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
    2: ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
}
_LETTERS: Final = (("R", "L"), ("A", "P"), ("F", "H"))
#: Around the muscles in a cropped panel; shows vertebra and skin for orientation. Chosen by us.
MARGIN_MM: Final = 28.0


@dataclass(frozen=True, kw_only=True)
class View:
    """How a slice is turned so that anterior is up and the patient's right is on the image's left."""

    transpose: bool
    flip_rows: bool
    flip_columns: bool
    #: Letters at the left, right, upper and lower edge.
    letters: tuple[str, str, str, str]
    #: Row and column distance after turning.
    spacing_mm: tuple[float, float]

    def turn(self, plane: NDArray[Value]) -> NDArray[Value]:
        """One slice, turned."""
        turned = plane.T if self.transpose else plane
        turned = turned[::-1] if self.flip_rows else turned
        return turned[:, ::-1] if self.flip_columns else turned


def view_of(grid: Grid) -> View:
    """How slices of this grid are to be shown, from their directions in the patient."""
    right, down = (np.array(axis) for axis in _DISPLAY_AXES[int(np.abs(grid.normal).argmax())])
    along_rows, along_columns = grid.row_direction, grid.column_direction
    transpose = bool(abs(along_rows @ right) > abs(along_columns @ right))
    horizontal, vertical = (along_rows, along_columns) if transpose else (along_columns, along_rows)
    flip_columns, flip_rows = bool(horizontal @ right < 0), bool(vertical @ down < 0)
    to_right = -horizontal if flip_columns else horizontal
    to_down = -vertical if flip_rows else vertical
    row_mm, column_mm = grid.pixel_spacing_mm
    return View(
        transpose=transpose,
        flip_rows=flip_rows,
        flip_columns=flip_columns,
        letters=(_letter(-to_right), _letter(to_right), _letter(-to_down), _letter(to_down)),
        spacing_mm=(column_mm, row_mm) if transpose else (row_mm, column_mm),
    )


def pick_slices(mask: Mask, count: int) -> list[int]:
    """Slices spread evenly over those with muscle (over all slices where there is none), in grid order."""
    filled = np.flatnonzero(mask.labels.any(axis=(1, 2)))
    return _spread(filled if len(filled) else np.arange(mask.grid.shape[0]), count)


def overlay_slice(
    volume: Volume,
    mask: Mask | None,
    slice_index: int,
    *,
    size_px: tuple[int, int] = (640, 640),
    crop: bool = False,
) -> Rgb:
    """One slice in true proportions with the mask on it, as large as fits into width x height.

    Anterior is up and the patient's right on the image's left, however the stack is stored; the
    letters come from the patient coordinates. Cropped, it shows the muscles' surroundings.
    """
    view = view_of(volume.grid)
    grey = view.turn(window_of(volume)(volume.values[slice_index]))
    labels = view.turn(mask.labels[slice_index]) if mask is not None else np.zeros(grey.shape, np.uint8)
    if crop and mask is not None and mask.labels.any():
        rows, columns = _surroundings(view, mask, size_px)
        grey, labels = grey[rows, columns], labels[rows, columns]
    height_mm, width_mm = grey.shape[0] * view.spacing_mm[0], grey.shape[1] * view.spacing_mm[1]
    scale = min(size_px[0] / width_mm, size_px[1] / height_mm)
    size = (max(1, round(width_mm * scale)), max(1, round(height_mm * scale)))
    picture = (
        Image.fromarray(np.ascontiguousarray(grey)).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    )
    drawn = _draw_mask(np.asarray(picture), resize_labels(labels, size))
    return _draw_letters(drawn, view.letters)


@dataclass(frozen=True, kw_only=True, eq=False)
class KeySlice:
    """One slice with the mask on it, in no language yet, and where it lies."""

    #: uint8, (rows, columns, 3).
    rgb: Rgb
    #: From 1, in the order of the grid.
    number: int
    #: Slices of the stack.
    count: int
    #: From the caudal end.
    height_mm: float
    #: Of several stations the number, from the caudal end; None for a single stack.
    station: int | None = None


def key_slices(
    volume: Volume, mask: Mask | None, *, count: int = 3, size_px: tuple[int, int] = (402, 302)
) -> tuple[KeySlice, ...]:
    """Key slices for the capture and the PDF, from caudal to cranial."""
    grid = volume.grid
    slices = grid.shape[0]
    chosen = pick_slices(mask, count) if mask is not None else _spread(np.arange(slices), count)
    heights = grid.offsets_mm if grid.normal[2] >= 0 else grid.offsets_mm[-1] - grid.offsets_mm
    ordered = sorted(chosen, key=lambda index: float(heights[index]))
    return tuple(
        KeySlice(
            rgb=overlay_slice(volume, mask, index, size_px=size_px, crop=True),
            number=index + 1,
            count=slices,
            height_mm=float(heights[index]),
        )
        for index in ordered
    )


def captioned(slices: Sequence[KeySlice], words: Words = ENGLISH) -> tuple[Panel, ...]:
    """The same, each with its place in words."""
    return tuple(Panel(rgb=each.rgb, caption=_caption(each, words)) for each in slices)


def _caption(key: KeySlice, words: Words) -> str:
    """Where a slice lies."""
    height = words.number(key.height_mm, ".0f")
    if key.station is None:
        return words(
            "Slice {number} of {count}, {height} mm from the caudal end",
            number=key.number,
            count=key.count,
            height=height,
        )
    return words(
        "Station {station}, slice {number} of {count}, {height} mm from the caudal end",
        station=key.station,
        number=key.number,
        count=key.count,
        height=height,
    )


def make_panels(
    volume: Volume,
    mask: Mask | None,
    *,
    count: int = 3,
    size_px: tuple[int, int] = (402, 302),
    words: Words = ENGLISH,
) -> tuple[Panel, ...]:
    """Key slices with their captions."""
    return captioned(key_slices(volume, mask, count=count, size_px=size_px), words)


def png(rgb: Rgb) -> bytes:
    """The picture as PNG; the same picture gives the same bytes."""
    buffer = BytesIO()
    Image.fromarray(rgb).save(buffer, format="PNG", optimize=False, compress_level=3)
    return buffer.getvalue()


def from_png(content: bytes) -> Rgb:
    """The picture that ``png`` wrote."""
    with Image.open(BytesIO(content)) as image:
        return np.asarray(image.convert("RGB")).copy()


def _spread(candidates: NDArray[np.intp], count: int) -> list[int]:
    """At most ``count`` of the candidates, from the middle of equal parts."""
    total = len(candidates)
    places = sorted({(2 * step + 1) * total // (2 * count) for step in range(count)})
    return [int(candidates[place]) for place in places]


def _letter(direction: NDArray[np.float64]) -> str:
    """Which way a direction points in the patient (LPS)."""
    axis = int(np.abs(direction).argmax())
    return _LETTERS[axis][int(direction[axis] > 0)]


@dataclass(frozen=True)
class Window:
    """Grey values from black to white."""

    low: float
    high: float

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The values as 8-bit grey."""
        scaled = (values - self.low) / max(self.high - self.low, 1e-6)
        grey: NDArray[np.uint8] = (np.clip(scaled, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
        return grey


def window_of(volume: Volume) -> Window:
    """One window for all slices of a volume: the 1st to 99.5th percentile of a sample (chosen by us)."""
    sample = volume.values[:, ::4, ::4]
    low, high = np.percentile(sample[np.isfinite(sample)], [1.0, 99.5])
    return Window(float(low), float(high))


def _surroundings(view: View, mask: Mask, size_px: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns around the muscles of all slices, in the proportions of the panel."""
    seen = view.turn(np.asarray(mask.labels.any(axis=0)))
    row_mm, column_mm = view.spacing_mm
    spans = []
    for axis, step in ((1, row_mm), (0, column_mm)):
        where = np.flatnonzero(seen.any(axis=axis)) * step
        spans.append([float(where[0]) - MARGIN_MM, float(where[-1]) + step + MARGIN_MM])
    height, width = (span[1] - span[0] for span in spans)
    wanted = size_px[0] / size_px[1]
    grow = (max(0.0, width / wanted - height), max(0.0, height * wanted - width))
    cut = []
    for span, extra, step, length in zip(spans, grow, (row_mm, column_mm), seen.shape, strict=True):
        first = max(0, round((span[0] - extra / 2) / step))
        last = min(length, round((span[1] + extra / 2) / step))
        cut.append(slice(first, last))
    return cut[0], cut[1]


def resize_labels(labels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The labels at display size; each pixel gets the label that has most of it, so edges are smooth."""
    best = np.zeros(size[::-1], np.float32)
    resized = np.zeros(size[::-1], np.uint8)
    inside = Image.fromarray((labels > 0).astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    muscle = np.asarray(inside) >= 0.5
    for label in Label:
        if label == Label.BACKGROUND or not (labels == label).any():
            continue
        share = np.asarray(
            Image.fromarray((labels == label).astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
        )
        won = muscle & (share > best)
        resized[won] = label
        best = np.maximum(best, share)
    return resized


def _draw_mask(grey: Rgb, labels: NDArray[np.uint8]) -> Rgb:
    """Translucent colours, with a line around each compartment and around its fat."""
    picture = grey.astype(np.float32)
    for label, colour in COLOURS.items():
        region = labels == label
        alpha = OPACITY[label]
        picture[region] = picture[region] * (1.0 - alpha) + np.array(colour, np.float32) * alpha
    for label, edge in edges_of(labels):
        picture[edge] = COLOURS[label]
    return (picture + 0.5).astype(np.uint8)


def edges_of(labels: NDArray[np.uint8]) -> Iterator[tuple[Label, NDArray[np.bool_]]]:
    """The line around each fat, then that around each compartment on top, with the label of its colour."""
    width = 2 if min(labels.shape) >= 500 else 1
    for lean, fat in ((Label.LEAN_LEFT, Label.IMAT_LEFT), (Label.LEAN_RIGHT, Label.IMAT_RIGHT)):
        yield fat, _edge(labels == fat, 1)
        yield lean, _edge((labels == lean) | (labels == fat), width)


def _edge(region: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """The inner rim of a region."""
    if not region.any():
        return region
    rim: NDArray[np.bool_] = region & ~ndimage.binary_erosion(region, iterations=width)
    return rim


def _draw_letters(picture: Rgb, letters: tuple[str, str, str, str]) -> Rgb:
    """The letters of the patient's directions at the four edges, white on a dark rim."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    width, height = image.size
    size = max(12, min(width, height) // 18)
    places = (
        (size * 0.4, height / 2, "lm"),
        (width - size * 0.4, height / 2, "rm"),
        (width / 2, size * 0.3, "ma"),
        (width / 2, height - size * 0.3, "md"),
    )
    for letter, (x, y, anchor) in zip(letters, places, strict=True):
        draw.text(
            (x, y),
            letter,
            font=font(size, bold=True),
            anchor=anchor,
            fill=(240, 240, 240),
            stroke_width=2,
            stroke_fill=(0, 0, 0),
        )
    return np.asarray(image).copy()
