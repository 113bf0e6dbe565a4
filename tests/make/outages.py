"""What a service leans on, taken away while series go through it, and given back."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from service.settings import Settings
from service.worker.celery_app import ANALYSE, DELIVER, SWEEP, make_app
from tests.make.kills import House, house
from tests.make.running import wait_for
from tests.make.servers import Postgres, Server, start_postgres, start_redis

#: Series on their way when the outage begins.
SERIES = 2


@dataclass
class Grown:
    """A service on PostgreSQL and Redis, both of its own."""

    house: House
    postgres: Postgres
    redis: Server
    broker: str

    def ride_out(self, stop: Callable[[], None], start: Callable[[], None], *, seconds: float) -> None:
        """Take something away in mid-flow for so long, and demand that all comes right afterwards."""
        house = self.house
        house.sender.send_in_background([path for _ in range(SERIES) for path in house.new_series()])
        time.sleep(0.5)
        stop()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            house.tend()
            time.sleep(0.2)
        start()
        wait_for("the images to be taken", lambda: house.tend() == 0 and house.sender.is_free)
        house.sender.join()
        wait_for("every door to be there", lambda: house.tend() == 0 and house.service.is_up())
        house.settle()

    def stop_postgres(self) -> None:
        """As an administrator restarts it: connections are cut off."""
        process = self.postgres.server.process
        assert process is not None
        process.send_signal(signal.SIGINT)
        process.wait(30)

    def stop_redis(self) -> None:
        """As a power cut does."""
        process = self.redis.process
        assert process is not None
        process.kill()
        process.wait()

    def empty_redis(self) -> None:
        """Every bell is lost."""
        redis.Redis.from_url(self.broker).flushall()

    def double_bells(self) -> None:
        """Every bell there can be, three times over."""
        app = make_app(Settings(broker_url=self.broker))
        for number in range(1, 30):
            for task in (ANALYSE, DELIVER) * 3:
                app.send_task(task, args=[number])
        app.send_task(SWEEP)


@contextmanager
def grown(folder: Path) -> Iterator[Grown]:
    """A running service with neighbours that only it uses."""
    with (
        start_postgres() as postgres,
        start_redis(folder / "redis") as (server, broker),
        house(folder, quick=True, database_url=postgres.new_database(), broker_url=broker) as hurt,
    ):
        yield Grown(hurt, postgres, server, broker)
