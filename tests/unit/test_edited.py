"""Masks that a person edited: segments by what is said of them, places by patient coordinates, agreement."""

import math
from dataclasses import replace

import numpy as np
import pytest

from service.core import edited_statistics as statistics
from service.core.blocks import is_of_block, of_block
from service.core.edited import (
    Described,
    check_edited,
    is_edited,
    join_segments,
    labels_of,
    of_edited,
    require_whole,
)
from service.core.edited_agreement import dice, segment_agreement, shares_a_slice
from service.core.edited_grid import Plane, lay, place
from service.core.finding import Definition
from service.core.mask import Label, Mask
from service.errors import EditRefused
from tests.make.results import straight_grid

DEFINITION = Definition(id="two-class", version="2", network="n@1", boundary_rule="r", fat_method=None)
SHAPE = (3, 8, 10)


def said(number=1, name="Paraspinal muscle left", tissue=None, side=None, tracking_uid=""):
    return Described(number=number, names=(name,), tissue=tissue, side=side, tracking_uid=tracking_uid)


def refused(act, *arguments, **named):
    with pytest.raises(EditRefused) as caught:
        act(*arguments, **named)
    return caught.value.reason.code


# The definition


def test_what_a_person_edited_has_a_definition_of_its_own_also_of_a_block():
    edited = of_edited(DEFINITION)
    assert (edited.id, is_edited(edited.id), is_edited(DEFINITION.id)) == ("two-class-edited", True, False)
    block = of_edited(of_block(DEFINITION))
    assert (block.id, is_edited(block.id), is_of_block(block.id)) == ("two-class-edited-block", True, True)
    assert of_edited(edited) == edited
    assert of_edited(block) == block


# Which segment is which


@pytest.mark.parametrize(
    "described",
    [
        said(),
        said(name="paraspinal muscle LEFT (edited)"),
        said(name="Lean muscle", tissue="muscle", side="left"),
        said(name="1", tracking_uid="2.25.1"),
    ],
)
def test_a_segment_is_known_by_its_name_its_codes_or_its_tracking_uid(described):
    assert labels_of([described], {"2.25.1": Label.LEAN_LEFT}) == {1: Label.LEAN_LEFT}


def test_segments_of_something_else_are_left_out():
    vertebra = said(number=9, name="L3 vertebra", tissue=None, side=None)
    thigh = said(number=8, name="Quadriceps left", tissue="muscle", side="left")
    found = labels_of([vertebra, thigh, said(number=2, name="Intermuscular fat right")], {})
    assert found == {2: Label.IMAT_RIGHT}


@pytest.mark.parametrize(
    ("segments", "code"),
    [
        ([said(side="right")], "edit_segment_contradicts"),
        ([said(tissue="fat")], "edit_segment_contradicts"),
        ([said(name="Paraspinal muscle")], "edit_segment_contradicts"),
        ([said(name="Paraspinal muscle left and right")], "edit_segment_contradicts"),
        ([said(name="Paraspinal muscle right", tracking_uid="2.25.1")], "edit_segment_contradicts"),
        ([said(), said(number=2)], "edit_segment_twice"),
        ([said(name="L3 vertebra")], "edit_segments_unknown"),
        ([], "edit_segments_unknown"),
    ],
)
def test_what_is_not_sure_is_not_guessed(segments, code):
    assert refused(labels_of, segments, {"2.25.1": Label.LEAN_LEFT}) == code


def test_a_voxel_belongs_to_one_segment_alone():
    one, other = np.zeros((1, 2, 2), bool), np.zeros((1, 2, 2), bool)
    one[0, 0, 0] = other[0, 1, 1] = True
    joined = join_segments({Label.LEAN_LEFT: one, Label.IMAT_LEFT: other}, (1, 2, 2))
    assert joined.tolist() == [[[1, 0], [0, 3]]]
    other[0, 0, 0] = True
    with pytest.raises(EditRefused, match=r"^1 voxels") as caught:
        join_segments({Label.LEAN_LEFT: one, Label.IMAT_LEFT: other}, (1, 2, 2))
    assert caught.value.reason.code == "edit_overlap"


# What must be there


def both_sides():
    """The patient's left is at large x, which are the high columns of a straight grid."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, 2:6, 6:9], labels[:, 2:6, 1:4] = Label.LEAN_LEFT, Label.LEAN_RIGHT
    labels[:, 3, 7], labels[:, 3, 2] = Label.IMAT_LEFT, Label.IMAT_RIGHT
    return labels


ALL = (Label.LEAN_LEFT, Label.LEAN_RIGHT, Label.IMAT_LEFT, Label.IMAT_RIGHT)


def test_everything_must_be_there_that_the_automatic_drawing_tells_apart():
    labels = both_sides()
    require_whole(labels, ALL, labels, fat_separated=True)
    lean = np.where(labels == Label.IMAT_LEFT, Label.LEAN_LEFT, labels)
    lean = np.where(lean == Label.IMAT_RIGHT, Label.LEAN_RIGHT, lean)
    require_whole(lean, ALL[:2], lean, fat_separated=True)
    require_whole(lean, ALL[:2], lean, fat_separated=False)
    whole = {"automatic": labels, "fat_separated": True}
    assert refused(require_whole, lean, ALL[:2], **whole) == "edit_segment_missing"
    require_whole(lean, ALL, **whole)  # Somebody wiped all fat out, and said so.
    for side in (Label.LEAN_LEFT, Label.LEAN_RIGHT):
        assert (
            refused(require_whole, np.where(labels == side, 0, labels), ALL, **whole) == "edit_side_missing"
        )
    assert refused(require_whole, labels, ALL, lean, fat_separated=False) == "edit_fat_not_separated"


def test_sides_are_told_by_patient_coordinates():
    grid = straight_grid(SHAPE)
    checks = check_edited(both_sides(), grid)
    assert [check.check for check in checks][::7] == ["edited", "predicted_dice"]
    assert {check.check: check.passed for check in checks}["sides_by_patient_coordinates"] is True
    swapped = both_sides()
    swapped[1] = swapped[1, :, ::-1]
    assert refused(check_edited, swapped, grid) == "edit_sides_swapped"
    one_side = both_sides()
    one_side[2, :, :5] = 0
    assert check_edited(one_side, grid)


def test_a_slice_with_one_side_is_told_by_its_neighbours():
    grid, swapped = straight_grid(SHAPE), both_sides()[:, :, ::-1]
    one_side = both_sides()
    one_side[2] = np.where(np.isin(swapped[2], (Label.LEAN_LEFT, Label.IMAT_LEFT)), swapped[2], 0)
    assert refused(check_edited, one_side, grid) == "edit_sides_swapped"
    one_side[2] = np.where(np.isin(swapped[2], (Label.LEAN_RIGHT, Label.IMAT_RIGHT)), swapped[2], 0)
    assert refused(check_edited, one_side, grid) == "edit_sides_swapped"


@pytest.mark.parametrize(("flip", "taken"), [(False, True), (True, False)])
def test_slices_with_one_side_each_are_told_by_each_other(flip, taken):
    labels = both_sides()
    labels = labels[:, :, ::-1].copy() if flip else labels
    left, right = ((Label.LEAN_LEFT, Label.IMAT_LEFT), (Label.LEAN_RIGHT, Label.IMAT_RIGHT))
    for index in range(len(labels)):
        labels[index][np.isin(labels[index], left if index % 2 else right)] = 0
    grid = straight_grid(SHAPE)
    if taken:
        assert check_edited(labels, grid)
    else:
        assert refused(check_edited, labels, grid) == "edit_sides_swapped"


# Where frames lie


GRID = replace(straight_grid(SHAPE), pixel_spacing_mm=(2.0, 1.5))


def plane(**changes):
    usual = Plane(
        position_mm=np.array([0.0, 0.0, 5.0]),
        column_direction=np.array([1.0, 0.0, 0.0]),
        row_direction=np.array([0.0, 1.0, 0.0]),
        pixel_spacing_mm=(2.0, 1.5),
        rows=8,
        columns=10,
    )
    return replace(usual, **changes)


def laid(inside, where):
    target = np.zeros(SHAPE, bool)
    lay(inside, place(where, GRID), target)
    return target


def test_a_frame_lies_where_its_pixels_lie_in_the_patient():
    inside = np.zeros((8, 10), bool)
    inside[1, 2] = True
    assert np.argwhere(laid(inside, plane())).tolist() == [[1, 1, 2]]
    mirrored = plane(
        position_mm=np.array([13.5, 14.0, 10.0]),
        column_direction=np.array([-1.0, 0.0, 0.0]),
        row_direction=np.array([0.0, -1.0, 0.0]),
    )
    assert np.argwhere(laid(inside, mirrored)).tolist() == [[2, 6, 7]]
    turned = plane(
        column_direction=np.array([0.0, 1.0, 0.0]),
        row_direction=np.array([1.0, 0.0, 0.0]),
        pixel_spacing_mm=(1.5, 2.0),
        rows=10,
        columns=8,
    )
    assert np.argwhere(laid(inside.T, turned)).tolist() == [[1, 1, 2]]
    cut = plane(position_mm=np.array([3.0, 2.0, 0.0]), rows=2, columns=2)
    assert np.argwhere(laid(np.eye(2, dtype=bool), cut)).tolist() == [[0, 1, 2], [0, 2, 3]]


def test_rounding_of_written_positions_does_no_harm():
    inside = np.ones((8, 10), bool)
    near = plane(position_mm=np.array([0.1, -0.1, 5.3]), pixel_spacing_mm=(2.001, 1.5))
    assert laid(inside, near)[1].all()


@pytest.mark.parametrize(
    "changes",
    [
        {"position_mm": np.array([0.0, 0.0, 7.5])},
        {"position_mm": np.array([0.5, 0.0, 5.0])},
        {"pixel_spacing_mm": (1.5, 2.0)},
        {"pixel_spacing_mm": (2.0, 1.6)},
        {
            "column_direction": np.array([0.999, 0.0447, 0.0]),
            "row_direction": np.array([-0.0447, 0.999, 0.0]),
        },
        {"column_direction": np.array([0.0, 0.0, 1.0])},
        {"row_direction": np.array([1.0, 0.0, 0.0])},
    ],
)
def test_a_frame_of_other_images_is_refused(changes):
    assert refused(place, plane(**changes), GRID) == "edit_other_grid"


@pytest.mark.parametrize("where", [{"position_mm": np.array([-1.5, 0.0, 0.0])}, {"columns": 12}])
def test_nothing_may_be_drawn_outside_the_images(where):
    frame = plane(**where)
    inside = np.zeros((frame.rows, frame.columns), bool)
    placement = place(frame, GRID)
    lay(inside, placement, np.zeros(SHAPE, bool))
    inside[:] = True
    assert refused(lay, inside, placement, np.zeros(SHAPE, bool)) == "edit_other_grid"


def test_a_single_slice_without_thickness_has_a_place_too():
    one = replace(straight_grid((1, 8, 10)), pixel_spacing_mm=(2.0, 1.5), slice_thickness_mm=None)
    assert place(plane(position_mm=np.array([0.0, 0.0, 0.05])), one).slice == 0
    assert refused(place, plane(position_mm=np.array([0.0, 0.0, 0.5])), one) == "edit_other_grid"


# Agreement


def test_dice_is_twice_what_both_have_over_what_each_has():
    one, other = np.array([True, True, True, False]), np.array([True, False, False, False])
    assert dice(one, other) == pytest.approx(2 * 1 / 4)
    assert dice(one & False, other & False) is None


def test_each_segment_is_compared_with_its_volumes():
    grid, labels = straight_grid(SHAPE), both_sides()
    after = labels.copy()
    after[0, 2, 6] = 0
    automatic, edited = (Mask(labels=each, grid=grid, fat_separated=True) for each in (labels, after))
    lean, *_ = segment_agreement(automatic, edited, volumes=True)
    assert (lean.segment, lean.dice) == ("lean_left", pytest.approx(2 * 32 / (33 + 32)))
    # Pixels of 1 mm2 on slices 5 mm apart.
    assert (lean.automatic_ml, lean.edited_ml) == (pytest.approx(0.165), pytest.approx(0.160))
    block = segment_agreement(automatic, edited, volumes=False)
    assert [each.edited_ml for each in block] == [None] * 4
    plain = replace(automatic, fat_separated=False)
    assert [each.segment for each in segment_agreement(plain, plain, volumes=True)] == [
        "lean_left",
        "lean_right",
    ]
    assert shares_a_slice(labels, after)
    assert not shares_a_slice(labels, np.roll(labels, 1, axis=1))


def told(imat_fraction=0.25, lmm=100.0, **agreement):
    return {
        "edited": {
            "automatic": {"compartment_ml": 130.0, "lmm_ml": 104.0, "imat_ml": 26.0, "imat_fraction": 0.2},
            "agreement": [{"segment": name, "dice": value} for name, value in agreement.items()],
        },
        "measures": {
            "total": {
                "compartment_ml": 135.0,
                "lmm_ml": lmm,
                "imat_ml": None,
                "imat_fraction": imat_fraction,
            }
        },
    }


def test_a_case_is_edited_minus_automatic():
    case = statistics.case_of(told(lean_left=0.9, imat_left=None))
    assert case["dice"] == {"lean_left": 0.9, "imat_left": None}
    assert case["differences"] == {
        "compartment_ml": 5.0,
        "lmm_ml": -4.0,
        "imat_ml": None,
        "imat_points": pytest.approx(5.0),
    }
    assert statistics.case_of({"edited": None, "measures": {}}) == {}
    assert statistics.case_of({"edited": {}, "measures": None}) == {}


def test_bias_and_limits_of_agreement_by_network_and_contrast():
    cases = [
        statistics.case_of(told(lmm=104.0 + each, lean_left=0.8 + each / 100)) for each in (1, 2, 3, 4, 5)
    ]
    few, many = statistics.agreements({("n 1", "t1"): cases[:4], ("n 1", "t2_tse"): cases})[::-1]
    assert (many.contrast, many.cases, few.contrast, few.cases) == ("t2_tse", 5, "t1", 4)
    spread = {each.measure: each for each in many.spreads}["lmm_ml"]
    # 1 to 5: mean 3, standard deviation sqrt(10 / 4).
    assert (spread.bias, spread.unit) == (pytest.approx(3.0), "mL")
    half = 1.96 * math.sqrt(10 / 4)
    assert (spread.low, spread.high) == (pytest.approx(3.0 - half), pytest.approx(3.0 + half))
    assert {each.low for each in few.spreads} == {None}
    assert "imat_ml" not in {each.measure for each in many.spreads}
    (overlap,) = many.overlaps
    assert (overlap.segment, overlap.cases, overlap.mean, overlap.lowest) == (
        "lean_left",
        5,
        pytest.approx(0.83),
        pytest.approx(0.81),
    )
