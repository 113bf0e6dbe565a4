"""Statements about what is kept for how long: which studies are finished and old, and legal holds.

The unit is the study: nothing of it goes while any of its series, analyses, deliveries, edited segmentations
or ordered replays is unfinished.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session

from service.core.status import TERMINAL, AnalysisState, DeliveryState, SeriesState
from service.db import conflicts, edit_files
from service.db.ledger import add_event, lock_study
from service.db.people import record
from service.db.shapes import HoldFacts
from service.db.tables import (
    Analysis,
    AnalysisInput,
    Backfill,
    Delivery,
    Edit,
    Event,
    FlagHandling,
    Instance,
    LegalHold,
    Output,
    PerformedSeries,
    PerformedStep,
    PopulationRow,
    ReplayOrder,
    Review,
    Series,
    SetAside,
    Study,
)
from service.errors import InvalidRequest


class Kept(StrEnum):
    """What has a time of its own after which it goes."""

    #: Received images.
    PIXELS = "pixels"
    #: Files of results, DICOM objects included.
    RESULTS = "results"
    #: The rows of the study, findings included; the audit record stays.
    ROWS = "rows"


def old_studies(session: Session, kept: Kept, *, until: datetime, limit: int) -> list[int]:
    """Ids of finished studies without a hold in which nothing happened since ``until``, oldest first."""
    return list(session.scalars(_old(kept, until).order_by(Study.id).limit(limit)))


def still_old(session: Session, study_id: int, kept: Kept, *, until: datetime) -> bool:
    """Whether this is still true; locks the study, so it stays true until the transaction ends."""
    lock_study(session, study_id)
    return session.scalar(_old(kept, until).where(Study.id == study_id)) is not None


def _old(kept: Kept, until: datetime) -> Select[int]:
    return select(Study.id).where(
        Study.created_at <= until,
        ~exists().where(LegalHold.study_id == Study.id),
        ~exists().where(
            Series.study_id == Study.id,
            or_(Series.state != SeriesState.CLOSED, Series.last_at > until, Series.closed_at > until),
        ),
        ~exists().where(
            SetAside.series_id == Series.id, Series.study_id == Study.id, SetAside.last_at > until
        ),
        ~exists().where(
            Edit.series_id == Series.id,
            Series.study_id == Study.id,
            or_(Edit.outcome.is_(None), Edit.received_at > until),
        ),
        ~exists().where(
            Analysis.study_id == Study.id,
            or_(Analysis.state.not_in(TERMINAL), Analysis.finished_at > until, Analysis.withdrawn_at > until),
        ),
        ~exists().where(
            ReplayOrder.analysis_id == Analysis.id,
            Analysis.study_id == Study.id,
            ReplayOrder.finished_at.is_(None),
        ),
        ~exists().where(
            Delivery.output_id == Output.id,
            Output.analysis_id == Analysis.id,
            Analysis.study_id == Study.id,
            or_(_unfinished_delivery(), Delivery.sent_at > until, Delivery.confirmed_at > until),
        ),
        _has(kept),
    )


def _unfinished_delivery() -> ColumnElement[bool]:
    """Held for a review, waiting, under way, or sent and not known to have arrived although somebody asks."""
    return or_(
        Delivery.state.in_((DeliveryState.HELD, DeliveryState.PENDING, DeliveryState.SENDING)),
        Delivery.confirm_at.is_not(None),
    )


def _has(kept: Kept) -> ColumnElement[bool]:
    """Whether there is anything of the kind; rows go only after every file of the study has gone."""
    pixels = or_(
        exists().where(
            Series.study_id == Study.id, Series.pixels_purged_at.is_(None), Instance.series_id == Series.id
        ),
        exists().where(
            Series.study_id == Study.id, SetAside.series_id == Series.id, SetAside.leaves_at.is_(None)
        ),
        exists().where(
            Series.study_id == Study.id,
            Edit.series_id == Series.id,
            Edit.path != "",
            Edit.leaves_at.is_(None),
        ),
    )
    results = exists().where(
        Analysis.study_id == Study.id, Analysis.result_path.is_not(None), Analysis.results_purged_at.is_(None)
    )
    files = or_(
        exists().where(Series.study_id == Study.id, Instance.series_id == Series.id, Instance.path != ""),
        exists().where(Series.study_id == Study.id, SetAside.series_id == Series.id),
        exists().where(Series.study_id == Study.id, Edit.series_id == Series.id, Edit.path != ""),
        exists().where(Analysis.study_id == Study.id, Analysis.result_path.is_not(None)),
    )
    return {Kept.PIXELS: pixels, Kept.RESULTS: results, Kept.ROWS: ~files}[kept]


def mark_pixels(session: Session, study_id: int, *, until: datetime, now: datetime) -> None:
    """Say that the images of a study are gone; their files are taken away after the commit."""
    for series_id in session.scalars(
        update(Series)
        .where(
            Series.study_id == study_id,
            Series.pixels_purged_at.is_(None),
            # Said again here, because an image may open a series without the lock on its study.
            Series.state == SeriesState.CLOSED,
            Series.last_at <= until,
        )
        .values(pixels_purged_at=now)
        .returning(Series.id)
    ).all():
        add_event(session, "pixels_purged", at=now, series_id=series_id)
    conflicts.let_study_go(session, study_id, now=now)
    edit_files.let_study_go(session, study_id, now=now)
    _audit(session, "pixels_purged", study_id, now=now)


def mark_results(session: Session, study_id: int, *, now: datetime) -> None:
    """Say that the files of a study's results are gone; they are taken away after the commit."""
    for analysis_id in session.scalars(
        update(Analysis)
        .where(
            Analysis.study_id == study_id,
            Analysis.result_path.is_not(None),
            Analysis.results_purged_at.is_(None),
        )
        .values(results_purged_at=now)
        .returning(Analysis.id)
    ).all():
        add_event(session, "results_purged", at=now, analysis_id=analysis_id)
    _audit(session, "results_purged", study_id, now=now)


def pictures_to_remove(session: Session, *, after: int, limit: int) -> list[tuple[int, str]]:
    """Analysis id and folder of all attempts at purged images, as long as one of these may still be there."""
    shown = (
        AnalysisInput.analysis_id == Analysis.id,
        AnalysisInput.series_id == Series.id,
        Series.pixels_purged_at.is_not(None),
        Instance.series_id == Series.id,
        Instance.path != "",
    )
    rows = session.execute(
        select(Analysis.id, Analysis.result_path)
        .where(
            Analysis.id > after,
            exists().where(*shown),
            ~exists().where(LegalHold.study_id == Analysis.study_id),
        )
        .order_by(Analysis.id)
        .limit(limit)
    )
    return [(row.id, attempts_folder(row.id, row.result_path)) for row in rows]


def attempts_folder(analysis_id: int, result_path: str | None) -> str:
    """Folder below HOME of all attempts at an analysis; one that died left files that no row names."""
    return f"results/{analysis_id}" if result_path is None else result_path.rpartition("/")[0]


def images_to_remove(session: Session, *, after: int, limit: int) -> list[tuple[int, str]]:
    """Id and path of images of purged series whose files may still be there; their series are locked.

    While the lock is held no image of them can be taken in again.
    """
    series = session.scalars(
        select(Series.id)
        .where(
            Series.pixels_purged_at.is_not(None),
            exists().where(Instance.series_id == Series.id, Instance.path != "", Instance.id > after),
            ~exists().where(LegalHold.study_id == Series.study_id),
        )
        .order_by(Series.id)
        .limit(limit)
        .with_for_update()
    ).all()
    rows = session.execute(
        select(Instance.id, Instance.path)
        .join(Series)
        .where(
            Series.id.in_(series),
            Series.pixels_purged_at.is_not(None),
            Instance.path != "",
            Instance.id > after,
        )
        .order_by(Instance.id)
        .limit(limit)
    )
    return [(row.id, row.path) for row in rows]


def images_removed(session: Session, instance_ids: Sequence[int]) -> None:
    """Say that these files are gone."""
    session.execute(update(Instance).where(Instance.id.in_(instance_ids)).values(path=""))


def results_to_remove(session: Session, *, after: int, limit: int) -> list[tuple[int, str]]:
    """Analysis id and folder of purged results whose files may still be there."""
    rows = session.execute(
        select(Analysis.id, Analysis.result_path)
        .where(
            Analysis.results_purged_at.is_not(None),
            Analysis.result_path.is_not(None),
            Analysis.id > after,
            ~exists().where(LegalHold.study_id == Analysis.study_id),
        )
        .order_by(Analysis.id)
        .limit(limit)
    )
    return [(row.id, row.result_path) for row in rows if row.result_path is not None]


def results_removed(session: Session, analysis_ids: Sequence[int]) -> None:
    """Say that these folders are gone."""
    session.execute(update(Analysis).where(Analysis.id.in_(analysis_ids)).values(result_path=None))


def keeps_files(session: Session, study_id: int) -> bool:
    """Whether rows of a study still name a file: it came meanwhile, or cannot be removed. Locks the study."""
    lock_study(session, study_id)
    return session.scalar(select(Study.id).where(Study.id == study_id, ~_has(Kept.ROWS))) is not None


def backfill_of(study_id: int) -> ColumnElement[bool]:
    """Lines of the back-fill that name a study, by its UID or its accession number."""
    uid = select(Study.study_uid).where(Study.id == study_id)
    accession = select(Study.accession_number).where(Study.id == study_id, Study.accession_number != "")
    return or_(
        and_(Backfill.kind == "study", Backfill.value.in_(uid)),
        and_(Backfill.kind == "accession", Backfill.value.in_(accession)),
    )


def steps_of(study_id: int) -> Select[int]:
    """Performed procedure steps that made a series of a study."""
    series = select(Series.series_uid).where(Series.study_id == study_id)
    return select(PerformedSeries.step_id).where(PerformedSeries.series_uid.in_(series)).distinct()


def delete_study(session: Session, study_id: int, *, now: datetime) -> None:
    """Take out every row of a study but those of the audit record."""
    analyses = select(Analysis.id).where(Analysis.study_id == study_id)
    series = select(Series.id).where(Series.study_id == study_id)
    outputs = select(Output.id).where(Output.analysis_id.in_(analyses))
    # A step is of one patient: what it says of another study's series is evidence alone.
    steps = session.scalars(steps_of(study_id)).all()
    session.execute(
        update(Analysis).where(Analysis.supersedes_id.in_(analyses)).values(supersedes_id=None),
        execution_options={"synchronize_session": False},
    )
    for statement in (
        delete(Event).where(or_(Event.analysis_id.in_(analyses), Event.series_id.in_(series))),
        delete(Delivery).where(Delivery.output_id.in_(outputs)),
        delete(Review).where(Review.analysis_id.in_(analyses)),
        delete(FlagHandling).where(FlagHandling.analysis_id.in_(analyses)),
        delete(ReplayOrder).where(ReplayOrder.analysis_id.in_(analyses)),
        delete(Output).where(Output.analysis_id.in_(analyses)),
        delete(AnalysisInput).where(AnalysisInput.analysis_id.in_(analyses)),
        delete(PopulationRow).where(PopulationRow.analysis_id.in_(analyses)),
        delete(Analysis).where(Analysis.study_id == study_id),
        delete(SetAside).where(SetAside.series_id.in_(series)),
        delete(Edit).where(Edit.series_id.in_(series)),
        delete(PerformedSeries).where(PerformedSeries.step_id.in_(steps)),
        delete(PerformedStep).where(PerformedStep.id.in_(steps)),
        delete(Instance).where(Instance.series_id.in_(series)),
        delete(Series).where(Series.study_id == study_id),
        delete(Backfill).where(backfill_of(study_id)),
        delete(Study).where(Study.id == study_id),
    ):
        session.execute(statement, execution_options={"synchronize_session": False})
    _audit(session, "rows_purged", study_id, now=now)


def _audit(
    session: Session,
    action: str,
    study_id: int,
    *,
    now: datetime,
    actor: str = "service",
    address: str | None = None,
) -> None:
    record(
        session, at=now, actor=actor, action=action, object_type="study", object_id=study_id, address=address
    )


def set_hold(
    session: Session, study_id: int, *, reason: str, actor: str, now: datetime, address: str | None = None
) -> None:
    """Keep everything of a study from now on, and write it in the audit record; a second changes the reason.

    Raises InvalidRequest without a reason.
    """
    if not reason.strip():
        raise InvalidRequest("A hold needs a reason.", reason="no_reason")
    lock_study(session, study_id)
    row = session.get(LegalHold, study_id) or LegalHold(study_id=study_id)
    row.reason, row.actor, row.at = reason.strip()[:256], actor, now
    session.add(row)
    _unmark(session, study_id)
    _audit(session, "hold_set", study_id, now=now, actor=actor, address=address)


def _unmark(session: Session, study_id: int) -> None:
    """Take back marks whose files have not been taken away yet."""
    kept_images = exists().where(Instance.series_id == Series.id, Instance.path != "")
    session.execute(
        update(Series).where(Series.study_id == study_id, kept_images).values(pixels_purged_at=None),
        execution_options={"synchronize_session": False},
    )
    session.execute(
        update(Analysis)
        .where(Analysis.study_id == study_id, Analysis.result_path.is_not(None))
        .values(results_purged_at=None),
        execution_options={"synchronize_session": False},
    )
    conflicts.keep_study(session, study_id)
    edit_files.keep_study(session, study_id)


def release_hold(
    session: Session, study_id: int, *, actor: str, now: datetime, address: str | None = None
) -> None:
    """Let the study go the way of the others again; raises InvalidRequest when there is no hold."""
    row = session.get(LegalHold, study_id)
    if row is None:
        raise InvalidRequest("There is no hold on this study.", reason="no_hold")
    session.delete(row)
    _audit(session, "hold_released", study_id, now=now, actor=actor, address=address)


def study_id_of(session: Session, study_uid: str) -> int | None:
    """The row of a study by its UID."""
    return session.scalar(select(Study.id).where(Study.study_uid == study_uid))


def list_holds(session: Session, *, after: int | None = None, limit: int | None = None) -> list[HoldFacts]:
    """Holds by the order in which their studies came, from behind the study of that number."""
    statement = (
        select(LegalHold.study_id, Study.study_uid, LegalHold.reason, LegalHold.actor, LegalHold.at)
        .join(Study, Study.id == LegalHold.study_id)
        .where(LegalHold.study_id > (after or 0))
        .order_by(LegalHold.study_id)
        .limit(limit)
    )
    return [
        HoldFacts(study_id=number, study_uid=uid, reason=reason, actor=actor, at=at)
        for number, uid, reason, actor, at in session.execute(statement)
    ]


def newest_event(session: Session, *, before: datetime) -> datetime | None:
    """When the last thing happened before a time; None where nothing did."""
    return session.scalar(select(func.max(Event.at)).where(Event.at < before))


def kept_files(session: Session) -> list[tuple[str, str]]:
    """Path below the spool and SHA-256 of every image that is still kept."""
    rows = session.execute(
        select(Instance.path, Instance.sha256)
        .join(Series)
        .where(Instance.path != "", Series.pixels_purged_at.is_(None))
        .order_by(Instance.id)
    )
    beside = (*conflicts.kept_files(session), *edit_files.kept_files(session))
    return [*((row.path, row.sha256) for row in rows), *beside]


def kept_objects(session: Session) -> list[tuple[str, str]]:
    """Path below HOME and SHA-256 of every object of a result that is still kept."""
    rows = session.execute(
        select(Output.path, Output.sha256)
        .join(Analysis)
        .where(Analysis.result_path.is_not(None), Analysis.results_purged_at.is_(None))
        .order_by(Output.id)
    )
    return [(row.path, row.sha256) for row in rows]


def kept_results(session: Session) -> list[str]:
    """Folders below HOME of every result that is still kept, and of what told that it is withdrawn."""
    kept = (
        Analysis.result_path.is_not(None),
        Analysis.results_purged_at.is_(None),
        Analysis.state != AnalysisState.RUNNING,
    )
    results = session.scalars(select(Analysis.result_path).where(*kept).order_by(Analysis.id)).all()
    withdrawals = session.scalars(
        select(Output.path)
        .join(Analysis)
        .where(*kept, Output.withdrawal.is_(True))
        .order_by(Analysis.id, Output.id)
    ).all()
    folders = dict.fromkeys(path.rpartition("/")[0] for path in withdrawals)
    return [*(path for path in results if path is not None), *folders]
