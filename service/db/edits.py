"""Statements about segmentations that came back edited: kept, made a version of, or refused with a reason.

The row says what became of each. A version is made of it like a rerun; where the mask turns out not to be
usable that version counts as none, and the result that stood goes on to stand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from service import tracing
from service.core.inputset import FAT_ROLES
from service.core.status import TERMINAL, AnalysisState, OutputKind
from service.db import rescoring
from service.db.ledger import add_event, insert_unless_there, lock_study, lock_study_of
from service.db.optouts import plain
from service.db.people import record
from service.db.queries import Claim
from service.db.rescoring import Stored
from service.db.tables import Analysis, AnalysisInput, Edit, Instance, Output, Series, Study
from service.db.views import analysis_detail
from service.errors import EditRefused, InvalidRequest, Reason

#: What stands in the row of one that became a version.
TAKEN: Final = "taken"
#: Stands in the place of the version of an analysis that came to nothing.
NO_VERSION: Final = 0
#: After this withdrawal a corrected drawing is what is wanted; after others nothing about the images holds.
CORRECTABLE: Final = "wrong_drawing"
#: References are looked up in pieces, below what databases take in one statement.
PIECE: Final = 500
OTHER_PATIENT = Reason("edit_other_patient", "It names another patient than the images it lies on.")
OTHER_STUDY = Reason("edit_other_study", "It names another study than the images it lies on.")
OVERTAKEN = Reason("edit_overtaken", "Another version of the images came before it was measured.")
FAILED = Reason("edit_failed", "It could not be measured; the version says why.")


class Came(StrEnum):
    """What became of a segmentation when it arrived."""

    KEPT = "kept"
    #: The same bytes were here before.
    SAME = "same"
    #: Other bytes under an identifier that is taken, by an earlier one or by an object of ours.
    CONFLICT = "conflict"
    #: It lies on no image of ours.
    UNKNOWN = "unknown"
    #: It names another person or study than its images.
    MISMATCH = "mismatch"


@dataclass(frozen=True, kw_only=True)
class EditFacts:
    """One segmentation that came, and what it says of itself."""

    sop_instance_uid: str
    sop_class_uid: str
    study_uid: str
    patient_id: str
    issuer_of_patient_id: str
    birth_date: str
    sex: str
    #: Who sent it.
    peer: str
    #: Relative to the spool folder.
    path: str
    sha256: str
    size: int
    #: SOP instance UIDs of the images that it lies on.
    references: tuple[str, ...]


def arrive(session: Session, facts: EditFacts, *, now: datetime) -> Came:
    """Write down a segmentation, or say why its file is not wanted."""
    # Ours coming back unchanged was dropped at the door.
    ours = select(Output.id).where(Output.sop_instance_uid == facts.sop_instance_uid)
    if session.scalar(ours.limit(1)) is not None:
        return Came.CONFLICT
    seen = _series_of(session, facts.references)
    if seen is None:
        return Came.UNKNOWN
    lock_study(session, seen.study_id)
    # Who held the lock may have erased or reissued it.
    series = session.scalar(
        select(Series).where(Series.id == seen.id).execution_options(populate_existing=True)
    )
    if series is None:
        return Came.UNKNOWN
    again = _again(session, facts)
    if again is not None:
        return again
    reason = _mismatch(session, series, facts)
    values = {
        **{name: getattr(facts, name) for name in ("sop_instance_uid", "sop_class_uid", "peer")},
        **{name: getattr(facts, name) for name in ("sha256", "size")},
        "path": "" if reason else facts.path,
        "series_id": series.id,
        "received_at": now,
        "outcome": reason.code if reason else None,
        "reason_text": reason.text if reason else None,
        "decided_at": now if reason else None,
    }
    edit_id = insert_unless_there(session, Edit, values)
    if edit_id is None:  # It came meanwhile on images of another study.
        return _again(session, facts) or Came.CONFLICT
    name = "edit_refused" if reason else "edit_received"
    detail: dict[str, Any] = {"edit": edit_id, "peer": facts.peer}
    add_event(session, name, at=now, series_id=series.id, detail=detail)
    _audit(session, name, edit_id, reason, now=now, detail={"peer": facts.peer})
    return Came.MISMATCH if reason else Came.KEPT


def _again(session: Session, facts: EditFacts) -> Came | None:
    """What one is under whose identifier another came before; None where none did.

    The lock makes this and whoever takes the earlier file away take turns.
    """
    known = session.scalar(
        select(Edit).where(Edit.sop_instance_uid == facts.sop_instance_uid).with_for_update()
    )
    if known is None:
        return None
    if known.sha256 != facts.sha256:
        return Came.CONFLICT
    if known.path:
        return Came.SAME
    # No row names the file: it was not wanted then, or its images are gone with the time.
    return Came.MISMATCH if known.outcome in {OTHER_PATIENT.code, OTHER_STUDY.code} else Came.UNKNOWN


def _series_of(session: Session, references: Sequence[str]) -> Series | None:
    """The series of ours that the first known one of these images is in."""
    for start in range(0, len(references), PIECE):
        piece = references[start : start + PIECE]
        found = session.scalars(
            select(Series).join(Instance).where(Instance.sop_instance_uid.in_(piece)).limit(1)
        ).first()
        if found is not None:
            return found
    return None


def _mismatch(session: Session, series: Series, facts: EditFacts) -> Reason | None:
    """Whether it names another study or person than its images; what one of both leaves out agrees."""
    study_uid = session.scalar(select(Study.study_uid).where(Study.id == series.study_id))
    if study_uid != facts.study_uid:
        return OTHER_STUDY
    issuers = {plain(series.issuer_of_patient_id), plain(facts.issuer_of_patient_id)} - {""}
    pairs = ((series.birth_date, facts.birth_date), (series.sex, facts.sex))
    other = any(one and two and plain(one) != plain(two) for one, two in pairs)
    same = plain(series.patient_id) == plain(facts.patient_id) and len(issuers) < 2 and not other
    return None if same and not series.mixed_identity else OTHER_PATIENT


def _audit(
    session: Session,
    action: str,
    edit_id: int,
    reason: Reason | None,
    *,
    now: datetime,
    detail: dict[str, Any],
) -> None:
    code = {"code": reason.code} if reason else {}
    record(
        session,
        at=now,
        actor="service",
        action=action,
        outcome="refused" if reason else "ok",
        object_type="edit",
        object_id=edit_id,
        detail={**detail, **code},
    )


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A segmentation of which no version was made yet."""

    id: int
    #: Relative to the spool folder.
    path: str
    study_id: int
    #: The newest analysis of each stack of its series, and its segmentation below HOME if there is one.
    candidates: tuple[tuple[int, str | None], ...]


def waiting(session: Session, *, after: int = 0, limit: int = 20) -> list[Waiting]:
    """Segmentations that wait to become a version, in the order in which they came, from behind ``after``."""
    rows = session.execute(
        select(Edit.id, Edit.path, Edit.series_id, Series.study_id)
        .join(Series, Series.id == Edit.series_id)
        .where(Edit.outcome.is_(None), Edit.analysis_id.is_(None), Edit.id > after)
        .order_by(Edit.id)
        .limit(limit)
    ).all()
    return [
        Waiting(
            id=row.id, path=row.path, study_id=row.study_id, candidates=_candidates(session, row.series_id)
        )
        for row in rows
    ]


def _candidates(session: Session, series_id: int) -> tuple[tuple[int, str | None], ...]:
    rows = session.execute(
        select(AnalysisInput.stack, Analysis.id, Analysis.version)
        .join(Analysis)
        .where(AnalysisInput.series_id == series_id, AnalysisInput.role.not_in(FAT_ROLES))
        .order_by(Analysis.version, Analysis.id)
    ).all()
    newest = {row.stack: row.id for row in rows}
    segs: dict[int, str | None] = {}
    for stack, analysis_id in newest.items():
        mine = [row.id for row in rows if row.stack == stack]
        path = session.scalar(
            select(Output.path)
            .where(Output.analysis_id.in_(mine), Output.kind == OutputKind.SEG)
            .order_by(Output.analysis_id.desc(), Output.id)
            .limit(1)
        )
        segs[analysis_id] = path
    return tuple(segs.items())


def any_lost(session: Session) -> bool:
    """Whether the version of one came to nothing."""
    return session.execute(_lost().limit(1)).first() is not None


def _lost() -> Select[Edit, str]:
    return (
        select(Edit, Analysis.state)
        .join(Analysis, Analysis.id == Edit.analysis_id)
        .where(
            Edit.outcome.is_(None),
            Analysis.state.in_((AnalysisState.SUPERSEDED, AnalysisState.FAILED)),
        )
    )


def settle_lost(session: Session, *, now: datetime) -> int:
    """Write down what became of those whose version came to nothing; how many."""
    rows = session.execute(_lost().order_by(Edit.id).with_for_update(of=Edit)).all()
    for edit, state in rows:
        _decide(session, edit, OVERTAKEN if state == AnalysisState.SUPERSEDED else FAILED, now=now)
    return len(rows)


def _decide(session: Session, edit: Edit, reason: Reason, *, now: datetime) -> None:
    """Write down why it is not taken, on it and on the result that stands."""
    edit.outcome, edit.reason_text, edit.decided_at = reason.code, reason.text, now
    add_event(
        session,
        "edit_refused",
        at=now,
        series_id=edit.series_id,
        analysis_id=edit.corrects_id,
        detail={"edit": edit.id, "code": reason.code},
    )
    _audit(session, "edit_refused", edit.id, reason, now=now, detail={"peer": edit.peer})


def refuse(session: Session, edit_id: int, reason: Reason, *, now: datetime) -> None:
    """Say that no version is made of it, unless that is decided or another worker ordered one."""
    waits = (Edit.id == edit_id, Edit.outcome.is_(None), Edit.analysis_id.is_(None))
    edit = session.scalar(select(Edit).where(*waits).with_for_update())
    if edit is not None:
        _decide(session, edit, reason, now=now)


def order(session: Session, edit_id: int, analysis_id: int, *, now: datetime) -> int | None:
    """Make the next version READY, which measures the edited mask; None: it has to wait, or is decided.

    Raises EditRefused where there is nothing to correct. The earlier version stays the current result until
    the new one is published.
    """
    lock_study_of(session, analysis_id)
    edit = session.get(Edit, edit_id, populate_existing=True)
    detail = analysis_detail(session, analysis_id)
    if edit is None or detail is None or edit.outcome is not None or edit.analysis_id is not None:
        return None
    rows = [session.get_one(Analysis, version.id) for version in detail.versions or (detail,)]
    if any(AnalysisState(row.state) not in TERMINAL for row in rows):
        return None
    current = _standing(rows)
    basis = _basis(rows)
    newest = rows[-1]
    row = Analysis(
        study_id=current.study_id,
        input_digest=current.input_digest,
        version=newest.version + 1,
        supersedes_id=newest.id,
        edit_id=edit.id,
        state=AnalysisState.READY,
        # Objects are told apart by their time, and no object of a withdrawn result may come again.
        object_time=now,
        created_at=now,
        choice=current.choice,
        trace=tracing.continued(current.trace),
        inputs=[
            AnalysisInput(series_id=item.series_id, role=item.role, stack=item.stack)
            for item in current.inputs
        ],
    )
    session.add(row)
    session.flush()
    edit.analysis_id, edit.corrects_id = row.id, basis.id
    add_event(session, "edit_ordered", at=now, analysis_id=row.id, detail={"version": basis.version})
    return row.id


def _standing(rows: Sequence[Analysis]) -> Analysis:
    """The result whose drawing may be corrected; EditRefused where there is none."""
    measured = [row for row in rows if row.state == AnalysisState.MEASURED]
    if not measured:
        raise EditRefused("There is no measured result of these images.", reason="edit_no_drawing")
    current = measured[-1]
    if current.withdrawn_at is not None and current.withdrawal_reason != CORRECTABLE:
        raise EditRefused(
            "The result is withdrawn for another reason than its drawing.", reason="edit_withdrawn"
        )
    if any(item.series.pixels_purged_at is not None for item in current.inputs):
        raise EditRefused("The images were taken away after the time they are kept.", reason="pixels_purged")
    if ((current.finding or {}).get("series") or {}).get("stations"):
        raise EditRefused(
            "A scan in several stations has several segmentations; an edited one of them is not taken.",
            reason="edit_of_stations",
        )
    return current


def _basis(rows: Sequence[Analysis]) -> Analysis:
    """The newest version with a drawing of the network that is still kept."""
    drawn = [
        row
        for row in rows
        if row.finding is not None
        and row.finding["status"] == AnalysisState.MEASURED
        and row.finding.get("edited") is None
    ]
    if not drawn:
        raise EditRefused("There is no drawing of the network to compare with.", reason="edit_no_drawing")
    kept = [row for row in drawn if row.results_purged_at is None and row.result_path is not None]
    if not kept:
        raise EditRefused(
            "The objects were taken away after the time they are kept.", reason="results_purged"
        )
    return kept[-1]


@dataclass(frozen=True, kw_only=True)
class EditSource:
    """What a claimed version is to be made of."""

    peer: str
    sop_instance_uid: str
    #: Relative to the spool folder.
    path: str
    sha256: str
    #: The version of the network that it corrects, and the one that stands.
    basis: Stored
    current: Stored


def source_of(session: Session, analysis_id: int) -> EditSource | None:
    """What a claimed analysis measures where that is an edited mask; None where the network draws.

    Raises EditRefused where the result that it corrects does not stand any more.
    """
    edit = session.scalar(
        select(Edit)
        .join(Analysis, Analysis.edit_id == Edit.id)
        .where(Analysis.id == analysis_id, Analysis.rescores_id.is_(None))
    )
    if edit is None or edit.corrects_id is None:
        return None
    detail = analysis_detail(session, analysis_id)
    assert detail is not None, "it was claimed"
    rows = [session.get_one(Analysis, each.id) for each in detail.versions if each.id != analysis_id]
    current = _standing(rows)
    try:
        basis, standing = (rescoring.stored(session, each) for each in (edit.corrects_id, current.id))
    except InvalidRequest as error:
        raise EditRefused(error.reason.text, reason=error.reason.code) from error
    return EditSource(
        peer=edit.peer,
        sop_instance_uid=edit.sop_instance_uid,
        path=edit.path,
        sha256=edit.sha256,
        basis=basis,
        current=standing,
    )


def take_back(session: Session, claim: Claim, reason: Reason, *, now: datetime) -> bool:
    """Let the version of an edited mask that cannot be used be none; False where this attempt lost it.

    Its row stays for its timeline, but counts as no version of the images and blocks none.
    """
    held = session.scalar(
        select(Analysis)
        .where(
            Analysis.id == claim.analysis_id,
            Analysis.attempt == claim.attempt,
            Analysis.state == AnalysisState.RUNNING,
        )
        .with_for_update()
    )
    if held is None or held.edit_id is None or held.rescores_id is not None:
        return False
    edit = session.get_one(Edit, held.edit_id)
    edit.analysis_id = None
    held.version, held.input_digest = NO_VERSION, ""
    held.state, held.lease_owner, held.finished_at = AnalysisState.SUPERSEDED, None, now
    held.reason_code, held.reason_text = reason.code, reason.text
    detail = {"code": reason.code}
    add_event(session, "analysis_superseded", at=now, analysis_id=held.id, detail=detail)
    _decide(session, edit, reason, now=now)
    return True


def taken(
    session: Session,
    claim: Claim,
    *,
    case: Mapping[str, Any],
    network: str,
    contrast: str | None,
    now: datetime,
) -> None:
    """Write down that the version of an edited mask is published, and how far it agrees with the network."""
    edit = session.scalar(
        select(Edit)
        .join(Analysis, Analysis.edit_id == Edit.id)
        .where(Analysis.id == claim.analysis_id, Analysis.rescores_id.is_(None))
    )
    if edit is None:
        return
    edit.outcome, edit.decided_at = TAKEN, now
    edit.network, edit.contrast, edit.comparison = network[:160], contrast, dict(case)
    add_event(session, "edit_taken", at=now, analysis_id=edit.corrects_id, detail={"edit": edit.id})
    _audit(session, "edit_taken", edit.id, None, now=now, detail={"analysis": claim.analysis_id})
