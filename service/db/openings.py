"""Results that somebody opened with a reason, for a limited time, although the role does not show them."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.db.tables import Opening, WebSession

#: A reason in a word or two says nothing to who reads it later. Chosen by us.
SHORTEST_REASON = 10
LONGEST_REASON = 500


@dataclass(frozen=True, kw_only=True)
class OpeningFacts:
    """One opening."""

    id: int
    actor: str
    role: str
    reason: str
    opened_at: datetime
    until: datetime
    ended_at: datetime | None

    def is_open(self, now: datetime) -> bool:
        """Whether it may still be used."""
        return self.ended_at is None and now < self.until


def begin(
    session: Session, *, session_id: int, actor: str, role: str, reason: str, now: datetime, until: datetime
) -> int:
    """Open results in one login; the number of the opening. One that was open there ends."""
    end(session, session_id=session_id, now=now)
    row = Opening(actor=actor[:80], role=role, reason=reason[:LONGEST_REASON], opened_at=now, until=until)
    session.add(row)
    session.flush()
    session.execute(update(WebSession).where(WebSession.id == session_id).values(opening_id=row.id))
    return row.id


def find_live(session: Session, opening_id: int | None, *, now: datetime) -> OpeningFacts | None:
    """The opening of that number, if it may still be used."""
    row = None if opening_id is None else session.get(Opening, opening_id)
    facts = None if row is None else _facts(row)
    return facts if facts is not None and facts.is_open(now) else None


def end(session: Session, *, session_id: int, now: datetime) -> int | None:
    """End what is open in one login; its number, None where nothing was."""
    # Held until the end of the transaction: a button may be pressed twice at one moment.
    login = session.get(WebSession, session_id, with_for_update=True, populate_existing=True)
    row = None if login is None or login.opening_id is None else session.get(Opening, login.opening_id)
    if login is None or row is None:
        return None
    login.opening_id = None
    if row.ended_at is not None or row.until <= now:
        return None
    row.ended_at = now
    return row.id


def end_of_user(session: Session, *, user_id: int, now: datetime) -> None:
    """End what is open in any login of somebody."""
    for session_id in session.scalars(select(WebSession.id).where(WebSession.user_id == user_id)).all():
        end(session, session_id=session_id, now=now)


def newest(session: Session, *, before: int | None, limit: int) -> list[OpeningFacts]:
    """Openings, the newest first."""
    statement = select(Opening).order_by(Opening.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(Opening.id < before)
    return [_facts(row) for row in session.scalars(statement)]


def since(session: Session, moment: datetime) -> list[OpeningFacts]:
    """Openings from then on, the oldest first."""
    statement = select(Opening).where(Opening.opened_at >= moment).order_by(Opening.id)
    return [_facts(row) for row in session.scalars(statement)]


def _facts(row: Opening) -> OpeningFacts:
    return OpeningFacts(
        id=row.id,
        actor=row.actor,
        role=row.role,
        reason=row.reason,
        opened_at=row.opened_at,
        until=row.until,
        ended_at=row.ended_at,
    )
