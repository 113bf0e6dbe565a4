"""The opt-out list from the command line; patient IDs come in a file or by standard input alone."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from service.cli.people import ACTOR
from service.db import optouts, population
from service.db.session import Sessions, make_sessions, reading, require_current
from service.errors import InvalidRequest
from service.settings import Settings, load

optout_app = typer.Typer(
    no_args_is_help=True,
    help="Patients whose images are not analysed; their IDs are read from standard input.",
)
Reason = Annotated[str, typer.Option(help="Why; without names.")]
#: Between patient ID and issuer in a line.
TAB = "\t"


@optout_app.command()
def add(reason: Reason = "") -> None:
    """Put patients on the list: one patient ID a line on standard input, a tab and the issuer behind it."""
    _put_on(_given(), reason)


@optout_app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="One patient ID a line, a tab and the issuer behind it.")],
    reason: Reason = "",
) -> None:
    """Put the patients of a file on the list."""
    _put_on(_identities(file.read_bytes()), reason)


@optout_app.command()
def remove() -> None:
    """Take patients off the list, given as they were put on it: one a line on standard input."""
    settings = load()
    with _sessions(settings).begin() as session:
        found = [
            optouts.remove(session, settings.home, identity, actor=ACTOR, now=datetime.now(UTC))
            for identity in _given()
        ]
        population.follow_opt_outs(session, settings.home)
    typer.echo(f"{sum(found)} removed, {len(found) - sum(found)} were not on the list")
    if not all(found):
        raise typer.Exit(1)


@optout_app.command("list")
def list_lines() -> None:
    """List the lines; who they are of cannot be told from them."""
    with reading(_sessions(load())) as session:
        for line in optouts.lines(session):
            whose = "of one issuer" if line.one_issuer else "of any issuer"
            typer.echo(f"{line.id}\t{line.at:%Y-%m-%d}\t{whose}\t{line.actor}\t{line.reason}")


def _put_on(identities: Iterator[optouts.Identity], reason: str) -> None:
    """All of them or none."""
    settings = load()
    with _sessions(settings).begin() as session:
        new = [
            optouts.add(session, settings.home, identity, reason=reason, actor=ACTOR, now=datetime.now(UTC))
            for identity in identities
        ]
        population.follow_opt_outs(session, settings.home)
    if not new:
        raise InvalidRequest("No patient ID was given.", reason="patient_id_missing")
    typer.echo(f"{sum(new)} added, {len(new) - sum(new)} were on the list already")


def _given() -> Iterator[optouts.Identity]:
    """Who stands on standard input."""
    return _identities(sys.stdin.buffer.read())


def _identities(raw: bytes) -> Iterator[optouts.Identity]:
    """Patient ID and issuer of each line that is not empty; raises InvalidRequest where it is no UTF-8.

    Read by another encoding, IDs would be those of nobody, and who is meant would be measured.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InvalidRequest("Patient IDs are read as UTF-8, and this is none.", reason="not_utf8")
    for line in text.splitlines():
        if line.strip():
            patient_id, _, issuer = line.partition(TAB)
            yield patient_id.strip(), issuer.strip()


def _sessions(settings: Settings) -> Sessions:
    require_current(settings.resolved_database_url)
    return make_sessions(settings.resolved_database_url)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(optout_app, name="optout")
