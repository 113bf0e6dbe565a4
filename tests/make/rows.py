"""A row in every table that has none, so that what is said of all tables is not said of empty ones."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Column, Connection, Table, func, select

from service.db.tables import Base
from service.db.tables.base import UtcDateTime

#: To the microsecond, which is what has to come back.
AT = datetime(2026, 11, 19, 7, 5, 3, 123456, tzinfo=UTC)
SAID = {"ä": [1, None, True, 0.1], "b": "\n\x7f"}
#: Beyond what 32 bits hold.
LARGE = 2**40


def fill_empty_tables(connection: Connection) -> list[str]:
    """Put one row into each empty table, every column filled; the names of these tables."""
    filled = []
    for table in Base.metadata.sorted_tables:
        if not connection.scalar(select(func.count()).select_from(table)):
            connection.execute(table.insert().values(_row(connection, table)))
            filled.append(table.name)
    return filled


def _row(connection: Connection, table: Table) -> dict[str, Any]:
    return {
        column.name: _value(connection, column)
        for column in table.columns
        # Numbers are given by the database, so that it goes on counting behind them.
        if not (column.primary_key and column.name == "id" and not column.foreign_keys)
    }


def _value(connection: Connection, column: Column[Any]) -> Any:
    """Something that the column takes and that is no default."""
    if column.foreign_keys:
        (key,) = column.foreign_keys
        return connection.scalar(select(func.min(key.column)))
    if isinstance(column.type, UtcDateTime):
        return AT + timedelta(seconds=len(column.name))
    kind = column.type.python_type
    if kind is dict:
        return SAID
    if kind is bool:
        return True
    if kind is str:
        return f"{column.name} äß"[: getattr(column.type, "length", None)]
    return LARGE if type(column.type).__name__ == "BigInteger" else 7
