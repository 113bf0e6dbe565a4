"""The whole service connects to nothing but what its settings name; the system calls are watched."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

from service.dicom.archive import Archive
from service.dicom.synthesis import write_phantom
from tests.make.listeners import hook_server, mail_server
from tests.make.running import free_port, running_service, wait_for
from tests.make.servers import find_program, start_postgres, start_redis
from tests.make.tools import storescu

#: With -D the watched program stays our child, so that it is ended as any other.
WATCH = (
    "-f",
    "-D",
    "--seccomp-bpf",
    "-qq",
    "-e",
    "signal=none",
    "-e",
    "trace=connect,sendto,sendmsg,sendmmsg",
)
FAMILY = re.compile(r"sa_family=(AF_\w+)")
IPV4 = re.compile(r'sin_port=htons\((\d+)\), sin_addr=inet_addr\("([^"]+)"\)')
IPV6 = re.compile(r'sin6_port=htons\((\d+)\).*?inet_pton\(AF_INET6, "([^"]+)"')
#: What stays on this machine: sockets of the file system, the kernel's own tables, and taking a destination
#: back (AF_UNSPEC).
LOCAL = {"AF_UNIX", "AF_NETLINK", "AF_UNSPEC"}
#: Nobody: so the name resolver asks the kernel which of its addresses it would listen on; nothing is sent.
NOWHERE = {("0.0.0.0", 0), ("::", 0)}


def destinations(log: Path) -> set[tuple[str, int]]:
    """Address and port of everything that was connected to or sent to outside of the machine's own files."""
    found = set()
    for line in log.read_text("utf-8", "replace").splitlines():
        family = FAMILY.search(line)
        if family is None or family[1] in LOCAL:
            continue
        place = IPV4.search(line) or IPV6.search(line)
        # A line that is not understood is a destination too, so that the test fails and shows it.
        found.add((place[2], int(place[1])) if place else (line, 0))
    return found - NOWHERE


def _told(mail, hook, secret):
    """Two recipients who get a report now."""
    digest = datetime.now(UTC).strftime("%H:%M")
    server = {"smtp_host": "127.0.0.1", "smtp_port": mail.port, "smtp_security": "none"}
    return [
        {"name": "it", "digest": digest, "mail_to": ["it@x.example"], "mail_from": "m@x.example", **server},
        {"name": "hook", "digest": digest, "webhook_url": hook.url, "webhook_secret_file": str(secret)},
    ]


def test_nothing_is_connected_to_but_database_broker_peer_and_those_who_are_told(tmp_path):
    log, port = tmp_path / "calls", free_port()
    watcher = (find_program("strace"), *WATCH, "-o", str(log), "--output-append-mode")
    archive = Archive(tmp_path / "archive", ae_title="ARCHIVE").start(port)
    outputs = ["SEG", "SR", "SC", "PDF"]
    peer = {"name": "archive", "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": port, "outputs": outputs}
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    try:
        with (
            mail_server() as mail,
            hook_server() as hook,
            start_postgres() as postgres,
            start_redis(tmp_path / "redis") as (redis, broker),
            running_service(
                tmp_path / "home",
                peers=(peer, {"name": "sender", "ae_title": "SENDER", "host": "127.0.0.1"}),
                doors=("receive", "work", "web"),
                watcher=watcher,
                database_url=postgres.new_database(),
                broker_url=broker,
                notify=json.dumps(_told(mail, hook, secret)),
            ) as service,
        ):
            storescu(service.dicom_port, write_phantom(tmp_path / "in", slices=5))
            service.await_states("measured")

            def sent():
                items = service.get("/api/v1/deliveries")["items"]
                return [item["state"] for item in items] == ["sent"] * 4

            wait_for("delivery", sent)
            service.get("/api/v1/status")
            wait_for("the daily reports", lambda: mail.mails and hook.requests)
    finally:
        archive.stop()
    ports = (postgres.port, redis.port, port, mail.port, hook.port)
    configured = {("127.0.0.1", number) for number in ports}
    assert destinations(log) == configured


def test_the_watch_sees_what_it_should(tmp_path):
    log = tmp_path / "calls"
    log.write_text(
        '1 connect(3, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("198.51.100.7")}, 16) = 0\n'
        "1 connect(3, {sa_family=AF_INET6, sin6_port=htons(53), sin6_flowinfo=htonl(0), "
        'inet_pton(AF_INET6, "2001:db8::1", &sin6_addr), sin6_scope_id=0}, 28) = -1 ENETUNREACH\n'
        '1 sendto(4, "x", 1, MSG_NOSIGNAL, {sa_family=AF_INET, sin_port=htons(53), '
        'sin_addr=inet_addr("192.0.2.53")}, 16) = 1\n'
        '1 sendto(5, "data", 4, MSG_NOSIGNAL, NULL, 0) = 4\n'
        '1 connect(3, {sa_family=AF_UNIX, sun_path="/var/run/nscd/socket"}, 110) = -1 ENOENT\n'
        "1 connect(3, {sa_family=AF_VSOCK, svm_cid=0x2}, 16) = 0\n"
    )
    assert destinations(log) >= {("198.51.100.7", 443), ("2001:db8::1", 53), ("192.0.2.53", 53)}
    assert len(destinations(log)) == 4
