"""One N-EVENT-REPORT of a peer to us: whether it holds what it was asked to keep (PS3.4, Annex J)."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from service.dicom.callers import Caller
from service.dicom.dimse import Command, Status
from service.dicom.pdu import Context

log = logging.getLogger(__name__)

#: Storage Commitment Push Model SOP Class (PS3.4 J.3.5).
STORAGE_COMMITMENT: Final = "1.2.840.10008.1.20.1"
#: Room for some ten thousand references of 300 bytes; chosen by us.
LARGEST_REPORT: Final = 4 * 2**20


@dataclass(frozen=True, kw_only=True)
class Report:
    """A report as it came."""

    #: Who sent it, as the allow-list knows it.
    caller: Caller
    #: 1: everything is kept; 2: there are failures (PS3.4 Table J.3-5).
    event_type_id: int | None
    transfer_syntax_uid: str
    dataset: bytes


class ListSink:
    """Takes a dataset that lists objects, and keeps it in memory while it is not too long."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self.dataset = bytearray()
        self.too_long = False

    def write(self, piece: memoryview) -> None:
        """Keep it while it is not too long."""
        self.too_long = self.too_long or len(self.dataset) + len(piece) > self._largest
        if self.too_long:
            self.dataset.clear()
        else:
            self.dataset += piece

    def abandon(self) -> None:
        """The rest will not come; nothing was begun."""


class ReportSink(ListSink):
    """Takes the dataset of one report."""

    def __init__(
        self, command: Command, context: Context, *, caller: Caller, on_report: Callable[[Report], int]
    ) -> None:
        super().__init__(LARGEST_REPORT)
        self._command = command
        self._syntax = context.transfer_syntax
        self._caller = caller
        self._on_report = on_report

    def finish(self) -> int:
        """Hand the report on; the answer."""
        if self.too_long:
            return Status.RESOURCE_LIMITATION
        report = Report(
            caller=self._caller,
            event_type_id=self._command.event_type_id,
            transfer_syntax_uid=self._syntax,
            dataset=bytes(self.dataset),
        )
        try:
            return self._on_report(report)
        except Exception:  # The edge of a thread: the peer gets an answer and may report again.
            log.exception("report_failed")
            return Status.PROCESSING_FAILURE
