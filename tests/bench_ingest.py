"""Images a second that receivers take in: dcmtk's, Orthanc, a plain pynetdicom application, and ours.

The same files, the same sender, one after the other in turn, with one sender and with four; each round
has identifiers of its own, so that no receiver sees an image twice. Only the ratios are those of the
programs; the rates are those of the machine as it was.
"""

import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from service.dicom.synthesis import write_phantom
from tests.make.running import free_port, running_service, wait_for
from tests.make.servers import dcmtk, end, listens, start_orthanc

SENDERS = (1, 4)
#: Series of which each has one sender, where there are four.
SERIES, SLICES, ROWS, COLUMNS = 4, 100, 320, 320
#: What people write first with the library.
PLAIN = """
import sys
from pathlib import Path
from pynetdicom import AE, AllStoragePresentationContexts, evt

def store(event):
    dataset = event.dataset
    dataset.file_meta = event.file_meta
    dataset.save_as(Path(sys.argv[2]) / dataset.SOPInstanceUID, enforce_file_format=True)
    return 0x0000

ae = AE()
ae.supported_contexts = AllStoragePresentationContexts
ae.start_server(("127.0.0.1", int(sys.argv[1])), evt_handlers=[(evt.EVT_C_STORE, store)])
"""


def ingest(scratch: Path, repeats: int) -> dict[str, float]:
    """Rates by receiver and number of senders, and what ours is of each of the others."""
    originals = [
        write_phantom(scratch / f"ingest-{seed}", slices=SLICES, rows=ROWS, columns=COLUMNS, seed=100 + seed)
        for seed in range(SERIES)
    ]
    rates: dict[tuple[str, int], list[float]] = {}
    with ExitStack() as stack:
        ports = {name: stack.enter_context(start(scratch / name)) for name, start in RECEIVERS.items()}
        number = 0
        for repeat in range(-1, repeats):
            for senders in SENDERS:
                number += 1
                folders = _fresh(originals, scratch / "round", number)
                for name in sorted(ports, key=lambda name: (repeat % 2 == 0, name)):
                    rate = _rate(ports[name], folders, senders)
                    if repeat >= 0:  # The first round warms everything up.
                        rates.setdefault((name, senders), []).append(rate)
    figures = {"ingest_disk_sync_ms": _sync_ms(scratch)}
    for senders in SENDERS:
        mine = rates["ours", senders]
        for name in RECEIVERS:
            figures[f"ingest_{senders}_{name}_per_s"] = statistics.median(rates[name, senders])
        for name in RECEIVERS:
            if name != "ours":
                ratios = [ours / other for ours, other in zip(mine, rates[name, senders], strict=True)]
                figures[f"ingest_{senders}_ratio_to_{name}"] = statistics.median(ratios)
    return figures


def _sync_ms(folder: Path) -> float:
    """How long the disk takes to make one small write durable: Orthanc waits once for it, we three times."""
    times = []
    with (folder / "sync").open("wb") as file:
        for _ in range(100):
            file.write(bytes(4096))
            file.flush()
            begun = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1000


def _fresh(originals: list[list[Path]], folder: Path, number: int) -> list[Path]:
    """The same images under new identifiers of the same length; a folder for each series."""
    folders = []
    for series, paths in enumerate(originals):
        target = folder / str(series)
        target.mkdir(parents=True, exist_ok=True)
        for path in paths:
            # Identifiers of ours are 2.25 and some 38 digits, of which six are given away here.
            content = re.sub(rb"2\.25\.\d{6}(?=\d{20})", b"2.25.%06d" % (100000 + number), path.read_bytes())
            (target / path.name).write_bytes(content)
        folders.append(target)
    return folders


def _rate(port: int, folders: list[Path], senders: int) -> float:
    """Images a second, from the start of the senders to the end of the last."""
    command = [dcmtk("storescu"), "-aec", "MYOSCREEN", "-aet", "SENDER", "+sd", "127.0.0.1", str(port)]
    calls = [folders] if senders == 1 else [[folder] for folder in folders]
    # Without this each image waits 40 ms for a delayed acknowledgement, whoever receives.
    environment = {**os.environ, "TCP_NODELAY": "1"}
    begun = time.perf_counter()
    running = [subprocess.Popen([*command, *call], env=environment) for call in calls]
    codes = [process.wait(300) for process in running]
    seconds = time.perf_counter() - begun
    if any(codes):
        raise SystemExit(f"a sender to port {port} failed: {codes}")
    return SERIES * SLICES / seconds


@contextmanager
def _program(*command: str, port: int) -> Iterator[int]:
    """A receiver that is one process."""
    environment = {**os.environ, "TCP_NODELAY": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("the receiver to listen", lambda: listens(port), seconds=30)
        yield port
    finally:
        end(process)


@contextmanager
def _storescp(folder: Path) -> Iterator[int]:
    folder.mkdir()
    port = free_port()
    with _program(dcmtk("storescp"), "+B", "--fork", "-od", str(folder), str(port), port=port) as found:
        yield found


@contextmanager
def _plain_pynetdicom(folder: Path) -> Iterator[int]:
    folder.mkdir()
    port = free_port()
    with _program(sys.executable, "-c", PLAIN, str(port), str(folder), port=port) as found:
        yield found


@contextmanager
def _orthanc(folder: Path) -> Iterator[int]:
    with start_orthanc(folder) as orthanc:
        yield orthanc.dicom_port


@contextmanager
def _ours(folder: Path) -> Iterator[int]:
    with running_service(folder, doors=("receive", "web")) as service:
        yield service.dicom_port


RECEIVERS: dict[str, Callable[[Path], object]] = {
    "dcmtk": _storescp,
    "orthanc": _orthanc,
    "pynetdicom": _plain_pynetdicom,
    "ours": _ours,
}
