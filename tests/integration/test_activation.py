"""What is in force: recorded, confirmed by a second person, rolled back, and taken up by workers as it is."""

import os
import shutil
from datetime import timedelta
from threading import Thread

import pytest
from sqlalchemy import delete, select, text

from service.core.activation import BY_SETTINGS, ActivationState, Kind
from service.db import activating, activations, people
from service.db.session import make_sessions, reading
from service.db.tables import Activation, ApiKey, AuditEntry, Base, SettingSeen, User
from service.errors import InvalidRequest, ModelMismatch, NotAsActivated, ServiceError
from service.pipeline import activation
from tests.make.activating import NAMES, NOW, Installation, models_folder
from tests.make.running import wait_for

ACTIVE, PROPOSED, REPLACED = ActivationState.ACTIVE, ActivationState.PROPOSED, ActivationState.REPLACED
REFUSED, ROLLED_BACK = ActivationState.REFUSED, ActivationState.ROLLED_BACK


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return models_folder(tmp_path_factory.mktemp("models") / "m")


class Place:
    """A database, a models folder, and two administrators."""

    def __init__(self, sessions, template, folder):
        self.sessions = sessions
        shutil.copytree(template, folder, copy_function=os.link)
        self.here = Installation(folder=folder)
        with sessions.begin() as session:
            for name in ("anna", "bert"):
                # No password: nobody logs in here, and hashing takes long on purpose.
                session.add(User(name=name, password_hash="", role="admin", created_at=NOW))
            people.add_key(session, name="annas", role="admin", now=NOW, actor="anna")
            people.add_key(session, name="shells", role="admin", now=NOW, actor="command line")

    def start(self):
        """What a worker does when it starts."""
        activation.take_up_settings(self.sessions, self.here.site, now=self.here.by().now)

    def propose(self, kind, name, actor="anna", **more):
        here = self.here
        return activation.propose(self.sessions, here.site, kind, name, here.by(actor), **more)

    def confirm(self, number, actor="bert"):
        return activation.confirm(self.sessions, self.here.site, number, self.here.by(actor))

    def refuse(self, number, actor="bert", **more):
        return activation.refuse(self.sessions, number, self.here.by(actor), **more)

    def roll_back(self, kind, actor="anna"):
        by = self.here.by(actor)
        return activation.roll_back(self.sessions, self.here.site, self.now(kind).id, by)

    def now(self, kind):
        with reading(self.sessions) as session:
            return activations.in_force(session)[kind]

    def lines(self, kind):
        """Name, state and who asked, oldest first."""
        with reading(self.sessions) as session:
            found = activations.lines(session, kind=kind)
        return [(line.name, line.state, line.asked_by) for line in reversed(found)]

    def audited(self):
        with reading(self.sessions) as session:
            rows = session.scalars(select(AuditEntry).where(AuditEntry.object_type == "activation"))
            return [(row.actor, row.action, row.outcome, (row.detail or {}).get("code")) for row in rows]

    def edit(self, name, old, new):
        rewrite(
            self.here.folder / name,
            (self.here.folder / name).read_bytes().replace(old.encode(), new.encode()),
        )


def rewrite(path, content):
    """Another file of this name; the one that was may have other names too."""
    path.unlink()
    path.write_bytes(content)


@pytest.fixture
def place(template, tmp_path):
    sessions = make_sessions("sqlite://")
    Base.metadata.create_all(sessions.kw["bind"])
    yield Place(sessions, template, tmp_path / "m")
    sessions.kw["bind"].dispose()


@pytest.fixture
def started(place):
    place.start()
    return place


@pytest.fixture
def two(started):
    """Where another person has to confirm."""
    started.here.second_person = True
    return started


@pytest.fixture(scope="module")
def server(postgres):
    """PostgreSQL, where two transactions may write at a time."""
    sessions = make_sessions(postgres.new_database())
    Base.metadata.create_all(sessions.kw["bind"])
    yield sessions
    sessions.kw["bind"].dispose()


@pytest.fixture
def fresh(server, template, tmp_path):
    with server.begin() as session:
        for table in (Activation, SettingSeen, User, ApiKey, AuditEntry):
            session.execute(delete(table))
    return Place(server, template, tmp_path / "m")


@pytest.fixture
def busy(fresh):
    fresh.start()
    return fresh


def code_of(call, *arguments, **more):
    with pytest.raises(InvalidRequest) as told:
        call(*arguments, **more)
    return told.value.reason.code


# The settings


def test_the_first_of_each_kind_is_what_the_settings_name(place):
    place.here.second_person = True
    place.start()
    for kind, name in NAMES.items():
        assert place.lines(kind) == [(name, ACTIVE, BY_SETTINGS)]
    assert place.now(Kind.NETWORK).pieces[0].path == "paraspinal/card.toml"
    assert place.audited() == [(BY_SETTINGS, "activation_made", "ok", None)] * 4
    place.start()
    assert len(place.audited()) == 4


def test_a_restart_undoes_nothing_that_somebody_activated(started):
    started.propose(Kind.POLICY, "strict")
    started.start()
    assert started.now(Kind.POLICY).name == "strict"


def test_a_changed_setting_is_the_latest_deliberate_change(started):
    started.propose(Kind.POLICY, "strict")
    started.here.names[Kind.NETWORK] = "next"
    started.start()
    assert started.here.tried == ["next"]
    assert started.now(Kind.NETWORK).asked_by == BY_SETTINGS
    assert started.now(Kind.POLICY).name == "strict"


def test_a_setting_that_follows_what_was_activated_changes_nothing_then_or_later(started):
    started.propose(Kind.POLICY, "strict")
    started.here.names[Kind.POLICY] = "strict"
    started.start()
    assert started.now(Kind.POLICY).asked_by == "anna"
    started.propose(Kind.POLICY, "default")
    started.start()
    assert started.now(Kind.POLICY).name == "default"


def test_a_changed_setting_waits_for_a_person_where_two_are_asked(two):
    two.here.names[Kind.POLICY] = "strict"
    two.start()
    assert two.now(Kind.POLICY).name == "default"
    (waiting,) = [line for line in two.lines(Kind.POLICY) if line[1] == PROPOSED]
    assert waiting == ("strict", PROPOSED, BY_SETTINGS)
    two.start()
    assert len(two.lines(Kind.POLICY)) == 2
    with reading(two.sessions) as session:
        (number,) = [line.id for line in activations.proposed(session)]
    two.confirm(number, "anna")
    assert two.now(Kind.POLICY).name == "strict"


def test_a_changed_setting_that_cannot_be_used_keeps_the_worker_from_starting(started):
    started.here.names[Kind.NETWORK] = "next"
    started.here.silent = True
    with pytest.raises(ModelMismatch):
        started.start()
    assert started.now(Kind.NETWORK).name == "paraspinal"


def test_a_changed_file_of_the_settings_is_recorded_at_the_next_start(started):
    before = started.now(Kind.POLICY).sha256
    started.edit("policies/default.toml", 'version = "2"', 'version = "3"')
    with reading(started.sessions) as session, pytest.raises(NotAsActivated, match=r"default\.toml"):
        started.here.site.require_unchanged(started.here.site.held(session))
    started.start()
    assert (started.now(Kind.POLICY).version, started.now(Kind.POLICY).sha256 == before) == ("3", False)
    with reading(started.sessions) as session:
        started.here.site.require_unchanged(started.here.site.held(session))


def test_a_changed_file_that_a_person_activated_is_refused_until_a_person_acts(started):
    started.propose(Kind.POLICY, "strict")
    started.edit("policies/strict.toml", "2.0", "2.5")
    started.start()
    with reading(started.sessions) as session, pytest.raises(NotAsActivated):
        started.here.site.require_unchanged(started.here.site.held(session))
    assert started.propose(Kind.POLICY, "strict", "bert").state is ACTIVE


# One person


def test_a_change_holds_at_once_and_says_who_when_and_why(started):
    made = started.propose(Kind.POLICY, "strict", reason="  fewer flags ")
    assert (made.state, made.holds_from, made.reason) == (ACTIVE, started.here.now, "fewer flags")
    assert started.lines(Kind.POLICY) == [("default", REPLACED, BY_SETTINGS), ("strict", ACTIVE, "anna")]
    with reading(started.sessions) as session:
        first = activations.lines(session, kind=Kind.POLICY)[-1]
        rows = session.scalars(select(AuditEntry).where(AuditEntry.actor == "anna")).all()
    assert first.held_until == made.holds_from
    assert rows[-1].detail["sha256"] == made.sha256
    assert "fewer" not in str([row.detail for row in rows])


@pytest.mark.parametrize(
    ("kind", "name", "code"),
    [
        (Kind.POLICY, "default", "already_active"),
        (Kind.POLICY, "../policies/strict", "unknown_thing"),
        (Kind.NORMS, "none", "norm_missing"),
        (Kind.NETWORK, "none", "model_missing"),
        (Kind.NETWORK, "next", "network_not_usable"),
    ],
)
def test_what_cannot_be_used_changes_nothing_and_is_audited(started, kind, name, code):
    started.here.silent = True
    with pytest.raises(ServiceError) as told:
        started.propose(kind, name)
    assert told.value.reason.code == code
    assert started.now(kind).asked_by == BY_SETTINGS
    assert started.audited()[-1] == ("anna", "activation", "refused", code)


def test_weights_that_are_not_those_of_the_card_are_never_activated(started):
    path = started.here.folder / "next" / "model.onnx"
    rewrite(path, path.read_bytes() + b"\0")
    with pytest.raises(ModelMismatch, match="hash"):
        started.propose(Kind.NETWORK, "next")
    assert started.here.tried == []


def test_a_roll_back_goes_one_step_further_each_time(started):
    started.propose(Kind.POLICY, "strict")
    started.edit("policies/strict.toml", '"strict"', '"stricter"')
    started.propose(Kind.POLICY, "strict")
    started.edit("policies/strict.toml", '"stricter"', '"strict"')
    assert started.roll_back(Kind.POLICY).name == "strict"
    assert started.roll_back(Kind.POLICY, "bert").name == "default"
    states = [state for _name, state, _by in started.lines(Kind.POLICY)]
    assert states == [REPLACED, REPLACED, ROLLED_BACK, ROLLED_BACK, ACTIVE]
    assert code_of(started.roll_back, Kind.POLICY) == "nothing_before"


def test_a_network_is_tried_again_before_a_roll_back_to_it(started):
    started.propose(Kind.NETWORK, "next")
    started.roll_back(Kind.NETWORK)
    assert started.here.tried == ["next", "paraspinal"]


def test_a_network_holds_from_the_end_of_its_trial_and_not_before(started, monkeypatch):
    """The trial may take minutes, in which the one before is in force, or yet another one."""
    seconds = iter([0, 300])
    monkeypatch.setattr(activation, "monotonic", lambda: next(seconds))
    done = started.propose(Kind.NETWORK, "next")
    assert done.holds_from - started.here.now == timedelta(seconds=300)
    assert started.lines(Kind.NETWORK)[0][1] == REPLACED
    with reading(started.sessions) as db:
        assert activations.before(db, done).held_until == done.holds_from


def test_a_roll_back_to_a_file_that_was_changed_since_is_refused(started):
    started.propose(Kind.POLICY, "strict")
    started.edit("policies/default.toml", 'version = "2"', 'version = "3"')
    with pytest.raises(NotAsActivated):
        started.roll_back(Kind.POLICY)
    assert started.now(Kind.POLICY).name == "strict"


def test_only_what_is_in_force_is_rolled_back(started):
    first = started.now(Kind.POLICY).id
    started.propose(Kind.POLICY, "strict")
    by = started.here.by()
    assert code_of(activation.roll_back, started.sessions, started.here.site, first, by) == "not_in_force"
    assert activation.roll_back(started.sessions, started.here.site, 999, by) is None


# Two people


def test_a_change_holds_only_after_another_person_confirmed_it(two):
    asked = two.propose(Kind.POLICY, "strict", reason="fewer flags")
    assert (asked.state, two.now(Kind.POLICY).name) == (PROPOSED, "default")
    assert code_of(two.confirm, asked.id, "anna") == "own_proposal"
    done = two.confirm(asked.id, "bert")
    assert (done.state, done.decided_by, done.holds_from) == (ACTIVE, "bert", two.here.now)
    assert two.now(Kind.POLICY).name == "strict"
    assert code_of(two.confirm, asked.id, "bert") == "not_proposed"
    assert two.audited()[4:] == [
        ("anna", "activation_proposed", "ok", None),
        ("anna", "activation", "refused", "own_proposal"),
        ("bert", "activation_confirmed", "ok", None),
        ("bert", "activation", "refused", "not_proposed"),
    ]


@pytest.mark.parametrize(
    ("asks", "confirms", "code"),
    [
        ("anna", "key:annas", "own_proposal"),
        ("key:annas", "anna", "own_proposal"),
        ("key:annas", "key:annas", "own_proposal"),
        ("anna", "key:shells", "confirmer_unknown"),
        ("anna", "command line", "confirmer_unknown"),
        ("bert", "key:annas", "confirmer_unknown"),
        ("key:annas", "bert", None),
        (BY_SETTINGS, "command line", "confirmer_unknown"),
        (BY_SETTINGS, "anna", None),
    ],
)
def test_whoever_proposed_does_not_confirm_by_another_way(two, asks, confirms, code):
    number = two.propose(Kind.POLICY, "strict", asks).id
    if code is None:
        assert two.confirm(number, confirms).state is ACTIVE
    else:
        assert code_of(two.confirm, number, confirms) == code
        assert two.now(Kind.POLICY).name == "default"


@pytest.mark.parametrize("asks", ["key:shells", "command line", "key:berts"])
def test_whoever_is_not_known_to_be_a_person_proposes_nothing(two, asks):
    """Else one who holds a key and a login is both people."""
    with two.sessions.begin() as session:
        people.add_key(session, name="berts", role="admin", now=NOW, actor="bert")
        people.disable_user(session, name="bert", now=NOW, actor="anna")
    assert code_of(two.propose, Kind.POLICY, "strict", asks) == "proposer_unknown"
    strict = two.propose(Kind.POLICY, "strict", BY_SETTINGS).id
    two.confirm(strict, "anna")
    by = two.here.by(asks)
    assert code_of(activation.roll_back, two.sessions, two.here.site, strict, by) == "proposer_unknown"
    assert two.audited()[-1] == (asks, "activation", "refused", "proposer_unknown")


def test_the_key_of_somebody_who_is_shut_out_confirms_nothing(two):
    with two.sessions.begin() as session:
        people.add_key(session, name="berts", role="admin", now=NOW, actor="bert")
        people.disable_user(session, name="bert", now=NOW, actor="anna")
    number = two.propose(Kind.POLICY, "strict").id
    assert code_of(two.confirm, number, "key:berts") == "confirmer_unknown"
    assert two.now(Kind.POLICY).name == "default"


def test_a_proposal_is_refused_also_by_who_made_it_and_makes_room_for_the_next(two):
    first = two.propose(Kind.POLICY, "strict")
    assert code_of(two.propose, Kind.POLICY, "strict", "bert") == "already_proposed"
    gone = two.refuse(first.id, "anna", reason="a mistake")
    assert (gone.state, gone.decided_by, gone.decision_reason) == (REFUSED, "anna", "a mistake")
    assert code_of(two.confirm, first.id) == "not_proposed"
    assert code_of(two.refuse, first.id) == "not_proposed"
    assert two.propose(Kind.POLICY, "strict", "bert").state is PROPOSED
    assert two.propose(Kind.RULES, "one-per-study").state is PROPOSED
    assert two.refuse(999) is None
    assert two.confirm(999) is None


def test_what_is_confirmed_is_the_very_file_that_was_proposed(two):
    number = two.propose(Kind.POLICY, "strict").id
    two.edit("policies/strict.toml", "2.0", "0.1")
    with pytest.raises(NotAsActivated):
        two.confirm(number)
    assert two.now(Kind.POLICY).name == "default"


def test_a_roll_back_is_confirmed_too(two):
    two.confirm(two.propose(Kind.POLICY, "strict").id)
    back = two.roll_back(Kind.POLICY)
    assert (back.state, two.now(Kind.POLICY).name) == (PROPOSED, "strict")
    two.confirm(back.id)
    assert two.lines(Kind.POLICY)[1:] == [("strict", ROLLED_BACK, "anna"), ("default", ACTIVE, "anna")]


# At the same moment


def waits(place):
    """Whether some transaction of this database waits for another one."""
    with reading(place.sessions) as db:
        return db.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        )


def beside(place, call):
    """Start a call while this thread's transaction is open; what it raised is in the list once it ended."""
    raised = []

    def run():
        try:
            call()
        except InvalidRequest as error:
            raised.append(error.reason.code)

    thread = Thread(target=run)
    thread.start()
    wait_for("the other to wait", lambda: waits(place), seconds=20)
    return thread, raised


def test_of_two_confirmations_at_once_one_counts(busy):
    busy.here.second_person = True
    number = busy.propose(Kind.POLICY, "strict", BY_SETTINGS).id
    with busy.sessions.begin() as db:
        activating.confirm(db, number, busy.here.by("anna"))
        thread, raised = beside(busy, lambda: busy.confirm(number, "bert"))
    thread.join(20)
    assert raised == ["not_proposed"]
    assert busy.now(Kind.POLICY).decided_by == "anna"
    with reading(busy.sessions) as db:
        assert len(db.scalars(select(Activation).where(Activation.state == "active")).all()) == 4


def test_of_a_confirmation_and_a_refusal_at_once_one_counts(busy):
    busy.here.second_person = True
    number = busy.propose(Kind.POLICY, "strict").id
    with busy.sessions.begin() as db:
        activating.refuse(db, number, busy.here.by("anna"))
        thread, raised = beside(busy, lambda: busy.confirm(number, "bert"))
    thread.join(20)
    assert (raised, busy.now(Kind.POLICY).name) == (["not_proposed"], "default")


def test_the_same_change_asked_for_twice_at_once_is_made_once(busy):
    thing = activation.equipment.describe(Kind.POLICY, "strict", busy.here.folder)
    with busy.sessions.begin() as db:
        activating.submit(db, thing, busy.here.by("anna"))
        thread, raised = beside(busy, lambda: busy.propose(Kind.POLICY, "strict", "bert"))
    thread.join(20)
    assert raised == ["already_active"]
    assert busy.lines(Kind.POLICY) == [("default", REPLACED, BY_SETTINGS), ("strict", ACTIVE, "anna")]


def test_a_roll_back_of_what_another_one_rolls_back_at_once_is_refused(busy):
    """Else it would go a step further back than the person who asked for it saw."""
    busy.propose(Kind.POLICY, "strict")
    strict = busy.now(Kind.POLICY)
    thing = activation.equipment.describe(Kind.POLICY, "default", busy.here.folder)
    with busy.sessions.begin() as db:
        activating.submit(db, thing, busy.here.by("anna"), back_from=strict)
        thread, raised = beside(busy, lambda: busy.roll_back(Kind.POLICY, "bert"))
    thread.join(20)
    assert raised == ["changed_meanwhile"]
    assert [state for _, state, _ in busy.lines(Kind.POLICY)] == [REPLACED, ROLLED_BACK, ACTIVE]


def test_workers_that_start_at_once_record_the_settings_once(fresh):
    thing = activation.equipment.describe(Kind.NETWORK, "paraspinal", fresh.here.folder)
    with fresh.sessions.begin() as db:
        activations.note_setting(db, Kind.NETWORK, "paraspinal")
        activating.submit(db, thing, fresh.here.by(BY_SETTINGS))
        thread, raised = beside(fresh, fresh.start)
    thread.join(20)
    assert raised == []
    assert [len(fresh.lines(kind)) for kind in Kind] == [1, 1, 1, 1]
