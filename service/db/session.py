"""How the database is opened, and which revision it must be at."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import StaticPool

from service.errors import ConfigurationError, SchemaMismatch
from service.files import PRIVATE_FILE, make_private_dir

__all__ = [
    "READING",
    "Session",
    "Sessions",
    "alembic_config",
    "downgrade",
    "make_engine",
    "make_sessions",
    "reading",
    "require_current",
    "revision",
    "upgrade",
]

Sessions = sessionmaker[Session]

#: A writer waits this long for another one; every write here takes milliseconds.
BUSY_SECONDS = 30
#: Connections kept open, and how many more may be opened: 20 associations beside the worker's threads.
POOL_SIZE, POOL_OVERFLOW = 10, 40
READING = {"myoscreen_reading": True}


def make_sessions(url: str) -> Sessions:
    """Sessions on the database at ``url``; rows stay readable after the commit."""
    return sessionmaker(make_engine(url), expire_on_commit=False)


@contextmanager
def reading(sessions: Sessions) -> Iterator[Session]:
    """One transaction that only reads, and so never waits for a writer on SQLite."""
    with sessions() as session, session.begin():
        session.connection(execution_options=READING)
        yield session


def make_engine(url: str) -> Engine:
    """The engine for ``url``, durable and safe for several processes; values never reach a log."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(parsed)
    if parsed.drivername in {"postgresql", "postgres"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() != "postgresql":
        raise ConfigurationError("DATABASE_URL must be sqlite:/// or postgresql://.")
    return create_engine(
        parsed,
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        connect_args={"connect_timeout": 10},
    )


def _sqlite_engine(url: URL) -> Engine:
    """SQLite with a write-ahead log that is synced at every commit."""
    options: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS}, "hide_parameters": True}
    if url.database in {None, "", ":memory:"}:
        options |= {"poolclass": StaticPool}
        options["connect_args"]["check_same_thread"] = False
    else:
        _make_private_file(Path(str(url.database)))
        options |= {"pool_size": POOL_SIZE, "max_overflow": POOL_OVERFLOW}
    engine = create_engine(url, **options)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_private_file(path: Path) -> None:
    """Make the database file before SQLite does, so that nobody else may read it (its log inherits this)."""
    make_private_dir(path.parent.absolute())
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE))
    path.chmod(PRIVATE_FILE)


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """Choose durability and checks; ``isolation_level`` None leaves BEGIN to us."""
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    # What is deleted is overwritten, so that an erased patient stands in no free page.
    cursor.execute("PRAGMA secure_delete = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at the start: a transaction that grows into a write can fail half-way."""
    reads_only = connection.get_execution_options().get("myoscreen_reading")
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")


def alembic_config(url: str) -> Config:
    """Alembic's configuration, without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["url"] = url
    return config


@contextmanager
def _told_plainly() -> Iterator[None]:
    """Tell what is wrong with the database in one sentence, in which no address and no password stands."""
    try:
        yield
    except OperationalError as error:
        raise ConfigurationError("The database cannot be reached.", reason="database_unreachable") from error
    except (SQLAlchemyError, OSError) as error:
        raise ConfigurationError(
            "The database cannot be used: its address, file or content is not what it should be.",
            reason="database_unusable",
        ) from error


def upgrade(url: str) -> str:
    """Bring the database to the revision of this program, and return that revision."""
    config = alembic_config(url)
    with _told_plainly():
        command.upgrade(config, "head")
    return str(ScriptDirectory.from_config(config).get_current_head())


def downgrade(url: str, revision: str) -> None:
    """Take the database back to an earlier revision; what later columns said is lost, nothing else is.

    Raises ConfigurationError when there is no such revision below the one it is at.
    """
    config = alembic_config(url)
    script = ScriptDirectory.from_config(config)
    if revision not in {step.revision for step in script.walk_revisions()}:
        raise ConfigurationError(f"There is no revision {revision!r}.", reason="no_such_revision")
    with _told_plainly():
        command.downgrade(config, revision)


def revision(url: str) -> str | None:
    """The revision that the database is at, None when it is empty."""
    with _told_plainly():
        engine = make_engine(url)
        try:
            with engine.connect() as connection:
                return MigrationContext.configure(connection).get_current_revision()
        finally:
            engine.dispose()


def require_current(url: str) -> None:
    """Raise SchemaMismatch unless the database is at the revision of this program."""
    expected = ScriptDirectory.from_config(alembic_config(url)).get_current_head()
    found = revision(url)
    if found != expected:
        raise SchemaMismatch(
            f"The database is at revision {found or 'none'}, this program needs {expected}. "
            "Run `myoscreen db upgrade` (or `myoscreen serve`, which does it)."
        )
