"""Login, logout, and one's own password."""

import hmac
import re
import secrets
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from service.db import logins, people
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
    require_token,
    set_cookie,
)
from service.web.context import Web, WebState
from service.web.doorstep import WAIT
from service.web.pages import render

router = APIRouter(include_in_schema=False)

#: The login form stands open this long before it must be loaded again.
LOGIN_FORM_LIFETIME = timedelta(hours=1)
REFUSED = (
    "The name or the password is not right, or there were too many tries; after five, wait five minutes."
)
#: Pages of ours that a login may lead back to: no host, no query, no climbing.
NEXT = re.compile(r"^/(?:[a-z0-9-]+(?:/[a-z0-9-]+)*)?$")


def see_other(path: str) -> RedirectResponse:
    """Have the browser load a page of ours."""
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)


def home_of(caller: Caller) -> str:
    """The first page that this caller may see."""
    if caller.must_change:
        return "/account"
    return "/" if caller.may(Permission.RESULTS) else "/audit"


def safe_next(path: str) -> str | None:
    """The page to go back to, unless somebody made the address up."""
    return path if NEXT.fullmatch(path) else None


def _login_page(request: Request, web: Web, *, next_path: str, refused: bool) -> Response:
    """The form, with a token of its own, because there is no session yet."""
    token = request.cookies.get(LOGIN_COOKIE) or secrets.token_urlsafe(32)
    response = render(
        request,
        "login.html",
        None,
        status_code=HTTPStatus.UNAUTHORIZED if refused else HTTPStatus.OK,
        login_token=token,
        next_path=next_path,
        refused=REFUSED if refused else None,
    )
    set_cookie(response, web, name=LOGIN_COOKIE, value=token, lifetime=LOGIN_FORM_LIFETIME)
    return response


@router.get("/login")
def login_form(request: Request, web: WebState) -> Response:
    """The login page; public."""
    caller = find_caller(request, web)
    if caller is not None:
        return see_other(home_of(caller))
    return _login_page(request, web, next_path=request.query_params.get("next", ""), refused=False)


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
    try:
        token = log_in(request, web, name=name.strip(), password=password)
    except TooManyTries:
        page = _login_page(request, web, next_path=next_path, refused=True)
        page.status_code = HTTPStatus.TOO_MANY_REQUESTS
        page.headers["Retry-After"] = str(int(WAIT.total_seconds()))
        return page
    if token is None:
        return _login_page(request, web, next_path=next_path, refused=True)
    target = safe_next(next_path)
    # The page after the login may be one that this role may not see; "/start" sorts that out.
    response = see_other(target if target and target != "/" else "/start")
    set_cookie(response, web, name=COOKIE, value=token)
    response.delete_cookie(LOGIN_COOKIE, path="/")
    return response


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
            logins.end_session(session, session_id=caller.session_id)
    web.audit(request, caller.actor, "logout")
    response = see_other("/login")
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
        may_change=caller.session_id is not None,
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
    if caller.session_id is None:
        return _account_page(request, web, caller, problem="A key has no password.")
    if new != again:
        return _account_page(request, web, caller, problem="The new password was not repeated alike.")
    if new == current:
        return _account_page(request, web, caller, problem="The new password is the old one.")
    now = web.clock()
    with web.sessions.begin() as session:
        attempt = logins.begin_login(session, name=caller.actor, now=now)
    if not logins.password_matches(attempt.password_hash, current) or attempt.user_id is None:
        web.audit(request, caller.actor, "password_changed", outcome="refused")
        return _account_page(request, web, caller, problem="The current password is not right.")
    try:
        with web.sessions.begin() as session:
            people.set_password(session, name=caller.actor, password=new, now=now, actor=caller.actor)
            token = logins.finish_login(session, user_id=attempt.user_id, now=now, idle=web.idle)
    except InvalidRequest as error:
        return _account_page(request, web, caller, problem=error.reason.text)
    response = see_other("/account?notice=password_changed")
    set_cookie(response, web, name=COOKIE, value=token)
    return response
