"""Folders of DICOM into a running installation."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from service.db.session import make_sessions, require_current
from service.dicom.spool import Spool
from service.files import make_private_dir
from service.pipeline.filing import Ingest, Taken, walk
from service.settings import Settings, load

#: Nothing could be used: an answer, told apart from a failed call (1).
NOTHING_TAKEN = 3


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Folders or files of DICOM.")],
    tell: Annotated[bool, typer.Option("--list", help="Also name each file that was not accepted.")] = False,
) -> None:
    """Take files into this installation as if they had been sent to it; the files stay where they are.

    Exit status: 0 at least one image is here now, 3 nothing could be used, 1 the call failed.
    """
    for path in paths:
        if not path.exists():
            typer.echo(f"myoscreen: there is nothing at {path}", err=True)
            raise typer.Exit(1)
    way_in = _way_in(load())
    counts: Counter[Taken] = Counter()
    try:
        for path in walk(paths):
            became = way_in.take(path)
            counts[became] += 1
            if tell and became is not Taken.ACCEPTED:
                typer.echo(f"{became}: {path}")
    finally:
        for became in Taken:
            typer.echo(f"{became}: {counts[became]}")
    if not counts[Taken.ACCEPTED] + counts[Taken.SAME]:
        raise typer.Exit(NOTHING_TAKEN)


def _way_in(settings: Settings) -> Ingest:
    """The intake of the installation of these settings."""
    require_current(settings.resolved_database_url)
    make_private_dir(settings.home)
    spool = Spool(
        settings.spool_dir, min_free_mb=settings.spool_min_free_mb, resume_free_mb=settings.resume_free_mb
    )
    return Ingest(
        make_sessions(settings.resolved_database_url),
        spool,
        largest_bytes=settings.max_instance_mb * 1_000_000,
    )


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(ingest)
