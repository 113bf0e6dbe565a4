"""Every route asks for what docs/reference/rest.md says, and lets in whom its tables say."""

import re
from pathlib import Path

import pytest

from service.db.people import Role
from service.web.auth import GRANTS, Permission
from service.web.permissions import permission_of, routes_of
from tests.make.hostile import plain

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "rest.md"
#: Roles that people have; senders have keys alone.
PEOPLE = {role for role in Role if role is not Role.SENDER}


def without_names(path):
    """A path in which it does not matter what its parameters are called."""
    return re.sub(r"\{[^}]+\}", "{}", path)


def documented():
    """Method and path of each row, and what it needs."""
    rows = re.findall(r"^\| `([A-Z]+) ([^`]+)` \| ([^|]+?) \|", REFERENCE.read_text("utf-8"), re.MULTILINE)
    found = {(method, without_names(path)): needs for method, path, needs in rows}
    assert len(found) == len(rows), "a route stands in two rows"
    return found


def stated(app):
    """Method and path of each route, and what it asks for."""
    return {
        (method, without_names(route.path)): permission_of(route) or "nothing"
        for route in routes_of(app)
        for method in route.methods
    }


def test_every_route_has_its_row_and_asks_for_what_the_row_says(world):
    table, routes = documented(), stated(world.client().app)
    assert len(routes) > 80
    assert {route: table.get(route, "has no row") for route in routes} == routes
    assert set(table) - set(routes) == {("GET", "/static/{}")}


def test_the_table_of_roles_is_what_roles_are_granted():
    lines = REFERENCE.read_text("utf-8").splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("| role |"))
    columns = [cell.strip() for cell in lines[start].split("|")[2:-1]]
    assert set(columns) == set(Permission) - {Permission.ACCOUNT}
    found = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        role, *cells = [cell.strip() for cell in line.split("|")[1:-1]]
        granted = {column for column, cell in zip(columns, cells, strict=True) if cell == "yes"}
        found[re.findall(r"`(\w+)`", role)[0]] = granted
    assert found == {str(role): set(grants) - {Permission.ACCOUNT} for role, grants in GRANTS.items()}
    assert all(Permission.ACCOUNT in GRANTS[role] for role in PEOPLE)


def test_nobody_gets_past_a_route_that_asks_for_something(world):
    client, asked = world.client(), 0
    for route in routes_of(world.client().app):
        if permission_of(route) is None:
            continue
        asked += 1
        answer = plain(route, world.ids).send(client)
        for_programs = route.path.startswith(("/api/", "/dicomweb/"))
        assert answer.status_code == (401 if for_programs else 303), route.path
        if not for_programs:
            assert answer.headers["location"].startswith("/login"), route.path
    assert asked > 75


@pytest.mark.parametrize("role", ["viewer", "reviewer", "operator", "auditor", "monitor"])
def test_a_role_without_the_permission_is_refused_and_one_with_it_is_not(world, role):
    client = world.program(role)
    for route in routes_of(client.app):
        permission = permission_of(route)
        if permission is None or (permission in GRANTS[Role(role)] and "GET" not in route.methods):
            continue
        answer = plain(route, world.ids).send(client)
        assert (answer.status_code != 403) == (permission in GRANTS[Role(role)]), (role, route.path)


def test_every_look_at_results_is_written_down(world):
    """Also where no name is shown: numbers and flags of one person are data of that person."""
    client, silent, looked = world.program("viewer"), set(), 0
    for route in routes_of(client.app):
        if permission_of(route) != Permission.RESULTS or "GET" not in route.methods:
            continue
        before = len(world.actions())
        if plain(route, world.ids).send(client).status_code == 200:
            looked += 1
            silent |= {route.path} if len(world.actions()) == before else set()
    assert looked > 15
    assert silent == set()


def list_nothing() -> list[int]:
    """A route that somebody wrote and forgot to guard."""
    return []


def test_a_route_without_a_permission_is_found(world):
    app = world.client().app
    app.add_api_route("/api/v1/forgotten", list_nothing, methods=["GET"])
    assert stated(app)[("GET", "/api/v1/forgotten")] == "nothing"
    assert documented().get(("GET", "/api/v1/forgotten")) is None
