"""Statements that change what is in force: proposed, confirmed, refused, replaced and rolled back.

Of each kind one row is active and one proposed at most; the database itself sees to it, whoever writes at
the same time.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.core.activation import BY_SETTINGS, LONGEST_REASON, ActivationState, Kind, Thing
from service.db.activations import KEY_ACTOR, ActivationFacts, before, facts_of, find_proposed, person_of
from service.db.people import record
from service.db.tables import Activation
from service.errors import InvalidRequest


@dataclass(frozen=True, kw_only=True)
class By:
    """Who asks, when, and from where."""

    #: As in the audit.
    actor: str
    now: datetime
    #: Whether another person has to confirm.
    second_person: bool
    address: str | None = None


def submit(
    session: Session, thing: Thing, by: By, *, reason: str = "", back_from: ActivationFacts | None = None
) -> ActivationFacts:
    """Put a thing into force, or propose it where another person has to confirm.

    ``back_from`` is the activation that this one rolls back. The first of its kind needs no second person:
    before it, nothing is in force that could be kept. Raises InvalidRequest as ``require_new``, and where
    somebody else was faster.
    """
    require_new(session, thing, by)
    current = _active(session, thing.kind)
    row = Activation(
        kind=thing.kind,
        name=thing.name,
        version=thing.version,
        sha256=thing.sha256,
        pieces={piece.path: piece.sha256 for piece in thing.pieces},
        state=ActivationState.PROPOSED,
        asked_by=by.actor[:80],
        asked_person=person_of(session, by.actor),
        asked_at=by.now,
        reason=reason.strip()[:LONGEST_REASON],
    )
    if back_from is not None:
        restored = before(session, back_from)
        assert restored is not None, "the caller looked"
        row.undoes_id, row.restores_id = back_from.id, restored.id
        row.before_id = restored.before_id
    session.add(row)
    _flush(session)
    if by.second_person and current is not None:
        _audit(session, row, by, "activation_proposed")
    else:
        _activate(session, row, by, "activation_made")
    return facts_of(row)


def require_new(session: Session, thing: Thing, by: By) -> None:
    """Raise InvalidRequest where another change of its kind is proposed, or where nothing would change.

    Where a second person is asked, also unless the first one is known: else one person could be both. The
    settings alone may propose without; whoever changes them has the machine, and could make accounts too.
    """
    if find_proposed(session, thing.kind) is not None:
        raise InvalidRequest(
            "Another change of this kind waits for its confirmation. Confirm or refuse it first.",
            reason="already_proposed",
        )
    current = _active(session, thing.kind)
    if current is not None and (current.name, current.sha256) == (thing.name, thing.sha256):
        raise _already_active()
    asked = by.second_person and current is not None and by.actor != BY_SETTINGS
    if asked and person_of(session, by.actor) is None:
        raise InvalidRequest(
            "Two people are asked for, and it is not known which person proposes. Log in on the page, or "
            "name a user on the command line.",
            reason="proposer_unknown",
        )


def require_confirmable(session: Session, facts: ActivationFacts, by: By) -> None:
    """Raise InvalidRequest where it is not proposed (any more).

    Where a second person is asked, also unless it is a person who confirms (a key may lie anywhere), known to
    be another one than the one who proposed.
    """
    if facts.state is not ActivationState.PROPOSED:
        raise InvalidRequest(f"This is {facts.state.replace('_', ' ')} already.", reason="not_proposed")
    if not by.second_person:
        return
    person = person_of(session, by.actor)
    if by.actor == facts.asked_by or (person is not None and person == facts.asked_person):
        raise InvalidRequest("Whoever proposed a change does not confirm it.", reason="own_proposal")
    if person is None or by.actor.startswith(KEY_ACTOR):
        raise InvalidRequest(
            "It is not known which person confirms. Log in on the page, or name a user on the command line.",
            reason="confirmer_unknown",
        )


def confirm(session: Session, activation_id: int, by: By) -> ActivationFacts | None:
    """Put what was proposed into force; None: no such activation. Raises as ``require_confirmable``."""
    row = _locked(session, activation_id)
    if row is None:
        return None
    require_confirmable(session, facts_of(row), by)
    row.decided_by, row.decided_at = by.actor[:80], by.now
    _activate(session, row, by, "activation_confirmed")
    return facts_of(row)


def refuse(session: Session, activation_id: int, by: By, *, reason: str = "") -> ActivationFacts | None:
    """Refuse what was proposed, also what one proposed oneself; None: no such activation.

    Raises InvalidRequest where it is not proposed (any more).
    """
    row = _locked(session, activation_id)
    if row is None:
        return None
    require_confirmable(session, facts_of(row), replace(by, second_person=False))
    row.state = ActivationState.REFUSED
    row.decided_by, row.decided_at = by.actor[:80], by.now
    row.decision_reason = reason.strip()[:LONGEST_REASON]
    _audit(session, row, by, "activation_refused")
    return facts_of(row)


def _locked(session: Session, activation_id: int) -> Activation | None:
    """A line as it is now, which nobody else changes meanwhile."""
    return session.scalar(
        select(Activation)
        .where(Activation.id == activation_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def _activate(session: Session, row: Activation, by: By, action: str) -> None:
    """Put a row into force in the place of the one that was."""
    current = _active(session, Kind(row.kind), lock=True)
    if row.undoes_id is not None and (current is None or current.id != row.undoes_id):
        raise _meanwhile()
    if current is not None and (current.name, current.sha256) == (row.name, row.sha256):
        raise _already_active()
    if row.undoes_id is None:
        row.before_id = None if current is None else current.id
    if current is not None:
        back = row.undoes_id is not None
        current.state = ActivationState.ROLLED_BACK if back else ActivationState.REPLACED
        current.held_until = by.now
        _flush(session)
    row.state, row.holds_from = ActivationState.ACTIVE, by.now
    _flush(session)
    _audit(session, row, by, action)


def _active(session: Session, kind: Kind, *, lock: bool = False) -> Activation | None:
    statement = select(Activation).where(Activation.kind == kind, Activation.state == ActivationState.ACTIVE)
    if lock:
        statement = statement.with_for_update().execution_options(populate_existing=True)
    with session.no_autoflush:
        return session.scalar(statement)


def _flush(session: Session) -> None:
    """Write; whoever was faster has the place."""
    try:
        session.flush()
    except IntegrityError as error:
        raise _meanwhile() from error


def _already_active() -> InvalidRequest:
    return InvalidRequest("This is in force already.", reason="already_active")


def _meanwhile() -> InvalidRequest:
    return InvalidRequest(
        "Somebody else changed what is in force meanwhile. Look again.", reason="changed_meanwhile"
    )


def _audit(session: Session, row: Activation, by: By, action: str) -> None:
    """Write down one step; the reason is free text and stays in the row."""
    detail: dict[str, Any] = {
        "kind": row.kind,
        "name": row.name,
        "version": row.version,
        "sha256": row.sha256,
        "state": str(row.state),
    }
    if row.restores_id is not None:
        detail |= {"restores": row.restores_id, "undoes": row.undoes_id}
    record(
        session,
        at=by.now,
        actor=by.actor,
        action=action,
        object_type="activation",
        object_id=row.id,
        address=by.address,
        detail=detail,
    )
