"""What is in force on its page, by REST and on the command line."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from service.cli import build_app
from service.cli.standing import standing
from service.core.activation import Kind
from service.db import activations, logins, people
from service.db.session import make_sessions, reading
from service.db.tables import User
from service.pipeline import activation
from service.settings import load
from service.web.activating_site import site_of
from service.web.auth import COOKIE
from tests.make import ledger
from tests.make.activating import models_folder
from tests.make.web import PASSWORD, USERS, copy_world, form_token, make_world

MAY_CHANGE = {"admin"}
MAY_READ = {"admin", "auditor"}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return models_folder(tmp_path_factory.mktemp("models") / "m")


def add_bert(session, password_hash):
    """A second administrator; hashing a password takes long on purpose, so it is another one's."""
    bert = User(name="bert", password_hash=password_hash, role="admin", created_at=ledger.NOW)
    session.add(bert)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A filled database with a second administrator, and a key that the first one made."""
    world = make_world(tmp_path_factory.mktemp("template"))
    with world.sessions.begin() as session:
        add_bert(session, session.scalar(select(User.password_hash).where(User.name == "anna")))
        key = people.add_key(session, name="annas", role="admin", now=ledger.NOW, actor="anna")
        world.keys["annas"] = key
    world.sessions.kw["bind"].dispose()
    return world


@pytest.fixture
def world(template, models, tmp_path):
    world = copy_world(template, tmp_path / "home")
    world.settings = world.settings.model_copy(update={"models_dir": models})
    web = world.client().app.state.web
    activation.take_up_settings(world.sessions, site_of(web), now=world.now)
    yield world
    world.sessions.kw["bind"].dispose()


def browser(world, name):
    """A browser in which this person is logged in."""
    client = world.client()
    with world.sessions.begin() as session:
        number = session.scalar(select(User.id).where(User.name == name))
        token = logins.finish_login(session, user_id=number, now=world.now, idle=timedelta(minutes=15))
    client.cookies.set(COOKIE, token)
    return client


@pytest.fixture
def two(world):
    """Where another administrator has to confirm."""
    world.settings = world.settings.model_copy(update={"activation_second_person": True})
    return world


def now(world, kind=Kind.POLICY):
    with reading(world.sessions) as session:
        return activations.in_force(session)[kind]


def post(client, path, **body):
    return client.post(f"/api/v1/activations{path}", json=body or None)


def told(client, kind="policy"):
    (found,) = client.get("/api/v1/activations", params={"kind": kind}).json()["in_force"]
    return found


@pytest.mark.parametrize("role", [*USERS.values(), "nobody"])
def test_administrators_change_it_and_auditors_read_it(world, role):
    client = world.client() if role == "nobody" else world.program(role)
    refused = 401 if role == "nobody" else 403
    assert client.get("/api/v1/activations").status_code == (200 if role in MAY_READ else refused)
    order = {"kind": "policy", "name": "strict", "reason": ""}
    made = client.post("/api/v1/activations", json=order)
    assert made.status_code == (200 if role in MAY_CHANGE else refused)
    number = now(world).id
    for step in ("confirm", "refuse", "roll-back"):
        answer = client.post(f"/api/v1/activations/{number}/{step}", json={"reason": ""})
        assert answer.status_code in ({200, 409} if role in MAY_CHANGE else {refused})


def test_a_change_by_rest_with_its_way_back(world):
    client = world.program("admin")
    made = post(client, "", kind="policy", name="strict", reason="fewer flags").json()
    assert (made["state"], made["asked_by"], made["reason"]) == ("active", "key:admin", "fewer flags")
    found = told(client)
    assert (found["name"], found["unchanged"], found["back_to"]["name"]) == ("strict", True, "default")
    assert [piece["path"] for piece in found["activation"]["pieces"]] == ["policies/strict.toml"]
    back = post(client, f"/{made['id']}/roll-back", reason="").json()
    assert (back["state"], back["name"], now(world).name) == ("active", "default", "default")
    states = [line["state"] for line in client.get("/api/v1/activations?kind=policy").json()["items"]]
    assert states == ["active", "rolled_back", "replaced"]
    assert ("key:admin", "activation_made", "ok") in world.actions()


def test_the_record_comes_in_pages(world):
    client = world.program("auditor")
    first = client.get("/api/v1/activations", params={"limit": 3}).json()
    rest = client.get("/api/v1/activations", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    assert [len(page["items"]) for page in (first, rest)] == [3, 1]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    ("kind", "name", "code"),
    [
        ("policy", "default", "already_active"),
        ("policy", "..", "unknown_thing"),
        ("policy", "none", "configuration_error"),
        ("norms", "none", "norm_missing"),
        ("network", "none", "model_missing"),
        ("network", "next", "network_not_usable"),
    ],
)
def test_what_cannot_be_activated_is_a_conflict_with_its_reason(world, kind, name, code):
    world.broken.add("network")
    answer = post(world.program("admin"), "", kind=kind, name=name)
    assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert ("key:admin", "activation", "refused") in world.actions()


def test_a_line_that_is_not_there_is_not_found(world):
    client = world.program("admin")
    for step in ("confirm", "refuse", "roll-back"):
        assert client.post(f"/api/v1/activations/999/{step}", json={"reason": ""}).status_code == 404


def test_two_people_on_the_page(two):
    anna, bert = browser(two, "anna"), browser(two, "bert")
    page = anna.get("/activations").text
    form = {"csrf_token": form_token(page), "kind": "policy", "name": "strict", "reason": "fewer_<flags>"}
    sent = anna.post("/activations", data=form)
    assert sent.headers["location"] == "/activations?notice=activation_proposed"
    page = anna.get(sent.headers["location"]).text
    assert "Another administrator has to confirm what you proposed." in page
    assert "fewer_&lt;flags&gt;" in page
    number = re.search(r"/activations/(\d+)/refuse", page)[1]
    own = anna.post(f"/activations/{number}/confirm", data={"csrf_token": form_token(page)})
    assert own.status_code == 409
    assert "own_proposal" in own.text
    own = post(two.program("annas"), f"/{number}/confirm")
    assert own.json()["code"] == "own_proposal"
    token = form_token(bert.get("/activations").text)
    assert bert.post(f"/activations/{number}/confirm", data={"csrf_token": "forged"}).status_code == 403
    done = bert.post(f"/activations/{number}/confirm", data={"csrf_token": token})
    assert done.headers["location"] == "/activations?notice=activation_active"
    assert (now(two).name, now(two).asked_by, now(two).decided_by) == ("strict", "anna", "bert")


def test_one_click_rolls_back(world):
    anna = browser(world, "anna")
    form = {"csrf_token": form_token(anna.get("/activations").text), "kind": "policy", "name": "strict"}
    anna.post("/activations", data=form)
    page = anna.get("/activations").text
    assert "Roll back to default, version 2" in page
    number = re.search(r"/activations/(\d+)/roll-back", page)[1]
    anna.post(f"/activations/{number}/roll-back", data={"csrf_token": form_token(page)})
    assert now(world).name == "default"


def test_a_refused_proposal_leaves_all_as_it_was(two):
    anna = browser(two, "anna")
    form = {"csrf_token": form_token(anna.get("/activations").text), "kind": "norms", "name": ""}
    anna.post("/activations", data=form)
    page = anna.get("/activations").text
    number = re.search(r"/activations/(\d+)/refuse", page)[1]
    form = {"csrf_token": form_token(page), "reason": "a mistake"}
    anna.post(f"/activations/{number}/refuse", data=form)
    assert now(two, Kind.NORMS).asked_by == "the settings"
    assert "a mistake" in anna.get("/activations").text


def test_an_auditor_sees_all_and_no_button(two):
    two.program("annas").post("/api/v1/activations", json={"kind": "policy", "name": "strict"})
    page = browser(two, "audrey").get("/activations").text
    assert "Waiting for a confirmation" in page
    assert 'action="/activations' not in page


def test_the_page_speaks_german(world):
    anna = browser(world, "anna")
    page = anna.get("/activations", headers={"accept-language": "de"}).text
    assert "<h1>Was gilt</h1>" in page
    assert "Das Erste, aus den Einstellungen." in page


def test_a_changed_file_is_told_wherever_somebody_looks(world, request):
    path = world.settings.models_dir / "policies" / "default.toml"
    before = path.read_bytes()
    request.addfinalizer(lambda: path.write_bytes(before))
    path.write_bytes(before + b"\n# changed\n")
    client = world.program("admin")
    ready = world.client().get("/readyz")
    (bad,) = [check for check in ready.json()["checks"] if not check["ok"]]
    assert (ready.status_code, bad["name"], bad["code"]) == (503, "activation", "activated_file_changed")
    assert "policies/default.toml" in bad["reason"]
    found = told(client)
    assert (found["unchanged"], found["code"]) == (False, "activated_file_changed")
    troubles = client.get("/api/v1/status").json()["troubles"]
    assert "activation_broken" in [trouble["code"] for trouble in troubles]
    page = browser(world, "anna").get("/activations").text
    assert "policies/default.toml" in page
    assert "Analyses wait:" in page


def test_changed_rules_are_told_as_what_they_are(world, request):
    """Workers go on with the rules that they have read, so analyses do not wait."""
    path = world.settings.models_dir / "rules" / "default.toml"
    before = path.read_bytes()
    request.addfinalizer(lambda: path.write_bytes(before))
    path.write_bytes(before + b"\n# changed\n")
    page = browser(world, "anna").get("/activations").text
    assert "Not as activated:" in page
    assert "Analyses wait:" not in page


def test_the_status_and_the_rules_are_those_in_force(world):
    client = world.program("admin")
    for kind, name in (("policy", "strict"), ("norms", "provisional-fsf"), ("rules", "one-per-study")):
        assert post(client, "", kind=kind, name=name).status_code == 200
    status = client.get("/api/v1/status").json()
    assert (status["policy"], status["norms"]) == ("strict", ["provisional-fsf"])
    assert client.get("/api/v1/rules").json()["id"] == "one-per-study"


# The command line


@pytest.fixture
def shell(make_settings, template, models, monkeypatch):
    """An installation on which commands act, with two administrators."""
    settings = make_settings(models_dir=models, activation_second_person=True)
    sessions = make_sessions(settings.resolved_database_url)
    with reading(template.sessions) as session:
        known = session.scalar(select(User.password_hash).where(User.name == "anna"))
    with sessions.begin() as session:
        session.add(User(name="anna", password_hash=known, role="admin", created_at=ledger.NOW))
        add_bert(session, known)
    for name in ("home", "models_dir", "activation_second_person"):
        monkeypatch.setenv(f"MYOSCREEN_{name.upper()}", str(getattr(settings, name)))

    def call(*arguments, typed=""):
        return CliRunner().invoke(build_app("activation"), ["activation", *arguments], input=typed)

    yield call
    sessions.kw["bind"].dispose()


def test_two_people_on_the_command_line(shell):
    assert "policy\tfrom the settings\tdefault" in shell("list").output
    first = shell("propose", "policy", "strict")
    assert "\tactive\tstrict\t" in first.output
    asked = shell("propose", "policy", "default", "--user", "anna", typed=f"{PASSWORD}\n")
    assert "\tproposed\tdefault\t" in asked.output
    assert PASSWORD not in asked.output
    assert shell("confirm", "2").exception.reason.code == "confirmer_unknown"
    typed = f"{PASSWORD}\n"
    assert shell("confirm", "2", "--user", "anna", typed=typed).exception.reason.code == "own_proposal"
    assert shell("confirm", "2", "--user", "bert", typed="wrong\n").exception.reason.code == "not_proved"
    assert "\tactive\tdefault\t" in shell("confirm", "2", "--user", "bert", typed=typed).output
    assert shell("rollback", "2").exception.reason.code == "proposer_unknown"
    assert "\tproposed\tstrict\t" in shell("rollback", "2", "--user", "bert", typed=typed).output
    assert "\trefused\tstrict\t" in shell("refuse", "3").output
    assert shell("refuse", "9").exception.reason.code == "not_found"
    listed = [line.split("\t")[:3] for line in shell("list", "--kind", "policy").output.splitlines()]
    assert listed == [["3", "policy", "refused"], ["2", "policy", "active"], ["1", "policy", "replaced"]]


def test_commands_see_what_is_in_force_and_the_settings_where_nothing_is(shell, tmp_path):
    shell("propose", "policy", "strict")
    assert (load().policy, standing(load()).policy) == ("default", "strict")
    elsewhere = load(home=tmp_path / "elsewhere")
    assert standing(elsewhere) == elsewhere
    assert not elsewhere.home.exists()
