"""Orthanc asks whether we hold what it sent, and is asked by us: in the clear and by TLS."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from service.core.status import OutputKind
from service.db.session import reading
from service.db.tables import CommitmentRequest
from service.pipeline import commit
from service.pipeline.deliver import Destination
from service.receiver import open_door
from service.settings import load
from service.worker.main import requesters
from tests.make import certificates
from tests.make.outbox import TERMS, sqlite_outbox
from tests.make.running import free_port, wait_for
from tests.make.series import mr_series
from tests.make.servers import start_orthanc

pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
PACS = {
    "name": "pacs",
    "ae_title": "ORTHANC",
    "host": "127.0.0.1",
    "commitment_scp": True,
    "confirm": "commitment",
    "outputs": ["SEG", "SC"],
}


def by_tls(folder):
    """What both sides need to speak TLS: settings of Orthanc, of ours, and of the peer."""
    ca = certificates.authority(folder / "ca")
    ours, theirs = ca.issue("/O=Hospital/CN=myoscreen"), ca.issue("/O=Hospital/CN=pacs")
    orthanc = {
        "DicomTlsEnabled": True,
        "DicomTlsRemoteCertificateRequired": True,
        "DicomTlsCertificate": str(theirs.certificate),
        "DicomTlsPrivateKey": str(theirs.key),
        "DicomTlsTrustedCertificates": str(ca.ca),
    }
    own = {"tls_certificate": str(ours.certificate), "tls_key": str(ours.key), "tls_ca": str(ca.ca)}
    return orthanc, own, {"tls": True, "tls_subject": ["CN=pacs,O=Hospital"]}


class World:
    """Orthanc, our receiver, and what our worker is started with."""

    def __init__(self, orthanc, outbox, settings, door):
        self.orthanc, self.outbox, self.settings, self.door = orthanc, outbox, settings, door

    @contextmanager
    def worker(self):
        """What a worker does while the block lasts: in the clear a process, ended as a power cut would."""
        if self.settings.tls_certificate is not None:
            to, terms = requesters(self.settings)["pacs"], commit.Terms(delivery=TERMS)
            told = {"terms": terms, "clock": lambda: datetime.now(UTC)}
            assert commit.run(self.door.sessions, "pacs", to, self.door.spool, **told) == 2
            yield
            return
        values = self.settings.model_dump(mode="json", exclude_defaults=True)
        changes = {**values, "peer": json.dumps(values["peer"]), "sweep_seconds": 0.1, "quiet_seconds": 3600}
        changes["delivery_backoff_seconds"] = 0.2
        environment = {
            **os.environ,
            **{f"MYOSCREEN_{name.upper()}": str(value) for name, value in changes.items()},
        }
        log = self.settings.home / "worker.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.make.stand_in"], env=environment, stdout=output, stderr=output
            )
        try:
            yield
        except AssertionError as error:
            raise AssertionError(f"{error}\n{log.read_text('utf-8', 'replace')[-4000:]}") from None
        finally:
            process.kill()
            process.wait()

    def send(self, paths):
        """Have Orthanc send these to us; what it then asks about."""
        asked = []
        for path in paths:
            made = self.orthanc.post_bytes("/instances", path.read_bytes())
            self.orthanc.post("/modalities/myoscreen/store", made["ID"])
            tags = self.orthanc.get(f"/instances/{made['ID']}/simplified-tags")
            asked.append({"SOPClassUID": tags["SOPClassUID"], "SOPInstanceUID": tags["SOPInstanceUID"]})
        return asked

    def ask(self, asked):
        """Have Orthanc ask about these; the path of what it was told."""
        answer = self.orthanc.post("/modalities/myoscreen/storage-commitment", {"DicomInstances": asked})
        return answer["Path"]

    def questions(self):
        """State of each question, and of how many objects we said that we do not hold them."""
        with reading(self.door.sessions) as session:
            rows = session.execute(select(CommitmentRequest.state, CommitmentRequest.failed)).all()
        return sorted(map(tuple, rows))

    def told(self, path):
        """What Orthanc was told, once it was."""

        def done():
            found = self.orthanc.get(path)
            return found if found["Status"] != "Pending" else None

        return wait_for("Orthanc to be told", done)


@pytest.fixture(scope="module", params=["plain", "tls"])
def world(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("orthanc")
    plain, secure = free_port(), free_port()
    theirs, own, peer = by_tls(folder) if request.param == "tls" else ({}, {}, {})
    us = {"AET": "MYOSCREEN", "Host": "127.0.0.1", "Port": secure if own else plain, "UseDicomTls": bool(own)}
    with (
        start_orthanc(folder / "orthanc", DicomModalities={"myoscreen": us}, **theirs) as orthanc,
        sqlite_outbox(folder / "home") as outbox,
    ):
        outbox.now = datetime.now(UTC)  # the receiver's clock is a real one
        settings = load(
            home=folder / "home",
            dicom_port=plain,
            tls_port=secure,
            spool_min_free_mb=0,
            **own,
            peer=({**PACS, **peer, "port": orthanc.dicom_port},),
        )
        door = open_door(settings)
        try:
            yield World(orthanc, outbox, settings, door)
        finally:
            door.close(finish_seconds=0)


def test_it_is_told_what_we_hold_and_what_we_do_not_by_a_worker_that_starts_later(world, tmp_path):
    held = world.send(mr_series(tmp_path / "in", positions=[0.0, 4.0]))
    absent = {"SOPClassUID": held[0]["SOPClassUID"], "SOPInstanceUID": "1.2.3.404"}
    whole, partly = world.ask(held), world.ask([*held, absent])
    assert world.orthanc.get(whole)["Status"] == "Pending"
    with world.worker():
        kept, missed = world.told(whole), world.told(partly)
        done = [("answered", 0), ("answered", 1)]
        wait_for("both to be written down", lambda: world.questions() == done, seconds=60)
    assert kept["Status"] == "Success"
    assert {item["SOPInstanceUID"] for item in kept["Success"]} == {each["SOPInstanceUID"] for each in held}
    assert (missed["Status"], len(missed["Success"])) == ("Failure", 2)
    (failure,) = missed["Failures"]
    # Its words for 0x0112.
    assert failure["SOPInstanceUID"] == "1.2.3.404"
    assert "Referenced SOP Instance Sequence was not available" in failure["Description"]


def test_it_vouches_for_what_we_sent(world):
    result = world.outbox.add()
    to = Destination(
        name="pacs",
        address=replace(requesters(world.settings)["pacs"], answer_seconds=20),
        outputs=tuple(OutputKind),
        confirm="commitment",
    )
    world.outbox.send(result, to)
    assert world.outbox.states() == [("sent", 0, None)] * 2
    world.outbox.ask(result, to)
    wait_for("the report", lambda: world.outbox.states() == [("confirmed", 0, None)] * 2, seconds=30)
