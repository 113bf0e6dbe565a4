"""Sending: C-ECHO and C-STORE to a peer, the stored bytes as they are."""

import logging
import socket
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import dcmread, read_file_meta_info
from pydicom.uid import UID
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from service.core.answers import NOT_TRIED, Answer
from service.dicom.deflate import deflate
from service.dicom.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from service.dicom.tls import Outgoing
from service.errors import PeerUnreachable

if TYPE_CHECKING:
    import ssl

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
#: PS3.5 A.5; of what lies here in Explicit VR Little Endian only.
DEFLATED_SYNTAX = "1.2.840.10008.1.2.1.99"

# Files are sent as they lie, without being taken apart and put together again.
_config.STORE_SEND_CHUNKED_DATASET = True
_config.LOG_HANDLER_LEVEL = "none"


@dataclass(frozen=True, kw_only=True)
class StoreOutcome(Answer):
    """What the peer answered for one object; ``status`` is None when it did not answer.

    The code is then "context_refused", "unreadable", "no_answer" (it was handed over), or "not_tried".
    """

    path: Path
    sop_instance_uid: str


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a peer is, and by what names we speak."""

    host: str
    port: int
    ae_title: str
    calling_ae: str
    #: How long the peer may think about one object, or take no byte, before it is given up.
    answer_seconds: float = ANSWER_SECONDS
    #: Offer Deflated Explicit VR Little Endian beside the plain syntaxes, and use it where it is taken.
    deflated: bool = False
    #: Speak DICOM over TLS with this; None speaks it in the clear.
    tls: Outgoing | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class _Item:
    """One file to be sent, with what its file meta information says."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str

    def outcome(self, status: int | None, code: str | None = None) -> StoreOutcome:
        """What became of it."""
        return StoreOutcome(path=self.path, sop_instance_uid=self.sop_instance_uid, status=status, code=code)


def echo(address: Address) -> float:
    """Ask a peer whether it is there; seconds until it said so. Raises PeerUnreachable."""
    start = time.perf_counter()
    with associate(address, [build_context(Verification)]) as association:
        status = association.send_c_echo()
        if "Status" not in status or status.Status != 0:
            raise PeerUnreachable("The peer did not answer C-ECHO.", reason="no_answer")
    return time.perf_counter() - start


def store(
    paths: Sequence[Path], address: Address, *, needed: Collection[str] = frozenset()
) -> list[StoreOutcome]:
    """Send DICOM files over one association (more where one cannot hold the contexts), in order.

    ``needed``: SOP classes, and nothing is sent where the peer refuses one of these.

    An object on which the peer broke off has "no_answer", and those behind it are "not_tried": they may go
    on an association of their own. Raises PeerUnreachable when no association could be made at all.
    """
    outcomes: list[StoreOutcome] = []
    items: list[_Item] = []
    for path in paths:
        item = _read_item(path)
        if item is None:
            outcomes.append(StoreOutcome(path=path, sop_instance_uid="", status=None, code="unreadable"))
        else:
            items.append(item)
    reached = False
    for batch in _batches(items, deflated=address.deflated):
        try:
            with associate(address, _proposals(batch, deflated=address.deflated)) as association:
                reached = True
                refused = _refused(association, batch)
                if any(item.sop_class_uid in needed for item in refused):
                    outcomes.extend(
                        item.outcome(None, "context_refused" if item in refused else NOT_TRIED)
                        for item in batch
                    )
                    continue
                outcomes.extend(_send_all(association, batch))
        except PeerUnreachable as error:
            if error.reason.code == "context_refused":
                reached = True
                outcomes.extend(item.outcome(None, "context_refused") for item in batch)
                continue
            if not reached:
                raise
            outcomes.extend(item.outcome(None, NOT_TRIED) for item in batch)
    return outcomes


def _refused(association: Association, items: Sequence[_Item]) -> set[_Item]:
    """Those whose class the peer takes in no syntax."""
    taken = {str(context.abstract_syntax) for context in association.accepted_contexts}
    return {item for item in items if item.sop_class_uid not in taken}


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


def _batches(items: Sequence[_Item], *, deflated: bool) -> Iterator[list[_Item]]:
    """Split so that the contexts of each part fit into one association."""
    batch: list[_Item] = []
    for item in items:
        if len(_proposals([*batch, item], deflated=deflated)) > CONTEXTS_PER_ASSOCIATION:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def _proposals(items: Sequence[_Item], *, deflated: bool) -> list[PresentationContext]:
    """One context for each class and syntax, and the plain syntaxes as a way out where bytes allow it.

    The deflated syntax has a context of its own, so that the peer may refuse it alone.
    """
    wanted = {(item.sop_class_uid, item.transfer_syntax_uid) for item in items}
    wanted |= {
        (sop_class, plain)
        for sop_class, syntax in wanted
        if syntax in PLAIN_SYNTAXES
        for plain in PLAIN_SYNTAXES
    }
    if deflated:
        explicit = {item.sop_class_uid for item in items if item.transfer_syntax_uid == PLAIN_SYNTAXES[0]}
        wanted |= {(sop_class, DEFLATED_SYNTAX) for sop_class in explicit}
    return [build_context(sop_class, [syntax]) for sop_class, syntax in sorted(wanted)]


def _send_all(association: Association, batch: Sequence[_Item]) -> Iterator[StoreOutcome]:
    """Send until the peer fails to answer; the library notices late that an association is no more."""
    broken = False
    for item in batch:
        outcome = item.outcome(None, NOT_TRIED) if broken else _send(association, item)
        if outcome.code == "no_answer" and not broken:
            broken = True
            association.abort()
        yield outcome


def _send(association: Association, item: _Item) -> StoreOutcome:
    """Send one file; the status that the peer gave."""
    if not association.is_established:
        return item.outcome(None, NOT_TRIED)
    accepted = {
        str(context.transfer_syntax[0])
        for context in association.accepted_contexts
        if context.abstract_syntax == item.sop_class_uid
    }
    try:
        if DEFLATED_SYNTAX in accepted and item.transfer_syntax_uid == PLAIN_SYNTAXES[0]:
            answer = _send_deflated(association, item)
        elif item.transfer_syntax_uid in accepted:
            answer = association.send_c_store(item.path)
        elif item.transfer_syntax_uid in PLAIN_SYNTAXES and accepted & set(PLAIN_SYNTAXES):
            # The library writes the dataset in the plain syntax that the peer does take.
            answer = association.send_c_store(dcmread(item.path))
        else:
            return item.outcome(None, "context_refused")
    except (RuntimeError, OSError):
        return item.outcome(None, "no_answer")
    return item.outcome(int(answer.Status)) if "Status" in answer else item.outcome(None, "no_answer")


def _send_deflated(association: Association, item: _Item) -> Dataset:
    """Send a deflated copy, made for this one time; the stored file stays what it is."""
    with tempfile.NamedTemporaryFile(suffix=".dcm") as copy:
        copy.write(deflate(item.path))
        copy.flush()
        return association.send_c_store(Path(copy.name))


@contextmanager
def associate(
    address: Address,
    contexts: Sequence[PresentationContext],
    *,
    handlers: Sequence[evt.EventHandlerType] = (),
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
) -> Iterator[Association]:
    """An association with the peer, released at the end. Raises PeerUnreachable."""
    application = AE(ae_title=address.calling_ae)
    application.connection_timeout = min(CONNECT_SECONDS, address.answer_seconds)
    application.acse_timeout = min(NEGOTIATE_SECONDS, address.answer_seconds)
    application.dimse_timeout = address.answer_seconds
    application.network_timeout = address.answer_seconds
    application.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    application.implementation_version_name = IMPLEMENTATION_VERSION_NAME

    def on_open(event: evt.Event) -> None:
        _prepare_socket(event, seconds=address.answer_seconds)

    try:
        association = application.associate(
            address.host,
            address.port,
            contexts=list(contexts),
            ae_title=address.ae_title,
            max_pdu=MAXIMUM_PDU_SIZE,
            ext_neg=list(roles),
            evt_handlers=[(evt.EVT_CONN_OPEN, on_open), *handlers],
            # The library asks of a context only to wrap the socket.
            tls_args=None if address.tls is None else (cast("ssl.SSLContext", address.tls), address.host),
        )
    except (OSError, RuntimeError) as error:
        raise PeerUnreachable("No connection to the peer could be made.") from error
    if not association.is_established:
        if association.rejected_contexts and not association.accepted_contexts:
            raise PeerUnreachable("The peer takes nothing of what it was offered.", reason="context_refused")
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


def _prepare_socket(event: evt.Event, *, seconds: float) -> None:
    """Turn Nagle's algorithm off on our side, and bound how long the peer may take no byte.

    The library itself would wait for ever for a peer that stops reading in the middle of an object.
    """
    wrapper = event.assoc.dul.socket
    if wrapper is not None and wrapper.socket is not None:
        with suppress(OSError):
            wrapper.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wrapper.socket.settimeout(seconds)
