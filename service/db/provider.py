"""People whom an OpenID provider knows: who they are here, and answers of it that were used."""

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.db.people import LONGEST_NAME, RESERVED, Role, end_sessions, is_name_character, record
from service.db.tables import ProviderAnswer, User

#: Stands behind a name that somebody else has: so many letters of a digest of issuer and subject.
SUFFIX_LENGTH = 6


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """Somebody who may log in."""

    user_id: int
    name: str


def admit(
    session: Session, *, issuer: str, subject: str, name: str, role: Role, now: datetime
) -> Admitted | None:
    """The person with this role, made at the first login; None where an administrator shut the person out.

    Somebody is known by issuer and subject together (OIDC Core 2), and keeps the name of the first login,
    whatever the provider says later: the audit record names people by it.
    """
    user = _find(session, issuer, subject)
    if user is None:
        return _make(session, issuer=issuer, subject=subject, name=name, role=role, now=now)
    if user.disabled:
        return None
    if user.role != role:
        detail = {"role": str(role), "was": user.role, "by": "provider"}
        record(
            session,
            at=now,
            actor=user.name,
            action="role_changed",
            object_type="user",
            object_id=user.name,
            detail=detail,
        )
        user.role = role
    return Admitted(user_id=user.id, name=user.name)


def expel(session: Session, *, issuer: str, subject: str, now: datetime) -> str | None:
    """End every login of somebody to whom the provider gives no role any more; the name, if known here."""
    user = _find(session, issuer, subject)
    if user is None:
        return None
    end_sessions(session, user_id=user.id, now=now)
    return user.name


def use_answer(session: Session, *, state_sha256: str, now: datetime, lifetime: timedelta) -> bool:
    """Note that an answer of the provider is used; False where it was used already."""
    session.execute(delete(ProviderAnswer).where(ProviderAnswer.at < now - lifetime))
    try:
        with session.begin_nested():
            session.add(ProviderAnswer(state_sha256=state_sha256, at=now))
    except IntegrityError:
        return False
    return True


def _find(session: Session, issuer: str, subject: str) -> User | None:
    return session.scalar(select(User).where(User.issuer == issuer, User.subject == subject))


def _make(
    session: Session, *, issuer: str, subject: str, name: str, role: Role, now: datetime
) -> Admitted | None:
    """A new person; a name that somebody has already is told apart."""
    wanted = _free_name(session, issuer=issuer, subject=subject, name=name)
    user = User(name=wanted, password_hash="", issuer=issuer, subject=subject, role=role, created_at=now)
    try:
        with session.begin_nested():
            session.add(user)
    except IntegrityError:
        # Two first logins at one moment: the other one made the person, or took the name.
        found = _find(session, issuer, subject)
        if found is None:
            return _make(session, issuer=issuer, subject=subject, name=name, role=role, now=now)
        return None if found.disabled else Admitted(user_id=found.id, name=found.name)
    record(
        session,
        at=now,
        actor=wanted,
        action="user_added",
        object_type="user",
        object_id=wanted,
        detail={"role": str(role), "by": "provider"},
    )
    return Admitted(user_id=user.id, name=wanted)


def called(session: Session, *, issuer: str, subject: str, name: str) -> str:
    """What the audit record calls somebody: the name here, or the one that a first login would give."""
    user = _find(session, issuer, subject)
    return user.name if user else _free_name(session, issuer=issuer, subject=subject, name=name)


def _free_name(session: Session, *, issuer: str, subject: str, name: str) -> str:
    """A name that nobody has."""
    names = _names(issuer, subject, name)
    return next(each for each in names if each not in RESERVED and not _is_taken(session, each))


def _names(issuer: str, subject: str, name: str) -> Iterator[str]:
    """Names for somebody: the provider's, with a digest, and with what nobody can take beforehand."""
    short = hashlib.sha256(f"{issuer}\n{subject}".encode()).hexdigest()[:SUFFIX_LENGTH]
    wanted = clean_name(name)
    if wanted:
        yield wanted
    suffix = f".{short}"
    while True:
        yield f"{(wanted or 'person')[: LONGEST_NAME - len(suffix)]}{suffix}"
        suffix = f".{short}{secrets.token_hex(4)}"


def _is_taken(session: Session, name: str) -> bool:
    return session.scalar(select(User.id).where(User.name == name)) is not None


def clean_name(name: str) -> str:
    """A name as it may stand here: other characters become hyphens; empty where nothing is left."""
    kept = "".join(char if is_name_character(char) else "-" for char in name.strip())
    return kept.strip("-")[:LONGEST_NAME]
