"""Every hostile text in every parameter of every route; the quick tests take one text a parameter."""

import pytest

from service.web.permissions import routes_of
from tests.make import hostile, servers
from tests.make.web import make_world


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_no_text_in_any_parameter_breaks_anything(kind, tmp_path):
    with servers.start_postgres() as postgres:
        url = postgres.new_database() if kind == "postgresql" else None
        world = make_world(tmp_path / "home", url=url)
        client = world.program("admin")
        made = list(hostile.calls(list(routes_of(client.app)), world.ids, each=len(hostile.TEXTS)))
        assert len(made) > 3000
        for call in made:
            hostile.check(call.send(client), call.about)
        world.sessions.kw["bind"].dispose()
