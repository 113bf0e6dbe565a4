"""The DICOM listener: lets known callers in, keeps what they send, and answers for it.

A thread a connection, and a bound on their number; the protocol itself is in ``association``.
"""

import contextlib
import logging
import selectors
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from service.dicom.association import MAXIMUM_PDU_SIZE, Association, Offer, Refuse, Sink, Telling, Wire
from service.dicom.callers import Admission, Caller, CallerList
from service.dicom.certificates import Certificate
from service.dicom.committing import Desk, Promises
from service.dicom.dimse import Command, CommandField, Status
from service.dicom.edited_store import EditDoor, OnEdit
from service.dicom.offering import TRANSFER_SYNTAXES, for_discarding, make_offer
from service.dicom.pdu import AssociateRequest, Context, Rejection
from service.dicom.performed import PERFORMED_STEP, OnStep, StepSink
from service.dicom.reporting import STORAGE_COMMITMENT, Report, ReportSink
from service.dicom.spool import Spool
from service.dicom.storing import (
    Received,
    Refused,
    StoreStatus,
    Storing,
    begin_store,
)
from service.dicom.tls import HandshakeRefused, Keyring, NobodyThere, accept

__all__ = [
    "MAXIMUM_PDU_SIZE",
    "TRANSFER_SYNTAXES",
    "Listener",
    "Received",
    "Receiver",
    "Refused",
    "Rejected",
    "Report",
    "StoreStatus",
]

log = logging.getLogger(__name__)

#: A caller that says nothing for this long is cut off, so that it does not hold a place.
IDLE_SECONDS: Final = 60.0
#: Connections beyond the associations: for those that are being asked who they are, or told that there is
#: no place. Chosen by us.
SPARE_CONNECTIONS: Final = 20


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """Somebody who was not let in."""

    calling_ae: str
    called_ae: str
    address: str
    reason: str
    #: Whom its certificate names, where it showed one.
    tls_subject: str | None = None


@dataclass(frozen=True, kw_only=True)
class Listener:
    """What the listener tells the door; ``on_instance`` returns when the row is committed."""

    on_instance: Callable[[Received], None]
    on_refused: Callable[[Refused], None]
    on_rejected: Callable[[Rejected], None]
    #: Takes a report about storage commitment and gives the DIMSE status of the answer; None: not offered.
    on_report: Callable[[Report], int] | None = None
    #: Writes an edited segmentation down; None: nobody's is taken.
    on_edit: OnEdit | None = None
    #: Takes questions about storage commitment of callers that may ask; None: not offered.
    desk: Desk | None = None
    #: Takes what is said of performed procedure steps by callers that may; None: not offered.
    on_step: OnStep | None = None
    #: Called when a connection is over, by the thread that served it.
    on_left: Callable[[], None] | None = None


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How much the outside may ask for."""

    associations: int = 20
    idle_seconds: float = IDLE_SECONDS
    #: Chosen by us: above any multi-frame image that was seen, below what fills a disk at once.
    object_bytes: int = 2 * 2**30


class Receiver:
    """A running listener, on a plain port, on a port for TLS, or on both."""

    def __init__(
        self,
        *,
        host: str,
        port: int | None,
        callers: CallerList,
        spool: Spool,
        listener: Listener,
        bounds: Bounds,
        tls_port: int | None = None,
        keyring: Keyring | None = None,
    ) -> None:
        self._callers = callers
        self._listener = listener
        self._storing = Storing(
            spool=spool,
            on_instance=listener.on_instance,
            on_refused=listener.on_refused,
            largest_bytes=bounds.object_bytes,
            edits=None if listener.on_edit is None else EditDoor(listener.on_edit),
        )
        self._bounds = bounds
        self._offers = {
            (asks, performs): make_offer(reports=listener.on_report is not None, asks=asks, performs=performs)
            for asks in (False, True)
            for performs in (False, True)
        }
        self._keyring = keyring
        self._lock = threading.Lock()
        self._visitors: set[_Visitor] = set()
        self._selector = selectors.DefaultSelector()
        self._wake, woken = socket.socketpair()
        self._selector.register(woken, selectors.EVENT_READ, None)
        self._ports: dict[bool, int] = {}
        try:
            for number, secure in ((port, False), (tls_port, True)):
                if number is not None:
                    self._ports[secure] = self._listen(host, number, secure=secure)
        except OSError:
            self._shut()
            raise
        self._thread = threading.Thread(target=self._accept, name="dicom-listener", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The plain port that is listened on; that of TLS where there is no plain one."""
        return self._ports.get(False) or self._ports[True]

    @property
    def tls_port(self) -> int | None:
        """The port that is listened on for TLS."""
        return self._ports.get(True)

    @property
    def ports(self) -> list[int]:
        """Every port that is listened on."""
        return list(self._ports.values())

    def associations(self) -> list["_Visitor"]:
        """Connections that are open now."""
        with self._lock:
            return list(self._visitors)

    def close_door(self) -> None:
        """Let nobody in any more; who is in may finish."""
        with contextlib.suppress(OSError):
            self._wake.send(b"\x00")
        self._thread.join()

    def stop(self) -> None:
        """End everything; an image without an answer will be sent again."""
        self.close_door()
        for visitor in self.associations():
            visitor.cut()
        for visitor in self.associations():
            visitor.thread.join(5.0)

    def _listen(self, host: str, port: int, *, secure: bool) -> int:
        """Open one port; the number that it has."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        server = socket.create_server((host, port), family=family, backlog=128)
        server.settimeout(0)
        self._selector.register(server, selectors.EVENT_READ, secure)
        return int(server.getsockname()[1])

    def _accept(self) -> None:
        """Take connections until the door is closed."""
        try:
            while True:
                for key, _ in self._selector.select():
                    if key.data is None:
                        return
                    self._take(key.fileobj, secure=key.data)  # type: ignore[arg-type]
        finally:
            self._shut()

    def _take(self, server: socket.socket, *, secure: bool) -> None:
        """Give one connection its thread, or close it where there are too many."""
        try:
            connection, address = server.accept()
        except OSError:  # Gone again already, or out of descriptors: both pass.
            return
        visitor = _Visitor(self, connection, str(address[0]), secure=secure)
        with self._lock:
            full = len(self._visitors) >= self._bounds.associations + SPARE_CONNECTIONS
            if not full:
                self._visitors.add(visitor)
        if full:
            log.warning("connection_refused", extra={"address": visitor.address})
            connection.close()
            return
        try:
            visitor.thread.start()
        except RuntimeError:  # No more threads: the sender comes back.
            log.exception("connection_refused")
            self.leave(visitor)
            connection.close()

    def _shut(self) -> None:
        """Close the listening sockets."""
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()
        self._wake.close()

    def leave(self, visitor: "_Visitor") -> None:
        """This connection is over."""
        with self._lock:
            self._visitors.discard(visitor)

    def left(self) -> None:
        """Tell the door that the connection of this thread is over."""
        if self._listener.on_left is not None:
            self._listener.on_left()

    def find_place(self, visitor: "_Visitor") -> bool:
        """Count this visitor as an association, if there is a place left."""
        with self._lock:
            visitor.has_place = sum(other.has_place for other in self._visitors) < self._bounds.associations
            return visitor.has_place

    def serve(self, visitor: "_Visitor", connection: socket.socket) -> None:
        """Speak with one visitor until the end."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if visitor.secure:
            assert self._keyring is not None
            try:
                connection, visitor.certificate = accept(connection, self._keyring)
            except NobodyThere:
                return
            except HandshakeRefused as refusal:
                self.reject("", "", visitor, refusal.reason)
                return
            visitor.connection = connection
        with contextlib.closing(Wire(connection, idle_seconds=self._bounds.idle_seconds)) as wire:
            Association(wire, visitor).serve()

    def offer(self, caller: Caller) -> Offer:
        """What a caller may use."""
        asks = caller.may_ask and self._listener.desk is not None
        offer = self._offers[asks, caller.may_perform and self._listener.on_step is not None]
        return for_discarding(offer) if caller.unwanted == "discard" else offer

    def promises(self, caller: Caller) -> Promises | None:
        """What a caller may be told on one association; None where it may not ask."""
        desk = self._listener.desk
        return Promises(desk, caller) if desk is not None and caller.may_ask else None

    def admit(self, calling: str, called: str, visitor: "_Visitor") -> Admission:
        """Whether a caller is on the list."""
        try:
            return self._callers.admit(
                calling_ae=calling,
                called_ae=called,
                address=visitor.address,
                certificate=visitor.certificate,
            )
        except ValueError:
            return Admission(caller=None, rejection="address_unknown")

    def reject(self, calling: str, called: str, visitor: "_Visitor", reason: str) -> None:
        """Have a rejected caller remembered, which must never keep the listener from its work."""
        names = {"calling_ae": calling, "called_ae": called, "address": visitor.address, "reason": reason}
        log.warning("caller_rejected", extra=names)
        subject = str(visitor.certificate) if visitor.certificate else None
        try:
            self._listener.on_rejected(Rejected(**names, tls_subject=subject))
        except Exception:  # The edge of a thread: whatever it is, keep listening.
            log.exception("rejected_caller_not_recorded")

    def open(self, command: Command, context: Context, *, caller: Caller, calling_ae: str) -> Sink:
        """Where the dataset of a request goes."""
        if command.field == CommandField.C_STORE and not caller.may_send:
            return Refuse(Status.NOT_AUTHORISED)
        if command.field == CommandField.C_STORE:
            storing = self._storing
            if caller.only_study is not None:
                storing = replace(storing, only_study=caller.only_study)
            return begin_store(command, context, caller=caller, calling_ae=calling_ae, storing=storing)
        if command.field in {CommandField.N_CREATE, CommandField.N_SET}:
            return self._open_step(command, context, caller)
        report = self._listener.on_report
        if report is None or context.abstract_syntax != STORAGE_COMMITMENT:
            return Refuse(Status.NO_SUCH_SOP_CLASS)
        return ReportSink(command, context, caller=caller, on_report=report)

    def _open_step(self, command: Command, context: Context, caller: Caller) -> Sink:
        """Where goes what is said of a performed procedure step."""
        if context.abstract_syntax != PERFORMED_STEP or self._listener.on_step is None:
            return Refuse(Status.UNRECOGNIZED_OPERATION)
        return StepSink(command, context, caller=caller, on_step=self._listener.on_step)


class _Visitor:
    """One connection: its thread, and the answers to what the association asks (a ``Handler``)."""

    def __init__(self, receiver: Receiver, connection: socket.socket, address: str, *, secure: bool) -> None:
        self._receiver = receiver
        self.connection = connection
        self.address = address
        self.secure = secure
        self.certificate: Certificate | None = None
        self.has_place = False
        self._caller: Caller | None = None
        self._calling_ae = ""
        self._promises: Promises | None = None
        self.thread = threading.Thread(target=self._run, name="dicom-association", daemon=True)

    def _run(self) -> None:
        try:
            self._receiver.serve(self, self.connection)
        except Exception:  # The edge of a thread: whatever it is, the others go on.
            log.exception("association_failed")
        finally:
            self.connection.close()
            self._receiver.leave(self)
            self._receiver.left()

    def cut(self) -> None:
        """End the connection from another thread."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def admit(self, request: AssociateRequest) -> Rejection | None:
        """Reject a caller who is not on the list, and one too many."""
        calling, called = request.calling_ae, request.called_ae
        admission = self._receiver.admit(calling, called, self)
        if admission.caller is None:
            reason = str(admission.rejection)
            self._receiver.reject(calling, called, self, reason)
            return Rejection.CALLED_AE if reason == "called_ae_unknown" else Rejection.CALLING_AE
        if not self._receiver.find_place(self):
            log.warning("associations_exhausted", extra={"calling_ae": calling, "address": self.address})
            return Rejection.LOCAL_LIMIT
        self._caller, self._calling_ae = admission.caller, calling
        self._promises = self._receiver.promises(admission.caller)
        return None

    def offer(self) -> Offer:
        """What this caller may use."""
        assert self._caller is not None
        return self._receiver.offer(self._caller)

    def open(self, command: Command, context: Context) -> Sink:
        """Where the dataset of a request goes."""
        assert self._caller is not None
        if command.field == CommandField.N_ACTION:
            if context.abstract_syntax != STORAGE_COMMITMENT:
                return Refuse(Status.UNRECOGNIZED_OPERATION)
            if self._promises is None:
                return Refuse(Status.NOT_AUTHORISED)
            return self._promises.sink(command, context)
        return self._receiver.open(command, context, caller=self._caller, calling_ae=self._calling_ae)

    def promised(self) -> bool:
        """Whether a question about storage commitment is open that came on this association."""
        return self._promises is not None and self._promises.waiting

    def telling(self) -> Telling | None:
        """What is to be told of that now; a fault of ours is told nobody."""
        assert self._promises is not None
        try:
            return self._promises.next()
        except Exception:  # The edge of a thread: the worker tells it later.
            log.exception("commitment_not_told")
            return None

    def told(self, status: int) -> None:
        """What the sender answered to that."""
        assert self._promises is not None
        try:
            self._promises.told(status)
        except Exception:  # The edge of a thread: the worker tells it again.
            log.exception("commitment_not_recorded")
