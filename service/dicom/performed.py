"""Modality Performed Procedure Step as SCP (PS3.4, Annex F.7): a scanner says which images it made.

A scanner creates a step when it begins (N-CREATE) and sets it when it has ended (N-SET). Of a completed step
the images of each series are counted: the best evidence that a series is complete.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pydicom.uid import UID

from service.core.status import StepState
from service.dicom.bounded import parse_message
from service.dicom.callers import Caller
from service.dicom.dimse import Command, CommandField, Status
from service.dicom.frames import UID_LENGTH, UID_PATTERN
from service.dicom.headers import Attributes
from service.dicom.pdu import Context
from service.dicom.reporting import ListSink
from service.dicom.storing import MR_CLASSES
from service.errors import UnreadableSeries

log = logging.getLogger(__name__)

#: Modality Performed Procedure Step SOP Class (PS3.4 F.7.2.1).
PERFORMED_STEP: Final = "1.2.840.10008.3.1.2.3.3"
#: Performed Procedure Step Status (PS3.3 C.4.14).
STATES: Final = {
    "IN PROGRESS": StepState.IN_PROGRESS,
    "COMPLETED": StepState.COMPLETED,
    "DISCONTINUED": StepState.DISCONTINUED,
}
#: Images that one step may name. Chosen by us: twice those of the longest MR examination that was seen.
MOST_IMAGES: Final = 20_000
#: Room for so many items of two UIDs (PS3.5 7.5), and for what else a step says.
LARGEST_STEP: Final = 4 * 2**20
#: How the item of a sequence begins (PS3.5 7.5), by whether bytes are little-endian.
_ITEM: Final = {True: b"\xfe\xff\x00\xe0", False: b"\xff\xfe\xe0\x00"}
#: Steps are read one at a time, so that many large ones at once need the memory of one.
_READING = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Said:
    """What one N-CREATE or N-SET says of a step."""

    #: Who says it, as the allow-list knows it.
    caller: Caller
    step_uid: str
    #: N-CREATE, not N-SET.
    created: bool
    #: None where an N-SET leaves it as it is.
    state: StepState | None
    #: Images of the classes that are kept, by series UID; None where the message does not list any series.
    images: Mapping[str, int] | None


#: Writes down what was said, and gives the status of the answer when that is committed.
OnStep = Callable[[Said], int]


class StepSink(ListSink):
    """Takes the dataset of one N-CREATE or N-SET."""

    def __init__(self, command: Command, context: Context, *, caller: Caller, on_step: OnStep) -> None:
        super().__init__(LARGEST_STEP)
        self._command = command
        self._syntax = context.transfer_syntax
        self._caller = caller
        self._on_step = on_step

    def finish(self) -> int:
        """Hand it on; the answer (PS3.7, 10.1.3.1.9 and 10.1.5.1.10)."""
        status = self._refusal()
        if status is not None:
            return status
        try:
            with _READING:
                said = read_step(bytes(self.dataset), self._command, self._syntax, self._caller)
        except UnreadableSeries:
            log.warning("step_too_large", extra={"peer": self._caller.name})
            return Status.RESOURCE_LIMITATION
        except ValueError:
            log.warning("step_unreadable", extra={"peer": self._caller.name})
            return Status.INVALID_ATTRIBUTE_VALUE
        try:
            return self._on_step(said)
        except Exception:  # The edge of a thread: the scanner gets an answer and may say it again.
            log.exception("step_not_recorded")
            return Status.PROCESSING_FAILURE

    def _refusal(self) -> int | None:
        """What is wrong before the dataset is looked at."""
        if self._command.sop_class_uid != PERFORMED_STEP:
            return Status.NO_SUCH_SOP_CLASS
        if not _is_uid(self._command.sop_instance_uid):
            return Status.INVALID_SOP_INSTANCE
        return Status.RESOURCE_LIMITATION if self.too_long else None


def read_step(raw: bytes, command: Command, syntax: str, caller: Caller) -> Said:
    """What a message says, in an uncompressed transfer syntax.

    Raises UnreadableSeries when it names too many images, ValueError when it is no such message.
    """
    # Counted as bytes, before the parser makes a hundred times as much of each item.
    if raw.count(_ITEM[UID(syntax).is_little_endian]) > MOST_IMAGES:
        raise UnreadableSeries("The step names too many images.", reason="too_large")
    try:
        told = Attributes((parse_message(raw, UID(syntax)),))
        state = _state(told)
        images = _images(told)
    except UnreadableSeries:
        raise
    except Exception as error:  # Whatever the parser makes of foreign bytes.
        raise ValueError("this is no performed procedure step") from error
    created = command.field == CommandField.N_CREATE
    # A step begins in progress (PS3.4 table F.7.2-1).
    if created and state is not StepState.IN_PROGRESS:
        raise ValueError("a step begins in progress")
    return Said(caller=caller, step_uid=command.sop_instance_uid, created=created, state=state, images=images)


def _state(told: Attributes) -> StepState | None:
    """The state that is said, if any; raises ValueError for one that there is not."""
    text = told.code("PerformedProcedureStepStatus")
    if not text:
        return None
    if text not in STATES:
        raise ValueError("this is no status of a step")
    return STATES[text]


def _images(told: Attributes) -> dict[str, int] | None:
    """How many images of the classes that are kept each series has."""
    found: dict[str, set[str]] = {}
    series = told.items("PerformedSeriesSequence")
    for item in series:
        one = Attributes((item,))
        uid = one.text("SeriesInstanceUID")
        if _is_uid(uid):
            found.setdefault(uid, set()).update(_kept(one))
    return {uid: len(images) for uid, images in found.items() if images} if series else None


def _kept(series: Attributes) -> set[str]:
    """The images of a series that the receiver keeps; others may be sent and are not counted either."""
    images = [Attributes((item,)) for item in series.items("ReferencedImageSequence")]
    return {
        image.text("ReferencedSOPInstanceUID")
        for image in images
        if image.text("ReferencedSOPClassUID") in MR_CLASSES and image.text("ReferencedSOPInstanceUID")
    }


def _is_uid(text: str) -> bool:
    return len(text) <= UID_LENGTH and UID_PATTERN.fullmatch(text) is not None
