"""Statements about reviews: what readers say of a drawing, and what waits for their word.

The latest review of a result holds. One that accepts lets go what was held for peers with
``release = "after_review"``; one that rejects takes the result back.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.orm import Session, aliased

from service.core.status import ACCEPTING, LONGEST_COMMENT, VERDICTS, AnalysisState, DeliveryState, Verdict
from service.db import withdrawals
from service.db.ledger import add_event
from service.db.people import record
from service.db.shapes import RESULTS
from service.db.tables import Analysis, Delivery, Output, Review
from service.errors import InvalidRequest

#: The reason of a withdrawal by a reviewer: what was reviewed is the drawing.
REJECTED_FOR = "wrong_drawing"


@dataclass(frozen=True, kw_only=True)
class ReviewFacts:
    """What one reader said of one result."""

    id: int
    analysis_id: int
    verdict: Verdict
    comment: str
    actor: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How often readers said what, of the results of one network and contrast; latest reviews only."""

    network: str
    contrast: str
    counts: Mapping[Verdict, int]

    @property
    def total(self) -> int:
        """Reviewed results."""
        return sum(self.counts.values())


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Results that two or more readers rated: pairs of readers, and pairs that said the same."""

    results: int
    pairs: int
    same: int


def add(
    session: Session,
    analysis_id: int,
    *,
    verdict: str,
    actor: str,
    now: datetime,
    comment: str = "",
    address: str | None = None,
) -> int | None:
    """Write down what a reader says; how many deliveries go now, None when there is no such analysis.

    Raises InvalidRequest unless it is a result that stands.
    """
    said = next((known for known in VERDICTS if known == verdict), None)
    if said is None:
        raise InvalidRequest("This is no verdict of a review.", reason="unknown_verdict")
    versions = withdrawals.lock_versions(session, analysis_id)
    analysis = next((row for row in versions if row.id == analysis_id), None)
    if analysis is None:
        return None
    if analysis.withdrawn_at is not None:
        raise InvalidRequest("This result is withdrawn already.", reason="already_withdrawn")
    if analysis.state not in RESULTS:
        raise InvalidRequest(f"This analysis is {analysis.state}.", reason="not_reviewable")
    comment = comment.strip()[:LONGEST_COMMENT]
    session.add(Review(analysis_id=analysis_id, verdict=said, comment=comment, actor=actor, at=now))
    session.flush()
    let_go = _let_go(session, analysis_id, now=now) if said in ACCEPTING else 0
    # The comment is free text, so it stays in its row: not in the events, not in the audit record.
    detail = {"verdict": said, "deliveries": let_go}
    add_event(session, "reviewed", at=now, analysis_id=analysis_id, detail=detail)
    record(
        session,
        at=now,
        actor=actor,
        action="result_reviewed",
        object_type="analysis",
        object_id=analysis_id,
        address=address,
        detail=detail,
    )
    if said == "reject":
        withdrawals.withdraw(session, analysis_id, reason=REJECTED_FOR, actor=actor, now=now, address=address)
    return let_go


def _let_go(session: Session, analysis_id: int, *, now: datetime) -> int:
    """Have sent what was held of a result, under whichever version its objects wait."""
    mine, same = aliased(Output), aliased(Output)
    theirs = (
        select(same.id)
        .join(mine, mine.sop_instance_uid == same.sop_instance_uid)
        .where(mine.analysis_id == analysis_id)
    )
    done = session.execute(
        update(Delivery)
        .where(Delivery.state == DeliveryState.HELD, Delivery.output_id.in_(theirs))
        .values(state=DeliveryState.PENDING, next_at=now)
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    )
    return len(done.scalars().all())


def of_analysis(
    session: Session, analysis_id: int, *, before: int | None = None, limit: int | None = None
) -> list[ReviewFacts]:
    """What readers said of one result, newest first, from below the review of that number."""
    statement = select(Review).where(Review.analysis_id == analysis_id).order_by(Review.id.desc())
    rows = session.scalars(
        (statement if before is None else statement.where(Review.id < before)).limit(limit)
    )
    return [_facts(row) for row in rows]


def _facts(row: Review) -> ReviewFacts:
    return ReviewFacts(
        id=row.id,
        analysis_id=row.analysis_id,
        verdict=next(known for known in VERDICTS if known == row.verdict),
        comment=row.comment,
        actor=row.actor,
        at=row.at,
    )


def _is_latest() -> ColumnElement[bool]:
    """Whether a review is the last one of its result."""
    later = aliased(Review)
    newest = select(func.max(later.id)).where(later.analysis_id == Review.analysis_id).scalar_subquery()
    return Review.id == newest


def tallies(session: Session) -> list[Tally]:
    """Latest reviews by network and contrast, the most reviewed first; none of what a person drew."""
    network = func.coalesce(Analysis.finding["model"]["name"].as_string(), "")
    version = func.coalesce(Analysis.finding["model"]["version"].as_string(), "")
    contrast = func.coalesce(Analysis.contrast, "")
    rows = session.execute(
        select(
            network.label("network"),
            version.label("version"),
            contrast.label("contrast"),
            Review.verdict,
            func.count().label("count"),
        )
        .join(Analysis, Analysis.id == Review.analysis_id)
        .where(_is_latest(), Analysis.edit_id.is_(None))
        .group_by(network, version, contrast, Review.verdict)
    ).all()
    found: dict[tuple[str, str], Counter[Verdict]] = {}
    for row in rows:
        verdict = next(known for known in VERDICTS if known == row.verdict)
        found.setdefault((f"{row.network} {row.version}".strip(), row.contrast), Counter())[verdict] += row[4]
    told = [Tally(network=key[0], contrast=key[1], counts=counts) for key, counts in found.items()]
    return sorted(told, key=lambda tally: (-tally.total, tally.network, tally.contrast))


def agreement(session: Session) -> Agreement:
    """How far readers who rated the same result said the same; each reader's last word counts."""
    newer = aliased(Review)
    last = ~(
        select(newer.id)
        .where(
            and_(newer.analysis_id == Review.analysis_id, newer.actor == Review.actor, newer.id > Review.id)
        )
        .exists()
    )
    several = (
        select(Review.analysis_id)
        .group_by(Review.analysis_id)
        .having(func.count(func.distinct(Review.actor)) > 1)
    )
    rows = session.execute(
        select(Review.analysis_id, Review.verdict).where(last, Review.analysis_id.in_(several))
    ).all()
    said: dict[int, list[str]] = {}
    for row in rows:
        said.setdefault(row.analysis_id, []).append(row.verdict)
    pairs = same = 0
    for verdicts in said.values():
        count = len(verdicts)
        pairs += count * (count - 1) // 2
        same += sum(each * (each - 1) // 2 for each in Counter(verdicts).values())
    return Agreement(results=len(said), pairs=pairs, same=same)


def waiting(session: Session, *, before: int | None = None, limit: int = 50) -> Sequence[int]:
    """Current results of which something is held for a review, newest first."""
    mine, same = aliased(Output), aliased(Output)
    # The same object may wait under an earlier version.
    held = (
        select(mine.analysis_id)
        .join(same, same.sop_instance_uid == mine.sop_instance_uid)
        .join(Delivery, Delivery.output_id == same.id)
        .where(Delivery.state == DeliveryState.HELD)
    )
    statement = select(Analysis.id).where(
        Analysis.id.in_(held),
        Analysis.state != AnalysisState.SUPERSEDED,
        Analysis.withdrawn_at.is_(None),
    )
    if before is not None:
        statement = statement.where(Analysis.id < before)
    return session.scalars(statement.order_by(Analysis.id.desc()).limit(limit)).all()


def finished(session: Session, ids: Sequence[int]) -> dict[int, datetime | None]:
    """When each of these analyses was finished."""
    rows = session.execute(select(Analysis.id, Analysis.finished_at).where(Analysis.id.in_(ids)))
    return {row.id: row.finished_at for row in rows}


def held(session: Session) -> tuple[int, datetime | None]:
    """How many current results wait for a review, and since when the first of them."""
    mine, same = aliased(Output), aliased(Output)
    row = session.execute(
        select(func.count(func.distinct(Analysis.id)), func.min(Analysis.finished_at))
        .join(mine, mine.analysis_id == Analysis.id)
        .join(same, same.sop_instance_uid == mine.sop_instance_uid)
        .join(Delivery, Delivery.output_id == same.id)
        .where(
            Delivery.state == DeliveryState.HELD,
            Analysis.state != AnalysisState.SUPERSEDED,
            Analysis.withdrawn_at.is_(None),
        )
    ).one()
    return row[0], row[1]
