"""The colour capture: one picture with the result for viewers that show neither SEG nor SR."""

from pathlib import Path
from typing import Final

import numpy as np
from highdicom import ContributingEquipment
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from service.core import wording
from service.core.status import OutputKind
from service.dicom.identity import ObjectIdentity, Written, fingerprint, series_uid
from service.dicom.stack import Stack
from service.dicom.stamp import (
    copy_patient_and_study,
    describe_body_part,
    describe_equipment,
    first_source,
    instance_uid,
    person_fingerprint,
    stamp,
    take_person,
    write,
)

SERIES_DESCRIPTION: Final = "MYOSCREEN: summary, RESEARCH USE ONLY, NOT FOR DIAGNOSIS"


def write_capture(stack: Stack, rgb: NDArray[np.uint8], *, identity: ObjectIdentity, path: Path) -> Written:
    """Write an RGB picture (rows, columns, 3) as Secondary Capture of the stack's study."""
    source = first_source(stack)
    person = take_person([source])
    pixels = np.ascontiguousarray(rgb, dtype=np.uint8)
    sop_instance_uid = instance_uid(
        OutputKind.SC,
        identity.report_digest,
        identity,
        fingerprint(str(pixels.shape), pixels.tobytes()),
        person_fingerprint(person),
    )
    capture = Dataset()
    capture.SOPClassUID = SecondaryCaptureImageStorage
    capture.SOPInstanceUID = sop_instance_uid
    capture.SeriesInstanceUID = series_uid(sop_instance_uid)
    copy_patient_and_study(person, capture)
    describe_equipment(
        capture, kind=OutputKind.SC, description=SERIES_DESCRIPTION, model_name=wording.PRODUCT
    )
    _describe_image(capture, pixels)
    describe_body_part(capture, stack, source)
    if source.get("Manufacturer"):
        capture.ContributingEquipmentSequence = [ContributingEquipment.for_image_acquisition(source)]
    stamp(capture, identity)
    return write(capture, kind=OutputKind.SC, path=path)


def _describe_image(capture: Dataset, pixels: NDArray[np.uint8]) -> None:
    """The image and its modules (PS3.3 A.8.1.3)."""
    capture.Modality = "OT"
    capture.ConversionType = "SYN"
    capture.PatientOrientation = ""
    capture.ImageType = ["DERIVED", "SECONDARY"]
    capture.BurnedInAnnotation = "YES"
    capture.DerivationDescription = "Summary page drawn by software from measured values and key images"
    capture.ImageComments = wording.DISCLAIMER
    capture.SamplesPerPixel = 3
    capture.PhotometricInterpretation = "RGB"
    capture.PlanarConfiguration = 0
    capture.Rows, capture.Columns = pixels.shape[:2]
    capture.BitsAllocated = 8
    capture.BitsStored = 8
    capture.HighBit = 7
    capture.PixelRepresentation = 0
    raw = pixels.tobytes()
    # PS3.5 8.2: pixel data has an even length.
    capture.add_new("PixelData", "OB", raw + b"\x00" * (len(raw) % 2))
