"""How errors are told: RFC 9457 problem details for programs, a page for people."""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from service.db.overview import DatabaseTrouble, is_unfit_value
from service.errors import DeliveryError, InvalidRequest, ServiceError, SpoolFull

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
#: Paths that answer programs; all others answer people.
FOR_PROGRAMS = ("/api/", "/dicomweb/", "/healthz/", "/readyz/", "/metrics/")

#: What is neither JSON nor a form, nested too deeply, or has too many fields or digits.
UNREADABLE = "The body cannot be read."


class Problem(Exception):
    """An answer other than success: HTTP status, stable code, and a sentence for people."""

    def __init__(
        self, status: HTTPStatus, code: str, detail: str, *, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}


class LoginNeeded(Problem):
    """Nobody is logged in, or no valid key was presented."""

    def __init__(self) -> None:
        super().__init__(
            HTTPStatus.UNAUTHORIZED,
            "login_needed",
            "Log in, or present an API key.",
            headers={"WWW-Authenticate": 'Bearer realm="myoscreen"'},
        )


def not_found(what: str) -> Problem:
    """The thing that was asked for is not here."""
    return Problem(HTTPStatus.NOT_FOUND, "not_found", f"There is no such {what}.")


def invalid() -> Problem:
    """Something that was sent cannot be what it stands for."""
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_parameter", "A parameter is missing or not valid."
    )


def from_service_error(error: ServiceError) -> Problem:
    """The one place where errors of the service become HTTP."""
    match error:
        case InvalidRequest():
            status = HTTPStatus.CONFLICT
        case DeliveryError():
            status = HTTPStatus.BAD_GATEWAY
        case SpoolFull():
            status = HTTPStatus.INSUFFICIENT_STORAGE
        case _:
            status = HTTPStatus.INTERNAL_SERVER_ERROR
    return Problem(status, error.reason.code, error.reason.text)


def problem_response(problem: Problem, *, errors: list[dict[str, Any]] | None = None) -> JSONResponse:
    """The problem as RFC 9457 asks."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": problem.status.phrase,
        "status": int(problem.status),
        "detail": problem.detail,
        "code": problem.code,
    }
    if errors is not None:
        content["errors"] = errors
    return JSONResponse(content, int(problem.status), headers=problem.headers, media_type=MEDIA_TYPE)


class Crashed(Problem):
    """Something that nobody foresaw; the log has it, the answer says nothing of it."""

    def __init__(self) -> None:
        super().__init__(
            HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "Something went wrong here; the log has it."
        )


def wants_json(request: Request) -> bool:
    """Whether a program asks."""
    return f"{request.url.path}/".startswith(FOR_PROGRAMS)


def answer(request: Request, problem: Problem) -> Response:
    """The problem in the form that fits who asks."""
    if wants_json(request):
        return problem_response(problem)
    if isinstance(problem, LoginNeeded):
        # Only the path goes along: it holds internal ids and never a search term.
        target = f"/login?next={request.url.path}" if request.method == "GET" else "/login"
        return RedirectResponse(target, HTTPStatus.SEE_OTHER)
    page: Response = request.app.state.error_page(request, problem)
    return page


def _methods_of(request: Request) -> list[str]:
    """Every method that this path takes; several routes may share it (RFC 9110 15.5.6)."""
    known = ("DELETE", "GET", "PATCH", "POST", "PUT")
    routes = request.app.routes
    taken = [
        method
        for method in known
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]
    # HEAD is answered wherever GET is (``service.web.heads``).
    return [*taken, "HEAD"] if "GET" in taken else taken


def install(app: FastAPI) -> None:
    """Have every error answered here."""

    def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return answer(request, error)

    def on_service_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, ServiceError)
        problem = from_service_error(error)
        if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.warning("request_failed", extra={"code": error.reason.code})
        return answer(request, problem)

    def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status = HTTPStatus(error.status_code)
        code = status.name.lower()
        detail = f"{status.description or status.phrase}.".replace("..", ".")
        problem = Problem(status, code, detail if status is not HTTPStatus.BAD_REQUEST else UNREADABLE)
        problem.headers.update({key: str(value) for key, value in (error.headers or {}).items()})
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            problem.headers["Allow"] = ", ".join(_methods_of(request))
        return answer(request, problem)

    def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # What was sent is not echoed: it may be a password or a patient id.
        errors = [
            {"where": ".".join(str(part) for part in item["loc"]), "what": item["msg"]}
            for item in error.errors()
        ]
        if wants_json(request):
            return problem_response(invalid(), errors=errors)
        return answer(request, invalid())

    def on_database(request: Request, error: Exception) -> Response:
        if is_unfit_value(error):
            return answer(request, invalid())
        log.error("database_trouble", exc_info=error)
        problem = Problem(
            HTTPStatus.SERVICE_UNAVAILABLE, "database_unreachable", "The database does not answer."
        )
        return answer(request, problem)

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(ServiceError, on_service_error)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(DatabaseTrouble, on_database)
