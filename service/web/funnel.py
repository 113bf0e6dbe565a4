"""The funnel: how far what was received has come, why the rest has not, and which studies those are."""

from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from service.core import explained
from service.core.funnel import STEPS, Funnel, Place
from service.core.language import IN, Language
from service.db import funnel as ledger
from service.db import ledger as counting
from service.db.session import reading
from service.web import pages, population_funnel, schemas
from service.web.api import PROBLEMS, Cursor, Limit, before
from service.web.auth import MayResults, MayStatus, Permission, check_api_token
from service.web.context import WebState
from service.web.language import language_of, speaker

api_router = APIRouter(prefix="/api/v1", dependencies=[Depends(check_api_token)], responses=PROBLEMS)
page_router = APIRouter(include_in_schema=False)

#: Studies on one page.
ROWS: Final = 25


class Window(StrEnum):
    """Of what is counted: what began to arrive in this time."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    ALL = "all"


LENGTHS: Final = MappingProxyType(
    {
        Window.HOUR: timedelta(hours=1),
        Window.DAY: timedelta(days=1),
        Window.WEEK: timedelta(days=7),
        Window.MONTH: timedelta(days=30),
    }
)
WINDOW_NAMES: Final = MappingProxyType(
    {
        Window.HOUR: ("last hour", "letzte Stunde"),
        Window.DAY: ("last day", "letzter Tag"),
        Window.WEEK: ("last 7 days", "letzte 7 Tage"),
        Window.MONTH: ("last 30 days", "letzte 30 Tage"),
        Window.ALL: ("all", "alles"),
    }
)
ReasonCode = Annotated[str | None, Query(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class FunnelReport(schemas.Shape):
    """The funnel of one time window; no patient data."""

    at: datetime
    window: Window
    since: datetime | None = Field(description="What began to arrive then or later; null: everything.")
    steps: schemas.FunnelShape
    under_way: int = Field(description="Things that are not at an end yet.")
    losses: list[schemas.LossShape]


class ThingShape(schemas.Shape):
    """One input set of a study, or a series that is not sorted into input sets."""

    place: Place
    name: str
    reason: str | None
    text: str
    detail: str | None = Field(description="The reason with its values.")
    analysis_id: int | None
    contrast: str | None
    region: str | None


class FunnelStudy(schemas.Shape):
    """One study; no name and no patient ID."""

    study_uid: str
    received_at: datetime | None
    senders: list[str]
    things: list[ThingShape]


class FunnelStudies(schemas.Shape):
    """Some studies, newest first."""

    items: list[FunnelStudy]
    next_cursor: str | None


def since(window: Window, now: datetime) -> datetime | None:
    """The beginning of a window."""
    return now - LENGTHS[window] if window in LENGTHS else None


def _study(facts: ledger.StudyFacts, language: Language) -> FunnelStudy:
    return FunnelStudy(
        study_uid=facts.study_uid,
        received_at=facts.received_at,
        senders=list(facts.senders),
        things=[_thing(each, language) for each in facts.things],
    )


def _thing(facts: ledger.ThingFacts, language: Language) -> ThingShape:
    code, text = facts.reason_code, facts.reason_text
    return ThingShape(
        place=Place(facts.place),
        name=explained.place_name(Place(facts.place), language),
        reason=code,
        text=explained.explain(Place(facts.place), code, language),
        detail=IN[language].reason(code or "", text) if text else None,
        analysis_id=facts.analysis_id,
        contrast=facts.contrast,
        region=facts.region,
    )


@api_router.get("/funnel", tags=["funnel"])
def get_funnel(
    web: WebState, caller: MayStatus, window: Window = Window.ALL, language: Language = "en"
) -> FunnelReport:
    """How far what was received has come, and why the rest has not. No patient data."""
    del caller
    now = web.clock()
    with reading(web.sessions) as session:
        found = ledger.funnel(session, since=since(window, now))
    return FunnelReport(
        at=now,
        window=window,
        since=since(window, now),
        steps=schemas.FunnelShape.model_validate(found),
        under_way=found.under_way,
        losses=[schemas.LossShape.told(loss, language) for loss in found.losses],
    )


@api_router.get("/funnel/studies", tags=["funnel"])
def get_funnel_studies(
    *,
    request: Request,
    web: WebState,
    caller: MayResults,
    window: Window = Window.ALL,
    place: Place | None = None,
    reason: ReasonCode = None,
    language: Language = "en",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> FunnelStudies:
    """The studies behind a number of the funnel, newest first, each with everything of it."""
    wanted = ledger.Wanted(since=since(window, web.clock()), place=place, reason=reason)
    with reading(web.sessions) as session:
        page = ledger.list_studies(session, wanted, before_id=before(cursor), limit=limit)
    web.audit(request, caller.actor, "funnel_studies_listed", detail={"rows": len(page.items)})
    return FunnelStudies(
        items=[_study(each, language) for each in page.items],
        next_cursor=str(page.next_cursor) if page.next_cursor else None,
    )


@page_router.get("/funnel")
def funnel_page(
    *,
    request: Request,
    web: WebState,
    caller: MayStatus,
    window: Annotated[str, Query(max_length=8)] = "",
    place: Annotated[str, Query(max_length=32)] = "",
    reason: ReasonCode = None,
    cursor: Cursor = None,
) -> Response:
    """The counts by step, what was lost between them, and the studies; these for who may see results."""
    chosen = Window(window) if window in set(Window) else Window.WEEK
    where = Place(place) if place in set(Place) else None
    language = language_of(request)
    wanted = ledger.Wanted(since=since(chosen, web.clock()), place=where, reason=reason if where else None)
    shows_studies = caller.may(Permission.RESULTS)
    with reading(web.sessions) as session:
        found = ledger.funnel(session, since=wanted.since)
        page = (
            ledger.list_studies(session, wanted, before_id=before(cursor), limit=ROWS)
            if shows_studies
            else None
        )
        counters = counting.counters(session)
    if page is not None:
        web.audit(request, caller.actor, "funnel_studies_listed", detail={"rows": len(page.items)})
    kept = {"window": chosen, "place": where or "", "reason": wanted.reason or ""}

    def link(**changes: object) -> str:
        values = {**kept, **changes}
        return "/funnel?" + urlencode({name: value for name, value in values.items() if value})

    return pages.render(
        request,
        "funnel.html",
        caller,
        funnel=found,
        rows=_rows(found, language),
        drawn=population_funnel.funnel(found, speaker(request)),
        studies=None if page is None else [_study(each, language) for each in page.items],
        next_link=link(cursor=page.next_cursor) if page is not None and page.next_cursor else None,
        first_page=cursor is None,
        window=chosen,
        windows={each: explained.said(names, language) for each, names in WINDOW_NAMES.items()},
        place=where,
        about=None if where is None else explained.explain(where, wanted.reason, language),
        place_name=None if where is None else explained.place_name(where, language),
        not_kept=_not_kept(counters, language),
        link=link,
    )


def _rows(found: Funnel, language: Language) -> list[dict[str, Any]]:
    """The steps in order, each after what did not reach it."""
    rows: list[dict[str, Any]] = []
    for step in STEPS:
        rows += [{"loss": schemas.LossShape.told(loss, language)} for loss in found.missing(step)]
        rows.append({"step": explained.step_name(step, language), "count": found.counts[step]})
    return rows


def _not_kept(counters: dict[str, int], language: Language) -> list[tuple[str, int]]:
    """Objects that were not kept, in words."""
    return [
        (explained.said(both, language), counters[name])
        for name, both in explained.NOT_KEPT.items()
        if counters.get(name)
    ]
