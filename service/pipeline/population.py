"""What a worker does for the population page: older results are taken in, and drift is looked for."""

import logging
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from service.core.drift import ALL, DIMENSIONS, MEASURES, charts
from service.core.population import FEWEST, Records
from service.db import population
from service.db.session import Sessions, reading

log = logging.getLogger(__name__)

#: How often drift is looked for; chosen by us: months are judged, and a look reads every result once.
LOOK_EVERY: Final = timedelta(hours=1)
#: Older results that are looked up at once, and how often in one errand; chosen by us, so that the errands
#: after it wait for seconds at most. 50,000 findings are taken in within an hour.
BATCH, BATCHES = 50, 10


def month_of(day: datetime) -> int:
    """As 202611."""
    return day.year * 100 + day.month


def month_from(text: str | None) -> int:
    """The month of a setting such as "2026-11"; 0 for none."""
    return 0 if text is None else int(text.replace("-", ""))


def take_in(sessions: Sessions, home: Path) -> int:
    """Take out of some older results what the population page needs; how many."""
    count = 0
    for _ in range(BATCHES):
        with reading(sessions) as session:
            wanted = population.missing(session, limit=BATCH)
        if not wanted:
            break
        for analysis_id in wanted:
            # One at a time, so that nobody waits for a study while others wait for this one.
            with sessions.begin() as session:
                population.note(session, analysis_id, home=home)
        count += len(wanted)
    return count


def alarms_of(records: Records, *, today: int, since: int) -> Counter[str]:
    """How many groups of a family left their limits, by measure and dimension, as "imat scanner"."""
    found: Counter[str] = Counter()
    for measure in MEASURES:
        drifting = charts(records, measure, dimensions=(ALL, *DIMENSIONS), today=today, since=since)
        found.update(f"{measure} {chart.dimension}" for chart in drifting if chart.alarms)
    return found


def look_for_drift(sessions: Sessions, *, since: int, now: datetime) -> Counter[str]:
    """Judge every family of results, and keep what was found."""
    with reading(sessions) as session:
        families = [found.id for found in population.families(session) if found.people >= FEWEST]
    alarms: Counter[str] = Counter()
    for family_id in families:
        with reading(sessions) as session:
            records = population.records(session, family_id)
        alarms += alarms_of(records, today=month_of(now), since=since)
    with sessions.begin() as session:
        population.write_drift(session, alarms, now=now)
    if alarms:
        log.warning("values_drift", extra={"count": alarms.total()})
    return alarms


def errand(sessions: Sessions, home: Path, *, drift_since: str | None) -> Callable[[], None]:
    """What the worker does about the population every now and then."""

    def look_after_population() -> None:
        if take_in(sessions, home) == BATCH * BATCHES:
            return
        now = datetime.now(UTC)
        with reading(sessions) as session:
            last = population.drift(session)
        if last is None or now - last.at >= LOOK_EVERY or last.at > now:
            # An opt-out may have come while a result was being published, each unseen by the other.
            with sessions.begin() as session:
                population.follow_opt_outs(session, home)
            look_for_drift(sessions, since=month_from(drift_since), now=now)

    return look_after_population
