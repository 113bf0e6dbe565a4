"""`make bench`: how fast network and service are, how fast images come in, and how fast pages answer.

Ratios are taken side by side in one run, because absolute times are those of the machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import onnxruntime

from service.core import prepare
from service.core.volume import Volume
from service.dicom.archive import Archive
from service.dicom.phantom import paraspinal_phantom
from service.dicom.synthesis import axial_grid, write_phantom
from service.inference.card import Card, read_card, whole_slices
from service.inference.providers import CPU
from service.inference.segmenter import OnnxSegmenter
from service.pipeline.references import bundled_models_dir
from tests.bench_ingest import ingest
from tests.bench_objects import objects
from tests.bench_pages import pages
from tests.make.running import RunningService, free_port, running_service, wait_for
from tests.make.tools import storescu

#: One routine lumbar series, as the issue names it.
SLICES, ROWS, COLUMNS = 30, 320, 320
QUIET_SECONDS = 1.0
#: Series whose network time the issue limits: a routine one, and a long HASTE.
SERIES = ((SLICES, ROWS, COLUMNS), (200, 320, 260))
#: Slices of the phantom that are drawn and repeated; the time of a network does not depend on what it sees.
DRAWN = 10


def main() -> None:
    """Measure, and print one line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parts = {
        "network": network,
        "memory": memory,
        "turnaround": turnaround,
        "ingest": ingest,
        "objects": objects,
        "pages": pages,
    }
    parser.add_argument("--only", choices=parts, action="append", help="this part; repeatable")
    arguments = parser.parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.only or parts:
            figures |= parts[name](Path(scratch), arguments.repeats)
    for name, value in figures.items():
        print(f"{name:48} {value:8.3f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


def network(_scratch: Path, repeats: int) -> dict[str, float]:
    """Seconds of the network with all that belongs to it, and how many times plain ONNX Runtime takes that.

    Plain: the bare network in fp32 with ONNX Runtime's own settings, slice after slice, as often as the
    card has each slice seen, in turn with ours.
    """
    card = read_card(bundled_models_dir() / "paraspinal")
    ours = OnnxSegmenter(card)
    print(f"network on {ours.provider} in {ours.precision}")
    figures = {}
    for shape in SERIES:
        drawn = paraspinal_phantom(slices=DRAWN, rows=shape[1], columns=shape[2])
        values = np.tile(drawn.image.astype(np.float32), (shape[0] // DRAWN, 1, 1))
        volume = Volume(values=values, grid=axial_grid(values.shape, drawn.spacing_mm))
        plain = _plain_onnxruntime(card, volume)
        ours.segment(Volume(values=values[:2], grid=axial_grid((2, *shape[1:]), drawn.spacing_mm)))
        times = [(_seconds(lambda: ours.segment(volume)), _seconds(plain)) for _ in range(repeats)]  # noqa: B023
        mine, theirs = (statistics.median(seconds) for seconds in zip(*times, strict=True))
        name = "network_" + "x".join(str(length) for length in shape)
        figures |= {f"{name}_s": mine, f"{name}_plain_onnxruntime_s": theirs}
        figures[f"{name}_times_faster_than_plain"] = theirs / mine
    return figures


def _plain_onnxruntime(card: Card, volume: Volume) -> Callable[[], None]:
    """A run of the bare network over as many images of the size that it sees of this volume."""
    contract = whole_slices(card)
    grid = volume.grid
    size = prepare.resampled_shape((grid.rows, grid.columns), grid.pixel_spacing_mm, contract.spacing_mm)
    image = prepare.pad_to_multiple(prepare.resample(volume.values[0], size), contract.pad_multiple)
    session = onnxruntime.InferenceSession(str(card.path), providers=[CPU])
    feed = {session.get_inputs()[0].name: np.ascontiguousarray(image[np.newaxis, np.newaxis])}
    passes = len(volume.values) * (2 if contract.tta == "flip_columns" else 1)

    def run() -> None:
        for _ in range(passes):
            session.run(None, feed)

    return run


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def memory(scratch: Path, _repeats: int) -> dict[str, float]:
    """The most memory that an analysis of 200 slices takes, in a process of its own."""
    write_phantom(scratch / "long", slices=SERIES[1][0], rows=SERIES[1][1], columns=SERIES[1][2], seed=98)
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "analyse", scratch / "long", "--out", scratch / "long-results"]
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"the analysis ended with {process.returncode}")
    return {"analysis_of_200_slices_peak_mb": usage.ru_maxrss * 1024 / 1e6}


def turnaround(scratch: Path, repeats: int) -> dict[str, float]:
    """Seconds from the last image to the last result stored, and what of it is not quiet time or network."""
    port = free_port()
    archive = Archive(scratch / "archive", ae_title="ARCHIVE").start(port)
    peers = (
        {
            "name": "archive",
            "ae_title": "ARCHIVE",
            "host": "127.0.0.1",
            "port": port,
            "outputs": ["SEG", "SR", "SC", "PDF"],
        },
        {"name": "sender", "ae_title": "SENDER", "host": "127.0.0.1"},
    )
    rows = []
    try:
        # Default sweep, so that the figure is what a hospital gets.
        with running_service(
            scratch / "home", peers=peers, quiet_seconds=str(QUIET_SECONDS), sweep_seconds="0.5"
        ) as service:
            for seed in range(1, repeats + 1):
                images = write_phantom(
                    scratch / f"series-{seed}", slices=SLICES, rows=ROWS, columns=COLUMNS, seed=seed
                )
                storescu(service.dicom_port, images)
                rows.append(_one(service, seed))
    finally:
        archive.stop()
    return {f"turnaround_{name}_s": statistics.median(row[name] for row in rows) for name in rows[0]}


def _one(service: RunningService, count: int) -> dict[str, float]:
    """Wait for one more result, and take its times from the ledger."""

    def delivered() -> list[dict]:
        items = service.get("/api/v1/deliveries", limit=100)["items"]
        return items if len(items) == 4 * count and {item["state"] for item in items} == {"sent"} else []

    items = wait_for("delivery", delivered)
    newest = max(item["analysis_id"] for item in items)
    analysis = service.get(f"/api/v1/analyses/{newest}")
    sent = max(_time(item["sent_at"]) for item in items if item["analysis_id"] == newest)
    total = (sent - _time(analysis["inputs"][0]["last_at"])).total_seconds()
    network = analysis["timings"]["network"]
    steps = {step: analysis["timings"][step] for step in ("scan", "decode", "measure", "objects")}
    return {
        "total": total,
        "network": network,
        "less_quiet_and_network": total - network - QUIET_SECONDS,
        **steps,
    }


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


if __name__ == "__main__":
    main()
