"""The supervisor of `myoscreen serve`, with real child processes."""

import os
import signal
import sys
import threading

import pytest

from service.processes import Supervisor
from tests.make.running import wait_for

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"]


@pytest.fixture
def supervised():
    """Supervise these commands in a thread; ended afterwards."""
    running = []

    def start(**commands):
        supervisor = Supervisor(commands, finish_seconds=1)
        thread = threading.Thread(target=supervisor.run)
        thread.start()
        running.append((supervisor, thread))
        return supervisor

    yield start
    for supervisor, thread in running:
        supervisor.end()
        thread.join(30)
        assert not thread.is_alive()


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_door_that_dies_is_opened_again_and_the_others_stay(supervised):
    supervisor = supervised(receive=SLEEP, work=SLEEP)
    before = wait_for("both to run", lambda: len(supervisor.pids) == 2 and dict(supervisor.pids))
    os.kill(before["work"], signal.SIGKILL)
    wait_for("it to run again", lambda: supervisor.pids.get("work") not in {None, before["work"]})
    assert supervisor.pids["receive"] == before["receive"]


def test_everything_is_ended_in_the_end_even_what_does_not_listen(supervised):
    supervisor = supervised(work=STUBBORN)
    wait_for("it to run", lambda: supervisor.pids)
    pids = list(supervisor.pids.values())
    supervisor.end()
    wait_for("it to be gone", lambda: all(gone(pid) for pid in pids), seconds=30)
