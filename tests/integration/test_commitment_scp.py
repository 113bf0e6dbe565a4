"""Storage commitment towards senders: who may ask, what is vouched for, and that the word arrives."""

import random
import socket
import ssl
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.presentation import build_context, build_role
from sqlalchemy import select

from service import receiver
from service.db import clock, commitments_in
from service.db.session import make_sessions, reading
from service.db.tables import AuditEntry, CommitmentRequest, Instance, Series
from service.dicom.commitment import COMMITMENT_CLASS
from service.dicom.committing import LARGEST_QUESTION, MOST_OBJECTS
from service.pipeline import commit
from tests.fuzz.wire import mutate, play
from tests.make import certificates, wire
from tests.make.asking import action, crowd, element, session_of_questions
from tests.make.modality import MR_IMAGE, Modality, ask_on
from tests.make.outbox import TERMS
from tests.make.running import free_port, wait_for
from tests.make.series import mr_series, mr_slice, save

pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
ABSENT = {"1.2.3.404": MR_IMAGE}


class World:
    """Our receiver, a modality, and the worker's part played by hand."""

    def __init__(self, door, modality):
        self.door, self.modality = door, modality
        self.now = datetime.now(UTC)

    def send(self, *paths):
        return self.modality.send(self.door.port, paths)

    def ask(self, objects, **changes):
        return self.modality.ask(self.door.port, objects, **changes)

    def tell(self):
        """What the worker does once."""
        return commit.run(
            self.door.sessions,
            "scanner",
            self.modality.address(),
            self.door.spool,
            terms=commit.Terms(delivery=TERMS),
            clock=lambda: self.now,
        )

    def answer(self, objects, **changes):
        """Ask, and have it told: kept and failed."""
        assert self.ask(objects, **changes) == 0x0000
        self.now = datetime.now(UTC)
        with self.modality.listening():
            assert self.tell() == 1
        return self.modality.told[-1]

    def rows(self, table=CommitmentRequest):
        with reading(self.door.sessions) as session:
            return session.scalars(select(table).order_by(table.id)).all()

    def state(self):
        (row,) = self.rows()
        return row.state, row.attempts, row.reason_code

    def change(self, table, **values):
        """Change every row of a table."""
        with self.door.sessions.begin() as session:
            for row in session.scalars(select(table)):
                for name, value in values.items():
                    setattr(row, name, value)


@pytest.fixture
def world(open_door):
    """A receiver that a modality may ask."""
    modality = Modality()
    return World(open_door(peer=[modality.settings()]), modality)


@pytest.fixture
def images(tmp_path):
    return mr_series(tmp_path / "in", positions=[0.0, 4.0])


# What is vouched for


def test_what_was_stored_is_vouched_for_on_an_association_of_our_own(world, images):
    sent = world.send(*images)
    told = world.answer(sent, transaction="1.2.3.77")
    assert (told.event_type, told.transaction, told.failed, told.same) == (1, "1.2.3.77", {}, False)
    assert sorted(told.kept) == sorted(sent)
    # PS3.7 D.3.3.4: we propose ourselves as the provider of the class.
    assert told.roles == (False, True)
    (row,) = world.rows()
    assert (row.state, row.committed, row.failed, row.objects) == ("answered", 2, 0, None)
    (line,) = [line for line in world.rows(AuditEntry) if line.action == "commitment_answered"]
    assert (line.outcome, line.detail) == ("ok", {"peer": "scanner", "committed": 2, "failed": 0})
    assert world.tell() == 0


def test_each_object_that_is_not_vouched_for_has_its_reason(world, images):
    sent = world.send(*images)
    first, second = sent
    told = world.answer(
        {
            first: MR_IMAGE,
            second: "1.2.840.10008.5.1.4.1.1.4.1",
            "1.2.3.404": MR_IMAGE,
            "1.2.3.405": "1.2.840.10008.5.1.4.1.1.2",
        }
    )
    assert (told.event_type, told.kept) == (2, [first])
    assert told.failed == {second: 0x0119, "1.2.3.404": 0x0112, "1.2.3.405": 0x0122}


@pytest.mark.parametrize(
    ("taken", "reason"), [("path", 0x0112), ("mark", 0x0112), ("file", 0x0110), ("half", 0x0110)]
)
def test_what_retention_took_or_the_disk_lost_is_not_vouched_for(world, images, taken, reason):
    sent = world.send(images[0])
    (row,) = world.rows(Instance)
    path = world.door.spool.path(row.path)
    if taken == "path":
        world.change(Instance, path="")
    elif taken == "mark":
        world.change(Series, pixels_purged_at=world.now)
    elif taken == "file":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    assert world.answer(sent).failed == dict.fromkeys(sent, reason)


def test_what_came_again_with_other_bytes_is_in_dispute(world, tmp_path):
    uid = "1.2.3.9.1"
    world.send(save(mr_slice(SOPInstanceUID=uid), tmp_path / "a.dcm"))
    assert world.answer({uid: MR_IMAGE}).kept == [uid]
    other = mr_slice(SOPInstanceUID=uid)
    other.PixelData = bytes(len(other.PixelData))
    world.send(save(other, tmp_path / "b.dcm"))
    assert world.answer({uid: MR_IMAGE}).failed == {uid: 0x0110}


def test_a_question_lives_its_whole_life_on_either_database(open_door, images, grown_or_embedded):
    modality = Modality()
    world = World(open_door(peer=[modality.settings()], **grown_or_embedded), modality)
    sent = world.send(*images)
    assert world.answer(sent, transaction="1.2.3.1").failed == {}
    assert world.answer(sent, transaction="1.2.3.1").failed == {}
    assert world.answer(ABSENT, transaction="1.2.3.1").failed == {"1.2.3.404": 0x0131}
    assert [world.ask(sent, transaction="1.2.3.2") for _ in range(2)] == [0, 0]
    world.now = datetime.now(UTC)
    assert world.tell() == 0
    with reading(world.door.sessions) as session:
        assert commitments_in.due(session, peers=["scanner"], now=world.now) == []
        last = world.rows()[-1].id
        assert commitments_in.due(session, peers=["scanner"], now=world.now + timedelta(hours=1)) == [last]
        assert commitments_in.due(session, peers=["another"], now=world.now + timedelta(hours=1)) == []
        assert commitments_in.by_state(session) == {"answered": 2, "open": 1}
        assert commitments_in.load(session, "scanner") == commitments_in.Load(questions=1, objects=2)


# The same question again


def test_the_same_question_is_one_question_and_is_answered_again_when_asked_again(world, images):
    sent = world.send(*images)
    assert [world.ask(sent, transaction="1.2.3.5") for _ in range(2)] == [0, 0]
    (row,) = world.rows()
    assert world.answer(dict(reversed(sent.items())), transaction="1.2.3.5").failed == {}
    assert len(world.modality.told) == 1
    assert world.answer(sent, transaction="1.2.3.5").failed == {}
    assert [each.id for each in world.rows()] == [row.id]
    assert len(world.modality.told) == 2


def test_another_question_under_the_same_transaction_is_refused_object_by_object(world, images):
    sent = world.send(*images)
    first, second = sent
    assert world.answer({first: MR_IMAGE}, transaction="1.2.3.5").kept == [first]
    told = world.answer({second: MR_IMAGE}, transaction="1.2.3.5")
    assert (told.event_type, told.kept, told.failed) == (2, [], {second: 0x0131})


# The word arrives


def test_a_sender_that_is_away_is_told_when_it_is_back_also_by_another_process(world, images):
    sent = world.send(*images)
    world.ask(sent, transaction="1.2.3.4")
    world.now = datetime.now(UTC)
    assert world.tell() == 0
    assert world.state() == ("open", 1, "peer_unreachable")
    assert world.tell() == 0  # It is left alone for a while.
    assert world.ask(sent, transaction="1.2.3.4") == 0x0000
    assert world.state() == ("open", 1, "peer_unreachable")
    world.now += timedelta(minutes=1)
    world.door = replace(world.door, sessions=make_sessions(str(world.door.sessions.kw["bind"].url)))
    with world.modality.listening():
        assert world.tell() == 1
    world.door.sessions.kw["bind"].dispose()
    assert world.state() == ("answered", 2, None)


def test_a_question_whose_worker_was_killed_while_it_told_is_told_again(world, images):
    world.ask(world.send(*images))
    now = datetime.now(UTC)
    again_at = now + commit.hold(10.0)
    with world.door.sessions.begin() as session:
        assert commitments_in.claim(session, "scanner", now=now, again_at=again_at, limit=20)
    with reading(world.door.sessions) as session:
        assert commitments_in.due(session, peers=["scanner"], now=now) == []
        assert len(commitments_in.due(session, peers=["scanner"], now=again_at)) == 1


def test_a_sender_that_never_takes_the_word_is_given_up_and_may_ask_again(world, images):
    sent = world.send(*images)
    world.ask(sent, transaction="1.2.3.6")
    world.modality.answer = 0x0110
    with world.modality.listening():
        for _ in range(TERMS.attempts):
            world.now = datetime.now(UTC) + timedelta(hours=1) * (len(world.modality.told) + 1)
            world.tell()
    assert world.state() == ("given_up", TERMS.attempts, "report_refused")
    assert len(world.modality.told) == TERMS.attempts
    assert [line.action for line in world.rows(AuditEntry)] == ["commitment_given_up"]
    world.modality.answer = 0x0000
    assert world.answer(sent, transaction="1.2.3.6").failed == {}
    assert world.state()[0] == "answered"


def test_several_questions_are_answered_over_one_association_oldest_first(world, images):
    sent = world.send(*images)
    for number in range(3):
        world.ask(sent, transaction=f"1.2.3.{number}")
    world.now = datetime.now(UTC)
    with world.modality.listening():
        assert world.tell() == 3
    assert [told.transaction for told in world.modality.told] == ["1.2.3.0", "1.2.3.1", "1.2.3.2"]


def test_a_sender_without_a_port_is_told_on_the_association_that_it_stays_on(open_door, images):
    modality = Modality()
    world = World(open_door(peer=[modality.settings(port=None)]), modality)
    sent = world.send(*images)
    with modality.associated(world.door.port) as association:
        assert ask_on(association, sent) == 0x0000
        assert modality.heard.wait(30)
        wait_for("the answer to be written", lambda: world.state()[0] == "answered", seconds=30)
        # The association is there for more: an image, and another question.
        assert association.send_c_store(pydicom.dcmread(images[0])).Status == 0x0000
        modality.heard.clear()
        assert ask_on(association, ABSENT) == 0x0000
        assert modality.heard.wait(30)
    first, second = modality.told
    assert (first.same, sorted(first.kept), second.failed) == (True, sorted(sent), {"1.2.3.404": 0x0112})


def test_a_sender_is_told_where_it_stays_by_tls_too(open_door, images, tmp_path):
    ca = certificates.authority(tmp_path / "ca")
    ours, theirs = ca.issue("/CN=myoscreen"), ca.issue("/CN=scanner")
    own = {"tls_certificate": ours.certificate, "tls_key": ours.key, "tls_ca": ca.ca, "tls_port": free_port()}
    modality = Modality()
    peer = modality.settings(port=None, tls=True, tls_subject="CN=scanner")
    world = World(open_door(peer=[peer], **own), modality)
    context = ssl.create_default_context(cafile=ca.ca)
    context.load_cert_chain(theirs.certificate, theirs.key)
    with modality.associated(world.door.port, tls=context) as association:
        assert association.send_c_store(pydicom.dcmread(images[0])).Status == 0x0000
        assert ask_on(association, ABSENT) == 0x0000
        assert modality.heard.wait(30)
        wait_for("the answer to be written", lambda: world.state()[0] == "answered", seconds=30)
    assert world.door.receiver.ports == [world.door.receiver.tls_port]
    assert modality.told[0].failed == {"1.2.3.404": 0x0112}


def test_a_sender_that_stays_silent_for_too_long_is_cut_off_and_told_later(open_door):
    modality = Modality()
    world = World(open_door(peer=[modality.settings()], association_idle_seconds=0.2), modality)
    with socket.create_connection(("127.0.0.1", world.door.port), 20) as connection:
        connection.sendall(wire.associate_request(contexts={1: (COMMITMENT_CLASS, (wire.IMPLICIT,))}))
        assert wire.read_pdu(connection)[0] == 0x02
        connection.sendall(wire.data(1, 3, action()) + wire.data(1, 2, crowd(1)))
        assert wire.status_of(wire.read_pdu(connection)[1]) == 0x0000
        assert wire.read_pdu(connection)[0] == 0
    world.now = datetime.now(UTC)
    with modality.listening():
        assert world.tell() == 1


def test_a_sender_that_cannot_be_called_is_told_where_it_stays(world, images):
    sent = world.send(*images)
    with world.modality.associated(world.door.port) as association:
        assert ask_on(association, sent) == 0x0000
        assert not world.modality.told
        world.now = datetime.now(UTC)
        assert world.tell() == 0  # Nobody listens at its port.
        assert world.modality.heard.wait(30)
        wait_for("the answer to be written", lambda: world.state()[0] == "answered", seconds=30)
    assert [told.same for told in world.modality.told] == [True]


def test_a_sender_with_a_port_is_told_where_it_asked_only_once_a_call_to_it_failed(make_settings, open_door):
    modality = Modality()
    door = open_door(peer=[modality.settings()])
    world, settings = World(door, modality), make_settings(peer=[modality.settings()])
    desk = receiver.commitment_desk(settings, door.sessions, door.spool)
    (caller,) = receiver.callers(settings)
    world.ask(ABSENT)
    (row,) = world.rows()
    assert desk.look(caller, [row.id]) == ([row.id], None)
    world.now = datetime.now(UTC)
    world.tell()
    waiting, notice = desk.look(caller, [row.id])
    assert (waiting, notice.id) == ([row.id], row.id)
    assert desk.look(caller, [])[0] == []
    desk.told(caller, notice, 0x0110)
    assert world.state() == ("open", 2, "report_refused")
    desk.told(caller, notice, 0x0000)
    assert desk.look(caller, [row.id]) == ([], None)


def test_times_of_a_clock_since_set_back_are_waited_for_no_longer(world, images):
    world.ask(world.send(*images))
    world.change(CommitmentRequest, next_at=world.now + timedelta(days=3))
    with world.door.sessions.begin() as session:
        assert clock.pull_in(session, clock.ANY_WAIT, now=world.now) == 1
    (row,) = world.rows()
    assert row.next_at == world.now


def test_questions_of_long_ago_are_forgotten(world, images):
    world.answer(world.send(*images))
    assert commit.forget(world.door.sessions, now=world.now + commit.KEEP - timedelta(minutes=1)) == 0
    assert commit.forget(world.door.sessions, now=world.now + commit.KEEP + timedelta(minutes=1)) == 1


# Who may ask, and how


def negotiated(port, calling="SCANNER", *, roles=()):
    """What is agreed for the class: user and provider; None where it is refused."""
    application = AE(ae_title=calling)
    application.acse_timeout = 20
    association = application.associate(
        "127.0.0.1",
        port,
        contexts=[build_context("1.2.840.10008.1.1"), build_context(COMMITMENT_CLASS)],
        ae_title="MYOSCREEN",
        ext_neg=list(roles),
    )
    found = [
        (context.as_scu, context.as_scp)
        for context in association.accepted_contexts
        if context.abstract_syntax == COMMITMENT_CLASS
    ]
    association.release()
    return found[0] if found else None


def test_only_a_peer_whose_setting_says_so_may_ask(open_door):
    peers = [
        {"name": "may", "ae_title": "MAY", "host": "127.0.0.1", "commitment_scp": True},
        {"name": "only", "ae_title": "ONLY", "host": "127.0.0.1", "may_send": False, "commitment_scp": True},
        {"name": "not", "ae_title": "NOT", "host": "127.0.0.1"},
    ]
    port = open_door(peer=peers, loopback_may_send=True).port
    assert negotiated(port, "MAY") == (True, False)
    assert negotiated(port, "ONLY") == (True, False)
    assert negotiated(port, "NOT") is None
    assert negotiated(port, "ANYBODY") is None


def test_a_peer_that_we_ask_may_report_and_no_more(open_door, images):
    modality = Modality()
    pacs = modality.settings(commitment_scp=False, confirm="commitment", outputs=["SC"])
    door = open_door(peer=[pacs])
    both = build_role(COMMITMENT_CLASS, scu_role=True, scp_role=True)
    assert negotiated(door.port, roles=[both]) == (False, True)
    assert modality.ask(door.port, ABSENT) == 0x0124
    twin = {**pacs, "name": "twin", "commitment_scp": True}
    door = open_door(peer=[pacs, twin])
    assert negotiated(door.port, roles=[both]) == (True, True)
    assert modality.ask(door.port, ABSENT) == 0x0000
    assert [row.peer for row in World(door, modality).rows()] == ["twin"]


def item(uid=None, sop_class=None):
    made = Dataset()
    if uid is not None:
        made.ReferencedSOPInstanceUID = uid
    if sop_class is not None:
        made.ReferencedSOPClassUID = sop_class
    return made


def made_of(*items, transaction="1.2.3"):
    made = Dataset()
    if transaction is not None:
        made.TransactionUID = transaction
    if items:
        made.ReferencedSOPSequence = [each for each in items if each is not None]
    return made


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize(
    ("dataset", "status"),
    [
        (made_of(item("1.2.3", MR_IMAGE)), 0x0000),
        (made_of(item("1.2.3", MR_IMAGE), item("1.2.3", MR_IMAGE)), 0x0000),
        (made_of(item("1.2.3", MR_IMAGE), transaction=None), 0x0115),
        (made_of(item("1.2.3", MR_IMAGE), transaction=""), 0x0115),
        (made_of(item("1.2.3", MR_IMAGE), transaction="../../etc"), 0x0115),
        (made_of(), 0x0115),
        (made_of(None), 0x0115),
        (made_of(item("1.2.3")), 0x0115),
        (made_of(item(None, MR_IMAGE)), 0x0115),
        (made_of(item("1.2.3'; DROP TABLE instances", MR_IMAGE)), 0x0115),
        (made_of(item("1." * 33, MR_IMAGE)), 0x0115),
        (made_of(item("1.2.3", MR_IMAGE), item("1.2.3", "1.2.840.10008.5.1.4.1.1.2")), 0x0115),
    ],
)
def test_every_question_is_answered_by_name(world, dataset, status):
    with world.modality.associated(world.door.port) as association:
        assert ask_on(association, {}, dataset=dataset) == status
    assert len(world.rows()) == (status == 0)


def test_other_actions_and_instances_are_refused_by_name(world):
    assert world.ask(ABSENT, action=2) == 0x0123
    assert world.ask(ABSENT, instance="1.2.840.10008.1.20.1.2") == 0x0112
    assert world.rows() == []


def told_about(port, raw):
    """The status of the answer to these bytes, sent as they are."""
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(wire.associate_request(contexts={1: (COMMITMENT_CLASS, (wire.IMPLICIT,))}))
        assert wire.read_pdu(connection)[0] == 0x02
        connection.sendall(wire.data(1, 3, action()))
        for at in range(0, len(raw), 65536):
            last = at + 65536 >= len(raw)
            connection.sendall(wire.data(1, 2 if last else 0, raw[at : at + 65536]))
        kind, body = wire.read_pdu(connection)
        assert kind == 0x04
        connection.sendall(wire.release_request())
        return wire.status_of(body)


def test_too_many_objects_are_refused_whole_and_in_little_memory(world):
    port = world.door.port
    assert told_about(port, crowd(2)) == 0x0000
    crowds = crowd(MOST_OBJECTS + 1), crowd(260_000, empty=True), crowd(100_000)
    tracemalloc.start()
    try:
        for raw in crowds:
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            assert told_about(port, raw) == 0x0213
            assert tracemalloc.get_traced_memory()[1] - before < 3 * LARGEST_QUESTION
    finally:
        tracemalloc.stop()
    assert [row.count for row in world.rows()] == [2]


def test_nonsense_is_refused(world):
    whole = crowd(2)
    for raw in (b"nonsense", whole[:30], element(8, 0x1199, b"\xff" * 400)):
        assert told_about(world.door.port, raw) == 0x0115
    assert world.rows() == []


def test_wrong_bytes_in_questions_leave_the_receiver_as_it_was(world):
    chance = random.Random(20261123)
    session = session_of_questions(crowd(2))
    for _ in range(200):
        play(world.door.port, mutate(session, chance), chance)
    wait_for("the connections to end", lambda: not world.door.receiver.associations(), seconds=30)
    assert told_about(world.door.port, crowd(2)) == 0x0000
    assert all(row.count <= 2 for row in world.rows())


def test_an_answer_that_nobody_waits_for_ends_the_association(world):
    *_, told, _ = session_of_questions(b"")
    with socket.create_connection(("127.0.0.1", world.door.port), 20) as connection:
        connection.sendall(wire.associate_request(contexts={1: (COMMITMENT_CLASS, (wire.IMPLICIT,))}))
        assert wire.read_pdu(connection)[0] == 0x02
        connection.sendall(told)
        assert wire.read_pdu(connection)[0] == 0x07


def test_questions_that_pile_up_are_refused_and_those_that_wait_are_not_doubled(world, monkeypatch):
    monkeypatch.setattr(commit, "MOST_QUESTIONS", 2)
    assert [world.ask(ABSENT, transaction=f"1.2.{n}") for n in (1, 2, 3, 1)] == [0, 0, 0x0213, 0]
    monkeypatch.setattr(commit, "MOST_QUESTIONS", 9)
    monkeypatch.setattr(commit, "MOST_OBJECTS", 3)
    two = {"1.2.3.1": MR_IMAGE, "1.2.3.2": MR_IMAGE}
    assert world.ask(two, transaction="1.2.9") == 0x0213
    assert world.ask(ABSENT, transaction="1.2.9") == 0x0000
