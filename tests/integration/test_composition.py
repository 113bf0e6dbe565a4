"""A scan in four overlapping stations: variants and outlines of each; stations that come mixed or late."""

import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from random import Random

import highdicom as hd
import numpy as np
import pydicom
import pytest
from sqlalchemy import select

from service.core.mask import Label
from service.core.variant import Variant
from service.db.session import reading
from service.db.tables import Analysis
from service.dicom.spool import Spool
from service.pipeline import batch, close
from service.pipeline.close import Closing, Holes
from tests.make import network
from tests.make.received import NOW, take_in
from tests.make.tools import program
from tests.make.tools import run as call
from tests.make.whole_body import CUTS, SLICES, write_scan

QUIET = timedelta(seconds=60)
CLOSING = Closing(quiet=QUIET, hard_cap=timedelta(minutes=30))
PLANAR = Variant(language="de", sr_form="planar", encoding="labelmap")
#: dciodvfy knows no private scheme.
ALLOWED = "Unrecognized defined term = <99MYOSCREEN>"


class Result:
    """What a call left behind."""

    def __init__(self, folder, outcomes):
        self.folder, self.outcomes = folder, outcomes
        self.finding = json.loads((folder / "finding.json").read_text("utf-8"))

    def segs(self, ending=".dcm"):
        return [self.folder / f"seg{part}{ending}" for part in ("", "-2", "-3", "-4")]


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    return write_scan(tmp_path_factory.mktemp("scan"))


@pytest.fixture(scope="module")
def results(scan, tmp_path_factory):
    """The stations, analysed for two peers: one wants another form and language, and label maps."""
    workshop = replace(network.workshop(), variants=(Variant(), PLANAR), gsps=True)
    out = tmp_path_factory.mktemp("out")
    return Result(out, batch.analyse_paths(sum(scan.stations, ()), out, lambda: workshop))


def test_the_stations_are_one_measured_result_that_names_each(results):
    (outcome,) = results.outcomes
    assert outcome.status == "measured", outcome.reasons
    series = results.finding["series"]
    assert [each["role"] for each in series["inputs"]] == ["image", "station", "station", "station"]
    assert series["slices"] == SLICES
    assert sum(each["counted_slices"] for each in series["stations"]) == SLICES
    assert [each["slices"] for each in series["stations"]] == [end - start for start, end in CUTS]


def test_the_segmentations_hold_together_what_was_counted_and_no_place_twice(results):
    found = results.finding["measures"]
    volumes, heights = Counter(), []
    for path in results.segs():
        seg = pydicom.dcmread(path)
        measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        area_cm2 = float(np.prod(np.array(measures.PixelSpacing, float))) / 100
        here = set()
        for group, plane in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
            number = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
            volumes[Label(number)] += float(plane.sum()) * area_cm2
            here.add(round(float(group.PlanePositionSequence[0].ImagePositionPatient[2]), 3))
        heights += sorted(here)
    assert len(set(heights)) == len(heights) == SLICES
    step_cm = float(np.diff(sorted(heights)).mean()) / 10
    for side, lean, fat in (
        ("left", Label.LEAN_LEFT, Label.IMAT_LEFT),
        ("right", Label.LEAN_RIGHT, Label.IMAT_RIGHT),
    ):
        assert volumes[lean] * step_cm == pytest.approx(found[side]["lmm_ml"], rel=1e-6)
        assert volumes[fat] * step_cm == pytest.approx(found[side]["imat_ml"], rel=1e-6)


def test_left_is_left_in_each_segmentation(results):
    for path in results.segs():
        seg = pydicom.dcmread(path)
        sides = {1: [], 2: []}
        for group, plane in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
            number = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
            if number in sides:
                place = float(group.PlanePositionSequence[0].ImagePositionPatient[0])
                sides[number].append(place + np.nonzero(plane)[1].mean() * 1.6)
        assert min(sides[1]) > 0 > max(sides[2])


def test_one_report_cites_every_segmentation_with_its_volumes(results):
    report = hd.sr.srread(results.folder / "sr.dcm")
    groups = report.content.get_volumetric_roi_measurement_groups()
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in results.segs()]
    uids = [str(header.SOPInstanceUID) for header in headers]
    cited = [str(group.referenced_segment.referenced_sop_instance_uid) for group in groups]
    assert sorted(set(cited)) == sorted(uids)
    assert len(set(uids)) == 4
    lean = sum(
        float(group.get_measurements()[0].value)
        for group in groups
        if group.tracking_identifier == "Paraspinal muscle left"
    )
    assert lean == pytest.approx(results.finding["measures"]["left"]["lmm_ml"], abs=0.01)
    evidence = {
        str(series.SeriesInstanceUID)
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
    }
    sources = {each["series_uid"] for each in results.finding["series"]["inputs"]}
    assert sources <= evidence
    assert {header.SeriesDescription for header in headers} == {
        f"MYOSCREEN station {number}/4: paraspinal muscle/IMAT SEG" for number in range(1, 5)
    }
    assert len({header.SeriesNumber for header in headers}) == 4


@pytest.mark.parametrize("name", ["seg-3.dcm", "gsps-2.dcm", "sr.dcm", "capture.dcm", "report.dcm"])
def test_dciodvfy_finds_no_error(results, name):
    program("dciodvfy")
    told = call("dciodvfy", "-new", results.folder / name, check=False)
    errors = [line for line in told.stderr.splitlines() if line.startswith("Error") and ALLOWED not in line]
    assert errors == []


def test_the_other_variant_has_its_own_segmentations_and_an_outline_on_one_station(results):
    folder = results.folder
    name = PLANAR.name
    assert all((folder / f"seg{part}.{name}.dcm").is_file() for part in ("", "-2", "-3", "-4"))
    groups = hd.sr.srread(folder / f"sr.{name}.dcm").content.get_planar_roi_measurement_groups()
    assert len(groups) == 1


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool", min_free_mb=0)


def test_stations_of_four_associations_that_come_mixed_are_one_analysis(scan, sessions, spool):
    paths = list(sum(scan.stations, ()))
    Random(2).shuffle(paths)
    take_in(sessions, spool, paths)
    made = close.close_series(sessions, spool, now=NOW + 2 * QUIET, closing=CLOSING, holes=Holes())
    assert len(made) == 1
    with reading(sessions) as session:
        (analysis,) = session.scalars(select(Analysis)).all()
        assert [each.role for each in analysis.inputs] == ["image", "station", "station", "station"]


def test_a_station_that_comes_late_makes_a_new_version_of_the_same(scan, sessions, spool):
    take_in(sessions, spool, sum(scan.stations[:3], ()))
    (first,) = close.close_series(sessions, spool, now=NOW + 2 * QUIET, closing=CLOSING, holes=Holes())
    late = NOW + 10 * QUIET
    take_in(sessions, spool, scan.stations[3], now=late)
    (second,) = close.close_series(sessions, spool, now=late + 2 * QUIET, closing=CLOSING, holes=Holes())
    with reading(sessions) as session:
        found = {row.id: row for row in session.scalars(select(Analysis))}
        assert len(found[second].inputs) == 4
        assert found[second].supersedes_id == first or found[first].state == "superseded"
