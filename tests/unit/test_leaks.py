"""The look for people in logs, answers of /metrics and URLs finds them, and fails the test at fault."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.make.identities import named
from tests.make.leaks import is_ours

ROOT = Path(__file__).parents[2]
NAMED = '"Doe^" + "Jane"'
LEAKS = {
    "log": f'logging.getLogger("service.web").warning("request %s", {NAMED})',
    "url": f'httpx.Client(transport=transport).get("http://x/find?term=" + {NAMED}.replace("^", "%5E"))',
    "metrics": 'httpx.Client(transport=transport).get("http://x/metrics")',
    "errors": f"sys.stderr.write({NAMED})",
    "process": f"subprocess.Popen([sys.executable, \"-c\", 'print({NAMED})'], stdout=file).wait()",
    "nothing": 'logging.getLogger("service.web").warning("request_answered", extra={"route": "/find"})',
}


WHERE = {
    "log": "log",
    "url": "URL",
    "metrics": "metrics",
    "errors": "standard error",
    "process": "log of a process, door.log",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What a test run says of one test for each place, and of one that is excused."""
    folder = tmp_path_factory.mktemp("leaks")
    lines = ["import httpx, logging, pytest, subprocess, sys"]
    lines.append(f"transport = httpx.MockTransport(lambda request: httpx.Response(200, text={NAMED}))")
    for name, line in LEAKS.items():
        lines.append(
            f"def test_{name}(tmp_path):\n  with (tmp_path / 'door.log').open('w') as file:\n    {line}"
        )
    excused = LEAKS["errors"]
    lines.append(f'@pytest.mark.names_people("for this")\ndef test_excused():\n    {excused}')
    (folder / "test_inner.py").write_text("\n".join(lines))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-rA",
        "-c",
        str(ROOT / "pyproject.toml"),
        "--rootdir",
        str(ROOT),
    ]
    command += ["--confcutdir", str(ROOT), "-p", "tests.conftest", "-p", "no:cacheprovider", "test_inner.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout


def test_every_test_after_which_somebody_is_named_fails_and_says_where(report):
    for name, where in WHERE.items():
        assert f"{where} names Doe^Jane: " in report, name
        assert re.search(rf"ERROR \S+::test_{name} - A patient of the tests is named", report), name
    # In CI the summary tells them a second time.
    assert len({line for line in report.splitlines() if "names Doe^Jane" in line}) == len(WHERE)


def test_a_test_that_names_nobody_or_does_so_on_purpose_passes(report):
    failed = re.findall(r"(?:ERROR|FAILED) \S+::test_(\w+)", report)
    assert set(failed) == set(WHERE)
    assert {"nothing", "excused"} <= set(re.findall(r"PASSED \S+::test_(\w+)", report))


def test_names_are_known_in_every_form_and_nothing_else_is():
    for text in ("Doe^Jane", "Jane Doe", "Doe, Jane", "P1", "1964-02-29T00:00", "born 19640229", "Müller"):
        assert named(f'x="{text}" y'), text
    for text in ("1.2.840.19640229.1", "P12", "SP1", "Janeway", "2026-11-20", "muster"):
        assert not named(f'x="{text}" y'), text


def test_only_our_own_programs_are_listened_to():
    assert is_ours([sys.executable, "-m", "service.cli"])
    assert is_ours(["/x/bin/myoscreen", "serve"])
    assert not is_ours(["/usr/sbin/Orthanc", "config.json"])
