"""What every test shares: a clean environment, a look for people's names where none may be, and an honest
account of what was skipped.
"""

import logging
import os
from pathlib import Path

import pytest

from service.logs import StandardError
from tests.make.leaks import Watch, watch_browsers, watch_everything
from tests.make.passwords import hashed_cheaply

ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.txt")


def pytest_configure(config: pytest.Config) -> None:
    """Settings of the developer's shell must not reach a test."""
    for name in [
        name for name in os.environ if name.startswith("MYOSCREEN_") and name != "MYOSCREEN_TEST_DATA"
    ]:
        del os.environ[name]
    # Tests run side by side, a process a core: threads of their own would only get in each other's way.
    os.environ["MYOSCREEN_INFERENCE_THREADS"] = "1"


WATCH = Watch()


def pytest_sessionstart() -> None:
    """From here on, logs, URLs and answers of /metrics are kept for the look after each test."""
    watch_everything(WATCH)


def pytest_collection_finish() -> None:
    """The tests are read, so it is known whether they use a browser."""
    watch_browsers(WATCH)


@pytest.fixture(scope="session", autouse=True)
def _passwords_hashed_cheaply():
    """Slow hashes are for those who steal them."""
    with hashed_cheaply():
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """A test may have set up logging anew, without our handler."""
    logging.getLogger().addHandler(WATCH)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Fail the test after which somebody is named in a log, in an answer of /metrics, or in a URL."""
    report = yield
    if call.when != "teardown":
        return report
    _forget_streams()
    WATCH.note("standard error", report.capstderr)
    found = WATCH.look()
    if found and item.get_closest_marker("names_people") is None:
        report.outcome = "failed"
        report.longrepr = "\n".join(["A patient of the tests is named.", *found])
    return report


def _forget_streams() -> None:
    """A test that set up logging pointed it to the standard error of that test, which is closed after it."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, StandardError)]:
        root.removeHandler(handler)


def _skipped(terminalreporter: pytest.TerminalReporter) -> list[tuple[str, str]]:
    """Test and reason of each skip of this run."""
    reports = terminalreporter.stats.get("skipped", [])
    return [(report.nodeid, _reason(report)) for report in reports]


def _reason(report: pytest.TestReport) -> str:
    longrepr = report.longrepr
    text = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return text.removeprefix("Skipped: ")


def _unexcused(skips: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Skips whose reason does not stand on the list."""
    lines = ALLOWED_SKIPS.read_text("utf-8").splitlines()
    allowed = tuple(line for line in lines if line and not line.startswith("#"))
    return [(test, reason) for test, reason in skips if not (allowed and reason.startswith(allowed))]


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter):
    """Name what was not run, last."""
    yield
    skips = _skipped(terminalreporter)
    if not skips:
        return
    terminalreporter.section("not run")
    for test, reason in skips:
        terminalreporter.line(f"{test}: {reason}")
    if os.environ.get("CI") == "true" and _unexcused(skips):
        terminalreporter.line(
            "In CI these skips fail the run: their reasons are not in tests/allowed_skips.txt."
        )


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI, a skip without an allowed reason is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") == "true" and exitstatus == 0 and reporter and _unexcused(_skipped(reporter)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
