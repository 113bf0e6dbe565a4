"""Segmentations of other programs, laid voxel for voxel on the images they were drawn on."""

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless, generate_uid

from service.core.mask import Label
from service.dicom.edited import read_edited, references_of, tracked_labels
from service.dicom.seg import write_seg
from service.errors import EditRefused
from tests.make import edited
from tests.make.results import IDENTITY, finding


@pytest.fixture(scope="module")
def ours(made, tmp_path_factory):
    """Our own segmentation of the images."""
    drawn = finding(made.mask)
    path = tmp_path_factory.mktemp("ours") / "seg.dcm"
    how = {"model": drawn.model, "definition": drawn.definition, "identity": IDENTITY}
    return write_seg(made.stack, made.mask, **how, path=path).path


@pytest.fixture(scope="module")
def upwards(made):
    """The drawing, slices from feet to head."""
    return made.mask.labels if made.stack.grid.normal[2] > 0 else made.mask.labels[::-1]


def refused(path, made, tracked=None):
    with pytest.raises(EditRefused) as caught:
        read_edited(path, made.stack, tracked or {})
    return caught.value.reason.code


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_segments_and_frames_in_any_order_lie_where_they_were_drawn(made, upwards, tmp_path, kind):
    path = edited.by_highdicom(made.files, upwards, tmp_path / "seg.dcm", kind=kind)
    found = read_edited(path, made.stack, {})
    np.testing.assert_array_equal(found.labels, made.mask.labels)
    assert found.described == (Label.LEAN_LEFT, Label.LEAN_RIGHT, Label.IMAT_LEFT, Label.IMAT_RIGHT)
    assert (found.by, found.made_with, found.says_manual) == ("Reader^Rita", "Somebody Drawing board", True)
    assert found.at is not None
    assert references_of(path) == {frame.sop_instance_uid for frame in made.stack.frames}


def test_a_compressed_label_map_and_a_deflated_file_are_read(made, upwards, tmp_path):
    path = edited.by_highdicom(made.files, upwards, tmp_path / "map.dcm", kind="LABELMAP")
    packed = pydicom.dcmread(path)
    packed.compress(RLELossless)
    packed.save_as(tmp_path / "rle.dcm")
    np.testing.assert_array_equal(read_edited(tmp_path / "rle.dcm", made.stack, {}).labels, made.mask.labels)
    plain = pydicom.dcmread(edited.by_highdicom(made.files, upwards, tmp_path / "bits.dcm"))
    plain.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    plain.save_as(tmp_path / "deflated.dcm", enforce_file_format=True)
    found = read_edited(tmp_path / "deflated.dcm", made.stack, {})
    np.testing.assert_array_equal(found.labels, made.mask.labels)


def test_what_ohif_writes_is_known_by_its_labels_alone(made, ours, tmp_path):
    found = read_edited(edited.by_dcmjs(ours, tmp_path / "js.dcm"), made.stack, {})
    np.testing.assert_array_equal(found.labels, made.mask.labels)
    assert (found.by, found.says_manual) == (None, False)


def test_our_tracking_identifiers_are_enough(made, ours, tmp_path):
    names = {label: f"Segment_{label}" for label in edited.NAMES}
    seg = pydicom.dcmread(ours)
    for segment in seg.SegmentSequence:
        segment.SegmentLabel = names[segment.SegmentNumber]
        del segment.TrackingID
    seg.save_as(tmp_path / "seg.dcm")
    assert refused(tmp_path / "seg.dcm", made) == "edit_segments_unknown"
    found = read_edited(tmp_path / "seg.dcm", made.stack, tracked_labels(ours))
    np.testing.assert_array_equal(found.labels, made.mask.labels)


def test_what_3d_slicer_writes_is_read_with_its_wiped_slice(made, ours, tmp_path):
    path = edited.by_dcmqi(ours, made.files[0].parent, tmp_path / "q")
    found = read_edited(path, made.stack, {})
    left = made.mask.labels == Label.LEAN_LEFT
    wiped = int(left.sum(axis=(1, 2)).argmax())
    expected = made.mask.labels.copy()
    expected[wiped][left[wiped]] = 0
    np.testing.assert_array_equal(found.labels, expected)
    assert (found.by, found.says_manual) == ("Slicer^User", True)


def changed(path, out, change):
    seg = pydicom.dcmread(path)
    change(seg)
    seg.save_as(out)
    return out


def fractional(seg):
    seg.SegmentationType = "FRACTIONAL"


def elsewhere(seg):
    seg.FrameOfReferenceUID = generate_uid()


def moved(seg):
    for group in seg.PerFrameFunctionalGroupsSequence:
        position = group.PlanePositionSequence[0].ImagePositionPatient
        group.PlanePositionSequence[0].ImagePositionPatient = [position[0] + 1.0, *position[1:]]


def without_place(seg):
    for group in seg.PerFrameFunctionalGroupsSequence:
        del group.PlanePositionSequence


def twice(seg):
    groups = seg.PerFrameFunctionalGroupsSequence
    groups[1] = groups[0]


def unsaid(seg):
    seg.PerFrameFunctionalGroupsSequence = seg.PerFrameFunctionalGroupsSequence[:-1]


def cut(seg):
    seg.PixelData = seg.PixelData[:100]


def many(seg):
    seg.NumberOfFrames = 10_001


def large(seg):
    seg.Rows = seg.Columns = 4096


def wrong_side(seg):
    seg.SegmentSequence[0].SegmentLabel = "Paraspinal muscle right"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (fractional, "edit_not_binary"),
        (elsewhere, "edit_other_frame_of_reference"),
        (moved, "edit_other_grid"),
        (without_place, "edit_other_grid"),
        (twice, "edit_frame_twice"),
        (unsaid, "edit_unreadable"),
        (cut, "edit_unreadable"),
        (many, "edit_too_large"),
        (large, "edit_too_large"),
        (wrong_side, "edit_segment_contradicts"),
    ],
)
def test_what_cannot_be_laid_on_the_images_is_refused_with_its_reason(made, ours, tmp_path, change, code):
    assert refused(changed(ours, tmp_path / "seg.dcm", change), made) == code


@pytest.mark.parametrize(
    ("said", "by"),
    [
        ("Reader^Rita", "Reader^Rita"),
        ("rita", "rita^"),
        ("山田^太郎=やまだ^たろう", "山田^太郎=やまだ^たろう"),
        ("a^b=c=d=e", "a^b=c=d"),
        ("Z" * 200, "Z" * 63 + "^"),
        ("^=^", None),
    ],
)
def test_who_drew_it_is_a_name_that_dicom_can_say(made, ours, tmp_path, said, by):
    def named(seg):
        seg.SpecificCharacterSet, seg.ContentCreatorName = "ISO_IR 192", said

    assert read_edited(changed(ours, tmp_path / "seg.dcm", named), made.stack, {}).by == by


def test_other_images_and_other_files_are_refused(made, ours, tmp_path):
    finer = replace(made.stack.grid, pixel_spacing_mm=(1.0, 1.0))
    assert refused(ours, replace(made, stack=replace(made.stack, grid=finer))) == "edit_other_grid"
    assert refused(made.files[0], made) == "edit_segments_unknown"
    (tmp_path / "none.dcm").write_bytes(b"no DICOM at all")
    assert refused(tmp_path / "none.dcm", made) == "edit_unreadable"
    assert (references_of(tmp_path / "none.dcm"), tracked_labels(tmp_path / "none.dcm")) == (frozenset(), {})
