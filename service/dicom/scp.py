"""The DICOM listener: lets known callers in, keeps what they send, and answers for it.

SUCCESS is a promise to the sender that it may forget the image, so it is given only after both the
file and its row are safe.
"""

import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from io import BytesIO
from typing import Any, Self, cast
from weakref import WeakKeyDictionary

from pydicom.uid import UID
from pynetdicom import AE, AllStoragePresentationContexts, _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from service.dicom.callers import Admission, Caller, CallerList
from service.dicom.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from service.dicom.series import InstanceIdentity, read_identity
from service.dicom.spool import Kept, Spool
from service.errors import SpoolFull, UnreadableSeries

log = logging.getLogger(__name__)

#: Fewer and larger pieces: 6 to 16 per cent faster than the usual 16 kB (measured on loopback).
MAXIMUM_PDU_SIZE = 131072
#: A caller that says nothing for this long is cut off, so that it does not hold a place.
NETWORK_TIMEOUT_SECONDS = 60

#: MR Image, Enhanced MR Image, Legacy Converted Enhanced MR Image Storage (PS3.4, B.5).
MR_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.4",
        "1.2.840.10008.5.1.4.1.1.4.1",
        "1.2.840.10008.5.1.4.1.1.4.4",
    }
)
#: What our own results are, and come back as: Segmentation, Enhanced, Comprehensive and Comprehensive 3D SR,
#: Secondary Capture, Encapsulated PDF.
RESULT_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.66.4",
        "1.2.840.10008.5.1.4.1.1.88.22",
        "1.2.840.10008.5.1.4.1.1.88.33",
        "1.2.840.10008.5.1.4.1.1.88.34",
        "1.2.840.10008.5.1.4.1.1.7",
        "1.2.840.10008.5.1.4.1.1.104.1",
    }
)
#: Reason code of an object that is not the one its request names.
MISMATCH = "uid_mismatch"
#: Everything that a decoder is installed for (PS3.5, 8 and Annex A).
TRANSFER_SYNTAXES = (
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    "1.2.840.10008.1.2",  # Implicit VR Little Endian
    "1.2.840.10008.1.2.2",  # Explicit VR Big Endian
    "1.2.840.10008.1.2.1.99",  # Deflated
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.840.10008.1.2.4.50",  # JPEG Baseline
    "1.2.840.10008.1.2.4.51",  # JPEG Extended
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless, first-order prediction
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS Near-lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.201",  # HTJ2K Lossless
    "1.2.840.10008.1.2.4.202",  # HTJ2K Lossless RPCL
    "1.2.840.10008.1.2.4.203",  # HTJ2K
)

# The standard handlers of the library put every request together for the log; nobody reads that here.
_config.LOG_HANDLER_LEVEL = "none"


class StoreStatus(IntEnum):
    """Answers to C-STORE (PS3.4 B.2.3, PS3.7 Annex C)."""

    SUCCESS = 0x0000
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    OUT_OF_RESOURCES = 0xA700
    MISMATCH = 0xA900
    CANNOT_UNDERSTAND = 0xC000


class Refused(StrEnum):
    """What is counted when an object is not kept."""

    OWN_RESULT = "own_results_dropped"
    UNWANTED_REFUSED = "unwanted_refused"
    UNWANTED_DISCARDED = "unwanted_discarded"
    UNREADABLE = "instances_unreadable"
    NO_ROOM = "instances_refused_disk"
    FAULT = "instances_failed"


@dataclass(frozen=True, kw_only=True)
class Received:
    """One image that is safe in the spool."""

    identity: InstanceIdentity
    transfer_syntax_uid: str
    calling_ae: str
    kept: Kept


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """Somebody who was not let in."""

    calling_ae: str
    called_ae: str
    address: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Listener:
    """What the listener tells the door; ``on_instance`` returns when the row is committed."""

    on_instance: Callable[[Received], None]
    on_refused: Callable[[Refused], None]
    on_rejected: Callable[[Rejected], None]


class _SharedContext(PresentationContext):
    """A context that all associations read: copying 170 of them for each one would take 15 ms."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class Receiver:
    """A running listener."""

    def __init__(
        self,
        *,
        ae_title: str,
        host: str,
        port: int,
        max_associations: int,
        callers: CallerList,
        spool: Spool,
        listener: Listener,
    ) -> None:
        self._callers = callers
        self._spool = spool
        self._listener = listener
        self._closed = False
        self._admitted: WeakKeyDictionary[Association, Caller] = WeakKeyDictionary()
        self._ae = AE(ae_title=ae_title)
        self._ae.maximum_pdu_size = MAXIMUM_PDU_SIZE
        self._ae.maximum_associations = max_associations
        self._ae.network_timeout = NETWORK_TIMEOUT_SECONDS
        self._ae.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
        self._ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        server = self._ae.start_server(
            (host, port),
            block=False,
            contexts=_contexts(),
            evt_handlers=[
                (evt.EVT_CONN_OPEN, _send_at_once),
                (evt.EVT_REQUESTED, self._requested),
                (evt.EVT_C_STORE, self._store),
            ],
        )
        assert isinstance(server, ThreadedAssociationServer)
        self._server = server

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    def associations(self) -> list[Association]:
        """Associations that are open now."""
        return list(self._ae.active_associations)

    def close_door(self) -> None:
        """Let nobody in any more; who is in may finish."""
        if not self._closed:
            self._closed = True
            self._server.shutdown()

    def stop(self) -> None:
        """End everything; an image without an answer will be sent again."""
        for association in self.associations():
            association.abort()

    def _requested(self, event: evt.Event) -> None:
        """Reject a caller who is not on the list."""
        request = cast("A_ASSOCIATE", event.assoc.requestor.primitive)
        calling, called = _text(request.calling_ae_title), _text(request.called_ae_title)
        address = str(event.assoc.requestor.address)
        try:
            admission = self._callers.admit(calling_ae=calling, called_ae=called, address=address)
        except ValueError:
            admission = Admission(caller=None, rejection="address_unknown")
        if admission.caller is not None:
            self._admitted[event.assoc] = admission.caller
            return
        reason = str(admission.rejection)
        # PS3.8, 9.3.4: rejected permanently by the service user; 3 calling, 7 called AE title not recognised.
        event.assoc.acse.send_reject(0x01, 0x01, 0x07 if reason == "called_ae_unknown" else 0x03)
        event.assoc.kill()
        log.warning(
            "caller_rejected",
            extra={"calling_ae": calling, "called_ae": called, "address": address, "reason": reason},
        )
        self._tell_rejected(Rejected(calling_ae=calling, called_ae=called, address=address, reason=reason))

    def _tell_rejected(self, rejected: Rejected) -> None:
        """Have it remembered, which must never keep the listener from its work."""
        try:
            self._listener.on_rejected(rejected)
        except Exception:  # The edge of a foreign thread: whatever it is, keep listening.
            log.exception("rejected_caller_not_recorded")

    def _store(self, event: evt.Event) -> int:
        """Answer one C-STORE; whatever goes wrong, the listener lives on."""
        try:
            status, refused = handle_store(
                event, caller=self._admitted[event.assoc], spool=self._spool, listener=self._listener
            )
        except Exception:  # The edge of a foreign thread: the sender gets an answer and tries again.
            log.exception("store_failed")
            status, refused = StoreStatus.OUT_OF_RESOURCES, Refused.FAULT
        if refused is not None:
            log.info("instance_not_kept", extra={"reason": refused.value, "dimse_status": int(status)})
            try:
                self._listener.on_refused(refused)
            except Exception:  # Counting is a courtesy, the answer is not.
                log.exception("refusal_not_counted")
        return int(status)


def handle_store(
    event: evt.Event, *, caller: Caller, spool: Spool, listener: Listener
) -> tuple[StoreStatus, Refused | None]:
    """Keep one image, then tell the door about it; the answer, and what to count if it was not kept."""
    request = cast("C_STORE", event.request)
    sop_class = str(request.AffectedSOPClassUID)
    if sop_class not in MR_CLASSES | RESULT_CLASSES:
        return _unwanted(caller)
    dataset = request.DataSet.getvalue() if isinstance(request.DataSet, BytesIO) else b""
    syntax = str(event.context.transfer_syntax)
    try:
        identity = read_identity(dataset, syntax)
        if identity.own_result:
            return StoreStatus.SUCCESS, Refused.OWN_RESULT
        if sop_class not in MR_CLASSES:
            return _unwanted(caller)
        _keep(identity, dataset, syntax, event=event, spool=spool, listener=listener)
    except UnreadableSeries as error:
        log.warning("instance_refused", extra={"code": error.reason.code})
        mismatch = error.reason.code == MISMATCH
        return StoreStatus.MISMATCH if mismatch else StoreStatus.CANNOT_UNDERSTAND, Refused.UNREADABLE
    except (SpoolFull, OSError):
        log.exception("spool_unwritable")
        return StoreStatus.OUT_OF_RESOURCES, Refused.NO_ROOM
    return StoreStatus.SUCCESS, None


def _keep(
    identity: InstanceIdentity,
    dataset: bytes,
    syntax: str,
    *,
    event: evt.Event,
    spool: Spool,
    listener: Listener,
) -> None:
    """Make the file safe, then the row; raises UnreadableSeries when the request is about another object."""
    request = cast("C_STORE", event.request)
    named = (str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID))
    if named != (identity.sop_class_uid, identity.sop_instance_uid):
        raise UnreadableSeries("The request names another object than it carries.", reason=MISMATCH)
    kept = spool.keep(
        dataset,
        sop_class_uid=identity.sop_class_uid,
        sop_instance_uid=identity.sop_instance_uid,
        transfer_syntax_uid=syntax,
    )
    listener.on_instance(
        Received(
            identity=identity,
            transfer_syntax_uid=syntax,
            calling_ae=_text(event.assoc.requestor.ae_title),
            kept=kept,
        )
    )


def _unwanted(caller: Caller) -> tuple[StoreStatus, Refused]:
    """What this peer is told about objects that no rule can use."""
    if caller.unwanted == "discard":
        return StoreStatus.SUCCESS, Refused.UNWANTED_DISCARDED
    return StoreStatus.SOP_CLASS_NOT_SUPPORTED, Refused.UNWANTED_REFUSED


def _contexts() -> list[PresentationContext]:
    """Verification, and every storage class: what is not wanted is answered, not left hanging."""
    classes = {str(context.abstract_syntax) for context in AllStoragePresentationContexts}
    contexts = [_context(uid, TRANSFER_SYNTAXES) for uid in sorted(classes | MR_CLASSES | RESULT_CLASSES)]
    return [*contexts, _context(str(Verification), TRANSFER_SYNTAXES[:2])]


def _context(abstract_syntax: str, transfer_syntaxes: tuple[str, ...]) -> PresentationContext:
    """One context that all associations share."""
    context = _SharedContext()
    context.abstract_syntax = UID(abstract_syntax)
    context.transfer_syntax = [UID(syntax) for syntax in transfer_syntaxes]
    return context


def _send_at_once(event: evt.Event) -> None:
    """Turn Nagle's algorithm off: with it, each answer can wait 40 ms for the peer's acknowledgement."""
    wrapper = event.assoc.dul.socket
    if wrapper is not None and wrapper.socket is not None:
        with suppress(OSError):
            wrapper.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _text(title: object) -> str:
    """An AE title without its padding."""
    text = title.decode("ascii", "replace") if isinstance(title, bytes) else str(title or "")
    return text.strip()[:16]
