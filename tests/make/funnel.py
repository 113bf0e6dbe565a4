"""Studies in random states, and where each received thing of them is, told row by row."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random

from sqlalchemy import select

from service.core.series import PARTNERS
from service.core.status import WITHDRAWAL_REASONS, AnalysisState, DeliveryState, SeriesState
from service.db.session import Session
from service.db.tables import Analysis, AnalysisInput, Delivery, Output, Series, Study

NOW = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
REASONS = {
    AnalysisState.NOT_ELIGIBLE: ("wrong_plane", "localizer", "opted_out"),
    AnalysisState.NOT_ASSESSABLE: ("plausible_area", "undecodable_pixels"),
    AnalysisState.FAILED: ("runner_crashed",),
    AnalysisState.READY: ("runner_memory", None),
}
FINISHED = {AnalysisState.MEASURED, AnalysisState.NOT_ASSESSABLE, AnalysisState.NOT_ELIGIBLE}


def scatter(session: Session, random: Random, *, studies: int) -> None:
    """Add studies with series and analyses in whatever state they may be."""
    for number in range(studies):
        study = Study(study_uid=f"1.2.{number}", created_at=NOW)
        session.add(study)
        session.flush()
        series = [add_series(session, study, random, each) for each in range(random.choice((1, 1, 2, 3)))]
        for stack in range(random.choice((0, 1, 1, 2))):
            _versions(session, study, series, stack, random)


def add_series(session: Session, study: Study, random: Random, number: int) -> Series:
    """A series that began to arrive in the last 40 days."""
    at = NOW - timedelta(hours=random.uniform(0, 24 * 40))
    closed = random.random() < 0.8
    row = Series(
        study_id=study.id,
        series_uid=f"{study.study_uid}.{number}",
        state=SeriesState.CLOSED if closed else SeriesState.RECEIVING,
        calling_ae=random.choice(("MR1", "MR2")),
        first_at=at,
        last_at=at,
        closed_at=at if closed else None,
    )
    session.add(row)
    session.flush()
    return row


def _versions(session: Session, study: Study, series: list[Series], stack: int, random: Random) -> None:
    """Versions of one input set: all but the last few superseded, as publishing leaves them."""
    roles = [("image", series[0])]
    if len(series) > 1 and random.random() < 0.6:
        roles = [("water", series[0]), ("fat", series[1])]
    count = random.choice((1, 1, 1, 2, 3))
    current = random.randint(0, count - 1)
    all_gone = random.random() < 0.1
    published = None
    for version in range(1, count + 1):
        last = version == count
        before = version - 1 < current or all_gone
        state = AnalysisState.SUPERSEDED if before else random.choice([*AnalysisState][:-1])
        # A result is published only after those before it were superseded.
        if not before and published is not None and state in FINISHED:
            state = random.choice(
                (AnalysisState.FAILED, AnalysisState.READY if last else AnalysisState.FAILED)
            )
        row = add_analysis(session, study, roles, stack, version, state, random)
        if state in FINISHED:
            published = row
        if state in (AnalysisState.MEASURED, AnalysisState.NOT_ASSESSABLE, AnalysisState.SUPERSEDED):
            _objects(session, row, random)


def add_analysis(
    session: Session,
    study: Study,
    roles: list[tuple[str, Series]],
    stack: int,
    version: int,
    state: AnalysisState,
    random: Random,
) -> Analysis:
    """One version in this state, with what goes with it."""
    told = state in (AnalysisState.MEASURED, AnalysisState.NOT_ASSESSABLE)
    withdrawn = told and random.random() < 0.2
    reason = random.choice(REASONS.get(state, (None,)))
    row = Analysis(
        study_id=study.id,
        input_digest="d",
        version=version,
        state=state,
        reason_code=reason,
        reason_text=None if reason is None else "Some sentence.",
        contrast="t1" if state == AnalysisState.MEASURED or (told and random.random() < 0.7) else None,
        flagged=state == AnalysisState.MEASURED and random.random() < 0.3,
        undecided=state == AnalysisState.READY and random.random() < 0.5,
        withdrawn_at=NOW if withdrawn else None,
        withdrawal_reason=random.choice(WITHDRAWAL_REASONS) if withdrawn else None,
        object_time=NOW,
        created_at=NOW,
        inputs=[AnalysisInput(series_id=each.id, role=role, stack=stack) for role, each in roles],
    )
    session.add(row)
    session.flush()
    return row


def _objects(session: Session, row: Analysis, random: Random) -> None:
    """Objects, which a version may share with the one before, and what became of each with each peer."""
    key = row.inputs[0]
    shared = 0 if random.random() < 0.5 else row.version
    for number in range(random.choice((0, 1, 2))):
        output = Output(
            analysis_id=row.id,
            kind="SR",
            sop_class_uid="1",
            sop_instance_uid=f"2.{key.series_id}.{key.stack}.{shared}.{number}",
            path="x",
            sha256="0",
            size=1,
            withdrawal=random.random() < 0.1,
        )
        session.add(output)
        session.flush()
        for peer in ("pacs", "viewer"):
            if random.random() < 0.7:
                state = random.choice([*DeliveryState, DeliveryState.CONFIRMED, DeliveryState.CONFIRMED])
                dead = state == DeliveryState.DEAD
                asked = state == DeliveryState.SENT and random.random() < 0.5
                session.add(
                    Delivery(
                        output_id=output.id,
                        analysis_id=None if output.withdrawal else output.analysis_id,
                        peer=peer,
                        state=state,
                        created_at=NOW,
                        confirm_at=NOW if asked else None,
                        error_code=random.choice(("other_variant", "store_refused")) if dead else None,
                    )
                )


def places(session: Session, *, since: datetime | None) -> Counter[tuple[str, str | None, bool]]:
    """Place, reason and whether a flag is raised, of each thing: the long way."""
    current = [row for row in session.scalars(select(Analysis)) if row.state != AnalysisState.SUPERSEDED]
    standing = [row for row in current if not _outdone(row, current)]
    found: Counter[tuple[str, str | None, bool]] = Counter()
    for row in standing:
        if since is None or any(item.series.first_at >= since for item in row.inputs):
            flagged = row.flagged and row.withdrawn_at is None
            found[(*_where(session, row), flagged)] += 1
    taken = {item.series_id for row in standing for item in row.inputs}
    for series in session.scalars(select(Series)):
        if series.id not in taken and (since is None or series.first_at >= since):
            found["arriving" if series.state == SeriesState.RECEIVING else "empty", None, False] += 1
    return found


def _stands(row: Analysis) -> bool:
    return row.state in FINISHED and row.withdrawn_at is None


def _outdone(row: Analysis, current: list[Analysis]) -> bool:
    mine = {(item.series_id, item.stack) for item in row.inputs if item.role not in PARTNERS}
    rivals = [
        other
        for other in current
        if other.id != row.id
        and mine & {(item.series_id, item.stack) for item in other.inputs if item.role not in PARTNERS}
    ]
    mine_key = (_stands(row), row.version, row.id)
    return any((_stands(other), other.version, other.id) > mine_key for other in rivals)


def _where(session: Session, row: Analysis) -> tuple[str, str | None]:
    if row.state in (AnalysisState.MEASURED, AnalysisState.NOT_ASSESSABLE):
        if row.contrast is None:
            return "unreadable", row.reason_code
        if row.withdrawn_at is not None:
            return "withdrawn", row.withdrawal_reason
    if row.state == AnalysisState.READY:
        return ("deciding" if row.undecided else "waiting"), None
    if row.state == AnalysisState.RUNNING:
        return "running", None
    if row.state != AnalysisState.MEASURED:
        return row.state, row.reason_code
    return _arrived(session, row), None


def _arrived(session: Session, row: Analysis) -> str:
    """How far the objects of a result are."""
    best: dict[tuple[str, str], int] = {}
    order = ["given_up", "held", "sending", "confirming", "stored", "confirmed"]
    for output in row.outputs:
        same = select(Output).where(Output.sop_instance_uid == output.sop_instance_uid)
        for other in session.scalars(same) if not output.withdrawal else ():
            for delivery in other.deliveries:
                name = _told(delivery)
                if name is not None:
                    pair = (output.sop_instance_uid, delivery.peer)
                    best[pair] = max(best.get(pair, 0), order.index(name))
    return order[min(best.values())] if best else "not_sent"


def _told(delivery: Delivery) -> str | None:
    if delivery.state == DeliveryState.DEAD:
        return None if delivery.error_code == "other_variant" else "given_up"
    if delivery.state == DeliveryState.HELD:
        return "held"
    if delivery.state == DeliveryState.SENT:
        return "stored" if delivery.confirm_at is None else "confirming"
    return "confirmed" if delivery.state == DeliveryState.CONFIRMED else "sending"
