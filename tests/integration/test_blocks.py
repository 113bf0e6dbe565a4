"""Five short blocks in one series, each angled to its disc: areas and shares of each, and no volume."""

import csv
import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from io import StringIO

import highdicom as hd
import numpy as np
import pydicom
import pytest
from sqlalchemy import select

from service.cli.workshops import recipe_from
from service.core.mask import Label
from service.core.variant import Variant
from service.db.session import reading
from service.db.tables import Analysis
from service.dicom.phantom import PhantomLabel
from service.dicom.series import scan
from service.dicom.spool import Spool
from service.pipeline import attempt, batch, close, run
from service.pipeline.close import Closing, Holes
from service.settings import load
from tests.make import stand_in
from tests.make.blocks import SLICES, TILTS, write_blocks
from tests.make.databases import new_sqlite
from tests.make.received import NOW, take_in
from tests.make.tools import program
from tests.make.tools import run as call

ENGLISH = Variant()
PLANAR = Variant(language="de", sr_form="planar")
SIDES = {
    "left": (PhantomLabel.LEAN_LEFT, PhantomLabel.FAT_LEFT),
    "right": (PhantomLabel.LEAN_RIGHT, PhantomLabel.FAT_RIGHT),
}
#: dciodvfy knows no private scheme.
ALLOWED = "Unrecognized defined term = <99MYOSCREEN>"
VOLUME_UNITS = {"mL", "mL/m2"}


class Measured:
    """One block, what is truly in it, and what came of it."""

    def __init__(self, block, folder):
        self.block, self.folder = block, folder
        self.finding = json.loads((folder / "finding.json").read_text("utf-8"))

    def object(self, kind, variant=ENGLISH):
        """The object of one kind that belongs to a variant."""
        own = {"SEG": "seg.dcm", "SR": "sr.dcm" if variant == ENGLISH else f"sr.{variant.name}.dcm"}[kind]
        assert own in {output["path"] for output in self.finding["outputs"]}
        return self.folder / own


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The blocks from caudal to cranial, and the outcomes of the call that measured them."""
    folder = tmp_path_factory.mktemp("blocks")
    blocks = write_blocks(folder / "in")
    workshop = replace(recipe_from(load())(), variants=(ENGLISH, PLANAR))
    outcomes = batch.analyse_paths([folder / "in"], folder / "out", lambda: workshop)
    table = list(csv.DictReader(StringIO(batch.measures_table(folder / "out", outcomes).decode())))
    found = []
    for outcome in outcomes:
        stack = outcome.inputs[0].stack
        # Numbered from the head: the first stack is the most cranial one.
        found.append(Measured(blocks[len(blocks) - 1 - stack], folder / "out" / outcome.folder))
    return sorted(found, key=lambda one: one.finding["series"]["block"]["number"]), table


def test_each_block_is_a_result_of_its_own_in_its_place(measured):
    found, table = measured
    assert [one.finding["status"] for one in found] == ["measured"] * len(TILTS)
    assert [one.finding["series"]["block"] for one in found] == [
        {"number": number, "of": len(TILTS)} for number in range(1, len(TILTS) + 1)
    ]
    assert {one.finding["series"]["slices"] for one in found} == {SLICES}
    assert {one.finding["definition"]["id"] for one in found} == {"paraspinal-two-class-block"}
    assert [row["block"] for row in table] == ["3 of 3", "2 of 3", "1 of 3"]
    assert {row["lmm_ml"] for row in table} == {""}


def test_areas_and_shares_are_those_that_were_drawn_whatever_the_angle(measured):
    """As near as on straight slices of the phantom: a tenth, and three points of the share."""
    for one in measured[0]:
        for side, (lean, fat) in SIDES.items():
            own = one.finding["measures"][side]
            whole, muscle = one.block.mean_area_cm2(lean, fat), one.block.mean_area_cm2(lean)
            assert own["mean_csa_cm2"] == pytest.approx(whole, rel=0.1)
            assert own["mean_lean_csa_cm2"] == pytest.approx(muscle, rel=0.1)
            assert own["imat_fraction"] == pytest.approx(1 - muscle / whole, abs=0.03)


def test_nothing_of_a_block_is_a_volume_a_score_a_flag_or_a_change(measured):
    for one in measured[0]:
        found = one.finding
        for side in ("left", "right", "total"):
            own = found["measures"][side]
            assert (own["compartment_ml"], own["lmm_ml"], own["imat_ml"]) == (None, None, None)
        assert found["measures"]["lmm_height_index_ml_m2"] is None
        assert found["measures"]["asymmetry"]["compartment_ml"] is None
        assert {score["state"] for score in found["scores"]} == {"no_norm"}
        assert {flag["state"] for flag in found["flags"]} == {"not_evaluable"}
        assert (found["quadrant"], found["change"]) == (None, None)


def test_the_profile_is_counted_from_the_seg_slice_by_slice(measured):
    for one in measured[0]:
        seg = hd.seg.segread(one.object("SEG"))
        uids = [pydicom.dcmread(path).SOPInstanceUID for path in one.block.files]
        labels = seg.get_pixels_by_source_instance(uids, combine_segments=True)
        pixel_cm2 = float(np.prod(one.block.grid.pixel_spacing_mm)) / 100.0
        lean = (labels == Label.LEAN_LEFT).sum(axis=(1, 2)) * pixel_cm2
        profile = one.finding["measures"]["profile"]
        assert [point["left_lean_cm2"] for point in profile] == pytest.approx(list(lean))
        assert [point["position_mm"] for point in profile] == pytest.approx([0.0, 4.4, 8.8, 13.2])


def test_segments_lie_in_the_patient_where_the_muscles_were_drawn(measured):
    """By positions and directions of the object alone: within a pixel, on slices tilted up to 28 degrees."""
    for one in measured[0]:
        middles = centroids(pydicom.dcmread(one.object("SEG")))
        for segment, label in ((1, PhantomLabel.LEAN_LEFT), (2, PhantomLabel.LEAN_RIGHT)):
            voxels = np.argwhere(one.block.labels == label).astype(float)
            true = one.block.grid.to_patient(voxels).mean(axis=0)
            assert np.linalg.norm(middles[segment] - true) < 1.25


def centroids(seg):
    """The middle of each segment in the patient."""
    shared = seg.SharedFunctionalGroupsSequence[0]
    directions = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    row_mm, column_mm = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    points = {}
    for group, plane in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        rows, columns = np.nonzero(plane)
        place = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        place = (
            place + np.outer(columns * column_mm, directions[:3]) + np.outer(rows * row_mm, directions[3:])
        )
        number = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        points.setdefault(number, []).append(place)
    return {number: np.concatenate(places).mean(axis=0) for number, places in points.items()}


@pytest.mark.parametrize("variant", [ENGLISH, PLANAR], ids=["volumetric", "planar"])
def test_the_report_of_a_block_has_areas_and_shares_and_no_volume(measured, variant):
    for one in measured[0]:
        report = pydicom.dcmread(one.object("SR", variant))
        units = Counter(
            item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue
            for item in walk(report)
            if item.ValueType == "NUM" and item.get("MeasuredValueSequence")
        )
        assert VOLUME_UNITS.isdisjoint(units)
        assert units["cm2"] >= 3
        assert units["%"] == 3
        text = " ".join(item.TextValue for item in walk(report) if item.ValueType == "TEXT")
        assert ("kein Volumen" if variant == PLANAR else "no volume") in text
        number = one.finding["series"]["block"]["number"]
        assert (f"Block {number} von 3" if variant == PLANAR else f"block {number} of 3") in text


def test_the_report_names_the_segments_with_their_mean_areas(measured):
    one = measured[0][2]
    groups = hd.sr.srread(one.object("SR")).content.get_volumetric_roi_measurement_groups()
    areas = [float(group.get_measurements()[0].value) for group in groups]
    left = one.finding["measures"]["left"]
    assert areas[0] == pytest.approx(left["mean_lean_csa_cm2"], abs=1e-4)
    assert areas[2] == pytest.approx(left["mean_csa_cm2"] - left["mean_lean_csa_cm2"], abs=1e-4)
    seg = pydicom.dcmread(one.object("SEG"), stop_before_pixels=True)
    assert {group.referenced_segment.referenced_sop_instance_uid for group in groups} == {seg.SOPInstanceUID}


def walk(item):
    for child in item.get("ContentSequence", ()):
        yield child
        yield from walk(child)


def test_viewers_can_tell_the_objects_of_the_blocks_apart(measured):
    headers = [
        pydicom.dcmread(path, stop_before_pixels=True)
        for one in measured[0]
        for path in sorted(one.folder.glob("*.dcm"))
        if "." not in path.stem
    ]
    names = [header.SeriesDescription for header in headers]
    assert len(set(names)) == len(names) == 4 * len(TILTS)
    assert len({header.SeriesNumber for header in headers}) == len(names)
    assert "MYOSCREEN block 2/3: measures, RESEARCH USE, NOT FOR DIAGNOSIS" in names
    assert all(len(name) <= 64 for name in names)
    assert len({header.SeriesInstanceUID for header in headers}) == len(names)


def test_dciodvfy_finds_no_error_in_any_object_of_a_block(measured):
    one = measured[0][0]
    for path in sorted(one.folder.glob("*.dcm")):
        said = call("dciodvfy", "-new", path, check=False)
        lines = [
            line
            for line in (said.stdout + said.stderr).splitlines()
            if line.startswith(("Error", "Warning")) and ALLOWED not in line
        ]
        assert lines == [], path.name


def test_dcmqi_reads_segmentation_and_report_of_an_angled_block(measured, tmp_path):
    one = measured[0][0]
    seg, report = one.object("SEG"), one.object("SR")
    call(
        "segimage2itkimage",
        "--inputDICOM",
        seg,
        "--outputDirectory",
        tmp_path,
        "--outputType",
        "nii",
        "-p",
        "s",
    )
    meta = json.loads((tmp_path / "s-meta.json").read_text())
    assert meta["SeriesDescription"].startswith("MYOSCREEN block 1/3")
    program("tid1500reader")
    call("tid1500reader", "--inputDICOM", report, "--outputMetadata", tmp_path / "sr.json")
    groups = json.loads((tmp_path / "sr.json").read_text())["Measurements"]
    assert len(groups) == 7


QUIET = timedelta(seconds=60)


class House:
    """A ledger and a spool, whose clock the test moves."""

    def __init__(self, sessions, home):
        self.sessions, self.home, self.now = sessions, home, NOW
        self.spool, self.holes = Spool(home / "spool"), Holes()

    def receive(self, paths):
        return take_in(self.sessions, self.spool, paths, now=self.now)

    def settle(self, after=QUIET):
        """Close what is complete, and run all that became ready."""
        self.now += after
        closing = Closing(quiet=QUIET, hard_cap=timedelta(minutes=30))
        made = close.close_series(self.sessions, self.spool, now=self.now, closing=closing, holes=self.holes)
        bench = run.Bench(
            home=self.home,
            spool=self.spool,
            destinations=[],
            terms=run.Terms(max_attempts=2, retry_after=timedelta(seconds=5), beat_seconds=60),
            owner="worker",
            clock=lambda: self.now,
        )
        for analysis_id in made:
            run.run(self.sessions, analysis_id, stand_in.performing(), bench)
        return len(made)

    def rows(self):
        """State, version and stack of every analysis, by stack and version."""
        with reading(self.sessions) as db:
            rows = db.scalars(select(Analysis)).all()
            return sorted((row.inputs[0].stack, row.version, str(row.state)) for row in rows)


@pytest.fixture
def house(sessions, tmp_path, monkeypatch):
    monkeypatch.setattr(attempt, "analyse_inputs", stand_in.analyse)
    return House(sessions, tmp_path / "home")


@pytest.fixture
def database_url(tmp_path):
    return new_sqlite(tmp_path / "home")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Three angled blocks as files, from the caudal to the cranial one."""
    return [
        block.files for block in write_blocks(tmp_path_factory.mktemp("images"), tilts=(20.0, 0.0, -10.0))
    ]


CURRENT = [(0, 1, "measured"), (1, 1, "measured"), (2, 1, "measured")]


def test_every_block_of_a_series_has_its_own_current_result(house, images):
    house.receive([path for files in images for path in files])
    assert house.settle() == 3
    assert house.rows() == CURRENT


def test_blocks_that_are_sent_again_change_nothing(house, images):
    paths = [path for files in images for path in files]
    house.receive(paths)
    house.settle()
    assert set(house.receive(paths[::-1])) == {"duplicate"}
    assert house.settle() == 0
    assert house.rows() == CURRENT


def test_a_block_that_comes_late_makes_new_results_of_all_because_their_places_change(house, images):
    caudal, middle, cranial = images
    house.receive([*middle, *cranial])
    assert house.settle() == 2
    house.receive(caudal)
    assert house.settle() == 3
    assert house.rows() == [
        (0, 1, "superseded"),
        (0, 2, "measured"),
        (1, 1, "superseded"),
        (1, 2, "measured"),
        (2, 1, "measured"),
    ]


def test_parallel_blocks_do_not_wait_for_the_hard_cap_and_a_missing_slice_does(house, tmp_path):
    blocks = write_blocks(tmp_path / "alike", tilts=(8.0, 8.0))
    paths = [path for block in blocks for path in block.files]
    house.receive([path for path in paths if path != blocks[0].files[1]])
    assert house.settle() == 0
    house.receive([blocks[0].files[1]])
    assert house.settle() == 2
    assert [stack.facts.slices for stack in scan(paths).stacks] == [SLICES, SLICES]
