"""HEAD as GET without its content (RFC 9110 9.3.2): what load balancers and monitoring ask with."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Heads:
    """Has routes see GET in the place of HEAD, and keeps the content back."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on; the server goes on to see HEAD, for it counts what is sent."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        inner: Scope = {**scope, "method": "GET"}

        async def without_content(message: Message) -> None:
            if message["type"] == "http.response.start" and "route" in inner:
                # By which requests are counted further out.
                scope["route"] = inner["route"]
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app(inner, receive, without_content)
