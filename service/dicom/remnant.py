"""What stays of a source image when its pixels go: its header, as results need it."""

from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from service.dicom.headers import FOREIGN_ERRORS, quiet
from service.dicom.identity import IMPLEMENTATION_CLASS_UID
from service.dicom.stack import Stack
from service.dicom.stamp import first_source
from service.errors import UnreadableSeries


@quiet()
def remnant_of(stack: Stack) -> bytes:
    """The header of the stack's first image as a file without pixels; raises UnreadableSeries.

    It is cleaned as for results, so cleaning it again changes nothing.
    """
    source = first_source(stack)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = source.SOPClassUID
    meta.MediaStorageSOPInstanceUID = source.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    plain = pydicom.Dataset(source)
    plain.file_meta = meta
    buffer = BytesIO()
    try:
        pydicom.dcmwrite(buffer, plain, implicit_vr=False, little_endian=True, enforce_file_format=True)
    except FOREIGN_ERRORS as error:
        raise UnreadableSeries("The DICOM header cannot be kept.", reason="bad_header") from error
    return buffer.getvalue()


def remnant_path(folder: Path, number: int) -> Path:
    """Where the header of the stack of that number in its input set is put."""
    return folder / f"source-{number}.dcm"
