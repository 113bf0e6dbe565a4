"""Databases at the current revision, each a copy of one that was upgraded; and a database for tests whose
matter is not the database: import both names in the module that needs them.
"""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import pytest

from service.db.session import upgrade
from service.files import make_private_dir

SQLITE = "sqlite:///"

both_databases = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def database_url(request, tmp_path):
    """The address of a SQLite database; on PostgreSQL too where a test asks for both."""
    if getattr(request, "param", "sqlite") == "sqlite":
        yield new_sqlite(tmp_path / "home")
        return
    postgres = request.getfixturevalue("postgres")
    url = postgres.new_database()
    yield url
    postgres.drop(url)


def new_sqlite(folder: Path) -> str:
    """A database at the current revision in that folder, and its address."""
    url = f"{SQLITE}{folder / 'myoscreen.db'}"
    bring_up(url)
    return url


def bring_up(url: str) -> None:
    """Do what ``upgrade`` does: by a copy where there is no SQLite file yet, else by ``upgrade`` itself."""
    path = Path(url.removeprefix(SQLITE))
    if not url.startswith(SQLITE) or path.exists():
        upgrade(url)
        return
    make_private_dir(path.parent)
    shutil.copy(_upgraded(), path)


@cache
def _upgraded() -> Path:
    """The one that is copied."""
    folder = Path(tempfile.mkdtemp(prefix="myoscreen-database-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "myoscreen.db"
    upgrade(f"{SQLITE}{path}")
    return path
