"""`myoscreen analyse`: folders of DICOM in, findings out, without any server."""

from pathlib import Path
from typing import Annotated

import typer

from service import files
from service.cli.workshops import recipe_from
from service.pipeline.batch import analyse_paths, first_reasons, measures_table
from service.pipeline.nifti import Sayings, read_contrasts, read_people
from service.settings import load
from service.worker.choosing import rules_from

#: Nothing was eligible or assessable: an answer, told apart from a failed call (1).
NOTHING_MEASURED = 3


def analyse(
    paths: Annotated[list[Path], typer.Argument(help="Folders or files of DICOM or NIfTI.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    jobs: Annotated[int, typer.Option(min=1, help="Processes that work side by side.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Leave finished results as they are.")] = False,
    *,
    table: Annotated[Path | None, typer.Option(help="Also write one table of all measures (CSV).")] = None,
    contrast: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[PATTERN=]NAME",
            help="NIfTI names no contrast: t2_tse, t2_haste, t1, water, fat, ...; may be given again.",
        ),
    ] = None,
    people: Annotated[
        Path | None, typer.Option(help="Age, sex and height of the people in NIfTI files (CSV or TSV).")
    ] = None,
) -> None:
    """Analyse folders or files of DICOM into finding.json, seg.dcm, sr.dcm, capture.dcm and report.pdf.

    NIfTI files (.nii, .nii.gz) give finding.json, mask.nii.gz, capture.png and report.pdf.

    Exit status: 0 something was measured, 3 nothing was eligible or assessable (the reason is
    printed), 1 the call failed.
    """
    for path in paths:
        if not path.exists():
            typer.echo(f"myoscreen: there is nothing at {path}", err=True)
            raise typer.Exit(1)
    if table is not None and not table.parent.is_dir():
        typer.echo(f"myoscreen: there is no folder for the table {table}", err=True)
        raise typer.Exit(1)
    sayings = _sayings(contrast or [], people)
    settings = load()
    outcomes = analyse_paths(
        paths,
        out,
        recipe_from(settings),
        jobs=jobs,
        resume=resume,
        rules=rules_from(settings),
        sayings=sayings,
    )
    if table is not None:
        files.write_atomically(table, measures_table(out, outcomes))
    measured = [outcome for outcome in outcomes if outcome.status == "measured"]
    for outcome in measured:
        typer.echo(f"measured: {out / (outcome.folder or '')}")
    if any(item.file for outcome in measured for item in outcome.inputs):
        typer.echo("NIfTI: masks are NIfTI too, in the same space; no DICOM objects were made of them.")
    for line in first_reasons(outcomes):
        typer.echo(line)
    if not measured:
        raise typer.Exit(NOTHING_MEASURED)


def _sayings(contrasts: list[str], people: Path | None) -> Sayings:
    """What the options say of NIfTI files; raises ConfigurationError."""
    if people is not None and not people.is_file():
        typer.echo(f"myoscreen: there is nothing at {people}", err=True)
        raise typer.Exit(1)
    by_file, by_participant = ({}, {}) if people is None else read_people(people)
    return Sayings(contrasts=read_contrasts(contrasts), by_file=by_file, by_participant=by_participant)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(analyse)
