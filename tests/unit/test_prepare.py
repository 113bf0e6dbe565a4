import numpy as np
import pytest
from scipy import ndimage

from service.core import prepare
from service.errors import NotEligible
from tests.make.facts import grid

X, Y, Z = np.eye(3)
AXES = {"+x": X, "-x": -X, "+y": Y, "-y": -Y}


@pytest.mark.parametrize("column", AXES)
@pytest.mark.parametrize("row", AXES)
def test_every_axial_orientation_turns_to_anterior_and_right_and_back(row, column):
    if abs(AXES[row] @ AXES[column]) > 0:
        return
    place = grid(
        rows=2,
        columns=3,
        row_direction=tuple(AXES[row]),
        column_direction=tuple(AXES[column]),
        spacing=(2.0, 5.0),
    )
    turn = prepare.canonical_turn(place, "anterior", "right")
    numbers = np.arange(12).reshape(2, 2, 3)
    turned = turn.turn(numbers)
    assert (turn.turn_back(turned) == numbers).all()
    # Walk along the turned axes and look where that leads in the patient.
    index_of = {int(value): np.array(np.argwhere(numbers == value)[0], float) for value in turned.ravel()}
    start = place.to_patient(index_of[int(turned[0, 0, 0])])
    down = place.to_patient(index_of[int(turned[0, 1, 0])]) - start
    across = place.to_patient(index_of[int(turned[0, 0, 1])]) - start
    assert (down / np.linalg.norm(down)).tolist() == [0.0, 1.0, 0.0]
    assert (across / np.linalg.norm(across)).tolist() == [1.0, 0.0, 0.0]
    spacing = turn.pixel_spacing_mm(place)
    assert (np.linalg.norm(down), np.linalg.norm(across)) == spacing


def test_a_coronal_stack_cannot_be_turned_to_axial():
    coronal = grid(offsets=(0.0,), row_direction=(0.0, 0.0, -1.0))
    with pytest.raises(NotEligible):
        prepare.canonical_turn(coronal, "anterior", "right")


def test_resampling_keeps_the_field_of_view():
    assert prepare.resampled_shape((320, 300), (1.0, 0.5), (1.25, 1.25)) == (256, 120)
    ramp = np.tile(np.arange(8, dtype=np.float32) + 0.5, (4, 1))
    small = prepare.resample(ramp, (2, 4))
    assert small[0].tolist() == [1.0, 3.0, 5.0, 7.0]


@pytest.mark.parametrize(("before", "after"), [((5, 7), (3, 9)), ((1, 4), (3, 2)), ((8, 6), (10, 6))])
def test_resampling_a_stack_is_linear_interpolation_of_each_image(before, after):
    images = np.random.default_rng(1).random((2, 3, *before)).astype(np.float32)
    steps = np.array(before) / np.array(after)
    for image, found in zip(
        images.reshape(6, *before), prepare.resample(images, after).reshape(6, *after), strict=True
    ):
        expected = ndimage.affine_transform(
            image, steps, offset=(steps - 1) / 2, output_shape=after, order=1, mode="nearest"
        )
        assert np.allclose(found, expected, atol=1e-6)


def test_an_image_of_the_wanted_size_is_left_alone():
    image = np.ones((4, 5), np.float32)
    assert prepare.resample(image, (4, 5)) is image


def test_blurring_before_a_coarser_grid_takes_out_a_checkerboard():
    checkers = (np.indices((32, 32)).sum(axis=0) % 2).astype(np.float32)
    blurred = prepare.resample(checkers, (8, 8), blur=True)
    assert abs(float(blurred.mean()) - 0.5) < 0.05
    assert float(blurred.std()) < 0.05


def test_padding_adds_zeros_below_and_to_the_right():
    padded = prepare.pad_to_multiple(np.ones((3, 5), np.float32), 4)
    assert padded.shape == (4, 8)
    assert padded.sum() == 15


def test_normalising_divides_and_clips():
    image = np.array([[-1.0, 50.0, 500.0]], np.float32)
    assert prepare.normalise(image, 100.0, (0.0, 2.0)).tolist() == [[0.0, 0.5, 2.0]]


def test_an_image_without_signal_has_scale_one():
    assert prepare.positive_percentile(np.zeros((2, 2), np.float32), 99.0) == 1.0
    assert prepare.positive_percentile(np.array([0.0, 4.0], np.float32), 99.0) == 4.0
