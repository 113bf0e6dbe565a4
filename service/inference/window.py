"""The contract of a network that is slid over a volume patch by patch, as ``card.toml`` writes it."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from service.core.prepare import DIRECTIONS
from service.core.resampling import ResamplingRule, Separate
from service.core.windows import NormalisationKind


@dataclass(frozen=True, kw_only=True)
class WindowContract:
    """What the network wants to see, and how its answers to patches become one.

    The volume is turned to slices, rows and columns that run as ``orientation`` and ``first_slice``
    say; then its axes are put into the order ``axes``, and everything below is in that order.
    """

    plane: str
    #: "2d": each patch lies in one position of the first axis; "3d": patches have three sides.
    layout: Literal["2d", "3d"]
    #: What row 0 and column 0 show, for example ("anterior", "right").
    orientation: tuple[str, str]
    #: Which end of the patient slice 0 shows: "foot" or "head".
    first_slice: str
    #: Which of slices (0), rows (1) and columns (2) the network's axes are.
    axes: tuple[int, int, int]
    #: As many numbers as the patch has sides; "2d" leaves the first axis as it is.
    spacing_mm: tuple[float, ...]
    patch: tuple[int, ...]
    #: Share of a patch that the next one covers again.
    overlap: float
    #: Axes of the patch that are mirrored, in every combination, and averaged.
    mirror_axes: tuple[int, ...]
    normalisation: NormalisationKind
    #: Whether the normalisation looks at voxels other than zero only.
    masked: bool
    #: How images come to the network's spacing, and its answers back.
    resampling: ResamplingRule
    answer_resampling: ResamplingRule


def window_contract(content: dict[str, Any]) -> WindowContract:
    """The table ``[input]`` of a card with a patch; raises ValueError, KeyError or TypeError."""
    layout, normalisation = content["layout"], content["normalisation"]
    rows, columns = content["orientation"]
    contract = WindowContract(
        plane=content["plane"],
        layout=_one_of(("2d", "3d"), layout, "layout"),
        orientation=(rows, columns),
        first_slice=_one_of(("foot", "head"), content["first_slice"], "first_slice"),
        axes=_axes(content["axes"]),
        spacing_mm=tuple(float(step) for step in content["spacing_mm"]),
        patch=tuple(int(side) for side in content["patch"]),
        overlap=float(content["overlap"]),
        mirror_axes=tuple(int(axis) for axis in content["mirror_axes"]),
        normalisation=_one_of(get_args(NormalisationKind), normalisation["kind"], "normalisation.kind"),
        masked=bool(normalisation["masked"]),
        resampling=_rule(content["resampling"]["image"]),
        answer_resampling=_rule(content["resampling"]["answer"]),
    )
    _check(contract)
    return contract


def _check(contract: WindowContract) -> None:
    """Numbers that do not fit together would show late, and as something else."""
    sides = {"2d": 2, "3d": 3}[contract.layout]
    if len(contract.patch) != sides or len(contract.spacing_mm) != sides:
        raise ValueError(f"layout {contract.layout} needs {sides} numbers in patch and spacing_mm")
    if min(contract.patch) < 1 or min(contract.spacing_mm) <= 0.0 or not 0.0 <= contract.overlap < 1.0:
        raise ValueError("patch and spacing_mm must be positive, overlap from 0 to below 1")
    if not set(contract.mirror_axes) <= set(range(sides)):
        raise ValueError("mirror_axes must be axes of the patch")
    if not set(contract.orientation) <= set(DIRECTIONS):
        raise ValueError(f"orientation must name two of {', '.join(DIRECTIONS)}")
    if contract.answer_resampling.order > 1:
        raise ValueError("resampling.answer.order must be 0 or 1")


def _rule(content: dict[str, Any]) -> ResamplingRule:
    return ResamplingRule(
        order=_one_of((0, 1, 2, 3, 4, 5), content["order"], "resampling.order"),
        order_z=_one_of((0, 1), content["order_z"], "resampling.order_z"),
        separate=_one_of(get_args(Separate), content["separate"], "resampling.separate"),
        threshold=float(content["threshold"]),
    )


def _axes(values: list[int]) -> tuple[int, int, int]:
    first, second, third = (int(value) for value in values)
    if {first, second, third} != {0, 1, 2}:
        raise ValueError("axes must be 0, 1 and 2 in some order")
    return (first, second, third)


def _one_of(known: tuple[str | int, ...], value: str | int, name: str) -> Any:
    """A value that the program knows."""
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(str, known))}, not {value!r}")
    return value
