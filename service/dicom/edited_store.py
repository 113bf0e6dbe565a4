"""One C-STORE of a segmentation by a peer whose edited ones are taken: kept like an image, then written down.

Whose it is, and whether it lies on images of ours, says the ledger; what it holds is looked at later, where
images are decoded.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from service.dicom.association import Sink
from service.dicom.bounded import Allowance, unfold
from service.dicom.callers import Caller
from service.dicom.dimse import Command
from service.dicom.headers import (
    HEADER_ERRORS,
    LARGEST_IDENTITY_BYTES,
    Attributes,
    parse_encoded,
    quiet,
)
from service.dicom.identity import is_own_result
from service.dicom.instance import LAST_TAG, InstanceIdentity, read_identity
from service.dicom.pdu import Context
from service.dicom.spool import Incoming, Kept
from service.dicom.storing import (
    LONG_HEAD_BYTES,
    Refusal,
    Refused,
    Spooled,
    StoreStatus,
    Storing,
    unwanted,
)
from service.errors import SpoolFull, UnreadableSeries

log = logging.getLogger(__name__)

#: So many images are looked up; chosen by us, above any stack that is measured.
MOST_REFERENCES: Final = 20_000
#: A larger segmentation is refused. Chosen by us: four segments of 512 slices of 1024 x 1024, a bit for each
#: voxel, take 268 MB.
LARGEST_BYTES: Final = 512 * 2**20


@dataclass(frozen=True, kw_only=True)
class ReceivedEdit:
    """One segmentation that is safe in the spool."""

    identity: InstanceIdentity
    #: Name of the peer in the settings.
    peer: str
    kept: Kept
    #: SOP instance UIDs of the images that it lies on.
    references: tuple[str, ...]


#: Writes one down; None: it is kept, else why its file is not wanted.
OnEdit = Callable[[ReceivedEdit], Refused | None]
#: What the sender is told of one that is not kept.
ANSWERS: Final = {
    Refused.EDIT_AGAIN: StoreStatus.SUCCESS,
    Refused.EDIT_CONFLICT: StoreStatus.MISMATCH,
    Refused.EDIT_MISMATCH: StoreStatus.MISMATCH,
}


@dataclass(frozen=True)
class EditDoor:
    """Takes segmentations in (``Storing.edits``)."""

    on_edit: OnEdit

    def begin(self, command: Command, context: Context, *, caller: Caller, storing: Storing) -> Sink:
        """Where the dataset of one goes."""
        try:
            incoming = storing.spool.begin(
                sop_class_uid=command.sop_class_uid,
                sop_instance_uid=command.sop_instance_uid,
                transfer_syntax_uid=context.transfer_syntax,
            )
        except UnreadableSeries as error:
            log.warning("instance_refused", extra={"code": error.reason.code})
            return Refusal(StoreStatus.CANNOT_UNDERSTAND, Refused.UNREADABLE, storing)
        except (SpoolFull, OSError):
            log.exception("spool_unwritable")
            return Refusal(StoreStatus.OUT_OF_RESOURCES, Refused.NO_ROOM, storing)
        return _Edit(
            command, context, caller=caller, incoming=incoming, storing=storing, on_edit=self.on_edit
        )


class _Edit(Spooled):
    """A segmentation on its way into the spool."""

    def __init__(
        self,
        command: Command,
        context: Context,
        *,
        caller: Caller,
        incoming: Incoming,
        storing: Storing,
        on_edit: OnEdit,
    ) -> None:
        largest = min(storing.largest_bytes, LARGEST_BYTES)
        super().__init__(command, context, incoming=incoming, storing=storing, largest_bytes=largest)
        self._caller = caller
        self._on_edit = on_edit

    def _keep(self) -> None:
        """The file first, then the row; a file that no row wants goes again."""
        head = self._incoming.read_back(LONG_HEAD_BYTES)
        identity, references, ours = read_edit(head, self._syntax)
        if ours:
            self._give_up(StoreStatus.SUCCESS, Refused.OWN_RESULT)
            return
        self._require_announced(identity)
        kept = self._incoming.keep()
        came = ReceivedEdit(identity=identity, peer=self._caller.name, kept=kept, references=references)
        refused = self._on_edit(came)
        if refused is None:
            return
        if refused is not Refused.EDIT_AGAIN:  # The same bytes are the same file, which a row names.
            self._storing.spool.drop(kept)
        if refused is Refused.EDIT_UNKNOWN:
            # What lies on no image of ours is told as of a peer that may not send any.
            self._refused = (unwanted(self._caller)[0], refused)
        else:
            self._refused = (ANSWERS[refused], refused)


@quiet()
def read_edit(head: bytes, transfer_syntax_uid: str) -> tuple[InstanceIdentity, tuple[str, ...], bool]:
    """Identity, the images that it lies on (PS3.3 C.12.2), and whether we made it, from its beginning.

    Raises UnreadableSeries.
    """
    identity = read_identity(head, transfer_syntax_uid)
    dataset = parse_encoded(head, transfer_syntax_uid, last_tag=LAST_TAG)
    try:
        unfold(dataset, Allowance(LARGEST_IDENTITY_BYTES))
    except HEADER_ERRORS as error:
        raise UnreadableSeries("The DICOM header cannot be parsed.", reason="bad_header") from error
    images = [
        Attributes((image,)).text("ReferencedSOPInstanceUID")
        for series in Attributes((dataset,)).items("ReferencedSeriesSequence")
        for image in Attributes((series,)).items("ReferencedInstanceSequence")
    ]
    return identity, tuple(uid for uid in images[:MOST_REFERENCES] if uid), is_own_result(dataset)
