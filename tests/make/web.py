"""The web door on a filled database, with a clock that the test moves and neighbours that do as told."""

import re
import shutil
import warnings
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from service.db import logins, people
from service.db.session import Sessions, make_sessions
from service.db.tables import Base, User
from service.errors import ModelMismatch, PeerUnreachable, ServiceError
from service.pipeline.smoke import Trial
from service.settings import Peer, Settings
from service.web.app import create_app
from service.web.auth import COOKIE
from service.web.context import Neighbours
from service.web.neighbours import ModelFacts
from tests.make import ledger

with warnings.catch_warnings():
    # Starlette asks for a successor of httpx; the client works with either.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

PASSWORD = "correct horse battery"
USERS = {
    "vera": "viewer",
    "rita": "reviewer",
    "otto": "operator",
    "anna": "admin",
    "audrey": "auditor",
    "mona": "monitor",
}
MODEL = ModelFacts(
    name="paraspinal",
    version="1",
    sha256="0" * 64,
    licence="x",
    definition="d",
    definition_version="1",
    precision="fp32",
)


@dataclass
class World:
    """What a test of the web door needs."""

    home: Path
    sessions: Sessions
    settings: Settings
    ids: ledger.Ids
    keys: dict[str, str]
    now: datetime = ledger.NOW
    broken: set[str] = field(default_factory=set)
    echoed: list[tuple[str, int, str, str]] = field(default_factory=list)

    def client(self, *, at: str = "testclient") -> TestClient:
        """A browser or program without any login; ``at`` is the address that it connects from."""
        neighbours = Neighbours(
            echo=self._echo,
            check_broker=lambda _url: self._may_break("broker"),
            check_spool=lambda _settings: self._may_break("spool"),
            read_model=self._model,
            try_network=lambda _settings, _folder: self._tried(),
        )
        app = create_app(self.settings, self.sessions, clock=lambda: self.now, neighbours=neighbours)
        return TestClient(app, follow_redirects=False, client=(at, 50000))

    def program(self, role: str) -> TestClient:
        """A program with a key of that role."""
        client = self.client()
        client.headers["Authorization"] = f"Bearer {self.keys[role]}"
        return client

    def browser(self, name: str) -> TestClient:
        """A browser in which this user is logged in."""
        client = self.client()
        assert log_in(client, name, PASSWORD).status_code == 303
        return client

    def wait(self, **stretch: float) -> None:
        """Let time pass."""
        self.now += timedelta(**stretch)

    def actions(self) -> list[tuple[str, str, str]]:
        """Actor, action and outcome of the audit record, oldest first."""
        from service.db import overview  # noqa: PLC0415

        with self.sessions() as session:
            page = overview.list_audit(session, before_id=None, limit=1000)
        return [(item.actor, item.action, item.outcome) for item in reversed(page.items)]

    def addresses(self) -> list[str | None]:
        """The addresses in the audit record, oldest first."""
        from service.db import overview  # noqa: PLC0415

        with self.sessions() as session:
            page = overview.list_audit(session, before_id=None, limit=1000)
        return [item.address for item in reversed(page.items)]

    def _may_break(self, name: str) -> None:
        if name in self.broken:
            raise ServiceError(f"The {name} is out of order.", reason=f"{name}_broken")

    def _model(self, _settings: Settings) -> ModelFacts:
        if "model" in self.broken:
            raise ModelMismatch("The weights do not have the hash of the card.")
        return MODEL

    def _tried(self) -> Trial:
        if "network" in self.broken:
            raise ModelMismatch("The trial of the network failed.", reason="network_not_usable")
        return Trial(provider="CPUExecutionProvider", precision="fp32", found=0.9)

    def _echo(self, peer: Peer, settings: Settings) -> None:
        assert peer.port is not None
        self.echoed.append((peer.host, peer.port, peer.ae_title, settings.ae_title))
        if "peer" in self.broken:
            raise PeerUnreachable("The peer does not answer.")


def copy_world(template: World, home: Path) -> World:
    """Another world that starts like this one; passwords take long to hash, so they are hashed once."""
    shutil.copytree(template.home, home, dirs_exist_ok=True)
    settings = template.settings.model_copy(update={"home": home})
    sessions = make_sessions(f"sqlite:///{home / 'myoscreen.db'}")
    return World(home=home, sessions=sessions, settings=settings, ids=template.ids, keys=template.keys)


def make_world(home: Path, *, url: str | None = None) -> World:
    """A filled database below ``home`` (or at ``url``), one user and one key for each role."""
    settings = Settings(
        home=home,
        peer=(
            Peer(
                name="pacs",
                ae_title="ORTHANC",
                host="127.0.0.1",
                port=4242,
                outputs=("SEG", "SR", "SC", "PDF"),
            ),
            Peer(name="mr1", ae_title="MR1", host="10.0.8.20"),
        ),
    )
    sessions = make_sessions(url or f"sqlite:///{home / 'myoscreen.db'}")
    Base.metadata.create_all(sessions.kw["bind"])
    ids = ledger.fill(sessions, home)
    keys = give_keys(sessions)
    sessions.kw["bind"].dispose()
    return World(home=home, sessions=sessions, settings=settings, ids=ids, keys=keys)


def give_keys(sessions: Sessions) -> dict[str, str]:
    """One user and one key for each role; the keys by role."""
    keys = {}
    with sessions.begin() as session:
        for name, role in USERS.items():
            people.add_user(session, name=name, role=role, now=ledger.NOW, actor="test")
            people.set_password(session, name=name, password=PASSWORD, now=ledger.NOW, actor="test")
            keys[role] = people.add_key(session, name=role, role=role, now=ledger.NOW, actor="test")
    return keys


def seated(world: World, name: str) -> TestClient:
    """A browser in which this user is logged in; without the password, which takes long to compare."""
    client = world.client()
    with world.sessions.begin() as session:
        user_id = session.scalars(select(User.id).where(User.name == name)).one()
        token = logins.finish_login(session, user_id=user_id, now=world.now, idle=timedelta(minutes=15))
    client.cookies.set(COOKIE, token)
    return client


def form_token(page: str) -> str:
    """The token that a page's forms carry."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def log_in(client: TestClient, name: str, password: str, *, next_path: str = ""):
    """Fill in the login form and send it."""
    token = form_token(client.get("/login").text)
    form = {"csrf_token": token, "name": name, "password": password, "next_path": next_path}
    return client.post("/login", data=form)
