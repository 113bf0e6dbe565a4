"""Users, logins, API keys and the audit record.

A secret is never kept: passwords as argon2id hashes, session tokens and API keys as SHA-256 digests
(they are 256 random bits, so a slow hash would add nothing).
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from argon2 import PasswordHasher
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.db import openings
from service.db.tables import ApiKey, AuditEntry, User, WebSession
from service.errors import InvalidRequest

#: RFC 9106 section 4, the second recommended option (64 MiB), which is the library's default.
HASHER = PasswordHasher()
#: OWASP ASVS 4.0.3, 2.1.1 and 2.1.2.
SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 128
#: ``seen_at`` and ``used_at`` move at most this often, so that reading pages does not write every time.
TOUCH_INTERVAL = timedelta(seconds=30)
LONGEST_NAME = 64
#: The audit record has these for others than people.
RESERVED = frozenset({"service", "unknown"})
KEY_PREFIX = "myo_"
#: No look-alikes (0 O 1 l I), because a person types it from a terminal.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


class Role(StrEnum):
    """What somebody may do; operator includes viewer, admin includes operator and reviewer."""

    VIEWER = "viewer"
    #: A viewer who also says what drawings are like, and looks after raised flags.
    REVIEWER = "reviewer"
    OPERATOR = "operator"
    ADMIN = "admin"
    #: Reads the audit record and the status, never a result.
    AUDITOR = "auditor"
    #: Sees the state of the service and nothing else: for monitoring, and for who keeps the machine running.
    MONITOR = "monitor"
    #: Sends images by STOW-RS, and sees nothing; for keys alone.
    SENDER = "sender"


@dataclass(frozen=True, kw_only=True)
class UserFacts:
    """One user, without the password hash."""

    name: str
    role: Role
    disabled: bool
    must_change: bool
    locked_until: datetime | None
    created_at: datetime
    #: The provider where this person logs in; None: here, by password.
    issuer: str | None = None


@dataclass(frozen=True, kw_only=True)
class KeyFacts:
    """One API key, without the key."""

    name: str
    role: Role
    created_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None
    #: From when on it lets nobody in; None: never by itself.
    expires_at: datetime | None = None


def record(
    session: Session,
    *,
    at: datetime,
    actor: str,
    action: str,
    outcome: str = "ok",
    object_type: str | None = None,
    object_id: str | int | None = None,
    address: str | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Append one line to the audit record; ``detail`` carries codes and numbers, never patient data."""
    session.add(
        AuditEntry(
            at=at,
            actor=actor[:80],
            action=action,
            outcome=outcome,
            object_type=object_type,
            object_id=None if object_id is None else str(object_id),
            address=address,
            detail=detail,
        )
    )


def count_recorded(session: Session, *, action: str, address: str, since: datetime, most: int) -> int:
    """How many lines of this kind an address made since then; counted up to ``most``."""
    lines = (
        select(AuditEntry.id)
        .where(AuditEntry.action == action, AuditEntry.address == address, AuditEntry.at >= since)
        .limit(most)
    )
    return session.scalar(select(func.count()).select_from(lines.subquery())) or 0


def digest(secret: str) -> str:
    """The form in which a random secret is kept."""
    return hashlib.sha256(secret.encode()).hexdigest()


def one_time_password() -> str:
    """Four groups of five letters and digits: 99 random bits."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(5)) for _ in range(4))


# Users


def create_first_admin(session: Session, now: datetime) -> str | None:
    """Make the user ``admin`` if nobody exists yet, and return its one-time password.

    The password is returned this once and must be changed at the first login.
    """
    if session.scalar(select(User.id).limit(1)) is not None:
        return None
    return add_user(session, name="admin", role=Role.ADMIN, now=now, actor="service")


def add_user(
    session: Session, *, name: str, role: str, now: datetime, actor: str, address: str | None = None
) -> str:
    """Make a user and return a one-time password, to be changed at the first login."""
    cleaned = _name(name)
    if cleaned in RESERVED:
        raise InvalidRequest("This name is the audit record's own.", reason="bad_name")
    wanted, password = _role_of_people(role), one_time_password()
    user = User(
        name=cleaned, role=wanted, password_hash=HASHER.hash(password), must_change=True, created_at=now
    )
    try:
        with session.begin_nested():
            session.add(user)
    except IntegrityError as error:
        raise InvalidRequest(f"There is a user {cleaned!r} already.", reason="user_exists") from error
    record(
        session,
        at=now,
        actor=actor,
        action="user_added",
        object_type="user",
        object_id=cleaned,
        address=address,
        detail={"role": str(user.role)},
    )
    return password


def list_users(session: Session) -> list[UserFacts]:
    """Everybody, by name."""
    return [
        UserFacts(
            name=user.name,
            role=Role(user.role),
            disabled=user.disabled,
            must_change=user.must_change,
            locked_until=user.locked_until,
            created_at=user.created_at,
            issuer=user.issuer,
        )
        for user in session.scalars(select(User).order_by(User.name))
    ]


def disable_user(
    session: Session, *, name: str, now: datetime, actor: str, address: str | None = None
) -> None:
    """Shut a user out, now: live logins end too."""
    user = _user(session, name)
    user.disabled = True
    end_sessions(session, user_id=user.id, now=now)
    _note(session, user, "user_disabled", now=now, actor=actor, address=address)


def enable_user(
    session: Session, *, name: str, now: datetime, actor: str, address: str | None = None
) -> None:
    """Let a disabled user in again, with the password or the provider as before."""
    user = _user(session, name)
    user.disabled = False
    forget_failures(user)
    _note(session, user, "user_enabled", now=now, actor=actor, address=address)


def reset_password(
    session: Session, *, name: str, now: datetime, actor: str, address: str | None = None
) -> str:
    """Give a user a new one-time password, lift a lock, let a disabled user in again, and end its logins."""
    password = one_time_password()
    user = _local_user(session, name)
    user.password_hash = HASHER.hash(password)
    user.must_change = True
    user.disabled = False
    forget_failures(user)
    end_sessions(session, user_id=user.id, now=now)
    _note(session, user, "password_reset", now=now, actor=actor, address=address)
    return password


def change_role(
    session: Session, *, name: str, role: str, now: datetime, actor: str, address: str | None = None
) -> None:
    """Give a user another role, and end its logins; a provider gives its people their roles itself."""
    user, wanted = _user(session, name), _role_of_people(role)
    if user.issuer is not None:
        raise InvalidRequest(f"The provider gives {name!r} the role.", reason="role_by_provider")
    if user.role == wanted:
        return
    detail = {"role": str(wanted), "was": user.role}
    user.role = wanted
    end_sessions(session, user_id=user.id, now=now)
    _note(session, user, "role_changed", now=now, actor=actor, address=address, detail=detail)


def set_password(session: Session, *, name: str, password: str, now: datetime, actor: str) -> None:
    """Set a password that its owner chose, and end every login of that user."""
    require_strong(password, name=name)
    user = _local_user(session, name)
    user.password_hash = HASHER.hash(password)
    user.must_change = False
    forget_failures(user)
    end_sessions(session, user_id=user.id, now=now)
    record(session, at=now, actor=actor, action="password_changed", object_type="user", object_id=user.name)


def require_strong(password: str, *, name: str) -> None:
    """Refuse a password that is too short, too long, or the user's name repeated."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise InvalidRequest(
            f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.", reason="weak_password"
        )
    if not password.lower().replace(name.lower(), "") or len(set(password)) < 5:
        raise InvalidRequest("This password is too easy to guess.", reason="weak_password")


def _name(name: str) -> str:
    """A user or key name that is safe to show and to type."""
    cleaned = name.strip()
    if not 1 <= len(cleaned) <= LONGEST_NAME or not all(map(is_name_character, cleaned)):
        raise InvalidRequest("A name has up to 64 letters, digits or . _ - @", reason="bad_name")
    return cleaned


def is_name_character(char: str) -> bool:
    """Whether a name may hold it."""
    return char.isalnum() or char in "._-@"


def _role(role: str) -> Role:
    """The role of that name."""
    try:
        return Role(role)
    except ValueError as error:
        raise InvalidRequest(
            f"There is no role {role!r}; one of {', '.join(Role)}.", reason="bad_role"
        ) from error


def _role_of_people(role: str) -> Role:
    """The role of that name, which a person may have."""
    wanted = _role(role)
    if wanted is Role.SENDER:
        raise InvalidRequest("The role sender is for keys, not for people.", reason="bad_role")
    return wanted


def _note(
    session: Session,
    user: User,
    action: str,
    *,
    now: datetime,
    actor: str,
    address: str | None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Write down what was done to a user."""
    record(
        session,
        at=now,
        actor=actor,
        action=action,
        object_type="user",
        object_id=user.name,
        address=address,
        detail=detail,
    )


def _user(session: Session, name: str) -> User:
    """The user of that name."""
    user = session.scalar(select(User).where(User.name == name))
    if user is None:
        raise InvalidRequest(f"There is no user {name!r}.", reason="no_such_user")
    return user


def _local_user(session: Session, name: str) -> User:
    """The user of that name, who logs in by password."""
    user = _user(session, name)
    if user.issuer is not None:
        raise InvalidRequest(
            f"{name!r} logs in at the provider, without a password here.", reason="no_password"
        )
    return user


def forget_failures(user: User) -> None:
    """Start counting refused logins anew."""
    user.failed_logins = 0
    user.locked_until = None


def end_sessions(session: Session, *, user_id: int, now: datetime) -> None:
    """End every login of one user, and what was opened in it."""
    openings.end_of_user(session, user_id=user_id, now=now)
    session.execute(delete(WebSession).where(WebSession.user_id == user_id))


# API keys


def add_key(
    session: Session,
    *,
    name: str,
    role: str,
    now: datetime,
    actor: str,
    lifetime: timedelta | None = None,
    address: str | None = None,
) -> str:
    """Make an API key and return it, this once; without a ``lifetime`` it lives until it is revoked."""
    cleaned = _name(name)
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    expires_at = None if lifetime is None else now + lifetime
    row = ApiKey(
        name=cleaned, key_sha256=digest(key), role=_role(role), created_at=now, expires_at=expires_at
    )
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError as error:
        raise InvalidRequest(f"There is a key {cleaned!r} already.", reason="key_exists") from error
    record(
        session,
        at=now,
        actor=actor,
        action="key_added",
        object_type="key",
        object_id=cleaned,
        address=address,
        detail={"role": str(row.role), **({"expires": expires_at.isoformat()} if expires_at else {})},
    )
    return key


def list_keys(session: Session) -> list[KeyFacts]:
    """Every key that was ever made, by name."""
    return [
        KeyFacts(
            name=key.name,
            role=Role(key.role),
            created_at=key.created_at,
            used_at=key.used_at,
            revoked_at=key.revoked_at,
            expires_at=key.expires_at,
        )
        for key in session.scalars(select(ApiKey).order_by(ApiKey.name))
    ]


def revoke_key(session: Session, *, name: str, now: datetime, actor: str, address: str | None = None) -> None:
    """Make a key worthless, now."""
    key = session.scalar(select(ApiKey).where(ApiKey.name == name))
    if key is None:
        raise InvalidRequest(f"There is no key {name!r}.", reason="no_such_key")
    key.revoked_at = key.revoked_at or now
    record(
        session,
        at=now,
        actor=actor,
        action="key_revoked",
        object_type="key",
        object_id=key.name,
        address=address,
    )


def find_key(session: Session, *, key: str, now: datetime) -> tuple[KeyFacts, bool] | None:
    """The live key that was presented, and whether its ``used_at`` is due to be moved."""
    wanted = digest(key)
    row = session.scalar(select(ApiKey).where(ApiKey.key_sha256 == wanted))
    if row is None or not hmac.compare_digest(row.key_sha256, wanted) or row.revoked_at is not None:
        return None
    if row.expires_at is not None and row.expires_at <= now:
        return None
    facts = KeyFacts(
        name=row.name,
        role=Role(row.role),
        created_at=row.created_at,
        used_at=row.used_at,
        revoked_at=None,
        expires_at=row.expires_at,
    )
    return facts, row.used_at is None or now - row.used_at >= TOUCH_INTERVAL


def touch_key(session: Session, *, name: str, now: datetime) -> None:
    """Note that a key was used."""
    session.execute(update(ApiKey).where(ApiKey.name == name).values(used_at=now))
