import numpy as np
import pytest
from scipy import ndimage

from service.core.compartment import Compartment, agreement, clean_compartment, fill_holes
from service.core.language import GERMAN_WORDS
from service.core.mask import Label, two_class_mask
from service.core.quality import check_compartment, check_identity
from service.core.status import WITHIN_SERIES
from tests.make.facts import grid

L, R = int(Compartment.LEFT), int(Compartment.RIGHT)


def two_sides(left=L, right=R, slices=4):
    """Two squares of 4 cm2 on 1 mm pixels; column 0 is the patient's right."""
    labels = np.zeros((slices, 40, 60), np.uint8)
    labels[:, 10:30, 5:25] = right
    labels[:, 10:30, 35:55] = left
    return labels


def looked_at(labels, *, plain=None, mirrored=None, **grid_changes):
    grid_changes.setdefault("offsets", tuple(4.0 * k for k in range(len(labels))))
    place = grid(rows=labels.shape[1], columns=labels.shape[2], spacing=(1.0, 1.0), **grid_changes)
    checks = check_compartment(labels, place, labels if plain is None else plain, mirrored)
    return {check.check: check.passed for check in checks}


def test_specks_go_and_holes_close():
    labels = two_sides()
    labels[:, 15:18, 10:13] = 0  # a pocket of fat
    labels[0, 0, 0] = R  # a speck elsewhere
    assert (clean_compartment(labels) == two_sides()).all()


def test_filling_does_what_scipy_does():
    noise = np.random.default_rng(3).random((40, 50)) < 0.6
    assert (fill_holes(noise) == ndimage.binary_fill_holes(noise)).all()
    assert not fill_holes(np.zeros((4, 4), bool)).any()


def test_a_side_that_is_absent_stays_absent():
    assert not clean_compartment(np.zeros((2, 5, 5), np.uint8)).any()


def test_filling_one_side_never_takes_from_the_other():
    labels = np.zeros((1, 9, 9), np.uint8)
    labels[0, 1:8, 1:8] = L
    labels[0, 3:6, 3:6] = R
    cleaned = clean_compartment(labels)
    assert (cleaned == R).sum() == 0 or (cleaned == L).sum() > 0
    assert (cleaned[0, 1, 1:8] == L).all()


def test_dice_of_halves_and_of_nothing():
    one = np.array([True, True, False])
    assert agreement(one, np.array([True, False, False])) == pytest.approx(2 / 3)
    assert agreement(~one & one, ~one & one) == 1.0


def test_two_plausible_sides_pass_every_check():
    labels = two_sides()
    assert all(looked_at(labels, mirrored=labels).values())


def test_without_test_time_mirroring_there_is_no_mirror_check():
    assert "mirror_agreement" not in looked_at(two_sides())


@pytest.mark.parametrize(
    ("labels", "check"),
    [
        (two_sides(left=0), "both_sides_found"),
        (two_sides(left=0, right=0), "both_sides_found"),
        (two_sides(left=R, right=L), "sides_by_patient_coordinates"),
    ],
)
def test_a_missing_or_swapped_side_fails(labels, check):
    assert looked_at(labels)[check] is False


def test_a_side_that_is_too_small_or_much_smaller_fails():
    labels = two_sides()
    labels[:, 10:30, 35:55] = 0
    labels[:, 10:18, 35:55] = L
    found = looked_at(labels)
    assert found["plausible_area"] is False
    assert found["plausible_symmetry"] is False


def test_muscle_in_few_slices_fails():
    labels = two_sides(slices=8)
    labels[3:] = 0
    assert looked_at(labels)["slices_with_muscle"] is False


def test_muscle_at_the_image_border_fails():
    labels = two_sides()
    labels[:, 10:30, 0:5] = R
    assert looked_at(labels)["inside_field_of_view"] is False


def test_a_network_that_contradicts_itself_fails():
    mirrored = np.roll(two_sides(), 12, axis=1)
    assert looked_at(two_sides(), mirrored=mirrored)["mirror_agreement"] is False


@pytest.mark.parametrize("told", [True, False])
def test_the_two_classes_share_the_compartment_by_side(told):
    compartment = np.zeros((1, 2, 4), np.uint8)
    compartment[0, :, :2], compartment[0, :, 2:] = Compartment.RIGHT, Compartment.LEFT
    fat = np.zeros(compartment.shape, bool)
    fat[0, 0] = True
    mask = two_class_mask(compartment, fat if told else None, grid(rows=2, columns=4, offsets=(0.0,)))
    lean = [[Label.LEAN_RIGHT] * 2 + [Label.LEAN_LEFT] * 2]
    imat = [[Label.IMAT_RIGHT] * 2 + [Label.IMAT_LEFT] * 2]
    assert mask.labels[0].tolist() == ((imat if told else lean) + lean)
    assert mask.fat_separated is told


@pytest.mark.parametrize(
    ("disagrees", "told"),
    [
        ((), None),
        (("PatientID", "PatientSex"), "The series of the study disagree in PatientID, PatientSex."),
        ((WITHIN_SERIES,), "The images of one series disagree about the person."),
        (
            ("PatientBirthDate", WITHIN_SERIES),
            (
                "The series of the study disagree in PatientBirthDate. "
                "The images of one series disagree about the person."
            ),
        ),
    ],
)
def test_images_of_several_people_are_a_note_that_names_attributes(disagrees, told):
    details = [check.detail for check in check_identity(disagrees) if not check.passed]
    assert details == ([] if told is None else [f"{told} Nothing was compared with earlier studies."])
    for detail in details:
        german = GERMAN_WORDS.reason("identity_agrees", detail)
        assert german.endswith("Mit früheren Studien wurde nichts verglichen.")
        assert all(keyword in german for keyword in disagrees if keyword != WITHIN_SERIES)
