"""Asking a peer whether it has what it was sent: storage commitment (PS3.4 Annex J) and C-FIND (Annex C).

A commitment is asked for with N-ACTION, and answered by N-EVENT-REPORT on the same association or on one
that the peer opens to our listener, now or hours later. ``read_report`` serves both.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from io import BytesIO
from pathlib import Path
from typing import cast

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.presentation import build_context

from service.dicom.bounded import parse_message
from service.dicom.scu import Address, associate
from service.errors import PeerUnreachable

log = logging.getLogger(__name__)

#: PS3.4 J.3.5 and J.3: the class, and its one well-known instance.
COMMITMENT_CLASS = "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
#: PS3.4 J.3.2: request storage commitment.
ACTION_TYPE = 1
#: PS3.4 J.3.3: everything is safe, or something is not.
EVENT_TYPES = frozenset({1, 2})
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
#: Some peers report on the association that asked. One that does not has this much of our time (chosen by
#: us: a local look-up takes milliseconds); it opens an association of its own then.
LINGER_SECONDS = 0.5
#: PS3.4 C.4.1.1.4: matches are supplied.
PENDING = frozenset({0xFF00, 0xFF01})


class EventStatus(IntEnum):
    """Answers to N-EVENT-REPORT (PS3.7, 10.1.1.1.8)."""

    SUCCESS = 0x0000
    NO_SUCH_EVENT_TYPE = 0x0113
    INVALID_ARGUMENT = 0x0115
    RESOURCE_LIMITATION = 0x0213


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One object, as it is spoken about."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a peer says of the objects of one transaction."""

    transaction_uid: str
    stored: tuple[str, ...]
    #: PS3.3 C.14.1.1: why not, by SOP instance UID.
    failed: dict[str, int]


#: Takes a report in; whether it belonged to something that this peer was asked.
OnReport = Callable[[Report], bool]


def request(
    references: Sequence[Reference], transaction_uid: str, address: Address, *, on_report: OnReport
) -> int:
    """Ask a peer to vouch for these objects; the status of its answer (0x0000: it will report).

    Raises PeerUnreachable when it could not be asked.
    """
    reported = threading.Event()

    def on_event(event: evt.Event) -> tuple[int, None]:
        status = _answer(event, on_report)
        reported.set()
        return status, None

    handlers: list[evt.EventHandlerType] = [(evt.EVT_N_EVENT_REPORT, on_event)]
    with associate(address, [build_context(COMMITMENT_CLASS)], handlers=handlers) as association:
        try:
            answer, _ = association.send_n_action(
                _question(references, transaction_uid),
                ACTION_TYPE,
                UID(COMMITMENT_CLASS),
                UID(COMMITMENT_INSTANCE),
            )
        except (RuntimeError, OSError) as error:
            raise PeerUnreachable("The peer broke off.", reason="no_answer") from error
        if "Status" not in answer:
            raise PeerUnreachable("The peer did not answer.", reason="no_answer")
        if answer.Status == 0:
            reported.wait(LINGER_SECONDS)
        return int(answer.Status)


def _question(references: Sequence[Reference], transaction_uid: str) -> Dataset:
    """The action information of the request (PS3.4 table J.3-1)."""
    dataset = Dataset()
    dataset.TransactionUID = transaction_uid
    dataset.ReferencedSOPSequence = [_item(reference) for reference in references]
    return dataset


def _item(reference: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return item


def _answer(event: evt.Event, on_report: OnReport) -> int:
    """The status for one N-EVENT-REPORT that the library received."""
    message = cast("N_EVENT_REPORT", event.request)
    raw = message.EventInformation.getvalue() if isinstance(message.EventInformation, BytesIO) else b""
    syntax = str(event.context.transfer_syntax)
    return handle_report(raw, message.EventTypeID, syntax=syntax, on_report=on_report)


def handle_report(raw: bytes, event_type: int | None, *, syntax: str, on_report: OnReport) -> int:
    """Take in one N-EVENT-REPORT of storage commitment; the status to answer.

    ``raw`` is the event information in an uncompressed transfer syntax. SUCCESS is answered when the
    rows are committed; anything else leaves them as they are.
    """
    if event_type not in EVENT_TYPES:
        return EventStatus.NO_SUCH_EVENT_TYPE
    try:
        report = read_report(raw, syntax=syntax)
    except ValueError:
        log.warning("commitment_unreadable")
        return EventStatus.INVALID_ARGUMENT
    try:
        known = on_report(report)
    except Exception:  # The edge of a foreign thread: the peer hears that we could not, and tells again.
        log.exception("commitment_not_recorded")
        return EventStatus.RESOURCE_LIMITATION
    return EventStatus.SUCCESS if known else EventStatus.INVALID_ARGUMENT


def read_report(raw: bytes, *, syntax: str) -> Report:
    """The event information of a report (PS3.4 table J.3-2). Raises ValueError when it is none."""
    try:
        dataset = parse_message(raw, UID(syntax))
        transaction = str(dataset.TransactionUID)
        stored = tuple(
            str(item.ReferencedSOPInstanceUID) for item in dataset.get("ReferencedSOPSequence") or ()
        )
        failed = {
            str(item.ReferencedSOPInstanceUID): int(item.get("FailureReason") or 0x0110)
            for item in dataset.get("FailedSOPSequence") or ()
        }
    except Exception as error:  # Whatever the parser makes of foreign bytes.
        raise ValueError("this is no report on a storage commitment") from error
    return Report(transaction_uid=transaction, stored=stored, failed=failed)


def find(paths: Sequence[Path], address: Address) -> dict[Path, bool]:
    """Whether the peer says by C-FIND that it has each of these objects.

    Raises PeerUnreachable when it gave no answer to that question.
    """
    with associate(address, [build_context(STUDY_ROOT_FIND)]) as association:
        found = {}
        for path in paths:
            wanted = _identifier(path)
            matches = []
            try:
                for status, match in association.send_c_find(wanted, UID(STUDY_ROOT_FIND)):
                    code = status.get("Status")
                    if code not in PENDING | {0x0000}:
                        raise PeerUnreachable("The peer did not answer C-FIND.", reason="query_failed")
                    if code in PENDING and match is not None:
                        matches.append(str(match.get("SOPInstanceUID", "")))
            except (RuntimeError, OSError) as error:
                raise PeerUnreachable("The peer broke off.", reason="no_answer") from error
            found[path] = str(wanted.SOPInstanceUID) in matches
        return found


def place(path: Path) -> tuple[str, str, str]:
    """Study, series and SOP instance UID of a file. Raises ValueError when it is no such file."""
    try:
        dataset = dcmread(
            path,
            stop_before_pixels=True,
            specific_tags=["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"],
        )
        return str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID), str(dataset.SOPInstanceUID)
    except (InvalidDicomError, AttributeError, OSError, EOFError) as error:
        raise ValueError("the file cannot be read") from error


def _identifier(path: Path) -> Dataset:
    """What is asked for: the one object, by the keys of all levels (PS3.4 C.4.1.3.1.1)."""
    study, series, instance = place(path)
    dataset = Dataset()
    dataset.QueryRetrieveLevel = "IMAGE"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = study, series, instance
    return dataset
