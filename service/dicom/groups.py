"""The measurement groups of a report: one for each segment, one for each side, one for both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from highdicom.sr import (
    CodedConcept,
    FindingSite,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    ReferencedSegment,
    SourceSeriesForSegmentation,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.dataset import Dataset

from service.core.finding import Finding, Measures, Score, SideMeasures
from service.core.language import ENGLISH, Words
from service.core.mask import Label
from service.dicom import codes
from service.dicom.identity import ObjectIdentity, Written, tracking_uid
from service.dicom.numbers import number
from service.dicom.stack import Stack

Group = (
    PlanarROIMeasurementsAndQualitativeEvaluations
    | VolumetricROIMeasurementsAndQualitativeEvaluations
    | MeasurementsAndQualitativeEvaluations
)

#: Measure, concept, unit, factor from the finding's unit.
Concept = tuple[str, CodedConcept, CodedConcept, float]
MEASURES: Final[tuple[Concept, ...]] = (
    ("compartment_ml", codes.COMPARTMENT_VOLUME, codes.ML, 1.0),
    ("lmm_ml", codes.LMM_VOLUME, codes.ML, 1.0),
    ("imat_ml", codes.IMAT_VOLUME, codes.ML, 1.0),
    ("imat_fraction", codes.IMAT_FRACTION, codes.PERCENT, 100.0),
    ("mean_csa_cm2", codes.MEAN_CSA, codes.CM2, 1.0),
    ("mean_lean_csa_cm2", codes.MEAN_LEAN_CSA, codes.CM2, 1.0),
    ("fat_signal_fraction", codes.SIGNAL_FAT_FRACTION, codes.PERCENT, 100.0),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Segmented:
    """One segmentation that a report cites, and the stack that it lies on."""

    seg: Written
    stack: Stack
    #: Of one station of several: volume of each segment within it. None: those of the finding.
    volumes_ml: Mapping[Label, float] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Cited:
    """A segmentation as it is cited, its numbers, and an image that it lies on."""

    segmentation: Dataset
    source: Dataset
    volumes_ml: Mapping[Label, float] | None = None


def measurement_groups(
    finding: Finding,
    segmentations: Sequence[Cited],
    identity: ObjectIdentity,
    words: Words = ENGLISH,
) -> list[Group]:
    """All groups of one finding; a finding without measures gives one group without a number."""
    if finding.measures is None:
        return [group_without_numbers(codes.STATUS_OF[finding.status], identity)]
    groups: list[Group] = []
    for each in segmentations:
        groups += _segment_groups(finding, finding.measures, each)
    measures = finding.measures
    for name, side, values in (
        ("left", codes.LEFT, measures.left),
        ("right", codes.RIGHT, measures.right),
        ("total", codes.BILATERAL, measures.total),
    ):
        groups.append(_summary_group(name, side, values, finding, identity, words=words))
    return groups


def group_without_numbers(status: CodedConcept, identity: ObjectIdentity) -> Group:
    """What was looked at and what became of it; viewers expect at least one group."""
    name = "Paraspinal muscles"
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(tracking_uid(identity, name), name),
        finding_category=codes.TISSUE,
        finding_type=codes.MUSCLE,
        finding_sites=[FindingSite(codes.REGION, laterality=codes.BILATERAL)],
        qualitative_evaluations=[QualitativeEvaluation(codes.RESULT_STATUS, status)],
    )


def _segment_groups(finding: Finding, measures: Measures, one: Cited) -> list[Group]:
    """One TID 1411 group for each segment with its volume, or its mean area where there are no volumes."""
    segmentation, source = one.segmentation, one.source
    if one.volumes_ml is not None:
        numbers = {label: (codes.VOLUME, value, codes.ML) for label, value in one.volumes_ml.items()}
    else:
        numbers = {
            **_segment_numbers(measures.left, Label.LEAN_LEFT, Label.IMAT_LEFT),
            **_segment_numbers(measures.right, Label.LEAN_RIGHT, Label.IMAT_RIGHT),
        }
    groups: list[Group] = []
    for segment in segmentation.SegmentSequence:
        label = Label(int(segment.SegmentNumber))
        # A label map describes its background too, as segment 0.
        found = numbers.get(label)
        if found is None:
            continue
        concept, value, unit = found
        reference = ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=int(label),
            source_series=SourceSeriesForSegmentation(source.SeriesInstanceUID),
        )
        groups.append(
            VolumetricROIMeasurementsAndQualitativeEvaluations(
                tracking_identifier=TrackingIdentifier(str(segment.TrackingUID), str(segment.TrackingID)),
                referenced_segment=reference,
                finding_category=codes.TISSUE,
                finding_type=codes.TYPE_OF[label],
                finding_sites=[FindingSite(codes.REGION, laterality=codes.SIDE_OF[label])],
                measurements=[number(concept, value, unit, finding)],
            )
        )
    return groups


def _segment_numbers(
    side: SideMeasures, lean: Label, fat: Label
) -> dict[Label, tuple[CodedConcept, float, CodedConcept]]:
    """What is said of each segment of a side: concept, value, unit."""
    if side.compartment_ml is not None:
        if side.lmm_ml is None or side.imat_ml is None:
            return {lean: (codes.VOLUME, side.compartment_ml, codes.ML)}
        return {lean: (codes.VOLUME, side.lmm_ml, codes.ML), fat: (codes.VOLUME, side.imat_ml, codes.ML)}
    if side.mean_lean_csa_cm2 is None:
        return {lean: (codes.MEAN_CSA, side.mean_csa_cm2, codes.CM2)}
    rest = side.mean_csa_cm2 - side.mean_lean_csa_cm2
    return {
        lean: (codes.MEAN_LEAN_CSA, side.mean_lean_csa_cm2, codes.CM2),
        fat: (codes.MEAN_IMAT_CSA, rest, codes.CM2),
    }


def _summary_group(
    name: str,
    side: CodedConcept,
    values: SideMeasures,
    finding: Finding,
    identity: ObjectIdentity,
    *,
    words: Words,
) -> Group:
    """One TID 1501 group with the measures of one side, or of both with their scores."""
    tracked = f"Paraspinal muscles {name}"
    numbers = []
    scores = {score.measure: score for score in finding.scores} if name == "total" else {}
    for measure, concept, unit, factor in _concepts(values):
        value = getattr(values, measure)
        if value is not None:
            numbers.append(
                number(concept, value * factor, unit, finding, score=scores.get(measure), words=words)
            )
    if name == "total" and finding.measures is not None:
        numbers += _numbers_of_both(finding, finding.measures, scores, words)
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(tracking_uid(identity, tracked), tracked),
        finding_category=codes.TISSUE,
        finding_type=codes.MUSCLE,
        finding_sites=[FindingSite(codes.REGION, laterality=side)],
        measurements=numbers,
        qualitative_evaluations=_states(finding) if name == "total" else None,
    )


def _concepts(values: SideMeasures) -> Sequence[Concept]:
    """What the measures are called; the share of a block, which has no volume, is one of area."""
    if values.compartment_ml is not None:
        return MEASURES
    return [
        (measure, codes.IMAT_AREA_FRACTION if measure == "imat_fraction" else concept, unit, factor)
        for measure, concept, unit, factor in MEASURES
    ]


def _numbers_of_both(
    finding: Finding, measures: Measures, scores: dict[str, Score], words: Words
) -> list[Measurement]:
    """The measures that exist only for both sides together."""
    numbers = []
    index = measures.lmm_height_index_ml_m2
    if index is not None:
        score = scores.get("lmm_height_index_ml_m2")
        numbers.append(
            number(codes.LMM_HEIGHT_INDEX, index, codes.ML_PER_M2, finding, score=score, words=words)
        )
    for value, concept in (
        (measures.asymmetry.compartment_ml, codes.ASYMMETRY_COMPARTMENT),
        (measures.asymmetry.imat_fraction, codes.ASYMMETRY_IMAT),
    ):
        if value is not None:
            numbers.append(number(concept, value, codes.NO_UNITS, finding))
    return numbers


def _states(finding: Finding) -> Sequence[QualitativeEvaluation] | None:
    """For each score that was withheld, the state that says why (the sentence is among the comments)."""
    states = dict.fromkeys(score.state for score in finding.scores if score.state != "scored")
    return [QualitativeEvaluation(codes.SCORE_STATE, codes.SCORE_STATE_OF[state]) for state in states] or None
