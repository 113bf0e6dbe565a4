"""One association from the first byte to the last, as its acceptor (PS3.8, 9.2).

Data are handed on in pieces as they come, so an association needs one small buffer however large
an object is. What is done with requests is told by ``Handler``; the protocol is here.
"""

import contextlib
import logging
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
from service.dicom.wire import MAXIMUM_PDU_SIZE, Gone, Wire

__all__ = [
    "MAXIMUM_PDU_SIZE",
    "Association",
    "Gone",
    "Handler",
    "Offer",
    "Refuse",
    "Sink",
    "Telling",
    "Wire",
]

log = logging.getLogger(__name__)

#: Time for the request, and for the peer to close after the end (PS3.8 9.1.5, ARTIM; chosen by us).
REQUEST_SECONDS: Final = 30.0
CLOSE_SECONDS: Final = 5.0
#: How long a peer that was promised something is silent before it is told on the same association: one that
#: means to release it does so at once. Chosen by us.
LOOK_SECONDS: Final = 1.0
#: The root of DICOM (PS3.5 9.1), and what all its storage classes begin with (PS3.6 Annex A).
STANDARD_ROOT: Final = "1.2.840.10008."
STORAGE_ROOT: Final = "1.2.840.10008.5.1.4.1.1."
#: Requests that carry a dataset; what becomes of it says the handler.
WITH_DATASET: Final = frozenset(
    {
        CommandField.C_STORE,
        CommandField.N_EVENT_REPORT,
        CommandField.N_ACTION,
        CommandField.N_CREATE,
        CommandField.N_SET,
    }
)


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
        """Where the dataset of a request of ``WITH_DATASET`` goes; never raises."""

    def offer(self) -> "Offer":
        """What the requestor, who was admitted, may use."""

    def promised(self) -> bool:
        """Whether something may have to be told on this association, while its requestor is silent."""

    def telling(self) -> "Telling | None":
        """What is to be told now."""

    def told(self, status: int) -> None:
        """What the requestor answered to that."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What an acceptor takes: transfer syntaxes by abstract syntax, and classes whose user it can be."""

    syntaxes: Mapping[str, frozenset[str]]
    #: Classes of which the requestor may be the provider (PS3.7 D.3.3.4).
    provided_by_peer: frozenset[str] = frozenset()
    #: Classes of which the requestor may be nothing else.
    only_provided_by_peer: frozenset[str] = frozenset()
    #: Transfer syntaxes for classes that may be storage and are in no list of ours; none: they are refused.
    unlisted_storage: frozenset[str] = frozenset()

    def taken(self, abstract_syntax: str) -> frozenset[str] | None:
        """The transfer syntaxes for a class; None where it is not taken."""
        known = self.syntaxes.get(abstract_syntax)
        if known is None and self.unlisted_storage and may_be_storage(abstract_syntax):
            return self.unlisted_storage
        return known


def may_be_storage(abstract_syntax: str) -> bool:
    """Whether a class may be one of storage: it is private, or named where DICOM has its storage classes."""
    standard = abstract_syntax.startswith(STANDARD_ROOT)
    return not standard or abstract_syntax.startswith(STORAGE_ROOT)


@dataclass(frozen=True, kw_only=True)
class Telling:
    """An N-EVENT-REPORT to the requestor of an association."""

    context: Context
    sop_class_uid: str
    sop_instance_uid: str
    event_type_id: int
    dataset: bytes


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


class Association:
    """Serves one connection in the thread that calls ``serve``."""

    def __init__(self, wire: Wire, handler: Handler) -> None:
        self._wire = wire
        self._handler = handler
        self._contexts: dict[int, Context] = {}
        self._maximum_length = 0
        self._command = bytearray()
        self._request: tuple[Command, Context] | None = None
        self._sink: Sink | None = None
        #: Requests of ours, and the one whose answer is outstanding.
        self._told = 0
        self._outstanding: int | None = None

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
        offer = self._handler.offer()
        contexts = [_agree(offer, proposal) for proposal in request.proposals]
        self._contexts = {c.number: c for c in contexts if c.result is ContextResult.ACCEPTED}
        self._maximum_length = request.maximum_length
        accept = pdu.associate_accept(
            request, contexts, self._roles(request, offer), maximum_length=MAXIMUM_PDU_SIZE
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

    def _roles(self, request: AssociateRequest, offer: Offer) -> dict[str, Role]:
        """Answers to proposed roles: the requestor is the user, and provider where we can be the user."""
        accepted = {context.abstract_syntax for context in self._contexts.values()}
        return {
            uid: Role(
                scu=role.scu and uid not in offer.only_provided_by_peer,
                scp=role.scp and uid in offer.provided_by_peer,
            )
            for uid, role in request.roles.items()
            if uid in accepted
        }

    def _header(self) -> tuple[int, int]:
        """Type and length of the next PDU."""
        kind, _, length = pdu.HEADER.unpack(self._wire.take(pdu.HEADER.size))
        return kind, length

    def _next(self) -> bool:
        """Take one PDU; False after the last."""
        if self._handler.promised():
            self._tell()
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

    def _tell(self) -> None:
        """While the peer is silent, tell it what it was promised, if that is to be told here."""
        until = time.monotonic() + self._wire.idle_seconds
        while self._handler.promised() and self._outstanding is None and self._is_between():
            if self._wire.wait(min(LOOK_SECONDS, self._wire.idle_seconds)):
                return
            telling = self._handler.telling()
            if telling is not None:
                self._report(telling)
            elif time.monotonic() > until:
                raise Gone

    def _is_between(self) -> bool:
        """Whether no request is coming in."""
        return self._request is None and not self._command

    def _report(self, telling: Telling) -> None:
        """Send one N-EVENT-REPORT; its answer comes when it comes."""
        self._told = self._outstanding = self._told % 0xFFFF + 1
        command = dimse.event_report(
            self._told,
            sop_class_uid=telling.sop_class_uid,
            sop_instance_uid=telling.sop_instance_uid,
            event_type_id=telling.event_type_id,
        )
        number, most = telling.context.number, self._maximum_length
        self._wire.send(
            pdu.command_data(number, command, maximum_length=most)
            + pdu.dataset_data(number, telling.dataset, maximum_length=most)
        )

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
            raw = bytes(self._command)
            self._command.clear()
            if not self._is_answer(raw):
                self._begin(dimse.parse_command(raw), context)

    def _is_answer(self, raw: bytes) -> bool:
        """Whether a command set answers what we told; it is taken in then."""
        if self._outstanding is None:
            return False
        status = dimse.status_of(raw, message_id=self._outstanding)
        if status is None:
            return False
        self._outstanding = None
        self._handler.told(status)
        return True

    def _begin(self, command: Command, context: Context) -> None:
        """A whole request has come; its dataset follows if it has one."""
        if command.field == CommandField.C_CANCEL:
            return
        if command.has_dataset:
            self._request = (command, context)
            if command.field in WITH_DATASET:
                self._sink = self._handler.open(command, context)
            else:
                self._sink = Refuse(Status.UNRECOGNIZED_OPERATION)
        else:
            self._answer(command, context, self._without_dataset(command, context))

    def _without_dataset(self, command: Command, context: Context) -> int:
        """The answer to a request that carries no dataset."""
        if command.field == CommandField.C_ECHO:
            return Status.SUCCESS
        if command.field in {CommandField.N_ACTION, CommandField.N_CREATE, CommandField.N_SET}:
            return self._handler.open(command, context).finish()
        if command.field in WITH_DATASET:
            return Status.PROCESSING_FAILURE
        return Status.UNRECOGNIZED_OPERATION

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


def _agree(offer: Offer, proposal: Proposal) -> Context:
    """The first of the requestor's transfer syntaxes that can be read."""
    known = offer.taken(proposal.abstract_syntax)
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


def _unexpected(kind: int) -> AbortReason:
    """A PDU in the wrong place, or one that does not exist."""
    known = kind in Kind.__members__.values()
    return AbortReason.UNEXPECTED_PDU if known else AbortReason.UNRECOGNIZED_PDU
