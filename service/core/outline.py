"""Outlines of drawn areas: the exact edges between pixels, for viewers that show lines and no masks."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

#: East, south, west, north as steps of (row, column).
STEPS: Final = ((0, 1), (1, 0), (0, -1), (-1, 0))


def outlines(inside: NDArray[np.bool_]) -> tuple[NDArray[np.float64], ...]:
    """Every closed line around the area, as corners (row, column); (0, 0) is the first pixel's outer corner.

    Lines run along the edges of pixels, clockwise on the screen around an area and the other way round a
    hole, so ``enclosed`` gives the exact number of pixels. Pixels that touch at a corner only have a line
    each. The last corner is not the first one again.
    """
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not rows.size:
        return ()
    # Most of an image is outside; only the part with the area is walked over.
    ways = _ways(np.pad(inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 1))
    corner = np.array([rows[0], columns[0]], dtype=np.float64)
    starts = sorted(vertex for vertex, directions in ways.items() if 0 in directions)
    return tuple(corner + _follow(ways, start) for start in starts if 0 in ways[start])


def largest_outline(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The line that encloses most; ValueError where nothing is inside."""
    return max(outlines(inside), key=enclosed)


def joined(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """One closed line around both areas, with a bridge between their nearest corners.

    The bridge is walked there and back, so it encloses nothing (the keyhole of radiotherapy contours).
    """
    distances = np.linalg.norm(first[:, None] - second[None, :], axis=2)
    here, there = np.unravel_index(distances.argmin(), distances.shape)
    around_first, around_second = np.roll(first, -here, axis=0), np.roll(second, -there, axis=0)
    return np.vstack([around_first, around_first[:1], around_second, around_second[:1]])


def enclosed(corners: NDArray[np.float64]) -> float:
    """Area within a closed line in pixels, negative for a hole (shoelace formula)."""
    rows, columns = corners.T
    return float(np.sum(columns * np.roll(rows, -1) - np.roll(columns, -1) * rows)) / 2.0


def representative_slice(labels: NDArray[np.uint8]) -> int:
    """The slice to show of a stack: with the most kinds of label, and of those nearest the middle of all.

    The middle is the mean slice of all labelled voxels: half of the muscle lies on either side of it.
    ValueError where nothing is labelled.
    """
    areas = np.array([np.count_nonzero(plane) for plane in labels])
    if not areas.any():
        raise ValueError("Nothing is labelled.")
    kinds = np.array([len(np.unique(plane[plane > 0])) for plane in labels])
    middle = float(np.average(np.arange(len(labels)), weights=areas))
    candidates = np.flatnonzero(kinds == kinds.max())
    return int(candidates[np.abs(candidates - middle).argmin()])


def _ways(padded: NDArray[np.bool_]) -> dict[tuple[int, int], set[int]]:
    """For each corner the directions of the edges that leave it, with the area at their right hand."""
    body = padded[1:-1, 1:-1]
    # Where an edge begins within its pixel, and the neighbour that must be outside.
    edges = (
        ((0, 0), padded[:-2, 1:-1]),
        ((0, 1), padded[1:-1, 2:]),
        ((1, 1), padded[2:, 1:-1]),
        ((1, 0), padded[1:-1, :-2]),
    )
    ways: dict[tuple[int, int], set[int]] = {}
    for direction, ((down, right), neighbour) in enumerate(edges):
        for row, column in np.argwhere(body & ~neighbour).tolist():
            ways.setdefault((row + down, column + right), set()).add(direction)
    return ways


def _follow(ways: dict[tuple[int, int], set[int]], start: tuple[int, int]) -> NDArray[np.float64]:
    """The corners of the line that leaves ``start`` eastwards; its edges are taken out of ``ways``.

    ``start`` is the first corner of its line in reading order, so the line turns there.
    """
    corners, at, direction = [start], start, 0
    while True:
        at = _next(at, direction)
        # Where two pixels touch at this corner the turn to the right stays with the same one.
        turn = next(d for d in ((direction + 1) % 4, direction, (direction + 3) % 4) if d in ways[at])
        if (at, turn) == (start, 0):
            ways[start].discard(0)
            return np.array(corners, dtype=np.float64)
        if turn != direction:
            corners.append(at)
        ways[at].discard(turn)
        direction = turn


def _next(at: tuple[int, int], direction: int) -> tuple[int, int]:
    """The corner one pixel further."""
    down, right = STEPS[direction]
    return (at[0] + down, at[1] + right)
