"""What every answer carries and every request is held to, whatever the route."""

import logging
import time
from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.web.monitor import RequestMetrics
from service.web.problems import Crashed, Problem, answer, problem_response

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


class BodyTooLarge(Problem):
    """More was sent than any form here holds."""

    def __init__(self) -> None:
        super().__init__(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", "The request is too large.")


class Guard:
    """Security headers, a limit on what is sent, and metrics by route template."""

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

        begun = False

        async def guarded_send(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                self._dress(scope, message)
                self._note(scope, message, started)
            await send(message)

        limited = not (scope["method"] == "POST" and str(scope["path"]).startswith(IMAGES))
        if limited and _announced(scope) > LARGEST_BODY:
            await problem_response(BodyTooLarge())(scope, receive, guarded_send)
            return
        try:
            await self._app(scope, _limited(receive) if limited else receive, guarded_send)
        except BodyTooLarge as problem:
            await problem_response(problem)(scope, receive, guarded_send)
        except Exception:
            log.exception("request_crashed")
            if begun:
                raise
            await answer(Request(scope), Crashed())(scope, receive, guarded_send)

    def _dress(self, scope: Scope, message: Message) -> None:
        """Add the headers; only static files may be kept by a browser."""
        headers = MutableHeaders(scope=message)
        for name, value in HEADERS.items():
            headers[name] = value
        static = str(scope["path"]).startswith("/static/")
        headers["Cache-Control"] = "public, max-age=3600" if static else "no-store"
        if self._https:
            headers["Strict-Transport-Security"] = "max-age=31536000"

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


def _limited(receive: Receive) -> Receive:
    """Stop reading when more comes than is allowed, announced or not."""
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > LARGEST_BODY:
            raise BodyTooLarge
        return message

    return limited
