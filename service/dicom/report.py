"""What a structured report says: its context, its groups of numbers, and its statements in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    LanguageOfContentItemAndDescendants,
    MeasurementReport,
    NumContentItem,
    ObservationContext,
    ObserverContext,
    PersonObserverIdentifyingAttributes,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as standard

from service.core import wording
from service.core.finding import Finding, PersonSection
from service.core.language import ENGLISH, Words
from service.dicom import codes
from service.dicom.citing import is_multiframe
from service.dicom.groups import Group
from service.dicom.identity import MANUFACTURER, uid
from service.dicom.stack import Stack

#: Representative images in the image library; the series is named by the evidence (DICOM.md 0.13).
KEY_IMAGES: Final = 3
#: Checks whose detail is said in words too; of the others the name, where they did not pass.
SAID_IN_FULL: Final = ("dixon_pair", "identity_agrees")


@dataclass(frozen=True, kw_only=True)
class Observer:
    """The device that speaks in a report."""

    software: str
    #: Name of the network.
    model: str
    #: The person who edited the drawing, as DICOM writes names; None where nobody did or is named.
    person: str | None = None


def root_container(
    groups: Sequence[Group],
    statements: ContainerContentItem,
    library: Sequence[Dataset],
    *,
    observer: Observer,
    person: PersonSection | None,
    words: Words = ENGLISH,
) -> Dataset:
    """The root of the content tree: context, image library, measurement groups, statements in words."""
    report = MeasurementReport(
        observation_context=_observation_context(observer),
        procedure_reported=codes.PROCEDURE,
        imaging_measurements=list(groups),
        title=standard.DCM.ImagingMeasurementReport,
        referenced_images=list(library),
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(
            codes.LANGUAGE_OF[words.language]
        ),
    )
    root: Dataset = report[0]
    _insert_subject(root.ContentSequence, person)
    root.ContentSequence.append(statements)
    return root


def observer_of(finding: Finding) -> Observer:
    """This software, with the network as its model."""
    return Observer(
        software=finding.software,
        model=finding.model.name if finding.model else wording.PRODUCT,
        person=None if finding.edited is None else finding.edited.by,
    )


def _observation_context(observer: Observer) -> ObservationContext:
    """The person who drew, where one did (TID 1003), and the device that measured (TID 1004)."""
    person = None
    if observer.person is not None:
        person = ObserverContext(
            observer_type=standard.DCM.Person,
            observer_identifying_attributes=PersonObserverIdentifyingAttributes(name=observer.person),
        )
    return ObservationContext(
        observer_person_context=person,
        observer_device_context=ObserverContext(
            observer_type=standard.DCM.Device,
            observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
                uid=uid("device", observer.software),
                name=wording.PRODUCT,
                manufacturer_name=MANUFACTURER,
                model_name=observer.model,
                serial_number=observer.software[:64] or wording.PRODUCT,
            ),
        ),
    )


def image_library(stack: Stack, source: Dataset, *, shown: int | None = None) -> list[Dataset]:
    """The key images, described by the grid (multi-frame: the image as a whole, without a position).

    ``shown`` is a slice that must be among them, because the report draws on it.
    """
    if is_multiframe(source):
        return [_library_entry(stack, source, None)]
    count = len(stack.frames)
    indices = {(2 * step + 1) * count // (2 * KEY_IMAGES) for step in range(KEY_IMAGES)}
    if shown is not None:
        indices.add(shown)
    return [_library_entry(stack, source, index) for index in sorted(indices)]


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


def statements(
    coded: Sequence[tuple[CodedConcept, CodedConcept]], sentences: Sequence[str]
) -> ContainerContentItem:
    """What is said in codes and in words."""
    contains = RelationshipTypeValues.CONTAINS
    container = ContainerContentItem(codes.QUALITATIVE, relationship_type=contains)
    container.ContentSequence = ContentSequence()
    for name, value in coded:
        container.ContentSequence.append(CodeContentItem(name, value, contains))
    for sentence in sentences:
        container.ContentSequence.append(TextContentItem(codes.COMMENT, sentence, contains))
    return container


def statements_of(finding: Finding, words: Words = ENGLISH) -> ContainerContentItem:
    """Status and flags in codes; reasons, scores, quality, provenance and limits in words."""
    coded = [(codes.RESULT_STATUS, codes.STATUS_OF[finding.status])]
    coded += [(codes.flag_concept(flag.code), codes.FLAG_STATE_OF[flag.state]) for flag in finding.flags]
    return statements(coded, _sentences(finding, words))


def _sentences(finding: Finding, words: Words) -> list[str]:
    """The report in plain words."""
    said = [words(wording.disclaimer(finding)), *wording.edited_sentences(finding, words)]
    for reason in finding.reasons:
        text = words.reason(reason.code, reason.text)
        said.append(words("Reason {code}: {text}", code=reason.code, text=text))
    for score in finding.scores:
        name = wording.measure_name(score.measure, words)
        said.append(f"{name}: {wording.score_sentence(score, words)}.")
    if finding.quadrant is not None:
        said.append(words("Pattern: {pattern}.", pattern=words(wording.QUADRANTS[finding.quadrant])))
    said += wording.change_sentences(finding.change, words)
    said.append(f"{wording.quality_sentence(finding.quality, words)}.")
    said += [
        words.reason(check.check, check.detail) for check in finding.quality if check.check in SAID_IN_FULL
    ]
    said += _provenance(finding, words)
    if finding.measures is None:
        said.append(words(wording.NO_MEASUREMENT))
    return said + [words(limit) for limit in wording.LIMITS]


def _provenance(finding: Finding, words: Words) -> list[str]:
    """On what, by which definition and by which network was measured."""
    said, none = [], words("none")
    series, definition, model = finding.series, finding.definition, finding.model
    if series is not None:
        said.append(
            words(
                "Measured on {contrast}, {slices} slices, {coverage} mm, region: {region}.",
                contrast=wording.contrast_name(series, words),
                slices=series.slices,
                coverage=f"{series.coverage_mm:.0f}",
                region=words(series.region.replace("_", " ")),
            )
        )
        if series.block is not None:
            name = wording.block_name(series.block, words)
            said += [words("This is {block}.", block=name)] if series.block.number is not None else []
            said.append(words(wording.BLOCK))
    if definition is not None:
        said.append(
            words(
                "Definition {id} {version}; fat method {method}; boundary rule: {rule}.",
                id=definition.id,
                version=definition.version,
                method=definition.fat_method or none,
                rule=wording.boundary_rule(definition, words).rstrip("."),
            )
        )
    if model is not None:
        said.append(
            words(
                "Network {name} {version} ({provider}, {precision}), sha256 {sha256}; "
                "software {software}; policy {policy}.",
                name=model.name,
                version=model.version,
                provider=model.provider,
                precision=model.precision,
                sha256=model.sha256,
                software=finding.software,
                policy=finding.policy or none,
            )
        )
    return said + wording.measured_by_sentences(finding, words)
