"""What each route of an application asks for, as the routes themselves state it."""

from collections.abc import Iterator
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from service.web.auth import Needs


def routes_of(router: Any) -> Iterator[APIRoute]:
    """Every route of an application or router, those of the routers within it too."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield route
        elif (inner := getattr(route, "original_router", None)) is not None:
            yield from routes_of(inner)


def permission_of(route: APIRoute) -> str | None:
    """The permission that a route states, None where it is public; AssertionError where it states two."""
    stated = {str(call.permission) for call in _calls(route.dependant) if isinstance(call, Needs)}
    assert len(stated) <= 1, f"{route.path} states several permissions"
    return next(iter(stated), None)


def _calls(dependant: Dependant) -> Iterator[Any]:
    for inner in dependant.dependencies:
        yield inner.call
        yield from _calls(inner)
