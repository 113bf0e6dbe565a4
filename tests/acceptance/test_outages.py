"""PostgreSQL and Redis go away for a moment in mid-flow; long outages are in ``make soak``."""

import pytest

from tests.make.outages import grown

MOMENT_SECONDS = 1.0


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """One service that all these outages happen to."""
    with grown(tmp_path_factory.mktemp("grown")) as found:
        yield found


def test_a_database_that_is_restarted_costs_time_only(place):
    place.ride_out(place.stop_postgres, place.postgres.server.start, seconds=MOMENT_SECONDS)


def test_a_broker_that_is_killed_and_comes_back_costs_time_only(place):
    place.ride_out(place.stop_redis, place.redis.start, seconds=MOMENT_SECONDS)


def test_bells_that_are_lost_or_doubled_change_nothing(place):
    place.ride_out(place.empty_redis, place.double_bells, seconds=MOMENT_SECONDS)
