"""A person or a program takes a result back: page, list and REST."""

from service.core.status import WITHDRAWAL_REASONS, OutputKind
from service.db import deliveries
from service.db.deliveries import OutputFacts
from service.dicom import codes
from service.web import word_tables
from tests.make.web import form_token


def test_a_person_withdraws_a_result_by_its_page(world):
    browser = world.browser("otto")
    page = f"/analyses/{world.ids.flagged}"
    token = {"csrf_token": form_token(browser.get(page).text)}
    for unknown in ("", "tired"):
        asked = browser.post(f"{page}/withdraw", data={**token, "reason": unknown})
        assert "withdrawal_needs_reason" in asked.headers["location"]
    assert "Withdrawn" not in browser.get(page).text
    said = {**token, "reason": "wrong_drawing", "comment": "left <b>is</b> right"}
    done = browser.post(f"{page}/withdraw", data=said)
    assert (done.status_code, done.headers["location"]) == (303, f"{page}?notice=withdrawn")
    shown = browser.get(page).text
    assert "<strong>Withdrawn:</strong> the muscles were not drawn rightly" in shown
    assert "Withdrawn by otto" in shown
    assert "left &lt;b&gt;is&lt;/b&gt; right" in shown
    assert f'action="{page}/withdraw"' not in shown
    again = browser.post(f"{page}/withdraw", data=said)
    assert (again.status_code, "already" in again.text) == (409, True)
    lines = [line for line in world.actions() if line[1] == "result_withdrawn"]
    assert lines == [("otto", "result_withdrawn", "ok")]


def test_the_list_shows_it_and_the_flag_filter_passes_over_it(world):
    browser = world.browser("otto")
    link = f'href="/analyses/{world.ids.flagged}"'
    assert link in browser.get("/?flag=raised").text
    path = f"/api/v1/analyses/{world.ids.flagged}/withdraw"
    assert world.program("operator").post(path, json={"reason": "other"}).status_code == 202
    assert link not in browser.get("/?flag=raised").text
    whole = browser.get("/").text
    assert link in whole
    assert "is-withdrawn" in whole


def test_it_asks_for_the_token_and_the_permission(world):
    page = f"/analyses/{world.ids.flagged}"
    data = {"reason": "other", "csrf_token": "no"}
    assert world.browser("otto").post(f"{page}/withdraw", data=data).status_code == 403
    viewer = world.browser("vera")
    data["csrf_token"] = form_token(viewer.get("/account").text)
    assert viewer.post(f"{page}/withdraw", data=data).status_code == 403
    shown = viewer.get(page).text
    assert f'action="{page}/withdraw"' not in shown
    assert "Withdrawn" not in shown
    for role in ("viewer", "auditor"):
        answer = world.program(role).post(f"/api/v1{page}/withdraw", json={"reason": "other"})
        assert answer.status_code == 403


def test_a_program_withdraws_once(world):
    program, path = world.program("operator"), f"/api/v1/analyses/{world.ids.flagged}"
    assert program.post(f"{path}/withdraw", json={"reason": "tired"}).status_code == 422
    assert program.post(f"{path}/withdraw", json={}).status_code == 422
    assert program.get(path).json()["withdrawal"] is None
    answer = program.post(f"{path}/withdraw", json={"reason": "wrong_patient"})
    assert (answer.status_code, answer.json()["state"]) == (202, "measured")
    shown = program.get(path).json()
    assert shown["withdrawal"]["reason"] == "wrong_patient"
    assert shown["withdrawal"]["actor"] == "key:operator"
    again = program.post(f"{path}/withdraw", json={"reason": "other"})
    assert (again.status_code, again.json()["code"]) == (409, "already_withdrawn")
    missing = program.post("/api/v1/analyses/999999/withdraw", json={"reason": "other"})
    assert missing.status_code == 404
    (item,) = [
        row for row in program.get("/api/v1/analyses").json()["items"] if row["id"] == world.ids.flagged
    ]
    assert item["withdrawn_at"] is not None


def test_the_report_of_the_withdrawal_is_not_the_report_of_the_result(world):
    program, path = world.program("operator"), f"/api/v1/analyses/{world.ids.flagged}"
    own = program.get(f"{path}/outputs/sr").content
    file = world.home / "told.dcm"
    file.write_bytes(b"told")
    digest = "3ad42e2d9f0d07ba5a64c8cd2ea3da7ab2d3b3b5d2a0e4b6e7ed1a64eb1b9d3b"
    with world.sessions.begin() as db:
        facts = [
            OutputFacts(
                kind=kind,
                sop_class_uid="1.2",
                sop_instance_uid=f"1.2.{number}",
                path="told.dcm",
                sha256=digest,
                size=4,
                withdrawal=True,
            )
            for number, kind in enumerate((OutputKind.SR, OutputKind.KOS))
        ]
        deliveries.add_outputs(db, world.ids.flagged, facts)
    assert program.get(f"{path}/outputs/sr").content == own
    assert program.get(f"{path}/outputs/kos").status_code == 404
    hrefs = [output["href"] for output in program.get(path).json()["outputs"] if output["withdrawal"]]
    assert hrefs == [f"{path}/outputs/{kind}?withdrawal=true" for kind in ("sr", "kos")]
    # The wrong digest above proves that it is this file that was read.
    assert program.get(hrefs[0]).json()["code"] == "output_changed"
    assert "of the withdrawal" in world.browser("otto").get(f"/analyses/{world.ids.flagged}").text


def test_every_reason_has_its_words_and_its_code():
    assert set(word_tables.WITHDRAWALS) == set(WITHDRAWAL_REASONS) == set(codes.WITHDRAWAL_REASON_OF)
