"""Synthetic series look like scanner series, and say that they are not."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from service.core.volume import Volume
from service.dicom.phantom import PhantomLabel, paraspinal_phantom
from service.dicom.series import read_volume, scan
from service.dicom.synthesis import (
    SEQUENCES,
    SyntheticPatient,
    SyntheticSeries,
    axial_grid,
    write_mr_series,
    write_phantom,
)

SMALL = {"slices": 4, "rows": 64, "columns": 64, "spacing_mm": (5.0, 5.0), "slice_step_mm": 6.0}


@pytest.mark.parametrize("contrast", sorted(SEQUENCES))
def test_the_phantom_is_read_back_as_what_it_was_written_as(tmp_path: Path, contrast: str) -> None:
    result = scan(write_phantom(tmp_path, contrast=contrast, **SMALL))
    (stack,) = result.stacks
    facts = stack.facts
    assert result.unreadable == ()
    assert (facts.contrast, facts.plane, facts.region, facts.slices) == (contrast, "axial", "lumbar", 4)
    assert facts.phantom
    assert (facts.derived, facts.localizer, facts.lossy) == (False, False, False)
    assert facts.spacing_mm == (6.0, 5.0, 5.0)
    assert (facts.person.age_years, facts.person.sex, facts.person.height_m) == (45.0, "M", 1.78)


def test_the_phantom_keeps_its_values_and_sides(tmp_path: Path) -> None:
    phantom = paraspinal_phantom(**SMALL)
    (stack,) = scan(write_phantom(tmp_path, **SMALL)).stacks
    assert np.array_equal(read_volume(stack).values, phantom.image)
    left = np.argwhere(phantom.labels == PhantomLabel.LEAN_LEFT).astype(float)
    right = np.argwhere(phantom.labels == PhantomLabel.LEAN_RIGHT).astype(float)
    assert stack.grid.to_patient(left).mean(axis=0)[0] > 0 > stack.grid.to_patient(right).mean(axis=0)[0]


def test_the_phantom_says_that_no_scanner_made_it(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(write_phantom(tmp_path, **SMALL)[0])
    assert "not scanner output" in dataset.DerivationDescription
    assert "not scanner output" in dataset.ImageComments
    assert dataset.ImageType[0] == "DERIVED"
    assert not dataset.SeriesDescription.startswith("MYOSCREEN")


def test_the_same_phantom_has_the_same_bytes(tmp_path: Path) -> None:
    first = [p.read_bytes() for p in write_phantom(tmp_path / "a", **SMALL)]
    second = [p.read_bytes() for p in write_phantom(tmp_path / "b", **SMALL)]
    assert first == second


def test_contrasts_of_one_phantom_share_study_and_place(tmp_path: Path) -> None:
    paths = write_phantom(tmp_path / "w", contrast="water", **SMALL)
    paths += write_phantom(tmp_path / "f", contrast="fat", **SMALL)
    water, fat = scan(paths).stacks
    assert water.facts.study_uid == fat.facts.study_uid
    assert water.facts.frame_of_reference_uid == fat.facts.frame_of_reference_uid
    assert water.facts.series_uid != fat.facts.series_uid


def test_an_unknown_person_stays_unknown(tmp_path: Path) -> None:
    grid = axial_grid((2, 4, 5), (4.0, 1.5, 2.0))
    volume = Volume(values=np.zeros(grid.shape, np.float32), grid=grid)
    series = SyntheticSeries(
        key="k",
        study_key="s",
        description="d",
        study_description="s",
        origin="converted",
        manufacturer="m",
        model_name="m",
    )
    patient = SyntheticPatient(name="A^B", patient_id="1")
    (stack,) = scan(write_mr_series(volume, tmp_path, contrast="t1", patient=patient, series=series)).stacks
    person = stack.facts.person
    assert (person.age_years, person.sex, person.height_m) == (None, None, None)
    assert not stack.facts.phantom
    assert np.allclose(stack.grid.origins_mm, grid.origins_mm)
