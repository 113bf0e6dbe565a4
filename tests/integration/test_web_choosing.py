"""The pages and the interface of the rules and the opt-out list."""

import re

import pytest

from service.db import optouts
from service.db.session import reading
from service.db.tables import Analysis
from tests.make import ledger
from tests.make.web import form_token

FACTS = {"contrast": "t1", "plane": "axial", "region": "lumbar", "slices": 20}
PASSED_OVER = {
    "facts": FACTS,
    "eligible": True,
    "key": "1",
    "outcome": "not_selected",
    "rules": "site@1",
    "rule": "T2",
    "attribute": "order of rules",
    "text": "Rule 'T2' of site@1 comes before 'T1', and took other images of the study.",
    "misses": [{"rule": "T2", "attribute": "contrast", "text": "contrast is t2_tse; it is t1 here"}],
}


def choose(world, analysis_id, choice, **values):
    with world.sessions.begin() as session:
        row = session.get(Analysis, analysis_id)
        row.choice = choice
        for name, value in values.items():
            setattr(row, name, value)
        return row.study_id


def plain(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def test_the_rules_are_told_in_words(world, tmp_path):
    page = plain(world.browser("audrey").get("/rules").text)
    assert "default version 1" in page
    assert "every stack that a rule takes" in page
    assert "everything eligible" in page
    world.settings = world.settings.model_copy(update={"rules": "one-per-study"})
    page = plain(world.browser("vera").get("/rules").text)
    assert "T1, axial measured contrast is t1; plane is axial most slices, least slice_step_mm" in page
    assert "opt-out list" not in page
    rules = world.program("viewer").get("/api/v1/rules").json()
    assert (rules["id"], rules["take"], len(rules["sha256"])) == ("one-per-study", "first", 64)
    assert rules["rules"][2]["when"] == ["contrast is t1", "plane is axial"]


def test_rules_that_cannot_be_read_are_named(world, tmp_path):
    (tmp_path / "bad.toml").write_text('id = "x"', "utf-8")
    world.settings = world.settings.model_copy(update={"rules": str(tmp_path / "bad.toml")})
    page = plain(world.browser("vera").get("/rules").text)
    assert "Rules bad.toml: take: must be" in page


def test_the_page_of_a_study_says_which_rule_and_attribute_decided(world):
    study = choose(
        world,
        world.ids.not_eligible,
        PASSED_OVER,
        reason_code="not_selected",
        reason_text=PASSED_OVER["text"],
    )
    browser = world.browser("vera")
    page = plain(browser.get(f"/studies/{study}/choice").text)
    assert "T1 axial lumbar 20 not eligible T2 site@1 order of rules" in page
    assert "T2: contrast is t2_tse; it is t1 here" in page
    shown = browser.get(f"/analyses/{world.ids.not_eligible}").text
    assert f'href="/studies/{study}/choice"' in shown
    assert "Not chosen: Rule &#39;T2&#39;" in re.sub(r"</?strong>", "", shown)
    assert "Outside the intended use" not in shown
    assert ("vera", "choice_viewed", "ok") in world.actions()
    detail = world.program("viewer").get(f"/api/v1/analyses/{world.ids.not_eligible}").json()
    assert detail["choice"]["rule"] == "T2"


def test_what_was_not_asked_or_not_decided_says_so(world):
    study = choose(world, world.ids.plain, {"facts": FACTS, "eligible": True, "key": "1"})
    browser = world.browser("vera")
    assert "The rules have not decided yet" in browser.get(f"/studies/{study}/choice").text
    assert "The rules have not decided yet" in browser.get(f"/analyses/{world.ids.plain}").text
    study = choose(world, world.ids.plain, None)
    assert "The rules were not asked" in browser.get(f"/studies/{study}/choice").text
    assert browser.get("/studies/999999/choice").status_code == 404
    chosen = {**PASSED_OVER, "outcome": "measure", "text": "Rule 'T1' takes these images."}
    choose(world, world.ids.flagged, chosen)
    assert "Rule &#39;T1&#39; takes these images." in browser.get(f"/analyses/{world.ids.flagged}").text


def listed(world, patient_id=ledger.PATIENT_ID, issuer=""):
    with reading(world.sessions) as session:
        return optouts.lists_any(session, world.home, [(patient_id, issuer)])


def test_an_operator_puts_a_patient_on_the_list_and_takes_the_line_off(world):
    browser = world.browser("otto")
    page = browser.get("/opt-outs").text
    assert "Nobody is on the list." in page
    form = {"csrf_token": form_token(page), "patient_id": ledger.PATIENT_ID, "reason": "asked"}
    answer = browser.post("/opt-outs", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/opt-outs?notice=opt_out_added")
    assert browser.post("/opt-outs", data=form).headers["location"].endswith("opt_out_known")
    assert listed(world)
    page = browser.get(answer.headers["location"]).text
    assert "The patient is on the list." in page
    assert ledger.PATIENT_ID not in page
    line = re.search(r'action="(/opt-outs/\d+/remove)"', page)[1]
    token = {"csrf_token": form_token(page)}
    assert browser.post(line, data=token).headers["location"].endswith("opt_out_removed")
    assert not listed(world)
    assert browser.post(line, data=token).status_code == 404
    nobody = browser.post("/opt-outs", data={**token, "patient_id": " "})
    assert nobody.headers["location"].endswith("opt_out_needs_patient")
    with world.sessions() as session:
        from service.db import overview  # noqa: PLC0415

        entries = overview.list_audit(session, before_id=None, limit=100).items
    assert {"opt_out_added", "opt_out_removed", "opt_outs_listed"} <= {entry.action for entry in entries}
    assert all(ledger.PATIENT_ID not in str(entry) for entry in entries)


def test_a_result_of_an_opted_out_patient_is_not_run_again(world):
    program = world.program("operator")
    program.post("/api/v1/opt-outs", json={"patient_id": ledger.PATIENT_ID})
    answer = program.post(f"/api/v1/analyses/{world.ids.flagged}/rerun")
    assert (answer.status_code, answer.json()["code"]) == (409, "opted_out")
    assert program.get(f"/api/v1/analyses/{world.ids.flagged}").json()["state"] == "measured"


def test_a_program_keeps_the_list_without_an_id_in_any_address(world):
    program = world.program("operator")
    order = {"patient_id": ledger.PATIENT_ID, "issuer": "CLINIC", "reason": "asked"}
    assert program.post("/api/v1/opt-outs", json=order).json() == {"changed": True}
    assert program.post("/api/v1/opt-outs", json=order).json() == {"changed": False}
    assert listed(world, issuer="CLINIC")
    assert not listed(world, issuer="OTHER")
    (line,) = program.get("/api/v1/opt-outs").json()["items"]
    assert (line["one_issuer"], line["reason"], line["actor"]) == (True, "asked", "key:operator")
    end = {"patient_id": ledger.PATIENT_ID}
    assert program.post("/api/v1/opt-outs/remove", json=end).json() == {"changed": False}
    end["issuer"] = "CLINIC"
    assert program.post("/api/v1/opt-outs/remove", json=end).json() == {"changed": True}
    assert not listed(world)


@pytest.mark.parametrize("name", ["vera", "audrey"])
def test_the_list_is_for_operators(world, name):
    browser = world.browser(name)
    assert browser.get("/opt-outs").status_code == 403
    form = {"csrf_token": form_token(browser.get("/account").text), "patient_id": "P"}
    assert browser.post("/opt-outs", data=form).status_code == 403


def test_a_form_without_its_token_changes_nothing(world):
    browser = world.browser("otto")
    assert browser.post("/opt-outs", data={"csrf_token": "x", "patient_id": "P"}).status_code == 403
    assert browser.post("/api/v1/opt-outs", json={"patient_id": "P"}).status_code == 403


def test_a_refused_id_is_not_repeated(world):
    answer = world.program("operator").post("/api/v1/opt-outs", json={"patient_id": "SECRET" * 20})
    assert answer.status_code == 422
    assert "SECRET" not in answer.text
