"""What nnU-Net's plans.json and dataset.json say, in the words of this program's cards.

Follows ``PlansManager`` and ``LabelManager`` of nnunetv2 2.8. What this program could not run as nnU-Net
does is refused by name, never approximated.
"""

import re
from dataclasses import dataclass
from typing import Any

from service.errors import InvalidRequest
from service.inference.card import MOST_LABELS, OTHER

ARCHITECTURES = ("PlainConvUNet", "ResidualEncoderUNet")
NORMALISATIONS = {
    "ZScoreNormalization": "zscore",
    "RescaleTo01Normalization": "rescale_0_1",
    "NoNormalization": "none",
}
RESAMPLING = "resample_data_or_seg_to_shape"
#: nnU-Net's ``ANISO_THRESHOLD``.
ANISOTROPY = 3.0
#: nnU-Net's predictor moves by half a patch unless told otherwise.
OVERLAP = 0.5
#: Letters of an orientation code: where an index grows to, where it starts, and which axis that is here
#: (0 slices, 1 rows, 2 columns).
LETTERS = {
    "R": ("left", 2),
    "L": ("right", 2),
    "A": ("posterior", 1),
    "P": ("anterior", 1),
    "S": ("foot", 0),
    "I": ("head", 0),
}
#: How images lie in memory by the reader of the plans: as the file says (LPS is how DICOM series are
#: usually written), or turned by the reader itself.
READERS = {
    "SimpleITKIO": "LPS",
    "NibabelIO": "LPS",
    "SimpleITKIOWithReorient": "RAS",
    "NibabelIOWithReorient": "RAS",
}


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The network that the plans describe: its class and what it is built with."""

    kind: str
    arguments: dict[str, Any]
    #: Arguments that name a class.
    classes: tuple[str, ...]
    patch: tuple[int, ...]
    outputs: int


def refused(text: str) -> InvalidRequest:
    """What cannot be imported, and why."""
    return InvalidRequest(text, reason="not_importable")


def label_channels(dataset: dict[str, Any], *, left: tuple[str, ...], right: tuple[str, ...]) -> list[str]:
    """What each channel of the network means here, in the network's order."""
    labels = {name: number for name, number in dataset["labels"].items() if name != "ignore"}
    if any(isinstance(number, list) for number in labels.values()):
        raise refused("The network answers overlapping regions; only one label a voxel is supported.")
    if sorted(labels.values()) != list(range(len(labels))) or len(labels) > MOST_LABELS:
        raise refused(f"The labels of dataset.json are not the numbers from 0 to at most {MOST_LABELS - 1}.")
    if len(dataset.get("channel_names", dataset.get("modality", {}))) != 1:
        raise refused("The network wants several images at once; only one is supported.")
    channels = [OTHER] * len(labels)
    channels[0] = "background"
    for name, wanted in (("compartment_left", left), ("compartment_right", right)):
        if not wanted:
            raise refused(f"No label is named for {name}. The network has {_listed(labels)}.")
        for label in wanted:
            number = _number(label, labels)
            if channels[number] != OTHER:
                raise refused(f"Label {label} cannot be {name}: it is {channels[number]} already.")
            channels[number] = name
    return channels


def _number(label: str, labels: dict[str, int]) -> int:
    """The channel of a label that is given by its number or its name."""
    number = int(label) if label.isdecimal() else labels.get(label, -1)
    if number not in labels.values():
        raise refused(f"The network has no label {label!r}; it has {_listed(labels)}.")
    return number


def _listed(labels: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in labels.items())


def configuration(plans: dict[str, Any], name: str) -> dict[str, Any]:
    """One configuration of the plans with what it inherits; refuses a stage of a cascade."""
    known = plans["configurations"]
    chain: list[dict[str, Any]] = []
    following: str | None = name
    while following is not None:
        if following not in known or len(chain) > len(known):
            raise refused(f"The plans do not have the configuration {following!r}.")
        chain.append(known[following])
        following = known[following].get("inherits_from")
    merged: dict[str, Any] = {}
    for part in reversed(chain):
        merged |= part
    if merged.get("previous_stage"):
        raise refused(f"{name} is the second stage of a cascade, which is not supported.")
    return merged


def architecture(plan: dict[str, Any], *, outputs: int) -> Architecture:
    """The network of a configuration, in the words of today's plans."""
    if "architecture" not in plan:
        return _older_architecture(plan, outputs)
    described = plan["architecture"]
    package, _, kind = described["network_class_name"].rpartition(".")
    if kind not in ARCHITECTURES or not package.startswith("dynamic_network_architectures."):
        raise refused(f"The architecture {described['network_class_name']} is not supported.")
    return Architecture(
        kind=kind,
        arguments=dict(described["arch_kwargs"]),
        classes=tuple(described["_kw_requires_import"]),
        patch=tuple(plan["patch_size"]),
        outputs=outputs,
    )


def _older_architecture(plan: dict[str, Any], outputs: int) -> Architecture:
    """Plans from before nnunetv2 2.5 name numbers instead of arguments."""
    kind = plan.get("UNet_class_name")
    if kind not in ARCHITECTURES:
        raise refused(f"The architecture {kind} is not supported.")
    encoder = plan["n_conv_per_stage_encoder"]
    sides = len(plan["patch_size"])
    features = [
        min(plan["UNet_base_num_features"] * 2**stage, plan["unet_max_num_features"])
        for stage in range(len(encoder))
    ]
    arguments = {
        "n_stages": len(encoder),
        "features_per_stage": features,
        "conv_op": f"torch.nn.modules.conv.Conv{sides}d",
        "kernel_sizes": plan["conv_kernel_sizes"],
        "strides": plan["pool_op_kernel_sizes"],
        "n_conv_per_stage" if kind == "PlainConvUNet" else "n_blocks_per_stage": encoder,
        "n_conv_per_stage_decoder": plan["n_conv_per_stage_decoder"],
        "conv_bias": True,
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{sides}d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    return Architecture(
        kind=kind,
        arguments=arguments,
        classes=("conv_op", "norm_op", "nonlin"),
        patch=tuple(plan["patch_size"]),
        outputs=outputs,
    )


def input_table(
    plans: dict[str, Any], plan: dict[str, Any], *, orientation: str, mirror_axes: tuple[int, ...]
) -> dict[str, Any]:
    """The table ``[input]`` of the card."""
    reader = plans.get("image_reader_writer", "SimpleITKIO")
    if reader not in READERS:
        raise refused(f"Images read by {reader} are not volumes of a patient.")
    places = _places(orientation or READERS[reader])
    starts = {axis: start for start, axis in places}
    patch = list(plan["patch_size"])
    if len(patch) not in (2, 3):
        raise refused(f"A patch of {len(patch)} sides is not supported.")
    return {
        "plane": "axial",
        "layout": f"{len(patch)}d",
        "orientation": [starts[1], starts[2]],
        "first_slice": starts[0],
        "axes": [places[axis][1] for axis in plans["transpose_forward"]],
        "spacing_mm": [float(step) for step in plan["spacing"]],
        "patch": patch,
        "overlap": OVERLAP,
        "mirror_axes": list(mirror_axes),
        "normalisation": _normalisation(plan),
        "resampling": {
            "image": _rule(plan, "resampling_fn_data", highest=5),
            "answer": _rule(plan, "resampling_fn_probabilities", highest=1),
        },
    }


def _places(code: str) -> list[tuple[str, int]]:
    """For each axis of an image in memory what its index 0 shows, and which axis it is here.

    Memory runs the other way than the code: its last axis is the file's first.
    """
    if not re.fullmatch(r"[RLAPSI]{3}", code) or {LETTERS[letter][1] for letter in code} != {0, 1, 2}:
        raise refused(f"{code!r} is no orientation such as LPS or RAS.")
    return [LETTERS[letter] for letter in reversed(code)]


def _normalisation(plan: dict[str, Any]) -> dict[str, Any]:
    schemes, masks = plan["normalization_schemes"], plan["use_mask_for_norm"]
    if len(schemes) != 1:
        raise refused("The network wants several images at once; only one is supported.")
    if schemes[0] not in NORMALISATIONS:
        raise refused(f"Images prepared by {schemes[0]} are not MR images of any brightness.")
    kind = NORMALISATIONS[schemes[0]]
    return {"kind": kind, "masked": bool(masks[0]) and kind == "zscore"}


def _rule(plan: dict[str, Any], name: str, *, highest: int) -> dict[str, Any]:
    """One resampling function of the plans."""
    if plan[name] != RESAMPLING:
        raise refused(f"Resampling by {plan[name]} is not supported.")
    options = plan[f"{name}_kwargs"]
    order, order_z = int(options.get("order", 3)), int(options.get("order_z", 0))
    if options.get("is_seg") or not 0 <= order <= highest or order_z not in (0, 1):
        raise refused(f"Resampling with {options} is not supported.")
    # An argument that is left out is False there, not None.
    force = options.get("force_separate_z", False)
    return {
        "order": order,
        "order_z": order_z,
        "separate": {None: "auto", True: "always", False: "never"}[force],
        "threshold": float(options.get("separate_z_anisotropy_threshold", ANISOTROPY)),
    }
