"""Statements about what is in force, and what was: no row is deleted, so that they tell what held when."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.core.activation import (
    ActivationState,
    Held,
    Kind,
    Piece,
)
from service.db.tables import Activation, AuditEntry, SettingSeen, User

KEY_ACTOR = "key:"


@dataclass(frozen=True, kw_only=True)
class ActivationFacts:
    """One line of what was put into force, or was to be."""

    id: int
    kind: Kind
    name: str
    version: str
    sha256: str
    pieces: tuple[Piece, ...]
    state: ActivationState
    asked_by: str
    #: The person behind that, where it is known.
    asked_person: str | None
    asked_at: datetime
    reason: str
    decided_by: str | None
    decided_at: datetime | None
    decision_reason: str
    holds_from: datetime | None
    held_until: datetime | None
    before_id: int | None
    restores_id: int | None


def facts_of(row: Activation) -> ActivationFacts:
    """A row as a value."""
    return ActivationFacts(
        id=row.id,
        kind=Kind(row.kind),
        name=row.name,
        version=row.version,
        sha256=row.sha256,
        pieces=tuple(Piece(path=path, sha256=sha256) for path, sha256 in row.pieces.items()),
        state=ActivationState(row.state),
        asked_by=row.asked_by,
        asked_person=row.asked_person,
        asked_at=row.asked_at,
        reason=row.reason,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        decision_reason=row.decision_reason,
        holds_from=row.holds_from,
        held_until=row.held_until,
        before_id=row.before_id,
        restores_id=row.restores_id,
    )


def in_force(session: Session) -> dict[Kind, ActivationFacts]:
    """What of each kind is active now; a kind of which nothing was recorded yet is not there."""
    rows = session.scalars(select(Activation).where(Activation.state == ActivationState.ACTIVE))
    found = {Kind(row.kind): facts_of(row) for row in rows}
    return {kind: found[kind] for kind in Kind if kind in found}


def held(session: Session, settings: Mapping[Kind, str]) -> Held:
    """What is in force, by name and hash; what was not recorded yet is what the settings name."""
    found = in_force(session)
    return Held(
        names={kind: found[kind].name if kind in found else settings[kind] for kind in Kind},
        hashes={kind: facts.sha256 for kind, facts in found.items()},
        pieces={kind: facts.pieces for kind, facts in found.items()},
    )


def lines(
    session: Session, *, kind: Kind | None = None, before: int | None = None, limit: int = 50
) -> list[ActivationFacts]:
    """Activations and proposals, newest first."""
    statement = select(Activation).order_by(Activation.id.desc()).limit(limit)
    if kind is not None:
        statement = statement.where(Activation.kind == kind)
    if before is not None:
        statement = statement.where(Activation.id < before)
    return [facts_of(row) for row in session.scalars(statement)]


def proposed(session: Session) -> list[ActivationFacts]:
    """What waits for a confirmation, by kind."""
    found = (find_proposed(session, kind) for kind in Kind)
    return [facts_of(row) for row in found if row is not None]


def one(session: Session, activation_id: int) -> ActivationFacts | None:
    """One line."""
    row = session.get(Activation, activation_id)
    return None if row is None else facts_of(row)


def before(session: Session, facts: ActivationFacts) -> ActivationFacts | None:
    """What a roll back of this one goes to."""
    return None if facts.before_id is None else one(session, facts.before_id)


def person_of(session: Session, actor: str) -> str | None:
    """The person behind an actor: a user, or the user who made a key.

    None where that is not known, or where it is nobody who may log in any more.
    """
    name: str | None = actor
    if actor.startswith(KEY_ACTOR):
        name = session.scalar(
            select(AuditEntry.actor)
            .where(
                AuditEntry.action == "key_added",
                AuditEntry.object_type == "key",
                AuditEntry.object_id == actor.removeprefix(KEY_ACTOR),
            )
            .order_by(AuditEntry.id.desc())
            .limit(1)
        )
    return session.scalar(select(User.name).where(User.name == name, User.disabled.is_(False)))


def settings_seen(session: Session) -> dict[Kind, str]:
    """What the settings named when a worker last looked."""
    return {Kind(row.kind): row.name for row in session.scalars(select(SettingSeen))}


def note_setting(session: Session, kind: Kind, name: str) -> None:
    """Remember what a setting names; another worker may note it for the first time at the same moment."""
    with suppress(IntegrityError), session.begin_nested():
        session.merge(SettingSeen(kind=kind, name=name))


def find_proposed(session: Session, kind: Kind) -> Activation | None:
    """The row of this kind that waits for a confirmation."""
    return session.scalar(
        select(Activation).where(Activation.kind == kind, Activation.state == ActivationState.PROPOSED)
    )
