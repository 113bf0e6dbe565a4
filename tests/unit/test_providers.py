"""A network runs on what the card admits and the settings demand, in a pinned precision, or not at all."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from service.errors import ModelMismatch, ProviderUnavailable
from service.inference import providers
from service.inference.card import Admitted, read_card
from service.inference.providers import CPU, CUDA, OPENVINO, PREFERENCE, TENSORRT, open_session
from service.pipeline.references import bundled_models_dir

CARD = bundled_models_dir() / "paraspinal"
WEIGHTS = Path("model.onnx")


class Runtime:
    """ONNX Runtime as far as sessions are opened, with providers that this machine need not have."""

    def __init__(self, *installed, device=None, broken=(), runs_on=None):
        self.installed, self.device, self.broken, self.runs_on = installed, device, broken, runs_on
        self.opened = []

    def get_available_providers(self):
        return [*self.installed, CPU]

    def get_ep_devices(self):
        return [self.device] if self.device else []

    class SessionOptions(SimpleNamespace):
        def add_session_config_entry(self, name, value):
            self.entries = {**getattr(self, "entries", {}), name: value}

        def add_provider_for_devices(self, devices, settings):
            self.plugin = (devices, settings)

    def InferenceSession(self, path, sess_options, providers=None):  # noqa: N802 - ONNX Runtime's name
        plugin = getattr(sess_options, "plugin", None)
        first = plugin[0][0].ep_name if plugin else providers[0][0]
        if first in self.broken:
            raise RuntimeError("no kernel")
        self.opened.append((sess_options, providers))
        names = [self.runs_on or first, CPU]
        return SimpleNamespace(get_providers=lambda: names, disable_fallback=lambda: None)


@pytest.fixture
def runtime(monkeypatch):
    """Put a machine together: ``runtime(CUDA)`` has a GPU, ``runtime(openvino="BF16 FP32")`` the plugin."""

    def put(*installed, openvino=None, flags=(), **more):
        device = openvino and SimpleNamespace(
            ep_name=OPENVINO, ep_metadata={"ov_device": "CPU", "OPTIMIZATION_CAPABILITIES": openvino}
        )
        made = Runtime(*installed, device=device, **more)
        monkeypatch.setattr(providers, "ort", made)
        monkeypatch.setattr(providers, "find_spec", lambda _name: None if openvino is None else object())
        monkeypatch.setattr(providers, "_openvino_device", lambda: device or None)
        monkeypatch.setattr(providers, "_processor_flags", lambda: frozenset(flags))
        monkeypatch.setattr(providers.os, "putenv", lambda *pair: made.opened.append(pair))
        monkeypatch.setattr(providers.os, "unsetenv", lambda *name: made.opened.append(name))
        return made

    return put


def admit(*pairs):
    return tuple(Admitted(provider=provider, precision=precision) for provider, precision in pairs)


EVERYTHING = admit(*PREFERENCE)


def test_the_fastest_that_is_there_and_admitted_is_taken_when_nothing_is_demanded(runtime):
    runtime(CUDA, openvino="BF16 FP32", flags=("amx_bf16",))
    assert open_session(WEIGHTS, EVERYTHING)[1:3] == (CUDA, "tf32")
    assert open_session(WEIGHTS, admit((OPENVINO, "bf16"), (CPU, "fp32")))[1:3] == (OPENVINO, "bf16")
    assert open_session(WEIGHTS, admit((OPENVINO, "fp32"), (CPU, "fp32")))[1:3] == (OPENVINO, "fp32")
    assert open_session(WEIGHTS, admit((CPU, "fp32")))[1:3] == (CPU, "fp32")


@pytest.mark.parametrize(("precision", "tf32"), [("fp32", "0"), ("tf32", "1")])
def test_cuda_rounds_as_its_precision_says(runtime, precision, tf32):
    made = runtime(CUDA)
    opened = open_session(WEIGHTS, EVERYTHING, demanded=(CUDA,), precision=precision)
    assert opened.precision == precision
    ((name, options),) = made.opened[-1][1]
    assert (name, options["use_tf32"]) == (CUDA, tf32)


def test_tensorrt_is_kept_from_tf32_by_the_environment_as_it_has_no_option(runtime):
    made = runtime(TENSORRT)
    open_session(WEIGHTS, EVERYTHING, demanded=(TENSORRT,), precision="fp32")
    assert made.opened[0] == ("NVIDIA_TF32_OVERRIDE", "0")
    assert made.opened[1][1] == [(TENSORRT, {"trt_fp16_enable": "0"})]


@pytest.mark.parametrize(("precision", "hint"), [("fp32", "f32"), ("bf16", "bf16"), ("fp16", "f16")])
def test_openvino_is_told_its_precision_and_takes_the_whole_network_or_none(runtime, precision, hint):
    made = runtime(openvino="BF16 FP16 FP32", flags=("amx_bf16", "avx512_fp16"))
    opened = open_session(WEIGHTS, EVERYTHING, demanded=(OPENVINO,), precision=precision, threads=3)
    assert opened[1:] == (OPENVINO, precision, 1)
    options = made.opened[0][0]
    config = json.loads(options.plugin[1]["load_config"])["CPU"]
    assert config == {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": 3, "NUM_STREAMS": 1}
    assert options.entries == {"session.disable_cpu_ep_fallback": "1"}


def test_runs_side_by_side_get_a_thread_each(runtime):
    made = runtime(openvino="FP32")
    opened = open_session(WEIGHTS, admit((CPU, "fp32")), threads=3, side_by_side=True)
    assert (opened.lanes, made.opened[0][0].intra_op_num_threads) == (3, 1)
    opened = open_session(WEIGHTS, admit((OPENVINO, "fp32")), threads=3, side_by_side=True)
    config = json.loads(made.opened[1][0].plugin[1]["load_config"])["CPU"]
    assert (opened.lanes, config["NUM_STREAMS"], config["INFERENCE_NUM_THREADS"]) == (3, 3, 3)


@pytest.mark.parametrize("flags", [(), ("avx512f", "avx512_vnni")])
def test_a_precision_that_the_processor_would_only_imitate_is_not_taken(runtime, flags):
    runtime(openvino="BF16 FP32", flags=flags)
    assert open_session(WEIGHTS, EVERYTHING)[1:3] == (OPENVINO, "fp32")
    with pytest.raises(ProviderUnavailable, match="does not compute in bf16"):
        open_session(WEIGHTS, EVERYTHING, demanded=(OPENVINO,), precision="bf16")


def test_a_plugin_that_does_not_support_this_processor_is_said_so(runtime):
    runtime(openvino="")
    assert open_session(WEIGHTS, EVERYTHING).provider == CPU
    with pytest.raises(ProviderUnavailable, match="does not support this processor"):
        open_session(WEIGHTS, EVERYTHING, demanded=(OPENVINO,))


@pytest.mark.parametrize(
    ("demanded", "precision"),
    [((CUDA,), ""), ((CPU, CUDA), ""), ((), "bf16"), ((CPU,), "bf16"), (("DnnlExecutionProvider",), "")],
)
def test_what_the_card_does_not_admit_is_refused_even_where_it_is_there(runtime, demanded, precision):
    runtime(CUDA, openvino="BF16", flags=("amx_bf16",))
    with pytest.raises(ProviderUnavailable, match="does not admit"):
        open_session(WEIGHTS, admit((CPU, "fp32")), demanded=demanded, precision=precision)


def test_what_was_demanded_is_not_replaced(runtime):
    runtime(CUDA, broken=(CUDA,))
    assert open_session(WEIGHTS, EVERYTHING).provider == CPU
    with pytest.raises(ProviderUnavailable, match="cannot run this network"):
        open_session(WEIGHTS, EVERYTHING, demanded=(CUDA, CPU))


def test_a_plugin_whose_library_cannot_be_loaded_is_said_so_and_stops_nothing_else(
    runtime, monkeypatch, caplog
):
    def broken():
        raise OSError("libopenvino.so: cannot open shared object file")

    runtime(openvino="FP32")
    monkeypatch.setattr(providers, "_openvino_device", broken)
    assert open_session(WEIGHTS, EVERYTHING).provider == CPU
    assert set(caplog.messages) == {"provider_passed_over"}
    with pytest.raises(ProviderUnavailable, match="cannot be loaded"):
        open_session(WEIGHTS, EVERYTHING, demanded=(OPENVINO,))


def test_tf32_after_a_failed_tensorrt_is_not_forbidden_by_what_tensorrt_left(runtime):
    made = runtime(TENSORRT, CUDA, broken=(TENSORRT,))
    assert open_session(WEIGHTS, EVERYTHING)[1:3] == (CUDA, "tf32")
    told = [entry for entry in made.opened if entry[0] == "NVIDIA_TF32_OVERRIDE"]
    assert told[-1] == ("NVIDIA_TF32_OVERRIDE",)


def test_a_session_that_runs_on_something_else_is_refused(runtime):
    runtime(CUDA, runs_on=CPU)
    with pytest.raises(ProviderUnavailable, match="runs on CPUExecutionProvider"):
        open_session(WEIGHTS, EVERYTHING, demanded=(CUDA,))


def test_the_real_processor_is_what_it_says_it_is():
    opened = open_session(CARD / "model.onnx", admit((CPU, "fp32")), threads=1)
    assert opened.session.get_providers() == [opened.provider] == [CPU]


# What a card may admit


def card_with(folder, pair):
    """The bundled card, which admits this pair only."""
    text = (CARD / "card.toml").read_text("utf-8")
    start, end = text.index("admitted = ["), text.index("]\n", text.index("admitted = ["))
    (folder / "card.toml").write_text(f"{text[:start]}admitted = [{pair}{text[end:]}", "utf-8")
    return read_card(folder)


def test_another_precision_is_admitted_with_its_equivalence_measured(tmp_path):
    measured = "label_disagreement = 0.0009, imat_difference_points = 0.05"
    card = card_with(tmp_path, f'{{ provider = "{OPENVINO}", precision = "bf16", {measured} }}')
    assert card.admitted == (
        Admitted(provider=OPENVINO, precision="bf16", label_disagreement=0.0009, imat_difference_points=0.05),
    )


@pytest.mark.parametrize(
    "measured",
    [
        "",
        ", label_disagreement = 0.0009",
        ", label_disagreement = 0.0011, imat_difference_points = 0.05",
        ", label_disagreement = 0.0009, imat_difference_points = 0.21",
        ", label_disagreement = nan, imat_difference_points = 0.05",
    ],
)
def test_another_precision_without_its_equivalence_makes_a_bad_card(tmp_path, measured):
    with pytest.raises(ModelMismatch, match="bf16 is admitted only with"):
        card_with(tmp_path, f'{{ provider = "{OPENVINO}", precision = "bf16"{measured} }}')


def test_fp32_needs_no_measurement(tmp_path):
    (pair,) = card_with(tmp_path, f'{{ provider = "{CUDA}", precision = "fp32" }}').admitted
    assert (pair.provider, pair.label_disagreement) == (CUDA, None)
