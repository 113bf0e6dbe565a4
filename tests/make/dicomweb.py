"""A DICOMweb server that answers as a test tells it to."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from ssl import SSLContext
from typing import Any

from pydicom.filereader import dcmread

from service.wire.dicomweb import WebAddress

#: Status and content for the bodies of the parts of a request.
Answer = Callable[[list[bytes]], tuple[int, Any]]


@dataclass
class WebPeer:
    """What it got, and what it answers."""

    answer: Answer = field(default=lambda parts: (200, outcome(stored=uids_of(parts))))
    url: str = ""
    #: Parts of each STOW request.
    received: list[list[bytes]] = field(default_factory=list)
    #: Method, path and headers of each request.
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    #: Set at the end, for answers that hang.
    ended: threading.Event = field(default_factory=threading.Event)

    def address(self, **changes: Any) -> WebAddress:
        """Where it is."""
        values = {"stow_url": f"{self.url}/dicom-web", "qido_url": f"{self.url}/dicom-web/", **changes}
        return WebAddress(**values)

    @contextmanager
    def listening(self, tls: SSLContext | None = None) -> Iterator[None]:
        """Listen while the block lasts."""
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
                message = BytesParser().parsebytes(head + body)
                parts = [part.get_payload(decode=True) for part in message.get_payload()]
                peer.received.append(parts)
                self._reply(parts)

            def do_GET(self) -> None:
                self._reply([])

            def _reply(self, parts: list[bytes]) -> None:
                peer.asked.append((self.command, self.path, dict(self.headers)))
                status, content = peer.answer(parts)
                raw = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", peer.url + "/elsewhere")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_args: Any) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.handle_error = lambda *_args: None  # a caller that hangs up is none of our business
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield
        finally:
            self.ended.set()
            server.shutdown()
            thread.join()
            server.server_close()


def uids_of(parts: list[bytes]) -> tuple[str, ...]:
    """SOP instance UIDs of the files in a request."""
    return tuple(str(dcmread(BytesIO(part)).SOPInstanceUID) for part in parts)


def outcome(*, stored: tuple[str, ...] = (), failed: dict[str, int] | None = None) -> dict[str, Any]:
    """The content of an answer to STOW-RS (PS3.18 table 10.5.3-2)."""
    content: dict[str, Any] = {}
    if stored:
        content["00081199"] = {"vr": "SQ", "Value": [_item(uid) for uid in stored]}
    if failed:
        items = [
            {**_item(uid), "00081197": {"vr": "US", "Value": [reason]}} for uid, reason in failed.items()
        ]
        content["00081198"] = {"vr": "SQ", "Value": items}
    return content


def _item(uid: str) -> dict[str, Any]:
    return {
        "00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.7"]},
        "00081155": {"vr": "UI", "Value": [uid]},
    }


def secret_file(path: Path, content: str) -> Path:
    """A file with credentials."""
    path.write_text(content + "\n", "utf-8")
    return path


@contextmanager
def raw_server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that answers one request byte by byte as it is told; where it is."""

    def serve() -> None:
        client, _ = server.accept()
        with client:
            client.recv(1 << 16)
            answer(client)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()
