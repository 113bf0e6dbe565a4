"""What `model bench` says of a network that answers differently, worked out by hand."""

import os
from types import SimpleNamespace

import numpy as np
import pytest

from service.cli.modelbench import _line, _told
from service.core.volume import Volume
from service.dicom.synthesis import axial_grid
from service.errors import ProviderUnavailable
from service.inference.card import Admitted, read_card
from service.inference.providers import CPU, OPENVINO
from service.pipeline import modelbench
from service.pipeline.modelbench import Specimen, Trial, phantoms, stacks, try_all, try_pair
from service.pipeline.references import bundled_models_dir
from tests.make.series import mr_series

CARD = read_card(bundled_models_dir() / "paraspinal")
PAIR = Admitted(provider=OPENVINO, precision="bf16")


def specimen(contrast="other"):
    values = np.ones((2, 40, 50), np.float32)
    grid = axial_grid(values.shape, (4.0, 1.0, 1.0))
    return Specimen(name="box", contrast=contrast, volume=Volume(values=values, grid=grid))


@pytest.fixture
def answers(monkeypatch):
    """Two networks that draw a box of 2 x 10 x 20 voxels; the candidate leaves out some of its rows."""

    def put(missing):
        def load(card, *, threads):
            labels = np.zeros((2, 40, 50), np.uint8)
            labels[:, 10:20, 10:30] = 1
            if card.admitted == (PAIR,):
                labels[0, 20 - missing : 20] = 0
            return SimpleNamespace(segment=lambda _volume: SimpleNamespace(compartment=labels))

        monkeypatch.setattr(modelbench, "load_segmenter", load)

    return put


def test_the_share_of_the_compartment_that_changed_is_told(answers):
    answers(missing=1)
    trial = try_pair(CARD, PAIR, [specimen()], repeats=1, threads=1)
    assert trial.label_disagreement == 20 / 400
    assert trial.imat_difference_points is None
    assert not trial.equivalent


def test_the_imat_is_compared_where_the_contrast_tells_it(answers, monkeypatch):
    answers(missing=1)
    # Fat are the first column of the box (20 voxels) and the lowest row of its first slice (20, one of them
    # in that column): 39 of 400 voxels. Without that row it is 19 of 380.
    fat = np.zeros((2, 40, 50), bool)
    fat[:, :, 10] = True
    fat[0, 19] = True
    monkeypatch.setattr(modelbench, "fat_of_stack", lambda _volume, inside, *_rest: inside & fat)
    trial = try_pair(CARD, PAIR, [specimen("t2_tse")], repeats=1, threads=1)
    assert trial.imat_difference_points == pytest.approx(100 * (39 / 400 - 19 / 380))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_worst_specimen_counts(monkeypatch, order):
    specimens = [specimen(), specimen()]

    def load(card, *, threads):
        def segment(volume):
            labels = np.zeros((2, 40, 50), np.uint8)
            labels[:, 10:20, 10:30] = 1
            if card.admitted == (PAIR,) and volume is specimens[1].volume:
                labels[0, 19] = 0
            return SimpleNamespace(compartment=labels)

        return SimpleNamespace(segment=segment)

    monkeypatch.setattr(modelbench, "load_segmenter", load)
    trial = try_pair(CARD, PAIR, [specimens[place] for place in order], repeats=1, threads=1)
    assert trial.label_disagreement == 20 / 400


def test_what_cannot_be_opened_comes_with_its_reason(monkeypatch):
    def refuse(*_args, **_more):
        raise ProviderUnavailable("It is not there.")

    monkeypatch.setattr(modelbench, "load_segmenter", refuse)
    trial = try_pair(CARD, PAIR, [specimen()], repeats=1, threads=1)
    assert trial == Trial(provider=OPENVINO, precision="bf16", fault="It is not there.")
    assert _told(trial, CARD).endswith("It is not there.")
    assert not trial.equivalent


def test_a_pair_that_fails_while_it_runs_comes_with_its_reason(answers, monkeypatch):
    def load(card, *, threads):
        def segment(_volume):
            raise RuntimeError("out of memory")

        return SimpleNamespace(segment=segment)

    monkeypatch.setattr(modelbench, "load_segmenter", load)
    trial = try_pair(CARD, PAIR, [specimen()], repeats=1, threads=1)
    assert (trial.fault, trial.ms_per_slice, trial.equivalent) == ("RuntimeError while it ran.", None, False)


def die(*_args, **_more):
    """A provider that takes its process with it."""
    os._exit(11)


def test_a_pair_that_ends_its_process_comes_with_its_reason_and_the_others_are_tried(monkeypatch):
    monkeypatch.setattr(modelbench, "PREFERENCE", ((CPU, "fp32"), ("NoProvider", "fp32")))
    monkeypatch.setattr(modelbench, "try_pair", die)
    trials = list(try_all(CARD, [], repeats=1, threads=1))
    assert [trial.fault for trial in trials] == ["It ended its process.", "NoProvider is not installed."]


def test_stacks_that_no_network_could_measure_are_passed_over(tmp_path):
    mr_series(tmp_path / "axial")
    mr_series(tmp_path / "sagittal", series=2, orientation=(0, 1, 0, 0, 0, -1))
    found, passed_over = stacks(CARD, sorted(path for path in tmp_path.rglob("*") if path.is_file()))
    assert [one.volume.grid.shape[0] > 1 for one in found] == [True]
    assert passed_over == 1


@pytest.mark.parametrize(
    ("labels", "imat", "equivalent"),
    [(0.001, 0.2, True), (0.00101, 0.0, False), (0.0, 0.201, False), (0.0, None, False)],
)
def test_the_limits_are_those_of_the_card(labels, imat, equivalent):
    trial = Trial(provider=CPU, precision="fp32", label_disagreement=labels, imat_difference_points=imat)
    assert trial.equivalent is equivalent


def test_the_line_for_the_card_rounds_up():
    trial = Trial(
        provider=OPENVINO, precision="bf16", label_disagreement=0.000321, imat_difference_points=0.0101
    )
    assert _line(trial) == (
        '  { provider = "OpenVINOExecutionProvider", precision = "bf16", '
        "label_disagreement = 0.00033, imat_difference_points = 0.011 },"
    )


def test_the_phantom_is_tried_in_every_contrast_in_which_the_card_tells_fat():
    drawn = phantoms(CARD, 1)
    assert {one.contrast for one in drawn} == set(CARD.fat_methods)
    assert {one.volume.values.shape for one in drawn} == {(1, 320, 320)}
