"""PostgreSQL and Redis go away for long, in mid-flow; ``SOAK_OUTAGE_SECONDS`` says how long (90)."""

import os

import pytest

from tests.make.outages import grown

SECONDS = float(os.environ.get("SOAK_OUTAGE_SECONDS", "90"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with grown(tmp_path_factory.mktemp("grown")) as found:
        yield found


def test_a_long_outage_of_the_database(place):
    place.ride_out(place.stop_postgres, place.postgres.server.start, seconds=SECONDS)


def test_a_long_outage_of_the_broker(place):
    place.ride_out(place.stop_redis, place.redis.start, seconds=SECONDS)


def test_an_outage_of_both(place):
    def stop():
        place.stop_redis()
        place.stop_postgres()

    def start():
        place.postgres.server.start()
        place.redis.start()

    place.ride_out(stop, start, seconds=SECONDS)


def test_a_broker_that_forgets_everything_again_and_again(place):
    for _ in range(10):
        place.ride_out(place.empty_redis, place.double_bells, seconds=1)
