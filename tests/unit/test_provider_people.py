"""Who somebody of an OpenID provider is here, on a database in memory."""

from datetime import UTC, datetime, timedelta

import pytest

from service.db import people, provider
from service.db.people import Role
from service.db.session import make_sessions
from service.db.tables import Base, ProviderAnswer, User

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ISSUER = "https://idp.example"


@pytest.fixture
def session():
    sessions = make_sessions("sqlite://")
    Base.metadata.create_all(sessions.kw["bind"])
    with sessions() as session:
        session.add(User(name="vera", role="viewer", password_hash="x", created_at=NOW))
        yield session
        session.rollback()
    sessions.kw["bind"].dispose()


def admit(session, subject="7", name="lara", role=Role.VIEWER, issuer=ISSUER):
    return provider.admit(session, issuer=issuer, subject=subject, name=name, role=role, now=NOW)


def test_a_name_of_the_provider_becomes_one_that_may_stand_here(session):
    for name, expected in (
        ("lara", "lara"),
        ("Müller, Lena", "Müller--Lena"),
        ("a" * 300, "a" * 64),
        ("../../x", "..-..-x"),
        ("  ", "person.d58b6b"),
        ("service", "service.d58b6b"),
        ("unknown", "unknown.d58b6b"),
        ("vera", "vera.d58b6b"),
    ):
        again = session.begin_nested()
        assert admit(session, name=name).name == expected
        again.rollback()


def test_who_finds_every_name_taken_gets_another_and_is_not_called_disabled(session):
    for name in ("lara", "lara.d58b6b"):
        session.add(User(name=name, role="viewer", password_hash="x", created_at=NOW))
    found = admit(session)
    assert found.name.startswith("lara.d58b6b")
    assert admit(session) == found


def test_two_of_one_name_who_come_first_at_one_moment_both_come_in(session, monkeypatch):
    looks = iter([False])
    honest = provider._is_taken
    monkeypatch.setattr(provider, "_is_taken", lambda *args: next(looks, None) is None and honest(*args))
    assert admit(session, name="vera").name == "vera.d58b6b"


def test_the_record_calls_nobody_by_the_name_of_somebody_else(session):
    def called(name, subject="7"):
        return provider.called(session, issuer=ISSUER, subject=subject, name=name)

    assert [called("vera"), called("service"), called("lara")] == ["vera.d58b6b", "service.d58b6b", "lara"]
    admit(session)
    assert called("vera") == "lara"
    assert called("lara", subject="8").startswith("lara.")


def test_somebody_stays_the_same_under_another_name_and_another_issuer_is_somebody_else(session):
    first = admit(session)
    assert admit(session, name="lara.new") == first
    assert admit(session, issuer="https://other.example").user_id != first.user_id
    assert admit(session, subject="8").user_id != first.user_id
    assert [user.issuer is None for user in people.list_users(session)] == [False, False, False, True]


def test_an_answer_is_used_once_and_forgotten_after_its_time(session):
    life = timedelta(minutes=20)
    assert provider.use_answer(session, state_sha256="a", now=NOW, lifetime=life)
    assert not provider.use_answer(session, state_sha256="a", now=NOW + life, lifetime=life)
    assert provider.use_answer(session, state_sha256="b", now=NOW + 2 * life, lifetime=life)
    assert session.query(ProviderAnswer).count() == 1


def test_somebody_unknown_cannot_be_sent_away_and_somebody_known_is(session):
    assert provider.expel(session, issuer=ISSUER, subject="7", now=NOW) is None
    admit(session)
    assert provider.expel(session, issuer=ISSUER, subject="7", now=NOW) == "lara"
