"""Statements about what is held for a review: which objects are accepted, and that no other one is sent.

Every way to a peer leads through a claim, so there is the last look, whatever was planned or ordered before.
"""

from collections import defaultdict

from sqlalchemy import select, update
from sqlalchemy.orm import Session, aliased

from service.core.status import ACCEPTING, DeliveryState
from service.db.tables import Analysis, Delivery, Output, Review


def is_accepted(session: Session, analysis_id: int) -> bool:
    """Whether a result may go to peers that wait for a review.

    Its latest review decides, or that of the drawing whose new scores it is; without any, whether each of its
    objects is in an accepted result.
    """
    said = _said(session, analysis_id)
    if said is not None:
        return said
    sharing = _sharing(session, analysis_id)
    return bool(sharing) and not _unaccepted(session, sharing)


def hold(session: Session, analysis_id: int, *, peer: str) -> int:
    """Hold what waits for a peer that gets nothing unreviewed, and was not accepted; how many objects.

    The lock makes this and a review take turns. What tells of a withdrawal goes in any case.
    """
    sharing = _sharing(session, analysis_id)
    # Newest first, as a worker does that publishes.
    ids = {each for others in sharing.values() for each in others}
    newest_first = select(Analysis.id).where(Analysis.id.in_(ids)).order_by(Analysis.id.desc())
    session.execute(newest_first.with_for_update(read=True)).all()
    done = session.execute(
        update(Delivery)
        .where(
            Delivery.state == DeliveryState.PENDING,
            Delivery.peer == peer,
            Delivery.output_id.in_(_unaccepted(session, sharing)),
        )
        .values(state=DeliveryState.HELD, next_at=None)
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    )
    return len(done.scalars().all())


def _sharing(session: Session, analysis_id: int) -> dict[int, set[int]]:
    """The analyses that have the same object, by the row id of each object of this one."""
    mine, same = aliased(Output), aliased(Output)
    rows = session.execute(
        select(mine.id, same.analysis_id)
        .join(same, same.sop_instance_uid == mine.sop_instance_uid)
        .where(mine.analysis_id == analysis_id, mine.withdrawal.is_(False))
    )
    found: dict[int, set[int]] = defaultdict(set)
    for row in rows:
        found[row.id].add(row.analysis_id)
    return found


def _unaccepted(session: Session, sharing: dict[int, set[int]]) -> set[int]:
    """Those of the objects that are in no accepted result."""
    ids = {each for others in sharing.values() for each in others}
    accepted = {each for each in ids if _said(session, each)}
    return {output_id for output_id, others in sharing.items() if not others & accepted}


def _said(session: Session, analysis_id: int) -> bool | None:
    """Whether the latest review accepts the drawing of a result; None where nobody said anything."""
    seen: set[int] = set()
    number: int | None = analysis_id
    while number is not None and number not in seen:
        seen.add(number)
        verdict = session.scalar(
            select(Review.verdict).where(Review.analysis_id == number).order_by(Review.id.desc()).limit(1)
        )
        if verdict is not None:
            return verdict in ACCEPTING
        number = session.scalar(select(Analysis.rescores_id).where(Analysis.id == number))
    return None
