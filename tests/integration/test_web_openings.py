"""Results that somebody opens with a reason although the role does not show them."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from service.core.notice import Sender
from service.core.trouble import Limits, Severity
from service.db import openings, people
from service.db.tables import Analysis, AuditEntry, Notice, Opening
from service.pipeline import vitals
from service.pipeline.notify import Notifier, Recipient
from service.web.auth import COOKIE
from service.wire.webhook import HookAddress
from tests.make.listeners import hook_server
from tests.make.slices import write_slices
from tests.make.web import form_token, seated

REASON = "Question of the ethics board of today"


@pytest.fixture
def world(world):
    world.settings = world.settings.model_copy(update={"break_glass": True})
    return world


def open_results(browser, reason=REASON):
    return browser.post(
        "/openings", data={"csrf_token": form_token(browser.get("/account").text), "reason": reason}
    )


def close_results(browser):
    return browser.post("/openings/end", data={"csrf_token": form_token(browser.get("/account").text)})


def lines(world, action):
    with world.sessions() as session:
        return session.scalars(select(AuditEntry).where(AuditEntry.action == action)).all()


def test_an_auditor_opens_results_and_everything_that_is_looked_at_names_the_opening(world):
    browser = seated(world, "audrey")
    page = f"/analyses/{world.ids.flagged}"
    assert browser.get(page).status_code == 403
    answer = open_results(browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/?notice=results_opened")
    shown = browser.get(page)
    assert shown.status_code == 200
    assert 'action="/openings/end"' in shown.text
    (opened,) = lines(world, "results_opened")
    assert (opened.actor, opened.outcome, opened.object_id) == ("audrey", "ok", "1")
    assert REASON not in str(opened.detail)
    assert [line.detail["opening"] for line in lines(world, "analysis_viewed")] == [1]
    # What the role does not allow otherwise stays closed.
    assert browser.get("/opt-outs").status_code == 403
    token = form_token(browser.get("/account").text)
    assert browser.post(f"{page}/rerun", data={"csrf_token": token}).status_code == 403


def test_it_ends_by_itself_by_the_button_and_with_the_login(world):
    browser = seated(world, "audrey")
    open_results(browser)
    world.wait(minutes=14)
    assert browser.get("/").status_code == 200
    world.wait(minutes=14)
    assert browser.get("/").status_code == 200
    world.wait(minutes=2)
    assert browser.get("/").status_code == 403
    assert 'action="/openings/end"' not in browser.get("/account").text
    open_results(browser)
    assert browser.get("/").status_code == 200
    assert close_results(browser).headers["location"] == "/account?notice=results_closed"
    assert browser.get("/").status_code == 403
    open_results(browser)
    browser.post("/logout", data={"csrf_token": form_token(browser.get("/account").text)})
    # The database may give the next login the number of the one before.
    assert seated(world, "audrey").get("/").status_code == 403
    with world.sessions() as session:
        rows = session.scalars(select(Opening).order_by(Opening.id)).all()
    assert [row.ended_at is None for row in rows] == [True, False, False]
    assert len(lines(world, "results_closed")) == 1


def test_it_opens_for_this_browser_alone(world):
    browser, other = seated(world, "audrey"), seated(world, "audrey")
    open_results(browser)
    assert browser.get("/").status_code == 200
    assert other.get("/").status_code == 403


@pytest.mark.parametrize("reason", ["", "audit", "          .         "])
def test_without_a_reason_nothing_is_opened(world, reason):
    browser = seated(world, "audrey")
    assert open_results(browser, reason).headers["location"] == "/account?notice=opening_needs_reason"
    assert browser.get("/").status_code == 403
    assert lines(world, "results_opened") == []


def test_a_role_that_shows_results_has_nothing_to_open(world):
    browser = seated(world, "vera")
    assert 'action="/openings"' not in browser.get("/account").text
    assert open_results(browser).status_code == 403
    assert [line.outcome for line in lines(world, "results_opened")] == ["refused"]


def test_a_key_a_foreign_page_and_a_site_without_the_setting_open_nothing(world):
    program = world.program("auditor")
    assert program.post("/openings", data={"csrf_token": "x", "reason": REASON}).status_code == 403
    browser = seated(world, "audrey")
    assert browser.post("/openings", data={"csrf_token": "x", "reason": REASON}).status_code == 403
    open_results(browser)
    world.settings = world.settings.model_copy(update={"break_glass": False})
    same = world.client()
    same.cookies.set(COOKIE, browser.cookies[COOKIE])
    assert same.get("/").status_code == 403
    assert open_results(same).status_code == 403
    with world.sessions() as session:
        assert len(session.scalars(select(Opening)).all()) == 1


def test_who_opened_and_why_is_listed_for_those_who_answer_for_it(world):
    for _ in range(2):
        open_results(seated(world, "audrey"))
    page = seated(world, "anna").get("/openings")
    assert page.text.count(REASON) == 2
    assert "open until" in page.text
    found = world.program("auditor").get("/api/v1/openings?limit=1").json()
    assert [each["reason"] for each in found["items"]] == [REASON]
    rest = world.program("auditor").get(f"/api/v1/openings?cursor={found['next_cursor']}").json()
    assert [each["id"] for each in rest["items"]] == [1]
    assert rest["next_cursor"] is None
    assert world.program("viewer").get("/api/v1/openings").status_code == 403
    assert seated(world, "vera").get("/openings").status_code == 403


def test_a_disabled_account_has_nothing_open(world):
    browser = seated(world, "audrey")
    open_results(browser)
    with world.sessions.begin() as session:
        people.disable_user(session, name="audrey", now=world.now, actor="test")
    assert browser.get("/").status_code == 303
    with world.sessions() as session:
        assert session.scalars(select(Opening)).one().ended_at == world.now


def test_a_new_password_ends_what_was_open(world):
    browser = seated(world, "audrey")
    open_results(browser)
    with world.sessions.begin() as session:
        people.reset_password(session, name="audrey", now=world.now, actor="test")
    assert browser.get("/").status_code == 303
    with world.sessions() as session:
        assert session.scalars(select(Opening)).one().ended_at == world.now


def test_looking_again_by_another_opening_is_written_down_again(world):
    with world.sessions() as session:
        write_slices(world.home / session.get_one(Analysis, world.ids.flagged).result_path)
    browser = seated(world, "audrey")
    for _ in range(2):
        open_results(browser)
        for place in (4, 5):
            picture = f"/api/v1/analyses/{world.ids.flagged}/slices/{place}"
            assert browser.get(picture).status_code == 200
        close_results(browser)
    assert [line.detail["opening"] for line in lines(world, "slices_viewed")] == [1, 2]


def test_those_in_charge_are_told_once_without_name_and_reason(world, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("k" * 32, "utf-8")
    open_results(seated(world, "audrey"))
    with hook_server() as hook:
        way = HookAddress(url=hook.url, secret_file=secret)
        sender = Sender(site="Ward 7", link="https://myo.example")
        told = [
            Recipient(name="all", sender=sender, way=way),
            Recipient(name="grave", sender=sender, way=way, least=Severity.CRITICAL),
        ]
        site = vitals.Site(home=world.home, least_bytes=0)
        notifier = Notifier(world.sessions, told, site=lambda: site, limits=Limits(), clock=lambda: world.now)
        for _ in range(2):
            notifier.run()
            world.now += timedelta(minutes=1)
        bodies = [body.decode() for _, _, body in hook.requests]
    (told_once,) = [body for body in bodies if '"opening"' in body]
    assert "audrey" not in told_once
    assert REASON not in told_once
    assert '"role": "auditor"' in told_once
    with world.sessions() as session:
        (notice,) = session.scalars(select(Notice).where(Notice.kind == "opening"))
    assert "https://myo.example/openings" in notice.body
    assert notice.recipient == "all"


def test_an_opening_is_found_by_its_time(world):
    open_results(seated(world, "audrey"))
    with world.sessions() as session:
        assert len(openings.since(session, world.now)) == 1
        assert openings.since(session, world.now + timedelta(seconds=1)) == []
