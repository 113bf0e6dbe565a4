"""What the REST interface answers is what its description says, to each role; `make fuzz` searches longer."""

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from schemathesis import GenerationMode

from service.db import people
from service.db.people import Role
from tests.make.web import copy_world

#: Requests made up for each operation: as described, of which one goes out as every caller; and not so.
RIGHT, WRONG = 2, 1


@pytest.fixture(scope="module")
def world(template, tmp_path_factory):
    """A world that the requests of this file may change."""
    world = copy_world(template, tmp_path_factory.mktemp("described") / "home")
    with world.sessions.begin() as session:
        world.keys["sender"] = people.add_key(
            session, name="sender", role=Role.SENDER, now=world.now, actor="test"
        )
    yield world
    world.sessions.kw["bind"].dispose()


@pytest.fixture(scope="module")
def described(world):
    """The interface as its description tells."""
    app = world.client().app
    headers = {"Authorization": f"Bearer {world.keys['viewer']}"}
    found = schemathesis.openapi.from_asgi("/api/openapi.json", app, headers=headers)
    # It cannot write multipart/related; tests/integration/test_stow.py does.
    return found.exclude(path_regex="^/dicomweb/")


def callers(world):
    """The headers of every role, and of nobody."""
    return [{"Authorization": f"Bearer {key}"} for key in world.keys.values()] + [{}]


def made_up(operation, mode, count, check):
    """Call ``check`` with that many requests of one operation."""
    settings = hypothesis.settings(
        max_examples=count,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    settings(given(operation.as_strategy(generation_mode=mode))(check))()


def with_rows_that_are_there(case, world):
    """The request for a row of the database: a number that is made up names none."""
    for name in case.path_parameters or {}:
        if name == "delivery_id":
            case.path_parameters[name] = world.ids.dead_delivery
        elif name == "analysis_id":
            case.path_parameters[name] = world.ids.flagged


def operations(described):
    """Every operation; one that cannot be read fails."""
    return [found.ok() for found in described.get_all_operations()]


def test_every_operation_answers_every_caller_as_it_is_described(described, world):
    count = 0

    def check(case):
        nonlocal count
        everybody = callers(world) if count % RIGHT else [{"Authorization": f"Bearer {world.keys['admin']}"}]
        if count % RIGHT:
            with_rows_that_are_there(case, world)
        count += 1
        for headers in everybody:
            case.call_and_validate(headers=headers)

    found = operations(described)
    for operation in found:
        made_up(operation, GenerationMode.POSITIVE, RIGHT, check)
    assert count > len(found) > 35


def test_what_does_not_fit_the_description_is_refused(described, world):
    count = 0

    def check(case):
        nonlocal count
        count += 1
        case.call_and_validate(headers={"Authorization": f"Bearer {world.keys['admin']}"})

    for operation in operations(described):
        if operation.path not in {"/healthz", "/readyz", "/metrics"}:  # They take nothing.
            made_up(operation, GenerationMode.NEGATIVE, WRONG, check)
    assert count > 35
