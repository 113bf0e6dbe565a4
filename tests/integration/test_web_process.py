"""The web door as a process, and in a real browser."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from service.db import people
from service.db.session import make_sessions
from service.db.tables import Analysis
from service.pipeline.keepsake import KEPT_NAME
from tests.make import ledger
from tests.make.databases import bring_up
from tests.make.web import PASSWORD

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PROGRAM = "from service.settings import load; from service.web.app import serve; serve(load())"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    url = f"sqlite:///{home / 'myoscreen.db'}"
    bring_up(url)
    sessions = make_sessions(url)
    ids = ledger.fill(sessions, home, bulk=30)
    with sessions.begin() as session:
        people.add_user(session, name="anna", role="admin", now=ledger.NOW, actor="test")
        people.set_password(session, name="anna", password=PASSWORD, now=ledger.NOW, actor="test")
        folder = session.get_one(Analysis, ids.flagged).result_path
        (home / folder / KEPT_NAME).write_bytes(b"kept")
    sessions.kw["bind"].dispose()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "MYOSCREEN_HOME": str(home), "MYOSCREEN_HTTP_PORT": str(port)}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=environment, cwd=Path(__file__).parents[2]
    ) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}/healthz", process)
            yield f"http://127.0.0.1:{port}", ids, process
        finally:
            process.kill()


def wait_for(url, process, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    pytest.fail("the web door did not answer")


@pytest.fixture(scope="module")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.mark.parametrize("scripts", [True, False])
def test_a_reader_walks_the_pages_with_and_without_scripts(server, chromium, scripts):
    base, ids, _ = server
    context = chromium.new_context(java_script_enabled=scripts, viewport={"width": 390, "height": 800})
    page = context.new_page()
    troubles = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on(
        "request", lambda request: troubles.append(request.url) if not request.url.startswith(base) else None
    )
    page.goto(f"{base}/analyses/{ids.flagged}")
    page.fill("#name", "anna")
    page.fill("#password", PASSWORD)
    page.click("button.main")
    page.wait_for_url(f"{base}/analyses/{ids.flagged}")
    assert "Muster, Erika" in page.inner_text(".patient")
    if scripts:
        assert page.evaluate("document.querySelector('figure img').naturalWidth") > 0
    for path in ("/", "/status", "/audit", f"/compare/{ids.superseded}/{ids.flagged}"):
        page.goto(base + path)
        assert page.locator("h1").count() == 1
        if scripts:
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.goto(base + "/")
    page.click("a[rel=next]")
    assert page.locator("table.list tbody tr").count() > 1
    assert troubles == []
    page.click("text=Log out")
    page.wait_for_url(f"{base}/login")
    context.close()


def test_a_person_without_scripts_has_a_result_scored_again(server, chromium):
    base, ids, _ = server
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{base}/analyses/{ids.flagged}")
    page.fill("#name", "anna")
    page.fill("#password", PASSWORD)
    page.click("button.main")
    page.click("text=Score again")
    assert page.url.endswith("?notice=rescore_ordered")
    assert "version 3" in page.inner_text("h1")
    shown = page.inner_text("main")
    assert "New scores of the stored measures are in the queue" in shown
    assert "Ordered to be scored again from the measures of version 2" in shown
    page.goto(f"{base}/analyses/{ids.flagged}")
    assert page.locator("button", has_text="Score again").is_disabled()
    page.click("text=version 3")
    assert "Ordered to be scored again" in page.inner_text("main")
    context.close()


def test_a_term_signal_ends_the_door_cleanly(server):
    _, _, process = server
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0
