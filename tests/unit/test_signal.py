"""Signal of the muscles, and voids such as metal leaves them."""

import numpy as np
import pytest

from service.core.compartment import Compartment
from service.core.signal import check_signal
from service.core.volume import Volume
from service.dicom.phantom import paraspinal_phantom
from tests.make.facts import grid

MUSCLE, MARROW, BONE = 100.0, 150.0, 10.0
L, R = int(Compartment.LEFT), int(Compartment.RIGHT)
SIZE = (100, 120)


def back(slices=3):
    """Two muscles of 40 x 30 mm with marrow between them and air around, on pixels of 1 mm."""
    image = np.zeros((slices, *SIZE), np.float32)
    image[:, 5:80, 5:115] = MARROW
    labels = np.zeros(image.shape, np.uint8)
    labels[:, 30:70, 20:50], labels[:, 30:70, 70:100] = R, L
    image[labels > 0] = MUSCLE
    return image, labels


def dark_disc(image, row, column, radius, *, of=slice(None), value=2.0):
    """Darkness of that radius in mm in some slices."""
    rows, columns = np.indices(image.shape[1:])
    image[of, np.hypot(rows - row, columns - column) <= radius] = value
    return image


def looked_at(image, labels, *, fat_is_dark=False, **changes):
    place = grid(
        rows=image.shape[1],
        columns=image.shape[2],
        spacing=(1.0, 1.0),
        offsets=tuple(5.0 * k for k in range(len(image))),
        **changes,
    )
    volume = Volume(values=image.astype(np.float32), grid=place)
    checks = check_signal(volume, labels, ("anterior", "right"), fat_is_dark=fat_is_dark)
    return {check.check: check for check in checks}


def test_muscle_without_noise_or_void_passes():
    checks = looked_at(*back())
    assert [check.passed for check in checks.values()] == [True, True]
    assert checks["no_signal_void"].detail == "No void of 8 mm across lies in or between the muscles."


def test_where_nothing_is_drawn_nothing_is_said():
    image, labels = back()
    assert looked_at(image, np.zeros_like(labels)) == {}


@pytest.mark.parametrize(("ratio", "passed"), [(1.5, False), (4.0, True)])
def test_noise_is_measured_within_the_muscle(ratio, passed):
    image, labels = back()
    noise = np.random.default_rng(1).normal(0.0, MUSCLE / ratio, image.shape)
    assert looked_at(image + noise, labels)["enough_signal"].passed is passed


def test_pure_noise_is_no_muscle():
    image, labels = back()
    two = np.random.default_rng(2).normal(0.0, 1.0, (2, *image.shape))
    check = looked_at(np.hypot(*two), labels)["enough_signal"]
    assert not check.passed
    assert check.detail == "Muscle is 2.0 times its noise; at least 2.5 expected."


def test_an_image_without_any_signal_fails():
    image, labels = back()
    check = looked_at(np.zeros_like(image), labels)["enough_signal"]
    assert check.detail == "Muscle is 0.0 times its noise; at least 2.5 expected."


@pytest.mark.parametrize(
    ("row", "column"),
    [(50, 60), (50, 35), (50, 85), (50, 52)],
    ids=["between", "right", "left", "at the border"],
)
def test_a_void_in_or_between_the_muscles_is_found(row, column):
    image, labels = back()
    check = looked_at(dark_disc(image, row, column, 6, of=1), labels)["no_signal_void"]
    assert not check.passed
    assert "as metal leaves them, in 1 of 3 slices." in check.detail


def test_bone_is_as_dark_and_thinner():
    image, labels = back()
    dark_disc(image, 50, 60, 3, value=BONE)
    image[:, 30:70, 59:62] = BONE
    assert looked_at(image, labels)["no_signal_void"].passed


def test_air_behind_the_back_and_the_lung_before_it_are_no_void():
    image, labels = back()
    image[:, 62:, 55:65] = 0.0
    assert looked_at(image, labels)["no_signal_void"].passed
    image, labels = back()
    assert looked_at(dark_disc(image, 12, 60, 9), labels)["no_signal_void"].passed


def test_a_void_that_fills_a_slice_does_not_hide_itself():
    image, labels = back()
    dark_disc(image, 50, 35, 12, of=1)
    dark_disc(image, 50, 85, 12, of=1)
    assert not looked_at(image, labels)["no_signal_void"].passed


def test_a_fatty_muscle_is_no_void_beside_its_fat():
    image, labels = back()
    image[:, 34:70, 20:50] = 8 * MUSCLE
    image[:, 34:60, 70:100] = 8 * MUSCLE
    assert looked_at(image, labels)["no_signal_void"].passed


def test_on_a_water_image_no_void_is_looked_for():
    image, labels = back()
    check = looked_at(dark_disc(image, 50, 60, 6), labels, fat_is_dark=True)["no_signal_void"]
    assert check.passed
    assert check.detail == "Not looked for: on a water image fat is as dark as a void."


def test_a_slice_with_hardly_any_muscle_has_no_say():
    image, labels = back()
    labels[0] = 0
    labels[0, 30, 20:25] = R
    image[0] = 0.0
    assert all(check.passed for check in looked_at(image, labels).values())


def test_the_sides_may_lie_either_way_in_the_image():
    image, labels = back()
    dark_disc(image, 50, 60, 6)
    turned = looked_at(
        image[:, ::-1, ::-1], labels[:, ::-1, ::-1], column_direction=(-1.0, 0, 0), row_direction=(0, -1.0, 0)
    )
    assert not turned["no_signal_void"].passed


@pytest.mark.parametrize("contrast", ["t2_tse", "t2_haste", "t1", "in_phase"])
def test_the_phantom_has_signal_and_no_void(contrast):
    phantom = paraspinal_phantom(contrast=contrast, slices=6)
    checks = looked_at(phantom.image, (phantom.labels > 0).astype(np.uint8))
    assert all(check.passed for check in checks.values())
