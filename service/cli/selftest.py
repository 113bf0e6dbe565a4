"""`myoscreen selftest`: the phantom through the running service, compared with what is truly in it."""

import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from service.db.session import make_sessions, require_current
from service.pipeline import selftest as verb
from service.settings import load
from service.worker.nightly import address_of


def selftest(
    *,
    to: Annotated[
        list[str] | None,
        typer.Option(help="Name of a peer that is to get the results, which it then keeps; else none."),
    ] = None,
    host: Annotated[str, typer.Option(help="Where the receiver is; this machine when absent.")] = "",
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds to wait for each step, beside the quiet time.")
    ] = verb.Terms().seconds,
    volume: Annotated[
        float, typer.Option(min=0, help="How far a volume may be off, as a share.")
    ] = verb.Terms().volume,
    share: Annotated[float, typer.Option(min=0, help="How far the share of fat may be off.")] = (
        verb.Terms().share
    ),
    as_json: Annotated[bool, typer.Option("--json", help="The outcome as JSON.")] = False,
) -> None:
    """Send the phantom through receiver and worker, compare with the truth, clear up; status 1 on failure."""
    settings = load()
    require_current(settings.resolved_database_url)
    known = {peer.name for peer in settings.peer if peer.outputs}
    unknown = [name for name in to or () if name not in known]
    if unknown:
        raise typer.BadParameter(f"no peer {unknown[0]!r} gets results (known: {', '.join(sorted(known))})")

    def told(step: str, seconds: float) -> None:
        if not as_json:
            typer.echo(f"{step:<8} {seconds:6.1f} s")

    outcome = verb.run(
        make_sessions(settings.resolved_database_url),
        settings.home,
        address_of(settings, host=host),
        peers=to or (),
        terms=verb.Terms(seconds=settings.quiet_seconds + timeout, volume=volume, share=share),
        clock=lambda: datetime.now(UTC),
        on_step=told,
    )
    if as_json:
        typer.echo(json.dumps({"outcome": outcome.code, "text": outcome.text, **outcome.detail}, indent=2))
    else:
        for name, (measured, true) in outcome.detail.get("measures", {}).items():
            typer.echo(f"{name:<22} measured {measured:8.3f}  true {true:8.3f}")
        typer.echo(f"{outcome.code}: {outcome.text}")
    if not outcome.passed:
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(selftest)
