"""What is in force, and its changes: the REST interface and the page."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Request, Response

from service.core.activation import LONGEST_NAME, LONGEST_REASON, ActivationState, Kind
from service.db import activations
from service.db.activating import By
from service.db.activations import ActivationFacts
from service.db.session import Session, reading
from service.errors import InvalidRequest, NotAsActivated, ServiceError
from service.pipeline import activation, equipment
from service.pipeline.activation import Site
from service.web import activating_shapes as shapes
from service.web import pages
from service.web.account import see_other
from service.web.activating_site import site_of
from service.web.api import CONFLICT, LARGEST_ID, PROBLEMS, Cursor, Limit, before
from service.web.auth import Caller, FormToken, MayActivate, MayAudit, check_api_token, require_token
from service.web.context import Web, WebState, client_address
from service.web.paging import cut
from service.web.problems import not_found

api_router = APIRouter(
    prefix="/api/v1",
    dependencies=[Depends(check_api_token)],
    responses={**PROBLEMS, **CONFLICT},
    tags=["activations"],
)
page_router = APIRouter(include_in_schema=False)

ActivationId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
Reason = Annotated[str, Form(max_length=LONGEST_REASON)]
PAGE = 50


def _by(request: Request, web: Web, caller: Caller) -> By:
    return By(
        actor=caller.actor,
        now=web.clock(),
        second_person=web.settings.activation_second_person,
        address=client_address(request),
    )


@contextmanager
def _told() -> Iterator[None]:
    """What is wrong with a file is an answer here, and no fault of the service."""
    try:
        yield
    except InvalidRequest:
        raise
    except ServiceError as error:
        raise InvalidRequest(error.reason.text, reason=error.reason.code) from error


def _done(act: Callable[[], ActivationFacts | None]) -> ActivationFacts:
    """What came of it; raises a problem where there is no such line."""
    with _told():
        facts = act()
    if facts is None:
        raise not_found("activation")
    return facts


def _list(web: Web, kind: Kind | None, cursor: str | None, limit: int) -> shapes.ActivationList:
    site = site_of(web)
    with reading(web.sessions) as session:
        found = activations.lines(session, kind=kind, before=before(cursor), limit=limit + 1)
        proposed = activations.proposed(session)
        standing = [_standing(session, site, each) for each in Kind if kind in (None, each)]
    shown, more = cut(found, limit, lambda line: line.id)
    return shapes.ActivationList.model_validate(
        {
            "second_person": site.second_person,
            "in_force": standing,
            "proposed": [line for line in proposed if kind in (None, line.kind)],
            "items": shown,
            "next_cursor": more,
        }
    )


def _standing(session: Session, site: Site, kind: Kind) -> dict[str, object]:
    """What of one kind is in force, and whether its files are those that were activated."""
    line = activations.in_force(session).get(kind)
    earlier = None if line is None else activations.before(session, line)
    told: dict[str, object] = {"unchanged": True}
    try:
        site.require_unchanged(site.held(session), kind)
    except NotAsActivated as error:
        told = {"unchanged": False, "code": error.reason.code, "text": error.reason.text}
    name = site.settings[kind] if line is None else line.name
    return {"kind": kind, "name": name, "activation": line, "back_to": earlier, **told}


def _propose(request: Request, web: Web, caller: Caller, order: shapes.ActivationOrder) -> ActivationFacts:
    with _told():
        return activation.propose(
            web.sessions,
            site_of(web),
            order.kind,
            order.name,
            _by(request, web, caller),
            reason=order.reason,
        )


def _confirm(request: Request, web: Web, caller: Caller, number: int) -> ActivationFacts:
    by = _by(request, web, caller)
    return _done(lambda: activation.confirm(web.sessions, site_of(web), number, by))


def _refuse(request: Request, web: Web, caller: Caller, number: int, reason: str) -> ActivationFacts:
    by = _by(request, web, caller)
    return _done(lambda: activation.refuse(web.sessions, number, by, reason=reason))


def _roll_back(request: Request, web: Web, caller: Caller, number: int, reason: str) -> ActivationFacts:
    by = _by(request, web, caller)
    return _done(lambda: activation.roll_back(web.sessions, site_of(web), number, by, reason=reason))


@api_router.get("/activations")
def get_activations(
    *,
    request: Request,
    web: WebState,
    caller: MayAudit,
    kind: Kind | None = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> shapes.ActivationList:
    """Which network, norms, policy and rules are in force, and every change of them, newest first."""
    found = _list(web, kind, cursor, limit)
    web.audit(request, caller.actor, "activations_listed", detail={"rows": len(found.items)})
    return found


@api_router.post("/activations")
def post_activation(
    request: Request, web: WebState, caller: MayActivate, order: shapes.ActivationOrder
) -> shapes.ActivationShape:
    """Put a network, norms, a policy or rules into force, or propose it where two people are asked."""
    return shapes.ActivationShape.model_validate(_propose(request, web, caller, order))


@api_router.post("/activations/{activation_id}/confirm")
def post_confirm(
    request: Request, web: WebState, caller: MayActivate, activation_id: ActivationId
) -> shapes.ActivationShape:
    """Put what another administrator proposed into force."""
    return shapes.ActivationShape.model_validate(_confirm(request, web, caller, activation_id))


@api_router.post("/activations/{activation_id}/refuse")
def post_refuse(
    request: Request,
    web: WebState,
    caller: MayActivate,
    activation_id: ActivationId,
    order: shapes.ActivationReason,
) -> shapes.ActivationShape:
    """Refuse what was proposed, also by oneself."""
    done = _refuse(request, web, caller, activation_id, order.reason)
    return shapes.ActivationShape.model_validate(done)


@api_router.post("/activations/{activation_id}/roll-back")
def post_roll_back(
    request: Request,
    web: WebState,
    caller: MayActivate,
    activation_id: ActivationId,
    order: shapes.ActivationReason,
) -> shapes.ActivationShape:
    """Put into force again what was before this one, which must be in force."""
    done = _roll_back(request, web, caller, activation_id, order.reason)
    return shapes.ActivationShape.model_validate(done)


@page_router.get("/activations")
def activations_page(request: Request, web: WebState, caller: MayAudit, cursor: Cursor = None) -> Response:
    """What is in force, what waits for a confirmation, and what was before."""
    web.audit(request, caller.actor, "activations_listed")
    return pages.render(
        request,
        "activations.html",
        caller,
        found=_list(web, None, cursor, PAGE),
        choices=equipment.choices(site_of(web).models_dir),
    )


@page_router.post("/activations")
def propose_form(
    *,
    request: Request,
    web: WebState,
    caller: MayActivate,
    csrf_token: FormToken,
    kind: Annotated[Kind, Form()],
    name: Annotated[str, Form(max_length=LONGEST_NAME)] = "",
    reason: Reason = "",
) -> Response:
    """Put something into force, or propose it."""
    require_token(caller, csrf_token)
    order = shapes.ActivationOrder.model_construct(kind=kind, name=name, reason=reason)
    return _shown(_propose(request, web, caller, order))


@page_router.post("/activations/{activation_id}/confirm")
def confirm_form(
    request: Request, web: WebState, caller: MayActivate, activation_id: ActivationId, csrf_token: FormToken
) -> Response:
    """Confirm a proposal."""
    require_token(caller, csrf_token)
    return _shown(_confirm(request, web, caller, activation_id))


@page_router.post("/activations/{activation_id}/refuse")
def refuse_form(
    *,
    request: Request,
    web: WebState,
    caller: MayActivate,
    activation_id: ActivationId,
    csrf_token: FormToken,
    reason: Reason = "",
) -> Response:
    """Refuse a proposal."""
    require_token(caller, csrf_token)
    return _shown(_refuse(request, web, caller, activation_id, reason))


@page_router.post("/activations/{activation_id}/roll-back")
def roll_back_form(
    *,
    request: Request,
    web: WebState,
    caller: MayActivate,
    activation_id: ActivationId,
    csrf_token: FormToken,
    reason: Reason = "",
) -> Response:
    """Go back to what was in force before."""
    require_token(caller, csrf_token)
    return _shown(_roll_back(request, web, caller, activation_id, reason))


def _shown(facts: ActivationFacts) -> Response:
    """The page again, which says what happened."""
    state = ActivationState(facts.state)
    return see_other(f"/activations?notice=activation_{state.value}")
