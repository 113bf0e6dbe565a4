"""Trouble is told by e-mail and webhook, to real servers: once, and without anything of a patient."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, time, timedelta

import pytest
from typer.testing import CliRunner

from service.cli import build_app
from service.core.notice import Sender, of_test
from service.core.trouble import Limits, Severity, Trouble, Vitals
from service.db import notices, selftests
from service.db.session import make_sessions, reading, upgrade
from service.db.tables import Base, Notice, OpenTrouble, PeerCircuit
from service.errors import DeliveryError
from service.pipeline import notify, vitals
from service.pipeline.notify import Notifier, Recipient
from service.settings import Notify
from service.web.watching import watching
from service.wire import mail, webhook
from service.wire.mail import MailAddress
from service.wire.webhook import HookAddress
from service.worker import nightly
from tests.make import certificates, ledger
from tests.make.listeners import hook_server, mail_server, server_context
from tests.make.running import free_port

NOW = datetime(2026, 11, 2, 8, 30, tzinfo=UTC)
SENDER = Sender(site="Ward 7")
AWAY = Trouble(code="peer_away", severity=Severity.WARNING, about="pacs", values={"seconds": 1200.0})
OTHER = Trouble(code="peer_away", severity=Severity.WARNING, about="archive", values={"seconds": 1100.0})
BACKLOG = Trouble(code="backlog", severity=Severity.WARNING, values={"count": 99})
TERMS = {"after": timedelta(seconds=120), "every": timedelta(seconds=15)}


@pytest.fixture
def light(tmp_path):
    """Sessions on SQLite alone, for what does not depend on the database."""
    url = f"sqlite:///{tmp_path / 'light.db'}"
    upgrade(url)
    made = make_sessions(url)
    yield made
    made.kw["bind"].dispose()


class Watch:
    """Judges for one recipient at chosen times."""

    def __init__(self, sessions, recipient="it"):
        self.sessions, self.recipient, self.at = sessions, recipient, 0

    def see(self, *troubles, after):
        """What is told when so many seconds have passed and this is wrong."""
        self.at += after
        with self.sessions.begin() as session:
            now = NOW + timedelta(seconds=self.at)
            news = notices.judge(session, self.recipient, troubles, **TERMS, now=now)
        return [each.trouble.key for each in news.began], [each.trouble.key for each in news.ended]


def test_one_outage_is_one_message_and_its_end_another(sessions):
    watch = Watch(sessions)
    assert watch.see(AWAY, after=0) == ([], [])
    assert watch.see(AWAY, after=60) == ([], [])
    assert watch.see(AWAY, after=60) == (["peer_away:pacs"], [])
    assert watch.see(AWAY, after=600) == ([], [])
    # It is back for a moment, and away again: the same outage.
    assert watch.see(after=60) == ([], [])
    assert watch.see(AWAY, after=30) == ([], [])
    assert watch.see(after=60) == ([], [])
    assert watch.see(after=60) == ([], ["peer_away:pacs"])
    assert watch.see(after=600) == ([], [])


def test_what_passes_by_itself_is_not_told(light):
    watch = Watch(light)
    watch.see(AWAY, after=0)
    assert watch.see(after=60) == ([], [])
    assert watch.see(AWAY, after=60) == ([], [])
    assert watch.see(after=600) == ([], [])


def test_what_begins_together_is_told_together(light):
    watch = Watch(light)
    watch.see(AWAY, after=0)
    watch.see(AWAY, OTHER, after=50)
    began, _ = watch.see(AWAY, OTHER, BACKLOG, after=70)
    assert sorted(began) == ["peer_away:archive", "peer_away:pacs"]
    assert watch.see(AWAY, OTHER, BACKLOG, after=100) == ([], [])
    assert watch.see(AWAY, OTHER, BACKLOG, after=20) == (["backlog"], [])


def test_what_becomes_worse_is_told_again(light):
    watch = Watch(light)
    soon = Trouble(code="certificate_ends", severity=Severity.WARNING, about="HTTPS", values={"days": 20})
    worse = Trouble(code="certificate_ends", severity=Severity.CRITICAL, about="HTTPS", values={"days": 6})
    watch.see(soon, after=0)
    assert watch.see(soon, after=120)[0] == ["certificate_ends:HTTPS"]
    assert watch.see(worse, after=600) == ([], [])
    assert watch.see(worse, after=120)[0] == ["certificate_ends:HTTPS"]
    assert watch.see(worse, after=600) == ([], [])


def test_two_processes_that_look_tell_once(light):
    one, two = Watch(light), Watch(light)
    one.see(AWAY, after=0)
    assert two.see(AWAY, after=5) == ([], [])
    assert one.see(AWAY, after=120)[0] == ["peer_away:pacs"]
    assert two.see(AWAY, after=120) == ([], [])


class House:
    """An installation on a filled database, with a clock that the test moves."""

    def __init__(self, sessions, home, *recipients, peers=("pacs",)):
        self.sessions, self.now = sessions, ledger.NOW
        site = vitals.Site(home=home, least_bytes=0, peers=peers)
        self.notifier = Notifier(
            sessions, recipients, site=lambda: site, limits=Limits(), clock=lambda: self.now
        )

    def run(self, **later):
        """Let time pass, look, and send."""
        self.now += timedelta(**later)
        self.notifier.run()

    def rows(self):
        with reading(self.sessions) as session:
            return [(row.state, row.attempts, row.error_code) for row in session.query(Notice)]


def by_mail(server, **changes):
    values = {
        "host": "127.0.0.1", "port": server.port, "security": "none", "sender": "myo@hospital.example",
        "recipients": ("it@hospital.example", "night@hospital.example"),
    }  # fmt: skip
    return Recipient(name="it", sender=SENDER, way=MailAddress(**{**values, **changes}))


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text("s3cret\n")
    return path


def test_mails_and_posts_hold_nothing_of_a_patient(sessions, tmp_path, secret):
    """The database is full of patients, every kind of trouble is there, and none of it comes out."""
    ledger.fill(sessions, tmp_path)
    with sessions.begin() as session:
        session.add(PeerCircuit(peer="pacs", state="open", failures=9, changed_at=ledger.NOW - timedelta(1)))
    with mail_server() as server, hook_server() as hook:
        told = by_mail(server)
        program = Recipient(
            name="program",
            sender=Sender(site="Ward 7", language="de"),
            way=HookAddress(url=hook.url, secret_file=secret),
            digest=time(ledger.NOW.hour, ledger.NOW.minute),
        )
        house = House(sessions, tmp_path, told, program)
        house.run()
        house.run(seconds=120)
        (message,) = server.mails
        assert server.envelopes == [
            ("myo@hospital.example", ["it@hospital.example", "night@hospital.example"], False)
        ]
        bodies = [json.loads(body) for _, _, body in hook.requests]
    assert sorted(body["kind"] for body in bodies) == ["digest", "trouble"]
    codes = {each["code"] for body in bodies for each in body.get("began", ())}
    assert {"peer_away", "door_gone", "analyses_failed"} <= codes
    assert message["Auto-Submitted"] == "auto-generated"
    text = message.as_string() + message.get_content() + "".join(str(body) for _, _, body in hook.requests)
    text += "".join(json.dumps(body, ensure_ascii=False) for body in bodies)
    # Everything that the database knows of anybody, and every identifier.
    for value in _of_patients(sessions):
        assert value not in text, value


def _of_patients(sessions):
    """Names, ids, dates and UIDs in every row of every table that holds any, each longer than two letters."""
    wanted = ("patient_", "birth_date", "accession", "_uid", "study_date", "description")
    found = set()
    with reading(sessions) as session:
        for table in Base.metadata.sorted_tables:
            for column in table.columns:
                if column.name.startswith(wanted) or column.name.endswith(wanted):
                    found |= {
                        row[0] for row in session.execute(column.table.select().with_only_columns(column))
                    }
    found = {value for value in found if isinstance(value, str) and len(value) > 2}
    assert len(found) > 30
    return found


def nowhere():
    return MailAddress(
        host="127.0.0.1", port=free_port(), security="none", sender="a@b.c", recipients=("d@e.f",)
    )


def test_a_mail_server_that_is_away_delays_the_message_and_loses_nothing(light, tmp_path):
    house = House(light, tmp_path, Recipient(name="it", sender=SENDER, way=nowhere()))
    with light.begin() as session:
        notices.add(session, "it", of_test(SENDER, now=house.now), now=house.now)
    tries = []
    for seconds in (0, 59, 1, 119, 1, *[4 * 3600] * notify.ATTEMPTS):
        house.now += timedelta(seconds=seconds)
        house.notifier.send_due()
        tries.append(house.rows()[0][1])
    assert tries[:5] == [1, 1, 2, 2, 3]
    assert house.rows() == [("dead", notify.ATTEMPTS, "peer_unreachable")]
    known = vitals.look(light, vitals.Site(home=tmp_path, least_bytes=0), now=house.now)
    assert known.unsent_notices == 0
    known = vitals.look(light, vitals.Site(home=tmp_path, least_bytes=0), now=ledger.NOW)
    assert known.unsent_notices == 1


def test_a_message_that_was_being_sent_when_its_process_died_is_sent_again_with_the_same_id(
    light, tmp_path, secret
):
    with hook_server() as hook:
        way = HookAddress(url=hook.url, secret_file=secret)
        house = House(light, tmp_path, Recipient(name="it", sender=SENDER, way=way, after=timedelta(0)))
        house.notifier.look()
        with light.begin() as session:
            letter = notices.claim(session, ["it"], now=house.now, lease=notify.LEASE)
        notify.deliver(Recipient(name="it", sender=SENDER, way=way), letter, now=house.now)
        assert house.notifier.send_due() == 0
        house.now += notify.LEASE
        assert house.notifier.send_due() == 1
        ids = {headers[webhook.ID_HEADER] for _, headers, _ in hook.requests}
        assert (len(hook.requests), len(ids)) == (2, 1)


def test_the_digest_comes_once_a_day_and_leaves_self_tests_out(light, tmp_path, secret):
    ledger.fill(light, tmp_path)
    with hook_server() as hook:
        at = (ledger.NOW + timedelta(minutes=10)).time().replace(second=0, microsecond=0)
        told = Recipient(
            name="it", sender=SENDER, way=HookAddress(url=hook.url, secret_file=secret), digest=at,
            least=Severity.CRITICAL, after=timedelta(days=1),
        )  # fmt: skip
        house = House(light, tmp_path, told)
        house.run()
        assert hook.requests == []
        house.run(minutes=11)
        house.run(minutes=1)
        (first,) = (json.loads(body) for _, _, body in hook.requests)
        assert first["kind"] == "digest"
        with light.begin() as session:
            uid = ledger.Study(study_uid="9.9", created_at=house.now)
            session.add(uid)
            session.flush()
            selftests.begin(session, study_uid="9.9", peers=(), now=house.now)
            since = ledger.NOW - timedelta(days=1)
            assert notices.day_counts(session, since=since)["series"] == first["counts"]["series"]
        house.run(days=1)
        kinds = [json.loads(body)["kind"] for _, _, body in hook.requests]
        assert kinds.count("digest") == 2
    assert first["counts"]["failed"] == 1


def test_nothing_waits_for_somebody_who_is_not_told_any_more(light, tmp_path):
    ledger.fill(light, tmp_path)
    way = nowhere()
    House(light, tmp_path, Recipient(name="it", sender=SENDER, way=way, after=timedelta(0))).run()
    House(light, tmp_path, Recipient(name="other", sender=SENDER, way=way)).run()
    with reading(light) as session:
        assert session.query(Notice).count() == 0
        assert {row.recipient for row in session.query(OpenTrouble)} == {"other"}


def test_without_the_database_nothing_breaks(light, tmp_path, monkeypatch, secret):
    house = House(light, tmp_path, Recipient(name="it", sender=SENDER, way=HookAddress(url="http://127.0.0.1:9", secret_file=secret)))  # fmt: skip  # noqa: E501
    monkeypatch.setattr(notify.vitals, "look", lambda *_, **__: Vitals(database=False))
    house.notifier.look()
    assert house.rows() == []


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return certificates.authority(tmp_path_factory.mktemp("ca"))


def send(address, subject="S"):
    mail.send(address, subject=subject, body="Größe\n", message_id="m-1", at=NOW)


def test_mail_by_starttls_with_a_login(authority, secret):
    pair = authority.issue("/CN=localhost")
    context = server_context(pair.certificate, pair.key)
    with mail_server(context=context, login=("myo", "s3cret")) as server:
        login = {"user": "myo", "password_file": secret, "ca_file": authority.ca}
        way = by_mail(server, host="localhost", security="starttls", **login).way
        send(way)
        assert server.envelopes[0][2]
        (message,) = server.mails
        assert message.get_content().strip() == "Größe"
        assert message["Message-ID"] == "<m-1@hospital.example>"
        secret.write_text("wrong")
        assert code_of(send, way) == "smtp_login_refused"
        assert len(server.mails) == 1


def code_of(act, *arguments, **values):
    with pytest.raises(DeliveryError) as error:
        act(*arguments, **values)
    return error.value.reason.code


def test_no_mail_leaves_when_the_server_is_not_who_it_must_be_or_offers_no_tls(authority):
    pair = authority.issue("/CN=other", names="DNS:other.example", file="other")
    with mail_server(context=server_context(pair.certificate, pair.key)) as server:
        way = by_mail(server, host="localhost", security="starttls", ca_file=authority.ca).way
        assert code_of(send, way) == "certificate_refused"
        assert server.mails == []
    with mail_server() as server:
        assert code_of(send, by_mail(server, security="starttls").way) == "smtp_tls_missing"
        assert server.mails == []
        server.answer = "550 no"
        assert code_of(send, by_mail(server).way) == "smtp_refused"


def test_a_line_break_cannot_make_a_header():
    with mail_server() as server:
        with pytest.raises(ValueError, match="linefeed"):
            send(by_mail(server).way, subject="S\r\nBcc: eve@evil.example")
        assert server.mails == []


def test_a_post_is_signed_with_the_time_and_refused_answers_are_failures(secret):
    with hook_server() as hook:
        address = HookAddress(url=hook.url, secret_file=secret)
        webhook.post(address, {"a": "ä"}, message_id="m-1", at=NOW)
        path, headers, body = hook.requests[0]
        stamp = headers[webhook.TIME_HEADER]
        expected = hmac.new(b"s3cret", f"{int(NOW.timestamp())}.".encode() + body, hashlib.sha256)
        assert (path, stamp) == ("/hook", str(int(NOW.timestamp())))
        assert headers[webhook.SIGNATURE_HEADER] == f"sha256={expected.hexdigest()}"
        assert json.loads(body) == {"a": "ä"}
        for status in (302, 404, 500):
            hook.status = status
            assert code_of(webhook.post, address, {}, message_id="m", at=NOW) == "http_status"
        # The redirect was not followed.
        assert {request[0] for request in hook.requests} == {"/hook"}


MAIL = {"name": "it", "mail_to": ["a@b.c"], "mail_from": "d@e.f", "smtp_host": "mail"}
HOOK = {"name": "it", "webhook_url": "https://x.example/h", "webhook_secret_file": "/s"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "it"},
        {**MAIL, **HOOK},
        {**MAIL, "smtp_host": None},
        {**MAIL, "smtp_user": "u"},
        {**MAIL, "smtp_user": "u", "smtp_password_file": "/p", "smtp_security": "none"},
        {**MAIL, "mail_to": ["a@b.c\nBcc: e@f.g"]},
        {**HOOK, "webhook_secret_file": None},
        {**HOOK, "webhook_url": "http://x.example/h"},
        {**MAIL, "digest": "24:00"},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong):
    with pytest.raises(ValueError, match="Notify"):
        Notify(**wrong)


def test_settings_that_are_meant():
    Notify(**MAIL, digest="06:30")
    Notify(**{**HOOK, "webhook_url": "http://127.0.0.1:8000/h"})


def test_the_web_door_tells_that_the_worker_is_gone(world):
    with mail_server() as server:
        told = Notify(
            name="it", mail_to=("a@b.c",), mail_from="d@e.f", smtp_host="127.0.0.1", smtp_port=server.port,
            smtp_security="none", least="critical", language="de", link="https://myo.example",
        )  # fmt: skip
        world.settings = world.settings.model_copy(update={"notify": (told,)})
        web = world.client().app.state.web
        watch = watching(web)
        world.wait(seconds=90)
        watch.errands[0]()
        world.wait(seconds=121)
        watch.errands[0]()
        (mail_,) = server.mails
    assert "kein Prozess „worker“" in mail_.get_content()
    assert "https://myo.example/status" in mail_.get_content()


def test_the_command_tries_a_way(tmp_path, monkeypatch, secret):
    with hook_server() as hook:
        (tmp_path / "myoscreen.toml").write_text(
            f'[[notify]]\nname = "it"\nwebhook_url = "{hook.url}"\nwebhook_secret_file = "{secret}"\n'
        )
        monkeypatch.setenv("MYOSCREEN_HOME", str(tmp_path))
        run = lambda *words: CliRunner().invoke(build_app("notify"), ["notify", "test", *words])  # noqa: E731
        assert (run().exit_code, run("it").exit_code, run("other").exit_code) == (0, 0, 1)
        hook.status = 500
        failed = run()
        assert (failed.exit_code, "[http_status]" in failed.stderr) == (1, True)
    assert json.loads(hook.requests[0][2])["kind"] == "test"


@pytest.mark.parametrize(
    ("now", "begun", "due"),
    [("02:29", False, False), ("02:30", False, True), ("03:29", False, True), ("03:30", False, False),
     ("02:45", True, False)],
)  # fmt: skip
def test_when_the_self_test_runs_by_itself(light, now, begun, due):
    at = datetime.combine(NOW.date(), time.fromisoformat(now), tzinfo=UTC)
    with light.begin() as session:
        began = at - timedelta(minutes=1) if begun else at - timedelta(hours=12)
        selftests.begin(session, study_uid="1.2", peers=(), now=began)
    assert nightly.is_due(light, time(2, 30), now=at) == due
