"""OpenAPI of the routes for programs: what each needs, and every answer that it may give.

What holds for all routes is written here once, so that a new route is described by being there: problems are
RFC 9457, a permission is asked for, a body is bounded, no text holds NUL, what is polled has a tag.
"""

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service import __version__
from service.web import schemas
from service.web.etags import is_tagged
from service.web.permissions import permission_of, routes_of
from service.web.problems import MEDIA_TYPE

PROBLEM: Final = "ProblemDetails"
#: PostgreSQL keeps no NUL in a text, so none is taken (``guard``).
NO_NUL: Final = r"^[^\u0000]*$"
#: Text in a query or body that is bounded by one of these needs no pattern.
BOUNDED: Final = frozenset({"pattern", "format", "enum", "const"})

WORDS: Final = {
    HTTPStatus.BAD_REQUEST: "The body is no JSON that can be read.",
    HTTPStatus.UNAUTHORIZED: "No login and no valid key.",
    HTTPStatus.FORBIDDEN: "The role may not do this, or a password or token stands in the way.",
    HTTPStatus.NOT_FOUND: "There is no such thing.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is longer than 64 KiB.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is of a kind that is not read here.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "A parameter is missing or not valid.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Nobody foresaw this; the log has it.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The database does not answer.",
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The description, made once for an application."""
    if app.openapi_schema is None:
        content = get_openapi(
            title="myoscreen",
            version=__version__,
            description=f"{schemas.RESEARCH_USE} Errors are RFC 9457 problem details with a stable `code`.",
            routes=app.routes,
        )
        _complete(app, content)
        app.openapi_schema = content
    return app.openapi_schema


def _complete(app: FastAPI, content: dict[str, Any]) -> None:
    """Add what the routes have in common."""
    components = content.setdefault("components", {})
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "`myoscreen key add NAME`"}
    }
    content["security"] = [{"key": []}]
    known = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        known.pop(unused, None)
    known[PROBLEM] = schemas.ProblemDetails.model_json_schema()
    needs = {
        (method, route.path): permission_of(route)
        for route in routes_of(app)
        for method in (route.methods or ())
    }
    sent: set[str] = set()
    for path, item in content["paths"].items():
        for method, operation in item.items():
            _describe(operation, method.upper(), path, needs[method.upper(), path])
            sent |= _references(operation.get("requestBody"))
    _bound(known, sent)


def _describe(operation: dict[str, Any], method: str, path: str, permission: str | None) -> None:
    """One operation: its permission, its problems, its tag."""
    answers = operation["responses"]
    answers.pop("422", None)
    for status in _common(method, path, public=permission is None):
        answers.setdefault(str(int(status)), {"description": WORDS[status]})
    for number, answer in answers.items():
        content = answer.setdefault("content", {}) if int(number) >= HTTPStatus.BAD_REQUEST else None
        if content is not None and (not content or MEDIA_TYPE in content):
            content[MEDIA_TYPE] = {"schema": {"$ref": f"#/components/schemas/{PROBLEM}"}}
    if permission is None:
        operation["security"] = []
    else:
        operation["x-permission"] = permission
    if is_tagged(method, path) and "application/json" in answers.get("200", {}).get("content", {}):
        _tag(operation)
    for parameter in operation.get("parameters", ()):
        _no_nul(parameter["schema"])


def _common(method: str, path: str, *, public: bool) -> list[HTTPStatus]:
    """The problems that any route of this kind may answer with."""
    found = [HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.INTERNAL_SERVER_ERROR]
    if not public:
        found += [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE]
    if "{" in path:
        found.append(HTTPStatus.NOT_FOUND)
    if method != "GET":
        found += [
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        ]
    return found


def _tag(operation: dict[str, Any]) -> None:
    """Say that the answer has a tag, and what becomes of one that is handed back."""
    tag = {"ETag": {"description": "Names this content.", "schema": {"type": "string"}}}
    operation["responses"]["200"]["headers"] = tag
    operation["responses"]["304"] = {"description": "As it was when If-None-Match was given.", "headers": tag}
    operation.setdefault("parameters", []).append(
        {
            "name": "If-None-Match",
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": "The ETag of the last answer.",
        }
    )


def _references(part: Any) -> set[str]:
    """The names of the shapes that a part of the description is made of."""
    if isinstance(part, dict):
        own = {str(part["$ref"]).rpartition("/")[2]} if "$ref" in part else set()
        return own.union(*map(_references, part.values()))
    return set().union(*map(_references, part)) if isinstance(part, list) else set()


def _bound(known: dict[str, Any], sent: set[str]) -> None:
    """Say of every text in the shapes that are sent to us that it holds no NUL."""
    waiting, done = list(sent), set[str]()
    while waiting:
        name = waiting.pop()
        if name not in done:
            done.add(name)
            _no_nul(known[name])
            waiting += _references(known[name])


def _no_nul(schema: Any) -> None:
    """Add the pattern wherever a text may be anything."""
    if isinstance(schema, list):
        for part in schema:
            _no_nul(part)
    elif isinstance(schema, dict):
        if schema.get("type") == "string" and not BOUNDED & schema.keys():
            schema["pattern"] = NO_NUL
        for part in schema.values():
            _no_nul(part)
