"""Two real worker processes on PostgreSQL and Redis: a peer that is away, back, and then asked."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from service.db.session import make_sessions, reading
from service.db.tables import Delivery, Event, PeerCircuit
from service.dicom.spool import Spool
from tests.make.peers import fake_peer
from tests.make.received import take_in
from tests.make.running import wait_for
from tests.make.series import mr_series


@pytest.fixture
def installation(make_settings, postgres, redis_url, tmp_path):
    """Settings with short times, and sessions on their database."""
    (tmp_path / "home").mkdir(exist_ok=True)
    settings = make_settings(database_url=postgres.new_database(), broker_url=redis_url)
    sessions = make_sessions(settings.resolved_database_url)
    yield settings, sessions
    sessions.kw["bind"].dispose()


@contextmanager
def workers(count, settings, *peers):
    """So many worker processes; their log is shown when the test fails."""
    changes = {
        "home": settings.home,
        "database_url": settings.resolved_database_url,
        "broker_url": settings.resolved_broker_url,
        "peer": json.dumps(peers),
        "quiet_seconds": 0,
        "sweep_seconds": 0.1,
        "delivery_backoff_seconds": 0.2,
        "circuit_failures": 2,
        "circuit_probe_seconds": 0.5,
        "circuit_probe_max_seconds": 1,
    }
    environment = {
        **os.environ,
        **{f"MYOSCREEN_{name.upper()}": str(value) for name, value in changes.items()},
    }
    log = settings.home / "worker.log"
    with log.open("ab") as output:
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.make.stand_in"], env=environment, stdout=output, stderr=output
            )
            for _ in range(count)
        ]
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{error}\n{log.read_text('utf-8', 'replace')[-4000:]}") from None
    finally:
        for process in processes:
            process.kill()
            process.wait()


def states(sessions, peer):
    with reading(sessions) as session:
        return list(session.scalars(select(Delivery.state).where(Delivery.peer == peer)))


def circuit(sessions, peer):
    with reading(sessions) as session:
        row = session.get(PeerCircuit, peer)
        return None if row is None else row.state


def test_a_peer_that_was_away_gets_all_and_vouches_while_another_never_waits(installation, tmp_path):
    settings, sessions = installation
    there, away = fake_peer(), fake_peer()
    for number in range(1, 4):
        paths = mr_series(tmp_path / str(number), series=number)
        take_in(sessions, Spool(settings.spool_dir), paths, now=datetime.now(UTC))
    peers = (there.settings("there"), away.settings("away", confirm="commitment"))
    with workers(2, settings, *peers), there.listening():
        wait_for("the circuit to open", lambda: circuit(sessions, "away") in {"open", "half_open"})
        wait_for("the other peer to be served", lambda: states(sessions, "there") == ["sent"] * 3)
        assert set(states(sessions, "away")) <= {"pending", "sending"}
        with away.listening():
            wait_for("confirmation", lambda: states(sessions, "away") == ["confirmed"] * 3)
    assert circuit(sessions, "away") == "closed"
    assert circuit(sessions, "there") == "closed"
    assert len(there.uids()) == len(set(there.uids())) == 3
    assert len(away.uids()) == len(set(away.uids())) == 3
    with reading(sessions) as session:
        names = session.scalars(select(Event.name).where(Event.name.like("peer%")).order_by(Event.id)).all()
        failures = set(session.scalars(select(Delivery.failures)))
    assert names == ["peer_circuit_opened", "peer_circuit_closed"]
    assert failures == {0}
