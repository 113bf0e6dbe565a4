"""Real neighbours, started on free loopback ports and ended by their process ids.

A server whose program is not installed skips the test, naming the program.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest

from service.db.session import upgrade
from tests.make.running import free_port, wait_for

START_SECONDS = 60.0


def find_program(*candidates: str) -> str:
    """The first of these programs that exists; otherwise the test is skipped by name."""
    folders = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/sbin", "/usr/local/sbin"]
    for name in candidates:
        if found := shutil.which(name, path=os.pathsep.join(folders)):
            return found
    pytest.skip(f"{candidates[0]} is not installed")


def dcmtk(name: str) -> str:
    """One of dcmtk's programs; pynetdicom installs others of the same names beside Python."""
    for folder in ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"):
        if (Path(folder) / name).exists():
            return f"{folder}/{name}"
    pytest.skip("dcmtk is not installed")


def listens(port: int) -> bool:
    """Whether somebody takes connections on this loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def end(process: subprocess.Popen[bytes], *, seconds: float = 20) -> None:
    """End one process by its id, gently first."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


@dataclass
class Server:
    """One running server, which can be stopped and started again on the same data."""

    command: Sequence[str]
    port: int
    log: Path
    user: str | None = None
    environment: Mapping[str, str] | None = None
    process: subprocess.Popen[bytes] | None = None
    #: Ends it at once, where nobody needs any more what it holds.
    at_once: signal.Signals = signal.SIGKILL

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                list(self.command),
                stdout=output,
                stderr=subprocess.STDOUT,
                user=self.user,
                env=self.environment,
                cwd="/",
            )
        try:
            wait_for("the server to listen", self._is_up, seconds=START_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text('utf-8', 'replace')[-3000:]}") from None

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text("utf-8", "replace")[-3000:]
        return listens(self.port)

    def stop(self) -> None:
        """End it, so that it can start again with what it holds."""
        if self.process is not None:
            end(self.process)
            self.process = None

    def throw_away(self) -> None:
        """End it for good."""
        if self.process is not None:
            self.process.send_signal(self.at_once)
            self.stop()


@contextmanager
def _running(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.throw_away()


@contextmanager
def start_redis(folder: Path) -> Iterator[tuple[Server, str]]:
    """redis-server with an append-only file; the server and its URL."""
    program, port = find_program("redis-server"), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        program,
        *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)),
        *("--appendonly", "yes", "--save", "", "--daemonize", "no"),
    ]
    with _running(Server(command, port, folder / "redis.log")) as server:
        yield server, f"redis://127.0.0.1:{port}/0"


@dataclass(frozen=True, eq=False)
class Postgres:
    """A running PostgreSQL."""

    server: Server
    port: int

    def url(self, database: str) -> str:
        """How the service reaches one of its databases."""
        return f"postgresql://myoscreen@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Make a database at the current revision, by a copy of one that was upgraded, and return its URL."""
        return self.url(self._create(_upgraded(self)))

    def empty_database(self) -> str:
        """Make a database without a table and return its URL."""
        return self.url(self._create("template1"))

    def _create(self, template: str) -> str:
        name = f"t{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def drop(self, url: str) -> None:
        """Throw one of its databases away; all at the end would be a hundred thousand files."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")


@cache
def _upgraded(postgres: Postgres) -> str:
    """The name of the one that is copied."""
    url = postgres.empty_database()
    upgrade(url)
    return url.rpartition("/")[2]


def _postgres_program(name: str) -> str:
    """A server program; Debian keeps them off PATH."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / name).exists():
            return str(folder / name)
    return find_program(name)


@contextmanager
def start_postgres() -> Iterator[Postgres]:
    """PostgreSQL over TCP only, on data of its own that are removed afterwards."""
    initdb, postgres = _postgres_program("initdb"), _postgres_program("postgres")
    # It refuses to run as root, and its account may not enter pytest's private folders.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="myoscreen-postgres-"))
    try:
        if user:
            shutil.chown(folder, user)
        data = folder / "data"
        subprocess.run(
            [initdb, "-D", str(data), "-U", "myoscreen", "--auth=trust", "-E", "UTF8", "--no-sync"],
            check=True,
            capture_output=True,
            user=user,
            cwd="/",
        )
        port = free_port()
        command = [
            *(postgres, "-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", ""),
            *("-c", "fsync=off", "-c", "max_connections=200"),
        ]
        # Killed, its postmaster would leave shared memory behind; SIGQUIT is its immediate shutdown.
        server = Server(command, port, folder / "postgres.log", user=user, at_once=signal.SIGQUIT)
        with _running(server):
            found = Postgres(server, port)
            wait_for("PostgreSQL to answer", lambda: _answers(found), seconds=START_SECONDS)
            yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _answers(postgres: Postgres) -> bool:
    """Whether it is done starting up."""
    try:
        psycopg.connect(postgres.url("postgres"), connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc: a PACS to send to, with REST and DICOMweb to look into it."""

    server: Server
    http_port: int
    dicom_port: int
    ae_title: str = "ORTHANC"

    @property
    def url(self) -> str:
        """Where its REST interface answers."""
        return f"http://127.0.0.1:{self.http_port}"

    def get(self, path: str) -> Any:
        """GET from its REST interface, as JSON."""
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return json.load(answer)

    def get_bytes(self, path: str) -> bytes:
        """GET from its REST interface."""
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return bytes(answer.read())

    def post(self, path: str, body: Any) -> Any:
        """POST JSON (or plain text) to its REST interface."""
        return self.post_bytes(path, body.encode() if isinstance(body, str) else json.dumps(body).encode())

    def post_bytes(self, path: str, data: bytes) -> Any:
        """POST a file, for example, to its REST interface."""
        request = urllib.request.Request(self.url + path, data=data, method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def instances(self) -> list[dict[str, Any]]:
        """Tags of every instance it holds."""
        return [self.get(f"/instances/{item}/simplified-tags") for item in self.get("/instances")]

    def uids(self) -> list[str]:
        """SOP instance UID of every instance it holds."""
        found = self.post("/tools/find", {"Level": "Instance", "Query": {}, "Expand": True})
        return [item["MainDicomTags"]["SOPInstanceUID"] for item in found]

    def files(self) -> Iterator[bytes]:
        """Every instance it holds, as a file."""
        for item in self.get("/instances"):
            yield self.get_bytes(f"/instances/{item}/file")

    def settings(self, **changes: Any) -> dict[str, Any]:
        """This PACS as a ``[[peer]]``."""
        return {
            "name": "pacs",
            "ae_title": self.ae_title,
            "host": "127.0.0.1",
            "port": self.dicom_port,
            "outputs": ["SEG", "SR", "SC", "PDF"],
            **changes,
        }

    def is_up(self) -> bool:
        """Whether its REST interface answers."""
        try:
            return bool(self.get("/system"))
        except (urllib.error.URLError, OSError):
            return False


def loopback_library(folder: Path) -> Path:
    """A library that keeps a program's sockets on 127.0.0.1, compiled here."""
    source = Path(__file__).with_name("bind_loopback.c")
    library = folder / "bind_loopback.so"
    subprocess.run(
        [find_program("cc", "gcc"), "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True
    )
    return library


@contextmanager
def start_orthanc(folder: Path, *, receiver_port: int | None = None, **changes: Any) -> Iterator[Orthanc]:
    """Orthanc on loopback only, with DICOMweb; it knows the service at ``receiver_port`` as "myoscreen"."""
    program = find_program("Orthanc")
    folder.mkdir(parents=True, exist_ok=True)
    http_port, dicom_port = free_port(), free_port()
    plugins = [
        path
        for name in ("libOrthancDicomWeb.so", "libOrthancGdcm.so")
        if (path := Path("/usr/share/orthanc/plugins") / name).exists()
    ]
    configuration = {
        "Name": "TESTPACS",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpServerEnabled": True,
        "HttpPort": http_port,
        "HttpBindAddresses": ["127.0.0.1"],
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomServerEnabled": True,
        "DicomAet": "ORTHANC",
        "DicomPort": dicom_port,
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "UnknownSopClassAccepted": False,
        "StableAge": 2,
        "DicomModalities": {"myoscreen": ["MYOSCREEN", "127.0.0.1", receiver_port]} if receiver_port else {},
        "Plugins": [str(path) for path in plugins],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "StudiesMetadata": "Full"},
        **changes,
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(configuration), "utf-8")
    environment = {**os.environ, "LD_PRELOAD": str(loopback_library(folder)), "TCP_NODELAY": "1"}
    server = Server([program, str(path)], dicom_port, folder / "orthanc.log", environment=environment)
    with _running(server):
        orthanc = Orthanc(server, http_port, dicom_port)
        wait_for("Orthanc to answer", orthanc.is_up, seconds=START_SECONDS)
        yield orthanc
