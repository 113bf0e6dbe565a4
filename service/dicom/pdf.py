"""The report page as an Encapsulated PDF object."""

from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from service.core import wording
from service.core.status import OutputKind
from service.dicom import codes
from service.dicom.identity import ObjectIdentity, Written, fingerprint, series_uid
from service.dicom.stack import Stack
from service.dicom.stamp import (
    copy_patient_and_study,
    describe_equipment,
    first_source,
    instance_uid,
    person_fingerprint,
    stamp,
    take_person,
    write,
)

SERIES_DESCRIPTION: Final = "MYOSCREEN: report, RESEARCH USE ONLY, NOT FOR DIAGNOSIS"


def write_pdf(
    stack: Stack, pdf: bytes, *, sr: Written | None, identity: ObjectIdentity, path: Path
) -> Written:
    """Write a PDF as a document of the stack's study; it names the SR that it was made with."""
    source = first_source(stack)
    person = take_person([source])
    sop_instance_uid = instance_uid(
        OutputKind.PDF,
        identity.report_digest,
        identity,
        fingerprint(pdf, sr.sop_instance_uid if sr else ""),
        person_fingerprint(person),
    )
    document = Dataset()
    document.SOPClassUID = EncapsulatedPDFStorage
    document.SOPInstanceUID = sop_instance_uid
    document.SeriesInstanceUID = series_uid(sop_instance_uid)
    copy_patient_and_study(person, document)
    describe_equipment(
        document, kind=OutputKind.PDF, description=SERIES_DESCRIPTION, model_name=wording.PRODUCT
    )
    document.Modality = "DOC"
    document.ConversionType = "WSD"
    document.AcquisitionDateTime = ""
    document.BurnedInAnnotation = "YES"
    document.RecognizableVisualFeatures = "NO"
    document.VerificationFlag = "UNVERIFIED"
    document.DocumentTitle = f"{wording.TITLE} - {wording.BANNER}"
    document.ConceptNameCodeSequence = [codes.PDF_TITLE]
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    if sr is not None:
        document.SourceInstanceSequence = [_reference(sr)]
    document.EncapsulatedDocumentLength = len(pdf)
    # PS3.5 6.2: an OB value has an even length; the true one stands beside it.
    document.EncapsulatedDocument = pdf + b"\x00" * (len(pdf) % 2)
    stamp(document, identity)
    return write(document, kind=OutputKind.PDF, path=path)


def _reference(sr: Written) -> Dataset:
    """The report that says the same in codes."""
    item = Dataset()
    item.ReferencedSOPClassUID = sr.sop_class_uid
    item.ReferencedSOPInstanceUID = sr.sop_instance_uid
    return item
