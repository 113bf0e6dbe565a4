import numpy as np
import pytest

from service.core.fat import FatReference, fat_of_stack, separate_fat
from service.core.volume import Grid, Volume
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


def fatty(share, *, muscle=100.0, fat=400.0, seed=3, slices=2):
    """The same body with a share of the muscle replaced by fat, pixel by pixel."""
    image, compartment, _ = torso(muscle=muscle, fat=fat, inside_fat=muscle, slices=slices)
    chance = np.random.default_rng(seed).random(image.shape)
    truth = compartment & (chance < share)
    image[truth] = fat
    return image, compartment, truth


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.4, 0.5])
def test_much_fat_does_not_pull_up_what_counts_as_muscle(share):
    image, compartment, truth = fatty(share)
    image *= np.random.default_rng(1).normal(1.0, 0.05, image.shape).astype(np.float32)
    found = separate_fat(image, compartment, SPACING, "fat_reference_bright", REFERENCE)
    assert (found == truth).mean() > 0.9999


@pytest.mark.parametrize("share", [0.0, 0.25, 0.4])
def test_much_fat_does_not_pull_down_what_counts_as_muscle_on_water_images(share):
    image, compartment, truth = fatty(share, muscle=300.0, fat=40.0)
    image *= np.random.default_rng(1).normal(1.0, 0.05, image.shape).astype(np.float32)
    found = separate_fat(image, compartment, SPACING, "muscle_reference_dark", REFERENCE)
    assert (found == truth).mean() > 0.9999


def test_a_coil_behind_the_back_makes_no_fat_and_hides_none():
    image, compartment, truth = fatty(0.2)
    image *= np.exp(np.linspace(-2.0, 0.0, 120, dtype=np.float32))[:, None]
    found = separate_fat(image, compartment, SPACING, "fat_reference_bright", REFERENCE)
    assert (found == truth).mean() > 0.999


def test_slices_of_different_brightness_are_judged_alike():
    image, compartment, truth = fatty(0.2, slices=5)
    image[2] *= 0.8
    found = separate_fat(image, compartment, SPACING, "fat_reference_bright", REFERENCE)
    assert (found == truth).all()


def test_half_fat_is_the_border():
    """Muscle 100 and fat 400: 235 is 45 % fat, 265 is 55 %."""
    image, compartment, _ = torso(inside_fat=100.0)
    image[:, 62:64, 40:80] = 235.0
    image[:, 84:86, 40:80] = 265.0
    found = separate_fat(image, compartment, SPACING, "fat_reference_bright", REFERENCE)
    assert found.sum() == found[:, 84:86, 40:80].sum() == 2 * 2 * 40


def test_on_water_images_the_signal_left_in_fat_counts():
    """Muscle 300 and fat 90: half-way is 195, not half of the muscle."""
    image, compartment, _ = torso(muscle=300.0, fat=90.0, inside_fat=300.0)
    image[:, 62:64, 40:80] = 180.0
    found = separate_fat(image, compartment, SPACING, "muscle_reference_dark", REFERENCE)
    assert found.sum() == found[:, 62:64, 40:80].sum() == 2 * 2 * 40


def test_thin_subcutaneous_fat_is_reference_enough():
    image, compartment, truth = torso()
    image[:, 93:] = 0.0
    found = separate_fat(image, compartment, SPACING, "fat_reference_bright", REFERENCE)
    assert (found == truth).all()


def test_plenty_of_fat_inside_the_muscle_corrects_the_reference_behind_it():
    """Fat behind is brighter than inside, as near a coil that the field does not follow."""
    image, compartment, truth = torso(fat=700.0, inside_fat=420.0)
    image[:, 65:85, 35:55] = 420.0
    truth[:, 65:85, 35:55] = True
    image[:, 61:63, 32:58] = 330.0
    inside = separate_fat(image, compartment, SPACING, "fat_reference_bright", REFERENCE)
    assert inside[truth].mean() > 0.99
    assert inside[:, 61:63, 32:58].all()
    image, compartment, _ = torso(fat=700.0, inside_fat=100.0)
    image[:, 61:63, 32:58] = 330.0
    assert not separate_fat(image, compartment, SPACING, "fat_reference_bright", REFERENCE).any()


def test_noise_as_large_as_the_difference_is_withheld():
    image, compartment, _ = torso(fat=150.0, inside_fat=150.0)
    assert separate_fat(image, compartment, SPACING, "fat_reference_bright", REFERENCE).any()
    image += np.random.default_rng(2).normal(0.0, 20.0, image.shape).astype(np.float32)
    with pytest.raises(NotAssessable) as error:
        separate_fat(image, compartment, SPACING, "fat_reference_bright", REFERENCE)
    assert error.value.reason.code == "no_fat_reference"


def test_the_fat_of_a_stack_that_lies_on_its_side_stays_where_it_is():
    """Rows that run to the patient's left, columns to the back, slices to the feet."""
    image, compartment, truth = torso()
    truth[0] = False
    image[0, 70:76, 40:50] = 100.0
    grid = Grid(
        origins_mm=np.array([[0.0, 0.0, 5.0], [0.0, 0.0, 0.0]]),
        column_direction=np.array([0.0, 1.0, 0.0]),
        row_direction=np.array([1.0, 0.0, 0.0]),
        pixel_spacing_mm=SPACING,
        rows=120,
        columns=120,
    )
    on_its_side = [array[::-1].transpose(0, 2, 1) for array in (image, compartment, truth)]
    volume = Volume(values=on_its_side[0], grid=grid)
    orientation = ("anterior", "right")
    found = fat_of_stack(volume, on_its_side[1], orientation, "fat_reference_bright", REFERENCE)
    assert (found == on_its_side[2]).all()
