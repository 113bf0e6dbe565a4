"""What the service reckons with: reference tables and networks."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.modelbench import model_bench
from service.cli.modelimport import model_import
from service.core.norms import NormTable, value_at
from service.inference.card import read_card, verify
from service.pipeline.references import bundled_models_dir, list_norms, read_norms
from service.settings import load

norms_app = typer.Typer(no_args_is_help=True, help="Reference tables by age and sex.")
model_app = typer.Typer(no_args_is_help=True, help="Networks and their cards.")
#: z of the 5th, 50th and 95th percentile.
SHOWN_Z = (-1.644854, 0.0, 1.644854)


@norms_app.command("list")
def norms_list() -> None:
    """List the reference tables of this installation."""
    for table in list_norms(_models_dir()):
        typer.echo(f"{table.reference}\t{table.status}\t{table.title}")


@norms_app.command("show")
def norms_show(norm: Annotated[str, typer.Argument(help="Id of a table.")]) -> None:
    """Show one table: where it is from, what it fits, and its 5th, 50th and 95th percentiles."""
    (table,) = read_norms(_models_dir(), (norm,))
    for name in ("title", "status", "measure", "unit", "population", "citation", "effective_n", "sha256"):
        typer.echo(f"{name}: {getattr(table, name)}")
    for name in ("definitions", "contrasts", "regions"):
        typer.echo(f"{name}: {', '.join(getattr(table, name)) or 'none'}")
    if table.phantom_only:
        typer.echo("for the bundled phantom only")
    _show_knots(table)


def _show_knots(table: NormTable) -> None:
    for sex, knots in table.knots.items():
        for knot in knots:
            low, middle, high = (value_at(z, knot) for z in SHOWN_Z)
            typer.echo(f"{sex} {knot.age_years:.0f} years: {low:.4g} / {middle:.4g} / {high:.4g}")


@norms_app.command("check")
def norms_check() -> None:
    """Read every table and the configured selection; a fault ends with status 1."""
    settings = load()
    tables = list_norms(_models_dir())
    read_norms(_models_dir(), settings.norms)
    typer.echo(f"{len(tables)} tables are sound; configured: {', '.join(settings.norms) or 'none'}")


@model_app.command("list")
def model_list() -> None:
    """List the networks of this installation."""
    for path in sorted(_models_dir().glob("*/card.toml")):
        card = read_card(path.parent)
        typer.echo(f"{card.name}@{card.version}\tsha256 {card.sha256[:12]}\t{card.licence}")


@model_app.command("verify")
def model_verify(
    name: Annotated[
        str | None, typer.Argument(help="Id of a network; the configured one by default.")
    ] = None,
) -> None:
    """Check that a network is the one that its card describes: the configured one, unless named."""
    card = read_card(_models_dir() / Path(name or load().model).name)
    verify(card)
    typer.echo(f"{card.name}@{card.version} has the hash of its card")


model_app.command("bench")(model_bench)
model_app.command("import")(model_import)


def _models_dir() -> Path:
    """The folder of this installation's networks, norms and policies."""
    return load().models_dir or bundled_models_dir()


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(norms_app, name="norms")
    app.add_typer(model_app, name="model")
