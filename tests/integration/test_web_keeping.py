"""Legal holds and what was taken away, by page and by REST."""

from sqlalchemy import update

from service.db.tables import Analysis
from tests.make.web import form_token


def test_a_person_holds_a_study_and_releases_it(world):
    browser = world.browser("otto")
    page = f"/analyses/{world.ids.flagged}"
    token = {"csrf_token": form_token(browser.get(page).text)}
    asked = browser.post(f"{page}/hold", data={**token, "reason": "  "})
    assert "hold_needs_reason" in asked.headers["location"]
    browser.post(f"{page}/hold", data={**token, "reason": "court <b>order</b>"})
    shown = browser.get(page).text
    assert "On hold" in shown
    assert "court &lt;b&gt;order&lt;/b&gt;" in shown
    assert "otto" in shown
    browser.post(f"{page}/release", data=token)
    assert "On hold" not in browser.get(page).text
    said = [line for line in world.actions() if line[1].startswith("hold")]
    assert [line[:2] for line in said] == [("otto", "hold_set"), ("otto", "hold_released")]


def test_a_hold_asks_for_the_token_and_the_permission(world):
    page = f"/analyses/{world.ids.flagged}"
    assert (
        world.browser("otto").post(f"{page}/hold", data={"reason": "x", "csrf_token": "no"}).status_code
        == 403
    )
    viewer = world.browser("vera")
    token = form_token(viewer.get("/account").text)
    assert viewer.post(f"{page}/hold", data={"reason": "x", "csrf_token": token}).status_code == 403
    assert "Release the hold" not in viewer.get(page).text
    assert world.program("operator").get("/api/v1/holds").json()["items"] == []


def test_a_program_holds_lists_and_releases(world):
    program, path = world.program("operator"), f"/api/v1/analyses/{world.ids.flagged}"
    assert program.post(f"{path}/hold", json={"reason": ""}).status_code == 422
    assert program.post(f"{path}/hold", json={"reason": "study 7"}).status_code == 204
    assert program.get(path).json()["hold"]["reason"] == "study 7"
    (held,) = program.get("/api/v1/holds").json()["items"]
    assert (held["reason"], held["actor"]) == ("study 7", "key:operator")
    assert program.post(f"{path}/release").status_code == 204
    again = program.post(f"{path}/release")
    assert (again.status_code, again.json()["code"]) == (409, "no_hold")
    assert program.post("/api/v1/analyses/999999/hold", json={"reason": "x"}).status_code == 404
    assert world.program("viewer").post(f"{path}/hold", json={"reason": "x"}).status_code == 403


def test_the_page_says_what_was_taken_away(world):
    page = f"/analyses/{world.ids.plain}"
    browser = world.browser("otto")
    assert "The images are kept." in browser.get(page).text
    with world.sessions.begin() as db:
        db.execute(
            update(Analysis)
            .where(Analysis.id == world.ids.plain)
            .values(results_purged_at=world.now, result_path=None)
        )
    shown = browser.get(page).text
    assert "The files of this result were taken away" in shown
    assert browser.get(f"{page}/report.pdf").status_code == 404
