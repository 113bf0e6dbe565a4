"""`myoscreen model bench`: time a network on each provider, and see whether its answers stay the same."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.inference.card import Card, read_card, verify
from service.pipeline.references import bundled_models_dir
from service.settings import load

if TYPE_CHECKING:
    from service.pipeline.modelbench import Trial


def model_bench(
    name: Annotated[str | None, typer.Option(help="The network; the configured one by default.")] = None,
    data: Annotated[
        list[Path] | None, typer.Option(help="Folder of DICOM whose stacks are compared too; repeatable.")
    ] = None,
    slices: Annotated[int, typer.Option(min=5, help="Slices of the phantom.")] = 30,
    repeats: Annotated[int, typer.Option(min=1, help="Times that each is timed.")] = 3,
) -> None:
    """Time a network on each provider and precision, and compare with fp32 by plain ONNX Runtime.

    Prints the lines for the card under [precision] of what is equivalent.
    """
    # Here, because the other commands about networks shall not wait for these libraries.
    from service.pipeline.batch import find_files  # noqa: PLC0415
    from service.pipeline.modelbench import phantoms, stacks, try_all  # noqa: PLC0415

    settings = load()
    card = read_card((settings.models_dir or bundled_models_dir()) / Path(name or settings.model).name)
    verify(card)
    given, passed_over = stacks(card, find_files(data or ()))
    specimens = [*phantoms(card, slices), *given]
    typer.echo(f"{card.name}@{card.version}, {len(specimens)} stacks, timed on {slices} slices of 320 x 320")
    if passed_over:
        typer.echo(f"{passed_over} stacks were passed over: outside the intended use, or not readable.")
    typer.echo(_row("provider", "precision", "card", "ms/slice", "speed", "labels", "IMAT"))
    lines = []
    for trial in try_all(card, specimens, repeats=repeats, threads=settings.inference_threads):
        typer.echo(_told(trial, card))
        lines += [_line(trial)] if trial.equivalent else []
    typer.echo("speed: times fp32 by plain ONNX Runtime in the same run; labels: largest share of the")
    typer.echo("compartment with another label; IMAT: largest difference in points. For the card:")
    for line in lines:
        typer.echo(line)


def _told(trial: "Trial", card: Card) -> str:
    """One row of the table, or why there is none."""
    pairs = {(pair.provider, pair.precision) for pair in card.admitted}
    admitted = "admits" if (trial.provider, trial.precision) in pairs else "-"
    start = (trial.provider, trial.precision, admitted)
    if trial.ms_per_slice is None or trial.reference_ms_per_slice is None:
        return f"{_row(*start)} {trial.fault}"
    imat = trial.imat_difference_points
    return _row(
        *start,
        f"{trial.ms_per_slice:.1f}",
        f"{trial.reference_ms_per_slice / trial.ms_per_slice:.2f}",
        f"{trial.label_disagreement:.3%}",
        "-" if imat is None else f"{imat:.3f}",
    )


def _row(*cells: str) -> str:
    widths = (26, 9, 6, 8, 6, 7, 6)
    return " ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=False))


def _line(trial: "Trial") -> str:
    """The pair as the card writes it, its numbers rounded up."""
    measured = f"label_disagreement = {_up(trial.label_disagreement, 5)}, "
    measured += f"imat_difference_points = {_up(trial.imat_difference_points, 3)}"
    return f'  {{ provider = "{trial.provider}", precision = "{trial.precision}", {measured} }},'


def _up(value: float | None, digits: int) -> str:
    steps = 10.0**digits
    return f"{math.ceil((value or 0.0) * steps) / steps:.{digits}f}"
