"""The verb "commit": a sender asks whether we hold what it sent, and is told until it has heard.

To vouch for an object means here that its row is committed and its file lies in the spool, whole, until our
own retention takes it away. We are no archive: only peers whose setting says so may ask.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.db import commitments_in, people
from service.db.commitments_in import Asking, Held, Waiting
from service.db.session import Session, Sessions, reading
from service.dicom import committing
from service.dicom.callers import Caller
from service.dicom.committing import FailureReason, Holding, Notice, Question, Taken, Verdict
from service.dicom.dimse import Status
from service.dicom.scu import Address
from service.dicom.spool import Spool
from service.errors import PeerUnreachable, Reason
from service.pipeline import deliver

log = logging.getLogger(__name__)

#: Questions of one sender that may wait, and the objects in them: more are refused. Chosen by us: a sender
#: that cannot be told for a weekend asks some hundred times; a million objects take 130 MB of the database.
MOST_QUESTIONS, MOST_OBJECTS = 1000, 1_000_000
#: Questions answered over one association; chosen by us.
AT_A_TIME = 20
#: A question that is being answered is left alone for longer than the sender may think about it.
SLACK = timedelta(seconds=60)
#: Questions are forgotten after this time; chosen by us, so that the table stays small and no sender waits
#: for so long.
KEEP = timedelta(days=30)

NOT_TAKEN = Reason("report_refused", "The peer did not accept the report on its storage commitment.")


@dataclass(frozen=True, kw_only=True)
class Requester:
    """A peer that may ask."""

    name: str
    #: How long it may think about a report.
    answer_seconds: float
    #: It is told on an association of our own; without a port, only on the one that it asked on.
    has_port: bool


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How often and how patiently a sender is told."""

    delivery: deliver.Terms

    def next_at(self, attempts: int, now: datetime) -> datetime | None:
        """When to tell again after so many tries; None: not any more."""
        if attempts >= self.delivery.attempts:
            return None
        return now + deliver.wait(attempts, self.delivery)


def take(sessions: Sessions, peer: str, question: Question, *, now: datetime) -> Taken:
    """Write a question down; it is committed when this returns. One that waits already is not doubled."""
    its = {"peer": peer, "transaction_uid": question.transaction_uid, "digest": question.digest}
    with sessions.begin() as session:
        if not commitments_in.is_known(session, **its):
            waiting = commitments_in.load(session, peer)
            objects = waiting.objects + len(question.objects)
            if waiting.questions >= MOST_QUESTIONS or objects > MOST_OBJECTS:
                log.warning("commitments_too_many", extra={"peer": peer, "count": waiting.questions})
                return Taken(status=Status.RESOURCE_LIMITATION)
        request_id = commitments_in.ask(session, **its, objects=question.objects, now=now)
    facts = {"peer": peer, "request_id": request_id, "count": len(question.objects)}
    log.info("commitment_requested", extra=facts)
    return Taken(status=Status.SUCCESS, id=request_id)


def judge(spool: Spool, asking: Asking, here: Sequence[Held]) -> Verdict:
    """What we say to a question, by the rows of what is here and a look at its files."""
    if asking.reused:
        failed = dict.fromkeys(asking.objects, FailureReason.DUPLICATE_TRANSACTION)
    else:
        by_uid = {each.sop_instance_uid: each for each in here}
        reasons = {
            uid: committing.judge(sop_class_uid, _holding(spool, by_uid.get(uid)))
            for uid, sop_class_uid in asking.objects.items()
        }
        failed = {uid: reason for uid, reason in reasons.items() if reason is not None}
    return Verdict(transaction_uid=asking.transaction_uid, objects=asking.objects, failed=failed)


def _holding(spool: Spool, held: Held | None) -> Holding | None:
    """What lies here under one UID, with a look at the file; None also after retention took it."""
    if held is None or not held.path:
        return None
    try:
        kept = spool.path(held.path).stat().st_size == held.size
    except (OSError, ValueError):
        kept = False
    return Holding(sop_class_uid=held.sop_class_uid, kept=kept, disputed=held.disputed)


def hold(answer_seconds: float) -> timedelta:
    """How long a question is kept from others while its sender is being told."""
    return timedelta(seconds=answer_seconds) + SLACK


def run(
    sessions: Sessions,
    peer: str,
    address: Address,
    spool: Spool,
    *,
    terms: Terms,
    clock: Callable[[], datetime],
) -> int:
    """Tell one sender what it asked, over an association of our own; how many reports it took."""
    now = clock()
    with sessions.begin() as session:
        ids = commitments_in.claim(
            session, peer, now=now, again_at=now + hold(address.answer_seconds), limit=AT_A_TIME
        )
    if not ids:
        return 0
    telling = _Telling(sessions, peer, spool, terms, clock)
    answered, waiting = 0, list(ids)
    try:
        with committing.reporting_to(address) as tell:
            while waiting:
                answered += telling.tell(waiting[0], tell)
                waiting.pop(0)
    except PeerUnreachable as error:
        log.warning("peer_unreachable", extra={"peer": peer, "code": error.reason.code})
        for request_id in waiting:
            telling.not_taken(request_id, error.reason)
    return answered


@dataclass(frozen=True)
class _Telling:
    """One sender, while it is told."""

    _sessions: Sessions
    _peer: str
    _spool: Spool
    _terms: Terms
    _clock: Callable[[], datetime]

    def judge(self, request_id: int) -> Verdict | None:
        """What is to be told; None when that is over."""
        with reading(self._sessions) as session:
            asking = commitments_in.read(session, request_id)
            if asking is None:
                return None
            here = list(commitments_in.held(session, list(asking.objects)))
        return judge(self._spool, asking, here)

    def tell(self, request_id: int, tell: Callable[[Verdict], int]) -> bool:
        """Tell one verdict; whether the sender took it. Raises PeerUnreachable."""
        verdict = self.judge(request_id)
        return verdict is not None and self.told(request_id, verdict, tell(verdict))

    def told(self, request_id: int, verdict: Verdict, status: int) -> bool:
        """Write down what the sender answered to a report; whether it took it."""
        if status != Status.SUCCESS:
            log.warning("commitment_refused", extra={"peer": self._peer, "dimse_status": status})
            self.not_taken(request_id, NOT_TAKEN)
            return False
        now, failed = self._clock(), len(verdict.failed)
        counts = {"committed": len(verdict.objects) - failed, "failed": failed}
        with self._sessions.begin() as session:
            if commitments_in.note_answered(session, request_id, **counts, now=now):
                self._audit(session, "commitment_answered", request_id, ok=not failed, detail=counts, now=now)
        facts = {"peer": self._peer, "request_id": request_id, "count": len(verdict.objects)}
        log.info("commitment_answered", extra={**facts, "state": "failed" if failed else "committed"})
        return True

    def not_taken(self, request_id: int, reason: Reason) -> None:
        """The sender did not hear it: it is told again, or given up after the last try."""
        now = self._clock()
        with self._sessions.begin() as session:
            asking = commitments_in.read(session, request_id)
            if asking is None:
                return
            next_at = self._terms.next_at(asking.attempts, now)
            commitments_in.note_not_taken(session, request_id, code=reason.code, next_at=next_at)
            if next_at is None:
                detail = {"code": reason.code, "attempts": asking.attempts}
                self._audit(session, "commitment_given_up", request_id, ok=False, detail=detail, now=now)

    def _audit(
        self,
        session: Session,
        action: str,
        request_id: int,
        *,
        ok: bool,
        detail: Mapping[str, object],
        now: datetime,
    ) -> None:
        people.record(
            session,
            at=now,
            actor="service",
            action=action,
            outcome="ok" if ok else "refused",
            object_type="commitment",
            object_id=request_id,
            detail={"peer": self._peer, **detail},
        )


@dataclass(frozen=True)
class Desk:
    """Where the receiver takes senders' questions, and tells those that stay what nobody could tell them.

    It is what ``service.dicom.committing.Desk`` asks for.
    """

    sessions: Sessions
    spool: Spool
    terms: Terms
    #: The peer of the settings that a caller is.
    requester: Callable[[Caller], Requester]
    clock: Callable[[], datetime]

    def take(self, question: Question) -> Taken:
        """Write a question down; returns when it is committed."""
        peer = self.requester(question.caller).name
        return take(self.sessions, peer, question, now=self.clock())

    def look(self, caller: Caller, request_ids: Sequence[int]) -> tuple[list[int], Notice | None]:
        """Which of these questions are not answered yet, and what is to be told where they were asked.

        A peer with a port is told on an association of our own first.
        """
        requester = self.requester(caller)
        with reading(self.sessions) as session:
            waiting = commitments_in.waiting(session, request_ids)
        ready = [each for each in waiting if each.failed or not requester.has_port]
        return [each.id for each in waiting], self._notice(requester, ready[0]) if ready else None

    def _notice(self, requester: Requester, waiting: Waiting) -> Notice | None:
        """Take one question; None when somebody else is telling it."""
        with self.sessions.begin() as session:
            again_at = self.clock() + hold(requester.answer_seconds)
            if not commitments_in.claim_one(
                session, waiting.id, attempts=waiting.attempts, again_at=again_at
            ):
                return None
        verdict = self._telling(requester).judge(waiting.id)
        return None if verdict is None else Notice(id=waiting.id, verdict=verdict)

    def told(self, caller: Caller, notice: Notice, status: int) -> None:
        """What the sender answered to that."""
        self._telling(self.requester(caller)).told(notice.id, notice.verdict, status)

    def _telling(self, requester: Requester) -> _Telling:
        return _Telling(self.sessions, requester.name, self.spool, self.terms, self.clock)


def forget(sessions: Sessions, *, now: datetime) -> int:
    """Forget questions of long ago; how many."""
    with sessions.begin() as session:
        return commitments_in.forget(session, before=now - KEEP)
