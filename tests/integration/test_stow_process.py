"""STOW-RS against the web door as a process: Orthanc as the sender, and a sender that falls silent."""

import json
import socket
import urllib.request
from datetime import UTC, datetime

import httpx
import pytest
from sqlalchemy import select

from service.db import people
from service.db.session import make_sessions, reading
from service.db.tables import Instance
from tests.make.received import encoded
from tests.make.running import running_service
from tests.make.series import STUDY_UID, mr_series
from tests.make.servers import start_orthanc
from tests.make.stow import BOUNDARY, CONTENT_TYPE


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """The receiver and the web door, a key of a sender, and the database."""
    home = tmp_path_factory.mktemp("home")
    with running_service(
        home, doors=("receive", "web"), association_idle_seconds="1.0", spool_min_free_mb="0"
    ) as running:
        sessions = make_sessions(f"sqlite:///{home / 'myoscreen.db'}")
        with sessions.begin() as db:
            key = people.add_key(db, name="orthanc", role="sender", now=datetime.now(UTC), actor="test")
        yield running, key, sessions
        sessions.kw["bind"].dispose()


def put(url, body):
    request = urllib.request.Request(url, data=json.dumps(body).encode(), method="PUT")
    urllib.request.urlopen(request, timeout=30).close()


def test_orthanc_stores_a_study_by_dicomweb(service, tmp_path):
    running, key, sessions = service
    paths = mr_series(tmp_path / "in", positions=[4.0 * number for number in range(12)])
    with start_orthanc(tmp_path / "orthanc") as orthanc:
        if "dicom-web" not in orthanc.get("/plugins"):
            pytest.skip("Orthanc's DICOMweb plugin is not installed")
        for path in paths:
            request = urllib.request.Request(
                orthanc.url + "/instances", data=path.read_bytes(), method="POST"
            )
            urllib.request.urlopen(request, timeout=30).close()
        server = {"Url": f"{running.url}/dicomweb/", "HttpHeaders": {"Authorization": f"Bearer {key}"}}
        put(orthanc.url + "/dicom-web/servers/myoscreen", server)
        (study,) = orthanc.get("/studies")
        # It raises where Orthanc calls the answer a failure.
        orthanc.post("/dicom-web/servers/myoscreen/stow", {"Resources": [study], "Synchronous": True})
    with reading(sessions) as db:
        rows = db.scalars(select(Instance).order_by(Instance.sop_instance_uid)).all()
    assert {row.sop_instance_uid for row in rows} == {f"{STUDY_UID}.1.{number + 1}" for number in range(12)}
    sent = {encoded(path)[0] for path in paths}
    assert {encoded(running.home / "spool" / row.path)[0] for row in rows} == sent


def test_a_body_in_pieces_of_unknown_length_is_taken(service, tmp_path):
    running, key, _ = service
    (path,) = mr_series(tmp_path / "in", positions=[0.0], series=2)

    def pieces():
        yield f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        raw = path.read_bytes()
        for at in range(0, len(raw), 100):
            yield raw[at : at + 100]
        yield f"\r\n--{BOUNDARY}--\r\n".encode()

    headers = {"Authorization": f"Bearer {key}", "Content-Type": CONTENT_TYPE}
    answer = httpx.post(f"{running.url}/dicomweb/studies", content=pieces(), headers=headers, timeout=60)
    assert answer.status_code == 200


def test_a_sender_that_falls_silent_is_let_go(service):
    running, key, _ = service
    head = (
        f"POST /dicomweb/studies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: 1000000\r\n\r\n--{BOUNDARY}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", running.http_port), 60) as connection:
        connection.sendall(head.encode())
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"sender_silent" in answer
    assert b"connection: close\r\n" in answer.lower()
