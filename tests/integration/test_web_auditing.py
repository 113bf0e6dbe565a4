"""The audit record is taken away by whoever looks at it, without a shell on the machine."""

import csv
import html
import json
import re
from datetime import timedelta


def test_an_auditor_takes_the_record_away_from_its_page(world):
    audrey = world.browser("audrey")
    world.wait(days=2)
    today = f"{world.now:%Y-%m-%d}"
    audrey = world.browser("audrey")
    for filters, logins in (("", 2), (f"?from={today}&to={today}", 1), (f"?to={today}", 2)):
        link = html.unescape(
            re.search(r'href="(/api/v1/audit/export[^"]*)"', audrey.get(f"/audit{filters}").text)[1]
        )
        answer = audrey.get(link)
        assert answer.headers["content-disposition"] == 'attachment; filename="myoscreen-audit.csv"'
        table = list(csv.DictReader(answer.text.splitlines()))
        assert [line["actor"] for line in table if line["action"] == "login"] == ["audrey"] * logins
    assert ("audrey", "audit_exported", "ok") in world.actions()


def test_a_program_gets_the_same_as_lines(world):
    program = world.program("auditor")
    program.get("/api/v1/audit")
    lines = [json.loads(line) for line in program.get("/api/v1/audit/export?format=json").text.splitlines()]
    assert [line["action"] for line in lines][-2:] == ["audit_viewed", "audit_exported"]
    since = (world.now + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert program.get("/api/v1/audit/export", params={"format": "json", "from": since}).text == ""
    for role in ("viewer", "operator", "reviewer"):
        assert world.program(role).get("/api/v1/audit/export").status_code == 403
