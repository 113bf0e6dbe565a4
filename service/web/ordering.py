"""What a person or a program orders: another version, a withdrawal, a hold, an object sent again.

The functions are what pages share with the REST interface.
"""

from http import HTTPStatus

from fastapi import APIRouter, Depends, Request

from service.core.status import AnalysisState, DeliveryState
from service.db import optouts, orders, replays, retention, withdrawals
from service.db import reissue as reissuing
from service.db.session import Session, reading
from service.errors import InvalidRequest
from service.pipeline.rescoring import order_rescore
from service.web import api, ordering_shapes
from service.web.api import CONFLICT, PROBLEMS, AnalysisId, Cursor, Limit
from service.web.auth import Caller, MayOperate, MayResults, check_api_token
from service.web.context import Web, WebState, client_address
from service.web.paging import cut
from service.web.problems import not_found

router = APIRouter(prefix="/api/v1", dependencies=[Depends(check_api_token)], responses=PROBLEMS)


def rerun(request: Request, web: Web, caller: Caller, analysis_id: int) -> int:
    """Order a rerun and write it down; return the new analysis.

    Of a patient who opted out it is refused, so that the result stays what it is.
    """
    with web.sessions.begin() as session:
        _refuse_opted_out(session, web, analysis_id)
        ordered = orders.order_rerun(session, analysis_id, now=web.clock())
    if ordered is None:
        raise not_found("analysis")
    api.note_access(request, web, caller, "rerun_ordered", analysis_id, new=ordered)
    return ordered


def _refuse_opted_out(session: Session, web: Web, analysis_id: int) -> None:
    """Raise where the analysis is of a patient on the list."""
    if optouts.lists_analysis(session, web.settings.home, analysis_id):
        raise InvalidRequest("The patient has opted out.", reason="opted_out")


@router.post(
    "/analyses/{analysis_id}/rerun", tags=["analyses"], status_code=HTTPStatus.ACCEPTED, responses=CONFLICT
)
def post_rerun(
    request: Request, web: WebState, caller: MayOperate, analysis_id: AnalysisId
) -> ordering_shapes.Accepted:
    """Analyse the same stacks again, as a new version that supersedes this one."""
    ordered = rerun(request, web, caller, analysis_id)
    return ordering_shapes.Accepted(id=ordered, state=AnalysisState.READY, href=f"/api/v1/analyses/{ordered}")


def rescore(request: Request, web: Web, caller: Caller, analysis_id: int) -> int:
    """Order new scores of stored measures and write it down; return the new analysis."""
    ordered = order_rescore(web.sessions, analysis_id, home=web.settings.home, now=web.clock())
    if ordered is None:
        raise not_found("analysis")
    api.note_access(request, web, caller, "rescore_ordered", analysis_id, new=ordered)
    return ordered


@router.post(
    "/analyses/{analysis_id}/rescore", tags=["analyses"], status_code=HTTPStatus.ACCEPTED, responses=CONFLICT
)
def post_rescore(
    request: Request, web: WebState, caller: MayOperate, analysis_id: AnalysisId
) -> ordering_shapes.Accepted:
    """Score the stored measures by the norms and policy of now, as a new version; no image is needed."""
    ordered = rescore(request, web, caller, analysis_id)
    return ordering_shapes.Accepted(id=ordered, state=AnalysisState.READY, href=f"/api/v1/analyses/{ordered}")


def replay(request: Request, web: Web, caller: Caller, analysis_id: int) -> None:
    """Order a replay and write it down; its outcome is an event of the analysis.

    Of a patient who opted out it is refused.
    """
    with web.sessions.begin() as session:
        _refuse_opted_out(session, web, analysis_id)
        ordered = replays.order(session, analysis_id, actor=caller.actor, now=web.clock())
    if ordered is None:
        raise not_found("analysis")
    api.note_access(request, web, caller, "replay_ordered", analysis_id)


@router.post(
    "/analyses/{analysis_id}/replay", tags=["analyses"], status_code=HTTPStatus.ACCEPTED, responses=CONFLICT
)
def post_replay(
    request: Request, web: WebState, caller: MayOperate, analysis_id: AnalysisId
) -> ordering_shapes.Accepted:
    """Run the analysis again and compare it bit for bit with this version; nothing is published.

    The outcome is an event of this analysis, named "replayed".
    """
    replay(request, web, caller, analysis_id)
    href, state = f"/api/v1/analyses/{analysis_id}/events", api.load(web, analysis_id).state
    return ordering_shapes.Accepted(id=analysis_id, state=state, href=href)


def withdraw(
    request: Request, web: Web, caller: Caller, analysis_id: int, order: ordering_shapes.WithdrawalOrder
) -> None:
    """Take a result back and write it down; the worker tells the peers."""
    with web.sessions.begin() as session:
        found = withdrawals.withdraw(
            session,
            analysis_id,
            reason=order.reason,
            comment=order.comment,
            actor=caller.actor,
            now=web.clock(),
            address=client_address(request),
        )
    if not found:
        raise not_found("analysis")


@router.post(
    "/analyses/{analysis_id}/withdraw",
    tags=["analyses"],
    status_code=HTTPStatus.ACCEPTED,
    responses=CONFLICT,
)
def post_withdraw(
    request: Request,
    web: WebState,
    caller: MayOperate,
    analysis_id: AnalysisId,
    order: ordering_shapes.WithdrawalOrder,
) -> ordering_shapes.Accepted:
    """Take a result back: whoever was sent it is told by a superseding report and a rejection note."""
    withdraw(request, web, caller, analysis_id, order)
    state = api.load(web, analysis_id).state
    return ordering_shapes.Accepted(id=analysis_id, state=state, href=f"/api/v1/analyses/{analysis_id}")


def reissue(request: Request, web: Web, caller: Caller, analysis_id: int) -> None:
    """Let images that came again under another identity take the place of those of this study.

    Of a patient who opted out it is refused: the list would not know the images any more.
    """
    with web.sessions.begin() as session:
        _refuse_opted_out(session, web, analysis_id)
        done = reissuing.reissue(
            session, analysis_id, actor=caller.actor, now=web.clock(), address=client_address(request)
        )
    if done is None:
        raise not_found("analysis")


@router.post(
    "/analyses/{analysis_id}/reissue",
    tags=["analyses"],
    status_code=HTTPStatus.ACCEPTED,
    responses=CONFLICT,
)
def post_reissue(
    request: Request, web: WebState, caller: MayOperate, analysis_id: AnalysisId
) -> ordering_shapes.Accepted:
    """Analyse images anew under the other identity under which they came again."""
    reissue(request, web, caller, analysis_id)
    state = api.load(web, analysis_id).state
    return ordering_shapes.Accepted(id=analysis_id, state=state, href=f"/api/v1/analyses/{analysis_id}")


def hold(request: Request, web: Web, caller: Caller, analysis_id: int, reason: str) -> None:
    """Keep everything of the study of an analysis."""
    study_id = api.load(web, analysis_id).study_id
    with web.sessions.begin() as session:
        retention.set_hold(
            session,
            study_id,
            reason=reason,
            actor=caller.actor,
            now=web.clock(),
            address=client_address(request),
        )


def release(request: Request, web: Web, caller: Caller, analysis_id: int) -> None:
    """Let the study of an analysis go after its time again."""
    study_id = api.load(web, analysis_id).study_id
    with web.sessions.begin() as session:
        retention.release_hold(
            session, study_id, actor=caller.actor, now=web.clock(), address=client_address(request)
        )


@router.get("/holds", tags=["holds"])
def get_holds(
    request: Request, web: WebState, caller: MayResults, cursor: Cursor = None, limit: Limit = 50
) -> ordering_shapes.HoldList:
    """Studies of which nothing is deleted."""
    web.audit(request, caller.actor, "holds_listed")
    with reading(web.sessions) as session:
        found = retention.list_holds(session, after=api.before(cursor), limit=limit + 1)
    shown, next_cursor = cut(found, limit, lambda hold: hold.study_id)
    return ordering_shapes.HoldList.model_validate({"items": shown, "next_cursor": next_cursor})


@router.post(
    "/analyses/{analysis_id}/hold", tags=["holds"], status_code=HTTPStatus.NO_CONTENT, responses=CONFLICT
)
def post_hold(
    request: Request,
    web: WebState,
    caller: MayOperate,
    analysis_id: AnalysisId,
    order: ordering_shapes.HoldOrder,
) -> None:
    """Keep everything of the study of this analysis, whatever the times to keep say."""
    hold(request, web, caller, analysis_id, order.reason)


@router.post(
    "/analyses/{analysis_id}/release", tags=["holds"], status_code=HTTPStatus.NO_CONTENT, responses=CONFLICT
)
def post_release(request: Request, web: WebState, caller: MayOperate, analysis_id: AnalysisId) -> None:
    """Take the hold off the study of this analysis."""
    release(request, web, caller, analysis_id)


def retry(request: Request, web: Web, caller: Caller, delivery_id: int) -> int:
    """Order a retry and write it down; return the analysis."""
    with web.sessions.begin() as session:
        analysis_id = orders.order_retry(session, delivery_id, now=web.clock())
    if analysis_id is None:
        raise not_found("delivery")
    web.audit(
        request,
        caller.actor,
        "delivery_retry_ordered",
        object_type="delivery",
        object_id=delivery_id,
        detail={"analysis": analysis_id},
    )
    return analysis_id


@router.post(
    "/deliveries/{delivery_id}/retry",
    tags=["deliveries"],
    status_code=HTTPStatus.ACCEPTED,
    responses=CONFLICT,
)
def post_retry(
    request: Request, web: WebState, caller: MayOperate, delivery_id: AnalysisId
) -> ordering_shapes.Accepted:
    """Send an object again that was given up, or send a waiting one now."""
    analysis_id = retry(request, web, caller, delivery_id)
    return ordering_shapes.Accepted(
        id=delivery_id, state=DeliveryState.PENDING, href=f"/api/v1/deliveries?analysis_id={analysis_id}"
    )
