"""Statements about results that are taken back: the order of a person, and what the peers are told.

The row says it first; the objects that tell the peers are made afterwards, outside any transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import Session, aliased

from service.core.status import (
    TERMINAL,
    WITHDRAWAL_REASONS,
    AnalysisState,
    DeliveryState,
    OutputKind,
    WithdrawalReason,
)
from service.db import deliveries
from service.db.deliveries import OutputFacts
from service.db.ledger import add_event, lock_study_of
from service.db.people import record
from service.db.shapes import RESULTS
from service.db.tables import Analysis, Delivery, Output
from service.db.views import analysis_detail
from service.errors import InvalidRequest, Reason

#: Why a version that was to score withdrawn measures again has no result.
SCORES_DROPPED: Final = Reason("withdrawn", "The result was withdrawn before its measures were scored again.")
#: What each peer is told with, in the order in which it is sent.
TOLD_WITH = (OutputKind.SR, OutputKind.KOS)


@dataclass(frozen=True, kw_only=True)
class WithdrawnSet:
    """The objects of one variant of a withdrawn result, as far as somebody was sent them."""

    #: Name of the variant; empty for what was made before variants had names.
    variant: str
    #: SOP class of its report.
    report_class_uid: str
    report_uid: str
    #: Relative to HOME.
    report_path: str
    #: The objects that were sent, relative to HOME.
    sent_paths: tuple[str, ...]
    #: Who was sent at least one of them.
    peers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Withdrawal:
    """A withdrawn result of which the peers are not told yet."""

    analysis_id: int
    reason: WithdrawalReason
    at: datetime
    sets: tuple[WithdrawnSet, ...]
    #: Its files were taken away after the time they are kept.
    purged: bool


def withdraw(
    session: Session,
    analysis_id: int,
    *,
    reason: str,
    actor: str,
    now: datetime,
    comment: str = "",
    address: str | None = None,
) -> bool:
    """Take a current result back; False when there is no such analysis.

    What was not sent is given up, and versions that wait or run begin anew, so that none of them makes the
    withdrawn objects again. Raises InvalidRequest unless it is a result that stands.
    """
    if reason not in WITHDRAWAL_REASONS:
        raise InvalidRequest("This is no reason of a withdrawal.", reason="unknown_withdrawal_reason")
    rows = lock_versions(session, analysis_id)
    analysis = next((row for row in rows if row.id == analysis_id), None)
    if analysis is None:
        return False
    if analysis.withdrawn_at is not None:
        raise InvalidRequest("This result is withdrawn already.", reason="already_withdrawn")
    if analysis.state not in RESULTS:
        raise InvalidRequest(f"This analysis is {analysis.state}.", reason="not_withdrawable")
    analysis.withdrawn_at, analysis.withdrawal_reason, analysis.withdrawn_by = now, reason, actor
    said = {"reason": reason}
    for other in rows:
        if other.state not in TERMINAL:
            other.state, other.lease_owner, other.not_before = AnalysisState.READY, None, None
            other.object_time = now
            if other.rescores_id is not None:
                # New scores of measures that are withdrawn are none; whoever measures again may go on.
                other.state = AnalysisState.SUPERSEDED
                other.reason_code, other.reason_text = SCORES_DROPPED.code, SCORES_DROPPED.text
                add_event(session, "analysis_superseded", at=now, analysis_id=other.id, detail=said)
    session.flush()
    deliveries.drop_withdrawn(session, analysis_id)
    # The comment is free text, so it stands where it goes with the study, and not in the audit record.
    event = {**said, "comment": comment.strip()} if comment.strip() else said
    add_event(session, "result_withdrawn", at=now, analysis_id=analysis_id, detail=event)
    record(
        session,
        at=now,
        actor=actor,
        action="result_withdrawn",
        object_type="analysis",
        object_id=analysis_id,
        address=address,
        detail=said,
    )
    return True


def lock_versions(session: Session, analysis_id: int) -> Sequence[Analysis]:
    """All versions of an analysis, newest first as a worker locks them that publishes; none: no analysis.

    Until the transaction ends nobody publishes, orders, withdraws or reviews one of them.
    """
    lock_study_of(session, analysis_id)
    detail = analysis_detail(session, analysis_id)
    if detail is None:
        return ()
    ids = {analysis_id, *(version.id for version in detail.versions)}
    newest_first = select(Analysis).where(Analysis.id.in_(ids)).order_by(Analysis.id.desc())
    return session.scalars(newest_first.with_for_update().execution_options(populate_existing=True)).all()


def untold(session: Session, *, limit: int = 100) -> list[int]:
    """Withdrawn results of which the peers are not told yet and nothing is on its way any more."""
    mine, same = aliased(Output), aliased(Output)
    under_way = exists(
        select(Delivery.id)
        .join(same, same.id == Delivery.output_id)
        .join(mine, mine.sop_instance_uid == same.sop_instance_uid)
        .where(mine.analysis_id == Analysis.id, Delivery.state == DeliveryState.SENDING)
        .correlate(Analysis)
    )
    return list(
        session.scalars(
            select(Analysis.id)
            .where(Analysis.withdrawn_at.is_not(None), Analysis.withdrawal_made_at.is_(None), ~under_way)
            .order_by(Analysis.id)
            .limit(limit)
        )
    )


def read(session: Session, analysis_id: int, *, preferred: Mapping[str, str]) -> Withdrawal | None:
    """What the peers are to be told of a withdrawn result; None when they were.

    ``preferred`` is the variant that each peer is meant to get.
    """
    analysis = session.scalar(
        select(Analysis).where(
            Analysis.id == analysis_id,
            Analysis.withdrawn_at.is_not(None),
            Analysis.withdrawal_made_at.is_(None),
        )
    )
    if analysis is None or analysis.withdrawn_at is None:
        return None
    return Withdrawal(
        analysis_id=analysis_id,
        reason=next(known for known in WITHDRAWAL_REASONS if known == analysis.withdrawal_reason),
        at=analysis.withdrawn_at,
        sets=_sets(session, analysis_id, preferred),
        purged=analysis.results_purged_at is not None,
    )


def _was_sent() -> ColumnElement[bool]:
    """Whether the peer has the object or may have it: it took it, or did not say what became of it."""
    return or_(Delivery.sent_at.is_not(None), Delivery.failures > 0)


def _sets(session: Session, analysis_id: int, preferred: Mapping[str, str]) -> tuple[WithdrawnSet, ...]:
    """The objects by variant, and who was sent which; an earlier version may have brought the same ones."""
    outputs = session.scalars(
        select(Output)
        .where(Output.analysis_id == analysis_id, Output.withdrawal.is_(False))
        .order_by(Output.id)
    ).all()
    same = aliased(Output)
    rows = session.execute(
        select(Output.id, Delivery.peer)
        .join(same, same.sop_instance_uid == Output.sop_instance_uid)
        .join(Delivery, Delivery.output_id == same.id)
        .where(Output.analysis_id == analysis_id, Output.withdrawal.is_(False), _was_sent())
    ).all()
    by_peer: dict[str, set[int]] = {}
    for row in rows:
        by_peer.setdefault(row.peer, set()).add(row.id)
    sent = set().union(*by_peer.values())
    told: dict[str, list[str]] = {}
    for peer in sorted(by_peer):
        mine = [_names(output) for output in outputs if output.id in by_peer[peer]]
        for variant in _variants_of(mine, preferred.get(peer)):
            told.setdefault(variant, []).append(peer)
    sets = []
    for variant, peers in told.items():
        whole = [output for output in outputs if variant in _names(output)]
        report = next((output for output in whole if output.kind == OutputKind.SR), None)
        if report is None:
            continue
        sets.append(
            WithdrawnSet(
                variant=variant,
                report_class_uid=report.sop_class_uid,
                report_uid=report.sop_instance_uid,
                report_path=report.path,
                sent_paths=tuple(output.path for output in whole if output.id in sent),
                peers=tuple(peers),
            )
        )
    return tuple(sets)


def _names(output: Output) -> tuple[str, ...]:
    """Names of the variants that an object belongs to."""
    return tuple(output.variants.split()) or ("",)


def _variants_of(objects: Sequence[tuple[str, ...]], preferred: str | None) -> list[str]:
    """The variants that a peer was sent, told by the names on each object that it was sent.

    An object that several variants share counts for one that is there anyway, else for the one that the peer
    is meant to get, else for the first.
    """
    found = list(dict.fromkeys(names[0] for names in objects if len(names) == 1))
    for names in objects:
        if not set(names) & set(found):
            found.append(preferred if preferred in names and preferred is not None else names[0])
    return found


def tell(
    session: Session,
    withdrawal: Withdrawal,
    made: Mapping[str, Sequence[OutputFacts]],
    *,
    now: datetime,
    failure: str | None = None,
) -> int:
    """Write down the objects of each variant and send them; how many deliveries.

    With a ``failure``, the code of why they cannot be made, only that is written down. Nothing happens when
    another worker was faster.
    """
    analysis = session.scalar(
        select(Analysis)
        .where(Analysis.id == withdrawal.analysis_id, Analysis.withdrawal_made_at.is_(None))
        .with_for_update()
    )
    if analysis is None:
        return 0
    analysis.withdrawal_made_at = now
    planned = 0
    detail: dict[str, str | int | None]
    for each in withdrawal.sets:
        if each.variant not in made:
            continue
        rows = deliveries.add_outputs(session, analysis.id, made[each.variant])
        for peer in each.peers:
            planned += len(deliveries.plan(session, rows, peer=peer, kinds=TOLD_WITH, now=now))
    name, detail = "withdrawal_not_told", {"code": failure}
    if failure is None:
        name = "withdrawal_told"
        detail = {"objects": sum(len(each) for each in made.values()), "deliveries": planned}
    add_event(session, name, at=now, analysis_id=analysis.id, detail=detail)
    record(
        session,
        at=now,
        actor="service",
        action=name,
        outcome="ok" if failure is None else "refused",
        object_type="analysis",
        object_id=analysis.id,
        detail=detail,
    )
    return planned
