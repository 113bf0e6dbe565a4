"""The structured report: every number of a finding as TID 1500, or the reason why there is none."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from highdicom.sr import Comprehensive3DSR, ComprehensiveSR, EnhancedSR
from pydicom.dataset import Dataset

from service.core.finding import Finding
from service.core.language import ENGLISH, Words
from service.core.mask import Mask
from service.core.status import OutputKind
from service.core.variant import SR_CLASS_UIDS, SrClass, SrForm
from service.dicom import codes
from service.dicom.citing import cited, images_of_all
from service.dicom.groups import Cited, Segmented, measurement_groups
from service.dicom.identity import (
    MANUFACTURER,
    SERIES_NUMBERS,
    ObjectIdentity,
    Reference,
    Written,
    fingerprint,
    series_uid,
)
from service.dicom.planar import planar_group, shown_slice
from service.dicom.report import image_library, observer_of, root_container, statements_of
from service.dicom.stack import Stack
from service.dicom.stamp import (
    blank_person,
    copy_patient_and_study,
    describe_equipment,
    first_source,
    instance_uid,
    person_fingerprint,
    stamp,
    take_person,
    write,
)

SERIES_DESCRIPTION: Final = "MYOSCREEN: measures, RESEARCH USE ONLY, NOT FOR DIAGNOSIS"
CLASSES: Final[dict[SrClass, type[Dataset]]] = {
    "comprehensive3d": Comprehensive3DSR,
    "comprehensive": ComprehensiveSR,
    "enhanced": EnhancedSR,
}


#: Until the report has the name of an edition.
UNNAMED: Final = "2.25.0"


@dataclass(frozen=True, kw_only=True)
class Edition:
    """One class in which a report is written; content and evidence are the same in all."""

    sr_class: SrClass
    path: Path
    #: The earlier report that this one takes the place of.
    predecessor: Reference | None = None


def write_sr(
    stack: Stack,
    finding: Finding,
    *,
    segs: Sequence[Segmented],
    others: Sequence[Written],
    identity: ObjectIdentity,
    editions: Sequence[Edition],
    further: Sequence[Stack] = (),
    form: SrForm = "volumetric",
    mask: Mask | None = None,
    words: Words = ENGLISH,
) -> list[Written]:
    """Write the finding as a preliminary, unverified structured report, once in each class asked for.

    A finding without measures becomes a report that holds the reason and no number. ``segs`` are the
    segmentations: one, or one for each station of a scan in several. ``further`` are
    stacks beside the one that results lie on, such as the fat image of a Dixon pair: evidence too.
    The planar form has one group with an outline of ``mask`` in place of all groups, for viewers that show
    nothing of the others.
    """
    source = first_source(stack)
    images = images_of_all(stack, source, [(other, first_source(other)) for other in further])
    objects = [cited(each) for each in (*(one.seg for one in segs), *others)]
    planar = form == "planar"
    groups = (
        [planar_group(finding, stack, mask, identity=identity, words=words)]
        if planar
        else measurement_groups(
            finding,
            [
                Cited(
                    segmentation=segmentation,
                    source=source if one.stack is stack else first_source(one.stack),
                    volumes_ml=one.volumes_ml,
                )
                for one, segmentation in zip(segs, objects, strict=False)
            ],
            identity,
            words,
        )
    )
    content = root_container(
        groups,
        statements_of(finding, words),
        image_library(stack, source, shown=shown_slice(stack, mask) if planar else None),
        observer=observer_of(finding),
        person=finding.person,
        words=words,
    )
    drawn = mask.labels.tobytes() if planar and mask is not None else b""
    key: list[bytes | str] = [json.dumps(_said(finding), sort_keys=True), form, drawn, words.language]
    return write_report(
        source,
        content,
        evidence=[*images, *objects],
        key=key,
        model_name=observer_of(finding).model,
        identity=identity,
        editions=editions,
    )


def write_report(
    source: Dataset,
    content: Dataset,
    *,
    evidence: Sequence[Dataset],
    key: Sequence[bytes | str],
    model_name: str,
    identity: ObjectIdentity,
    editions: Sequence[Edition],
) -> list[Written]:
    """Write a content tree as a report, once in each class asked for.

    ``key`` is what shaped it, beside evidence, class, predecessor and person. The classes allow the same of
    what we say (no SCOORD3D, nothing by reference), so the report is built once and named anew for each.
    """
    person = take_person([source])
    # The plainest class allows least, so what it allows is allowed in all.
    strictest = max(editions, key=lambda edition: list(SR_CLASS_UIDS).index(edition.sr_class))
    report = CLASSES[strictest.sr_class](
        evidence=[blank_person(evidence[0]), *evidence[1:]],
        content=content,
        series_instance_uid=UNNAMED,
        series_number=SERIES_NUMBERS[OutputKind.SR],
        sop_instance_uid=UNNAMED,
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
    shaped = [
        fingerprint(*key),
        fingerprint(*(str(each.SOPInstanceUID) for each in evidence)),
        person_fingerprint(person),
    ]
    written = []
    for edition in editions:
        before = "" if edition.predecessor is None else edition.predecessor.sop_instance_uid
        named = (*shaped, before, edition.sr_class)
        report.SOPInstanceUID = instance_uid(OutputKind.SR, identity.report_digest, identity, *named)
        _make_edition(report, edition)
        written.append(write(report, kind=OutputKind.SR, path=edition.path))
    return written


def _make_edition(report: Dataset, edition: Edition) -> None:
    """Give the report the class, the series and the predecessor of one edition."""
    report.SOPClassUID = SR_CLASS_UIDS[edition.sr_class]
    report.SeriesInstanceUID = series_uid(str(report.SOPInstanceUID))
    report.pop("PredecessorDocumentsSequence", None)
    if edition.predecessor is not None:
        report.PredecessorDocumentsSequence = [_named_in_study(edition.predecessor)]


def _named_in_study(reference: Reference) -> Dataset:
    """One object by study, series and instance (PS3.3 C.17.2.1)."""
    instance, series, study = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID = reference.sop_class_uid
    instance.ReferencedSOPInstanceUID = reference.sop_instance_uid
    series.SeriesInstanceUID, series.ReferencedSOPSequence = reference.series_uid, [instance]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = reference.study_uid, [series]
    return study


def _said(finding: Finding) -> dict[str, object]:
    """What of a finding shapes the report: all but the list of objects, which the report is one of."""
    return {key: value for key, value in finding.as_dict().items() if key != "outputs"}
