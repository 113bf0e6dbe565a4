"""Statements about other bytes that came under the identifier of an image that is here.

The first bytes stay and are measured; the others lie beside them, so that nothing that a sender was told to
be safe is lost, until the study is let go.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, delete, exists, func, select, update
from sqlalchemy.orm import Session

from service.core.status import Difference
from service.db.ledger import InstanceFacts, add_event, count, insert_or_update
from service.db.tables import Instance, LegalHold, Series, SetAside

#: Kept of one image beside the first; more of them push the oldest out. Chosen by us: a merge, its
#: correction, and one more.
KEPT_OF_ONE = 3
#: What is counted, and said on the timeline of the series, for each difference.
COUNTED = {
    Difference.IDENTITY: "instances_identity_changed",
    Difference.SAME_PIXELS: "instances_same_pixels",
    Difference.CONFLICT: "instance_conflicts",
    Difference.NOT_COMPARED: "instances_not_compared",
}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two files that came under one identifier, still to be compared."""

    id: int
    series_id: int
    #: Relative to the spool; empty where retention took the first away.
    first_path: str
    other_path: str
    #: Of both files, in bytes.
    size: int


def set_aside(session: Session, others: Sequence[InstanceFacts], *, now: datetime) -> None:
    """Write down images whose identifiers are taken by other bytes, in the order of their identifiers.

    Bytes that came before are counted.
    """
    for facts in sorted(others, key=lambda each: (each.sop_instance_uid, each.sha256)):
        first = session.execute(
            select(Instance.id, Instance.series_id).where(Instance.sop_instance_uid == facts.sop_instance_uid)
        ).one()
        values: dict[str, Any] = {
            "instance_id": first.id,
            "series_id": first.series_id,
            "calling_ae": facts.calling_ae,
            "transfer_syntax_uid": facts.transfer_syntax_uid,
            "path": facts.path,
            "sha256": facts.sha256,
            "size": facts.size,
            "series_uid": facts.series_uid,
            "series_description": facts.series_description,
            "received_at": now,
            "last_at": now,
            **vars(facts.study),
        }
        # Its file was to go, it was replaced, or it could not be read: what it is now has to be found out.
        open_again = (Difference.REPLACED, Difference.NOT_COMPARED)
        stands = SetAside.leaves_at.is_(None) & SetAside.difference.not_in(open_again)
        again = {
            "count": SetAside.count + 1,
            "last_at": now,
            "difference": case((stands, SetAside.difference), else_=None),
            "leaves_at": None,
        }
        insert_or_update(session, SetAside, values, keys=["instance_id", "sha256"], changes=again)


def not_compared(session: Session, *, limit: int) -> list[Pair]:
    """What nobody looked at yet, oldest first."""
    rows = session.execute(
        select(
            SetAside.id,
            SetAside.series_id,
            Instance.path,
            SetAside.path.label("other"),
            (Instance.size + SetAside.size).label("size"),
        )
        .join(Instance, Instance.id == SetAside.instance_id)
        .where(SetAside.difference.is_(None), SetAside.leaves_at.is_(None))
        .order_by(SetAside.id)
        .limit(limit)
    )
    return [
        Pair(id=row.id, series_id=row.series_id, first_path=row.path, other_path=row.other, size=row.size)
        for row in rows
    ]


def found(
    session: Session, series_id: int, answers: Sequence[tuple[int, Difference, str]], *, now: datetime
) -> None:
    """Write down what the images set aside of one series are: id, difference, and code of what differs."""
    tally: dict[Difference, int] = {}
    for row_id, difference, detail in sorted(answers):
        done = session.execute(
            update(SetAside)
            .where(SetAside.id == row_id, SetAside.difference.is_(None))
            .values(difference=difference, detail=detail)
            .returning(SetAside.id)
        )
        if done.scalar_one_or_none() is not None:
            tally[difference] = tally.get(difference, 0) + 1
    for difference, images in sorted(tally.items()):
        count(session, COUNTED[difference], by=images)
        add_event(session, COUNTED[difference], at=now, series_id=series_id, detail={"images": images})
    _let_go(session, series_id, now=now)


def _let_go(session: Session, series_id: int, *, now: datetime) -> None:
    """Let go what nobody needs: what is no other image for any result, and more than is kept of one."""
    rank = func.row_number().over(
        partition_by=SetAside.instance_id, order_by=(SetAside.last_at.desc(), SetAside.id.desc())
    )
    kept = SetAside.difference != Difference.SAME_PIXELS
    ranked = select(SetAside.id, rank.label("rank")).where(SetAside.series_id == series_id, kept).subquery()
    surplus = select(ranked.c.id).where(ranked.c.rank > KEPT_OF_ONE)
    held = exists().where(LegalHold.study_id == Series.study_id, Series.id == series_id)
    session.execute(
        update(SetAside)
        .where(
            SetAside.series_id == series_id,
            SetAside.leaves_at.is_(None),
            (SetAside.difference == Difference.SAME_PIXELS) | SetAside.id.in_(surplus),
            ~held,
        )
        .values(leaves_at=now),
        execution_options={"synchronize_session": False},
    )


def leaving(session: Session, *, after: int = 0, limit: int) -> list[tuple[int, str]]:
    """Id and path of what goes; the rows are locked, so that none of it can come again meanwhile."""
    rows = session.execute(
        select(SetAside.id, SetAside.path)
        .join(Series, Series.id == SetAside.series_id)
        .where(
            SetAside.leaves_at.is_not(None),
            SetAside.id > after,
            ~exists().where(LegalHold.study_id == Series.study_id),
        )
        .order_by(SetAside.id)
        .limit(limit)
        .with_for_update(of=SetAside)
    )
    return [(row.id, row.path) for row in rows]


def gone(session: Session, ids: Sequence[int]) -> None:
    """Say that these files are gone."""
    session.execute(delete(SetAside).where(SetAside.id.in_(ids)))


def let_study_go(session: Session, study_id: int, *, now: datetime) -> None:
    """Let everything go that is set aside of a study."""
    session.execute(
        update(SetAside)
        .where(SetAside.series_id.in_(select(Series.id).where(Series.study_id == study_id)))
        .values(leaves_at=now),
        execution_options={"synchronize_session": False},
    )


def keep_study(session: Session, study_id: int) -> None:
    """Keep what of a study has not gone yet."""
    session.execute(
        update(SetAside)
        .where(SetAside.series_id.in_(select(Series.id).where(Series.study_id == study_id)))
        .values(leaves_at=None),
        execution_options={"synchronize_session": False},
    )


def waiting(session: Session) -> tuple[bool, bool]:
    """Whether something is to be compared, and whether something goes."""
    compare = exists().where(SetAside.difference.is_(None), SetAside.leaves_at.is_(None))
    return bool(session.scalar(select(compare))), bool(leaving_now(session))


def leaving_now(session: Session) -> bool:
    """Whether something goes that no hold keeps."""
    going = exists().where(
        SetAside.leaves_at.is_not(None),
        SetAside.series_id == Series.id,
        ~exists().where(LegalHold.study_id == Series.study_id),
    )
    return bool(session.scalar(select(going)))


def kept_files(session: Session) -> list[tuple[str, str]]:
    """Path below the spool and SHA-256 of everything that is set aside."""
    rows = session.execute(
        select(SetAside.path, SetAside.sha256).where(SetAside.leaves_at.is_(None)).order_by(SetAside.id)
    )
    return [(row.path, row.sha256) for row in rows]


@dataclass(frozen=True, kw_only=True)
class CameAgain:
    """How many images of some series came again with other bytes, by what those are."""

    #: All images of these series.
    images: int
    identity: int
    conflict: int
    not_compared: int
    #: Who sent those that are other images.
    senders: tuple[str, ...]


def came_again(session: Session, series_ids: Sequence[int]) -> CameAgain:
    """What lies beside the images of these series."""
    rows = session.execute(
        select(SetAside.difference, SetAside.instance_id, SetAside.calling_ae).where(
            SetAside.series_id.in_(series_ids), SetAside.leaves_at.is_(None)
        )
    ).all()

    def images(difference: Difference) -> int:
        return len({row.instance_id for row in rows if row.difference == difference})

    return CameAgain(
        images=session.scalar(select(func.count(Instance.id)).where(Instance.series_id.in_(series_ids))) or 0,
        identity=images(Difference.IDENTITY),
        conflict=images(Difference.CONFLICT),
        not_compared=images(Difference.NOT_COMPARED),
        senders=tuple(sorted({row.calling_ae for row in rows if row.difference == Difference.CONFLICT})),
    )
