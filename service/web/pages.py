"""How pages are rendered, and the timeline that the analysis page shows."""

from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from service import __version__
from service.core.finding import Finding
from service.db.shapes import AnalysisDetail, DeliveryFacts
from service.files import sha256_of
from service.web import words
from service.web.auth import Caller
from service.web.problems import Problem
from service.web.schemas import RESEARCH_USE

_HERE = Path(__file__).parent


def _environment() -> Environment:
    """Templates that escape everything and fail on a misspelt name."""
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words.install(environment)
    environment.globals.update(
        research_use=RESEARCH_USE,
        version=__version__,
        # A new file has a new address, so that browsers never mix versions.
        stamp=sha256_of(_HERE / "static" / "style.css")[:8] + sha256_of(_HERE / "static" / "page.js")[:8],
    )
    return environment


_templates = Jinja2Templates(env=_environment())


def render(
    request: Request, name: str, caller: Caller | None, *, status_code: int = 200, **values: Any
) -> Response:
    """One page."""
    notice = words.NOTICES.get(request.query_params.get("notice", ""))
    context = {"caller": caller, "notice": notice, **values}
    return _templates.TemplateResponse(request, name, context, status_code=status_code)


def error_page(request: Request, problem: Problem) -> Response:
    """An answer other than success, for people."""
    caller = getattr(request.state, "caller", None)
    return render(request, "error.html", caller, status_code=int(problem.status), problem=problem)


def shown(detail: AnalysisDetail) -> dict[str, Any]:
    """The finding with every key that a page asks for, all empty while there is none."""
    empty: dict[str, Any] = dict.fromkeys(field.name for field in fields(Finding))
    return empty | {"reasons": [], "scores": [], "flags": [], "quality": []} | (detail.finding or {})


@dataclass(frozen=True, kw_only=True)
class Step:
    """One point of a timeline."""

    at: datetime | None
    title: str
    note: str = ""


def timeline(detail: AnalysisDetail) -> list[Step]:
    """From the first image to the last delivery, in the order in which it happened."""
    steps = [*_arrival(detail)]
    steps.append(Step(at=detail.created_at, title="Ready for analysis", note=f"version {detail.version}"))
    if detail.started_at is not None:
        steps.append(Step(at=detail.started_at, title="Analysis started", note=f"attempt {detail.attempt}"))
    if detail.finished_at is not None:
        outcome = detail.state if detail.finding is None else detail.finding.get("status", detail.state)
        steps.append(Step(at=detail.finished_at, title="Analysis finished", note=words.word(outcome)))
    for peer in sorted({delivery.peer for delivery in detail.deliveries}):
        steps.extend(_delivery(peer, [item for item in detail.deliveries if item.peer == peer]))
    return sorted(steps, key=lambda step: (step.at is None, step.at or detail.created_at))


def _arrival(detail: AnalysisDetail) -> list[Step]:
    """How the images came in."""
    if not detail.inputs:
        return []
    first = min(item.first_at for item in detail.inputs)
    last = max(item.last_at for item in detail.inputs)
    senders = ", ".join(sorted({item.calling_ae for item in detail.inputs if item.calling_ae}))
    steps = [
        Step(at=first, title="First image received", note=f"from {senders}" if senders else ""),
        Step(at=last, title="Last image received", note=f"{detail.images} images"),
    ]
    closed = [item for item in detail.inputs if item.closed_at is not None]
    if closed:
        item = max(closed, key=lambda one: one.closed_at or first)
        note = words.word(item.completion_reason, words.COMPLETION)
        steps.append(Step(at=item.closed_at, title="Series taken as complete", note=note))
    return steps


def _delivery(peer: str, deliveries: list[DeliveryFacts]) -> list[Step]:
    """How the objects reached one peer."""
    arrived = [item for item in deliveries if item.state in {"sent", "confirmed"}]
    sent = [item.sent_at for item in arrived if item.sent_at is not None]
    confirmed = [item.confirmed_at for item in deliveries if item.confirmed_at is not None]
    count = len(deliveries)
    steps = []
    if sent:
        steps.append(Step(at=max(sent), title=f"Stored by {peer}", note=f"{len(sent)} of {count} objects"))
    if confirmed:
        note = f"{len(confirmed)} of {count} objects"
        steps.append(Step(at=max(confirmed), title=f"Confirmed by {peer}", note=note))
    if len(sent) < count:
        waiting = sum(item.state in {"pending", "sending"} for item in deliveries)
        dead = sum(item.state == "dead" for item in deliveries)
        note = ", ".join(
            part
            for part in (f"{waiting} waiting" if waiting else "", f"{dead} given up" if dead else "")
            if part
        )
        steps.append(Step(at=None, title=f"Not yet stored by {peer}", note=note))
    return steps
