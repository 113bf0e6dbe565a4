"""Rules and opt-out list: the REST interface and the pages of both."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Request, Response

from service.core.rules import Rules
from service.db import choices, optouts, population
from service.db.session import reading
from service.errors import ConfigurationError, Reason
from service.pipeline.references import read_rules
from service.web import choosing_shapes, pages
from service.web.account import see_other
from service.web.activating_site import settings_in_force
from service.web.api import LARGEST_ID, PROBLEMS, Cursor, Limit, before
from service.web.auth import (
    Caller,
    FormToken,
    MayOperate,
    MayResults,
    MayStatus,
    check_api_token,
    require_token,
)
from service.web.context import Web, WebState, client_address
from service.web.neighbours import models_dir
from service.web.paging import cut
from service.web.problems import not_found

api_router = APIRouter(prefix="/api/v1", dependencies=[Depends(check_api_token)], responses=PROBLEMS)
page_router = APIRouter(include_in_schema=False)

LineId = Annotated[int, Path(ge=1, le=LARGEST_ID)]


def rules_in_force(web: Web) -> Rules:
    """The rules that were activated, as they stand in their file now."""
    settings = settings_in_force(web)
    return read_rules(models_dir(settings), settings.rules)


def add(request: Request, web: Web, caller: Caller, order: choosing_shapes.OptOutOrder) -> bool:
    """Put a patient on the list; False where he or she is on it already."""
    with web.sessions.begin() as session:
        new = optouts.add(
            session,
            web.settings.home,
            (order.patient_id, order.issuer),
            reason=order.reason,
            actor=caller.actor,
            now=web.clock(),
            address=client_address(request),
        )
        population.follow_opt_outs(session, web.settings.home)
    return new


def remove_line(request: Request, web: Web, caller: Caller, line_id: int) -> None:
    """Take a line off the list."""
    with web.sessions.begin() as session:
        gone = optouts.remove_line(
            session, line_id, actor=caller.actor, now=web.clock(), address=client_address(request)
        )
        population.follow_opt_outs(session, web.settings.home)
    if not gone:
        raise not_found("line of the list")


def _lines(
    request: Request, web: Web, caller: Caller, *, before: int | None = None, limit: int | None = None
) -> list[optouts.OptOutFacts]:
    web.audit(request, caller.actor, "opt_outs_listed")
    with reading(web.sessions) as session:
        return optouts.lines(session, before=before, limit=limit)


@api_router.get("/rules", tags=["rules"])
def get_rules(web: WebState, caller: MayStatus) -> choosing_shapes.RulesShape:
    """The rules that choose which of the eligible images are measured."""
    del caller
    rules = rules_in_force(web)
    return choosing_shapes.RulesShape(
        id=rules.id,
        version=rules.version,
        sha256=rules.sha256,
        take=rules.take,
        rules=[
            choosing_shapes.RuleShape(
                name=rule.name,
                skip=rule.skip,
                when=[condition.words for condition in rule.conditions],
                prefer=[each.words for each in rule.prefer],
                reason=rule.reason,
            )
            for rule in rules.rules
        ],
    )


@api_router.get("/opt-outs", tags=["opt-outs"])
def get_opt_outs(
    request: Request, web: WebState, caller: MayOperate, cursor: Cursor = None, limit: Limit = 50
) -> choosing_shapes.OptOutList:
    """The opt-out list; who is on it is kept as hashes and cannot be told."""
    found = _lines(request, web, caller, before=before(cursor), limit=limit + 1)
    shown, next_cursor = cut(found, limit, lambda line: line.id)
    return choosing_shapes.OptOutList.model_validate({"items": shown, "next_cursor": next_cursor})


@api_router.post("/opt-outs", tags=["opt-outs"])
def post_opt_out(
    request: Request, web: WebState, caller: MayOperate, order: choosing_shapes.OptOutOrder
) -> choosing_shapes.OptOutChanged:
    """Analyse no image of this patient from now on; results that exist stay, and are not sent any more."""
    return choosing_shapes.OptOutChanged(changed=add(request, web, caller, order))


@api_router.post("/opt-outs/remove", tags=["opt-outs"])
def post_opt_in(
    request: Request, web: WebState, caller: MayOperate, order: choosing_shapes.OptOutEnd
) -> choosing_shapes.OptOutChanged:
    """Take a patient off the list, given as he or she was put on it."""
    with web.sessions.begin() as session:
        changed = optouts.remove(
            session,
            web.settings.home,
            (order.patient_id, order.issuer),
            actor=caller.actor,
            now=web.clock(),
            address=client_address(request),
        )
        population.follow_opt_outs(session, web.settings.home)
    return choosing_shapes.OptOutChanged(changed=changed)


@page_router.get("/rules")
def rules_page(request: Request, web: WebState, caller: MayStatus) -> Response:
    """The rules in words; no patient data."""
    rules: Rules | None = None
    problem: Reason | None = None
    try:
        rules = rules_in_force(web)
    except ConfigurationError as error:
        problem = error.reason
    return pages.render(request, "rules.html", caller, rules=rules, problem=problem)


@page_router.get("/studies/{study_id}/choice")
def choice_page(request: Request, web: WebState, caller: MayResults, study_id: LineId) -> Response:
    """Which rule and which attribute decided for every stack of a study."""
    with reading(web.sessions) as session:
        stacks = choices.told(session, study_id)
    if not stacks:
        raise not_found("study")
    web.audit(request, caller.actor, "choice_viewed", object_type="study", object_id=study_id)
    return pages.render(request, "choice.html", caller, stacks=stacks)


@page_router.get("/opt-outs")
def opt_outs_page(request: Request, web: WebState, caller: MayOperate) -> Response:
    """The opt-out list and its forms."""
    return pages.render(request, "optouts.html", caller, lines=_lines(request, web, caller))


@page_router.post("/opt-outs")
def opt_out(
    *,
    request: Request,
    web: WebState,
    caller: MayOperate,
    csrf_token: FormToken,
    patient_id: Annotated[str, Form(max_length=64)] = "",
    issuer: Annotated[str, Form(max_length=64)] = "",
    reason: Annotated[str, Form(max_length=256)] = "",
) -> Response:
    """Put a patient on the list; who it is stays out of URLs, logs and the audit record."""
    require_token(caller, csrf_token)
    if not patient_id.strip():
        return see_other("/opt-outs?notice=opt_out_needs_patient")
    order = choosing_shapes.OptOutOrder(patient_id=patient_id, issuer=issuer, reason=reason)
    added = add(request, web, caller, order)
    return see_other(f"/opt-outs?notice={'opt_out_added' if added else 'opt_out_known'}")


@page_router.post("/opt-outs/{line_id}/remove", status_code=HTTPStatus.SEE_OTHER)
def opt_in(
    request: Request, web: WebState, caller: MayOperate, line_id: LineId, csrf_token: FormToken
) -> Response:
    """Take a line off the list."""
    require_token(caller, csrf_token)
    remove_line(request, web, caller, line_id)
    return see_other("/opt-outs?notice=opt_out_removed")
