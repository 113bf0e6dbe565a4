"""Reviews of drawings and the worklist of raised flags: the REST interface and the pages of both."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request, Response

from service.core.edited_statistics import agreements
from service.core.status import FLAG_STEPS, LONGEST_COMMENT, VERDICTS, Handling
from service.db import edit_cases, holding, reviews, worklist
from service.db.session import reading
from service.web import api, pages
from service.web import reviewing_shapes as shapes
from service.web.account import see_other
from service.web.api import CONFLICT, PROBLEMS, AnalysisId, Cursor, Limit
from service.web.auth import (
    Caller,
    FormToken,
    MayResults,
    MayReview,
    check_api_token,
    require_token,
)
from service.web.context import Web, WebState, client_address
from service.web.paging import cut
from service.web.problems import not_found

api_router = APIRouter(prefix="/api/v1", dependencies=[Depends(check_api_token)], responses=PROBLEMS)
page_router = APIRouter(include_in_schema=False)

PAGE = 50
#: What the worklist shows unless asked otherwise: what nobody has finished with.
UNFINISHED = (Handling.OPEN, Handling.HANDED_OVER)


def review(
    request: Request, web: Web, caller: Caller, analysis_id: int, order: shapes.ReviewOrder
) -> shapes.Reviewed:
    """Write down what a reader says."""
    with web.sessions.begin() as session:
        let_go = reviews.add(
            session,
            analysis_id,
            verdict=order.verdict,
            actor=caller.actor,
            now=web.clock(),
            comment=order.comment,
            address=client_address(request),
        )
    if let_go is None:
        raise not_found("analysis")
    return shapes.Reviewed(
        id=analysis_id,
        verdict=order.verdict,
        deliveries=let_go,
        withdrawn=order.verdict == "reject",
        href=f"/api/v1/analyses/{analysis_id}",
    )


def handle(request: Request, web: Web, caller: Caller, analysis_id: int, order: shapes.StepOrder) -> None:
    """Write down what somebody does about raised flags."""
    with web.sessions.begin() as session:
        known = worklist.add(
            session,
            analysis_id,
            step=order.step,
            actor=caller.actor,
            now=web.clock(),
            comment=order.comment,
            to_user=order.to_user,
            address=client_address(request),
        )
    if not known:
        raise not_found("analysis")


@api_router.get("/analyses/{analysis_id}/reviews", tags=["reviews"])
def get_reviews(
    *,
    request: Request,
    web: WebState,
    caller: MayResults,
    analysis_id: AnalysisId,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> shapes.ReviewList:
    """What readers said of the drawing of this result."""
    api.load(web, analysis_id)
    with reading(web.sessions) as session:
        found = reviews.of_analysis(session, analysis_id, before=api.before(cursor), limit=limit + 1)
        accepted = holding.is_accepted(session, analysis_id)
    api.note_access(request, web, caller, "reviews_viewed", analysis_id)
    shown, next_cursor = cut(found, limit, lambda each: each.id)
    return shapes.ReviewList.model_validate(
        {"accepted": accepted, "items": shown, "next_cursor": next_cursor}
    )


@api_router.post("/analyses/{analysis_id}/reviews", tags=["reviews"], responses=CONFLICT)
def post_review(
    request: Request, web: WebState, caller: MayReview, analysis_id: AnalysisId, order: shapes.ReviewOrder
) -> shapes.Reviewed:
    """Say what the drawing is like: accepted, what was held goes out; rejected, the result is withdrawn."""
    return review(request, web, caller, analysis_id, order)


@api_router.get("/reviews", tags=["reviews"])
def get_review_summary(
    request: Request, web: WebState, caller: MayResults, cursor: Cursor = None
) -> shapes.ReviewSummary:
    """What waits for a review, what readers said and how far they agree, and what came back edited."""
    return _summary(request, web, caller, cursor)


def _summary(request: Request, web: Web, caller: Caller, cursor: str | None) -> shapes.ReviewSummary:
    web.audit(request, caller.actor, "reviews_listed")
    with reading(web.sessions) as session:
        found = reviews.waiting(session, before=api.before(cursor), limit=PAGE + 1)
        return shapes.ReviewSummary.model_validate(
            {
                "waiting": found[:PAGE],
                "next_cursor": str(found[PAGE - 1]) if len(found) > PAGE else None,
                "tallies": reviews.tallies(session),
                "agreement": reviews.agreement(session),
                "edited": agreements(edit_cases.cases(session)),
                "edits": edit_cases.latest(session),
            }
        )


@api_router.get("/worklist", tags=["worklist"])
def get_worklist(
    *,
    request: Request,
    web: WebState,
    caller: MayResults,
    handling: Annotated[list[Handling] | None, Query()] = None,
    mine: bool = False,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> shapes.Worklist:
    """Current results with a raised flag, newest first; a raised flag is a research finding, not an alarm."""
    return _worklist(request, web, caller, tuple(handling or ()), mine=mine, cursor=cursor, limit=limit)


def _worklist(
    request: Request,
    web: Web,
    caller: Caller,
    handlings: tuple[Handling, ...],
    *,
    mine: bool,
    cursor: str | None,
    limit: int = PAGE,
) -> shapes.Worklist:
    with reading(web.sessions) as session:
        rows = worklist.list_flagged(
            session,
            handlings=handlings,
            to_user=caller.actor if mine else None,
            before=api.before(cursor),
            limit=limit + 1,
        )
        counts = worklist.counts(session)
    web.audit(request, caller.actor, "worklist_listed", detail={"rows": len(rows[:limit])})
    more = str(rows[limit - 1].analysis_id) if len(rows) > limit else None
    return shapes.Worklist.model_validate({"counts": counts, "items": rows[:limit], "next_cursor": more})


@api_router.get("/analyses/{analysis_id}/flags", tags=["worklist"])
def get_steps(
    *,
    request: Request,
    web: WebState,
    caller: MayResults,
    analysis_id: AnalysisId,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> shapes.StepList:
    """What was done about the raised flags of this result."""
    api.load(web, analysis_id)
    api.note_access(request, web, caller, "flags_viewed", analysis_id)
    return _steps(web, analysis_id, before=api.before(cursor), limit=limit)


def _steps(web: Web, analysis_id: int, *, before: int | None = None, limit: int = PAGE) -> shapes.StepList:
    with reading(web.sessions) as session:
        found = worklist.steps(session, analysis_id, before=before, limit=limit + 1)
    shown, next_cursor = cut(found, limit, lambda step: step.id)
    return shapes.StepList.model_validate({"items": shown, "next_cursor": next_cursor})


@api_router.post("/analyses/{analysis_id}/flags", tags=["worklist"], responses=CONFLICT)
def post_step(
    request: Request, web: WebState, caller: MayReview, analysis_id: AnalysisId, order: shapes.StepOrder
) -> shapes.StepList:
    """Acknowledge, dismiss, hand over, comment or reopen the raised flags of this result."""
    handle(request, web, caller, analysis_id, order)
    return _steps(web, analysis_id)


@page_router.get("/worklist")
def worklist_page(
    *,
    request: Request,
    web: WebState,
    caller: MayResults,
    show: Annotated[str, Query(max_length=16)] = "",
    mine: bool = False,
    cursor: Cursor = None,
) -> Response:
    """Raised flags and who looks after them."""
    chosen = next((known for known in Handling if known == show), None)
    handlings = () if show == "all" else UNFINISHED if chosen is None else (chosen,)
    found = _worklist(request, web, caller, handlings, mine=mine, cursor=cursor)
    return pages.render(request, "worklist.html", caller, found=found, show=show, mine=mine)


@page_router.get("/reviews")
def reviews_page(request: Request, web: WebState, caller: MayResults, cursor: Cursor = None) -> Response:
    """What waits for a review, and what readers said."""
    found = _summary(request, web, caller, cursor)
    with reading(web.sessions) as session:
        since = reviews.finished(session, found.waiting)
    return pages.render(request, "reviews.html", caller, found=found, since=since, verdicts=VERDICTS)


@page_router.post("/analyses/{analysis_id}/review")
def review_form(
    *,
    request: Request,
    web: WebState,
    caller: MayReview,
    analysis_id: AnalysisId,
    csrf_token: FormToken,
    verdict: Annotated[str, Form(max_length=8)] = "",
    comment: Annotated[str, Form(max_length=LONGEST_COMMENT)] = "",
) -> Response:
    """Say what the drawing is like."""
    require_token(caller, csrf_token)
    known = next((each for each in VERDICTS if each == verdict), None)
    if known is None:
        return see_other(f"/analyses/{analysis_id}?notice=review_needs_verdict#review")
    review(request, web, caller, analysis_id, shapes.ReviewOrder(verdict=known, comment=comment))
    return see_other(f"/analyses/{analysis_id}?notice=review_{known}#review")


@page_router.post("/analyses/{analysis_id}/flags")
def step_form(
    *,
    request: Request,
    web: WebState,
    caller: MayReview,
    analysis_id: AnalysisId,
    csrf_token: FormToken,
    step: Annotated[str, Form(max_length=16)] = "",
    comment: Annotated[str, Form(max_length=LONGEST_COMMENT)] = "",
    to_user: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Do something about the raised flags."""
    require_token(caller, csrf_token)
    known = next((each for each in FLAG_STEPS if each == step), None)
    if known is None:
        return see_other(f"/analyses/{analysis_id}?notice=flag_step_needed#flags")
    if known in worklist.NEEDS_COMMENT and not comment.strip():
        return see_other(f"/analyses/{analysis_id}?notice=flag_comment_needed#flags")
    if known == "hand_over" and not to_user.strip():
        return see_other(f"/analyses/{analysis_id}?notice=flag_taker_needed#flags")
    handle(request, web, caller, analysis_id, shapes.StepOrder(step=known, comment=comment, to_user=to_user))
    return see_other(f"/analyses/{analysis_id}?notice=flags_handled#flags")


def people_of(web: Web) -> list[str]:
    """Names that flags can be handed over to."""
    with reading(web.sessions) as session:
        return worklist.takers(session)
