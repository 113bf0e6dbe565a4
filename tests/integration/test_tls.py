"""Proof from both sides, on plain sockets: who is let through, and how certificates are changed."""

import logging
import re
import shutil
import socket
import ssl
import subprocess
import threading
import warnings
from pathlib import Path

import pytest

from service.dicom import tls
from service.dicom.certificates import Certificate
from service.errors import ConfigurationError
from service.settings import load
from tests.make import certificates

SUBJECT = "/O=Hospital/CN=scanner"


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return certificates.authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def ours(ca):
    return ca.issue("/CN=myoscreen")


@pytest.fixture(scope="module")
def scanner(ca):
    return ca.issue(SUBJECT)


@pytest.fixture(scope="module")
def files(ca, ours):
    return tls.TlsFiles(certificate=ours.certificate, key=ours.key, ca=ca.ca)


def client(pair=None, *, ca=None, old=False, maximum=None):
    """The context of somebody who looks at nothing, as a stranger may."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if old:
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    if maximum:
        context.maximum_version = maximum
    if pair:
        context.load_cert_chain(pair.certificate, pair.key)
    return context


def connect(keyring, talk, *, seconds=5.0):
    """Let ``talk`` use one end of a connection; what the handshake at the other end came to."""
    mine, theirs = socket.socketpair()
    mine.settimeout(10)

    def run():
        try:
            talk(mine)
        except OSError:
            pass
        finally:
            mine.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        connection, certificate = tls.accept(theirs, keyring, seconds=seconds)
        version = connection.version()
        connection.close()
    except tls.HandshakeRefused as refused:
        return refused.reason
    finally:
        thread.join()
    return version, str(certificate)


def shake(context):
    def talk(sock):
        with context.wrap_socket(sock) as wrapped:
            wrapped.recv(1)

    return talk


@pytest.mark.parametrize(("version", "name"), [("TLSv1_2", "TLSv1.2"), ("TLSv1_3", "TLSv1.3")])
def test_a_known_certificate_is_let_through_and_named(files, scanner, version, name):
    keyring = tls.Keyring(files)
    context = client(scanner, maximum=ssl.TLSVersion[version])
    assert connect(keyring, shake(context)) == (name, "O=Hospital,CN=scanner")


def test_only_tls_1_3_where_that_is_the_minimum(ca, ours, scanner):
    strict = tls.TlsFiles(certificate=ours.certificate, key=ours.key, ca=ca.ca, minimum="1.3")
    context = client(scanner, maximum=ssl.TLSVersion.TLSv1_2)
    assert connect(tls.Keyring(strict), shake(context)) == "tls_version_refused"


def test_every_stranger_is_refused_with_the_reason(files, ca, scanner, tmp_path):
    keyring = tls.Keyring(files)
    other = certificates.authority(tmp_path, "Other CA").issue(SUBJECT)
    expired = ca.issue(SUBJECT, days=-1, file="expired")
    assert connect(keyring, lambda sock: sock.sendall(b"\x01\x00\x00\x00\x00\xcd")) == "tls_missing"
    assert connect(keyring, lambda sock: sock.sendall(b"GET / HTTP/1.1\r\n\r\n")) == "tls_missing"
    assert connect(keyring, shake(client())) == "tls_certificate_missing"
    assert connect(keyring, shake(client(other))) == "tls_certificate_untrusted"
    assert connect(keyring, shake(client(expired))) == "tls_certificate_expired"
    assert connect(keyring, shake(client(scanner, old=True))) == "tls_version_refused"


def test_who_does_not_trust_us_is_told_apart(files, scanner, tmp_path):
    wary = client(scanner)
    wary.verify_mode = ssl.CERT_REQUIRED
    wary.load_verify_locations(certificates.authority(tmp_path).ca)
    assert connect(tls.Keyring(files), shake(wary)) == "tls_refused_by_peer"


def test_a_weak_cipher_is_refused(files, scanner):
    context = client(scanner, maximum=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")
    assert connect(tls.Keyring(files), shake(context)) == "tls_cipher_refused"


def test_who_says_nothing_is_cut_off_and_who_leaves_is_no_stranger(files):
    keyring = tls.Keyring(files)
    ended = threading.Event()
    assert connect(keyring, lambda _sock: ended.wait(0.5), seconds=0.1) == "tls_timeout"
    # Half a handshake does not hold the place either.
    assert (
        connect(keyring, lambda sock: (sock.sendall(b"\x16"), ended.wait(0.5)), seconds=0.1) == "tls_timeout"
    )
    with pytest.raises(tls.NobodyThere):
        connect(keyring, lambda _sock: None)


def test_a_revoked_certificate_is_refused(ca, ours, scanner):
    lost = ca.issue("/CN=lost")
    listed = tls.TlsFiles(certificate=ours.certificate, key=ours.key, ca=ca.ca, crl=ca.revoked(lost))
    keyring = tls.Keyring(listed)
    assert connect(keyring, shake(client(lost))) == "tls_certificate_revoked"
    assert connect(keyring, shake(client(scanner)))[1] == "O=Hospital,CN=scanner"


# Certificates that are changed on disk


@pytest.fixture
def installed(tmp_path, ca, ours):
    """Files that a test may change."""
    made = {"certificate": ours.certificate, "key": ours.key, "ca": ca.ca}
    return tls.TlsFiles(**{name: shutil.copy(path, tmp_path / f"{name}.pem") for name, path in made.items()})


def replace(path, source):
    """As certificate tools do: written beside, then renamed."""
    beside = path.with_suffix(".new")
    shutil.copy(source, beside)
    beside.replace(path)


def serial(keyring, pair, ca):
    """Which certificate the server shows now."""
    shown = []
    context = client(pair)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(ca.ca)

    def talk(sock):
        with context.wrap_socket(sock) as wrapped:
            shown.append(wrapped.getpeercert()["serialNumber"])

    connect(keyring, talk)
    return shown[0]


def test_a_new_certificate_is_used_for_the_next_connection(installed, ca, scanner):
    keyring = tls.Keyring(installed)
    before = serial(keyring, scanner, ca)
    new = ca.issue("/CN=myoscreen", file="renewed")
    replace(installed.certificate, new.certificate)
    # Half of the pair is there: what was in use stays in use, and says so.
    assert serial(keyring, scanner, ca) == before
    assert keyring.state()["problem"] == "tls_files_unusable"
    replace(installed.key, new.key)
    assert serial(keyring, scanner, ca) != before
    assert keyring.state()["problem"] is None


def test_a_broken_file_is_told_once_and_the_old_one_stays(installed, ca, scanner, caplog):
    keyring = tls.Keyring(installed)
    before = serial(keyring, scanner, ca)
    installed.ca.write_text("no certificate")
    with caplog.at_level(logging.WARNING, "service.dicom.tls"):
        assert [serial(keyring, scanner, ca) for _ in range(3)] == [before] * 3
    assert [record.getMessage() for record in caplog.records] == ["tls_certificate_trouble"]
    installed.ca.unlink()
    assert serial(keyring, scanner, ca) == before
    assert keyring.state()["problem"] == "tls_files_unusable"


def test_an_authority_that_is_taken_away_lets_nobody_in_any_more(installed, scanner, tmp_path):
    keyring = tls.Keyring(installed)
    assert connect(keyring, shake(client(scanner)))[1] == "O=Hospital,CN=scanner"
    replace(installed.ca, certificates.authority(tmp_path / "other").ca)
    assert connect(keyring, shake(client(scanner))) == "tls_certificate_untrusted"


def test_the_state_says_until_when_the_certificate_is_valid(files, ca):
    state = tls.Keyring(files).state()
    assert state["problem"] is None
    assert state["valid_until"] > state["loaded_at"]
    old = ca.issue("/CN=myoscreen", days=-1, file="old")
    expired = tls.TlsFiles(certificate=old.certificate, key=old.key, ca=ca.ca)
    assert tls.Keyring(expired).state()["problem"] == "tls_certificate_expired"


def test_a_key_may_be_locked_with_a_password_from_a_file(ca, ours, tmp_path):
    password = tmp_path / "password"
    password.write_text("long and secret\n")
    locked = certificates.lock(ours, "long and secret")
    named = {"certificate": ours.certificate, "key": locked, "ca": ca.ca}
    assert tls.Keyring(tls.TlsFiles(**named, key_password=password)).state()["problem"] is None
    for wrong in (tls.TlsFiles(**named), tls.TlsFiles(**named, key_password=ours.certificate)):
        with pytest.raises(ConfigurationError) as caught:
            tls.Keyring(wrong)
        assert caught.value.reason.code == "tls_files_unusable"
        assert "secret" not in str(caught.value)


def test_files_that_do_not_fit_are_told_at_the_start(ca, ours, scanner, tmp_path):
    empty = tmp_path / "empty.pem"
    empty.touch()
    for changes in (
        {"key": scanner.key},
        {"ca": tmp_path / "absent"},
        {"ca": empty},
        {"ca": scanner.certificate},
    ):
        values = {"certificate": ours.certificate, "key": ours.key, "ca": ca.ca, **changes}
        with pytest.raises(ConfigurationError):
            tls.Keyring(tls.TlsFiles(**values))


# Those that we connect to


def call(keyring, subjects, server_pair, *, host="127.0.0.1"):
    """Connect as our sender does to a server that shows this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_pair.certificate, server_pair.key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            connection, _ = listener.accept()
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        outgoing = tls.Outgoing(keyring=keyring, subjects=subjects)
        try:
            with outgoing.wrap_socket(socket.socket(), server_hostname=host) as wrapped:
                wrapped.settimeout(10)
                wrapped.connect(listener.getsockname())
                return wrapped.version()
        finally:
            thread.join()


def test_a_server_must_be_the_one_that_is_meant(files, ca, scanner, tmp_path):
    keyring = tls.Keyring(files)
    other = certificates.authority(tmp_path).issue(SUBJECT)
    assert call(keyring, (), scanner) == "TLSv1.3"
    assert call(keyring, (), scanner, host="localhost") == "TLSv1.3"
    assert call(keyring, ("CN=scanner",), scanner, host="elsewhere") == "TLSv1.3"
    for subjects, pair, host in (
        ((), other, "127.0.0.1"),
        ((), scanner, "pacs.example"),
        (("CN=pacs",), scanner, "127.0.0.1"),
        ((), ca.issue(SUBJECT, days=-1, file="late"), "127.0.0.1"),
        ((), ca.issue("/CN=wild", names="DNS:*.example"), "pacs.example"),
    ):
        with pytest.raises(ssl.SSLCertVerificationError):
            call(keyring, subjects, pair, host=host)


# What docs/how-to/certificates.md tells


def test_the_commands_and_settings_of_the_how_to_work(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "certificates.md").read_text("utf-8")
    (script,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    subprocess.run(["sh", "-euc", script], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    text = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0].replace("/etc/myoscreen/tls", str(tmp_path))
    (tmp_path / "myoscreen.toml").write_text(text, "utf-8")
    settings = load(home=tmp_path)
    keyring = tls.Keyring(tls.TlsFiles(**settings.tls_files))
    assert keyring.state()["problem"] is None
    scanner = certificates.Pair(tmp_path / "scanner-3.pem", tmp_path / "scanner-3.key")
    version, subject = connect(keyring, shake(client(scanner)))
    assert (version, subject) == ("TLSv1.3", "O=Hospital,CN=scanner-3")
    peers = {peer.name: peer for peer in settings.peer}
    shown = Certificate(subject=(("organizationName", "Hospital"), ("commonName", "scanner-3")))
    assert shown.is_bound_to(peers["scanner-3"].tls_subject)
    pacs = certificates.Pair(tmp_path / "pacs.pem", tmp_path / "pacs.key")
    assert call(keyring, peers["pacs"].tls_subject, pacs) == "TLSv1.3"


# How a subject is compared


SUBJECT_OF_ALL = Certificate(
    subject=(
        ("countryName", "DE"),
        ("organizationName", "Hospital, North"),
        ("organizationalUnitName", "MR"),
        ("organizationalUnitName", "Radiology"),
        ("commonName", "scanner"),
    ),
    names=(("DNS", "MR2.example"), ("IP Address", "2001:DB8:0:0:0:0:0:1"), ("URI", "urn:x:1")),
)


@pytest.mark.parametrize(
    ("subject", "bound"),
    [
        ("CN=scanner", True),
        ("cn=scanner", True),
        ("CN=Scanner", False),
        ("CN=scanner2", False),
        (r"CN=scanner,O=Hospital\, North", True),
        ("CN=scanner,O=Hospital", False),
        ("OU=Radiology,OU=MR", True),
        ("OU=Radiology", False),
        ("L=Kiel", False),
        ("DNS:mr2.example", True),
        ("DNS:example", False),
        ("IP:2001:db8::1", True),
        ("IP:2001:db8::2", False),
        ("URI:urn:x:1", True),
        ("URI:urn:x:2", False),
        ("", False),
    ],
)
def test_a_subject_is_compared_as_the_reference_says(subject, bound):
    assert SUBJECT_OF_ALL.is_bound_to((subject,)) is bound
    assert SUBJECT_OF_ALL.is_bound_to(("CN=other", subject)) is bound


def test_a_certificate_is_written_as_it_can_be_pasted():
    text = str(SUBJECT_OF_ALL)
    assert text == r"C=DE,O=Hospital\, North,OU=MR,OU=Radiology,CN=scanner"
    assert SUBJECT_OF_ALL.is_bound_to((text,))
    assert str(Certificate(subject=(), names=(("DNS", "a.example"),))) == "DNS:a.example"
    assert str(Certificate(subject=())) == ""
    assert not SUBJECT_OF_ALL.is_bound_to(())


def test_a_wildcard_names_nobody():
    wild = Certificate(subject=(), names=(("DNS", "*.example"), ("IP Address", "not one")))
    assert not wild.is_bound_to(("DNS:a.example", "IP:10.0.0.1"))
