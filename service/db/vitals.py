"""What an installation is judged by that no other page asks for: a few small queries."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.core.rules import OPTED_OUT
from service.core.status import AnalysisState, DeliveryState, Difference
from service.db import population, reviews, selftests
from service.db.deliveries import GIVEN_UP, OTHER_VARIANT, SUPERSEDED, WITHDRAWN
from service.db.selftests import SelfTestFacts
from service.db.tables import Analysis, Delivery, Notice, RejectedCaller, SetAside

#: What happened longer ago is no news any more (chosen by us: who looks once a day misses nothing).
LATELY = timedelta(days=1)
#: Objects that were given up on purpose.
MEANT = tuple(reason.code for reason in (OTHER_VARIANT, GIVEN_UP, OPTED_OUT, SUPERSEDED, WITHDRAWN))


@dataclass(frozen=True, kw_only=True)
class Signs:
    """Counts and times that tell of trouble."""

    oldest_running_at: datetime | None
    #: Analyses given up lately.
    failed: int
    #: Images that came with other content under a known identifier.
    conflicts: int
    #: Objects that each peer refused for good.
    refused: Mapping[str, int]
    #: Callers turned away lately.
    rejected: int
    #: The last self-test.
    self_test: SelfTestFacts | None = None
    #: Notifications that were given up.
    unsent: int = 0
    #: Results of which something is held for a review, and since when the first of them.
    held: int = 0
    held_since: datetime | None = None
    #: What the last look for drift found.
    drift: Mapping[str, int] = field(default_factory=dict)


def signs(session: Session, *, now: datetime) -> Signs:
    """Look for them."""
    lately = now - LATELY
    refused = session.execute(
        select(Delivery.peer, func.count())
        .where(
            Delivery.state == DeliveryState.DEAD,
            func.coalesce(Delivery.error_code, "").not_in(MEANT),
        )
        .group_by(Delivery.peer)
    ).all()
    drifts = population.drift(session)
    held, held_since = reviews.held(session)
    return Signs(
        held=held,
        held_since=held_since,
        oldest_running_at=session.scalar(
            select(func.min(Analysis.started_at)).where(Analysis.state == AnalysisState.RUNNING)
        ),
        failed=_count(session, Analysis.state == AnalysisState.FAILED, Analysis.finished_at >= lately),
        conflicts=_count(session, SetAside.difference == Difference.CONFLICT, SetAside.leaves_at.is_(None)),
        refused={row[0]: row[1] for row in refused},
        rejected=_count(session, RejectedCaller.last_at >= lately),
        self_test=selftests.last(session),
        unsent=_count(session, Notice.state == "dead", Notice.created_at >= lately),
        drift={} if drifts is None else drifts.alarms,
    )


def _count(session: Session, *which: object) -> int:
    """Rows for which all of this holds."""
    return session.scalar(select(func.count()).where(*which)) or 0  # type: ignore[arg-type]
