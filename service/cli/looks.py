"""What `myoscreen doctor` looks at, part by part."""

import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from service import files
from service.cli.standing import site_from, standing
from service.cli.workshops import recipe_from
from service.core.trouble import DAY, Limits, Severity, Trouble, Vitals, find_troubles
from service.core.trouble_words import age
from service.db import activations, optouts, overview
from service.db.session import make_sessions, reading, require_current
from service.dicom import scu, tls
from service.errors import ConfigurationError, ServiceError
from service.pictures.fonts import wide_font
from service.pipeline import vitals
from service.settings import Peer, Settings
from service.web import neighbours
from service.web.monitor import running_limit, site_of
from service.worker.choosing import rules_from

DATABASE = "database"
#: A door on this machine takes a connection at once.
CONNECT_SECONDS = 2.0
#: Addresses that stand for every address of the machine.
EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - compared, not bound


@dataclass(frozen=True, kw_only=True)
class Looked:
    """One part: what it says when it is in order, or what is wrong with it."""

    name: str
    said: str = ""
    troubles: tuple[Trouble, ...] = ()


class Found(Exception):
    """What is wrong with a part."""

    def __init__(self, *troubles: Trouble) -> None:
        super().__init__()
        self.troubles = troubles


@dataclass(frozen=True, kw_only=True)
class Part:
    """One thing to look at, and the trouble that it is when the look fails."""

    name: str
    look: Callable[[], str]
    code: str
    severity: Severity = Severity.CRITICAL
    about: str = ""
    #: Is not looked at where the database is not in order.
    needs_database: bool = False


def examine(settings: Settings) -> Iterator[Looked]:
    """Look at every part."""
    broken = False
    for part in _parts(settings):
        if part.needs_database and broken:
            continue
        try:
            yield Looked(name=part.name, said=part.look())
        except Found as found:
            yield Looked(name=part.name, troubles=found.troubles)
        except (ServiceError, OSError) as error:
            text = error.reason.text if isinstance(error, ServiceError) else error.strerror or str(error)
            trouble = Trouble(
                code=part.code, severity=part.severity, about=part.about, values={"reason": text}
            )
            yield Looked(name=part.name, troubles=(trouble,))
            broken |= part.name == DATABASE


def _parts(settings: Settings) -> Iterator[Part]:
    yield Part(name="home", look=partial(_home, settings), code="home_unusable")
    yield Part(name="secret files", look=partial(_secrets, settings), code="secret_open")
    yield Part(name=DATABASE, look=partial(_database, settings), code="database_unusable")
    yield Part(name="network and norms", look=partial(_workshop, settings), code="model_broken")
    yield Part(name="rules", look=lambda: rules_from(standing(settings)).reference, code="rules_unusable")
    yield Part(
        name="activations",
        look=partial(_activations, settings),
        code="activation_broken",
        needs_database=True,
    )
    yield Part(
        name="opt-out list",
        look=partial(_opt_outs, settings),
        code="optout_unusable",
        needs_database=True,
    )
    yield Part(name="broker", look=partial(_broker, settings), code="broker_broken")
    if settings.tls_files is not None:
        yield Part(
            name="DICOM TLS", look=partial(_dicom_tls, settings), code="certificate_wrong", about="DICOM TLS"
        )
    if settings.http_tls_certificate is not None:
        yield Part(name="HTTPS", look=partial(_https, settings), code="certificate_wrong", about="HTTPS")
    yield Part(name="ports", look=partial(_ports, settings), code="port_taken")
    yield Part(
        name="service", look=partial(_service, settings), code="database_unusable", needs_database=True
    )
    for peer in settings.peer:
        if peer.port is not None:
            yield Part(
                name=f"peer {peer.name}",
                look=partial(_echo, peer, settings),
                code="peer_silent",
                severity=Severity.WARNING,
                about=peer.name,
            )
    yield Part(name="fonts", look=_fonts, code="fonts_missing")


def _home(settings: Settings) -> str:
    files.make_private_dir(settings.home)
    probe = settings.home / ".doctor"
    files.write_atomically(probe, b"")
    probe.unlink()
    # In a container there is no other account, and its volume may come with rights of its own.
    if files.is_open_to_others(settings.home):
        raise Found(Trouble(code="home_open", severity=Severity.WARNING, about=str(settings.home)))
    free_mb = shutil.disk_usage(settings.home).free // 1_000_000
    return f"{settings.home} can be written, {free_mb} MB free"


def _secrets(settings: Settings) -> str:
    """Secret files that others on this machine may read."""
    # Where compose puts its secrets there is no other account.
    named = [path for path in settings.secret_files if not path.is_relative_to("/run/secrets")]
    open_to_others = [path for path in named if files.is_open_to_others(path)]
    if open_to_others:
        raise Found(
            *(
                Trouble(code="secret_open", severity=Severity.WARNING, about=str(path))
                for path in open_to_others
            )
        )
    return f"{len(settings.secret_files)} named, none open to others"


def _database(settings: Settings) -> str:
    require_current(settings.resolved_database_url)
    return "at the revision of this program"


def _workshop(settings: Settings) -> str:
    workshop = recipe_from(standing(settings))()
    card, segmenter = workshop.card, workshop.segmenter
    norms = ", ".join(table.reference for table in workshop.norms) or "none"
    policy = workshop.policy.reference
    runs = f"{segmenter.provider} in {segmenter.precision}"
    return f"{card.name}@{card.version} on {runs}, norms {norms}, policy {policy}"


def _activations(settings: Settings) -> str:
    """What is in force, and that its files are those that were activated."""
    site = site_from(settings)
    with reading(make_sessions(settings.resolved_database_url)) as session:
        held, found = site.held(session), activations.in_force(session)
    site.require_unchanged(held)
    told = [f"{kind} {held.names[kind] or 'none'} (line {found[kind].id})" for kind in found]
    return ", ".join(told) or "nothing recorded yet: a worker does so when it starts"


def _opt_outs(settings: Settings) -> str:
    """The list, and that its key is there."""
    with reading(make_sessions(settings.resolved_database_url)) as session:
        optouts.lists_any(session, settings.home, [("doctor", "")])
        return f"{len(optouts.lines(session))} lines"


def _broker(settings: Settings) -> str:
    if settings.embedded_broker:
        return "inside the worker process"
    neighbours.check_broker(settings.resolved_broker_url)
    return "reachable"


def _dicom_tls(settings: Settings) -> str:
    state = tls.keyring(tls.TlsFiles(**(settings.tls_files or {}))).state()
    if state["problem"] is not None:
        raise ConfigurationError(str(state["problem"]).replace("_", " ") + ".")
    return f"port {settings.tls_port}, {_valid(state['valid_until'], 'DICOM TLS')}"


def _https(settings: Settings) -> str:
    from service.web.app import https_of  # noqa: PLC0415 - it loads every page of the dashboard

    https = https_of(settings)
    assert https is not None, "asked only where it is configured"
    state = https.state()
    if state["problem"] is not None:
        raise ConfigurationError(str(state["problem"]).replace("_", " ") + ".")
    return _valid(state["valid_until"], "HTTPS")


def _valid(until: str, name: str) -> str:
    """Until when a certificate is valid; raises Found where that is soon."""
    days = (datetime.fromisoformat(until) - datetime.now(UTC)).total_seconds() / DAY
    known = Vitals(certificates={name: days}, doors={"receiver": 1, "worker": 1})
    found = [trouble for trouble in find_troubles(known) if trouble.about == name]
    if found:
        raise Found(*found)
    return f"certificate valid until {until}"


def _ports(settings: Settings) -> str:
    """Whether each door that lives takes connections, and the port of one that does not is free."""
    alive = _alive_here(settings)
    wanted = [("web", settings.http_bind, settings.http_port)]
    if settings.plain_listener:
        wanted.append(("receiver", settings.dicom_bind, settings.dicom_port))
    if settings.tls_files is not None:
        wanted.append(("receiver", settings.dicom_bind, settings.tls_port))
    found = [
        trouble for door, host, port in wanted for trouble in _port(door, host, port, lives=door in alive)
    ]
    if found:
        raise Found(*found)
    return ", ".join(f"{door} {port}" + ("" if door in alive else " (free)") for door, _, port in wanted)


def _alive_here(settings: Settings) -> set[str]:
    """The doors that live on this machine; none where the database does not say."""
    try:
        require_current(settings.resolved_database_url)
        with reading(make_sessions(settings.resolved_database_url)) as session:
            doors = overview.list_doors(session, datetime.now(UTC))
    except (ServiceError, overview.DatabaseTrouble):
        return set()
    return {door.name for door in doors if door.alive and door.host == socket.gethostname()}


def _port(door: str, host: str, port: int, *, lives: bool) -> Iterator[Trouble]:
    """What is wrong with one port."""
    try:
        socket.create_connection((_own(host), port), CONNECT_SECONDS).close()
        answers = True
    except OSError:
        answers = False
    if lives and not answers:
        yield Trouble(code="port_silent", severity=Severity.CRITICAL, about=door)
    if answers and not lives:
        yield Trouble(code="port_taken", severity=Severity.CRITICAL, about=str(port))


def _own(host: str) -> str:
    """An address of this machine that such a bind is reached by."""
    return "127.0.0.1" if host in EVERYWHERE else host


def _service(settings: Settings) -> str:
    """What the ledger tells of the running service."""
    known = vitals.look(
        make_sessions(settings.resolved_database_url), site_of(settings, {}), now=datetime.now(UTC)
    )
    found = find_troubles(known, Limits(running_seconds=running_limit(settings)))
    if not known.doors:
        found = tuple(trouble for trouble in found if trouble.code != "door_gone")
        found = (Trouble(code="not_started", severity=Severity.WARNING), *found)
    if found:
        raise Found(*found)
    passed = known.self_test_seconds
    tested = "" if passed is None else f", the last self-test passed {age(passed)} ago"
    return f"runs, and nothing waits too long{tested}"


def broken_parts(settings: Settings) -> dict[str, str]:
    """What of spool, broker and model is not in order, and why."""
    found = {}
    looks: dict[str, Callable[[], object]] = {
        "spool": lambda: neighbours.check_spool(settings),
        "broker": lambda: neighbours.check_broker(settings.resolved_broker_url),
        "model": lambda: neighbours.read_model(standing(settings)),
        "activation": lambda: _activations(settings),
    }
    for name, look in looks.items():
        try:
            look()
        except ServiceError as error:
            found[name] = error.reason.text
    return found


def _echo(peer: Peer, settings: Settings) -> str:
    address = scu.Address(
        host=peer.host,
        port=peer.port or 0,
        ae_title=peer.ae_title,
        calling_ae=settings.ae_title,
        tls=tls.outgoing(settings.tls_files, tls=peer.tls, subjects=peer.tls_subject),
    )
    return f"answered in {scu.echo(address) * 1000:.0f} ms"


def _fonts() -> str:
    font = wide_font()
    if font is None:
        raise Found(Trouble(code="fonts_missing", severity=Severity.NOTE))
    return f"all letters, {font.name}"
