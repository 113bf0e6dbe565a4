"""File meta information at the beginning of a DICOM file, in whatever pieces it comes."""

import struct
from io import BytesIO

import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from service.dicom.filing import META_BYTES, Meta, read_meta
from service.errors import UnreadableSeries


def head(**changes):
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword, value in changes.items():
        if value is None:
            delattr(meta, keyword)
        else:
            setattr(meta, keyword, value)
    stream = BytesIO()
    write_file_meta_info(stream, meta, enforce_standard=False)
    return bytes(128) + b"DICM" + stream.getvalue()


DATASET = struct.pack("<HH2sH", 0x0008, 0x0005, b"CS", 0) + b"and so on"


@pytest.mark.parametrize("group_length", [0, 10, 10_000])
def test_it_ends_where_another_group_begins_whatever_length_it_states(group_length):
    raw = head(FileMetaInformationGroupLength=group_length, PrivateInformationCreatorUID="1.2")
    found = read_meta(raw + DATASET)
    assert found == Meta(str(MRImageStorage), "1.2.3", str(ExplicitVRLittleEndian), len(raw))


def test_it_is_not_whole_until_the_dataset_begins():
    whole = head() + DATASET
    assert {read_meta(whole[:size]) for size in range(len(head()) + 8)} == {None}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\xff" * 140, "not_dicom"),
        (bytes(128) + b"DI  ", "not_dicom"),
        (head(MediaStorageSOPInstanceUID=None) + DATASET, "bad_header"),
        (head(MediaStorageSOPInstanceUID="1." * 32 + "1") + DATASET, "bad_header"),
        (head()[:132] + struct.pack("<HH2sHI", 2, 1, b"OB", 0, META_BYTES), "bad_header"),
        (
            head()[:132] + struct.pack("<HH2sHI", 2, 1, b"OB", 0, META_BYTES - 200) + bytes(META_BYTES),
            "bad_header",
        ),
    ],
    ids=["something else", "half a prefix", "nobody named", "no UID", "longer than any", "no end"],
)
def test_what_is_none_is_refused(raw, reason):
    with pytest.raises(UnreadableSeries) as error:
        read_meta(raw)
    assert error.value.reason.code == reason
