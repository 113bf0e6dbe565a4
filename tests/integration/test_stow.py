"""STOW-RS on the web door: the same intake as C-STORE, in pieces, with an answer for each object."""

import os
import shutil
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian
from sqlalchemy import func, select

from service import files
from service.db import ledger
from service.db.session import reading
from service.db.tables import Instance, Series
from service.dicom.spool import Spool
from service.pipeline import intake
from service.pipeline.filing import files as way_in
from service.web import context, stow
from service.web.stow import Message
from tests.make.received import encoded
from tests.make.results import write_objects
from tests.make.series import STUDY_UID, mr_series, mr_slice, save
from tests.make.stow import BOUNDARY, CONTENT_TYPE, body_of, reasons, sender_key, stored

ROUTE = "/dicomweb/studies"


@pytest.fixture
def roomy(world):
    """The installation, whatever room the disk of the tests has."""
    world.settings = world.settings.model_copy(update={"spool_min_free_mb": 0})
    return world


@pytest.fixture
def sender(roomy):
    """A program that may send."""
    client = roomy.client()
    client.headers["Authorization"] = f"Bearer {sender_key(roomy)}"
    client.headers["Content-Type"] = CONTENT_TYPE
    return client


def counters(world):
    with reading(world.sessions) as db:
        return ledger.counters(db)


def kept(world, uid):
    with reading(world.sessions) as db:
        row = db.scalar(select(Instance).where(Instance.sop_instance_uid == uid))
    return None if row is None else world.home / "spool" / row.path


def count(world, table):
    with reading(world.sessions) as db:
        return db.scalar(select(func.count()).select_from(table))


def test_images_are_kept_exactly_as_they_were_sent(roomy, sender, tmp_path):
    paths = mr_series(tmp_path / "in", positions=[0.0, 4.0])
    answer = sender.post(ROUTE, content=body_of(paths))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/dicom+json"
    uids = [f"{STUDY_UID}.1.1", f"{STUDY_UID}.1.2"]
    assert stored(answer.json()) == uids
    assert reasons(answer.json()) == {}
    for path, uid in zip(paths, uids, strict=True):
        assert encoded(kept(roomy, uid))[0] == encoded(path)[0]
    with reading(roomy.sessions) as db:
        series = db.scalars(select(Series).where(Series.series_uid == f"{STUDY_UID}.1")).one()
    assert (series.state, series.calling_ae) == ("receiving", "key:router")


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_the_syntax_stands_in_the_file(roomy, sender, tmp_path, syntax):
    (path,) = mr_series(tmp_path / "in", positions=[0.0], syntax=syntax)
    assert sender.post(ROUTE, content=body_of([path])).status_code == 200
    assert encoded(kept(roomy, f"{STUDY_UID}.1.1"))[0] == encoded(path)[0]


def test_the_answer_comes_after_the_file_is_synced_and_the_row_is_committed(
    roomy, sender, tmp_path, monkeypatch
):
    order = []
    sync, rename, record, finish = (
        files.os.fsync,
        Path.replace,
        intake.record_instances,
        stow.Outcomes.content,
    )

    def note(name, call):
        def noted(*args, **kwargs):
            done = call(*args, **kwargs)
            order.append(name)
            return done

        return noted

    Spool(roomy.settings.spool_dir).make_folders()
    monkeypatch.setattr(files.os, "fsync", note("fsync", sync))
    monkeypatch.setattr(Path, "replace", note("rename", rename))
    monkeypatch.setattr(intake, "record_instances", note("row", record))
    monkeypatch.setattr(stow.Outcomes, "content", note("answer", finish))
    (path,) = mr_series(tmp_path / "in", positions=[0.0])
    assert sender.post(ROUTE, content=body_of([path])).status_code == 200
    assert order == ["fsync", "rename", "fsync", "row", "answer"]


def test_each_object_is_safe_before_the_next_one_comes(roomy, tmp_path):
    """What is in memory is a piece, never the request."""
    first, second = mr_series(tmp_path / "in", positions=[0.0, 4.0])
    spool = Spool(roomy.settings.spool_dir)
    message = Message(
        BOUNDARY, way_in(roomy.sessions, spool, largest_bytes=10**6), sender="key:router", only_study=None
    )
    whole = body_of([first, second])
    half = whole.index(second.read_bytes()) + 900
    for at in range(0, half, 7):
        message.write(whole[at : min(at + 7, half)])
    assert kept(roomy, f"{STUDY_UID}.1.1") is not None
    assert kept(roomy, f"{STUDY_UID}.1.2") is None
    assert len(list((roomy.settings.spool_dir / "incoming").iterdir())) == 1
    message.abandon()
    assert list((roomy.settings.spool_dir / "incoming").iterdir()) == []


def test_what_is_not_wanted_or_not_readable_fails_by_itself(roomy, sender, tmp_path):
    image, other = mr_series(tmp_path / "in", positions=[0.0, 4.0])
    scan = save(mr_slice(SOPClassUID=CTImageStorage, SOPInstanceUID="1.2.9.1"), tmp_path / "ct.dcm")
    liar = save(mr_slice(SOPInstanceUID="1.2.9.2"), tmp_path / "liar.dcm")
    liar.write_bytes(liar.read_bytes().replace(b"1.2.9.2\x00", b"1.2.9.3\x00", 1))
    nameless = b"\x00" * 128 + b"DICM" + b"\x00" * 100
    answer = sender.post(ROUTE, content=body_of([image, scan, liar, b"no DICOM at all", nameless, other]))
    assert answer.status_code == 202
    assert len(stored(answer.json())) == 2
    assert reasons(answer.json()) == {"1.2.9.1": 0x0122, "1.2.9.3": 0xA900}
    others = answer.json()["0008119A"]["Value"]
    assert [item["00081197"]["Value"] for item in others] == [[0xC000], [0xC000]]
    told = counters(roomy)
    assert (told["unwanted_refused"], told["instances_unreadable"]) == (1, 3)
    assert list((roomy.settings.spool_dir / "incoming").iterdir()) == []


def test_our_own_results_are_taken_and_dropped(roomy, sender, made, tmp_path):
    objects = write_objects(made, tmp_path / "objects")
    before, dropped = count(roomy, Instance), counters(roomy).get("own_results_dropped", 0)
    paths = sorted((tmp_path / "objects").rglob("*.dcm"))
    answer = sender.post(ROUTE, content=body_of(paths))
    assert objects
    assert (answer.status_code, len(stored(answer.json()))) == (200, len(paths))
    assert counters(roomy)["own_results_dropped"] == dropped + len(paths)
    assert count(roomy, Instance) == before


def test_the_same_again_is_stored_and_nothing_is_done(roomy, sender, tmp_path):
    paths = mr_series(tmp_path / "in", positions=[0.0])
    answers = [sender.post(ROUTE, content=body_of(paths)) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert counters(roomy)["instance_duplicates"] == 1


def test_images_of_another_study_than_the_one_in_the_address_fail(roomy, sender, tmp_path):
    (path,) = mr_series(tmp_path / "in", positions=[0.0])
    answer = sender.post(f"{ROUTE}/1.2.3", content=body_of([path]))
    assert (answer.status_code, reasons(answer.json())) == (409, {f"{STUDY_UID}.1.1": 0xA900})
    assert kept(roomy, f"{STUDY_UID}.1.1") is None
    assert sender.post(f"{ROUTE}/{STUDY_UID}", content=body_of([path])).status_code == 200
    assert sender.post(f"{ROUTE}/not-a-uid", content=body_of([path])).status_code == 422


def test_too_large_an_object_fails_and_the_next_one_is_taken(roomy, tmp_path):
    roomy.settings = roomy.settings.model_copy(update={"max_instance_mb": 1})
    client = roomy.client()
    client.headers.update({"Authorization": f"Bearer {sender_key(roomy)}", "Content-Type": CONTENT_TYPE})
    pixels = {"Rows": 1024, "Columns": 600, "PixelData": bytes(2 * 1024 * 600)}
    (large,) = mr_series(tmp_path / "in", positions=[0.0], changes=pixels)
    (small,) = mr_series(tmp_path / "in", positions=[0.0], series=2)
    answer = client.post(ROUTE, content=body_of([large, small]))
    assert (answer.status_code, reasons(answer.json())) == (202, {f"{STUDY_UID}.1.1": 0xC000})
    assert counters(roomy)["instances_too_large"] == 1
    assert stored(answer.json()) == [f"{STUDY_UID}.2.1"]


def test_a_full_disk_is_said_before_anything_is_read(roomy, tmp_path):
    free = shutil.disk_usage(tmp_path).free // 10**6
    roomy.settings = roomy.settings.model_copy(update={"spool_min_free_mb": 10 * free})
    client = roomy.client()
    client.headers.update({"Authorization": f"Bearer {sender_key(roomy)}", "Content-Type": CONTENT_TYPE})
    answer = client.post(ROUTE, content=b"")
    assert (answer.status_code, answer.json()["code"]) == (507, "spool_full")


def test_a_disk_that_fills_meanwhile_is_the_answer_for_each_object(roomy, sender, tmp_path, monkeypatch):
    (path,) = mr_series(tmp_path / "in", positions=[0.0])
    write = os.write

    def full(descriptor, data):
        if len(data) < 400:
            return write(descriptor, data)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("service.dicom.spool.os.write", full)
    answer = sender.post(ROUTE, content=body_of([path]))
    assert (answer.status_code, reasons(answer.json())) == (507, {f"{STUDY_UID}.1.1": 0xA700})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not multipart",
        f"--{BOUNDARY}--\r\n".encode(),
        body_of([b"half a part"], end=False),
        b"--another\r\n\r\nx\r\n--another--\r\n",
    ],
    ids=["empty", "no boundary", "no part", "cut off", "another boundary"],
)
def test_a_malformed_message_is_refused(roomy, sender, content):
    answer = sender.post(ROUTE, content=content)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_multipart")
    assert answer.headers["content-type"] == "application/problem+json"


def test_what_was_whole_before_the_message_broke_off_is_kept(roomy, sender, tmp_path):
    first, second = mr_series(tmp_path / "in", positions=[0.0, 4.0])
    whole = body_of([first, second])
    answer = sender.post(ROUTE, content=whole[: whole.index(second.read_bytes()) + 500])
    assert answer.status_code == 400
    assert kept(roomy, f"{STUDY_UID}.1.1") is not None
    assert kept(roomy, f"{STUDY_UID}.1.2") is None
    assert list((roomy.settings.spool_dir / "incoming").iterdir()) == []


@pytest.mark.parametrize(
    "header",
    [
        {"Content-Type": "application/dicom"},
        {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"},
        {"Content-Type": f'multipart/related; type="application/dicom+json"; boundary={BOUNDARY}'},
        {"Content-Encoding": "gzip"},
    ],
    ids=["one file", "form", "metadata", "packed"],
)
def test_another_content_type_is_refused(roomy, sender, header):
    answer = sender.post(ROUTE, content=body_of([b"x"]), headers=header)
    assert (answer.status_code, answer.json()["code"]) == (415, "wrong_media_type")


#: What Python's own reader of headers breaks on.
SENSELESS = ["application/dicom\x0b", "application/dicom; a=\xd4;b*", "a/b;" + "(" * 2000]


@pytest.mark.parametrize("kind", SENSELESS, ids=["control", "parameter", "comments"])
def test_a_senseless_content_type_is_refused(roomy, sender, kind):
    plain = kind.encode("latin-1").replace(b"\x0b", b"\x85")
    answer = sender.post(ROUTE, content=body_of([b"x"]), headers={"Content-Type": plain})
    assert (answer.status_code, answer.json()["code"]) == (415, "wrong_media_type")


@pytest.mark.parametrize(
    "kind", ["application/json", *SENSELESS], ids=["kind", "control", "parameter", "comments"]
)
def test_a_part_that_is_no_file_fails_without_a_name(roomy, sender, kind):
    answer = sender.post(ROUTE, content=body_of([b"{}"], kind=kind))
    assert answer.status_code == 409
    assert answer.json()["0008119A"]["Value"] == [{"00081197": {"vr": "US", "Value": [0xC000]}}]


def test_only_a_key_that_may_send_sends_and_it_sees_nothing(roomy, sender, tmp_path):
    (path,) = mr_series(tmp_path / "in", positions=[0.0])
    before = count(roomy, Instance)
    kind = {"Content-Type": CONTENT_TYPE}
    anybody = roomy.client().post(ROUTE, content=body_of([path]), headers=kind)
    assert (anybody.status_code, anybody.json()["code"]) == (401, "login_needed")
    for role in roomy.keys:
        answer = roomy.program(role).post(ROUTE, content=body_of([path]), headers=kind)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), role
    assert count(roomy, Instance) == before
    for path in ("/api/v1/status", "/api/v1/analyses", "/api/v1/audit", "/account"):
        assert sender.get(path).status_code == 403


def test_one_request_too_many_is_told_to_come_back(roomy, sender, tmp_path, monkeypatch):
    monkeypatch.setattr(context, "MOST_SENDERS", 0)
    (path,) = mr_series(tmp_path / "in", positions=[0.0])
    client = roomy.client()
    client.headers.update(sender.headers)
    answer = client.post(ROUTE, content=body_of([path]))
    assert (answer.status_code, answer.json()["code"]) == (503, "busy")
    assert answer.headers["retry-after"] == "5"


def test_one_part_too_many_ends_the_request(roomy, sender, monkeypatch):
    monkeypatch.setattr(stow, "MOST_PARTS", 2)
    answer = sender.post(ROUTE, content=body_of([b"x"] * 3))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_many_parts")
