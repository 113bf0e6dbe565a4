"""What every answer carries and every request is held to, whatever the route."""

import logging
import re
import time
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.web import cookies
from service.web.monitor import RequestMetrics
from service.web.problems import Crashed, Problem, answer, not_found

log = logging.getLogger(__name__)

#: No script, style, picture or form target but our own; nothing may frame us.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
#: The longest form is a change of password; chosen by us, far above it.
LARGEST_BODY = 64 * 1024
#: Below this, images come (POST): bounded one by one there, and read by nobody before the key was.
IMAGES = "/dicomweb/"
#: NUL as a byte, as a form or URL writes it, and as JSON does (not after an escaped backslash). PostgreSQL
#: keeps none in a text, and nobody types one.
NUL = re.compile(rb"\x00|%00")
NUL_IN_JSON = re.compile(rb"\x00|(?<!\\)(?:\\\\)*\\u0000")


class BodyTooLarge(Problem):
    """More was sent than any form here holds."""

    def __init__(self) -> None:
        super().__init__(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", "The request is too large.")


class HoldsNul(Problem):
    """A text that was sent cannot be kept."""

    def __init__(self) -> None:
        super().__init__(
            HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_parameter", "What was sent holds a NUL character."
        )


class NotRead(Problem):
    """The body is of a kind that nothing here sends: its character set would be the sender's choice."""

    def __init__(self) -> None:
        super().__init__(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "wrong_media_type",
            "A body is JSON, or a form as application/x-www-form-urlencoded.",
        )


class Guard:
    """Security headers, what may be sent and how much, and metrics by route template."""

    def __init__(self, app: ASGIApp, *, https: bool, metrics: RequestMetrics) -> None:
        self._app = app
        self._https = https
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, and hold its answer to the rules."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        if self._https:
            scope["headers"] = cookies.unwrapped(scope["headers"])
        begun = False

        async def guarded_send(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                self._dress(scope, message)
                self._note(scope, message, started)
            await send(message)

        try:
            if not (scope["method"] == "POST" and str(scope["path"]).startswith(IMAGES)):
                receive = await _checked(scope, receive)
            await self._app(scope, receive, guarded_send)
        except Problem as problem:
            await answer(Request(scope), problem)(scope, receive, guarded_send)
        except Exception:
            log.exception("request_crashed")
            if begun:
                raise
            await answer(Request(scope), Crashed())(scope, receive, guarded_send)

    def _dress(self, scope: Scope, message: Message) -> None:
        """Add the headers; a browser may keep static files, and what a route says that its own user may."""
        headers = MutableHeaders(scope=message)
        for name, value in HEADERS.items():
            headers[name] = value
        static = str(scope["path"]).startswith("/static/")
        if not headers.get("Cache-Control", "").startswith("private"):
            headers["Cache-Control"] = "public, max-age=3600" if static else "no-store"
        if self._https:
            headers["Strict-Transport-Security"] = "max-age=31536000"
            message["headers"] = cookies.wrapped(message["headers"])

    def _note(self, scope: Scope, message: Message, started: float) -> None:
        """Count and log the answer by its route, never by its path."""
        route = str(getattr(scope.get("route"), "path", None) or "other")
        seconds = self._metrics.note(method=_method(scope), route=route, message=message, started=started)
        log.debug(
            "request_answered",
            extra={
                "method": _method(scope),
                "route": route,
                "status": message["status"],
                "seconds": round(seconds, 4),
            },
        )


def _method(scope: Scope) -> str:
    """The method, or one word for all that we do not know, so that nobody can make labels."""
    method = str(scope["method"])
    return method if method in {"GET", "HEAD", "POST", "OPTIONS"} else "other"


def _announced(scope: Scope) -> int:
    """The Content-Length that was announced, 0 without."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else LARGEST_BODY + 1
    return 0


async def _checked(scope: Scope, receive: Receive) -> Receive:
    """The request's body again, once all of it was read and found fit. Raises Problem if it is not."""
    if _announced(scope) > LARGEST_BODY:
        raise BodyTooLarge
    if "\0" in scope["path"]:
        raise not_found("page")
    if NUL.search(scope["query_string"]):
        raise HoldsNul
    body, ending = await _whole(receive)
    kind = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
    if body and kind.startswith("multipart/"):
        raise NotRead
    if (NUL_IN_JSON if kind.endswith("json") else NUL).search(body):
        raise HoldsNul
    waiting = [] if ending is None else [ending]
    if ending is None:
        waiting.append({"type": "http.request", "body": body, "more_body": False})

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


async def _whole(receive: Receive) -> tuple[bytes, Message | None]:
    """All of a body, and what broke it off; raises BodyTooLarge as soon as more comes, announced or not."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body), message
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY:
            raise BodyTooLarge
        if not message.get("more_body", False):
            return bytes(body), None
