"""Where a network runs: which execution providers there are, and in which precision each is held.

The card says which pairs of provider and precision it admits, the settings may demand one, and what runs
is what was asked for or nothing. Every precision is pinned, because some providers choose their own.
"""

import json
import logging
import os
import warnings
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import onnxruntime as ort

from service.errors import ProviderUnavailable
from service.inference.card import Admitted

log = logging.getLogger(__name__)

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"

#: What is tried when nothing is demanded, fastest first, as far as it is installed and the card admits it.
PREFERENCE = (
    (TENSORRT, "fp16"),
    (TENSORRT, "fp32"),
    (CUDA, "tf32"),
    (CUDA, "fp32"),
    (OPENVINO, "bf16"),
    (OPENVINO, "fp16"),
    (OPENVINO, "fp32"),
    (CPU, "fp32"),
)
#: The package that brings OpenVINO into the stock ONNX Runtime; the extra "openvino" installs it.
OPENVINO_PLUGIN = "onnxruntime_ep_openvino"
#: OpenVINO's words for precisions.
OPENVINO_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
#: What a processor must list to multiply in a precision; without, OpenVINO would go by way of fp32, slower.
NEEDED_FLAGS = {
    "bf16": frozenset({"amx_bf16", "avx512_bf16"}),
    "fp16": frozenset({"amx_fp16", "avx512_fp16"}),
}


class Opened(NamedTuple):
    """A session, and what it really runs on."""

    session: Any
    provider: str
    precision: str
    #: How many runs the caller should make side by side.
    lanes: int


def open_session(
    path: Path,
    admitted: Sequence[Admitted],
    *,
    demanded: Sequence[str] = (),
    precision: str = "",
    threads: int = 0,
    side_by_side: bool = False,
) -> Opened:
    """The network at ``path`` on what is demanded, or else on the fastest that is admitted and works.

    ``demanded`` are names of providers: the first must be the one that runs, the others may only take what
    it leaves. ``precision`` demands one; without it each provider takes the fastest that is admitted for it.
    ``threads`` 0 means all processors. ``side_by_side``: on a processor each run gets one thread and the
    caller makes as many as there are threads at a time, which is faster for small images.
    Raises ProviderUnavailable, never falls back from what was demanded in silence.
    """
    pairs = [(pair.provider, pair.precision) for pair in admitted]
    refused = sorted({name for name in demanded if name not in {provider for provider, _ in pairs}})
    if refused:
        raise ProviderUnavailable(f"The card does not admit {', '.join(refused)}.")
    wanted = [
        (provider, kind)
        for provider, kind in PREFERENCE
        if (provider, kind) in pairs
        and provider in (demanded[:1] or [provider])
        and kind in (precision or kind,)
    ]
    if not wanted:
        asked = f"{demanded[0] if demanded else 'any provider'} in {precision or 'any precision'}"
        raise ProviderUnavailable(f"The card does not admit {asked}.")
    faults = []
    for provider, kind in wanted:
        lanes = (threads or _processors()) if side_by_side and provider in (CPU, OPENVINO) else 1
        try:
            session = _session(path, provider, kind, threads=threads, lanes=lanes, rest=demanded[1:])
            return Opened(session, provider, kind, lanes)
        except ProviderUnavailable as error:
            faults.append(error.reason.text)
            if why_not(provider, kind) is None:
                # It is there, and yet it does not work; the finding tells what ran instead.
                log.warning("provider_passed_over", extra={"provider": provider, "precision": kind})
    raise ProviderUnavailable(" ".join(dict.fromkeys(faults)))


def _session(
    path: Path, provider: str, precision: str, *, threads: int, lanes: int, rest: Sequence[str]
) -> Any:
    """A session whose first provider is this one in this precision; raises ProviderUnavailable."""
    reason = why_not(provider, precision)
    if reason:
        raise ProviderUnavailable(reason)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1 if lanes > 1 else threads
    options.log_severity_level = 3
    _allow_tf32(precision, (provider, *rest))
    try:
        with warnings.catch_warnings():
            # What ONNX Runtime only warns about is judged below, by what the session says it runs on.
            warnings.simplefilter("ignore", UserWarning)
            if provider == OPENVINO:
                session = _openvino_session(path, options, precision, threads or _processors(), lanes)
            else:
                chosen = [(name, _options(name, precision)) for name in (provider, *rest)]
                session = ort.InferenceSession(str(path), sess_options=options, providers=chosen)
    except Exception as error:
        # ONNX Runtime's own exceptions have no common base.
        raise ProviderUnavailable(f"{provider} cannot run this network in {precision}.") from error
    session.disable_fallback()
    _refuse_silent_fallback(session, provider)
    return session


def _refuse_silent_fallback(session: Any, provider: str) -> None:
    """What was asked for must be what runs; ONNX Runtime itself would go on without a word."""
    runs = str(session.get_providers()[0])
    if runs != provider:
        raise ProviderUnavailable(f"{provider} was asked for, but the session runs on {runs}.")


def why_not(provider: str, precision: str) -> str | None:
    """Why this pair cannot be had on this machine; None: as far as can be told without a network, it can."""
    if provider == OPENVINO:
        return _why_not_openvino(precision)
    if provider not in ort.get_available_providers():
        return f"{provider} is not installed."
    return None


def _why_not_openvino(precision: str) -> str | None:
    """The same for OpenVINO, a plugin whose own libraries may be broken."""
    if find_spec(OPENVINO_PLUGIN) is None:
        return f"{OPENVINO} is not installed (extra openvino)."
    try:
        device = _openvino_device()
    except Exception:  # Whatever is wrong with it, the other providers are there.
        log.exception("provider_passed_over", extra={"provider": OPENVINO})
        return f"{OPENVINO} is installed, but its library cannot be loaded."
    if device is None:
        return f"{OPENVINO} is installed, but does not support this processor."
    capable = device.ep_metadata.get("OPTIMIZATION_CAPABILITIES", "").split()
    needed = NEEDED_FLAGS.get(precision)
    if needed and not (precision.upper() in capable and needed & _processor_flags()):
        return f"This processor does not compute in {precision}."
    return None


def _options(provider: str, precision: str) -> dict[str, str]:
    """Options that hold a provider to a precision, and to the same kernels every time."""
    if provider == CUDA:
        # A search for the fastest kernel could choose another one each time.
        return {"use_tf32": "1" if precision == "tf32" else "0", "cudnn_conv_algo_search": "DEFAULT"}
    if provider == TENSORRT:
        return {"trt_fp16_enable": "1" if precision == "fp16" else "0"}
    return {}


def _allow_tf32(precision: str, providers: Sequence[str]) -> None:
    """Forbid TF32 to TensorRT, which has no option for it, by the environment of the process.

    What is to run in TF32 gets it back: a TensorRT that did not work may have been tried before.
    """
    if precision == "tf32":
        os.unsetenv("NVIDIA_TF32_OVERRIDE")
    elif TENSORRT in providers:
        os.putenv("NVIDIA_TF32_OVERRIDE", "0")


def _openvino_session(path: Path, options: Any, precision: str, threads: int, lanes: int) -> Any:
    """A session in which OpenVINO takes the whole network, or none."""
    config = {
        # Left to itself it takes bf16 where the processor has it, without a word.
        "INFERENCE_PRECISION_HINT": OPENVINO_HINTS[precision],
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": lanes,
    }
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    options.add_provider_for_devices([_openvino_device()], {"load_config": json.dumps({"CPU": config})})
    return ort.InferenceSession(str(path), sess_options=options)


@cache
def _openvino_device() -> Any | None:
    """OpenVINO's processor, once its library is registered; None where it supports none (not Intel's)."""
    import onnxruntime_ep_openvino as plugin  # noqa: PLC0415 - an optional extra

    ort.register_execution_provider_library(OPENVINO_PLUGIN, plugin.get_library_path())
    devices = [device for device in ort.get_ep_devices() if device.ep_name == plugin.get_ep_name()]
    return next((device for device in devices if device.ep_metadata.get("ov_device") == "CPU"), None)


def _processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


@cache
def _processor_flags() -> frozenset[str]:
    """What the processor can do, as Linux lists it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line for line in lines if line.startswith("flags")), "").split())
