"""`myoscreen analyse` over NIfTI files: the same numbers as through DICOM, and files instead of objects."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from service.cli import build_app
from service.core.volume import Volume
from service.dicom.series import read_volume, scan
from service.dicom.synthesis import write_phantom
from service.errors import ConfigurationError
from tests.make import nifti_file
from tests.make.data import data_dir
from tests.make.nifti import read_nifti
from tests.make.tum01 import LEFT, tum01_labels, tum01_volume, write_tum01

#: A block, which has areas and shares; and as few slices as are measured for volumes.
FEW, SLICES = 4, 9
T2 = {"ScanningSequence": "SE", "EchoTime": 0.1, "RepetitionTime": 3.5, "BodyPartExamined": "LSPINE"}
PLAIN = {"mask.nii.gz", "capture.png", "report.pdf"}
real_data = pytest.mark.skipif(data_dir() is None, reason="no real data (MYOSCREEN_TEST_DATA)")


def analyse(*arguments):
    done = CliRunner().invoke(build_app("analyse"), ["analyse", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def finding(folder):
    return json.loads((folder / "finding.json").read_text("utf-8"))


def numbers(found):
    """All measures of a finding, flat."""
    return [
        value
        for side in ("left", "right", "total")
        for name, value in found["measures"][side].items()
        if value is not None
    ] + [point["left_fat_cm2"] for point in found["measures"]["profile"]]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """One phantom as DICOM, and its very pixels as NIfTI in two orders of the axes, analysed once each."""
    folder = tmp_path_factory.mktemp("nifti")
    write_phantom(folder / "dicom", slices=FEW)
    (stack,) = scan(sorted((folder / "dicom").iterdir())).stacks
    volume = read_volume(stack)
    people = folder / "people.csv"
    people.write_text("file,age_years,sex,height_m\nplain.nii.gz,61,F,1.68\n", "utf-8")
    nifti_file.write_volume(folder / "in" / "plain.nii.gz", volume, sidecar=T2)
    nifti_file.write_volume(
        folder / "in" / "turned.nii", volume, axes=(2, 0, 1), flips=(True, False, True), sidecar=T2
    )
    assert analyse(folder / "dicom", "--out", folder / "by_dicom").exit_code == 0
    done = analyse(
        folder / "in", "--out", folder / "out", "--people", people, "--table", folder / "table.csv"
    )
    return folder, done


def test_nifti_gives_the_numbers_that_dicom_gives_whatever_the_order_of_the_axes(both):
    folder, done = both
    assert done.exit_code == 0, done.output
    by_dicom = numbers(finding(folder / "by_dicom"))
    assert len(by_dicom) > 12
    for name in ("input-001", "input-002"):
        assert numbers(finding(folder / "out" / name)) == pytest.approx(by_dicom, rel=1e-5, abs=1e-6)


def test_there_are_files_in_place_of_objects_and_it_is_said(both):
    folder, done = both
    assert "no DICOM objects" in done.output
    found = finding(folder / "out" / "input-001")
    assert {output["path"] for output in found["outputs"]} == PLAIN
    assert {output["sop_instance_uid"] for output in found["outputs"]} == {None}
    assert not list((folder / "out").rglob("*.dcm"))
    assert (found["series"]["study_uid"], found["series"]["series_uid"]) == (None, None)
    (source,) = found["series"]["inputs"]
    assert (source["file"], source["series_uid"], len(source["sha256"])) == ("plain.nii.gz", None, 64)
    assert next(check for check in found["quality"] if check["check"] == "nifti")["passed"]


def test_the_mask_has_the_areas_of_the_finding_on_the_sides_of_the_finding(both):
    folder, _ = both
    for number, name in enumerate(("plain.nii.gz", "turned.nii"), start=1):
        out = folder / "out" / f"input-00{number}"
        labels, affine = read_nifti(out / "mask.nii.gz")
        image, same = read_nifti(folder / "in" / name)
        assert labels.shape == image.shape
        assert np.array_equal(affine, same)
        voxel_ml = abs(np.linalg.det(affine[:3, :3])) / 1000.0
        found = finding(out)
        lean, fat = (
            sum(point[f"left_{what}_cm2"] for point in found["measures"]["profile"])
            for what in ("lean", "fat")
        )
        step_cm = found["series"]["spacing_mm"][0] / 10.0
        assert (labels == 1).sum() * voxel_ml == pytest.approx(lean * step_cm, rel=1e-4)
        assert (labels == 3).sum() * voxel_ml == pytest.approx(fat * step_cm, rel=1e-4)
        centre = affine @ [*np.argwhere(labels == 1).mean(axis=0), 1.0]
        assert centre[0] > 0, "the patient's left is where x is positive in DICOM"


def test_people_come_from_the_table_and_the_others_have_no_score(both):
    folder, _ = both
    known, unknown = finding(folder / "out" / "input-001"), finding(folder / "out" / "input-002")
    assert (known["person"]["age_years"], known["person"]["age_source"]) == (61.0, "people.csv")
    assert known["person"]["height_m"] == 1.68
    assert unknown["person"]["sex"] is None
    assert {score["state"] for score in unknown["scores"]} <= {"no_norm", "missing_demographics"}
    rows = list(csv.DictReader((folder / "table.csv").read_text("utf-8").splitlines()))
    assert [(row["status"], row["sex"], row["contrast"]) for row in rows] == [
        ("measured", "F", "t2_tse"),
        ("measured", "", "t2_tse"),
    ]


def test_resume_leaves_what_is_there_and_makes_anew_what_changed(both):
    folder, _ = both
    kept, gone = (folder / "out" / f"input-00{number}" / "mask.nii.gz" for number in (1, 2))
    before = kept.stat().st_mtime_ns, kept.read_bytes()
    whole = gone.read_bytes()
    gone.unlink()
    people = folder / "people.csv"
    assert analyse(folder / "in", "--out", folder / "out", "--resume", "--people", people).exit_code == 0
    assert (kept.stat().st_mtime_ns, kept.read_bytes()) == before
    assert gone.read_bytes() == whole


def test_a_file_that_names_no_contrast_is_not_measured_and_told_how(tmp_path):
    affine = np.diag([-1.0, -1.0, 4.0, 1.0])
    nifti_file.write(tmp_path / "in" / "scan.nii", np.zeros((160, 120, SLICES)), affine)
    done = analyse(tmp_path / "in", "--out", tmp_path / "out")
    assert done.exit_code == 3
    assert "[unsupported_contrast]" in done.output
    assert "--contrast" in done.output
    with pytest.raises(ConfigurationError, match="'t3' is no contrast"):
        analyse(tmp_path / "in", "--out", tmp_path / "out", "--contrast", "t3")


def test_a_broken_file_costs_the_others_nothing(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "broken.nii.gz").write_bytes(b"\x1f\x8b" + b"x" * 99)
    done = analyse(tmp_path / "in", "--out", tmp_path / "out")
    assert done.exit_code == 3
    (outcome,) = json.loads((tmp_path / "out" / "outcomes.json").read_text("utf-8"))
    assert (outcome["file"], outcome["reasons"][0]["code"]) == ("broken.nii.gz", "bad_header")


@real_data
def test_the_volunteer_has_the_same_volumes_and_sides_as_through_the_conversion_to_dicom(tmp_path):
    data = data_dir()
    some = slice(10, 10 + SLICES)
    paths = write_tum01(data, tmp_path / "dicom")
    for path in set(paths) - set(paths[some]):
        path.unlink()
    whole = tum01_volume(data, "t2_tse")
    grid = replace(whole.grid, origins_mm=whole.grid.origins_mm[some])
    volume = Volume(values=whole.values[some], grid=grid)
    nifti_file.write_volume(tmp_path / "in" / "t2.nii.gz", volume, flips=(True, True, False), kind="f8")
    assert analyse(tmp_path / "dicom", "--out", tmp_path / "a").exit_code == 0
    assert analyse(tmp_path / "in", "--out", tmp_path / "b", "--contrast", "t2_tse").exit_code == 0
    by_dicom, by_nifti = finding(tmp_path / "a")["measures"], finding(tmp_path / "b")["measures"]
    for side in ("left", "right"):
        assert by_nifti[side]["compartment_ml"] == pytest.approx(by_dicom[side]["compartment_ml"], rel=1e-3)
        # DICOM rounds the pixels to whole numbers, so single voxels fall on the other side of the threshold.
        assert by_nifti[side]["imat_ml"] == pytest.approx(by_dicom[side]["imat_ml"], abs=0.2)
    mask, _ = read_nifti(tmp_path / "b" / "mask.nii.gz")
    ours = np.isin(np.flip(mask, (0, 1)).transpose(2, 1, 0), (1, 3))
    expert = np.isin(tum01_labels(data)[some], LEFT)
    assert 2 * (ours & expert).sum() / (ours.sum() + expert.sum()) > 0.8
