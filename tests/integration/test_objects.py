"""Result objects as others read them: independent validators and readers, on a phantom's series."""

import gzip
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from highdicom.legacy import LegacyConvertedEnhancedMRImage

from service.core.mask import Label
from service.dicom.capture import write_capture
from service.dicom.groups import Segmented
from service.dicom.identity import is_own_result, uid
from service.dicom.pdf import write_pdf
from service.dicom.seg import write_seg
from service.dicom.stamp import PATIENT_AND_STUDY, TYPE_2
from service.errors import UnreadableSeries
from tests.make.pixelmed import pixelmed
from tests.make.results import (
    DEFINITION,
    IDENTITY,
    MODEL,
    World,
    finding,
    not_assessable,
    read_world,
    unseparated,
    volumes_ml,
    write_objects,
    write_sr,
)

BIN = Path(sys.executable).parent
#: dciodvfy knows no private scheme.
DCIODVFY_ALLOWED = ("Unrecognized defined term = <99MYOSCREEN>",)
#: dcentvfy puts the accession number into the series where a report repeats it for its request.
DCENTVFY_ALLOWED = ("Element=<AccessionNumber> IE <Series> versus <Study>",)


def on(seg, stack):
    """A segmentation as a report cites it."""
    return [Segmented(seg=seg, stack=stack)]


@pytest.fixture(scope="module")
def withheld(made, tmp_path_factory):
    """The report of a finding without measures."""
    told = not_assessable(made.mask)
    path = tmp_path_factory.mktemp("withheld") / "sr.dcm"
    return write_sr(made.stack, told, segs=[], others=[], identity=IDENTITY, path=path)


def run(program: str | Path, *arguments: str | Path) -> str:
    """What a program says; a program that is not here skips the test by its name."""
    found = shutil.which(str(program))
    if found is None:
        pytest.skip(f"{Path(program).name} is not installed")
    done = subprocess.run(
        [found, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120
    )
    return done.stdout + done.stderr


def seg_to(path: Path, made: World, mask=None, identity=IDENTITY):
    mask = mask if mask is not None else made.mask
    return write_seg(made.stack, mask, model=MODEL, definition=DEFINITION, identity=identity, path=path)


def frames_of(seg: pydicom.Dataset) -> dict[int, list[tuple[np.ndarray, np.ndarray]]]:
    """For each segment its frames: position of the first pixel, and voxels."""
    pixels = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    found: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
    for group, plane in zip(seg.PerFrameFunctionalGroupsSequence, pixels, strict=True):
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        found.setdefault(int(number), []).append((position, plane))
    return found


def assert_voxels_equal_mask(seg: pydicom.Dataset, made: World, mask=None) -> None:
    """Every voxel of every segment lies where the mask has it; nothing is missing."""
    mask = mask if mask is not None else made.mask
    rebuilt = np.zeros(mask.grid.shape, np.uint8)
    for number, frames in frames_of(seg).items():
        for position, plane in frames:
            index = int(np.linalg.norm(mask.grid.origins_mm - position, axis=1).argmin())
            np.testing.assert_allclose(mask.grid.origins_mm[index], position, atol=1e-3)
            rebuilt[index][plane > 0] = number
    np.testing.assert_array_equal(rebuilt, mask.labels)


def test_dciodvfy_finds_no_error_in_any_object(objects, withheld):
    for written in (*objects.known_to_dciodvfy, withheld):
        said = run("dciodvfy", "-new", written.path)
        kept = [line for line in said.splitlines() if line.startswith(("Error", "Warning"))]
        kept = [line for line in kept if not any(allowed in line for allowed in DCIODVFY_ALLOWED)]
        assert kept == [], (written.kind, kept)


def test_dcentvfy_finds_one_patient_and_one_study_in_everything(made, objects, withheld):
    said = run("dcentvfy", *made.files, *(each.path for each in objects.known_to_dciodvfy), withheld.path)
    assert [line for line in said.splitlines() if not any(known in line for known in DCENTVFY_ALLOWED)] == []


def test_the_four_segments_are_described_as_the_contract_says(objects):
    seg = pydicom.dcmread(objects.seg.path)
    described = [
        (
            item.SegmentNumber,
            item.SegmentLabel,
            item.SegmentedPropertyTypeCodeSequence[0].CodeValue,
            item.AnatomicRegionSequence[0].CodeValue,
            item.AnatomicRegionSequence[0].AnatomicRegionModifierSequence[0].CodeValue,
        )
        for item in seg.SegmentSequence
    ]
    assert described == [
        (1, "Paraspinal muscle left", "91727004", "244849004", "7771000"),
        (2, "Paraspinal muscle right", "91727004", "244849004", "24028007"),
        (3, "Intermuscular fat left", "55603005", "244849004", "7771000"),
        (4, "Intermuscular fat right", "55603005", "244849004", "24028007"),
    ]
    assert seg.SegmentationType == "BINARY"
    assert seg.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    assert seg.SegmentsOverlap == "NO"


def test_left_is_the_patients_left(objects):
    assert sides_are_right(pydicom.dcmread(objects.seg.path))


def sides_are_right(seg: pydicom.Dataset) -> bool:
    """Whether the left segments lie to the patient's left (LPS: larger x) of the right ones."""
    orientation = seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient
    row_mm, column_mm = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
    along_column, along_row = np.array(orientation[:3], float), np.array(orientation[3:], float)
    centre = {}
    for number, frames in frames_of(seg).items():
        points = []
        for position, plane in frames:
            rows, columns = np.nonzero(plane)
            offsets = np.outer(columns * column_mm, along_column) + np.outer(rows * row_mm, along_row)
            points.append(position + offsets)
        centre[number] = np.concatenate(points).mean(axis=0)
    lean = centre[Label.LEAN_LEFT][0] - centre[Label.LEAN_RIGHT][0]
    fat = centre[Label.IMAT_LEFT][0] - centre[Label.IMAT_RIGHT][0]
    return bool(lean > 20 and fat > 20)


def test_the_side_test_notices_swapped_sides(made, tmp_path):
    swapped = np.array([0, 2, 1, 4, 3], np.uint8)[made.mask.labels]
    written = seg_to(tmp_path / "seg.dcm", made, replace(made.mask, labels=swapped))
    assert not sides_are_right(pydicom.dcmread(written.path))


def test_volumes_of_mask_segmentation_and_report_agree(made, objects):
    seg = pydicom.dcmread(objects.seg.path)
    assert_voxels_equal_mask(seg, made)
    expected = volumes_ml(made.mask)
    tracked = {str(item.TrackingUID): int(item.SegmentNumber) for item in seg.SegmentSequence}
    report = hd.sr.srread(objects.sr.path)
    groups = report.content.get_volumetric_roi_measurement_groups()
    assert len(groups) == 4
    for group in groups:
        label = Label(tracked[str(group.tracking_uid)])
        (number,) = group.get_measurements()
        assert number.unit.value == "mL"
        assert number.value == pytest.approx(expected[label], abs=1e-4)
        assert group.referenced_segment.referenced_segment_numbers[0] == label


def test_the_summary_groups_carry_shares_and_scores(made, objects):
    report = hd.sr.srread(objects.sr.path)
    groups = report.content.get_image_measurement_groups()
    assert len(groups) == 3
    total = {number.name.value: number for number in groups[2].get_measurements()}
    told = finding(made.mask).measures
    assert total["IMATFRAC"].value == pytest.approx(100 * told.total.imat_fraction, abs=1e-4)
    assert total["IMATFRAC"].unit.value == "%"
    assert total["LMMHTIDX"].value == pytest.approx(told.lmm_height_index_ml_m2, abs=1e-4)
    children = {item.name.value: item for item in total["IMATFRAC"][0].ContentSequence}
    assert children["121416"].value == pytest.approx(1.416)
    assert children["121415"].value == pytest.approx(92.2)
    assert "demonstration@1 (demonstration: values describe no people)" in children["121405"].value
    withheld = {item.name.value: item for item in total["LMMHTIDX"][0].ContentSequence}
    assert withheld["121402"].value.value == "371934000"
    assert "121416" not in withheld


def test_every_number_has_a_child_and_names_the_network(objects):
    report = pydicom.dcmread(objects.sr.path)
    numbers = [item for item in walk(report) if item.ValueType == "NUM" and measured(item)]
    assert len(numbers) == 4 + 6 + 6 + 9
    for number in numbers:
        said = " ".join(str(child.get("TextValue", "")) for child in number.ContentSequence)
        assert f"model=sha256:{MODEL.sha256}" in said


def walk(item):
    """All content items below one."""
    for child in item.get("ContentSequence", ()):
        yield child
        yield from walk(child)


def named(item) -> str:
    """The code of an item's name; a few items have none."""
    names = item.get("ConceptNameCodeSequence")
    return names[0].CodeValue if names else ""


def measured(item) -> bool:
    """A number of a measurement group, not one that describes an image, a person or another number."""
    return item.RelationshipType == "CONTAINS"


def test_the_report_is_preliminary_and_its_evidence_is_complete(made, objects):
    report = pydicom.dcmread(objects.sr.path)
    assert report.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"
    assert (report.CompletionFlag, report.PreliminaryFlag, report.VerificationFlag) == (
        "COMPLETE",
        "PRELIMINARY",
        "UNVERIFIED",
    )
    cited = {
        instance.ReferencedSOPInstanceUID
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    own = {objects.seg.sop_instance_uid, objects.capture.sop_instance_uid}
    assert cited == own | set(made.stack.facts.sop_instance_uids)
    schemes = [item.CodingSchemeDesignator for item in report.CodingSchemeIdentificationSequence]
    assert schemes == ["99MYOSCREEN"]
    (library,) = [item for item in walk(report) if named(item) == "126200"]
    images = {item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in library.ContentSequence}
    assert len(images) == 3
    assert images < set(made.stack.facts.sop_instance_uids)


def test_the_report_makes_no_statement_of_risk_and_keeps_flag_texts_inside(objects):
    text = run("dsrdump", "+Pl", objects.sr.path)
    assert "RESEARCH USE ONLY. Not for diagnosis." in text
    assert '(INDETERMINATE,99MYOSCREEN,"Indeterminate")' in text
    assert "flag text that stays inside" not in text
    for claim in ("High risk", "Low risk", "no risk", "CID 3118", '"Normal"'):
        assert claim not in text, claim


def test_a_withheld_result_is_a_report_with_its_reason_and_without_numbers(withheld):
    text = run("dsrdump", "+Pl", withheld.path)
    assert "Reason muscle_cut_off: The muscles reach the edge of the images." in text
    assert '(NOTASSESSABLE,99MYOSCREEN,"Not assessable")' in text
    report = pydicom.dcmread(withheld.path)
    assert not [item for item in walk(report) if item.ValueType == "NUM" and measured(item)]
    assert len(hd.sr.srread(withheld.path).content.get_image_measurement_groups()) == 1


def test_dcmqi_reads_the_segmentation_voxel_for_voxel(made, objects, tmp_path):
    arguments = (
        "--inputDICOM",
        objects.seg.path,
        "--outputDirectory",
        tmp_path,
        "--outputType",
        "nii",
        "-p",
        "s",
    )
    run(BIN / "segimage2itkimage", *arguments)
    meta = json.loads((tmp_path / "s-meta.json").read_text())
    labels = [item["SegmentLabel"] for group in meta["segmentAttributes"] for item in group]
    assert labels[0] == "Paraspinal muscle left"
    for label in Label:
        if label is Label.BACKGROUND:
            continue
        voxels = nifti_voxels(tmp_path / f"s-{int(label)}.nii.gz")
        assert np.count_nonzero(voxels) == np.count_nonzero(made.mask.labels == label)


def nifti_voxels(path: Path) -> np.ndarray:
    """The voxels of a NIfTI-1 file (348 bytes of header; datatype at 70, offset at 108)."""
    raw = gzip.decompress(path.read_bytes())
    kind = {2: np.uint8, 4: np.int16, 8: np.int32, 256: np.int8, 512: np.uint16}
    dtype = kind[int(np.frombuffer(raw, "<i2", 1, 70)[0])]
    return np.frombuffer(raw, dtype, offset=int(np.frombuffer(raw, "<f4", 1, 108)[0]))


def test_dcmqi_reads_the_report(objects, withheld, tmp_path):
    run(BIN / "tid1500reader", "--inputDICOM", objects.sr.path, "--outputMetadata", tmp_path / "sr.json")
    groups = json.loads((tmp_path / "sr.json").read_text())["Measurements"]
    assert len(groups) == 7
    assert groups[0]["TrackingIdentifier"] == "Paraspinal muscle left"
    assert groups[0]["segmentationSOPInstanceUID"] == objects.seg.sop_instance_uid
    assert len(groups[6]["measurementItems"]) == 9


@pytest.mark.slow
def test_pixelmed_finds_nothing_but_its_known_false_positives(objects):
    """The richest report; each other one takes as long again, and is looked at in tests/soak."""
    assert pixelmed(objects.sr.path) == []


def test_the_same_input_gives_the_same_bytes(made, objects, tmp_path):
    again = write_objects(made, tmp_path)
    for first, second in zip(objects.all, again.all, strict=True):
        assert first.path.read_bytes() == second.path.read_bytes(), first.kind
        assert (first.sha256, first.size) == (second.sha256, second.size)
        assert first.size == first.path.stat().st_size


def test_whatever_changes_the_bytes_changes_the_identifier(made, objects, tmp_path):
    later = replace(IDENTITY, at=IDENTITY.at + timedelta(minutes=1))
    other_time = write_objects(made, tmp_path, later)
    for first, second in zip(objects.all, other_time.all, strict=True):
        assert first.sop_instance_uid != second.sop_instance_uid, first.kind
    fewer = replace(made.mask, labels=np.where(made.mask.labels == Label.IMAT_LEFT, 0, made.mask.labels))
    assert seg_to(tmp_path / "fewer.dcm", made, fewer).sop_instance_uid != objects.seg.sop_instance_uid


def test_the_times_in_all_objects_are_the_given_one(objects):
    for written in objects.all:
        dataset = pydicom.dcmread(written.path)
        content = "PresentationCreation" if written is objects.outlines else "Content"
        for name in ("InstanceCreation", "Series", content):
            assert dataset[f"{name}Date"].value == "20260301"
            assert dataset[f"{name}Time"].value == "103015.250000"


def test_all_objects_are_of_the_same_patient_and_study_and_are_known_as_ours(made, objects):
    source = pydicom.dcmread(made.files[0])
    series = set()
    for written in objects.all:
        dataset = pydicom.dcmread(written.path)
        for keyword in set(PATIENT_AND_STUDY) & {element.keyword for element in source}:
            assert dataset[keyword].value == source[keyword].value, (written.kind, keyword)
        assert dataset.SpecificCharacterSet == "ISO_IR 192"
        assert dataset.SeriesInstanceUID != source.SeriesInstanceUID
        assert 9001 <= dataset.SeriesNumber <= 9006
        assert dataset.InstanceNumber == 1
        assert len(dataset.SeriesDescription) <= 64
        assert is_own_result(dataset)
        series.add(dataset.SeriesInstanceUID)
    assert len(series) == len(objects.all)
    assert pydicom.dcmread(objects.seg.path).FrameOfReferenceUID == source.FrameOfReferenceUID


def test_the_capture_is_the_picture_and_the_pdf_is_the_page(made, tmp_path):
    rgb = np.arange(7 * 9 * 3, dtype=np.uint8).reshape(7, 9, 3)
    capture = pydicom.dcmread(write_capture(made.stack, rgb, identity=IDENTITY, path=tmp_path / "c.dcm").path)
    np.testing.assert_array_equal(capture.pixel_array, rgb)
    assert capture.BurnedInAnnotation == "YES"
    page = b"%PDF-1.4 odd"  # twelve bytes and one
    page += b"!" * (1 - len(page) % 2)
    written = write_pdf(made.stack, page, sr=None, identity=IDENTITY, path=tmp_path / "p.dcm")
    document = pydicom.dcmread(written.path)
    assert document.EncapsulatedDocument[: document.EncapsulatedDocumentLength] == page
    assert len(document.EncapsulatedDocument) % 2 == 0
    assert "SourceInstanceSequence" not in document


def test_the_pdf_names_the_report(objects):
    document = pydicom.dcmread(objects.pdf.path)
    assert document.SourceInstanceSequence[0].ReferencedSOPInstanceUID == objects.sr.sop_instance_uid


def test_slices_are_matched_by_position_whatever_the_order_of_files_and_numbers(made, tmp_path):
    shuffled = []
    order = np.random.default_rng(3).permutation(len(made.files))
    for number, index in enumerate(order):
        dataset = pydicom.dcmread(made.files[index])
        dataset.InstanceNumber = number + 1
        path = tmp_path / f"{number:03d}.dcm"
        dataset.save_as(path)
        shuffled.append(path)
    other = read_world(shuffled)
    seg = pydicom.dcmread(seg_to(tmp_path / "seg.dcm", other).path)
    assert_voxels_equal_mask(seg, made)
    by_uid = {str(pydicom.dcmread(path).SOPInstanceUID): path for path in made.files}
    for group in seg.PerFrameFunctionalGroupsSequence:
        (source,) = group.DerivationImageSequence[0].SourceImageSequence
        there = pydicom.dcmread(by_uid[source.ReferencedSOPInstanceUID]).ImagePositionPatient
        np.testing.assert_allclose(group.PlanePositionSequence[0].ImagePositionPatient, there)


def test_slices_stored_from_head_to_feet_and_turned_give_the_same_patient(made, tmp_path):
    """The images are stored with rows and columns mirrored; positions and directions say so."""
    turned = []
    for path in made.files:
        dataset = pydicom.dcmread(path)
        pixels = dataset.pixel_array[::-1, ::-1]
        row_mm, column_mm = dataset.PixelSpacing
        corner = np.array(dataset.ImagePositionPatient, float)
        corner += [column_mm * (dataset.Columns - 1), row_mm * (dataset.Rows - 1), 0.0]
        dataset.ImagePositionPatient = [float(value) for value in corner]
        dataset.ImageOrientationPatient = [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0]
        dataset.PixelData = np.ascontiguousarray(pixels).tobytes()
        dataset.save_as(tmp_path / path.name)
        turned.append(tmp_path / path.name)
    other = read_world(turned)
    other = replace(
        other,
        mask=replace(other.mask, labels=np.ascontiguousarray(other.mask.labels[:, ::-1, ::-1])),
    )
    seg = pydicom.dcmread(seg_to(tmp_path / "seg.dcm", other).path)
    assert_voxels_equal_mask(seg, other)
    assert sides_are_right(seg)


def test_a_multi_frame_source_is_cited_frame_by_frame(made, tmp_path):
    datasets = [pydicom.dcmread(path) for path in made.files]
    enhanced = LegacyConvertedEnhancedMRImage(
        datasets, uid("enhanced series"), 7, uid("enhanced instance"), 1
    )
    enhanced.save_as(tmp_path / "enhanced.dcm")
    other = read_world([tmp_path / "enhanced.dcm"])
    written = seg_to(tmp_path / "seg.dcm", other)
    seg = pydicom.dcmread(written.path)
    assert_voxels_equal_mask(seg, other)
    frames = enhanced.PerFrameFunctionalGroupsSequence
    for group in seg.PerFrameFunctionalGroupsSequence:
        (source,) = group.DerivationImageSequence[0].SourceImageSequence
        there = frames[int(source.ReferencedFrameNumber) - 1].PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(group.PlanePositionSequence[0].ImagePositionPatient, there, atol=1e-3)
    report = write_sr(
        other.stack,
        finding(other.mask),
        segs=on(written, other.stack),
        others=[],
        identity=IDENTITY,
        path=tmp_path / "sr.dcm",
    )
    for path in (written.path, report.path):
        said = [line for line in run("dciodvfy", "-new", path).splitlines() if line.startswith("Error")]
        assert said == []


def test_without_fat_separation_there_are_two_compartments_and_no_fat(made, tmp_path):
    mask, told = unseparated(made.mask)
    written = seg_to(tmp_path / "seg.dcm", made, mask)
    seg = pydicom.dcmread(written.path)
    assert [item.SegmentLabel for item in seg.SegmentSequence] == [
        "Paraspinal compartment left",
        "Paraspinal compartment right",
    ]
    path = tmp_path / "sr.dcm"
    write_sr(made.stack, told, segs=on(written, made.stack), others=[], identity=IDENTITY, path=path)
    groups = hd.sr.srread(path).content.get_volumetric_roi_measurement_groups()
    volumes = [group.get_measurements()[0].value for group in groups]
    expected = volumes_ml(mask)
    assert volumes == pytest.approx([expected[Label.LEAN_LEFT], expected[Label.LEAN_RIGHT]], abs=1e-4)
    assert "Intermuscular fat volume" not in run("dsrdump", "+Pl", path)


def test_a_side_without_fat_is_still_described(made, tmp_path):
    lean = np.where(made.mask.labels == Label.IMAT_RIGHT, Label.LEAN_RIGHT, made.mask.labels)
    mask = replace(made.mask, labels=lean.astype(np.uint8))
    written = seg_to(tmp_path / "seg.dcm", made, mask)
    seg = pydicom.dcmread(written.path)
    assert len(seg.SegmentSequence) == 4
    assert set(frames_of(seg)) == {1, 2, 3}
    path = tmp_path / "sr.dcm"
    write_sr(made.stack, finding(mask), segs=on(written, made.stack), others=[], identity=IDENTITY, path=path)
    groups = hd.sr.srread(path).content.get_volumetric_roi_measurement_groups()
    assert [group.get_measurements()[0].value for group in groups][3] == 0
    for each in (written.path, path):
        said = [line for line in run("dciodvfy", "-new", each).splitlines() if line.startswith("Error")]
        assert said == []
    run(BIN / "segimage2itkimage", "--inputDICOM", written.path, "--outputDirectory", tmp_path, "-p", "s")
    assert (tmp_path / "s-meta.json").exists()


def test_an_empty_mask_and_a_stack_without_frame_of_reference_make_no_segmentation(made, tmp_path):
    empty = replace(made.mask, labels=np.zeros_like(made.mask.labels))
    with pytest.raises(ValueError, match="empty mask"):
        seg_to(tmp_path / "seg.dcm", made, empty)
    unplaced = replace(made.stack, facts=replace(made.stack.facts, frame_of_reference_uid=None))
    with pytest.raises(UnreadableSeries) as refused:
        seg_to(tmp_path / "seg.dcm", replace(made, stack=unplaced))
    assert refused.value.reason.code == "no_frame_of_reference"
    assert not (tmp_path / "seg.dcm").exists()


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        (
            ["", "ISO 2022 IR 87"],
            "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce=\u3084\u307e\u3060^\u305f\u308d\u3046",
        ),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=\u6d2a^\u5409\u6d1e=\ud64d^\uae38\ub3d9"),
        ("GB18030", "Wang^XiaoDong=\u738b^\u5c0f\u4e1c"),
        ("ISO_IR 144", "\u041b\u044e\u043ac\u0435\u043c\u0431yp\u0433"),
        ("ISO_IR 100", "M\u00fcller^J\u00fcrgen"),
    ],
)
def test_names_of_every_script_arrive_whole(made, tmp_path, character_set, name):
    files = []
    for path in made.files:
        dataset = pydicom.dcmread(path)
        dataset.SpecificCharacterSet = character_set
        dataset.PatientName = name
        dataset.save_as(tmp_path / path.name)
        files.append(tmp_path / path.name)
    objects = write_objects(read_world(files), tmp_path / "out")
    for written in objects.all:
        read = pydicom.dcmread(written.path)
        assert str(read.PatientName) == name, written.kind
        assert read["PatientName"].value.original_string == name.encode("utf-8")


def test_what_the_source_lacks_is_empty_and_never_invented(made, tmp_path):
    files = []
    for path in made.files:
        dataset = pydicom.dcmread(path)
        for keyword in (*TYPE_2, "PatientAge", "PatientSize", "PositionReferenceIndicator", "SliceThickness"):
            dataset.pop(keyword, None)
        dataset.save_as(tmp_path / path.name)
        files.append(tmp_path / path.name)
    objects = write_objects(read_world(files), tmp_path / "out")
    for written in objects.all:
        dataset = pydicom.dcmread(written.path)
        assert {keyword: str(dataset[keyword].value or "") for keyword in TYPE_2} == dict.fromkeys(TYPE_2, "")
    for written in objects.known_to_dciodvfy:
        said = run("dciodvfy", "-new", written.path)
        assert [line for line in said.splitlines() if line.startswith("Error")] == [], written.kind


def test_a_sex_that_dicom_does_not_know_is_left_empty(made, tmp_path):
    files = []
    for path in made.files:
        dataset = pydicom.dcmread(path)
        dataset.PatientSex = "W"
        dataset.save_as(tmp_path / path.name)
        files.append(tmp_path / path.name)
    for written in write_objects(read_world(files), tmp_path / "out").all:
        assert pydicom.dcmread(written.path).PatientSex == ""
