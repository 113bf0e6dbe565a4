"""The verb "replay as ordered": what a person asked for on a page, made in the worker's confined process."""

import logging
import shutil
from dataclasses import replace
from datetime import timedelta

from service.core.activation import NOT_AS_ACTIVATED
from service.db import people, replays, rescoring
from service.db.replays import ReplayClaim
from service.db.session import Sessions, reading
from service.errors import InvalidRequest, LeaseLost, Reason, WorkerEnds
from service.pipeline.heartbeat import Heartbeat
from service.pipeline.job import Job, Outcome, Perform, trouble
from service.pipeline.replayable import compared_with, job_of, refuse, require_unharmed
from service.pipeline.run import Bench

log = logging.getLogger(__name__)

#: An order counts as abandoned after so many signs of life that did not come.
BEATS = 6
#: What another try would find again, although a runner says it.
FINAL = frozenset({"other_images"})


def run(sessions: Sessions, order_id: int, perform: Perform, bench: Bench) -> bool:
    """Make one ordered replay if nobody else does; whether it is done. It never raises for a fault of it."""
    with sessions.begin() as session:
        now = bench.clock()
        begun = replays.claim(session, order_id, now=now, until=now + _hold(bench))
    if begun is None:
        return False
    try:
        outcome = _perform(sessions, begun, perform, bench)
        return _finish(sessions, begun, bench, outcome=outcome)
    except LeaseLost:
        return False
    except WorkerEnds:
        with sessions.begin() as session:
            replays.give_back(session, begun, until=bench.clock(), counts=False)
        return False
    except Exception as error:  # noqa: BLE001 - whatever happened, the row says so or is tried again
        return _failed(sessions, begun, bench, _as_of_now(sessions, begun, bench, error))


def _perform(sessions: Sessions, begun: ReplayClaim, perform: Perform, bench: Bench) -> Outcome:
    """The run in a folder of this attempt alone, which is gone before anybody may begin another."""
    home = bench.home / "results" / str(begun.analysis_id)
    for left in home.glob(f"replay-{begun.id}-*"):
        shutil.rmtree(left, ignore_errors=True)
    out = home / f"replay-{begun.id}-{begun.attempt}"
    every = bench.terms.beat_seconds
    try:
        with Heartbeat(lambda: _beat(sessions, begun, bench), every_seconds=every) as heart:
            job = replace(_job(sessions, begun, bench), out=out)
            return perform(job, lambda: not heart.lost)
    finally:
        shutil.rmtree(out, ignore_errors=True)


def _as_of_now(sessions: Sessions, begun: ReplayClaim, bench: Bench, error: Exception) -> Exception:
    """The same error; where the images went while it ran, that is why, not what was found without them."""
    if trouble(error).code in FINAL:
        try:
            _job(sessions, begun, bench)
        except InvalidRequest as gone:
            return gone
    return error


def _failed(sessions: Sessions, begun: ReplayClaim, bench: Bench, error: Exception) -> bool:
    """Let it be tried again, or write down why it cannot be; whether it is done."""
    reason, now = trouble(error), bench.clock()
    facts = {"analysis_id": begun.analysis_id, "code": reason.code}
    if reason.code in NOT_AS_ACTIVATED:  # It waits for the file, as analyses do.
        log.warning("replay_waits", extra=facts)
        with sessions.begin() as session:
            replays.give_back(session, begun, until=now + bench.terms.retry_after, counts=False)
        return False
    log.error("replay_failed", exc_info=error, extra=facts)
    final = isinstance(error, InvalidRequest) or reason.code in FINAL
    if final or begun.attempt >= bench.terms.max_attempts:
        return _finish(sessions, begun, bench, reason=reason)
    with sessions.begin() as session:
        replays.give_back(session, begun, until=now + bench.terms.wait(begun.attempt))
    return False


def _hold(bench: Bench) -> timedelta:
    return timedelta(seconds=BEATS * bench.terms.beat_seconds)


def _beat(sessions: Sessions, begun: ReplayClaim, bench: Bench) -> bool:
    with sessions.begin() as session:
        return replays.beat(session, begun, until=bench.clock() + _hold(bench))


def _job(sessions: Sessions, begun: ReplayClaim, bench: Bench) -> Job:
    """The same run once more, and what it is compared with; raises InvalidRequest where that cannot be."""
    with reading(sessions) as session:
        found = rescoring.replayable(session, begun.analysis_id)
        if found is None:
            raise InvalidRequest("There is no analysis with this number.", reason="not_found")
        refuse(session, found, bench.home)
        job = job_of(session, found, bench.spool)
        tools = None if bench.in_force is None else bench.in_force.tools(session)
    require_unharmed(job, found.stored, bench.home)
    return replace(job, replayed=compared_with(found.stored, bench.home), tools=tools)


def _finish(
    sessions: Sessions,
    begun: ReplayClaim,
    bench: Bench,
    *,
    outcome: Outcome | None = None,
    reason: Reason | None = None,
) -> bool:
    """Write down what came of it: in the timeline and in the audit record, or why nothing did."""
    detail = None if outcome is None else outcome.replayed
    if detail is None and reason is None:
        reason = Reason("internal_fault", "The replay came back without an outcome.")
    now = bench.clock()
    with sessions.begin() as session:
        if not replays.finish(session, begun, reason=reason, now=now):
            return False
        if detail is not None:
            rescoring.note_replay(session, begun.analysis_id, detail=detail, now=now)
        people.record(
            session,
            at=now,
            actor=begun.actor,
            action="analysis_replayed",
            outcome="ok" if reason is None else "refused",
            object_type="analysis",
            object_id=begun.analysis_id,
            detail=detail if reason is None else {"code": reason.code},
        )
    return True
