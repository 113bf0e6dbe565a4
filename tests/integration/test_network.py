"""The shipped network, on the phantom and on the one real volunteer, whom it was trained on."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from service.core.compartment import Compartment, agreement, clean_compartment
from service.core.volume import Grid, Volume
from service.dicom.phantom import paraspinal_phantom
from service.dicom.synthesis import axial_grid
from service.errors import ModelMismatch, ProviderUnavailable
from service.inference.card import read_card, verify
from service.inference.segmenter import OnnxSegmenter, _require_probabilities
from service.pipeline.references import bundled_models_dir
from tests.make.data import data_dir
from tests.make.tum01 import LEFT, RIGHT, tum01_labels, tum01_volume

FOLDER = bundled_models_dir() / "paraspinal"
real_data = pytest.mark.skipif(data_dir() is None, reason="no real data (MYOSCREEN_TEST_DATA)")


@pytest.fixture(scope="module")
def segmenter():
    # The processor, so that what is installed beside it does not matter.
    return OnnxSegmenter(read_card(FOLDER), providers=("CPUExecutionProvider",))


@pytest.fixture(scope="module")
def phantom():
    made = paraspinal_phantom(slices=4)
    volume = Volume(values=made.image.astype(np.float32), grid=axial_grid(made.image.shape, made.spacing_mm))
    return volume, made.labels


def test_the_weights_are_the_ones_of_the_card_and_small(segmenter):
    verify(segmenter.card)
    assert segmenter.card.path.stat().st_size <= 16 * 2**20
    assert segmenter.provider == "CPUExecutionProvider"


def test_other_weights_than_the_card_describes_are_refused(tmp_path):
    (tmp_path / "card.toml").write_bytes((FOLDER / "card.toml").read_bytes())
    with pytest.raises(ModelMismatch) as error:
        verify(read_card(tmp_path))
    assert error.value.reason.code == "model_missing"
    (tmp_path / "model.onnx").write_bytes((FOLDER / "model.onnx").read_bytes()[:-1])
    with pytest.raises(ModelMismatch) as error:
        OnnxSegmenter(read_card(tmp_path))
    assert error.value.reason.code == "model_mismatch"


@pytest.mark.parametrize("text", ["", "name = 1", "not toml at all ["])
def test_a_broken_card_is_named(tmp_path, text):
    (tmp_path / "card.toml").write_text(text, "utf-8")
    with pytest.raises(ModelMismatch) as error:
        read_card(tmp_path)
    assert error.value.reason.code == "bad_card"


def test_a_missing_card_is_named(tmp_path):
    with pytest.raises(ModelMismatch, match=r"no card\.toml"):
        read_card(tmp_path)


@pytest.mark.parametrize(
    "demanded", [("CUDAExecutionProvider",), ("CUDAExecutionProvider", "CPUExecutionProvider")]
)
def test_a_gpu_that_was_demanded_and_is_not_used_is_an_error(demanded):
    with pytest.raises(ProviderUnavailable):
        OnnxSegmenter(read_card(FOLDER), providers=demanded)


def test_a_provider_that_the_card_does_not_admit_is_an_error():
    with pytest.raises(ProviderUnavailable, match="does not admit"):
        OnnxSegmenter(read_card(FOLDER), providers=("DnnlExecutionProvider",))


def test_what_the_network_calls_a_probability_is_taken_as_one(segmenter):
    """A softmax too many would still look like probabilities, and move the threshold unseen."""
    image = np.random.default_rng(1).random((64, 96), dtype=np.float32)
    session = onnxruntime.InferenceSession(segmenter.card.path, providers=["CPUExecutionProvider"])
    (raw,) = session.run(None, {session.get_inputs()[0].name: image[np.newaxis, np.newaxis]})
    assert np.allclose(segmenter._probabilities(image), raw[0])


def test_a_card_that_is_wrong_about_probabilities_is_found_out():
    with pytest.raises(ModelMismatch, match="add up to 1"):
        _require_probabilities(np.ones((3, 4, 4), np.float32))


def test_the_same_input_gives_the_same_bits(segmenter, phantom):
    volume, _ = phantom
    one, two = (segmenter.segment(volume).compartment for _ in range(2))
    assert np.array_equal(one, two)


def test_a_slice_is_labelled_the_same_whatever_comes_with_it(segmenter, phantom):
    volume, _ = phantom
    whole = segmenter.segment(volume).compartment
    grid = replace(volume.grid, origins_mm=volume.grid.origins_mm[[1, 3]])
    some = segmenter.segment(Volume(values=volume.values[[1, 3]], grid=grid)).compartment
    assert np.array_equal(some, whole[[1, 3]])


def test_left_is_left_in_patient_coordinates(segmenter, phantom):
    volume, truth = phantom
    compartment = segmenter.segment(volume).compartment
    centre = {
        side: volume.grid.to_patient(np.argwhere(compartment == side).astype(float)).mean(axis=0)
        for side in (Compartment.LEFT, Compartment.RIGHT)
    }
    assert centre[Compartment.LEFT][0] > 20 > -20 > centre[Compartment.RIGHT][0]
    assert agreement(compartment == Compartment.LEFT, np.isin(truth, (1, 3))) > 0.85
    assert agreement(compartment == Compartment.RIGHT, np.isin(truth, (2, 4))) > 0.85


@pytest.mark.parametrize("stored", ["columns reversed", "rows reversed", "transposed"])
def test_the_way_a_stack_is_stored_changes_nothing_in_the_patient(segmenter, phantom, stored):
    volume, _ = phantom
    expected = segmenter.segment(volume).compartment
    grid, values = volume.grid, volume.values
    last = np.array([0, grid.rows - 1, grid.columns - 1]) * np.array([0, *grid.pixel_spacing_mm])
    if stored == "columns reversed":
        shown, origin = values[:, :, ::-1], last[2] * grid.column_direction
        directions, back = (-grid.column_direction, grid.row_direction), (lambda a: a[:, :, ::-1])
    elif stored == "rows reversed":
        shown, origin = values[:, ::-1], last[1] * grid.row_direction
        directions, back = (grid.column_direction, -grid.row_direction), (lambda a: a[:, ::-1])
    else:
        shown, origin = values.transpose(0, 2, 1), 0.0
        directions, back = (grid.row_direction, grid.column_direction), (lambda a: a.transpose(0, 2, 1))
    other = Grid(
        origins_mm=grid.origins_mm + origin,
        column_direction=directions[0],
        row_direction=directions[1],
        pixel_spacing_mm=grid.pixel_spacing_mm,
        rows=shown.shape[1],
        columns=shown.shape[2],
    )
    found = segmenter.segment(Volume(values=np.ascontiguousarray(shown), grid=other)).compartment
    assert np.array_equal(back(found), expected)


@real_data
@pytest.mark.parametrize("contrast", ["t2_tse", "t1", "water", "in_phase"])
def test_each_side_of_the_volunteer_is_found(segmenter, contrast):
    """All slices of the first contrast, every third of the others: enough to see a fault.

    He is in the training data: this finds a broken chain and says nothing of the next person.
    """
    data, step = data_dir(), 1 if contrast == "t2_tse" else 3
    truth = tum01_labels(data)[::step]
    whole = tum01_volume(data, contrast)
    volume = Volume(
        values=whole.values[::step], grid=replace(whole.grid, origins_mm=whole.grid.origins_mm[::step])
    )
    found = clean_compartment(segmenter.segment(volume).compartment)
    dice_right = agreement(found == Compartment.RIGHT, np.isin(truth, RIGHT))
    dice_left = agreement(found == Compartment.LEFT, np.isin(truth, LEFT))
    assert min(dice_right, dice_left) >= 0.92
    assert not (np.isin(truth, LEFT) & (found == Compartment.RIGHT)).any()


def test_the_library_of_the_network_keeps_and_reports_nothing_about_its_use(tmp_path):
    program = (
        "import service.inference.providers as p; import onnxruntime; onnxruntime.get_available_providers()"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert list(tmp_path.rglob("*")) == []
