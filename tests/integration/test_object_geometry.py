"""Wherever and however the slices lie, the segments lie on the same place in the patient."""

import math

import numpy as np
import pydicom
import pytest

from service.core.mask import Label, Mask
from service.core.measure import measure_muscles
from service.core.volume import Grid, Volume
from service.dicom.seg import write_seg
from service.dicom.series import scan
from service.dicom.synthesis import SyntheticPatient, SyntheticSeries, write_mr_series
from tests.make.results import DEFINITION, IDENTITY, MODEL

#: Ellipses in the plane of the slices, x to the patient's left, y to the back (mm): middle, half axes.
MUSCLES = {"left": (31.0, 3.0, 24.0, 17.0), "right": (-29.0, -2.0, 22.0, 16.0)}
FATS = {"left": (34.0, 4.0, 14.0, 10.0), "right": (-31.0, -3.0, 13.0, 10.0)}
LABELS = {
    "left": (Label.LEAN_LEFT, Label.IMAT_LEFT),
    "right": (Label.LEAN_RIGHT, Label.IMAT_RIGHT),
}
#: Fine enough that counting pixels is within 0.5 % of the area.
PIXEL_MM, PIXELS, SLICES = (0.42, 0.40), 310, 7


def rotation(rng: np.random.Generator) -> np.ndarray:
    """A turn by up to 30 degrees about any axis (Rodrigues)."""
    axis = rng.normal(size=3)
    x, y, z = axis / np.linalg.norm(axis)
    angle = math.radians(rng.uniform(0.0, 30.0))
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


def drawn(seed: int) -> tuple[Mask, np.ndarray, np.ndarray]:
    """A mask on an oblique, unevenly spaced, perhaps mirrored grid; its axes and its slice positions."""
    rng = np.random.default_rng(seed)
    axes = rotation(rng)
    column_sign, row_sign = rng.choice([-1.0, 1.0], size=2)
    column, row = column_sign * axes[:, 0], row_sign * axes[:, 1]
    along = np.cumsum(rng.uniform(3.0, 7.0, SLICES))
    offsets = along if column_sign * row_sign > 0 else along[::-1]
    corner = -(PIXELS / 2) * (PIXEL_MM[1] * column + PIXEL_MM[0] * row)
    grid = Grid(
        origins_mm=corner + offsets[:, None] * axes[:, 2],
        column_direction=column,
        row_direction=row,
        pixel_spacing_mm=PIXEL_MM,
        rows=PIXELS,
        columns=PIXELS,
        slice_thickness_mm=3.0,
    )
    steps = np.arange(PIXELS) - PIXELS / 2
    x, y = np.meshgrid(column_sign * steps * PIXEL_MM[1], row_sign * steps * PIXEL_MM[0])
    plane = np.zeros((PIXELS, PIXELS), np.uint8)
    for side, (lean, fat) in LABELS.items():
        plane[inside(MUSCLES[side], x, y)] = lean
        plane[inside(FATS[side], x, y)] = fat
    return Mask(labels=np.stack([plane] * SLICES), grid=grid, fat_separated=True), axes, along


def inside(ellipse: tuple[float, float, float, float], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    middle_x, middle_y, half_x, half_y = ellipse
    return ((x - middle_x) / half_x) ** 2 + ((y - middle_y) / half_y) ** 2 <= 1.0


def stored(mask: Mask, folder, seed: int):
    """The images as files in a shuffled order, and the mask on the grid that is read from them."""
    values = mask.labels.astype(np.float32) * 100 + 100
    series = SyntheticSeries(
        key=f"geometry-{seed}",
        study_key="geometry",
        description="t2_tse tra",
        study_description="geometry",
        origin="drawn by a test",
        manufacturer="nobody",
        model_name="none",
    )
    patient = SyntheticPatient(name="Test^Geometry", patient_id="G")
    written = write_mr_series(
        Volume(values=values, grid=mask.grid), folder, contrast="t2_tse", patient=patient, series=series
    )
    files = []
    for number, index in enumerate(np.random.default_rng(seed + 1000).permutation(SLICES)):
        dataset = pydicom.dcmread(written[index])
        dataset.InstanceNumber = number + 1
        path = folder / f"shuffled-{number}.dcm"
        dataset.save_as(path)
        files.append(path)
    (stack,) = scan(files).stacks
    distances = np.linalg.norm(stack.grid.origins_mm[:, None] - mask.grid.origins_mm[None], axis=2)
    assert distances.min(axis=1).max() < 1e-3
    ordered = np.ascontiguousarray(mask.labels[distances.argmin(axis=1)])
    return stack, Mask(labels=ordered, grid=stack.grid, fat_separated=True)


def centroids(seg: pydicom.Dataset) -> dict[int, np.ndarray]:
    """Where the middle of each segment lies in the patient, by the headers of the object alone."""
    shared = seg.SharedFunctionalGroupsSequence[0]
    directions = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    row_mm, column_mm = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    points: dict[int, list[np.ndarray]] = {}
    for group, plane in zip(seg.PerFrameFunctionalGroupsSequence, frames, strict=True):
        rows, columns = np.nonzero(plane)
        place = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        place = (
            place + np.outer(columns * column_mm, directions[:3]) + np.outer(rows * row_mm, directions[3:])
        )
        number = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        points.setdefault(number, []).append(place)
    return {number: np.concatenate(places).mean(axis=0) for number, places in points.items()}


@pytest.mark.parametrize("seed", range(8))
def test_segments_lie_where_they_were_drawn_and_volumes_are_those_of_the_shapes(tmp_path, seed):
    mask, axes, along = drawn(seed)
    stack, read = stored(mask, tmp_path, seed)
    written = write_seg(
        stack, read, model=MODEL, definition=DEFINITION, identity=IDENTITY, path=tmp_path / "seg.dcm"
    )
    found = centroids(pydicom.dcmread(written.path))
    for label in Label:
        if label is not Label.BACKGROUND:
            truth = mask.grid.to_patient(np.argwhere(mask.labels == label).astype(float)).mean(axis=0)
            np.testing.assert_allclose(found[label], truth, atol=0.01)
    # The same from the shapes alone: fat is an ellipse about its middle, half way along the slices.
    for side, (_, fat) in LABELS.items():
        middle = axes @ np.array([*FATS[side][:2], along.mean()])
        np.testing.assert_allclose(found[fat], middle, atol=0.25)
    # Half of the first and of the last step stand for the outer halves of the end slices.
    length_mm = along[-1] - along[0] + (along[1] - along[0] + along[-1] - along[-2]) / 2
    measures = measure_muscles(read, height_m=None)
    for side in LABELS:
        whole, fat = (math.pi * ellipse[2] * ellipse[3] for ellipse in (MUSCLES[side], FATS[side]))
        told = getattr(measures, side)
        assert told.imat_ml == pytest.approx(fat * length_mm / 1000, rel=0.005)
        assert told.lmm_ml == pytest.approx((whole - fat) * length_mm / 1000, rel=0.005)
