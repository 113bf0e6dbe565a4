"""The alert rules and the dashboard that ship: they hold what they promise, and name metrics that exist."""

import json
import re
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from service.db.deliveries import SUPERSEDED
from service.db.tables import Analysis, Delivery, Door, Series
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


def number(world, name):
    """What an installation says of one metric now."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", world.client().get("/metrics").text, re.MULTILINE)
    return None if found is None else float(found[1])


def test_what_an_alert_compares_with_an_hour_ago_is_there_before_anything_happened(world):
    with world.sessions.begin() as session:
        session.execute(delete(Delivery))
        session.execute(update(Analysis).where(Analysis.state == "failed").values(state="superseded"))
    assert number(world, 'myoscreen_deliveries_refused{peer="pacs"}') == 0
    assert number(world, 'myoscreen_analyses{state="failed"}') == 0


def test_an_object_that_was_given_up_on_purpose_is_not_refused(world):
    with world.sessions.begin() as session:
        ids = session.scalars(select(Delivery.id).where(Delivery.peer == "pacs").limit(2)).all()
        assert len(ids) == 2
        session.execute(update(Delivery).values(state="confirmed", error_code=None))
        row = update(Delivery).values(state="dead")
        session.execute(row.where(Delivery.id == ids[0]).values(error_code=SUPERSEDED.code))
        session.execute(row.where(Delivery.id == ids[1]).values(error_code="store_refused"))
    assert number(world, 'myoscreen_deliveries_refused{peer="pacs"}') == 1


def test_images_are_unanswered_from_the_first_one_after_the_last_result(world):
    """A Monday morning is no trouble: the last result is of Friday, the first image of just now."""
    with world.sessions.begin() as session:
        session.execute(update(Analysis).values(finished_at=world.now - timedelta(days=3)))
        session.execute(update(Series).values(last_at=world.now - timedelta(days=3, hours=1)))
    assert number(world, "myoscreen_unanswered_seconds") == 0
    with world.sessions.begin() as session:
        two = session.scalars(select(Series.id).order_by(Series.id).limit(2)).all()
        for series_id, ago in zip(two, (180, 60), strict=True):
            last_at = world.now - timedelta(seconds=ago)
            session.execute(update(Series).where(Series.id == series_id).values(last_at=last_at))
    assert number(world, "myoscreen_unanswered_seconds") == 180
    with world.sessions.begin() as session:
        session.execute(update(Analysis).values(finished_at=None))
    assert number(world, "myoscreen_unanswered_seconds") > 3 * 24 * 3600


def test_the_time_of_each_step_is_told_of_the_newest_results(world):
    with world.sessions.begin() as session:
        session.execute(update(Analysis).values(withdrawn_at=None))
        session.execute(update(Analysis).where(Analysis.state == "measured").values(state="superseded"))
        two = session.scalars(select(Analysis.id).order_by(Analysis.id).limit(2)).all()
        for turn, (analysis_id, network) in enumerate(zip(two, (30.0, 50.0), strict=True)):
            began = world.now - timedelta(hours=turn)
            row = update(Analysis).where(Analysis.id == analysis_id)
            session.execute(
                row.values(
                    state="measured",
                    version=7 + turn,
                    timings={"decode": 2.0, "network": network},
                    created_at=began - timedelta(seconds=10),
                    started_at=began,
                    finished_at=began + timedelta(seconds=60),
                )
            )
    for step, half, slow in (("network", 30, 50), ("decode", 2, 2), ("wait", 10, 10), ("whole", 70, 70)):
        told = [
            number(world, f'myoscreen_step_seconds{{quantile="{share}",step="{step}"}}')
            for share in (0.5, 0.95)
        ]
        assert told == [half, slow], step


def test_leases_and_what_workers_run_on_are_told(world):
    with world.sessions.begin() as session:
        session.execute(update(Analysis).where(Analysis.state == "ready").values(state="running"))
        session.execute(
            update(Analysis)
            .where(Analysis.state == "running")
            .values(started_at=world.now - timedelta(seconds=90))
        )
        running = len(session.scalars(select(Analysis.id).where(Analysis.state == "running")).all())
        session.execute(update(Delivery).values(state="confirmed"))
        first = session.scalars(select(Delivery.id).limit(1)).one()
        session.execute(update(Delivery).where(Delivery.id == first).values(state="sending"))
        detail = {"provider": "CUDAExecutionProvider", "precision": "fp32", "model": "paraspinal"}
        session.execute(update(Door).where(Door.name == "worker").values(detail=detail))
    assert running > 0
    assert number(world, 'myoscreen_leases{of="analysis"}') == running
    assert number(world, 'myoscreen_leases{of="delivery"}') == 1
    assert number(world, "myoscreen_oldest_running_seconds") == 90
    workers = 'myoscreen_workers{model="paraspinal",precision="fp32",provider="CUDAExecutionProvider"}'
    assert number(world, workers) == 1
