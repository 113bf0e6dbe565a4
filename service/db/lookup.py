"""Small questions to the ledger about one study."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.db.tables import Analysis, Delivery, Output, Study


@dataclass(frozen=True, kw_only=True)
class AnalysisProgress:
    """How far one analysis of a study is."""

    analysis_id: int
    state: str
    reason_text: str | None
    #: Kinds of objects, by the state of their delivery to the peer that was asked about.
    deliveries: dict[str, str]


def study_progress(session: Session, *, study_uid: str, peer: str) -> list[AnalysisProgress]:
    """Every analysis of a study, oldest first, with its deliveries to one peer."""
    analyses = session.scalars(
        select(Analysis).join(Study).where(Study.study_uid == study_uid).order_by(Analysis.id)
    )
    return [
        AnalysisProgress(
            analysis_id=analysis.id,
            state=analysis.state,
            reason_text=analysis.reason_text,
            deliveries=_deliveries(session, analysis.id, peer),
        )
        for analysis in analyses
    ]


def _deliveries(session: Session, analysis_id: int, peer: str) -> dict[str, str]:
    rows = session.execute(
        select(Output.kind, Delivery.state)
        .join(Delivery, Delivery.output_id == Output.id)
        .where(Output.analysis_id == analysis_id, Delivery.peer == peer)
    )
    return {kind: state for kind, state in rows}  # noqa: C416 - rows are typed, dict() of them is not
