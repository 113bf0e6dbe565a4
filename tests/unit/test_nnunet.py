"""Importing nnU-Net networks: what plans and labels become, and what is refused. Torch is not needed here.

What needs torch and nnU-Net itself is measured by ``python -m models.training.nnunet_parity``.
"""

import json
import sys
import tomllib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from service.cli import build_app
from service.core.compartment import Compartment
from service.core.volume import Volume
from service.errors import ConfigurationError, InvalidRequest, ModelMismatch
from service.inference import nnunet, nnunet_plans
from service.inference.card import read_card, verify
from service.inference.nnunet import ImportOrder, import_nnunet, to_toml
from service.inference.sliding import SlidingSegmenter
from tests.make.facts import grid
from tests.make.networks import template
from tests.make.onnx_file import write_affine_network

LABELS = {"background": 0, "spleen": 1, "autochthon_left": 2, "autochthon_right": 3, "psoas_left": 4}
RULE = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
PLAN = {
    "patch_size": [4, 4, 4],
    "spacing": [3.0, 1.0, 1.0],
    "normalization_schemes": ["ZScoreNormalization"],
    "use_mask_for_norm": [False],
    "resampling_fn_data": "resample_data_or_seg_to_shape",
    "resampling_fn_data_kwargs": RULE,
    "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
    "resampling_fn_probabilities_kwargs": RULE | {"order": 1},
    "architecture": {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {"n_stages": 2},
        "_kw_requires_import": ["conv_op"],
    },
}
PLANS = {
    "dataset_name": "Dataset001_Body",
    "plans_name": "nnUNetPlans",
    "image_reader_writer": "SimpleITKIO",
    "transpose_forward": [0, 1, 2],
    "configurations": {"3d_fullres": PLAN, "2d": PLAN | {"patch_size": [4, 4], "spacing": [1.0, 1.0]}},
}
DATASET = {"channel_names": {"0": "MRI"}, "labels": LABELS, "licence": "CC BY 4.0"}


@pytest.fixture
def results(tmp_path):
    """A results folder with two folds, whose checkpoints hold nothing."""
    folder = tmp_path / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    for fold in (0, 1):
        (folder / f"fold_{fold}").mkdir(parents=True)
        (folder / f"fold_{fold}" / "checkpoint_final.pth").write_bytes(b"")
    (folder / "plans.json").write_text(json.dumps(PLANS), "utf-8")
    (folder / "dataset.json").write_text(json.dumps(DATASET), "utf-8")
    return folder


@pytest.fixture
def weights_room(monkeypatch):
    """In the place of torch: checkpoints that know their configuration, networks that prefer one label."""

    def convert(architecture, _loaded, target):
        offset = np.zeros((architecture.outputs, *architecture.patch), np.float32)
        offset[2] = 1.0
        write_affine_network(target, [0.0] * architecture.outputs, offset)
        return SimpleNamespace(path=target, max_logit_difference=1e-6, argmax_disagreements=0)

    room = SimpleNamespace(
        load=lambda path: SimpleNamespace(path=path),
        names_of=lambda _loaded: ("3d_fullres", "nnUNetTrainer", (0, 1)),
        convert=convert,
    )
    monkeypatch.setattr(nnunet, "_weights_room", lambda: room)
    return room


def order(folder, **changes):
    usual = ImportOrder(folder=folder, name="body", left=("2",), right=("autochthon_right",))
    return replace(usual, **changes)


def test_an_imported_network_is_read_verified_and_run_like_any_other(results, tmp_path, weights_room):
    folder = import_nnunet(order(results), tmp_path / "models", template())
    card = read_card(folder)
    verify(card)
    assert [one.path.name for one in card.weights] == ["fold_0.onnx", "fold_1.onnx"]
    assert card.output.channels == ("background", "other", "compartment_left", "compartment_right", "other")
    assert card.definition_id == "nnunet-body"
    assert "labels 2 on the left" in card.boundary_rule
    assert card.fat_methods == template()["definition"]["fat_method"]
    assert card.licence == "CC BY 4.0"
    stack = Volume(values=np.ones((2, 4, 4), np.float32), grid=grid())
    assert (SlidingSegmenter(card).segment(stack).compartment == Compartment.LEFT).all()
    assert not list((tmp_path / "models").glob(".*"))


def test_folds_checkpoints_mirroring_and_licence_are_as_asked(results, tmp_path, weights_room):
    (results / "fold_1" / "checkpoint_best.pth").write_bytes(b"")
    wanted = order(results, folds=("1",), checkpoint="best", mirroring=True, licence="mine", version="7")
    folder = import_nnunet(wanted, tmp_path, template())
    card = read_card(folder)
    assert [one.path.name for one in card.weights] == ["fold_1.onnx"]
    assert (card.input.mirror_axes, card.licence, card.version) == ((0, 1), "mine", "7")
    assert "fold_1/checkpoint_best.pth" in (folder / "card.toml").read_text("utf-8")


def test_the_final_checkpoint_is_taken_before_the_best_and_numbered_folds_before_all(results):
    for name in ("fold_all/checkpoint_final.pth", "fold_0/checkpoint_best.pth"):
        (results / name).parent.mkdir(exist_ok=True)
        (results / name).write_bytes(b"")
    found = nnunet.find_checkpoints(order(results))
    assert [str(path.relative_to(results)) for path in found] == [
        "fold_0/checkpoint_final.pth",
        "fold_1/checkpoint_final.pth",
    ]
    (results / "fold_0" / "checkpoint_final.pth").unlink()
    (results / "fold_1" / "checkpoint_final.pth").unlink()
    assert nnunet.find_checkpoints(order(results)) == [results / "fold_all" / "checkpoint_final.pth"]
    (results / "fold_all" / "checkpoint_final.pth").unlink()
    assert nnunet.find_checkpoints(order(results)) == [results / "fold_0" / "checkpoint_best.pth"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "../body"}, "no name of a folder"),
        ({"name": ".hidden"}, "no name of a folder"),
        ({"left": ()}, "No label is named for compartment_left. The network has 0 background"),
        ({"left": ("9",)}, "no label '9'; it has 0 background, 1 spleen"),
        ({"left": ("liver",)}, "no label 'liver'"),
        ({"left": ("0",)}, "it is background already"),
        ({"left": ("2", "3")}, "it is compartment_left already"),
        ({"folds": ("7",)}, "no checkpoint_final or checkpoint_best.pth in fold_7"),
        ({"checkpoint": "best"}, "no checkpoint_best.pth in any fold"),
        ({"orientation": "LRS"}, "'LRS' is no orientation"),
        ({"orientation": "XYZ"}, "'XYZ' is no orientation"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_nothing_behind(
    results, tmp_path, weights_room, changes, says
):
    models = tmp_path / "models"
    with pytest.raises(InvalidRequest) as error:
        import_nnunet(order(results, **changes), models, template())
    assert says in error.value.reason.text
    assert error.value.reason.code == "not_importable"
    assert not models.exists() or not list(models.iterdir())


def test_an_existing_network_is_never_replaced(results, tmp_path, weights_room):
    (tmp_path / "body").mkdir()
    with pytest.raises(InvalidRequest, match="already"):
        import_nnunet(order(results), tmp_path, template())


@pytest.mark.parametrize("name", ["plans.json", "dataset.json"])
@pytest.mark.parametrize("content", [None, "not json", "[]", "{}"])
def test_a_folder_that_is_not_nnunet_s_is_named(results, tmp_path, weights_room, name, content):
    (results / name).unlink()
    if content is not None:
        (results / name).write_text(content, "utf-8")
    with pytest.raises(InvalidRequest, match=r"plans\.json|dataset\.json"):
        import_nnunet(order(results), tmp_path / "models", template())


def test_without_torch_the_extra_is_named(results, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "service.inference.nnunet_weights", raising=False)
    with pytest.raises(ConfigurationError, match="extra 'nnunet'"):
        import_nnunet(order(results), tmp_path / "models", template())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labels": {"background": 0, "muscles": [1, 2]}}, "overlapping regions"),
        ({"labels": {"background": 0, "left": 2}}, "not the numbers"),
        ({"channel_names": {"0": "T1", "1": "T2"}}, "several images"),
    ],
)
def test_label_maps_that_are_not_supported_are_refused(changes, says):
    with pytest.raises(InvalidRequest, match=says):
        nnunet_plans.label_channels(DATASET | changes, left=("2",), right=("1",))


def test_several_labels_may_make_up_a_side_and_ignore_is_no_label():
    dataset = DATASET | {"labels": LABELS | {"ignore": 5}}
    found = nnunet_plans.label_channels(dataset, left=("2", "psoas_left"), right=("3",))
    assert found == ["background", "other", "compartment_left", "compartment_right", "compartment_left"]


def test_a_configuration_has_what_it_inherits():
    plans = {"configurations": {"a": {"x": 1, "y": 1}, "b": {"inherits_from": "a", "y": 2}}}
    found = nnunet_plans.configuration(plans, "b")
    assert (found["x"], found["y"]) == (1, 2)


@pytest.mark.parametrize(
    ("configurations", "says"),
    [
        ({}, "do not have"),
        ({"a": {"inherits_from": "b"}}, "do not have the configuration 'b'"),
        ({"a": {"inherits_from": "a"}}, "do not have"),
        ({"a": {"previous_stage": "3d_lowres"}}, "cascade"),
    ],
)
def test_configurations_that_do_not_stand_alone_are_refused(configurations, says):
    with pytest.raises(InvalidRequest, match=says):
        nnunet_plans.configuration({"configurations": configurations}, "a")


def test_plans_of_before_version_2_5_describe_the_same_network():
    old = {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 32,
        "unet_max_num_features": 320,
        "n_conv_per_stage_encoder": [2] * 6,
        "n_conv_per_stage_decoder": [2] * 5,
        "conv_kernel_sizes": [[3, 3, 3]] * 6,
        "pool_op_kernel_sizes": [[1, 1, 1]] + [[2, 2, 2]] * 5,
        "patch_size": [64, 128, 128],
    }
    found = nnunet_plans.architecture(old, outputs=41)
    assert found.arguments["features_per_stage"] == [32, 64, 128, 256, 320, 320]
    assert found.arguments["n_conv_per_stage"] == [2] * 6
    assert found.arguments["conv_op"] == "torch.nn.modules.conv.Conv3d"
    residual = nnunet_plans.architecture(old | {"UNet_class_name": "ResidualEncoderUNet"}, outputs=41)
    assert "n_blocks_per_stage" in residual.arguments
    with pytest.raises(InvalidRequest, match="Strange"):
        nnunet_plans.architecture(old | {"UNet_class_name": "Strange"}, outputs=41)


@pytest.mark.parametrize(
    "name", ["dynamic_network_architectures.architectures.primus.Primus", "os.PlainConvUNet", "PlainConvUNet"]
)
def test_other_architectures_are_refused(name):
    plan = PLAN | {"architecture": PLAN["architecture"] | {"network_class_name": name}}
    with pytest.raises(InvalidRequest, match="not supported"):
        nnunet_plans.architecture(plan, outputs=2)


def table(plans=None, plan=None, orientation="", mirror_axes=()):
    return nnunet_plans.input_table(
        PLANS | (plans or {}), PLAN | (plan or {}), orientation=orientation, mirror_axes=mirror_axes
    )


@pytest.mark.parametrize(
    ("code", "orientation", "first_slice", "axes"),
    [
        # Letters tell where the file's first, second and third index grow to; in memory the third is first.
        ("LPS", ["anterior", "right"], "foot", [0, 1, 2]),
        ("RAS", ["posterior", "left"], "foot", [0, 1, 2]),
        ("LPI", ["anterior", "right"], "head", [0, 1, 2]),
        # Sagittal files: the first index runs backwards, the second to the feet, the third to the left.
        ("PIL", ["anterior", "right"], "head", [2, 0, 1]),
    ],
)
def test_the_orientation_of_the_training_images_goes_into_the_card(code, orientation, first_slice, axes):
    found = table(orientation=code)
    assert (found["orientation"], found["first_slice"], found["axes"]) == (orientation, first_slice, axes)


def test_a_reader_that_turns_images_turns_the_default():
    assert table({"image_reader_writer": "NibabelIOWithReorient"}) == table(orientation="RAS")
    assert table() == table(orientation="LPS")


def test_the_order_of_axes_in_the_plans_comes_after_that_of_the_file():
    assert table({"transpose_forward": [2, 0, 1]})["axes"] == [2, 0, 1]
    # Memory of a PIL file is left, foot, back: axes 2, 0, 1. Its plans put the second of these first.
    assert table({"transpose_forward": [1, 0, 2]}, orientation="PIL")["axes"] == [0, 2, 1]


def test_normalisation_and_resampling_are_told_in_the_card_s_words():
    found = table(
        plan={
            "use_mask_for_norm": [True],
            "resampling_fn_probabilities_kwargs": {"order": 1, "force_separate_z": True, "order_z": 1},
        }
    )
    assert found["normalisation"] == {"kind": "zscore", "masked": True}
    assert found["resampling"]["image"] == {"order": 3, "order_z": 0, "separate": "auto", "threshold": 3.0}
    assert found["resampling"]["answer"]["separate"] == "always"
    # An argument that plans leave out is False in nnU-Net.
    assert table(plan={"resampling_fn_data_kwargs": {}})["resampling"]["image"]["separate"] == "never"


@pytest.mark.parametrize(
    ("plans", "plan", "says"),
    [
        ({"image_reader_writer": "NaturalImage2DIO"}, {}, "not volumes"),
        ({}, {"patch_size": [4]}, "1 sides"),
        ({}, {"normalization_schemes": ["CTNormalization"]}, "CTNormalization"),
        ({}, {"normalization_schemes": ["ZScoreNormalization"] * 2}, "several images"),
        ({}, {"resampling_fn_data": "no_resampling_hack"}, "no_resampling_hack"),
        ({}, {"resampling_fn_probabilities_kwargs": RULE}, "Resampling with"),
        ({}, {"resampling_fn_data_kwargs": RULE | {"is_seg": True}}, "Resampling with"),
        ({}, {"resampling_fn_data_kwargs": RULE | {"order_z": 3}}, "Resampling with"),
    ],
)
def test_what_could_not_be_run_as_nnunet_does_is_refused(plans, plan, says):
    with pytest.raises(InvalidRequest, match=says):
        table(plans, plan)


def test_toml_is_read_back_as_it_was_written():
    content = {
        "text": 'a "quoted" line\nand \\ another, ü',
        "number": 1.5e-7,
        "truth": True,
        "list": [[1, 2], [{"a key": "b"}]],
        "table": {"inner": {"x": 1}, "y": []},
    }
    assert tomllib.loads(to_toml(content)) == content


def test_the_shipped_card_survives_being_written_again():
    assert tomllib.loads(to_toml(template())) == template()


# The command line


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.setenv("MYOSCREEN_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("MYOSCREEN_HOME", str(tmp_path / "home"))
    return lambda *words: CliRunner().invoke(build_app(), ["model", *map(str, words)])


def test_a_network_is_imported_and_verified_from_the_command_line(results, tmp_path, command, weights_room):
    sides = ("--left", "2,psoas_left", "--right", "3")
    result = command("import", "--nnunet", results, "--name", "body", *sides, "--orientation", "ras")
    assert result.exit_code == 0, result.output
    card = read_card(tmp_path / "models" / "body")
    assert card.output.channels.count("compartment_left") == 2
    assert card.input.orientation == ("posterior", "left")
    assert "has the hash of its card" in command("verify", "body").output
    card.weights[1].path.write_bytes(b"changed")
    result = command("verify", "body")
    assert isinstance(result.exception, ModelMismatch)
    assert "fold_1.onnx" in str(result.exception)
    assert "body@1" in command("list").output
