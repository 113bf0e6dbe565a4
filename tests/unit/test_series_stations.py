"""Stations that one series holds are stacks of their own; one regular stack is never cut."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from service.dicom.series import scan
from tests.make.series import enhanced_mr, mr_series

#: Two stations of twelve slices, 4 mm apart; in the overlap slices of one lie between those of the other.
FIRST = [4.0 * index for index in range(12)]
SECOND = [37.5 + 4.0 * index for index in range(12)]


def told_by(keyword: str, values: Sequence[object]) -> Callable[[Dataset, int], None]:
    """Sets an attribute of each slice."""
    return lambda dataset, index: setattr(dataset, keyword, values[index])


def slices_of(paths: list[Path]) -> list[tuple[int, float]]:
    """Slices and lowest place of each stack."""
    result = scan(paths)
    assert result.unreadable == ()
    return [(stack.facts.slices, float(stack.grid.origins_mm[0, 2])) for stack in result.stacks]


@pytest.mark.parametrize("keyword", ["TablePosition", "TableTraverse", "AcquisitionNumber", "StationName"])
def test_an_attribute_tells_stations_apart_whatever_the_order(tmp_path: Path, keyword: str) -> None:
    numbered = list(enumerate([*FIRST, *SECOND]))
    random.Random(1).shuffle(numbered)
    values = [1 if index < len(FIRST) else 2 for index, _ in numbered]
    said = [f"MR{value}" for value in values] if keyword == "StationName" else values
    paths = mr_series(tmp_path, positions=[place for _, place in numbered], each=told_by(keyword, said))
    assert sorted(slices_of(paths)) == [(12, -30.0), (12, 7.5)]


def test_the_order_of_the_numbers_tells_them_apart_where_no_attribute_does(tmp_path: Path) -> None:
    assert slices_of(mr_series(tmp_path, positions=FIRST + SECOND)) == [(12, -30.0), (12, 7.5)]
    backwards = FIRST[::-1] + SECOND[::-1]
    assert slices_of(mr_series(tmp_path / "b", positions=backwards)) == [(12, -30.0), (12, 7.5)]


def test_slices_of_two_stations_at_one_place_are_not_taken_for_repetitions(tmp_path: Path) -> None:
    second = [40.0 + 4.0 * index for index in range(12)]
    assert slices_of(mr_series(tmp_path, positions=FIRST + second)) == [(12, -30.0), (12, 10.0)]


def test_stations_in_one_enhanced_object_are_told_apart(tmp_path: Path) -> None:
    path = enhanced_mr(tmp_path / "e.dcm", positions=[(0.0, 0.0, z) for z in FIRST + SECOND])
    assert slices_of([path]) == [(12, 0.0), (12, 37.5)]


def test_interleaved_acquisitions_of_one_regular_stack_stay_together(tmp_path: Path) -> None:
    positions = FIRST[::2] + FIRST[1::2]
    numbers = told_by("AcquisitionNumber", ["1"] * 6 + ["2"] * 6)
    assert slices_of(mr_series(tmp_path, positions=positions, each=numbers)) == [(12, -30.0)]


def test_interleaved_acquisitions_with_a_missing_slice_are_one_stack_with_a_hole(tmp_path: Path) -> None:
    positions = FIRST[:4:2] + FIRST[6::2] + FIRST[1::2]
    numbers = told_by("AcquisitionNumber", ["1"] * 5 + ["2"] * 6)
    assert slices_of(mr_series(tmp_path, positions=positions, each=numbers)) == [(11, -30.0)]


def test_repetitions_of_the_same_places_are_no_stations(tmp_path: Path) -> None:
    numbers = told_by("AcquisitionNumber", ["1"] * 12 + ["2"] * 12)
    assert slices_of(mr_series(tmp_path, positions=FIRST + FIRST, each=numbers)) == [(12, -30.0)] * 2


def test_a_stack_with_a_hole_is_not_cut(tmp_path: Path) -> None:
    positions = FIRST[:9] + [FIRST[8] + 12.0 + 4.0 * index for index in range(9)]
    assert slices_of(mr_series(tmp_path, positions=positions)) == [(18, -30.0)]


def test_two_acquisitions_with_an_image_lost_between_them_are_one_stack_with_a_hole(tmp_path: Path) -> None:
    """The numbers say that an image is missing, so nobody measures two halves as if each were all."""
    numbers = told_by("AcquisitionNumber", ["1"] * 6 + ["2"] * 6)
    paths = mr_series(tmp_path, positions=FIRST, each=numbers)
    del paths[5]
    assert slices_of(paths) == [(11, -30.0)]


def test_stations_far_apart_whose_images_are_all_there_are_two(tmp_path: Path) -> None:
    numbers = told_by("AcquisitionNumber", ["1"] * 12 + ["2"] * 12)
    paths = mr_series(tmp_path, positions=FIRST + [place + 80.0 for place in FIRST], each=numbers)
    assert slices_of(paths) == [(12, -30.0), (12, 50.0)]
