"""Login at an OpenID provider: the way there, and what comes back."""

import hashlib
import logging
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from service.db import provider
from service.errors import LoginRefused, PeerUnreachable
from service.settings import Oidc
from service.web.account import home_of, login_page, safe_next, see_other, too_many_tries, welcome
from service.web.auth import find_caller, open_session, set_cookie
from service.web.codes import LOGIN_REFUSALS as SAID
from service.web.context import Web, WebState, client_address
from service.web.oidc_terms import CALLBACK, name_of, role_of
from service.web.oidc_trip import COOKIE, LONGEST, Trip
from service.web.problems import not_found

log = logging.getLogger(__name__)

router = APIRouter(include_in_schema=False)

#: Longer codes, states and issuers are none; chosen by us, above what any provider sends.
Short = Annotated[str, Query(max_length=512)]
Code = Annotated[str, Query(max_length=8192)]
#: As the form of the login page takes it.
LONGEST_NEXT = 200


def _terms(web: Web) -> Oidc:
    if web.settings.oidc is None or web.provider is None:
        raise not_found("page")
    return web.settings.oidc


@router.get("/login/oidc")
def begin(request: Request, web: WebState, next_path: Annotated[str, Query(alias="next")] = "") -> Response:
    """Send the browser to the provider; public."""
    _terms(web)
    caller = find_caller(request, web)
    if caller is not None:
        return see_other(home_of(caller))
    wanted = safe_next(next_path) if len(next_path) <= LONGEST_NEXT else None
    trip = Trip.begin(web.clock(), wanted or "")
    assert web.provider is not None
    try:
        address = web.provider.login_address(state=trip.state, nonce=trip.nonce, challenge=trip.challenge)
    except (LoginRefused, PeerUnreachable) as error:
        log.warning("oidc_not_begun", extra={"code": error.reason.code})
        return _refusal(request, web, error)
    response = RedirectResponse(address, HTTPStatus.SEE_OTHER)
    set_cookie(response, web, name=COOKIE, value=trip.cookie(), lifetime=LONGEST)
    return response


@router.get(CALLBACK)
def answer(
    *,
    request: Request,
    web: WebState,
    code: Code = "",
    state: Short = "",
    iss: Annotated[str | None, Query(max_length=512)] = None,
) -> Response:
    """Take the provider's answer; public. What it says of an error is not shown: anybody can make that up."""
    terms = _terms(web)
    trip = Trip.read(request.cookies.get(COOKIE, ""))
    now, source = web.clock(), client_address(request)
    if trip is None or not trip.fits(state, now):
        # Any page can send a browser here, so nothing is counted and nothing written down.
        return _refusal(request, web, LoginRefused(SAID["oidc_state"], reason="oidc_state"))
    if not web.answer_limit.begin(source, now):
        return too_many_tries(request, web, next_path="", text=SAID["oidc_tries"])
    try:
        claims = _claims(web, trip, code=code, sender=iss)
        token = _enter(request, web, terms, claims)
    except (LoginRefused, PeerUnreachable) as error:
        _note(request, web, error)
        return _refusal(request, web, error)
    web.answer_limit.succeed(source, now)
    response = welcome(web, token, trip.next_path)
    response.delete_cookie(COOKIE, path="/")
    return response


def _claims(web: Web, trip: Trip, *, code: str, sender: str | None) -> dict[str, Any]:
    """What the provider says of the person. Raises LoginRefused, PeerUnreachable."""
    ours = web.provider
    assert ours is not None
    digest = hashlib.sha256(trip.state.encode()).hexdigest()
    with web.sessions.begin() as session:
        fresh = provider.use_answer(session, state_sha256=digest, now=web.clock(), lifetime=2 * LONGEST)
    if not fresh:
        raise LoginRefused(SAID["oidc_used"], reason="oidc_used")
    ours.require_sender(sender)
    if not code:
        raise LoginRefused(SAID["oidc_declined"], reason="oidc_declined")
    return ours.redeem(code=code, verifier=trip.verifier, nonce=trip.nonce)


def _enter(request: Request, web: Web, terms: Oidc, claims: dict[str, Any]) -> str:
    """Open a session for the person, and return the token for the cookie. Raises LoginRefused."""
    who: dict[str, str] = {"issuer": terms.issuer, "subject": claims["sub"]}
    name, role, now = name_of(terms, claims), role_of(terms, claims), web.clock()
    with web.sessions.begin() as session:
        admitted = None
        if role is None:
            provider.expel(session, **who, now=now)
        else:
            admitted = provider.admit(session, **who, name=name, role=role, now=now)
        called = provider.called(session, **who, name=name)
    if admitted is None:
        reason = "oidc_no_role" if role is None else "oidc_disabled"
        raise Unwelcome(SAID[reason], reason=reason, name=called)
    return open_session(request, web, user_id=admitted.user_id, name=admitted.name, detail={"by": "provider"})


class Unwelcome(LoginRefused):
    """Somebody whom the provider knows, and who may not come in."""

    code = "oidc_unwelcome"

    def __init__(self, text: str, *, reason: str, name: str) -> None:
        super().__init__(text, reason=reason)
        self.name = name


def _note(request: Request, web: Web, error: LoginRefused | PeerUnreachable) -> None:
    """Write down a login that came to nothing."""
    log.warning("oidc_refused", extra={"code": error.reason.code})
    name = error.name if isinstance(error, Unwelcome) else ""
    detail: dict[str, object] = {"by": "provider", "reason": error.reason.code, "said": error.reason.text}
    web.audit(request, name or "unknown", "login", outcome="refused", detail=detail)


def _refusal(request: Request, web: Web, error: LoginRefused | PeerUnreachable) -> Response:
    """The login page with what went wrong."""
    away = isinstance(error, PeerUnreachable)
    text = SAID["unreachable"] if away else SAID.get(error.reason.code, SAID["untrusted"])
    status = HTTPStatus.BAD_GATEWAY if away else HTTPStatus.FORBIDDEN
    response = login_page(request, web, next_path="", refused=text, status=status)
    response.delete_cookie(COOKIE, path="/")
    return response
