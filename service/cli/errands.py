"""Small errands: send a folder, ask a peer, look after the database."""

from pathlib import Path
from typing import Annotated

import typer

from service.db import session as database
from service.dicom import scu, tls
from service.settings import Settings, load

db_app = typer.Typer(no_args_is_help=True, help="Look after the database.")


def send(
    path: Annotated[Path, typer.Argument(help="A DICOM file, or a folder of them.")],
    to: Annotated[str, typer.Option(help="Where to, as AE@HOST:PORT.")],
) -> None:
    """Send DICOM files by C-STORE, the bytes as they are."""
    if not path.exists():
        typer.echo(f"myoscreen: there is nothing at {path}", err=True)
        raise typer.Exit(1)
    address = parse_address(to, calling_ae=load().ae_title)
    found = scu.find_files(path)
    files = [file for file in found if scu.file_uids(file) is not None]
    if len(files) < len(found):
        typer.echo(f"{len(found) - len(files)} files are no DICOM images and were left out")
    outcomes = scu.store(files, address)
    stored = sum(outcome.stored for outcome in outcomes)
    typer.echo(f"{stored} of {len(outcomes)} stored")
    for outcome in outcomes:
        if not outcome.stored:
            answer = outcome.code or f"status 0x{outcome.status or 0:04X}"
            typer.echo(f"not stored: {outcome.path.name}: {answer}", err=True)
    if not outcomes or stored < len(outcomes):
        raise typer.Exit(1)


def echo(peer: Annotated[str, typer.Argument(help="Name of a configured peer, or AE@HOST:PORT.")]) -> None:
    """Ask a peer by C-ECHO whether it is there."""
    seconds = scu.echo(_peer_address(peer, load()))
    typer.echo(f"{peer} answered in {seconds * 1000:.0f} ms")


def parse_address(text: str, *, calling_ae: str) -> scu.Address:
    """AE@HOST:PORT as an address; a bad one ends the command."""
    ae_title, _, place = text.partition("@")
    host, _, port = place.rpartition(":")
    if not ae_title or not host or not port.isdigit():
        raise typer.BadParameter(f"{text!r} is not AE@HOST:PORT")
    return scu.Address(host=host.strip("[]"), port=int(port), ae_title=ae_title, calling_ae=calling_ae)


def _peer_address(name: str, settings: Settings) -> scu.Address:
    """A configured peer by name, else an address."""
    for peer in settings.peer:
        if peer.name == name and peer.port is not None:
            return scu.Address(
                host=peer.host,
                port=peer.port,
                ae_title=peer.ae_title,
                calling_ae=settings.ae_title,
                tls=tls.outgoing(settings.tls_files, tls=peer.tls, subjects=peer.tls_subject),
            )
    if "@" not in name:
        known = ", ".join(peer.name for peer in settings.peer if peer.port) or "none"
        typer.echo(f"myoscreen: no peer {name!r} with a port is configured (known: {known})", err=True)
        raise typer.Exit(1)
    return parse_address(name, calling_ae=settings.ae_title)


@db_app.command()
def upgrade() -> None:
    """Bring the database to the revision of this program."""
    typer.echo(f"database at revision {database.upgrade(load().resolved_database_url)}")


@db_app.command()
def downgrade(revision: Annotated[str, typer.Argument(help="Such as 0001.")]) -> None:
    """Take the database back to an earlier revision, before an earlier release is started on it."""
    url = load().resolved_database_url
    database.downgrade(url, revision)
    typer.echo(f"database at revision {database.revision(url)}")


@db_app.command()
def check() -> None:
    """Say whether the database is at the revision of this program."""
    database.require_current(load().resolved_database_url)
    typer.echo("database is current")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(send)
    app.command()(echo)
    app.add_typer(db_app, name="db")
