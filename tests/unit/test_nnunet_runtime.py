"""Sliding windows and resampling, against the plain way of computing the same."""

import hashlib
from itertools import product

import numpy as np
import pytest
from scipy import ndimage

from service.core import resampling, windows
from service.core.compartment import Compartment
from service.core.resampling import ResamplingRule
from service.core.volume import Volume
from service.errors import ModelMismatch
from service.inference.card import hash_of_all, patches, read_card, verify, whole_slices
from service.inference.nnunet import to_toml
from service.inference.segmenter import OnnxSegmenter
from service.inference.sliding import SlidingSegmenter, load_segmenter
from service.pipeline.references import bundled_models_dir
from tests.make.facts import grid
from tests.make.networks import CHANNELS, card_of, network

CUBIC = ResamplingRule(order=3, order_z=0, separate="auto", threshold=3.0)
RNG = np.random.default_rng(1)


def volume(shape=(4, 6, 8), spacing=(2.0, 1.0, 1.0), seed=1):
    values = np.random.default_rng(seed).uniform(1.0, 9.0, shape).astype(np.float32)
    place = grid(
        offsets=tuple(spacing[0] * index for index in range(shape[0])),
        rows=shape[1],
        columns=shape[2],
        spacing=spacing[1:],
    )
    return Volume(values=values, grid=place)


# Resampling


def test_the_shape_after_resampling_covers_the_same_extent():
    assert resampling.resampled_shape((10, 100, 60), (6.0, 1.0, 0.5), (3.0, 2.0, 1.5)) == (20, 50, 20)
    assert resampling.resampled_shape((1, 1, 1), (1.0, 1.0, 1.0), (9.0, 9.0, 9.0)) == (1, 1, 1)


@pytest.mark.parametrize(
    ("source", "target", "separate", "axis"),
    [
        ((8.0, 1.0, 1.0), (1.0, 1.0, 1.0), "auto", 0),
        ((1.0, 1.0, 1.0), (1.0, 4.0, 1.0), "auto", 1),
        ((3.0, 1.0, 1.0), (3.0, 1.0, 1.0), "auto", None),
        ((8.0, 1.0, 1.0), (1.0, 1.0, 1.0), "never", None),
        ((2.0, 1.0, 1.0), (1.0, 1.0, 1.0), "always", 0),
        ((0.2, 1.2, 1.2), (1.0, 1.0, 1.0), "auto", None),
    ],
)
def test_the_long_axis_is_treated_apart_where_voxels_are_uneven(source, target, separate, axis):
    rule = ResamplingRule(order=3, order_z=0, separate=separate, threshold=3.0)
    assert resampling.separate_axis(source, target, rule) == axis


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_separate_axis_takes_whole_slices_and_splines_within_them(axis):
    values = RNG.normal(size=(5, 5, 5)).astype(np.float32)
    shape = [8, 8, 8]
    shape[axis] = 10
    found = resampling.resample_image(values, tuple(shape), axis, CUBIC)
    for index in range(10):
        plane = np.take(values, index // 2, axis=axis)
        expected = ndimage.zoom(plane, 8 / 5, order=3, mode="nearest", grid_mode=True)
        expected = np.clip(expected, plane.min(), plane.max())
        assert np.take(found, index, axis=axis) == pytest.approx(expected, abs=1e-5)


def test_without_a_separate_axis_all_three_are_splined_within_the_range():
    values = RNG.normal(size=(4, 5, 6)).astype(np.float32)
    found = resampling.resample_image(values, (8, 5, 9), None, CUBIC)
    expected = ndimage.zoom(values, (2, 1, 1.5), order=3, mode="nearest", grid_mode=True)
    assert found == pytest.approx(np.clip(expected, values.min(), values.max()), abs=1e-5)
    assert resampling.resample_image(values, (4, 5, 6), 0, CUBIC) is values
    # Only the separate axis changes: the planes themselves stay as they are.
    assert np.array_equal(resampling.resample_image(values, (8, 5, 6), 0, CUBIC)[::2], values)


@pytest.mark.parametrize(("length", "target"), [(5, 12), (12, 5), (4, 4), (1, 3)])
@pytest.mark.parametrize("order", [0, 1])
def test_taps_are_what_interpolation_of_scipy_does(length, target, order):
    values = RNG.normal(size=(length, 2)).astype(np.float32)
    found = resampling.interpolate(values, resampling.taps(length, target, order), 0)
    places = length / target * (np.arange(target) + 0.5) - 0.5
    for column in range(2):
        line = ndimage.map_coordinates(values[:, column], [places], order=order, mode="nearest")
        assert found[:, column] == pytest.approx(line, abs=1e-5)


# Windows


def test_windows_are_evenly_spread_and_reach_the_end():
    # nnU-Net's own example: 110 long, patches of 64, half overlap: 0, 23, 46.
    assert windows.window_starts(110, 64, 0.5) == [0, 23, 46]
    assert windows.window_starts(64, 64, 0.5) == [0]
    assert windows.window_starts(3, 1, 0.0) == [0, 1, 2]


def test_importance_is_ten_in_the_middle_and_nowhere_nothing():
    weights = windows.importance((8, 64, 64))
    assert weights[4, 32, 32] == 10.0
    assert weights.min() > 0.0
    sigma = 64 / 8
    assert weights[4, 32, 40] == pytest.approx(10.0 * np.exp(-0.5 * (8 / sigma) ** 2), rel=2e-3)


def test_every_combination_of_axes_is_mirrored_once():
    assert windows.mirrorings(()) == [()]
    assert windows.mirrorings((0, 2)) == [(), (0,), (2,), (0, 2)]


def test_padding_is_even_and_knows_where_the_image_lies():
    values = RNG.normal(size=(2, 5, 9)).astype(np.float32)
    padded, box = windows.pad_to_patch(values, (5, 4, 10))
    assert padded.shape == (5, 5, 10)
    assert np.array_equal(padded[box], values)
    assert box[0] == slice(1, 3)
    assert padded[0].max() == 0.0


def test_the_box_of_what_is_not_zero():
    values = np.zeros((4, 5, 6), np.float32)
    assert windows.nonzero_box(values) is None
    values[1:3, 2, 4] = -1.0
    assert windows.nonzero_box(values) == (slice(1, 3), slice(2, 3), slice(4, 5))


def test_normalisation_of_all_kinds():
    values = np.array([0.0, 0.0, 2.0, 4.0], np.float32).reshape(1, 1, 4)
    assert windows.normalise(values, "none", masked=False) is values
    assert windows.normalise(values, "rescale_0_1", masked=False).ravel().tolist() == [0.0, 0.0, 0.5, 1.0]
    whole = windows.normalise(values, "zscore", masked=False)
    assert whole.mean() == pytest.approx(0.0, abs=1e-6)
    assert whole.std() == pytest.approx(1.0, abs=1e-6)
    # Within the mask the mean is 3 and the spread 1; outside nothing changes.
    assert windows.normalise(values, "zscore", masked=True).ravel().tolist() == [0.0, 0.0, -1.0, 1.0]


def test_a_hole_inside_the_body_belongs_to_the_mask():
    values = np.full((3, 3, 3), 2.0, np.float32)
    values[1, 1, 1] = 0.0
    found = windows.normalise(values, "zscore", masked=True)
    assert found[1, 1, 1] == pytest.approx((0.0 - values.mean()) / values.std(), rel=1e-5)


# The whole way


def plainly(values, card, contract, spacing):
    """Every answer at full size, added up, and the largest taken: no streaming, no tricks."""
    gains, offsets = card.gains, card.offsets
    patch = (1, *contract.patch)[-3:]
    flat = len(contract.patch) == 2
    target = (spacing[0], *contract.spacing_mm) if flat else contract.spacing_mm
    shape = resampling.resampled_shape(values.shape, spacing, target)
    scaled = (values - values.mean()) / values.std()
    axis = resampling.separate_axis(spacing, target, contract.resampling)
    small = resampling.resample_image(scaled, shape, axis, contract.resampling)
    padded, box = windows.pad_to_patch(small, patch)
    weight = windows.importance(contract.patch).reshape(patch)
    sums, weights = np.zeros((len(gains), *padded.shape)), np.zeros(padded.shape)
    overlap = (0.0 if flat else contract.overlap, contract.overlap, contract.overlap)
    starts = [windows.window_starts(*sides) for sides in zip(padded.shape, patch, overlap, strict=True)]
    for corner in product(*starts):
        here = tuple(slice(start, start + side) for start, side in zip(corner, patch, strict=True))
        answers = []
        for axes in windows.mirrorings(contract.mirror_axes):
            mirrored = np.flip(padded[here].reshape(contract.patch), axes)
            for offset in offsets:
                answer = np.stack([gain * mirrored + o for gain, o in zip(gains, offset, strict=True)])
                answers.append(np.flip(answer, [axis + 1 for axis in axes]).reshape(-1, *patch))
        sums[(slice(None), *here)] += np.mean(answers, axis=0) * weight
        weights[here] += weight
    logits = (sums / weights)[(slice(None), *box)]
    axes = [n / m * (np.arange(m) + 0.5) - 0.5 for n, m in zip(shape, values.shape, strict=True)]
    apart = resampling.separate_axis(target, spacing, contract.answer_resampling)
    if apart is not None:
        axes[apart] = np.floor(np.clip(axes[apart], 0, shape[apart] - 1) + 0.5)
    places = np.meshgrid(*axes, indexing="ij")
    full = [ndimage.map_coordinates(one, places, order=1, mode="nearest") for one in logits]
    return np.argmax(full, axis=0)


@pytest.mark.parametrize("mirror_axes", [[], [0, 1]])
@pytest.mark.parametrize(
    ("patch", "spacing_mm", "shape", "spacing"),
    [
        ([4, 5], [1.5, 1.5], (3, 9, 11), (6.0, 1.0, 1.0)),
        ([4, 5], [1.0, 1.0], (3, 3, 3), (2.0, 1.0, 1.0)),
        ([4, 5, 6], [2.0, 1.0, 1.0], (9, 9, 10), (2.0, 1.0, 1.0)),
        ([4, 5, 6], [1.5, 1.0, 1.0], (7, 8, 9), (2.0, 1.3, 1.3)),
        ([3, 5, 6], [6.0, 1.0, 1.2], (7, 8, 9), (4.0, 1.3, 1.3)),
        ([3, 5, 6], [1.0, 1.0, 1.0], (2, 8, 9), (5.0, 1.0, 1.0)),
    ],
)
def test_slab_by_slab_is_what_the_plain_computation_gives(
    tmp_path, patch, spacing_mm, shape, spacing, mirror_axes
):
    made = network(tmp_path, patch=patch, spacing_mm=spacing_mm, folds=2, mirror_axes=mirror_axes)
    segmenter = SlidingSegmenter(made.card, threads=1)
    stack = volume(shape, spacing)
    found = segmenter.labels(stack)
    expected = plainly(stack.values, made, made.card.input, spacing)
    assert np.array_equal(found, expected)
    # A test that every voxel has the same label would pass whatever the windows do.
    assert len(np.unique(expected)) == len(CHANNELS)


@pytest.mark.parametrize("axes", [[0, 1, 2], [1, 0, 2], [2, 0, 1]])
def test_the_order_of_the_network_s_axes_is_undone(tmp_path, axes):
    made = network(tmp_path, patch=[4, 4, 4], spacing_mm=[1.0, 1.0, 1.0], axes=axes)
    stack = volume((5, 6, 7), (1.0, 1.0, 1.0))
    turned = plainly(stack.values.transpose(axes), made, made.card.input, (1.0, 1.0, 1.0))
    found = SlidingSegmenter(made.card, threads=1).labels(stack)
    assert np.array_equal(found, turned.transpose(np.argsort(axes)))


def test_what_is_empty_around_the_image_stays_background_and_out_of_the_normalisation(tmp_path):
    made = network(tmp_path, patch=[4, 4], spacing_mm=[1.0, 1.0])
    segmenter = SlidingSegmenter(made.card, threads=1)
    inner = volume((2, 6, 6), (1.0, 1.0, 1.0))
    values = np.zeros((2, 9, 10), np.float32)
    values[:, 2:8, 1:7] = inner.values
    outer = Volume(values=values, grid=grid(offsets=(0.0, 1.0), rows=9, columns=10, spacing=(1.0, 1.0)))
    found = segmenter.labels(outer)
    assert np.array_equal(found[:, 2:8, 1:7], segmenter.labels(inner))
    assert not found[:, :2].any()
    nothing = Volume(values=np.zeros_like(values), grid=outer.grid)
    assert not segmenter.labels(nothing).any()


@pytest.mark.parametrize("stored", list(product((1.0, -1.0), (1.0, -1.0), (False, True), (False, True))))
@pytest.mark.parametrize(("axis", "towards"), [(0, (0, 0, 1)), (1, (0, 1, 0)), (2, (1, 0, 0))])
def test_the_network_sees_head_back_and_left_where_its_card_says_however_the_stack_is_stored(
    tmp_path, stored, axis, towards
):
    """Its "left" is the second half of one axis of its patch; judged by patient coordinates."""
    x, y, transposed, head_first = stored
    offsets = np.zeros((3, 4, 4, 4), np.float32)
    half = np.moveaxis(offsets, axis + 1, 1)
    half[CHANNELS.index("compartment_left"), 2:] = 1.0
    half[CHANNELS.index("compartment_right"), :2] = 1.0
    made = card_of(tmp_path, [offsets], gains=[0.0] * 3, patch=[4, 4, 4], spacing_mm=[10.0, 10.0, 10.0])
    directions = [(x, 0.0, 0.0), (0.0, y, 0.0)]
    place = grid(
        offsets=(30.0, 20.0, 10.0, 0.0) if head_first else (0.0, 10.0, 20.0, 30.0),
        column_direction=directions[1 if transposed else 0],
        row_direction=directions[0 if transposed else 1],
    )
    found = load_segmenter(made.card).segment(Volume(values=np.ones((4, 4, 4), np.float32), grid=place))
    points = place.to_patient(np.argwhere(np.ones((4, 4, 4))).astype(float)) @ np.array(towards)
    middle = (points.min() + points.max()) / 2
    sides = found.compartment.ravel()
    assert (sides[points > middle] == Compartment.LEFT).all()
    assert (sides[points < middle] == Compartment.RIGHT).all()
    assert found.mirrored is None


# The card


def test_a_card_leads_to_its_own_kind_of_segmenter(tmp_path):
    card = network(tmp_path, patch=[4, 4], spacing_mm=[1.0, 1.0]).card
    assert isinstance(load_segmenter(card), SlidingSegmenter)
    assert patches(card).layout == "2d"
    with pytest.raises(ModelMismatch, match="not whole slices"):
        whole_slices(card)
    with pytest.raises(ModelMismatch, match="not whole slices"):
        OnnxSegmenter(card)


def test_the_shipped_network_takes_whole_slices():
    with pytest.raises(ModelMismatch, match="not patches"):
        patches(read_card(bundled_models_dir() / "paraspinal"))


def test_each_of_several_files_is_verified(tmp_path):
    card = network(tmp_path, patch=[4, 4], spacing_mm=[1.0, 1.0], folds=2).card
    verify(card)
    lines = "".join(f"{one.sha256}  {one.path.name}\n" for one in card.weights)
    assert card.sha256 == hash_of_all(card.weights) == hashlib.sha256(lines.encode()).hexdigest()
    second = card.weights[1].path
    second.write_bytes(second.read_bytes() + b"\0")
    with pytest.raises(ModelMismatch, match=r"fold_1\.onnx"):
        verify(card)
    second.unlink()
    with pytest.raises(ModelMismatch) as error:
        SlidingSegmenter(card)
    assert error.value.reason.code == "model_missing"


@pytest.mark.parametrize(
    ("table", "changes", "says"),
    [
        ("input", {"patch": [4]}, "needs 2 numbers"),
        ("input", {"patch": [0, 4]}, "must be positive"),
        ("input", {"overlap": 1.0}, "overlap"),
        ("input", {"mirror_axes": [2]}, "mirror_axes"),
        ("input", {"axes": [0, 0, 1]}, "axes must be"),
        ("input", {"first_slice": "left"}, "first_slice"),
        ("input", {"orientation": ["front", "right"]}, "orientation"),
        ("input", {"layout": "4d"}, "layout"),
        ("input", {"normalisation": {"kind": "ct", "masked": False}}, "normalisation.kind"),
        ("output", {"channels": ["background", "other", "compartment_left"]}, "channels must be"),
        ("output", {"activation": "softmax"}, "argmax"),
        ("output", {"channels": ["background", "compartment_left", "compartment_right"] * 90}, "256 labels"),
    ],
)
def test_a_card_that_contradicts_itself_is_named(tmp_path, table, changes, says):
    made = network(tmp_path, patch=[4, 4], spacing_mm=[1.0, 1.0])
    content = made.content | {table: made.content[table] | changes}
    (tmp_path / "card.toml").write_text(to_toml(content), "utf-8")
    with pytest.raises(ModelMismatch, match=says) as error:
        read_card(tmp_path)
    assert error.value.reason.code == "bad_card"


@pytest.mark.parametrize(
    "resampling_changes", [{"order": 2}, {"order": 7}, {"order_z": 3}, {"separate": "z"}]
)
def test_a_card_with_unknown_resampling_is_named(tmp_path, resampling_changes):
    made = network(tmp_path, patch=[4, 4], spacing_mm=[1.0, 1.0])
    made.content["input"]["resampling"]["answer"] |= resampling_changes
    (tmp_path / "card.toml").write_text(to_toml(made.content), "utf-8")
    with pytest.raises(ModelMismatch, match="resampling"):
        read_card(tmp_path)


def test_the_hash_of_the_list_must_be_that_of_the_card(tmp_path):
    made = network(tmp_path, patch=[4, 4], spacing_mm=[1.0, 1.0])
    (tmp_path / "card.toml").write_text(to_toml(made.content | {"sha256": "0" * 64}), "utf-8")
    with pytest.raises(ModelMismatch, match="list of weights"):
        read_card(tmp_path)


def test_a_network_of_another_shape_than_its_card_is_refused(tmp_path):
    made = network(tmp_path, patch=[4, 4], spacing_mm=[1.0, 1.0])
    channels = ["background", "other", "compartment_left", "compartment_right"]
    content = made.content | {"output": made.content["output"] | {"channels": channels}}
    (tmp_path / "card.toml").write_text(to_toml(content), "utf-8")
    with pytest.raises(ModelMismatch, match="another shape"):
        SlidingSegmenter(read_card(tmp_path)).segment(volume())
