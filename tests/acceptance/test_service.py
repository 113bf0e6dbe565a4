"""The whole service on loopback, embedded and grown: one series in, one result out, whatever happens."""

import shutil
from pathlib import Path

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


@pytest.mark.parametrize("way", ["embedded", "grown"])
def test_one_series_gives_one_result_that_reaches_the_peer(tmp_path, way):
    sources = write_phantom(tmp_path / "in", slices=5)
    port = free_port()
    archive = Archive(tmp_path / "archive", ae_title="ARCHIVE").start(port)
    peers = (archive_peer(port), SENDER)
    try:
        if way == "embedded":
            with running_service(tmp_path / "home", peers=peers) as service:
                _play(service, archive, sources)
        else:
            with (
                start_postgres() as postgres,
                start_redis(tmp_path / "redis") as (_, broker),
                running_service(
                    tmp_path / "home",
                    peers=peers,
                    doors=("receive", "work", "web"),
                    database_url=postgres.new_database(),
                    broker_url=broker,
                ) as service,
            ):
                _play(service, archive, sources)
    finally:
        archive.stop()


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
    sources = write_phantom(tmp_path / "in", slices=24)
    port = free_port()
    archive = Archive(tmp_path / "archive", ae_title="ARCHIVE").start(port)
    try:
        with running_service(
            tmp_path / "home",
            peers=(archive_peer(port), SENDER),
            doors=("receive", "work", "web"),
            lease_seconds="3",
            inference_threads="1",
        ) as service:
            storescu(service.dicom_port, sources)
            service.await_states("running")
            service.kill("work")
            assert [item["state"] for item in service.analyses()] == ["running"]
            service.start("work")
            (analysis,) = service.await_states("measured")
            wait_for("delivery", lambda: set(deliveries(service).values()) == {"sent"})
            assert service.get(f"/api/v1/analyses/{analysis['id']}")["attempt"] == 2
            study_uid = str(pydicom.dcmread(sources[0]).StudyInstanceUID)
            assert len(archive.result_classes(study_uid)) == 4
            assert len(deliveries(service)) == 4
    finally:
        archive.stop()


def test_what_cannot_be_measured_has_an_outcome_and_never_stops_the_receiver(tmp_path):
    if data_dir() is None:
        pytest.skip("no real data (MYOSCREEN_TEST_DATA)")
    objects = data_dir() / "dicom"
    with running_service(tmp_path / "home", peers=({**SENDER, "unwanted": "discard"},)) as service:
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
        wait_for("every series to end", lambda: _all_ended(service, 4))
        run("echoscu", "-aec", "MYOSCREEN", "-aet", "SENDER", "127.0.0.1", service.dicom_port)
        assert all(item["reason_code"] for item in service.analyses())
        assert not (tmp_path / "home" / "results" / "1" / "attempt-1" / "seg.dcm").exists()


def _broken(folder: Path) -> Path:
    """An MR image whose pixels end early."""
    (source,) = write_phantom(folder / "broken", slices=1)
    broken = folder / "broken.dcm"
    shutil.copy(source, broken)
    with broken.open("r+b") as stream:
        stream.truncate(source.stat().st_size - 1001)
    return broken


def _all_ended(service: RunningService, at_least: int) -> bool:
    items = service.analyses()
    return len(items) >= at_least and {item["state"] for item in items} <= {"not_eligible", "not_assessable"}


def test_a_caller_that_is_not_listed_is_turned_away_and_shown(tmp_path):
    with running_service(tmp_path / "home", peers=(SENDER,)) as service:
        done = run(
            "echoscu", "-aec", "MYOSCREEN", "-aet", "STRANGER", "127.0.0.1", service.dicom_port, check=False
        )
        assert done.returncode != 0
        rejected = wait_for(
            "the caller to be listed", lambda: service.get("/api/v1/status")["rejected_callers"]
        )
        assert rejected[0]["calling_ae"] == "STRANGER"
