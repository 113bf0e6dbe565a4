"""The alert rules and the dashboard that ship: they hold what they promise, and name metrics that exist."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.make.tools import program

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "monitoring" / "alerts.yml"
DASHBOARD = ROOT / "deploy" / "monitoring" / "grafana.json"
CASES = ROOT / "tests" / "monitoring" / "alerts.test.yml"
ALERT = re.compile(r"- alert: (\w+)")


def promtool(*words):
    found = subprocess.run(
        [program("promtool"), *map(str, words)], capture_output=True, text=True, check=False, timeout=60
    )
    return found.returncode, found.stdout + found.stderr


def test_the_rules_are_rules():
    code, said = promtool("check", "rules", RULES)
    assert code == 0, said


def test_each_alert_is_raised_by_what_it_is_for_and_not_when_all_is_well():
    code, said = promtool("test", "rules", CASES)
    assert code == 0, said


def test_each_alert_has_a_case():
    alerts = set(ALERT.findall(RULES.read_text("utf-8")))
    cases = CASES.read_text("utf-8")
    assert [alert for alert in sorted(alerts) if alert not in cases] == []
    assert len(alerts) > 10


@pytest.fixture
def exported(world):
    """Names of the metrics of an installation that has received, analysed and sent."""
    client = world.client()
    client.get("/healthz")  # one request is counted before the next asks
    text = client.get("/metrics").text
    return {match[1] for match in re.finditer(r"^(myoscreen_\w+)", text, re.MULTILINE)}


def dashboard_expressions():
    content = json.loads(DASHBOARD.read_text("utf-8"))
    return [target["expr"] for panel in content["panels"] for target in panel["targets"]]


def test_rules_and_dashboard_ask_for_metrics_that_exist(exported):
    asked = set(re.findall(r"myoscreen_\w+", RULES.read_text("utf-8") + "\n".join(dashboard_expressions())))
    assert asked - exported == set()


def test_every_expression_of_the_dashboard_is_understood(tmp_path):
    rules = [{"record": f"panel:{n}", "expr": e} for n, e in enumerate(dashboard_expressions())]
    path = tmp_path / "panels.yml"
    path.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}), "utf-8")  # JSON is YAML
    code, said = promtool("check", "rules", path)
    assert code == 0, said
