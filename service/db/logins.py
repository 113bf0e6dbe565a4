"""Logins of people in browsers: counted tries, sessions, and their end."""

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from service.db import openings
from service.db.people import HASHER, LONGEST_PASSWORD, TOUCH_INTERVAL, Role, digest, forget_failures
from service.db.tables import User, WebSession

#: Five tries, then five minutes: at most 1440 guesses a day, while a person who mistypes waits no longer
#: than a coffee (NIST SP 800-63B 5.2.2 allows up to 100 failures in a row; chosen stricter by us).
FAILURES_BEFORE_LOCK = 5
LOCK_TIME = timedelta(minutes=5)
#: A login ends after a long shift even if it was never idle; chosen by us.
LONGEST_SESSION = timedelta(hours=12)


@dataclass(frozen=True, kw_only=True)
class Login:
    """One live login: who, and the secret its forms carry."""

    session_id: int
    user: str
    role: Role
    must_change: bool
    csrf_token: str
    #: Logs in at the provider, and so has no password here.
    by_provider: bool = False
    #: Results are open in this login although the role does not show them: which opening, and until when.
    opening_id: int | None = None
    opened_until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A try to log in that was counted before the password was looked at."""

    #: None: unknown, disabled or locked; the caller cannot tell which, nor whether it is one of them.
    user_id: int | None
    name: str
    password_hash: str | None
    locked: bool = False


def begin_login(session: Session, *, name: str, now: datetime) -> Attempt:
    """Count a try as failed before looking at it, so that parallel guesses cannot outrun the lock."""
    user = session.scalar(select(User).where(User.name == name).with_for_update())
    if user is None or user.disabled or user.issuer is not None:
        return Attempt(user_id=None, name=user.name if user else "unknown", password_hash=None)
    if user.locked_until is not None and user.locked_until > now:
        return Attempt(user_id=None, name=user.name, password_hash=None, locked=True)
    user.failed_logins += 1
    if user.failed_logins >= FAILURES_BEFORE_LOCK:
        user.locked_until = now + LOCK_TIME
        user.failed_logins = 0
    return Attempt(user_id=user.id, name=user.name, password_hash=user.password_hash)


def password_matches(attempt_hash: str | None, password: str) -> bool:
    """Compare, taking the same time whether or not there is such a user.

    Called outside any transaction, because it takes tens of milliseconds on purpose.
    """
    try:
        HASHER.verify(attempt_hash or _decoy(), password[: LONGEST_PASSWORD + 1])
    except (VerificationError, InvalidHashError):
        return False
    return attempt_hash is not None


_decoys: list[str] = []


def _decoy() -> str:
    """A hash of a password that nobody knows, made once."""
    if not _decoys:
        _decoys.append(HASHER.hash(secrets.token_urlsafe(32)))
    return _decoys[0]


def finish_login(session: Session, *, user_id: int, now: datetime, idle: timedelta) -> str:
    """Open a session for a user who has proved to be that one, and return the token for the cookie."""
    user = session.get_one(User, user_id)
    forget_failures(user)
    session.execute(
        delete(WebSession).where(
            (WebSession.seen_at < now - idle) | (WebSession.created_at < now - LONGEST_SESSION)
        )
    )
    token = secrets.token_urlsafe(32)
    session.add(
        WebSession(
            token_sha256=digest(token),
            user_id=user.id,
            csrf_token=secrets.token_urlsafe(32),
            created_at=now,
            seen_at=now,
        )
    )
    return token


def forget_tries(session: Session, *, user_id: int) -> None:
    """Start counting refused logins anew, for somebody whose password was right."""
    forget_failures(session.get_one(User, user_id))


def find_login(session: Session, *, token: str, now: datetime, idle: timedelta) -> tuple[Login, bool] | None:
    """The live login behind a cookie, and whether its ``seen_at`` is due to be moved."""
    wanted = digest(token)
    row = session.scalar(select(WebSession).where(WebSession.token_sha256 == wanted))
    if row is None or not hmac.compare_digest(row.token_sha256, wanted) or row.user.disabled:
        return None
    if row.seen_at < now - idle or row.created_at < now - LONGEST_SESSION:
        return None
    opening = openings.find_live(session, row.opening_id, now=now)
    login = Login(
        session_id=row.id,
        user=row.user.name,
        role=Role(row.user.role),
        must_change=row.user.must_change,
        csrf_token=row.csrf_token,
        by_provider=row.user.issuer is not None,
        opening_id=None if opening is None else opening.id,
        opened_until=None if opening is None else opening.until,
    )
    return login, now - row.seen_at >= TOUCH_INTERVAL


def touch_login(session: Session, *, session_id: int, now: datetime) -> None:
    """Note that a login is in use."""
    session.execute(update(WebSession).where(WebSession.id == session_id).values(seen_at=now))


def end_session(session: Session, *, session_id: int) -> None:
    """End one login."""
    session.execute(delete(WebSession).where(WebSession.id == session_id))
