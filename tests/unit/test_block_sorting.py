"""Blocks of one series become stacks of their own; a stack with a hole stays one with a hole."""

import random

import numpy as np
import pytest
from pydicom.dataset import Dataset

from service.core.eligibility import MAX_GAP_RATIO
from service.dicom.series import scan
from tests.make.series import enhanced_mr, mr_series, normal_of, tilted

STEP = 4.4
#: Three discs alike, 34 mm apart, each with four slices.
ALIKE = [34.0 * disc + STEP * slice_ for disc in range(3) for slice_ in range(4)]


def stacks(paths):
    return scan(paths).stacks


def sizes(paths):
    return [stack.facts.slices for stack in stacks(paths)]


def renumbered(numbers):
    """Write these InstanceNumbers, in the order of the positions."""

    def write(dataset: Dataset, index: int) -> None:
        dataset.InstanceNumber = numbers[index]

    return write


def test_parallel_blocks_are_stacks_without_a_hole(tmp_path):
    found = stacks(mr_series(tmp_path, positions=ALIKE))
    assert [stack.facts.slices for stack in found] == [4, 4, 4]
    assert all(stack.facts.largest_gap_ratio <= MAX_GAP_RATIO for stack in found)
    assert [stack.facts.coverage_mm for stack in found] == pytest.approx([17.6] * 3)
    assert [(stack.facts.place.number, stack.facts.place.of) for stack in found] == [(1, 3), (2, 3), (3, 3)]


def test_the_order_in_which_images_are_given_changes_nothing(tmp_path):
    paths = mr_series(tmp_path, positions=ALIKE)
    shuffled = list(paths)
    random.Random(4).shuffle(shuffled)
    assert [stack.facts for stack in stacks(paths)] == [stack.facts for stack in stacks(shuffled)]


@pytest.mark.parametrize("missing", [0, 5, 11])
def test_while_an_image_is_missing_the_blocks_are_one_stack_with_a_hole(tmp_path, missing):
    """Numbers run on over blocks, so a hole in them says that images are still to come."""
    paths = mr_series(tmp_path, positions=ALIKE)
    del paths[missing]
    found = stacks(paths)
    if missing in (0, 11):
        # The first or the last number tells nothing of what is missing before or after it.
        assert [stack.facts.slices for stack in found] == ([3, 4, 4] if missing == 0 else [4, 4, 3])
        return
    assert [stack.facts.slices for stack in found] == [11]
    assert found[0].facts.largest_gap_ratio > MAX_GAP_RATIO


def test_a_block_or_a_stretch_that_is_still_to_come_leaves_a_hole(tmp_path):
    """What is there looks like two blocks; only the numbers tell that something is missing between them."""
    blocks = mr_series(tmp_path / "a", positions=ALIKE)
    assert sizes([*blocks[:4], *blocks[8:]]) == [8]
    ordinary = mr_series(tmp_path / "b", positions=[STEP * index for index in range(12)])
    assert sizes([*ordinary[:4], *ordinary[7:]]) == [9]


@pytest.mark.parametrize("gone", [[9], [8, 9], [6, 7, 8, 9, 10], [4, 12]])
def test_slices_missing_from_an_ordinary_stack_leave_a_hole(tmp_path, gone):
    paths = mr_series(tmp_path, positions=[STEP * index for index in range(20)])
    kept = [path for index, path in enumerate(paths) if index not in gone]
    (found,) = stacks(kept)
    assert found.facts.slices == 20 - len(gone)
    assert found.facts.largest_gap_ratio > MAX_GAP_RATIO


@pytest.mark.parametrize(
    ("positions", "why"),
    [
        ([0.0, 4.0, 8.0, 16.0, 20.0, 24.0], "two steps: one slice is missing"),
        ([4.0 * index for index in (*range(9), *range(14, 23))], "long runs are parts of one stack"),
        ([0.0, 4.0, 30.0, 34.0, 38.0, 42.0], "two slices are no block"),
        ([0.0, 4.0, 12.0, 16.0, 40.0, 44.0, 48.0, 52.0], "a block has a hole of its own"),
        ([0.0, 4.0, 8.0, 12.0, 40.0], "one slice alone"),
    ],
)
def test_what_is_no_row_of_blocks_stays_one_stack_whatever_its_numbers(tmp_path, positions, why):
    assert sizes(mr_series(tmp_path, positions=positions)) == [len(positions)], why


@pytest.mark.parametrize("gap", [21.0, 28.6])
def test_where_numbers_tell_nothing_a_gap_of_no_whole_number_of_steps_is_one_between_blocks(tmp_path, gap):
    positions = [*(4.0 * index for index in range(4)), *(12.0 + gap + 4.0 * index for index in range(4))]
    blank = renumbered([None] * 8)
    again = renumbered(["1", "2", "3", "4"] * 2)
    assert sizes(mr_series(tmp_path / "a", positions=positions, each=blank)) == [4, 4]
    assert sizes(mr_series(tmp_path / "b", positions=positions, each=again)) == [4, 4]


def test_where_numbers_tell_nothing_a_gap_of_whole_steps_may_be_a_hole(tmp_path):
    positions = [*(4.0 * index for index in range(4)), *(32.0 + 4.0 * index for index in range(4))]
    assert sizes(mr_series(tmp_path / "a", positions=positions, each=renumbered([None] * 8))) == [8]
    assert sizes(mr_series(tmp_path / "b", positions=positions)) == [4, 4]


def test_blocks_in_one_multi_frame_object_are_cut_too(tmp_path):
    """The frames of an object are all there, or it is not."""
    path = enhanced_mr(tmp_path / "e.dcm", positions=[(0.0, 0.0, z) for z in ALIKE])
    assert sizes([path]) == [4, 4, 4]


def test_blocks_angled_each_to_its_disc_are_counted_from_the_feet(tmp_path):
    paths, number = [], 1
    for disc, angle in enumerate((-9.0, -3.0, 6.0, 16.0, 28.0)):
        orientation = tilted(angle)
        turned = normal_of(orientation)
        towards_feet = -1.0 if turned[2] > 0 else 1.0
        paths += mr_series(
            tmp_path / str(disc),
            positions=[towards_feet * STEP * index for index in range(3)],
            orientation=orientation,
            origin=(0.0, 0.0, 100.0 - 36.0 * disc),
            first_number=number,
        )
        number += 3
    found = stacks(paths)
    assert [stack.facts.place.number for stack in found] == [5, 4, 3, 2, 1]
    assert [round(stack.facts.tilt_degrees) for stack in found] == [9, 3, 6, 16, 28]


def test_two_echoes_of_the_same_blocks_have_no_order(tmp_path):
    """Both show the same places, so nothing is said of which block is which."""
    positions = [0.0, 4.0, 8.0]
    paths = mr_series(tmp_path / "a", positions=positions)
    paths += mr_series(tmp_path / "b", positions=positions, first_number=4, changes={"EchoTime": "110"})
    assert [(stack.facts.place.number, stack.facts.place.of) for stack in stacks(paths)] == [(None, 2)] * 2


def test_a_stack_that_is_alone_in_its_series_has_no_place(tmp_path):
    paths = mr_series(tmp_path / "a", positions=[0.0, 4.0, 8.0])
    paths += mr_series(tmp_path / "b", positions=[40.0, 44.0, 48.0], series=2)
    assert [stack.facts.place for stack in stacks(paths)] == [None, None]


@pytest.mark.parametrize("seed", range(6))
def test_random_rows_of_blocks_are_found_as_they_were_made(tmp_path, seed):
    rng = np.random.default_rng(seed)
    step = float(rng.uniform(3.0, 5.0))
    made = [int(count) for count in rng.integers(3, 6, size=int(rng.integers(2, 6)))]
    positions, at = [], 0.0
    for count in made:
        positions += [at + step * index for index in range(count)]
        at = positions[-1] + step * float(rng.uniform(2.7, 7.0))
    paths = mr_series(tmp_path, positions=positions, orientation=tilted(float(rng.uniform(-25, 25))))
    assert sizes(paths) == made
    hole = [path for index, path in enumerate(paths) if index != 1]
    assert sizes(hole) == [len(positions) - 1]
