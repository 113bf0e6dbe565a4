"""What make-secrets.sh makes works: PostgreSQL and Redis by TLS alone, as the compose file starts them."""

import contextlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest
from kombu.exceptions import OperationalError
from sqlalchemy import text

from service.db.session import make_sessions, reading, require_current, upgrade
from service.settings import load
from service.worker.celery_app import make_app
from tests.make.running import free_port, wait_for
from tests.make.servers import Server, _postgres_program, find_program

ROOT = Path(__file__).resolve().parents[2]
SECRETS = "/run/secrets/"


def make_secrets(folder, *arguments):
    subprocess.run(
        ["sh", str(ROOT / "deploy" / "make-secrets.sh"), *arguments],
        env={**os.environ, "SECRETS_DIR": str(folder)},
        check=True,
        capture_output=True,
        timeout=60,
    )
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def folder():
    # PostgreSQL has another user id where tests run as root, which may not enter pytest's private folders.
    made = Path(tempfile.mkdtemp(prefix="myoscreen-secrets-"))
    make_secrets(made / "secrets")
    yield made
    shutil.rmtree(made)


def secret(folder, name):
    return (folder / "secrets" / name).read_text("utf-8").replace(SECRETS, f"{folder / 'secrets'}/")


@pytest.fixture(scope="module")
def redis(folder):
    port = free_port()
    config = folder / "redis.conf"
    found = secret(folder, "redis.conf").replace("tls-port 6379", f"tls-port {port}")
    config.write_text(found.replace("bind * -::*", "bind 127.0.0.1"), "utf-8")
    server = Server([find_program("redis-server"), str(config)], port, folder / "redis.log")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def postgres(folder):
    """PostgreSQL with the options of the compose file, on data of its own."""
    user = "postgres" if os.geteuid() == 0 else None
    options = re.findall(r"-c (\w+=\S+?)[\"\s]", (ROOT / "docker-compose.yml").read_text("utf-8"))
    assert "ssl=on" in options
    data, key, password = folder / "data", folder / "server.key", folder / "password"
    shutil.copy(ROOT / "deploy" / "pg_hba.conf", folder / "pg_hba.conf")
    shutil.copy(folder / "secrets" / "postgres_key", key)
    shutil.copy(folder / "secrets" / "postgres_password", password)
    for name in ("postgres_certificate",):
        shutil.copy(folder / "secrets" / name, folder / name)
    folder.chmod(0o755)
    for path in (key, password):
        path.chmod(0o600)
        if user:
            shutil.chown(path, user)
    data.mkdir()
    if user:
        shutil.chown(data, user)
    initdb = [_postgres_program("initdb"), "-D", str(data), "-U", "myoscreen", "--no-sync"]
    initdb += ["--auth-local=scram-sha-256", "--auth-host=scram-sha-256", f"--pwfile={password}"]
    subprocess.run(initdb, check=True, capture_output=True, user=user, cwd="/")
    places = {"/tmp/server.key": str(key), "/etc/postgresql/": f"{folder}/", SECRETS: f"{folder}/"}
    changed = []
    for option in options:
        name, _, value = option.partition("=")
        for ours, here in places.items():
            value = value.replace(ours, here)
        changed += ["-c", f"{name}={value}"]
    port = free_port()
    command = [_postgres_program("postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", ""]
    server = Server([*command, *changed], port, folder / "postgres.log", user=user)
    try:
        server.start()
        wait_for("PostgreSQL", lambda: "ready to accept" in server.log.read_text("utf-8"), seconds=60)
        yield server
    finally:
        server.stop()


def database_url(folder, postgres, **changes):
    """The URL of the secret; ``hostaddr`` leads the name "postgres" to this machine."""
    url = secret(folder, "database_url").replace(":5432/myoscreen", f":{postgres.port}/postgres")
    for old, new in changes.items():
        url = url.replace(old.replace("_", "-"), new)
    return f"{url}&hostaddr=127.0.0.1"


def test_the_database_is_reached_by_tls_and_its_name_is_proved(folder, postgres):
    url = database_url(folder, postgres)
    upgrade(url)
    require_current(url)
    sessions = make_sessions(url)
    with reading(sessions) as session:
        question = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        assert session.execute(text(question)).scalar() in {"TLSv1.2", "TLSv1.3"}
    sessions.kw["bind"].dispose()


@pytest.mark.parametrize("change", ["without TLS", "another name", "another authority", "wrong password"])
def test_the_database_lets_nobody_in_otherwise(folder, postgres, change, tmp_path):
    url = database_url(folder, postgres).replace("postgresql+psycopg", "postgresql")
    if change == "without TLS":
        url = url.replace("sslmode=verify-full", "sslmode=disable")
    elif change == "another name":
        url = url.replace("@postgres:", "@elsewhere:")
    elif change == "another authority":
        make_secrets(tmp_path / "other")
        url = url.replace(f"{folder}/secrets/internal_ca", f"{tmp_path}/other/internal_ca")
    else:
        url = url.replace("myoscreen:", "myoscreen:x")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=10).close()


def broker_url(folder, redis, host="localhost"):
    return secret(folder, "broker_url").replace("@redis:6379", f"@{host}:{redis.port}")


def connect(folder, url):
    """Have the application of a worker ring and hear a bell over this broker."""
    app = make_app(load(home=folder / "home", broker_url=url))
    heard = []
    app.task(name="ring", bind=False)(heard.append)
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=5)
        app.send_task("ring", args=[7], connection=connection)
        with connection.SimpleQueue(app.conf.task_default_queue) as queue:
            message = queue.get(timeout=10)
            message.ack()
    return message


def test_the_broker_is_reached_by_tls(folder, redis):
    assert connect(folder, broker_url(folder, redis)).headers["task"] == "ring"


@pytest.mark.parametrize(
    "change", ["another authority", "wrong password", "without TLS", "checks turned off"]
)
def test_the_broker_must_prove_its_authority_and_we_our_password(folder, redis, change, tmp_path):
    url = broker_url(folder, redis)
    make_secrets(tmp_path / "other")
    elsewhere = url.replace(f"{folder}/secrets/internal_ca", f"{tmp_path}/other/internal_ca")
    changed = {
        "another authority": elsewhere,
        "wrong password": url.replace("rediss://:", "rediss://:x"),
        "without TLS": url.replace("rediss:", "redis:").partition("?")[0],
        # What the URL says cannot weaken what is asked of Redis.
        "checks turned off": f"{elsewhere}&ssl_cert_reqs=none",
    }[change]
    with pytest.raises((OperationalError, OSError)):
        connect(folder, changed)


def test_the_broker_knows_no_connection_without_tls(folder, redis):
    with socket.create_connection(("127.0.0.1", redis.port), 5) as plain:
        plain.settimeout(5)
        plain.sendall(b"PING\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert b"PONG" not in plain.recv(100)


def test_a_name_that_the_certificate_does_not_have_is_refused(folder, redis):
    context = ssl.create_default_context(cafile=str(folder / "secrets" / "internal_ca"))
    with (
        socket.create_connection(("127.0.0.1", redis.port), 5) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(plain, server_hostname="postgres")


def test_secrets_are_kept_and_certificates_renewed_on_demand(tmp_path):
    first = make_secrets(tmp_path / "s")
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o700
    assert make_secrets(tmp_path / "s") == first
    renewed = make_secrets(tmp_path / "s", "--renew-certificates")
    changed = {name for name in first if renewed[name] != first[name]}
    assert changed == {
        "internal_ca",
        "postgres_certificate",
        "postgres_key",
        "redis_certificate",
        "redis_key",
    }
    assert b"PRIVATE" not in renewed["internal_ca"]


def test_the_secrets_of_the_release_before_get_certificates_and_keep_their_passwords(tmp_path):
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "postgres_password").write_text("abc")
    (folder / "redis.conf").write_text("requirepass def\nbind * -::*\n")
    made = make_secrets(folder)
    assert b"myoscreen:abc@postgres" in made["database_url"]
    assert b"rediss://:def@redis" in made["broker_url"]
    assert b"requirepass def\n" in made["redis.conf"]
    assert "internal_ca" in made
