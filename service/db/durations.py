"""How long each step of an analysis took lately."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.core.status import AnalysisState
from service.db.tables import Analysis

#: So many of the newest measured analyses are looked at: half a day of ten series an hour. Chosen by us.
NEWEST = 100
#: The usual one, and the slow ones.
QUANTILES = (0.5, 0.95)


def lately(session: Session) -> dict[str, list[float]]:
    """Seconds of each step of the newest measured analyses; ``wait`` and ``whole`` besides those of a worker.

    From the end of the index of states, and without the findings, which are large.
    """
    rows = session.execute(
        select(Analysis.created_at, Analysis.started_at, Analysis.finished_at, Analysis.timings)
        .where(Analysis.state == AnalysisState.MEASURED, Analysis.finished_at.is_not(None))
        .order_by(Analysis.finished_at.desc())
        .limit(NEWEST)
    )
    found: dict[str, list[float]] = {"wait": [], "whole": []}
    for row in rows:
        for step, seconds in _steps(row.created_at, row.started_at, row.finished_at, row.timings).items():
            found.setdefault(step, []).append(seconds)
    return {step: seconds for step, seconds in found.items() if seconds}


def _steps(
    created: datetime, started: datetime | None, finished: datetime, timings: Mapping[str, float] | None
) -> dict[str, float]:
    """Seconds by step of one analysis."""
    waited = {} if started is None else {"wait": max(0.0, (started - created).total_seconds())}
    told = {str(step): float(seconds) for step, seconds in (timings or {}).items()}
    return {**waited, **told, "whole": max(0.0, (finished - created).total_seconds())}


def quantile(seconds: Sequence[float], share: float) -> float:
    """The smallest value that this share of them does not exceed (nearest rank)."""
    return sorted(seconds)[max(0, math.ceil(share * len(seconds)) - 1)]
