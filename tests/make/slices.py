"""The slices of a small volume with two muscles, as a measuring worker keeps them beside a result."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from service.core.inputset import InputSet
from service.core.mask import Label, Mask
from service.core.series import Role
from service.core.volume import Grid, Volume
from service.dicom.stack import Stack
from service.pipeline.slicing import keep_slices

#: Slices, rows, columns; as usual: columns to the left, rows to the back, slices to the head.
SHAPE = (9, 64, 72)
STEP_MM = 5.0


def grid() -> Grid:
    """An axial stack."""
    return Grid(
        origins_mm=np.arange(SHAPE[0])[:, None] * np.array([[0.0, 0.0, STEP_MM]]),
        column_direction=np.array([1.0, 0.0, 0.0]),
        row_direction=np.array([0.0, 1.0, 0.0]),
        pixel_spacing_mm=(2.0, 2.0),
        rows=SHAPE[1],
        columns=SHAPE[2],
    )


def write_slices(folder: Path, *, drawn: bool = True, **changes: Any) -> None:
    """Keep them in the folder of a result; nothing is drawn on the first slice."""
    values = np.random.default_rng(2).uniform(100, 200, SHAPE).astype(np.float32)
    values += 60 * np.arange(SHAPE[0])[:, None, None]
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:, 40:54, 12:30], labels[1:, 40:54, 42:60] = Label.LEAN_RIGHT, Label.LEAN_LEFT
    labels[1:, 44:48, 46:52] = Label.IMAT_LEFT
    stack = cast("Stack", SimpleNamespace(grid=grid()))
    mask = Mask(labels=labels, grid=grid(), fat_separated=True)
    inputs: InputSet[Stack] = InputSet(stacks=((Role.IMAGE, stack),), evidence="")
    volume = Volume(values=values, grid=grid())
    keep_slices(inputs, volume=volume, mask=mask if drawn else None, out=folder, **{"limit_mb": 8, **changes})
