"""All rows as lines of JSON, and back: one form for SQLite and PostgreSQL, readable without either.

Tables are taken as the database has them, not as this program knows them, so that a copy made by an
earlier release can be put back: at its own revision first, then upgraded.
"""

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from sqlalchemy import Connection, DateTime, MetaData, Table, func, select, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from service.db.session import READING, Session, alembic_config, make_engine, revision, upgrade
from service.errors import BackupError

#: Rows that mean nothing on another day: the revision (kept apart), running processes, logins.
LEFT_OUT = frozenset({"alembic_version", "doors", "web_sessions", "provider_answers"})
#: Rows written in one statement; chosen by us, a finding is some 20 kB.
BATCH = 200

Found = TypeVar("Found")


def dump(url: str, folder: Path, look: Callable[[Session], Found]) -> tuple[dict[str, int], Found]:
    """Write every row to ``folder``/TABLE.jsonl.gz as of one moment; the counts, and what ``look`` found.

    Nobody is kept from writing meanwhile.
    """
    engine = make_engine(url)
    try:
        with _snapshot(engine) as connection:
            counts = {
                table.name: _write(folder / f"{table.name}.jsonl.gz", _rows(connection, table))
                for table in _tables(connection)
            }
            return counts, look(Session(bind=connection))
    finally:
        engine.dispose()


@contextmanager
def _snapshot(engine: Engine) -> Iterator[Connection]:
    """A connection to which the database stands still."""
    options: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    if engine.dialect.name == "sqlite":
        options = READING
    with engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection


def _tables(connection: Connection) -> list[Table]:
    """The tables that are kept, those that others refer to first."""
    metadata = MetaData()
    metadata.reflect(connection)
    return [table for table in metadata.sorted_tables if table.name not in LEFT_OUT]


def _rows(connection: Connection, table: Table) -> Iterator[dict[str, Any]]:
    statement = select(table).order_by(*table.primary_key.columns)
    for row in connection.execution_options(yield_per=BATCH).execute(statement).mappings():
        yield {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    """A value as JSON has it; times are UTC (SQLite keeps them without a zone)."""
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.astimezone(UTC).isoformat()
    return value


def _write(path: Path, rows: Iterator[dict[str, Any]]) -> int:
    count = 0
    with path.open("xb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
            count += 1
    return count


def is_empty(url: str) -> bool:
    """Whether a database has no row that a copy would have, or no tables at all."""
    if revision(url) is None:
        return True
    engine = make_engine(url)
    try:
        with _snapshot(engine) as connection:
            return not any(
                connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in _tables(connection)
            )
    finally:
        engine.dispose()


def load(url: str, folder: Path, *, at_revision: str) -> dict[str, int]:
    """Put the rows of ``folder`` into an empty database, and bring it to the revision of this program.

    Raises BackupError when the database is not empty, or when the rows do not fit; nothing is kept then.
    """
    if not is_empty(url):
        raise BackupError(
            "The database has rows already: restore goes into an empty one.", reason="not_empty"
        )
    config = alembic_config(url)
    if revision(url) is not None:
        command.downgrade(config, "base")
    try:
        command.upgrade(config, at_revision)
        counts = _load_all(url, folder)
    except (SQLAlchemyError, ValueError, KeyError, EOFError) as error:
        raise BackupError(
            "The rows of this copy do not fit their tables.", reason="backup_damaged"
        ) from error
    upgrade(url)
    return counts


def _load_all(url: str, folder: Path) -> dict[str, int]:
    engine = make_engine(url)
    try:
        with engine.begin() as connection:
            counts = {}
            for table in _tables(connection):
                path = folder / f"{table.name}.jsonl.gz"
                counts[table.name] = _load(connection, table, path) if path.is_file() else 0
                _count_on(connection, table)
            return counts
    finally:
        engine.dispose()


def _load(connection: Connection, table: Table, path: Path) -> int:
    """Insert the lines of one file."""
    times = {column.name for column in table.columns if isinstance(column.type, DateTime)}
    keeps_zone = connection.dialect.name != "sqlite"
    count = 0
    batch: list[dict[str, Any]] = []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            for name in times & row.keys():
                row[name] = _time(row[name], keeps_zone=keeps_zone)
            batch.append(row)
            if len(batch) == BATCH:
                connection.execute(table.insert(), batch)
                count, batch = count + len(batch), []
    if batch:
        connection.execute(table.insert(), batch)
    return count + len(batch)


def _time(value: str | None, *, keeps_zone: bool) -> datetime | None:
    if value is None:
        return None
    at = datetime.fromisoformat(value)
    return at if keeps_zone else at.astimezone(UTC).replace(tzinfo=None)


def _count_on(connection: Connection, table: Table) -> None:
    """Have new rows numbered after those that were put in (PostgreSQL counts apart from the rows)."""
    if connection.dialect.name != "postgresql" or "id" not in table.columns:
        return
    last = connection.execute(select(func.max(table.c.id))).scalar_one()
    if last is not None:
        name = text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :last)")
        connection.execute(name, {"name": table.name, "last": last})
