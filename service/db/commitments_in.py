"""Statements about senders' questions whether we hold what they sent (storage commitment)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, exists, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.core.status import CommitmentState, Difference
from service.db.tables import CommitmentRequest, Instance, Series, SetAside

#: UIDs in one statement; databases take some thousand parameters.
AT_A_TIME = 500
#: Other bytes under a UID that leave open which are right. Bytes that were replaced on purpose, and the same
#: pixels with other words beside them, do not.
DISPUTING = (Difference.CONFLICT, Difference.IDENTITY, Difference.NOT_COMPARED)


@dataclass(frozen=True, kw_only=True)
class Asking:
    """One question that is to be answered now."""

    id: int
    transaction_uid: str
    #: SOP class UID by SOP instance UID.
    objects: dict[str, str]
    #: How often it was tried before.
    attempts: int
    #: Its transaction UID stands for another question of the same sender, which came first.
    reused: bool


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """One question that is not answered yet."""

    id: int
    attempts: int
    #: The latest try to tell the sender did not succeed.
    failed: bool


@dataclass(frozen=True, kw_only=True)
class Held:
    """What lies here under one SOP instance UID."""

    sop_instance_uid: str
    sop_class_uid: str
    #: Relative to the spool folder; empty once it was taken away.
    path: str
    size: int
    disputed: bool


@dataclass(frozen=True, kw_only=True)
class Load:
    """What of one sender waits for an answer."""

    questions: int
    objects: int


def ask(
    session: Session,
    *,
    peer: str,
    transaction_uid: str,
    digest: str,
    objects: Mapping[str, str],
    now: datetime,
) -> int:
    """Write down a question, once: the row that has it. One that was answered is answered again."""
    its = {"peer": peer, "transaction_uid": transaction_uid, "digest": digest}
    values = {
        "objects": dict(objects),
        "count": len(objects),
        "state": CommitmentState.OPEN,
        "attempts": 0,
        "next_at": now,
        "requested_at": now,
    }
    dialect: Any = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    made = dialect.insert(CommitmentRequest).values(**its, **values)
    session.execute(
        made.on_conflict_do_update(
            index_elements=list(its),
            set_={**values, "reason_code": None},
            where=CommitmentRequest.state != CommitmentState.OPEN,
        )
    )
    return session.scalars(select(CommitmentRequest.id).filter_by(**its)).one()


def is_known(session: Session, *, peer: str, transaction_uid: str, digest: str) -> bool:
    """Whether this very question waits already."""
    found = select(CommitmentRequest.id).where(
        CommitmentRequest.peer == peer,
        CommitmentRequest.transaction_uid == transaction_uid,
        CommitmentRequest.digest == digest,
        CommitmentRequest.state == CommitmentState.OPEN,
    )
    return session.scalar(found) is not None


def load(session: Session, peer: str) -> Load:
    """How much of one sender waits."""
    count, objects = session.execute(
        select(func.count(CommitmentRequest.id), func.coalesce(func.sum(CommitmentRequest.count), 0)).where(
            CommitmentRequest.peer == peer, CommitmentRequest.state == CommitmentState.OPEN
        )
    ).one()
    return Load(questions=int(count), objects=int(objects))


def due(session: Session, *, peers: Sequence[str], now: datetime) -> list[int]:
    """The oldest question of each of these senders that may be answered now."""
    found = session.scalars(
        select(func.min(CommitmentRequest.id))
        .where(
            CommitmentRequest.state == CommitmentState.OPEN,
            CommitmentRequest.next_at <= now,
            CommitmentRequest.peer.in_(peers),
        )
        .group_by(CommitmentRequest.peer)
    )
    return sorted(row for row in found if row is not None)


def peer_of(session: Session, request_id: int) -> str | None:
    """Who asked; None where there is no such question."""
    return session.scalar(select(CommitmentRequest.peer).where(CommitmentRequest.id == request_id))


def claim(session: Session, peer: str, *, now: datetime, again_at: datetime, limit: int) -> list[int]:
    """Take the questions of one sender that are due, oldest first; nobody else does before ``again_at``."""
    wanted = (
        select(CommitmentRequest.id)
        .where(
            CommitmentRequest.peer == peer,
            CommitmentRequest.state == CommitmentState.OPEN,
            CommitmentRequest.next_at <= now,
        )
        .order_by(CommitmentRequest.id)
        .limit(limit)
    )
    return sorted(_take(session, wanted, again_at=again_at))


def claim_one(session: Session, request_id: int, *, attempts: int, again_at: datetime) -> bool:
    """Take one question that was tried so often; False when somebody else did."""
    wanted = select(CommitmentRequest.id).where(
        CommitmentRequest.id == request_id,
        CommitmentRequest.state == CommitmentState.OPEN,
        CommitmentRequest.attempts == attempts,
    )
    return bool(_take(session, wanted, again_at=again_at))


def _take(session: Session, wanted: Select[int], *, again_at: datetime) -> list[int]:
    """Keep rows from others for a while; the try is counted now, whatever becomes of it."""
    taken = session.execute(
        update(CommitmentRequest)
        .where(CommitmentRequest.id.in_(wanted.with_for_update(skip_locked=True)))
        .values(next_at=again_at, attempts=CommitmentRequest.attempts + 1)
        .returning(CommitmentRequest.id)
        .execution_options(synchronize_session=False)
    )
    return list(taken.scalars())


def waiting(session: Session, request_ids: Sequence[int]) -> list[Waiting]:
    """Those of these questions that are not answered yet, oldest first."""
    rows = session.execute(
        select(CommitmentRequest.id, CommitmentRequest.attempts, CommitmentRequest.reason_code)
        .where(CommitmentRequest.id.in_(request_ids), CommitmentRequest.state == CommitmentState.OPEN)
        .order_by(CommitmentRequest.id)
    )
    return [Waiting(id=row.id, attempts=row.attempts, failed=row.reason_code is not None) for row in rows]


def read(session: Session, request_id: int) -> Asking | None:
    """One question that waits for its answer; None when it has it, or is forgotten."""
    row = session.scalar(
        select(CommitmentRequest).where(
            CommitmentRequest.id == request_id, CommitmentRequest.state == CommitmentState.OPEN
        )
    )
    if row is None or row.objects is None:
        return None
    reused = exists().where(
        CommitmentRequest.peer == row.peer,
        CommitmentRequest.transaction_uid == row.transaction_uid,
        CommitmentRequest.id < row.id,
    )
    return Asking(
        id=row.id,
        transaction_uid=row.transaction_uid,
        objects=row.objects,
        attempts=row.attempts,
        reused=bool(session.scalar(select(reused))),
    )


def held(session: Session, uids: Sequence[str]) -> Iterator[Held]:
    """What lies here of these SOP instance UIDs."""
    disputed = (
        exists()
        .where(
            SetAside.instance_id == Instance.id,
            or_(SetAside.difference.is_(None), SetAside.difference.in_(DISPUTING)),
        )
        .label("disputed")
    )
    for at in range(0, len(uids), AT_A_TIME):
        rows = session.execute(
            select(
                Instance.sop_instance_uid,
                Instance.sop_class_uid,
                Instance.path,
                Instance.size,
                Series.pixels_purged_at,
                disputed,
            )
            .join(Series, Series.id == Instance.series_id)
            .where(Instance.sop_instance_uid.in_(uids[at : at + AT_A_TIME]))
        )
        for row in rows:
            yield Held(
                sop_instance_uid=row.sop_instance_uid,
                sop_class_uid=row.sop_class_uid,
                path=row.path if row.pixels_purged_at is None else "",
                size=row.size,
                disputed=bool(row.disputed),
            )


def note_answered(session: Session, request_id: int, *, committed: int, failed: int, now: datetime) -> bool:
    """The sender took our report; False when that was known."""
    done = session.execute(
        update(CommitmentRequest)
        .where(CommitmentRequest.id == request_id, CommitmentRequest.state == CommitmentState.OPEN)
        .values(
            state=CommitmentState.ANSWERED,
            objects=None,
            next_at=None,
            answered_at=now,
            committed=committed,
            failed=failed,
            reason_code=None,
        )
        .returning(CommitmentRequest.id)
        .execution_options(synchronize_session=False)
    )
    return done.scalar() is not None


def note_not_taken(session: Session, request_id: int, *, code: str, next_at: datetime | None) -> None:
    """The sender did not take our report: it is told again then, or never without a time."""
    session.execute(
        update(CommitmentRequest)
        .where(CommitmentRequest.id == request_id, CommitmentRequest.state == CommitmentState.OPEN)
        .values(
            state=CommitmentState.GIVEN_UP if next_at is None else CommitmentState.OPEN,
            next_at=next_at,
            reason_code=code,
            **({"objects": None} if next_at is None else {}),
        )
        .execution_options(synchronize_session=False)
    )


def forget(session: Session, *, before: datetime) -> int:
    """Forget questions that are older, answered or not; how many."""
    gone = session.execute(
        delete(CommitmentRequest)
        .where(CommitmentRequest.requested_at < before)
        .returning(CommitmentRequest.id)
        .execution_options(synchronize_session=False)
    )
    return len(gone.scalars().all())


def by_state(session: Session) -> dict[str, int]:
    """How many questions stand in each state."""
    rows = session.execute(
        select(CommitmentRequest.state, func.count(CommitmentRequest.id).label("number")).group_by(
            CommitmentRequest.state
        )
    )
    return {row.state: row.number for row in rows}
