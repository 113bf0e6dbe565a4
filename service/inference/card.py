"""The card of a network: everything that the code has to know of it, read from ``card.toml``.

Another network drops in by another card; nothing about a network is written into the program.
"""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from service.core.eligibility import IntendedUse
from service.core.fat import FatReference
from service.errors import ModelMismatch

#: Channel names that a card may give to the outputs of its network.
CHANNELS = frozenset({"background", "compartment_left", "compartment_right"})


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """How intensities become the numbers that the network was trained on."""

    kind: Literal["percentile"]
    percentile: float
    scope: Literal["stack", "slice"]
    clip: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class InputContract:
    """What the network wants to see."""

    plane: str
    layout: Literal["2d"]
    spacing_mm: tuple[float, float]
    #: What row 0 and column 0 show, for example ("anterior", "right").
    orientation: tuple[str, str]
    normalisation: Normalisation
    pad_multiple: int
    #: "flip_columns": the answers to the image and to its mirror image are averaged.
    tta: Literal["none", "flip_columns"]


@dataclass(frozen=True, kw_only=True)
class OutputContract:
    """What the network answers."""

    channels: tuple[str, ...]
    #: What is still to be applied to the answer: "softmax" to logits, "none" to probabilities.
    activation: Literal["none", "softmax"]
    #: Probability of compartment (both sides together) from which a voxel counts.
    threshold: float


@dataclass(frozen=True, kw_only=True)
class Card:
    """One network and its contract."""

    name: str
    version: str
    sha256: str
    licence: str
    path: Path
    input: InputContract
    output: OutputContract
    definition_id: str
    definition_version: str
    boundary_rule: str
    #: Fat method by contrast; a contrast without one is unsupported for IMAT.
    fat_methods: dict[str, str]
    fat_reference: FatReference
    intended_use: IntendedUse
    providers: tuple[str, ...]
    precision: str


def read_card(folder: Path) -> Card:
    """The card in a network's folder; raises ModelMismatch with what is wrong in it."""
    path = folder / "card.toml"
    try:
        return _card(folder, tomllib.loads(path.read_text("utf-8")))
    except FileNotFoundError as error:
        raise ModelMismatch(f"There is no card.toml in {folder.name}.", reason="model_missing") from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise ModelMismatch(f"card.toml of {folder.name}: {error!r}", reason="bad_card") from error


def verify(card: Card) -> None:
    """Check that the weights are the ones that the card describes; raises ModelMismatch."""
    if not card.path.is_file():
        raise ModelMismatch(f"The weights of {card.name} are missing.", reason="model_missing")
    with card.path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != card.sha256:
        raise ModelMismatch(f"The weights of {card.name} do not have the hash of the card.")


def _card(folder: Path, content: dict[str, Any]) -> Card:
    definition, precision = content["definition"], content["precision"]
    reference = definition["fat_reference"]
    return Card(
        name=content["name"],
        version=content["version"],
        sha256=content["sha256"],
        licence=content["licence"],
        path=folder / Path(content.get("file", "model.onnx")).name,
        input=_input(content["input"]),
        output=_output(content["output"]),
        definition_id=definition["id"],
        definition_version=str(definition["version"]),
        boundary_rule=definition["boundary_rule"],
        fat_methods=dict(definition["fat_method"]),
        fat_reference=FatReference(
            percentile=float(reference["percentile"]),
            band_mm=_pair(reference["band_mm"]),
            threshold=float(reference["threshold"]),
        ),
        intended_use=_intended_use(content["intended_use"]),
        providers=tuple(precision["providers"]),
        precision=precision["precisions"][0],
    )


def _input(content: dict[str, Any]) -> InputContract:
    normalisation = content["normalisation"]
    if content["layout"] != "2d" or normalisation["kind"] != "percentile":
        raise ValueError("only layout 2d with percentile normalisation is implemented")
    if normalisation["scope"] not in ("stack", "slice") or content.get("tta", "none") not in (
        "none",
        "flip_columns",
    ):
        raise ValueError("normalisation.scope or tta is not known")
    rows, columns = content["orientation"]
    return InputContract(
        plane=content["plane"],
        layout="2d",
        spacing_mm=_pair(content["spacing_mm"]),
        orientation=(rows, columns),
        normalisation=Normalisation(
            kind="percentile",
            percentile=float(normalisation["percentile"]),
            scope=normalisation["scope"],
            clip=_pair(normalisation["clip"]),
        ),
        pad_multiple=int(content["pad_multiple"]),
        tta=content.get("tta", "none"),
    )


def _output(content: dict[str, Any]) -> OutputContract:
    channels = tuple(content["channels"])
    activation = content["activation"]
    if set(channels) != CHANNELS or activation not in ("none", "softmax"):
        raise ValueError(f"channels must be {sorted(CHANNELS)} with activation none or softmax")
    return OutputContract(channels=channels, activation=activation, threshold=float(content["threshold"]))


def _intended_use(content: dict[str, Any]) -> IntendedUse:
    return IntendedUse(
        modality=tuple(content["modality"]),
        planes=tuple(content["planes"]),
        max_tilt_degrees=float(content["max_tilt_degrees"]),
        contrasts=tuple(content["contrasts"]),
        regions=tuple(content["regions"]),
        min_slices=int(content["min_slices"]),
        min_age=float(content["min_age"]),
        exclusions=tuple(content["exclusions"]),
    )


def _pair(values: list[float]) -> tuple[float, float]:
    first, second = values
    return (float(first), float(second))
