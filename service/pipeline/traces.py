"""What is told of a series on its way, as spans of one trace (``service.tracing``).

    series                      from its first image until it was closed
    |- association              receiver: the images of it that came on one association
    |- close                    worker
    `- analysis                 from ready to published
       |- choose                worker: the rules
       |- wait
       |- attempt               worker; with the steps of the runner below it, one after the other
       |- delivery              worker: one try to send to one peer
       |- confirmation asked    worker: for a storage commitment
       `- confirmation          worker or receiver: one answer of a peer

Attributes are ids of rows, names of peers, counts, codes and states. Every function does nothing where spans
are not told, and whatever goes wrong here never reaches the work.
"""

import functools
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ParamSpec

from service import tracing
from service.core.status import AnalysisState
from service.db import traces
from service.db.session import Sessions, reading
from service.tracing import Place, Span, Value

log = logging.getLogger(__name__)
P = ParamSpec("P")


def _aside(tell: Callable[P, None]) -> Callable[P, None]:
    """Does nothing where spans are not told, and never raises."""

    @functools.wraps(tell)
    def quietly(*args: P.args, **kwargs: P.kwargs) -> None:
        if not tracing.is_on():
            return
        try:
            tell(*args, **kwargs)
        except Exception:  # Telling is beside the work, which goes on.
            log.exception("span_not_told")

    return quietly


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def _below(parent: Place, name: str, start: datetime, end: datetime, **more: Value) -> None:
    ok = bool(more.pop("ok", True))
    tracing.tell(
        Span(name=name, place=parent.child(), parent=parent, start=start, end=end, ok=ok, attributes=more)
    )


class Visits:
    """What came of each series on the association that each thread serves."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._here = threading.local()

    def note(self, series_uid: str, calling_ae: str, began: datetime) -> None:
        """One image of a series was taken in by this thread."""
        if not tracing.is_on():
            return
        came: dict[str, Came] = self._here.__dict__.setdefault("came", {})
        first, count = (came[series_uid].first, came[series_uid].images) if series_uid in came else (began, 0)
        came[series_uid] = Came(calling_ae=calling_ae, first=first, last=now(), images=count + 1)

    def end(self) -> None:
        """The association of this thread is over."""
        came: dict[str, Came] = self._here.__dict__.pop("came", {})
        if came:
            _visited(self._sessions, came)


@dataclass(frozen=True, kw_only=True)
class Came:
    """Images of one series on one association."""

    calling_ae: str
    first: datetime
    last: datetime
    images: int


@_aside
def _visited(sessions: Sessions, came: Mapping[str, Came]) -> None:
    with reading(sessions) as session:
        contexts = traces.of_series_uids(session, list(came))
    for series_uid, (series_id, context) in contexts.items():
        seen = came[series_uid]
        facts: dict[str, Value] = {
            "series.id": series_id,
            "images": seen.images,
            "calling_ae": seen.calling_ae,
        }
        _below(Place.of(context), "association", seen.first, seen.last, **facts)


@_aside
def closed(sessions: Sessions, series_ids: Sequence[int], began: datetime) -> None:
    """Series were closed: the first time, that ends the span that all others are below of."""
    with reading(sessions) as session:
        found = traces.of_series(session, series_ids)
    for series in found:
        facts: dict[str, Value] = {
            "series.id": series.id,
            "images": series.images,
            "reason": series.reason,
            "calling_ae": series.calling_ae,
        }
        root = Place.of(series.context)
        if not series.again:
            start, end = series.first_at, series.closed_at
            tracing.tell(Span(name="series", place=root, parent=None, start=start, end=end, attributes=facts))
        _below(root, "close", began, now(), **facts)


@_aside
def chosen(sessions: Sessions, analysis_ids: Sequence[int], began: datetime) -> None:
    """The rules decided of these."""
    with reading(sessions) as session:
        found = traces.of_analyses(session, analysis_ids)
    for row in found:
        facts: dict[str, Value] = {"analysis.id": row.id, "outcome": row.outcome}
        _below(Place.of(row.context), "choose", began, now(), **facts)


@_aside
def attempted(sessions: Sessions, analysis_id: int, began: datetime, *, published: bool) -> None:
    """An attempt ended; one that did not begin here is not told."""
    ended = now()
    with reading(sessions) as session:
        found = traces.of_analyses(session, [analysis_id])
    for row in found:
        running = row.state == AnalysisState.RUNNING
        if row.started_at is None or row.started_at < began or (running and not published):
            continue
        facts: dict[str, Value] = {
            "analysis.id": row.id,
            "attempt": row.attempt,
            "state": row.state,
            "code": row.code,
        }
        whole = Place.of(row.context)
        done = Span(
            name="attempt",
            place=whole.child(),
            parent=whole,
            start=row.started_at,
            end=ended,
            ok=published,
            attributes=facts,
        )
        tracing.tell(done)
        if published:
            _steps(done, row.seconds)
            _below(whole, "wait", row.created_at, row.started_at, **{"analysis.id": row.id})
            root = None if row.series_context is None else Place.of(row.series_context)
            start, end = row.created_at, row.finished_at or ended
            facts = {**facts, "version": row.version}
            tracing.tell(
                Span(name="analysis", place=whole, parent=root, start=start, end=end, attributes=facts)
            )


def _steps(attempt: Span, seconds: Mapping[str, float]) -> None:
    """The steps of the runner, which knows how long each took, and takes one after the other."""
    at = attempt.start
    for name, length in seconds.items():
        until = at + timedelta(seconds=length)
        _below(attempt.place, f"step {name}", at, until)
        at = until


@_aside
def told(sessions: Sessions, analysis_id: int, name: str, began: datetime, **facts: Value) -> None:
    """One span of an analysis from then until now."""
    with reading(sessions) as session:
        found = traces.of_analyses(session, [analysis_id])
    for row in found:
        _below(Place.of(row.context), name, began, now(), **{"analysis.id": row.id}, **facts)
