"""The doors: everything at once for one machine, or one door each."""

import sys
from datetime import UTC, datetime

import typer

from service import files, logs, processes
from service.db import people
from service.db.session import make_sessions, require_current, upgrade
from service.settings import Settings, load

DOORS = ("receive", "work", "web")


def serve() -> None:
    """Everything on this machine: receiver, worker and web as child processes, restarted when they end."""
    settings = _open(load())
    upgrade(settings.resolved_database_url)
    _greet(settings)
    commands = {door: [sys.executable, "-m", "service.cli", door] for door in DOORS}
    raise typer.Exit(processes.supervise(commands))


def receive() -> None:
    """Listen for DICOM."""
    from service import receiver  # noqa: PLC0415 - each door loads its own libraries only

    receiver.serve(_open(load(), current=True))


def work() -> None:
    """Sweep, analyse and deliver."""
    from service.cli.workshops import recipe_from  # noqa: PLC0415 - as above
    from service.worker import main  # noqa: PLC0415 - as above

    settings = _open(load(), current=True)
    main.work(settings, recipe_from(settings, for_peers=True))


def web() -> None:
    """Serve the dashboard and the REST interface."""
    from service.web import app  # noqa: PLC0415 - as above

    app.serve(_open(load(), current=True))


def _open(settings: Settings, *, current: bool = False) -> Settings:
    """Set up logging and the home folder; with ``current``, refuse a database of another revision."""
    logs.setup(style=settings.log_format, level=settings.log_level)
    files.make_private_dir(settings.home)
    if current:
        require_current(settings.resolved_database_url)
    return settings


def _greet(settings: Settings) -> None:
    """Say where things are, and on the first start how to log in."""
    with make_sessions(settings.resolved_database_url).begin() as session:
        password = people.create_first_admin(session, datetime.now(UTC))
    typer.echo("myoscreen - research use only, not for diagnosis")
    if settings.plain_listener:
        typer.echo(f"DICOM      {settings.ae_title} on {settings.dicom_bind}:{settings.dicom_port}")
    if settings.tls_files is not None:
        typer.echo(f"DICOM TLS  {settings.ae_title} on {settings.dicom_bind}:{settings.tls_port}")
    typer.echo(f"dashboard  {dashboard_url(settings)}")
    if password is not None:
        typer.echo(f"log in     admin, one-time password: {password}")


def dashboard_url(settings: Settings) -> str:
    """Where the dashboard is, as seen from this machine."""
    host = "127.0.0.1" if settings.http_bind in ("0.0.0.0", "::") else settings.http_bind  # noqa: S104
    scheme = "http" if settings.http_tls_certificate is None else "https"
    return f"{scheme}://{host}:{settings.http_port}"


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (serve, receive, work, web):
        app.command()(command)
