"""However a scanner lays its slices out, the same patient has the same volumes on the same sides."""

import tempfile
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from service.core.mask import Label, Mask
from service.core.measure import measure_muscles
from service.dicom.series import read_volume, scan
from tests.make.series import enhanced_mr, mr_series

ROWS, COLUMNS, AREA_MM2 = 6, 8, 1.5 * 2.0
#: Column, row and slice axis, each in both directions: 48 ways.
AXES = [(order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]


def turned(axes: tuple[tuple[int, ...], tuple[int, ...]], angles: tuple[float, float]) -> np.ndarray:
    """Column and row direction, and the direction in which slices are numbered, as rows; turned a little."""
    (order, signs), (about_x, about_z) = axes, np.deg2rad(angles)
    straight = np.eye(3)[list(order)] * np.array(signs)[:, None]
    c, s = np.cos(about_x), np.sin(about_x)
    x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    c, s = np.cos(about_z), np.sin(about_z)
    z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return straight @ (x @ z).T


def left_of(place: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Which pixels of a slice lie to the left of the patient's midline, where x is larger."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    points = place + 2.0 * columns[..., None] * directions[0] + 1.5 * rows[..., None] * directions[1]
    return points[..., 0] > 0.3


def extents(offsets: np.ndarray) -> dict[float, float]:
    """Half the way to both neighbours, by offset; an end mirrors its inner half."""
    ordered = np.sort(offsets)
    edges = np.concatenate([[0.0], (ordered[1:] + ordered[:-1]) / 2, [0.0]])
    edges[0], edges[-1] = 2 * ordered[0] - edges[1], 2 * ordered[-1] - edges[-2]
    return dict(zip(ordered.tolist(), np.diff(edges).tolist(), strict=True))


geometries = st.fixed_dictionaries(
    {
        "axes": st.sampled_from(AXES),
        "angles": st.tuples(st.floats(-40, 40), st.floats(-40, 40)),
        "steps": st.lists(st.floats(2.0, 2.9), min_size=2, max_size=7),
        "seed": st.integers(0, 2**16),
        "echoes": st.sampled_from([1, 2]),
        "twice": st.booleans(),
        "multiframe": st.booleans(),
    }
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(geometries)
def test_volumes_and_sides_do_not_depend_on_the_layout(geometry: dict[str, Any]) -> None:
    check(geometry)


@pytest.mark.parametrize("axes", AXES)
def test_nor_on_the_order_and_direction_of_the_axes(axes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    usual = {"angles": (7.0, -11.0), "steps": [2.0, 2.8, 2.2], "seed": 3, "echoes": 2}
    check({"axes": axes, **usual, "twice": True, "multiframe": False})


def check(geometry: dict[str, Any]) -> None:
    """Write, read and measure one layout."""
    directions = turned(geometry["axes"], geometry["angles"])
    offsets = np.concatenate([[0.0], np.cumsum(geometry["steps"])]) - 8.0
    middle = 7.0 * directions[0] + 3.75 * directions[1]
    places = [offset * directions[2] - middle for offset in offsets]
    echoes = 1 if geometry["multiframe"] else geometry["echoes"]
    order = np.random.default_rng(geometry["seed"]).permutation(len(offsets) * echoes)
    with tempfile.TemporaryDirectory() as folder:
        paths = write(Path(folder), directions, places, order, multiframe=geometry["multiframe"])
        if geometry["twice"]:
            (Path(folder) / "ZZ.dcm").write_bytes(paths[0].read_bytes())
            paths.append(Path(folder) / "ZZ.dcm")
        found = scan(paths)
        assert [each.reason.code for each in found.unreadable] == ["duplicate_instance"] * geometry["twice"]
        assert [stack.facts.slices for stack in found.stacks] == [len(offsets)] * echoes
        lengths = extents(offsets)
        left_ml = sum(
            left_of(place, directions).sum() * AREA_MM2 * lengths[offset] / 1000.0
            for place, offset in zip(places, offsets.tolist(), strict=True)
        )
        whole_ml = ROWS * COLUMNS * AREA_MM2 * sum(lengths.values()) / 1000.0
        for stack in found.stacks:
            volume = read_volume(stack)
            labels = np.where(volume.values > 0, Label.LEAN_LEFT, Label.LEAN_RIGHT).astype(np.uint8)
            measures = measure_muscles(
                Mask(labels=labels, grid=volume.grid, fat_separated=True), height_m=None
            )
            assert np.isclose(measures.left.lmm_ml, left_ml, rtol=1e-4, atol=1e-6)
            assert np.isclose(measures.total.compartment_ml, whole_ml, rtol=1e-4)
            x_mm = volume.grid.to_patient(np.argwhere(labels).astype(float))[:, 0].reshape(labels.shape)
            assert np.array_equal(x_mm > 0.3, labels == Label.LEAN_LEFT)


def write(
    folder: Path, directions: np.ndarray, places: list[np.ndarray], order: np.ndarray, *, multiframe: bool
) -> list[Path]:
    """The slices in the given order; a second round of numbers is a second echo."""
    orientation = [round(float(v), 9) for v in (*directions[0], *directions[1])]

    def pixels(index: int) -> bytes:
        return left_of(places[index % len(places)], directions).astype("<u2").tobytes()

    if multiframe:
        where = [places[index].tolist() for index in order]
        turned_so = [orientation] * len(order)
        joined = b"".join(pixels(index) for index in order)
        return [enhanced_mr(folder / "e.dcm", positions=where, orientations=turned_so, PixelData=joined)]

    def each(dataset: Dataset, number: int) -> None:
        index = int(order[number])
        dataset.ImagePositionPatient = [f"{v:.9g}"[:16] for v in places[index % len(places)]]
        dataset.EchoTime = "98" if index < len(places) else "120"
        dataset.PixelData = pixels(index)

    return mr_series(folder, positions=[0.0] * len(order), orientation=orientation, each=each)
