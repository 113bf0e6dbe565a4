"""Networks that take patches, small enough to write in a test and to compute by hand."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from service import files
from service.inference.card import Card, Weights, hash_of_all, read_card
from service.inference.nnunet import to_toml
from service.pipeline.references import bundled_models_dir
from tests.make.onnx_file import write_affine_network, write_endless_network

CHANNELS = ["background", "compartment_right", "compartment_left"]


def template() -> dict[str, Any]:
    """The card of the shipped network."""
    return tomllib.loads((bundled_models_dir() / "paraspinal" / "card.toml").read_text("utf-8"))


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network on disk: it answers gain times image plus offset, which depends on the place in the patch."""

    card: Card
    content: dict[str, Any]
    gains: list[float]
    #: One array for each fold, shape (channels, *patch).
    offsets: list[np.ndarray]


def network(
    folder: Path, *, patch: list[int], spacing_mm: list[float], folds: int = 1, **input_changes: Any
) -> Network:
    """A network with a random offset in each fold, so that every window answers something else."""
    rng = np.random.default_rng(7)
    offsets = [rng.normal(scale=0.7, size=(len(CHANNELS), *patch)).astype(np.float32) for _ in range(folds)]
    return card_of(
        folder, offsets, gains=[0.0, 1.0, -1.0], patch=patch, spacing_mm=spacing_mm, **input_changes
    )


def card_of(
    folder: Path,
    offsets: list[np.ndarray],
    *,
    gains: list[float],
    patch: list[int],
    spacing_mm: list[float],
    **input_changes: Any,
) -> Network:
    """A folder with one file for each offset, and the card that goes with them."""
    paths = [
        write_affine_network(folder / f"fold_{fold}.onnx", gains, offset)
        for fold, offset in enumerate(offsets)
    ]
    return _with_card(
        folder, paths, offsets, gains=gains, patch=patch, spacing_mm=spacing_mm, **input_changes
    )


def endless_network(folder: Path, *, side: int) -> Path:
    """A folder with a network that never answers and holds ``side`` squared numbers, and its card."""
    patch = [8, 8]
    folder.mkdir(parents=True)
    path = write_endless_network(folder / "endless.onnx", len(CHANNELS), tuple(patch), side=side)
    _with_card(folder, [path], [], gains=[], patch=patch, spacing_mm=[1.0, 1.0])
    return folder


def _with_card(
    folder: Path,
    paths: list[Path],
    offsets: list[np.ndarray],
    *,
    gains: list[float],
    patch: list[int],
    spacing_mm: list[float],
    **input_changes: Any,
) -> Network:
    """The card that goes with these files."""
    weights = tuple(Weights(path=path, sha256=files.sha256_of(path)) for path in paths)
    rule = {"order": 3, "order_z": 0, "separate": "auto", "threshold": 3.0}
    content = {
        "name": "small",
        "version": "1",
        "licence": "made by a test",
        "sha256": hash_of_all(weights),
        "weights": [{"file": one.path.name, "sha256": one.sha256} for one in weights],
        "input": {
            "plane": "axial",
            "layout": f"{len(patch)}d",
            "orientation": ["anterior", "right"],
            "first_slice": "foot",
            "axes": [0, 1, 2],
            "spacing_mm": spacing_mm,
            "patch": patch,
            "overlap": 0.5,
            "mirror_axes": [],
            "normalisation": {"kind": "zscore", "masked": False},
            "resampling": {"image": rule, "answer": rule | {"order": 1}},
        }
        | input_changes,
        "output": {"channels": CHANNELS, "activation": "argmax"},
        "definition": template()["definition"] | {"id": "small"},
        "intended_use": template()["intended_use"],
        "precision": {"admitted": [{"provider": "CPUExecutionProvider", "precision": "fp32"}]},
    }
    (folder / "card.toml").write_text(to_toml(content), "utf-8")
    return Network(card=read_card(folder), content=content, gains=gains, offsets=offsets)
