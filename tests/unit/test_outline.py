"""Outlines: what they enclose can be counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from service.core.outline import enclosed, joined, largest_outline, outlines, representative_slice


def drawn(*rows: str) -> np.ndarray:
    return np.array([[mark == "#" for mark in row] for row in rows])


def test_one_pixel_has_four_corners():
    (line,) = outlines(drawn("...", ".#.", "..."))
    assert line.tolist() == [[1, 1], [1, 2], [2, 2], [2, 1]]
    assert enclosed(line) == 1.0


def test_straight_edges_have_corners_at_their_ends_only():
    (line,) = outlines(drawn("###", "#.."))
    assert line.tolist() == [[0, 0], [0, 3], [1, 3], [1, 1], [2, 1], [2, 0]]


def test_a_hole_is_a_line_of_its_own_and_counts_negative():
    ring = outlines(drawn("###", "#.#", "###"))
    assert sorted(enclosed(line) for line in ring) == [-1.0, 9.0]
    assert largest_outline(drawn("###", "#.#", "###")).tolist() == [[0, 0], [0, 3], [3, 3], [3, 0]]


def test_pixels_that_touch_at_a_corner_have_a_line_each():
    assert [enclosed(line) for line in outlines(drawn("#.", ".#"))] == [1.0, 1.0]
    assert [enclosed(line) for line in outlines(drawn(".#", "#."))] == [1.0, 1.0]


def test_an_island_that_touches_the_edge_of_its_hole_has_its_own_line():
    island = outlines(drawn("#####", "#...#", "##..#", "#.#.#", "#...#", "#####"))
    assert sorted(enclosed(line) for line in island) == [-11.0, 1.0, 30.0]


def test_two_areas_joined_by_a_bridge_enclose_what_both_do():
    first, second = outlines(drawn("##..#", "##..#"))
    both = joined(first, second)
    assert enclosed(both) == 6.0
    assert both.tolist() == [
        *([0, 2], [2, 2], [2, 0], [0, 0], [0, 2]),
        *([0, 4], [0, 5], [2, 5], [2, 4], [0, 4]),
    ]


def test_nothing_inside_has_no_outline():
    assert outlines(drawn("...")) == ()
    with pytest.raises(ValueError, match="empty"):
        largest_outline(drawn("..."))


@given(arrays(np.bool_, st.tuples(st.integers(1, 7), st.integers(1, 7))))
def test_lines_enclose_exactly_the_area(inside):
    lines = outlines(inside)
    assert sum(enclosed(line) for line in lines) == np.count_nonzero(inside)
    for line in lines:
        steps = np.roll(line, -1, axis=0) - line
        assert (np.count_nonzero(steps, axis=1) == 1).all(), "each side runs along rows or columns"
        turns = np.sign(steps) * np.sign(np.roll(steps, -1, axis=0))
        assert (turns == 0).all(), "each corner turns"


def test_the_representative_slice_shows_all_kinds_near_the_middle():
    labels = np.zeros((7, 2, 2), np.uint8)
    labels[:, 0, 0] = 1
    labels[[0, 2, 6], 0, 1] = 2
    assert representative_slice(labels) == 2
    with pytest.raises(ValueError, match="Nothing"):
        representative_slice(np.zeros((2, 2, 2), np.uint8))
