"""The population: many results beside each other, by person, with nothing told of fewer than five people."""

from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response

from service.core import centiles, drift, population
from service.core.activation import Kind, names_of
from service.core.extract import MEASURES
from service.core.normtable import UNITS, NormTable
from service.core.population import FEWEST, Records
from service.db import activations
from service.db import population as ledger
from service.db.population import FamilyFacts
from service.db.session import Session, reading
from service.errors import ServiceError
from service.pipeline.population import month_from, month_of
from service.pipeline.references import read_norms
from service.web import pages, population_shapes, population_svg
from service.web.api import LARGEST_ID, PROBLEMS
from service.web.auth import MayResults, check_api_token
from service.web.context import Web, WebState
from service.web.language import speaker
from service.web.neighbours import models_dir
from service.web.population_shapes import By
from service.web.problems import Problem

api_router = APIRouter(prefix="/api/v1", dependencies=[Depends(check_api_token)], responses=PROBLEMS)
page_router = APIRouter(include_in_schema=False)

FamilyId = Annotated[int | None, Query(ge=1, le=LARGEST_ID)]
#: Charts of one measure that the page draws; the table has all of them.
MOST_CHARTS: Final = 6


@api_router.get("/population", tags=["population"])
def get_population(
    request: Request, web: WebState, caller: MayResults, family: FamilyId = None, by: By = "scanner"
) -> population_shapes.PopulationReport:
    """Scores, measures over age, flag rates and drift of many people; nothing of fewer than five."""
    report = report_of(web, family, by)
    if family is not None and report.family is None:
        raise Problem(HTTPStatus.NOT_FOUND, "not_found", "There are no such results.")
    web.audit(request, caller.actor, "population_viewed")
    return report


@page_router.get("/population")
def population_page(
    *,
    request: Request,
    web: WebState,
    caller: MayResults,
    family: Annotated[str, Query(pattern=r"^[0-9]{0,18}$")] = "",
    by: Annotated[str, Query(pattern=r"^[a-z]{0,16}$")] = "",
) -> Response:
    """The same in drawings, each with its table."""
    dimension: By = next((known for known in drift.DIMENSIONS if known == by), "scanner")
    report = report_of(web, int(family) if family else None, dimension)
    web.audit(request, caller.actor, "population_viewed")
    say = speaker(request)
    chosen = None if report.family is None else report.family.id

    def link(**changes: object) -> str:
        values = {"family": chosen, "by": dimension, **changes}
        return "/population?" + urlencode({name: value for name, value in values.items() if value})

    return pages.render(
        request,
        "population.html",
        caller,
        report=report,
        link=link,
        dimensions=drift.DIMENSIONS,
        measures=MEASURES,
        drawn=population_svg.drawings(report, say, most_charts=MOST_CHARTS),
    )


def report_of(web: Web, family_id: int | None, by: By) -> population_shapes.PopulationReport:
    """Everything about one family of results: the one that is asked for, else that of the most people."""
    now = web.clock()
    with reading(web.sessions) as session:
        families = [each for each in ledger.families(session) if each.people >= FEWEST]
        chosen = _chosen(families, family_id)
        records = None if chosen is None else ledger.records(session, chosen.id)
        tables = tables_in_force(web, session)
    content: dict[str, Any] = {"plane": None, "ages": [], "flag_rates": [], "flag_rate": None, "drift": []}
    if chosen is not None and records is not None:
        today, since = month_of(now), month_from(web.settings.drift_since)
        content = {
            "plane": _plane(records),
            "ages": [_ages(records, short, chosen, tables) for short in MEASURES],
            "flag_rates": population.flag_rates(records),
            "flag_rate": population.flag_rate(records),
            "drift": [
                chart
                for measure in drift.MEASURES
                for chart in drift.charts(
                    records, measure, dimensions=(drift.ALL, by), today=today, since=since
                )
            ],
        }
    return population_shapes.PopulationReport.model_validate(
        {
            "at": now,
            "fewest_people": FEWEST,
            "families": [_family(each) for each in families],
            "family": None if chosen is None else _family(chosen),
            "by": by,
            **content,
        }
    )


def _chosen(families: list[FamilyFacts], family_id: int | None) -> FamilyFacts | None:
    if family_id is None:
        return families[0] if families else None
    return next((each for each in families if each.id == family_id), None)


def _family(facts: FamilyFacts) -> dict[str, Any]:
    shown = {**vars(facts.family), "coverage_mm": facts.family.coverage_mm}
    return {"id": facts.id, **shown, "people": population.rounded(facts.people)}


def tables_in_force(web: Web, session: Session) -> tuple[NormTable, ...]:
    """The reference tables in force; none where their files cannot be read, which the status page tells."""
    active = activations.in_force(session).get(Kind.NORMS)
    names = tuple(web.settings.norms) if active is None else names_of(active.name)
    try:
        return read_norms(models_dir(web.settings), names)
    except ServiceError:
        return ()


def _plane(records: Records) -> dict[str, Any]:
    scored, norms = population.of_one_norm(records)
    return {"norms": norms, "cell_z": population.CELL_Z, **vars(population.plane(scored))}


def _ages(records: Records, short: str, chosen: FamilyFacts, tables: tuple[NormTable, ...]) -> dict[str, Any]:
    measure = MEASURES[short]
    reference, misfits = centiles.reference(tables, measure, chosen.family)
    return {
        "measure": measure,
        "unit": UNITS[measure],
        "bands": population.by_age(records, short),
        "reference": reference,
        "misfits": [{"norm": norm, "code": code} for norm, code in misfits],
    }
