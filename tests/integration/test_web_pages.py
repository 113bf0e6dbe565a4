"""The pages and their forms, without a browser."""

import json
import re

import pytest

from service.core.circuit import DEFAULT_TERMS
from service.db import circuits, people
from service.db.tables import Analysis
from service.errors import Reason
from service.web.auth import COOKIE
from tests.make import ledger
from tests.make.web import PASSWORD, form_token, log_in

PAGES = [
    "/",
    "/analyses/{flagged}",
    "/analyses/{plain}",
    "/analyses/{not_assessable}",
    "/analyses/{not_eligible}",
    "/analyses/{running}",
    "/analyses/{ready}",
    "/analyses/{failed}",
    "/compare/{superseded}/{flagged}",
    "/compare/{superseded}/{superseded}",
    "/funnel",
    "/status",
    "/audit",
    "/account",
]
PATIENT = (ledger.PATIENT_ID, ledger.ACCESSION, "Muster", "Erika", "1970-01-31")


def test_every_page_says_research_use_only_and_forbids_foreign_content(world):
    browser = world.browser("anna")
    for path in PAGES:
        answer = browser.get(path.format(**vars(world.ids)))
        assert answer.status_code == 200, path
        assert "Research use only. Not for diagnosis." in answer.text
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert "unsafe-inline" not in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not re.search(r"<script>|style=|onclick=|https?://", answer.text), path


def test_without_a_login_every_page_leads_to_the_login(world):
    client = world.client()
    for path in PAGES:
        answer = client.get(path.format(**vars(world.ids)))
        assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/login")


def test_a_login_leads_back_to_the_page_that_was_asked_for(world):
    answer = log_in(world.client(), "vera", PASSWORD, next_path=f"/analyses/{world.ids.flagged}")
    assert answer.headers["location"] == f"/analyses/{world.ids.flagged}"
    assert (
        log_in(world.client(), "vera", PASSWORD, next_path="//evil.example").headers["location"] == "/start"
    )


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(world):
    cookie = log_in(world.client(), "vera", PASSWORD).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "secure" not in cookie
    world.settings = world.settings.model_copy(update={"https": True})
    answer = world.client().get("/login")
    assert "secure" in answer.headers["set-cookie"].lower()
    assert answer.headers["strict-transport-security"]


def test_wrong_unknown_and_locked_look_the_same(world):
    client = world.client()
    texts = {re.sub(r'value="[^"]*"', "", log_in(client, name, "wrong").text) for name in ("vera", "nobody")}
    for _ in range(5):
        log_in(client, "vera", "wrong")
    texts.add(re.sub(r'value="[^"]*"', "", log_in(client, "vera", PASSWORD).text))
    assert len(texts) == 1
    world.wait(minutes=6)
    assert log_in(client, "vera", PASSWORD).status_code == 303
    assert ("vera", "login", "refused") in world.actions()
    assert ("unknown", "login", "refused") in world.actions()
    assert world.actions()[-1] == ("vera", "login", "ok")


def test_one_address_may_not_try_many_accounts(world):
    client = world.client()
    answers = [log_in(client, f"user{number}", "Winter2026!") for number in range(21)]
    assert [answer.status_code for answer in answers] == [401] * 20 + [429]
    assert answers[-1].headers["retry-after"] == "300"
    # What was not looked at is not told apart, even where it is right, and adds no line.
    assert log_in(client, "vera", PASSWORD).status_code == 429
    assert world.actions().count(("unknown", "login", "refused")) == 20
    world.wait(minutes=5, seconds=1)
    assert log_in(client, "vera", PASSWORD).status_code == 303


def test_the_address_behind_a_trusted_proxy_is_the_one_that_counts(world):
    world.settings = world.settings.model_copy(update={"trusted_proxies": ("10.1.9.3",)})
    proxied = world.client(at="10.1.9.3")
    proxied.headers["X-Forwarded-For"] = "198.51.100.9, 10.0.0.7"
    stranger = world.client(at="10.0.0.66")
    stranger.headers["X-Forwarded-For"] = "10.0.0.7"
    assert log_in(proxied, "vera", PASSWORD).status_code == 303
    assert log_in(stranger, "vera", PASSWORD).status_code == 303
    assert world.addresses()[-2:] == ["10.0.0.7", "10.0.0.66"]


def test_a_session_planted_beforehand_is_not_the_one_after_the_login(world):
    client = world.client()
    client.cookies.set(COOKIE, "planted")
    answer = log_in(client, "vera", PASSWORD)
    assert f"{COOKIE}=planted" not in answer.headers["set-cookie"]


def test_the_login_form_cannot_be_sent_from_another_site(world):
    form = {"csrf_token": "x", "name": "vera", "password": PASSWORD}
    answer = world.client().post("/login", data=form)
    assert answer.headers["location"] == "/login"
    assert "set-cookie" not in answer.headers


def test_an_idle_login_ends(world):
    browser = world.browser("vera")
    world.wait(minutes=14)
    assert browser.get("/").status_code == 200
    world.wait(minutes=14)
    assert browser.get("/").status_code == 200
    world.wait(minutes=16)
    assert browser.get("/").status_code == 303


def test_a_logout_ends_the_session_and_not_only_the_cookie(world):
    browser = world.browser("vera")
    stolen = browser.cookies[COOKIE]
    token = form_token(browser.get("/").text)
    assert browser.post("/logout", data={"csrf_token": token}).status_code == 303
    thief = world.client()
    thief.cookies.set(COOKIE, stolen)
    assert thief.get("/").status_code == 303
    assert ("vera", "logout", "ok") in world.actions()


@pytest.mark.parametrize(
    "path",
    [
        "/logout",
        "/find",
        "/account/password",
        "/analyses/{failed}/rerun",
        "/deliveries/{dead_delivery}/retry",
        "/peers/pacs/echo",
        "/peers/pacs/reset",
        "/peers/pacs/retry",
    ],
)
def test_no_form_is_taken_without_its_token(world, path):
    browser = world.browser("anna")
    for form in ({"csrf_token": "forged"}, {"csrf_token": ""}):
        assert browser.post(path.format(**vars(world.ids)), data=form).status_code in {403, 422}
    assert world.echoed == []


def test_a_cookie_alone_changes_nothing_through_the_rest_interface(world):
    browser = world.browser("anna")
    path = f"/api/v1/analyses/{world.ids.failed}/rerun"
    assert browser.post(path).json()["code"] == "csrf"
    token = form_token(browser.get("/").text)
    assert browser.post(path, headers={"X-CSRF-Token": token}).status_code == 202


def test_a_one_time_password_opens_nothing_but_the_account_page(world):
    with world.sessions.begin() as session:
        once = people.add_user(session, name="new", role="viewer", now=world.now, actor="test")
    client = world.client()
    assert log_in(client, "new", once).status_code == 303
    assert client.get("/start").headers["location"] == "/account"
    for path in ("/", f"/analyses/{world.ids.flagged}", "/api/v1/analyses", "/status"):
        assert client.get(path).status_code == 403
    token = form_token(client.get("/account").text)
    form = {
        "csrf_token": token,
        "current": once,
        "new": "a quiet green field",
        "again": "a quiet green field",
    }
    assert client.post("/account/password", data=form).status_code == 303
    assert client.get("/").status_code == 200


def test_a_new_password_ends_the_other_logins(world):
    here, elsewhere = world.browser("vera"), world.browser("vera")
    form = {"csrf_token": form_token(here.get("/account").text), "current": PASSWORD}
    wrong = here.post("/account/password", data={**form, "current": "no", "new": "x" * 14, "again": "x" * 14})
    assert "current password is not right" in wrong.text
    good = {**form, "new": "a quiet green field", "again": "a quiet green field"}
    assert here.post("/account/password", data=good).status_code == 303
    assert here.get("/").status_code == 200
    assert elsewhere.get("/").status_code == 303


def test_the_list_page_names_nobody_and_its_filters_work(world):
    browser = world.browser("vera")
    answer = browser.get("/")
    assert not any(word in answer.text for word in PATIENT)
    assert f'/analyses/{world.ids.superseded}"' not in answer.text
    only = browser.get("/", params={"state": "failed", "flag": "", "from": "", "to": ""}).text
    assert re.findall(r"/analyses/(\d+)", only) == [str(world.ids.failed)]


def test_a_look_up_leaves_its_term_out_of_urls_and_records(world):
    browser = world.browser("vera")
    token = form_token(browser.get("/").text)
    for term in (ledger.PATIENT_ID, ledger.ACCESSION, "1.2.3.1", "1.2.3.1.1"):
        answer = browser.post("/find", data={"csrf_token": token, "term": f" {term} "})
        location = answer.headers["location"]
        assert re.fullmatch(r"/\?study=\d+", location)
        assert re.findall(r"/analyses/(\d+)", browser.get(location).text) == [str(world.ids.flagged)]
    missing = browser.post("/find", data={"csrf_token": token, "term": "%"})
    assert missing.headers["location"] == "/?notice=nothing_found"
    assert ("vera", "study_looked_up", "ok") in world.actions()


def test_the_analysis_page_shows_patient_measures_and_why_something_is_withheld(world):
    browser = world.browser("vera")
    shown = browser.get(f"/analyses/{world.ids.flagged}").text
    for text in (
        "Muster, Erika",
        "31.2 %",
        "1.90",
        "1.50 to 2.30",
        "demonstration",
        "PatientSize (height) is missing.",
        "IMAT above reference: raised",
        "does not mean no risk",
        "Stored by pacs",
    ):
        assert text in shown
    assert "Run again" not in shown
    withheld = browser.get(f"/analyses/{world.ids.not_assessable}").text
    assert "Withheld" in withheld
    assert "Mean area left 1.2" in withheld
    assert world.actions()[-1] == ("vera", "analysis_viewed", "ok")


def test_the_page_of_a_block_says_that_it_has_no_volume_and_shows_none(world):
    with world.sessions.begin() as session:
        row = session.get(Analysis, world.ids.flagged)
        found = json.loads(json.dumps(row.finding))
        found["series"]["block"] = {"number": 2, "of": 5}
        for side in ("left", "right", "total"):
            found["measures"][side].update(compartment_ml=None, lmm_ml=None, imat_ml=None)
        found["measures"]["lmm_height_index_ml_m2"] = None
        found["measures"]["asymmetry"]["compartment_ml"] = None
        row.finding = found
    shown = world.browser("vera").get(f"/analyses/{world.ids.flagged}").text
    assert "block 2 of 5 from the caudal end" in shown
    assert "shares of area, no volume" in shown
    measures = shown.partition('aria-label="Measures"')[2].partition("</section>")[0]
    assert "cm²" in measures
    assert "ml" not in measures.replace("html", "")


def test_what_came_from_outside_is_escaped(world):
    from service.db.tables import Study  # noqa: PLC0415

    with world.sessions.begin() as session:
        session.query(Study).filter_by(study_uid="1.2.3.1").one().patient_name = "<script>alert(1)</script>"
    shown = world.browser("vera").get(f"/analyses/{world.ids.flagged}").text
    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert" in shown


def test_pictures_and_the_report_are_served_by_fixed_names_only(world):
    browser = world.browser("vera")
    base = f"/analyses/{world.ids.flagged}"
    assert browser.get(f"{base}/pictures/overlay.png").content.startswith(b"\x89PNG")
    assert browser.get(f"{base}/report.pdf").content.startswith(b"%PDF")
    for name in ("seg.dcm", "..%2fseg.dcm", "%2e%2e", "profile.png"):
        assert browser.get(f"{base}/pictures/{name}").status_code == 404
    assert ("vera", "picture_viewed", "ok") in world.actions()


def test_charts_speak_the_language_of_the_page_or_are_those_that_were_made_with_the_result(world):
    browser, page = world.browser("vera"), f"/analyses/{world.ids.flagged}"
    with world.sessions() as session:
        folder = world.home / session.get(Analysis, world.ids.flagged).result_path
    for name in ("profile.png", "reference.png"):
        (folder / name).write_bytes((folder / "overlay.png").read_bytes())
    shown = browser.get(page, headers={"Accept-Language": "de"}).text
    assert 'aria-label="Referenzkurve"' in shown
    assert "pictures/reference.png" not in shown
    # One slice has no profile to draw, so what was made stands there.
    assert f'src="{page}/pictures/profile.png"' in shown
    with world.sessions.begin() as session:
        row = session.get(Analysis, world.ids.flagged)
        found = json.loads(json.dumps(row.finding))
        found["scores"][0]["norm"] = "of-last-year@1"
        found["measures"]["profile"] *= 2
        found["measures"]["profile"][1] = found["measures"]["profile"][0] | {"position_mm": 5.0}
        row.finding = found
    shown = browser.get(page, headers={"Accept-Language": "de"}).text
    assert 'aria-label="Profil entlang der Wirbelsäule"' in shown
    assert "pictures/profile.png" not in shown
    assert f'src="{page}/pictures/reference.png"' in shown


def test_an_operator_reruns_and_sends_again_by_button(world):
    browser = world.browser("otto")
    page = browser.get(f"/analyses/{world.ids.plain}").text
    token = {"csrf_token": form_token(page)}
    assert f"/deliveries/{world.ids.dead_delivery}/retry" in page
    answer = browser.post(f"/deliveries/{world.ids.dead_delivery}/retry", data=token)
    assert answer.headers["location"].startswith(f"/analyses/{world.ids.plain}?notice=retry_ordered")
    answer = browser.post(f"/analyses/{world.ids.plain}/rerun", data=token)
    assert "The rerun is in the queue" in browser.get(answer.headers["location"]).text
    conflict = browser.post(f"/analyses/{world.ids.plain}/rerun", data=token)
    assert conflict.status_code == 409
    assert "already_waiting" in conflict.text


def test_the_status_page_tells_whom_to_let_in_and_who_is_silent(world):
    world.broken.add("model")
    browser = world.browser("audrey")
    shown = browser.get("/status").text
    for text in ("ae_title = &#34;MR", "10.0.8.15", "silent", "not ready", "do not have the hash"):
        assert text in shown
    for text in (
        "tls_subject = &#34;CN=mr2&#34;",
        "no title",
        "has expired, or is not valid yet",
        "TLS: certificate or key cannot be used",
    ):
        assert text in shown
    assert "C-ECHO</button>" not in shown
    assert browser.get("/start").headers["location"] == "/audit"


def test_a_failed_echo_is_told_on_the_status_page(world):
    browser = world.browser("otto")
    token = {"csrf_token": form_token(browser.get("/status").text)}
    assert "echo_ok" in browser.post("/peers/pacs/echo", data=token).headers["location"]
    world.broken.add("peer")
    answer = browser.post("/peers/pacs/echo", data=token)
    assert "did not answer" in browser.get(answer.headers["location"].split("#")[0]).text


def test_a_peer_that_cannot_be_reached_is_shown_with_a_button_to_try_now(world):
    browser = world.browser("otto")
    assert "cannot be reached" not in browser.get("/status").text
    reason = Reason("association_rejected", "The peer rejected the association.")
    with world.sessions.begin() as session:
        for _ in range(DEFAULT_TERMS.failures):
            circuits.note_unreachable(
                session, "pacs", reason=reason, terms=DEFAULT_TERMS, now=world.now, spread=1.0
            )
    page = browser.get("/status").text
    for text in ("cannot be reached", "The peer rejected the association.", "5 tries in a row", "next try"):
        assert text in page
    assert "/peers/pacs/reset" not in world.browser("vera").get("/status").text
    token = {"csrf_token": form_token(page)}
    answer = browser.post("/peers/pacs/reset", data=token)
    page = browser.get(answer.headers["location"].split("#")[0]).text
    assert "goes now" in page
    assert "cannot be reached" not in page
    assert "/peers/pacs/retry" in page
    answer = browser.post("/peers/pacs/retry", data=token)
    page = browser.get(answer.headers["location"].split("#")[0]).text
    assert "is sent again" in page
    assert "/peers/pacs/retry" not in page


def test_what_a_peer_refused_is_told_in_words_and_offered_again_by_a_person(world):
    browser = world.browser("otto")
    assert "Offer again" not in browser.get("/status").text
    with world.sessions.begin() as session:
        # The label map is not in the settings of this peer, so it is no longer of interest.
        circuits.note_refused(session, "pacs", ["labelmap", "comprehensive3d"], now=world.now)
    page = browser.get("/status").text
    assert "Does not take Comprehensive 3D SR: gets every set with the report in an older class." in page
    assert "label map" not in page
    assert "Offer again" not in world.browser("vera").get("/status").text
    shown = next(
        peer
        for peer in world.program("viewer").get("/api/v1/peers").json()["items"]
        if peer["name"] == "pacs"
    )
    assert (shown["sr_class"], shown["refused"]) == ("comprehensive3d", ["comprehensive3d"])
    browser.post("/peers/pacs/reset", data={"csrf_token": form_token(page)})
    assert "Does not take" not in browser.get("/status").text


def test_refused_access_is_recorded(world):
    assert world.browser("audrey").get(f"/analyses/{world.ids.flagged}").status_code == 403
    assert world.actions()[-1] == ("audrey", "access", "refused")


def test_a_large_body_is_refused(world):
    answer = world.client().post("/login", content=b"x" * 70_000)
    assert answer.status_code == 413


def test_a_forwarded_address_and_a_foreign_host_are_not_believed(world):
    client = world.client()
    headers = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "Host": "evil.example"}
    answer = client.get("/", headers=headers)
    assert answer.headers["location"].startswith("/login")
