"""Going through the slices in a real browser: keyboard, wheel, slider, finger, and what it costs."""

import re
import socket
import threading

import pytest
import uvicorn

from service.db.session import reading
from service.db.tables import Analysis
from tests.integration.test_web_process import CHROMIUM, FLAGS
from tests.make.slices import SHAPE, write_slices
from tests.make.web import PASSWORD, copy_world

LAST = SHAPE[0]


@pytest.fixture(scope="module")
def site(template, tmp_path_factory):
    """A world with slices, served on a free port; its address and the analysis."""
    world = copy_world(template, tmp_path_factory.mktemp("slices") / "home")
    with reading(world.sessions) as session:
        write_slices(world.home / session.get_one(Analysis, world.ids.flagged).result_path)
    app = world.client().app
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", world.ids.flagged
        server.should_exit = True
        thread.join(timeout=30)
    world.sessions.kw["bind"].dispose()


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def login(site, browser):
    """Cookies of somebody who is logged in; a password takes long to hash."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{site[0]}/login")
    page.fill("#name", "vera")
    page.fill("#password", PASSWORD)
    page.click("button.main")
    page.wait_for_load_state()
    yield context.storage_state()
    context.close()


@pytest.fixture
def page(site, browser, login):
    """The page of the result, once its slices are there."""
    context = browser.new_context(storage_state=login, viewport={"width": 1200, "height": 1600})
    page = context.new_page()
    page.troubles = []
    page.asked = []
    page.on("pageerror", lambda error: page.troubles.append(str(error)))
    page.on("console", lambda said: page.troubles.append(said.text) if said.type == "error" else None)
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(f"{site[0]}/analyses/{site[1]}?slice=4")
    page.wait_for_selector(".film.live")
    yield page
    assert page.troubles == []
    assert all(url.startswith(site[0]) for url in page.asked)
    context.close()


def shown(page):
    """The number of the slice whose image is shown, waited for."""
    return int(re.search(r"/slices/(\d+)$", page.get_attribute(".film .layer:not(.drawing)", "src"))[1])


def expect(page, place):
    page.wait_for_selector(f'.film .layer[src$="/slices/{place}"]')
    assert shown(page) == place
    assert f"lice {place} of {LAST}" in page.inner_text(".caption")


def test_keys_go_through_the_slices_and_lay_the_drawing_over(page):
    expect(page, 4)
    page.focus(".film")
    for key, place in (("ArrowUp", 5), ("ArrowRight", 6), ("ArrowDown", 5), ("ArrowLeft", 4), ("End", LAST)):
        page.keyboard.press(key)
        expect(page, place)
    page.keyboard.press("ArrowUp")
    expect(page, LAST)
    page.keyboard.press("Home")
    expect(page, 1)
    assert page.locator(".film .drawing").count() == 0, "nothing is drawn on the first slice"
    assert "nothing is drawn here" in page.inner_text(".caption")
    page.keyboard.press("PageUp")
    expect(page, 6)
    for key in ("o", " "):
        assert page.locator(".film .drawing").is_visible()
        page.keyboard.press(key)
        assert not page.locator(".film .drawing").is_visible()
        page.keyboard.press("O")
    page.wait_for_url("**?slice=6&overlay=1#slices")


def test_the_wheel_the_slider_and_the_links_do_the_same(page):
    expect(page, 4)
    page.hover(".film")
    page.mouse.wheel(0, -100)
    expect(page, 5)
    page.mouse.wheel(0, 100)
    expect(page, 4)
    page.locator(".slider").fill("8")
    expect(page, 8)
    page.click("[data-step=down]")
    expect(page, 7)
    page.click("[data-step=toggle]")
    assert not page.locator(".film .drawing").is_visible()
    page.wait_for_url("**?slice=7&overlay=0#slices")
    page.reload()
    page.wait_for_selector(".film.live")
    expect(page, 7)
    assert not page.locator(".film .drawing").is_visible()


def test_a_finger_that_moves_sideways_goes_through_the_slices(page):
    expect(page, 4)
    finger = {"pointerType": "touch", "bubbles": True, "pointerId": 7}
    for kind, x in (("pointerdown", 100), ("pointermove", 145), ("pointerup", 145)):
        page.dispatch_event(".film", kind, {**finger, "clientX": x, "clientY": 50})
    expect(page, 7)


def test_the_drawing_lies_on_the_muscle_of_the_same_side(page):
    """The left muscle has fat in this phantom, and the patient's left is on the right of the picture."""
    expect(page, 4)
    where = page.evaluate(
        """async () => {
          const image = document.querySelector(".film .drawing");
          const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
          const context = canvas.getContext("2d");
          context.drawImage(image, 0, 0);
          const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
          const yellow = [];
          for (let at = 0; at < data.length; at += 4)
            if (data[at + 3] > 0 && data[at] > 200 && data[at + 1] > 200)
              yellow.push(((at / 4) % canvas.width) / canvas.width);
          return [Math.min(...yellow), Math.max(...yellow)];
        }"""
    )
    assert 0.5 < where[0] < where[1] < 1
    assert page.inner_text(".at-right") == "L"
    box, over = (
        page.locator(f".film .layer{kind}").bounding_box() for kind in (":not(.drawing)", ".drawing")
    )
    assert box == over


def test_neighbours_are_fetched_before_they_are_asked_for_and_each_once(page):
    expect(page, 4)
    page.focus(".film")
    with page.expect_response(lambda answer: answer.url.endswith("/slices/8")):
        page.keyboard.press("ArrowUp")
    expect(page, 5)
    assert {3, 4, 5, 6, 7, 8} <= set(fetched(page)) <= {2, 3, 4, 5, 6, 7, 8}
    assert len(fetched(page)) == len(set(fetched(page)))


def fetched(page):
    """The slices whose images were asked for, one after the other."""
    return [int(found[1]) for url in page.asked if (found := re.search(r"/slices/(\d+)$", url))]


def test_the_page_prints_with_the_slice_and_without_what_only_a_screen_needs(page):
    expect(page, 4)
    page.emulate_media(media="print")
    assert page.locator(".film .drawing").is_visible()
    for hidden in (".walk", ".slider", ".top", "#withdraw", "main form"):
        assert all(not each.is_visible() for each in page.locator(hidden).all()), hidden
