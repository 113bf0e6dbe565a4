"""A receiver of OTLP/HTTP traces that keeps what it is sent, parsed by the protocol's own definitions."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True)
class Received:
    """One span, and which process told it."""

    door: str
    name: str
    trace: str
    id: str
    parent: str
    start: int
    end: int
    ok: bool
    attributes: dict[str, Any]


@dataclass
class SpanReceiver:
    """What came, and how the next request is answered."""

    port: int = 0
    spans: list[Received] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    status: int = 200
    #: Requests wait for this before they are answered.
    go_on: threading.Event = field(default_factory=threading.Event)

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/v1/traces"

    def names(self) -> list[str]:
        """Of what came."""
        return [span.name for span in self.spans]

    def tree(self) -> list[tuple[str, str, str]]:
        """Name, process and name of the parent of each, in order of their names."""
        by_id = {span.id: span.name for span in self.spans}
        return sorted((span.name, span.door, by_id.get(span.parent, span.parent)) for span in self.spans)

    def take(self, body: bytes) -> None:
        """Keep the spans of one request (OTLP 1, ``ExportTraceServiceRequest``)."""
        request = ExportTraceServiceRequest.FromString(body)
        for group in request.resource_spans:
            door = next(a.value.string_value for a in group.resource.attributes if a.key == "service.name")
            for scope in group.scope_spans:
                for span in scope.spans:
                    self.spans.append(
                        Received(
                            door=door,
                            name=span.name,
                            trace=span.trace_id.hex(),
                            id=span.span_id.hex(),
                            parent=span.parent_span_id.hex(),
                            start=span.start_time_unix_nano,
                            end=span.end_time_unix_nano,
                            ok=span.status.code == span.status.STATUS_CODE_OK,
                            attributes={
                                each.key: getattr(each.value, str(each.value.WhichOneof("value")))
                                for each in span.attributes
                            },
                        )
                    )


@contextmanager
def span_receiver() -> Iterator[SpanReceiver]:
    """It, on a free port."""
    receiver = SpanReceiver()
    receiver.go_on.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.headers.append(dict(self.headers.items()))
            receiver.go_on.wait(30)
            if receiver.status == 200 and self.path == "/v1/traces":
                receiver.take(body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(receiver.status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()
