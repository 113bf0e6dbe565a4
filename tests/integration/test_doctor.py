"""`myoscreen doctor` and `myoscreen check` as an operator and a monitoring system call them."""

import dataclasses
import json
import os
import re
import shutil
import socket
import sys
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

import service.cli
from service.cli import build_app, check, looks
from service.core.trouble import Limits, Vitals
from service.db import ledger
from service.db.session import make_sessions
from service.db.tables import Delivery, PeerCircuit, RejectedCaller
from service.settings import load
from tests.make import ledger as filled
from tests.make.databases import bring_up
from tests.make.running import free_port

#: pynetdicom 3.0.4 lets the sockets of refused connections go without closing them.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
#: Monitoring Plugins development guidelines, 2.6: 'label'=value[UOM];[warn];[crit];[min];[max].
NUMBER = r"-?\d+(\.\d+)?"
RANGE = rf"(@?(~|{NUMBER})?:?({NUMBER})?)"
LIMITS = rf"(;{RANGE}(;{RANGE}(;({NUMBER})?(;({NUMBER})?)?)?)?)?"
DATUM = rf"('[^'=]+'|[^\s'=]+)={NUMBER}(s|us|ms|%|B|KB|MB|TB|c)?{LIMITS}"
LINE = re.compile(rf"MYOSCREEN (OK|WARNING|CRITICAL|UNKNOWN) - [^|\n]+( \| {DATUM}( {DATUM})*)?\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An installation whose doors say that they live."""
    home = tmp_path / "home"
    values = {"home": home, "dicom_port": free_port(), "http_port": free_port(), "spool_min_free_mb": 1}
    for name in list(os.environ):
        if name.startswith("MYOSCREEN_"):
            monkeypatch.delenv(name)
    for name, value in values.items():
        monkeypatch.setenv(f"MYOSCREEN_{name.upper()}", str(value))
    peer = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": free_port(), "outputs": ["SR"]}
    monkeypatch.setenv("MYOSCREEN_PEER", json.dumps([peer]))
    settings = load()
    bring_up(settings.resolved_database_url)
    (home / "spool").mkdir()
    sessions = make_sessions(settings.resolved_database_url)
    # A full disk of the machine that runs the tests is not what they are about.
    usage = shutil.disk_usage(home)
    roomy = type(usage)(100 * 10**9, 10 * 10**9, 90 * 10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: roomy)
    # Opening the network takes a second; one test does it.
    monkeypatch.setattr(looks, "_workshop", lambda _settings: "a network")
    yield settings, sessions
    sessions.kw["bind"].dispose()


def live(sessions, *doors, **changes):
    now = datetime.now(UTC)
    with sessions.begin() as session:
        for number, door in enumerate(doors):
            facts = {"host": "elsewhere", "pid": number, "version": service.__version__, "started_at": now}
            ledger.see_door(session, **{"name": door, "now": now, "detail": None, **facts, **changes})


def call(monkeypatch, capsys, *words):
    """Exit status and output of the command line, as its entry point gives them."""
    monkeypatch.setattr(sys, "argv", ["myoscreen", *words])
    with pytest.raises(SystemExit) as ended:
        service.cli.main()
    return ended.value.code or 0, capsys.readouterr().out


def troubles(told):
    return {each["code"]: each for part in told["checks"] for each in part["troubles"]}


OPEN_THE_NETWORK = looks._workshop


def test_doctor_tells_what_is_wrong_why_and_what_to_do(site, monkeypatch, capsys):
    settings, sessions = site
    monkeypatch.setattr(looks, "_workshop", OPEN_THE_NETWORK)
    live(sessions, "receiver", "worker")
    secret = settings.home.parent / "secret"
    secret.write_text("x")
    monkeypatch.setenv("MYOSCREEN_AUDIT_KEY_FILE", str(secret))
    monkeypatch.setattr("service.cli.looks.files.is_open_to_others", lambda path: path == secret)
    status, out = call(monkeypatch, capsys, "doctor", "--json")
    told = json.loads(out)
    assert status == 1
    assert told["state"] == "warning"
    found = troubles(told)
    # Nobody answers at the peer's port, which is free.
    assert set(found) >= {"secret_open", "peer_silent", "nothing_received"}
    assert found["secret_open"]["remedy"] == f"chmod 0600 {secret}"
    assert found["peer_silent"]["about"] == "pacs"
    assert all(each["what"] and each["why"] and each["remedy"] for each in found.values())
    names = [part["name"] for part in told["checks"]]
    assert names[:3] == ["home", "secret files", "database"]
    assert {"network and norms", "rules", "opt-out list", "broker", "ports", "service", "fonts"} < set(names)


def test_doctor_in_german_and_with_the_status_of_the_worst(site, monkeypatch, capsys):
    _settings, sessions = site
    live(sessions, "receiver", "worker", detail={"spool_full": True})
    status, out = call(monkeypatch, capsys, "doctor", "--german")
    assert status == 2
    assert "kritisch  service: Der Datenträger ist voll" in out
    assert "Warnung   peer pacs: Der Partner pacs antwortet nicht" in out


def test_doctor_says_once_that_the_database_is_of_another_revision(site, monkeypatch, capsys):
    settings, _sessions = site
    shutil.rmtree(settings.home)
    status, out = call(monkeypatch, capsys, "doctor", "--json")
    assert status == 2
    assert [code for code in troubles(json.loads(out)) if code != "peer_silent"] == ["database_unusable"]


def test_doctor_knows_a_port_that_another_program_has(site, monkeypatch, capsys):
    settings, sessions = site
    with socket.create_server(("127.0.0.1", settings.dicom_port)):
        _status, out = call(monkeypatch, capsys, "doctor", "--json")
        assert troubles(json.loads(out))["port_taken"]["about"] == str(settings.dicom_port)
        live(sessions, "receiver", host=socket.gethostname())
        _status, out = call(monkeypatch, capsys, "doctor", "--json")
        assert "port_taken" not in troubles(json.loads(out))
    _status, out = call(monkeypatch, capsys, "doctor", "--json")
    assert troubles(json.loads(out))["port_silent"]["about"] == "receiver"


def test_before_the_first_start_doctor_says_so_and_no_more(site, monkeypatch, capsys):
    _status, out = call(monkeypatch, capsys, "doctor", "--json")
    assert set(troubles(json.loads(out))) >= {"not_started"}
    assert "door_gone" not in troubles(json.loads(out))


def test_check_is_one_line_with_performance_data(site, monkeypatch, capsys):
    _settings, sessions = site
    live(sessions, "receiver", "worker", "web")
    status, out = call(monkeypatch, capsys, "check")
    assert (status, LINE.fullmatch(out) is not None) == (0, True), out
    assert out.startswith("MYOSCREEN OK - No image has come yet. | queue=0;50;;0; disk_free=90000000000B;")


def fill_with_trouble(sessions):
    now = datetime.now(UTC)
    with sessions.begin() as session:
        output = session.query(Delivery).first().output_id
        session.add(PeerCircuit(peer="pacs", state="open", failures=9, changed_at=now - timedelta(hours=2)))
        session.add(
            Delivery(output_id=output, peer="other", state="dead", created_at=now, error_code="store_refused")
        )
        session.add(
            RejectedCaller(
                calling_ae="X | Y", called_ae="Z", address="10.0.0.1", reason="calling_ae_unknown",
                first_at=now, last_at=now,
            )
        )  # fmt: skip


def test_check_has_thresholds_and_troubles_that_do_not_count(site, monkeypatch, capsys):
    settings, sessions = site
    filled.fill(sessions, settings.home)
    live(sessions, "receiver", "worker")
    fill_with_trouble(sessions)
    status, out = call(monkeypatch, capsys, "check", "--silent", "1e9", "--lag", "1e9")
    assert LINE.fullmatch(out), out
    assert "The peer pacs cannot be reached for 2 h 0 min." in out
    # A peer that is in the settings no more does not matter any more.
    assert "other" not in out
    assert status == 1
    codes = ("analyses_failed", "images_set_aside", "waits_too_long", "runs_too_long", "delivers_too_late")
    words = [word for code in (*codes, "peer_refuses") for word in ("--ignore", code)]
    status, out = call(
        monkeypatch, capsys, "check", "--silent", "1e9", "--lag", "1e9", "--away", "1e9", *words
    )
    assert status == 0, out
    status, out = call(monkeypatch, capsys, "check", "--silent", "1", "--lag", "1e9", *words)
    assert (status, "No image has come for" in out) == (1, True)


def test_check_says_unknown_where_it_cannot_tell_and_is_called_wrongly(site, monkeypatch, capsys):
    settings, _sessions = site
    assert call(monkeypatch, capsys, "check", "--queue", "many")[0] == 3
    shutil.rmtree(settings.home)
    status, out = call(monkeypatch, capsys, "check")
    assert (status, LINE.fullmatch(out) is not None) == (3, True), out


def test_perfdata_quotes_labels_and_states_ranges():
    vitals = Vitals(certificates={"DICOM TLS": 40.2}, refused={"main pacs": 2}, received_seconds=7.4)
    data = check.perfdata(vitals, Limits())
    assert re.fullmatch(rf"{DATUM}( {DATUM})*", data), data
    assert "'certificate DICOM TLS'=40;30:;7:;;" in data
    assert "'refused main pacs'=2;0;;0;" in data
    assert "since_image=7s;86400;;0;" in data
    assert check.perfdata(Vitals(database=False), Limits()) == ""


class Answering:
    """A web door that gives one answer."""

    def __init__(self, client):
        self.client, self.asked = client, []

    def get(self, url, key, ca_file):
        self.asked.append((url, key, ca_file))
        answer = self.client.get("/api/v1/status", headers={"Authorization": f"Bearer {key}"})
        return answer.status_code, answer.content


def test_check_by_rest_sees_what_the_status_page_sees(world, tmp_path, monkeypatch):
    with world.sessions.begin() as session:
        for door in ("receiver", "worker"):
            ledger.see_door(
                session, name=door, host="h", pid=1, version=service.__version__, started_at=world.now,
                now=world.now, detail=None,
            )  # fmt: skip
    door = Answering(world.client())
    monkeypatch.setattr(check, "_get", door.get)
    key = tmp_path / "key"
    key.write_text(world.keys["viewer"] + "\n")
    run = lambda *words: CliRunner().invoke(build_app("check"), ["check", "--url", "http://x", *words])  # noqa: E731
    result = run("--key-file", str(key))
    assert LINE.fullmatch(result.output), result.output
    page = world.program("viewer").get("/api/v1/status").json()
    for trouble in page["troubles"]:
        if trouble["severity"] != "note":
            assert trouble["what"] in result.output
    assert Vitals.of(page["vitals"]) == Vitals(**page["vitals"])
    assert dataclasses.asdict(Vitals.of(page["vitals"])) == page["vitals"]
    key.write_text("wrong")
    result = run("--key-file", str(key))
    assert (result.exit_code, "API key" in result.output) == (3, True)


def test_check_calls_a_web_door_that_does_not_answer_critical(monkeypatch, capsys):
    status, out = call(monkeypatch, capsys, "check", "--url", f"http://127.0.0.1:{free_port()}")
    assert (status, out) == (2, "MYOSCREEN CRITICAL - The web door does not answer: Connection refused.\n")


@pytest.mark.parametrize("detail", [None, {"ports": [11112], "spool_full": False}])
def test_the_status_page_says_what_is_wrong_and_what_to_do(world, detail):
    with world.sessions.begin() as session:
        ledger.see_door(
            session, name="receiver", host="h", pid=1, version="1", started_at=world.now, now=world.now,
            detail=detail,
        )  # fmt: skip
    page = world.browser("vera").get("/status").text
    assert "What is wrong" in page
    assert "Start that process again, so that all run the same release." in page
