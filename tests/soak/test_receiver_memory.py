"""Memory of the receiver and the worker over many associations, plotted.

``SOAK_ASSOCIATIONS`` (10000) associations of five images each, with a bare connection beside every tenth;
``SOAK_OUT`` (build/soak) gets the table and the figure.
"""

import csv
import os
import socket
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
from sqlalchemy import func, select

from service.db.session import make_sessions, reading
from service.db.tables import Instance
from tests.make import wire
from tests.make.received import encoded
from tests.make.running import running_service
from tests.make.series import mr_slice, save

ASSOCIATIONS = int(os.environ.get("SOAK_ASSOCIATIONS", "10000"))
OUT = Path(os.environ.get("SOAK_OUT", "build/soak"))
IMAGES = 5
#: Images of one series; a thousand is a long one.
SERIES_LENGTH = 1000
#: A leak of one buffer of an association (256 kB) in a hundred associations would be 2.5 MB in a thousand.
#: Chosen by us as a tenth of that.
MOST_MB_PER_THOUSAND = 0.25
#: Stands in the template, and is replaced by numbers of the same length.
INSTANCE, SERIES, POSITION = "1.2.3.4.7777777777", "1.2.3.4.5.888888", "7777.77"


def template(path):
    """An encoded image in which the identifiers and the position can be replaced."""
    dataset = mr_slice(SOPInstanceUID=INSTANCE, SeriesInstanceUID=SERIES)
    dataset.ImagePositionPatient = ["0", "0", POSITION]
    return encoded(save(dataset, path))[0]


def image(raw, number):
    """One image of the soak: its identifier and its bytes."""
    uid = f"1.2.3.4.{1_000_000_000 + number}"
    series = f"1.2.3.4.5.{100_000 + number // SERIES_LENGTH}"
    position = f"{4 * (number % SERIES_LENGTH):07.2f}"
    changes = ((INSTANCE, uid), (SERIES, series), (POSITION, position))
    for old, new in changes:
        raw = raw.replace(old.encode(), new.encode())
    return uid, raw


def visit(port, raw, number):
    """One association with five images, all of which must be kept."""
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(wire.associate_request())
        assert wire.read_pdu(connection)[0] == 0x02
        for index in range(IMAGES):
            connection.sendall(b"".join(wire.store_request(*image(raw, number * IMAGES + index))))
            assert wire.status_of(wire.read_pdu(connection)[1]) == 0x0000
        connection.sendall(wire.release_request())
        assert wire.read_pdu(connection)[0] == 0x06
    if number % 10 == 0:
        socket.create_connection(("127.0.0.1", port), 60).close()


def resident_mb(pid):
    """Memory of a process that is in use."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def slope(rows, column):
    """MB for each thousand associations, over the second half: caches are full by then."""
    half = rows[len(rows) // 2 :]
    return float(
        np.polyfit([row["associations"] / 1000 for row in half], [row[column] for row in half], 1)[0]
    )


def draw(rows, slopes):
    """The figure: memory over associations."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the backend is chosen

    figure, axes = plt.subplots(figsize=(7, 4))
    for column, name in (("receiver_mb", "receiver"), ("worker_mb", "worker")):
        axes.plot(
            [row["associations"] for row in rows],
            [row[column] for row in rows],
            label=f"{name}: {slopes[column]:+.3f} MB for 1000 associations",
        )
    axes.set(xlabel=f"associations ({IMAGES} images each)", ylabel="resident memory (MB)", ylim=(0, None))
    axes.legend()
    figure.tight_layout()
    figure.savefig(OUT / "memory.png", dpi=120)
    plt.close(figure)


def test_memory_stays_flat_over_associations_and_probes(tmp_path):
    OUT.mkdir(parents=True, exist_ok=True)
    raw, rows, begun = template(tmp_path / "template.dcm"), [], time.monotonic()
    with running_service(tmp_path / "home", doors=("receive", "work", "web")) as service:
        pids = {name: service.processes[name].pid for name in ("receive", "work")}
        for number in range(ASSOCIATIONS):
            visit(service.dicom_port, raw, number)
            if number % max(ASSOCIATIONS // 200, 1) == 0:
                rows.append(
                    {
                        "seconds": round(time.monotonic() - begun, 1),
                        "associations": number + 1,
                        "receiver_mb": resident_mb(pids["receive"]),
                        "worker_mb": resident_mb(pids["work"]),
                    }
                )
        sessions = make_sessions(f"sqlite:///{service.home / 'myoscreen.db'}")
        with reading(sessions) as db:
            kept = db.execute(select(func.count()).select_from(Instance)).scalar_one()
        sessions.kw["bind"].dispose()
    with (OUT / "memory.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    slopes = {column: slope(rows, column) for column in ("receiver_mb", "worker_mb")}
    draw(rows, slopes)
    for column, value in slopes.items():
        ends = [round(rows[index][column], 1) for index in (0, len(rows) // 2, -1)]
        print(f"{column}: first, middle, last {ends}; {value:+.3f} MB for 1000 associations")
    assert kept == ASSOCIATIONS * IMAGES
    assert slopes["receiver_mb"] < MOST_MB_PER_THOUSAND
