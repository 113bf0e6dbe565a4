"""A person or a program has a result scored again: page and REST; the worker does it."""

import pytest

from service.core.status import AnalysisState
from service.db.session import reading
from service.db.tables import Analysis
from service.db.withdrawals import withdraw
from service.pipeline.keepsake import KEPT_NAME
from tests.make.web import form_token, make_world


def keep(world):
    """What a measuring worker leaves beside the objects; the page and the order look for it only."""
    with reading(world.sessions) as session:
        folder = session.get_one(Analysis, world.ids.flagged).result_path
    (world.home / folder / KEPT_NAME).write_bytes(b"kept")
    return world


@pytest.fixture
def kept(world):
    return keep(world)


def path_of(world, name="flagged"):
    return f"/analyses/{getattr(world.ids, name)}"


def orders_of(world):
    return [line for line in world.actions() if line[1] == "rescore_ordered"]


def test_a_person_orders_new_scores_by_the_page(kept):
    browser = kept.browser("otto")
    page = path_of(kept)
    shown = browser.get(page).text
    assert f'action="{page}/rescore"' in shown
    done = browser.post(f"{page}/rescore", data={"csrf_token": form_token(shown)})
    assert done.status_code == 303
    made, _, notice = done.headers["location"].partition("?")
    assert notice == "notice=rescore_ordered"
    told = browser.get(done.headers["location"]).text
    assert "New scores of the stored measures are in the queue" in told
    assert "Ordered to be scored again from the measures of version 2" in told
    assert "Scored again from" not in told
    # It is offered on a measured result only, and not while a version waits.
    assert f'action="{made}/rescore"' not in told
    before = browser.get(page).text
    button = before[before.index(f'action="{page}/rescore"') :].partition("<button")[2].partition(">")[0]
    assert "disabled" in button
    again = browser.post(f"{page}/rescore", data={"csrf_token": form_token(told)})
    assert again.status_code == 409
    assert "A version of this analysis is waiting or running." in again.text
    assert orders_of(kept) == [("otto", "rescore_ordered", "ok")]


def test_the_page_asks_for_the_token_and_the_permission(kept):
    page = path_of(kept)
    assert kept.browser("otto").post(f"{page}/rescore", data={"csrf_token": "no"}).status_code == 403
    viewer = kept.browser("vera")
    token = form_token(viewer.get("/account").text)
    assert viewer.post(f"{page}/rescore", data={"csrf_token": token}).status_code == 403
    assert f'action="{page}/rescore"' not in viewer.get(page).text
    for role in ("viewer", "auditor"):
        assert kept.program(role).post(f"/api/v1{page}/rescore").status_code == 403
    assert kept.client().post(f"/api/v1{page}/rescore").status_code == 401
    assert orders_of(kept) == []


def test_a_program_orders_new_scores_once_on_either_database(database_url, tmp_path):
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    kept = keep(make_world(home, url=database_url))
    program = kept.program("operator")
    path = f"/api/v1{path_of(kept)}"
    answer = program.post(f"{path}/rescore")
    made = answer.json()["id"]
    assert (answer.status_code, answer.json()["state"]) == (202, "ready")
    assert answer.json()["href"] == f"/api/v1/analyses/{made}"
    with reading(kept.sessions) as session:
        row = session.get_one(Analysis, made)
        assert (row.state, row.rescores_id, row.version) == (AnalysisState.READY, kept.ids.flagged, 3)
    again = program.post(f"{path}/rescore")
    assert (again.status_code, again.json()["code"]) == (409, "already_waiting")
    assert program.get(path).json()["state"] == "measured"
    (event,) = [
        item
        for item in program.get(f"/api/v1/analyses/{made}/events").json()["items"]
        if item["name"] == "rescore_ordered"
    ]
    assert event["detail"] == {"version": 2}
    kept.sessions.kw["bind"].dispose()


def test_what_cannot_be_scored_again_says_why(world):
    def post(name):
        answer = world.program("operator").post(f"/api/v1{path_of(world, name)}/rescore")
        return answer.status_code, answer.json()["code"]

    assert post("flagged") == (409, "nothing_kept")
    for name in ("failed", "not_assessable", "not_eligible"):
        assert post(name) == (409, "not_measured")
    for name in ("ready", "running"):
        assert post(name) == (409, "already_waiting")
    keep(world)
    with world.sessions.begin() as session:
        withdraw(session, world.ids.flagged, reason="other", actor="otto", now=world.now)
    assert post("flagged") == (409, "withdrawn")
    answer = world.program("operator").post("/api/v1/analyses/999999/rescore")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert f'action="{path_of(world)}/rescore"' not in world.browser("otto").get(path_of(world)).text


def test_a_version_that_was_dropped_says_why_on_its_page(kept):
    program = kept.program("operator")
    made = program.post(f"/api/v1{path_of(kept)}/rescore").json()["id"]
    with kept.sessions.begin() as session:
        withdraw(session, kept.ids.flagged, reason="other", actor="otto", now=kept.now)
    shown = program.get(f"/api/v1/analyses/{made}").json()
    assert (shown["state"], shown["reason_code"]) == ("superseded", "withdrawn")
    page = kept.browser("otto").get(f"/analyses/{made}").text
    assert "The result was withdrawn before its measures were scored again." in page
    assert "Outside the intended use" not in page
