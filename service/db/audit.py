"""The audit record as a chain: lines that are not sealed yet, and those that are."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from service.core.chain import GENESIS, Link, link_hash
from service.db.session import Session, Sessions, reading
from service.db.tables import AuditEntry

#: Lines that are sealed in one transaction, or read at a time; chosen by us, a line is some 300 bytes.
BATCH = 500


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """How far the chain has come."""

    count: int
    last_hash: str


@dataclass(frozen=True, kw_only=True)
class Unsealed:
    """What is not part of the chain yet."""

    count: int
    oldest_at: datetime | None


def seal(sessions: Sessions) -> int:
    """Make every line that is not yet sealed the next of the chain; how many were.

    They are numbered in the order in which they are sealed, not by their ids: on PostgreSQL a lower id may
    be committed later. Where another process seals at the same moment, the number of a line is taken
    already, and this one leaves it alone.
    """
    sealed = 0
    while True:
        try:
            with sessions.begin() as session:
                found = _seal_some(session)
        except IntegrityError:
            return sealed
        sealed += found
        if found < BATCH:
            return sealed


def _seal_some(session: Session) -> int:
    head = last(session)
    previous, number = head.last_hash, head.count
    lines = session.scalars(
        select(AuditEntry).where(AuditEntry.chain_number.is_(None)).order_by(AuditEntry.id).limit(BATCH)
    ).all()
    for line in lines:
        number += 1
        previous = link_hash(previous, number, content(line))
        line.chain_number, line.chain_hash = number, previous
    return len(lines)


def last(session: Session) -> Sealed:
    """The end of the chain."""
    row = session.execute(
        select(AuditEntry.chain_number, AuditEntry.chain_hash)
        .where(AuditEntry.chain_number.is_not(None))
        .order_by(AuditEntry.chain_number.desc())
        .limit(1)
    ).first()
    if row is None:
        return Sealed(count=0, last_hash=GENESIS)
    return Sealed(count=row[0] or 0, last_hash=row[1] or GENESIS)


def sealed_between(session: Session, *, above: int, since: datetime | None, until: datetime) -> int:
    """How many sealed lines above this number are of a time."""
    wanted = select(func.count()).where(AuditEntry.chain_number > above, AuditEntry.at < until)
    if since is not None:
        wanted = wanted.where(AuditEntry.at >= since)
    return session.scalar(wanted) or 0


def unsealed(session: Session) -> Unsealed:
    """How many lines wait to be sealed, and since when."""
    count, oldest = session.execute(
        select(func.count(), func.min(AuditEntry.at)).where(AuditEntry.chain_number.is_(None))
    ).one()
    return Unsealed(count=count, oldest_at=oldest)


def links(sessions: Sessions) -> Iterator[Link]:
    """Every sealed line in the order of the chain."""
    after = 0
    while True:
        with reading(sessions) as session:
            rows = session.scalars(
                select(AuditEntry)
                .where(AuditEntry.chain_number > after)
                .order_by(AuditEntry.chain_number)
                .limit(BATCH)
            ).all()
            batch = [
                Link(number=row.chain_number or 0, hash=row.chain_hash or "", content=content(row))
                for row in rows
            ]
        yield from batch
        if len(batch) < BATCH:
            return
        after = batch[-1].number


def lines(sessions: Sessions, *, since: datetime | None, until: datetime | None) -> Iterator[dict[str, Any]]:
    """Every line of a time, the oldest first, with its place in the chain."""
    after = 0
    while True:
        statement = select(AuditEntry).where(AuditEntry.id > after).order_by(AuditEntry.id).limit(BATCH)
        if since is not None:
            statement = statement.where(AuditEntry.at >= since)
        if until is not None:
            statement = statement.where(AuditEntry.at < until)
        with reading(sessions) as session:
            rows = session.scalars(statement).all()
            batch = [
                {
                    "id": row.id,
                    **content(row),
                    "chain_number": row.chain_number,
                    "chain_hash": row.chain_hash,
                }
                for row in rows
            ]
        yield from batch
        if len(batch) < BATCH:
            return
        after = batch[-1]["id"]


def content(line: AuditEntry) -> dict[str, Any]:
    """What a line says, in the form that is hashed."""
    return {
        "at": line.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": line.actor,
        "action": line.action,
        "outcome": line.outcome,
        "object_type": line.object_type,
        "object_id": line.object_id,
        "address": line.address,
        "detail": line.detail,
    }
