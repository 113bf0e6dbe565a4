"""What must be true of an installation that has come to rest, whatever happened to it before."""

import json
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path

from sqlalchemy import func, select

from service import files
from service.core.status import SENT, TERMINAL, AnalysisState, DeliveryState, SeriesState
from service.db.session import Session, Sessions, reading
from service.db.tables import Analysis, Delivery, Event, Instance, Output, Series, SetAside

ARRIVED = {DeliveryState.SENT, DeliveryState.CONFIRMED}


def at_rest(sessions: Sessions, promised: Iterable[str]) -> bool:
    """Whether everything that was promised is here and nothing waits or is under way."""
    with reading(sessions) as session:
        here = set(session.scalars(select(Instance.sop_instance_uid)))
        open_series = session.scalar(select(func.count()).where(Series.state != SeriesState.CLOSED))
        busy = session.scalar(select(func.count()).where(Analysis.state.not_in(TERMINAL)))
        unsent = session.scalar(select(func.count()).where(Delivery.state.not_in(ARRIVED)))
        return set(promised) <= here and not (open_series or busy or unsent)


def troubles(
    sessions: Sessions, home: Path, *, promised: Iterable[str], archive: Iterable[str], max_attempts: int
) -> list[str]:
    """Everything that is wrong; ``promised`` got SUCCESS, ``archive`` is what the peer holds, as UIDs."""
    with reading(sessions) as session:
        return [
            *_instances(session, home / "spool", set(promised)),
            *_results(session, home, max_attempts),
            *_deliveries(session, list(archive)),
        ]


def _instances(session: Session, spool: Path, promised: set[str]) -> Iterator[str]:
    """Every promised image has a row, and every row its file with its bytes."""
    rows = session.scalars(select(Instance)).all()
    for lost in promised - {row.sop_instance_uid for row in rows}:
        yield f"lost: {lost} was answered with SUCCESS and is in no row"
    for row in rows:
        path = spool / row.path
        if not path.is_file() or path.stat().st_size != row.size or files.sha256_of(path) != row.sha256:
            yield f"instance {row.id} has no file with its bytes"
    for aside in session.scalars(select(SetAside)):
        path = spool / aside.path
        if not path.is_file() or files.sha256_of(path) != aside.sha256:
            yield f"set aside {aside.id} has no file with its bytes"
    for series in session.scalars(select(Series).where(Series.state != SeriesState.CLOSED)):
        yield f"series {series.id} is still {series.state}"


def _results(session: Session, home: Path, max_attempts: int) -> Iterator[str]:
    """Each stack has one current result, which is whole on disk; attempts were counted."""
    current: Counter[tuple[int, int]] = Counter()
    for row in session.scalars(select(Analysis)):
        if row.state not in TERMINAL:
            yield f"analysis {row.id} is still {row.state}"
        started = session.scalar(
            select(func.count()).where(Event.analysis_id == row.id, Event.name == "analysis_started")
        )
        # An attempt that was cut short when its worker was asked to end does not count.
        if not row.attempt <= min(started or 0, max_attempts):
            yield f"analysis {row.id} counts {row.attempt} attempts and started {started} times"
        if row.state == AnalysisState.SUPERSEDED:
            continue
        first = row.inputs[0]
        current[(first.series_id, first.stack)] += 1
        if row.state == AnalysisState.FAILED:
            yield f"analysis {row.id} failed: {row.reason_code}"
        elif row.result_path is None or row.finding is None:
            yield f"analysis {row.id} is {row.state} without a result"
        else:
            yield from _files(session, home, row)
    for key, count in current.items():
        if count != 1:
            yield f"stack {key} has {count} current results"
    closed = set(session.scalars(select(Series.id).where(Series.state == SeriesState.CLOSED)))
    for missing in closed - {series_id for series_id, _ in current}:
        yield f"series {missing} has no result"


def _files(session: Session, home: Path, row: Analysis) -> Iterator[str]:
    """The finding and the objects of a result lie where the rows say."""
    finding = home / str(row.result_path) / "finding.json"
    if finding.exists() and json.loads(finding.read_text("utf-8")) != json.loads(json.dumps(row.finding)):
        yield f"analysis {row.id} has another finding.json"
    for output in session.scalars(select(Output).where(Output.analysis_id == row.id)):
        path = home / output.path
        if not path.is_file() or files.sha256_of(path) != output.sha256:
            yield f"output {output.id} has no file with its bytes"


def _deliveries(session: Session, archive: list[str]) -> Iterator[str]:
    """The peer has each object of each current result, once, and nothing that we do not know."""
    for uid, count in Counter(archive).items():
        if count > 1:
            yield f"{uid} is in the archive {count} times"
    known = set(session.scalars(select(Output.sop_instance_uid)))
    for stranger in set(archive) - known:
        yield f"{stranger} is in the archive and was never published"
    for row in session.scalars(select(Delivery)):
        if row.state not in ARRIVED:
            yield f"delivery {row.id} is still {row.state}"
    for analysis in session.scalars(select(Analysis).where(Analysis.state != AnalysisState.SUPERSEDED)):
        wanted = SENT.get(AnalysisState(analysis.state), frozenset())
        outputs = session.scalars(select(Output).where(Output.analysis_id == analysis.id)).all()
        if wanted and not _holds_one_set([output for output in outputs if output.kind in wanted], archive):
            yield f"no whole set of the current result {analysis.id} is in the archive"


def _holds_one_set(outputs: Sequence[Output], archive: Container[str]) -> bool:
    """Whether every object of one variant is there: others are for peers that refuse a class."""
    sets: dict[str, list[Output]] = {}
    for output in outputs:
        for name in output.variants.split():
            sets.setdefault(name, []).append(output)
    return any(all(output.sop_instance_uid in archive for output in whole) for whole in sets.values())
