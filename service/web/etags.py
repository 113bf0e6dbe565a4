"""Tags (RFC 9110 8.8.3) of what programs poll: whoever has the newest content is told so in a few bytes."""

import hashlib
import json
import re
from http import HTTPStatus
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Below this, JSON that is read has a tag.
TAGGED: Final = "/api/v1/"
#: What moves by itself while nothing happens, in the state of the service and in the funnel: ages, the moment
#: of the answer, the beats of doors, free space. It makes no other content (a weak tag, RFC 9110 8.8.3.1).
MOVING_ABOVE: Final = frozenset({"at", "since", "vitals"})
MOVING: Final = frozenset({"seen_at", "free_bytes"})
#: How long something has lasted, as sentences say it in both languages (``service.core.trouble_words``).
AGE: Final = re.compile(r"\b\d+ (?:d|h|min|s)\b")
MOVING_PATHS: Final = frozenset({"/api/v1/status", "/api/v1/funnel", "/api/v1/population"})


def is_tagged(method: str, path: str) -> bool:
    """Whether answers of JSON there have a tag."""
    return method == "GET" and path.startswith(TAGGED)


class Tags:
    """Gives answers their tag, and answers 304 where the one that was handed back is still right."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on; an answer of JSON is held back until it is whole."""
        if scope["type"] != "http" or not is_tagged(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        whole = bytearray()

        async def tagging_send(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_json(message):
                start = message
            elif start is None:
                await send(message)
            else:
                whole.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    await _answer(scope, start, bytes(whole), send)

        await self._app(scope, receive, tagging_send)


def _is_json(message: Message) -> bool:
    """Whether this begins an answer that is tagged."""
    headers = Headers(raw=message["headers"])
    return bool(message["status"] == HTTPStatus.OK and headers.get("content-type") == "application/json")


async def _answer(scope: Scope, start: Message, whole: bytes, send: Send) -> None:
    """Send the answer with its tag, or 304 without content."""
    tag = tag_of(str(scope["path"]), whole)
    headers = MutableHeaders(scope=start)
    headers["ETag"] = tag
    if matches(tag, Headers(scope=scope).getlist("if-none-match")):
        del headers["content-length"]
        del headers["content-type"]
        start["status"], whole = int(HTTPStatus.NOT_MODIFIED), b""
    await send(start)
    await send({"type": "http.response.body", "body": whole})


def tag_of(path: str, content: bytes) -> str:
    """The tag of an answer."""
    if path not in MOVING_PATHS:
        return f'"{_digest(content)}"'
    parts = {key: value for key, value in json.loads(content).items() if key not in MOVING_ABOVE}
    lasting = json.dumps(_without_moving(parts), sort_keys=True)
    return f'W/"{_digest(lasting.encode())}"'


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _without_moving(part: Any) -> Any:
    if isinstance(part, list):
        return [_without_moving(each) for each in part]
    if isinstance(part, dict):
        return {
            key: _without_moving(value)
            for key, value in part.items()
            if key not in MOVING and not key.endswith("_seconds")
        }
    return AGE.sub("", part) if isinstance(part, str) else part


def matches(tag: str, handed_back: list[str]) -> bool:
    """Whether a tag is among those of If-None-Match, compared weakly (RFC 9110 13.1.2)."""
    given = [each.strip().removeprefix("W/") for line in handed_back for each in line.split(",")]
    return "*" in given or tag.removeprefix("W/") in given
