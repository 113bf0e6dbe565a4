"""Networks and their cards."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.modelbench import model_bench
from service.cli.modelimport import model_import
from service.inference.card import read_card, verify
from service.pipeline.references import bundled_models_dir
from service.settings import load

model_app = typer.Typer(no_args_is_help=True, help="Networks and their cards.")


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
    app.add_typer(model_app, name="model")
