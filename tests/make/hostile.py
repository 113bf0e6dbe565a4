"""Values that somebody might send to do harm, put into every parameter that a route says it takes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Any

import httpx
from fastapi.routing import APIRoute
from pydantic import BaseModel

from tests.make.ledger import Ids

INJECTED = "x-injected"
TEXTS = (
    "a\0b",
    "\x01\x1b[2J",
    f"a\r\n{INJECTED}: yes",
    "../../../../../../etc/passwd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..\\..\\secret",
    "'; DROP TABLE users; --",
    "{{ 7 * 7 }}${7*7}",
    "\u202e\ufeff\U0001f9b4",
    "//evil.example/",
    "a" * 5000,
    "9" * 18,
    "9" * 19,
    str(2**63),
    str(-(2**63) - 1),
    "9" * 5000,
    "\u0663",
    "1e400",
    "NaN",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "9999-12-31",
    "",
)
#: A text that is no Unicode, as JSON can write it.
SURROGATE = '"\\ud800"'


@dataclass
class Call:
    """One request."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    form: dict[str, str] | None = None
    json: dict[str, Any] | None = None
    #: What is wrong with it.
    about: str = ""

    def send(self, client: httpx.Client) -> httpx.Response:
        """The answer."""
        url = httpx.URL(self.path, params=self.query) if self.query else self.path
        body: dict[str, Any] = {"data": self.form} if self.form is not None else {}
        if self.json is not None:
            body = {"json": self.json}
        return client.request(self.method, url, **body)


def check(answer: httpx.Response, about: str) -> None:
    """What holds for every answer."""
    assert answer.status_code < 500, (about, answer.text[:300])
    assert INJECTED not in answer.headers, about
    assert "evil.example" not in answer.headers.get("location", ""), about
    assert "root:x:0" not in answer.text, about


def plain(route: APIRoute, ids: Ids) -> Call:
    """A request of this route with nothing wrong."""
    known = {"analysis_id": ids.flagged, "delivery_id": ids.dead_delivery, "name": "pacs", "kind": "seg"}
    names = [parameter.alias for parameter in route.dependant.path_params]
    path = route.path.format(**{name: known.get(name, 1) for name in names})
    call = Call(method=sorted(route.methods)[0], path=path)
    for parameter in route.dependant.body_params:
        shape = parameter.field_info.annotation
        if isinstance(shape, type) and issubclass(shape, BaseModel):
            call.json = {name: "x" for name, facts in shape.model_fields.items() if facts.is_required()}
        else:
            known_text = "1" if shape == int | None else "x"
            known_text = next(iter(shape)).value if isinstance(shape, type(StrEnum)) else known_text
            call.form = {**(call.form or {}), parameter.alias: known_text}
    return call


def parameters(route: APIRoute) -> list[tuple[str, str]]:
    """Where each parameter of a route stands, and its name."""
    found = [("path", each.alias) for each in route.dependant.path_params]
    found += [("query", each.alias) for each in route.dependant.query_params]
    for each in route.dependant.body_params:
        shape = each.field_info.annotation
        if isinstance(shape, type) and issubclass(shape, BaseModel):
            found += [("json", name) for name in shape.model_fields]
        elif each.alias != "csrf_token":
            found.append(("form", each.alias))
    return found


def with_one_wrong(route: APIRoute, ids: Ids, place: str, name: str, text: str) -> Call:
    """A request in which this parameter is that text."""
    call = plain(route, ids)
    call.about = f"{call.method} {route.path}: {name} is {text[:40]!r}"
    if place == "path":
        written = "".join(f"%{byte:02X}" for byte in text.encode()) or "%20"
        call.path = plain_path(route, ids, name, written)
    elif place == "query":
        call.query = {name: text}
    elif place == "form":
        call.form = {**(call.form or {}), name: text}
    else:
        call.json = {**(call.json or {}), name: text}
    return call


def plain_path(route: APIRoute, ids: Ids, name: str, written: str) -> str:
    """The path of a route with this parameter as it is to be written."""
    plain_parts, parts = plain(route, ids).path.split("/"), route.path.split("/")
    return "/".join(
        written if part == f"{{{name}}}" else plain_parts[index] for index, part in enumerate(parts)
    )


def calls(routes: list[APIRoute], ids: Ids, *, each: int) -> Iterator[Call]:
    """For every parameter of every route this many of the texts, in turn, so that all texts are used."""
    turn = count()
    for route in routes:
        for place, name in parameters(route):
            for _ in range(each):
                yield with_one_wrong(route, ids, place, name, TEXTS[next(turn) % len(TEXTS)])
