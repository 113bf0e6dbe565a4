"""Whatever stands in a parameter, the answer is ours: no crash, no foreign header, nothing let through."""

from itertools import cycle

import pytest

from service.web.permissions import routes_of
from tests.make import hostile
from tests.make.web import copy_world, make_world

#: Texts for each parameter of each route, on one of the databases; tests/soak takes all for all, on both.
EACH = 1


@pytest.fixture(scope="module")
def worlds(template, postgres, tmp_path_factory):
    """One world on each database: they refuse different things."""
    folder = tmp_path_factory.mktemp("hostile")
    made = [
        copy_world(template, folder / "sqlite"),
        make_world(folder / "grown", url=postgres.new_database()),
    ]
    yield made
    for world in made:
        world.sessions.kw["bind"].dispose()


def test_no_parameter_of_any_route_breaks_anything(worlds):
    clients = [world.program("admin") for world in worlds]
    made = list(hostile.calls(list(routes_of(clients[0].app)), worlds[0].ids, each=EACH))
    assert len(made) > 150
    for call, client in zip(made, cycle(clients), strict=False):
        hostile.check(call.send(client), call.about)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b'{"reason":' * 6_000,
        b"9" * 6_000,
        b"\xff\xfe{\x00}\x00",
        b'{"patient_id": "a\\u0000b"}',
        b'{"patient_id": "a\0b"}',
        b'{"patient_id": "\\ud800"}',
        b'{"patient_id": 1e400}',
        b'{"patient_id": NaN}',
        b'{"patient_id": "x", "patient_id": ["y"]}',
        b'{"patient_id": "x", "reasn": "misspelt"}',
        b"",
    ],
)
def test_a_body_that_is_not_what_it_should_be_is_a_problem(worlds, body):
    for world in worlds:
        client = world.program("operator")
        answer = client.post("/api/v1/opt-outs", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in {400, 422}
        assert answer.headers["content-type"] == "application/problem+json"


def test_an_escaped_backslash_before_u0000_is_no_nul(worlds):
    body = b'{"patient_id": "a\\\\u0000b"}'
    for world in worlds:
        answer = world.program("operator").post(
            "/api/v1/opt-outs", content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.json() == {"changed": True}


@pytest.mark.parametrize("form", ["name=a%00b&csrf_token=x", "name=%ED%A0%80&csrf_token=x", "a=b&" * 5000])
def test_a_form_that_is_not_what_it_should_be_is_answered(worlds, form):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for world in worlds:
        hostile.check(world.client().post("/login", content=form, headers=headers), form[:20])


def test_a_form_in_a_character_set_of_the_senders_choice_is_not_read(worlds):
    answer = worlds[0].client().post("/login", files={"name": b"x"})
    assert answer.status_code == 415


@pytest.mark.parametrize("cursor", ["0", "-1", "9" * 19, "9" * 5000, "1e3", "\u0663", " 1"])
def test_a_cursor_that_we_did_not_make_is_refused(worlds, cursor):
    lists = ("analyses", "deliveries", "audit", "holds", "opt-outs", "worklist", "funnel/studies")
    for path in lists:
        answer = worlds[0].program("admin").get(f"/api/v1/{path}", params={"cursor": cursor})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter"), path


@pytest.mark.parametrize("number", [0, -1, 2**63, 2**64, 10**400])
def test_a_number_that_no_database_holds_is_refused(worlds, number):
    for world in worlds:
        client = world.program("admin")
        assert client.get(f"/api/v1/analyses/{number}").status_code == 422
        assert client.get("/", params={"study": number}).status_code == 422
        assert client.get(f"/api/v1/analyses/{2**63 - 1}").status_code == 404


def test_what_is_too_large_is_refused_announced_or_not(worlds):
    client = worlds[0].program("operator")
    for body in (b"x" * 70_000, iter([b"x" * 1000] * 70)):
        answer = client.post("/api/v1/opt-outs", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
