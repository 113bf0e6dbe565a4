"""The REST interface, as docs/reference promises it."""

import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from service.core.circuit import CircuitState
from service.core.status import AnalysisState, DeliveryState
from service.db import circuits, deliveries, optouts, orders, overview, retention, views, withdrawals
from service.db import reissue as reissuing
from service.db.session import reading
from service.db.shapes import AnalysisDetail
from service.errors import InvalidRequest
from service.pipeline.rescoring import order_rescore
from service.settings import Peer
from service.web import monitor, results, schemas
from service.web.auth import Caller, MayAudit, MayOperate, MayResults, MayStatus, check_api_token
from service.web.context import Web, WebState, client_address
from service.web.problems import Problem, not_found

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": status.phrase,
        "content": {"application/problem+json": {"schema": schemas.ProblemDetails.model_json_schema()}},
    }
    for status in (
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    )
}
CONFLICT: dict[int | str, dict[str, Any]] = {
    HTTPStatus.CONFLICT: {
        "description": "It cannot be done now.",
        "content": {"application/problem+json": {"schema": schemas.ProblemDetails.model_json_schema()}},
    }
}

router = APIRouter(prefix="/api/v1", dependencies=[Depends(check_api_token)], responses=PROBLEMS)

#: Rows a call returns at most; chosen by us, because a list row is about one kilobyte.
LARGEST_PAGE = 200
#: The largest id that PostgreSQL's BIGINT and SQLite's INTEGER hold.
LARGEST_ID = 2**63 - 1
#: DICOM PS3.5 9.1: digits and dots, 64 characters at most.
UID_PATTERN = r"^[0-9.]{1,64}$"

Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE)]
Cursor = Annotated[
    str | None, Query(pattern=r"^[1-9][0-9]{0,17}$", description="next_cursor of the last page")
]
AnalysisId = Annotated[int, Path(ge=1, le=LARGEST_ID)]


def before(cursor: str | None) -> int | None:
    """The id that a cursor stands for."""
    return None if cursor is None else int(cursor)


def in_utc(at: datetime | None) -> datetime | None:
    """The time with its zone; without one it is taken as UTC."""
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


def load(web: Web, analysis_id: int) -> AnalysisDetail:
    """One analysis, or the answer that there is none."""
    with reading(web.sessions) as session:
        detail = views.analysis_detail(session, analysis_id)
    if detail is None:
        raise not_found("analysis")
    return detail


def note_access(
    request: Request, web: Web, caller: Caller, action: str, analysis_id: int, **detail: object
) -> None:
    """Write down who looked at what."""
    web.audit(
        request,
        caller.actor,
        action,
        object_type="analysis",
        object_id=analysis_id,
        detail=detail or None,
    )


@router.get("/status", tags=["status"])
def get_status(web: WebState, caller: MayStatus) -> schemas.Status:
    """The state of the service on one page; no patient data."""
    del caller
    return monitor.status(web)


@router.get("/analyses", tags=["analyses"])
def get_analyses(
    *,
    request: Request,
    web: WebState,
    caller: MayResults,
    state: Annotated[list[AnalysisState] | None, Query()] = None,
    flag: Annotated[
        str | None,
        Query(pattern=r"^[a-z0-9_]{1,64}$", description="a flag's code, or `raised`, or `none`"),
    ] = None,
    from_at: Annotated[datetime | None, Query(alias="from", description="made ready at or after")] = None,
    to_at: Annotated[datetime | None, Query(alias="to", description="made ready before")] = None,
    uid: Annotated[str | None, Query(pattern=UID_PATTERN, description="study or series UID")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> schemas.AnalysisPage:
    """Analyses, newest first. No patient name or id: only internal ids, UIDs and measures."""
    query = views.AnalysisQuery(
        states=tuple(state or ()), flag=flag, from_at=in_utc(from_at), to_at=in_utc(to_at), uid=uid
    )
    with reading(web.sessions) as session:
        page = views.list_analyses(session, query, before_id=before(cursor), limit=limit)
    web.audit(request, caller.actor, "analyses_listed", detail={"rows": len(page.items)})
    return schemas.AnalysisPage(
        items=[schemas.AnalysisItem.model_validate(row) for row in page.items],
        next_cursor=str(page.next_cursor) if page.next_cursor else None,
    )


@router.get("/analyses/{analysis_id}", tags=["analyses"])
def get_analysis(
    request: Request, web: WebState, caller: MayResults, analysis_id: AnalysisId
) -> schemas.AnalysisShape:
    """One analysis, patient included."""
    detail = load(web, analysis_id)
    note_access(request, web, caller, "analysis_viewed", analysis_id)
    shape = schemas.AnalysisShape.model_validate(detail)
    for output, facts in zip(shape.outputs, detail.outputs, strict=True):
        output.href = f"/api/v1/analyses/{analysis_id}/outputs/{output.kind.lower()}{facts.query}"
    return shape


@router.get("/analyses/{analysis_id}/events", tags=["analyses"])
def get_events(
    request: Request, web: WebState, caller: MayResults, analysis_id: AnalysisId
) -> schemas.EventList:
    """What happened to an analysis and to the series that went in, oldest first."""
    load(web, analysis_id)
    with reading(web.sessions) as session:
        events = views.list_events(session, analysis_id)
    note_access(request, web, caller, "events_viewed", analysis_id)
    return schemas.EventList(items=[schemas.EventItem.model_validate(event) for event in events])


@router.get("/analyses/{analysis_id}/finding", tags=["analyses"])
def get_finding(
    request: Request, web: WebState, caller: MayResults, analysis_id: AnalysisId
) -> dict[str, Any]:
    """The finding as published (schema ``myoscreen.finding/1``)."""
    detail = load(web, analysis_id)
    if detail.finding is None:
        raise Problem(HTTPStatus.NOT_FOUND, "no_finding", f"The analysis is {detail.state}; no finding yet.")
    note_access(request, web, caller, "finding_viewed", analysis_id)
    return detail.finding


@router.get(
    "/analyses/{analysis_id}/outputs/{kind}",
    tags=["analyses"],
    response_class=Response,
    responses={200: {"content": {"application/dicom": {"schema": {"type": "string", "format": "binary"}}}}},
)
def get_output(
    *,
    request: Request,
    web: WebState,
    caller: MayResults,
    analysis_id: AnalysisId,
    kind: Annotated[str, Path(description="seg, sr, sc, pdf or gsps; of a withdrawal sr or kos")],
    withdrawal: Annotated[bool, Query(description="what tells that the result is withdrawn")] = False,
    station: Annotated[
        int, Query(ge=1, le=1000, description="of a scan in stations, from the most caudal one that counts")
    ] = 1,
) -> Response:
    """One DICOM object, byte for byte as it is delivered."""
    wanted = results.output_kind(kind)
    load(web, analysis_id)
    with reading(web.sessions) as session:
        output = views.output_of(session, analysis_id, wanted, withdrawal=withdrawal, station=station)
    if output is None:
        raise not_found("output")
    content = results.read_output(web, output)
    note_access(request, web, caller, "output_exported", analysis_id, kind=str(wanted))
    number = f"-{station}" if station > 1 else ""
    name = f"myoscreen-{analysis_id}-{wanted.lower()}{number}.dcm"
    return Response(
        content,
        media_type="application/dicom",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def rerun(request: Request, web: Web, caller: Caller, analysis_id: int) -> int:
    """Order a rerun and write it down; return the new analysis.

    Of a patient who opted out it is refused, so that the result stays what it is.
    """
    with web.sessions.begin() as session:
        if optouts.lists_analysis(session, web.settings.home, analysis_id):
            raise InvalidRequest("The patient has opted out.", reason="opted_out")
        ordered = orders.order_rerun(session, analysis_id, now=web.clock())
    if ordered is None:
        raise not_found("analysis")
    note_access(request, web, caller, "rerun_ordered", analysis_id, new=ordered)
    return ordered


@router.post(
    "/analyses/{analysis_id}/rerun", tags=["analyses"], status_code=HTTPStatus.ACCEPTED, responses=CONFLICT
)
def post_rerun(
    request: Request, web: WebState, caller: MayOperate, analysis_id: AnalysisId
) -> schemas.Accepted:
    """Analyse the same stacks again, as a new version that supersedes this one."""
    ordered = rerun(request, web, caller, analysis_id)
    return schemas.Accepted(id=ordered, state=AnalysisState.READY, href=f"/api/v1/analyses/{ordered}")


def rescore(request: Request, web: Web, caller: Caller, analysis_id: int) -> int:
    """Order new scores of stored measures and write it down; return the new analysis."""
    ordered = order_rescore(web.sessions, analysis_id, home=web.settings.home, now=web.clock())
    if ordered is None:
        raise not_found("analysis")
    note_access(request, web, caller, "rescore_ordered", analysis_id, new=ordered)
    return ordered


@router.post(
    "/analyses/{analysis_id}/rescore", tags=["analyses"], status_code=HTTPStatus.ACCEPTED, responses=CONFLICT
)
def post_rescore(
    request: Request, web: WebState, caller: MayOperate, analysis_id: AnalysisId
) -> schemas.Accepted:
    """Score the stored measures by the norms and policy of now, as a new version; no image is needed."""
    ordered = rescore(request, web, caller, analysis_id)
    return schemas.Accepted(id=ordered, state=AnalysisState.READY, href=f"/api/v1/analyses/{ordered}")


def withdraw(
    request: Request, web: Web, caller: Caller, analysis_id: int, order: schemas.WithdrawalOrder
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
    order: schemas.WithdrawalOrder,
) -> schemas.Accepted:
    """Take a result back: whoever was sent it is told by a superseding report and a rejection note."""
    withdraw(request, web, caller, analysis_id, order)
    state = load(web, analysis_id).state
    return schemas.Accepted(id=analysis_id, state=state, href=f"/api/v1/analyses/{analysis_id}")


def reissue(request: Request, web: Web, caller: Caller, analysis_id: int) -> None:
    """Let images that came again under another identity take the place of those of this study."""
    with web.sessions.begin() as session:
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
) -> schemas.Accepted:
    """Analyse images anew under the other identity under which they came again."""
    reissue(request, web, caller, analysis_id)
    state = load(web, analysis_id).state
    return schemas.Accepted(id=analysis_id, state=state, href=f"/api/v1/analyses/{analysis_id}")


def hold(request: Request, web: Web, caller: Caller, analysis_id: int, reason: str) -> None:
    """Keep everything of the study of an analysis."""
    study_id = load(web, analysis_id).study_id
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
    study_id = load(web, analysis_id).study_id
    with web.sessions.begin() as session:
        retention.release_hold(
            session, study_id, actor=caller.actor, now=web.clock(), address=client_address(request)
        )


@router.get("/holds", tags=["holds"])
def get_holds(request: Request, web: WebState, caller: MayResults) -> schemas.HoldList:
    """Studies of which nothing is deleted."""
    web.audit(request, caller.actor, "holds_listed")
    with reading(web.sessions) as session:
        return schemas.HoldList.model_validate({"items": retention.list_holds(session)})


@router.post(
    "/analyses/{analysis_id}/hold", tags=["holds"], status_code=HTTPStatus.NO_CONTENT, responses=CONFLICT
)
def post_hold(
    request: Request, web: WebState, caller: MayOperate, analysis_id: AnalysisId, order: schemas.HoldOrder
) -> None:
    """Keep everything of the study of this analysis, whatever the times to keep say."""
    hold(request, web, caller, analysis_id, order.reason)


@router.post(
    "/analyses/{analysis_id}/release", tags=["holds"], status_code=HTTPStatus.NO_CONTENT, responses=CONFLICT
)
def post_release(request: Request, web: WebState, caller: MayOperate, analysis_id: AnalysisId) -> None:
    """Take the hold off the study of this analysis."""
    release(request, web, caller, analysis_id)


@router.get("/deliveries", tags=["deliveries"])
def get_deliveries(
    *,
    request: Request,
    web: WebState,
    caller: MayResults,
    state: Annotated[list[DeliveryState] | None, Query()] = None,
    peer: Annotated[str | None, Query(max_length=64)] = None,
    analysis_id: Annotated[int | None, Query(ge=1, le=LARGEST_ID)] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> schemas.DeliveryPage:
    """Deliveries, newest first."""
    with reading(web.sessions) as session:
        page = views.list_deliveries(
            session,
            analysis_id=analysis_id,
            states=tuple(state or ()),
            peer=peer,
            before_id=before(cursor),
            limit=limit,
        )
    web.audit(request, caller.actor, "deliveries_listed", detail={"rows": len(page.items)})
    return schemas.DeliveryPage(
        items=[schemas.DeliveryItem.model_validate(item) for item in page.items],
        next_cursor=str(page.next_cursor) if page.next_cursor else None,
    )


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
) -> schemas.Accepted:
    """Send an object again that was given up, or send a waiting one now."""
    analysis_id = retry(request, web, caller, delivery_id)
    return schemas.Accepted(
        id=delivery_id, state=DeliveryState.PENDING, href=f"/api/v1/deliveries?analysis_id={analysis_id}"
    )


@router.get("/peers", tags=["peers"])
def get_peers(web: WebState, caller: MayStatus) -> schemas.PeerList:
    """The peers of the settings, and how deliveries to each stand."""
    del caller
    with reading(web.sessions) as session:
        traffic, facts = overview.peer_traffic(session), circuits.all_circuits(session)
    return schemas.PeerList(items=monitor.peers(web, traffic, facts))


def known_peer(web: Web, name: str) -> Peer:
    """A peer of the settings."""
    peer = next((peer for peer in web.settings.peer if peer.name == name), None)
    if peer is None:
        raise not_found("peer")
    return peer


def reset_peer(request: Request, web: Web, caller: Caller, name: str) -> None:
    """Have everything that waits for a peer go at once, and write it down."""
    peer = known_peer(web, name)
    with web.sessions.begin() as session:
        circuits.reset(
            session, peer.name, actor=caller.actor, now=web.clock(), address=client_address(request)
        )


def retry_peer(request: Request, web: Web, caller: Caller, name: str) -> int:
    """Send everything again that was given up for a peer, and write it down; how many objects."""
    peer = known_peer(web, name)
    with web.sessions.begin() as session:
        count = orders.order_retry_of_peer(session, peer.name, now=web.clock())
    web.audit(
        request,
        caller.actor,
        "peer_retry_ordered",
        object_type="peer",
        object_id=peer.name,
        detail={"deliveries": count},
    )
    return count


def give_up_peer(request: Request, web: Web, caller: Caller, name: str) -> int:
    """Give up all that waits for a peer, of the settings or not, and write it down; how many objects."""
    with web.sessions.begin() as session:
        count = deliveries.give_up_peer(session, name)
    if not count:
        known_peer(web, name)
    web.audit(
        request,
        caller.actor,
        "peer_given_up",
        object_type="peer",
        object_id=name,
        detail={"deliveries": count},
    )
    return count


def echo(request: Request, web: Web, caller: Caller, name: str) -> float:
    """C-ECHO a peer of the settings and write it down; return the seconds it took."""
    peer = known_peer(web, name)
    if peer.port is None:
        raise Problem(
            HTTPStatus.CONFLICT, "peer_without_port", "This peer has no port, so there is nothing to C-ECHO."
        )
    web.audit(request, caller.actor, "peer_echoed", object_type="peer", object_id=peer.name)
    started = time.perf_counter()
    web.neighbours.echo(peer, web.settings)
    return time.perf_counter() - started


@router.post(
    "/peers/{name}/echo",
    tags=["peers"],
    responses={
        **CONFLICT,
        HTTPStatus.BAD_GATEWAY: {**CONFLICT[HTTPStatus.CONFLICT], "description": "It did not answer."},
    },
)
def post_echo(
    request: Request, web: WebState, caller: MayOperate, name: Annotated[str, Path(max_length=64)]
) -> schemas.EchoResult:
    """C-ECHO a peer, now."""
    return schemas.EchoResult(peer=name, ok=True, seconds=round(echo(request, web, caller, name), 3))


@router.post("/peers/{name}/reset", tags=["peers"])
def post_reset(
    request: Request, web: WebState, caller: MayOperate, name: Annotated[str, Path(max_length=64)]
) -> schemas.PeerReset:
    """Forget that a peer could not be reached: everything that waits for it goes at once."""
    reset_peer(request, web, caller, name)
    return schemas.PeerReset(peer=name, circuit=CircuitState.CLOSED)


@router.post("/peers/{name}/retry", tags=["peers"], status_code=HTTPStatus.ACCEPTED)
def post_retry_all(
    request: Request, web: WebState, caller: MayOperate, name: Annotated[str, Path(max_length=64)]
) -> schemas.PeerRetried:
    """Send everything again that was given up for a peer."""
    return schemas.PeerRetried(peer=name, deliveries=retry_peer(request, web, caller, name))


@router.post("/peers/{name}/give-up", tags=["peers"])
def post_give_up(
    request: Request, web: WebState, caller: MayOperate, name: Annotated[str, Path(max_length=64)]
) -> schemas.PeerGivenUp:
    """Give up everything that waits for a peer, also for one that is no longer in the settings."""
    return schemas.PeerGivenUp(peer=name, deliveries=give_up_peer(request, web, caller, name))


@router.get("/audit", tags=["audit"])
def get_audit(
    *,
    request: Request,
    web: WebState,
    caller: MayAudit,
    actor: Annotated[str | None, Query(max_length=80)] = None,
    action: Annotated[str | None, Query(max_length=64)] = None,
    object_type: Annotated[str | None, Query(max_length=32)] = None,
    object_id: Annotated[str | None, Query(max_length=64)] = None,
    from_at: Annotated[datetime | None, Query(alias="from")] = None,
    to_at: Annotated[datetime | None, Query(alias="to")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> schemas.AuditPage:
    """The audit record, newest first."""
    with reading(web.sessions) as session:
        page = overview.list_audit(
            session,
            actor=actor,
            action=action,
            object_type=object_type,
            object_id=object_id,
            from_at=in_utc(from_at),
            to_at=in_utc(to_at),
            before_id=before(cursor),
            limit=limit,
        )
    web.audit(request, caller.actor, "audit_viewed", object_type="audit")
    return schemas.AuditPage(
        items=[schemas.AuditItem.model_validate(item) for item in page.items],
        next_cursor=str(page.next_cursor) if page.next_cursor else None,
    )
