"""Outlines over the source images, and what takes a result back."""

import subprocess
from dataclasses import replace

import highdicom as hd
import numpy as np
import pydicom
import pytest
from highdicom.color import CIELabColor
from highdicom.legacy import LegacyConvertedEnhancedMRImage
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from service.core.language import IN
from service.core.mask import Label
from service.core.outline import enclosed
from service.dicom import codes
from service.dicom.gsps import MAX_POINTS, MIN_PIXELS, write_gsps
from service.dicom.identity import uid
from service.dicom.rejection import write_rejection_note, write_withdrawal_sr
from tests.make.results import (
    IDENTITY,
    not_assessable,
    read_world,
    unseparated,
    write_sr,
)
from tests.make.tools import program, run


@pytest.fixture(scope="module")
def state(objects) -> pydicom.Dataset:
    return pydicom.dcmread(objects.outlines.path)


def complaints(path) -> list[str]:
    done = subprocess.run([program("dciodvfy"), "-new", path], capture_output=True, text=True, check=False)
    return [
        line
        for line in (done.stdout + done.stderr).splitlines()
        if line.startswith(("Error", "Warning")) and "99MYOSCREEN" not in line
    ]


def texts(item: pydicom.Dataset) -> list[str]:
    """Every text of a content tree."""
    found = [str(item.TextValue)] if "TextValue" in item else []
    return found + [text for child in item.get("ContentSequence", ()) for text in texts(child)]


def areas(state: pydicom.Dataset) -> dict[tuple[str, str], float]:
    """Pixels within the lines of each layer and image, holes taken off."""
    found: dict[tuple[str, str], float] = {}
    for annotation in state.GraphicAnnotationSequence:
        for item in annotation.get("GraphicObjectSequence", ()):
            points = np.reshape(item.GraphicData, (-1, 2))
            assert points[0].tolist() == points[-1].tolist()
            assert item.NumberOfGraphicPoints == len(points)
            image = annotation.ReferencedImageSequence[0]
            key = (annotation.GraphicLayer, str(image.ReferencedSOPInstanceUID))
            found[key] = found.get(key, 0.0) + enclosed(points[:-1, ::-1])
    return found


def test_the_lines_enclose_the_segments_on_their_own_slices(made, state):
    drawn = areas(state)
    for frame, plane in zip(made.stack.frames, made.mask.labels, strict=True):
        for label in codes.segment_labels(fat_separated=True):
            pixels = np.count_nonzero(plane == label)
            inside = drawn.get((label.name, frame.sop_instance_uid), 0.0)
            # Islands and holes of a few pixels have no line.
            assert inside == pytest.approx(pixels, abs=4 * MIN_PIXELS)
    # In this phantom the lean muscle is one piece a side, so its outer line is exact.
    index = 5
    line = max(
        (
            np.reshape(item.GraphicData, (-1, 2))[:-1, ::-1]
            for annotation in state.GraphicAnnotationSequence
            if annotation.GraphicLayer == "LEAN_LEFT"
            and annotation.ReferencedImageSequence[0].ReferencedSOPInstanceUID
            == made.stack.frames[index].sop_instance_uid
            for item in annotation.GraphicObjectSequence
        ),
        key=enclosed,
    )
    rows, columns = np.nonzero(made.mask.labels[index] == Label.LEAN_LEFT)
    assert line.min(axis=0).tolist() == [rows.min(), columns.min()]
    assert line.max(axis=0).tolist() == [rows.max() + 1, columns.max() + 1]


def test_each_segment_has_a_layer_in_its_colour_and_each_side_its_name(state):
    layers = {layer.GraphicLayer: layer for layer in state.GraphicLayerSequence}
    assert set(layers) == {"LEAN_LEFT", "LEAN_RIGHT", "IMAT_LEFT", "IMAT_RIGHT", "NOTICE"}
    for label, colour in codes.COLOUR_OF.items():
        lab = list(CIELabColor.from_rgb(*colour).value)
        assert list(layers[label.name].GraphicLayerRecommendedDisplayCIELabValue) == lab
    names = {
        (annotation.GraphicLayer, text.UnformattedTextValue)
        for annotation in state.GraphicAnnotationSequence
        for text in annotation.get("TextObjectSequence", ())
    }
    assert names == {
        ("LEAN_LEFT", "Paraspinal muscle left"),
        ("LEAN_RIGHT", "Paraspinal muscle right"),
        ("NOTICE", "RESEARCH USE ONLY - NOT FOR DIAGNOSIS"),
    }


def test_the_notice_is_for_every_image_and_the_state_names_them_all(made, state):
    (notice,) = [item for item in state.GraphicAnnotationSequence if item.GraphicLayer == "NOTICE"]
    assert "ReferencedImageSequence" not in notice
    (series,) = state.ReferencedSeriesSequence
    named = [str(image.ReferencedSOPInstanceUID) for image in series.ReferencedImageSequence]
    assert named == [frame.sop_instance_uid for frame in made.stack.frames]


def test_the_grey_values_are_those_of_each_images_own_window(made, tmp_path):
    files = []
    for index, path in enumerate(made.files):
        dataset = pydicom.dcmread(path)
        dataset.WindowCenter, dataset.WindowWidth = 300 + index // 5, 600
        dataset.RescaleSlope, dataset.RescaleIntercept = 2, -100
        dataset.save_as(tmp_path / path.name)
        files.append(tmp_path / path.name)
    other = read_world(files)
    written = write_gsps(other.stack, other.mask, identity=IDENTITY, path=tmp_path / "gsps.dcm")
    assert complaints(written.path) == []
    state = pydicom.dcmread(written.path)
    # In stored values: (300 + 100) / 2; a state without a rescaling of its own has none.
    windows = [
        (float(item.WindowCenter), float(item.WindowWidth), len(item.ReferencedImageSequence))
        for item in state.SoftcopyVOILUTSequence
    ]
    assert windows == [(200.0, 300.0, 5), (200.5, 300.0, 5)]
    assert "RescaleSlope" not in state


def test_pixels_keep_their_shape(made, state):
    (area,) = state.DisplayedAreaSelectionSequence
    assert [float(value) for value in area.PresentationPixelSpacing] == list(made.stack.grid.pixel_spacing_mm)
    assert list(area.DisplayedAreaBottomRightHandCorner) == [made.stack.grid.columns, made.stack.grid.rows]


def test_frames_of_a_multi_frame_image_are_named_one_by_one(made, tmp_path):
    datasets = [pydicom.dcmread(path) for path in made.files]
    enhanced = LegacyConvertedEnhancedMRImage(datasets, uid("series"), 7, uid("instance"), 1)
    enhanced.save_as(tmp_path / "enhanced.dcm")
    other = read_world([tmp_path / "enhanced.dcm"])
    written = write_gsps(other.stack, other.mask, identity=IDENTITY, path=tmp_path / "gsps.dcm")
    assert complaints(written.path) == []
    frames = {
        annotation.ReferencedImageSequence[0].ReferencedFrameNumber
        for annotation in pydicom.dcmread(written.path).GraphicAnnotationSequence
        if "GraphicObjectSequence" in annotation
    }
    assert frames == {frame.frame for frame in other.stack.frames}


def test_the_outlines_are_encoded_in_the_very_bytes_of_the_library(objects, state):
    alone = pydicom.Dataset()
    alone.GraphicAnnotationSequence = state.GraphicAnnotationSequence
    assert len(list(alone.iterall())) > 100, "each element is parsed, so that the library encodes it anew"
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_dataset(buffer, alone, "ISO_IR 192")
    assert buffer.getvalue() in objects.outlines.path.read_bytes()


def test_a_line_with_more_points_than_an_element_holds_has_several_parts(made, tmp_path):
    labels = np.zeros_like(made.mask.labels)
    plane = labels[3]
    plane[0::4, ::2] = plane[2::4, ::2] = plane[1::4] = plane[:, 0] = Label.LEAN_LEFT
    mask = replace(made.mask, labels=labels)
    written = write_gsps(made.stack, mask, identity=IDENTITY, path=tmp_path / "gsps.dcm")
    assert complaints(written.path) == []
    state = pydicom.dcmread(written.path)
    parts = [
        np.reshape(item.GraphicData, (-1, 2))
        for item in state.GraphicAnnotationSequence[0].GraphicObjectSequence
    ]
    assert len(parts) == 2
    assert len(parts[0]) == MAX_POINTS
    assert parts[0][-1].tolist() == parts[1][0].tolist()
    whole = np.vstack([parts[0], parts[1][1:]])
    assert whole[0].tolist() == whole[-1].tolist()
    assert enclosed(whole[:-1, ::-1]) == np.count_nonzero(plane)


def test_an_empty_mask_has_no_outlines_and_compartments_have_two_layers(made, tmp_path):
    empty = replace(made.mask, labels=np.zeros_like(made.mask.labels))
    with pytest.raises(ValueError, match="empty"):
        write_gsps(made.stack, empty, identity=IDENTITY, path=tmp_path / "x.dcm")
    whole, _ = unseparated(made.mask)
    written = write_gsps(made.stack, whole, identity=IDENTITY, path=tmp_path / "gsps.dcm", words=IN["de"])
    assert complaints(written.path) == []
    state = pydicom.dcmread(written.path)
    assert [layer.GraphicLayer for layer in state.GraphicLayerSequence] == [
        "LEAN_LEFT",
        "LEAN_RIGHT",
        "NOTICE",
    ]
    assert state.ContentDescription == "NUR FÜR DIE FORSCHUNG - NICHT ZUR DIAGNOSE"


def test_the_note_rejects_each_object_by_name_with_its_reason(objects):
    note = hd.ko.KeyObjectSelectionDocument.from_dataset(pydicom.dcmread(objects.note.path))
    assert note.ConceptNameCodeSequence[0].CodeValue == "113001"
    named = {
        str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID): item.ValueType
        for item in note.ContentSequence
        if "ReferencedSOPSequence" in item
    }
    assert named == {
        objects.seg.sop_instance_uid: "IMAGE",
        objects.capture.sop_instance_uid: "IMAGE",
        objects.sr.sop_instance_uid: "COMPOSITE",
        objects.pdf.sop_instance_uid: "COMPOSITE",
    }
    for each in objects.results:
        rejected = pydicom.dcmread(each.path)
        study, series, _ = note.resolve_reference(each.sop_instance_uid)
        assert (study, series) == (rejected.StudyInstanceUID, rejected.SeriesInstanceUID)
    said = " ".join(str(item.get("TextValue", "")) for item in note.ContentSequence)
    assert "withdrawn" in said
    assert "The muscles were not drawn rightly" in said


def test_the_withdrawal_takes_the_place_of_the_report_and_has_no_number(made, objects):
    report = pydicom.dcmread(objects.withdrawal.path)
    (earlier,) = report.PredecessorDocumentsSequence
    instance = earlier.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert instance.ReferencedSOPInstanceUID == objects.sr.sop_instance_uid
    assert "WITHDRAWN" in str(report)
    assert "WRONGDRAWING" in str(report)
    assert any("RESEARCH USE ONLY" in text for text in texts(report))
    # The numbers that are left describe the images of the library.
    assert "Measured Value Sequence" not in str(report.ContentSequence[-1])
    assert "Measured Value Sequence" not in str(report.ContentSequence[-2])
    cited = {
        str(item.ReferencedSOPInstanceUID)
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert cited == set(made.stack.facts.sop_instance_uids), "the images, and nothing that is withdrawn"


def test_a_report_without_numbers_can_be_withdrawn_too_in_german(made, tmp_path):
    told = write_sr(
        made.stack,
        not_assessable(made.mask),
        segs=[],
        others=[],
        identity=IDENTITY,
        path=tmp_path / "sr.dcm",
    )
    how = {"reason": "wrong_patient", "identity": IDENTITY, "words": IN["de"]}
    gone = write_withdrawal_sr(told.path, software="myoscreen", path=tmp_path / "gone.dcm", **how)
    note = write_rejection_note([told.path], path=tmp_path / "note.dcm", **how)
    for written in (gone, note):
        assert complaints(written.path) == []
        said = " ".join(texts(pydicom.dcmread(written.path)))
        assert "Dieses Ergebnis ist zurückgezogen." in said
        assert "Die Bilder sind von einer anderen Person" in said


def test_an_independent_reader_accepts_the_state(made, objects):
    done = run("dcmpschk", objects.outlines.path)
    assert "Test passed" in done.stdout + done.stderr
