"""What takes a result back: a report that says so, and a rejection note for what was sent.

Both are made from the objects as they lie on disk, because the images may be gone by then.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pydicom
from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from highdicom.sr import ContainerContentItem
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as standard

from service.core import wording
from service.core.language import ENGLISH, Words
from service.core.status import OutputKind
from service.core.variant import SrClass
from service.dicom import codes
from service.dicom.groups import group_without_numbers
from service.dicom.identity import (
    MANUFACTURER,
    SERIES_NUMBERS,
    ObjectIdentity,
    Reference,
    Written,
    fingerprint,
    own_reference,
    series_uid,
)
from service.dicom.report import Observer, root_container, statements
from service.dicom.sources import normalise
from service.dicom.sr import Edition, write_report
from service.dicom.stamp import (
    blank_person,
    copy_patient_and_study,
    describe_equipment,
    instance_uid,
    person_fingerprint,
    stamp,
    take_person,
    write,
)

SERIES_DESCRIPTION: Final = "MYOSCREEN: withdrawn, do not use"
#: Image library of a report (TID 1600).
IMAGE_LIBRARY: Final = "111028"
WITHDRAWAL: Final = "This result is withdrawn. Its numbers, drawings and documents must not be used."


def write_rejection_note(
    rejected: Sequence[Path],
    *,
    reason: codes.WithdrawalReason,
    identity: ObjectIdentity,
    path: Path,
    words: Words = ENGLISH,
) -> Written:
    """Write a Key Object Selection that rejects these objects of one study (IHE IOCM).

    An archive that knows the profile hides them and gives them out no more.
    """
    objects = [_read(each) for each in rejected]
    references = [_reference(each) for each in objects]
    person = take_person([objects[0]])
    sop_instance_uid = instance_uid(
        OutputKind.KOS,
        identity.report_digest,
        identity,
        reason,
        words.language,
        fingerprint(*(each.sop_instance_uid for each in references)),
        person_fingerprint(person),
    )
    evidence = [_as_evidence(reference, each) for reference, each in zip(references, objects, strict=True)]
    note = KeyObjectSelectionDocument(
        evidence=evidence,
        content=KeyObjectSelection(
            document_title=codes.REJECTED,
            referenced_objects=evidence,
            description=_why(reason, words),
        ),
        series_instance_uid=series_uid(sop_instance_uid),
        series_number=SERIES_NUMBERS[OutputKind.KOS],
        sop_instance_uid=sop_instance_uid,
        instance_number=1,
        manufacturer=MANUFACTURER,
    )
    copy_patient_and_study(person, note)
    describe_equipment(note, kind=OutputKind.KOS, description=SERIES_DESCRIPTION, model_name=wording.PRODUCT)
    stamp(note, identity)
    return write(note, kind=OutputKind.KOS, path=path)


def write_withdrawal_sr(
    report: Path,
    *,
    reason: codes.WithdrawalReason,
    software: str,
    identity: ObjectIdentity,
    path: Path,
    sr_class: SrClass = "comprehensive3d",
    words: Words = ENGLISH,
) -> Written:
    """Write the report that takes the place of ``report`` and says that its result is withdrawn."""
    earlier = _read(report)
    predecessor = _reference(earlier)
    content = root_container(
        [group_without_numbers(codes.WITHDRAWN, identity)],
        statements(
            [
                (codes.RESULT_STATUS, codes.WITHDRAWN),
                (codes.WITHDRAWAL_REASON, codes.WITHDRAWAL_REASON_OF[reason]),
            ],
            [words(wording.DISCLAIMER), _why(reason, words)],
        ),
        [],
        observer=Observer(software=software, model=wording.PRODUCT),
        person=None,
        words=words,
    )
    _insert_library(content, earlier)
    return write_report(
        earlier,
        content,
        evidence=list(_images(earlier)),
        key=["withdrawal", reason, words.language],
        model_name=wording.PRODUCT,
        identity=identity,
        editions=[Edition(sr_class=sr_class, path=path, predecessor=predecessor)],
    )[0]


def _why(reason: codes.WithdrawalReason, words: Words) -> str:
    """The withdrawal in one sentence, with its reason."""
    meaning = codes.WITHDRAWAL_REASON_OF[reason].meaning
    return f"{words(WITHDRAWAL)} {words('Reason')}: {words(meaning)}."


def _read(path: Path) -> Dataset:
    """An object of ours without its pixels and its document, fit to copy the patient from."""
    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    dataset.pop("EncapsulatedDocument", None)
    dataset.pop("PerFrameFunctionalGroupsSequence", None)
    normalise(dataset)
    return dataset


def _reference(dataset: Dataset) -> Reference:
    return own_reference(str(dataset.StudyInstanceUID), str(dataset.SOPClassUID), str(dataset.SOPInstanceUID))


def _as_evidence(reference: Reference, dataset: Dataset) -> Dataset:
    """What the library asks of a rejected object; the patient is put in afterwards.

    Rows and columns tell it to cite an image as an image.
    """
    evidence = blank_person(reference.as_dataset())
    if "Rows" in dataset:
        evidence.Rows, evidence.Columns = dataset.Rows, dataset.Columns
    return evidence


def _images(report: Dataset) -> Sequence[Dataset]:
    """The source images in the evidence of a report: what is not ours."""
    images = []
    for study in report.get("CurrentRequestedProcedureEvidenceSequence") or ():
        for series in study.ReferencedSeriesSequence:
            for instance in series.ReferencedSOPSequence:
                if series.SeriesInstanceUID == series_uid(str(instance.ReferencedSOPInstanceUID)):
                    continue
                reference = Reference(
                    study_uid=str(study.StudyInstanceUID),
                    series_uid=str(series.SeriesInstanceUID),
                    sop_class_uid=str(instance.ReferencedSOPClassUID),
                    sop_instance_uid=str(instance.ReferencedSOPInstanceUID),
                )
                images.append(reference.as_dataset())
    return images


def _insert_library(content: Dataset, earlier: Dataset) -> None:
    """The image library of the earlier report, before the measurements: viewers look for one."""
    for item in earlier.ContentSequence:
        if item.ValueType == "CONTAINER" and item.ConceptNameCodeSequence[0].CodeValue == IMAGE_LIBRARY:
            names = [each.get("ConceptNameCodeSequence") for each in content.ContentSequence]
            measurements = standard.DCM.ImagingMeasurements.value
            at = next(i for i, name in enumerate(names) if name and name[0].CodeValue == measurements)
            content.ContentSequence.insert(at, ContainerContentItem.from_dataset(item))
            return
