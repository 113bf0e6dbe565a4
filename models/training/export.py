"""The trained network as ONNX, compared with what was trained."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
import torch

from models.training.network import UNet, WithSoftmax

OPSET: Final = 17
#: Two shapes, so that a shape frozen into the file would be found.
_PARITY_SHAPES: Final = ((2, 1, 192, 224), (1, 1, 256, 320))
#: Largest accepted difference of a probability; the prototype had 2e-5 in the logits.
_PARITY_LIMIT: Final = 1e-4


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The file and how far it is from the network it was made of."""

    file: str
    sha256: str
    megabytes: float
    max_probability_difference: float
    argmax_disagreements: int


def export_network(network: UNet, path: Path) -> Exported:
    """Write the file and refuse it if its probabilities differ from the network's."""
    module = WithSoftmax(network).eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    axes = {0: "n", 2: "rows", 3: "columns"}
    torch.onnx.export(
        module,
        (torch.zeros(1, 1, 64, 64),),
        str(path),
        input_names=["image"],
        output_names=["probabilities"],
        dynamic_axes={"image": axes, "probabilities": axes},
        opset_version=OPSET,
        dynamo=False,
    )
    difference, disagreements = _compare(module, path)
    if difference > _PARITY_LIMIT:
        raise SystemExit(f"The exported network differs by {difference}.")
    return Exported(
        file=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        megabytes=round(path.stat().st_size / 1e6, 2),
        max_probability_difference=difference,
        argmax_disagreements=disagreements,
    )


def _compare(module: torch.nn.Module, path: Path) -> tuple[float, int]:
    """Largest difference of a probability, and pixels whose largest channel differs."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    worst, disagreements = 0.0, 0
    for shape in _PARITY_SHAPES:
        image = rng.random(shape, dtype=np.float32)
        with torch.no_grad():
            ours = module(torch.from_numpy(image)).numpy()
        theirs = session.run(None, {"image": image})[0]
        worst = max(worst, float(np.abs(ours - theirs).max()))
        disagreements += int((ours.argmax(1) != theirs.argmax(1)).sum())
    return worst, disagreements
