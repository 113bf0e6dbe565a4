"""Passwords of tests are hashed at the least cost: the tests log in some thousand times."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from argon2 import PasswordHasher

from service.db import logins, people

#: As the service hashes.
REAL = people.HASHER
_CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@contextmanager
def hashed_cheaply() -> Iterator[None]:
    """Both modules that hash do so at the least cost that argon2 has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(people, "HASHER", _CHEAP)
        patch.setattr(logins, "HASHER", _CHEAP)
        yield
