"""The same result as peers ask for it: label map, deflated, older classes, planar, German, a later run."""

import io
import json
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from service.core.language import IN
from service.core.mask import Label
from service.core.outline import enclosed, representative_slice
from service.dicom import codes, scu
from service.dicom.deflate import deflate
from service.dicom.frame_groups import encode_frame_groups
from service.dicom.groups import Segmented
from service.dicom.identity import own_reference
from service.dicom.numbers import normality
from service.dicom.seg import write_seg
from service.dicom.sr import CLASSES
from tests.make.nifti import read_nifti
from tests.make.results import (
    DEFINITION,
    IDENTITY,
    MODEL,
    World,
    finding,
    not_assessable,
    unseparated,
    write_sr,
)
from tests.make.servers import start_orthanc
from tests.make.tools import run


def drawn(made: World, path: Path, **how):
    given = {"model": MODEL, "definition": DEFINITION, "identity": IDENTITY}
    return write_seg(made.stack, how.pop("mask", made.mask), **given, path=path, **how)


def reported(made: World, path: Path, **how):
    """A report; what is not given is as in the usual set."""
    told = how.pop("told", None) or finding(made.mask)
    seg = how.pop("seg", None)
    segs = [] if seg is None else [Segmented(seg=seg, stack=made.stack)]
    given = {"segs": segs, "others": [], "identity": IDENTITY, **how}
    return write_sr(made.stack, told, **given, path=path)


def errors(path: Path) -> list[str]:
    done = run("dciodvfy", "-new", path, check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


def walk(item):
    for child in item.get("ContentSequence", ()):
        yield child
        yield from walk(child)


def named(report: pydicom.Dataset, code: str) -> list[pydicom.Dataset]:
    """The content items of one name."""
    return [
        item
        for item in walk(report)
        if item.get("ConceptNameCodeSequence") and item.ConceptNameCodeSequence[0].CodeValue == code
    ]


def values(item: pydicom.Dataset) -> dict[str, float]:
    """The numbers below an item, by code."""
    return {
        child.ConceptNameCodeSequence[0].CodeValue: float(child.MeasuredValueSequence[0].NumericValue)
        for child in item.ContentSequence
        if child.ValueType == "NUM"
    }


def labels_by_dcmqi(made: World, path: Path, folder: Path, *, label_map: bool) -> np.ndarray:
    """The labels that dcmqi reads, laid on our grid by patient coordinates."""
    run(
        "segimage2itkimage",
        "--inputDICOM",
        path,
        "--outputDirectory",
        folder,
        "--outputType",
        "nii",
        "-p",
        "s",
    )
    grid = made.mask.grid
    found = np.zeros(grid.shape, np.uint8)
    for number in (1,) if label_map else (1, 2, 3, 4):
        voxels, affine = read_nifti(folder / f"s-{number}.nii.gz")
        indices = np.argwhere(voxels > 0)
        away = indices @ affine[:3, :3].T + affine[:3, 3] - grid.origins_mm[0]
        slices = np.abs((away @ grid.normal)[:, None] - grid.offsets_mm).argmin(axis=1)
        rows = np.rint(away @ grid.row_direction / grid.pixel_spacing_mm[0]).astype(int)
        columns = np.rint(away @ grid.column_direction / grid.pixel_spacing_mm[1]).astype(int)
        found[slices, rows, columns] = voxels[tuple(indices.T)] if label_map else number
    return found


def test_others_read_the_binary_segmentation_voxel_for_voxel(made, objects, tmp_path):
    found = labels_by_dcmqi(made, objects.seg.path, tmp_path, label_map=False)
    np.testing.assert_array_equal(found, made.mask.labels)


@pytest.mark.parametrize("compressed", [False, True])
def test_others_read_the_label_map_voxel_for_voxel(made, tmp_path, compressed):
    written = drawn(made, tmp_path / "seg.dcm", encoding="labelmap", compressed=compressed)
    seg = pydicom.dcmread(written.path)
    assert seg.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.7"
    assert seg.file_meta.TransferSyntaxUID == (
        pydicom.uid.RLELossless if compressed else pydicom.uid.ExplicitVRLittleEndian
    )
    assert len(seg.PerFrameFunctionalGroupsSequence) == len(made.mask.labels), "one frame a slice"
    found = labels_by_dcmqi(made, written.path, tmp_path, label_map=True)
    np.testing.assert_array_equal(found, made.mask.labels)


def test_slices_without_muscle_have_no_frame_in_any_encoding(made, tmp_path):
    labels = made.mask.labels.copy()
    labels[[0, 3, 9]] = 0
    mask = replace(made.mask, labels=labels)
    binary = pydicom.dcmread(drawn(made, tmp_path / "b.dcm", mask=mask).path)
    label_map = pydicom.dcmread(drawn(made, tmp_path / "l.dcm", mask=mask, encoding="labelmap").path)
    assert len(label_map.PerFrameFunctionalGroupsSequence) == 7
    shown = sum(int((plane == label).any()) for plane in labels for label in Label if label)
    assert len(binary.PerFrameFunctionalGroupsSequence) == shown


def test_each_encoding_is_an_object_of_its_own_with_the_same_segments(made, objects, tmp_path):
    plain = drawn(made, tmp_path / "plain.dcm", encoding="labelmap")
    assert (
        len({objects.seg.sop_instance_uid, objects.label_map.sop_instance_uid, plain.sop_instance_uid}) == 3
    )
    tracked = [
        {
            str(item.TrackingUID)
            for item in pydicom.dcmread(each.path).SegmentSequence
            if "TrackingUID" in item
        }
        for each in (objects.seg, objects.label_map)
    ]
    assert tracked[0] <= tracked[1]
    with pytest.raises(ValueError, match="Only a label map"):
        drawn(made, tmp_path / "x.dcm", compressed=True)


def test_a_report_on_a_label_map_refers_to_its_segments(made, objects, tmp_path):
    report = reported(made, tmp_path / "sr.dcm", seg=objects.label_map)
    # dciodvfy is older than the class, and takes the object for no segmentation.
    assert all("Referenced SOP Class that is not segmentation" in line for line in errors(report.path))
    groups = hd.sr.srread(report.path).content.get_volumetric_roi_measurement_groups()
    assert [group.referenced_segment.referenced_segment_numbers[0] for group in groups] == [1, 2, 3, 4]
    reference = groups[0].referenced_segment.referenced_sop_class_uid
    assert reference == "1.2.840.10008.5.1.4.1.1.66.7"


def test_the_deflated_copy_is_the_same_object_and_others_read_it(made, objects, tmp_path):
    packed = deflate(objects.seg.path)
    assert len(packed) < objects.seg.size / 5
    assert len(packed) % 2 == 0
    assert deflate(objects.seg.path) == packed
    copy = pydicom.dcmread(io.BytesIO(packed))
    assert copy.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1.99"
    assert copy == pydicom.dcmread(objects.seg.path)
    path = tmp_path / "deflated.dcm"
    path.write_bytes(packed)
    found = labels_by_dcmqi(made, path, tmp_path, label_map=False)
    np.testing.assert_array_equal(found, made.mask.labels)
    with pytest.raises(ValueError, match="Explicit VR"):
        deflate(objects.label_map.path)


@pytest.mark.parametrize("kind", ["seg", "label_map"])
def test_frames_are_described_in_the_very_bytes_of_the_library(objects, kind):
    seg = pydicom.dcmread(getattr(objects, kind).path)
    alone = pydicom.Dataset()
    alone.PerFrameFunctionalGroupsSequence = seg.PerFrameFunctionalGroupsSequence
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_dataset(buffer, alone)
    assert encode_frame_groups(seg.PerFrameFunctionalGroupsSequence) == buffer.getvalue()


def test_the_part_of_the_body_is_named_where_it_is_known(made, objects, tmp_path):
    for written in (objects.seg, objects.capture, objects.outlines):
        dataset = pydicom.dcmread(written.path)
        assert dataset.BodyPartExamined == "LSPINE"
        assert "Laterality" not in dataset
    facts = replace(made.stack.facts, region="thoracolumbar")
    elsewhere = replace(made, stack=replace(made.stack, facts=facts))
    seg = pydicom.dcmread(drawn(elsewhere, tmp_path / "seg.dcm").path)
    source = pydicom.dcmread(made.files[0])
    assert seg.BodyPartExamined == (source.get("BodyPartExamined") or "TLSPINE")


def test_a_report_says_what_measured_and_what_scored(made, tmp_path):
    told = replace(finding(made.mask), measured_by="myoscreen 0.9")
    report = pydicom.dcmread(reported(made, tmp_path / "sr.dcm", told=told).path)
    said = " ".join(str(item.get("TextValue", "")) for item in walk(report))
    assert f"Network {MODEL.name} {MODEL.version} (CPUExecutionProvider, fp32), sha256 {MODEL.sha256}" in said
    assert (
        "Measured by myoscreen 0.9; scores, flags and change over time were computed anew by "
        f"{told.software}." in said
    )


@pytest.mark.parametrize("sr_class", CLASSES)
@pytest.mark.parametrize("form", ["volumetric", "planar"])
def test_every_class_and_form_is_valid(made, objects, tmp_path, sr_class, form):
    report = reported(
        made, tmp_path / "sr.dcm", seg=objects.seg, sr_class=sr_class, form=form, mask=made.mask
    )
    assert errors(report.path) == []
    assert (
        report.sop_class_uid
        == {
            "comprehensive3d": "1.2.840.10008.5.1.4.1.1.88.34",
            "comprehensive": "1.2.840.10008.5.1.4.1.1.88.33",
            "enhanced": "1.2.840.10008.5.1.4.1.1.88.22",
        }[sr_class]
    )
    usual = pydicom.dcmread(objects.sr.path if form == "volumetric" else objects.planar.path)
    said = pydicom.dcmread(report.path)
    assert str(said.ContentSequence[-1]) == str(usual.ContentSequence[-1])
    assert len(list(walk(said))) == len(list(walk(usual)))


def test_an_independent_reader_finds_the_numbers_of_the_finding(made, objects, tmp_path):
    run("tid1500reader", "--inputDICOM", objects.sr.path, "--outputMetadata", tmp_path / "sr.json")
    groups = json.loads((tmp_path / "sr.json").read_text())["Measurements"]
    read = {
        group["TrackingIdentifier"]: {
            item["quantity"]["CodeValue"]: float(item["value"]) for item in group["measurementItems"]
        }
        for group in groups
    }
    measures = finding(made.mask).measures
    for side in ("left", "right", "total"):
        told, found = getattr(measures, side), read[f"Paraspinal muscles {side}"]
        assert found["COMPVOL"] == pytest.approx(told.compartment_ml, abs=1e-4)
        assert found["LMMVOL"] == pytest.approx(told.lmm_ml, abs=1e-4)
        assert found["IMATVOL"] == pytest.approx(told.imat_ml, abs=1e-4)
        assert found["IMATFRAC"] == pytest.approx(100 * told.imat_fraction, abs=1e-4)
        assert found["MEANCSA"] == pytest.approx(told.mean_csa_cm2, abs=1e-4)
        assert found["MEANLEANCSA"] == pytest.approx(told.mean_lean_csa_cm2, abs=1e-4)
    both = read["Paraspinal muscles total"]
    assert both["LMMHTIDX"] == pytest.approx(measures.lmm_height_index_ml_m2, abs=1e-4)
    assert both["ASYMCOMP"] == pytest.approx(measures.asymmetry.compartment_ml, abs=1e-4)
    assert read["Intermuscular fat right"]["118565006"] == pytest.approx(measures.right.imat_ml, abs=1e-4)


def test_a_score_stands_beside_the_people_it_was_taken_from(objects):
    (number,) = [
        item for item in named(pydicom.dcmread(objects.sr.path), "IMATFRAC") if "121416" in values(item)
    ]
    # Mean and SD in per cent, as the measure; z; percentile.
    assert values(number) == pytest.approx(
        {"373098007": 15.4763, "121414": 3.9302, "373099004": 15.0, "121416": 1.416, "121415": 92.2}
    )
    texts = {
        child.ConceptNameCodeSequence[0].CodeValue: child.TextValue
        for child in number.ContentSequence
        if child.ValueType == "TEXT"
    }
    assert "z +1.42 [+0.60 to +2.20]" in texts["121405"]
    assert "n 200, observed ages 25 to 80 years. Sex F: L 0.0000, M 0.1500, S 0.2500." in texts["121405"]
    assert texts["121406"].startswith(
        "Nobody 2026 (as myoscreen table demonstration@1, status: demonstration"
    )


@pytest.mark.parametrize(
    ("interval", "status", "expected"),
    [
        ((2.0, 3.0), "local", codes.ABNORMALLY_HIGH),
        ((-3.0, -2.0), "published", codes.ABNORMALLY_LOW),
        ((1.9, 3.0), "local", codes.UNDETERMINED),
        ((-0.5, 0.5), "local", codes.UNDETERMINED),
        ((2.0, 3.0), "provisional", codes.UNDETERMINED),
        ((2.0, 3.0), "demonstration", codes.UNDETERMINED),
        (None, "local", codes.UNDETERMINED),
    ],
)
def test_normality_needs_an_interval_beyond_the_limit_and_a_proven_table(made, interval, status, expected):
    score = replace(finding(made.mask).scores[0], z_ci95=interval, norm_status=status)
    assert normality(score) == expected


def test_the_planar_form_has_one_outline_with_the_numbers_a_reader_looks_for(made, objects):
    report = pydicom.dcmread(objects.planar.path)
    (group,) = named(report, "125007")
    measures = finding(made.mask).measures
    said = values(group)
    assert list(said)[:5] == ["LMMLEFT", "LMMRIGHT", "IMATFRACLEFT", "IMATFRACRIGHT", "IMATFRACBOTH"]
    assert said["LMMLEFT"] == pytest.approx(measures.left.lmm_ml, abs=1e-4)
    assert said["IMATFRACRIGHT"] == pytest.approx(100 * measures.right.imat_fraction, abs=1e-4)
    assert said["IMATFRACBOTH"] == pytest.approx(100 * measures.total.imat_fraction, abs=1e-4)
    index = representative_slice(made.mask.labels)
    (region,) = named(report, "111030")
    assert region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == (
        made.stack.frames[index].sop_instance_uid
    )
    points = np.reshape(region.GraphicData, (-1, 2))[:, ::-1]
    assert points[0].tolist() == points[-1].tolist()
    area_cm2 = enclosed(points[:-1]) * made.mask.grid.pixel_area_mm2 / 100
    assert said["42798000"] == pytest.approx(area_cm2, abs=1e-4)
    # One piece a side in this slice, so the outline encloses every voxel of the compartment.
    assert enclosed(points[:-1]) == np.count_nonzero(made.mask.labels[index])
    library = {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in named(report, "126200")[0].ContentSequence
    }
    assert made.stack.frames[index].sop_instance_uid in library


def test_a_withheld_planar_report_has_a_place_and_no_number(made, tmp_path):
    report = reported(made, tmp_path / "sr.dcm", told=not_assessable(made.mask), form="planar")
    assert errors(report.path) == []
    dataset = pydicom.dcmread(report.path)
    (group,) = named(dataset, "125007")
    assert values(group) == {}
    assert len(named(dataset, "111030")) == 1
    assert "NOTASSESSABLE" in str(group)


def test_the_planar_form_of_one_side_and_of_compartments(made, tmp_path):
    whole, told = unseparated(made.mask)
    one = np.where(whole.labels == Label.LEAN_RIGHT, 0, whole.labels).astype(np.uint8)
    report = reported(made, tmp_path / "sr.dcm", told=told, form="planar", mask=replace(whole, labels=one))
    assert errors(report.path) == []
    (group,) = named(pydicom.dcmread(report.path), "125007")
    assert list(values(group)) == ["COMPLEFT", "COMPRIGHT", "42798000"]


def test_a_later_report_names_the_one_it_takes_the_place_of(made, objects, tmp_path):
    study = made.stack.facts.study_uid
    earlier = own_reference(study, objects.sr.sop_class_uid, objects.sr.sop_instance_uid)
    later = reported(made, tmp_path / "sr.dcm", seg=objects.seg, predecessor=earlier)
    assert later.sop_instance_uid != objects.sr.sop_instance_uid
    assert errors(later.path) == []
    (item,) = pydicom.dcmread(later.path).PredecessorDocumentsSequence
    (series,) = item.ReferencedSeriesSequence
    old = pydicom.dcmread(objects.sr.path)
    assert (item.StudyInstanceUID, series.SeriesInstanceUID) == (old.StudyInstanceUID, old.SeriesInstanceUID)
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == old.SOPInstanceUID
    assert "PredecessorDocumentsSequence" not in old


def test_the_german_report_says_so_and_speaks_german(made, tmp_path):
    german = reported(made, tmp_path / "de.dcm", words=IN["de"])
    english = reported(made, tmp_path / "en.dcm")
    assert german.sop_instance_uid != english.sop_instance_uid
    assert errors(german.path) == []
    report = pydicom.dcmread(german.path)
    (language,) = named(report, "121049")
    assert language.ConceptCodeSequence[0].CodeValue == "de-DE"
    said = " ".join(str(item.get("TextValue", "")) for item in walk(report))
    assert "NUR FÜR DIE FORSCHUNG. Nicht zur Diagnose." in said
    assert "Gemessen auf T2 TSE" in said
    assert "Measured on" not in said


def test_orthanc_as_shipped_refuses_the_label_map_and_takes_everything_else(objects, tmp_path):
    with start_orthanc(tmp_path) as archive:
        address = scu.Address(
            host="127.0.0.1", port=archive.dicom_port, ae_title="ORTHANC", calling_ae="MYOSCREEN"
        )
        outcomes = scu.store([each.path for each in objects.all], address)
    refused = [outcome.sop_instance_uid for outcome in outcomes if not outcome.stored]
    assert refused == [objects.label_map.sop_instance_uid]
