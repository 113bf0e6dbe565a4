import numpy as np
import pytest

from service.core.fat import FatReference, separate_fat
from service.errors import NotAssessable

REFERENCE = FatReference(percentile=80.0, band_mm=(3.0, 20.0), threshold=0.5)
SPACING = (1.0, 1.0)


def torso(*, muscle=100.0, fat=400.0, inside_fat=380.0, slope=0.0, slices=2):
    """A body with a rim of fat, one block of muscle near the back, and a square of fat in it."""
    image = np.zeros((slices, 120, 120), np.float32)
    image[:, 10:110, 10:110] = fat
    image[:, 30:90, 20:100] = 150.0
    image[:, 60:90, 30:90] = muscle
    image[:, 70:76, 40:50] = inside_fat
    image *= np.linspace(1.0, 1.0 + slope, 120, dtype=np.float32)[:, None]
    compartment = np.zeros(image.shape, bool)
    compartment[:, 60:90, 30:90] = True
    truth = np.zeros(image.shape, bool)
    truth[:, 70:76, 40:50] = True
    return image, compartment, truth


def test_bright_fat_is_found_where_it_is():
    image, compartment, truth = torso()
    assert (separate_fat(image, compartment, SPACING, "fat_reference_bright", REFERENCE) == truth).all()


def test_a_smooth_change_of_brightness_does_not_become_fat():
    image, compartment, truth = torso(slope=1.5)
    found = separate_fat(image, compartment, SPACING, "fat_reference_bright", REFERENCE)
    assert (found == truth).mean() > 0.999


def test_on_water_images_fat_is_what_is_dark():
    image, compartment, truth = torso(muscle=300.0, fat=20.0, inside_fat=20.0)
    assert (separate_fat(image, compartment, SPACING, "muscle_reference_dark", REFERENCE) == truth).all()


def test_fat_suppressed_images_are_withheld():
    image, compartment, _ = torso(fat=90.0, inside_fat=90.0)
    with pytest.raises(NotAssessable) as error:
        separate_fat(image, compartment, SPACING, "fat_reference_bright", REFERENCE)
    assert error.value.reason.code == "no_fat_reference"


def test_no_muscle_gives_no_reference():
    image, compartment, _ = torso()
    with pytest.raises(NotAssessable):
        separate_fat(image, compartment & False, SPACING, "fat_reference_bright", REFERENCE)
    assert not separate_fat(image, compartment & False, SPACING, "muscle_reference_dark", REFERENCE).any()


def test_an_unknown_method_is_withheld():
    image, compartment, _ = torso()
    with pytest.raises(NotAssessable) as error:
        separate_fat(image, compartment, SPACING, "magic", REFERENCE)
    assert error.value.reason.code == "unknown_fat_method"


def test_a_slice_without_muscle_has_no_fat():
    image, compartment, truth = torso(slices=3)
    compartment[1] = False
    truth[1] = False
    assert (separate_fat(image, compartment, SPACING, "fat_reference_bright", REFERENCE) == truth).all()


def test_a_few_pixels_of_muscle_use_their_median():
    image, compartment, _ = torso()
    few = np.zeros_like(compartment)
    few[:, 80:84, 60:64] = True
    assert not separate_fat(image, few, SPACING, "fat_reference_bright", REFERENCE).any()


def test_a_body_without_a_band_behind_the_muscle_gives_no_reference():
    image = np.zeros((1, 40, 40), np.float32)
    image[:, 10:30, 10:30] = 100.0
    with pytest.raises(NotAssessable):
        separate_fat(image, image > 0, SPACING, "fat_reference_bright", REFERENCE)
