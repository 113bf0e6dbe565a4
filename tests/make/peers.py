"""A DICOM node that answers as a test tells it to."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context, build_role
from pynetdicom.transport import ThreadedAssociationServer

from service.core.answers import STORED
from service.core.status import OutputKind
from service.dicom.commitment import COMMITMENT_CLASS, COMMITMENT_INSTANCE, STUDY_ROOT_FIND
from service.dicom.scu import Address
from service.pipeline.deliver import Destination
from tests.make.running import free_port

ALL_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.7",
    "1.2.840.10008.5.1.4.1.1.66.4",
    "1.2.840.10008.5.1.4.1.1.88.34",
    "1.2.840.10008.5.1.4.1.1.104.1",
)
PLAIN = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")


@dataclass
class FakePeer:
    """What it got, and what it answers."""

    port: int
    #: Status for the number of the object, from 0.
    answer: Callable[[int], int] = field(default=lambda _number: 0x0000)
    #: What it does with an association before it answers for an object: think, hang, abort.
    before: Callable[[evt.Event], None] = field(default=lambda _event: None)
    #: What it has, as it would say itself.
    held: set[str] = field(default_factory=set)
    #: Where it reports on storage commitments: this port of ours; None for the association that asked.
    reports_to: int | None = None
    #: Storage commitments that it was asked for: transaction and SOP instance UIDs.
    asked: list[tuple[str, list[str]]] = field(default_factory=list)
    #: It takes questions and answers none: it breaks off.
    mute: bool = False
    #: Whether it reports at all.
    reports: bool = True
    #: What our listener answered to its reports.
    thanks: list[int | None] = field(default_factory=list)
    #: SOP instance UID and encoded dataset of each object that it was sent.
    received: list[tuple[str, bytes]] = field(default_factory=list)

    def uids(self) -> list[str]:
        """What it was sent, in order."""
        return [uid for uid, _ in self.received]

    def address(self, **changes: Any) -> Address:
        """Where it is."""
        values = {"host": "127.0.0.1", "port": self.port, "ae_title": "PEER", "calling_ae": "MYOSCREEN"}
        return Address(**{**values, **changes})

    def destination(self, name: str = "pacs", *, answer_seconds: float = 60, **changes: Any) -> Destination:
        """It, as somewhere that results are sent to."""
        address = self.address(answer_seconds=answer_seconds)
        return Destination(**{"name": name, "address": address, "outputs": tuple(OutputKind), **changes})

    def settings(self, name: str = "pacs", **changes: Any) -> dict[str, Any]:
        """It, as a ``[[peer]]``."""
        return {
            "name": name,
            "ae_title": "PEER",
            "host": "127.0.0.1",
            "port": self.port,
            "outputs": ["SEG", "SR", "SC", "PDF"],
            **changes,
        }

    @contextmanager
    def listening(
        self,
        *,
        classes: Sequence[str] = ALL_CLASSES,
        syntaxes: Sequence[str] = PLAIN,
        services: Sequence[str] = (COMMITMENT_CLASS, STUDY_ROOT_FIND),
        rejects: bool = False,
    ) -> Iterator[None]:
        """Listen while the block lasts; ``rejects``: take no association."""
        application = AE(ae_title="PEER")
        application.require_calling_aet = ["NOBODY"] if rejects else []
        for uid in classes:
            application.add_supported_context(uid, list(syntaxes))
        for uid in ("1.2.840.10008.1.1", *services):
            application.add_supported_context(uid)
        handlers = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_N_ACTION, self._commit),
        ]
        server = application.make_server(
            ("127.0.0.1", self.port), evt_handlers=handlers, server_class=ThreadedAssociationServer
        )
        # The library's own way would look twice a second whether it is to end.
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        application._servers.append(server)
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            application.shutdown()

    def _store(self, event: evt.Event) -> int:
        dataset = event.request.DataSet
        raw = dataset.getvalue() if isinstance(dataset, BytesIO) else b""
        uid = str(event.request.AffectedSOPInstanceUID)
        self.received.append((uid, raw))
        status = self.answer(len(self.received) - 1)
        self.before(event)
        if status in STORED:
            self.held.add(uid)
        return status

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        if self.mute:
            event.assoc.abort()
            return
        wanted = event.identifier
        assert wanted.QueryRetrieveLevel == "IMAGE"
        assert wanted.StudyInstanceUID
        assert wanted.SeriesInstanceUID
        if wanted.SOPInstanceUID in self.held:
            match = Dataset()
            match.SOPInstanceUID = wanted.SOPInstanceUID
            yield 0xFF00, match

    def _commit(self, event: evt.Event) -> tuple[int, None]:
        if self.mute:
            event.assoc.abort()
        question = event.action_information
        items = [
            (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
            for item in question.ReferencedSOPSequence
        ]
        transaction = str(question.TransactionUID)
        self.asked.append((transaction, [uid for _, uid in items]))
        if self.reports:
            report = self.report(transaction, items)
            association = event.assoc if self.reports_to is None else None
            threading.Thread(target=self.send_report, args=(report, association)).start()
        return 0x0000, None

    def report(self, transaction: str, items: Sequence[tuple[str, str]]) -> Dataset:
        """What it says of these objects (PS3.4 table J.3-2)."""
        report = Dataset()
        report.TransactionUID = transaction
        stored, failed = [], []
        for sop_class, uid in items:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
            if uid in self.held:
                stored.append(item)
            else:
                item.FailureReason = 0x0112
                failed.append(item)
        if stored:
            report.ReferencedSOPSequence = stored
        if failed:
            report.FailedSOPSequence = failed
        return report

    def send_report(self, report: Dataset, association: Any = None, *, calling: str = "PEER") -> None:
        """Tell it on this association, else on one to our listener."""
        own = association is None
        if own:
            application = AE(ae_title=calling)
            application.acse_timeout = application.dimse_timeout = 10
            association = application.associate(
                "127.0.0.1",
                self.reports_to,
                contexts=[build_context(COMMITMENT_CLASS)],
                ae_title="MYOSCREEN",
                ext_neg=[build_role(COMMITMENT_CLASS, scp_role=True)],
            )
            if not association.is_established:
                self.thanks.append(None)
                return
        event_type = 2 if "FailedSOPSequence" in report else 1
        with suppress(RuntimeError, ValueError):  # The other side may have gone meanwhile.
            status, _ = association.send_n_event_report(
                report, event_type, UID(COMMITMENT_CLASS), UID(COMMITMENT_INSTANCE)
            )
            self.thanks.append(status.get("Status"))
        if own:
            association.release()


def fake_peer() -> FakePeer:
    """A node on a free port, not listening yet."""
    return FakePeer(port=free_port())


@contextmanager
def deaf_after(port: int, count: int) -> Iterator[int]:
    """A way to the node at ``port`` that takes ``count`` bytes and then none any more; its own port."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        threads = [threading.Thread(target=_relay, args=(server, port, count, ended))]
        threads[0].start()
        try:
            yield int(server.getsockname()[1])
        finally:
            ended.set()
            threads[0].join()


def _relay(server: socket.socket, port: int, count: int, ended: threading.Event) -> None:
    """Pass on one connection, both ways, until so many bytes went in."""
    server.settimeout(10)
    with suppress(TimeoutError):
        client, _ = server.accept()
        with client, socket.create_connection(("127.0.0.1", port)) as peer:
            back = threading.Thread(target=_pass_on, args=(peer, client))
            back.start()
            taken = 0
            while taken < count and (chunk := client.recv(4096)):
                peer.sendall(chunk)
                taken += len(chunk)
            ended.wait(30)
            peer.shutdown(socket.SHUT_RDWR)
            back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(4096):
            target.sendall(chunk)
