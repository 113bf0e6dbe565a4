"""The card of a network: everything that the code has to know of it, read from ``card.toml``.

Another network drops in by another card; nothing about a network is written into the program.
"""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from service.core.eligibility import IntendedUse
from service.core.fat import FatReference
from service.core.norms import Repeatability
from service.core.predictor import Predictor
from service.errors import ModelMismatch
from service.inference.learned import read_predictor
from service.inference.window import WindowContract, window_contract

#: Channel names that a card may give to the outputs of its network.
CHANNELS = frozenset({"background", "compartment_left", "compartment_right"})
#: What else a network of many labels may answer; each of its channels competes with the compartment.
OTHER = "other"
#: Winning labels are held in one byte a voxel.
MOST_LABELS = 256
#: What a precision other than fp32 may change on the test set. Chosen by us: far below the error of the
#: network itself and of a repeated measurement, so that nobody sees which precision ran.
EQUIVALENCE_LIMITS = {"label_disagreement": 0.001, "imat_difference_points": 0.2}


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """How intensities become the numbers that the network was trained on."""

    kind: Literal["percentile"]
    percentile: float
    scope: Literal["stack", "slice"]
    clip: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class InputContract:
    """What a network wants to see that takes whole slices."""

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
    #: What is still to be applied to the answer: "softmax" to logits, "none" to probabilities; "argmax":
    #: the largest channel decides.
    activation: Literal["none", "softmax", "argmax"]
    #: Probability of compartment (both sides together) from which a voxel counts; no matter to "argmax".
    threshold: float


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """One pair of provider and precision in which the network may run, and what was measured of it.

    Both numbers are against fp32 on the processor by plain ONNX Runtime; None: not measured, which fp32
    need not be.
    """

    provider: str
    precision: str
    #: Voxels with another label, as a share of the voxels of the compartment.
    label_disagreement: float | None = None
    #: Largest difference of a stack's IMAT, in percentage points.
    imat_difference_points: float | None = None


@dataclass(frozen=True, kw_only=True)
class Weights:
    """One file of weights and its hash."""

    path: Path
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """One network and its contract."""

    name: str
    version: str
    #: Of the only file, or of the list of hashes and names where there are several.
    sha256: str
    licence: str
    #: Several where the answers of several networks (nnU-Net's folds) are averaged.
    weights: tuple[Weights, ...]
    input: InputContract | WindowContract
    output: OutputContract
    definition_id: str
    definition_version: str
    boundary_rule: str
    #: Fat method by contrast; a contrast without one is unsupported for IMAT.
    fat_methods: dict[str, str]
    fat_reference: FatReference
    #: What of a Dixon pair the network is shown: the water image, or water and fat together.
    dixon_segment_on: Literal["water", "in_phase"] = "water"
    intended_use: IntendedUse
    admitted: tuple[Admitted, ...]
    #: What predicts the Dice of a drawing; None: nothing was learned about when this network is wrong.
    predictor: Predictor | None = None
    #: Spread of repeated measurements by contrast, where it was measured.
    repeatability: Mapping[str, Repeatability] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The file of weights; the first, where there are several."""
        return self.weights[0].path


def read_card(folder: Path) -> Card:
    """The card in a network's folder; raises ModelMismatch with what is wrong in it."""
    path = folder / "card.toml"
    try:
        return _card(folder, tomllib.loads(path.read_text("utf-8")))
    except FileNotFoundError as error:
        raise ModelMismatch(f"There is no card.toml in {folder.name}.", reason="model_missing") from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise ModelMismatch(f"card.toml of {folder.name}: {error!r}", reason="bad_card") from error


def whole_slices(card: Card) -> InputContract:
    """The input of a network that takes whole slices; raises ModelMismatch for another."""
    if isinstance(card.input, WindowContract):
        raise ModelMismatch(f"{card.name} takes patches, not whole slices.")
    return card.input


def patches(card: Card) -> WindowContract:
    """The input of a network that takes patches; raises ModelMismatch for another."""
    if isinstance(card.input, InputContract):
        raise ModelMismatch(f"{card.name} takes whole slices, not patches.")
    return card.input


def verify(card: Card) -> None:
    """Check that every file of weights is the one that the card describes; raises ModelMismatch."""
    for weights in card.weights:
        if not weights.path.is_file():
            text = f"The weights of {card.name} are missing: {weights.path.name}."
            raise ModelMismatch(text, reason="model_missing")
        with weights.path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != weights.sha256:
            text = f"{weights.path.name} of {card.name} does not have the hash of the card."
            raise ModelMismatch(text)


def hash_of_all(weights: tuple[Weights, ...]) -> str:
    """One hash for a network: of its only file, or of the lines that ``sha256sum`` prints for several."""
    if len(weights) == 1:
        return weights[0].sha256
    lines = "".join(f"{one.sha256}  {one.path.name}\n" for one in weights)
    return hashlib.sha256(lines.encode("utf-8")).hexdigest()


def _card(folder: Path, content: dict[str, Any]) -> Card:
    definition = content["definition"]
    reference = definition["fat_reference"]
    windowed = "patch" in content["input"]
    return Card(
        name=content["name"],
        version=content["version"],
        sha256=content["sha256"],
        licence=content["licence"],
        weights=_weights(folder, content),
        input=window_contract(content["input"]) if windowed else _input(content["input"]),
        output=_labels(content["output"]) if windowed else _output(content["output"]),
        definition_id=definition["id"],
        definition_version=str(definition["version"]),
        boundary_rule=definition["boundary_rule"],
        fat_methods=dict(definition["fat_method"]),
        fat_reference=FatReference(
            percentile=float(reference["percentile"]),
            band_mm=_pair(reference["band_mm"]),
            threshold=float(reference["threshold"]),
        ),
        dixon_segment_on=_segment_on(definition.get("dixon", {})),
        intended_use=_intended_use(content["intended_use"]),
        admitted=tuple(_admitted(pair) for pair in content["precision"]["admitted"]),
        predictor=read_predictor(content.get("quality", {}), content["sha256"]),
        repeatability=_repeatability(content.get("quality", {})),
    )


def _repeatability(quality: dict[str, Any]) -> dict[str, Repeatability]:
    """What was measured by ``models.training.repeatability``; older cards have a sentence in its place."""
    given = quality.get("repeatability", {})
    tables = given if isinstance(given, dict) else {}
    return {
        contrast: Repeatability(imat_fraction_sd=float(own["imat_fraction_sd"]), lmm_cv=float(own["lmm_cv"]))
        for contrast, own in tables.items()
    }


def _admitted(content: dict[str, Any]) -> Admitted:
    """A pair, if fp32 or if what was measured of it is within the limits."""
    measured = {name: content.get(name) for name in EQUIVALENCE_LIMITS}
    for name, limit in EQUIVALENCE_LIMITS.items():
        value = measured[name]
        if content["precision"] != "fp32" and not (value is not None and 0.0 <= value <= limit):
            raise ValueError(
                f"{content['precision']} is admitted only with {name} measured and up to {limit}"
            )
    return Admitted(provider=content["provider"], precision=content["precision"], **measured)


def _weights(folder: Path, content: dict[str, Any]) -> tuple[Weights, ...]:
    """The files in the folder of the card; a card names no file elsewhere."""
    files = content.get("weights") or [
        {"file": content.get("file", "model.onnx"), "sha256": content["sha256"]}
    ]
    weights = tuple(Weights(path=folder / Path(one["file"]).name, sha256=one["sha256"]) for one in files)
    if hash_of_all(weights) != content["sha256"]:
        raise ValueError("sha256 is not the hash of the list of weights")
    return weights


def _input(content: dict[str, Any]) -> InputContract:
    normalisation = content["normalisation"]
    if content["layout"] != "2d" or normalisation["kind"] != "percentile":
        raise ValueError("a network without a patch needs layout 2d and percentile normalisation")
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


def _segment_on(content: dict[str, Any]) -> Literal["water", "in_phase"]:
    shown = content.get("segment_on", "water")
    if shown == "water":
        return "water"
    if shown == "in_phase":
        return "in_phase"
    raise ValueError("definition.dixon.segment_on must be water or in_phase")


def _labels(content: dict[str, Any]) -> OutputContract:
    """The labels of a network that takes patches: the largest channel decides."""
    channels = tuple(content["channels"])
    if not set(channels) >= CHANNELS or not set(channels) <= CHANNELS | {OTHER}:
        raise ValueError(f"channels must be {sorted(CHANNELS)}, each at least once, or {OTHER}")
    if len(channels) > MOST_LABELS:
        raise ValueError(f"a network of more than {MOST_LABELS} labels is not supported")
    if content["activation"] != "argmax":
        raise ValueError("activation of a network that takes patches must be argmax")
    return OutputContract(channels=channels, activation="argmax", threshold=0.0)


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
        min_coverage_mm=float(content.get("min_coverage_mm", 0.0)),
        min_block_slices=_fewest_of_a_block(content),
    )


def _fewest_of_a_block(content: dict[str, Any]) -> int | None:
    """From how many slices a block is measured; absent: never."""
    if "min_block_slices" not in content:
        return None
    fewest = int(content["min_block_slices"])
    if not 1 <= fewest <= int(content["min_slices"]):
        raise ValueError("min_block_slices must be from 1 to min_slices")
    return fewest


def _pair(values: list[float]) -> tuple[float, float]:
    first, second = values
    return (float(first), float(second))
