"""STOW-RS (PS3.18, 10.5): images by HTTP, into the spool as they come, by the same intake as C-STORE."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

import anyio
from anyio.from_thread import run
from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser
from starlette.requests import ClientDisconnect

from service.web import schemas
from service.web.auth import MayStore
from service.web.context import Web, WebState
from service.web.problems import Problem

if TYPE_CHECKING:
    from service.dicom.filing import FileSink
    from service.pipeline.filing import Files

DICOM = "application/dicom"
#: Objects in one request; chosen by us: the largest studies have some ten thousand images, and each
#: costs a line of the answer.
MOST_PARTS = 20_000
#: RFC 2046 5.1.1 says 70, Orthanc's have 73 characters; chosen by us.
LONGEST_BOUNDARY = 200
#: PS3.18 table I.2-2: out of resources; cannot understand.
OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0xA700, 0xC000
#: PS3.6: the sequences of the answer (PS3.18 table 10.5.3-2).
REFERENCED, FAILED, OTHER_FAILURES = "00081199", "00081198", "0008119A"
RETRIEVE_URL = {"00081190": {"vr": "UR"}}

router = APIRouter(
    prefix="/dicomweb",
    tags=["dicomweb"],
    responses={
        status: {
            "description": text,
            "content": {"application/problem+json": {"schema": schemas.ProblemDetails.model_json_schema()}},
        }
        for status, text in {
            HTTPStatus.BAD_REQUEST: "No multipart message, or one that breaks off.",
            HTTPStatus.UNAUTHORIZED: "No key.",
            HTTPStatus.FORBIDDEN: "The key's role may not store.",
            HTTPStatus.REQUEST_TIMEOUT: "The sender fell silent.",
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Too many objects in one request.",
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "Not multipart/related with application/dicom.",
            HTTPStatus.SERVICE_UNAVAILABLE: "Too many requests at a time; Retry-After says when.",
        }.items()
    },
)

#: The Store Instances Response (PS3.18 10.5.3): of the objects, each by itself.
ANSWER: dict[str, Any] = {"application/dicom+json": {"schema": {"type": "object"}}}
OUTCOMES: dict[int | str, dict[str, Any]] = {
    HTTPStatus.OK: {"description": "Everything is stored.", "content": ANSWER},
    HTTPStatus.ACCEPTED: {"description": "Some objects failed.", "content": ANSWER},
    HTTPStatus.CONFLICT: {"description": "All failed.", "content": ANSWER},
    HTTPStatus.INSUFFICIENT_STORAGE: {
        "description": "No room for images.",
        "content": {**ANSWER, "application/problem+json": {}},
    },
}
#: One DICOM file (PS3.10) in each part.
IMAGES = {
    "requestBody": {
        "required": True,
        "content": {"multipart/related": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@dataclass
class Outcomes:
    """What became of the objects of one request."""

    stored: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    #: Objects that cannot even be named.
    nameless: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def add(self, status: int, sop_class_uid: str = "", sop_instance_uid: str = "") -> None:
        """Note one object."""
        self.statuses.append(status)
        item: dict[str, Any] = {} if status == 0 else {"00081197": {"vr": "US", "Value": [status]}}
        if not sop_instance_uid:
            self.nameless.append(item)
            return
        item["00081150"] = {"vr": "UI", "Value": [sop_class_uid]}
        item["00081155"] = {"vr": "UI", "Value": [sop_instance_uid]}
        if status == 0:
            self.stored.append(item | RETRIEVE_URL)
        else:
            self.failed.append(item)

    def http_status(self) -> HTTPStatus:
        """PS3.18 table 10.5.3-1; 507 where nothing was stored for want of room alone."""
        if not any(self.statuses):
            return HTTPStatus.OK
        if self.stored:
            return HTTPStatus.ACCEPTED
        full = set(self.statuses) == {OUT_OF_RESOURCES}
        return HTTPStatus.INSUFFICIENT_STORAGE if full else HTTPStatus.CONFLICT

    def content(self) -> dict[str, Any]:
        """The Store Instances Response by the DICOM JSON model."""
        lists = {REFERENCED: self.stored, FAILED: self.failed, OTHER_FAILURES: self.nameless}
        return RETRIEVE_URL | {tag: {"vr": "SQ", "Value": items} for tag, items in lists.items() if items}


class Message:
    """Hands the parts of a multipart message to the spool, one after the other."""

    def __init__(self, boundary: str, files: "Files", *, sender: str, only_study: str | None) -> None:
        self._files = files
        self._sender = sender
        self._only_study = only_study
        self._headers: dict[str, str] = {}
        self._name = self._value = b""
        self._sink: FileSink | None = None
        self.outcomes = Outcomes()
        self.ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part,
                "on_header_field": self._on_name,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header,
                "on_headers_finished": self._on_headers,
                "on_part_data": self._on_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )

    def write(self, piece: bytes) -> None:
        """Take the next piece; raises FormParserError where it is no such message."""
        self._parser.write(piece)

    def abandon(self) -> None:
        """The rest will not come; leave no half file behind."""
        if self._sink is not None:
            self._sink.abandon()

    def _on_part(self) -> None:
        if len(self.outcomes.statuses) >= MOST_PARTS:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_many_parts", "Too many objects in one request."
            )
        self._headers = {}
        self._name = self._value = b""

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        self._headers[self._name.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._name = self._value = b""

    def _on_headers(self) -> None:
        kind, _ = media_type(self._headers.get("content-type", DICOM))
        encoding = self._headers.get("content-transfer-encoding", "binary").strip().lower()
        if kind == DICOM and encoding in {"binary", "8bit"}:
            self._sink = self._files.begin(sender=self._sender, only_study=self._only_study)

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._sink is not None:
            self._sink.write(memoryview(data)[start:end])

    def _on_part_end(self) -> None:
        sink, self._sink = self._sink, None
        if sink is None:
            self.outcomes.add(CANNOT_UNDERSTAND)
        else:
            self.outcomes.add(sink.finish(), sink.sop_class_uid, sink.sop_instance_uid)

    def _on_end(self) -> None:
        self.ended = True


def media_type(header: str) -> tuple[str, dict[str, str]]:
    """A media type in lower case, and its parameters by name; of what makes no sense nothing."""
    message = EmailMessage()
    try:
        message["Content-Type"] = header
        parameters = message["Content-Type"].params.items()
    except (ValueError, LookupError, RecursionError):  # The library breaks on some of what may stand there.
        return "", {}
    return message.get_content_type(), {name.lower(): value for name, value in parameters}


def boundary_of(request: Request) -> str:
    """What the parts are separated by. Raises Problem for anything but files of DICOM."""
    kind, parameters = media_type(request.headers.get("content-type", ""))
    right = kind == "multipart/related" and parameters.get("type", DICOM).lower() == DICOM
    if not right or request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "wrong_media_type",
            'Images are taken as multipart/related; type="application/dicom".',
        )
    boundary = parameters.get("boundary", "")
    if not 1 <= len(boundary) <= LONGEST_BOUNDARY or not boundary.isascii():
        raise _malformed()
    return boundary


def pieces(request: Request, *, idle_seconds: float) -> Iterator[bytes]:
    """The body as it comes. Raises Problem when the sender says nothing for too long."""
    stream = request.stream()

    async def next_piece() -> bytes | None:
        with anyio.fail_after(idle_seconds):
            return await anext(stream, None)

    try:
        while (piece := run(next_piece)) is not None:
            if piece:
                yield piece
    except TimeoutError as error:
        raise Problem(
            HTTPStatus.REQUEST_TIMEOUT,
            "sender_silent",
            "The request did not come to its end.",
            # RFC 9110 15.5.9: what is still on its way is no further request.
            headers={"Connection": "close"},
        ) from error
    except ClientDisconnect as error:
        raise _malformed() from error


def _malformed() -> Problem:
    return Problem(
        HTTPStatus.BAD_REQUEST,
        "malformed_multipart",
        "This is no whole multipart message; what was whole in it is stored.",
    )


def store(request: Request, web: Web, sender: str, only_study: str | None) -> JSONResponse:
    """Take the objects of one request; each that is named as stored is durable."""
    boundary = boundary_of(request)
    if not web.places.acquire(blocking=False):
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "busy",
            "Too many requests at a time.",
            headers={"Retry-After": "5"},
        )
    try:
        web.files.spool.room.require()
        message = Message(boundary, web.files, sender=sender, only_study=only_study)
        try:
            for piece in pieces(request, idle_seconds=web.settings.association_idle_seconds):
                message.write(piece)
        except FormParserError as error:
            raise _malformed() from error
        finally:
            message.abandon()
        if not message.ended or not message.outcomes.statuses:
            raise _malformed()
        return JSONResponse(
            message.outcomes.content(), message.outcomes.http_status(), media_type="application/dicom+json"
        )
    finally:
        web.places.release()


@router.post("/studies", response_class=Response, responses=OUTCOMES, openapi_extra=IMAGES)
def post_studies(request: Request, web: WebState, caller: MayStore) -> JSONResponse:
    """Store images of any studies (multipart/related, application/dicom)."""
    return store(request, web, caller.actor, None)


@router.post("/studies/{study_uid}", response_class=Response, responses=OUTCOMES, openapi_extra=IMAGES)
def post_study(
    request: Request,
    web: WebState,
    caller: MayStore,
    study_uid: Annotated[str, Path(pattern=r"^[0-9.]{1,64}$")],
) -> JSONResponse:
    """Store images of one study; those of another fail."""
    return store(request, web, caller.actor, study_uid)
