"""What an analysis keeps beside its objects so that they can be made again without the images.

One file in the folder of the result: the header of the first image of each stack, where the slices lie,
the key slices as they were drawn, and what of the network shapes a score. Whoever measures writes it;
``rescore`` and ``replay`` read it.
"""

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from service.core.inputset import InputSet
from service.core.norms import Repeatability
from service.core.plain import from_plain
from service.core.series import Role, StackFacts
from service.core.volume import Grid
from service.dicom.remnant import remnant_of, remnant_path
from service.dicom.stack import FrameRef, Stack, StudyFacts
from service.errors import InvalidRequest
from service.pictures.overlay import KeySlice, from_png, png
from service.pipeline.inputs import Inputs
from service.pipeline.keepsake import KEPT_NAME, require_kept

SCHEMA = "myoscreen.kept/1"
_FACTS = "kept.json"
#: Dates of files in the archive, so that the same content gives the same bytes: the earliest that ZIP knows.
_NO_DATE = (1980, 1, 1, 0, 0, 0)
#: What reading such an archive raises where bits of it are not what they were: for one changed bit in five
#: zlib itself speaks, and RuntimeError means a way of packing or of encryption that is none of ours.
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, EOFError, RuntimeError),
    *(ValueError, TypeError, LookupError, AttributeError),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Kept:
    """What is left of an analysis beside its finding and its objects."""

    inputs: Inputs
    key_slices: tuple[KeySlice, ...]
    #: Digest of everything that shaped the mask, as it stands in the identifiers.
    mask_digest: str
    #: Of the network that measured, by contrast.
    repeatability: Mapping[str, Repeatability]
    #: Kind of device that the network ran on.
    device: str


def write_kept(kept: Kept, out: Path) -> None:
    """Write it into the folder of the result; raises UnreadableSeries for a header that cannot be kept."""
    stacks = [stack for _, stack in kept.inputs.stacks]
    parts: dict[str, bytes] = {_FACTS: json.dumps(_facts(kept), allow_nan=False).encode("utf-8")}
    parts |= {remnant_path(Path(), index).name: remnant_of(stack) for index, stack in enumerate(stacks)}
    parts |= {_slice_name(index): png(each.rgb) for index, each in enumerate(kept.key_slices)}
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name, _NO_DATE), content, zipfile.ZIP_DEFLATED)
    (out / KEPT_NAME).write_bytes(buffer.getvalue())


def read_kept(folder: Path, desk: Path) -> Kept:
    """What was kept in a result's folder; its headers are laid on ``desk``, which must stay while it is used.

    Raises InvalidRequest where nothing was kept, or it cannot be understood.
    """
    path = require_kept(folder)
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive, desk)
    except _DAMAGED as error:
        raise InvalidRequest(
            "What was kept of this analysis cannot be read. Run it again.", reason="kept_unreadable"
        ) from error


def _slice_name(index: int) -> str:
    return f"slice-{index}.png"


def _facts(kept: Kept) -> dict[str, Any]:
    """Everything but headers and pictures, ready for JSON."""
    return {
        "schema": SCHEMA,
        "stacks": [_stack(role, stack) for role, stack in kept.inputs.stacks],
        "evidence": kept.inputs.evidence,
        "slices": [
            {name: value for name, value in vars(each).items() if name != "rgb"} for each in kept.key_slices
        ],
        "mask_digest": kept.mask_digest,
        "repeatability": {contrast: asdict(spread) for contrast, spread in kept.repeatability.items()},
        "device": kept.device,
    }


def _stack(role: Role, stack: Stack) -> dict[str, Any]:
    """One stack; where its files lay is of no use any more."""
    grid = {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in vars(stack.grid).items()
        if name in Grid.__dataclass_fields__
    }
    return {
        "role": role.value,
        "facts": json.loads(json.dumps(asdict(stack.facts), default=_as_text)),
        "grid": grid,
        "newest_time": stack.newest_time.isoformat(),
        "frames": [[frame.sop_instance_uid, frame.frame] for frame in stack.frames],
        "study": asdict(stack.study),
    }


def _as_text(value: object) -> str:
    """A time as JSON has it."""
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be kept")


def _read(archive: zipfile.ZipFile, desk: Path) -> Kept:
    facts = json.loads(archive.read(_FACTS))
    if facts["schema"] != SCHEMA:
        raise ValueError("another schema")
    stacks = []
    for index, content in enumerate(facts["stacks"]):
        path = remnant_path(desk, index)
        path.write_bytes(archive.read(path.name))
        stacks.append((Role(content["role"]), _read_stack(content, path)))
    slices = (
        KeySlice(rgb=from_png(archive.read(_slice_name(index))), **content)
        for index, content in enumerate(facts["slices"])
    )
    return Kept(
        inputs=InputSet(stacks=tuple(stacks), evidence=facts["evidence"]),
        key_slices=tuple(slices),
        mask_digest=facts["mask_digest"],
        repeatability={name: Repeatability(**spread) for name, spread in facts["repeatability"].items()},
        device=facts["device"],
    )


def _read_stack(content: dict[str, Any], path: Path) -> Stack:
    """One stack, of whose files the header alone is there."""
    grid = dict(content["grid"])
    for name in ("origins_mm", "column_direction", "row_direction"):
        grid[name] = np.array(grid[name], dtype=np.float64)
    return Stack(
        facts=from_plain(StackFacts, content["facts"]),
        grid=Grid(**{**grid, "pixel_spacing_mm": tuple(grid["pixel_spacing_mm"])}),
        newest_time=datetime.fromisoformat(content["newest_time"]),
        frames=tuple(
            FrameRef(path=path, frame=frame, sop_instance_uid=uid) for uid, frame in content["frames"]
        ),
        study=from_plain(StudyFacts, content["study"]),
    )
