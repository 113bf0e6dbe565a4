"""One association from the first byte to the last, as its acceptor (PS3.8, 9.2).

Data are handed on in pieces as they come, so an association needs one small buffer however large
an object is. What is done with requests is told by ``Handler``; the protocol is here.
"""

import contextlib
import logging
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from service.dicom import dimse, pdu
from service.dicom.dimse import Command, CommandField, Status
from service.dicom.pdu import (
    AbortReason,
    AssociateRequest,
    Context,
    ContextResult,
    Kind,
    Malformed,
    Proposal,
    Rejection,
    Role,
)

log = logging.getLogger(__name__)

#: What we take at a time: 6 to 16 per cent faster than the usual 16 kB (measured on loopback).
MAXIMUM_PDU_SIZE: Final = 131072
#: One read from the network; two of the largest PDUs, so that a small image needs few reads.
BUFFER_BYTES: Final = 2 * MAXIMUM_PDU_SIZE
#: Time for the request, and for the peer to close after the end (PS3.8 9.1.5, ARTIM; chosen by us).
REQUEST_SECONDS: Final = 30.0
CLOSE_SECONDS: Final = 5.0


class Sink(Protocol):
    """Takes the dataset of one request, piece by piece."""

    def write(self, piece: memoryview) -> None:
        """Take the next piece, which is valid during the call only."""

    def finish(self) -> int:
        """The whole dataset has come; the status to answer."""

    def abandon(self) -> None:
        """The rest will not come."""


class Handler(Protocol):
    """Who decides about an association and answers its requests."""

    def admit(self, request: AssociateRequest) -> Rejection | None:
        """Whether the requestor may come in."""

    def open(self, command: Command, context: Context) -> Sink:
        """Where the dataset of this C-STORE or N-EVENT-REPORT goes; never raises."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What an acceptor takes: transfer syntaxes by abstract syntax, and classes whose user it can be."""

    syntaxes: Mapping[str, frozenset[str]]
    #: Classes of which the requestor may be the provider (PS3.7 D.3.3.4).
    provided_by_peer: frozenset[str] = frozenset()


class Gone(Exception):
    """The peer is not there any more, or was silent for too long."""


class Refuse:
    """A dataset that is passed over; the answer is known already."""

    def __init__(self, status: int) -> None:
        self._status = status

    def write(self, piece: memoryview) -> None:
        """Pass it over."""

    def finish(self) -> int:
        """The answer."""
        return self._status

    def abandon(self) -> None:
        """Nothing was begun."""


class Wire:
    """A connection with one reusable buffer."""

    def __init__(self, connection: socket.socket, *, idle_seconds: float) -> None:
        self._socket = connection
        self._idle = idle_seconds
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0
        self._deadline: float | None = None
        connection.settimeout(idle_seconds)

    def limit(self, seconds: float | None) -> None:
        """Everything until the next call must come within this time, not only the next byte."""
        self._deadline = None if seconds is None else time.monotonic() + seconds
        if seconds is None:
            self._socket.settimeout(self._idle)

    def take(self, size: int) -> memoryview:
        """Exactly so many bytes, at most BUFFER_BYTES; valid until the next call."""
        if self._start + size > BUFFER_BYTES:
            rest = self._end - self._start
            self._buffer[:rest] = self._buffer[self._start : self._end]
            self._start, self._end = 0, rest
        while self._end - self._start < size:
            self._receive()
        taken = self._view[self._start : self._start + size]
        self._start += size
        return taken

    def some(self, most: int) -> memoryview:
        """What is there, at least one byte; valid until the next call."""
        if self._start == self._end:
            self._start = self._end = 0
            self._receive()
        size = min(most, self._end - self._start)
        taken = self._view[self._start : self._start + size]
        self._start += size
        return taken

    def send(self, message: bytes) -> None:
        """Send all of it."""
        try:
            self._socket.sendall(message)
        except OSError as error:
            raise Gone from error

    def _receive(self) -> None:
        """Wait for more bytes."""
        if self._start == self._end:
            self._start = self._end = 0
        if self._deadline is not None:
            self._socket.settimeout(max(self._deadline - time.monotonic(), 0.001))
        try:
            size = self._socket.recv_into(self._view[self._end :])
        except OSError as error:  # A timeout and everything that TLS complains about are such, too.
            raise Gone from error
        if size == 0:
            raise Gone
        self._end += size

    def drain(self, seconds: float) -> None:
        """Wait for the peer to close, so that our last message is not lost by a reset."""
        self.limit(seconds)
        with contextlib.suppress(Gone):
            while True:
                self._start = self._end = 0
                self._receive()

    def close(self) -> None:
        """Give the buffer back at once, not when somebody collects garbage."""
        self._view.release()


class Association:
    """Serves one connection in the thread that calls ``serve``."""

    def __init__(self, wire: Wire, handler: Handler, offer: Offer) -> None:
        self._wire = wire
        self._handler = handler
        self._offer = offer
        self._contexts: dict[int, Context] = {}
        self._maximum_length = 0
        self._command = bytearray()
        self._request: tuple[Command, Context] | None = None
        self._sink: Sink | None = None

    def serve(self) -> None:
        """Answer everything until the end; never raises for what the peer does."""
        wire = self._wire
        try:
            wire.limit(REQUEST_SECONDS)
            if self._negotiate():
                wire.limit(None)
                while self._next():
                    pass
            wire.drain(CLOSE_SECONDS)
        except Malformed as error:
            log.warning("association_aborted", extra={"reason": error.reason.name.lower()})
            with contextlib.suppress(Gone):
                wire.send(pdu.abort(error.reason))
                wire.drain(CLOSE_SECONDS)
        except Gone:
            pass
        finally:
            if self._sink is not None:
                self._sink.abandon()

    def _negotiate(self) -> bool:
        """Take the request to associate; False when it was rejected."""
        kind, length = self._header()
        if kind != Kind.ASSOCIATE_RQ:
            raise Malformed(_unexpected(kind))
        if length > pdu.LARGEST_REQUEST:
            raise Malformed
        body = bytearray()
        while len(body) < length:
            body += self._wire.some(length - len(body))
        request = pdu.parse_associate_request(bytes(body))
        rejection = self._wrong(request) or self._handler.admit(request)
        if rejection is not None:
            self._wire.send(pdu.associate_reject(rejection))
            return False
        contexts = [self._agree(proposal) for proposal in request.proposals]
        self._contexts = {c.number: c for c in contexts if c.result is ContextResult.ACCEPTED}
        self._maximum_length = request.maximum_length
        accept = pdu.associate_accept(
            request, contexts, self._roles(request), maximum_length=MAXIMUM_PDU_SIZE
        )
        self._wire.send(accept)
        return True

    @staticmethod
    def _wrong(request: AssociateRequest) -> Rejection | None:
        """What the standard has rejected whoever asks (PS3.8 9.3.2, 7.1.1.2)."""
        if request.protocol_version & 1 == 0:
            return Rejection.PROTOCOL_VERSION
        if request.application_context != pdu.APPLICATION_CONTEXT:
            return Rejection.APPLICATION_CONTEXT
        return None

    def _agree(self, proposal: Proposal) -> Context:
        """The first of the requestor's transfer syntaxes that can be read."""
        known = self._offer.syntaxes.get(proposal.abstract_syntax)
        fitting = [syntax for syntax in proposal.transfer_syntaxes if known and syntax in known]
        result = ContextResult.ACCEPTED
        if not fitting:
            result = ContextResult.ABSTRACT_SYNTAX if known is None else ContextResult.TRANSFER_SYNTAXES
        return Context(
            number=proposal.number,
            abstract_syntax=proposal.abstract_syntax,
            transfer_syntax=next(iter(fitting or proposal.transfer_syntaxes), ""),
            result=result,
        )

    def _roles(self, request: AssociateRequest) -> dict[str, Role]:
        """Answers to proposed roles: the requestor is the user, and provider where we can be the user."""
        accepted = {context.abstract_syntax for context in self._contexts.values()}
        return {
            uid: Role(scu=role.scu, scp=role.scp and uid in self._offer.provided_by_peer)
            for uid, role in request.roles.items()
            if uid in accepted
        }

    def _header(self) -> tuple[int, int]:
        """Type and length of the next PDU."""
        kind, _, length = pdu.HEADER.unpack(self._wire.take(pdu.HEADER.size))
        return kind, length

    def _next(self) -> bool:
        """Take one PDU; False after the last."""
        kind, length = self._header()
        if kind == Kind.DATA:
            if length > MAXIMUM_PDU_SIZE:
                raise Malformed
            self._data(length)
            return True
        if kind == Kind.RELEASE_RQ and length == 4:
            if self._request is not None or self._command:
                raise Malformed(AbortReason.UNEXPECTED_PDU)
            self._wire.take(4)
            self._wire.send(pdu.release_response())
            return False
        if kind == Kind.ABORT:
            raise Gone
        raise Malformed(_unexpected(kind))

    def _data(self, length: int) -> None:
        """The presentation data values of one P-DATA-TF."""
        while length:
            if length < pdu.VALUE_HEADER.size:
                raise Malformed
            size, number, control = pdu.VALUE_HEADER.unpack(self._wire.take(pdu.VALUE_HEADER.size))
            length -= pdu.VALUE_HEADER.size
            size -= 2
            if size < 0 or size > length:
                raise Malformed
            context = self._contexts.get(number)
            if context is None:
                raise Malformed
            length -= size
            last = bool(control & pdu.LAST_BIT)
            if control & pdu.COMMAND_BIT:
                self._command_piece(context, size, last=last)
            else:
                self._dataset_piece(context, size, last=last)

    def _command_piece(self, context: Context, size: int, *, last: bool) -> None:
        """A part of a command set."""
        if self._request is not None:
            raise Malformed(AbortReason.UNEXPECTED_PARAMETER)
        if len(self._command) + size > dimse.LARGEST_COMMAND:
            raise Malformed
        self._command += self._wire.take(size)
        if last:
            command = dimse.parse_command(bytes(self._command))
            self._command.clear()
            self._begin(command, context)

    def _begin(self, command: Command, context: Context) -> None:
        """A whole request has come; its dataset follows if it has one."""
        if command.field == CommandField.C_CANCEL:
            return
        if command.has_dataset:
            self._request = (command, context)
            if command.field in {CommandField.C_STORE, CommandField.N_EVENT_REPORT}:
                self._sink = self._handler.open(command, context)
            else:
                self._sink = Refuse(Status.UNRECOGNIZED_OPERATION)
        else:
            self._answer(command, context, _without_dataset(command))

    def _dataset_piece(self, context: Context, size: int, *, last: bool) -> None:
        """A part of a dataset."""
        if self._request is None or self._sink is None or self._request[1] is not context:
            raise Malformed(AbortReason.UNEXPECTED_PARAMETER)
        while size:
            piece = self._wire.some(size)
            size -= len(piece)
            self._sink.write(piece)
        if last:
            (command, _), sink = self._request, self._sink
            self._request = self._sink = None
            self._answer(command, context, sink.finish())

    def _answer(self, command: Command, context: Context, status: int) -> None:
        """Send the response."""
        response = dimse.response(command, status)
        self._wire.send(pdu.command_data(context.number, response, maximum_length=self._maximum_length))


def _without_dataset(command: Command) -> int:
    """The answer to a request that carries no dataset."""
    if command.field == CommandField.C_ECHO:
        return Status.SUCCESS
    if command.field in {CommandField.C_STORE, CommandField.N_EVENT_REPORT}:
        return Status.PROCESSING_FAILURE
    return Status.UNRECOGNIZED_OPERATION


def _unexpected(kind: int) -> AbortReason:
    """A PDU in the wrong place, or one that does not exist."""
    known = kind in Kind.__members__.values()
    return AbortReason.UNEXPECTED_PDU if known else AbortReason.UNRECOGNIZED_PDU
