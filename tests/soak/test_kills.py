"""kill -9 at every step of the path, and at random.

``SOAK_KILLS`` is how many random kills are done (200), ``SOAK_SEED`` repeats a run.
"""

import os
import random
import secrets
import signal
import time
from collections import Counter
from contextlib import suppress

import pytest

from tests.make.crashing import POINTS, RUNNER
from tests.make.kills import DOORS, House, house
from tests.make.servers import start_orthanc, start_postgres, start_redis

KILLS = int(os.environ.get("SOAK_KILLS", "200"))
SEED = int(os.environ.get("SOAK_SEED", str(secrets.randbelow(1_000_000))))
#: Longest time between two kills.
PAUSE_SECONDS = 4.0
#: Series that are on their way at once.
SERIES = 3


@pytest.fixture(scope="module")
def hurt(tmp_path_factory):
    """One installation, with the shipped network and a real Orthanc, that all these kills happen to."""
    folder = tmp_path_factory.mktemp("matrix")
    with start_orthanc(folder / "orthanc") as orthanc, house(folder, quick=False, peer=orthanc) as found:
        yield found


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_a_kill_loses_nothing_and_doubles_nothing(hurt, point):
    hurt.kill_at(point)


def kill_one(hurt: House, chance: random.Random) -> str:
    """Kill a door or a runner, whatever it is doing; what it was."""
    victim = chance.choice((*DOORS, "work", RUNNER))
    if victim == RUNNER:
        for pid in hurt.runners():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                return RUNNER
        victim = "work"
    hurt.service.processes[victim].kill()
    hurt.service.processes[victim].wait()
    return victim


@pytest.mark.parametrize("kind", ["embedded", "grown"])
def test_random_kills(tmp_path, kind):
    print(f"seed {SEED}, {KILLS} kills, {kind}")  # shown by make soak
    if kind == "embedded":
        with house(tmp_path, quick=True, max_attempts=100) as hurt:
            random_kills(hurt)
        return
    with (
        start_postgres() as postgres,
        start_redis(tmp_path / "redis") as (_, broker),
        house(
            tmp_path,
            quick=True,
            max_attempts=100,
            database_url=postgres.new_database(),
            broker_url=broker,
        ) as hurt,
    ):
        random_kills(hurt)


def random_kills(hurt: House) -> None:
    """Send without end while processes die, then let it come to rest."""
    chance = random.Random(SEED)
    killed: Counter[str] = Counter()
    start = time.monotonic()
    while killed.total() < KILLS:
        if hurt.sender.is_free:
            hurt.sender.send_in_background([path for _ in range(SERIES) for path in hurt.new_series()])
        time.sleep(chance.uniform(0, PAUSE_SECONDS))
        killed[kill_one(hurt, chance)] += 1
        hurt.tend()
    hurt.sender.join()
    hurt.settle(seconds=600)
    seconds = time.monotonic() - start
    print(f"{dict(killed)}, {len(hurt.sender.promised)} images, nothing lost or doubled, {seconds:.0f} s")
