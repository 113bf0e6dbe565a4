"""`myoscreen model import`: bring a network that was trained elsewhere."""

import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from service.inference.nnunet import ImportOrder, import_nnunet
from service.pipeline.references import bundled_models_dir
from service.settings import load

#: Fat methods and intended use of an imported network are those of this one.
TEMPLATE = "paraspinal"


class Checkpoint(StrEnum):
    """Which of nnU-Net's two checkpoints."""

    FINAL = "final"
    BEST = "best"


def model_import(
    *,
    nnunet: Annotated[Path, typer.Option(help="Results folder with plans.json, dataset.json and fold_*.")],
    name: Annotated[str, typer.Option(help="Name of the network here.")],
    left: Annotated[
        list[str] | None,
        typer.Option(help="Label of the patient's left side, by number or name; repeatable."),
    ] = None,
    right: Annotated[
        list[str] | None, typer.Option(help="Label of the patient's right side; repeatable.")
    ] = None,
    fold: Annotated[list[str] | None, typer.Option(help="Only this fold; repeatable.")] = None,
    checkpoint: Annotated[
        Checkpoint | None, typer.Option(help="Final or best; by default final, where it is there.")
    ] = None,
    mirroring: Annotated[
        bool, typer.Option("--mirroring", help="Mirror at run time as in training: 4 to 8 times slower.")
    ] = False,
    orientation: Annotated[
        str,
        typer.Option(help="How the training images lay, such as LPS or RAS; by default what the plans give."),
    ] = "",
    licence: Annotated[
        str, typer.Option(help="Licence of the weights; by default what dataset.json says.")
    ] = "",
    version: Annotated[str, typer.Option(help="Version of the network here.")] = "1",
) -> None:
    """Turn a trained nnU-Net v2 into a network of this service; needs the extra 'nnunet'.

    Whether you may use it, and for what, is between you and its makers.
    """
    order = ImportOrder(
        folder=nnunet,
        name=name,
        left=_each(left),
        right=_each(right),
        folds=_each(fold),
        checkpoint=checkpoint.value if checkpoint else None,
        mirroring=mirroring,
        orientation=orientation.upper(),
        licence=licence,
        version=version,
    )
    template = tomllib.loads((bundled_models_dir() / TEMPLATE / "card.toml").read_text("utf-8"))
    folder = import_nnunet(order, load().models_dir or bundled_models_dir(), template)
    typer.echo(f"{folder} is ready; MYOSCREEN_MODEL={name} uses it")
    typer.echo("Read its card.toml: intended use, orientation and licence are yours to check.")


def _each(values: list[str] | None) -> tuple[str, ...]:
    """Every value of an option, whether it was repeated or its values were joined by commas."""
    return tuple(part.strip() for value in values or () for part in value.split(",") if part.strip())
