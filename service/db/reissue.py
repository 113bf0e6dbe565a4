"""An operator says that images which came again under another identity are the right ones.

What was kept beside takes the place of what is here, the rows follow, and the series are open again, so that
they are analysed as if they had just come. The replaced bytes stay aside: nothing is lost by it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.core.status import TERMINAL, Difference, SeriesState
from service.db import deliveries, population, versions, withdrawals
from service.db.ledger import IDENTITY, REOPENED, add_event, insert_unless_there, lock_study
from service.db.people import record
from service.db.shapes import RESULTS
from service.db.tables import Analysis, AnalysisInput, Instance, LegalHold, Series, SetAside, Study
from service.errors import InvalidRequest

#: What of a study changes when its images come under another identity.
_STUDY = (*IDENTITY, "patient_name", "accession_number", "study_date", "description")
#: What all images of a study must agree in to be one identity.
_WHOSE = ("study_uid", *IDENTITY, "patient_name", "accession_number", "study_date")
#: What an image and what lies beside it exchange.
_BYTES = ("path", "sha256", "size", "transfer_syntax_uid")


@dataclass(frozen=True, kw_only=True)
class Reissued:
    """What a person had reissued."""

    series: int
    #: Results that were taken back, because the images are of another study than they said.
    withdrawn: int


@dataclass(frozen=True, eq=False)
class _Change:
    """The newest other identity of one series."""

    series: Series
    whose: tuple[str, ...]
    series_uid: str
    #: The row to take the place of each image, by the id of the image.
    rows: dict[int, SetAside]
    #: Every image of the series is among them.
    whole: bool


def reissue(
    session: Session, analysis_id: int, *, actor: str, now: datetime, address: str | None = None
) -> Reissued | None:
    """Let what came again under another identity take the place of the images of a study; None: no analysis.

    All series of the study take part that came again as a whole under the identity of this analysis's own.
    Where they are of another study now, results that stand are withdrawn as of the wrong patient; else the
    new version supersedes. Raises InvalidRequest where nothing came again, or not all of it.
    """
    analysis = session.get(Analysis, analysis_id)
    if analysis is None:
        return None
    old_study = analysis.study
    lock_study(session, old_study.id)
    mine = {item.series_id for item in analysis.inputs}
    changes = _changes_of_study(session, old_study.id, mine)
    affected = _analyses_of(session, [change.series.id for change in changes])
    whose = dict(zip(_WHOSE, changes[0].whose, strict=True))
    moves = whose["study_uid"] != old_study.study_uid
    if moves:
        _require_whole(session, affected, changes)
    _stop(session, affected, now=now)
    withdrawn = _withdraw(session, affected, actor=actor, now=now, address=address) if moves else 0
    values = {name: getattr(next(iter(changes[0].rows.values())), name) for name in _STUDY}
    before = {name: getattr(old_study, name) for name in ("study_uid", *_STUDY)}
    study_id = _study(session, old_study, whose["study_uid"], values, now=now)
    if moves:
        for each in affected:
            each.study_id = study_id
        _hold_too(session, old_study.id, study_id)
    for change in changes:
        _exchange(session, change, before, study_id, now=now)
    # What still stands of either study may be of another person now.
    for each_id in (old_study.id, study_id):
        population.forget_study(session, each_id)
    record(
        session,
        at=now,
        actor=actor,
        action="identity_reissued",
        object_type="study",
        object_id=study_id,
        address=address,
        detail={"series": len(changes), "withdrawn": withdrawn, "moved": moves},
    )
    return Reissued(series=len(changes), withdrawn=withdrawn)


def _changes_of_study(session: Session, study_id: int, mine: set[int]) -> list[_Change]:
    """Series of the study that came again as a whole under one identity, those of the analysis first."""
    series = session.scalars(
        select(Series).where(Series.study_id == study_id).order_by(Series.id).with_for_update()
    ).all()
    found = [change for each in series if (change := _newest_change(session, each)) is not None]
    own = [change for change in found if change.series.id in mine]
    if not own:
        raise InvalidRequest(
            "These images did not come again under another identity.", reason="no_identity_change"
        )
    together = {(change.whose, change.whole) for change in own}
    if len(own) != len(mine) or together != {(own[0].whose, True)}:
        raise InvalidRequest(
            "Not all images came again under the other identity. Have the study sent again.",
            reason="identity_incomplete",
        )
    others = [
        change
        for change in found
        if change.series.id not in mine and change.whole and change.whose == own[0].whose
    ]
    taken = select(Series.id).where(Series.series_uid.in_([each.series_uid for each in (*own, *others)]))
    if set(session.scalars(taken)) - {each.series.id for each in (*own, *others)}:
        raise InvalidRequest(
            "Other images are here under the series of the new identity.", reason="series_taken"
        )
    return [*own, *others]


def _newest_change(session: Session, series: Series) -> _Change | None:
    """The identity under which images of a series came again last."""
    rows = session.scalars(
        select(SetAside)
        .where(
            SetAside.series_id == series.id,
            SetAside.difference == Difference.IDENTITY,
            SetAside.leaves_at.is_(None),
        )
        .order_by(SetAside.last_at, SetAside.id)
        .with_for_update()
    ).all()
    groups: dict[tuple[str, ...], dict[int, SetAside]] = defaultdict(dict)
    for row in rows:
        # The newest of each image counts.
        groups[(row.series_uid, *(getattr(row, name) for name in _WHOSE))][row.instance_id] = row
    if not groups:
        return None
    newest = rows[-1]
    series_uid, *whose = (newest.series_uid, *(getattr(newest, name) for name in _WHOSE))
    chosen = groups[(series_uid, *whose)]
    images = set(session.scalars(select(Instance.id).where(Instance.series_id == series.id)))
    return _Change(series, tuple(whose), series_uid, chosen, whole=images <= chosen.keys())


def _analyses_of(session: Session, series_ids: Sequence[int]) -> Sequence[Analysis]:
    """Every analysis that these series went into, newest first, as a worker locks them that publishes."""
    ids = select(AnalysisInput.analysis_id).where(AnalysisInput.series_id.in_(series_ids))
    return session.scalars(
        select(Analysis).where(Analysis.id.in_(ids)).order_by(Analysis.id.desc()).with_for_update()
    ).all()


def _require_whole(session: Session, affected: Sequence[Analysis], changes: Sequence[_Change]) -> None:
    """Raise where an analysis would lie in two studies."""
    series = {change.series.id for change in changes}
    partners = session.scalars(
        select(AnalysisInput.series_id).where(AnalysisInput.analysis_id.in_([each.id for each in affected]))
    )
    if set(partners) - series:
        raise InvalidRequest(
            "Not all images came again under the other identity. Have the study sent again.",
            reason="identity_incomplete",
        )


def _stop(session: Session, affected: Sequence[Analysis], *, now: datetime) -> None:
    """Let nothing be published any more that is made of the replaced images."""
    open_ids = [each.id for each in affected if each.state not in TERMINAL]
    versions.supersede(session, open_ids, now=now)
    deliveries.drop_unsent(session, open_ids, now=now)
    session.expire_all()


def _withdraw(
    session: Session, affected: Sequence[Analysis], *, actor: str, now: datetime, address: str | None
) -> int:
    """Take back the results that stand; how many."""
    standing = [each.id for each in affected if each.state in RESULTS and each.withdrawn_at is None]
    for analysis_id in standing:
        withdrawals.withdraw(
            session, analysis_id, reason="wrong_patient", actor=actor, now=now, address=address
        )
    return len(standing)


def _study(session: Session, old: Study, study_uid: str, values: dict[str, Any], *, now: datetime) -> int:
    """The row of the study that the images are of now; one that is there already keeps what it says."""
    if study_uid == old.study_uid:
        for name, value in values.items():
            setattr(old, name, value)
        return old.id
    insert_unless_there(session, Study, {**values, "study_uid": study_uid, "created_at": now})
    study_id = session.scalars(select(Study.id).where(Study.study_uid == study_uid)).one()
    lock_study(session, study_id)
    return study_id


def _hold_too(session: Session, old_id: int, new_id: int) -> None:
    """What nothing may be deleted of goes on being kept."""
    hold = session.get(LegalHold, old_id)
    if hold is not None and session.get(LegalHold, new_id) is None:
        session.add(LegalHold(study_id=new_id, reason=hold.reason, actor=hold.actor, at=hold.at))


def _exchange(
    session: Session, change: _Change, study: dict[str, Any], study_id: int, *, now: datetime
) -> None:
    """Let the images of a series and what lies beside them change places, and open the series again."""
    series = change.series
    person = {name: getattr(series, name) for name in (*IDENTITY, "series_uid")}
    before = {**study, **person}
    for image in session.scalars(select(Instance).where(Instance.series_id == series.id)).all():
        row = change.rows[image.id]
        for name in _BYTES:
            mine, theirs = getattr(image, name), getattr(row, name)
            setattr(image, name, theirs)
            setattr(row, name, mine)
        row.difference, row.detail = Difference.REPLACED, "reissued"
        for name, value in before.items():
            setattr(row, name, value)
    session.execute(
        update(Series)
        .where(Series.id == series.id)
        .values(
            study_id=study_id,
            series_uid=change.series_uid,
            state=SeriesState.RECEIVING,
            last_at=now,
            closed_at=None,
            completion_reason=None,
            mixed_identity=False,
            expected=None,
            counted_at=None,
            **_person(change),
        )
    )
    add_event(session, REOPENED, at=now, series_id=series.id)
    add_event(session, "identity_reissued", at=now, series_id=series.id, detail={"images": len(change.rows)})


def _person(change: _Change) -> dict[str, str]:
    """Whose images the series has now."""
    whose = dict(zip(_WHOSE, change.whose, strict=True))
    return {name: whose[name] for name in IDENTITY}
