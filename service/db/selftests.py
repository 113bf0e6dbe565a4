"""Statements about self-tests: which study one sends, who may get its results, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.core.status import TERMINAL, DeliveryState, SeriesState
from service.db.tables import Analysis, Delivery, Output, SelfTest, Series, Study

#: A test that takes longer has died: its door closes, and the next one clears up after it. Chosen by us,
#: above the longest that an analysis may take by the usual settings.
LONGEST = timedelta(hours=1)
#: Tests that are remembered: a season of nights (chosen by us).
REMEMBERED = 100


@dataclass(frozen=True, kw_only=True)
class SelfTestFacts:
    """One self-test."""

    id: int
    study_uid: str | None
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None
    detail: dict[str, Any] | None


def begin(session: Session, *, study_uid: str, peers: Sequence[str], now: datetime) -> int:
    """Say that the service is about to be sent this study."""
    row = SelfTest(study_uid=study_uid, peers=",".join(peers), started_at=now)
    session.add(row)
    session.flush()
    session.execute(delete(SelfTest).where(SelfTest.id <= row.id - REMEMBERED, SelfTest.study_uid.is_(None)))
    return row.id


def finish(session: Session, test_id: int, *, outcome: str, detail: dict[str, Any], now: datetime) -> None:
    """Write down what came of it."""
    session.execute(
        update(SelfTest).where(SelfTest.id == test_id).values(outcome=outcome, detail=detail, finished_at=now)
    )


def cleared(session: Session, test_id: int) -> None:
    """Its study is gone."""
    session.execute(update(SelfTest).where(SelfTest.id == test_id).values(study_uid=None))


def with_study(session: Session) -> list[SelfTestFacts]:
    """Tests whose study was not taken away yet, oldest first."""
    rows = session.scalars(select(SelfTest).where(SelfTest.study_uid.is_not(None)).order_by(SelfTest.id))
    return [_facts(row) for row in rows]


def last(session: Session) -> SelfTestFacts | None:
    """The latest that came to an end."""
    row = session.scalar(
        select(SelfTest).where(SelfTest.outcome.is_not(None)).order_by(SelfTest.id.desc()).limit(1)
    )
    return None if row is None else _facts(row)


def begun_since(session: Session, at: datetime) -> bool:
    """Whether a test was begun then or later."""
    return session.scalar(select(SelfTest.id).where(SelfTest.started_at >= at).limit(1)) is not None


def expected_study(session: Session, *, now: datetime) -> str | None:
    """The study that a running test is about to send; None where none runs."""
    return session.scalar(
        select(SelfTest.study_uid)
        .where(
            SelfTest.study_uid.is_not(None),
            SelfTest.finished_at.is_(None),
            SelfTest.started_at >= now - LONGEST,
        )
        .order_by(SelfTest.id.desc())
        .limit(1)
    )


def keeps_from(session: Session, output_ids: Sequence[int], peer: str) -> bool:
    """Whether these objects are of a self-test that this peer is not to see."""
    peers = session.scalar(
        select(SelfTest.peers)
        .join(Study, Study.study_uid == SelfTest.study_uid)
        .join(Analysis, Analysis.study_id == Study.id)
        .join(Output, Output.analysis_id == Analysis.id)
        .where(Output.id.in_(output_ids))
        .limit(1)
    )
    return peers is not None and peer not in peers.split(",")


def sends(session: Session, study_id: int) -> bool:
    """Whether this study is of a self-test."""
    ours = select(Study.id).join(SelfTest, SelfTest.study_uid == Study.study_uid)
    return session.scalar(ours.where(Study.id == study_id)) is not None


def result_of(session: Session, study_uid: str) -> tuple[str, str | None, dict[str, Any] | None] | None:
    """State, code of the reason and finding of the newest analysis of its study; None while there is none."""
    row = session.execute(
        select(Analysis.state, Analysis.reason_code, Analysis.finding)
        .join(Study, Study.id == Analysis.study_id)
        .where(Study.study_uid == study_uid)
        .order_by(Analysis.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else (row[0], row[1], row[2])


def is_still(session: Session, study_id: int) -> bool:
    """Whether nothing of the study arrives or is worked on any more."""
    busy = (
        select(Series.id).where(Series.study_id == study_id, Series.state != SeriesState.CLOSED),
        select(Analysis.id).where(Analysis.study_id == study_id, Analysis.state.not_in(TERMINAL)),
        select(Delivery.id)
        .join(Output, Output.id == Delivery.output_id)
        .join(Analysis, Analysis.id == Output.analysis_id)
        .where(
            Analysis.study_id == study_id,
            Delivery.state.in_((DeliveryState.PENDING, DeliveryState.SENDING)),
        ),
    )
    return all(session.scalar(statement.limit(1)) is None for statement in busy)


def is_none(study_id: InstrumentedAttribute[int]) -> ColumnElement[bool]:
    """Whether the study of the statement is of patients, and not of a self-test."""
    # Few tests have a study, so each is looked up, and not every study among them.
    uids = select(SelfTest.study_uid).where(SelfTest.study_uid.is_not(None))
    return study_id.not_in(select(Study.id).where(Study.study_uid.in_(uids)))


def study_id_of(session: Session, study_uid: str) -> int | None:
    """The study that a test sent, where anything of it came in."""
    return session.scalar(select(Study.id).where(Study.study_uid == study_uid))


def _facts(row: SelfTest) -> SelfTestFacts:
    return SelfTestFacts(
        id=row.id,
        study_uid=row.study_uid,
        started_at=row.started_at,
        finished_at=row.finished_at,
        outcome=row.outcome,
        detail=row.detail,
    )
