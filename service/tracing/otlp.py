"""Spans go to an OTLP/HTTP receiver by the OpenTelemetry SDK: the only place that knows it."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Final

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

import service
from service.tracing.spans import Place, Span, Target

#: Spans that wait; further ones drop the oldest. A series has some fifteen. Chosen by us.
QUEUE: Final = 2048
BATCH: Final = 256
EVERY_MS: Final = 2000
#: For one request, its tries included.
SECONDS: Final = 5.0
#: What is left to send at the end of the process.
END_SECONDS: Final = 2.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class _Given(IdGenerator):
    """Hands out the identifiers that the span at hand is to have."""

    def __init__(self) -> None:
        self.here = threading.local()

    def generate_trace_id(self) -> int:
        """That of its trace."""
        return int(self.here.place.trace_id)

    def generate_span_id(self) -> int:
        """Its own."""
        return int(self.here.place.span_id)


class OtlpExporter:
    """The exporter of one process."""

    def __init__(self, target: Target, *, door: str) -> None:
        session = requests.Session()
        # Nothing of the environment: no proxy, no password of a .netrc.
        session.trust_env = False
        headers = {}
        if target.authorization_file is not None:
            headers["Authorization"] = target.authorization_file.read_text("utf-8").strip()
        exporter = OTLPSpanExporter(
            endpoint=target.endpoint,
            certificate_file=None if target.ca_file is None else str(target.ca_file),
            headers=headers,
            timeout=SECONDS,
            session=session,
        )
        self._ids = _Given()
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource({"service.name": f"myoscreen-{door}", "service.version": service.__version__}),
            shutdown_on_exit=False,
            id_generator=self._ids,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=QUEUE,
                schedule_delay_millis=EVERY_MS,
                max_export_batch_size=BATCH,
            )
        )
        self._tracer = self._provider.get_tracer("myoscreen", service.__version__)

    def take(self, span: Span) -> None:
        """Put a span into the queue."""
        self._ids.here.place = span.place
        context = None if span.parent is None else set_span_in_context(NonRecordingSpan(_of(span.parent)))
        told = self._tracer.start_span(
            span.name, context=context, attributes=dict(span.attributes), start_time=_ns(span.start)
        )
        told.set_status(Status(StatusCode.OK if span.ok else StatusCode.ERROR))
        told.end(_ns(max(span.start, span.end)))

    def close(self) -> None:
        """Send what waits, for two seconds at most; the rest is dropped."""
        last = threading.Thread(target=self._provider.shutdown, name="tracing-ends", daemon=True)
        last.start()
        last.join(END_SECONDS)


def _of(place: Place) -> SpanContext:
    return SpanContext(place.trace_id, place.span_id, is_remote=True, trace_flags=TraceFlags(1))


def _ns(at: datetime) -> int:
    """Nanoseconds since 1970, to the microsecond."""
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000
