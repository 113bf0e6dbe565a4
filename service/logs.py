"""Logging: a constant event name, then facts under keys that are allowed to be facts.

Whatever stands under another key is dropped (its key is named), exceptions are told by type and place
without their message, and messages of DICOM libraries are withheld: all three can hold identifiers.
"""

import contextlib
import json
import logging
import logging.config
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from service.errors import ServiceError

#: Keys of ``extra`` that may be written. None of them ever holds anything a patient is known by.
ALLOWED = frozenset(
    {
        "actor",
        "address",
        "analysis_id",
        "attempt",
        "called_ae",
        "calling_ae",
        "code",
        "contexts",
        "count",
        "delivery_id",
        "dimse_status",
        "door",
        "errno",
        "exit_code",
        "free_mb",
        "instance_id",
        "key_id",
        "kind",
        "method",
        "model",
        "next_seconds",
        "output_id",
        "peer",
        "pid",
        "port",
        "precision",
        "provider",
        "reason",
        "request_id",
        "role",
        "route",
        "seconds",
        "series_id",
        "sha256",
        "signal",
        "state",
        "status",
        "study_id",
        "tls_subject",
        "until",
        "user_id",
        "version",
    }
)

#: Loggers whose messages quote header values (pydicom warns with the value it did not like).
WITHHELD = ("pydicom", "pynetdicom", "highdicom", "py.warnings", "gdcm", "pylibjpeg")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def facts(record: logging.LogRecord) -> dict[str, Any]:
    """The allowed facts of a record, and the names of keys that were dropped."""
    extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    allowed = {key: extra[key] for key in sorted(extra) if key in ALLOWED}
    if record.name.split(".")[0] == "service" and (dropped := sorted(set(extra) - ALLOWED)):
        allowed["dropped_keys"] = ",".join(dropped)
    return allowed


def event(record: logging.LogRecord) -> str:
    """What a record says: its message, unless it comes from a library that quotes values."""
    if record.name.startswith(WITHHELD):
        return f"library_message {record.name}:{record.lineno}"
    return record.getMessage()


def trouble(record: logging.LogRecord) -> str | None:
    """Type and place of the exception of a record, innermost last, never its message."""
    if not record.exc_info or record.exc_info[1] is None:
        return None
    parts: list[str] = []
    error: BaseException | None = record.exc_info[1]
    while error is not None and len(parts) < 5:
        frames = traceback.extract_tb(error.__traceback__)
        place = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames[-6:]))
        code = f"[{error.reason.code}]" if isinstance(error, ServiceError) else ""
        number = f"[{error.errno}]" if isinstance(error, OSError) else ""
        parts.append(f"{type(error).__name__}{code}{number} at {place}")
        error = error.__cause__ or error.__context__
    return " from ".join(parts)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": event(record),
            **facts(record),
        }
        if error := trouble(record):
            line["error"] = error
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """One line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        words = [at, record.levelname, event(record).replace("\n", " ")]
        words += [f"{key}={value}" for key, value in facts(record).items()]
        if error := trouble(record):
            words.append(error)
        return " ".join(words)


class StandardError(logging.StreamHandler[TextIO]):
    """Writes lines to standard error; of a line that cannot be written it tells that it is lost, and why."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name that logging calls
        """Type of the failure alone: what logging prints otherwise quotes arguments and exceptions."""
        error = sys.exc_info()[0]
        # A process that has nowhere left to write goes on with its work.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            name = error.__name__ if error else "unknown"
            sys.stderr.write(f"log_line_lost {record.name}:{record.lineno} {name}\n")


def setup(
    *, style: Literal["text", "json"], level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
) -> None:
    """Send the records of this process to standard error in the one form the operator chose."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "text": {"()": "service.logs.TextFormatter"},
                "json": {"()": "service.logs.JsonFormatter"},
            },
            "handlers": {
                "stderr": {
                    "class": "service.logs.StandardError",
                    "formatter": style,
                    "stream": "ext://sys.stderr",
                }
            },
            "root": {"level": "WARNING", "handlers": ["stderr"]},
            "loggers": {
                "service": {"level": level},
                "uvicorn": {"level": "INFO" if level == "DEBUG" else "WARNING"},
                "uvicorn.error": {"level": "INFO" if level == "DEBUG" else "WARNING"},
                "celery": {"level": "INFO" if level == "DEBUG" else "WARNING"},
                "kombu": {"level": "ERROR"},
                "pynetdicom": {"level": "CRITICAL"},
                "pydicom": {"level": "ERROR"},
                # It warns that memory:// names no host, which it cannot.
                "kombu.connection": {"level": "ERROR"},
            },
        }
    )
    logging.captureWarnings(capture=True)
