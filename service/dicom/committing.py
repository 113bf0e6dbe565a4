"""Storage commitment towards senders (PS3.4, Annex J): they ask by N-ACTION whether we hold what they sent.

The answer to N-ACTION says only that the question was understood and is written down. What we hold is told
by N-EVENT-REPORT, on an association of our own to the sender.
"""

import hashlib
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.dsutils import encode
from pynetdicom.presentation import build_context, build_role

from service.dicom.association import Telling
from service.dicom.bounded import parse_message
from service.dicom.callers import Caller
from service.dicom.commitment import ACTION_TYPE, COMMITMENT_CLASS, COMMITMENT_INSTANCE
from service.dicom.dimse import Command, Status
from service.dicom.pdu import LONGEST_UID, Context
from service.dicom.reporting import ListSink
from service.dicom.scu import Address, associate
from service.dicom.storing import MR_CLASSES
from service.errors import PeerUnreachable, UnreadableSeries

log = logging.getLogger(__name__)

#: Objects that one question may name. Chosen by us: twice the images of the longest MR study that was seen.
MOST_OBJECTS: Final = 10_000
#: Room for so many items of two UIDs (PS3.5 7.5): 160 bytes each with their headers, and some to spare.
LARGEST_QUESTION: Final = 2 * 2**20
#: PS3.4 table J.3-5.
ALL_KEPT, SOME_NOT = 1, 2
_UID = re.compile(r"[0-9.]+")
#: How the item of a sequence begins (PS3.5 7.5), by whether bytes are little-endian. No UID holds such bytes.
_ITEM = {True: b"\xfe\xff\x00\xe0", False: b"\xff\xfe\xe0\x00"}
#: Questions are read one at a time, so that many large ones at once need the memory of one.
_READING = threading.Lock()


class FailureReason(IntEnum):
    """Why we do not vouch for an object (PS3.3 C.14.1.1)."""

    #: Something that is in our hands: its file is gone, or other bytes lie here under the same UID.
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_INSTANCE = 0x0112
    CLASS_CONFLICT = 0x0119
    CLASS_NOT_SUPPORTED = 0x0122
    DUPLICATE_TRANSACTION = 0x0131


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a sender wants to know."""

    #: Who asks, as the allow-list knows it.
    caller: Caller
    transaction_uid: str
    #: SOP class UID by SOP instance UID.
    objects: Mapping[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 over the objects, in whatever order they came."""
        lines = (f"{uid}\t{self.objects[uid]}\n" for uid in sorted(self.objects))
        return hashlib.sha256("".join(lines).encode("ascii")).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What we say to one question."""

    transaction_uid: str
    #: SOP class UID by SOP instance UID, as they were asked about.
    objects: Mapping[str, str]
    #: Those of them that we do not vouch for.
    failed: Mapping[str, FailureReason]

    @property
    def event_type(self) -> int:
        """Everything is kept, or something is not."""
        return SOME_NOT if self.failed else ALL_KEPT


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of a question: the status of the answer, and its number if it was written down."""

    status: int
    id: int | None = None


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A verdict that is told on the association that the question came on."""

    #: Number of the question.
    id: int
    verdict: Verdict


class Desk(Protocol):
    """Where questions are taken, and what is to be told of them."""

    def take(self, question: Question) -> Taken:
        """Write a question down; returns when it is committed."""

    def look(self, caller: Caller, request_ids: Sequence[int]) -> tuple[list[int], Notice | None]:
        """Which of these questions are not answered yet, and what is to be told where they were asked."""

    def told(self, caller: Caller, notice: Notice, status: int) -> None:
        """The status that the sender answered to that with."""


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What lies here under one SOP instance UID."""

    sop_class_uid: str
    #: Its file is there, whole and to stay until its retention.
    kept: bool
    #: Other bytes came under the same UID, and it is not settled which of them are right.
    disputed: bool


def judge(sop_class_uid: str, holding: Holding | None) -> FailureReason | None:
    """Why we do not vouch for an object, None when we do."""
    if holding is None:
        known = sop_class_uid in MR_CLASSES
        return FailureReason.NO_SUCH_INSTANCE if known else FailureReason.CLASS_NOT_SUPPORTED
    if holding.sop_class_uid != sop_class_uid:
        return FailureReason.CLASS_CONFLICT
    if holding.disputed or not holding.kept:
        return FailureReason.PROCESSING_FAILURE
    return None


class QuestionSink(ListSink):
    """Takes the dataset of one N-ACTION."""

    def __init__(
        self, command: Command, context: Context, *, caller: Caller, on_question: Callable[[Question], Taken]
    ) -> None:
        super().__init__(LARGEST_QUESTION)
        self._command = command
        self._syntax = context.transfer_syntax
        self._caller = caller
        self._on_question = on_question

    def finish(self) -> int:
        """Hand the question on; the answer (PS3.7, 10.1.4.1.10)."""
        status = self._refusal()
        if status is not None:
            return status
        try:
            with _READING:
                question = read_question(bytes(self.dataset), syntax=self._syntax, caller=self._caller)
        except UnreadableSeries:
            log.warning("commitment_too_large", extra={"peer": self._caller.name})
            return Status.RESOURCE_LIMITATION
        except ValueError:
            log.warning("commitment_unreadable", extra={"peer": self._caller.name})
            return Status.INVALID_ARGUMENT
        try:
            return self._on_question(question).status
        except Exception:  # The edge of a thread: the sender gets an answer and may ask again.
            log.exception("commitment_not_recorded")
            return Status.PROCESSING_FAILURE

    def _refusal(self) -> int | None:
        """What is wrong before the dataset is looked at."""
        if self._command.sop_class_uid != COMMITMENT_CLASS:
            return Status.NO_SUCH_SOP_CLASS
        if self._command.sop_instance_uid != COMMITMENT_INSTANCE:
            return Status.NO_SUCH_SOP_INSTANCE
        if self._command.action_type_id != ACTION_TYPE:
            return Status.NO_SUCH_ACTION
        return Status.RESOURCE_LIMITATION if self.too_long else None


class Promises:
    """What was asked on one association, and its sender may be told there."""

    def __init__(self, desk: Desk, caller: Caller) -> None:
        self._desk = desk
        self._caller = caller
        self._open: list[int] = []
        self._context: Context | None = None
        self._notice: Notice | None = None

    def sink(self, command: Command, context: Context) -> QuestionSink:
        """Where the dataset of an N-ACTION goes."""

        def take(question: Question) -> Taken:
            taken = self._desk.take(question)
            if taken.id is not None:
                self._context = context
                self._open = [*(number for number in self._open if number != taken.id), taken.id]
            return taken

        return QuestionSink(command, context, caller=self._caller, on_question=take)

    @property
    def waiting(self) -> bool:
        """Whether anything that was asked may be told here."""
        return bool(self._open)

    def next(self) -> Telling | None:
        """What is to be told now, while the sender is silent."""
        self._open, self._notice = self._desk.look(self._caller, self._open)
        if self._notice is None or self._context is None:
            return None
        syntax = UID(self._context.transfer_syntax)
        verdict = self._notice.verdict
        return Telling(
            context=self._context,
            sop_class_uid=COMMITMENT_CLASS,
            sop_instance_uid=COMMITMENT_INSTANCE,
            event_type_id=verdict.event_type,
            dataset=encode(report_of(verdict), syntax.is_implicit_VR, syntax.is_little_endian) or b"",
        )

    def told(self, status: int) -> None:
        """What the sender answered to that."""
        if self._notice is not None:
            self._desk.told(self._caller, self._notice, status)
            self._open = [number for number in self._open if number != self._notice.id]
            self._notice = None


def read_question(raw: bytes, *, syntax: str, caller: Caller) -> Question:
    """The action information of a request (PS3.4 table J.3-1), in an uncompressed transfer syntax.

    Raises UnreadableSeries when it names too many objects, ValueError when it is no such request.
    """
    # Counted as bytes, before the parser makes a hundred times as much of each item.
    if raw.count(_ITEM[UID(syntax).is_little_endian]) > MOST_OBJECTS:
        raise UnreadableSeries("The request names too many objects.", reason="too_large")
    try:
        dataset = parse_message(raw, UID(syntax))
        transaction = _uid(dataset.TransactionUID)
        items = list(dataset.ReferencedSOPSequence)
        pairs = [(_uid(item.ReferencedSOPInstanceUID), _uid(item.ReferencedSOPClassUID)) for item in items]
    except UnreadableSeries:
        raise
    except Exception as error:  # Whatever the parser makes of foreign bytes.
        raise ValueError("this is no request for a storage commitment") from error
    objects = dict(pairs)
    if not objects or any(objects[uid] != sop_class for uid, sop_class in pairs):
        raise ValueError("the request names nothing, or one object under two classes")
    return Question(caller=caller, transaction_uid=transaction, objects=objects)


def _uid(value: object) -> str:
    """A UID (PS3.5 9.1); raises ValueError where it is none."""
    text = str(value)
    if len(text) > LONGEST_UID or not _UID.fullmatch(text):
        raise ValueError("this is no UID")
    return text


def report_of(verdict: Verdict) -> Dataset:
    """The event information of a report (PS3.4 table J.3-2)."""
    dataset = Dataset()
    dataset.TransactionUID = verdict.transaction_uid
    kept, failed = [], []
    for uid, sop_class_uid in verdict.objects.items():
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, uid
        reason = verdict.failed.get(uid)
        if reason is None:
            kept.append(item)
        else:
            item.FailureReason = int(reason)
            failed.append(item)
    if kept:
        dataset.ReferencedSOPSequence = kept
    if failed:
        dataset.FailedSOPSequence = failed
    return dataset


@contextmanager
def reporting_to(address: Address) -> Iterator[Callable[[Verdict], int]]:
    """An association on which a sender is told; each call gives the status of its answer.

    We propose ourselves as the provider of the class (PS3.7 D.3.3.4), and tell also a peer that takes the
    class without a word on roles. Raises PeerUnreachable, also from the calls.
    """
    contexts = [build_context(COMMITMENT_CLASS)]
    roles = [build_role(COMMITMENT_CLASS, scp_role=True)]
    with associate(address, contexts, roles=roles) as association:

        def tell(verdict: Verdict) -> int:
            try:
                answer, _ = association.send_n_event_report(
                    report_of(verdict), verdict.event_type, UID(COMMITMENT_CLASS), UID(COMMITMENT_INSTANCE)
                )
            except (RuntimeError, OSError) as error:
                raise PeerUnreachable("The peer broke off.", reason="no_answer") from error
            if "Status" not in answer:
                raise PeerUnreachable("The peer did not answer.", reason="no_answer")
            return int(answer.Status)

        yield tell
