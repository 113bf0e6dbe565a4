import numpy as np
import pytest

from service.core.volume import Volume
from service.errors import UnreadableSeries
from tests.make.facts import grid


def test_each_slice_stands_for_half_the_way_to_its_neighbours():
    uneven = grid(offsets=(0.0, 4.0, 10.0))
    assert uneven.slice_extents_mm.tolist() == [4.0, 5.0, 6.0]
    assert uneven.coverage_mm == 15.0
    assert uneven.slice_step_mm == 5.0


def test_one_slice_stands_for_its_thickness():
    assert grid(offsets=(3.0,), thickness=4.0).coverage_mm == 4.0
    assert grid(offsets=(3.0,), thickness=4.0).slice_step_mm == 4.0
    assert grid(offsets=(3.0,)).slice_step_mm == 0.0


def test_the_normal_points_along_increasing_slice_index():
    assert grid(offsets=(0.0, 5.0)).normal.tolist() == [0.0, 0.0, 1.0]
    assert grid(offsets=(5.0, 0.0)).normal.tolist() == [0.0, 0.0, -1.0]
    assert grid(offsets=(5.0, 0.0)).offsets_mm.tolist() == [0.0, 5.0]


def test_a_voxel_index_becomes_its_patient_coordinates():
    place = grid(offsets=(0.0, 5.0), spacing=(2.0, 3.0)).to_patient(np.array([[1, 1, 2]], dtype=float))
    assert place.tolist() == [[6.0, 2.0, 5.0]]


def test_two_slices_at_one_place_are_refused():
    with pytest.raises(UnreadableSeries) as error:
        grid(offsets=(0.0, 0.0))
    assert error.value.reason.code == "duplicate_positions"


def test_a_grid_without_slices_or_with_no_pixel_size_is_refused():
    with pytest.raises(UnreadableSeries):
        grid(offsets=())
    with pytest.raises(UnreadableSeries):
        grid(spacing=(0.0, 1.0))


def test_values_must_fit_their_grid():
    good = grid()
    assert Volume(values=np.zeros(good.shape, np.float32), grid=good).grid is good
    with pytest.raises(UnreadableSeries):
        Volume(values=np.zeros((1, 2, 3), np.float32), grid=good)
