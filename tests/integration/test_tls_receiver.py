"""The receiver and the sender by TLS: who gets in, who does not, and what an operator changes."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import warnings
from datetime import UTC, datetime

import pytest
from pynetdicom import AE, evt
from sqlalchemy import select

from service import receiver
from service.cli import errands, looks
from service.db.session import reading
from service.db.tables import AuditEntry, Instance, RejectedCaller
from service.dicom import scu, tls
from service.errors import ConfigurationError, PeerUnreachable
from service.pipeline import rejections, selftest
from service.web import neighbours
from service.worker import nightly
from service.worker.main import destinations
from tests.make import certificates
from tests.make.running import free_port, wait_for
from tests.make.series import mr_series
from tests.make.servers import dcmtk

SCANNER = {
    "name": "scanner",
    "ae_title": "SCANNER",
    "host": "127.0.0.1",
    "tls": True,
    "tls_subject": "CN=scanner,O=Hospital",
}
SUBJECT = "/O=Hospital/CN=scanner"


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return certificates.authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def scanner(ca):
    return ca.issue(SUBJECT)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return mr_series(tmp_path_factory.mktemp("images"), positions=[0.0, 4.0])


@pytest.fixture
def own(tmp_path, ca):
    """Our certificate, key and authorities, which the test may change."""
    pair = ca.issue("/CN=myoscreen", file="myoscreen")
    folder = tmp_path / "tls"
    folder.mkdir()
    return {
        "tls_certificate": shutil.copy(pair.certificate, folder / "own.pem"),
        "tls_key": shutil.copy(pair.key, folder / "own.key"),
        "tls_ca": shutil.copy(ca.ca, folder / "ca.pem"),
    }


@pytest.fixture
def open_door(make_settings, own):
    """Open the receiver with TLS and these settings; closed afterwards."""
    doors = []

    def open_it(**changes):
        settings = make_settings(**{**own, "tls_port": free_port(), "peer": [SCANNER], **changes})
        doors.append(receiver.open_door(settings))
        return doors[-1]

    yield open_it
    for door in doors:
        door.close(finish_seconds=0)


def rows(door, table):
    with reading(door.sessions) as db:
        return db.scalars(select(table).order_by(table.id)).all()


def by_dcmtk(door, pair, ca, *paths, calling="SCANNER", options=("+tls",)):
    """What dcmtk's storescu says when it sends these files."""
    secure = (*options, str(pair.key), str(pair.certificate), "+cf", str(ca.ca)) if pair else options
    to = ("-aet", calling, "-aec", "MYOSCREEN", "127.0.0.1", str(door.receiver.tls_port))
    command = [dcmtk("storescu"), *secure, *to, *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).returncode


def stranger(pair=None, *, old=False):
    """The context of somebody who looks at nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if old:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    if pair:
        context.load_cert_chain(pair.certificate, pair.key)
    return context


class Closing:
    """A context whose sockets are closed at the end; the library leaves those that were cut off."""

    def __init__(self, context):
        self.context, self.sockets = context, []

    def wrap_socket(self, sock, **options):
        self.sockets.append(self.context.wrap_socket(sock, **options))
        return self.sockets[-1]

    def opened(self, event):
        self.sockets.append(event.assoc.dul.socket.socket)

    def close(self):
        for sock in self.sockets:
            sock.close()


def send(door, context, path, *, calling="SCANNER", port=None):
    """Send one image with this context (None: without TLS); the status, None when not let in."""
    with contextlib.closing(Closing(context)) as sockets:
        return _send(door, context and sockets, sockets, path, calling=calling, port=port)


def _send(door, context, sockets, path, *, calling, port):
    application = AE(ae_title=calling)
    application.acse_timeout = application.dimse_timeout = application.network_timeout = 20
    application.add_requested_context("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1")
    association = application.associate(
        "127.0.0.1",
        port or door.receiver.tls_port,
        ae_title="MYOSCREEN",
        tls_args=None if context is None else (context, "localhost"),
        evt_handlers=[(evt.EVT_CONN_OPEN, sockets.opened)],
    )
    if not association.is_established:
        return None
    status = association.send_c_store(path).Status
    association.release()
    return status


# Who gets in


def test_dcmtk_sends_by_tls(open_door, ca, scanner, images):
    door = open_door()
    assert by_dcmtk(door, scanner, ca, *images) == 0
    assert len(rows(door, Instance)) == 2
    assert rows(door, RejectedCaller) == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_tls_are_spoken(open_door, scanner, images, version):
    door = open_door()
    context = stranger(scanner)
    context.minimum_version = context.maximum_version = version
    assert send(door, context, images[0]) == 0x0000
    assert len(rows(door, Instance)) == 1


def no_tls(_ca, _scanner, _folder):
    return None


def no_certificate(_ca, _scanner, _folder):
    return stranger()


def other_authority(_ca, _scanner, folder):
    return stranger(certificates.authority(folder / "other").issue(SUBJECT))


def expired(ca, _scanner, _folder):
    return stranger(ca.issue(SUBJECT, days=-1, file="expired"))


def other_subject(ca, _scanner, _folder):
    return stranger(ca.issue("/O=Hospital/CN=workstation"))


def old_version(_ca, scanner, _folder):
    return stranger(scanner, old=True)


@pytest.mark.parametrize(
    ("come", "reason"),
    [
        (no_tls, "tls_missing"),
        (no_certificate, "tls_certificate_missing"),
        (other_authority, "tls_certificate_untrusted"),
        (expired, "tls_certificate_expired"),
        (old_version, "tls_version_refused"),
        (other_subject, "tls_subject_unknown"),
    ],
)
def test_whoever_cannot_prove_who_he_is_is_refused_and_written_down(
    open_door, ca, scanner, images, tmp_path, come, reason
):
    door = open_door()
    assert send(door, come(ca, scanner, tmp_path), images[0]) is None
    (line,) = wait_for("the rejection to be written", lambda: rows(door, AuditEntry), seconds=20)
    (rejected,) = rows(door, RejectedCaller)
    named = reason == "tls_subject_unknown"
    assert (rejected.reason, rejected.address) == (reason, "127.0.0.1")
    assert rejected.calling_ae == ("SCANNER" if named else "")
    assert rejected.tls_subject == ("O=Hospital,CN=workstation" if named else None)
    assert (line.action, line.outcome, line.actor) == ("caller_rejected", "refused", "service")
    assert (line.address, line.detail["reason"]) == ("127.0.0.1", reason)
    assert rows(door, Instance) == []
    assert list((tmp_path / "home" / "spool").rglob("*.dcm")) == []
    # The next one is let in: nobody holds the door.
    assert send(door, stranger(scanner), images[0]) == 0x0000


def test_dcmtk_without_tls_is_refused(open_door, images):
    door = open_door()
    assert by_dcmtk(door, None, None, images[0], options=()) != 0
    assert rows(door, Instance) == []


def test_the_plain_port_is_closed_once_tls_is_configured(open_door, make_settings, images, scanner):
    closed = make_settings().dicom_port
    door = open_door(dicom_port=closed)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", closed), 5)
    assert door.receiver.ports == [door.receiver.tls_port]


def test_a_peer_of_each_kind_has_its_own_port(open_door, scanner, images):
    plain = {"name": "old", "ae_title": "OLD", "host": "127.0.0.1"}
    door = open_door(peer=[SCANNER, plain], dicom_plain=True)
    assert send(door, None, images[0], calling="OLD", port=door.port) == 0x0000
    assert send(door, stranger(scanner), images[1]) == 0x0000
    assert send(door, None, images[0], port=door.port) is None
    assert send(door, stranger(scanner), images[0], calling="OLD") is None
    wait_for("both to be written", lambda: len(rows(door, RejectedCaller)) == 2)
    found = {(row.calling_ae, row.reason) for row in rows(door, RejectedCaller)}
    assert found == {("SCANNER", "tls_required"), ("OLD", "tls_subject_unknown")}


def test_a_handshake_that_hangs_keeps_nobody_else_out(open_door, scanner, images):
    door = open_door()
    with socket.create_connection(("127.0.0.1", door.receiver.tls_port)) as silent:
        silent.sendall(b"\x16\x03")
        assert send(door, stranger(scanner), images[0]) == 0x0000


def test_who_knocks_all_day_does_not_fill_the_audit_record(open_door, monkeypatch):
    monkeypatch.setattr(rejections, "AUDITED", 3)
    door = open_door()
    for _ in range(6):
        with socket.create_connection(("127.0.0.1", door.receiver.tls_port)) as knocking:
            knocking.sendall(b"GET / HTTP/1.1\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert knocking.recv(1) == b""
    wait_for("all to be counted", lambda: [row.count for row in rows(door, RejectedCaller)] == [6])
    assert len(rows(door, AuditEntry)) == 3


# What an operator changes


def test_new_certificates_are_used_for_the_next_association_without_a_restart(
    open_door, own, ca, scanner, images, tmp_path
):
    door = open_door()
    assert by_dcmtk(door, scanner, ca, images[0]) == 0
    successor = certificates.authority(tmp_path / "successor")
    ours, theirs = successor.issue("/CN=myoscreen"), successor.issue(SUBJECT)
    for name, path in (
        ("tls_certificate", ours.certificate),
        ("tls_key", ours.key),
        ("tls_ca", successor.ca),
    ):
        shutil.copy(path, own[name])
    # dcmtk checks our new certificate against the new authority, and we check its new one.
    assert by_dcmtk(door, theirs, successor, images[1]) == 0
    assert len(rows(door, Instance)) == 2
    assert send(door, stranger(scanner), images[0]) is None


def test_a_broken_certificate_is_shown_and_the_old_one_serves_on(open_door, own, scanner, images):
    door = open_door()
    own["tls_certificate"].write_text("broken")
    assert send(door, stranger(scanner), images[0]) == 0x0000
    assert door.detail()["tls"]["problem"] == "tls_files_unusable"


def test_the_door_does_not_open_with_files_that_do_not_fit(open_door, own, scanner):
    shutil.copy(scanner.key, own["tls_key"])
    with pytest.raises(ConfigurationError) as caught:
        open_door()
    assert caught.value.reason.code == "tls_files_unusable"


# Those that we send to


@pytest.fixture
def listening(ca):
    """A node that demands a certificate, as dcmtk's storescp does it."""
    processes = []

    def start(pair, folder):
        port = free_port()
        folder.mkdir(exist_ok=True)
        secure = ("+tls", str(pair.key), str(pair.certificate), "+cf", str(ca.ca), "--require-peer-cert")
        command = [dcmtk("storescp"), *secure, "-od", str(folder), "-aet", "PACS", str(port)]
        processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

        def up():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_for("storescp to listen", up)
        return port

    yield start
    for process in processes:
        process.terminate()
        process.wait(20)


def address(own, port, *, subjects=(), host="127.0.0.1"):
    files = {"certificate": own["tls_certificate"], "key": own["tls_key"], "ca": own["tls_ca"]}
    outgoing = tls.outgoing(files, tls=True, subjects=subjects)
    return scu.Address(host=host, port=port, ae_title="PACS", calling_ae="MYOSCREEN", tls=outgoing)


def test_every_door_speaks_tls_with_a_peer_that_asks_for_it(
    make_settings, own, ca, images, tmp_path, listening
):
    port = listening(ca.issue("/O=Hospital/CN=pacs"), tmp_path / "received")
    pacs = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": port, "tls": True}
    settings = make_settings(**own, peer=[{**pacs, "tls_subject": "CN=pacs", "outputs": ["SC"]}])
    (destination,) = destinations(settings)
    assert [answer.status for answer in scu.store(images, destination.address)] == [0x0000] * 2
    neighbours.echo(settings.peer[0], settings)
    assert looks._echo(settings.peer[0], settings).startswith("answered")
    assert scu.echo(errands._peer_address("pacs", settings)) > 0
    other = make_settings(**own, peer=[{**pacs, "tls_subject": "CN=archive", "outputs": ["SC"]}])
    with pytest.raises(PeerUnreachable):
        neighbours.echo(other.peer[0], other)


def test_we_prove_who_we_are_and_know_whom_we_send_to(listening, own, ca, images, tmp_path):
    pacs = ca.issue("/O=Hospital/CN=pacs")
    port = listening(pacs, tmp_path / "received")
    assert [answer.status for answer in scu.store(images, address(own, port))] == [0x0000] * 2
    assert scu.echo(address(own, port, subjects=("CN=pacs",))) > 0
    assert len(list((tmp_path / "received").iterdir())) == 2
    with pytest.raises(PeerUnreachable):
        scu.store(images, address(own, port, subjects=("CN=archive",)))


@pytest.mark.parametrize("fault", ["authority", "expired", "name"])
def test_nothing_is_sent_to_another_than_the_peer(listening, own, ca, images, tmp_path, fault):
    pair = {
        "authority": lambda: certificates.authority(tmp_path / "other").issue("/CN=pacs"),
        "expired": lambda: ca.issue("/CN=pacs", days=-1, file="late"),
        "name": lambda: ca.issue("/CN=pacs", names="DNS:elsewhere.example", file="elsewhere"),
    }[fault]()
    port = listening(pair, tmp_path / "received")
    with pytest.raises(PeerUnreachable):
        scu.store(images, address(own, port))
    assert list((tmp_path / "received").iterdir()) == []


def test_a_self_test_comes_by_tls_where_nothing_else_is_open(make_settings, own, tmp_path):
    settings = make_settings(**own, tls_port=free_port(), peer=[SCANNER])
    door = receiver.open_door(settings)
    try:
        # Nobody analyses here, so it comes as far as the result.
        outcome = selftest.run(
            door.sessions,
            settings.home,
            nightly.address_of(settings),
            peers=(),
            terms=selftest.Terms(seconds=0.0),
            clock=lambda: datetime.now(UTC),
        )
        assert outcome.code == "timeout"
    finally:
        door.close(finish_seconds=0)
