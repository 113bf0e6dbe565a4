"""Results opened with a reason by somebody whose role does not show them, for a limited time."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import BaseModel, ConfigDict

from service.db import openings, people
from service.db.openings import LONGEST_REASON, SHORTEST_REASON
from service.db.session import reading
from service.web import api, pages
from service.web.account import see_other
from service.web.auth import FormToken, MayAccount, MayAudit, may_open, require_token
from service.web.context import Web, WebState, client_address
from service.web.problems import Problem

api_router = APIRouter(prefix="/api/v1")
page_router = APIRouter(include_in_schema=False)

#: On one page, as of other lists.
PAGE = 50


class OpeningShape(BaseModel):
    """Results that somebody opened although the role does not show them."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    actor: str
    role: str
    reason: str
    opened_at: datetime
    until: datetime
    ended_at: datetime | None


class OpeningList(BaseModel):
    """Some openings, the newest first."""

    items: list[OpeningShape]
    next_cursor: str | None


@api_router.get("/openings", tags=["audit"])
def get_openings(
    web: WebState,
    caller: MayAudit,
    cursor: api.Cursor = None,
    limit: Annotated[int, Query(ge=1, le=200)] = PAGE,
) -> OpeningList:
    """Who opened results although the role does not show them, and why."""
    del caller
    return _listed(web, cursor, limit)


@page_router.get("/openings")
def openings_page(request: Request, web: WebState, caller: MayAudit, cursor: api.Cursor = None) -> Response:
    """The same for people."""
    return pages.render(
        request,
        "openings.html",
        caller,
        found=_listed(web, cursor, PAGE),
        now=web.clock(),
        allowed=web.settings.break_glass,
        minutes=web.settings.break_glass_minutes,
    )


def _listed(web: Web, cursor: str | None, limit: int) -> OpeningList:
    with reading(web.sessions) as session:
        found = openings.newest(session, before=api.before(cursor), limit=limit + 1)
    more = str(found[limit - 1].id) if len(found) > limit else None
    return OpeningList(items=[OpeningShape.model_validate(each) for each in found[:limit]], next_cursor=more)


@page_router.post("/openings")
def open_results(
    *,
    request: Request,
    web: WebState,
    caller: MayAccount,
    csrf_token: FormToken,
    reason: Annotated[str, Form(max_length=LONGEST_REASON)] = "",
) -> Response:
    """Open results in this login."""
    require_token(caller, csrf_token)
    if not may_open(web, caller) or caller.session_id is None:
        web.audit(request, caller.actor, "results_opened", outcome="refused")
        raise Problem(HTTPStatus.FORBIDDEN, "forbidden", "You may not open results by giving a reason.")
    said = " ".join(reason.split())
    if len(said) < SHORTEST_REASON:
        return see_other("/account?notice=opening_needs_reason")
    now = web.clock()
    until = now + timedelta(minutes=web.settings.break_glass_minutes)
    with web.sessions.begin() as session:
        number = openings.begin(
            session,
            session_id=caller.session_id,
            actor=caller.actor,
            role=caller.role,
            reason=said,
            now=now,
            until=until,
        )
        # The reason may name somebody, so it stays out of the audit record, which is never changed.
        people.record(
            session,
            at=now,
            actor=caller.actor,
            action="results_opened",
            object_type="opening",
            object_id=number,
            address=client_address(request),
            detail={"role": str(caller.role), "minutes": web.settings.break_glass_minutes},
        )
    return see_other("/?notice=results_opened")


@page_router.post("/openings/end")
def end_opening(request: Request, web: WebState, caller: MayAccount, csrf_token: FormToken) -> Response:
    """End what is open in this login."""
    require_token(caller, csrf_token)
    if caller.session_id is not None:
        with web.sessions.begin() as session:
            number = openings.end(session, session_id=caller.session_id, now=web.clock())
        if number is not None:
            web.audit(request, caller.actor, "results_closed", object_type="opening", object_id=number)
    return see_other("/account?notice=results_closed")
