"""Neighbours that several integration tests share; each is started once, and only if it is asked for."""

import pytest

from service import receiver
from service.db.session import make_sessions
from service.settings import load
from tests.make import results, servers
from tests.make.databases import bring_up, new_sqlite
from tests.make.running import free_port
from tests.make.web import copy_world, make_world


@pytest.fixture(scope="session")
def postgres():
    with servers.start_postgres() as running:
        yield running


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory):
    with servers.start_redis(tmp_path_factory.mktemp("redis")) as (_server, url):
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path):
    """A database at the current revision, once of each kind."""
    if request.param == "sqlite":
        yield new_sqlite(tmp_path / "home")
        return
    postgres = request.getfixturevalue("postgres")
    url = postgres.new_database()
    yield url
    postgres.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request, tmp_path):
    """A database without a table, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'home' / 'myoscreen.db'}"
    return request.getfixturevalue("postgres").empty_database()


@pytest.fixture
def sessions(database_url):
    """Sessions on a database at the current revision."""
    made = make_sessions(database_url)
    yield made
    made.kw["bind"].dispose()


@pytest.fixture
def make_settings(tmp_path):
    """Settings of an installation of its own, on SQLite and the in-memory queue."""

    def make(**changes):
        values = {"dicom_port": free_port(), "http_port": free_port(), "spool_min_free_mb": 0}
        settings = load(home=tmp_path / "home", **{**values, **changes})
        bring_up(settings.resolved_database_url)
        return settings

    return make


@pytest.fixture(params=["embedded", "grown"])
def grown_or_embedded(request):
    """Settings of the two ways to run: everything in the process, or PostgreSQL and Redis."""
    if request.param == "embedded":
        return {}
    return {
        "database_url": request.getfixturevalue("postgres").new_database(),
        "broker_url": request.getfixturevalue("redis_url"),
    }


@pytest.fixture
def open_door(make_settings):
    """Open the receiver with these settings; closed afterwards."""
    doors = []

    def open_it(**changes):
        door = receiver.open_door(make_settings(**changes))
        doors.append(door)
        return door

    yield open_it
    for door in doors:
        door.close(finish_seconds=0)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One series, and what is truly in it."""
    return results.world(tmp_path_factory.mktemp("series"))


@pytest.fixture(scope="module")
def objects(made, tmp_path_factory):
    """Every object of its finding."""
    return results.write_objects(made, tmp_path_factory.mktemp("objects"))


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """The web door on a filled database, to be copied."""
    return make_world(tmp_path_factory.mktemp("template"))


@pytest.fixture
def world(template, tmp_path):
    """A copy of it that a test may change."""
    world = copy_world(template, tmp_path / "home")
    yield world
    world.sessions.kw["bind"].dispose()
