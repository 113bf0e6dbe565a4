"""`myoscreen analyse`, as a researcher calls it: an exit status and files, without any server."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from service.cli import build_app, main
from service.cli.workshops import recipe_from
from service.core.dixon import find_input_sets
from service.dicom.phantom import paraspinal_phantom
from service.dicom.series import scan
from service.dicom.synthesis import write_phantom
from service.pipeline import batch
from service.settings import load
from tests.make.data import data_dir
from tests.make.tum01 import write_tum01

#: Half of what the demonstration has; enough for volumes to be compared.
SLICES = 12
OBJECTS = ("seg.dcm", "sr.dcm", "capture.dcm", "report.dcm", "report.pdf", "finding.json")
real_data = pytest.mark.skipif(data_dir() is None, reason="no real data (MYOSCREEN_TEST_DATA)")


def analyse(*arguments):
    environment = {**os.environ, "MYOSCREEN_HOME": "/nonexistent/never-used"}
    return subprocess.run(
        [sys.executable, "-m", "service.cli", "analyse", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        check=False,
    )


def quick(*arguments):
    """The same call in this process: only what `analyse` itself does, without starting Python again."""
    done = CliRunner().invoke(build_app("analyse"), ["analyse", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """The phantom, analysed once."""
    folder = tmp_path_factory.mktemp("phantom")
    write_phantom(folder / "in", slices=SLICES)
    return folder, analyse(folder / "in", "--out", folder / "out")


def finding(folder):
    return json.loads((folder / "finding.json").read_text("utf-8"))


def test_the_phantom_is_measured_and_every_object_is_there(phantom):
    folder, done = phantom
    assert done.returncode == 0, done.stderr
    assert all((folder / "out" / name).is_file() for name in OBJECTS)
    found = finding(folder / "out")
    assert (found["schema"], found["status"]) == ("myoscreen.finding/1", "measured")
    assert {output["kind"] for output in found["outputs"]} == {"SEG", "SR", "SC", "PDF"}
    assert found["model"]["provider"] == "CPUExecutionProvider"


def test_lean_and_fat_of_each_side_are_within_ten_per_cent_of_the_truth(phantom):
    folder, _ = phantom
    truth = paraspinal_phantom(contrast="t2_tse", slices=SLICES, seed=1)
    measures = finding(folder / "out")["measures"]
    assert measures["left"]["lmm_ml"] == pytest.approx(truth.lean_left_ml, rel=0.1)
    assert measures["right"]["lmm_ml"] == pytest.approx(truth.lean_right_ml, rel=0.1)
    assert measures["left"]["imat_ml"] == pytest.approx(truth.fat_left_ml, rel=0.1)
    assert measures["right"]["imat_ml"] == pytest.approx(truth.fat_right_ml, rel=0.1)


def test_the_demonstration_table_scores_the_phantom(phantom):
    folder, _ = phantom
    found = finding(folder / "out")
    assert [score["state"] for score in found["scores"]] == ["scored", "scored"]
    assert {score["norm_status"] for score in found["scores"]} == {"demonstration"}
    assert found["quadrant"] is not None
    scored = [flag for flag in found["flags"] if flag["code"] != "fsf_high"]
    assert {flag["state"] for flag in scored} <= {"raised", "indeterminate", "not_raised"}


def test_volumes_equal_those_counted_from_the_seg(phantom):
    folder, _ = phantom
    seg = pydicom.dcmread(folder / "out" / "seg.dcm")
    spacing = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    voxel_ml = float(np.prod([*spacing.PixelSpacing, 4.0])) / 1000.0
    numbers = [
        frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        for frame in seg.PerFrameFunctionalGroupsSequence
    ]
    counted = {
        number: seg.pixel_array[[i for i, n in enumerate(numbers) if n == number]].sum() * voxel_ml
        for number in set(numbers)
    }
    measures = finding(folder / "out")["measures"]
    assert counted[1] == pytest.approx(measures["left"]["lmm_ml"], rel=1e-3)
    assert counted[2] == pytest.approx(measures["right"]["lmm_ml"], rel=1e-3)
    assert counted[3] == pytest.approx(measures["left"]["imat_ml"], rel=1e-3)
    assert counted[4] == pytest.approx(measures["right"]["imat_ml"], rel=1e-3)


def test_a_second_run_gives_the_same_bytes(phantom, tmp_path):
    folder, _ = phantom
    assert analyse(folder / "in", "--out", tmp_path).returncode == 0
    for name in OBJECTS:
        assert (tmp_path / name).read_bytes() == (folder / "out" / name).read_bytes(), name


def test_several_series_give_sub_folders_a_table_and_every_outcome(tmp_path):
    write_phantom(tmp_path / "in" / "t1", contrast="t1", slices=5)
    write_phantom(tmp_path / "in" / "water", contrast="water", slices=5)
    (tmp_path / "in" / "notes.txt").write_text("no image", "utf-8")
    done = analyse(
        tmp_path / "in", "--out", tmp_path / "out", "--jobs", 2, "--table", tmp_path / "measures.csv"
    )
    assert done.returncode == 0, done.stderr
    outcomes = json.loads((tmp_path / "out" / "outcomes.json").read_text("utf-8"))
    assert sorted(str(outcome["folder"]) for outcome in outcomes) == ["None", "input-001", "input-002"]
    lines = (tmp_path / "measures.csv").read_text("utf-8").splitlines()
    assert len(lines) == 3
    assert "PHANTOM" not in "".join(lines)
    before = (tmp_path / "out" / "input-001" / "seg.dcm").stat().st_mtime_ns
    assert quick(tmp_path / "in", "--out", tmp_path / "out", "--resume").exit_code == 0
    assert (tmp_path / "out" / "input-001" / "seg.dcm").stat().st_mtime_ns == before


def bad_inputs(folder: Path) -> dict[str, Path]:
    """Folders that hold nothing to measure, by what is wrong with them."""
    made = {name: folder / name for name in ("empty", "text", "truncated")}
    for path in made.values():
        path.mkdir(parents=True)
    (made["text"] / "readme.txt").write_text("not an image", "utf-8")
    whole = write_phantom(folder / "whole", slices=5)
    for path in whole:
        (made["truncated"] / path.name).write_bytes(path.read_bytes()[:400])
    return made


@pytest.mark.parametrize(("kind", "code"), [("empty", "no_images"), ("text", "not_dicom"), ("truncated", "")])
def test_nothing_to_measure_ends_with_three_and_a_reason(tmp_path, kind, code):
    done = quick(bad_inputs(tmp_path)[kind], "--out", tmp_path / "out")
    assert done.exit_code == 3
    assert code in done.output
    found = finding(tmp_path / "out")
    assert found["status"] == "not_assessable"
    assert found["reasons"]
    assert "Traceback" not in done.output


def test_pixels_that_end_early_end_with_three_and_a_reason(tmp_path):
    for path in write_phantom(tmp_path / "in", slices=5):
        path.write_bytes(path.read_bytes()[:-5000])
    done = quick(tmp_path / "in", "--out", tmp_path / "out")
    assert done.exit_code == 3
    assert "Traceback" not in done.output
    assert finding(tmp_path / "out")["status"] == "not_assessable"


@real_data
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ct_lumbar.dcm", "wrong_modality"),
        ("mr_coronal_abdomen.dcm", "wrong_plane"),
        ("mr_axial_vibe_derived_mpr.dcm", "derived"),
        ("mr_axial_t2_tse_missing_delimiter.dcm", ""),
        ("mr_axial_t2_tse.dcm", "too_few_slices"),
    ],
)
def test_real_objects_outside_the_intended_use_end_with_three_and_their_reason(tmp_path, name, code):
    (tmp_path / "in").mkdir()
    shutil.copy(data_dir() / "dicom" / name, tmp_path / "in")
    done = quick(tmp_path / "in", "--out", tmp_path / "out")
    assert done.exit_code == 3
    assert code in done.output
    assert finding(tmp_path / "out")["reasons"]
    assert "Traceback" not in done.output


def test_a_missing_path_is_a_failed_call(tmp_path):
    done = analyse(tmp_path / "nothing", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@real_data
def test_the_real_volunteer_is_measured_and_honestly_not_scored(tmp_path):
    for number, path in enumerate(write_tum01(data_dir(), tmp_path / "in")):
        if number % 3:
            path.unlink()  # every third slice is enough to see whether it is scored
    done = quick(tmp_path / "in", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    found = finding(tmp_path / "out")
    assert found["series"]["contrast"] == "t2_tse"
    assert {score["state"] for score in found["scores"]} <= {"no_norm", "missing_demographics"}
    assert {flag["state"] for flag in found["flags"]} == {"not_evaluable"}
    assert found["quadrant"] is None


def test_an_unforeseen_fault_in_one_stack_costs_no_other_its_result(tmp_path, monkeypatch):
    write_phantom(tmp_path / "in" / "one", slices=5)
    write_phantom(tmp_path / "in" / "two", slices=6)
    real, calls = batch.analyse_inputs, []

    def fails_once(inputs, *arguments, **values):
        calls.append(inputs)
        if len(calls) == 1:
            raise ZeroDivisionError("a patient's name might stand here")
        return real(inputs, *arguments, **values)

    monkeypatch.setattr(batch, "analyse_inputs", fails_once)
    done = quick(tmp_path / "in", "--out", tmp_path / "out")
    assert done.exit_code == 0
    states = {finding(tmp_path / "out" / name)["status"] for name in ("input-001", "input-002")}
    assert states == {"measured", "not_assessable"}
    assert "internal_fault" in done.output
    assert "name" not in (tmp_path / "out" / "outcomes.json").read_text("utf-8")


def test_a_folder_never_holds_two_results(tmp_path):
    write_phantom(tmp_path / "good", slices=5)
    write_phantom(tmp_path / "short", slices=2)
    assert quick(tmp_path / "good", "--out", tmp_path / "out").exit_code == 0
    assert quick(tmp_path / "short", "--out", tmp_path / "out").exit_code == 3
    assert finding(tmp_path / "out")["status"] == "not_eligible"
    assert not [name for name in OBJECTS if name != "finding.json" and (tmp_path / "out" / name).exists()]


def test_results_inside_the_input_folder_are_not_taken_for_input(tmp_path):
    write_phantom(tmp_path / "in", slices=5)
    for _ in range(2):
        assert quick(tmp_path / "in", "--out", tmp_path / "in" / "results").exit_code == 0
    assert len(json.loads((tmp_path / "in" / "results" / "outcomes.json").read_text("utf-8"))) == 1


def test_a_damaged_result_is_made_again(tmp_path):
    write_phantom(tmp_path / "in", slices=5)
    assert quick(tmp_path / "in", "--out", tmp_path / "out").exit_code == 0
    (inputs,) = find_input_sets(scan(batch.find_files([tmp_path / "in"])).stacks)
    workshop = recipe_from(load())()
    whole = (tmp_path / "out" / "finding.json").read_text("utf-8")
    assert batch._is_done(inputs, tmp_path / "out", workshop)
    for damage in ("{", "[]", "null", whole.replace('"slices": 5', '"slices": 6')):
        (tmp_path / "out" / "finding.json").write_text(damage, "utf-8")
        assert not batch._is_done(inputs, tmp_path / "out", workshop)
    (tmp_path / "out" / "finding.json").write_text(whole, "utf-8")
    (tmp_path / "out" / "sr.dcm").unlink()
    assert quick(tmp_path / "in", "--out", tmp_path / "out", "--resume").exit_code == 0
    assert (tmp_path / "out" / "sr.dcm").exists()


@pytest.mark.parametrize("arguments", [("analyse", "somewhere"), ("no-such-command",), ("analyse", "--jobs")])
def test_a_wrong_call_fails_with_one(arguments, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["myoscreen", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
