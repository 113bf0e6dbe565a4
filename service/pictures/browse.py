"""Slices one by one for a page: the image in grey, and the mask as a transparent layer to lay over it.

Turned as every other picture of ours (``overlay.view_of``): anterior up, the patient's left on the right.
"""

from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.core.mask import COLOURS, Label
from service.core.volume import Grid, Volume
from service.pictures.overlay import OPACITY, View, edges_of, resize_labels, view_of, window_of

#: The long side of a layer is at least about this, so that its lines are thinner than the image's pixels.
#: Chosen by us: what a page shows on a usual screen.
LAYER_PX: Final = 720
#: Pixels that are no squares make an image at most so many times longer. Chosen by us: with the narrowest and
#: the widest pixel that is read, true proportions in the smallest step would take minutes and gigabytes.
ENLARGED: Final = 2
#: Entries of the palette from which on lines are, not fillings.
_LINES: Final = len(Label)
_OPAQUE: Final = 255


@dataclass(frozen=True, kw_only=True, eq=False)
class Turned:
    """How every slice of one stack is shown."""

    view: View
    #: Columns and rows of the image with square pixels.
    size_px: tuple[int, int]

    @property
    def layer_px(self) -> tuple[int, int]:
        """Columns and rows of the layer: a whole multiple of the image's."""
        factor = max(1, round(LAYER_PX / max(self.size_px)))
        return self.size_px[0] * factor, self.size_px[1] * factor


def turned(grid: Grid, *, shrink: int = 1) -> Turned:
    """How slices of this grid are shown, ``shrink`` times smaller."""
    view = view_of(grid)
    row_mm, column_mm = view.spacing_mm
    rows, columns = (grid.columns, grid.rows) if view.transpose else (grid.rows, grid.columns)
    long_mm, most_px = max(rows * row_mm, columns * column_mm), ENLARGED * max(rows, columns, LAYER_PX)
    step = max(min(row_mm, column_mm), long_mm / most_px) * shrink
    size = (max(1, round(columns * column_mm / step)), max(1, round(rows * row_mm / step)))
    return Turned(view=view, size_px=size)


class Greys:
    """The images of one stack, all in the window of the capture."""

    def __init__(self, volume: Volume, how: Turned) -> None:
        self._values = volume.values
        self._window = window_of(volume)
        self._how = how

    def png(self, index: int) -> bytes:
        """One image, uint8 grey."""
        plane = np.ascontiguousarray(self._how.view.turn(self._window(self._values[index])))
        image = Image.fromarray(plane)
        if image.size != self._how.size_px:
            image = image.resize(self._how.size_px, Image.Resampling.BICUBIC, reducing_gap=3.0)
        return _png(image)


def layer_png(labels: NDArray[np.uint8], how: Turned) -> bytes:
    """The mask of one slice (rows, columns) as fillings and lines on nothing."""
    shown = resize_labels(np.ascontiguousarray(how.view.turn(labels)), how.layer_px)
    drawn = shown.copy()
    for label, edge in edges_of(shown):
        drawn[edge] = _LINES + label
    image = Image.fromarray(drawn)
    image.putpalette(_palette())
    return _png(image, transparency=_alphas())


def _palette() -> list[int]:
    colours = [(0, 0, 0), *(COLOURS[label] for label in Label if label != Label.BACKGROUND)]
    return [part for colour in (*colours, *colours) for part in colour]


def _alphas() -> bytes:
    """How much each entry of the palette covers."""
    fillings = [0, *(round(_OPAQUE * OPACITY[label]) for label in Label if label != Label.BACKGROUND)]
    return bytes([*fillings, *(_OPAQUE for _ in fillings)])


def _png(image: Image.Image, **more: bytes) -> bytes:
    """The same picture gives the same bytes."""
    buffer = BytesIO()
    image.save(buffer, format="PNG", compress_level=6, **more)
    return buffer.getvalue()
