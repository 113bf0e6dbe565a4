"""The audit record reaches a real rsyslog by mutual TLS, whole, in order, and after an outage too."""

import re
import shutil
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import pytest

from service.core.trouble import Limits, find_troubles
from service.db import audit as rows
from service.db import audit_outbox, people
from service.db.session import make_sessions, reading
from service.db.tables import Analysis, AuditOutbox
from service.errors import PeerUnreachable
from service.pipeline import audit, forward, vitals
from service.wire import syslog
from service.wire.syslog import SyslogAddress
from tests.make import ledger
from tests.make.audit_messages import faults
from tests.make.certificates import authority
from tests.make.running import wait_for
from tests.make.syslog import SENDER, start_rsyslog

NOW = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
HEAD = re.compile(
    r"^<(\d+)>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) \S+ (\S+) - DICOM\+RFC3881 "
    r'\[meta sequenceId="(\d+)"\] \ufeff(<AuditMessage>.*</AuditMessage>)$'
)


@pytest.fixture(scope="module")
def trust(tmp_path_factory):
    return authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def known(trust):
    """Our certificate, which names whom the collector lets in."""
    return trust.issue("/CN=sender", names=f"DNS:{SENDER}")


@pytest.fixture
def collector_at(trust, known):
    """What the settings say, for a collector on this port."""

    def make(port, **changes):
        address = SyslogAddress(
            host="localhost", port=port, ca_file=trust.ca, certificate=known.certificate, key=known.key
        )
        values = {"address": address, "facility": 10, "app_name": "myoscreen", "named": False}
        return forward.Collector(**{**values, "ae_title": "MYOSCREEN", "site": "Klinik am See", **changes})

    return make


class World:
    """A database with a sealed record, and a clock that is set by hand."""

    def __init__(self, home, sessions, ids):
        self.home, self.sessions, self.now, self.ids = home, sessions, NOW, ids

    def write(self, count=1, action="analysis_viewed", *, sealed=True, **changes):
        with self.sessions.begin() as session:
            for _ in range(count):
                line = {"actor": "anna", "object_type": "analysis", "object_id": self.ids.flagged, **changes}
                people.record(session, at=self.now, action=action, **line)
        if sealed:
            audit.seal(self.sessions, audit.Keeping(folder=self.home / "audit"), now=self.now)

    def forwarder(self, collector):
        return forward.Forwarder(self.sessions, self.home, collector, clock=lambda: self.now)

    def troubles(self):
        site = vitals.Site(home=self.home, least_bytes=0, reports_audit=True)
        found = find_troubles(vitals.look(self.sessions, site, now=self.now), Limits())
        return {trouble.code for trouble in found}


@pytest.fixture
def world(tmp_path, sessions):
    home = tmp_path / "home"
    return World(home, sessions, ledger.fill(sessions, home, now=NOW))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A filled ledger on SQLite, to be copied."""
    return ledger.filled(tmp_path_factory.mktemp("made"), now=NOW)


@pytest.fixture
def small_world(tmp_path, made):
    """The same on SQLite alone, where the database does not matter."""
    home, ids = tmp_path / "home", made[1]
    shutil.copytree(made[0], home)
    sessions = make_sessions(f"sqlite:///{home / 'myoscreen.db'}")
    yield World(home, sessions, ids)
    sessions.kw["bind"].dispose()


def numbers(rsyslog, count):
    """Places in the chain of what has come, once so many messages are there."""
    wait_for(f"{count} messages", lambda: len(rsyslog.lines()) >= count, seconds=20)
    return [int(HEAD.match(line)[4]) for line in rsyslog.lines()]


@pytest.mark.parametrize("driver", ["gtls", "ossl"])
def test_each_sealed_line_comes_as_a_valid_message_in_order(
    small_world, collector_at, trust, tmp_path, driver, monkeypatch
):
    world = small_world
    monkeypatch.setattr(forward, "BATCH", 40)
    with start_rsyslog(tmp_path / "rsyslog", trust, driver=driver) as rsyslog:
        forwarder = world.forwarder(collector_at(rsyslog.port))
        world.write(98)
        world.write(action="login", object_type=None, object_id=None, address="10.1.2.3")
        world.write(
            action="login", object_type=None, object_id=None, outcome="refused", detail={"locked": True}
        )
        world.write(sealed=False)
        assert forwarder.run() == 100
        assert numbers(rsyslog, 101) == [*range(1, 101), 100]
        found = [HEAD.match(line) for line in rsyslog.lines()]
        assert forwarder.run() == 0
    # PS3.15 A.6: facility 10; notice, and error for a login that is shut out.
    assert {each[1] for each in found[:99]} == {"85"}
    assert {each[1] for each in found[99:]} == {"83"}
    assert found[0][2] == "2026-11-23T14:30:00.000Z"
    assert found[0][3] == "myoscreen"
    assert faults(tmp_path, [each[5] for each in found]) == ""


@pytest.mark.parametrize("named", [False, True])
def test_a_patient_is_named_only_where_the_settings_say_so(small_world, collector_at, trust, tmp_path, named):
    with start_rsyslog(tmp_path / "rsyslog", trust) as rsyslog:
        forwarder = small_world.forwarder(collector_at(rsyslog.port, named=named))
        small_world.write()
        small_world.write(action="rows_purged", object_type="study", object_id=999)
        forwarder.run()
        numbers(rsyslog, 2)
        text = "\n".join(rsyslog.lines())
    assert (ledger.PATIENT_ID in text, ledger.PATIENT_NAME in text) == (named, named)
    first = ET.fromstring(HEAD.match(rsyslog.lines()[0])[5])
    study, patient = first.findall("ParticipantObjectIdentification")
    assert study.get("ParticipantObjectID").startswith("1.2.")
    assert (len(patient.get("ParticipantObjectID")) == 64) == (not named)


def test_while_the_collector_is_away_nothing_is_lost_and_it_is_told(world, collector_at, trust, tmp_path):
    with start_rsyslog(tmp_path / "rsyslog", trust) as rsyslog:
        forwarder = world.forwarder(collector_at(rsyslog.port))
        world.write(3)
        assert forwarder.run() == 3
        numbers(rsyslog, 3)
        rsyslog.server.stop()
        world.write(4)
        for expected in (5, 10, 20):
            assert forwarder.run() == 0
            world.now += timedelta(seconds=expected - 1)
            assert forwarder.run() == 0
            with reading(world.sessions) as session:
                assert audit_outbox.waits_since(session) == NOW
            world.now += timedelta(seconds=1)
        with reading(world.sessions) as session:
            assert session.get_one(AuditOutbox, "syslog").failures == 3
        world.now += timedelta(minutes=15)
        assert "audit_not_reported" in world.troubles()
        # Tried once more, and then the clock is set back by an hour: nobody waits until it has caught up.
        with world.sessions.begin() as session:
            session.get_one(AuditOutbox, "syslog").failures = 50
        assert forwarder.run() == 0
        with reading(world.sessions) as session:
            assert session.get_one(AuditOutbox, "syslog").next_at == world.now + timedelta(minutes=5)
        world.now -= timedelta(hours=1)
        rsyslog.server.start()
        world.write(2)
        assert forwarder.run() == 6
        assert numbers(rsyslog, 9) == list(range(1, 10))
        assert "audit_not_reported" not in world.troubles()


def test_what_was_sent_but_not_noted_comes_once_more(small_world, collector_at, trust, tmp_path, monkeypatch):
    with start_rsyslog(tmp_path / "rsyslog", trust) as rsyslog:
        forwarder = small_world.forwarder(collector_at(rsyslog.port))
        small_world.write(3)
        with monkeypatch.context() as broken:
            broken.setattr(audit_outbox, "sent", lambda *_, **__: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                forwarder.run()
        # As after a crash: nobody else has the right until the lease is over.
        assert forwarder.run() == 0
        small_world.now += forward.LEASE
        assert forwarder.run() == 3
        assert numbers(rsyslog, 6) == [1, 2, 3, 1, 2, 3]
        assert rsyslog.lines()[:3] == rsyslog.lines()[3:]


def test_of_two_workers_one_sends(small_world, collector_at, trust, tmp_path, monkeypatch):
    world = small_world
    with start_rsyslog(tmp_path / "rsyslog", trust) as rsyslog:
        one, other = (world.forwarder(collector_at(rsyslog.port)) for _ in range(2))
        world.write(3)
        send, seen = syslog.send, []

        def send_while_the_other_tries(*arguments):
            seen.append(other.run())
            send(*arguments)

        monkeypatch.setattr(syslog, "send", send_while_the_other_tries)
        assert one.run() == 3
        assert seen == [0]
        assert numbers(rsyslog, 3) == [1, 2, 3]


def test_it_begins_with_what_is_sealed_from_then_on_and_goes_on_later(
    small_world, collector_at, trust, tmp_path
):
    small_world.write(5)
    with start_rsyslog(tmp_path / "rsyslog", trust) as rsyslog:
        forwarder = small_world.forwarder(collector_at(rsyslog.port))
        assert forwarder.run() == 0
        small_world.write(2)
        again = small_world.forwarder(collector_at(rsyslog.port))
        assert again.run() == 2
        assert numbers(rsyslog, 2) == [6, 7]


def test_a_lost_right_changes_nothing(small_world, collector_at):
    small_world.forwarder(collector_at(1))
    small_world.write(2)
    with small_world.sessions.begin() as session:
        terms = {"lease": forward.LEASE, "longest": forward.BACKOFF_MAX}
        slow = audit_outbox.claim(session, now=NOW, **terms)
        assert audit_outbox.claim(session, now=NOW, **terms) is None
        quick = audit_outbox.claim(session, now=NOW + forward.LEASE, **terms)
        audit_outbox.sent(session, quick, up_to=2, now=NOW)
        audit_outbox.sent(session, slow, up_to=1, now=NOW)
        audit_outbox.failed(session, slow, code="no_answer", again_at=NOW)
        assert rows.last(session).count == 2
        assert audit_outbox.waits_since(session) is None


def test_a_number_that_somebody_else_has_now_names_nobody(small_world, collector_at, trust, tmp_path):
    """As after a restore: rows that came behind the backup are gone, and their numbers are given anew."""
    with start_rsyslog(tmp_path / "rsyslog", trust) as rsyslog:
        forwarder = small_world.forwarder(collector_at(rsyslog.port, named=True))
        small_world.write()
        with small_world.sessions.begin() as session:
            session.get_one(Analysis, small_world.ids.flagged).created_at = NOW + timedelta(hours=1)
        forwarder.run()
        numbers(rsyslog, 1)
        assert ledger.PATIENT_ID not in rsyslog.lines()[0]
        assert "1.2." not in rsyslog.lines()[0]


def test_lines_behind_a_position_that_the_chain_has_not_reached_are_sent(
    small_world, collector_at, trust, tmp_path
):
    """As after a restore of the record alone."""
    small_world.write(5)
    with start_rsyslog(tmp_path / "rsyslog", trust) as rsyslog:
        small_world.forwarder(collector_at(rsyslog.port))
        with small_world.sessions.begin() as session:
            session.get_one(AuditOutbox, "syslog").sent_number = 9
        again = small_world.forwarder(collector_at(rsyslog.port))
        small_world.write(2)
        assert again.run() == 2
        assert numbers(rsyslog, 2) == [6, 7]


def test_a_collector_that_takes_too_long_for_a_batch_gets_smaller_ones(
    small_world, collector_at, monkeypatch
):
    sizes = []

    def slow(_address, records):
        sizes.append(len(list(records)))
        if sizes[-1] > 2:
            raise PeerUnreachable("The peer did not answer in time.", reason="no_answer")

    monkeypatch.setattr(forward, "BATCH", 8)
    monkeypatch.setattr(syslog, "send", slow)
    forwarder = small_world.forwarder(collector_at(1))
    small_world.write(7)
    while len(sizes) < 4:
        forwarder.run()
        small_world.now += forward.BACKOFF_MAX
    assert sizes[:4] == [7, 4, 2, 5]


def test_of_two_workers_the_later_finds_nothing_left(small_world, collector_at, monkeypatch):
    monkeypatch.setattr(syslog, "send", lambda _address, records: len(list(records)))
    one, other = (small_world.forwarder(collector_at(1)) for _ in range(2))
    small_world.write(3)
    claim = audit_outbox.claim
    seen = []

    def claim_after_the_other(*arguments, **terms):
        monkeypatch.setattr(audit_outbox, "claim", claim)
        seen.append(other.run())
        return claim(*arguments, **terms)

    # The other comes between our look and our claim; here before the transaction of the claim writes.
    monkeypatch.setattr(audit_outbox, "claim", claim_after_the_other)
    assert (one.run(), seen) == (0, [3])
    small_world.write(2)
    assert one.run() == 2
