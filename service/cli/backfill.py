"""Past studies from the command line: a worklist, and the run that fetches them."""

import csv
import re
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from service import files
from service.cli.people import ACTOR
from service.core.offpeak import parse_window
from service.core.status import BackfillOutcome
from service.db import backfills
from service.db.backfills import Kind
from service.db.people import record
from service.db.session import Sessions, make_sessions, reading, require_current
from service.dicom.demographics import parse_date
from service.errors import ConfigurationError
from service.pipeline.backfill import Backfill, Source, Terms
from service.settings import Settings, load
from service.worker.archives import archives, days

backfill_app = typer.Typer(no_args_is_help=True, help="Fetch past studies from a peer.")
Peer = Annotated[str, typer.Option(help="Name of the peer in the settings.")]
#: Names of columns of a worklist, in small letters without blanks and underscores.
COLUMNS: dict[str, Kind] = {
    "studyuid": "study",
    "studyinstanceuid": "study",
    "accessionnumber": "accession",
    "accession": "accession",
}
UID = re.compile(r"[0-9]+(\.[0-9]+){3,}")
#: As tables hold them; a longer UID is none (PS3.5 9.1), and AccessionNumber has 16 characters.
LONGEST = 64
LOCK_NAME = "backfill.lock"


@backfill_app.command()
def add(
    file: Annotated[
        Path | None,
        typer.Argument(help="CSV of study instance UIDs or accession numbers; - reads standard input."),
    ] = None,
    *,
    peer: Peer,
    first: Annotated[str | None, typer.Option("--from", help="First day of studies with MR.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last day; without it that of --from.")] = None,
    deliver: Annotated[
        bool, typer.Option("--deliver", help="Send the results to the peers, as of any study.")
    ] = False,
) -> None:
    """Put studies on the list: those of a file, or those that the peer has of some days."""
    if (file is None) == (first is None):
        raise ConfigurationError("Name either a file or --from.", reason="bad_worklist")
    settings = load()
    sessions = _sessions(settings)
    source = _source(settings, sessions, peer)
    lines = _found(source, first or "", last) if file is None else _read(file)
    counts: Counter[bool] = Counter()
    now = datetime.now(UTC)
    with sessions.begin() as session:
        for kind, value in dict.fromkeys(lines):
            made = backfills.add(session, peer=peer, kind=kind, value=value, deliver=deliver, now=now)
            counts[made] += 1
        detail = {"peer": peer, "lines": counts[True], "deliver": deliver}
        record(session, at=now, actor=ACTOR, action="backfill_added", detail=detail)
    typer.echo(f"{counts[True]} added, {counts[False]} were on the list already")


@backfill_app.command()
def run(
    per_hour: Annotated[float, typer.Option(min=0.1, help="Studies fetched in an hour, at most.")] = 30.0,
    window: Annotated[
        str, typer.Option(help="When, on the clock on the wall, such as 20:00-06:00; empty: always.")
    ] = "20:00-06:00",
    attempts: Annotated[int, typer.Option(min=1, help="Tries of a study.")] = 3,
) -> None:
    """Fetch what is on the list, until nothing waits; ended and started again it goes on where it was."""
    terms = Terms(
        per_hour=per_hour, window=parse_window(window) if window.strip() else None, attempts=attempts
    )
    settings = load()
    sessions = _sessions(settings)
    files.make_private_dir(settings.home)
    with files.one_at_a_time(settings.home / LOCK_NAME) as alone:
        if not alone:
            raise ConfigurationError("A back-fill is running already.", reason="backfill_runs")
        work = Backfill(
            sessions=sessions,
            home=settings.home,
            sources=archives(settings, sessions),
            terms=terms,
            clock=lambda: datetime.now(UTC),
            wait=_end_asked_for().wait,
        )
        ended = work.run()
    for outcome, count in sorted(ended.items()):
        typer.echo(f"{outcome}: {count}")
    typer.echo("This run is over; `myoscreen backfill status` tells of all.")


@backfill_app.command()
def status(
    tell: Annotated[
        list[str] | None,
        typer.Option("--list", help="Also the lines with this outcome (or: waiting); may be given again."),
    ] = None,
) -> None:
    """How many lines there are of each peer and outcome; --list shows UIDs and accession numbers."""
    known = {"waiting", *BackfillOutcome}
    unknown = set(tell or []) - known
    if unknown:
        raise ConfigurationError(f"There are only {', '.join(sorted(known))}.", reason="bad_worklist")
    sessions = _sessions(load())
    with reading(sessions) as session:
        found = backfills.counts(session)
        lines = backfills.listed(session, tell) if tell else []
    if tell:
        with sessions.begin() as session:
            detail = {"rows": len(lines)}
            record(session, at=datetime.now(UTC), actor=ACTOR, action="backfill_listed", detail=detail)
    for (peer, outcome), count in sorted(found.items(), key=str):
        typer.echo(f"{peer}\t{outcome or 'waiting'}\t{count}")
    for line in lines:
        facts = (line.peer, line.kind, line.value, line.outcome or "waiting", line.reason_code or "-")
        typer.echo("\t".join((*facts, f"{line.attempts} tries", f"{line.count or 0}")))


@backfill_app.command()
def retry(peer: Annotated[str | None, typer.Option(help="Of one peer alone.")] = None) -> None:
    """Begin anew with what was refused or failed."""
    now = datetime.now(UTC)
    with _sessions(load()).begin() as session:
        count = backfills.retry(session, peer, now=now)
        detail = {"peer": peer, "lines": count}
        record(session, at=now, actor=ACTOR, action="backfill_retried", detail=detail)
    typer.echo(f"{count} wait again")


@backfill_app.command()
def clear() -> None:
    """Take lines off the list that ended and brought nothing."""
    now = datetime.now(UTC)
    with _sessions(load()).begin() as session:
        count = backfills.clear(session)
        record(session, at=now, actor=ACTOR, action="backfill_cleared", detail={"lines": count})
    typer.echo(f"{count} taken off")


def _source(settings: Settings, sessions: Sessions, peer: str) -> Source:
    source = archives(settings, sessions).get(peer)
    if source is None:
        raise ConfigurationError(
            f"There is no peer {peer!r} with a port or a root of DICOMweb in the settings.",
            reason="unknown_peer",
        )
    return source


def _found(source: Source, first: str, last: str | None) -> Iterator[tuple[Kind, str]]:
    """The studies with MR that a peer has of these days; it is asked day by day."""
    begin, end = parse_date(first), parse_date(last or first)
    if begin is None or end is None:
        raise ConfigurationError("A day is written 2019-03-04 or 20190304.", reason="bad_days")
    for day in days(begin, end):
        for found in source.find(day=day):
            if found.may_hold_mr:
                yield "study", found.study_uid


def _read(path: Path) -> Iterator[tuple[Kind, str]]:
    """The values of a worklist: of the column that is named so, else one a line and told by their form."""
    text = sys.stdin.read() if str(path) == "-" else path.read_text("utf-8-sig")
    rows = [row for row in csv.reader(text.splitlines()) if any(cell.strip() for cell in row)]
    names = [re.sub(r"[\s_]", "", cell).lower() for cell in rows[0]] if rows else []
    column = next((index for index, name in enumerate(names) if name in COLUMNS), None)
    for row in rows if column is None else rows[1:]:
        value = row[column or 0].strip() if len(row) > (column or 0) else ""
        is_uid = UID.fullmatch(value) is not None
        kind: Kind = "study" if is_uid else "accession"
        if column is not None:
            kind = COLUMNS[names[column]]
        if value and (len(value) > LONGEST or (kind == "study" and not is_uid)):
            raise ConfigurationError("The worklist has a line that is no UID.", reason="bad_worklist")
        if value:
            yield kind, value


def _end_asked_for() -> threading.Event:
    """Set when somebody asks for the end; the study at hand is finished first."""
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    return end


def _sessions(settings: Settings) -> Sessions:
    require_current(settings.resolved_database_url)
    return make_sessions(settings.resolved_database_url)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(backfill_app, name="backfill")
