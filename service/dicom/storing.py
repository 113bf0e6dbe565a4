"""One C-STORE: the dataset goes to the spool as it comes, and is answered when it is safe.

SUCCESS is a promise to the sender that it may forget the image, so it is given only after both the
file and its row are safe.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final, Protocol

from service.dicom.association import Refuse, Sink
from service.dicom.callers import Caller
from service.dicom.dimse import Command
from service.dicom.instance import InstanceIdentity, peek_identity, read_identity
from service.dicom.pdu import Context
from service.dicom.spool import Incoming, Kept, Spool
from service.errors import SpoolFull, UnreadableSeries

log = logging.getLogger(__name__)

#: MR Image, Enhanced MR Image, Legacy Converted Enhanced MR Image Storage (PS3.4, B.5).
MR_CLASSES: Final = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.4",
        "1.2.840.10008.5.1.4.1.1.4.1",
        "1.2.840.10008.5.1.4.1.1.4.4",
    }
)
#: What our own results are, and come back as: Segmentation, Enhanced, Comprehensive and Comprehensive 3D SR,
#: Secondary Capture, Encapsulated PDF.
RESULT_CLASSES: Final = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.66.4",
        "1.2.840.10008.5.1.4.1.1.66.7",
        "1.2.840.10008.5.1.4.1.1.11.1",
        "1.2.840.10008.5.1.4.1.1.88.59",
        "1.2.840.10008.5.1.4.1.1.88.22",
        "1.2.840.10008.5.1.4.1.1.88.33",
        "1.2.840.10008.5.1.4.1.1.88.34",
        "1.2.840.10008.5.1.4.1.1.7",
        "1.2.840.10008.5.1.4.1.1.104.1",
    }
)
#: Segmentation and Label Map Segmentation Storage, which come back edited from some peers.
SEG_CLASSES: Final = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
#: Reason code of an object that is not the one its request names.
MISMATCH: Final = "uid_mismatch"
#: ... and of one of another study than those that were announced.
OTHER_STUDY: Final = "other_study"
#: Kept in memory of each object: the identity of most lies in it. Chosen by us.
HEAD_BYTES: Final = 64 * 1024
#: Of an object that is not kept as a file, and of one whose identity lies far behind: no header is larger.
LONG_HEAD_BYTES: Final = 4 * 2**20


class StoreStatus(IntEnum):
    """Answers to C-STORE (PS3.4 B.2.3, PS3.7 Annex C)."""

    SUCCESS = 0x0000
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    OUT_OF_RESOURCES = 0xA700
    MISMATCH = 0xA900
    CANNOT_UNDERSTAND = 0xC000
    #: PS3.18 table I.2-2; a C-STORE in such a syntax has no presentation context.
    SYNTAX_NOT_SUPPORTED = 0xC122


class Refused(StrEnum):
    """What is counted when an object is not kept."""

    OWN_RESULT = "own_results_dropped"
    UNWANTED_REFUSED = "unwanted_refused"
    UNWANTED_DISCARDED = "unwanted_discarded"
    UNREADABLE = "instances_unreadable"
    TOO_LARGE = "instances_too_large"
    NO_ROOM = "instances_refused_disk"
    FAULT = "instances_failed"
    EDIT_AGAIN = "edits_again"
    EDIT_UNKNOWN = "edits_of_unknown_images"
    EDIT_MISMATCH = "edits_of_another_patient"
    EDIT_CONFLICT = "edits_in_conflict"


@dataclass(frozen=True, kw_only=True)
class Received:
    """One image that is safe in the spool."""

    identity: InstanceIdentity
    transfer_syntax_uid: str
    calling_ae: str
    kept: Kept


class Edits(Protocol):
    """Takes edited segmentations (``service.dicom.edited_store``)."""

    def begin(self, command: Command, context: Context, *, caller: Caller, storing: "Storing") -> Sink:
        """Where the dataset of one goes."""


@dataclass(frozen=True, kw_only=True)
class Storing:
    """What a C-STORE needs beside its request."""

    spool: Spool
    #: Returns when the row is committed.
    on_instance: Callable[[Received], object]
    on_refused: Callable[[Refused], None]
    #: Larger objects are refused.
    largest_bytes: int
    #: Objects of another study are refused; None takes them all.
    only_study: str | None = None
    #: Takes edited segmentations of peers that may send them; None: nobody may.
    edits: Edits | None = None


def begin_store(
    command: Command, context: Context, *, caller: Caller, calling_ae: str, storing: Storing
) -> Sink:
    """Where the dataset of one C-STORE goes; whatever is wrong with it becomes the answer."""
    sop_class = command.sop_class_uid
    if sop_class not in MR_CLASSES:
        return _no_image(command, context, caller, storing)
    try:
        incoming = storing.spool.begin(
            sop_class_uid=sop_class,
            sop_instance_uid=command.sop_instance_uid,
            transfer_syntax_uid=context.transfer_syntax,
        )
    except UnreadableSeries as error:
        log.warning("instance_refused", extra={"code": error.reason.code})
        return Refusal(StoreStatus.CANNOT_UNDERSTAND, Refused.UNREADABLE, storing)
    except SpoolFull:
        return Refusal(StoreStatus.OUT_OF_RESOURCES, Refused.NO_ROOM, storing)
    except OSError:
        log.exception("spool_unwritable")
        return Refusal(StoreStatus.OUT_OF_RESOURCES, Refused.NO_ROOM, storing)
    return _Image(command, context, calling_ae=calling_ae, incoming=incoming, storing=storing)


def _no_image(command: Command, context: Context, caller: Caller, storing: Storing) -> Sink:
    """Where an object goes that is not measured."""
    if command.sop_class_uid not in RESULT_CLASSES:
        return Refusal(*unwanted(caller), storing)
    if command.sop_class_uid in SEG_CLASSES and caller.may_edit and storing.edits is not None:
        return storing.edits.begin(command, context, caller=caller, storing=storing)
    return _Result(context, caller, storing)


def unwanted(caller: Caller) -> tuple[StoreStatus, Refused]:
    """What this peer is told about objects that no rule can use."""
    if caller.unwanted == "discard":
        return StoreStatus.SUCCESS, Refused.UNWANTED_DISCARDED
    return StoreStatus.SOP_CLASS_NOT_SUPPORTED, Refused.UNWANTED_REFUSED


def count_refused(storing: Storing, status: StoreStatus, refused: Refused) -> StoreStatus:
    """Count what is not kept; a courtesy, which the answer does not wait for."""
    log.info("instance_not_kept", extra={"reason": refused.value, "dimse_status": int(status)})
    try:
        storing.on_refused(refused)
    except Exception:  # Counting is a courtesy, the answer is not.
        log.exception("refusal_not_counted")
    return status


class Refusal(Refuse):
    """An object that is not kept, whatever it holds."""

    def __init__(self, status: StoreStatus, refused: Refused, storing: Storing) -> None:
        super().__init__(status)
        self._because = (status, refused)
        self._storing = storing

    def finish(self) -> int:
        """Count it, and give the answer."""
        return count_refused(self._storing, *self._because)


class _Result:
    """An object of a class that our own results have: ours are dropped, others are not wanted."""

    def __init__(self, context: Context, caller: Caller, storing: Storing) -> None:
        self._syntax = context.transfer_syntax
        self._caller = caller
        self._storing = storing
        self._head = bytearray()

    def write(self, piece: memoryview) -> None:
        """Keep the beginning."""
        if len(self._head) < LONG_HEAD_BYTES:
            self._head += piece

    def finish(self) -> int:
        """Whose it is decides the answer."""
        try:
            ours = read_identity(bytes(self._head), self._syntax).own_result
        except UnreadableSeries as error:
            log.warning("instance_refused", extra={"code": error.reason.code})
            return count_refused(self._storing, StoreStatus.CANNOT_UNDERSTAND, Refused.UNREADABLE)
        if ours:
            return count_refused(self._storing, StoreStatus.SUCCESS, Refused.OWN_RESULT)
        return count_refused(self._storing, *unwanted(self._caller))

    def abandon(self) -> None:
        """Nothing was begun."""


class Spooled:
    """An object on its way into the spool: written as it comes, kept at the end, and answered."""

    def __init__(
        self, command: Command, context: Context, *, incoming: Incoming, storing: Storing, largest_bytes: int
    ) -> None:
        self._named = (command.sop_class_uid, command.sop_instance_uid)
        self._syntax = context.transfer_syntax
        self._incoming = incoming
        self._storing = storing
        self._largest_bytes = largest_bytes
        self._size = 0
        self._refused: tuple[StoreStatus, Refused] | None = None

    def write(self, piece: memoryview) -> None:
        """Write it through."""
        if self._refused is not None:
            return
        self._size += len(piece)
        if self._size > self._largest_bytes:
            self._give_up(StoreStatus.CANNOT_UNDERSTAND, Refused.TOO_LARGE)
            return
        try:
            self._incoming.write(piece)
        except (SpoolFull, OSError):
            log.exception("spool_unwritable")
            self._give_up(StoreStatus.OUT_OF_RESOURCES, Refused.NO_ROOM)

    def finish(self) -> int:
        """Make it safe; the answer."""
        if self._refused is None:
            try:
                self._keep()
            except UnreadableSeries as error:
                log.warning("instance_refused", extra={"code": error.reason.code})
                mismatch = error.reason.code in {MISMATCH, OTHER_STUDY}
                status = StoreStatus.MISMATCH if mismatch else StoreStatus.CANNOT_UNDERSTAND
                self._give_up(status, Refused.UNREADABLE)
            except (SpoolFull, OSError):
                log.exception("spool_unwritable")
                self._give_up(StoreStatus.OUT_OF_RESOURCES, Refused.NO_ROOM)
            except Exception:  # The edge of a thread: the sender gets an answer and tries again.
                log.exception("store_failed")
                self._give_up(StoreStatus.OUT_OF_RESOURCES, Refused.FAULT)
        return StoreStatus.SUCCESS if self._refused is None else count_refused(self._storing, *self._refused)

    def abandon(self) -> None:
        """The sender went away in the middle."""
        self._incoming.abandon()

    def _keep(self) -> None:
        """Keep the file, then have its row written; what may not stay is given up or raises."""
        raise NotImplementedError

    def _give_up(self, status: StoreStatus, refused: Refused) -> None:
        """Leave no half file behind, and remember the answer."""
        self._refused = (status, refused)
        self._incoming.abandon()

    def _require_announced(self, identity: InstanceIdentity) -> None:
        """Raise UnreadableSeries unless it is the object that was announced."""
        if self._named != (identity.sop_class_uid, identity.sop_instance_uid):
            raise UnreadableSeries("The request names another object than it carries.", reason=MISMATCH)
        if self._storing.only_study not in {None, identity.study_uid}:
            raise UnreadableSeries("The object is of another study than was announced.", reason=OTHER_STUDY)


class _Image(Spooled):
    """An MR image on its way into the spool."""

    def __init__(
        self, command: Command, context: Context, *, calling_ae: str, incoming: Incoming, storing: Storing
    ) -> None:
        super().__init__(
            command, context, incoming=incoming, storing=storing, largest_bytes=storing.largest_bytes
        )
        self._calling_ae = calling_ae
        self._head = bytearray()

    def write(self, piece: memoryview) -> None:
        """Write it through, and hold its beginning."""
        super().write(piece)
        if self._refused is None and len(self._head) < HEAD_BYTES:
            self._head += piece[:HEAD_BYTES]

    def _keep(self) -> None:
        """The file first, then the row."""
        self._incoming.hurry()
        identity = self._identity()
        if identity.own_result:
            self._give_up(StoreStatus.SUCCESS, Refused.OWN_RESULT)
            return
        self._require_announced(identity)
        kept = self._incoming.keep()
        self._storing.on_instance(
            Received(
                identity=identity, transfer_syntax_uid=self._syntax, calling_ae=self._calling_ae, kept=kept
            )
        )

    def _identity(self) -> InstanceIdentity:
        """From the beginning that is in memory, or from more of it, read back."""
        found = peek_identity(self._head, self._syntax)
        if found is not None:
            return found
        whole = self._size <= len(self._head)
        head = bytes(self._head) if whole else self._incoming.read_back(LONG_HEAD_BYTES)
        return read_identity(head, self._syntax)
