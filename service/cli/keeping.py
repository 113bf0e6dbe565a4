"""What is kept: backup and restore, purge, and legal holds."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel

import service
from service.cli.people import ACTOR
from service.cli.standing import standing
from service.db import retention as rows
from service.db.people import record
from service.db.session import Sessions, make_sessions, reading, require_current
from service.errors import InvalidRequest, SchemaMismatch
from service.pipeline import backup as copies
from service.pipeline import retention
from service.pipeline.backup import Copied, Extras, Place
from service.pipeline.references import bundled_models_dir
from service.settings import Settings, load

hold_app = typer.Typer(no_args_is_help=True, help="Studies of which nothing is deleted.")
StudyUid = Annotated[str, typer.Argument(help="Study instance UID.")]


def backup(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    base: Annotated[
        Path | None, typer.Option(help="An earlier backup: images that it has are linked, not copied again.")
    ] = None,
) -> None:
    """Copy database, images, results, settings, secrets and networks, while the service runs."""
    settings = load()
    _note(settings, "backup_ordered")
    copied = copies.backup(
        _place(settings),
        out,
        Extras(settings=dict(_settings_files(settings)), models=_model_files(settings)),
        version=service.__version__,
        now=datetime.now(UTC),
        base=base,
    )
    typer.echo(f"backed up {_told(copied)} to {out}")
    typer.echo(
        "It holds patients' data and secrets and is not encrypted: keep it where only you can read it."
    )
    _tell_damaged(copied)


def restore(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a backup.")]) -> None:
    """Put a backup into an empty HOME and an empty database, with the doors shut."""
    settings = load()
    copied = copies.restore(folder, _place(settings))
    _note(settings, "backup_restored")
    typer.echo(f"restored {_told(copied)} to {settings.home}")
    typer.echo(
        f"Settings, secrets and networks lie in {settings.home / copies.RESTORED}: "
        "put them where your settings expect them, then start the doors."
    )
    _tell_damaged(copied)


def _note(settings: Settings, action: str) -> None:
    """A line of the audit record: a copy of everything is an export. An older database has to do without."""
    url = settings.resolved_database_url
    try:
        require_current(url)
    except SchemaMismatch:
        return
    with make_sessions(url).begin() as session:
        record(session, at=datetime.now(UTC), actor=ACTOR, action=action)


def _place(settings: Settings) -> Place:
    return Place(database_url=settings.resolved_database_url, home=settings.home)


def _told(copied: Copied) -> str:
    return f"{copied.rows} rows and {copied.files} files ({copied.size / 2**20:.0f} MB)"


def _tell_damaged(copied: Copied) -> None:
    """Name what the rows name and the disk has not; the rest is good, but somebody must look."""
    for path in copied.damaged:
        typer.echo(f"missing or changed: {path}", err=True)
    if copied.damaged:
        raise typer.Exit(1)


def _settings_files(settings: Settings) -> Iterator[tuple[str, Path]]:
    """The settings file, and every file that a setting names: secrets, certificates, keys."""
    path = settings.config or settings.home / "myoscreen.toml"
    if path.is_file():
        yield "myoscreen.toml", path
    if settings.audit_dir.is_dir():
        yield "audit", settings.audit_dir
    if settings.rules.endswith(".toml") and Path(settings.rules).expanduser().is_file():
        yield "rules.toml", Path(settings.rules).expanduser()
    yield from _files_of("", settings)


def _files_of(prefix: str, model: BaseModel) -> Iterator[tuple[str, Path]]:
    """Every file that a table of the settings names, and the tables below it."""
    for name, value in model:
        if name != "config" and isinstance(value, Path) and value.is_file():
            yield f"{prefix}{name}/{value.name}", value
        elif isinstance(value, BaseModel):
            yield from _files_of(f"{prefix}{name}.", value)
        elif isinstance(value, tuple):
            for each in (each for each in value if isinstance(each, BaseModel)):
                yield from _files_of(f"{prefix}{name}.{getattr(each, 'name', '')}.", each)


def _model_files(settings: Settings) -> dict[str, Path]:
    """The networks of the settings and in force, with every norm, policy and set of rules beside them."""
    folder = settings.models_dir or bundled_models_dir()
    names = (settings.model, standing(settings).model, "norms", "policies", "rules")
    return {name: folder / name for name in names if (folder / name).is_dir()}


def purge(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many studies are due.")] = False,
) -> None:
    """Take away now what is finished and older than it is kept; the worker does this by itself."""
    settings = load()
    sessions, now = _sessions(settings), datetime.now(UTC)
    terms = retention.Terms.in_days(**settings.keep_days)
    if not terms.each():
        typer.echo("everything is kept for ever: KEEP_PIXELS_DAYS and its like are not set")
        return
    counts = (
        retention.due(sessions, terms, now=now)
        if dry_run
        else retention.purge(sessions, settings.home, terms, now=now)
    )
    if counts is None:
        typer.echo("myoscreen: a backup or another purge is under way", err=True)
        raise typer.Exit(1)
    for kind, count in counts.items():
        typer.echo(f"{kind.value}: {count} studies {'due' if dry_run else 'purged'}")


@hold_app.command("set")
def set_hold(study_uid: StudyUid, reason: Annotated[str, typer.Option(help="Why it is kept.")]) -> None:
    """Keep everything of a study."""
    with _sessions(load()).begin() as session:
        study_id = _study(rows.study_id_of(session, study_uid))
        rows.set_hold(session, study_id, reason=reason, actor=ACTOR, now=datetime.now(UTC))
    typer.echo("held")


@hold_app.command("release")
def release_hold(study_uid: StudyUid) -> None:
    """Let a study go after its time again."""
    with _sessions(load()).begin() as session:
        study_id = _study(rows.study_id_of(session, study_uid))
        rows.release_hold(session, study_id, actor=ACTOR, now=datetime.now(UTC))
    typer.echo("released")


@hold_app.command("list")
def list_holds() -> None:
    """List the holds."""
    with reading(_sessions(load())) as session:
        for hold in rows.list_holds(session):
            typer.echo(f"{hold.study_uid}\t{hold.at:%Y-%m-%d}\t{hold.actor}\t{hold.reason}")


def _study(found: int | None) -> int:
    if found is None:
        raise InvalidRequest("There is no study with this UID.", reason="not_found")
    return found


def _sessions(settings: Settings) -> Sessions:
    require_current(settings.resolved_database_url)
    return make_sessions(settings.resolved_database_url)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(backup)
    app.command()(restore)
    app.command()(purge)
    app.add_typer(hold_app, name="hold")
