"""Rows of many associations in one commit: each gets its own answer, on every database."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event, select

from service.db import ledger
from service.db.session import reading
from service.db.tables import Instance, Series, Study
from service.dicom.spool import Spool
from service.pipeline import intake
from tests.make.received import NOW, received
from tests.make.series import mr_series


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool")


def counts(sessions):
    with reading(sessions) as db:
        return [len(db.scalars(select(table)).all()) for table in (Study, Series, Instance)]


def hold_first(recorder, monkeypatch):
    """Let the first commit begin, and wait there until it is let go; returns the two events."""
    real, begun, go = intake.record_instances, threading.Event(), threading.Event()
    batches = []

    def record(sessions, spool, batch, *, now):
        batches.append(len(batch))
        begun.set()
        assert go.wait(30)
        return real(sessions, spool, batch, now=now)

    monkeypatch.setattr(intake, "record_instances", record)
    return begun, go, batches


def record_all(recorder, images, begun, go):
    """Record the first image, then all others while it is being committed; the error of each, or None."""
    with ThreadPoolExecutor(len(images)) as pool:
        waiting = [pool.submit(recorder.record, images[0])]
        assert begun.wait(30)
        waiting += [pool.submit(recorder.record, image) for image in images[1:]]
        while len(recorder._queue) < len(images) - 1:
            threading.Event().wait(0.01)
        go.set()
        return [one.exception(30) for one in waiting]


def test_what_waits_is_committed_at_once(sessions, spool, tmp_path, monkeypatch):
    recorder = intake.Recorder(sessions, spool)
    images = [
        received(spool, path)
        for series in (1, 2)
        for path in mr_series(tmp_path / str(series), series=series)
    ]
    begun, go, batches = hold_first(recorder, monkeypatch)
    assert record_all(recorder, images, begun, go) == [None] * 10
    assert batches == [1, 9]
    assert counts(sessions) == [1, 2, 10]


def test_one_row_that_fails_does_not_take_the_others_along(sessions, spool, tmp_path, monkeypatch):
    recorder = intake.Recorder(sessions, spool)
    images = [received(spool, path) for path in mr_series(tmp_path)]
    begun, go, _ = hold_first(recorder, monkeypatch)
    bad = images[3].identity.sop_instance_uid
    real = ledger._insert_image

    def insert(session, facts, *, now):
        if facts.sop_instance_uid == bad:
            raise RuntimeError("no room")
        return real(session, facts, now=now)

    monkeypatch.setattr(ledger, "_insert_image", insert)
    errors = record_all(recorder, images, begun, go)
    assert [type(error) for error in errors] == [type(None)] * 3 + [RuntimeError, type(None)]
    assert counts(sessions) == [1, 1, 4]


def test_the_same_and_other_bytes_in_one_batch_are_told_apart(sessions, spool, tmp_path):
    (first,) = mr_series(tmp_path / "a", positions=[0.0])
    (other,) = mr_series(tmp_path / "b", positions=[0.0], changes={"PatientWeight": "71"})
    batch = [received(spool, path) for path in (first, first, other)]
    answers = intake.record_instances(sessions, spool, batch, now=NOW)
    assert answers == ["new", "duplicate", "conflict"]
    with reading(sessions) as db:
        assert ledger.counters(db) == {"instance_duplicates": 1, "instances_set_aside": 1}


def test_a_usual_image_needs_two_statements(sessions, spool, tmp_path):
    first, second = (received(spool, path) for path in mr_series(tmp_path, positions=[0.0, 4.0]))
    intake.record_instance(sessions, spool, first, now=NOW)
    statements = []
    event.listen(
        sessions.kw["bind"],
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_: statements.append(statement.split()[0]),
    )
    intake.record_instance(sessions, spool, second, now=NOW)
    assert [word for word in statements if word != "BEGIN"] == ["INSERT", "UPDATE"]


def test_receivers_side_by_side_neither_lose_nor_block_each_other(sessions, spool, tmp_path):
    images = [
        received(spool, path)
        for series in range(1, 5)
        for path in mr_series(tmp_path / str(series), series=series, positions=range(0, 40, 4))
    ]
    recorders = [intake.Recorder(sessions, spool) for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        waiting = [
            pool.submit(recorder.record, image)
            for pair in zip(images, images[::-1], strict=True)
            for recorder, image in zip(recorders, pair, strict=True)
        ]
        assert [one.exception(60) for one in waiting] == [None] * 80
    assert counts(sessions) == [1, 4, 40]
    with reading(sessions) as db:
        assert ledger.counters(db) == {"instance_duplicates": 40}
