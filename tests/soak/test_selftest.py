"""`myoscreen selftest` against the running service, which stands in a hospital: its peers are listed."""

import json

from typer.testing import CliRunner

from service.cli import build_app
from service.db import overview
from service.db.session import make_sessions, reading
from service.db.tables import Analysis, AuditEntry, Instance, Series, Study
from service.dicom.archive import Archive
from service.dicom.callers import SELF_TEST_AE
from service.dicom.synthesis import write_phantom
from tests.make.running import free_port, running_service
from tests.make.tools import run

OUTPUTS = ["SEG", "SR", "SC", "PDF"]


def objects(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def peer(name, port):
    """An archive that gets every result."""
    return {"name": name, "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": port, "outputs": OUTPUTS}


def test_the_phantom_goes_through_is_compared_and_leaves_no_trace(tmp_path, monkeypatch):
    home, rules = tmp_path / "home", tmp_path / "rules.toml"
    # Images of any other sender would not be measured.
    rules.write_text(
        'id = "site"\nversion = "1"\ntake = "first"\n[[rule]]\nname = "scanner"\n'
        'when.calling_ae = ["SCANNER1"]\n'
    )
    ports = {"named": free_port(), "pacs": free_port()}
    archives = [Archive(tmp_path / name, ae_title="ARCHIVE").start(port) for name, port in ports.items()]
    try:
        with running_service(
            home, peers=tuple(peer(*each) for each in ports.items()), rules=str(rules)
        ) as service:
            _nobody_else_comes_in_by_its_title(service, tmp_path)
            for name, value in service.environment.items():
                if name.startswith("MYOSCREEN_"):
                    monkeypatch.setenv(name, value)
            told = CliRunner().invoke(build_app("selftest"), ["selftest", "--json", "--to", "named"])
            assert told.exit_code == 0, told.output
            said = json.loads(told.output)
            assert (said["outcome"], len(said["measures"])) == ("passed", 4)
            assert set(said["seconds"]) == {"send", "analyse", "deliver"}
            assert [len(objects(tmp_path / name)) for name in ports] == [4, 0]
            _nothing_is_left(home)
            status = service.get("/api/v1/status")
            assert (status["vitals"]["self_test"], status["last_received_at"]) == ("passed", None)
            assert {value for value in status["funnel"].values() if isinstance(value, int)} == {0}
            assert "SELFTEST^" not in service.logs()
    finally:
        for archive in archives:
            archive.stop()


def _nobody_else_comes_in_by_its_title(service, tmp_path):
    paths = write_phantom(tmp_path / "other", slices=5)
    done = run(
        "storescu",
        "-aec",
        "MYOSCREEN",
        "-aet",
        SELF_TEST_AE,
        "127.0.0.1",
        service.dicom_port,
        *paths,
        check=False,
    )
    assert done.returncode != 0
    assert service.analyses() == []


def _nothing_is_left(home):
    sessions = make_sessions(f"sqlite:///{home / 'myoscreen.db'}")
    with reading(sessions) as session:
        for table in (Study, Series, Instance, Analysis):
            assert session.query(table).count() == 0
        assert {"analysis_finished", "rows_purged"} <= {row.action for row in session.query(AuditEntry)}
        assert overview.peer_traffic(session) == {}
    sessions.kw["bind"].dispose()
    assert [path for folder in ("spool", "results") for path in objects(home / folder)] == []
