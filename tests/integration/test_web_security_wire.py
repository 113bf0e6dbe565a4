"""What somebody who means harm writes on the wire: paths, and requests that end in two places."""

import re
import socket
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from tests.make import ledger
from tests.make.hostile import INJECTED
from tests.make.serving import served
from tests.make.web import copy_world

EVIL = "evil.example"


@pytest.fixture(scope="module")
def shared(template, tmp_path_factory):
    """A world that nothing here changes."""
    world = copy_world(template, tmp_path_factory.mktemp("wire") / "home")
    yield world
    world.sessions.kw["bind"].dispose()


@pytest.fixture(scope="module")
def address(shared):
    """The same world, listening."""
    with served(shared) as url:
        yield urlsplit(url).hostname, urlsplit(url).port


def raw(address, request, *, ending=False):
    """Everything that the server answers to these bytes until it closes, with ``ending`` after we did."""
    answer = b""
    with socket.create_connection(address, 30) as connection, suppress(ConnectionError):
        connection.sendall(request)
        if ending:
            connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(65536):
            answer += piece
    return answer


def statuses(answer):
    """The statuses of the answers in what came back."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


@pytest.mark.parametrize(
    "path", [f"//{EVIL}/%2e%2e", f"/%0d%0a{INJECTED}:yes", f"/x%0aSet-Cookie:a=b;@{EVIL}"]
)
def test_a_path_that_somebody_made_up_is_no_header_and_no_address(address, path):
    answer = raw(address, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert statuses(answer)[0] in {303, 404}
    assert f"\r\n{INJECTED}".encode() not in head
    assert b"\r\nset-cookie: a=b" not in head
    location = re.findall(rb"\r\nlocation: ([^\r]+)", head)
    assert all(where.startswith(b"/login") for where in location)


# Paths


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static/%2e%2e%2fapp.py",
        "/static/..%5capp.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/%00",
        "/static/style.css%00.png",
        "/static/%c0%ae%c0%ae/app.py",
        "/static/" + "a" * 5000,
        "/static/" + "a/" * 5000,
        "/analyses/{}/pictures/..%2f..%2f..%2fmyoscreen.db",
        "/analyses/{}/pictures/%2fetc%2fpasswd",
        "/analyses/{}/pictures/overlay.png%00",
        "/analyses/{}/pictures/..%2freport.pdf",
        "/api/v1/analyses/{}/outputs/..%2fseg",
        "/api/v1/analyses/{}/outputs/seg/../../../../../audit",
        "/api/v1/peers/..%2f..%2fstatus/echo",
        "//api/v1/status",
        "/API/v1/status",
        "/api/v1/status/",
        "/api/v1/status;x",
        "/api/v1/./status",
    ],
)
def test_a_path_leads_to_what_it_names_or_nowhere(shared, address, path):
    key = shared.keys["viewer"]
    request = f"GET {path.format(shared.ids.flagged)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    answer = raw(address, f"{request}Connection: close\r\n\r\n".encode())
    assert statuses(answer)[0] in {400, 404, 405}
    for secret in (b"create_app", b"root:x:0", b"SQLite format", ledger.PATIENT_ID.encode()):
        assert secret not in answer


def test_an_encoded_slash_leads_to_the_route_and_its_permission(shared, address):
    path = f"/api/v1/analyses/{shared.ids.flagged}%2foutputs%2fseg"
    answer = raw(address, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert statuses(answer) == [401]


def test_an_answer_to_head_ends_with_its_headers(shared, address):
    """What came after them would be taken for the next answer on the same connection."""
    known = f"Host: x\r\nAuthorization: Bearer {shared.keys['viewer']}\r\n"
    first = f"HEAD /api/v1/status HTTP/1.1\r\n{known}\r\n"
    second = f"GET /healthz HTTP/1.1\r\n{known}Connection: close\r\n\r\n"
    head, _, rest = raw(address, (first + second).encode()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert int(re.search(rb"content-length: (\d+)", head)[1]) > 500
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")
    assert rest.endswith(b'{"status":"alive"}')


def test_a_request_line_without_end_is_refused_by_the_server(address):
    answer = raw(address, b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert statuses(answer) in ([400], [])  # Closed; what it said may be lost with what was not read.


# Requests within requests

INNER = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def framed(*headers, body=b""):
    """A form with these headers and that body."""
    kind = b"Content-Type: application/x-www-form-urlencoded"
    return b"\r\n".join([b"POST /login HTTP/1.1", b"Host: x", kind, *headers]) + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    "request_",
    [
        framed(b"Content-Length: 0", b"Content-Length: 60", body=INNER),
        framed(b"Content-Length: 6, 60", body=INNER),
        framed(b"Content-Length: +6", body=INNER),
        framed(b"Content-Length: 0x6", body=INNER),
        framed(b"Content-Length: -1", body=INNER),
        framed(b"Content-Length : 6", body=INNER),
        framed(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n" + INNER),
        framed(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + INNER),
        framed(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n" + INNER),
        framed(b"Transfer-Encoding: chunked", body=b"0x3\r\nabc\r\n0\r\n\r\n" + INNER),
        framed(b"Transfer-Encoding: chunked", body=b"-1\r\nabc\r\n0\r\n\r\n" + INNER),
        framed(b"Transfer-Encoding: chunked", body=b"3\r\nabcd\r\n0\r\n\r\n" + INNER),
        framed(b"X: a\r\n Content-Length: 5\r\n\x00: b", body=INNER),
        framed(b"X\nTransfer-Encoding: chunked", body=b"0\r\n\r\n" + INNER),
        b"GET / HTTP/1.1\r\n\r\n" + INNER,
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + INNER,
    ],
)
def test_a_request_that_two_readers_could_end_in_two_places_is_refused(address, request_):
    answer = raw(address, request_)
    assert statuses(answer)[:1] == [400]
    assert b'"alive"' not in answer


def test_of_a_length_and_chunks_the_chunks_count_and_nothing_is_left_over(address):
    chunked = framed(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n")
    assert statuses(raw(address, chunked + INNER)) == [422, 200]
    both = framed(b"Content-Length: 64", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n")
    # The second is answered, or the connection closed (RFC 9112 6.1); it is never the body of the first.
    assert statuses(raw(address, both + INNER)) in ([422], [422, 200])


def test_a_body_that_never_comes_does_not_become_one_of_the_next_caller(address):
    answer = raw(address, framed(b"Content-Length: 500", body=INNER), ending=True)
    assert b'"alive"' not in answer
