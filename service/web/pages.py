"""How pages are rendered, and the timeline that the analysis page shows."""

from dataclasses import dataclass, fields
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from service import __version__
from service.core.finding import Finding
from service.core.language import Language
from service.db.shapes import AnalysisDetail, DeliveryFacts
from service.files import sha256_of
from service.web import language, word_tables, words
from service.web.auth import Caller
from service.web.language import Speaker
from service.web.problems import Problem
from service.web.schemas import RESEARCH_USE

_HERE = Path(__file__).parent


def _environment(spoken: Language) -> Environment:
    """Templates of one language, which escape everything and fail on a misspelt name."""
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words.install(environment, spoken)
    environment.globals.update(
        research_use=RESEARCH_USE,
        version=__version__,
        # A new file has a new address, so that browsers never mix versions.
        stamp="".join(
            sha256_of(_HERE / "static" / name)[:8] for name in ("style.css", "page.js", "slices.js")
        ),
    )
    return environment


_templates = {spoken: Jinja2Templates(env=_environment(spoken)) for spoken in language.SPEAKERS}


def render(
    request: Request, name: str, caller: Caller | None, *, status_code: int = 200, **values: Any
) -> Response:
    """One page, in the language of who asks."""
    notice = word_tables.NOTICES.get(request.query_params.get("notice", ""))
    back = language.page_of(request) if status_code == HTTPStatus.OK else "/start"
    context = {"caller": caller, "notice": notice, "back": back, **values}
    templates = _templates[language.language_of(request)]
    return templates.TemplateResponse(request, name, context, status_code=status_code)


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


def timeline(detail: AnalysisDetail, say: Speaker) -> list[Step]:
    """From the first image to the last delivery, in the order in which it happened."""
    steps = [*_arrival(detail, say)]
    version, attempt = say("version {number}", number=detail.version), ""
    steps.append(Step(at=detail.created_at, title=say("Ready for analysis"), note=version))
    if detail.started_at is not None:
        attempt = say("attempt {number}", number=detail.attempt)
        steps.append(Step(at=detail.started_at, title=say("Analysis started"), note=attempt))
    if detail.finished_at is not None:
        outcome = detail.state if detail.finding is None else detail.finding.get("status", detail.state)
        note = words.word(outcome, language=say.language)
        steps.append(Step(at=detail.finished_at, title=say("Analysis finished"), note=note))
    for peer in sorted({delivery.peer for delivery in detail.deliveries}):
        steps.extend(_delivery(peer, [item for item in detail.deliveries if item.peer == peer], say))
    return sorted(steps, key=lambda step: (step.at is None, step.at or detail.created_at))


def _arrival(detail: AnalysisDetail, say: Speaker) -> list[Step]:
    """How the images came in."""
    if not detail.inputs:
        return []
    first = min(item.first_at for item in detail.inputs)
    last = max(item.last_at for item in detail.inputs)
    senders = ", ".join(sorted({item.calling_ae for item in detail.inputs if item.calling_ae}))
    came = say("from {senders}", senders=senders) if senders else ""
    steps = [
        Step(at=first, title=say("First image received"), note=came),
        Step(at=last, title=say("Last image received"), note=say("{count} images", count=detail.images)),
    ]
    closed = [item for item in detail.inputs if item.closed_at is not None]
    if closed:
        item = max(closed, key=lambda one: one.closed_at or first)
        note = words.word(item.completion_reason, word_tables.COMPLETION, language=say.language)
        steps.append(Step(at=item.closed_at, title=say("Series taken as complete"), note=note))
    return steps


def _delivery(peer: str, deliveries: list[DeliveryFacts], say: Speaker) -> list[Step]:
    """How the objects reached one peer."""
    arrived = [item for item in deliveries if item.state in {"sent", "confirmed"}]
    sent = [item.sent_at for item in arrived if item.sent_at is not None]
    confirmed = [item.confirmed_at for item in deliveries if item.confirmed_at is not None]
    count = len(deliveries)
    steps = []
    if sent:
        note = say("{some} of {count} objects", some=len(sent), count=count)
        steps.append(Step(at=max(sent), title=say("Stored by {peer}", peer=peer), note=note))
    if confirmed:
        note = say("{some} of {count} objects", some=len(confirmed), count=count)
        steps.append(Step(at=max(confirmed), title=say("Confirmed by {peer}", peer=peer), note=note))
    if len(sent) < count:
        waiting = ", ".join(_open(deliveries, say))
        steps.append(Step(at=None, title=say("Not yet stored by {peer}", peer=peer), note=waiting))
    return steps


def _open(deliveries: list[DeliveryFacts], say: Speaker) -> list[str]:
    """How many objects stand where, of those that are not there."""
    waiting = sum(item.state in {"pending", "sending"} for item in deliveries)
    held = sum(item.state == "held" for item in deliveries)
    dead = sum(item.state == "dead" for item in deliveries)
    told = (
        say("{count} waiting", count=waiting) if waiting else "",
        say("{count} held for review", count=held) if held else "",
        say("{count} given up", count=dead) if dead else "",
    )
    return [each for each in told if each]
