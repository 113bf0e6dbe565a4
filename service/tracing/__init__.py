"""Spans of one series, told by every process that works on it; nothing at all unless the settings ask for it.

Where a trace stands is written on the rows as a W3C trace context (``traceparent``), because the rows are the
jobs: so spans of different processes are parts of one trace. A span says what was done, when, and with which
codes and counts; nothing of a patient. Telling is left to a thread of its own that drops what it cannot send.
"""

import logging
from collections.abc import Mapping
from typing import Any, Protocol

from service.tracing.spans import Place, Span, Target, Value

__all__ = ["Place", "Span", "Target", "Value", "begun", "continued", "is_on", "start", "stop", "tell"]

log = logging.getLogger(__name__)


class Exporter(Protocol):
    """Takes spans without ever waiting."""

    def take(self, span: Span) -> None:
        """Have one span sent, or drop it."""

    def close(self) -> None:
        """Send what is there within a short time."""


class _State:
    """What this process does with spans."""

    exporter: Exporter | None = None


def start(target: Mapping[str, Any] | None, *, door: str) -> None:
    """Tell spans from now on, where there is a target (``Target``); a fault is told and stops nothing."""
    if target is None:
        return
    try:
        from service.tracing.otlp import OtlpExporter  # noqa: PLC0415 - the library is an extra

        _State.exporter = OtlpExporter(Target(**target), door=door)
    except ImportError:
        log.warning("tracing_not_installed")
    except Exception:  # Such as a file that cannot be read: the work itself goes on.
        log.exception("tracing_not_started")


def stop() -> None:
    """Send what is there, and tell nothing any more."""
    exporter, _State.exporter = _State.exporter, None
    if exporter is not None:
        exporter.close()


def is_on() -> bool:
    """Whether spans are told."""
    return _State.exporter is not None


def begun() -> str | None:
    """The context of a new trace for a row; None where spans are not told."""
    return str(Place.new()) if is_on() else None


def continued(context: str | None) -> str | None:
    """The context of a new span in the trace of another row."""
    return None if context is None else str(Place.of(context).child())


def tell(span: Span) -> None:
    """Have a span sent; never raises, never waits."""
    exporter = _State.exporter
    if exporter is None:
        return
    try:
        exporter.take(span)
    except Exception:  # Whatever it is, the work itself goes on.
        log.exception("span_not_told")
