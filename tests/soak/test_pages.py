"""Every page for every role, in both themes and languages, narrow and wide, with and without scripts."""

import os
from pathlib import Path

import pytest

from tests.make import browser, walk
from tests.make.web import USERS

#: Where the screenshots go, for somebody to look at.
SHOTS = Path(os.environ.get("SHOTS", "build/pages"))
THEMES = ("light", "dark")
LANGUAGES = ("en", "de")
#: The narrowest is that of WCAG 2.2, 1.4.10: 320 CSS pixels.
WIDTHS = (320, 1280)


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    with walk.walked(tmp_path_factory.mktemp("walk")) as running:
        yield running


@pytest.fixture(scope="module")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=str(browser.CHROMIUM), args=browser.FLAGS)
        yield started
        started.close()


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "without"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", [*USERS, "nobody"])
def test_every_page_of_a_role(door, chromium, name, theme, language, width, scripts):
    shots = SHOTS / f"{theme}-{language}-{width}{'' if scripts else '-without'}"
    shots.mkdir(parents=True, exist_ok=True)
    context = chromium.new_context(
        color_scheme=theme, viewport={"width": width, "height": 900}, java_script_enabled=scripts
    )
    context.add_cookies(door.cookies(name, language))
    view = context.new_page()
    witness = browser.Witness(view, door.base)
    troubles = []
    for page in door.pages_of(name):
        view.goto(door.address(page))
        found = browser.troubles_of(view, language, scripts=scripts) + witness.troubles
        troubles += [f"{page.name}: {each}" for each in found]
        witness.troubles.clear()
        view.screenshot(path=shots / f"{name}-{page.name}.png", full_page=True)
    context.close()
    assert troubles == []


@pytest.mark.parametrize("name", USERS)
def test_every_control_of_every_page_is_reached_by_the_keyboard(door, chromium, name):
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.add_cookies(door.cookies(name, "en"))
    view = context.new_page()
    troubles = []
    for page in door.pages_of(name):
        view.goto(door.address(page))
        troubles += [f"{page.name}: {each}" for each in browser.keyboard_troubles(view)]
    context.close()
    assert troubles == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_prints_within_its_paper(door, chromium, language):
    """A page on A4, in black on white, whatever the theme; looked at as a picture beside the others."""
    shots = SHOTS / f"print-{language}"
    shots.mkdir(parents=True, exist_ok=True)
    context = chromium.new_context(color_scheme="dark")
    context.add_cookies(door.cookies("anna", language))
    view = context.new_page()
    for page in door.pages_of("anna"):
        view.goto(door.address(page))
        view.pdf(path=shots / f"{page.name}.pdf", format="A4", print_background=False)
        view.emulate_media(media="print")
        view.set_viewport_size({"width": 718, "height": 1000})
        assert view.evaluate(browser.WIDTH) <= 0, page.name
        ground = view.evaluate("() => getComputedStyle(document.body).backgroundColor")
        assert ground == "rgb(255, 255, 255)", page.name
        view.emulate_media(media="null")
    context.close()
