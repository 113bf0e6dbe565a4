"""Two requests of people at one moment, on PostgreSQL."""

from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest
from sqlalchemy import select, text

from service.db import openings, provider
from service.db.people import Role
from service.db.session import make_sessions, reading
from service.db.tables import Opening, User, WebSession
from tests.make.running import wait_for

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def sessions(postgres):
    made = make_sessions(postgres.new_database())
    yield made
    made.kw["bind"].dispose()


def waits(sessions):
    """Whether some transaction of this database waits for another one."""
    with reading(sessions) as db:
        return db.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        )


def at_one_moment(sessions, first, second):
    """What the second says that began while the first was not over."""
    said = []

    def begin():
        with sessions.begin() as db:
            said.append(second(db))

    thread = Thread(target=begin)
    with sessions.begin() as db:
        first(db)
        db.flush()
        thread.start()
        wait_for("the second to wait", lambda: waits(sessions), seconds=20)
    thread.join(20)
    return said[0]


def test_a_button_that_is_pressed_twice_leaves_one_opening(sessions):
    with sessions.begin() as db:
        user = User(name="audrey", role="auditor", password_hash="x", created_at=NOW)
        db.add(user)
        db.flush()
        row = WebSession(token_sha256="t", user_id=user.id, csrf_token="c", created_at=NOW, seen_at=NOW)
        db.add(row)
        db.flush()
        number = row.id

    def press(db):
        until = NOW + timedelta(minutes=30)
        words = {"actor": "audrey", "role": "auditor", "reason": "Question of the board"}
        return openings.begin(db, session_id=number, **words, now=NOW, until=until)

    last = at_one_moment(sessions, press, press)
    with reading(sessions) as db:
        assert db.scalars(select(Opening.id).where(Opening.ended_at.is_(None))).all() == [last]


def test_two_of_one_name_who_come_for_the_first_time_both_come_in(sessions):
    def come(subject):
        who = {"issuer": "https://idp.example", "subject": subject, "name": "lara"}
        return lambda db: provider.admit(db, **who, role=Role.VIEWER, now=NOW)

    assert at_one_moment(sessions, come("7"), come("8")).name.startswith("lara.")
    with reading(sessions) as db:
        assert len(db.scalars(select(User.id)).all()) == 2
