"""DICOMweb over HTTP: STOW-RS to store objects, QIDO-RS to ask for them (PS3.18, 10.5 and 10.6).

Built on the standard library, which opens no connection but the one asked for, follows no redirect and
reads no proxy from the environment.
"""

import base64
import http.client
import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from service.core.answers import Answer
from service.errors import PeerUnreachable
from service.wire.native import model_of
from service.wire.trust import credentials, http_connection, told_plainly

#: As for C-STORE: a peer that is there answers in milliseconds, and may think about the objects for a while.
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
CHUNK_BYTES = 1 << 16
#: An answer names four objects at most; one megabyte is far beyond any (chosen by us).
LARGEST_ANSWER = 1 << 20

#: Attributes of the answer (PS3.18 table 10.5.3-2, PS3.6).
REFERENCED, FAILED, UID = "00081199", "00081198", "00081155"
WARNING_REASON, FAILURE_REASON = "00081196", "00081197"
#: NumberOfSeriesRelatedInstances.
INSTANCES = "00201209"
#: These say nothing about the objects: who may come in, where to, or whether the peer can work at all. What
#: waits then waits as for a peer that is away. Every 3xx too, because no redirect is followed.
_ABOUT_THE_PEER = frozenset({401, 402, 403, 404, 405, 407, 408, 421, 429, 502, 503, 504, 511})
#: Codes of answers that say nothing about one object alone.
VAGUE = frozenset({"http_refused", "http_unclear"})
#: Those for which per-object reasons may stand in the answer.
_PER_OBJECT = frozenset({HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.CONFLICT})


@dataclass(frozen=True, kw_only=True)
class WebAddress:
    """Where the DICOMweb services of a peer are."""

    #: Root of STOW-RS, such as https://pacs.example/dicom-web.
    stow_url: str
    #: Root of QIDO-RS.
    qido_url: str
    #: A file with ``user:password`` or ``Bearer TOKEN``, read for each call so that it may be renewed.
    authorization_file: Path | None = None
    #: Certificates that are trusted instead of those of the system.
    ca_file: Path | None = None
    answer_seconds: float = ANSWER_SECONDS

    @property
    def one_server(self) -> bool:
        """Whether both services are at one host and port."""
        return urlsplit(self.stow_url)[:2] == urlsplit(self.qido_url)[:2]


def store(items: Sequence[tuple[str, Path]], address: WebAddress) -> dict[str, Answer]:
    """Store files in one request; the answer for each by its SOP instance UID.

    What the answer to all of them leaves open is sent once more, each by itself: some servers refuse a whole
    request for one object that they do not like.

    Raises PeerUnreachable when the peer could not be asked, or answered nothing about the objects.
    """
    answers: dict[str, Answer] = {}
    there: list[tuple[str, Path, int]] = []
    for uid, path in items:
        try:
            there.append((uid, path, path.stat().st_size))
        except OSError:
            answers[uid] = Answer(status=None, code="unreadable")
    if there:
        answers.update(_post(there, address))
    if len(there) > 1:
        for item in there:
            if answers[item[0]].code in VAGUE:
                answers.update(_post_alone(item, address))
    return answers


def _post_alone(item: tuple[str, Path, int], address: WebAddress) -> dict[str, Answer]:
    """Store one file of several, where the others have their answers already."""
    try:
        return _post([item], address)
    except PeerUnreachable:
        return {item[0]: Answer(status=None, code="http_unclear")}


def _post(there: Sequence[tuple[str, Path, int]], address: WebAddress) -> dict[str, Answer]:
    """One request with these files (UID, path, size)."""
    boundary = secrets.token_hex(24)
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    length = sum(len(head) + size + 2 for _, _, size in there) + len(boundary) + 6
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        "Content-Length": str(length),
        "Accept": "application/dicom+json",
    }
    body = _multipart([path for _, path, _ in there], head, f"--{boundary}--\r\n".encode())
    status, content = _call("POST", f"{address.stow_url.rstrip('/')}/studies", headers, address, body)
    return _outcomes([uid for uid, _, _ in there], status, content)


def holds(study_uid: str, series_uid: str, instance_uid: str, address: WebAddress) -> bool:
    """Whether the peer says by QIDO-RS that it has this object.

    Raises PeerUnreachable when it gave no answer to that question.
    """
    query = urlencode({"SOPInstanceUID": instance_uid})
    place = f"{address.qido_url.rstrip('/')}/studies/{study_uid}/series/{series_uid}/instances?{query}"
    status, content = _call("GET", place, {"Accept": "application/dicom+json"}, address, None)
    if status == HTTPStatus.NO_CONTENT:
        return False
    if status in _ABOUT_THE_PEER - {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
        raise PeerUnreachable(f"The peer answered HTTP {status}.", reason="http_status")
    found = _json(content) if status == HTTPStatus.OK else None
    if not isinstance(found, list):
        raise PeerUnreachable(f"The peer answered QIDO-RS with HTTP {status}.", reason="query_failed")
    return any(_first(item, "00080018") == instance_uid for item in found)


def count_images(study_uid: str, series_uid: str, address: WebAddress) -> int | None:
    """How many images of a series the peer says by QIDO-RS that it has; None where it does not say.

    Raises PeerUnreachable when it gave no answer to that question.
    """
    query = urlencode({"SeriesInstanceUID": series_uid, "includefield": INSTANCES})
    place = f"{address.qido_url.rstrip('/')}/studies/{study_uid}/series?{query}"
    status, content = _call("GET", place, {"Accept": "application/dicom+json"}, address, None)
    if status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND):
        return None
    found = _json(content) if status == HTTPStatus.OK else None
    if not isinstance(found, list):
        raise PeerUnreachable(f"The peer answered QIDO-RS with HTTP {status}.", reason="query_failed")
    mine = [item for item in found if _first(item, "0020000E") == series_uid]
    count = _number(mine[0], INSTANCES, 0) if mine else 0
    return count if count > 0 else None


def ask(place: str, address: WebAddress, *, most_bytes: int) -> list[Any]:
    """The matches of one question of QIDO-RS below the root. Raises PeerUnreachable."""
    url, headers = f"{address.qido_url.rstrip('/')}/{place}", {"Accept": "application/dicom+json"}
    with answering("GET", url, headers, address) as answer:
        status = answer.status
        content = _read(answer, seconds=address.answer_seconds, most=most_bytes)
    if status == HTTPStatus.NO_CONTENT:
        return []
    found = _json(content) if status == HTTPStatus.OK else None
    if not isinstance(found, list):
        raise PeerUnreachable(f"The peer answered QIDO-RS with HTTP {status}.", reason="query_failed")
    return found


def texts(item: Any, tag: str) -> tuple[str, ...]:
    """The values of an element of text or numbers, whatever is wrong with it."""
    element = item.get(tag) if isinstance(item, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return tuple(str(each) for each in values if each is not None) if isinstance(values, list) else ()


def _multipart(paths: Sequence[Path], head: bytes, end: bytes) -> Iterator[bytes]:
    """The body, read from the files while it is sent."""
    for path in paths:
        yield head
        with path.open("rb") as stream:
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk
        yield b"\r\n"
    yield end


def _call(
    method: str, url: str, headers: Mapping[str, str], address: WebAddress, body: Iterator[bytes] | None
) -> tuple[int, bytes]:
    """Status and content of the answer. Raises PeerUnreachable without one."""
    with answering(method, url, headers, address, body) as answer:
        return answer.status, _read(answer, seconds=address.answer_seconds)


@contextmanager
def answering(
    method: str,
    url: str,
    headers: Mapping[str, str],
    address: WebAddress,
    body: Iterator[bytes] | None = None,
) -> Iterator[http.client.HTTPResponse]:
    """The answer to one request, its content still to be read. Raises PeerUnreachable without one."""
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    connection = http_connection(
        parts.scheme, parts.hostname or "", parts.port, ca_file=address.ca_file, seconds=CONNECT_SECONDS
    )
    with told_plainly(), closing(connection):
        authorization = _authorization(address.authorization_file)
        connection.connect()
        connection.sock.settimeout(address.answer_seconds)
        with suppress(BrokenPipeError, ConnectionResetError):  # It may answer before it has heard all.
            connection.request(method, target, body=body, headers={**headers, **authorization})
        with connection.getresponse() as answer:
            yield answer


def _authorization(path: Path | None) -> dict[str, str]:
    """The header that says who asks."""
    if path is None:
        return {}
    text = credentials(path)
    if text.lower().startswith(("bearer ", "basic ")):
        return {"Authorization": text}
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode("ascii")}


def _read(answer: http.client.HTTPResponse, *, seconds: float, most: int = LARGEST_ANSWER) -> bytes:
    """The content, as far as it comes in time and size; a peer that drips is cut off."""
    end = time.monotonic() + seconds
    content = b""
    while len(content) < most and (chunk := answer.read1(CHUNK_BYTES)):
        content += chunk
        if time.monotonic() > end:
            raise TimeoutError
    return content


def _outcomes(uids: Sequence[str], status: int, content: bytes) -> dict[str, Answer]:
    """What the answer says of each object."""
    if status in _ABOUT_THE_PEER or not HTTPStatus.OK <= status < 600 or 300 <= status < 400:
        raise PeerUnreachable(f"The peer answered HTTP {status}.", reason="http_status")
    dataset = _dataset(content) if status in _PER_OBJECT else None
    if isinstance(dataset, list):
        dataset = dataset[0] if dataset else {}
    if not isinstance(dataset, dict):
        return {uid: _without_details(status) for uid in uids}
    failed = {_first(item, UID): _number(item, FAILURE_REASON, 0x0110) for item in _items(dataset, FAILED)}
    stored = {
        _first(item, UID): _number(item, WARNING_REASON, 0x0000) for item in _items(dataset, REFERENCED)
    }
    return {uid: _one(uid, failed, stored, status) for uid in uids}


def _one(uid: str, failed: Mapping[Any, int], stored: Mapping[Any, int], status: int) -> Answer:
    """What the lists of the answer say of one object; one that failed is never taken as stored."""
    if uid in failed:
        return Answer(status=failed[uid])
    if uid in stored:
        # PS3.18 table 10.5.3-4: with a warning it is stored all the same.
        return Answer(status=0xB000 if stored[uid] else 0x0000)
    return _without_details(status)


def _without_details(status: int) -> Answer:
    """What the HTTP status alone says of an object."""
    # PS3.18, 10.5.3: the answer to a success names what was stored. A page of a gateway or a login form, or
    # nothing at all, is not the word of an archive.
    if status == HTTPStatus.CONFLICT or status // 100 != 4:
        return Answer(status=None, code="http_unclear")
    return Answer(status=None, code="http_refused")


def _dataset(content: bytes) -> Any:
    """The content by the DICOM JSON model, None if it is none; XML is read where a server insists on it."""
    return model_of(content) if content.lstrip()[:1] == b"<" else _json(content)


def _json(content: bytes) -> Any:
    """The content as JSON, None if it is not."""
    try:
        return json.loads(content)
    except ValueError:
        return None


def _items(dataset: Mapping[str, Any], tag: str) -> list[Any]:
    """The items of a sequence, whatever is wrong with it."""
    element = dataset.get(tag)
    items = element.get("Value") if isinstance(element, dict) else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _first(item: Any, tag: str) -> Any:
    """The first value of an element, None without one."""
    element = item.get(tag) if isinstance(item, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None


def _number(item: Any, tag: str, otherwise: int) -> int:
    """The first value of an element as a number."""
    value = _first(item, tag)
    return value if isinstance(value, int) else otherwise
