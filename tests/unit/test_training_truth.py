"""The synthetic truth that networks and fat methods are judged by."""

import numpy as np
import pytest

from models.training.dose import Answer, Response, add_fat, answer
from models.training.volumes import draw_volume


def test_a_seed_gives_the_same_stack_again_and_another_seed_another():
    one, again, other = draw_volume(4), draw_volume(4), draw_volume(5)
    assert np.array_equal(one.image, again.image)
    assert one.image.shape != other.image.shape or not np.array_equal(one.image, other.image)


@pytest.mark.parametrize(("asked", "least", "most"), [(0.0, 0.0, 0.0), (0.3, 0.1, 0.45)])
def test_the_fat_that_is_asked_for_is_there(asked, least, most):
    made = draw_volume(7, "t1", asked)
    for side in (1, 2):
        assert least <= made.imat[made.side == side].mean() <= most
    assert made.volume.grid.shape == made.image.shape


def test_bright_fat_is_bright_and_dark_fat_dark_in_the_contrast():
    for contrast, brighter in (("t2_tse", True), ("water", False)):
        made = draw_volume(7, contrast, 0.3)
        lean = made.image[(made.side > 0) & (made.fat_share < 0.1)].mean()
        assert (made.image[made.imat].mean() > lean) == brighter


def person():
    """Muscle with water 400 between fat of 1000, and a pixel of the muscle that is fat already."""
    water, fat = np.full((3, 60, 60), 20.0, np.float32), np.full((3, 60, 60), 1000.0, np.float32)
    side = np.zeros((3, 60, 60), np.uint8)
    side[:, 20:40, 8:28], side[:, 20:40, 32:52] = 1, 2
    water[side > 0], fat[side > 0] = 400.0, 20.0
    water[1, 30, 20], fat[1, 30, 20] = 20.0, 1000.0
    return water, fat, side


def test_without_a_dose_the_truth_is_that_of_the_dixon_pair():
    water, fat, side = person()
    dosed = add_fat(water, fat, side, (4.0, 1.0, 1.0), 0.0, seed=1)
    assert np.argwhere(dosed.imat).tolist() == np.argwhere(dosed.dixon).tolist() == [[1, 30, 20]]
    assert np.array_equal(dosed.water, water)


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_a_dose_fills_its_share_and_by_signal_more_than_its_volume(share):
    water, fat, side = person()
    dosed = add_fat(water, fat, side, (4.0, 1.0, 1.0), share, seed=1)
    for number in (1, 2):
        assert dosed.imat[side == number].mean() == pytest.approx(share, abs=0.05)
    assert dosed.dixon.sum() > dosed.imat.sum()
    assert np.array_equal(dosed.water[side == 0], water[side == 0])


def of(true, measured, *, right=0.0, left=0.0, dice=0.9):
    return Answer(true=true, measured=measured, right_error=right, left_error=left, dice=dice)


def test_a_response_is_slope_error_and_sides():
    found = Response.of([of(0, 1, right=1), of(10, 11, right=1), of(20, 21, right=1, dice=0.7)])
    assert (found.slope, found.intercept) == pytest.approx((1.0, 1.0))
    assert (found.bias, found.mean_absolute_error, found.right_minus_left) == pytest.approx((1, 1, 1))
    assert found.dice == pytest.approx(0.8)
    assert not found.admitted


def test_a_constant_answer_is_not_admitted_even_where_its_error_is_small():
    near = [of(true, 4.0) for true in (2.0, 3.0, 5.0, 6.0)]
    assert Response.of(near).mean_absolute_error < 2
    assert not Response.of(near).admitted
    assert Response.of([of(true, 1.05 * true) for true in (0.0, 10.0, 40.0)]).admitted


def test_an_answer_is_by_side_and_in_the_mask_that_was_drawn():
    side = np.array([[1, 1, 2, 2]], np.uint8)
    drawn = np.array([[1, 1, 2, 0]], np.uint8)
    fat, found = np.array([[True, False, False, True]]), np.array([[True, True, False, False]])
    told = answer(found, fat, drawn, side)
    assert (told.true, told.measured) == pytest.approx((50.0, 200 / 3))
    assert (told.right_error, told.left_error) == pytest.approx((50.0, -50.0))
    assert told.dice == pytest.approx(0.5)
