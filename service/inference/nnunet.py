"""Bringing an nnU-Net v2 network into the models folder: its plans become a card, its weights ONNX.

Everything that the folder says is read and judged here and in ``nnunet_plans``, without torch; weights
are opened in ``nnunet_weights`` alone, which needs the extra ``nnunet``.
"""

import json
import re
import shutil
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from service.errors import ConfigurationError
from service.files import sha256_of, write_atomically
from service.inference import nnunet_plans
from service.inference.card import Weights, hash_of_all, read_card
from service.inference.nnunet_plans import refused

#: Where an imported network is admitted; in other precisions nobody has compared it.
ADMITTED = ("CPUExecutionProvider", "CUDAExecutionProvider", "OpenVINOExecutionProvider")
BOUNDARY_RULE = (
    "As {name} was trained to draw it: labels {left} on the left, {right} on the right. "
    "Only the largest connected piece of each side counts."
)
EXCLUSIONS = (
    "whatever the network was not trained for: its makers say what that is",
    "imported, and not measured by this project",
    "diagnosis: research use only",
)


@dataclass(frozen=True, kw_only=True)
class ImportOrder:
    """What is to be imported, and what its labels mean."""

    #: ``nnUNetTrainer__nnUNetPlans__3d_fullres`` or alike, with plans.json, dataset.json and fold_*.
    folder: Path
    #: Name of the network here.
    name: str
    #: Numbers, or names of dataset.json, of the labels that make up each side of the patient.
    left: tuple[str, ...]
    right: tuple[str, ...]
    #: Such as "0" or "all"; empty: every numbered fold that there is.
    folds: tuple[str, ...] = ()
    #: None: the final one, else the best one.
    checkpoint: Literal["final", "best"] | None = None
    #: Whether to mirror at run time as training allows it: 4 to 8 times slower.
    mirroring: bool = False
    #: Three letters such as LPS, in the order of a file's axes; empty: what the reader of the plans gives.
    orientation: str = ""
    #: Empty: what dataset.json says.
    licence: str = ""
    version: str = "1"


def import_nnunet(order: ImportOrder, models_dir: Path, template: dict[str, Any]) -> Path:
    """Convert, write ``models_dir/NAME`` and read it back; returns that folder.

    ``template`` is the content of the card from which fat methods and intended use are taken. Raises
    InvalidRequest with what cannot be imported, and leaves nothing behind then.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", order.name):
        raise refused(f"{order.name!r} is no name of a folder.")
    target = models_dir / order.name
    if target.exists():
        raise refused(f"There is a {order.name} in the models folder already.")
    plans, dataset = _read_json(order.folder / "plans.json"), _read_json(order.folder / "dataset.json")
    partial = models_dir / f".{order.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        content = _convert(order, plans, dataset, template, partial)
        write_atomically(partial / "card.toml", to_toml(content).encode("utf-8"))
        read_card(partial)
        partial.rename(target)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise refused(f"plans.json or dataset.json is not as nnU-Net v2 writes it: {error!r}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _convert(
    order: ImportOrder, plans: dict[str, Any], dataset: dict[str, Any], template: dict[str, Any], folder: Path
) -> dict[str, Any]:
    """Write the weights into ``folder``; the content of the card that goes with them."""
    channels = nnunet_plans.label_channels(dataset, left=order.left, right=order.right)
    checkpoints = find_checkpoints(order)
    room = _weights_room()
    loaded = [room.load(path) for path in checkpoints]
    name, trainer, mirror_axes = room.names_of(loaded)
    plan = nnunet_plans.configuration(plans, name)
    table = nnunet_plans.input_table(
        plans, plan, orientation=order.orientation, mirror_axes=mirror_axes if order.mirroring else ()
    )
    architecture = nnunet_plans.architecture(plan, outputs=len(channels))
    converted = [room.convert(architecture, one, folder / f"{one.path.parent.name}.onnx") for one in loaded]
    weights = tuple(Weights(path=one.path, sha256=sha256_of(one.path)) for one in converted)
    return {
        "name": order.name,
        "version": order.version,
        "sha256": hash_of_all(weights),
        "licence": order.licence or str(dataset.get("licence") or dataset.get("license") or "not stated"),
        "weights": [{"file": one.path.name, "sha256": one.sha256} for one in weights],
        "input": table,
        "output": {"channels": channels, "activation": "argmax", "labels": list(dataset["labels"])},
        "definition": _definition(order, template),
        "intended_use": template["intended_use"] | {"exclusions": list(EXCLUSIONS)},
        "precision": {
            "max_logit_difference": max(one.max_logit_difference for one in converted),
            "argmax_disagreements": sum(one.argmax_disagreements for one in converted),
            "admitted": [{"provider": provider, "precision": "fp32"} for provider in ADMITTED],
        },
        "quality": {"measured": "not by this project"},
        "training": {
            "framework": "nnU-Net v2",
            "dataset": str(plans.get("dataset_name", "")),
            "trainer": trainer,
            "plans": str(plans.get("plans_name", "")),
            "configuration": name,
            "architecture": architecture.kind,
            "checkpoints": [f"{path.parent.name}/{path.name}" for path in checkpoints],
            "description": str(dataset.get("description", "")),
            "reference": str(dataset.get("reference", "")),
        },
    }


def _definition(order: ImportOrder, template: dict[str, Any]) -> dict[str, Any]:
    """What is drawn is another thing than what the shipped network draws; fat is told alike."""
    rule = BOUNDARY_RULE.format(
        name=order.name, left=" and ".join(order.left), right=" and ".join(order.right)
    )
    own = {"id": f"nnunet-{order.name}", "version": order.version, "boundary_rule": rule}
    return {**template["definition"], **own}


def find_checkpoints(order: ImportOrder) -> list[Path]:
    """The file of each fold; raises InvalidRequest where one is missing."""
    kinds = (order.checkpoint,) if order.checkpoint else ("final", "best")
    for kind in kinds:
        name = f"checkpoint_{kind}.pth"
        numbered = sorted(path.parent.name for path in order.folder.glob(f"fold_[0-9]*/{name}"))
        trained_on_all = ["fold_all"] if (order.folder / "fold_all" / name).is_file() else []
        folds = [f"fold_{fold}" for fold in order.folds] or numbered or trained_on_all
        paths = [order.folder / Path(fold).name / name for fold in folds]
        if paths and all(path.is_file() for path in paths):
            return paths
    raise refused(
        f"{order.folder.name} has no checkpoint_{' or checkpoint_'.join(kinds)}.pth in "
        f"{', '.join(f'fold_{fold}' for fold in order.folds) or 'any fold'}."
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        text = f"There is no {path.name} in {path.parent}; name the folder that holds plans.json and fold_0."
        raise refused(text) from error
    except (OSError, ValueError) as error:
        raise refused(f"{path.name} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise refused(f"{path.name} is not as nnU-Net v2 writes it.")
    return content


def _weights_room() -> Any:
    """The room with torch, if it is installed."""
    try:
        return import_module("service.inference.nnunet_weights")
    except ImportError as error:
        text = f"{error.name or error} is not installed; the extra 'nnunet' of this program brings it."
        raise ConfigurationError(text) from error


def to_toml(content: dict[str, Any]) -> str:
    """A card as text: plain values first, then tables, as TOML wants them."""
    return "".join(_table(content, ()))


def _table(content: dict[str, Any], path: tuple[str, ...]) -> list[str]:
    lines = [f"\n[{'.'.join(path)}]\n"] if path else []
    tables = {name: value for name, value in content.items() if isinstance(value, dict)}
    lines += [f"{_key(name)} = {_value(value)}\n" for name, value in content.items() if name not in tables]
    for name, value in tables.items():
        lines += _table(value, (*path, _key(name)))
    return lines


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def _value(value: Any) -> str:
    """A plain value; JSON writes strings, numbers and truth values as TOML reads them."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(name)} = {_value(item)}" for name, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=True)
