"""A database that cannot be used is told in one plain sentence."""

import pytest

from service.db.session import require_current, revision, upgrade
from service.errors import ConfigurationError
from tests.make.running import free_port

DOORS = pytest.mark.parametrize("door", [upgrade, revision, require_current])


@DOORS
def test_a_file_that_is_no_database_is_told_plainly(door, tmp_path):
    path = tmp_path / "secret-folder" / "x.db"
    path.parent.mkdir()
    path.write_bytes(b"This is a letter and no database. " * 100)
    with pytest.raises(ConfigurationError) as told:
        door(f"sqlite:///{path}")
    assert told.value.reason.code == "database_unusable"
    assert "secret-folder" not in str(told.value)


@DOORS
def test_a_folder_in_the_place_of_the_database_is_told_plainly(door, tmp_path):
    with pytest.raises(ConfigurationError) as told:
        door(f"sqlite:///{tmp_path}")
    assert told.value.reason.code == "database_unusable"


@DOORS
def test_a_server_that_is_down_is_told_without_its_address_and_password(door):
    with pytest.raises(ConfigurationError) as told:
        door(f"postgresql://someone:hunter2@127.0.0.1:{free_port()}/ledger")
    assert told.value.reason.code == "database_unreachable"
    assert not any(word in str(told.value) for word in ("hunter2", "someone", "127.0.0.1"))


@DOORS
def test_an_address_that_is_none_is_told_without_it(door):
    with pytest.raises(ConfigurationError) as told:
        door("hunter2")
    assert told.value.reason.code == "database_unusable"
    assert "hunter2" not in str(told.value)
