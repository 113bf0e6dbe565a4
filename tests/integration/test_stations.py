"""A scan in several stations is one result, in which every place counts once."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pydicom
import pytest

from service.pipeline import batch
from tests.make import network
from tests.make.nifti import read_nifti
from tests.make.stations import STEP_MM, body, slices_of, write_stations
from tests.make.tools import run

STATIONS, SLICES, OVERLAP = 3, 6, 2


@pytest.fixture(scope="module")
def workshop():
    """The shipped network, loaded once."""
    return network.workshop()


def analyse(folder, out, workshop, **how):
    """Everything below a folder; the outcomes, and the finding of the first result."""
    outcomes = batch.analyse_paths([folder], out, lambda: workshop, **how)
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


@pytest.fixture(scope="module")
def partly(tmp_path_factory, workshop, whole):
    """The third of three stations shows no back; its folder and the finding."""
    folder = tmp_path_factory.mktemp("partly")
    shape = {"stations": STATIONS, "slices": SLICES, "overlap": OVERLAP}
    write_stations(folder / "in", whole, **shape, change=without_body(2))
    return folder, analyse(folder / "in", folder / "out", workshop)[1]


def test_a_station_without_a_back_is_left_out_and_named(partly):
    folder, found = partly
    assert found["status"] == "measured"
    assert [item["counted_slices"] for item in found["series"]["stations"]] == [5, 5, 0]
    assert "both_sides_found" in found["series"]["stations"][2]["left_out"]
    assert found["series"]["slices"] == 10
    checks = {check["check"]: check for check in found["quality"]}
    assert not checks["stations"]["passed"]
    assert not (folder / "out" / "seg-3.dcm").exists()


def test_what_left_out_a_station_is_done_and_measured_again_only_when_an_image_came(
    partly, workshop, tmp_path
):
    """The image that comes lies in the station that does not count."""
    folder, found = partly
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    image = sorted((tmp_path / "in").glob("*-3/*.dcm"))[-1]
    looked = Looked(workshop.segmenter)
    analyse_again = partial(analyse, tmp_path / "in", tmp_path / "out", replace(workshop, segmenter=looked))
    assert analyse_again(resume=True)[1] == found
    assert looked.stations == 0
    image.unlink()
    again = analyse_again(resume=True)[1]
    assert looked.stations == STATIONS
    assert [item["slices"] for item in again["series"]["stations"]] == [SLICES, SLICES, SLICES - 1]
    assert again["series"]["slices"] == found["series"]["slices"]


def test_nothing_is_measured_where_a_station_between_others_is_missing(workshop, whole, tmp_path):
    shape = {"stations": STATIONS, "slices": SLICES, "overlap": OVERLAP}
    write_stations(tmp_path / "in", whole, **shape, change=without_body(1))
    found = analyse(tmp_path / "in", tmp_path / "out", workshop)[1]
    assert (found["status"], found["reasons"][0]["code"]) == ("not_assessable", "station_missing_between")
    assert found["measures"] is None


def numbers_in(path):
    """Unit of each number in a report."""

    def walk(item):
        for child in item.get("ContentSequence", ()):
            yield child
            yield from walk(child)

    return Counter(
        item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue
        for item in walk(pydicom.dcmread(path))
        if item.ValueType == "NUM" and item.get("MeasuredValueSequence")
    )


@pytest.mark.parametrize(("without", "segments"), [((1,), 4), ((), 0)])
def test_what_is_left_of_stations_and_is_a_block_has_no_volume_in_its_report(
    workshop, tmp_path, without, segments
):
    """Five slices of 6 mm are too short for a volume, and so are both stations where a volume needs more."""
    body_ = body(slices_of(2, 5, 1))
    write_stations(tmp_path / "in", body_, stations=2, slices=5, overlap=1, change=without_body(*without))
    card = workshop.card
    longer = replace(card.intended_use, min_coverage_mm=35.0 if without else 60.0)
    short = replace(workshop, segmenter=Cut(workshop.segmenter, replace(card, intended_use=longer)))
    found = analyse(tmp_path / "in", tmp_path / "out", short)[1]
    assert (found["status"], found["series"]["block"]) == ("measured", {"number": None, "of": None})
    assert found["measures"]["total"]["compartment_ml"] is None
    units = numbers_in(tmp_path / "out" / "sr.dcm")
    assert not {"mL", "mL/m2"} & set(units)
    # Mean area of each segment, then of each side and of both: compartment and lean.
    assert units["cm2"] == segments + 6


class Cut:
    """The shipped network under another card."""

    def __init__(self, segmenter, card):
        self._segmenter, self.card = segmenter, card

    def __getattr__(self, name):
        return getattr(self._segmenter, name)


class Looked:
    """A network that counts what it looks at."""

    def __init__(self, segmenter):
        self._segmenter, self.stations = segmenter, 0

    def segment(self, volume):
        self.stations += 1
        return self._segmenter.segment(volume)

    def __getattr__(self, name):
        return getattr(self._segmenter, name)
