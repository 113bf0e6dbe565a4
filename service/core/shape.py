"""Shape of the paraspinal pair in one slice, free of its size, and how usual it is."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from service.core.compartment import Compartment

#: What is said of a pair, all without unit; "inner" points to the midline, so both sides read alike.
DESCRIPTORS: Final = (
    "log_area_ratio",  # ln of left over right area
    "log_aspect",  # ln of the spread of the pair across over its spread front to back
    "separation",  # distance of the two centres across, over the mean spread of a side across
    "height_offset",  # how much further back the left centre lies than the right, over the same
    "log_elongation_left",  # ln of the long over the short axis of a side
    "log_elongation_right",
    "fullness_left",  # area over the area of the ellipse with the same spread: 1 for ellipses, less if ragged
    "fullness_right",
    "tilt_left",  # correlation of "towards the midline" with "towards the back"
    "tilt_right",
)
#: Fewest pixels of a side from which a shape can be read (chosen by us: below it, pixels are the shape).
MIN_PIXELS: Final = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class ShapeStatistics:
    """Mean and covariance of the descriptors over hand-drawn pairs, from the card of a network."""

    #: Shape (descriptors,).
    mean: NDArray[np.float64]
    #: Shape (descriptors, descriptors).
    covariance: NDArray[np.float64]

    def distance(self, descriptors: NDArray[np.float64]) -> float:
        """Mahalanobis distance over the root of the number of descriptors: about 1 for a usual pair."""
        away = descriptors - self.mean
        squared = float(away @ np.linalg.solve(self.covariance, away))
        return float(np.sqrt(squared / len(away)))


def describe(labels: NDArray[np.uint8], spacing_mm: tuple[float, float]) -> NDArray[np.float64] | None:
    """``DESCRIPTORS`` of one slice (row 0 anterior, column 0 the patient's right); None without a pair."""
    sides = [_moments(labels == side, spacing_mm) for side in (Compartment.LEFT, Compartment.RIGHT)]
    left, right = sides
    if left is None or right is None:
        return None
    areas = np.array([left.area, right.area])
    shares = areas / areas.sum()
    middle = shares @ np.stack([left.centre, right.centre])
    # Spread of the pair: that of each side and of the two centres around the common one.
    pair = sum(
        share * (np.diag(side.covariance) + (side.centre - middle) ** 2)
        for share, side in zip(shares, (left, right), strict=True)
    )
    across = float(np.mean([np.sqrt(side.covariance[1, 1]) for side in (left, right)]))
    return np.array(
        [
            np.log(areas[0] / areas[1]),
            0.5 * np.log(pair[1] / pair[0]),
            (left.centre[1] - right.centre[1]) / across,
            (left.centre[0] - right.centre[0]) / across,
            left.log_elongation,
            right.log_elongation,
            left.fullness,
            right.fullness,
            -left.correlation,
            right.correlation,
        ]
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Moments:
    """Area (mm2), centre and covariance (row, column; mm, mm2) of one side."""

    area: float
    centre: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @property
    def log_elongation(self) -> float:
        short, long = np.linalg.eigvalsh(self.covariance)
        return float(0.5 * np.log(long / short))

    @property
    def fullness(self) -> float:
        return float(self.area / (4.0 * np.pi * np.sqrt(np.linalg.det(self.covariance))))

    @property
    def correlation(self) -> float:
        return float(self.covariance[0, 1] / np.sqrt(self.covariance[0, 0] * self.covariance[1, 1]))


def _moments(mask: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> _Moments | None:
    """Moments of one side, or None where it has too few pixels."""
    places = np.nonzero(mask)
    if len(places[0]) < MIN_PIXELS:
        return None
    spacing = np.array(spacing_mm)
    points = np.stack(places).astype(np.float64) * spacing[:, np.newaxis]
    # A pixel is a square and not a point: its own spread is added, so that a line of pixels has a width.
    covariance = np.cov(points, bias=True) + np.diag(spacing**2 / 12.0)
    return _Moments(
        area=len(places[0]) * float(spacing.prod()), centre=points.mean(axis=1), covariance=covariance
    )
