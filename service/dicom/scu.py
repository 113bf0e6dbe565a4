"""Sending: C-ECHO and C-STORE to a peer, the stored bytes as they are."""

import logging
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydicom.errors import InvalidDicomError
from pydicom.filereader import dcmread, read_file_meta_info
from pydicom.uid import UID
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from service.dicom.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from service.errors import PeerUnreachable

log = logging.getLogger(__name__)

#: As for the listener: fewer and larger pieces.
MAXIMUM_PDU_SIZE = 131072
#: A peer that is there answers in milliseconds; one that is not must not hold a thread for long.
CONNECT_SECONDS = 5.0
NEGOTIATE_SECONDS = 10.0
#: A busy archive may think about one object for this long.
ANSWER_SECONDS = 60.0
#: PS3.8, 7.1.1.13: context ids are odd numbers up to 255.
CONTEXTS_PER_ASSOCIATION = 128
#: Uncompressed little-endian syntaxes; bytes in one can be written in the other without loss.
PLAIN_SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")

#: Stored: success, three warnings (PS3.4 B.2.3), and duplicate SOP instance (PS3.7 C.5.6).
STORED = frozenset({0x0000, 0xB000, 0xB006, 0xB007, 0x0111})

# Files are sent as they lie, without being taken apart and put together again.
_config.STORE_SEND_CHUNKED_DATASET = True
_config.LOG_HANDLER_LEVEL = "none"


@dataclass(frozen=True, kw_only=True)
class StoreOutcome:
    """What the peer answered for one object; ``status`` is None when it did not answer."""

    path: Path
    sop_instance_uid: str
    status: int | None
    #: "context_refused", "no_answer" or "unreadable" where there is no status.
    code: str | None = None

    @property
    def stored(self) -> bool:
        """Whether the peer took the object."""
        return self.status in STORED

    @property
    def final(self) -> bool:
        """Whether sending the same bytes again cannot help."""
        if self.status is None:
            return self.code in {"context_refused", "unreadable"}
        # PS3.4 B.2.3: A9xx does not match the SOP class, Cxxx cannot be understood;
        # PS3.7 Annex C: 0x0117 invalid instance, 0x0122 class not supported.
        return self.status in {0x0117, 0x0122} or self.status >> 8 == 0xA9 or self.status >> 12 == 0xC


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a peer is, and by what names we speak."""

    host: str
    port: int
    ae_title: str
    calling_ae: str


@dataclass(frozen=True, kw_only=True)
class _Item:
    """One file to be sent, with what its file meta information says."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


def echo(address: Address) -> float:
    """Ask a peer whether it is there; seconds until it said so. Raises PeerUnreachable."""
    start = time.perf_counter()
    with _associate(address, [build_context(Verification)]) as association:
        if not association.accepted_contexts:
            raise PeerUnreachable("The peer does not support verification.", reason="context_refused")
        status = association.send_c_echo()
        if "Status" not in status or status.Status != 0:
            raise PeerUnreachable("The peer did not answer C-ECHO.", reason="no_answer")
    return time.perf_counter() - start


def store(paths: Sequence[Path], address: Address) -> list[StoreOutcome]:
    """Send DICOM files over one association (more where one cannot hold the contexts), in order.

    Raises PeerUnreachable when no association could be made at all.
    """
    outcomes: list[StoreOutcome] = []
    items: list[_Item] = []
    for path in paths:
        item = _read_item(path)
        if item is None:
            outcomes.append(StoreOutcome(path=path, sop_instance_uid="", status=None, code="unreadable"))
        else:
            items.append(item)
    for batch in _batches(items):
        with _associate(address, _proposals(batch)) as association:
            outcomes.extend(_send(association, item) for item in batch)
    return outcomes


def find_files(path: Path) -> list[Path]:
    """The file, or every file below the folder, in order of name."""
    return [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file())


def file_uids(path: Path) -> tuple[str, str] | None:
    """SOP class and instance UID by the file meta information, None when this is no DICOM file."""
    item = _read_item(path)
    return None if item is None else (item.sop_class_uid, item.sop_instance_uid)


def _read_item(path: Path) -> _Item | None:
    """What the file meta information says."""
    try:
        meta = read_file_meta_info(path)
        return _Item(
            path=path,
            sop_class_uid=str(meta.MediaStorageSOPClassUID),
            sop_instance_uid=str(meta.MediaStorageSOPInstanceUID),
            transfer_syntax_uid=str(meta.TransferSyntaxUID),
        )
    except (InvalidDicomError, AttributeError, OSError, ValueError, EOFError):
        return None


def _batches(items: Sequence[_Item]) -> Iterator[list[_Item]]:
    """Split so that the contexts of each part fit into one association."""
    batch: list[_Item] = []
    for item in items:
        if len(_proposals([*batch, item])) > CONTEXTS_PER_ASSOCIATION:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def _proposals(items: Sequence[_Item]) -> list[PresentationContext]:
    """One context for each class and syntax, and the plain syntaxes as a way out where bytes allow it."""
    wanted = {(item.sop_class_uid, item.transfer_syntax_uid) for item in items}
    wanted |= {
        (sop_class, plain)
        for sop_class, syntax in wanted
        if syntax in PLAIN_SYNTAXES
        for plain in PLAIN_SYNTAXES
    }
    return [build_context(sop_class, [syntax]) for sop_class, syntax in sorted(wanted)]


def _send(association: Association, item: _Item) -> StoreOutcome:
    """Send one file; the status that the peer gave."""

    def outcome(status: int | None, code: str | None = None) -> StoreOutcome:
        return StoreOutcome(path=item.path, sop_instance_uid=item.sop_instance_uid, status=status, code=code)

    if not association.is_established:
        return outcome(None, "no_answer")
    accepted = {
        str(context.transfer_syntax[0])
        for context in association.accepted_contexts
        if context.abstract_syntax == item.sop_class_uid
    }
    try:
        if item.transfer_syntax_uid in accepted:
            answer = association.send_c_store(item.path)
        elif item.transfer_syntax_uid in PLAIN_SYNTAXES and accepted & set(PLAIN_SYNTAXES):
            # The library writes the dataset in the plain syntax that the peer does take.
            answer = association.send_c_store(dcmread(item.path))
        else:
            return outcome(None, "context_refused")
    except (RuntimeError, OSError):
        return outcome(None, "no_answer")
    return outcome(int(answer.Status)) if "Status" in answer else outcome(None, "no_answer")


@contextmanager
def _associate(address: Address, contexts: Sequence[PresentationContext]) -> Iterator[Association]:
    """An association with the peer, released at the end. Raises PeerUnreachable."""
    application = AE(ae_title=address.calling_ae)
    application.connection_timeout = CONNECT_SECONDS
    application.acse_timeout = NEGOTIATE_SECONDS
    application.dimse_timeout = ANSWER_SECONDS
    application.network_timeout = ANSWER_SECONDS
    application.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    application.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    try:
        association = application.associate(
            address.host,
            address.port,
            contexts=list(contexts),
            ae_title=address.ae_title,
            max_pdu=MAXIMUM_PDU_SIZE,
            evt_handlers=[(evt.EVT_CONN_OPEN, _send_at_once)],
        )
    except (OSError, RuntimeError) as error:
        raise PeerUnreachable("No connection to the peer could be made.") from error
    if not association.is_established:
        rejected = association.is_rejected
        raise PeerUnreachable(
            "The peer rejected the association." if rejected else "No connection to the peer could be made.",
            reason="association_rejected" if rejected else "peer_unreachable",
        )
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def _send_at_once(event: evt.Event) -> None:
    """Turn Nagle's algorithm off on our side of the connection."""
    wrapper = event.assoc.dul.socket
    if wrapper is not None and wrapper.socket is not None:
        with suppress(OSError):
            wrapper.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
