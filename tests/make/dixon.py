"""The phantom as a Dixon acquisition: water, fat, in phase and opposed, in one series or in several."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset

from service.dicom.synthesis import write_phantom

#: Small enough for a network on a processor, large enough for muscles to be found.
#: Far apart, so that five slices stand for as much of the back as the reference table asks for.
SHAPE: dict[str, Any] = {
    "slices": 5,
    "rows": 192,
    "columns": 192,
    "spacing_mm": (1.6, 1.6),
    "slice_step_mm": 18.0,
}


def write_dixon(
    out: Path,
    contrasts: Sequence[str] = ("water", "fat"),
    *,
    one_series: bool = False,
    each: Callable[[Dataset, str], None] | None = None,
    **shape: Any,
) -> dict[str, list[Path]]:
    """Write each contrast into a folder of its own; the files by contrast.

    With ``one_series`` all images carry the identifier of the first series, as GE and Philips send them.
    ``each`` may change every image.
    """
    written = {
        contrast: write_phantom(out / contrast, contrast=contrast, **{**SHAPE, **shape})
        for contrast in contrasts
    }
    first = pydicom.dcmread(written[contrasts[0]][0], stop_before_pixels=True)
    for place, (contrast, paths) in enumerate(written.items()):
        for path in paths:
            image = pydicom.dcmread(path)
            if one_series:
                image.SeriesInstanceUID = first.SeriesInstanceUID
                image.InstanceNumber = str(int(image.InstanceNumber) + place * len(paths))
            if each is not None:
                each(image, contrast)
            image.save_as(path)
    return written
