"""Users, logins and keys, on a database in memory."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from service.db import logins, people
from service.db.session import make_sessions
from service.db.tables import ApiKey, Base, User, WebSession
from service.errors import InvalidRequest
from tests.make.passwords import REAL

NOW = datetime(2026, 3, 1, tzinfo=UTC)
IDLE = timedelta(minutes=15)
GOOD = "correct horse battery"


@pytest.fixture
def session():
    sessions = make_sessions("sqlite://")
    Base.metadata.create_all(sessions.kw["bind"])
    with sessions() as session:
        yield session
        session.rollback()
    sessions.kw["bind"].dispose()


@pytest.fixture
def anna(session):
    people.add_user(session, name="anna", role="admin", now=NOW, actor="test")
    people.set_password(session, name="anna", password=GOOD, now=NOW, actor="test")
    return session.scalars(select(User)).one()


def try_login(session, name, password, now=NOW):
    attempt = logins.begin_login(session, name=name, now=now)
    right = logins.password_matches(attempt.password_hash, password)
    return logins.finish_login(session, user_id=attempt.user_id, now=now, idle=IDLE) if right else None


def test_the_first_start_makes_one_administrator_and_the_second_none(session):
    password = people.create_first_admin(session, NOW)
    assert password is not None
    assert people.create_first_admin(session, NOW) is None
    (user,) = people.list_users(session)
    assert (user.name, user.role, user.must_change) == ("admin", "admin", True)
    assert try_login(session, "admin", password)


def test_two_one_time_passwords_differ():
    assert people.one_time_password() != people.one_time_password()


def test_neither_password_nor_token_nor_key_stands_in_the_database(session, anna):
    token = try_login(session, "anna", GOOD)
    key = people.add_key(session, name="monitor", role="viewer", now=NOW, actor="anna")
    row, login = session.scalars(select(ApiKey)).one(), session.scalars(select(WebSession)).one()
    assert anna.password_hash.startswith("$argon2id$")
    assert REAL.hash(GOOD).startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert key not in (row.key_sha256, row.name)
    assert login.token_sha256 != token


def test_the_right_password_does_not_help_once_five_were_wrong(session, anna):
    for _ in range(5):
        assert try_login(session, "anna", "wrong") is None
    assert try_login(session, "anna", GOOD) is None
    assert try_login(session, "anna", GOOD, NOW + timedelta(minutes=5, seconds=1))


def test_four_wrong_passwords_are_forgotten_after_a_right_one(session, anna):
    for _ in range(2):
        for _ in range(4):
            try_login(session, "anna", "wrong")
        assert try_login(session, "anna", GOOD)


def test_a_guess_is_counted_before_it_is_looked_at(session, anna):
    for _ in range(5):
        logins.begin_login(session, name="anna", now=NOW)
    assert logins.begin_login(session, name="anna", now=NOW).password_hash is None


def test_unknown_disabled_and_locked_users_cannot_be_told_apart(session, anna):
    people.disable_user(session, name="anna", now=NOW, actor="test")
    for name in ("anna", "nobody"):
        attempt = logins.begin_login(session, name=name, now=NOW)
        assert attempt.password_hash is None
        assert not logins.password_matches(attempt.password_hash, GOOD)


def test_a_login_ends_when_it_is_idle_and_after_twelve_hours(session, anna):
    token = try_login(session, "anna", GOOD)
    assert logins.find_login(session, token=token, now=NOW + IDLE, idle=IDLE)
    assert logins.find_login(session, token=token, now=NOW + IDLE + timedelta(seconds=1), idle=IDLE) is None
    late = NOW + timedelta(hours=12, seconds=1)
    login, _ = logins.find_login(session, token=token, now=NOW, idle=IDLE)
    logins.touch_login(session, session_id=login.session_id, now=late)
    session.expire_all()
    assert logins.find_login(session, token=token, now=late, idle=IDLE) is None


@pytest.mark.parametrize("end", ["disable_user", "reset_password"])
def test_disabling_and_resetting_end_live_logins(session, anna, end):
    token = try_login(session, "anna", GOOD)
    getattr(people, end)(session, name="anna", now=NOW, actor="test")
    assert logins.find_login(session, token=token, now=NOW, idle=IDLE) is None


@pytest.mark.parametrize("password", ["short", "a" * 129, "aaaaaaaaaaaaaa", "annaannaanna"])
def test_a_weak_password_is_refused(session, anna, password):
    with pytest.raises(InvalidRequest):
        people.set_password(session, name="anna", password=password, now=NOW, actor="anna")


def test_a_revoked_key_opens_nothing(session):
    key = people.add_key(session, name="monitor", role="auditor", now=NOW, actor="test")
    assert key.startswith("myo_")
    assert people.find_key(session, key=key, now=NOW)
    people.revoke_key(session, name="monitor", now=NOW, actor="test")
    assert people.find_key(session, key=key, now=NOW) is None


def test_a_key_lives_as_long_as_it_was_given(session):
    life = timedelta(days=2)
    key = people.add_key(session, name="study", role="viewer", now=NOW, actor="test", lifetime=life)
    facts, _ = people.find_key(session, key=key, now=NOW + life - timedelta(seconds=1))
    assert facts.expires_at == NOW + life
    assert people.find_key(session, key=key, now=NOW + life) is None
    assert [each.expires_at for each in people.list_keys(session)] == [NOW + life]


@pytest.mark.parametrize(
    ("name", "role"),
    [
        *(("", "admin"), ("a b", "admin"), ("eve", "root"), ("anna", "viewer")),
        # Whom the audit record has under these names is no person.
        *(("service", "admin"), ("unknown", "viewer")),
    ],
)
def test_a_bad_name_an_unknown_role_and_a_second_of_the_same_name_are_refused(session, anna, name, role):
    with pytest.raises(InvalidRequest):
        people.add_user(session, name=name, role=role, now=NOW, actor="test")
