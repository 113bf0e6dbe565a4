"""What happens to slices on their way through a network, with one whose answer can be worked out."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from service.core.compartment import Compartment
from service.core.volume import Volume
from service.dicom.synthesis import axial_grid
from service.errors import ModelMismatch
from service.inference import segmenter as room
from service.inference.card import read_card
from service.inference.providers import CPU, Opened
from service.inference.segmenter import OnnxSegmenter
from service.pipeline.references import bundled_models_dir

CARD = read_card(bundled_models_dir() / "paraspinal")
BRIGHT = (slice(30, 70), slice(20, 100))


class Session:
    """Takes everything brighter than half for compartment; the left half of an image is the right side."""

    def __init__(self):
        self.shapes = []

    def get_inputs(self):
        return [SimpleNamespace(name="image")]

    def run(self, _names, feed):
        (image,) = feed.values()
        self.shapes.append(image.shape)
        inside = (image[:, 0] > 0.5).astype(np.float32)
        first_half = np.arange(image.shape[-1]) < 60
        return [np.stack([1 - inside, inside * first_half, inside * ~first_half], axis=1)]


@pytest.fixture
def opened(monkeypatch):
    def open_with(session, lanes=3, card=CARD):
        monkeypatch.setattr(room, "open_session", lambda *_a, **_k: Opened(session, CPU, "fp32", lanes))
        return OnnxSegmenter(card)

    return open_with


def stack(count, rows=96, columns=120, spacing=1.25):
    """Slices with a bright box, each with its own noise and brightness."""
    rng = np.random.default_rng(1)
    values = rng.random((count, rows, columns), dtype=np.float32) * 0.1
    values[:, *BRIGHT] += 1
    values *= np.linspace(1, 50, count, dtype=np.float32)[:, None, None]
    return Volume(values=values, grid=axial_grid(values.shape, (4.0, spacing, spacing)))


def part(volume, indices):
    grid = replace(volume.grid, origins_mm=volume.grid.origins_mm[indices])
    return Volume(values=volume.values[indices], grid=grid)


def test_a_slice_is_labelled_the_same_whatever_comes_with_it(opened):
    whole = opened(Session()).segment(stack(7))
    for indices in ([3], [0, 3, 6], list(range(7))):
        for lanes in (1, 4):
            some = opened(Session(), lanes).segment(part(stack(7), indices))
            assert np.array_equal(some.compartment, whole.compartment[indices])
            assert np.array_equal(some.mirrored, whole.mirrored[indices])


def test_the_box_is_found_on_both_sides_whichever_way_it_is_shown(opened):
    found = opened(Session()).segment(stack(2))
    expected = np.zeros((2, 96, 120), np.uint8)
    expected[:, *BRIGHT] = Compartment.RIGHT
    expected[:, 30:70, 60:100] = Compartment.LEFT
    assert np.array_equal(found.compartment, expected)
    assert np.array_equal(found.plain, expected)
    assert np.array_equal(found.mirrored, expected)


def test_the_whole_slice_is_shown_and_no_more_than_the_card_wants(opened):
    """The air around a body is not cut off: it changed what the network answers."""
    session = Session()
    opened(session).segment(stack(2))
    assert session.shapes == [(1, 1, 96, 128)] * 4
    session = Session()
    plain = opened(session, card=replace(CARD, input=replace(CARD.input, tta="none"))).segment(stack(2))
    assert len(session.shapes) == 2
    assert plain.mirrored is None
    assert np.array_equal(plain.plain, plain.compartment)


def test_a_scale_of_the_whole_stack_is_used_if_the_card_says_so(opened):
    # The 99th percentile lies in the brightest slice, in whose terms the first of seven is all dark.
    card = replace(
        CARD, input=replace(CARD.input, normalisation=replace(CARD.input.normalisation, scope="stack"))
    )
    found = opened(Session(), card=card).segment(stack(7)).compartment
    assert not found[0].any()
    assert found[6].any()


@pytest.mark.parametrize("wrong", [np.ones((1, 3, 96, 128)), np.full((1, 3, 96, 128), np.nan)])
def test_what_is_no_probability_is_refused(opened, wrong):
    session = Session()
    session.run = lambda *_: [wrong.astype(np.float32)]
    with pytest.raises(ModelMismatch, match="add up to 1"):
        opened(session).segment(stack(2))


def test_another_number_of_channels_is_refused(opened):
    session = Session()
    session.run = lambda *_: [np.ones((1, 2, 96, 128), np.float32)]
    with pytest.raises(ModelMismatch, match="number of channels"):
        opened(session).segment(stack(2))
