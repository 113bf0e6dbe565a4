"""Do it again with a result: score its measures anew, or prove that it comes out the same."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

import service
from service.cli.people import ACTOR
from service.cli.standing import standing
from service.cli.withdrawal import LARGEST_ID
from service.cli.workshops import recipe_from
from service.db import people, rescoring
from service.db.session import Sessions, make_sessions, reading, require_current
from service.dicom.spool import Spool
from service.errors import InvalidRequest
from service.inference.card import read_card
from service.pipeline.comparing import Replayed
from service.pipeline.lookover import Look, look
from service.pipeline.references import read_norms, read_policy
from service.pipeline.replay import replay
from service.pipeline.rescore import Scale
from service.pipeline.rescoring import order_rescore
from service.settings import Settings, load

#: Exit status of a replay that did not come out the same.
DIFFERENT = 3
#: Outcomes of a look that can be ordered.
SCORABLE = ("changes", "same")


def rescore_command(
    ids: Annotated[
        list[int] | None,
        typer.Argument(metavar="[ID]...", min=1, max=LARGEST_ID, help="Numbers of analyses."),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="Every current result that was made ready from this day on (UTC)."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would change.")] = False,
) -> None:
    """Score stored measures by the norms and the policy of now: new SR, capture and PDF.

    Neither images nor network are used; the worker does it. Results that are named are ordered in any case,
    those of --since where something changes.
    """
    if not ids and since is None:
        raise InvalidRequest("Name analyses, or a day by --since.", reason="nothing_named")
    settings = load()
    sessions = _sessions(settings)
    scale = _scale(settings)
    named = list(dict.fromkeys(ids or ()))
    looks = [look(sessions, each, scale, home=settings.home) for each in _wanted(sessions, named, since)]
    refused = ordered = 0
    for seen in looks:
        typer.echo(_line(seen))
        if seen.outcome not in SCORABLE:
            refused += 1
        elif not dry_run and (seen.outcome == "changes" or seen.analysis_id in named):
            refused_now = _order(sessions, seen.analysis_id, settings.home)
            refused, ordered = refused + refused_now, ordered + (not refused_now)
    changing = sum(seen.outcome == "changes" for seen in looks)
    typer.echo(f"{len(looks)} looked at, {changing} change, {ordered} ordered, {refused} refused")
    if refused:
        raise typer.Exit(1)


def _wanted(sessions: Sessions, named: list[int], since: datetime | None) -> list[int]:
    """Numbers of the analyses, those that are named first."""
    if since is None:
        return named
    with reading(sessions) as session:
        found = rescoring.current(session, since=since.replace(tzinfo=UTC))
    return list(dict.fromkeys((*named, *found)))


def _scale(settings: Settings) -> Scale:
    """What this installation scores with now."""
    recipe = recipe_from(standing(settings))
    return Scale(
        norms=read_norms(recipe.models_dir, recipe.norms),
        policy=read_policy(recipe.models_dir, recipe.policy),
        card=read_card(recipe.models_dir / Path(recipe.model).name),
        software=f"myoscreen {service.__version__}",
    )


def _line(seen: Look) -> str:
    """What became of one, without anything of the person."""
    version = "" if seen.version is None else f" version {seen.version}"
    return f"{seen.analysis_id}{version}: {seen.outcome} {', '.join(seen.changes)}".rstrip()


def _order(sessions: Sessions, analysis_id: int, home: Path) -> bool:
    """Order new scores of one; whether that was refused since it was looked at."""
    now = datetime.now(UTC)
    try:
        ordered = order_rescore(sessions, analysis_id, home=home, now=now)
    except InvalidRequest as error:
        typer.echo(f"{analysis_id}: {error.reason.code}")
        return True
    with sessions.begin() as session:
        people.record(
            session,
            at=now,
            actor=ACTOR,
            action="rescore_ordered",
            object_type="analysis",
            object_id=analysis_id,
            detail={"new": ordered},
        )
    return False


def replay_command(
    analysis_id: Annotated[
        int, typer.Argument(metavar="ID", min=1, max=LARGEST_ID, help="Number of the analysis.")
    ],
    network: Annotated[
        str | None,
        typer.Option(help="A network of this installation in the place of the one that measured."),
    ] = None,
) -> None:
    """Run an analysis again from the stored images and compare mask and numbers bit for bit.

    Nothing is published. Status 3 where anything differs.
    """
    settings = load()
    replayed = replay(
        _sessions(settings),
        analysis_id,
        recipe_from(standing(settings)),
        home=settings.home,
        spool=Spool(settings.spool_dir),
        network=network,
        actor=ACTOR,
        now=datetime.now(UTC),
    )
    if replayed is None:
        raise InvalidRequest("There is no analysis with this number.", reason="not_found")
    _tell(replayed)
    if not replayed.identical:
        raise typer.Exit(DIFFERENT)


def _tell(replayed: Replayed) -> None:
    """What came of it, in lines."""
    numbers = replayed.numbers
    typer.echo(f"{'identical' if replayed.identical else 'NOT identical'}: version {replayed.version}")
    typer.echo(f"voxels: {replayed.differing_voxels} differ, {replayed.voxels} are drawn")
    for segment, count in replayed.by_segment.items():
        typer.echo(f"  {segment}: {count}")
    typer.echo(f"numbers: {numbers.differing} differ of {numbers.numbers}")
    if numbers.largest_at is not None:
        typer.echo(f"  largest difference: {numbers.largest:.6g} at {numbers.largest_at}")
    for place in numbers.others:
        typer.echo(f"  differs: {place}")
    for sentence in replayed.notes.values():
        typer.echo(sentence)
    typer.echo(f"on {replayed.provider}, {replayed.precision}, {replayed.device}")


def _sessions(settings: Settings) -> Sessions:
    url = settings.resolved_database_url
    require_current(url)
    return make_sessions(url)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("rescore")(rescore_command)
    app.command("replay")(replay_command)
