"""The whole service on loopback, embedded and grown: one series in, one result out, whatever happens."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest

from service.dicom import scu
from service.dicom.archive import Archive
from service.dicom.synthesis import write_phantom
from tests.make.data import data_dir
from tests.make.running import RunningService, free_port, running_service, wait_for
from tests.make.servers import start_postgres, start_redis
from tests.make.tools import run, storescu

SENDER = {"name": "sender", "ae_title": "SENDER", "host": "127.0.0.1"}


def archive_peer(port: int) -> dict:
    return {
        "name": "archive",
        "ae_title": "ARCHIVE",
        "host": "127.0.0.1",
        "port": port,
        "outputs": ["SEG", "SR", "SC", "PDF"],
    }


def deliveries(service: RunningService) -> dict[str, str]:
    return {item["kind"]: item["state"] for item in service.get("/api/v1/deliveries")["items"]}


@dataclass(frozen=True)
class Place:
    """A running service, and the archive that its results go to."""

    service: RunningService
    archive: Archive


@contextmanager
def running_place(folder: Path, **settings: Any) -> Iterator[Place]:
    """A service whose only peers are an archive and a sender of other things than MR too."""
    port = free_port()
    archive = Archive(folder / "archive", ae_title="ARCHIVE").start(port)
    try:
        peers = (archive_peer(port), {**SENDER, "unwanted": "discard"})
        with running_service(folder / "home", peers=peers, **settings) as service:
            yield Place(service, archive)
    finally:
        archive.stop()


@pytest.fixture(scope="module")
def embedded(tmp_path_factory) -> Iterator[Place]:
    """One embedded service for the tests of this file that do it no harm, in their order."""
    with running_place(tmp_path_factory.mktemp("embedded")) as place:
        yield place


def test_one_series_gives_one_result_that_reaches_the_peer(embedded, tmp_path):
    _play(embedded.service, embedded.archive, write_phantom(tmp_path / "in", slices=5))


def test_the_same_doors_do_the_same_on_postgresql_and_redis(tmp_path):
    with (
        start_postgres() as postgres,
        start_redis(tmp_path / "redis") as (_, broker),
        running_place(
            tmp_path,
            doors=("receive", "work", "web"),
            database_url=postgres.new_database(),
            broker_url=broker,
        ) as place,
    ):
        _play(place.service, place.archive, write_phantom(tmp_path / "in", slices=5))


def _play(service: RunningService, archive: Archive, sources: list[Path]) -> None:
    storescu(service.dicom_port, sources)
    service.await_states("measured")
    wait_for("delivery", lambda: deliveries(service) == dict.fromkeys(("SEG", "SR", "SC", "PDF"), "sent"))
    study_uid = str(pydicom.dcmread(sources[0]).StudyInstanceUID)
    assert len(archive.result_classes(study_uid)) == 4
    storescu(service.dicom_port, sources)  # the same again: accepted, nothing done
    status = wait_for("the duplicates to be counted", lambda: _duplicates(service, len(sources)))
    assert status["funnel"]["measured"] == 1
    assert len(service.analyses()) == 1
    actions = {item["action"] for item in service.get("/api/v1/audit", limit=100)["items"]}
    assert {"analysis_finished", "delivery_sent"} <= actions


def _duplicates(service: RunningService, count: int) -> dict | None:
    status = service.get("/api/v1/status")
    return status if status["counters"].get("instance_duplicates") == count else None


def test_a_worker_killed_in_mid_analysis_still_gives_one_result(tmp_path):
    sources = write_phantom(tmp_path / "in", slices=12)
    doors = ("receive", "work", "web")
    with running_place(tmp_path, doors=doors, lease_seconds="3", inference_threads="1") as place:
        service = place.service
        storescu(service.dicom_port, sources)
        service.await_states("running")
        service.kill("work")
        assert [item["state"] for item in service.analyses()] == ["running"]
        service.start("work")
        (analysis,) = service.await_states("measured")
        wait_for("delivery", lambda: set(deliveries(service).values()) == {"sent"})
        assert service.get(f"/api/v1/analyses/{analysis['id']}")["attempt"] == 2
        study_uid = str(pydicom.dcmread(sources[0]).StudyInstanceUID)
        assert len(place.archive.result_classes(study_uid)) == 4
        assert len(deliveries(service)) == 4


def test_what_cannot_be_measured_has_an_outcome_and_never_stops_the_receiver(embedded, tmp_path):
    if data_dir() is None:
        pytest.skip("no real data (MYOSCREEN_TEST_DATA)")
    service, objects = embedded.service, data_dir() / "dicom"
    before = {item["id"] for item in service.analyses()}
    address = scu.Address(
        host="127.0.0.1", port=service.dicom_port, ae_title="MYOSCREEN", calling_ae="SENDER"
    )
    for name in (
        "mr_coronal_abdomen.dcm",
        "mr_axial_vibe_derived_mpr.dcm",
        "mr_axial_t2_tse_missing_delimiter.dcm",
        "ct_lumbar.dcm",
    ):
        scu.store([objects / name], address)
    scu.store([_broken(tmp_path)], address)
    ended = wait_for("every series to end", lambda: _ended(service, before, 4))
    run("echoscu", "-aec", "MYOSCREEN", "-aet", "SENDER", "127.0.0.1", service.dicom_port)
    assert all(item["reason_code"] for item in ended)
    assert {item["state"] for item in ended} <= {"not_eligible", "not_assessable"}
    for item in ended:
        assert "SEG" not in {
            output["kind"] for output in service.get(f"/api/v1/analyses/{item['id']}")["outputs"]
        }


def _broken(folder: Path) -> Path:
    """An MR image whose pixels end early."""
    (source,) = write_phantom(folder / "broken", slices=1)
    broken = folder / "broken.dcm"
    shutil.copy(source, broken)
    with broken.open("r+b") as stream:
        stream.truncate(source.stat().st_size - 1001)
    return broken


def _ended(service: RunningService, before: set[int], at_least: int) -> list[dict[str, Any]]:
    """The analyses that came since, once there are enough and none is waiting."""
    items = [item for item in service.analyses() if item["id"] not in before]
    busy = {item["state"] for item in items} & {"ready", "running"}
    return items if len(items) >= at_least and not busy else []


def test_a_caller_that_is_not_listed_is_turned_away_and_shown(embedded):
    service = embedded.service
    done = run(
        "echoscu", "-aec", "MYOSCREEN", "-aet", "STRANGER", "127.0.0.1", service.dicom_port, check=False
    )
    assert done.returncode != 0
    rejected = wait_for("the caller to be listed", lambda: service.get("/api/v1/status")["rejected_callers"])
    assert rejected[0]["calling_ae"] == "STRANGER"
