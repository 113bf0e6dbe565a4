"""The language of the pages is the choice of whoever looks at them."""

import pytest

from service.web.auth import COOKIE
from service.web.language import COOKIE as LANGUAGE
from tests.make.web import form_token


def test_a_person_chooses_the_language_and_comes_back_to_the_page(world):
    browser = world.browser("vera")
    page = browser.get("/worklist?show=all").text
    assert '<html lang="en">' in page
    form = {"csrf_token": form_token(page), "language": "de", "back": "/worklist?show=all"}
    answer = browser.post("/language", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/worklist?show=all")
    assert "httponly" in answer.headers["set-cookie"].lower()
    page = browser.get("/worklist?show=all", headers={"Accept-Language": "en"}).text
    assert '<html lang="de">' in page
    assert "Gesetzte Hinweise" in page
    assert 'name="back" value="/worklist?show=all"' in page


def test_the_login_page_has_it_too(world):
    client = world.client()
    assert client.post("/language", data={"language": "de", "back": "/login"}).headers["location"] == "/login"
    assert "Benutzername" in client.get("/login").text


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "/a\r\nX: y", ""])
def test_it_leads_to_no_other_host(world, back):
    answer = world.client().post("/language", data={"language": "de", "back": back})
    assert answer.headers["location"] == "/start"


def test_another_site_cannot_choose_for_somebody_and_an_unknown_language_is_none(world):
    browser = world.browser("vera")
    assert browser.post("/language", data={"language": "de", "back": "/"}).status_code == 403
    answer = world.client().post("/language", data={"language": "xx<script>", "back": "/login"})
    assert answer.status_code == 422
    answer = world.client().post("/language", data={"language": "fr", "back": "/login"})
    assert "set-cookie" not in answer.headers


def test_errors_and_the_status_are_told_in_german(world):
    browser = world.browser("anna")
    browser.cookies.set(LANGUAGE, "de")
    missing = browser.get("/analyses/99999")
    assert "Nicht gefunden" in missing.text
    assert "Das gibt es hier nicht." in missing.text
    assert "Was nicht stimmt" in browser.get("/status").text
    assert COOKIE in browser.cookies
    assert "Auswertung angesehen" not in browser.get("/audit").text
    assert "Anmeldung" in browser.get("/audit").text
