"""nnU-Net's checkpoints as ONNX: the only room with torch, which comes with the extra ``nnunet``.

A checkpoint is a pickle, and a pickle can run anything. It is read by torch's restricted reader, which
knows tensors and plain containers (before torch 2.6 it could be got around: CVE-2025-32434); the few
harmless classes beside those that nnU-Net writes are listed here, and a file with any other is refused.
"""

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from dynamic_network_architectures.architectures import unet

from service.inference.nnunet_plans import Architecture, refused

#: As the shipped network is exported; every provider of ONNX Runtime 1.32 reads it.
OPSET = 17
#: Largest accepted difference of a logit, relative to the largest logit: rounding of fp32 through some
#: sixty layers. Chosen by us; small networks made here differ by about 1e-5.
LIMIT = 1e-3
#: Classes that plans may name: layers that compute and do nothing else.
LAYERS = re.compile(
    r"torch\.nn(\.modules\.\w+)?\."
    r"(Conv[23]d|InstanceNorm[23]d|BatchNorm[23]d|GroupNorm|Dropout|Dropout[23]d"
    r"|LeakyReLU|ReLU|PReLU|ELU|GELU|SiLU|Mish|Identity)"
    r"|dynamic_network_architectures\.building_blocks\.residual\.(BasicBlockD|BottleneckD)"
)
#: What nnU-Net's log of losses and its record of arguments hold: numbers of NumPy, and a device.
HARMLESS_TYPES = (np.dtype, *(type(np.dtype(kind)) for kind in "?bBhHiIlLqQefd"), torch.device)
SCALAR_NAMES = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What one checkpoint holds, as far as it matters."""

    path: Path
    weights: dict[str, Any]
    configuration: str
    trainer: str
    mirror_axes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Converted:
    """One written network and how far it is from its checkpoint, over one random patch."""

    path: Path
    max_logit_difference: float
    argmax_disagreements: int


def load(path: Path) -> Loaded:
    """A checkpoint, without running anything that it may contain."""
    scalar = import_module("numpy._core.multiarray").scalar
    allowed = [*HARMLESS_TYPES, *((scalar, name) for name in SCALAR_NAMES)]
    try:
        with torch.serialization.safe_globals(allowed):
            # Looked up first, because the reader's own message tells how to read the file all the same.
            unknown = torch.serialization.get_unsafe_globals_in_checkpoint(path)
            if unknown:
                raise ValueError(f"it holds {', '.join(unknown)}, which could run a program")
            content = torch.load(path, map_location="cpu", weights_only=True)
        return Loaded(
            path=path,
            weights=dict(content["network_weights"]),
            configuration=content["init_args"]["configuration"],
            trainer=content["trainer_name"],
            mirror_axes=tuple(int(axis) for axis in content.get("inference_allowed_mirroring_axes") or ()),
        )
    except Exception as error:
        # The reader raises pickle's errors, its own and those of a damaged archive alike.
        reason = str(error).split("\n", maxsplit=1)[0]
        raise refused(f"{path.parent.name}/{path.name} cannot be read safely: {reason}.") from error


def convert(architecture: Architecture, loaded: Loaded, target: Path) -> Converted:
    """Write one checkpoint as ONNX; refuses it if ONNX Runtime answers something else than torch."""
    network = _network(architecture, channels=1)
    try:
        network.load_state_dict(loaded.weights)
    except RuntimeError as error:
        text = f"The weights of {loaded.path.parent.name} do not fit the architecture of the plans."
        raise refused(text) from error
    network.eval()
    patch = torch.from_numpy(
        np.random.default_rng(0).standard_normal((1, 1, *architecture.patch), dtype=np.float32)
    )
    with warnings.catch_warnings():
        # The exporter by tracing is what the shipped network was made with; it announces its successor.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (patch,),
            str(target),
            input_names=["image"],
            output_names=["logits"],
            opset_version=OPSET,
            dynamo=False,
        )
    return _compare(network, patch, target)


def _compare(network: Any, patch: Any, target: Path) -> Converted:
    with torch.no_grad():
        expected = network(patch).numpy()
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    found = session.run(None, {"image": patch.numpy()})[0]
    difference = float(np.abs(found - expected).max())
    if not difference <= LIMIT * max(1.0, float(np.abs(expected).max())):
        raise refused(f"The converted network differs by {difference:.2g} from its checkpoint.")
    disagreements = int((found.argmax(axis=1) != expected.argmax(axis=1)).sum())
    return Converted(path=target, max_logit_difference=difference, argmax_disagreements=disagreements)


def _network(architecture: Architecture, *, channels: int) -> Any:
    """The network with random weights, of nnU-Net's own building blocks."""
    arguments = dict(architecture.arguments)
    for name in architecture.classes:
        if arguments.get(name) is not None:
            arguments[name] = _layer(arguments[name])
    try:
        kind = getattr(unet, architecture.kind)
        return kind(
            **arguments, input_channels=channels, num_classes=architecture.outputs, deep_supervision=False
        )
    except (TypeError, ValueError, AssertionError) as error:
        raise refused(f"The plans do not describe a {architecture.kind}: {error}") from error


def _layer(name: str) -> Any:
    """A class that plans name, if it is one of the known layers."""
    if not isinstance(name, str) or not LAYERS.fullmatch(name):
        raise refused(f"The plans name {name!r}, which is not a known layer.")
    module, _, kind = name.rpartition(".")
    return getattr(import_module(module), kind)


def names_of(loaded: Iterable[Loaded]) -> tuple[str, str, tuple[int, ...]]:
    """Configuration, trainer and mirrored axes, which all folds must share."""
    found = {(one.configuration, one.trainer, one.mirror_axes) for one in loaded}
    if len(found) != 1:
        raise refused("The folds were not trained alike: their configurations or trainers differ.")
    return found.pop()
