import pytest

from service.core.mask import Label
from service.core.measure import asymmetry, measure_muscles
from tests.make.facts import mask

B, LL, LR, FL, FR = (int(label) for label in Label)


def test_a_quarter_of_the_left_and_half_of_the_right_compartment_is_fat():
    # 1 cm2 pixels, 1 cm steps: one voxel is one millilitre.
    found = measure_muscles(mask([[[LR, FR, LL, LL], [B, B, LL, FL]]] * 2), height_m=2.0)
    assert found.left.compartment_ml == pytest.approx(8.0)
    assert found.left.imat_fraction == pytest.approx(0.25)
    assert found.right.imat_fraction == pytest.approx(0.5)
    assert found.total.lmm_ml == pytest.approx(8.0)
    assert found.total.imat_ml == pytest.approx(4.0)
    assert found.lmm_height_index_ml_m2 == pytest.approx(2.0)
    assert found.asymmetry.compartment_ml == pytest.approx((8 - 4) / 12)
    assert found.asymmetry.imat_fraction == pytest.approx((0.25 - 0.5) / 0.75)
    assert found.left.mean_csa_cm2 == pytest.approx(4.0)
    assert found.left.mean_lean_csa_cm2 == pytest.approx(3.0)


def test_uneven_slices_count_for_the_length_they_stand_for():
    found = measure_muscles(mask([[[LL]], [[LL]], [[LL]]], offsets=(0.0, 10.0, 30.0)), height_m=None)
    assert found.left.compartment_ml == pytest.approx(1.0 + 1.5 + 2.0)
    assert found.lmm_height_index_ml_m2 is None


def test_area_is_the_mean_over_slices_that_show_the_side():
    found = measure_muscles(mask([[[LL, LL]], [[B, B]]]), height_m=None)
    assert found.left.mean_csa_cm2 == pytest.approx(2.0)


def test_without_fat_separation_lean_and_fat_are_withheld_and_the_compartment_is_not():
    found = measure_muscles(mask([[[LL, LR]]] * 2, fat_separated=False), height_m=1.8)
    assert found.left.compartment_ml == pytest.approx(2.0)
    assert found.left.lmm_ml is None
    assert found.total.imat_fraction is None
    assert found.lmm_height_index_ml_m2 is None
    assert found.profile[0].left_lean_cm2 is None
    assert found.asymmetry.imat_fraction is None


def test_a_missing_side_has_no_share():
    found = measure_muscles(mask([[[LL]]] * 2), height_m=None)
    assert found.right.compartment_ml == 0
    assert found.right.imat_fraction is None
    assert found.right.mean_csa_cm2 == 0
    assert found.right.mean_lean_csa_cm2 == 0
    assert found.asymmetry.compartment_ml == 1.0


def test_nothing_on_both_sides_has_no_asymmetry():
    assert asymmetry(0.0, 0.0) is None


def test_the_profile_runs_from_the_feet_to_the_head_whatever_the_slice_order():
    upwards = measure_muscles(mask([[[LL]], [[B]]], offsets=(0.0, 10.0)), height_m=None).profile
    downwards = measure_muscles(mask([[[LL]], [[B]]], offsets=(10.0, 0.0)), height_m=None).profile
    assert [point.position_mm for point in upwards] == [0.0, 10.0]
    assert [point.left_lean_cm2 for point in upwards] == [1.0, 0.0]
    assert [point.left_lean_cm2 for point in downwards] == [0.0, 1.0]
