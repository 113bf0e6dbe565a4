"""What is in force, and its changes, from the command line."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from service.cli.people import ACTOR
from service.cli.standing import site_from
from service.core.activation import Kind
from service.db import activations, logins, people
from service.db.activating import By
from service.db.activations import ActivationFacts
from service.db.people import Role
from service.db.session import Sessions, make_sessions, reading, require_current
from service.errors import InvalidRequest
from service.pipeline import activation
from service.settings import Settings, load

activation_app = typer.Typer(
    no_args_is_help=True, help="Which network, norms, policy and rules are in force, and their changes."
)
#: The largest id that PostgreSQL's BIGINT and SQLite's INTEGER hold.
LARGEST_ID = 2**63 - 1
Number = Annotated[int, typer.Argument(metavar="ID", min=1, max=LARGEST_ID, help="Number of the line.")]
Reason = Annotated[str, typer.Option(help="Why; without names.")]
AsUser = Annotated[
    str,
    typer.Option(
        "--user",
        help="An administrator, whose password is asked for: so it is known who proposes or confirms.",
    ),
]


@activation_app.command("list")
def list_activations(
    kind: Annotated[Kind | None, typer.Option(help="Only of this kind.")] = None,
) -> None:
    """List what is in force, what is proposed, and what was, newest first."""
    settings = load()
    site = site_from(settings)
    with reading(_sessions(settings)) as session:
        found = activations.in_force(session)
        lines = activations.lines(session, kind=kind, limit=200)
    for each in Kind:
        if each not in found and kind in (None, each):
            typer.echo(f"-\t{each}\tfrom the settings\t{site.settings[each]}")
    for line in lines:
        typer.echo(_told(line))


@activation_app.command()
def propose(
    kind: Annotated[Kind, typer.Argument(help="What is to be changed.")],
    name: Annotated[str, typer.Argument(help="Its name in the models folder; tables with commas between.")],
    reason: Reason = "",
    user: AsUser = "",
) -> None:
    """Put something into force, or propose it where the settings ask for a second person."""
    settings = load()
    sessions = _sessions(settings)
    by = _by(settings, sessions, user)
    _tell(activation.propose(sessions, site_from(settings), kind, name, by, reason=reason))


@activation_app.command()
def confirm(number: Number, user: AsUser = "") -> None:
    """Put into force what another administrator proposed."""
    settings = load()
    sessions = _sessions(settings)
    _tell(activation.confirm(sessions, site_from(settings), number, _by(settings, sessions, user)))


@activation_app.command()
def refuse(number: Number, reason: Reason = "", user: AsUser = "") -> None:
    """Refuse what was proposed."""
    settings = load()
    sessions = _sessions(settings)
    _tell(activation.refuse(sessions, number, _by(settings, sessions, user), reason=reason))


@activation_app.command()
def rollback(number: Number, reason: Reason = "", user: AsUser = "") -> None:
    """Put into force again what was before this line, which must be in force."""
    settings = load()
    sessions = _sessions(settings)
    by = _by(settings, sessions, user)
    _tell(activation.roll_back(sessions, site_from(settings), number, by, reason=reason))


def _by(settings: Settings, sessions: Sessions, user: str) -> By:
    """Who asks: somebody whose password was right, else the command line."""
    now = datetime.now(UTC)
    actor = _proved(sessions, user, now) if user else ACTOR
    return By(actor=actor, now=now, second_person=settings.activation_second_person)


def _proved(sessions: Sessions, user: str, now: datetime) -> str:
    """The administrator of this name, once the password is right; tries count as at the login page."""
    with sessions.begin() as session:
        attempt = logins.begin_login(session, name=user, now=now)
    right = logins.password_matches(
        attempt.password_hash, typer.prompt("Password", hide_input=True, err=True)
    )
    with sessions.begin() as session:
        found = {each.name: each for each in people.list_users(session)}.get(attempt.name)
        may = found is not None and found.role is Role.ADMIN and not found.must_change
        outcome = "ok" if right and may else "refused"
        people.record(
            session, at=now, actor=attempt.name, action="login", outcome=outcome, detail={"by": ACTOR}
        )
        if right and attempt.user_id is not None:
            logins.forget_tries(session, user_id=attempt.user_id)
    if not (right and may):
        raise InvalidRequest(
            "The name or the password is not right, or this is no administrator.", reason="not_proved"
        )
    return attempt.name


def _tell(facts: ActivationFacts | None) -> None:
    if facts is None:
        raise InvalidRequest("There is no line with this number.", reason="not_found")
    typer.echo(_told(facts))


def _told(line: ActivationFacts) -> str:
    """One line of what was put into force."""
    since = f"{line.holds_from:%Y-%m-%d %H:%M:%S}" if line.holds_from else "-"
    until = f"{line.held_until:%Y-%m-%d %H:%M:%S}" if line.held_until else "-"
    parts = (
        line.id,
        line.kind.value,
        line.state.value,
        line.name or "none",
        line.version,
        f"sha256 {line.sha256[:12]}",
        since,
        until,
        line.asked_by,
        line.decided_by or "-",
        line.reason,
    )
    return "\t".join(str(part) for part in parts).rstrip()


def _sessions(settings: Settings) -> Sessions:
    require_current(settings.resolved_database_url)
    return make_sessions(settings.resolved_database_url)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(activation_app, name="activation")
