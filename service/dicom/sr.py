"""The structured report: every number of a finding as TID 1500, or the reason why there is none."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pydicom
from highdicom.sr import (
    CodeContentItem,
    Comprehensive3DSR,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    MeasurementReport,
    NumContentItem,
    ObservationContext,
    ObserverContext,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as standard

from service.core import wording
from service.core.finding import Finding, PersonSection
from service.core.status import OutputKind
from service.dicom import codes
from service.dicom.groups import measurement_groups
from service.dicom.identity import (
    MANUFACTURER,
    SERIES_NUMBERS,
    ObjectIdentity,
    Written,
    fingerprint,
    uid,
)
from service.dicom.seg import is_multiframe
from service.dicom.stack import Stack
from service.dicom.stamp import (
    copy_patient_and_study,
    describe_equipment,
    first_source,
    instance_uid,
    person_fingerprint,
    series_uid,
    stamp,
    take_person,
    write,
)

SERIES_DESCRIPTION: Final = "MYOSCREEN: measures, RESEARCH USE ONLY, NOT FOR DIAGNOSIS"
CITED: Final = [
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SegmentSequence",
]
#: Representative images in the image library; the series is named by the evidence (DICOM.md 0.13).
KEY_IMAGES: Final = 3


def write_sr(
    stack: Stack,
    finding: Finding,
    *,
    seg: Written | None,
    others: Sequence[Written],
    identity: ObjectIdentity,
    path: Path,
    further: Sequence[Stack] = (),
) -> Written:
    """Write the finding as a preliminary, unverified Comprehensive 3D SR.

    A finding without measures becomes a report that holds the reason and no number. ``further`` are
    stacks beside the one that results lie on, such as the fat image of a Dixon pair: evidence too.
    """
    source = first_source(stack)
    person = take_person([source])
    objects = [_cited(each) for each in (seg, *others) if each]
    segmentation = objects[0] if seg is not None else None
    sop_instance_uid = instance_uid(
        OutputKind.SR,
        identity.report_digest,
        identity,
        fingerprint(json.dumps(_said(finding), sort_keys=True)),
        fingerprint(*(str(each.SOPInstanceUID) for each in objects)),
        person_fingerprint(person),
    )
    model_name = finding.model.name if finding.model else wording.PRODUCT
    report = Comprehensive3DSR(
        evidence=[*_images(stack, source), *_further(stack, further), *objects],
        content=_content(finding, segmentation, source, stack, identity),
        series_instance_uid=series_uid(sop_instance_uid),
        series_number=SERIES_NUMBERS[OutputKind.SR],
        sop_instance_uid=sop_instance_uid,
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=False,
        is_verified=False,
        series_description=SERIES_DESCRIPTION,
        coding_schemes=[codes.coding_scheme()],
    )
    copy_patient_and_study(person, report)
    describe_equipment(report, kind=OutputKind.SR, description=SERIES_DESCRIPTION, model_name=model_name)
    stamp(report, identity)
    return write(report, kind=OutputKind.SR, path=path)


def _cited(written: Written) -> Dataset:
    """What the report needs of an object that it cites; per-frame descriptions are skipped for speed."""
    return pydicom.dcmread(written.path, stop_before_pixels=True, specific_tags=CITED)


def _said(finding: Finding) -> dict[str, object]:
    """What of a finding shapes the report: all but the list of objects, which the report is one of."""
    return {key: value for key, value in finding.as_dict().items() if key != "outputs"}


def _content(
    finding: Finding,
    segmentation: Dataset | None,
    source: Dataset,
    stack: Stack,
    identity: ObjectIdentity,
) -> Dataset:
    """The root container: context, image library, measurement groups, statements in words."""
    report = MeasurementReport(
        observation_context=_observation_context(finding),
        procedure_reported=codes.PROCEDURE,
        imaging_measurements=measurement_groups(finding, segmentation, source, identity),
        title=standard.DCM.ImagingMeasurementReport,
        referenced_images=_library(stack, source),
    )
    root: Dataset = report[0]
    _insert_subject(root.ContentSequence, finding.person)
    root.ContentSequence.append(_statements(finding))
    return root


def _observation_context(finding: Finding) -> ObservationContext:
    """The device that observed: this software, with the network as its model."""
    return ObservationContext(
        observer_device_context=ObserverContext(
            observer_type=standard.DCM.Device,
            observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
                uid=uid("device", finding.software),
                name=wording.PRODUCT,
                manufacturer_name=MANUFACTURER,
                model_name=finding.model.name if finding.model else wording.PRODUCT,
                serial_number=finding.software[:64] or wording.PRODUCT,
            ),
        )
    )


def _images(stack: Stack, source: Dataset) -> list[Dataset]:
    """Every image of the stack as evidence: the first with its header, the others by identifier."""
    images = [source]
    for sop_instance_uid in dict.fromkeys(frame.sop_instance_uid for frame in stack.frames):
        if sop_instance_uid != source.SOPInstanceUID:
            image = Dataset()
            for keyword in ("SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID"):
                setattr(image, keyword, source[keyword].value)
            image.SOPInstanceUID = sop_instance_uid
            images.append(image)
    return images


def _further(stack: Stack, others: Sequence[Stack]) -> list[Dataset]:
    """The images of other stacks that are not images of this one (a multi-frame object may hold both)."""
    seen = {frame.sop_instance_uid for frame in stack.frames}
    images = [image for other in others for image in _images(other, first_source(other))]
    return [image for image in images if image.SOPInstanceUID not in seen]


def _library(stack: Stack, source: Dataset) -> list[Dataset]:
    """The key images, described by the grid (multi-frame: the image as a whole, without a position)."""
    if is_multiframe(source):
        return [_library_entry(stack, source, None)]
    count = len(stack.frames)
    indices = sorted({(2 * step + 1) * count // (2 * KEY_IMAGES) for step in range(KEY_IMAGES)})
    return [_library_entry(stack, source, index) for index in indices]


def _library_entry(stack: Stack, source: Dataset, index: int | None) -> Dataset:
    """What TID 1602 and 1604 say of one slice's image, or of the whole object for no slice."""
    grid = stack.grid
    entry = Dataset()
    entry.SOPClassUID = source.SOPClassUID
    entry.SOPInstanceUID = stack.frames[index or 0].sop_instance_uid
    if "FrameOfReferenceUID" in source:
        entry.FrameOfReferenceUID = source.FrameOfReferenceUID
    entry.Rows, entry.Columns = grid.rows, grid.columns
    entry.Modality = "MR" if index is not None else ""
    if index is not None:
        entry.PixelSpacing = [round(value, 6) for value in grid.pixel_spacing_mm]
        directions = (*grid.column_direction, *grid.row_direction)
        entry.ImageOrientationPatient = [round(float(value), 6) for value in directions]
        entry.ImagePositionPatient = [round(float(value), 4) for value in grid.origins_mm[index]]
        entry.SliceThickness = round(grid.slice_thickness_mm or grid.slice_step_mm, 4)
    return entry


def _insert_subject(content: ContentSequence, person: PersonSection | None) -> None:
    """Who was measured (TID 1006, 1007), after the observer; highdicom has no class for it."""
    relation = RelationshipTypeValues.HAS_OBS_CONTEXT
    items: list[CodeContentItem | NumContentItem] = [
        CodeContentItem(codes.SUBJECT_CLASS, codes.PATIENT, relation)
    ]
    if person is not None and person.sex is not None:
        items.append(CodeContentItem(codes.SUBJECT_SEX, codes.SEX_OF[person.sex], relation))
    if person is not None and person.age_years is not None:
        age = round(person.age_years, 1)
        items.append(NumContentItem(codes.SUBJECT_AGE, age, codes.YEARS, relationship_type=relation))
    observed = [index for index, item in enumerate(content) if item.RelationshipType == relation.value]
    for offset, item in enumerate(items, start=max(observed) + 1):
        content.insert(offset, item)


def _statements(finding: Finding) -> ContainerContentItem:
    """What is said in codes and words: status, reasons, flags, scores, quality, provenance, limits."""
    container = ContainerContentItem(codes.QUALITATIVE, relationship_type=RelationshipTypeValues.CONTAINS)
    contains = RelationshipTypeValues.CONTAINS
    container.ContentSequence = ContentSequence()
    coded = [(codes.RESULT_STATUS, codes.STATUS_OF[finding.status])]
    coded += [(codes.flag_concept(flag.code), codes.FLAG_STATE_OF[flag.state]) for flag in finding.flags]
    for name, value in coded:
        container.ContentSequence.append(CodeContentItem(name, value, contains))
    for sentence in _sentences(finding):
        container.ContentSequence.append(TextContentItem(codes.COMMENT, sentence, contains))
    return container


def _sentences(finding: Finding) -> list[str]:
    """The report in plain words."""
    said = [wording.DISCLAIMER]
    said += [f"Reason {reason.code}: {reason.text}" for reason in finding.reasons]
    for score in finding.scores:
        said.append(f"{wording.measure_name(score.measure)}: {wording.score_sentence(score)}.")
    if finding.quadrant is not None:
        said.append(f"Pattern: {wording.QUADRANTS[finding.quadrant]}.")
    said.append(f"{wording.quality_sentence(finding.quality)}.")
    said += [check.detail for check in finding.quality if check.check == "dixon_pair"]
    if finding.series is not None:
        said.append(
            f"Measured on {wording.contrast_name(finding.series)}, {finding.series.slices} slices, "
            f"{finding.series.coverage_mm:.0f} mm, region: {finding.series.region.replace('_', ' ')}."
        )
    if finding.definition is not None:
        said.append(
            f"Definition {finding.definition.id} {finding.definition.version}; "
            f"fat method {finding.definition.fat_method or 'none'}; "
            f"boundary rule: {finding.definition.boundary_rule.rstrip('.')}."
        )
    if finding.model is not None:
        said.append(
            f"Network {finding.model.name} {finding.model.version}, sha256 {finding.model.sha256}; "
            f"software {finding.software}; policy {finding.policy or 'none'}."
        )
    if finding.measures is None:
        said.append(wording.NO_MEASUREMENT)
    return said + list(wording.LIMITS)
