"""Statements about what became of segmentations that came back edited, for statistics and for people."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from service.db.edits import TAKEN
from service.db.tables import Analysis, Edit


def cases(session: Session) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Edited cases by network and contrast; the latest one of each drawing, unless it was withdrawn since.

    New scores of an edited drawing are versions of it: whoever withdraws one of these withdraws the drawing.
    """
    withdrawn = exists().where(Analysis.edit_id == Edit.id, Analysis.withdrawn_at.is_not(None))
    rows = session.execute(
        select(Edit.corrects_id, Edit.network, Edit.contrast, Edit.comparison)
        .where(Edit.outcome == TAKEN, ~withdrawn)
        .order_by(Edit.id)
    ).all()
    latest = {row.corrects_id: row for row in rows if row.comparison}
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in latest.values():
        found.setdefault((row.network or "", row.contrast or ""), []).append(row.comparison)
    return found


@dataclass(frozen=True, kw_only=True)
class EditRow:
    """One segmentation that came back, for people to see what became of it."""

    id: int
    received_at: datetime
    peer: str
    #: None while it waits; ``TAKEN``, or the code of the reason.
    outcome: str | None
    reason_text: str | None
    #: The version that it became.
    analysis_id: int | None
    #: The version whose drawing was edited.
    corrects_id: int | None


def latest(session: Session, *, limit: int = 20) -> list[EditRow]:
    """The last ones that came, newest first."""
    rows = session.scalars(select(Edit).order_by(Edit.id.desc()).limit(limit)).all()
    return [EditRow(**{name: getattr(row, name) for name in EditRow.__dataclass_fields__}) for row in rows]
