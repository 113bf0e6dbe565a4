"""kill -9 at the most telling steps of the path; every step of every process is in ``make soak``."""

import pytest

from tests.make.crashing import POINTS
from tests.make.kills import house

TELLING = [
    "2: receive after Incoming.keep",
    "3: receive after Recorder.record",
    "11: work after save_finding",
    "12: work after _send",
    "12: web after order_rerun",
]


@pytest.fixture(scope="module")
def hurt(tmp_path_factory):
    """One installation that all these kills happen to, one after the other."""
    with house(tmp_path_factory.mktemp("hurt"), quick=True) as found:
        yield found


def test_the_telling_points_are_points_of_the_matrix():
    assert set(TELLING) <= {point.name for point in POINTS}


@pytest.mark.parametrize("name", TELLING)
def test_a_kill_loses_nothing_and_doubles_nothing(hurt, name):
    (point,) = [point for point in POINTS if point.name == name]
    hurt.kill_at(point)
