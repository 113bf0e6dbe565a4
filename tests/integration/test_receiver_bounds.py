"""What the receiver bears: too much, too long, too many, nonsense; and that nothing of it stays behind."""

import gc
import logging
import os
import random
import socket
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from pynetdicom import AE, build_role
from sqlalchemy import select

from service.db import ledger
from service.db.session import reading
from service.db.tables import Instance, Series
from service.dicom import scu
from service.dicom.association import Association, Wire
from service.dicom.callers import CallerList
from service.dicom.scp import Bounds, Listener, Receiver
from service.dicom.spool import Spool
from tests.fuzz.wire import good_session, mutate, play
from tests.make import wire
from tests.make.received import encoded
from tests.make.running import free_port, wait_for
from tests.make.series import mr_series, mr_slice, save

SEED = 20261123
MUTATIONS = 1500


def send(door, *paths):
    to = scu.Address(host="127.0.0.1", port=door.port, ae_title="MYOSCREEN", calling_ae="SCANNER")
    return [outcome.status for outcome in scu.store(paths, to)]


def rows(door, table=Instance):
    with reading(door.sessions) as db:
        return db.scalars(select(table)).all()


def counters(door):
    with reading(door.sessions) as db:
        return ledger.counters(db)


def files_in(spool):
    return [path for path in spool.rglob("*") if path.is_file()]


@contextmanager
def connected(door, request=None):
    """A connection on which an association was asked for."""
    with socket.create_connection(("127.0.0.1", door.port), 20) as connection:
        connection.sendall(wire.associate_request() if request is None else request)
        yield connection


def all_gone(door):
    wait_for("the connections to end", lambda: not door.receiver.associations(), seconds=30)


# Room on the disk


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 24 MB where the spool will lie."""
    folder = tmp_path / "home" / "spool"
    folder.mkdir(parents=True, mode=0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_below_the_low_mark_images_are_refused_until_the_upper_mark_is_reached(
    open_door, small_disk, tmp_path
):
    door = open_door(spool_min_free_mb=8, spool_resume_free_mb=16)
    first, second = mr_series(tmp_path / "in", positions=[0.0, 4.0])
    assert send(door, first) == [0x0000]
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(18_000_000))
    assert send(door, second) == [0xA700]
    assert (len(rows(door)), len(files_in(small_disk))) == (1, 2)
    assert door.detail()["spool_full"] is True
    os.truncate(ballast, 13_000_000)  # Above the low mark, below the upper.
    assert send(door, second) == [0xA700]
    os.truncate(ballast, 1_000_000)
    assert door.detail()["spool_full"] is False
    assert send(door, second) == [0x0000]
    assert counters(door) == {"instances_refused_disk": 2}


def test_a_disk_that_fills_up_in_the_middle_leaves_no_half_file_and_no_row(open_door, small_disk, tmp_path):
    door = open_door(spool_min_free_mb=0)
    (small_disk / "ballast").write_bytes(bytes(23_000_000))
    pixels = {"Rows": 2048, "Columns": 2048, "PixelData": bytes(2 * 2048 * 2048)}
    (large,) = mr_series(tmp_path / "large", positions=[0.0], changes=pixels)
    small, _ = mr_series(tmp_path / "small", positions=[4.0, 8.0])
    assert send(door, large, small) == [0xA700, 0x0000]
    assert len(rows(door)) == 1
    assert len(files_in(small_disk)) == 2


# Too many, too long, too large


def test_one_association_too_many_is_rejected_for_now(open_door, tmp_path):
    door = open_door(max_associations=2)
    (path,) = mr_series(tmp_path / "in", positions=[0.0])
    with connected(door) as one, connected(door) as two:
        assert [wire.read_pdu(one)[0], wire.read_pdu(two)[0]] == [0x02, 0x02]
        with connected(door) as third:
            # Rejected, transient, by the provider (presentation), local limit exceeded (PS3.8 Table 9-21).
            assert wire.read_pdu(third) == (0x03, bytes((0, 2, 3, 2)))
        one.sendall(wire.release_request())
        assert wire.read_pdu(one)[0] == 0x06
        one.close()
        wait_for("the place to be free", lambda: len(door.receiver.associations()) < 2)
        assert send(door, path) == [0x0000]


def test_connections_are_bounded_too(open_door):
    door = open_door(max_associations=1)
    silent = [socket.create_connection(("127.0.0.1", door.port), 20) for _ in range(40)]
    closed = [connection for connection in silent[-10:] if connection.recv(1) == b""]
    assert len(closed) == 10
    assert len(door.receiver.associations()) <= 21
    for connection in silent:
        connection.close()
    all_gone(door)


def test_a_silent_caller_is_cut_off(open_door):
    door = open_door(association_idle_seconds=0.2)
    with connected(door) as connection:
        assert wire.read_pdu(connection)[0] == 0x02
        assert wire.read_pdu(connection)[0] == 0
    all_gone(door)


def test_a_larger_image_than_allowed_is_refused_and_the_association_goes_on(open_door, tmp_path):
    door = open_door(max_instance_mb=1)
    pixels = {"Rows": 1024, "Columns": 1024, "PixelData": bytes(2 * 1024 * 1024)}
    (large,) = mr_series(tmp_path / "large", positions=[0.0], changes=pixels)
    small, _ = mr_series(tmp_path / "small", positions=[4.0, 8.0])
    assert send(door, large, small) == [0xC000, 0x0000]
    assert counters(door) == {"instances_too_large": 1}
    assert len(files_in(tmp_path / "home" / "spool")) == 1


def test_an_identity_far_behind_a_long_private_element_is_found(open_door, tmp_path):
    door = open_door()
    dataset = mr_slice()
    dataset.add_new(0x00090010, "LO", "TEST")
    dataset.add_new(0x00091001, "OB", bytes(300_000))
    assert send(door, save(dataset, tmp_path / "long.dcm")) == [0x0000]


# What is not understood


def test_an_operation_that_is_not_offered_is_answered(open_door):
    door = open_door()
    find = {0x0002: wire.uid(wire.MR_IMAGE), 0x0100: wire.us(0x0020), 0x0110: wire.us(9), 0x0800: wire.us(1)}
    with connected(door) as connection:
        wire.read_pdu(connection)
        connection.sendall(wire.data(1, 3, wire.command_set(find)) + wire.data(1, 2, bytes(20)))
        kind, body = wire.read_pdu(connection)
        assert (kind, wire.status_of(body)) == (0x04, 0x0211)
        connection.sendall(wire.echo_request())
        assert wire.status_of(wire.read_pdu(connection)[1]) == 0x0000


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 1),
        (wire.pdu(0x04, bytes(6)), 2),
        (wire.pdu(0x01, bytes(10)), 6),
        (b"\x01\x00\xff\xff\xff\xff", 6),
        (wire.associate_request() + wire.pdu(0x04, b"\xff\xff\xff\xff\x01\x03"), 6),
        (wire.associate_request() + b"\x04\x00\x7f\xff\xff\xff", 6),
        (wire.associate_request() + wire.data(99, 3, b""), 6),
        (wire.associate_request() + wire.data(1, 2, b"dataset"), 5),
        (wire.associate_request() + wire.associate_request(), 2),
    ],
)
def test_what_breaks_the_protocol_is_aborted_with_its_reason(open_door, said, reason):
    door = open_door()
    with socket.create_connection(("127.0.0.1", door.port), 20) as connection:
        connection.sendall(said)
        answers = [wire.read_pdu(connection)]
        if answers[0][0] == 0x02:
            answers.append(wire.read_pdu(connection))
    assert answers[-1] == (0x07, bytes((0, 0, 2, reason)))


@pytest.mark.parametrize(
    ("change", "answer"), [({"application": "1.2.3"}, (1, 1, 2)), ({"version": 2}, (1, 2, 2))]
)
def test_another_protocol_is_rejected(open_door, change, answer):
    with connected(open_door(), wire.associate_request(**change)) as connection:
        assert wire.read_pdu(connection) == (0x03, bytes((0, *answer)))


def test_a_peer_that_takes_only_small_pieces_gets_small_pieces(open_door):
    with connected(open_door(), wire.associate_request(maximum=32)) as connection:
        wire.read_pdu(connection)
        connection.sendall(wire.echo_request())
        body, last = b"", 0
        while not last:
            _, piece = wire.read_pdu(connection)
            assert len(piece) <= 32
            body, last = body + piece[6:], piece[5] & 2
    assert wire.status_of(bytes(6) + body) == 0x0000


def test_a_report_about_commitment_reaches_the_door(tmp_path):
    reports = []
    listener = Listener(
        on_instance=lambda _: None,
        on_refused=lambda _: None,
        on_rejected=lambda _: None,
        on_report=lambda report: reports.append(report) or 0x0000,
    )
    door = Receiver(
        host="127.0.0.1",
        port=free_port(),
        callers=CallerList([], ae_title="MYOSCREEN"),
        spool=Spool(tmp_path / "spool"),
        listener=listener,
        bounds=Bounds(),
    )
    push, instance = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
    application = AE(ae_title="PACS")
    application.add_requested_context(push)
    try:
        association = application.associate(
            "127.0.0.1",
            door.port,
            ae_title="MYOSCREEN",
            ext_neg=[build_role(push, scu_role=False, scp_role=True)],
        )
        assert association.is_established
        assert association.accepted_contexts[0].as_scp
        information = mr_slice()
        information.TransactionUID = "1.2.3.77"
        status, _ = association.send_n_event_report(information, 1, push, instance)
        association.release()
    finally:
        door.stop()
    assert status.Status == 0x0000
    (report,) = reports
    assert (report.caller.name, report.event_type_id) == ("loopback", 1)
    assert b"1.2.3.77" in report.dataset


# Nothing stays


def living():
    """Threads, open files, and objects of an association."""
    gc.collect()
    kinds = (Association, Wire)
    objects = sum(isinstance(found, kinds) for found in gc.get_objects())
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir())), objects


def test_associations_and_probes_leave_nothing_behind(open_door, tmp_path):
    door = open_door()
    dataset, meta = encoded(*mr_series(tmp_path / "in", positions=[0.0]))
    session = b"".join(
        [
            wire.associate_request(),
            *wire.store_request(str(meta.MediaStorageSOPInstanceUID), dataset),
            wire.release_request(),
        ]
    )

    def visit():
        with connected(door, session) as connection:
            kinds = [wire.read_pdu(connection)[0] for _ in range(3)]
        assert kinds == [0x02, 0x04, 0x06]

    visit()
    all_gone(door)
    before = living()
    for _ in range(200):
        visit()
        socket.create_connection(("127.0.0.1", door.port), 20).close()
    all_gone(door)
    wait_for("the threads to end", lambda: threading.active_count() <= before[0], seconds=30)
    assert living() == before
    assert counters(door) == {"instance_duplicates": 200}


def resident_mb():
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_wrong_bytes_break_nothing(open_door, tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    door = open_door()
    good, other = mr_series(tmp_path / "in", positions=[0.0, 4.0])
    session, chance = good_session(good), random.Random(SEED)
    play(door.port, session, chance)
    all_gone(door)
    before, threads = resident_mb(), threading.active_count()
    for _ in range(MUTATIONS):
        play(door.port, mutate(session, chance), chance)
    all_gone(door)
    wait_for("the threads to end", lambda: threading.active_count() <= threads, seconds=30)
    assert "association_failed" not in caplog.messages
    assert resident_mb() - before < 64
    assert send(door, other) == [0x0000]
    assert len(rows(door, Series)) >= 1
    assert not [path for path in files_in(tmp_path / "home" / "spool") if path.suffix == ".part"]
