"""The pages: list, analysis, comparison, status, audit."""

from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import Field

from service.core.status import LONGEST_COMMENT, WITHDRAWAL_REASONS, AnalysisState
from service.db import conflicts, listing, overview, replays, reviews, views, worklist
from service.db.funnel import funnel as count_funnel
from service.db.session import reading
from service.errors import DeliveryError
from service.web import api, codes, finding_svg, monitor, ordering, pages, peering, results, reviewing, slices
from service.web.account import see_other
from service.web.api import AnalysisId, Cursor, before
from service.web.auth import FormToken, MayAudit, MayOperate, MayResults, MayStatus, require_token
from service.web.context import WebState
from service.web.funnel import LENGTHS, Window
from service.web.language import language_of, speaker
from service.web.ordering_shapes import WithdrawalOrder
from service.web.population import tables_in_force
from service.web.problems import not_found
from service.web.viewer import viewer_link

router = APIRouter(include_in_schema=False)
error_page = pages.error_page

ROWS = 25
StudyId = Annotated[int, Field(ge=1, le=api.LARGEST_ID)]
#: Studies that one look-up may bring; a patient rarely has more.
STUDIES_FOUND = 20


def _day(text: str) -> datetime | None:
    """The start of a day in UTC, None without one; what is not a day with a next one counts as none."""
    try:
        day = date.fromisoformat(text) if text else date.max
    except ValueError:
        return None
    return datetime.combine(day, datetime.min.time(), UTC) if day < date.max else None


@router.get("/")
def list_page(
    *,
    request: Request,
    web: WebState,
    caller: MayResults,
    state: str = "",
    flag: Annotated[str, Query(pattern=r"^[a-z0-9_]{0,64}$")] = "",
    from_day: Annotated[str, Query(alias="from", max_length=10)] = "",
    to_day: Annotated[str, Query(alias="to", max_length=10)] = "",
    study: Annotated[list[StudyId] | None, Query()] = None,
    cursor: Cursor = None,
) -> Response:
    """The list of analyses; no patient name, no patient id."""
    wanted = state if state in set(AnalysisState) else ""
    to_at = _day(to_day)
    query = listing.AnalysisQuery(
        states=(wanted,) if wanted else (),
        flag=flag or None,
        from_at=_day(from_day),
        to_at=to_at + timedelta(days=1) if to_at else None,
        study_ids=tuple(study or ())[:STUDIES_FOUND],
        with_superseded=False,
    )
    with reading(web.sessions) as session:
        page = listing.list_analyses(session, query, before_id=before(cursor), limit=ROWS)
        funnel = count_funnel(session, since=web.clock() - LENGTHS[Window.MONTH])
    web.audit(request, caller.actor, "analyses_listed", detail={"rows": len(page.items)})
    filters: dict[str, Any] = {"state": wanted, "flag": flag, "from": from_day, "to": to_day}
    kept = [(key, value) for key, value in filters.items() if value] + [("study", one) for one in study or ()]
    return pages.render(
        request,
        "list.html",
        caller,
        page=page,
        funnel=funnel,
        filters=filters,
        studies=study or [],
        filtered=bool(kept),
        first_page=cursor is None,
        first_link="/?" + urlencode(kept) if kept else "/",
        next_link="/?" + urlencode([*kept, ("cursor", page.next_cursor)]) if page.next_cursor else None,
    )


@router.post("/find")
def find(
    request: Request,
    web: WebState,
    caller: MayResults,
    csrf_token: FormToken,
    term: Annotated[str, Form(max_length=256)] = "",
) -> Response:
    """Look a study up; what was looked for stays out of URLs, logs and the audit record."""
    require_token(caller, csrf_token)
    cleaned = term.strip()
    with reading(web.sessions) as session:
        found = listing.find_studies(session, cleaned, limit=STUDIES_FOUND) if cleaned else []
    web.audit(request, caller.actor, "study_looked_up", detail={"found": len(found)})
    if not found:
        return see_other("/?notice=nothing_found")
    return see_other("/?" + urlencode([("study", one) for one in found]))


@router.get("/analyses/{analysis_id}")
def analysis_page(
    *,
    request: Request,
    web: WebState,
    caller: MayResults,
    analysis_id: AnalysisId,
    place: Annotated[int | None, Query(alias="slice", ge=1, le=slices.MOST_SLICES)] = None,
    overlay: Annotated[Literal["0", "1"], Query()] = "1",
) -> Response:
    """Everything about one analysis."""
    detail = api.load(web, analysis_id)
    with reading(web.sessions) as session:
        events = views.list_events(session, analysis_id)
        again = conflicts.came_again(session, [item.series_id for item in detail.inputs])
        said = reviews.of_analysis(session, analysis_id)
        replay_order = replays.latest(session, analysis_id)
        handled = worklist.steps(session, analysis_id)
        tables = tables_in_force(web, session)
    api.note_access(request, web, caller, "analysis_viewed", analysis_id)
    return pages.render(
        request,
        "analysis.html",
        caller,
        detail=detail,
        again=again,
        reviews=said,
        handled=handled,
        readers=reviewing.people_of(web),
        finding=pages.shown(detail),
        charts=finding_svg.charts(detail.finding or {}, tables, speaker(request)),
        steps=pages.timeline(detail, speaker(request)),
        events=events,
        rescored=next((event for event in events if event.name == "rescore_ordered"), None),
        replays=[event for event in events if event.name == "replayed"],
        replay=replay_order,
        may_replay=detail.replayable,
        slices=slices.shown(web, detail, wanted=place, overlay=overlay == "1"),
        viewer=viewer_link(web.settings.viewer_url, detail),
        pictures=results.pictures(web, detail),
        has_report=results.result_file(web, detail, results.REPORT) is not None,
        may_rerun=all(item.state not in {"ready", "running"} for item in detail.versions),
    )


@router.get("/analyses/{analysis_id}/pictures/{name}")
def picture(
    request: Request, web: WebState, caller: MayResults, analysis_id: AnalysisId, name: str
) -> Response:
    """One picture of a result."""
    detail = api.load(web, analysis_id)
    path = results.result_file(web, detail, name) if name in codes.PICTURES else None
    if path is None:
        raise not_found("picture")
    api.note_access(request, web, caller, "picture_viewed", analysis_id, name=name)
    return FileResponse(path, media_type="image/png")


@router.get("/analyses/{analysis_id}/report.pdf")
def report(request: Request, web: WebState, caller: MayResults, analysis_id: AnalysisId) -> Response:
    """The report for reading, as a plain PDF."""
    path = results.result_file(web, api.load(web, analysis_id), results.REPORT)
    if path is None:
        raise not_found("report")
    api.note_access(request, web, caller, "report_viewed", analysis_id)
    name = f"myoscreen-{analysis_id}.pdf"
    return FileResponse(path, media_type="application/pdf", filename=name, content_disposition_type="inline")


@router.get("/compare/{left_id}/{right_id}")
def compare_page(
    request: Request, web: WebState, caller: MayResults, left_id: AnalysisId, right_id: AnalysisId
) -> Response:
    """Two versions of one analysis, side by side."""
    left, right = api.load(web, left_id), api.load(web, right_id)
    if right.id not in {version.id for version in left.versions}:
        raise not_found("pair of versions")
    for detail in (left, right):
        api.note_access(request, web, caller, "analysis_viewed", detail.id)
    return pages.render(
        request,
        "compare.html",
        caller,
        left=left,
        right=right,
        left_pictures=results.pictures(web, left),
        right_pictures=results.pictures(web, right),
        a=pages.shown(left),
        b=pages.shown(right),
    )


@router.post("/analyses/{analysis_id}/rerun")
def rerun(
    request: Request, web: WebState, caller: MayOperate, analysis_id: AnalysisId, csrf_token: FormToken
) -> Response:
    """Analyse the same stacks again."""
    require_token(caller, csrf_token)
    ordered = ordering.rerun(request, web, caller, analysis_id)
    return see_other(f"/analyses/{ordered}?notice=rerun_ordered")


@router.post("/analyses/{analysis_id}/rescore")
def rescore(
    request: Request, web: WebState, caller: MayOperate, analysis_id: AnalysisId, csrf_token: FormToken
) -> Response:
    """Score the stored measures again."""
    require_token(caller, csrf_token)
    ordered = ordering.rescore(request, web, caller, analysis_id)
    return see_other(f"/analyses/{ordered}?notice=rescore_ordered")


@router.post("/analyses/{analysis_id}/replay")
def replay(
    request: Request, web: WebState, caller: MayOperate, analysis_id: AnalysisId, csrf_token: FormToken
) -> Response:
    """Run this analysis again and compare."""
    require_token(caller, csrf_token)
    ordering.replay(request, web, caller, analysis_id)
    return see_other(f"/analyses/{analysis_id}?notice=replay_ordered")


@router.post("/analyses/{analysis_id}/withdraw")
def withdraw(
    *,
    request: Request,
    web: WebState,
    caller: MayOperate,
    analysis_id: AnalysisId,
    csrf_token: FormToken,
    reason: Annotated[str, Form(max_length=16)] = "",
    comment: Annotated[str, Form(max_length=LONGEST_COMMENT)] = "",
) -> Response:
    """Take this result back."""
    require_token(caller, csrf_token)
    known = next((each for each in WITHDRAWAL_REASONS if each == reason), None)
    if known is None:
        return see_other(f"/analyses/{analysis_id}?notice=withdrawal_needs_reason#withdraw")
    ordering.withdraw(request, web, caller, analysis_id, WithdrawalOrder(reason=known, comment=comment))
    return see_other(f"/analyses/{analysis_id}?notice=withdrawn")


@router.post("/analyses/{analysis_id}/hold")
def hold(
    *,
    request: Request,
    web: WebState,
    caller: MayOperate,
    analysis_id: AnalysisId,
    csrf_token: FormToken,
    reason: Annotated[str, Form(max_length=256)] = "",
) -> Response:
    """Keep everything of this study."""
    require_token(caller, csrf_token)
    if not reason.strip():
        return see_other(f"/analyses/{analysis_id}?notice=hold_needs_reason#keeping")
    ordering.hold(request, web, caller, analysis_id, reason)
    return see_other(f"/analyses/{analysis_id}?notice=hold_set#keeping")


@router.post("/analyses/{analysis_id}/release")
def release(
    request: Request, web: WebState, caller: MayOperate, analysis_id: AnalysisId, csrf_token: FormToken
) -> Response:
    """Take the hold off this study."""
    require_token(caller, csrf_token)
    ordering.release(request, web, caller, analysis_id)
    return see_other(f"/analyses/{analysis_id}?notice=hold_released#keeping")


@router.post("/analyses/{analysis_id}/reissue")
def reissue(
    request: Request, web: WebState, caller: MayOperate, analysis_id: AnalysisId, csrf_token: FormToken
) -> Response:
    """Analyse images anew under the other identity under which they came again."""
    require_token(caller, csrf_token)
    ordering.reissue(request, web, caller, analysis_id)
    return see_other(f"/analyses/{analysis_id}?notice=identity_reissued")


@router.post("/deliveries/{delivery_id}/retry")
def retry(
    request: Request, web: WebState, caller: MayOperate, delivery_id: AnalysisId, csrf_token: FormToken
) -> Response:
    """Send an object again."""
    require_token(caller, csrf_token)
    analysis_id = ordering.retry(request, web, caller, delivery_id)
    return see_other(f"/analyses/{analysis_id}?notice=retry_ordered#deliveries")


@router.get("/status")
def status_page(request: Request, web: WebState, caller: MayStatus) -> Response:
    """The state of the service, for those who keep it running; no patient data."""
    return pages.render(request, "status.html", caller, status=monitor.status(web, language_of(request)))


@router.post("/peers/{name}/echo")
def echo(request: Request, web: WebState, caller: MayOperate, name: str, csrf_token: FormToken) -> Response:
    """C-ECHO a peer."""
    require_token(caller, csrf_token)
    try:
        peering.echo(request, web, caller, name)
    except DeliveryError:
        return see_other("/status?notice=echo_failed#peers")
    return see_other("/status?notice=echo_ok#peers")


@router.post("/peers/{name}/reset")
def reset(request: Request, web: WebState, caller: MayOperate, name: str, csrf_token: FormToken) -> Response:
    """Have everything that waits for a peer go at once."""
    require_token(caller, csrf_token)
    peering.reset_peer(request, web, caller, name)
    return see_other("/status?notice=peer_reset#peers")


@router.post("/peers/{name}/retry")
def retry_all(
    request: Request, web: WebState, caller: MayOperate, name: str, csrf_token: FormToken
) -> Response:
    """Send everything again that was given up for a peer."""
    require_token(caller, csrf_token)
    peering.retry_peer(request, web, caller, name)
    return see_other("/status?notice=peer_retried#peers")


@router.get("/audit")
def audit_page(
    *,
    request: Request,
    web: WebState,
    caller: MayAudit,
    actor: Annotated[str, Query(max_length=80)] = "",
    action: Annotated[str, Query(max_length=64)] = "",
    from_day: Annotated[str, Query(alias="from", max_length=10)] = "",
    to_day: Annotated[str, Query(alias="to", max_length=10)] = "",
    cursor: Cursor = None,
) -> Response:
    """Who did what, newest first."""
    from_at, last = _day(from_day), _day(to_day)
    to_at = last + timedelta(days=1) if last else None
    with reading(web.sessions) as session:
        page = overview.list_audit(
            session,
            actor=actor or None,
            action=action or None,
            from_at=from_at,
            to_at=to_at,
            before_id=before(cursor),
            limit=2 * ROWS,
        )
        actions = overview.audit_actions(session)
    web.audit(request, caller.actor, "audit_viewed", object_type="audit")
    filters = {"actor": actor, "action": action, "from": from_day, "to": to_day}
    kept = [(key, value) for key, value in filters.items() if value]
    next_link = "/audit?" + urlencode([*kept, ("cursor", page.next_cursor)]) if page.next_cursor else None
    days = {"from": from_at, "to": to_at}
    window = {name: at.strftime("%Y-%m-%dT%H:%M:%SZ") for name, at in days.items() if at is not None}
    return pages.render(
        request,
        "audit.html",
        caller,
        page=page,
        actions=actions,
        filters=filters,
        next_link=next_link,
        export_link="/api/v1/audit/export?" + urlencode({"format": "csv", **window}),
    )


@router.api_route("/favicon.ico", methods=["GET"], status_code=HTTPStatus.NO_CONTENT)
def favicon() -> Response:
    """No icon; public."""
    return Response(status_code=HTTPStatus.NO_CONTENT)
