"""A modality that asks whether what it sent is held, before it deletes its own (storage commitment)."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.transport import ThreadedAssociationServer

from service.dicom.commitment import COMMITMENT_CLASS, COMMITMENT_INSTANCE
from service.dicom.scu import Address
from tests.make.running import free_port

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"


@dataclass(frozen=True)
class Told:
    """One report that it was sent."""

    event_type: int
    transaction: str
    kept: list[str]
    failed: dict[str, int]
    #: On the association that it asked on.
    same: bool
    #: What its own sender proposed to be: user and provider.
    roles: tuple[bool | None, bool | None]


@dataclass
class Modality:
    """What it was told, and what it answers."""

    ae_title: str = "SCANNER"
    port: int = field(default_factory=free_port)
    told: list[Told] = field(default_factory=list)
    answer: int = 0x0000
    heard: threading.Event = field(default_factory=threading.Event)

    def settings(self, **changes: Any) -> dict[str, Any]:
        """It, as a ``[[peer]]`` that may ask."""
        values = {"name": "scanner", "ae_title": self.ae_title, "host": "127.0.0.1", "port": self.port}
        return {**values, "commitment_scp": True, **changes}

    def address(self, **changes: Any) -> Address:
        """Where it is."""
        values = {"host": "127.0.0.1", "port": self.port, "ae_title": self.ae_title}
        return Address(**{**values, "calling_ae": "MYOSCREEN", "answer_seconds": 10.0, **changes})

    @contextmanager
    def listening(self, *, tls: Any = None) -> Iterator[None]:
        """Take reports while the block lasts."""
        application = AE(ae_title=self.ae_title)
        application.add_supported_context(COMMITMENT_CLASS, scu_role=True, scp_role=True)
        server = application.make_server(
            ("127.0.0.1", self.port),
            evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._hear, [False])],
            server_class=ThreadedAssociationServer,
            ssl_context=tls,
        )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        application._servers.append(server)
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            application.shutdown()

    def _hear(self, event: evt.Event, same: bool) -> tuple[int, None]:
        information = event.event_information
        proposed = event.assoc.requestor.role_selection.get(UID(COMMITMENT_CLASS))
        self.told.append(
            Told(
                event_type=event.request.EventTypeID,
                transaction=str(information.TransactionUID),
                kept=[
                    str(item.ReferencedSOPInstanceUID)
                    for item in information.get("ReferencedSOPSequence", ())
                ],
                failed={
                    str(item.ReferencedSOPInstanceUID): int(item.FailureReason)
                    for item in information.get("FailedSOPSequence", ())
                },
                same=same,
                roles=(None, None) if proposed is None else (proposed.scu_role, proposed.scp_role),
            )
        )
        self.heard.set()
        return self.answer, None

    @contextmanager
    def associated(self, port: int, *, tls: Any = None, calling: str | None = None) -> Iterator[Association]:
        """An association with us for storage and storage commitment."""
        application = AE(ae_title=calling or self.ae_title)
        application.acse_timeout = application.dimse_timeout = application.network_timeout = 20
        association = application.associate(
            "127.0.0.1",
            port,
            contexts=[build_context(MR_IMAGE, EXPLICIT), build_context(COMMITMENT_CLASS, IMPLICIT)],
            ae_title="MYOSCREEN",
            evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._hear, [True])],
            tls_args=None if tls is None else (tls, "localhost"),
        )
        assert association.is_established
        try:
            yield association
        finally:
            association.release()

    def send(self, port: int, paths: Sequence[Path], *, tls: Any = None) -> dict[str, str]:
        """Send images; SOP class UID by SOP instance UID of those that were taken."""
        sent = {}
        with self.associated(port, tls=tls) as association:
            for path in paths:
                dataset = pydicom.dcmread(path)
                assert association.send_c_store(dataset).Status == 0x0000
                sent[str(dataset.SOPInstanceUID)] = str(dataset.SOPClassUID)
        return sent

    def ask(self, port: int, objects: Mapping[str, str], *, tls: Any = None, **changes: Any) -> int:
        """Ask about these on an association that is released at once; the answer to N-ACTION."""
        with self.associated(port, tls=tls) as association:
            return ask_on(association, objects, **changes)


def ask_on(
    association: Association,
    objects: Mapping[str, str],
    *,
    transaction: str | None = None,
    action: int = 1,
    instance: str = COMMITMENT_INSTANCE,
    dataset: Dataset | None = None,
) -> int:
    """Ask on this association; the answer to N-ACTION."""
    information = question(objects, transaction or generate_uid()) if dataset is None else dataset
    status, _ = association.send_n_action(information, action, UID(COMMITMENT_CLASS), UID(instance))
    return int(status.Status)


def question(objects: Mapping[str, str], transaction: str) -> Dataset:
    """The action information of a request (PS3.4 table J.3-1)."""
    dataset = Dataset()
    dataset.TransactionUID = transaction
    dataset.ReferencedSOPSequence = []
    for uid, sop_class in objects.items():
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        dataset.ReferencedSOPSequence.append(item)
    return dataset
