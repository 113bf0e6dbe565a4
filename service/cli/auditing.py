"""The audit record: is it whole, and a copy of it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, TextIO

import typer

from service.cli.people import ACTOR
from service.core.audittable import Form, written
from service.core.chain import EXPLAINED
from service.db import audit as rows
from service.db.people import record
from service.db.session import Sessions, make_sessions, reading, require_current
from service.errors import InvalidRequest
from service.pipeline import audit
from service.settings import Settings, load

audit_app = typer.Typer(no_args_is_help=True, help="The record of who did what.")
#: Faults that are told one by one; a chain that was cut in many places has as many.
SHOWN = 20
Day = Annotated[str | None, typer.Option(help="YYYY-MM-DD, UTC.")]


def _sessions(settings: Settings) -> Sessions:
    require_current(settings.resolved_database_url)
    return make_sessions(settings.resolved_database_url)


def keeping(settings: Settings) -> audit.Keeping:
    """Where heads and their key lie."""
    return audit.Keeping(
        folder=settings.audit_dir,
        key_file=settings.audit_key_file,
        heads_file=settings.audit_heads,
    )


@audit_app.command("verify")
def verify(
    heads: Annotated[
        list[Path] | None, typer.Option(help="A further file of heads, such as a copy kept elsewhere.")
    ] = None,
) -> None:
    """Follow the chain of the audit record, compare it with its signed heads; status 1 if it is not whole."""
    settings = load()
    sessions = _sessions(settings)
    verdict = audit.look(sessions, keeping(settings), now=datetime.now(UTC), more_heads=heads or ())
    with reading(sessions) as session:
        waiting = rows.unsealed(session)
    typer.echo(f"{verdict.lines} sealed lines, {verdict.anchored} of them up to the last signed head")
    if waiting.count:
        typer.echo(
            f"{waiting.count} lines not sealed yet, the oldest of {waiting.oldest_at:%Y-%m-%d %H:%M:%S} UTC"
        )
    for fault in verdict.faults[:SHOWN]:
        typer.echo(f"fault at line {fault.number}: {EXPLAINED[fault.kind]} [{fault.kind}]")
    if verdict.faults:
        typer.echo(f"not whole: {len(verdict.faults)} faults")
        raise typer.Exit(1)
    typer.echo("whole")


@audit_app.command("export")
def export(
    out: Annotated[Path | None, typer.Option(help="File to write; standard output when absent.")] = None,
    form: Annotated[Form, typer.Option("--format", help="csv, or json: one line each.")] = "csv",
    since: Day = None,
    until: Day = None,
) -> None:
    """Write the audit record, the oldest line first; the last day is included."""
    sessions = _sessions(load())
    lines = rows.lines(sessions, since=_day(since), until=_day(until, days=1))
    with sessions.begin() as session:
        detail = {"format": form, "since": since, "until": until}
        record(
            session,
            at=datetime.now(UTC),
            actor=ACTOR,
            action="audit_exported",
            object_type="audit",
            detail=detail,
        )
    with _target(out) as file:
        file.writelines(written(lines, form))


@contextmanager
def _target(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    with out.open("x", encoding="utf-8", newline="") as file:
        yield file


def _day(text: str | None, *, days: int = 0) -> datetime | None:
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest("A day is written YYYY-MM-DD.", reason="bad_date") from error
    return datetime.combine(day + timedelta(days=days), time(), UTC)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(audit_app, name="audit")
