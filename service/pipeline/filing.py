"""The verb "take in" for DICOM files: by the web door, or from a folder, the same way as by C-STORE."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path

from service.db.ledger import Recorded
from service.db.session import Sessions
from service.dicom.callers import Caller
from service.dicom.edited_store import EditDoor
from service.dicom.filing import FileSink, meta_of
from service.dicom.spool import Spool
from service.dicom.storing import Received, Refused, Storing
from service.errors import ServiceError, SpoolFull
from service.pipeline import edited_intake, intake

#: Stands on series that came from a folder, where others have the AE title of their sender.
INGEST = "ingest"
#: What the name of a program begins with that calls with a key.
KEY = "key:"
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Files:
    """Takes files in; many may come at a time."""

    spool: Spool
    #: Returns when the row is committed.
    on_instance: Callable[[Received], object]
    on_refused: Callable[[Refused], None]
    #: Larger objects are refused.
    largest_bytes: int
    #: Takes edited segmentations of these senders; None: nobody's.
    edits: EditDoor | None = None
    editors: frozenset[str] = frozenset()

    def begin(self, *, sender: str, only_study: str | None = None) -> FileSink:
        """Where the bytes of one file go; ``sender`` stands on its series as an AE title would."""
        storing = Storing(
            spool=self.spool,
            on_instance=self.on_instance,
            on_refused=self.on_refused,
            largest_bytes=self.largest_bytes,
            only_study=only_study,
            edits=self.edits,
        )
        name = sender.removeprefix(KEY)
        caller = Caller(name=name, ae_title=sender, host="", may_edit=name in self.editors)
        return FileSink(storing, caller=caller, calling_ae=sender)


def files(sessions: Sessions, spool: Spool, *, largest_bytes: int, editors: Iterable[str] = ()) -> Files:
    """The way in for files into one installation.

    ``editors`` are the peers whose edited segmentations are taken; a key stands for the peer of its name.
    """
    return Files(
        spool=spool,
        on_instance=intake.Recorder(sessions, spool).record,
        on_refused=partial(intake.count_refused, sessions),
        largest_bytes=largest_bytes,
        edits=EditDoor(edited_intake.taker(sessions)),
        editors=frozenset(editors),
    )


class Taken(StrEnum):
    """What became of one file of a folder."""

    ACCEPTED = "accepted"
    SAME = "same again"
    CONFLICT = "conflict"
    OWN_RESULT = "own result"
    UNWANTED = "not wanted"
    UNREADABLE = "not readable"


_TAKEN: dict[Recorded | Refused, Taken] = {
    Recorded.NEW: Taken.ACCEPTED,
    Recorded.RETURNED: Taken.ACCEPTED,
    Recorded.DUPLICATE: Taken.SAME,
    Recorded.CONFLICT: Taken.CONFLICT,
    Refused.OWN_RESULT: Taken.OWN_RESULT,
    Refused.UNWANTED_REFUSED: Taken.UNWANTED,
    Refused.UNREADABLE: Taken.UNREADABLE,
    Refused.TOO_LARGE: Taken.UNREADABLE,
}


class Ingest:
    """Takes files of folders in, one after the other; the folders stay as they are."""

    def __init__(self, sessions: Sessions, spool: Spool, *, largest_bytes: int) -> None:
        self._sessions = sessions
        #: What became of the file at hand.
        self._became: Recorded | Refused | None = None
        self._spool = spool
        self._files = Files(
            spool=spool,
            on_instance=self._on_instance,
            on_refused=self._on_refused,
            largest_bytes=largest_bytes,
        )

    def take(self, path: Path) -> Taken:
        """Take one file in, as if it had been sent as what its dataset says that it is.

        Raises SpoolFull when there is no room, and ServiceError when the row could not be written.
        """
        sink, meta = self._files.begin(sender=INGEST), meta_of(path)
        try:
            with path.open("rb") as stream:
                if meta is not None:
                    sink.begin(meta)
                    stream.seek(meta.end)
                while chunk := stream.read(CHUNK_BYTES):
                    sink.write(memoryview(chunk))
        except OSError:
            sink.abandon()
            return Taken.UNREADABLE
        sink.finish()
        if self._became is Refused.NO_ROOM:
            raise SpoolFull("Not enough space is free for images.")
        if self._became is None or self._became not in _TAKEN:
            raise ServiceError("An image could not be written down; the log says why.", reason="not_recorded")
        return _TAKEN[self._became]

    def _on_instance(self, received: Received) -> None:
        self._became = intake.record_instance(self._sessions, self._spool, received, now=datetime.now(UTC))

    def _on_refused(self, refused: Refused) -> None:
        self._became = refused
        intake.count_refused(self._sessions, refused)


def walk(paths: Iterable[Path]) -> Iterator[Path]:
    """Every file at or below the paths in a fixed order; links to folders are not followed."""
    for path in paths:
        if path.is_file():
            yield path
        for folder, inner, names in os.walk(path):
            inner.sort()
            yield from (file for name in sorted(names) if (file := Path(folder, name)).is_file())
