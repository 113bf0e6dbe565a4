"""A database for tests whose matter is not the database: import both names in the module that needs them."""

import pytest

both_databases = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def database_url(request, tmp_path):
    """The address of an empty SQLite database; on PostgreSQL too where a test asks for both."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return f"sqlite:///{tmp_path / 'home' / 'myoscreen.db'}"
    return request.getfixturevalue("postgres").new_database()
