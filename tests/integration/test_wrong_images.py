"""The shipped network knows when it is wrong: the drawn phantom, made worse or turned."""

import numpy as np
import pytest

from service.core.compartment import clean_compartment
from service.core.predictor import gather
from service.core.quality import check_compartment
from service.core.volume import Volume
from service.dicom.phantom import paraspinal_phantom
from service.dicom.synthesis import axial_grid
from service.inference.card import read_card
from service.inference.segmenter import OnnxSegmenter
from service.pipeline.references import bundled_models_dir

NEW = ("looks_like_axial_spine", "predicted_dice")


@pytest.fixture(scope="module")
def segmenter():
    return OnnxSegmenter(read_card(bundled_models_dir() / "paraspinal"), providers=("CPUExecutionProvider",))


@pytest.fixture(scope="module")
def image():
    return paraspinal_phantom(slices=2).image.astype(np.float32)


def checked(segmenter, image):
    """The new checks on a stack that claims to be axial."""
    grid = axial_grid(image.shape, (4.0, 1.0, 1.0))
    answer = segmenter.segment(Volume(values=np.ascontiguousarray(image), grid=grid))
    drawn = clean_compartment(answer.compartment)
    predictor = segmenter.card.predictor
    assert predictor is not None, "python -m models.training.quality --card was not run for this network"
    outlook = predictor.outlook(gather(answer.certainty, answer.compartment, drawn, grid, predictor.shape))
    found = check_compartment(drawn, grid, answer.plain, answer.mirrored, outlook)
    return {check.check: check for check in found if check.check in NEW}


def noisy(image, level):
    parts = np.random.default_rng(1).normal(scale=level * np.percentile(image, 98), size=(2, *image.shape))
    return np.hypot(image + parts[0], parts[1]).astype(np.float32)


@pytest.mark.parametrize("contrast", ["t2_tse", "t2_haste", "t1", "in_phase", "water"])
def test_the_phantom_is_what_the_network_knows(segmenter, contrast):
    image = paraspinal_phantom(contrast=contrast, slices=2).image.astype(np.float32)
    assert [check.check for check in checked(segmenter, image).values() if not check.passed] == []


def test_the_predicted_dice_falls_as_noise_grows(segmenter, image):
    dice = [
        checked(segmenter, noisy(image, level))["predicted_dice"].predicted_dice for level in (0, 0.2, 0.6)
    ]
    assert dice[0] > dice[1] > dice[2]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda image: np.rot90(image, axes=(1, 2)),
        lambda image: image[:, ::-1],
        lambda image: noisy(np.zeros_like(image) + 1.0, 1.0),
        lambda image: noisy(image, 1.0),
        np.zeros_like,
    ],
    ids=["turned by 90 degrees", "back to front", "noise alone", "drowned in noise", "black"],
)
def test_what_is_no_axial_spine_is_withheld(segmenter, image, spoil):
    assert [check.check for check in checked(segmenter, spoil(image)).values() if not check.passed] != []
