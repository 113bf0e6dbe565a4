"""`make bench`: what the service adds to the network, and how fast it takes images in.

Ratios are taken side by side in one run, because absolute times are those of the machine.
"""

import argparse
import json
import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path

from pynetdicom import AE, evt

from service.dicom.archive import Archive
from service.dicom.scp import MAXIMUM_PDU_SIZE, TRANSFER_SYNTAXES
from service.dicom.synthesis import write_phantom
from tests.make.running import RunningService, free_port, running_service, wait_for
from tests.make.tools import storescu

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
#: One routine lumbar series, as the issue names it.
SLICES, ROWS, COLUMNS = 30, 320, 320
QUIET_SECONDS = 1.0


def main() -> None:
    """Measure, and print one line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        figures = {**turnaround(Path(scratch), arguments.repeats), **ingest(Path(scratch), arguments.repeats)}
    for name, value in figures.items():
        print(f"{name:48} {value:8.3f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


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


def ingest(scratch: Path, repeats: int) -> dict[str, float]:
    """Images a second that are taken in durably, beside a receiver of the same library that keeps nothing."""
    images = write_phantom(scratch / "ingest", slices=200, rows=ROWS, columns=COLUMNS, seed=99)
    kept, nothing = [], []
    for repeat in range(repeats):
        with running_service(scratch / f"ingest-home-{repeat}", doors=("receive", "web")) as service:
            kept.append(_rate(service.dicom_port, images))
        port = free_port()
        null = AE(ae_title="MYOSCREEN")
        null.maximum_pdu_size = MAXIMUM_PDU_SIZE
        null.add_supported_context(MR_IMAGE, list(TRANSFER_SYNTAXES))
        server = null.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _event: 0x0000)]
        )
        nothing.append(_rate(port, images))
        server.shutdown()
    mine, floor = statistics.median(kept), statistics.median(nothing)
    return {
        "ingest_instances_per_s": mine,
        "ingest_null_handler_instances_per_s": floor,
        "ingest_ratio_to_null_handler": mine / floor,
    }


def _rate(port: int, images: list[Path]) -> float:
    start = time.perf_counter()
    storescu(port, images)
    return len(images) / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
