"""A scan in several stations is one result, in which every place counts once."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from service.cli.workshops import recipe_from
from service.pipeline import batch
from service.settings import load
from tests.make.nifti import read_nifti
from tests.make.stations import STEP_MM, body, slices_of, write_stations
from tests.make.tools import run

STATIONS, SLICES, OVERLAP = 3, 8, 2


@pytest.fixture(scope="module")
def workshop():
    """The shipped network, loaded once."""
    return recipe_from(load())()


def analyse(folder, out, workshop):
    """Everything below a folder; the outcomes, and the finding of the first result."""
    outcomes = batch.analyse_paths([folder], out, lambda: workshop)
    return outcomes, json.loads((out / "finding.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def whole():
    return body(slices_of(STATIONS, SLICES, OVERLAP))


@pytest.fixture(scope="module")
def measured(tmp_path_factory, workshop, whole):
    """Three stations that overlap, analysed as one."""
    folder = tmp_path_factory.mktemp("stations")
    write_stations(folder / "in", whole, stations=STATIONS, slices=SLICES, overlap=OVERLAP)
    return folder / "out", *analyse(folder / "in", folder / "out", workshop)


@pytest.fixture(scope="module")
def in_one(tmp_path_factory, workshop, whole):
    """The same body in one stack."""
    folder = tmp_path_factory.mktemp("one")
    write_stations(folder / "in", whole, stations=1, slices=len(whole.image), overlap=0)
    return analyse(folder / "in", folder / "out", workshop)[1]


def test_stations_are_one_result_with_every_stack_named(measured):
    _out, outcomes, found = measured
    assert [outcome.status for outcome in outcomes] == ["measured"]
    assert Counter(item["role"] for item in found["series"]["inputs"]) == {"image": 1, "station": 2}
    assert found["series"]["slices"] == slices_of(STATIONS, SLICES, OVERLAP)
    assert found["series"]["coverage_mm"] == pytest.approx(found["series"]["slices"] * STEP_MM)
    counted = [item["counted_slices"] for item in found["series"]["stations"]]
    assert sum(counted) == found["series"]["slices"]
    assert all(item["left_out"] == [] for item in found["series"]["stations"])
    checks = {check["check"]: check for check in found["quality"]}
    assert checks["stations"]["passed"]


def test_stations_measure_what_one_stack_of_the_same_body_does(measured, in_one):
    """The network sees each slice by itself; cleaning and fat reference see each station by itself."""
    found = measured[2]
    for side in ("left", "right", "total"):
        ours, theirs = found["measures"][side], in_one["measures"][side]
        assert ours["compartment_ml"] == pytest.approx(theirs["compartment_ml"], rel=0.005)
        assert ours["imat_fraction"] == pytest.approx(theirs["imat_fraction"], abs=0.01)
    positions = [point["position_mm"] for point in found["measures"]["profile"]]
    assert positions == pytest.approx([point["position_mm"] for point in in_one["measures"]["profile"]])


def segmentations(out):
    paths = sorted(out.glob("seg*.dcm"), key=lambda path: (len(path.name), path.name))
    assert [path.name for path in paths] == ["seg.dcm", "seg-2.dcm", "seg-3.dcm"]
    return paths


def volume_by_dcmqi(path, folder):
    """Volume of each segment, by its label, as dcmqi writes it."""
    folder.mkdir()
    volumes = Counter()
    run("segimage2itkimage", "--inputDICOM", path, "--outputDirectory", folder, "--outputType", "nii")
    meta = json.loads((folder / "meta.json").read_text("utf-8"))
    images = sorted(folder.glob("*.nii*"), key=lambda path: int(path.name.split(".")[0]))
    for (segment,), file in zip(meta["segmentAttributes"], images, strict=True):
        voxels, affine = read_nifti(file)
        voxel_ml = abs(float(np.linalg.det(affine[:3, :3]))) / 1000.0
        volumes[segment["SegmentLabel"]] += int(np.count_nonzero(voxels)) * voxel_ml
    return volumes


def test_the_segmentations_of_all_stations_add_up_to_the_finding(measured, tmp_path):
    out, _, found = measured
    volumes = Counter()
    for number, path in enumerate(segmentations(out)):
        volumes.update(volume_by_dcmqi(path, tmp_path / str(number)))
    for side in ("left", "right"):
        named = {label: value for label, value in volumes.items() if side in label.lower()}
        assert sum(named.values()) == pytest.approx(found["measures"][side]["compartment_ml"], rel=1e-6)


def test_dciodvfy_finds_no_error_in_segmentations_and_report(measured):
    out = measured[0]
    for path in (*segmentations(out), out / "sr.dcm"):
        said = run("dciodvfy", "-new", path, check=False)
        lines = (said.stdout + said.stderr).splitlines()
        assert not [line for line in lines if line.startswith("Error") and "99MYOSCREEN" not in line]


def test_the_report_cites_every_segmentation_and_every_image(measured):
    out, _, found = measured
    report = pydicom.dcmread(out / "sr.dcm")
    evidence = [
        (str(series.SeriesInstanceUID), str(item.ReferencedSOPInstanceUID))
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    ]
    cited = {uid for _, uid in evidence}
    segs = [pydicom.dcmread(path, stop_before_pixels=True) for path in segmentations(out)]
    assert {str(seg.SOPInstanceUID) for seg in segs} <= cited
    inputs = {item["series_uid"] for item in found["series"]["inputs"]}
    assert {
        uid: count for uid, count in Counter(s for s, _ in evidence).items() if uid in inputs
    } == dict.fromkeys(inputs, SLICES)
    assert len({str(seg.SeriesInstanceUID) for seg in segs}) == STATIONS


def test_the_same_stations_give_the_same_bytes(measured, workshop, tmp_path, whole):
    write_stations(tmp_path / "in", whole, stations=STATIONS, slices=SLICES, overlap=OVERLAP)
    analyse(tmp_path / "in", tmp_path / "out", workshop)
    names = ["seg.dcm", "seg-2.dcm", "seg-3.dcm", "sr.dcm", "capture.dcm", "finding.json"]
    assert [(tmp_path / "out" / name).read_bytes() for name in names] == [
        (measured[0] / name).read_bytes() for name in names
    ]


def without_body(*numbers):
    """These stations show air."""

    def change(volume, number):
        return replace(volume, values=volume.values * 0) if number in numbers else volume

    return change


def test_a_station_without_a_back_is_left_out_and_named(workshop, whole, measured, tmp_path):
    shape = {"stations": STATIONS, "slices": SLICES, "overlap": OVERLAP}
    write_stations(tmp_path / "in", whole, **shape, change=without_body(2))
    found = analyse(tmp_path / "in", tmp_path / "out", workshop)[1]
    assert found["status"] == "measured"
    assert [item["counted_slices"] for item in found["series"]["stations"]] == [7, 7, 0]
    assert "both_sides_found" in found["series"]["stations"][2]["left_out"]
    assert found["series"]["slices"] == 14
    checks = {check["check"]: check for check in found["quality"]}
    assert not checks["stations"]["passed"]
    assert not (tmp_path / "out" / "seg-3.dcm").exists()


def test_nothing_is_measured_where_a_station_between_others_is_missing(workshop, whole, tmp_path):
    shape = {"stations": STATIONS, "slices": SLICES, "overlap": OVERLAP}
    write_stations(tmp_path / "in", whole, **shape, change=without_body(1))
    found = analyse(tmp_path / "in", tmp_path / "out", workshop)[1]
    assert (found["status"], found["reasons"][0]["code"]) == ("not_assessable", "station_missing_between")
    assert found["measures"] is None
