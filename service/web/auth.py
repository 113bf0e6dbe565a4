"""Who asks, and whether they may: permissions, cookies, API keys, and tokens against forged forms."""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Form, Request, Response

from service.db import logins, openings, people
from service.db.people import Role
from service.db.session import reading
from service.web.context import Web, WebState, client_address
from service.web.problems import LoginNeeded, Problem

COOKIE = "myoscreen_session"
#: Carries the token of the login form, where no session exists yet.
LOGIN_COOKIE = "myoscreen_login"
CSRF_HEADER = "X-CSRF-Token"
#: In which programs present their key (RFC 6750 2.1).
SCHEME = "bearer"
#: Methods that change nothing (RFC 9110 9.2.1).
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Permission(StrEnum):
    """What a route may ask for; every route but the public ones states one."""

    #: The state of the service, without results.
    STATUS = "status"
    #: Results, and whose they are.
    RESULTS = "results"
    #: Rerun, retry, C-ECHO.
    OPERATE = "operate"
    #: Say what a drawing is like, and look after raised flags.
    REVIEW = "review"
    #: The audit record.
    AUDIT = "audit"
    #: One's own account, also while the password must be changed.
    ACCOUNT = "account"
    #: Send images.
    STORE = "store"
    #: Put a network, norms, a policy or rules into force.
    ACTIVATE = "activate"
    #: Accounts and API keys.
    PEOPLE = "people"


_VIEWER = frozenset({Permission.STATUS, Permission.RESULTS, Permission.ACCOUNT})
_OPERATOR = _VIEWER | {Permission.OPERATE}
GRANTS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.REVIEWER: _VIEWER | {Permission.REVIEW},
    Role.OPERATOR: _OPERATOR,
    Role.ADMIN: _OPERATOR | {Permission.AUDIT, Permission.REVIEW, Permission.ACTIVATE, Permission.PEOPLE},
    Role.AUDITOR: frozenset({Permission.STATUS, Permission.AUDIT, Permission.ACCOUNT}),
    Role.MONITOR: frozenset({Permission.STATUS, Permission.ACCOUNT}),
    Role.SENDER: frozenset({Permission.STORE}),
}


@dataclass(frozen=True, kw_only=True)
class Caller:
    """A person with a login, or a program with a key."""

    #: As it stands in the audit record: a user name, or "key:NAME".
    actor: str
    role: Role
    must_change: bool = False
    session_id: int | None = None
    csrf_token: str | None = None
    #: Logs in at the provider, and so has no password here.
    by_provider: bool = False
    #: By which opening results are open although the role does not show them, and until when.
    opening_id: int | None = None
    opened_until: datetime | None = None

    def may(self, permission: Permission) -> bool:
        """Whether the role grants this, or results were opened."""
        opened = permission == Permission.RESULTS and self.opened_until is not None
        return opened or permission in GRANTS[self.role]


def find_caller(request: Request, web: Web) -> Caller | None:
    """Who asks, by API key if one is presented, else by cookie."""
    header = request.headers.get("authorization", "")
    # Of another scheme it is for somebody else: a proxy that asks for a password hands it on.
    if header.partition(" ")[0].lower() == SCHEME:
        return _by_key(header, web)
    token = request.cookies.get(COOKIE)
    return _by_cookie(token, web) if token else None


def _by_key(header: str, web: Web) -> Caller | None:
    """The program whose key this is."""
    key = header.partition(" ")[2].strip()
    if not key.startswith(people.KEY_PREFIX):
        return None
    now = web.clock()
    with reading(web.sessions) as session:
        found = people.find_key(session, key=key, now=now)
    if found is None:
        return None
    facts, touch = found
    if touch:
        with web.sessions.begin() as session:
            people.touch_key(session, name=facts.name, now=now)
    return Caller(actor=f"key:{facts.name}", role=facts.role)


def _by_cookie(token: str, web: Web) -> Caller | None:
    """The person whose login this is."""
    now = web.clock()
    with reading(web.sessions) as session:
        found = logins.find_login(session, token=token, now=now, idle=web.idle)
    if found is None:
        return None
    login, touch = found
    if touch:
        with web.sessions.begin() as session:
            logins.touch_login(session, session_id=login.session_id, now=now)
    opened = web.settings.break_glass
    return Caller(
        actor=login.user,
        role=login.role,
        must_change=login.must_change,
        session_id=login.session_id,
        csrf_token=login.csrf_token,
        by_provider=login.by_provider,
        opening_id=login.opening_id if opened else None,
        opened_until=login.opened_until if opened else None,
    )


def may_open(web: Web, caller: Caller) -> bool:
    """Whether this person may open results by giving a reason: by a setting, where the role shows none."""
    in_person = caller.session_id is not None and not caller.must_change
    return web.settings.break_glass and in_person and Permission.RESULTS not in GRANTS[caller.role]


class Needs:
    """The dependency of a route that states what a caller must be allowed to do."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    def __call__(self, request: Request, web: WebState) -> Caller:
        """Let the caller in, or refuse."""
        caller = find_caller(request, web)
        if caller is None:
            raise LoginNeeded
        request.state.caller = caller
        if caller.must_change and self.permission is not Permission.ACCOUNT:
            raise Problem(
                HTTPStatus.FORBIDDEN, "password_change_needed", "Change the one-time password first."
            )
        if not caller.may(self.permission):
            web.audit(
                request, caller.actor, "access", outcome="refused", detail={"needs": str(self.permission)}
            )
            raise Problem(HTTPStatus.FORBIDDEN, "forbidden", f"The role {caller.role} may not do this.")
        return caller


MayStatus = Annotated[Caller, Depends(Needs(Permission.STATUS))]
MayResults = Annotated[Caller, Depends(Needs(Permission.RESULTS))]
MayOperate = Annotated[Caller, Depends(Needs(Permission.OPERATE))]
MayReview = Annotated[Caller, Depends(Needs(Permission.REVIEW))]
MayAudit = Annotated[Caller, Depends(Needs(Permission.AUDIT))]
MayAccount = Annotated[Caller, Depends(Needs(Permission.ACCOUNT))]
MayActivate = Annotated[Caller, Depends(Needs(Permission.ACTIVATE))]
MayPeople = Annotated[Caller, Depends(Needs(Permission.PEOPLE))]
MayStore = Annotated[Caller, Depends(Needs(Permission.STORE))]


def require_token(caller: Caller, presented: str | None) -> None:
    """Refuse a change that was not sent from our own page; a key cannot be made to send one."""
    if caller.csrf_token is None:
        return
    if not presented or not hmac.compare_digest(caller.csrf_token.encode(), presented.encode()):
        raise Problem(HTTPStatus.FORBIDDEN, "csrf", "This form is out of date; load the page again.")


def check_api_token(request: Request, web: WebState) -> None:
    """Ask changes through the REST interface for the token too, where a cookie speaks for the caller."""
    if request.method in SAFE_METHODS:
        return
    caller = find_caller(request, web)
    if caller is not None:
        require_token(caller, request.headers.get(CSRF_HEADER))


FormToken = Annotated[str, Form(alias="csrf_token", max_length=128)]


class TooManyTries(Exception):
    """There were so many wrong tries from this address that this one was not looked at."""


def log_in(request: Request, web: Web, *, name: str, password: str) -> str | None:
    """Try to log in; return the token for the cookie, or None without telling why. Raises TooManyTries."""
    now = web.clock()
    source = client_address(request)
    if not web.login_limit.begin(source, now):
        raise TooManyTries
    with web.sessions.begin() as session:
        attempt = logins.begin_login(session, name=name, now=now)
    right = logins.password_matches(attempt.password_hash, password)
    if not right or attempt.user_id is None:
        detail: dict[str, object] | None = {"locked": True} if attempt.locked else None
        if web.login_limit.is_full(source):
            detail = {**(detail or {}), "address_waits": True}
        web.audit(request, attempt.name, "login", outcome="refused", detail=detail)
        return None
    web.login_limit.succeed(source, now)
    return open_session(request, web, user_id=attempt.user_id, name=attempt.name)


def open_session(
    request: Request, web: Web, *, user_id: int, name: str, detail: dict[str, object] | None = None
) -> str:
    """A new session for somebody who has proved who that is; the token for the cookie.

    The old session of this browser ends, and the new one has a new token, so that nobody can plant a
    session beforehand.
    """
    now = web.clock()
    old = find_caller(request, web)
    with web.sessions.begin() as session:
        if old is not None and old.session_id is not None:
            openings.end(session, session_id=old.session_id, now=now)
            logins.end_session(session, session_id=old.session_id)
        token = logins.finish_login(session, user_id=user_id, now=now, idle=web.idle)
        people.record(
            session, at=now, actor=name, action="login", address=client_address(request), detail=detail
        )
    return token


def set_cookie(
    response: Response, web: Web, *, name: str, value: str, lifetime: timedelta | None = None
) -> None:
    """Set a cookie that scripts and other sites cannot read."""
    response.set_cookie(
        name,
        value,
        max_age=int(lifetime.total_seconds()) if lifetime else None,
        path="/",
        secure=web.settings.reached_by_https,
        httponly=True,
        samesite="lax",
    )
