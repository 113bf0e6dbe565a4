"""Data protection: hand out everything about one patient, and erase it."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from service.cli.people import ACTOR
from service.db.patients import Patient
from service.db.session import Sessions, make_sessions, require_current
from service.errors import InvalidRequest
from service.pipeline import privacy
from service.settings import Settings, load

privacy_app = typer.Typer(no_args_is_help=True, help="Everything that is here of one patient.")
PatientId = Annotated[
    str,
    typer.Argument(
        metavar="PATIENT",
        help="Patient ID; - reads it from standard input, so that no list of processes shows it.",
    ),
]
Issuer = Annotated[str, typer.Option(help="Issuer of the patient ID; any, if it is not given.")]
Shared = Annotated[bool, typer.Option(help="Also studies whose images name other patients too.")]

#: Why a study was not exported or erased.
LEFT = {
    "legal_hold": "on legal hold",
    "under_way": "still arriving, being analysed or being sent (try again later)",
    "names_others": "with images that name other patients too (look, then use --shared)",
    "maintenance": "because a backup or purge is under way, or a file could not be removed (try again later)",
}


@privacy_app.command()
def export(
    patient: PatientId,
    out: Annotated[Path, typer.Option(help="A new or empty folder.")],
    issuer: Issuer = "",
    *,
    shared: Shared = False,
) -> None:
    """Copy every row, image and result of a patient into a folder."""
    settings = load()
    done = privacy.export(
        _sessions(settings),
        settings.home,
        _given(patient, issuer),
        out,
        shared=shared,
        actor=ACTOR,
        now=datetime.now(UTC),
    )
    typer.echo(f"exported, studies: {done.studies}, rows: {done.rows}, files: {done.files}")
    typer.echo("The folder holds a patient's data and is not encrypted.")
    if done.left:
        typer.echo(f"studies left, {LEFT['names_others']}: {done.left}")
        raise typer.Exit(1)


@privacy_app.command()
def erase(
    patient: PatientId,
    issuer: Issuer = "",
    *,
    shared: Shared = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take away every study of a patient for good; the audit record stays, and what peers were sent."""
    settings = load()
    whom = _given(patient, issuer)
    if not yes:
        typer.confirm("Erase everything that is here of this patient, for good?", abort=True)
    done = privacy.erase(
        _sessions(settings), settings.home, whom, shared=shared, actor=ACTOR, now=datetime.now(UTC)
    )
    typer.echo(f"studies erased: {done.studies}")
    if done.beside:
        typer.echo(f"studies of others, from which images set aside were erased: {done.beside}")
    for code, count in sorted(done.left.items()):
        typer.echo(f"studies left, {LEFT[code]}: {count}")
    if done.left:
        raise typer.Exit(1)


def _given(patient: str, issuer: str) -> Patient:
    if patient == "-":
        patient = sys.stdin.readline().strip()
    if not patient.strip():
        raise InvalidRequest("No patient ID was given.", reason="patient_id_missing")
    return Patient(id=patient, issuer=issuer)


def _sessions(settings: Settings) -> Sessions:
    url = settings.resolved_database_url
    require_current(url)
    return make_sessions(url)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(privacy_app, name="privacy")
