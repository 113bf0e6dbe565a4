"""The worklist of raised flags: who did what about them, and where they stand."""

import pytest
from sqlalchemy import select

from service.core.status import Handling
from service.db import worklist
from service.db.people import Role
from service.db.session import reading
from service.db.tables import Analysis, AuditEntry, Event, User
from service.errors import InvalidRequest
from service.web.auth import GRANTS, Permission
from tests.make import ledger
from tests.make.web import form_token


@pytest.fixture
def site(sessions, tmp_path):
    """A week in a hospital, with one raised flag, on either database."""
    ids = ledger.fill(sessions, tmp_path)
    with sessions.begin() as db:
        for name, role, disabled in (
            ("rita", "reviewer", False),
            ("gone", "reviewer", True),
            ("audrey", "auditor", False),
            ("vera", "viewer", False),
        ):
            db.add(User(name=name, password_hash="x", role=role, disabled=disabled, created_at=ledger.NOW))
    return sessions, ids


def step(sessions, analysis_id, what, **more):
    with sessions.begin() as db:
        return worklist.add(db, analysis_id, step=what, actor="otto", now=ledger.NOW, **more)


def rows(sessions, *handlings, **more):
    with reading(sessions) as db:
        return worklist.list_flagged(db, handlings=handlings, **more)


def test_raised_flags_of_current_results_are_open_until_somebody_does_something(site):
    sessions, ids = site
    (row,) = rows(sessions)
    assert (row.analysis_id, row.handling, row.step) == (ids.flagged, Handling.OPEN, None)
    assert all(flag.state == "raised" for flag in row.flags)
    assert row.flags
    assert step(sessions, ids.flagged, "acknowledge")
    assert rows(sessions, Handling.OPEN) == []
    (row,) = rows(sessions, Handling.ACKNOWLEDGED)
    assert (row.step, row.actor) == ("acknowledge", "otto")
    with reading(sessions) as db:
        assert worklist.counts(db) == {
            Handling.OPEN: 0,
            Handling.HANDED_OVER: 0,
            Handling.ACKNOWLEDGED: 1,
            Handling.DISMISSED: 0,
        }


def test_each_step_leads_where_it_says_and_a_comment_nowhere(site):
    sessions, ids = site
    step(sessions, ids.flagged, "hand_over", to_user="rita", comment="please look")
    (row,) = rows(sessions, Handling.HANDED_OVER, to_user="rita")
    assert row.to_user == "rita"
    assert rows(sessions, to_user="otto") == []
    step(sessions, ids.flagged, "comment", comment="words")
    assert rows(sessions)[0].handling is Handling.HANDED_OVER
    step(sessions, ids.flagged, "dismiss", comment="metal")
    assert rows(sessions)[0].handling is Handling.DISMISSED
    step(sessions, ids.flagged, "reopen")
    assert rows(sessions)[0].handling is Handling.OPEN
    with reading(sessions) as db:
        told = worklist.steps(db, ids.flagged)
        texts = [str(row.detail) for row in (*db.scalars(select(Event)), *db.scalars(select(AuditEntry)))]
    assert [each.step for each in told] == ["reopen", "dismiss", "comment", "hand_over"]
    assert [each.comment for each in told] == ["", "metal", "words", "please look"]
    assert not any(word in text for text in texts for word in ("metal", "words", "please"))


@pytest.mark.parametrize(
    ("what", "more", "code"),
    [
        ("shout", {}, "unknown_flag_step"),
        ("dismiss", {"comment": "  "}, "comment_needed"),
        ("comment", {}, "comment_needed"),
        ("hand_over", {"to_user": "nobody"}, "unknown_user"),
        ("hand_over", {"to_user": "gone"}, "unknown_user"),
        # Who sees no results cannot take them over.
        ("hand_over", {"to_user": "audrey"}, "unknown_user"),
        # Who may only look could never finish with them.
        ("hand_over", {"to_user": "vera"}, "unknown_user"),
    ],
)
def test_a_step_that_lacks_something_is_refused_by_name(site, what, more, code):
    sessions, ids = site
    with pytest.raises(InvalidRequest) as caught:
        step(sessions, ids.flagged, what, **more)
    assert caught.value.reason.code == code
    assert rows(sessions)[0].handling is Handling.OPEN


def test_where_nothing_is_raised_there_is_nothing_to_do(site):
    sessions, ids = site
    for number in (ids.plain, ids.superseded, ids.failed):
        with pytest.raises(InvalidRequest) as caught:
            step(sessions, number, "acknowledge")
        assert caught.value.reason.code == "no_raised_flag"
    assert not step(sessions, 999_999, "acknowledge")
    with sessions.begin() as db:
        db.get(Analysis, ids.flagged).withdrawn_at = ledger.NOW
    assert rows(sessions) == []


def test_flags_are_handed_to_whoever_may_look_after_them_and_to_nobody_else(site):
    assert {role for role in Role if Permission.REVIEW in GRANTS[role]} == worklist.HANDLERS
    with reading(site[0]) as db:
        assert worklist.takers(db) == ["rita"]


def test_older_ones_come_on_the_next_page(site):
    sessions, ids = site
    assert rows(sessions, before=ids.flagged) == []
    assert len(rows(sessions, before=ids.flagged + 1)) == 1


def test_a_reviewer_works_through_the_pages(world):
    rita, page = world.browser("rita"), f"/analyses/{world.ids.flagged}"
    listed = rita.get("/worklist").text
    assert f'href="{page}#flags"' in listed
    assert ledger.PATIENT_ID not in listed
    assert "Erika" not in listed
    token = {"csrf_token": form_token(rita.get(page).text)}
    for form, notice in (
        ({"step": ""}, "flag_step_needed"),
        ({"step": "dismiss"}, "flag_comment_needed"),
        ({"step": "hand_over"}, "flag_taker_needed"),
        ({"step": "hand_over", "to_user": "rita"}, "flags_handled"),
    ):
        answer = rita.post(f"{page}/flags", data={**token, **form})
        assert f"notice={notice}" in answer.headers["location"]
    assert "handed over</strong> to rita by rita" in rita.get(page).text
    assert f'href="{page}#flags"' in rita.get("/worklist?mine=true&show=handed_over").text
    assert f'href="{page}#flags"' not in world.browser("anna").get("/worklist?mine=true").text
    assert rita.post(f"{page}/flags", data={**token, "step": "dismiss", "comment": "x"}).status_code == 303
    assert f'href="{page}#flags"' not in rita.get("/worklist").text
    assert f'href="{page}#flags"' in rita.get("/worklist?show=dismissed").text


def test_the_worklist_by_rest(world):
    path = f"/api/v1/analyses/{world.ids.flagged}/flags"
    for role in ("viewer", "operator", "auditor"):
        assert world.program(role).post(path, json={"step": "acknowledge"}).status_code == 403
    program = world.program("reviewer")
    found = program.get("/api/v1/worklist", params={"handling": "open"}).json()
    assert [item["analysis_id"] for item in found["items"]] == [world.ids.flagged]
    assert (found["counts"]["open"], found["next_cursor"]) == (1, None)
    refused = program.post(path, json={"step": "dismiss"})
    assert (refused.status_code, refused.json()["code"]) == (409, "comment_needed")
    told = program.post(path, json={"step": "dismiss", "comment": "scar"}).json()
    assert told["items"][0]["comment"] == "scar"
    assert program.get(path).json() == told
    assert program.get("/api/v1/worklist", params={"handling": "open"}).json()["items"] == []
    assert world.program("auditor").get("/api/v1/worklist").status_code == 403
