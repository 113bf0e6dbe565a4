"""`myoscreen doctor`: look at every part of this installation and say what is wrong with it."""

import shutil
import socket
from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import urlsplit

import typer

from service import files
from service.cli.workshops import recipe_from
from service.db import optouts
from service.db.session import make_sessions, reading, require_current
from service.dicom import scu, tls
from service.errors import ConfigurationError, ServiceError
from service.settings import Peer, Settings, load
from service.worker.choosing import rules_from

Check = tuple[str, Callable[[], str]]
BROKER_SECONDS = 3.0
#: Where Redis listens when the URL names no port.
REDIS_PORT = 6379


def doctor() -> None:
    """Check settings, folders, database, network, norms, broker and peers; status 1 if anything is wrong."""
    settings = load()
    faults = 0
    for warning in _open_secrets(settings):
        typer.echo(f"warn  {warning}")
    for name, look in _checks(settings):
        try:
            typer.echo(f"ok    {name}: {look()}")
        except (ServiceError, OSError) as error:
            faults += 1
            text = error.reason.text if isinstance(error, ServiceError) else error.strerror or str(error)
            typer.echo(f"fault {name}: {text}")
    if faults:
        raise typer.Exit(1)


def _checks(settings: Settings) -> Iterator[Check]:
    yield "home", lambda: _home(settings)
    yield "disk", lambda: _disk(settings)
    yield "database", lambda: _database(settings)
    yield "network and norms", lambda: _workshop(settings)
    yield "rules", lambda: rules_from(settings).reference
    yield "opt-out list", lambda: _opt_outs(settings)
    yield "broker", lambda: _broker(settings)
    if settings.tls_files is not None:
        yield "DICOM TLS", lambda: _dicom_tls(settings)
    for peer in settings.peer:
        if peer.port is not None:
            yield f"peer {peer.name}", partial(_echo, peer, settings)


def _opt_outs(settings: Settings) -> str:
    """The list, and that its key is there."""
    require_current(settings.resolved_database_url)
    with reading(make_sessions(settings.resolved_database_url)) as session:
        optouts.lists_any(session, settings.home, [("doctor", "")])
        return f"{len(optouts.lines(session))} lines"


def _echo(peer: Peer, settings: Settings) -> str:
    address = scu.Address(
        host=peer.host,
        port=peer.port or 0,
        ae_title=peer.ae_title,
        calling_ae=settings.ae_title,
        tls=tls.outgoing(settings.tls_files, tls=peer.tls, subjects=peer.tls_subject),
    )
    return f"answered in {scu.echo(address) * 1000:.0f} ms"


def _open_secrets(settings: Settings) -> Iterator[str]:
    """Secret files that others on this machine may read."""
    for path in settings.secret_files:
        # In a container, where compose puts its secrets, there is no other account.
        if not path.is_relative_to("/run/secrets") and files.is_open_to_others(path):
            yield f"secret file: {path} can be read by everybody on this machine; chmod 0600 {path}"


def _dicom_tls(settings: Settings) -> str:
    state = tls.keyring(tls.TlsFiles(**(settings.tls_files or {}))).state()
    if state["problem"] is not None:
        raise ConfigurationError(f"Our certificate would be refused: {state['problem']}.")
    return f"port {settings.tls_port}, certificate valid until {state['valid_until']}"


def _home(settings: Settings) -> str:
    files.make_private_dir(settings.home)
    probe = settings.home / ".doctor"
    files.write_atomically(probe, b"")
    probe.unlink()
    return f"{settings.home} can be written"


def _disk(settings: Settings) -> str:
    free_mb = shutil.disk_usage(settings.home).free // 2**20
    if free_mb < settings.spool_min_free_mb:
        raise ConfigurationError(
            f"{free_mb} MB free, images are refused below {settings.spool_min_free_mb} MB."
        )
    return f"{free_mb} MB free"


def _database(settings: Settings) -> str:
    require_current(settings.resolved_database_url)
    return "at the revision of this program"


def _workshop(settings: Settings) -> str:
    workshop = recipe_from(settings)()
    card, segmenter = workshop.card, workshop.segmenter
    norms = ", ".join(table.reference for table in workshop.norms) or "none"
    policy = workshop.policy.reference
    runs = f"{segmenter.provider} in {segmenter.precision}"
    return f"{card.name}@{card.version} on {runs}, norms {norms}, policy {policy}"


def _broker(settings: Settings) -> str:
    if settings.embedded_broker:
        return "inside the worker process"
    place = urlsplit(settings.resolved_broker_url)
    where = (place.hostname or "localhost", place.port or REDIS_PORT)
    socket.create_connection(where, BROKER_SECONDS).close()
    return "reachable"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)
