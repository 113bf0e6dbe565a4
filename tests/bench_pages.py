"""How fast the pages answer that read many results, on SQLite and on PostgreSQL."""

import statistics
import time
from pathlib import Path

from sqlalchemy import text

from service.db.session import make_sessions, upgrade
from service.settings import Settings
from tests.make import servers
from tests.make.population import Crowd, fill
from tests.make.web import World, give_keys

#: As the issue names them.
ANALYSES = 50_000
#: Points of the profile in each finding: a routine lumbar series.
SLICES = 30
PAGES = {
    "list": "/",
    "worklist": "/worklist",
    "population": "/population",
    "status": "/status",
    "funnel": "/funnel?window=all",
    "metrics": "/metrics",
    "api_analyses": "/api/v1/analyses",
    "api_population": "/api/v1/population",
    "api_status": "/api/v1/status",
}


def pages(scratch: Path, repeats: int) -> dict[str, float]:
    """Milliseconds at the median, of as many looks as make it steady."""
    home = scratch / "pages"
    home.mkdir()
    figures = _looks(f"sqlite:///{home / 'myoscreen.db'}", home, "sqlite", repeats)
    with servers.start_postgres() as postgres:
        return figures | _looks(postgres.new_database(), home, "postgresql", repeats)


def _looks(url: str, home: Path, name: str, repeats: int) -> dict[str, float]:
    """Fill a database, and look at each page."""
    upgrade(url)
    sessions = make_sessions(url)
    start = time.perf_counter()
    with sessions.begin() as session:
        fill(session, Crowd(results=ANALYSES, slices=SLICES, delivered=True))
    if name == "postgresql":
        # As autovacuum does by itself within a minute.
        engine = sessions.kw["bind"]
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    print(f"{name}: {ANALYSES} analyses made in {time.perf_counter() - start:.0f} s")
    world = World(
        home=home, sessions=sessions, settings=Settings(home=home), ids=None, keys=give_keys(sessions)
    )
    browser = world.browser("anna")
    figures = {}
    for page, path in PAGES.items():
        times = []
        for _ in range(max(7, repeats)):
            begin = time.perf_counter()
            answer = browser.get(path)
            times.append(1000.0 * (time.perf_counter() - begin))
            assert answer.status_code == 200, path
        figures[f"{page}_of_{ANALYSES}_{name}_ms"] = statistics.median(times)
    sessions.kw["bind"].dispose()
    return figures
