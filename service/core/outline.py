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
    # Most of an image is outside; only the part with the area is looked at.
    leaving = _leaving(inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    edges = np.flatnonzero(leaving)
    following, turning = _following(leaving, edges)
    order, lengths = _walk(following, starts=int(np.count_nonzero(leaving[0])))
    # An edge begins at a corner where the one before it turns.
    cornered = np.zeros_like(turning)
    cornered[following] = turning
    kept = order[cornered[order]]
    _, down, right = np.unravel_index(edges[kept], leaving.shape)
    corners = np.column_stack([down + rows[0], right + columns[0]]).astype(np.float64)
    line_of_edge = np.repeat(np.arange(len(lengths)), lengths)
    ends = np.cumsum(np.bincount(line_of_edge[cornered[order]]))
    return tuple(np.split(corners, ends[:-1]))


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
    along = columns[:-1] @ rows[1:] + columns[-1] * rows[0]
    against = columns[1:] @ rows[:-1] + columns[0] * rows[-1]
    return float(along - against) / 2.0


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


def _leaving(body: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where an edge leaves (direction, row, column of the corner), with the area at its right hand."""
    rows, columns = body.shape
    padded = np.zeros((rows + 2, columns + 2), dtype=np.bool_)
    padded[1:-1, 1:-1] = body
    leaving = np.zeros((4, rows + 1, columns + 1), dtype=np.bool_)
    # Each edge begins at one corner of its pixel, and the neighbour beyond it must be outside.
    leaving[0, :-1, :-1] = body & ~padded[:-2, 1:-1]
    leaving[1, :-1, 1:] = body & ~padded[1:-1, 2:]
    leaving[2, 1:, 1:] = body & ~padded[2:, 1:-1]
    leaving[3, 1:, :-1] = body & ~padded[1:-1, :-2]
    return leaving


def _following(
    leaving: NDArray[np.bool_], edges: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """For each edge the number of the next one, and whether the line turns between them.

    ``edges`` are the places of the edges in ``leaving``, flat.
    """
    corners = leaving[0].size
    direction, begin = np.divmod(edges, corners)
    end = begin + np.array([down * leaving.shape[2] + right for down, right in STEPS])[direction]
    flat = leaving.ravel()
    # Where two pixels touch at this corner the turn to the right stays with the same one.
    right, left = (direction + 1) % 4, (direction + 3) % 4
    onward = np.where(flat[direction * corners + end], direction, left)
    onward = np.where(flat[right * corners + end], right, onward)
    return np.searchsorted(edges, onward * corners + end), onward != direction


def _walk(following: NDArray[np.intp], *, starts: int) -> tuple[NDArray[np.intp], list[int]]:
    """The edges in the order of their lines, and how many each line has.

    The first ``starts`` edges run east, in reading order; the first of a line that is met begins it, and
    the line turns there.
    """
    order: list[int] = []
    lengths: list[int] = []
    after = following.tolist()
    seen = bytearray(len(after))
    for start in range(starts):
        if seen[start]:
            continue
        before, at = len(order), start
        while not seen[at]:
            seen[at] = 1
            order.append(at)
            at = after[at]
        lengths.append(len(order) - before)
    return np.array(order, dtype=np.intp), lengths
