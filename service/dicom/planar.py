"""The report's numbers beside an outline on one slice, for viewers that show numbers over an image only.

Stock OHIF 3.13 opens a report whose every group has an outline, and writes the first five names and
numbers beside it; one group without an outline, and it shows a black pane. Several groups on one slice
write their texts over each other. So this form has one group with what a reader looks for first; the
full list stays in the usual form and in capture and PDF.
"""

from collections.abc import Sequence

import numpy as np
from highdicom.sr import (
    CodedConcept,
    FindingSite,
    ImageRegion,
    Measurement,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    SourceImageForRegion,
    TrackingIdentifier,
)
from numpy.typing import NDArray

from service.core.finding import Finding, Measures, SideMeasures
from service.core.language import ENGLISH, Words
from service.core.mask import Label, Mask
from service.core.outline import enclosed, joined, largest_outline, representative_slice
from service.dicom import codes
from service.dicom.groups import Group
from service.dicom.identity import ObjectIdentity, tracking_uid
from service.dicom.numbers import number
from service.dicom.stack import Stack

#: Both labels of each side: their union is the muscle compartment.
SIDES = ((Label.LEAN_LEFT, Label.IMAT_LEFT), (Label.LEAN_RIGHT, Label.IMAT_RIGHT))
#: Measure by which its score is found, concept, value, unit.
Row = tuple[str, CodedConcept, float | None, CodedConcept]


def shown_slice(stack: Stack, mask: Mask | None) -> int:
    """The slice that the outline lies on; the middle one where nothing was drawn."""
    if mask is None or not mask.labels.any():
        return len(stack.frames) // 2
    return representative_slice(mask.labels)


def planar_group(
    finding: Finding,
    stack: Stack,
    mask: Mask | None,
    *,
    identity: ObjectIdentity,
    words: Words = ENGLISH,
) -> Group:
    """One TID 1410 group: the largest outline of each side's compartment on one slice, joined to one line.

    The area is that within the line; the other numbers are those of the whole stack. Without measures
    the line is a square in the middle, and the group holds the status of the result alone.
    """
    index = shown_slice(stack, mask)
    corners = None if mask is None else _outline(mask.labels[index])
    name = f"Paraspinal muscles, slice {index + 1}"
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(tracking_uid(identity, name), name),
        referenced_region=_region(stack, index, _middle(stack) if corners is None else corners),
        finding_category=codes.TISSUE,
        finding_type=codes.MUSCLE,
        finding_sites=[FindingSite(codes.REGION, laterality=codes.BILATERAL)],
        measurements=_numbers(finding, corners, stack.grid.pixel_area_mm2, words),
        qualitative_evaluations=[QualitativeEvaluation(codes.RESULT_STATUS, codes.STATUS_OF[finding.status])],
    )


def _outline(labels: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """The line around both sides, or around the only one; None where the slice shows none."""
    lines = [largest_outline(inside) for side in SIDES if (inside := np.isin(labels, side)).any()]
    if not lines:
        return None
    return joined(*lines) if len(lines) > 1 else lines[0]


def _middle(stack: Stack) -> NDArray[np.float64]:
    """The middle third of the image: viewers need a place, and it is no drawing of a muscle."""
    rows, columns = stack.grid.rows // 3, stack.grid.columns // 3
    corners = [[rows, columns], [rows, 2 * columns], [2 * rows, 2 * columns], [2 * rows, columns]]
    return np.array(corners, dtype=np.float64)


def _region(stack: Stack, index: int, corners: NDArray[np.float64]) -> ImageRegion:
    """The closed line on the image of the slice, as (column, row) from its outer corner (PS3.3 C.18.6.1)."""
    frame = stack.frames[index]
    return ImageRegion(
        graphic_type="POLYLINE",
        graphic_data=np.vstack([corners, corners[:1]])[:, ::-1],
        source_image=SourceImageForRegion(
            referenced_sop_class_uid=stack.facts.sop_class_uid,
            referenced_sop_instance_uid=frame.sop_instance_uid,
            referenced_frame_numbers=None if frame.frame is None else [frame.frame],
        ),
    )


def _numbers(
    finding: Finding, corners: NDArray[np.float64] | None, pixel_area_mm2: float, words: Words
) -> Sequence[Measurement] | None:
    """The numbers of the group, the five that viewers show first; those of both sides with their scores."""
    if finding.measures is None:
        return None
    scores = {score.measure: score for score in finding.scores}
    rows = _rows(finding.measures)
    if corners is not None:
        rows.append(("", codes.AREA, enclosed(corners) * pixel_area_mm2 / 100.0, codes.CM2))
    return [
        number(concept, value, unit, finding, score=scores.get(measure), words=words)
        for measure, concept, value, unit in rows
        if value is not None
    ]


def _rows(measures: Measures) -> list[Row]:
    """Lean muscle and share of fat of each side and of both, then what is left; absent ones are None.

    Lean muscle is an area where there are no volumes, and the whole compartment where fat is not told apart.
    """
    sides = {"left": measures.left, "right": measures.right}
    volumes: list[Row] = [_first(name, side) for name, side in sides.items()]
    shares: list[Row] = [
        ("", codes.SHORT[f"share_{name}"], _percent(side.imat_fraction), codes.PERCENT)
        for name, side in sides.items()
    ]
    total = measures.total
    signal = _percent(total.fat_signal_fraction)
    index = measures.lmm_height_index_ml_m2
    return [
        *volumes,
        *shares,
        ("imat_fraction", codes.SHORT["share_both"], _percent(total.imat_fraction), codes.PERCENT),
        ("fat_signal_fraction", codes.SIGNAL_FAT_FRACTION, signal, codes.PERCENT),
        ("lmm_height_index_ml_m2", codes.LMM_HEIGHT_INDEX, index, codes.ML_PER_M2),
        *(("", codes.SHORT[f"imat_{name}"], side.imat_ml, codes.ML) for name, side in sides.items()),
    ]


def _first(name: str, side: SideMeasures) -> Row:
    """How much muscle a side has."""
    if side.lmm_ml is not None:
        return "", codes.SHORT[f"lmm_{name}"], side.lmm_ml, codes.ML
    if side.compartment_ml is not None:
        return "", codes.SHORT[f"compartment_{name}"], side.compartment_ml, codes.ML
    if side.mean_lean_csa_cm2 is not None:
        return "", codes.SHORT[f"lean_area_{name}"], side.mean_lean_csa_cm2, codes.CM2
    return "", codes.SHORT[f"area_{name}"], side.mean_csa_cm2, codes.CM2


def _percent(share: float | None) -> float | None:
    return None if share is None else 100.0 * share
