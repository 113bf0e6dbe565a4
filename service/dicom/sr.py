"""The structured report: every number of a finding as TID 1500, or the reason why there is none."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from highdicom.sr import Comprehensive3DSR, ComprehensiveSR, EnhancedSR
from pydicom.dataset import Dataset

from service.core.finding import Finding
from service.core.language import ENGLISH, Words
from service.core.mask import Mask
from service.core.status import OutputKind
from service.core.variant import SrClass, SrForm
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


#: PS3.4 B.5.
CLASS_UIDS: Final[dict[SrClass, str]] = {
    "comprehensive3d": "1.2.840.10008.5.1.4.1.1.88.34",
    "comprehensive": "1.2.840.10008.5.1.4.1.1.88.33",
    "enhanced": "1.2.840.10008.5.1.4.1.1.88.22",
}


def class_uid(sr_class: SrClass) -> str:
    """The SOP class of a report of that kind."""
    return CLASS_UIDS[sr_class]


def write_sr(
    stack: Stack,
    finding: Finding,
    *,
    segs: Sequence[Segmented],
    others: Sequence[Written],
    identity: ObjectIdentity,
    path: Path,
    further: Sequence[Stack] = (),
    predecessor: Reference | None = None,
    sr_class: SrClass = "comprehensive3d",
    form: SrForm = "volumetric",
    mask: Mask | None = None,
    words: Words = ENGLISH,
) -> Written:
    """Write the finding as a preliminary, unverified structured report.

    A finding without measures becomes a report that holds the reason and no number. ``segs`` are the
    segmentations: one, or one for each station of a scan in several. ``further`` are
    stacks beside the one that results lie on, such as the fat image of a Dixon pair: evidence too.
    ``predecessor`` is the earlier report that this one takes the place of. The planar form has one group
    with an outline of ``mask`` in place of all groups, for viewers that show nothing of the others.
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
        path=path,
        predecessor=predecessor,
        sr_class=sr_class,
    )


def write_report(
    source: Dataset,
    content: Dataset,
    *,
    evidence: Sequence[Dataset],
    key: Sequence[bytes | str],
    model_name: str,
    identity: ObjectIdentity,
    path: Path,
    predecessor: Reference | None,
    sr_class: SrClass,
) -> Written:
    """Write a content tree as a report; ``key`` is what shaped it, beside evidence, class and person."""
    person = take_person([source])
    sop_instance_uid = instance_uid(
        OutputKind.SR,
        identity.report_digest,
        identity,
        fingerprint(*key),
        fingerprint(*(str(each.SOPInstanceUID) for each in evidence)),
        person_fingerprint(person),
        "" if predecessor is None else predecessor.sop_instance_uid,
        sr_class,
    )
    report = CLASSES[sr_class](
        evidence=[blank_person(evidence[0]), *evidence[1:]],
        content=content,
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
        previous_versions=None if predecessor is None else [predecessor.as_dataset()],
    )
    copy_patient_and_study(person, report)
    describe_equipment(report, kind=OutputKind.SR, description=SERIES_DESCRIPTION, model_name=model_name)
    stamp(report, identity)
    return write(report, kind=OutputKind.SR, path=path)


def _said(finding: Finding) -> dict[str, object]:
    """What of a finding shapes the report: all but the list of objects, which the report is one of."""
    return {key: value for key, value in finding.as_dict().items() if key != "outputs"}
