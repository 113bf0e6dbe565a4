"""The receiver over a real connection: what it promises, what it refuses, what it survives."""

import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from sqlalchemy import select

from service import files
from service.db import ledger
from service.db.session import reading
from service.db.tables import Instance, RejectedCaller, Series, SetAside
from service.dicom import pdu, scu
from service.errors import PeerUnreachable
from service.pipeline import intake
from tests.make.received import encoded
from tests.make.running import wait_for
from tests.make.series import enhanced_mr, mr_series, mr_slice, save
from tests.make.servers import dcmtk

LOOPBACK = {"name": "scanner", "ae_title": "SCANNER", "host": "127.0.0.1"}


def address(door, *, calling="SCANNER", called="MYOSCREEN"):
    return scu.Address(host="127.0.0.1", port=door.port, ae_title=called, calling_ae=calling)


def send(door, *paths, calling="SCANNER"):
    return [outcome.status for outcome in scu.store(paths, address(door, calling=calling))]


def rows(door, table):
    with reading(door.sessions) as db:
        return db.scalars(select(table).order_by(table.id)).all()


def counters(door):
    with reading(door.sessions) as db:
        return ledger.counters(db)


def stored(door, home):
    return [home / "spool" / row.path for row in rows(door, Instance)]


def test_an_image_is_kept_exactly_as_it_was_sent(open_door, tmp_path):
    door = open_door()
    (path,) = mr_series(tmp_path / "in", positions=[0.0])
    assert send(door, path) == [0x0000]
    (kept,) = stored(door, tmp_path / "home")
    assert encoded(kept)[0] == encoded(path)[0]
    assert files.sha256_of(kept) == rows(door, Instance)[0].sha256
    assert kept.stat().st_mode & 0o777 == 0o600


def test_success_is_said_after_the_file_is_synced_and_the_row_is_committed(open_door, tmp_path, monkeypatch):
    order = []
    sync, rename, record = files.os.fsync, Path.replace, intake.record_instances

    def note(name, call):
        def noted(*args, **kwargs):
            done = call(*args, **kwargs)
            order.append(name)
            return done

        return noted

    door = open_door()
    monkeypatch.setattr(files.os, "fsync", note("fsync", sync))
    monkeypatch.setattr(Path, "replace", note("rename", rename))
    monkeypatch.setattr(intake, "record_instances", note("row", record))
    monkeypatch.setattr(pdu, "command_data", note("answer", pdu.command_data))
    (path,) = mr_series(tmp_path / "in", positions=[0.0])
    send(door, path)
    # The file; its name; the row; the answer.
    assert order == ["fsync", "rename", "fsync", "row", "answer"]


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEGLSLossless,
        JPEG2000Lossless,
    ],
    ids=lambda uid: uid.name,
)
def test_every_transfer_syntax_with_a_decoder_is_taken(open_door, tmp_path, syntax):
    door = open_door()
    pixels = {"Rows": 64, "Columns": 64, "PixelData": bytes(2 * 64 * 64)}
    (path,) = mr_series(tmp_path / "in", positions=[0.0], changes=pixels, syntax=syntax)
    assert send(door, path) == [0x0000]
    (row,) = rows(door, Instance)
    assert row.transfer_syntax_uid == syntax
    assert encoded(stored(door, tmp_path / "home")[0])[0] == encoded(path)[0]


def test_an_enhanced_image_is_taken(open_door, tmp_path):
    door = open_door()
    path = enhanced_mr(tmp_path / "enhanced.dcm", positions=[(0, 0, 0), (0, 0, 4)])
    assert send(door, path) == [0x0000]


def test_dcmtk_can_send_and_ask_for_verification(open_door, tmp_path):
    door = open_door()
    paths = mr_series(tmp_path / "in")
    to = ("-aec", "MYOSCREEN", "127.0.0.1", str(door.port))
    subprocess.run([dcmtk("echoscu"), *to], check=True, timeout=60)
    subprocess.run([dcmtk("storescu"), *to, *paths], check=True, timeout=60)
    assert len(rows(door, Instance)) == len(paths)


def test_the_same_image_twice_is_kept_once(open_door, tmp_path):
    door = open_door()
    (path,) = mr_series(tmp_path / "in", positions=[0.0])
    assert send(door, path, path) == [0x0000, 0x0000]
    assert len(list((tmp_path / "home" / "spool").rglob("*.dcm"))) == 1
    assert counters(door) == {"instance_duplicates": 1}


def test_other_bytes_under_a_taken_identifier_are_kept_aside_before_success(open_door, tmp_path):
    door = open_door()
    (first,) = mr_series(tmp_path / "a", positions=[0.0])
    (other,) = mr_series(tmp_path / "b", positions=[0.0], changes={"PatientWeight": "71"})
    assert send(door, first, other) == [0x0000, 0x0000]
    (kept,) = stored(door, tmp_path / "home")
    assert encoded(kept)[0] == encoded(first)[0]
    (aside,) = rows(door, SetAside)
    assert encoded(tmp_path / "home" / "spool" / aside.path)[0] == encoded(other)[0]
    assert (aside.difference, aside.calling_ae) == (None, "SCANNER")
    assert counters(door) == {"instances_set_aside": 1}


# Who may send


def rejected(door):
    return [(row.calling_ae, row.called_ae, row.address, row.reason) for row in rows(door, RejectedCaller)]


@pytest.mark.parametrize(
    ("peer", "names", "reason"),
    [
        (LOOPBACK, ("STRANGER", "MYOSCREEN"), "calling_ae_unknown"),
        (LOOPBACK, ("SCANNER", "OTHER"), "called_ae_unknown"),
        ({**LOOPBACK, "host": "192.0.2.7"}, ("SCANNER", "MYOSCREEN"), "address_unknown"),
        ({**LOOPBACK, "may_send": False}, ("SCANNER", "MYOSCREEN"), "may_not_send"),
    ],
)
def test_a_stranger_is_not_let_in_and_is_remembered(open_door, tmp_path, peer, names, reason):
    door, (calling, called) = open_door(peer=[peer]), names
    (path,) = mr_series(tmp_path / "in", positions=[0.0])
    with pytest.raises(PeerUnreachable) as caught:
        scu.store([path], address(door, calling=calling, called=called))
    assert caught.value.reason.code == "association_rejected"
    assert rows(door, Instance) == []
    wait_for("the rejection to be written", lambda: rejected(door))
    assert rejected(door) == [(calling, called, "127.0.0.1", reason)]


def test_a_listed_peer_is_let_in(open_door, tmp_path):
    door = open_door(peer=[LOOPBACK])
    (path,) = mr_series(tmp_path / "in", positions=[0.0])
    assert send(door, path) == [0x0000]
    assert rows(door, Series)[0].calling_ae == "SCANNER"


# What is not kept


def own_result(path):
    dataset = mr_slice(
        SOPClassUID=SecondaryCaptureImageStorage,
        Manufacturer="myoscreen",
        SeriesDescription="MYOSCREEN summary",
    )
    return save(dataset, path)


def ct(path):
    return save(mr_slice(SOPClassUID=CTImageStorage, Modality="CT"), path)


def test_our_own_results_are_accepted_counted_and_dropped(open_door, tmp_path):
    door = open_door()
    assert send(door, own_result(tmp_path / "sc.dcm")) == [0x0000]
    assert rows(door, Series) == []
    assert counters(door) == {"own_results_dropped": 1}


def test_what_no_rule_can_use_is_refused(open_door, tmp_path):
    door = open_door()
    assert send(door, ct(tmp_path / "ct.dcm")) == [0x0122]
    assert counters(door) == {"unwanted_refused": 1}


def test_or_taken_and_thrown_away_where_the_peer_is_set_so(open_door, tmp_path):
    door = open_door(peer=[{**LOOPBACK, "unwanted": "discard"}])
    assert send(door, ct(tmp_path / "ct.dcm")) == [0x0000]
    assert rows(door, Series) == []
    assert counters(door) == {"unwanted_discarded": 1}


def test_a_foreign_screenshot_is_no_result_of_ours(open_door, tmp_path):
    door = open_door()
    path = save(mr_slice(SOPClassUID=SecondaryCaptureImageStorage), tmp_path / "sc.dcm")
    assert send(door, path) == [0x0122]


def test_a_full_disk_is_said_and_nothing_is_written(open_door, tmp_path):
    door = open_door(spool_min_free_mb=10**9)
    (path,) = mr_series(tmp_path / "in", positions=[0.0])
    assert send(door, path) == [0xA700]
    assert list((tmp_path / "home" / "spool").rglob("*.dcm")) == []
    assert counters(door) == {"instances_refused_disk": 1}


def test_nonsense_is_answered_and_the_receiver_goes_on(open_door, tmp_path):
    door = open_door()
    good, cut, other = mr_series(tmp_path / "in", positions=[0.0, 4.0, 8.0])
    raw, _ = encoded(cut)
    cut.write_bytes(cut.read_bytes()[: -len(raw)] + raw[:60])
    lying = save(mr_slice(SOPInstanceUID="1.2.3.99"), tmp_path / "lying.dcm")
    lying.write_bytes(lying.read_bytes().replace(b"1.2.3.99", b"1.2.3.98", 1))
    with socket.create_connection(("127.0.0.1", door.port)) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n" * 20)
    assert send(door, good, cut, lying, other) == [0x0000, 0xC000, 0xA900, 0x0000]
    assert counters(door) == {"instances_unreadable": 2}
    assert len(rows(door, Instance)) == 2


def test_a_database_that_is_away_is_told_as_try_again_later(open_door, tmp_path, monkeypatch):
    door = open_door()

    def broken(*_args, **_kwargs):
        raise RuntimeError

    monkeypatch.setattr(intake, "record_instances", broken)
    (path,) = mr_series(tmp_path / "in", positions=[0.0])
    assert send(door, path) == [0xA700]
    assert counters(door) == {"instances_failed": 1}
    monkeypatch.undo()
    assert send(door, path) == [0x0000]


def test_several_senders_at_once_are_all_kept(open_door, tmp_path):
    door = open_door()
    folders = [
        mr_series(tmp_path / str(series), series=series, positions=range(0, 40, 4)) for series in range(1, 5)
    ]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda paths: send(door, *paths), folders))
    assert answers == [[0x0000] * 10] * 4
    assert (len(rows(door, Series)), len(rows(door, Instance))) == (4, 40)
