"""`myoscreen check`: one line for Nagios, Icinga, Checkmk and their like.

Output, performance data, thresholds and exit status follow the Monitoring Plugins development guidelines.
"""

import http.client
import json
import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from service.cli import Verdict
from service.core.trouble import Limits, Severity, Trouble, Vitals, find_troubles, worst
from service.core.trouble_words import tell
from service.errors import ServiceError

OK, WARNING, CRITICAL, UNKNOWN = range(4)
STATUS = {None: OK, Severity.NOTE: OK, Severity.WARNING: WARNING, Severity.CRITICAL: CRITICAL}
NAMES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
#: Below the 10 s after which the guidelines have a plugin give up.
TIMEOUT_SECONDS = 9.0
#: The page of status is a few kilobytes.
LARGEST_ANSWER = 1 << 22
DEFAULT = Limits()


class Unknown(Exception):
    """The state cannot be told."""


def check(
    *,
    url: Annotated[
        str, typer.Option(help="Ask this installation by REST, such as https://myoscreen.example:8080.")
    ] = "",
    key_file: Annotated[Path | None, typer.Option(help="File with the API key.")] = None,
    ca_file: Annotated[Path | None, typer.Option(help="Authority of the HTTPS certificate.")] = None,
    queue: Annotated[int, typer.Option(help="Analyses that may wait or run.")] = DEFAULT.queue,
    waiting: Annotated[float, typer.Option(help="Seconds an analysis may wait.")] = DEFAULT.waiting_seconds,
    running: Annotated[float, typer.Option(help="Seconds one may run.")] = DEFAULT.running_seconds,
    delivery: Annotated[float, typer.Option(help="Seconds an object may wait.")] = DEFAULT.delivery_seconds,
    away: Annotated[float, typer.Option(help="Seconds a peer may be away.")] = DEFAULT.away_seconds,
    silent: Annotated[float, typer.Option(help="Seconds without an image.")] = DEFAULT.silent_seconds,
    lag: Annotated[float, typer.Option(help="Seconds from image to result.")] = DEFAULT.lag_seconds,
    certificate: Annotated[
        float, typer.Option(help="Days that a certificate must still be valid.")
    ] = DEFAULT.certificate_days,
    ignore: Annotated[
        list[str] | None, typer.Option(help="Code of a trouble that does not count; can be given again.")
    ] = None,
) -> None:
    """One line with performance data; status 0 OK, 1 warning, 2 critical, 3 unknown.

    With --url by REST and an API key, else from the ledger of this machine.
    """
    limits = Limits(
        queue=queue,
        waiting_seconds=waiting,
        running_seconds=running,
        delivery_seconds=delivery,
        away_seconds=away,
        silent_seconds=silent,
        lag_seconds=lag,
        certificate_days=certificate,
    )
    try:
        vitals = _by_rest(url, key_file, ca_file) if url else _here()
    except Unknown as unknown:
        _say(UNKNOWN, str(unknown))
    except (ServiceError, OSError) as error:
        reason = error.reason.text if isinstance(error, ServiceError) else error.strerror or str(error)
        _say(UNKNOWN, reason)
    found = tuple(each for each in find_troubles(vitals, limits) if each.code not in (ignore or ()))
    _say(STATUS[worst(found)], _summary(found), perfdata(vitals, limits))


def _say(status: int, text: str, data: str = "") -> None:
    """The one line, and the end."""
    # A bar begins the performance data, so it may not stand in the text.
    line = f"MYOSCREEN {NAMES[status]} - {' '.join(text.replace('|', '/').split())}"
    typer.echo(f"{line} | {data}" if data else line)
    raise Verdict(status)


def _summary(found: Sequence[Trouble]) -> str:
    """What is wrong, in one line; notes only where nothing is worse."""
    told = [each for each in found if each.severity != Severity.NOTE] or list(found)
    return " ".join(tell(each).what for each in told) or "in order"


def perfdata(vitals: Vitals, limits: Limits) -> str:
    """``'label'=value[UOM];[warn];[crit];[min];[max]`` for each number that is known."""
    return " ".join(_numbers(vitals, limits))


def _numbers(vitals: Vitals, limits: Limits) -> Iterator[str]:
    if not vitals.database:
        return
    yield f"queue={vitals.queue};{limits.queue};;0;"
    for label, value, limit in (
        ("waiting", vitals.waiting_seconds, limits.waiting_seconds),
        ("running", vitals.running_seconds, limits.running_seconds),
        ("undelivered", vitals.delivery_seconds, limits.delivery_seconds),
        ("since_image", vitals.received_seconds, limits.silent_seconds),
        ("since_result", vitals.success_seconds, None),
    ):
        if value is not None:
            yield f"{label}={value:.0f}s;{'' if limit is None else f'{limit:.0f}'};;0;"
    least = max(limits.disk_times * vitals.disk_least_bytes, limits.disk_share * vitals.disk_total_bytes)
    # A range "N:" alerts below N.
    yield (
        f"disk_free={vitals.disk_free_bytes}B;{least:.0f}:;{vitals.disk_least_bytes}:;0;"
        f"{vitals.disk_total_bytes}"
    )
    yield f"failed={vitals.failed};0;;0;"
    for name, days in vitals.certificates.items():
        warn, critical = limits.certificate_days, limits.certificate_days_critical
        yield f"'certificate {name}'={days:.0f};{warn:.0f}:;{critical:.0f}:;;"
    for peer, count in vitals.refused.items():
        yield f"'refused {peer}'={count};0;;0;"


def _here() -> Vitals:
    """From the ledger of this machine."""
    # Loading these takes a second that a look over the network does not need.
    from service.cli.looks import broken_parts  # noqa: PLC0415
    from service.db.session import make_sessions, require_current  # noqa: PLC0415
    from service.errors import ConfigurationError  # noqa: PLC0415
    from service.pipeline.vitals import look  # noqa: PLC0415
    from service.settings import load  # noqa: PLC0415
    from service.web.monitor import site_of  # noqa: PLC0415

    settings = load()
    try:
        require_current(settings.resolved_database_url)
    except ConfigurationError as error:
        if error.reason.code == "database_unreachable":
            return Vitals(database=False)
        raise
    sessions = make_sessions(settings.resolved_database_url)
    return look(sessions, site_of(settings, broken_parts(settings)), now=datetime.now(UTC))


def _by_rest(url: str, key_file: Path | None, ca_file: Path | None) -> Vitals:
    """From `GET /api/v1/status`; raises Unknown where that says nothing of the state."""
    key = "" if key_file is None else key_file.read_text("utf-8").strip()
    try:
        status, content = _get(url, key, ca_file)
    except ssl.SSLCertVerificationError as error:
        raise Unknown("The certificate of the web door is not trusted.") from error
    except (OSError, http.client.HTTPException) as error:
        # The host is asked rightly and does not serve: that is what monitoring is for.
        _say(CRITICAL, f"The web door does not answer: {_why(error)}.")
        raise AssertionError from error
    if status in (401, 403):
        raise Unknown("The API key is missing, unknown or may not see the status.")
    if status >= 500:
        _say(CRITICAL, f"The web door answers HTTP {status}: the database may be away.")
    try:
        told: Any = json.loads(content)
        return Vitals.of(told["vitals"])
    except (ValueError, KeyError, TypeError) as error:
        raise Unknown(f"HTTP {status} without a status of myoscreen.") from error


def _why(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__


def _get(url: str, key: str, ca_file: Path | None) -> tuple[int, bytes]:
    """One GET without redirects and proxies."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Unknown("--url is no http:// or https:// address.")
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
        connection = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=TIMEOUT_SECONDS, context=context
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
    try:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        connection.request("GET", f"{parts.path.rstrip('/')}/api/v1/status", headers=headers)
        with connection.getresponse() as answer:
            return answer.status, answer.read(LARGEST_ANSWER)
    finally:
        connection.close()


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(check)
