"""Login, logout, and one's own password."""

import hmac
import re
import secrets
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from service.db import logins, openings, people
from service.errors import InvalidRequest
from service.web.auth import (
    COOKIE,
    LOGIN_COOKIE,
    Caller,
    FormToken,
    MayAccount,
    Permission,
    TooManyTries,
    find_caller,
    log_in,
    may_open,
    require_token,
    set_cookie,
)
from service.web.codes import LOGIN_REFUSALS, PASSWORD_REFUSALS
from service.web.context import Web, WebState
from service.web.doorstep import WAIT
from service.web.pages import render
from service.web.problems import Problem

router = APIRouter(include_in_schema=False)

#: The login form stands open this long before it must be loaded again.
LOGIN_FORM_LIFETIME = timedelta(hours=1)
#: The login page after a logout of somebody whose login at the provider may go on.
ENDED = "ended"
#: Pages of ours that a login may lead back to: no host, no query, no climbing.
NEXT = re.compile(r"^/(?:[a-z0-9-]+(?:/[a-z0-9-]+)*)?$")


def see_other(path: str) -> RedirectResponse:
    """Have the browser load a page of ours."""
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)


def home_of(caller: Caller) -> str:
    """The first page that this caller may see."""
    if caller.must_change:
        return "/account"
    if caller.may(Permission.RESULTS):
        return "/"
    return "/audit" if caller.may(Permission.AUDIT) else "/status"


def safe_next(path: str) -> str | None:
    """The page to go back to, unless somebody made the address up."""
    return path if NEXT.fullmatch(path) else None


def login_page(
    request: Request,
    web: Web,
    *,
    next_path: str,
    refused: str | None = None,
    status: HTTPStatus = HTTPStatus.OK,
    way_out: str | None = None,
) -> Response:
    """The form, with a token of its own, because there is no session yet."""
    token = request.cookies.get(LOGIN_COOKIE) or secrets.token_urlsafe(32)
    terms = web.settings.oidc
    response = render(
        request,
        "login.html",
        None,
        status_code=status,
        login_token=token,
        next_path=next_path,
        refused=refused,
        provider=None if terms is None else terms.label,
        local_form=has_form(web),
        way_out=way_out,
        # Only a page of ours goes along, and so nothing that would have to be quoted.
        begin=f"/login/oidc?next={safe_next(next_path) or ''}",
    )
    set_cookie(response, web, name=LOGIN_COOKIE, value=token, lifetime=LOGIN_FORM_LIFETIME)
    return response


def has_form(web: Web) -> bool:
    """Whether people can log in by password."""
    return web.settings.oidc is None or web.settings.oidc.local_form


def too_many_tries(
    request: Request, web: Web, *, next_path: str, text: str = LOGIN_REFUSALS["password"]
) -> Response:
    """The answer to a try that was not looked at."""
    status = HTTPStatus.TOO_MANY_REQUESTS
    page = login_page(request, web, next_path=next_path, refused=text, status=status)
    page.headers["Retry-After"] = str(int(WAIT.total_seconds()))
    return page


def welcome(web: Web, token: str, next_path: str) -> Response:
    """Give the browser its session, and lead it on."""
    target = safe_next(next_path)
    # The page after the login may be one that this role may not see; "/start" sorts that out.
    response = see_other(target if target and target != "/" else "/start")
    set_cookie(response, web, name=COOKIE, value=token)
    response.delete_cookie(LOGIN_COOKIE, path="/")
    return response


@router.get("/login")
def login_form(request: Request, web: WebState) -> Response:
    """The login page; public."""
    caller = find_caller(request, web)
    if caller is not None:
        return see_other(home_of(caller))
    way_out = None
    if ENDED in request.query_params and web.settings.oidc is not None and web.provider is not None:
        way_out = web.provider.logout_address(return_to=f"{web.settings.oidc.url.rstrip('/')}/login")
    return login_page(request, web, next_path=request.query_params.get("next", ""), way_out=way_out)


@router.post("/login")
def login(
    *,
    request: Request,
    web: WebState,
    csrf_token: FormToken,
    name: Annotated[str, Form(max_length=64)] = "",
    password: Annotated[str, Form(max_length=1024)] = "",
    next_path: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Log in; public. Wrong name, wrong password, disabled and locked all look the same."""
    expected = request.cookies.get(LOGIN_COOKIE, "")
    if not expected or not hmac.compare_digest(expected.encode(), csrf_token.encode()):
        return see_other("/login")
    if not has_form(web):
        raise Problem(HTTPStatus.FORBIDDEN, "no_local_login", "Nobody logs in by password here.")
    try:
        token = log_in(request, web, name=name.strip(), password=password)
    except TooManyTries:
        return too_many_tries(request, web, next_path=next_path)
    if token is None:
        return login_page(
            request,
            web,
            next_path=next_path,
            refused=LOGIN_REFUSALS["password"],
            status=HTTPStatus.UNAUTHORIZED,
        )
    return welcome(web, token, next_path)


@router.get("/start")
def start(caller: MayAccount) -> Response:
    """Go to the first page that this caller may see."""
    return see_other(home_of(caller))


@router.post("/logout")
def logout(request: Request, web: WebState, caller: MayAccount, csrf_token: FormToken) -> Response:
    """End this login."""
    require_token(caller, csrf_token)
    if caller.session_id is not None:
        with web.sessions.begin() as session:
            openings.end(session, session_id=caller.session_id, now=web.clock())
            logins.end_session(session, session_id=caller.session_id)
    web.audit(request, caller.actor, "logout")
    response = see_other(f"/login?{ENDED}" if caller.by_provider else "/login")
    response.delete_cookie(COOKIE, path="/")
    return response


def _account_page(request: Request, web: Web, caller: Caller, *, problem: str | None = None) -> Response:
    """Who one is, and the form for a new password."""
    return render(
        request,
        "account.html",
        caller,
        status_code=HTTPStatus.CONFLICT if problem else HTTPStatus.OK,
        problem=problem,
        shortest=people.SHORTEST_PASSWORD,
        idle_minutes=web.settings.session_idle_minutes,
        may_change=caller.session_id is not None and not caller.by_provider,
        may_open=may_open(web, caller),
        open_minutes=web.settings.break_glass_minutes,
        shortest_reason=openings.SHORTEST_REASON,
    )


@router.get("/account")
def account(request: Request, web: WebState, caller: MayAccount) -> Response:
    """One's own account."""
    return _account_page(request, web, caller)


@router.post("/account/password")
def change_password(
    *,
    request: Request,
    web: WebState,
    caller: MayAccount,
    csrf_token: FormToken,
    current: Annotated[str, Form(max_length=1024)] = "",
    new: Annotated[str, Form(max_length=1024)] = "",
    again: Annotated[str, Form(max_length=1024)] = "",
) -> Response:
    """Change one's own password; every login of this user ends, and this browser gets a new one."""
    require_token(caller, csrf_token)
    if caller.session_id is None or caller.by_provider:
        return _account_page(request, web, caller, problem=PASSWORD_REFUSALS["none"])
    if new != again:
        return _account_page(request, web, caller, problem=PASSWORD_REFUSALS["not_alike"])
    if new == current:
        return _account_page(request, web, caller, problem=PASSWORD_REFUSALS["same"])
    now = web.clock()
    with web.sessions.begin() as session:
        attempt = logins.begin_login(session, name=caller.actor, now=now)
    if not logins.password_matches(attempt.password_hash, current) or attempt.user_id is None:
        web.audit(request, caller.actor, "password_changed", outcome="refused")
        return _account_page(request, web, caller, problem=PASSWORD_REFUSALS["wrong"])
    try:
        with web.sessions.begin() as session:
            people.set_password(session, name=caller.actor, password=new, now=now, actor=caller.actor)
            token = logins.finish_login(session, user_id=attempt.user_id, now=now, idle=web.idle)
    except InvalidRequest as error:
        return _account_page(request, web, caller, problem=error.reason.text)
    response = see_other("/account?notice=password_changed")
    set_cookie(response, web, name=COOKIE, value=token)
    return response
