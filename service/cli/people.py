"""Users and API keys, from the command line."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from service.db import people
from service.db.session import Sessions, make_sessions, reading, require_current
from service.settings import load

#: Who the audit record names for what is done in a shell on the machine.
ACTOR = "command line"

user_app = typer.Typer(no_args_is_help=True, help="People who may log in.")
key_app = typer.Typer(no_args_is_help=True, help="API keys for programs.")
Name = Annotated[str, typer.Argument(help="Name of the user or key.")]
RoleName = Annotated[
    str,
    typer.Option(
        "--role", help="viewer, reviewer, operator, admin, auditor or monitor; for a key also sender."
    ),
]


def _sessions() -> Sessions:
    url = load().resolved_database_url
    require_current(url)
    return make_sessions(url)


@user_app.command("add")
def add_user(name: Name, role: RoleName = "viewer") -> None:
    """Make a user and print a one-time password."""
    with _sessions().begin() as session:
        password = people.add_user(session, name=name, role=role, now=datetime.now(UTC), actor=ACTOR)
    typer.echo(f"one-time password of {name}: {password}")


@user_app.command("list")
def list_users() -> None:
    """List everybody who may log in."""
    with reading(_sessions()) as session:
        for user in people.list_users(session):
            notes = [
                word
                for word, true in (
                    ("disabled", user.disabled),
                    ("must change", user.must_change),
                    (f"by {user.issuer}", user.issuer is not None),
                )
                if true
            ]
            typer.echo(f"{user.name}\t{user.role}\t{', '.join(notes)}".rstrip())


@user_app.command("disable")
def disable_user(name: Name) -> None:
    """Shut a user out, now."""
    with _sessions().begin() as session:
        people.disable_user(session, name=name, now=datetime.now(UTC), actor=ACTOR)
    typer.echo(f"{name} is disabled")


@user_app.command("enable")
def enable_user(name: Name) -> None:
    """Let a disabled user in again, with the password or the provider as before."""
    with _sessions().begin() as session:
        people.enable_user(session, name=name, now=datetime.now(UTC), actor=ACTOR)
    typer.echo(f"{name} is enabled")


@user_app.command("role")
def change_role(
    name: Name,
    role: Annotated[str, typer.Argument(help="viewer, reviewer, operator, admin, auditor or monitor.")],
) -> None:
    """Give a user another role; its logins end."""
    with _sessions().begin() as session:
        people.change_role(session, name=name, role=role, now=datetime.now(UTC), actor=ACTOR)
    typer.echo(f"{name} has the role {role}")


@user_app.command("passwd")
def reset_password(name: Name) -> None:
    """Give a user a new one-time password; lifts a lock and lets a disabled user in again."""
    with _sessions().begin() as session:
        password = people.reset_password(session, name=name, now=datetime.now(UTC), actor=ACTOR)
    typer.echo(f"one-time password of {name}: {password}")


@key_app.command("add")
def add_key(
    name: Name,
    role: RoleName = "viewer",
    days: Annotated[
        float | None,
        typer.Option(min=0.01, max=3650, help="How long it lives; until it is revoked, if not given."),
    ] = None,
) -> None:
    """Make an API key and print it, this once."""
    lifetime = None if days is None else timedelta(days=days)
    with _sessions().begin() as session:
        key = people.add_key(
            session, name=name, role=role, now=datetime.now(UTC), actor=ACTOR, lifetime=lifetime
        )
    typer.echo(key)


@key_app.command("list")
def list_keys() -> None:
    """List the API keys."""
    with reading(_sessions()) as session:
        for key in people.list_keys(session):
            until = f"until {key.expires_at:%Y-%m-%d %H:%M} UTC" if key.expires_at else ""
            typer.echo(f"{key.name}\t{key.role}\t{'revoked' if key.revoked_at else until}".rstrip())


@key_app.command("revoke")
def revoke_key(name: Name) -> None:
    """Make an API key worthless, now."""
    with _sessions().begin() as session:
        people.revoke_key(session, name=name, now=datetime.now(UTC), actor=ACTOR)
    typer.echo(f"{name} is revoked")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(user_app, name="user")
    app.add_typer(key_app, name="key")
