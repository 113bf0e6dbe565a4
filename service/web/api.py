"""The REST interface, as docs/reference promises it: what is read, and what its other modules share."""

import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import AfterValidator, BeforeValidator

from service.core.status import AnalysisState, DeliveryState
from service.db import listing, overview, views
from service.db.session import reading
from service.db.shapes import AnalysisDetail
from service.web import monitor, monitor_shapes, results, schemas
from service.web.auth import Caller, MayAudit, MayResults, MayStatus, check_api_token
from service.web.context import Web, WebState
from service.web.paging import cut
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


def _written_out(text: object) -> object:
    """The text of a moment, which must begin with its day: a bare number says nothing about its unit."""
    if isinstance(text, str) and not re.match(r"\d{4}-\d\d-\d\d", text):
        raise ValueError("A moment is written as in RFC 3339.")
    return text


def _in_utc(at: datetime) -> datetime:
    """The moment in UTC; without a zone it is taken as UTC. Raises ValueError beyond the years 1 to 9999."""
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("This is beyond the calendar.") from error


#: A moment of RFC 3339; a day alone is its beginning in UTC.
Moment = Annotated[datetime, BeforeValidator(_written_out), AfterValidator(_in_utc)]


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
def get_status(web: WebState, caller: MayStatus) -> monitor_shapes.Status:
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
    from_at: Annotated[Moment | None, Query(alias="from", description="made ready at or after")] = None,
    to_at: Annotated[Moment | None, Query(alias="to", description="made ready before")] = None,
    uid: Annotated[str | None, Query(pattern=UID_PATTERN, description="study or series UID")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> schemas.AnalysisPage:
    """Analyses, newest first. No patient name or id: only internal ids, UIDs and measures."""
    query = listing.AnalysisQuery(states=tuple(state or ()), flag=flag, from_at=from_at, to_at=to_at, uid=uid)
    with reading(web.sessions) as session:
        page = listing.list_analyses(session, query, before_id=before(cursor), limit=limit)
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
    *,
    request: Request,
    web: WebState,
    caller: MayResults,
    analysis_id: AnalysisId,
    cursor: Cursor = None,
    limit: Limit = LARGEST_PAGE,
) -> schemas.EventList:
    """What happened to an analysis and to the series that went in, oldest first."""
    load(web, analysis_id)
    with reading(web.sessions) as session:
        events = views.list_events(session, analysis_id)
    note_access(request, web, caller, "events_viewed", analysis_id)
    # Events are only ever added at the end, so their places are lasting cursors.
    numbered = list(enumerate(events, 1))[before(cursor) or 0 :]
    shown, next_cursor = cut(numbered, limit, lambda event: event[0])
    items = [schemas.EventItem.model_validate(event) for _, event in shown]
    return schemas.EventList(items=items, next_cursor=next_cursor)


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
    responses={
        HTTPStatus.OK: {"content": {"application/dicom": {"schema": {"type": "string", "format": "binary"}}}},
        HTTPStatus.GONE: {"description": "The file is not there any more."},
    },
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
    from_at: Annotated[Moment | None, Query(alias="from")] = None,
    to_at: Annotated[Moment | None, Query(alias="to")] = None,
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
            from_at=from_at,
            to_at=to_at,
            before_id=before(cursor),
            limit=limit,
        )
    web.audit(request, caller.actor, "audit_viewed", object_type="audit")
    return schemas.AuditPage(
        items=[schemas.AuditItem.model_validate(item) for item in page.items],
        next_cursor=str(page.next_cursor) if page.next_cursor else None,
    )
