"""Bad files become named outcomes, and good pixels become the numbers that were stored."""

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from service.dicom.series import read_volume, scan
from service.errors import UnreadableSeries
from tests.make.series import enhanced_mr, mr_series, mr_slice, save

#: JPEG 2000 cannot encode the few pixels that other tests use.
LARGE = {"Rows": 64, "Columns": 48, "PixelData": bytes(range(256)) * 24}


def only_reason(path: Path) -> str:
    """The reason code of the one unreadable file."""
    result = scan([path])
    assert result.stacks == ()
    (unreadable,) = result.unreadable
    assert unreadable.reason.text.endswith(".")
    return unreadable.reason.code


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty_file"),
        (b"hello, this is text\n" * 20, "not_dicom"),
        (b"\x00" * 400, "not_dicom"),
        (b"\x08\x00\x05\x00", "not_dicom"),
        (b"\x08\x00\x05\x00CS\xff\xff" + b"x" * 300, "not_dicom"),
        (b"\x00" * 128 + b"DICM", "truncated"),
        (b"\x00" * 128 + b"DICM" + b"\xff" * 300, "bad_header"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "not_dicom"),
    ],
)
def test_what_is_not_dicom_has_a_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert only_reason(path) in (reason, "truncated" if reason == "bad_header" else reason)


def test_a_missing_file_has_a_reason(tmp_path: Path) -> None:
    assert only_reason(tmp_path / "gone.dcm") == "io_error"


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6, 0.8])
def test_a_cut_header_is_called_truncated(tmp_path: Path, share: float) -> None:
    path = save(mr_slice(), tmp_path / "a.dcm")
    raw = path.read_bytes()
    path.write_bytes(raw[: int((len(raw) - 96) * share)])
    assert only_reason(path) in ("truncated", "no_identity", "not_an_image", "no_pixels", "no_geometry")


@pytest.mark.parametrize("cut", range(132, 900, 7))
def test_no_cut_ever_raises(tmp_path: Path, cut: int) -> None:
    path = save(mr_slice(), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[:cut])
    result = scan([path])
    assert len(result.stacks) + len(result.unreadable) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"Rows": None}, "not_an_image"),
        ({"ImagePositionPatient": None}, "no_geometry"),
        ({"ImageOrientationPatient": None}, "no_geometry"),
        ({"PixelSpacing": None}, "no_geometry"),
        ({"PixelSpacing": ["0", "1"]}, "bad_geometry"),
        ({"PixelSpacing": ["0.04", "1"]}, "bad_geometry"),
        ({"PixelSpacing": ["1", "10.1"]}, "bad_geometry"),
        ({"PixelSpacing": ["1e300", "1"]}, "bad_geometry"),
        ({"Rows": 1001, "PixelSpacing": ["2", "2"]}, "bad_geometry"),
        ({"Columns": 1001, "PixelSpacing": ["2", "2"]}, "bad_geometry"),
        ({"ImagePositionPatient": ["0", "0", "1.1e4"]}, "bad_geometry"),
        ({"ImagePositionPatient": ["-1e300", "1e300", "0"]}, "bad_geometry"),
        ({"ImageOrientationPatient": ["1", "0", "0", "1", "0", "0"]}, "bad_geometry"),
        ({"ImageOrientationPatient": ["1e300", "0", "0", "1e300", "1", "0"]}, "bad_geometry"),
        ({"ImageOrientationPatient": ["0", "0", "0", "0", "0", "0"]}, "bad_geometry"),
        ({"SOPInstanceUID": None}, "no_identity"),
        ({"SeriesInstanceUID": None}, "no_identity"),
        ({"SeriesInstanceUID": "../../etc"}, "bad_uid"),
        ({"SeriesInstanceUID": ["1.2.3", "1.2.4"]}, "bad_uid"),
        ({"SOPClassUID": None}, "no_identity"),
        ({"SOPClassUID": "MR Image Storage"}, "bad_uid"),
        ({"Rows": 5000}, "too_large"),
        ({"NumberOfFrames": "3"}, "no_geometry"),
        ({"PixelData": None}, "no_pixels"),
    ],
)
def test_what_cannot_be_measured_has_a_reason(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    assert only_reason(save(mr_slice(**changes), tmp_path / "a.dcm")) == reason


def test_a_dicomdir_is_passed_over(tmp_path: Path) -> None:
    directory = Dataset()
    directory.SOPClassUID = "1.2.840.10008.1.3.10"
    directory.SOPInstanceUID = "1.2.3"
    directory.DirectoryRecordSequence = []
    result = scan([save(directory, tmp_path / "DICOMDIR")])
    assert (result.stacks, result.unreadable) == ((), ())


def test_a_file_without_preamble_is_read_when_it_looks_like_dicom(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    for implicit in (True, False):
        mr_slice().save_as(path, implicit_vr=implicit, little_endian=True)
        (stack,) = scan([path]).stacks
        assert read_volume(stack).values[0, 0, :3].tolist() == [0.0, 1.0, 2.0]


def test_one_bad_value_does_not_spoil_the_file(tmp_path: Path) -> None:
    def junk(dataset: Dataset, _index: int) -> None:
        dataset.InstanceNumber = "1"
        dataset["InstanceNumber"]._value = "1.5 "
        dataset.add_new("StudyDate", "LO", "not a date")
        dataset.add_new("EchoTime", "LO", "n/a")
        dataset.add_new("PatientAge", "LO", "very old")

    (stack,) = scan(mr_series(tmp_path, each=junk)).stacks
    assert stack.facts.contrast == "t2_tse"
    assert stack.facts.person.age_years == 60.0


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEG2000Lossless,
        JPEGLSLossless,
    ],
)
def test_every_lossless_encoding_gives_the_same_numbers(tmp_path: Path, syntax: str) -> None:
    expected = np.random.default_rng(1).integers(0, 60000, (5, 64, 48), dtype=np.uint16)

    def fill(dataset: Dataset, index: int) -> None:
        order = ">u2" if syntax == ExplicitVRBigEndian else "<u2"
        dataset.PixelData = expected[index].astype(order).tobytes()

    changes = {"Rows": 64, "Columns": 48}
    (stack,) = scan(mr_series(tmp_path, syntax=syntax, changes=changes, each=fill)).stacks
    assert np.array_equal(read_volume(stack).values, expected)
    assert not stack.facts.lossy


def test_single_frames_of_a_compressed_multiframe_are_decoded(tmp_path: Path) -> None:
    path = enhanced_mr(tmp_path / "e.dcm", positions=[(0, 0, 8), (0, 0, 4), (0, 0, 0)], syntax=RLELossless)
    (stack,) = scan([path]).stacks
    assert read_volume(stack).values[:, 0, 0].tolist() == [200.0, 100.0, 0.0]


def test_rescale_and_signed_bits_are_applied(tmp_path: Path) -> None:
    words = np.array([-1, -5, 7] + [0] * 45, dtype="<i2") & 0x0FFF
    changes = {
        "PixelRepresentation": 1,
        "BitsStored": 12,
        "HighBit": 11,
        "RescaleSlope": "2.5",
        "RescaleIntercept": "-10",
        "PixelData": words.astype("<u2").tobytes(),
    }
    (stack,) = scan(mr_series(tmp_path, positions=(0,), changes=changes)).stacks
    assert read_volume(stack).values[0, 0, :3].tolist() == [-12.5, -22.5, 7.5]


def test_bits_of_old_overlays_are_masked(tmp_path: Path) -> None:
    words = np.full(48, 0xF005, dtype="<u2")
    changes = {"BitsStored": 12, "HighBit": 11, "PixelData": words.tobytes()}
    (stack,) = scan(mr_series(tmp_path, positions=(0,), changes=changes)).stacks
    assert set(read_volume(stack).values.ravel()) == {5.0}


def test_monochrome1_is_turned_round(tmp_path: Path) -> None:
    changes = {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 12, "HighBit": 11}
    (stack,) = scan(mr_series(tmp_path, positions=(0,), changes=changes)).stacks
    assert read_volume(stack).values[0, 0, :2].tolist() == [4095.0, 4094.0]


def test_eight_bits_are_read(tmp_path: Path) -> None:
    changes = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelData": bytes(range(48))}
    (stack,) = scan(mr_series(tmp_path, positions=(0,), changes=changes)).stacks
    assert read_volume(stack).values[0, 5, 7] == 47.0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"PixelData": b"\x00" * 90}, "truncated_pixels"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "unsupported_photometric"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "unsupported_photometric"),
        ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, "unsupported_pixel_format"),
        ({"BitsStored": 17}, "unsupported_pixel_format"),
        ({"RescaleSlope": "1e300"}, "bad_rescale"),
        ({"RescaleSlope": "1e38"}, "bad_rescale"),
        ({"RescaleIntercept": "-1e300"}, "bad_rescale"),
        ({"RescaleSlope": "1e300", "RescaleIntercept": "-1e300"}, "bad_rescale"),
    ],
)
def test_pixels_that_cannot_be_used_have_a_reason(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    (stack,) = scan(mr_series(tmp_path, positions=(0,), changes=changes)).stacks
    with pytest.raises(UnreadableSeries) as caught:
        read_volume(stack)
    assert caught.value.reason.code == reason


def test_a_volume_of_too_many_voxels_is_refused_before_memory_is_asked_for(tmp_path: Path) -> None:
    (stack,) = scan(mr_series(tmp_path, positions=(0.0,))).stacks
    places = np.arange(17.0)[:, None] * np.array([0.0, 0.0, 4.0])
    # 17 slices of 2**24 pixels.
    huge = replace(stack, grid=replace(stack.grid, origins_mm=places, rows=4096, columns=4096))
    with pytest.raises(UnreadableSeries) as caught:
        read_volume(huge)
    assert caught.value.reason.code == "too_large"


def test_a_thickness_longer_than_any_scanner_is_no_thickness(tmp_path: Path) -> None:
    (stack,) = scan(mr_series(tmp_path, positions=(0.0,), changes={"SliceThickness": "1e300"})).stacks
    assert stack.grid.slice_thickness_mm is None


def test_a_file_cut_within_its_pixels_is_truncated(tmp_path: Path) -> None:
    paths = mr_series(tmp_path)
    paths[2].write_bytes(paths[2].read_bytes()[:-20])
    (stack,) = scan(paths).stacks
    with pytest.raises(UnreadableSeries) as caught:
        read_volume(stack)
    assert caught.value.reason.code == "truncated_pixels"


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
@pytest.mark.parametrize("cut", [8, 12, 30])
def test_a_cut_compressed_file_is_a_named_outcome(tmp_path: Path, syntax: str, cut: int) -> None:
    (path,) = mr_series(tmp_path, positions=(0,), syntax=syntax, changes=LARGE)
    path.write_bytes(path.read_bytes()[:-cut])
    (stack,) = scan([path]).stacks
    with pytest.raises(UnreadableSeries) as caught:
        read_volume(stack)
    assert caught.value.reason.code == "truncated_pixels"


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_garbage_in_place_of_a_code_stream_is_undecodable(tmp_path: Path, syntax: str) -> None:
    (path,) = mr_series(tmp_path, positions=(0,), syntax=syntax, changes=LARGE)
    raw = bytearray(path.read_bytes())
    start = raw.index(struct.pack("<HH", 0x7FE0, 0x0010)) + 28
    raw[start : len(raw) - 8] = b"\xaa" * (len(raw) - 8 - start)
    path.write_bytes(bytes(raw))
    (stack,) = scan([path]).stacks
    with pytest.raises(UnreadableSeries) as caught:
        read_volume(stack)
    assert caught.value.reason.code == "undecodable_pixels"
