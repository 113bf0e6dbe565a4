"""Syslog by TLS: what is counted as sent, and to whom nothing is."""

import contextlib
import itertools
import socket
import ssl
import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from service.errors import PeerUnreachable
from service.wire import syslog
from service.wire.syslog import Record, SyslogAddress
from tests.make.certificates import authority
from tests.make.syslog import SENDER, start_rsyslog

NOW = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def trust(tmp_path_factory):
    return authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def known(trust):
    """Our certificate, which names whom the collector lets in."""
    return trust.issue("/CN=sender", names=f"DNS:{SENDER}")


def record(number=1):
    return Record(at=NOW, facility=10, severity=5, host="h", app_name="a", number=number, text="<é/>")


def test_a_message_is_framed_by_its_octets():
    framed = syslog.framed(record())
    length, _, message = framed.partition(b" ")
    assert int(length) == len(message)
    assert message == (
        b'<85>1 2026-11-23T14:30:00.000Z h a - DICOM+RFC3881 [meta sequenceId="1"] \xef\xbb\xbf<\xc3\xa9/>'
    )
    odd = replace(record(), host="mein rechner\n" + "x" * 300, app_name="")
    words = syslog.framed(odd).split(b" ")
    assert words[3].startswith(b"mein_rechner_x")
    assert (len(words[3]), words[4]) == (255, b"-")


@pytest.mark.parametrize("driver", ["gtls", "ossl"])
def test_a_collector_that_does_not_let_us_in_counts_as_not_reached(trust, tmp_path, driver):
    """Without a certificate; and with that of somebody else, whom the OpenSSL driver of Debian 12 lets in."""
    stranger = trust.issue("/CN=stranger", names="DNS:stranger")
    with start_rsyslog(tmp_path / "rsyslog", trust, driver=driver) as rsyslog:
        nameless = SyslogAddress(host="localhost", port=rsyslog.port, ca_file=trust.ca)
        other = replace(nameless, certificate=stranger.certificate, key=stranger.key)
        for address in (nameless, other) if driver == "gtls" else (nameless,):
            for _ in range(8):
                with pytest.raises(PeerUnreachable):
                    syslog.send(address, [record()])
        assert rsyslog.lines() == []


def test_only_the_collector_that_was_meant_is_spoken_to(trust, known, tmp_path):
    with start_rsyslog(tmp_path / "rsyslog", trust) as rsyslog:
        stranger = authority(tmp_path / "other", "Other CA")
        address = SyslogAddress(host="localhost", port=rsyslog.port, ca_file=stranger.ca)
        with pytest.raises(PeerUnreachable) as refused:
            syslog.send(address, [record()])
        assert refused.value.reason.code == "certificate_refused"
        missing = replace(address, certificate=tmp_path / "no.pem", key=known.key)
        with pytest.raises(PeerUnreachable) as unreadable:
            syslog.send(missing, [record()])
        assert unreadable.value.reason.code == "own_certificate_unreadable"


@contextmanager
def odd_collector(trust, behave):
    """A TLS server that does this with each connection, in a thread."""
    pair = trust.issue("/CN=odd", file="odd")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        plain, _ = listener.accept()
        with plain, context.wrap_socket(plain, server_side=True) as connection:
            behave(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield SyslogAddress(host="localhost", port=listener.getsockname()[1], ca_file=trust.ca)
    thread.join(10)
    listener.close()


def test_what_the_collector_closed_upon_without_reading_is_not_sent(trust):
    """It ends the connection before our message can have come: a plain end of the stream, no reset."""
    closed = threading.Event()

    def close_at_once(connection):
        socket.socket(fileno=connection.detach()).close()
        closed.set()

    def records():
        assert closed.wait(10)
        yield record()

    with odd_collector(trust, close_at_once) as address, pytest.raises(PeerUnreachable):
        syslog.send(address, records())


def test_what_a_collector_read_and_then_closed_upon_is_sent(trust):
    """With a close_notify, and without one as rsyslog with GnuTLS does."""
    for polite in (True, False):
        got = bytearray()

        def read_all(connection, polite=polite, got=got):
            while part := connection.recv(4096):
                got.extend(part)
            if polite:
                connection.unwrap()

        with odd_collector(trust, read_all) as address:
            syslog.send(address, [record(1), record(2)])
        assert bytes(got) == syslog.framed(record(1)) + syslog.framed(record(2))


def test_who_reads_too_slowly_is_left_in_time_and_nothing_counts_as_sent(trust, monkeypatch):
    """It takes each message, but together longer than a batch may; the clock goes on by itself here."""
    times = itertools.count(step=10)
    monkeypatch.setattr(syslog, "monotonic", lambda: float(next(times)))
    sent = []

    def records():
        for number in range(1, 1000):
            sent.append(number)
            yield record(number)

    def read_all(connection):
        while connection.recv(4096):
            pass

    with odd_collector(trust, read_all) as address, pytest.raises(PeerUnreachable) as late:
        syslog.send(address, records())
    assert late.value.reason.code == "no_answer"
    assert len(sent) <= syslog.BATCH_SECONDS / 10


def test_who_keeps_talking_after_the_close_is_left_in_time(trust, monkeypatch):
    times = itertools.count(step=5)
    monkeypatch.setattr(syslog, "monotonic", lambda: float(next(times)))

    def read_and_dribble(connection):
        plain = connection.unwrap()
        with contextlib.suppress(OSError):
            while True:
                plain.sendall(b".")

    with odd_collector(trust, read_and_dribble) as address, pytest.raises(PeerUnreachable):
        syslog.send(address, [])
