"""The whole service connects to nothing but what its settings name; the system calls are watched."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from service.dicom.synthesis import write_phantom
from tests.make.audit_messages import faults
from tests.make.certificates import authority
from tests.make.listeners import hook_server, mail_server
from tests.make.oidc_liar import liar
from tests.make.peers import fake_peer
from tests.make.running import running_service, wait_for
from tests.make.servers import find_program, start_postgres, start_redis
from tests.make.spans import SpanReceiver, span_receiver
from tests.make.syslog import SENDER, start_rsyslog
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


def _collector(rsyslog, trust):
    """Where the audit record is sent."""
    ours = trust.issue("/CN=myoscreen", names=f"DNS:{SENDER}")
    files = {"ca": trust.ca, "cert": ours.certificate, "key": ours.key}
    # An address, because a name would be asked for.
    return {"host": "127.0.0.1", "port": rsyslog.port, **{name: str(path) for name, path in files.items()}}


def _provider(provider):
    """Where people log in; the browser of this test knows the way back by itself."""
    who = {"issuer": provider.issuer, "client_id": "myoscreen", "url": "http://localhost"}
    return {**who, "roles": {"viewer": "myo-readers"}}


def _log_in(provider, service_url):
    """What a browser does at the provider's word; the page that it comes to."""
    with httpx.Client(base_url=service_url, timeout=30) as browser:
        sent = parse_qs(urlsplit(browser.get("/login/oidc").headers["Location"]).query)
        provider.nonce, provider.now = sent["nonce"][0], int(datetime.now(UTC).timestamp())
        way = urlsplit(sent["redirect_uri"][0]).path
        back = browser.get(way, params={"code": "c", "state": sent["state"][0]})
        return back.headers["Location"]


def _reported(rsyslog):
    """Actions of the audit messages that came."""
    lines = rsyslog.lines()
    own = re.compile(r'<EventTypeCode csd-code="([a-z_]+)" codeSystemName="99MYOSCREEN"')
    return {found for line in lines for found in own.findall(line)}


@dataclass
class Run:
    """What one series through the whole service left with everybody whom the settings name."""

    log: Path
    configured: set[tuple[str, int]]
    #: DICOM audit messages.
    messages: list[str]
    traces: SpanReceiver


HAPPENED = {"door_started", "series_received", "analysis_finished", "delivery_begun", "delivery_sent"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One series through three doors with everything configured that may be connected to."""
    folder = tmp_path_factory.mktemp("run")
    log, secret, trust = folder / "calls", folder / "secret", authority(folder / "ca")
    watcher = (find_program("strace"), *WATCH, "-o", str(log), "--output-append-mode")
    secret.write_text("s3cret")
    peer = fake_peer()
    with (
        peer.listening(),
        start_rsyslog(folder / "rsyslog", trust) as rsyslog,
        span_receiver() as traces,
        mail_server() as mail,
        hook_server() as hook,
        liar() as provider,
        start_postgres() as postgres,
        start_redis(folder / "redis") as (redis, broker),
    ):
        with running_service(
            folder / "home",
            peers=(
                peer.settings(confirm="commitment"),
                {"name": "sender", "ae_title": "SENDER", "host": "127.0.0.1"},
            ),
            doors=("receive", "work", "web"),
            module="tests.make.prompt",
            watcher=watcher,
            database_url=postgres.new_database(),
            broker_url=broker,
            notify=json.dumps(_told(mail, hook, secret)),
            audit=json.dumps({"syslog": _collector(rsyslog, trust)}),
            tracing=json.dumps({"endpoint": traces.endpoint}),
            oidc=json.dumps(_provider(provider)),
        ) as service:
            peer.reports_to = service.dicom_port
            storescu(service.dicom_port, write_phantom(folder / "in", slices=5))
            service.await_states("measured")

            def confirmed():
                items = service.get("/api/v1/deliveries")["items"]
                return [item["state"] for item in items] == ["confirmed"] * 4

            wait_for("delivery", confirmed)
            service.get("/api/v1/status")
            assert _log_in(provider, service.url) == "/start"
            wait_for("the daily reports", lambda: mail.mails and hook.requests)
            wait_for("the audit record", lambda: _reported(rsyslog) >= HAPPENED)
        # When the doors end they send the rest.
        ports = (postgres, redis, peer, mail, hook, rsyslog, traces, provider)
        yield Run(
            log=log,
            configured={("127.0.0.1", each.port) for each in ports},
            messages=[line.partition("\ufeff")[2] for line in rsyslog.lines()],
            traces=traces,
        )


def test_nothing_is_connected_to_but_what_the_settings_name(run):
    assert destinations(run.log) == run.configured


def test_the_audit_record_arrives_as_dicom_messages_that_name_no_patient(run, tmp_path):
    assert faults(tmp_path, run.messages) == ""
    assert "PHANTOM" not in "".join(run.messages).upper()


def test_one_trace_follows_a_series_through_all_doors(run):
    receiver, worker = "myoscreen-receiver", "myoscreen-worker"
    spans = run.traces.spans
    steps = {span.name for span in spans if span.name.startswith("step ")}
    assert run.traces.tree() == sorted(
        [
            ("series", worker, ""),
            ("association", receiver, "series"),
            ("close", worker, "series"),
            ("analysis", worker, "series"),
            ("choose", worker, "analysis"),
            ("wait", worker, "analysis"),
            ("attempt", worker, "analysis"),
            *((name, worker, "attempt") for name in steps),
            ("delivery", worker, "analysis"),
            ("confirmation asked", worker, "analysis"),
            ("confirmation", receiver, "analysis"),
        ]
    )
    assert {"step network", "step objects"} <= steps
    assert len({span.trace for span in spans}) == 1
    assert all(span.ok and span.start <= span.end for span in spans)
    found = {span.name: span for span in spans}
    order = ("series", "close", "attempt", "delivery", "confirmation asked", "confirmation")
    assert [found[name].start for name in order] == sorted(found[name].start for name in order)
    assert found["association"].attributes["images"] == 5
    assert found["delivery"].attributes["peer"] == "pacs"
    assert "PHANTOM" not in repr(spans).upper()
    assert "1980" not in repr([span.attributes for span in spans])


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
