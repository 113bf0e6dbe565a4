"""Ordering new scores: what a page, a program or a command asks for; the worker does it."""

from datetime import datetime
from pathlib import Path

from service.db import ledger, optouts, rescoring
from service.db.session import Session, Sessions
from service.errors import InvalidRequest
from service.files import within
from service.pipeline.keepsake import require_kept


def require_rescorable(session: Session, analysis_id: int, home: Path) -> rescoring.Stored | None:
    """The version whose measures can be scored again; None: no such analysis.

    Raises InvalidRequest, which says why, where they cannot.
    """
    source = rescoring.to_rescore(session, analysis_id)
    if source is None:
        return None
    if optouts.lists_analysis(session, home, source.id):
        raise InvalidRequest("The patient has opted out.", reason="opted_out")
    require_kept(within(home, source.result_path))
    return source


def order_rescore(sessions: Sessions, analysis_id: int, *, home: Path, now: datetime) -> int | None:
    """Make a READY version that scores the stored measures again, and return its id; None: no such analysis.

    Raises InvalidRequest, which says why, where that cannot be.
    """
    with sessions.begin() as session:
        ledger.lock_study_of(session, analysis_id)
        if require_rescorable(session, analysis_id, home) is None:
            return None
        return rescoring.order(session, analysis_id, now=now)
