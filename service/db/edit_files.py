"""Statements about the files of segmentations that came back edited: kept and let go with the images."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from service.db.tables import Edit, LegalHold, Series


def let_study_go(session: Session, study_id: int, *, now: datetime) -> None:
    """Let the files of a study go, with its images."""
    _mark(session, study_id, now)


def keep_study(session: Session, study_id: int) -> None:
    """Keep what of a study has not gone yet."""
    _mark(session, study_id, None)


def _mark(session: Session, study_id: int, leaves_at: datetime | None) -> None:
    session.execute(
        update(Edit)
        .where(Edit.series_id.in_(select(Series.id).where(Series.study_id == study_id)), Edit.path != "")
        .values(leaves_at=leaves_at),
        execution_options={"synchronize_session": False},
    )


def leaving(session: Session, *, after: int, limit: int) -> list[tuple[int, str]]:
    """Id and path of files that are to go and that no hold keeps; their rows are locked."""
    rows = session.execute(
        select(Edit.id, Edit.path)
        .join(Series, Series.id == Edit.series_id)
        .where(
            Edit.leaves_at.is_not(None),
            Edit.path != "",
            Edit.id > after,
            ~exists().where(LegalHold.study_id == Series.study_id),
        )
        .order_by(Edit.id)
        .limit(limit)
        .with_for_update(of=Edit)
    )
    return [(row.id, row.path) for row in rows]


def gone(session: Session, ids: Sequence[int]) -> None:
    """Say that these files are gone."""
    session.execute(update(Edit).where(Edit.id.in_(ids)).values(path=""))


def kept_files(session: Session) -> list[tuple[str, str]]:
    """Path below the spool and SHA-256 of every file that is still kept."""
    rows = session.execute(
        select(Edit.path, Edit.sha256).where(Edit.path != "", Edit.leaves_at.is_(None)).order_by(Edit.id)
    )
    return [(row.path, row.sha256) for row in rows]
