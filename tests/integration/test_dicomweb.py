"""Results by STOW-RS: every answer that a server can give, and none."""

import base64
import socket
import ssl
import time
from contextlib import suppress

import pytest

from service.core.status import OutputKind
from service.errors import PeerUnreachable
from service.pipeline.deliver import Destination
from service.wire import dicomweb
from tests.make.certificates import authority
from tests.make.dicomweb import WebPeer, outcome, raw_server, secret_file
from tests.make.outbox import CONFIRM, TERMS, sqlite_outbox

SEG, SC = "1.9.1.1", "1.9.1.2"
STORED = ("sent", 0, None)
LOGIN_PAGE = b"<!DOCTYPE html><html><body><form action='/login'>Please sign in.</form></body></html>"


@pytest.fixture
def outbox(tmp_path):
    """A ledger on SQLite."""
    with sqlite_outbox(tmp_path / "home") as made:
        yield made


@pytest.fixture
def result(outbox):
    return outbox.add()


@pytest.fixture
def peer():
    """A server that listens."""
    made = WebPeer()
    with made.listening():
        yield made


def to(peer, *, confirm="none", **changes):
    address = peer.address(**changes)
    return Destination(name="pacs", address=address, outputs=tuple(OutputKind), confirm=confirm)


def answering(peer, status, content=b""):
    peer.answer = lambda _parts: (status, content)


def test_the_stored_bytes_go_in_one_request(outbox, result, peer):
    answering(peer, 200, outcome(stored=(SEG, SC)))
    outbox.send(result, to(peer))
    assert outbox.states() == [STORED, STORED]
    files = [outbox.paths[result, kind].read_bytes() for kind in (OutputKind.SEG, OutputKind.SC)]
    assert peer.received == [files]
    ((method, path, headers),) = peer.asked
    assert (method, path) == ("POST", "/dicom-web/studies")
    assert headers["Content-Type"].startswith('multipart/related; type="application/dicom"; boundary=')
    assert headers["Accept"] == "application/dicom+json"
    assert "Authorization" not in headers


def test_what_failed_alone_is_tried_again(outbox, result, peer):
    answering(peer, 202, outcome(stored=(SEG,), failed={SC: 0xA700}))
    outbox.send(result, to(peer))
    assert outbox.states() == [STORED, ("pending", 0xA700, "store_refused")]
    answering(peer, 200, [outcome(stored=(SC,))])
    outbox.wait()
    outbox.send(result, to(peer))
    assert outbox.states() == [STORED, STORED]
    assert [len(parts) for parts in peer.received] == [2, 1]


def test_a_conflict_with_reasons_that_cannot_change_is_final(outbox, result, peer):
    answering(peer, 409, outcome(failed={SEG: 0xC122, SC: 0xA900}))
    outbox.send(result, to(peer))
    assert outbox.states() == [("dead", 0xC122, "store_refused"), ("dead", 0xA900, "store_refused")]
    assert outbox.circuit().state == "closed"


def in_xml(*, stored, failed):
    """The same as ``outcome`` by the Native DICOM Model (PS3.19 A.1)."""

    def element(tag, vr, value):
        return f'<DicomAttribute tag="{tag}" vr="{vr}"><Value number="1">{value}</Value></DicomAttribute>'

    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">'
        f'<DicomAttribute tag="00081199" vr="SQ"><Item number="1">{element("00081155", "UI", stored)}'
        '</Item></DicomAttribute><DicomAttribute tag="00081198" vr="SQ"><Item number="1">'
        f"{element('00081155', 'UI', failed)}{element('00081197', 'US', 0xA700)}"
        "</Item></DicomAttribute></NativeDicomModel>"
    ).encode()


def test_a_server_that_answers_in_xml_is_understood(outbox, result, peer):
    answering(peer, 202, in_xml(stored=SEG, failed=SC))
    outbox.send(result, to(peer))
    assert outbox.states() == [STORED, ("pending", 0xA700, "store_refused")]


def test_xml_with_a_document_type_is_not_read(outbox, result, peer):
    content = in_xml(stored=SEG, failed=SC).replace(b"?><", b'?><!DOCTYPE x [<!ENTITY a "b">]><')
    for raw in (content, content.decode().replace("UTF-8", "UTF-16").encode("utf-16-le")):
        answering(peer, 200, raw)
        outbox.send(result, to(peer))
        outbox.wait()
    assert outbox.states() == [("pending", None, "http_unclear")] * 2


def test_what_stands_in_both_lists_was_not_stored(outbox, result, peer):
    answering(peer, 200, outcome(stored=(SEG, SC), failed={SC: 0x0110}))
    outbox.send(result, to(peer))
    assert outbox.states() == [STORED, ("pending", 0x0110, "store_refused")]


def test_a_warning_means_stored(outbox, result, peer):
    content = outcome(stored=(SEG, SC))
    content["00081199"]["Value"][1]["00081196"] = {"vr": "US", "Value": [0xB007]}
    answering(peer, 202, content)
    outbox.send(result, to(peer))
    assert outbox.states() == [STORED, ("sent", 0xB000, None)]


@pytest.mark.parametrize(
    ("status", "content", "state"),
    [
        (200, b"", ("pending", None, "http_unclear")),
        (200, {}, ("pending", None, "http_unclear")),
        (200, [], ("pending", None, "http_unclear")),
        (200, LOGIN_PAGE, ("pending", None, "http_unclear")),
        (202, LOGIN_PAGE, ("pending", None, "http_unclear")),
        (200, b"<NativeDicomModel/>", ("pending", None, "http_unclear")),
        (200, b"<NativeDicomModel>", ("pending", None, "http_unclear")),
        (200, outcome(stored=("1.9.9",)), ("pending", None, "http_unclear")),
        (204, b"", ("pending", None, "http_unclear")),
        (202, b"no json", ("pending", None, "http_unclear")),
        (202, {}, ("pending", None, "http_unclear")),
        (409, b"", ("pending", None, "http_unclear")),
        (500, b"", ("pending", None, "http_unclear")),
        (400, b"", ("dead", None, "http_refused")),
        (413, b"", ("dead", None, "http_refused")),
        (415, b"", ("dead", None, "http_refused")),
    ],
)
def test_an_answer_without_details_is_taken_by_its_status(outbox, result, peer, status, content, state):
    answering(peer, status, content)
    outbox.send(result, to(peer))
    assert outbox.states() == [state] * 2
    assert outbox.circuit().failures == 0


def test_a_request_that_is_refused_as_a_whole_is_repeated_object_by_object(outbox, result, peer):
    bad = outbox.paths[result, OutputKind.SEG].read_bytes()
    peer.answer = lambda parts: (400, b"") if bad in parts else (200, outcome(stored=(SC,)))
    outbox.send(result, to(peer))
    assert outbox.states() == [("dead", None, "http_refused"), STORED]
    assert [len(parts) for parts in peer.received] == [2, 1, 1]


@pytest.mark.parametrize("status", [302, 401, 403, 404, 429, 502, 503, 504])
def test_an_answer_about_the_server_itself_uses_up_no_tries(outbox, result, peer, status):
    answering(peer, status)
    for _ in range(TERMS.circuit.failures):
        outbox.send(result, to(peer))
        outbox.wait()
    assert outbox.states() == [("pending", None, "http_status")] * 2
    assert [row.failures for row in outbox.rows()] == [0, 0]
    facts = outbox.circuit()
    assert (facts.state, facts.reason_text) == ("open", f"The peer answered HTTP {status}.")
    assert {path for _, path, _ in peer.asked} == {"/dicom-web/studies"}


def test_a_server_that_hangs_is_given_up_in_time(outbox, result, peer):
    peer.answer = lambda _parts: (peer.ended.wait(30), (200, b""))[1]
    outbox.send(result, to(peer, answer_seconds=0.3))
    peer.ended.set()
    assert outbox.states() == [("pending", None, "no_answer")] * 2
    assert outbox.circuit().failures == 1


def test_a_server_that_drips_its_answer_is_given_up_in_time(outbox, result):
    def drip(client):
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        with suppress(OSError):
            while True:
                client.sendall(b" ")
                time.sleep(0.01)

    with raw_server(drip) as url:
        outbox.send(result, to(WebPeer(url=url), answer_seconds=0.3))
    assert outbox.states() == [("pending", None, "no_answer")] * 2


def test_a_server_that_is_not_there_is_tried_again(outbox, result):
    peer = WebPeer()
    with peer.listening():
        pass
    outbox.send(result, to(peer))
    assert outbox.states() == [("pending", None, "peer_unreachable")] * 2


def test_an_early_refusal_is_heard_although_not_all_was_said(outbox):
    def refuse(client):
        client.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        client.shutdown(socket.SHUT_RD)

    result = outbox.add(PixelData=bytes(16_000_000))
    with raw_server(refuse) as url:
        outbox.send(result, to(WebPeer(url=url)))
    assert {row.state for row in outbox.rows()} == {"pending"}
    assert [row.failures for row in outbox.rows()] == [0, 0]


def test_a_file_that_is_gone_is_final_for_itself(outbox, result, peer):
    outbox.paths[result, OutputKind.SEG].unlink()
    outbox.send(result, to(peer))
    assert outbox.states() == [("dead", None, "unreadable"), STORED]


@pytest.mark.parametrize(
    ("content", "header"),
    [
        ("otto:se:cret", "Basic " + base64.b64encode(b"otto:se:cret").decode()),
        ("Bearer abc.def", "Bearer abc.def"),
    ],
)
def test_credentials_come_from_a_file(outbox, result, peer, tmp_path, content, header):
    outbox.send(result, to(peer, authorization_file=secret_file(tmp_path / "secret", content)))
    assert peer.asked[0][2]["Authorization"] == header
    assert outbox.states() == [STORED, STORED]


def test_a_missing_secret_is_told_and_waited_for(outbox, result, peer, tmp_path):
    outbox.send(result, to(peer, authorization_file=tmp_path / "none"))
    assert outbox.states() == [("pending", None, "credentials_unreadable")] * 2
    assert peer.asked == []


@pytest.mark.parametrize(
    ("issuer", "names", "code"),
    [
        ("mine", "IP:127.0.0.1", None),
        ("another", "IP:127.0.0.1", "certificate_refused"),
        ("mine", "DNS:elsewhere.example", "certificate_refused"),
    ],
)
def test_a_server_by_https_must_show_a_certificate_that_is_trusted(tmp_path, issuer, names, code):
    mine, another = authority(tmp_path / "mine"), authority(tmp_path / "another")
    pair = (mine if issuer == "mine" else another).issue("/CN=archive", names=names)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    peer = WebPeer()
    peer.answer = lambda _parts: (204, b"")
    with peer.listening(context):
        try:
            assert dicomweb.holds("1", "2", "3", peer.address(ca_file=mine.ca)) is False
            told = None
        except PeerUnreachable as error:
            told = error.reason.code
    assert told == code
    assert bool(peer.asked) == (code is None)


def test_a_missing_authority_is_told_and_waited_for(tmp_path):
    address = WebPeer(url="https://127.0.0.1:1").address(ca_file=tmp_path / "none")
    with pytest.raises(PeerUnreachable) as error:
        dicomweb.holds("1", "2", "3", address)
    assert error.value.reason.code == "ca_file_unreadable"


def test_a_query_confirms_what_the_server_has(outbox, result, peer):
    there = [{"00080018": {"vr": "UI", "Value": [SEG]}}]
    outbox.send(result, to(peer, confirm="query"))
    peer.answer = lambda _parts: (200, there) if peer.asked[-1][1].endswith(SEG) else (204, b"")
    for _ in range(CONFIRM.attempts):
        outbox.ask(result, to(peer, confirm="query"))
        outbox.wait()
    assert outbox.states() == [("confirmed", 0, None), ("pending", 0x0112, "not_found")]
    _, path, headers = peer.asked[1]
    assert path.startswith("/dicom-web/studies/")
    assert path.endswith(f"/instances?SOPInstanceUID={SEG}")
    assert headers["Accept"] == "application/dicom+json"
    (entry,) = outbox.audited("delivery_confirmed")
    assert entry.detail["by"] == "query"


@pytest.mark.parametrize(("status", "content"), [(404, b""), (200, b"no json"), (500, b"")])
def test_a_server_that_cannot_tell_leaves_it_sent(outbox, result, peer, status, content):
    outbox.send(result, to(peer, confirm="query"))
    answering(peer, status, content)
    for _ in range(CONFIRM.attempts):
        outbox.ask(result, to(peer, confirm="query"))
        outbox.wait()
    assert outbox.states() == [("sent", 0, "not_confirmed")] * 2


@pytest.mark.parametrize("status", [401, 403, 429, 503])
def test_a_server_that_stores_and_does_not_let_us_ask_is_still_sent_to(outbox, result, peer, status):
    outbox.send(result, to(peer, confirm="query"))
    answering(peer, status)
    for _ in range(CONFIRM.attempts):
        assert outbox.circuit().failures == 0
        outbox.ask(result, to(peer, confirm="query"))
        outbox.wait()
    assert outbox.states() == [("sent", 0, "not_confirmed")] * 2
    assert (outbox.circuit().state, outbox.circuit().failures) == ("closed", 0)


def test_a_server_for_questions_alone_that_is_away_keeps_nothing_back(outbox, result, peer):
    gone = WebPeer()
    with gone.listening():
        pass
    there = to(peer, confirm="query", qido_url=f"{gone.url}/dicom-web")
    outbox.send(result, there)
    for _ in range(CONFIRM.attempts):
        outbox.ask(result, there)
        outbox.wait()
    assert outbox.states() == [("sent", 0, "not_confirmed")] * 2
    assert outbox.circuit().failures == 0
