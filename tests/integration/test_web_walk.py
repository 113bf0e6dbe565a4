"""Every page in a real browser: accessible, quiet, of this host alone, and walked by the keyboard."""

import itertools

import pytest

from tests.make import browser, walk
from tests.make.web import USERS

#: The page of each in one cell of theme, language and width; all cells are walked in ``make soak``.
CELLS = list(itertools.product(("light", "dark"), ("en", "de"), (360, 1280)))
RICHEST = "anna"
#: The pages that differ most; the others are looked at as closely in ``make soak``.
LOOKED_AT = [
    "list",
    "flagged",
    "status",
    "population",
    "funnel",
    "activations",
    "reviews",
    "account",
    "people",
]


def named(name):
    return next(page for page in walk.PAGES if page.name == name)


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    with walk.walked(tmp_path_factory.mktemp("walk")) as running:
        yield running


@pytest.fixture(scope="module")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api")
    if not browser.CHROMIUM.exists():
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=str(browser.CHROMIUM), args=browser.FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def views(door, chromium):
    """A page of the richest role in each cell, opened when it is asked for."""
    opened = {}

    def view(cell):
        if cell not in opened:
            theme, language, width = cell
            context = chromium.new_context(
                color_scheme=theme, viewport={"width": width, "height": 900}, reduced_motion="reduce"
            )
            context.add_cookies(door.cookies(RICHEST, language))
            page = context.new_page()
            opened[cell] = page, browser.Witness(page, door.base)
        return opened[cell]

    return view


@pytest.mark.parametrize(("number", "name"), list(enumerate(LOOKED_AT)), ids=LOOKED_AT)
def test_a_page_is_accessible_and_fits(door, views, number, name):
    cell = CELLS[number % len(CELLS)]
    view, witness = views(cell)
    view.goto(door.address(named(name)))
    assert browser.troubles_of(view, cell[1]) == []
    assert witness.troubles == []


def test_no_page_complains_or_asks_another_host(door, views):
    """Under the real policy for content: nothing here by-passes it."""
    view, witness = views(("light", "en", 1280))
    for page in (*walk.PAGES, *walk.PUBLIC):
        answer = view.goto(door.address(page))
        assert answer.status == (404 if page.name == "not_found" else 200), page.name
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert witness.troubles == [], page.name


def test_the_witness_sees_what_is_forbidden(door, views):
    view, witness = views(("light", "en", 1280))
    view.goto(door.address(named("account")))
    view.evaluate("""() => {
      document.body.insertAdjacentHTML('beforeend', '<p style="color: red">x</p>');
      document.body.append(Object.assign(new Image(), {src: 'https://elsewhere.example/x.png'}));
      document.querySelector('main').insertAdjacentHTML('beforeend', '<h4>deep</h4><img src="/favicon.ico">');
    }""")
    view.wait_for_function("() => document.querySelectorAll('img').length > 1")
    found = browser.troubles_of(view, "en")
    assert "headings out of order" in found
    assert any(each.startswith("image-alt") for each in found)
    assert any("Content Security Policy" in each for each in witness.troubles)
    witness.troubles.clear()


@pytest.mark.parametrize("name", ["flagged"])
def test_every_control_is_reached_by_the_keyboard_and_shows_it(door, views, name):
    view, _ = views(("light", "en", 1280))
    view.goto(door.address(named(name)))
    assert browser.keyboard_troubles(view) == []


def test_the_roles_walk_their_pages_and_no_others(door):
    shown = {name: {page.name for page in door.pages_of(name)} for name in USERS}
    assert {"audit", "activations", "status"} <= shown["audrey"]
    assert not {"list", "flagged", "optouts"} & shown["audrey"]
    assert {"list", "flagged"} <= shown["vera"]
    assert not {"audit", "optouts"} & shown["vera"]
    assert shown["anna"] == {page.name for page in walk.PAGES}
