"""A real worker process, both ways: embedded, and with PostgreSQL and Redis."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from service.db.session import make_sessions, reading
from service.db.tables import Analysis, Delivery, Door
from service.dicom.spool import Spool
from tests.make.peers import fake_peer
from tests.make.processes import children, is_gone
from tests.make.received import take_in
from tests.make.running import wait_for
from tests.make.series import mr_series
from tests.make.stand_in import HOLD


@pytest.fixture
def installation(make_settings, grown_or_embedded, tmp_path):
    """Settings with short times, and sessions on their database."""
    (tmp_path / "home").mkdir(exist_ok=True)
    settings = make_settings(
        **grown_or_embedded, quiet_seconds=0, sweep_seconds=0.1, lease_seconds=2, delivery_backoff_seconds=0.5
    )
    sessions = make_sessions(settings.resolved_database_url)
    yield settings, sessions
    sessions.kw["bind"].dispose()


@contextmanager
def worker(settings, *peers):
    """A worker process; its log is shown when the test fails."""
    environment = {
        **os.environ,
        "MYOSCREEN_HOME": str(settings.home),
        "MYOSCREEN_DATABASE_URL": settings.resolved_database_url,
        "MYOSCREEN_BROKER_URL": settings.resolved_broker_url,
        "MYOSCREEN_PEER": json.dumps(peers),
        **{
            f"MYOSCREEN_{name.upper()}": str(getattr(settings, name))
            for name in (
                "quiet_seconds",
                "sweep_seconds",
                "lease_seconds",
                "delivery_backoff_seconds",
                "max_attempts",
                "analysis_deadline_seconds",
            )
        },
    }
    log = settings.home / "worker.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.make.stand_in"], env=environment, stdout=output, stderr=output
        )
    try:
        yield process
    except AssertionError as error:
        raise AssertionError(f"{error}\n{log.read_text('utf-8', 'replace')[-4000:]}") from None
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def all_of(sessions, table):
    with reading(sessions) as db:
        return db.scalars(select(table).order_by(table.id)).all()


def states(sessions):
    return [row.state for row in all_of(sessions, Analysis)]


def deliveries(sessions):
    return {row.peer: row.state for row in all_of(sessions, Delivery)}


def receive(settings, sessions, folder, **changes):
    take_in(sessions, Spool(settings.spool_dir), mr_series(folder, **changes), now=datetime.now(UTC))


@pytest.mark.parametrize("grown_or_embedded", ["grown"], indirect=True)
def test_a_worker_killed_in_mid_analysis_costs_an_attempt_and_not_the_result(installation, tmp_path):
    settings, sessions = installation
    peer = fake_peer()
    receive(settings, sessions, tmp_path / "in")
    (settings.home / HOLD).touch()
    with worker(settings, peer.settings()) as first:
        wait_for("the analysis to start", lambda: list(settings.results_dir.glob("*/attempt-1/capture.dcm")))
        assert states(sessions) == ["running"]
        first.send_signal(signal.SIGKILL)
        first.wait()
    (settings.home / HOLD).unlink()
    with peer.listening(), worker(settings, peer.settings()):
        wait_for("the result to arrive", lambda: deliveries(sessions) == {"pacs": "sent"})
    (analysis,) = all_of(sessions, Analysis)
    assert (analysis.state, analysis.attempt, analysis.version) == ("measured", 2, 1)
    assert len(peer.uids()) == 1
    assert [path.name for path in (settings.results_dir / str(analysis.id)).iterdir()] == ["attempt-2"]


@pytest.mark.parametrize("grown_or_embedded", ["grown"], indirect=True)
def test_a_peer_that_never_answers_does_not_delay_another(installation, tmp_path):
    settings, sessions = installation
    peer = fake_peer()
    with socket.create_server(("127.0.0.1", 0)) as black_hole, peer.listening():
        silent = peer.settings("silent", port=black_hole.getsockname()[1])
        receive(settings, sessions, tmp_path / "a")
        receive(settings, sessions, tmp_path / "b", series=2)
        with worker(settings, silent, peer.settings()):
            wait_for("both results to arrive", lambda: len(peer.uids()) == 2)
            unsent = [row.state for row in all_of(sessions, Delivery) if row.peer == "silent"]
    assert set(unsent) <= {"pending", "sending"}


@pytest.mark.parametrize("grown_or_embedded", ["grown"], indirect=True)
def test_a_worker_that_is_asked_to_end_says_goodbye(installation):
    settings, sessions = installation
    with worker(settings) as process:
        wait_for("the worker to be seen", lambda: [row.name for row in all_of(sessions, Door)] == ["worker"])
        (door,) = all_of(sessions, Door)
        assert door.detail["provider"] == "CPUExecutionProvider"
        wait_for("it to be ready", lambda: "worker_ready" in (settings.home / "worker.log").read_text())
        process.terminate()
        assert process.wait(30) == 0
    assert all_of(sessions, Door) == []


@pytest.fixture
def embedded(make_settings, tmp_path):
    """The same for what does not depend on database and broker."""

    def make(**changes):
        (tmp_path / "home").mkdir(exist_ok=True)
        settings = make_settings(quiet_seconds=0, sweep_seconds=0.1, lease_seconds=2, **changes)
        return settings, make_sessions(settings.resolved_database_url)

    return make


def test_an_analysis_that_hangs_every_time_is_set_aside_with_its_reason(embedded, tmp_path):
    settings, sessions = embedded(max_attempts=2, analysis_deadline_seconds=1)
    receive(settings, sessions, tmp_path / "in")
    (settings.home / HOLD).touch()
    with worker(settings) as process:
        wait_for("both attempts to end", lambda: states(sessions) == ["failed"])
        assert process.poll() is None
    (analysis,) = all_of(sessions, Analysis)
    assert (analysis.attempt, analysis.reason_code) == (2, "runner_deadline")
    assert list((settings.results_dir / str(analysis.id)).iterdir()) == []


def test_a_worker_that_is_asked_to_end_gives_back_what_it_cannot_finish(embedded, tmp_path):
    settings, sessions = embedded()
    receive(settings, sessions, tmp_path / "in")
    (settings.home / HOLD).touch()
    with worker(settings) as process:
        wait_for("the analysis to start", lambda: list(settings.results_dir.glob("*/attempt-1/capture.dcm")))
        started = children(process.pid)
        assert started
        process.terminate()
        assert process.wait(30) == 0
    (analysis,) = all_of(sessions, Analysis)
    assert (analysis.state, analysis.attempt) == ("ready", 0)
    assert [pid for pid in started if not is_gone(pid)] == []
