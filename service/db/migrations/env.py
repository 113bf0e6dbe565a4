"""How alembic reaches the database; called through ``service.db.session`` only."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import Engine, text

from service.db.session import make_engine
from service.db.tables import Base

#: Any constant number of our own: two programs that upgrade at once take turns by it on PostgreSQL.
UPGRADE_LOCK = 7_166_042_981


def render_item(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Write our column types into migrations as plain ones, so that old steps need no current code."""
    name = type(item).__name__
    if kind == "type" and name == "UtcDateTime":
        return "sa.DateTime(timezone=True)"
    return False


def migrate() -> None:
    """Run the missing steps in one transaction."""
    engine = make_engine(context.config.attributes["url"])
    try:
        _migrate(engine)
    finally:
        engine.dispose()


def _migrate(engine: Engine) -> None:
    with engine.connect() as connection:
        on_sqlite = connection.dialect.name == "sqlite"
        if on_sqlite:
            # A table that is rebuilt is dropped in between, which its references would forbid. Outside any
            # transaction, where alone SQLite listens to this; checked again below.
            driver: Any = connection.connection.driver_connection
            driver.execute("PRAGMA foreign_keys = OFF")
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            render_item=render_item,
            transactional_ddl=True,
        )
        with context.begin_transaction():
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
            context.run_migrations()
            if on_sqlite and connection.execute(text("PRAGMA foreign_key_check")).first() is not None:
                raise RuntimeError("a row points to nothing after the migration")


migrate()
