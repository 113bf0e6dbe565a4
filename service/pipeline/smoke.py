"""A trial of a network before it may be activated: a process of its own opens it and shows it the phantom.

Run as ``python -m service.pipeline.smoke`` with a recipe as JSON on standard input; one line of JSON comes
back. A network that hangs, crashes or takes too much memory takes nothing along; where the machine itself is
short of memory it goes first.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any

from service.errors import ModelMismatch
from service.processes import resident_mb

#: Slices of the phantom that it is shown; chosen by us: enough for a patch, and a few seconds.
SLICES = 8
#: For all of it; chosen by us: TensorRT may take minutes to build its engine.
LONGEST_SECONDS = 600.0
#: How often it is looked at; chosen by us, as for runners.
LOOK_SECONDS = 0.2
COMMAND = (sys.executable, "-m", "service.pipeline.smoke")
#: Of one process's trials, so that a button pressed twice does not open the network twice.
_one_at_a_time = Lock()


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came of it."""

    provider: str
    precision: str
    #: Share of the phantom's compartment that it drew, from 0 to 1.
    found: float


def try_network(
    folder: Path,
    *,
    providers: tuple[str, ...],
    precision: str,
    threads: int,
    env: Mapping[str, str],
    memory_mb: int | None = None,
    seconds: float = LONGEST_SECONDS,
) -> Trial:
    """Show the phantom to the network in this folder; raises ModelMismatch with what is wrong.

    ``env`` is the environment of the process, which is to know no secret; ``memory_mb`` what it may hold.
    """
    order = {
        "folder": str(folder.absolute()),
        "providers": providers,
        "precision": precision,
        "threads": threads,
    }
    try:
        with _one_at_a_time:
            said = _said(json.dumps(order), env, seconds, memory_mb)
        answer = json.loads(said.strip().splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise _unusable("Its process ended without an answer.") from error
    if "reason" in answer:
        raise ModelMismatch(answer["text"], reason=answer["reason"])
    return Trial(**answer)


def _said(order: str, env: Mapping[str, str], seconds: float, memory_mb: int | None) -> str:
    """What the process printed; raises ModelMismatch, and ends it, where it takes too long or too much."""
    ends, unsaid = monotonic() + seconds, order
    with subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=dict(env),
    ) as process:
        try:
            while True:
                try:
                    return str(process.communicate(unsaid, timeout=LOOK_SECONDS)[0])
                except subprocess.TimeoutExpired:
                    unsaid = ""
                if monotonic() > ends:
                    raise _unusable("It did not answer in time.")
                if memory_mb is not None and resident_mb(process.pid) > memory_mb:
                    raise _unusable("It took more memory than it may.")
        finally:
            process.kill()


def _unusable(why: str) -> ModelMismatch:
    return ModelMismatch(f"The trial of the network failed. {why}", reason="network_not_usable")


def main() -> None:
    """The process of the trial."""
    with suppress(OSError):  # Some containers do not allow it.
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
    order: dict[str, Any] = json.loads(sys.stdin.read())
    sys.stdout.write(json.dumps(_tried(order)) + "\n")


def _tried(order: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be answered."""
    from service.errors import ServiceError  # noqa: PLC0415 - as below

    try:
        return _answer(order)
    except ServiceError as error:
        return {"reason": error.reason.code, "text": error.reason.text}
    except Exception as error:  # noqa: BLE001 - a network may fail in any way; nothing of it is activated then
        text = f"The trial of the network failed: {type(error).__name__}."
        return {"reason": "network_not_usable", "text": text}


def _answer(order: Mapping[str, Any]) -> dict[str, Any]:
    """Open the network and have it draw."""
    # The other side of this module, which starts the process, loads none of these.
    import numpy as np  # noqa: PLC0415

    from service.core.volume import Volume  # noqa: PLC0415
    from service.dicom.phantom import paraspinal_phantom  # noqa: PLC0415
    from service.dicom.synthesis import axial_grid  # noqa: PLC0415
    from service.errors import ProviderUnavailable  # noqa: PLC0415
    from service.inference.card import read_card  # noqa: PLC0415
    from service.inference.sliding import load_segmenter  # noqa: PLC0415

    card = read_card(Path(order["folder"]))
    threads = int(order["threads"])
    try:
        segmenter = load_segmenter(
            card, providers=tuple(order["providers"]), precision=order["precision"], threads=threads
        )
    except ProviderUnavailable:
        # The worker may be another machine: what this one has says whether the network runs at all.
        segmenter = load_segmenter(card, threads=threads)
    drawn = paraspinal_phantom(contrast=next(iter(card.fat_methods), "t2_tse"), slices=SLICES)
    grid = axial_grid(drawn.image.shape, drawn.spacing_mm)
    volume = Volume(values=drawn.image.astype(np.float32), grid=grid)
    labels = segmenter.segment(volume).compartment
    if labels.shape != drawn.labels.shape:
        raise ModelMismatch("The network draws another number of voxels than it was shown.")
    return {
        "provider": segmenter.provider,
        "precision": segmenter.precision,
        "found": round(float((labels[drawn.labels > 0] > 0).mean()), 4),
    }


if __name__ == "__main__":
    main()
